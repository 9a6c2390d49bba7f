//! What happens while a call is up: hold, digits, texts, new offers from either side.

use super::action::HoldChange;
use super::exchange::Transfer;
use super::{Action, Active, Asked, Call, CallTimer, Purpose, SipPurpose, SipRequest, State};
use crate::limits::DTMF_DURATION_MS;
use crate::output::EndedBy;
use crate::translate::{self, End};
use offhook_media_control::{Command, CommandError, CommandErrorKind, Direction, Latching, LegName, Reply};
use offhook_rpc_message::{ErrorCode, HoldState, ModifyAction, ResultBody, RpcError, ServerMessage};
use offhook_sip::user_agent::IncomingId;
use serde_json::json;
use std::time::{Duration, Instant};

/// How long a change of hold may take: the SDK closes its socket when `modify` has no answer after 10 s.
const HOLD_WAIT_MAX: Duration = Duration::from_secs(8);
/// How long an offer of ours waits for one of the far end that was faster.
const GLARE_WAIT: Duration = Duration::from_millis(300);
/// Longest text of a message, in bytes: in one datagram with its headers (RFC 3428 §8).
pub(crate) const MESSAGE_LEN_MAX: usize = 1_000;

/// What a request in the dialog led to: the SDP of its 2xx if there was one, or status and reason phrase.
pub(crate) type SipOutcome = Result<Option<String>, (u16, String)>;

impl Call {
    /// The client's `modify`.
    pub(crate) fn modify(&mut self, now: Instant, asked: Asked, action: ModifyAction, out: &mut Vec<Action>) {
        match action {
            ModifyAction::Hold => self.change_hold(now, asked, "hold", out),
            ModifyAction::Unhold => self.change_hold(now, asked, "unhold", out),
            ModifyAction::ToggleHold => self.change_hold(now, asked, "toggleHold", out),
            ModifyAction::UpdateMedia { sdp, .. } => {
                let command = Command::Reoffer {
                    session: self.media.clone(),
                    from: LegName::Client,
                    sdp,
                };
                out.push(Action::Media(command, Purpose::UpdateMedia(asked)));
            }
            // They concern other calls, or none: the server does them.
            ModifyAction::Transfer { .. } | ModifyAction::Replace { .. } => {}
            ModifyAction::Other(action) => {
                let error = RpcError::new(
                    ErrorCode::InvalidParams,
                    format!("modify knows no action {action:?}"),
                );
                out.push(Action::Reply(asked, Err(error)));
            }
        }
    }

    fn change_hold(&mut self, now: Instant, asked: Asked, action: &'static str, out: &mut Vec<Action>) {
        let State::Active(active) = &mut self.state else {
            return out.push(Action::Reply(asked, failed("the call is not active")));
        };
        if active.hold_change.is_some() {
            return out.push(Action::Reply(
                asked,
                failed("another change of hold is under way"),
            ));
        }
        // What the far end does with a REFER is no obstacle.
        if matches!(active.transfer, Some(Transfer::Ours(_) | Transfer::GivenAway)) {
            return out.push(Action::Reply(asked, failed("a transfer is under way")));
        }
        let target = match (action, active.hold) {
            ("hold", _) | ("toggleHold", HoldState::Active) => HoldState::Held,
            _ => HoldState::Active,
        };
        if target == active.hold {
            let call = self.client_id.clone();
            return out.push(Action::Reply(
                asked,
                Ok(ResultBody::Hold {
                    call,
                    action,
                    state: target,
                }),
            ));
        }
        active.hold_change = Some(HoldChange {
            asked: Some(asked),
            action,
            target,
        });
        out.push(Action::Media(
            self.make_offer(direction_of(target)),
            Purpose::HoldOffer,
        ));
        out.push(Action::Deadline(CallTimer::Hold, Some(now + HOLD_WAIT_MAX)));
    }

    fn make_offer(&self, direction: Direction) -> Command {
        Command::MakeOffer {
            session: self.media.clone(),
            to: LegName::Carrier,
            direction,
            renew: false,
        }
    }

