//! A session on a virtual clock between a browser-like client and a carrier with plain RTP.
#![expect(dead_code, reason = "each test file uses its part")]
#![expect(clippy::unwrap_used, reason = "a failure here fails the test that uses it")]

#[path = "../../../../protocol/webrtc/tests/support/client.rs"]
pub(crate) mod client;
pub(crate) mod running;
pub(crate) mod sdp;

use client::{Client, Version};
use offhook_audio::dtmf::dominant_frequency;
use offhook_audio::tone::Tone;
use offhook_audio::{
    AudioCodec, AudioDecoder, AudioEncoder, FRAME_SAMPLES, OpusEncoderConfig, PAYLOAD_LEN_MAX,
};
use offhook_b2bua_rtc::Lane;
use offhook_b2bua_rtc::outbox::{Outbox, SocketToken};
use offhook_b2bua_rtc::params::{
    AudioParams, LatchingParams, LegKind, OpenRequest, RtpPort, SessionParams, Timeouts, WallClock,
};
use offhook_b2bua_rtc::session::{MediaSession, Output};
use offhook_b2bua_rtc::tones::{Material, SoundMaterials, Tones};
use offhook_call_trace::CallId;
use offhook_media_control::{
    Command, CommandError, Direction, Event, Latching, LegName, MediaSessionId, Reply,
};
use offhook_offer_answer::Prefer;
use offhook_rtp::{RtpFields, RtpPacket, Ssrc};
use offhook_webrtc::ice::IceCredentials;
use offhook_webrtc::srtp::GROWTH_MAX;
use offhook_webrtc::{Certificate, LegConfig, Path};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

pub(crate) const WEBRTC: SocketToken = SocketToken(0);
pub(crate) const CLIENT_PORT: RtpPort = RtpPort {
    port: 20_000,
    rtp: SocketToken(1),
    rtcp: SocketToken(2),
};
pub(crate) const CARRIER_PORT: RtpPort = RtpPort {
    port: 20_002,
    rtp: SocketToken(3),
    rtcp: SocketToken(4),
};

/// Of a leg that takes the place of another.
pub(crate) const SPARE_PORT: RtpPort = RtpPort {
    port: 20_004,
    rtp: SocketToken(5),
    rtcp: SocketToken(6),
};

static PARAMS: LazyLock<SessionParams> = LazyLock::new(|| SessionParams {
    webrtc: LegConfig::new(Certificate::generate().unwrap()),
    candidates: vec![gateway()],
    webrtc_sockets: vec![(gateway(), WEBRTC)],
    rtp_address: gateway().ip(),
    prefer: Prefer::Relay,
    latching: LatchingParams {
        latching: Latching::SameAddress,
        port_changes: false,
    },
    audio: AudioParams {
        opus_complexity: 0,
        opus_bitrate_bps: 16_000,
        jitter_min: Duration::from_millis(2),
        jitter_max: Duration::from_millis(200),
    },
    timeouts: Timeouts {
        media_stopped: Duration::from_secs(5),
        media: Duration::from_secs(300),
        quality: Some(Duration::from_secs(10)),
        rtcp: Duration::from_secs(5),
    },
    clock: WallClock {
        at: origin(),
        unix: Duration::from_secs(1_700_000_000),
    },
    tones: Arc::new(Tones::new(&sounds()).unwrap()),
});

/// On hold 600 Hz without end, away 900 Hz, and `short`, a quarter of a second of 1200 Hz.
fn sounds() -> SoundMaterials {
    let tone = |frequency_hz, len: usize| {
        let mut samples = vec![0; len];
        Tone::sine(frequency_hz, -15.0).fill(&mut samples);
        Material::Samples(samples)
    };
    SoundMaterials {
        hold: tone(600.0, 8_000),
        away: tone(900.0, 8_000),
        named: [("short".to_owned(), tone(1_200.0, 2_000))].into(),
    }
}

pub(crate) fn origin() -> Instant {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    *ORIGIN
}

pub(crate) fn gateway() -> SocketAddr {
    "198.51.100.1:3478".parse().unwrap()
}

pub(crate) fn client_address() -> SocketAddr {
    "192.0.2.1:40000".parse().unwrap()
}

pub(crate) fn carrier_address() -> SocketAddr {
    "203.0.113.5:7000".parse().unwrap()
}

pub(crate) fn params() -> SessionParams {
    PARAMS.clone()
}

pub(crate) fn session_id() -> MediaSessionId {
    MediaSessionId("m1".into())
}

