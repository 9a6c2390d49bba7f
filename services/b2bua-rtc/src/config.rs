//! Configuration of the gateway: the section `[b2bua_rtc]`.

mod sounds;

use offhook_media_control::Latching;
use offhook_process::Problem;
use serde::Deserialize;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

pub use sounds::{SoundChoice, SoundError, SoundsConfig};

/// Most workers; more cores than this share them.
pub const WORKERS_MAX: usize = 64;
/// Longest [`Config::wake_interval_us`]: the length of a packet of audio.
const WAKE_INTERVAL_MAX_US: u64 = 20_000;

/// The section `[b2bua_rtc]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// UDP address of all WebRTC legs. With an unspecified IP every address of this machine is used. Default
    /// `127.0.0.1:3478`.
    pub webrtc: SocketAddr,
    /// UDP address that answers STUN alone, for `iceServers` of browsers, which must not be the port of `webrtc`: browsers
    /// take no media from an address that they use as a STUN server. Default: none.
    pub stun: Option<SocketAddr>,
    /// Addresses that browsers and carriers reach this machine at, where they differ from the local ones (NAT, cloud).
    /// Default: none, the local ones are told.
    pub public_address: OneOrMany,
    /// Local IP address of the RTP ports. Default `127.0.0.1`.
    pub rtp_address: IpAddr,
    /// UDP ports of the RTP legs, `first-last`: two for each leg. Default `20000-29999`.
    pub rtp_ports: PortRange,
    /// Threads that carry media; 0: one per core. Default 0.
    pub workers: usize,
    /// How datagrams are moved. Default `auto`.
    pub io: IoChoice,
    /// A worker wakes at most once in so many microseconds and takes all that came meanwhile: most of the cost at
    /// everyday load is waking up. Adds half of it to the latency. Default 1000, at most 20000; 0: at once.
    pub wake_interval_us: u64,
    /// Most sessions of this gateway; further ones are refused as busy. Default 5000.
    pub sessions_max: usize,
    /// Which codec is told to a client that can do both its own best one and the carrier's. Default `relay`.
    pub prefer: Preference,
    /// Whose packets the RTP legs take: `off`, `same-address` or `any`; a carrier may have a rule of its own. Default
    /// `same-address`.
    pub latching: Latching,
    /// A carrier that was recognised by its packets may go on from another port of the same address. Default false.
    pub latch_port_changes: bool,
    /// What parties hear that wait.
    pub sounds: SoundsConfig,
    /// Opus encoder, where it has to transcode.
    pub opus: OpusConfig,
    /// Jitter buffer, where it has to transcode.
    pub jitter: JitterConfig,
    /// Control link for signalling in other processes.
    pub control: ControlConfig,
    /// UDP address of the `ng` protocol (loopback only: it has no authentication). Default: off.
    pub ng: Option<SocketAddr>,
    /// When things take too long.
    pub timeouts: TimeoutConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            webrtc: (Ipv4Addr::LOCALHOST, 3478).into(),
            public_address: OneOrMany::default(),
            rtp_address: Ipv4Addr::LOCALHOST.into(),
            rtp_ports: PortRange::default(),
            workers: 0,
            io: IoChoice::default(),
            wake_interval_us: 1000,
            sessions_max: 5000,
            prefer: Preference::default(),
            latching: Latching::SameAddress,
            latch_port_changes: false,
            sounds: SoundsConfig::default(),
            opus: OpusConfig::default(),
            jitter: JitterConfig::default(),
            control: ControlConfig::default(),
            ng: None,
            stun: None,
            timeouts: TimeoutConfig::default(),
        }
    }
}

/// One address, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "OneOrManyForm")]
pub struct OneOrMany(pub Vec<IpAddr>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "an IP address, or a list of them")]
enum OneOrManyForm {
    One(IpAddr),
    Many(Vec<IpAddr>),
}

impl From<OneOrManyForm> for OneOrMany {
    fn from(form: OneOrManyForm) -> Self {
        match form {
            OneOrManyForm::One(address) => Self(vec![address]),
            OneOrManyForm::Many(addresses) => Self(addresses),
        }
    }
}

/// UDP ports from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PortRange {
    /// Lowest port.
    pub first: u16,
    /// Highest port.
    pub last: u16,
}

/// Why a text is not a [`PortRange`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ports are written as first-last, for example 20000-29999, first above 0 and not above last")]
pub struct InvalidPortRange;

impl Default for PortRange {
    fn default() -> Self {
        Self {
            first: 20_000,
            last: 29_999,
        }
    }
}

impl PortRange {
    /// How many pairs of an even port and the odd one above it the range holds.
    pub fn pairs(&self) -> usize {
        let first_even = u32::from(self.first).next_multiple_of(2);
        (u32::from(self.last) + 1).saturating_sub(first_even) as usize / 2
    }
}