    /// The far end's answer, for the gateway.
    pub(super) fn carrier_answer(&self, sdp: String, is_final: bool) -> Command {
        Command::Answer {
            session: self.media.clone(),
            from: LegName::Carrier,
            sdp,
            is_final,
        }
    }

    /// The client is told; should the far end agree later, the state follows it all the same.
    pub(super) fn hold_takes_long(&mut self, out: &mut Vec<Action>) {
        if let State::Active(active) = &mut self.state
            && let Some(asked) = active.hold_change.as_mut().and_then(|change| change.asked.take())
        {
            out.push(Action::Reply(
                asked,
                failed("the far end does not answer the re-INVITE"),
            ));
        }
    }

    /// Whether somebody still waits for a change of hold.
    fn waits_for_hold(&self) -> bool {
        let waits = |change: &HoldChange| change.asked.is_some() || change.action == "return";
        matches!(&self.state, State::Active(active) if active.hold_change.as_ref().is_some_and(waits))
    }

    /// An offer of the far end was in the way of ours; now it may be over.
    pub(super) fn hold_again(&mut self, out: &mut Vec<Action>) {
        if let State::Active(active) = &self.state
            && let Some(change) = &active.hold_change
        {
            let direction = direction_of(change.target);
            out.push(Action::Media(self.make_offer(direction), Purpose::HoldOffer));
        }
    }

    fn hold_failed(&mut self, why: &str, out: &mut Vec<Action>) {
        let State::Active(active) = &mut self.state else {
            return;
        };
        out.push(Action::Deadline(CallTimer::Hold, None));
        if let Some(asked) = active.hold_change.take().and_then(|change| change.asked) {
            out.push(Action::Reply(asked, failed(why)));
        }
    }

    /// The far end has agreed to what the gateway then refused: it is asked to go back. The client hears at once.
    fn undo_hold(&mut self, why: &str, out: &mut Vec<Action>) {
        let State::Active(active) = &mut self.state else {
            return;
        };
        let Some(change) = active
            .hold_change
            .as_mut()
            .filter(|change| change.target != active.hold)
        else {
            return self.hold_failed(why, out);
        };
        change.target = active.hold;
        if let Some(asked) = change.asked.take() {
            out.push(Action::Reply(asked, failed(why)));
        }
        let direction = direction_of(active.hold);
        out.push(Action::Media(self.make_offer(direction), Purpose::HoldOffer));
    }

    fn hold_done(&mut self, out: &mut Vec<Action>) {
        let State::Active(active) = &mut self.state else {
            return;
        };
        let Some(change) = active.hold_change.take() else {
            return;
        };
        active.hold = change.target;
        out.push(Action::Deadline(CallTimer::Hold, None));
        if let Some(asked) = change.asked {
            let call = self.client_id.clone();
            let result = ResultBody::Hold {
                call,
                action: change.action,
                state: change.target,
            };
            out.push(Action::Reply(asked, Ok(result)));
        }
    }

    /// Digits of the client, already checked.
    pub(crate) fn dtmf(&mut self, asked: Asked, digits: String, out: &mut Vec<Action>) {
        if matches!(self.state, State::Opening { .. }) {
            return out.push(Action::Reply(asked, failed("the far end was not reached yet")));
        }
        let command = Command::Dtmf {
            session: self.media.clone(),
            to: LegName::Carrier,
            digits: digits.clone(),
            duration_ms: DTMF_DURATION_MS,
        };
        out.push(Action::Media(command, Purpose::Dtmf(asked, digits)));
    }

    /// The carrier did not negotiate telephone-event: one INFO per digit, each after the answer to the one before,
    /// so that they arrive in order.
    fn dtmf_by_info(&mut self, asked: Asked, digits: &str, out: &mut Vec<Action>) {
        let State::Active(active) = &mut self.state else {
            return out.push(Action::Reply(
                asked,
                failed("the carrier takes digits only after its answer"),
            ));
        };
        if active.digits.len() + digits.len() > crate::limits::DTMF_DIGITS_MAX {
            return out.push(Action::Reply(asked, failed("too many digits wait to be sent")));
        }
        active.digits.extend(digits.chars().filter(|digit| *digit != ','));
        out.push(Action::Reply(asked, Ok(ResultBody::Sent)));
        next_digit(active, out);
    }

