//! Offer and answer of one call, and who owes which.

use offhook_offer_answer::{
    Codec, NegotiatedCodec, OfferAnswerError, RtpLegNegotiation, RtpLocal, TelephoneEvents,
};
use offhook_sdp::attribute::Direction;
use std::net::SocketAddr;

/// The session descriptions of one call.
#[derive(Debug)]
pub(crate) struct Negotiation {
    inner: RtpLegNegotiation,
    codecs: Vec<Codec>,
}

/// What both sides agreed on, as far as sending and receiving RTP needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agreement {
    /// Where the peer takes RTP; none while it holds by address.
    pub(crate) remote: Option<SocketAddr>,
    /// What we send.
    pub(crate) codec: NegotiatedCodec,
    /// What the peer may send.
    pub(crate) codecs: Vec<NegotiatedCodec>,
    /// Payload types of digits.
    pub(crate) events: TelephoneEvents,
    /// Whether we send.
    pub(crate) sends: bool,
}

impl Negotiation {
    pub(crate) fn new(session_id: u64, address: SocketAddr, codecs: Vec<Codec>) -> Self {
        let local = RtpLocal {
            session_id,
            address,
            rtcp_port: None,
            codecs: codecs.clone(),
            opus: Default::default(),
            packet_ms: 20,
            max_bitrate_bps: None,
        };
        Self {
            inner: RtpLegNegotiation::new(local),
            codecs,
        }
    }

    /// Our description: the answer to `offer`, or an offer of ours where the peer made none.
    pub(crate) fn describe(&mut self, offer: Option<&str>) -> Result<String, OfferAnswerError> {
        match offer {
            Some(offer) => {
                self.inner.handle_offer(offer)?;
                self.inner.answer(&self.codecs, Direction::SendRecv)
            }
            None => Ok(self.inner.offer(Direction::SendRecv)),
        }
    }

    /// The peer's answer to our offer (in its ACK).
    pub(crate) fn handle_answer(&mut self, answer: &str) -> Result<(), OfferAnswerError> {
        self.inner.handle_answer(answer).map(|_change| ())
    }

    /// What holds now; none before both sides have spoken.
    pub(crate) fn agreement(&self) -> Option<Agreement> {
        let remote = self.inner.remote()?;
        let codec = *remote.codecs.first()?;
        Some(Agreement {
            remote: remote.rtp,
            codec,
            codecs: remote.codecs.clone(),
            events: remote.telephone_events,
            sends: self.inner.export().direction.sends() && remote.direction.receives(),
        })
    }
}
