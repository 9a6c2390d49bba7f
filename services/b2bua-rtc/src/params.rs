//! What a session is made with: the node's settings, the ports it was given, what the opener asks for.

use crate::outbox::SocketToken;
use crate::tones::Tones;
use offhook_call_trace::CallId;
use offhook_media_control::{Latching, LegName, MediaSessionId};
use offhook_offer_answer::{Codec, Prefer};
use offhook_rtp::NtpTime;
use offhook_webrtc::LegConfig;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What all sessions of one worker share.
#[derive(Debug, Clone)]
pub struct SessionParams {
    /// Certificate and timeouts of WebRTC legs.
    pub webrtc: LegConfig,
    /// Addresses for browsers (host candidates), the preferred one first. Not empty where WebRTC legs are to be made.
    pub candidates: Vec<SocketAddr>,
    /// The worker's WebRTC sockets by their local address.
    pub webrtc_sockets: Vec<(SocketAddr, SocketToken)>,
    /// IP address of the RTP ports, as carriers reach it.
    pub rtp_address: IpAddr,
    /// Which codec a leg is told first that can do several.
    pub prefer: Prefer,
    /// Whose packets plain RTP legs take.
    pub latching: LatchingParams,
    /// How audio is decoded and encoded.
    pub audio: AudioParams,
    /// When things take too long.
    pub timeouts: Timeouts,
    /// What wall time an instant stands for, for RTCP.
    pub clock: WallClock,
    /// Ready-made frames.
    pub tones: Arc<Tones>,
}

/// Whose packets plain RTP legs take, where signalling says nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatchingParams {
    /// The rule.
    pub latching: Latching,
    /// A latched peer may go on from another port of the same IP address when the first one has fallen silent.
    pub port_changes: bool,
}

/// How audio is decoded and encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioParams {
    /// Opus encoder complexity, 0 to 10.
    pub opus_complexity: u8,
    /// Opus bit rate, bit/s.
    pub opus_bitrate_bps: u32,
    /// Least delay of the jitter buffer.
    pub jitter_min: Duration,
    /// Most delay of the jitter buffer.
    pub jitter_max: Duration,
}

/// When things take too long, or are due again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// A leg that is silent for so long is reported.
    pub media_stopped: Duration,
    /// No packet on any leg for so long ends the session.
    pub media: Duration,
    /// Interval of quality events; `None`: none.
    pub quality: Option<Duration>,
    /// Mean interval of RTCP reports.
    pub rtcp: Duration,
}

/// Wall time of an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    /// An instant …
    pub at: Instant,
    /// … and the time since the Unix epoch that it stands for.
    pub unix: Duration,
}

impl WallClock {
    /// The NTP time of `now`.
    pub fn ntp(&self, now: Instant) -> NtpTime {
        NtpTime::from_unix(self.unix + now.saturating_duration_since(self.at))
    }
}

/// What a leg speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LegKind {
    /// ICE, DTLS-SRTP, RTCP on the same port.
    WebRtc,
    /// Plain RTP, RTCP on the port above.
    Rtp,
}

/// The ports that a leg of kind [`LegKind::Rtp`] was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpPort {
    /// The even port; RTCP has the one above it.
    pub port: u16,
    /// Socket on `port`.
    pub rtp: SocketToken,
    /// Socket on the port above it.
    pub rtcp: SocketToken,
}

/// What opens a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRequest {
    /// Its name.
    pub session: MediaSessionId,
    /// For logs and the trace.
    pub call_id: CallId,
    /// The leg that `sdp` comes from.
    pub from: LegName,
    /// Its offer; none if it wants ours.
    pub sdp: Option<String>,
    /// Answer it at once.
    pub early_answer: bool,
    /// What the client leg speaks.
    pub client: LegKind,
    /// What the carrier leg speaks.
    pub carrier: LegKind,
    /// Codecs to offer to the other leg, most preferred first; `None`: what suits the offer.
    pub codecs: Option<Vec<Codec>>,
    /// Keep audio flowing to each leg (comfort noise) while the other one is silent.
    pub comfort: bool,
}

impl OpenRequest {
    /// What the leg speaks.
    pub fn kind(&self, leg: LegName) -> LegKind {
        match leg {
            LegName::Client => self.client,
            LegName::Carrier => self.carrier,
        }
    }
}
