//! One call: the client's side of it, its SIP dialog and its media session.
//!
//! ```text
//! of the client:   Opening ──opened──► Inviting ──200──► Answering ──applied──► Active
//! for the client:  Offering ──opened──► Ringing ──answer──► Accepting ──applied──► Active
//! transferred:     Active ──another party in the client's place──► Connected
//! each of them:    ──ended──► Closing ──closed──► (forgotten)
//! ```
//!
//! A call for a user rings at each of its sessions as a call of its own; [`crate::incoming`] has the SIP side of all of
//! them until one is answered. In `Closing` the client and the SIP side are done with the call; the gateway still has to say how it went.

mod action;
mod answer;
mod attach;
mod connected;
mod exchange;
mod midcall;
mod parties;
mod setup;
mod start;
mod state;
mod successor;
mod transfer;
mod view;

pub(crate) use action::{
    Action, Asked, CallTimer, Newcomer, OutgoingCall, Purpose, SipPurpose, SipRequest, TransferOrder,
};
pub(crate) use attach::Return;
pub(crate) use exchange::{Goal, TransferTo};
pub(crate) use midcall::{MESSAGE_LEN_MAX, SipOutcome};
pub(crate) use parties::{ANONYMOUS, UNNAMED, same_number};
pub(crate) use setup::Refused;
pub(crate) use start::{NewCall, Start};
pub use state::CallState;
pub(crate) use successor::Successor;

use crate::limits::{CLOSE_WAIT_MAX, PENDING_PER_CALL_MAX};
use crate::output::{CallRecord, EndedBy, Note};
use crate::translate::{self, Cause, End};
use action::HoldChange;
use offhook_call_trace::CallId;
use offhook_media_control::{
    Command, CommandError, GoneReason, Latching, MediaSessionId, Reply, SessionSummary,
};
use offhook_rpc_message::validate::CustomHeader;
use offhook_rpc_message::{
    Bye, ByeMessage, CallIds, ClientCallId, ErrorCode, HoldState, Party, ResultBody, RpcError, ServerMessage,
    SessionId,
};
use offhook_sip::user_agent::LegId;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Names a call inside one server; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CallKey(pub(crate) u64);

/// A call.
#[derive(Debug)]
pub(crate) struct Call {
    /// Through all parts.
    pub(crate) id: CallId,
    /// For the client.
    pub(crate) client_id: ClientCallId,
    /// Session that it belongs to.
    pub(crate) session: SessionId,
    /// On the gateway.
    pub(crate) media: MediaSessionId,
    /// In the SIP user agent, once the INVITE is out.
    pub(crate) leg: Option<LegId>,
    /// Of a party beside the far end: a newcomer that is called, or the second one of two that were connected.
    pub(crate) second: Option<LegId>,
    /// The caller asked that its number is not shown.
    hides_caller: bool,
    /// The client was shown another far end, and may have lost that with a socket.
    party_unseen: bool,
    /// How often far ends have sent us to somebody else.
    pub(crate) far_transfers: u8,
    /// Commands without reply.
    pub(crate) commands: usize,
    /// Whether it came for the client.
    inbound: bool,
    /// The incoming leg that rings here, until it is answered.
    pub(crate) incoming: Option<LegId>,
    /// Whether it counts as a call of its own: not while it rings at several clients.
    counted: bool,
    /// Status for the SIP side when the client declines.
    reject_code: u16,
    /// Headers of the INVITE: applications repeat them in their `bye`.
    invite_headers: Vec<CustomHeader>,
    user: String,
    ids: CallIds,
    caller: Party,
    callee: Party,
    started: Instant,
    /// How long it may last.
    duration_max: Option<Duration>,
    /// How long two far parties may talk after a transfer.
    connected_max: Duration,
    sip_call_id: Option<String>,
    /// Opaque text of the application.
    client_state: Option<String>,
    /// Answer for the client's offer.
    client_answer: ClientAnswer,
    /// Whose packets the gateway takes on the far side; none: its own rule.
    pub(crate) latching: Option<Latching>,
    /// A 200 of ours makes an offer: its ACK has to bring the answer.
    answer_owed: bool,
    state: State,
}

/// What the client knows of the answer to its offer.
#[derive(Debug)]
enum ClientAnswer {
    /// Nothing.
    None,
    /// It was sent, and may have been lost with a socket.
    Sent(String),
    /// It has arrived.
    Acknowledged,
}