    /// A text of the client.
    pub(crate) fn message(&mut self, asked: Asked, body: String, out: &mut Vec<Action>) {
        if !self.is_active() {
            out.push(Action::Reply(asked, failed("the call is not active")));
        } else if body.len() > MESSAGE_LEN_MAX {
            let message = format!("a message has at most {MESSAGE_LEN_MAX} bytes");
            out.push(Action::Reply(
                asked,
                Err(RpcError::new(ErrorCode::InvalidParams, message)),
            ));
        } else {
            out.push(Action::Request(
                SipRequest::Message(body),
                SipPurpose::Message(asked),
            ));
        }
    }

    /// What a request of ours in the dialog led to.
    pub(crate) fn on_response(
        &mut self,
        now: Instant,
        purpose: SipPurpose,
        outcome: SipOutcome,
        out: &mut Vec<Action>,
    ) {
        match (purpose, outcome) {
            (SipPurpose::Digit, _) => {
                if let State::Active(active) = &mut self.state {
                    active.digit_sent = false;
                    next_digit(active, out);
                }
            }
            (SipPurpose::Message(asked), Ok(_)) => out.push(Action::Reply(asked, Ok(ResultBody::Sent))),
            (SipPurpose::Message(asked), Err((status, reason))) => {
                let why = format!("the far end refused the message: {status} {reason}");
                out.push(Action::Reply(asked, failed(&why)));
            }
            (SipPurpose::Transfer, outcome) => self.on_refer_answered(outcome, out),
            (SipPurpose::Join(other), outcome) => self.on_joined(now, other, outcome, out),
            (SipPurpose::Resume, Ok(Some(sdp))) => {
                out.push(Action::Media(self.carrier_answer(sdp, true), Purpose::Nothing));
            }
            (SipPurpose::Resume, Err((491, _))) if self.is_connected() => {
                out.push(Action::Deadline(CallTimer::Retry, Some(now + GLARE_WAIT)));
            }
            // The party stays as silent as it was; it may still resume by itself.
            (SipPurpose::Resume, _) => {}
            (SipPurpose::Hold, Ok(Some(sdp))) => {
                out.push(Action::Media(self.carrier_answer(sdp, true), Purpose::HoldAnswer));
            }
            (SipPurpose::Hold, Ok(None)) => self.hold_failed("the far end answered without SDP", out),
            (SipPurpose::Hold, Err((491, _))) if self.waits_for_hold() => {
                out.push(Action::Deadline(CallTimer::Retry, Some(now + GLARE_WAIT)));
            }
            (SipPurpose::Hold, Err((status, reason))) => {
                self.hold_failed(&format!("the far end refused: {status} {reason}"), out);
            }
        }
    }

    /// The SIP side makes a new offer, or with none asks for ours.
    pub(crate) fn carrier_offer(&mut self, incoming: IncomingId, sdp: Option<String>, out: &mut Vec<Action>) {
        let session = self.media.clone();
        match (&self.state, sdp) {
            (State::Closing(_) | State::Opening { .. }, _) => out.push(Action::Respond(incoming, 481, None)),
            (_, Some(sdp)) => {
                self.answer_owed = false;
                let command = Command::Reoffer {
                    session,
                    from: LegName::Carrier,
                    sdp,
                };
                out.push(Action::Media(command, Purpose::CarrierOffer(incoming)));
            }
            (state, None) => {
                let hold = match state {
                    State::Active(active) => active.hold,
                    _ => HoldState::Active,
                };
                let offer = self.make_offer(direction_of(hold));
                out.push(Action::Media(offer, Purpose::OfferForCarrier(incoming)));
            }
        }
    }

    /// The far side has said how its packets are recognised, with an SDP or an answer: it may send from now on.
    pub(crate) fn latch(&mut self, latching: Option<Latching>, out: &mut Vec<Action>) {
        let changed = std::mem::replace(&mut self.latching, latching) != latching;
        if changed || latching == Some(Latching::Any) {
            self.send_latch(LegName::Carrier, latching, out);
        }
    }

    /// The same of a party that has the client's place: its leg begins with the gateway's own rule.
    pub(crate) fn latch_second(&self, latching: Option<Latching>, out: &mut Vec<Action>) {
        if latching.is_some() {
            self.send_latch(LegName::Client, latching, out);
        }
    }

