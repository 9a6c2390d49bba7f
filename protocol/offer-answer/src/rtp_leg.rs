//! Negotiation of an RTP leg: our offer or answer towards a carrier, and what it says.

use offhook_sdp::attribute::Direction;

use crate::codec::Codec;
use crate::error::OfferAnswerError;
use crate::offered::OfferedSections;
use crate::opus_params::OpusParams;
use crate::read::{LatestOffer, expect_offered};
use crate::rtp_state::{RtpLegState, RtpLocal, RtpRemote};
use crate::write::print;

mod read;
mod write;

/// What a further description of the carrier changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RtpChange {
    /// It is the first description of this leg.
    pub first: bool,
    /// RTP or RTCP go elsewhere.
    pub address: bool,
    /// The list of common codecs or their payload types differ.
    pub codecs: bool,
    /// The direction differs, or the peer can be sent to at all: hold or resume.
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
        Self {
            state: RtpLegState {
                local,
                version: 1,
                direction: Direction::SendRecv,
                remote: None,
                offered: None,
                latest_offer: LatestOffer::None,
            },
        }
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
        self.state.direction = direction;
        let offer = write::offer(&self.state);
        self.state.version += 1;
        self.state.latest_offer = LatestOffer::Ours;
        print(&offer)
    }

    /// Reads the carrier's answer (183 or 200). Another answer to the same offer replaces the one before.
    ///
    /// # Errors
    /// See [`OfferAnswerError`]; the state is then as it was.
    pub fn handle_answer(&mut self, sdp: &str) -> Result<RtpChange, OfferAnswerError> {
        if self.state.latest_offer != LatestOffer::Ours {
            return Err(OfferAnswerError::WrongState {
                what: "an answer came that no offer of ours waits for",
            });
        }
        let answer = sdp.parse()?;
        let mut remote = read::remote(&answer, &self.state.local)?;
        let offered = write::offered_formats(&self.state);
        expect_offered(&mut remote.codecs, &mut remote.telephone_events, &offered);
        let change = self.change_to(&remote);
        self.state.remote = Some(remote);
        Ok(change)
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

    /// Reads an offer of the carrier: an inbound call's, or that of a re-INVITE.
    ///
    /// # Errors
    /// See [`OfferAnswerError`]; the state is then as it was.
    pub fn handle_offer(&mut self, sdp: &str) -> Result<RtpChange, OfferAnswerError> {
        let offer = sdp.parse()?;
        let mut remote = read::remote(&offer, &self.state.local)?;
        let wanted = &self.state.local.codecs;
        remote
            .codecs
            .sort_by_key(|negotiated| wanted.iter().position(|codec| *codec == negotiated.codec));
        let offered = OfferedSections::read(&offer)?;
        let change = self.change_to(&remote);
        self.state.remote = Some(remote);
        self.state.offered = Some(offered);
        self.state.latest_offer = LatestOffer::Theirs;
        Ok(change)
    }

    /// Writes our answer to the latest offer: the codecs of `order` that were offered, in that order, with the
    /// offer's payload types; the direction that mirrors the offer's, narrowed to `allowed` (what we are willing to do).
    ///
    /// # Errors
    /// [`OfferAnswerError::WrongState`] without an offer, [`OfferAnswerError::NoCommonCodec`] if nothing of `order`
    /// was offered.
    pub fn answer(&mut self, order: &[Codec], allowed: Direction) -> Result<String, OfferAnswerError> {
        let (Some(offered), Some(remote), LatestOffer::Theirs) =
            (&self.state.offered, &self.state.remote, self.state.latest_offer)
        else {
            return Err(OfferAnswerError::WrongState {
                what: "an answer needs an offer of the carrier",
            });
        };
        let direction = remote.direction.mirrored().and(allowed);
        let answer = write::answer(&self.state, offered, remote, order, direction)?;
        self.state.direction = direction;
        self.state.version += 1;
        Ok(print(&answer))
    }

    fn change_to(&self, new: &RtpRemote) -> RtpChange {
        let Some(old) = &self.state.remote else {
            return RtpChange {
                first: true,
                ..RtpChange::default()
            };
        };
        RtpChange {
            first: false,
            address: (old.rtp, old.rtcp) != (new.rtp, new.rtcp),
            codecs: old.codecs != new.codecs || old.telephone_events != new.telephone_events,
            direction: old.direction != new.direction || old.rtp.is_none() != new.rtp.is_none(),
        }
    }
}
