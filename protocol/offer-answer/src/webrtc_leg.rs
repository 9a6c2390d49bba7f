//! Negotiation of a WebRTC leg: reads what a browser offers or answers, writes our answer or offer.

use offhook_sdp::attribute::{Direction, Setup};

use crate::codec::Codec;
use crate::error::OfferAnswerError;
use crate::offered::OfferedSections;
use crate::opus_params::OpusParams;
use crate::read::{LatestOffer, expect_offered};
use crate::webrtc_state::{DtlsRole, IceCredentials, WebRtcLegState, WebRtcLocal, WebRtcRemote};
use crate::write::print;

mod read;
mod write;

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
        Self {
            state: WebRtcLegState {
                local,
                version: 1,
                remote: None,
                offered: None,
                latest_offer: LatestOffer::None,
                dtls_role: None,
            },
        }
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

    /// What the peer is to send from now on when Opus is chosen; our next description says so.
    pub fn ask_for(&mut self, opus: OpusParams) {
        self.state.local.opus = opus;
    }

    /// Puts the codecs of further offers of ours into this order; those that it leaves out come last.
    pub fn prefer(&mut self, order: &[Codec]) {
        let place = |codec: &Codec| order.iter().position(|wanted| wanted == codec);
        let codecs = &mut self.state.local.codecs;
        codecs.sort_by_key(|codec| place(codec).unwrap_or(usize::MAX));
    }

    /// Reads an offer of the browser, the first one or a further one.
    ///
    /// # Errors
    /// See [`OfferAnswerError`]; the state is then as it was.
    pub fn handle_offer(&mut self, sdp: &str) -> Result<WebRtcChange, OfferAnswerError> {
        let offer = sdp.parse()?;
        let mut remote = read::remote(&offer, &self.state.local.codecs, Setup::ActPass)?;
        let ours = &self.state.local.codecs;
        remote
            .codecs
            .sort_by_key(|negotiated| ours.iter().position(|codec| *codec == negotiated.codec));
        let offered = OfferedSections::read(&offer)?;
        let change = self.change_to(&remote);
        self.state.dtls_role = Some(self.role_for_offer(remote.setup, change)?);
        self.state.remote = Some(remote);
        self.state.offered = Some(offered);
        self.state.latest_offer = LatestOffer::Theirs;
        Ok(change)
    }

    /// Writes our answer to the latest offer: the codecs of `order` that the browser offered, in that order, the
    /// direction that mirrors the offer's (RFC 3264 §6.1), DTLS passive unless the offer forbids it or another role is
    /// already in use. Further m-lines are rejected with port 0.
    ///
    /// # Errors
    /// [`OfferAnswerError::WrongState`] without an offer, [`OfferAnswerError::NoCommonCodec`] if nothing of `order`
    /// was offered.
    pub fn answer(&mut self, order: &[Codec]) -> Result<String, OfferAnswerError> {
        let state = &self.state;
        let (Some(offered), Some(remote), LatestOffer::Theirs) =
            (&state.offered, &state.remote, state.latest_offer)
        else {
            return Err(OfferAnswerError::WrongState {
                what: "an answer needs an offer of the browser",
            });
        };
        let role = state.dtls_role.unwrap_or(DtlsRole::Server);
        let answer = write::answer(&state.local, state.version, offered, remote, role, order)?;
        self.state.version += 1;
        Ok(print(&answer))
    }

    /// Writes an offer of ours (inbound call, attach): actpass on a fresh leg, our constant role on a running one;
    /// every codec of [`WebRtcLocal::codecs`] and telephone-event.
    pub fn offer(&mut self, direction: Direction) -> String {
        let offer = write::offer(&self.state, direction);
        self.state.version += 1;
        self.state.latest_offer = LatestOffer::Ours;
        print(&offer)
    }

    /// Reads the browser's answer to our offer. Another answer to the same offer replaces the one before.
    ///
    /// # Errors
    /// See [`OfferAnswerError`]; the state is then as it was.
    pub fn handle_answer(&mut self, sdp: &str) -> Result<WebRtcChange, OfferAnswerError> {
        if self.state.latest_offer != LatestOffer::Ours {
            return Err(OfferAnswerError::WrongState {
                what: "an answer came that no offer of ours waits for",
            });
        }
        let answer = sdp.parse()?;
        let mut remote = read::remote(&answer, &self.state.local.codecs, Setup::Active)?;
        if remote
            .mid
            .as_ref()
            .is_some_and(|mid| *mid != write::mid(&self.state))
        {
            return Err(OfferAnswerError::AnswerMismatch {
                what: "a=mid differs from the offer's",
            });
        }
        let offered = write::offered_formats(&self.state);
        expect_offered(&mut remote.codecs, &mut remote.telephone_events, &offered);
        let change = self.change_to(&remote);
        self.state.dtls_role = Some(self.role_for_answer(remote.setup, change)?);
        self.state.remote = Some(remote);
        Ok(change)
    }

    fn change_to(&self, new: &WebRtcRemote) -> WebRtcChange {
        let Some(old) = &self.state.remote else {
            return WebRtcChange {
                first: true,
                ..WebRtcChange::default()
            };
        };
        WebRtcChange {
            first: false,
            ice_restart: old.ice != new.ice,
            fingerprint: old.fingerprints != new.fingerprints,
            codecs: old.codecs != new.codecs || old.telephone_events != new.telephone_events,
            direction: old.direction != new.direction,
        }
    }

    /// The role that is in use and stays: a new certificate needs a new association, and may bring another role.
    fn running_role(&self, change: WebRtcChange) -> Option<DtlsRole> {
        self.state
            .dtls_role
            .filter(|_| !change.first && !change.fingerprint)
    }

    fn role_for_offer(&self, setup: Setup, change: WebRtcChange) -> Result<DtlsRole, OfferAnswerError> {
        match (setup, self.running_role(change)) {
            (Setup::ActPass | Setup::HoldConn, running) => Ok(running.unwrap_or(DtlsRole::Server)),
            (Setup::Active, None | Some(DtlsRole::Server)) => Ok(DtlsRole::Server),
            (Setup::Passive, None | Some(DtlsRole::Client)) => Ok(DtlsRole::Client),
            (Setup::Active, Some(DtlsRole::Client)) | (Setup::Passive, Some(DtlsRole::Server)) => {
                Err(OfferAnswerError::DtlsRoleChanged {
                    setup: setup.as_str(),
                })
            }
        }
    }

    fn role_for_answer(&self, setup: Setup, change: WebRtcChange) -> Result<DtlsRole, OfferAnswerError> {
        let role = match setup {
            Setup::Active => DtlsRole::Server,
            Setup::Passive => DtlsRole::Client,
            Setup::ActPass | Setup::HoldConn => {
                return Err(OfferAnswerError::AnswerMismatch {
                    what: "a=setup of an answer is active or passive",
                });
            }
        };
        match self.running_role(change) {
            Some(running) if running != role => Err(OfferAnswerError::DtlsRoleChanged {
                setup: setup.as_str(),
            }),
            _ => Ok(role),
        }
    }
}