pub(crate) fn request(from: LegName, sdp: &str) -> OpenRequest {
    OpenRequest {
        session: session_id(),
        call_id: CallId::new("c1").unwrap(),
        from,
        sdp: Some(sdp.to_owned()),
        early_answer: false,
        client: LegKind::WebRtc,
        carrier: LegKind::Rtp,
        codecs: None,
        comfort: true,
    }
}

/// An RTP packet that a peer has received.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) at: Instant,
    pub(crate) fields: RtpFields,
    pub(crate) payload: Vec<u8>,
}

/// The sending half of a peer: one stream.
pub(crate) struct Voice {
    pub(crate) payload_type: u8,
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
}

impl Voice {
    pub(crate) fn new(payload_type: u8, ssrc: u32) -> Self {
        Self {
            payload_type,
            ssrc,
            sequence: 65_530,
            timestamp: 4_294_960_000,
        }
    }

    pub(crate) fn packet(&mut self, payload: &[u8], ticks: u32) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(ticks);
        self.raw(self.payload_type, self.timestamp, payload)
    }

    /// A packet with the next sequence number and a timestamp of its own.
    pub(crate) fn beside(&mut self, payload_type: u8, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        self.raw(payload_type, timestamp, payload)
    }

    fn raw(&self, payload_type: u8, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let fields = RtpFields {
            marker: false,
            payload_type,
            sequence: self.sequence,
            timestamp,
            ssrc: Ssrc(self.ssrc),
        };
        [&fields.to_header()[..], payload].concat()
    }
}

/// A session and its two peers.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) session: MediaSession,
    pub(crate) rng: StdRng,
    pub(crate) out: Outbox,
    pub(crate) client: Client,
    /// RTP that the client has got.
    pub(crate) client_heard: Vec<Heard>,
    /// RTP that the carrier has got.
    pub(crate) carrier_heard: Vec<Heard>,
    /// RTP that went out at the port of a leg that takes the place of another.
    pub(crate) newcomer_heard: Vec<Heard>,
    /// RTCP that the carrier has got.
    pub(crate) carrier_reports: Vec<Vec<u8>>,
    pub(crate) events: Vec<Event>,
    pub(crate) outputs: Vec<Output>,
}

impl World {
    /// The client offers; the offer that goes to the carrier comes back beside, and the early answer if asked for.
    pub(crate) fn offer_from_client(codecs: &str, early_answer: bool) -> (Self, String, Option<String>) {
        Self::offer_edited(codecs, early_answer, |offer| offer)
    }

    /// The same with changes to the client's offer.
    pub(crate) fn offer_edited(
        codecs: &str,
        early_answer: bool,
        edit: impl FnOnce(String) -> String,
    ) -> (Self, String, Option<String>) {
        Self::offer_at(params(), codecs, early_answer, edit)
    }

    /// The same at a gateway of other settings.
    pub(crate) fn offer_at(
        params: SessionParams,
        codecs: &str,
        early_answer: bool,
        edit: impl FnOnce(String) -> String,
    ) -> (Self, String, Option<String>) {
        let now = origin();
        let client = Client::new(now, Version::Dtls12, true, client_address());
        let offer = edit(sdp::browser(&client, codecs));
        let mut rng = StdRng::seed_from_u64(7);
        let open = OpenRequest {
            early_answer,
            ..request(LegName::Client, &offer)
        };
        let ports = [None, Some(CARRIER_PORT)];
        let (session, reply) = MediaSession::open(now, Arc::new(params), open, ports, &mut rng).unwrap();
        let Reply::Opened { offer, answer } = reply else {
            panic!("{reply:?}")
        };
        let mut world = Self::with(session, client, rng);
        if let Some(answer) = &answer {
            world.tell_client(answer);
        }
        (world, offer, answer)
    }

    /// The carrier offers; nobody has answered yet.
    pub(crate) fn offer_from_carrier(codecs: &str) -> Self {
        let client = Client::new(origin(), Version::Dtls12, true, client_address());
        let open = request(LegName::Carrier, &sdp::carrier(carrier_address(), codecs));
        let mut rng = StdRng::seed_from_u64(7);
        let ports = [None, Some(CARRIER_PORT)];
        let (session, _) = MediaSession::open(origin(), Arc::new(params()), open, ports, &mut rng).unwrap();
        Self::with(session, client, rng)
    }

