//! The browser's end of the media on a real socket: ICE, DTLS, SRTP, one stream of audio out, counts of what comes in.

#[path = "../../../../protocol/webrtc/tests/support/client.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "the peer of the gateway's tests, of which a part is needed"
)]
mod client;

use super::LoadError;
use client::{Client, Version};
use offhook_audio::tone::Tone;
use offhook_audio::{AudioCodec, AudioEncoder, FRAME_SAMPLES, OpusEncoderConfig, PAYLOAD_LEN_MAX};
use offhook_rtp::{RtpFields, Ssrc};
use offhook_webrtc::Path;
use offhook_webrtc::ice::IceCredentials;
use offhook_webrtc::srtp::GROWTH_MAX;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// Half a packet: also how often the peer's timers are looked at.
const TICK: Duration = Duration::from_millis(10);
/// Frames of tone that are encoded once and sent in turn.
const FRAMES: usize = 50;
/// Orders that a leg may be behind.
const ORDERS_MAX: usize = 8;
/// RTP header without extensions.
const RTP_HEADER_LEN: usize = 12;
/// Longest datagram.
const DATAGRAM_LEN_MAX: usize = 2_048;

/// What the browser speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// As the carrier: packets are passed on.
    Pcmu,
    /// Packets are transcoded.
    Opus,
}

/// What has come.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    packets: AtomicU64,
    first: Mutex<Option<Instant>>,
}

impl Heard {
    /// Audio packets so far.
    pub(crate) fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    /// When the first one came that the carrier made, where packets are passed on as they are: not the gateway's own ringing.
    pub(crate) fn first(&self) -> Option<Instant> {
        *self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, now: Instant, is_of_carrier: bool) {
        self.packets.fetch_add(1, Ordering::Relaxed);
        if is_of_carrier {
            let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(now);
        }
    }
}

/// A leg; dropping it closes its socket.
pub(crate) struct Leg {
    /// What it has heard.
    pub(crate) heard: Arc<Heard>,
    credentials: IceCredentials,
    fingerprint: String,
    address: SocketAddr,
    voice: Voice,
    remotes: mpsc::Sender<(IceCredentials, SocketAddr)>,
    task: JoinHandle<()>,
}

impl Drop for Leg {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Leg {
    /// A leg that knows no remote yet.
    pub(crate) async fn new(voice: Voice) -> Result<Self, LoadError> {
        let socket = UdpSocket::bind("127.0.0.1:0")
            .await
            .map_err(LoadError::io("a socket for media"))?;
        let address = socket.local_addr().map_err(LoadError::io("a socket for media"))?;
        let client = Client::new(Instant::now(), Version::Dtls12, true, address);
        let (credentials, fingerprint) = (client.credentials(), client.fingerprint().to_string());
        let heard = Arc::new(Heard::default());
        let (remotes, orders) = mpsc::channel(ORDERS_MAX);
        let stream = Stream::new(voice)?;
        let task = tokio::spawn(serve(socket, client, orders, heard.clone(), stream));
        Ok(Self {
            heard,
            credentials,
            fingerprint,
            address,
            voice,
            remotes,
            task,
        })
    }

    /// The offer of a browser.
    pub(crate) fn offer(&self) -> String {
        match self.voice {
            Voice::Pcmu => self.description(
                "0 126",
                "a=rtpmap:0 PCMU/8000\r\na=rtpmap:126 telephone-event/8000\r\n",
                "actpass",
            ),
            Voice::Opus => self.description(
                "111 110",
                "a=rtpmap:111 opus/48000/2\r\na=rtpmap:110 telephone-event/48000\r\n",
                "actpass",
            ),
        }
    }

    /// Takes the gateway's answer to our offer.
    pub(crate) async fn take(&self, sdp: &str) -> Result<(), LoadError> {
        let credentials = IceCredentials {
            ufrag: value(sdp, "a=ice-ufrag:")?.to_owned(),
            pwd: value(sdp, "a=ice-pwd:")?.to_owned(),
        };
        let address = candidate(sdp)?;
        let gone = |_| LoadError::Unexpected("the media leg has ended".to_owned());
        self.remotes.send((credentials, address)).await.map_err(gone)
    }

    /// Takes the gateway's offer and gives the browser's answer.
    pub(crate) async fn answer(&self, offer: &str) -> Result<String, LoadError> {
        self.take(offer).await?;
        let types = value(offer, "m=audio ")?;
        let wanted = |name: &str| {
            let maps = offer.lines().filter_map(|line| line.strip_prefix("a=rtpmap:"));
            let map = maps
                .filter_map(|map| map.split_once(' '))
                .find(|(_, codec)| *codec == name);
            map.map(|(payload_type, _)| payload_type.to_owned())
        };
        if self.voice == Voice::Opus && wanted("opus/48000/2").is_none() {
            return Err(LoadError::Unexpected(format!("no Opus in m=audio {types}")));
        }
        let (audio, event) = match self.voice {
            Voice::Pcmu => ("PCMU/8000", "telephone-event/8000"),
            Voice::Opus => ("opus/48000/2", "telephone-event/48000"),
        };
        let (mut list, mut maps) = (Vec::new(), String::new());
        for name in [audio, event] {
            let fallback = (name == "PCMU/8000").then(|| "0".to_owned());
            if let Some(payload_type) = wanted(name).or(fallback) {
                maps.push_str(&format!("a=rtpmap:{payload_type} {name}\r\n"));
                list.push(payload_type);
            }
        }
        Ok(self.description(&list.join(" "), &maps, "active"))
    }