    fn send_latch(&self, leg: LegName, latching: Option<Latching>, out: &mut Vec<Action>) {
        let session = self.media.clone();
        let command = Command::Latch {
            session,
            leg,
            latching,
        };
        out.push(Action::Media(command, Purpose::Nothing));
    }

    /// The ACK to a 200 of ours. Where that made an offer, the call ends without the answer to it (RFC 3261 §13.2.2.4).
    pub(crate) fn carrier_ack(&mut self, now: Instant, sdp: Option<String>, out: &mut Vec<Action>) {
        let up = matches!(self.state, State::Active(_) | State::Connected { .. });
        if !up || !std::mem::take(&mut self.answer_owed) {
            return;
        }
        match sdp {
            Some(sdp) => out.push(Action::Media(self.carrier_answer(sdp, true), Purpose::LateAnswer)),
            None => self.end(now, EndedBy::Carrier, End::UNUSABLE_ANSWER, out),
        }
    }

    pub(super) fn on_late_answer(
        &mut self,
        now: Instant,
        reply: Result<Reply, CommandError>,
        out: &mut Vec<Action>,
    ) {
        if let Err(error) = reply {
            let end = translate::end_of_command_error(error.kind);
            self.end(now, EndedBy::Carrier, end, out);
        }
    }

    /// The far end has put us on hold, or taken us back: the application may show it. Our own state stays.
    pub(super) fn far_end_holds(&mut self, direction: Direction, out: &mut Vec<Action>) {
        let held = matches!(direction, Direction::SendOnly | Direction::Inactive);
        let State::Active(active) = &mut self.state else {
            return;
        };
        if active.far_held.unwrap_or(false) != held {
            active.far_held = Some(held);
            self.tell_far_hold(out);
        }
    }

    /// Whether the far end holds us, if it ever did; also for a client that was away when that changed.
    pub(super) fn tell_far_hold(&self, out: &mut Vec<Action>) {
        if let State::Active(active) = &self.state
            && let Some(held) = active.far_held
        {
            let state = if held { HoldState::Held } else { HoldState::Active };
            let data = json!({"kind": "farHold", "holdState": state.as_str()});
            out.push(Action::Client(self.event(data)));
        }
    }

    /// A text of the far end.
    pub(crate) fn carrier_message(&mut self, body: String, out: &mut Vec<Action>) {
        if self.is_connected() {
            self.text_between(false, body, out);
        } else if self.is_active() {
            let (from, to) = match self.inbound {
                true => (&self.caller, &self.callee),
                false => (&self.callee, &self.caller),
            };
            out.push(Action::Client(ServerMessage::Text {
                call: self.client_id.clone(),
                from: from.number.clone(),
                to: to.number.clone(),
                body,
            }));
        }
    }

    /// A digit of the far end.
    pub(crate) fn carrier_digit(&mut self, digit: char, out: &mut Vec<Action>) {
        if self.is_connected() {
            self.digit_between(false, digit, out);
        } else if self.is_active() {
            let call = self.client_id.clone();
            out.push(Action::Client(ServerMessage::Info {
                call,
                dtmf: Some(digit.to_string()),
            }));
        }
    }