    /// A call that is up: the client's offer was answered by the carrier with `carrier_codecs`, and ICE and DTLS are done.
    pub(crate) fn connected(client_codecs: &str, carrier_codecs: &str) -> Self {
        let (mut world, _, _) = Self::offer_from_client(client_codecs, false);
        let answer = world.carrier_answers(&sdp::carrier(carrier_address(), carrier_codecs));
        world.tell_client(&answer.unwrap());
        world.connect();
        world
    }

    /// The same with PCMU, where an RTP peer may or may not change its port.
    pub(crate) fn with_port_changes(port_changes: bool) -> Self {
        let (mut world, _, _) = Self::offer_from_client("0", true);
        let params = SessionParams {
            latching: LatchingParams {
                latching: Latching::SameAddress,
                port_changes,
            },
            ..params()
        };
        let open = OpenRequest {
            early_answer: true,
            ..request(LegName::Client, &sdp::browser(&world.client, "0"))
        };
        let ports = [None, Some(CARRIER_PORT)];
        let (session, reply) =
            MediaSession::open(world.now, Arc::new(params), open, ports, &mut world.rng).unwrap();
        world.session = session;
        let Reply::Opened { answer, .. } = reply else {
            panic!("{reply:?}")
        };
        world.tell_client(&answer.unwrap());
        world.carrier_answers(&sdp::carrier(carrier_address(), "0"));
        world.connect();
        world
    }

    fn with(session: MediaSession, client: Client, rng: StdRng) -> Self {
        let mut world = Self {
            now: origin(),
            session,
            rng,
            out: Outbox::with_capacity(64),
            client,
            client_heard: Vec::new(),
            carrier_heard: Vec::new(),
            newcomer_heard: Vec::new(),
            carrier_reports: Vec::new(),
            events: Vec::new(),
            outputs: Vec::new(),
        };
        world.drain();
        world
    }

    pub(crate) fn command(&mut self, command: &Command) -> Result<Reply, CommandError> {
        let reply = self.session.handle_command(self.now, command, &mut self.rng);
        self.drain();
        reply
    }

    /// Has the client's leg started anew; the offer for it.
    pub(crate) fn renew_client(&mut self) -> String {
        let command = Command::MakeOffer {
            session: session_id(),
            to: LegName::Client,
            direction: Direction::SendRecv,
            renew: true,
        };
        match self.command(&command) {
            Ok(Reply::Offered { offer }) => offer,
            other => panic!("no offer but {other:?}"),
        }
    }

    /// Readies a leg in the place of `leg`; gives the offer for the new party.
    pub(crate) fn prepare(&mut self, leg: LegName, ringback: bool) -> Result<String, CommandError> {
        let reply = self
            .session
            .prepare_replacement(self.now, leg, ringback, SPARE_PORT, &mut self.rng);
        self.drain();
        reply.map(|reply| match reply {
            Reply::Offered { offer } => offer,
            other => panic!("{other:?}"),
        })
    }

    /// The new party answers.
    pub(crate) fn replace(&mut self, leg: LegName, sdp: &str) -> Result<Reply, CommandError> {
        let reply = self.session.replace(self.now, leg, sdp, &mut self.out);
        self.drain();
        reply
    }

    pub(crate) fn carrier_answers(&mut self, sdp: &str) -> Option<String> {
        let command = Command::Answer {
            session: session_id(),
            from: LegName::Carrier,
            sdp: sdp.to_owned(),
            is_final: true,
        };
        match self.command(&command) {
            Ok(Reply::Answered { answer }) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// Gives the client our description.
    pub(crate) fn tell_client(&mut self, description: &str) {
        let credentials = IceCredentials {
            ufrag: sdp::value(description, "a=ice-ufrag:").to_owned(),
            pwd: sdp::value(description, "a=ice-pwd:").to_owned(),
        };
        self.client.set_remote(&credentials, gateway());
    }

    pub(crate) fn connect(&mut self) {
        for _ in 0..10_000 {
            if self.client.is_connected() && self.has(|event| matches!(event, Event::Connected { .. })) {
                return;
            }
            self.run_for(Duration::from_millis(1));
        }
        panic!("not connected: {:?}", self.events);
    }

    /// Lets time pass, a millisecond at a time.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now += Duration::from_millis(1);
            self.client.handle_timeout(self.now);
            if self.session.poll_timeout().is_some_and(|at| at <= self.now) {
                self.session.handle_timeout(self.now, &mut self.out);
            }
            self.drain();
        }
    }

