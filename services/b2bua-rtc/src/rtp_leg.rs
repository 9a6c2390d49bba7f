//! A plain RTP leg: where its packets go and whose packets are taken.
//!
//! Packets are taken from the address that the peer's SDP names. A peer behind symmetric NAT sends from another port:
//! the first such source *of the same IP address* is latched, and packets go back to it. Everyone else is a stranger.

use crate::params::RtpPort;
use offhook_offer_answer::RtpLegNegotiation;
use std::net::SocketAddr;

/// Transport and negotiation of an RTP leg.
#[derive(Debug)]
pub(crate) struct RtpSide {
    pub(crate) negotiation: RtpLegNegotiation,
    pub(crate) port: RtpPort,
    latched: Option<SocketAddr>,
}

impl RtpSide {
    pub(crate) fn new(negotiation: RtpLegNegotiation, port: RtpPort) -> Self {
        Self {
            negotiation,
            port,
            latched: None,
        }
    }

    /// Forgets the latched source: a new description names another address.
    pub(crate) fn unlatch(&mut self) {
        self.latched = None;
    }

    /// True if RTP from `source` is the peer's.
    pub(crate) fn takes_rtp(&mut self, source: SocketAddr) -> bool {
        if self.latched == Some(source) {
            return true;
        }
        let Some(signalled) = self.negotiation.remote().and_then(|remote| remote.rtp) else {
            return false;
        };
        let taken = source == signalled || (self.latched.is_none() && source.ip() == signalled.ip());
        if taken {
            self.latched = Some(source);
        }
        taken
    }

    /// True if RTCP from `source` is the peer's; it does not decide where anything is sent, so the port may differ.
    pub(crate) fn takes_rtcp(&self, source: SocketAddr) -> bool {
        let Some(remote) = self.negotiation.remote() else {
            return false;
        };
        [remote.rtp, remote.rtcp]
            .iter()
            .flatten()
            .any(|signalled| signalled.ip() == source.ip())
    }

    /// Where RTP goes; `None` before the peer's description and while it has no address (old-style hold).
    pub(crate) fn rtp_destination(&self) -> Option<SocketAddr> {
        let signalled = self.negotiation.remote()?.rtp?;
        Some(self.latched.unwrap_or(signalled))
    }

    /// Where RTCP goes.
    pub(crate) fn rtcp_destination(&self) -> Option<SocketAddr> {
        let remote = self.negotiation.remote()?;
        if remote.rtcp_mux {
            return self.rtp_destination();
        }
        remote.rtcp
    }
}