#[derive(Debug)]
enum State {
    /// The gateway makes the offer.
    Opening {
        outgoing: Box<OutgoingCall>,
        candidates: Vec<String>,
        ring_timeout: Duration,
    },
    /// The INVITE is out. `rung`: the client was told; `carrier_sdp`: a provisional response had one.
    Inviting {
        rung: bool,
        carrier_sdp: bool,
        early_answer: bool,
    },
    /// The far end has answered; the gateway applies its SDP.
    Answering,
    /// A call for the client: the gateway makes the offer for it.
    Offering {
        headers: Vec<CustomHeader>,
        /// The client will acknowledge the invite.
        acknowledges: bool,
    },
    /// The client was offered the call.
    Ringing(Box<Ringing>),
    /// The client has answered; the gateway applies its SDP.
    Accepting {
        asked: Option<Asked>,
        headers: Vec<CustomHeader>,
    },
    /// Both talk.
    Active(Box<Active>),
    /// Two far parties talk; the client has left.
    Connected {
        /// When the call was answered.
        since: Instant,
    },
    /// Over; the gateway closes.
    Closing(Box<CallRecord>),
}

/// Whether the browser's end of the media is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientMedia {
    /// As far as we know.
    There,
    /// It has fallen silent.
    Silent,
    /// We have offered it anew, and the client has not answered yet.
    Offered,
}

#[derive(Debug)]
struct Ringing {
    /// As it was sent, should it have to be sent again.
    invite: ServerMessage,
    /// The client has acknowledged it.
    acknowledged: bool,
    /// Of the client, that came before its answer.
    candidates: Vec<String>,
}

#[derive(Debug)]
struct Active {
    since: Instant,
    /// The client has acknowledged the answer.
    acknowledged: bool,
    hold: HoldState,
    hold_change: Option<HoldChange>,
    /// Whether the far end holds us, once it has.
    far_held: Option<bool>,
    /// Somebody is to take the client's place, or the far end's.
    transfer: Option<exchange::Transfer>,
    /// Somebody whom the far end has sent, while the gateway puts it into that one's place.
    successor: Option<Box<Successor>>,
    /// The client's media.
    client_media: ClientMedia,
    /// The far end hears that the client may come back.
    away: bool,
    /// Digits that wait for their INFO.
    digits: VecDeque<char>,
    digit_sent: bool,
}

impl Call {
    /// Whose call it is.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// The application's own text about the call, handed back with what it is told of it.
    pub(crate) fn set_client_state(&mut self, state: Option<String>) {
        self.client_state = state;
    }

    /// Whether the client still has the call.
    pub(crate) fn is_live(&self) -> bool {
        !matches!(self.state, State::Closing(_))
    }