    pub(crate) fn client_sends(&mut self, packet: &[u8]) {
        let (path, mut bytes) = self.client.send_rtp(packet).expect("connected");
        self.feed(
            LegName::Client,
            Lane::WebRtc { local: gateway() },
            path.local,
            &mut bytes,
        );
    }

    pub(crate) fn carrier_sends(&mut self, packet: &[u8]) {
        self.carrier_sends_from(carrier_address(), packet);
    }

    pub(crate) fn carrier_sends_from(&mut self, source: SocketAddr, packet: &[u8]) {
        self.feed(LegName::Carrier, Lane::Rtp, source, &mut packet.to_vec());
    }

    pub(crate) fn feed(&mut self, leg: LegName, lane: Lane, source: SocketAddr, bytes: &mut [u8]) {
        self.session
            .handle_datagram(self.now, leg, lane, source, bytes, &mut self.out);
        self.drain();
    }

    pub(crate) fn has(&self, event: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(event)
    }

    pub(crate) fn count(&self, event: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|e| event(e)).count()
    }

    fn drain(&mut self) {
        loop {
            self.deliver();
            while let Some((path, mut bytes)) = self.client.poll_transmit(self.now) {
                let lane = Lane::WebRtc { local: path.remote };
                self.session.handle_datagram(
                    self.now,
                    LegName::Client,
                    lane,
                    path.local,
                    &mut bytes,
                    &mut self.out,
                );
            }
            if self.out.entries().is_empty() {
                break;
            }
        }
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Event(event) => self.events.push(event),
                other => self.outputs.push(other),
            }
        }
    }

    fn deliver(&mut self) {
        let sent: Vec<_> = self
            .out
            .transmits()
            .map(|(t, bytes)| (*t, bytes.to_vec()))
            .collect();
        self.out.clear();
        for (transmit, mut bytes) in sent {
            match transmit.socket {
                WEBRTC => {
                    let path = Path {
                        local: client_address(),
                        remote: gateway(),
                    };
                    if let Some(packet) = self.client.handle_datagram(self.now, path, &mut bytes) {
                        self.client_heard.push(heard(self.now, &packet));
                    }
                }
                socket if socket == CARRIER_PORT.rtp => self.carrier_heard.push(heard(self.now, &bytes)),
                socket if socket == SPARE_PORT.rtp => self.newcomer_heard.push(heard(self.now, &bytes)),
                socket if socket == SPARE_PORT.rtcp => {}
                socket if socket == CARRIER_PORT.rtcp => self.carrier_reports.push(bytes),
                socket => panic!("{socket:?}"),
            }
        }
    }
}

fn heard(at: Instant, packet: &[u8]) -> Heard {
    let packet = RtpPacket::parse(packet).unwrap();
    Heard {
        at,
        fields: packet.fields(),
        payload: packet.payload().to_vec(),
    }
}

/// A sine as payloads of 20 ms.
pub(crate) fn tone(codec: AudioCodec, frequency_hz: f32, frames: usize) -> Vec<Vec<u8>> {
    let mut encoder = AudioEncoder::new(codec, &OpusEncoderConfig::default()).unwrap();
    let mut tone = Tone::sine(frequency_hz, -15.0);
    (0..frames)
        .map(|_| {
            let mut samples = [0; FRAME_SAMPLES];
            tone.fill(&mut samples);
            let mut payload = [0; PAYLOAD_LEN_MAX];
            let len = encoder.encode(&samples, &mut payload).unwrap();
            payload[..len].to_vec()
        })
        .collect()
}

/// The strongest frequency of what was heard, Hz.
pub(crate) fn frequency_of(codec: AudioCodec, heard: &[Heard]) -> f32 {
    let mut decoder = AudioDecoder::new(codec).unwrap();
    let mut all = Vec::new();
    for packet in heard {
        let mut samples = [0; 8 * FRAME_SAMPLES];
        let len = decoder.decode(&packet.payload, &mut samples).unwrap();
        all.extend_from_slice(&samples[..len]);
    }
    dominant_frequency(&all, 8_000).unwrap_or(0.0)
}

pub(crate) fn roomy(bytes: &[u8]) -> (Vec<u8>, usize) {
    let mut buffer = bytes.to_vec();
    buffer.resize(bytes.len() + GROWTH_MAX, 0);
    (buffer, bytes.len())
}

pub(crate) fn credentials(ufrag: &str, pwd: &str) -> IceCredentials {
    IceCredentials {
        ufrag: ufrag.into(),
        pwd: pwd.into(),
    }
}
