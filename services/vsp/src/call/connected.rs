//! Two far parties that a transfer has connected: the client has left, and the call goes on until one of them leaves.
//!
//! The party that the client talked with keeps the carrier leg of the media session; the other one has the client's
//! place in it.

use super::exchange::Transfer;
use super::{Action, Call, CallKey, CallTimer, LegId, Purpose, SipPurpose, SipRequest, State};
use crate::output::EndedBy;
use crate::translate::{self, Cause, End};
use offhook_media_control::{Command, CommandError, Direction, LegName, Reply};
use offhook_rpc_message::{HoldState, Party, ServerMessage};
use offhook_sip::user_agent::IncomingId;
use std::time::Instant;

impl Call {
    /// Whether two far parties talk here, without a client.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected { .. })
    }

    /// Whether this leg is of a party beside the far end: a newcomer, or the second one of two that were connected.
    pub(crate) fn is_second(&self, leg: LegId) -> bool {
        self.second == Some(leg)
    }

    /// The client is told, and leaves.
    pub(super) fn connect(
        &mut self,
        now: Instant,
        other: Option<CallKey>,
        newcomer: Option<Party>,
        out: &mut Vec<Action>,
    ) {
        let State::Active(active) = &self.state else {
            return;
        };
        let (since, held) = (active.since, active.hold == HoldState::Held);
        let End {
            cause,
            sip_code,
            sip_reason,
        } = End::TRANSFERRED;
        let bye =
            ServerMessage::Bye(self.bye(cause, Some(sip_code), Some(sip_reason.to_owned()), Vec::new()));
        self.state = State::Connected { since };
        out.push(Action::Client(bye.clone()));
        out.push(Action::Released(Some(Box::new(bye))));
        for timer in [CallTimer::Hold, CallTimer::Retry, CallTimer::Attach] {
            out.push(Action::Deadline(timer, None));
        }
        let ends = [
            Some(now + self.connected_max),
            self.duration_max.map(|max| since + max),
        ];
        out.push(Action::Deadline(
            CallTimer::State,
            ends.into_iter().flatten().min(),
        ));
        if let Some(other) = other {
            out.push(Action::TakeOther(other));
        }
        out.push(Action::Introduce(self.far_end_for_others(), newcomer));
        if held {
            self.resume(out);
        }
    }

    /// The first party was on hold: it is taken back.
    pub(super) fn resume(&mut self, out: &mut Vec<Action>) {
        let command = Command::MakeOffer {
            session: self.media.clone(),
            to: LegName::Carrier,
            direction: Direction::SendRecv,
            renew: false,
        };
        out.push(Action::Media(command, Purpose::ResumeOffer));
    }

    /// One of the parties has left, or was lost.
    pub(crate) fn on_party_gone(
        &mut self,
        now: Instant,
        leg: LegId,
        q850: Option<u16>,
        out: &mut Vec<Action>,
    ) {
        if self.second == Some(leg) {
            self.second = None;
            if self.is_being_replaced() {
                return;
            }
            if !self.is_connected() {
                return self.newcomer_failed(now, 480, out);
            }
            out.push(Action::HangUp(
                q850.map(|cause| format!("Q.850;cause={cause}")),
                Vec::new(),
            ));
        } else {
            self.leg = None;
            if self.waits_for_successor() {
                return;
            }
        }
        let cause = q850.map_or(Cause::NORMAL_CLEARING, translate::cause_of_q850);
        self.finish(now, EndedBy::Carrier, cause, None, None, out);
    }

    /// Who was put into a place has left while that was done.
    pub(super) fn left_alone(&mut self, now: Instant, out: &mut Vec<Action>) {
        let cause = Cause::NORMAL_CLEARING;
        let bye = (!self.is_connected()).then(|| self.bye(cause, None, None, Vec::new()));
        out.push(Action::HangUp(None, Vec::new()));
        self.finish(now, EndedBy::Carrier, cause, None, bye, out);
    }

    /// Whether the far end may be given a place in another call.
    pub(crate) fn may_be_given_away(&self) -> bool {
        self.may_transfer().is_ok()
    }

    /// The far end was promised one.
    pub(crate) fn promise_away(&mut self) {
        if let State::Active(active) = &mut self.state {
            active.transfer = Some(Transfer::GivenAway);
        }
    }

    /// The far end has it: the client is told, and nothing is left here.
    pub(crate) fn given_away(&mut self, now: Instant, out: &mut Vec<Action>) {
        let End {
            cause,
            sip_code,
            sip_reason,
        } = End::TRANSFERRED;
        let bye = self.bye(cause, Some(sip_code), Some(sip_reason.to_owned()), Vec::new());
        self.finish(now, EndedBy::Client, cause, Some(sip_code), Some(bye), out);
    }

    /// The far end does not get it. It may have been told to send its media there: it is asked to come back.
    pub(crate) fn returned(&mut self, out: &mut Vec<Action>) {
        let State::Active(active) = &mut self.state else {
            return;
        };
        if !matches!(active.transfer, Some(Transfer::GivenAway)) {
            return;
        }
        active.transfer = None;
        self.recall_far_end(out);
    }

    /// The second party makes a new offer, or with none asks for ours.
    pub(crate) fn second_offer(&mut self, incoming: IncomingId, sdp: Option<String>, out: &mut Vec<Action>) {
        let session = self.media.clone();
        if !self.is_connected() {
            return out.push(Action::Respond(incoming, 491, None));
        }
        let from = LegName::Client;
        out.push(match sdp {
            Some(sdp) => Action::Media(
                Command::Reoffer { session, from, sdp },
                Purpose::SecondOffer(incoming),
            ),
            None => {
                let command = Command::MakeOffer {
                    session,
                    to: from,
                    direction: Direction::SendRecv,
                    renew: false,
                };
                Action::Media(command, Purpose::OfferForSecond(incoming))
            }
        });
    }

    /// The second party's answer to an offer that it had asked for, in its ACK.
    pub(crate) fn second_ack(&mut self, sdp: Option<String>, out: &mut Vec<Action>) {
        if let (true, Some(sdp)) = (self.is_connected(), sdp) {
            let answer = Command::Answer {
                session: self.media.clone(),
                from: LegName::Client,
                sdp,
                is_final: true,
            };
            out.push(Action::Media(answer, Purpose::Nothing));
        }
    }

    /// A digit of one party by INFO, for the other one.
    pub(crate) fn digit_between(&mut self, from_second: bool, digit: char, out: &mut Vec<Action>) {
        if self.is_connected() {
            let to = if from_second {
                LegName::Carrier
            } else {
                LegName::Client
            };
            let command = Command::Dtmf {
                session: self.media.clone(),
                to,
                digits: digit.to_string(),
                duration_ms: crate::limits::DTMF_DURATION_MS,
            };
            out.push(Action::Media(command, Purpose::Nothing));
        }
    }

    /// A text of one party, for the other one.
    pub(crate) fn text_between(&mut self, from_second: bool, text: String, out: &mut Vec<Action>) {
        let to = if from_second { self.leg } else { self.second };
        if let (true, Some(to)) = (self.is_connected(), to) {
            out.push(Action::Send(to, SipRequest::Message(text)));
        }
    }

    pub(super) fn on_connected_reply(
        &mut self,
        purpose: Purpose,
        reply: Result<Reply, CommandError>,
        out: &mut Vec<Action>,
    ) {
        match (purpose, reply) {
            (
                Purpose::SecondOffer(incoming) | Purpose::OfferForSecond(incoming),
                Ok(Reply::Reoffered { answer: sdp, .. } | Reply::Offered { offer: sdp }),
            ) => out.push(Action::Respond(incoming, 200, Some(sdp))),
            (Purpose::SecondOffer(incoming) | Purpose::OfferForSecond(incoming), Err(error)) => {
                let status = super::midcall::status_of(error.kind);
                out.push(Action::Respond(incoming, status, None));
            }
            (Purpose::SecondOffer(incoming) | Purpose::OfferForSecond(incoming), Ok(_)) => {
                out.push(Action::Respond(incoming, 500, None));
            }
            (Purpose::ResumeOffer, Ok(Reply::Offered { offer })) if self.is_connected() => {
                out.push(Action::Request(SipRequest::Reinvite(offer), SipPurpose::Resume));
            }
            _ => {}
        }
    }
}
