//! A plain RTP leg: where its packets go and whose packets are taken.
//!
//! ```text
//!   description ─► Open ──packet of the peer──► Latched ──description with another address──► Open
//!                   │                              └── other port of the same IP, old one silent, if allowed ─► Latched
//!                   └── LATCH_WINDOW over (Latching::Any only) ──► only the address of the description
//! ```
//!
//! Who counts as the peer is said by [`Latching`]. The first packet has to be of a negotiated payload type; from an address
//! that the description doesn't name, two in a row of one stream are asked for (RFC 3550 §A.1). The address of the
//! description wins over a guess for as long as the window is open. Everyone else is a stranger.

use crate::early_packets::{EarlyPacket, EarlyPackets};
use crate::params::{LatchingParams, RtpPort};
use offhook_media_control::Latching;
use offhook_offer_answer::{RtpLegNegotiation, RtpRemote};
use offhook_rtp::{RtpFields, RtpPacket};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long after a description any address may become the peer's: media follows it within a second or two, and whoever
/// sprays packets over all ports has little time to hit.
pub(crate) const LATCH_WINDOW: Duration = Duration::from_secs(10);
/// The latched port has to be silent for so long before another one of the same address may take over.
const PORT_SILENCE: Duration = Duration::from_millis(500);

/// Transport and negotiation of an RTP leg.
#[derive(Debug)]
pub(crate) struct RtpSide {
    pub(crate) negotiation: RtpLegNegotiation,
    pub(crate) port: RtpPort,
    latching: Latching,
    port_changes: bool,
    latched: Option<Latched>,
    /// Where reports of a latched peer come from.
    reports_from: Option<SocketAddr>,
    window_until: Option<Instant>,
    probation: Option<Probation>,
    /// What came before the peer was described.
    early: EarlyPackets,
    /// When that is to be looked at again.
    early_due: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Latched {
    source: SocketAddr,
    /// When its newest packet came.
    at: Instant,
}

/// A source that has sent one packet and has to send the next one of its stream.
#[derive(Debug, Clone, Copy)]
struct Probation {
    source: SocketAddr,
    first: RtpFields,
}

/// Whose packet it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The peer's.
    Peer,
    /// The peer's, which from now on sends from this address.
    Latched,
    /// Perhaps the peer's: the next one will tell.
    Probation,
    /// Somebody else's.
    Stranger,
    /// Nobody is described yet: it is kept until then.
    Early,
    /// The same, and an older one is lost for it.
    EarlyOverflow,
}

impl RtpSide {
    pub(crate) fn new(negotiation: RtpLegNegotiation, port: RtpPort, params: &LatchingParams) -> Self {
        Self {
            negotiation,
            port,
            latching: params.latching,
            port_changes: params.port_changes,
            latched: None,
            reports_from: None,
            window_until: None,
            probation: None,
            early: EarlyPackets::default(),
            early_due: None,
        }
    }

    /// Other rules than the gateway's. They count from here on.
    pub(crate) fn set_latching(&mut self, now: Instant, latching: Latching) {
        self.latching = latching;
        if self.latched.is_none() {
            self.open_window(now);
        }
    }

    /// The peer was described, anew if `moved`: then whoever was latched is forgotten.
    pub(crate) fn described(&mut self, now: Instant, moved: bool) {
        if moved {
            self.latched = None;
            self.reports_from = None;
        }
        if self.latched.is_none() {
            self.open_window(now);
        }
        if !self.early.is_empty() {
            self.early_due = Some(now);
        }
    }

