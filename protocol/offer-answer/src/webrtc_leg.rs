//! Negotiation of a WebRTC leg: reads what a browser offers or answers, writes our answer or offer.

use crate::codec::Codec;
use crate::error::OfferAnswerError;
use crate::webrtc_state::{DtlsRole, IceCredentials, WebRtcLegState, WebRtcLocal, WebRtcRemote};
use offhook_sdp::attribute::Direction;

/// What a further description of the browser changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WebRtcChange {
    /// It is the first description of this leg.
    pub first: bool,
    /// New ICE credentials: start ICE anew, keep the DTLS association (RFC 8842 §5.4).
    pub ice_restart: bool,
    /// New fingerprints: a new DTLS association is needed.
    pub fingerprint: bool,
    /// The list of common codecs or their payload types differ.
    pub codecs: bool,
    /// The direction differs: hold or resume by SDP.
    pub direction: bool,
}

/// The offer/answer state of a leg towards a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebRtcLegNegotiation {
    state: WebRtcLegState,
}

impl WebRtcLegNegotiation {
    /// Before any description.
    pub fn new(local: WebRtcLocal) -> Self {
        todo!()
    }

    /// Takes up a negotiation where [`Self::export`] wrote it down.
    pub fn import(state: WebRtcLegState) -> Self {
        Self { state }
    }

    /// The whole state, plain.
    pub fn export(&self) -> &WebRtcLegState {
        &self.state
    }

    /// The browser's side, once it has offered or answered.
    pub fn remote(&self) -> Option<&WebRtcRemote> {
        self.state.remote.as_ref()
    }

    /// Our DTLS role, once a description of the browser has been read.
    pub fn dtls_role(&self) -> Option<DtlsRole> {
        self.state.dtls_role
    }

    /// New ICE credentials of ours for the next description (after [`WebRtcChange::ice_restart`]).
    pub fn set_local_ice(&mut self, ice: IceCredentials) {
        self.state.local.ice = ice;
    }

    /// Reads an offer of the browser, the first one or a further one.
    ///
    /// # Errors
    /// See [`OfferAnswerError`]; the state is then as it was.
    pub fn handle_offer(&mut self, sdp: &str) -> Result<WebRtcChange, OfferAnswerError> {
        todo!()
    }

    /// Writes our answer to the latest offer: the codecs of `order` that the browser offered, in that order, always
    /// `sendrecv` (browsers cannot mend another direction later), DTLS passive unless the offer forbids it or another
    /// role is already in use. Further m-lines are rejected with port 0.
    ///
    /// # Errors
    /// [`OfferAnswerError::WrongState`] without an offer, [`OfferAnswerError::NoCommonCodec`] if nothing of `order`
    /// was offered.
    pub fn answer(&mut self, order: &[Codec]) -> Result<String, OfferAnswerError> {
        todo!()
    }

    /// Writes an offer of ours (inbound call, attach): actpass on a fresh leg, our constant role on a running one;
    /// every codec of [`WebRtcLocal::codecs`] and telephone-event.
    pub fn offer(&mut self, direction: Direction) -> String {
        todo!()
    }

    /// Reads the browser's answer to our offer. Another answer to the same offer replaces the one before.
    ///
    /// # Errors
    /// See [`OfferAnswerError`]; the state is then as it was.
    pub fn handle_answer(&mut self, sdp: &str) -> Result<WebRtcChange, OfferAnswerError> {
        todo!()
    }
}
