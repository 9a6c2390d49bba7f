//! Negotiation of an RTP leg: our offer or answer towards a carrier, and what it says.

use offhook_sdp::attribute::Direction;

use crate::codec::Codec;
use crate::error::OfferAnswerError;
use crate::rtp_state::{RtpLegState, RtpLocal, RtpRemote};

/// What a further description of the carrier changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RtpChange {
    /// It is the first description of this leg.
    pub first: bool,
    /// RTP or RTCP go elsewhere.
    pub address: bool,
    /// The list of common codecs or their payload types differ.
    pub codecs: bool,
    /// The direction differs; see [`RtpRemote::holds_us`].
    pub direction: bool,
}

/// The offer/answer state of a leg towards a carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpLegNegotiation {
    state: RtpLegState,
}

impl RtpLegNegotiation {
    /// Before any description.
    pub fn new(local: RtpLocal) -> Self {
        todo!()
    }

    /// Takes up a negotiation where [`Self::export`] wrote it down.
    pub fn import(state: RtpLegState) -> Self {
        Self { state }
    }

    /// The whole state, plain.
    pub fn export(&self) -> &RtpLegState {
        &self.state
    }

    /// The carrier's side, once it has offered or answered.
    pub fn remote(&self) -> Option<&RtpRemote> {
        self.state.remote.as_ref()
    }

    /// Writes an offer of ours: RTP/AVP, the codecs of [`RtpLocal::codecs`], telephone-event/8000, `direction`.
    pub fn offer(&mut self, direction: Direction) -> String {
        todo!()
    }

    /// Reads the carrier's answer (183 or 200). Another answer to the same offer replaces the one before.
    ///
    /// # Errors
    /// See [`OfferAnswerError`]; the state is then as it was.
    pub fn handle_answer(&mut self, sdp: &str) -> Result<RtpChange, OfferAnswerError> {
        todo!()
    }

    /// Reads an offer of the carrier: an inbound call's, or that of a re-INVITE.
    ///
    /// # Errors
    /// See [`OfferAnswerError`]; the state is then as it was.
    pub fn handle_offer(&mut self, sdp: &str) -> Result<RtpChange, OfferAnswerError> {
        todo!()
    }

    /// Writes our answer to the latest offer: the codecs of `order` that were offered, in that order, with the
    /// offer's payload types; the direction that mirrors the offer's, narrowed to `allowed` (what we are willing to do).
    ///
    /// # Errors
    /// [`OfferAnswerError::WrongState`] without an offer, [`OfferAnswerError::NoCommonCodec`] if nothing of `order`
    /// was offered.
    pub fn answer(&mut self, order: &[Codec], allowed: Direction) -> Result<String, OfferAnswerError> {
        todo!()
    }
}