    /// When to ask for [`Self::next_early`].
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.early_due
    }

    /// The next of the packets that came before the peer was described: to be taken as if it came now.
    pub(crate) fn next_early(&mut self, now: Instant) -> Option<EarlyPacket> {
        self.early_due?;
        let packet = self.early.next(now);
        if packet.is_none() {
            self.early_due = None;
        }
        packet
    }

    fn open_window(&mut self, now: Instant) {
        self.window_until = Some(now + LATCH_WINDOW);
        self.probation = None;
    }

    /// Whose RTP this is.
    #[inline]
    pub(crate) fn admit_rtp(&mut self, now: Instant, source: SocketAddr, data: &[u8]) -> Admission {
        if let Some(latched) = &mut self.latched
            && latched.source == source
        {
            latched.at = now;
            return Admission::Peer;
        }
        self.admit_other(now, source, data)
    }

    fn admit_other(&mut self, now: Instant, source: SocketAddr, data: &[u8]) -> Admission {
        let packet = RtpPacket::parse(data).ok();
        let Some(remote) = self.negotiation.remote() else {
            return match packet.map(|_| self.early.keep(now, source, data)) {
                Some(true) => Admission::Early,
                Some(false) => Admission::EarlyOverflow,
                None => Admission::Stranger,
            };
        };
        let Some(signalled) = remote.rtp else {
            return Admission::Stranger;
        };
        let Some(packet) = packet.filter(|packet| is_negotiated(remote, packet.fields().payload_type)) else {
            // The peer may send what we cannot use, and is told so; it decides nothing.
            let known = self.latched.is_none() && source.ip() == signalled.ip();
            return if known {
                Admission::Peer
            } else {
                Admission::Stranger
            };
        };
        let in_window = self.window_until.is_some_and(|until| now < until);
        match self.latched {
            _ if source == signalled && (self.latched.is_none() || in_window) => self.latch(now, source),
            None => match self.latching {
                Latching::SameAddress if source.ip() == signalled.ip() => self.latch(now, source),
                Latching::Any if in_window => self.probe(now, source, packet.fields()),
                Latching::Off | Latching::SameAddress | Latching::Any => Admission::Stranger,
            },
            Some(latched) => {
                let moves = self.port_changes
                    && self.latching != Latching::Off
                    && latched.source.ip() == source.ip()
                    && latched.at + PORT_SILENCE <= now;
                match moves {
                    true => self.probe(now, source, packet.fields()),
                    false => Admission::Stranger,
                }
            }
        }
    }

    fn probe(&mut self, now: Instant, source: SocketAddr, fields: RtpFields) -> Admission {
        let follows = self.probation.is_some_and(|probation| {
            probation.source == source
                && probation.first.ssrc == fields.ssrc
                && probation.first.sequence.wrapping_add(1) == fields.sequence
        });
        if follows {
            return self.latch(now, source);
        }
        self.probation = Some(Probation {
            source,
            first: fields,
        });
        Admission::Probation
    }

    fn latch(&mut self, now: Instant, source: SocketAddr) -> Admission {
        self.probation = None;
        self.latched = Some(Latched { source, at: now });
        Admission::Latched
    }

    /// True if RTCP from `source` is the peer's; that decides at most where reports go.
    pub(crate) fn takes_rtcp(&mut self, source: SocketAddr) -> bool {
        if let Some(latched) = self.latched
            && latched.source.ip() == source.ip()
        {
            self.reports_from = Some(source);
            return true;
        }
        let Some(remote) = self.negotiation.remote() else {
            return false;
        };
        [remote.rtp, remote.rtcp]
            .iter()
            .flatten()
            .any(|signalled| signalled.ip() == source.ip())
    }

    /// True if the peer's packets come from elsewhere than its description says.
    pub(crate) fn is_elsewhere(&self) -> bool {
        let signalled = self.negotiation.remote().and_then(|remote| remote.rtp);
        self.latched
            .is_some_and(|latched| Some(latched.source) != signalled)
    }

    /// Where RTP goes; `None` before the peer's description and while it has no address (old-style hold).
    pub(crate) fn rtp_destination(&self) -> Option<SocketAddr> {
        let signalled = self.negotiation.remote()?.rtp?;
        Some(self.latched.map_or(signalled, |latched| latched.source))
    }

    /// Where RTCP goes.
    pub(crate) fn rtcp_destination(&self) -> Option<SocketAddr> {
        let remote = self.negotiation.remote()?;
        if remote.rtcp_mux {
            return self.rtp_destination();
        }
        let signalled = remote.rtcp?;
        match self.latched {
            // Behind NAT: what the description says is of no use.
            Some(latched) if latched.source.ip() != signalled.ip() => self.reports_from.or_else(|| {
                let port = latched.source.port().checked_add(1)?;
                Some(SocketAddr::new(latched.source.ip(), port))
            }),
            _ => Some(signalled),
        }
    }
}

/// True if the peer may send this payload type.
fn is_negotiated(remote: &RtpRemote, payload_type: u8) -> bool {
    let codec = remote
        .codecs
        .iter()
        .any(|codec| codec.receive_payload_type == payload_type || codec.payload_type == payload_type);
    codec || remote.telephone_events.clock_rate_hz(payload_type).is_some()
}
