//! A WebRTC leg: `offhook-webrtc`'s transport joined to its offer/answer state and to our sockets.

use crate::outbox::{Outbox, SocketToken};
use offhook_offer_answer::{self as offer_answer, WebRtcLegNegotiation};
use offhook_webrtc::ice::IceCredentials;
use offhook_webrtc::{DtlsRole, Fingerprint, LegEvent, RemoteParameters, WebRtcLeg};
use std::net::SocketAddr;
use std::time::Instant;

/// Transport and negotiation of a WebRTC leg.
#[derive(Debug)]
pub(crate) struct WebRtcSide {
    pub(crate) negotiation: WebRtcLegNegotiation,
    pub(crate) leg: WebRtcLeg,
    /// True once media could flow.
    pub(crate) connected: bool,
    /// Since when the peer is gone, as far as ICE and DTLS know. It may come back.
    pub(crate) lost_since: Option<Instant>,
    sockets: Vec<(SocketAddr, SocketToken)>,
}

impl WebRtcSide {
    pub(crate) fn new(
        negotiation: WebRtcLegNegotiation,
        leg: WebRtcLeg,
        sockets: Vec<(SocketAddr, SocketToken)>,
    ) -> Self {
        Self {
            negotiation,
            leg,
            connected: false,
            lost_since: None,
            sockets,
        }
    }

    /// Hands the peer's latest description to ICE and DTLS. True if the keys of before are of no use any longer.
    pub(crate) fn apply_remote(&mut self, now: Instant) -> bool {
        let Some(remote) = self.negotiation.remote() else {
            return false;
        };
        let parameters = RemoteParameters {
            ice: IceCredentials {
                ufrag: remote.ice.ufrag.clone(),
                pwd: remote.ice.pwd.clone(),
            },
            // Those of unknown hashes are no use; the negotiation has seen to it that one remains.
            fingerprints: remote
                .fingerprints
                .iter()
                .filter_map(|fingerprint| Fingerprint::parse(&fingerprint.to_string()).ok())
                .collect(),
            dtls_role: match self.negotiation.dtls_role() {
                Some(offer_answer::DtlsRole::Client) => DtlsRole::Active,
                Some(offer_answer::DtlsRole::Server) | None => DtlsRole::Passive,
            },
        };
        let had_keys = self.leg.has_keys();
        self.leg.set_remote(now, parameters);
        let is_rekeyed = had_keys && !self.leg.has_keys();
        if is_rekeyed {
            self.connected = false;
        }
        is_rekeyed
    }

    /// Socket that has this local address.
    pub(crate) fn socket(&self, local: SocketAddr) -> Option<SocketToken> {
        self.sockets
            .iter()
            .find(|(address, _)| *address == local)
            .map(|(_, token)| *token)
    }

    /// Moves what ICE and DTLS have to say into the outbox.
    pub(crate) fn drain(&mut self, out: &mut Outbox) {
        while let Some(transmit) = self.leg.poll_transmit() {
            if let Some(socket) = self.socket(transmit.path.local) {
                out.push(socket, transmit.path.remote, &transmit.bytes);
            }
        }
    }

    /// The next event of ICE or DTLS.
    pub(crate) fn poll_event(&mut self) -> Option<LegEvent> {
        self.leg.poll_event()
    }
}

/// ICE credentials as the offer/answer layer has them.
pub(crate) fn for_description(credentials: &IceCredentials) -> offer_answer::IceCredentials {
    offer_answer::IceCredentials {
        ufrag: credentials.ufrag.clone(),
        pwd: credentials.pwd.clone(),
    }
}
