//! A leg and a browser-like peer on a virtual network with loss, doubling, delay and reordering.
#![expect(clippy::unwrap_used, reason = "a failure here fails the test that uses it")]
#![expect(dead_code, reason = "each test file uses its part")]

pub(crate) mod client;

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use offhook_rtp::{PacketClass, RtpFields, Ssrc, classify};
use offhook_webrtc::ice::IceCredentials;
use offhook_webrtc::srtp::GROWTH_MAX;
use offhook_webrtc::{
    Certificate, DtlsRole, LegConfig, LegEvent, Path, Received, RemoteParameters, Transmit, WebRtcLeg,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use client::{Client, Version};

pub(crate) static CERTIFICATE: LazyLock<Certificate> = LazyLock::new(|| Certificate::generate().unwrap());

/// How long a step of [`World::run`] may be: timers finer than this are not simulated.
const GRAIN: Duration = Duration::from_millis(1);
pub(crate) const MEDIA_SSRC: u32 = 0xcafe;

pub(crate) fn leg_address() -> SocketAddr {
    "198.51.100.1:3478".parse().unwrap()
}

pub(crate) fn client_address(index: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, index + 1], 40_000 + u16::from(index)))
}

/// Some fixed instant: only differences matter.
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant cannot be made otherwise; it is read once and is only an origin"
)]
fn origin() -> Instant {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    *ORIGIN
}

/// What the network does to each datagram, in percent and milliseconds.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) loss_percent: u32,
    pub(crate) duplicate_percent: u32,
    pub(crate) delay_ms: std::ops::Range<u64>,
}

pub(crate) const PERFECT: Network = Network {
    loss_percent: 0,
    duplicate_percent: 0,
    delay_ms: 10..11,
};
pub(crate) const BAD: Network = Network {
    loss_percent: 15,
    duplicate_percent: 10,
    delay_ms: 5..60,
};

#[derive(Debug, Clone)]
struct InFlight {
    at: Instant,
    to_leg: bool,
    /// As the receiver sees it.
    path: Path,
    bytes: Vec<u8>,
}

/// Decides about a datagram before the network does: true drops it. Arguments: to the leg?, the bytes.
pub(crate) type Filter = Box<dyn FnMut(bool, &[u8]) -> bool>;

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) network: Network,
    pub(crate) rng: StdRng,
    pub(crate) leg: WebRtcLeg,
    pub(crate) client: Client,
    pub(crate) filter: Option<Filter>,
    pub(crate) events: Vec<LegEvent>,
    /// RTP and RTCP that came out of the leg.
    pub(crate) leg_media: Vec<Vec<u8>>,
    /// RTP that came out of the client.
    pub(crate) client_media: Vec<Vec<u8>>,
    in_flight: Vec<InFlight>,
    sequence: u16,
}

pub(crate) fn config() -> LegConfig {
    LegConfig::new(CERTIFICATE.clone())
}

impl World {
    /// Both ends exist and know each other's parameters; nothing was sent yet.
    pub(crate) fn new(seed: u64, network: Network, version: Version, leg_role: DtlsRole) -> Self {
        let mut world = Self::strangers(seed, network, version, leg_role);
        world.tell_client();
        world.tell_leg(leg_role);
        world
    }

    /// Neither knows the other's parameters yet.
    pub(crate) fn strangers(seed: u64, network: Network, version: Version, leg_role: DtlsRole) -> Self {
        let now = origin();
        let mut rng = StdRng::seed_from_u64(seed);
        let leg = WebRtcLeg::new(&config(), &mut rng);
        let client = Client::new(now, version, leg_role == DtlsRole::Passive, client_address(0));
        Self {
            now,
            network,
            rng,
            leg,
            client,
            filter: None,
            events: Vec::new(),
            leg_media: Vec::new(),
            client_media: Vec::new(),
            in_flight: Vec::new(),
            sequence: 100,
        }
    }

    /// What the leg's SDP tells the client.
    pub(crate) fn tell_client(&mut self) {
        self.client
            .set_remote(self.leg.local_credentials(), leg_address());
    }

    /// What the client's SDP tells the leg.
    pub(crate) fn tell_leg(&mut self, dtls_role: DtlsRole) {
        let remote = RemoteParameters {
            ice: self.client.credentials(),
            fingerprints: vec![self.client.fingerprint()],
            dtls_role,
        };
        self.leg.set_remote(self.now, remote);
        self.drain();
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.leg.is_connected() && self.client.is_connected()
    }