    fn description(&self, types: &str, maps: &str, setup: &str) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        format!(
            "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
             m=audio {port} UDP/TLS/RTP/SAVPF {types}\r\nc=IN IP4 {ip}\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
             a=candidate:1 1 udp 2113937151 {ip} {port} typ host\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\n\
             a=fingerprint:{}\r\na=setup:{setup}\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\n{maps}",
            self.credentials.ufrag, self.credentials.pwd, self.fingerprint
        )
    }
}

/// The stream that a leg sends.
struct Stream {
    payloads: Vec<Vec<u8>>,
    payload_type: u8,
    ticks: u32,
    sequence: u16,
    timestamp: u32,
}

impl Stream {
    fn new(voice: Voice) -> Result<Self, LoadError> {
        let (codec, payload_type, ticks) = match voice {
            Voice::Pcmu => (AudioCodec::Pcmu, 0, 160),
            Voice::Opus => (AudioCodec::Opus, 111, 960),
        };
        Ok(Self {
            payloads: tone(codec)?,
            payload_type,
            ticks,
            sequence: 0,
            timestamp: 0,
        })
    }

    fn next(&mut self) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(self.ticks);
        let fields = RtpFields {
            marker: false,
            payload_type: self.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: Ssrc(0x0ff1_0ad0),
        };
        let payload = &self.payloads[usize::from(self.sequence) % self.payloads.len()];
        [&fields.to_header()[..], payload].concat()
    }
}

async fn serve(
    socket: UdpSocket,
    mut client: Client,
    mut remotes: mpsc::Receiver<(IceCredentials, SocketAddr)>,
    heard: Arc<Heard>,
    mut stream: Stream,
) {
    let Ok(local) = socket.local_addr() else { return };
    let mut buffer = vec![0; DATAGRAM_LEN_MAX];
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut odd = false;
    loop {
        tokio::select! {
            remote = remotes.recv() => match remote {
                Some((credentials, address)) => client.set_remote(&credentials, address),
                None => return,
            },
            received = socket.recv_from(&mut buffer) => {
                let Ok((len, remote)) = received else { continue };
                let now = Instant::now();
                let path = Path { local, remote };
                if let Some(packet) = client.handle_datagram(now, path, &mut buffer[..len]) {
                    let payload = packet.get(RTP_HEADER_LEN..).unwrap_or_default();
                    heard.take(now, stream.payloads.iter().any(|own| own == payload));
                }
            }
            _ = ticks.tick() => {
                client.handle_timeout(Instant::now());
                odd = !odd;
                if odd && client.is_connected() && let Some((path, packet)) = client.send_rtp(&stream.next()) {
                    // Lost as on any network.
                    let _ = socket.try_send_to(&packet, path.remote);
                }
            }
        }
        while let Some((path, packet)) = client.poll_transmit(Instant::now()) {
            let _ = socket.try_send_to(&packet, path.remote);
        }
    }
}

/// A second of a sine, in payloads of 20 ms.
pub(crate) fn tone(codec: AudioCodec) -> Result<Vec<Vec<u8>>, LoadError> {
    let failed = |why: String| LoadError::Unexpected(format!("encoding a tone: {why}"));
    let mut encoder =
        AudioEncoder::new(codec, &OpusEncoderConfig::default()).map_err(|error| failed(error.to_string()))?;
    let mut tone = Tone::sine(440.0, -15.0);
    let mut payloads = Vec::with_capacity(FRAMES);
    for _ in 0..FRAMES {
        let mut samples = [0; FRAME_SAMPLES];
        tone.fill(&mut samples);
        let mut payload = [0; PAYLOAD_LEN_MAX];
        let len = encoder
            .encode(&samples, &mut payload)
            .map_err(|error| failed(error.to_string()))?;
        payloads.push(payload[..len].to_vec());
    }
    Ok(payloads)
}

/// What follows `start` on its line of an SDP.
pub(crate) fn value<'a>(sdp: &'a str, start: &str) -> Result<&'a str, LoadError> {
    sdp.lines()
        .find_map(|line| line.strip_prefix(start))
        .ok_or_else(|| LoadError::Unexpected(format!("no {start} in\n{sdp}")))
}

fn candidate(sdp: &str) -> Result<SocketAddr, LoadError> {
    let line = value(sdp, "a=candidate:")?;
    let mut words = line.split(' ').skip(4);
    let address = match (words.next(), words.next()) {
        (Some(ip), Some(port)) => format!("{ip}:{port}").parse().ok(),
        _ => None,
    };
    address.ok_or_else(|| LoadError::Unexpected(format!("candidate {line}")))
}

fn credentials(ufrag: &str, pwd: &str) -> IceCredentials {
    IceCredentials {
        ufrag: ufrag.into(),
        pwd: pwd.into(),
    }
}

fn roomy(bytes: &[u8]) -> (Vec<u8>, usize) {
    let mut buffer = bytes.to_vec();
    buffer.resize(bytes.len() + GROWTH_MAX, 0);
    (buffer, bytes.len())
}