impl TryFrom<String> for PortRange {
    type Error = InvalidPortRange;
    fn try_from(text: String) -> Result<Self, InvalidPortRange> {
        let (first, last) = text.split_once('-').ok_or(InvalidPortRange)?;
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| InvalidPortRange);
        let (first, last) = (port(first)?, port(last)?);
        if first == 0 || first > last {
            return Err(InvalidPortRange);
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// How datagrams are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IoChoice {
    /// What has measured best: `epoll`. (With a port per leg and one wake-up a millisecond, `io_uring` took 3 to 15 %
    /// more processor time at 200 calls.)
    #[default]
    Auto,
    /// `epoll` with batched receiving and sending.
    Epoll,
    /// `io_uring`, or `epoll` with a warning where the kernel forbids it.
    IoUring,
}

/// Which codec the client is told first when it can do several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preference {
    /// The carrier's, if the client has it: packets are passed on, nothing is decoded.
    #[default]
    Relay,
    /// Opus, whatever the carrier has: better over a lossy access network, costs a transcode.
    Opus,
}

/// Opus encoder of transcoded calls.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpusConfig {
    /// 0 (cheapest) to 10. Default 1; what it costs and what it loses stands in decision 18.
    pub complexity: u8,
    /// Bits per second; a lower limit in the client's SDP wins. Default 28000, where
    /// there is room for error correction too.
    pub bitrate: u32,
}

impl Default for OpusConfig {
    fn default() -> Self {
        Self {
            complexity: 1,
            bitrate: 28_000,
        }
    }
}

/// Jitter buffer of transcoded calls.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JitterConfig {
    /// Least delay, and margin above the measured jitter, milliseconds. Default 2.
    pub min_ms: u16,
    /// Most delay, milliseconds; what comes later is concealed. Default 200.
    pub max_ms: u16,
}

impl Default for JitterConfig {
    fn default() -> Self {
        Self {
            min_ms: 2,
            max_ms: 200,
        }
    }
}

/// Control link for signalling in other processes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlConfig {
    /// Address of the WebSocket (`ws://…/control`); loopback only. Default: off.
    pub listen: Option<SocketAddr>,
    /// How long the sessions of a lost link are kept, seconds. Default 60.
    pub grace_s: u64,
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self {
            listen: None,
            grace_s: 60,
        }
    }
}

/// When things take too long.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutConfig {
    /// No ICE pair for so long after the client's SDP is known ends the session, seconds. Default 30.
    pub ice_s: u64,
    /// A leg that should send and is silent for so long is reported, seconds. Default 5.
    pub media_stopped_s: u64,
    /// No packet on any leg for so long ends the session, seconds; one that nobody has answered, an hour later. Default
    /// 300.
    pub media_s: u64,
    /// How often quality is reported, seconds; 0: never. Default 10.
    pub quality_s: u64,
    /// How often RTCP reports are sent, seconds. Default 5.
    pub rtcp_s: u64,
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self {
            ice_s: 30,
            media_stopped_s: 5,
            media_s: 300,
            quality_s: 10,
            rtcp_s: 5,
        }
    }
}