    /// Lets time pass until `done` or for `limit`; tells whether it was done.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !done(self) {
            let next = self.next_event().max(self.now + GRAIN);
            if next > end {
                self.now = end;
                return false;
            }
            self.now = next;
            self.step();
        }
        true
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        self.run_until(duration, |_| false);
    }

    /// Connects within ten seconds, or fails the test.
    pub(crate) fn connect(&mut self) {
        let connected = self.run_until(Duration::from_secs(10), Self::is_connected);
        assert!(connected, "{:?} {:?}", self.events, self.leg);
    }

    /// Sends one RTP packet each way every 20 ms; returns how many the leg and the client have got.
    pub(crate) fn exchange_media(&mut self, packets: usize) -> (usize, usize) {
        let before = (self.leg_media.len(), self.client_media.len());
        for _ in 0..packets {
            self.sequence = self.sequence.wrapping_add(1);
            let packet = rtp(self.sequence);
            if let Some((path, bytes)) = self.client.send_rtp(&packet) {
                self.send(true, path, bytes);
            }
            let (mut buffer, len) = roomy(&packet);
            if let Ok(sending) = self.leg.send_rtp(&mut buffer, len) {
                self.send(false, sending.path, buffer[..sending.len].to_vec());
            }
            self.run_for(Duration::from_millis(20));
        }
        self.run_for(Duration::from_millis(200));
        (
            self.leg_media.len() - before.0,
            self.client_media.len() - before.1,
        )
    }

    /// Gives a datagram straight to the leg.
    pub(crate) fn deliver(&mut self, remote: SocketAddr, bytes: &[u8]) -> Received {
        let path = Path {
            local: leg_address(),
            remote,
        };
        let mut bytes = bytes.to_vec();
        let received = self.leg.handle_datagram(self.now, path, &mut bytes);
        if let Received::Rtp { len } | Received::Rtcp { len } = received {
            bytes.truncate(len);
            self.leg_media.push(bytes);
        }
        self.drain();
        received
    }

    /// Takes what both ends have to send and to say.
    pub(crate) fn drain(&mut self) {
        while let Some(Transmit { path, bytes }) = self.leg.poll_transmit() {
            self.send(false, path, bytes);
        }
        while let Some((path, bytes)) = self.client.poll_transmit(self.now) {
            self.send(true, path, bytes);
        }
        self.events.extend(std::iter::from_fn(|| self.leg.poll_event()));
    }

    /// Puts a datagram on the wire; `path` is the sender's.
    fn send(&mut self, to_leg: bool, path: Path, bytes: Vec<u8>) {
        if self.filter.as_mut().is_some_and(|filter| filter(to_leg, &bytes)) {
            return;
        }
        let is_lost = self.rng.random_ratio(self.network.loss_percent, 100);
        let is_doubled = self.rng.random_ratio(self.network.duplicate_percent, 100);
        let copies = usize::from(!is_lost) + usize::from(is_doubled);
        for _ in 0..copies {
            let delay = Duration::from_millis(self.rng.random_range(self.network.delay_ms.clone()));
            let path = Path {
                local: path.remote,
                remote: path.local,
            };
            self.in_flight.push(InFlight {
                at: self.now + delay,
                to_leg,
                path,
                bytes: bytes.clone(),
            });
        }
    }

    fn next_event(&self) -> Instant {
        let arrivals = self.in_flight.iter().map(|datagram| datagram.at);
        let timers = [self.leg.poll_timeout(), self.client.poll_timeout()]
            .into_iter()
            .flatten();
        arrivals
            .chain(timers)
            .min()
            .unwrap_or(self.now + Duration::from_secs(3_600))
    }

    fn step(&mut self) {
        let now = self.now;
        let (mut due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.in_flight)
            .into_iter()
            .partition(|datagram| datagram.at <= now);
        self.in_flight = later;
        due.sort_by_key(|datagram| datagram.at);
        for mut datagram in due {
            if datagram.to_leg {
                if datagram.path.local == leg_address() {
                    self.deliver(datagram.path.remote, &datagram.bytes);
                }
            } else if let Some(media) = self
                .client
                .handle_datagram(now, datagram.path, &mut datagram.bytes)
            {
                self.client_media.push(media);
            }
        }
        if self.leg.poll_timeout().is_some_and(|due| due <= now) {
            self.leg.handle_timeout(now);
        }
        self.client.handle_timeout(now);
        self.drain();
    }

    pub(crate) fn has(&self, event: impl Fn(&LegEvent) -> bool) -> bool {
        self.events.iter().any(event)
    }
}

pub(crate) fn rtp(sequence: u16) -> Vec<u8> {
    let fields = RtpFields {
        marker: false,
        payload_type: 111,
        sequence,
        timestamp: u32::from(sequence) * 960,
        ssrc: Ssrc(MEDIA_SSRC),
    };
    [&fields.to_header()[..], &[0x55; 80]].concat()
}

pub(crate) fn roomy(bytes: &[u8]) -> (Vec<u8>, usize) {
    let mut buffer = bytes.to_vec();
    buffer.resize(bytes.len() + GROWTH_MAX, 0);
    (buffer, bytes.len())
}

pub(crate) fn is_dtls(bytes: &[u8]) -> bool {
    classify(bytes) == PacketClass::Dtls
}

pub(crate) fn credentials(ufrag: &str, pwd: &str) -> IceCredentials {
    IceCredentials {
        ufrag: ufrag.into(),
        pwd: pwd.into(),
    }
}