    pub(super) fn on_midcall_reply(
        &mut self,
        purpose: Purpose,
        reply: Result<Reply, CommandError>,
        out: &mut Vec<Action>,
    ) {
        match purpose {
            Purpose::Dtmf(asked, digits) => match reply {
                Ok(Reply::DtmfTaken {
                    as_telephone_event: true,
                }) => {
                    out.push(Action::Reply(asked, Ok(ResultBody::Sent)));
                }
                Ok(_) => self.dtmf_by_info(asked, &digits, out),
                Err(error) => out.push(Action::Reply(asked, failed(&error.message))),
            },
            Purpose::UpdateMedia(asked) => {
                let result = match reply {
                    Ok(Reply::Reoffered { answer, .. }) => Ok(self.updated_media(answer)),
                    Ok(_) => failed("no answer was made"),
                    Err(error) => failed(&error.message),
                };
                out.push(Action::Reply(asked, result));
            }
            Purpose::CarrierOffer(incoming) | Purpose::OfferForCarrier(incoming) => {
                if let Ok(Reply::Reoffered { direction, .. }) = &reply {
                    self.far_end_holds(*direction, out);
                }
                self.answer_owed |= matches!(&reply, Ok(Reply::Offered { .. }));
                out.push(match reply {
                    Ok(Reply::Reoffered { answer: sdp, .. } | Reply::Offered { offer: sdp }) => {
                        Action::Respond(incoming, 200, Some(sdp))
                    }
                    Ok(_) => Action::Respond(incoming, 500, None),
                    Err(error) => Action::Respond(incoming, status_of(error.kind), None),
                });
            }
            Purpose::HoldOffer | Purpose::HoldAnswer | Purpose::Hold => {
                self.on_hold_reply(&purpose, reply, out)
            }
            // Those of the set-up and the end are dispatched before.
            Purpose::Open
            | Purpose::EarlyAnswer(_)
            | Purpose::FinalAnswer(_)
            | Purpose::Offer
            | Purpose::Accept
            | Purpose::Replacement
            | Purpose::AttachOffer
            | Purpose::AttachAnswer(_)
            | Purpose::NewcomerOffer
            | Purpose::Newcomer
            | Purpose::SecondOffer(_)
            | Purpose::OfferForSecond(_)
            | Purpose::ResumeOffer
            | Purpose::LateAnswer
            | Purpose::Close
            | Purpose::Nothing => {}
        }
    }

    /// The steps of a change of hold, one after the other.
    fn on_hold_reply(&mut self, step: &Purpose, reply: Result<Reply, CommandError>, out: &mut Vec<Action>) {
        match (step, reply) {
            (Purpose::HoldAnswer | Purpose::Hold, Err(error)) => self.undo_hold(&error.message, out),
            (_, Err(error)) => self.hold_failed(&error.message, out),
            (Purpose::HoldOffer, Ok(Reply::Offered { offer })) => {
                out.push(Action::Request(SipRequest::Reinvite(offer), SipPurpose::Hold));
            }
            (Purpose::HoldOffer, Ok(_)) => self.hold_failed("no offer was made", out),
            (Purpose::HoldAnswer, Ok(_)) => {
                let held = matches!(&self.state, State::Active(active)
                    if active.hold_change.as_ref().is_some_and(|change| change.target == HoldState::Held));
                let session = self.media.clone();
                out.push(Action::Media(Command::Hold { session, held }, Purpose::Hold));
            }
            (_, Ok(_)) => self.hold_done(out),
        }
    }

    fn updated_media(&self, sdp: String) -> ResultBody {
        let state = match &self.state {
            State::Active(active) => active.hold,
            _ => HoldState::Active,
        };
        ResultBody::UpdatedMedia {
            call: self.client_id.clone(),
            sdp,
            state,
        }
    }
}

fn next_digit(active: &mut Active, out: &mut Vec<Action>) {
    if !active.digit_sent
        && let Some(digit) = active.digits.pop_front()
    {
        active.digit_sent = true;
        out.push(Action::Request(SipRequest::Digit(digit), SipPurpose::Digit));
    }
}

/// What a far end is told of us while the client has it on hold, or not.
pub(super) const fn direction_of(hold: HoldState) -> Direction {
    match hold {
        HoldState::Held => Direction::SendOnly,
        HoldState::Active => Direction::SendRecv,
    }
}

pub(super) fn failed<T>(why: &str) -> Result<T, RpcError> {
    Err(RpcError::new(ErrorCode::CallFailed, why))
}

/// The answer to a new offer of the SIP side that the gateway refused.
pub(super) fn status_of(kind: CommandErrorKind) -> u16 {
    match kind {
        CommandErrorKind::BadSdp | CommandErrorKind::NoCommonCodec => 488,
        CommandErrorKind::Busy | CommandErrorKind::Draining | CommandErrorKind::LinkDown => 503,
        CommandErrorKind::WrongState => 491,
        CommandErrorKind::UnknownSession
        | CommandErrorKind::SessionExists
        | CommandErrorKind::UnknownSound => 500,
    }
}