    /// Whether the call has been answered, and is not over.
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.state, State::Active(_))
    }

    /// Refuses a request where too many wait already.
    pub(crate) fn has_room(&self) -> bool {
        self.commands < PENDING_PER_CALL_MAX
    }

    /// The client hangs up; `headers` are those of its message that may pass.
    pub(crate) fn hang_up_by_client(
        &mut self,
        now: Instant,
        asked: Asked,
        bye: &Bye,
        mut headers: Vec<CustomHeader>,
        out: &mut Vec<Action>,
    ) {
        let active = self.is_active() || matches!(self.state, State::Answering);
        if self.incoming.is_some() {
            return self.decline(now, asked, bye, out);
        }
        let default = if active {
            Cause::NORMAL_CLEARING
        } else {
            Cause::USER_BUSY
        };
        out.push(Action::Reply(
            asked,
            Ok(ResultBody::CallEnded {
                call: self.client_id.clone(),
                cause: bye.cause.clone().unwrap_or_else(|| default.name.to_owned()),
                cause_code: bye.cause_code.unwrap_or(default.code),
            }),
        ));
        let cause = match bye.cause_code {
            _ if !active => Cause::ORIGINATOR_CANCEL,
            Some(code) => translate::cause_of_q850(code),
            None => Cause::NORMAL_CLEARING,
        };
        headers.retain(|header| !self.invite_headers.contains(header));
        out.push(Action::HangUp(
            active.then(|| translate::reason_of_cause(bye.cause_code)),
            headers,
        ));
        self.finish(now, EndedBy::Client, cause, None, None, out);
    }

    /// We end the call: a timeout, a limit, the shutdown, a client that is gone.
    pub(crate) fn end(&mut self, now: Instant, by: EndedBy, end: End, out: &mut Vec<Action>) {
        if !self.is_live() {
            return;
        }
        out.push(Action::HangUp(
            Some(format!("Q.850;cause={}", end.cause.q850())),
            Vec::new(),
        ));
        let bye = self.bye(
            end.cause,
            Some(end.sip_code),
            Some(end.sip_reason.to_owned()),
            Vec::new(),
        );
        let known = !matches!(self.state, State::Offering { .. } | State::Connected { .. });
        self.finish(now, by, end.cause, Some(end.sip_code), known.then_some(bye), out);
    }

    /// The SIP side has ended an answered call, for this cause of Q.850 if it gave one.
    pub(crate) fn on_remote_bye(
        &mut self,
        now: Instant,
        leg: LegId,
        q850: Option<u16>,
        headers: Vec<CustomHeader>,
        out: &mut Vec<Action>,
    ) {
        if !self.is_live() {
            return;
        }
        if self.is_connected() || self.waits_for_successor() {
            return self.on_party_gone(now, leg, q850, out);
        }
        let cause = q850.map_or(Cause::NORMAL_CLEARING, translate::cause_of_q850);
        let bye = self.bye(cause, None, None, headers);
        self.finish(now, EndedBy::Carrier, cause, None, Some(bye), out);
    }

    /// The gateway has given the session up.
    pub(crate) fn on_gone(
        &mut self,
        now: Instant,
        reason: GoneReason,
        summary: SessionSummary,
        out: &mut Vec<Action>,
    ) {
        if let State::Closing(record) = &mut self.state {
            record.media = Some(summary);
            return self.close(out);
        }
        self.end(now, EndedBy::Gateway, translate::end_of_gone(reason), out);
        if let State::Closing(record) = &mut self.state {
            record.media = (summary != SessionSummary::default()).then_some(summary);
            // The session is gone already: take back the Close that ending asked for.
            out.retain(|action| !matches!(action, Action::Media(Command::Close { .. }, _)));
            self.close(out);
        }
    }

    /// The link to the gateway is down: the session cannot be closed in order.
    pub(crate) fn on_link_down(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.on_gone(now, GoneReason::LinkDown, SessionSummary::default(), out);
    }

    /// A deadline of this call has come.
    pub(crate) fn on_timer(&mut self, now: Instant, timer: CallTimer, out: &mut Vec<Action>) {
        match (timer, &self.state) {
            (CallTimer::Hold, _) => self.hold_takes_long(out),
            (CallTimer::Attach, _) => self.end(now, EndedBy::Vsp, End::CLIENT_GONE, out),
            (CallTimer::Transfer, _) => self.newcomer_failed(now, 408, out),
            (CallTimer::Retry, State::Connected { .. }) => self.resume(out),
            (CallTimer::Retry, _) => self.hold_again(out),
            (CallTimer::State, State::Closing(_)) => self.close(out),
            (CallTimer::State, State::Active(_) | State::Connected { .. }) => {
                self.end(now, EndedBy::Vsp, End::TOO_LONG, out)
            }
            (CallTimer::State, State::Answering) => {
                self.end(now, EndedBy::Gateway, translate::MEDIA_GATEWAY_LOST, out);
            }
            (CallTimer::State, State::Opening { .. } | State::Inviting { .. }) => {
                self.end(now, EndedBy::Vsp, End::RING_TIMEOUT, out);
            }
            // The incoming leg has a deadline for all clients that ring.
            (CallTimer::State, State::Offering { .. } | State::Ringing(_) | State::Accepting { .. }) => {}
        }
    }

    /// The SIP dialog has this Call-ID.
    pub(crate) fn set_sip_call_id(&mut self, sip_call_id: String) {
        self.sip_call_id = Some(sip_call_id);
    }

    /// The reply to a command.
    pub(crate) fn on_reply(
        &mut self,
        now: Instant,
        purpose: Purpose,
        reply: Result<Reply, CommandError>,
        out: &mut Vec<Action>,
    ) {
        match purpose {
            Purpose::Open => self.on_opened(now, reply, out),
            Purpose::EarlyAnswer(headers) => self.on_early_answer(reply, headers, out),
            Purpose::FinalAnswer(headers) => self.on_final_answer(now, reply, headers, out),
            Purpose::Offer => self.on_offer_made(now, reply, out),
            Purpose::Accept => self.on_accepted(now, reply, out),
            Purpose::AttachOffer => self.on_attach_offer(now, reply, out),
            Purpose::AttachAnswer(asked) => self.on_attach_answer(now, asked, reply, out),
            Purpose::Replacement => self.on_replacement(reply, out),
            Purpose::NewcomerOffer => self.on_newcomer_offer(now, reply, out),
            Purpose::Newcomer => self.on_newcomer_placed(now, reply, out),
            Purpose::SecondOffer(_) | Purpose::OfferForSecond(_) | Purpose::ResumeOffer => {
                self.on_connected_reply(purpose, reply, out);
            }
            Purpose::LateAnswer => self.on_late_answer(now, reply, out),
            Purpose::Close => {
                if let (State::Closing(record), Ok(Reply::Closed { summary })) = (&mut self.state, reply) {
                    record.media = Some(summary);
                }
                self.close(out);
            }
            Purpose::Nothing => {}
            purpose => self.on_midcall_reply(purpose, reply, out),
        }
    }

    fn bye(
        &self,
        cause: Cause,
        sip_code: Option<u16>,
        sip_reason: Option<String>,
        headers: Vec<CustomHeader>,
    ) -> ByeMessage {
        ByeMessage {
            call: self.client_id.clone(),
            cause: cause.name.to_owned(),
            cause_code: cause.code,
            sip_code,
            sip_reason,
            sip_call_id: self.sip_call_id.clone(),
            client_state: self.client_state.clone(),
            headers,
        }
    }

    /// The one way into `Closing`.
    fn finish(
        &mut self,
        now: Instant,
        ended_by: EndedBy,
        cause: Cause,
        sip_code: Option<u16>,
        bye: Option<ByeMessage>,
        out: &mut Vec<Action>,
    ) {
        self.end_transfer(out);
        if let Some(second) = self.second.take() {
            let reason = format!("Q.850;cause={}", cause.q850());
            out.push(Action::HangUpLeg(second, Some(reason)));
        }
        let answered = match &mut self.state {
            State::Closing(_) => return,
            State::Connected { since } => Some(*since),
            State::Active(active) => {
                if let Some(asked) = active.hold_change.take().and_then(|change| change.asked) {
                    let error = RpcError::new(ErrorCode::CallFailed, "the call has ended");
                    out.push(Action::Reply(asked, Err(error)));
                }
                Some(active.since)
            }
            State::Accepting { asked, .. } => {
                // The SDK takes an error for a fault of its own; the `bye` that follows says why.
                if let Some(asked) = asked.take() {
                    let call = self.client_id.clone();
                    out.push(Action::Reply(asked, Ok(ResultBody::CallAnswered(call))));
                }
                None
            }
            State::Opening { .. }
            | State::Inviting { .. }
            | State::Answering
            | State::Offering { .. }
            | State::Ringing(_) => None,
        };
        if let Some(leg) = self.incoming.take() {
            out.push(Action::RingsNoMore(leg, sip_code.unwrap_or(480), ended_by));
        }
        let told = bye.map(|bye| Box::new(ServerMessage::Bye(bye)));
        if let Some(message) = &told {
            out.push(Action::Client(message.as_ref().clone()));
        }
        out.push(Action::Released(told));
        out.push(Action::Media(
            Command::Close {
                session: self.media.clone(),
            },
            Purpose::Close,
        ));
        out.push(Action::Deadline(CallTimer::Hold, None));
        out.push(Action::Deadline(CallTimer::Retry, None));
        out.push(Action::Deadline(CallTimer::Attach, None));
        out.push(Action::Deadline(CallTimer::Transfer, None));
        out.push(Action::Deadline(CallTimer::State, Some(now + CLOSE_WAIT_MAX)));
        self.state = State::Closing(Box::new(CallRecord {
            call_id: self.id.clone(),
            user: self.user.clone(),
            from: self.caller.number.clone(),
            to: self.callee.number.clone(),
            ended_by,
            cause,
            sip_code,
            setup: answered.map(|since| since.saturating_duration_since(self.started)),
            talk: answered.map(|since| now.saturating_duration_since(since)),
            media: None,
        }));
    }

    /// The one way out of `Closing`.
    fn close(&mut self, out: &mut Vec<Action>) {
        if let State::Closing(record) = &self.state {
            out.push(Action::Deadline(CallTimer::State, None));
            if self.counted {
                out.push(Action::Note(Note::CallEnded(record.clone())));
            }
            out.push(Action::Over);
        }
    }
}