impl Config {
    /// What is wrong with it, and how to mend it. Paths are relative to the section.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.rtp_ports.pairs() < 1 {
            problems.push(Problem::error(
                "rtp_ports",
                format!("{} holds no even port with the odd one above it", self.rtp_ports),
                "Give at least two ports per call, for example 20000-29999",
            ));
        } else if self.rtp_ports.pairs() < self.sessions_max {
            problems.push(Problem::warning(
                "rtp_ports",
                format!(
                    "{} ports carry {} calls, but sessions_max is {}",
                    self.rtp_ports,
                    self.rtp_ports.pairs(),
                    self.sessions_max
                ),
                "Widen rtp_ports or lower sessions_max",
            ));
        }
        if (self.rtp_ports.first..=self.rtp_ports.last).contains(&self.webrtc.port()) {
            problems.push(Problem::error(
                "webrtc",
                format!("port {} is one of rtp_ports", self.webrtc.port()),
                "Take it out of the range",
            ));
        }
        if self.rtp_address.is_unspecified() && self.public_address.0.is_empty() {
            problems.push(Problem::error(
                "rtp_address",
                "an unspecified address cannot be told to a carrier",
                "Name the local address, or set public_address",
            ));
        }
        if self.workers > WORKERS_MAX {
            problems.push(Problem::error(
                "workers",
                format!("{} is more than {WORKERS_MAX}", self.workers),
                "Use 0 for one per core",
            ));
        }
        if self.wake_interval_us > WAKE_INTERVAL_MAX_US {
            problems.push(Problem::error(
                "wake_interval_us",
                format!("{} µs would be heard as delay and gaps", self.wake_interval_us),
                "Give at most 20000; 1000 is as good and hardly costs more",
            ));
        }
        if self.sessions_max == 0 {
            problems.push(Problem::error(
                "sessions_max",
                "no session would be taken",
                "Give at least 1",
            ));
        }
        problems.extend(self.sounds.check());
        problems.extend(self.check_audio());
        problems.extend(self.check_control());
        problems
    }

    fn check_audio(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.opus.complexity > 10 {
            problems.push(Problem::error(
                "opus.complexity",
                "Opus knows 0 to 10",
                "1 suits calls; what more would cost stands in decision 18",
            ));
        }
        if !(6_000..=128_000).contains(&self.opus.bitrate) {
            problems.push(Problem::error(
                "opus.bitrate",
                format!("{} bit/s is not sensible for speech", self.opus.bitrate),
                "Give 6000 to 128000",
            ));
        }
        if self.jitter.min_ms > self.jitter.max_ms || self.jitter.max_ms > 1000 {
            problems.push(Problem::error(
                "jitter",
                format!(
                    "{} to {} ms is no range up to 1000",
                    self.jitter.min_ms, self.jitter.max_ms
                ),
                "0 to 200 suits most networks",
            ));
        }
        problems
    }

    fn check_control(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (path, address) in [("control.listen", self.control.listen), ("ng", self.ng)] {
            if let Some(address) = address
                && !address.ip().is_loopback()
            {
                problems.push(Problem::error(
                    path,
                    format!("{address} can be reached from outside, and this link has no authentication"),
                    "Listen on a loopback address, and tunnel what comes from other hosts",
                ));
            }
        }
        let timeouts = &self.timeouts;
        if [
            timeouts.ice_s,
            timeouts.media_stopped_s,
            timeouts.media_s,
            timeouts.rtcp_s,
        ]
        .contains(&0)
        {
            problems.push(Problem::error(
                "timeouts",
                "ice_s, media_stopped_s, media_s and rtcp_s cannot be 0",
                "Leave them out for the defaults",
            ));
        }
        problems
    }

    /// Number of worker threads.
    pub(crate) fn worker_count(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let wanted = if self.workers == 0 { cores } else { self.workers };
        // A worker without a pair of ports would be of no use.
        wanted.clamp(1, WORKERS_MAX).min(self.rtp_ports.pairs().max(1))
    }

    /// [`Config::wake_interval_us`] as a duration.
    pub(crate) fn wake_interval(&self) -> Duration {
        Duration::from_micros(self.wake_interval_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn defaults_are_sound() {
        assert_eq!(Config::default().check(), []);
        assert_eq!(read("{}").unwrap(), Config::default());
    }

    #[test]
    fn keys_are_read_and_unknown_ones_refused() {
        let config = read(
            r#"{"webrtc": "0.0.0.0:3478", "public_address": "203.0.113.9", "rtp_ports": "30000-30003", "io": "epoll",
                "control": {"listen": "127.0.0.1:8090"}, "ng": "127.0.0.1:2223", "prefer": "opus", "sessions_max": 2}"#,
        )
        .unwrap();
        assert_eq!(config.rtp_ports.pairs(), 2);
        assert_eq!(
            config.public_address.0,
            ["203.0.113.9".parse::<IpAddr>().unwrap()]
        );
        assert_eq!(config.check(), []);
        assert!(read(r#"{"rtp_port": "1-2"}"#).is_err());
        assert!(read(r#"{"rtp_ports": "9-2"}"#).is_err());
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let config = read(
            r#"{"webrtc": "127.0.0.1:20000", "ng": "0.0.0.0:2223", "rtp_address": "0.0.0.0", "sessions_max": 0,
                "opus": {"complexity": 11}, "workers": 65, "wake_interval_us": 1000000,
                "timeouts": {"media_stopped_s": 0}}"#,
        )
        .unwrap();
        let paths: Vec<String> = config.check().into_iter().map(|p| p.path).collect();
        assert_eq!(
            paths,
            [
                "webrtc",
                "rtp_address",
                "workers",
                "wake_interval_us",
                "sessions_max",
                "opus.complexity",
                "ng",
                "timeouts"
            ]
        );
    }

    #[test]
    fn pairs_begin_at_even_ports() {
        for (text, pairs) in [
            ("20000-20001", 1),
            ("20001-20002", 0),
            ("20001-20003", 1),
            ("65534-65535", 1),
        ] {
            assert_eq!(
                PortRange::try_from(text.to_owned()).unwrap().pairs(),
                pairs,
                "{text}"
            );
        }
    }
}
