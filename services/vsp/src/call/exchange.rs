//! One party's place in a call is taken by another, and we see to it: transfers that the far end does not make, and those
//! that it asks us for.
//!
//! ```text
//!   Offering ──offer──► Calling or Joining ──answer──► Replacing ──► connected: two far parties, no client
//!      └───────────────────────┴── refusal, time ──► as before    └► Active: the client with another far party
//! ```

use super::midcall::{SipOutcome, failed};
use super::{Action, Asked, Call, CallKey, CallTimer, Newcomer, Purpose, State, TransferOrder};
use crate::output::{EndedBy, TransferWay};
use crate::translate::{self, End};
use offhook_media_control::{Command, CommandError, Direction, Latching, LegName, Reply, Sound};
use offhook_rpc_message::validate::Destination;
use offhook_rpc_message::{HoldState, Party, ResultBody};
use offhook_sip::user_agent::{LegId, ReferralId};
use std::time::{Duration, Instant};

/// How long the far end of another call may take to answer the offer of a place in this one.
const JOIN_WAIT_MAX: Duration = Duration::from_secs(10);

/// With whom the client wants its far end connected.
#[derive(Debug, Clone)]
pub(crate) enum TransferTo {
    /// Somebody who is to be called.
    Number(Destination),
    /// The far end of another of its calls.
    Call(CallKey),
}

/// A transfer on its way.
#[derive(Debug)]
pub(super) enum Transfer {
    /// The far end was asked to make it.
    Referred(TransferOrder),
    /// We make it.
    Ours(Exchange),
    /// The far end of this call was promised a place in another one.
    GivenAway,
}

/// A transfer that we make.
#[derive(Debug)]
pub(super) struct Exchange {
    by: By,
    /// The newcomer, as others get to know it; `None` if it withholds its number.
    newcomer: Option<Party>,
    stage: Stage,
    /// SDP of the newcomer before its answer.
    early_sdp: Option<String>,
    /// Whose packets the gateway takes from the newcomer; none: its own rule.
    latching: Option<Latching>,
    /// The newest status that was told.
    told: u16,
}

/// Who wanted it.
#[derive(Debug)]
enum By {
    /// The client, whose place is taken. It was told that we have begun unless its request is here.
    Client(Option<Asked>, &'static str),
    /// The far end, whose place is taken, by this.
    FarEnd(LegId, ReferralId),
}

#[derive(Debug)]
enum Stage {
    /// The gateway makes the offer.
    Offering(Goal),
    /// The newcomer was sent it.
    Calling,
    /// The far end of the other call was sent it.
    Joining(CallKey),
    /// The gateway puts the newcomer into its place.
    Replacing(Option<CallKey>),
}

/// Who takes the place, ready to be called.
#[derive(Debug)]
pub(crate) enum Goal {
    /// A newcomer.
    Newcomer(Box<Newcomer>),
    /// The far end of another call; `None` if it withholds its number.
    Other(CallKey, Option<Party>),
}

impl By {
    fn place(&self) -> LegName {
        match self {
            By::Client(..) => LegName::Client,
            By::FarEnd(..) => LegName::Carrier,
        }
    }

    fn way(&self) -> TransferWay {
        match self {
            By::Client(..) => TransferWay::Local,
            By::FarEnd(..) => TransferWay::FarEnd,
        }
    }
}

impl Call {
    /// We make the client's transfer.
    pub(crate) fn begin_transfer(&mut self, order: TransferOrder, goal: Goal, out: &mut Vec<Action>) {
        match self.may_transfer() {
            Ok(()) => self.begin(By::Client(order.asked, order.action), goal, out),
            Err(error) => match order.asked {
                Some(asked) => out.push(Action::Reply(asked, Err(error))),
                None => self.transfer_failed(TransferWay::Local, 491, out),
            },
        }
    }

    /// The far end has sent us to somebody else, and we go. The REFER is accepted.
    pub(crate) fn begin_far_transfer(
        &mut self,
        (leg, referral): (LegId, ReferralId),
        newcomer: Box<Newcomer>,
        out: &mut Vec<Action>,
    ) {
        self.far_transfers = self.far_transfers.saturating_add(1);
        self.begin(By::FarEnd(leg, referral), Goal::Newcomer(newcomer), out);
    }

    fn begin(&mut self, by: By, goal: Goal, out: &mut Vec<Action>) {
        let State::Active(active) = &mut self.state else {
            return;
        };
        let command = Command::PrepareReplacement {
            session: self.media.clone(),
            leg: by.place(),
            ringback: matches!(goal, Goal::Newcomer(_)),
        };
        let newcomer = match &goal {
            Goal::Newcomer(newcomer) => Some(Party {
                name: String::new(),
                number: newcomer.outgoing.destination.as_str().to_owned(),
            }),
            Goal::Other(_, party) => party.clone(),
        };
        active.transfer = Some(Transfer::Ours(Exchange {
            by,
            newcomer,
            stage: Stage::Offering(goal),
            early_sdp: None,
            latching: None,
            told: 100,
        }));
        out.push(Action::Media(command, Purpose::NewcomerOffer));
    }

    fn exchange(&mut self) -> Option<&mut Exchange> {
        match &mut self.state {
            State::Active(active) => match &mut active.transfer {
                Some(Transfer::Ours(exchange)) => Some(exchange),
                _ => None,
            },
            _ => None,
        }
    }

    fn take_exchange(&mut self) -> Option<Exchange> {
        self.exchange()?;
        match &mut self.state {
            State::Active(active) => match active.transfer.take() {
                Some(Transfer::Ours(exchange)) => Some(exchange),
                _ => None,
            },
            _ => None,
        }
    }

    /// As whom a newcomer is called, where the client has said so by its own call: who, and whether that is hidden.
    pub(crate) fn shown_as(&self) -> Option<(Party, bool)> {
        (!self.inbound).then(|| (self.caller.clone(), self.hides_caller))
    }

    /// Whether the far end has sent us to somebody else and may leave before that one has come.
    pub(super) fn waits_for_successor(&mut self) -> bool {
        self.exchange()
            .is_some_and(|exchange| matches!(exchange.by, By::FarEnd(..)))
    }

    /// Whether the gateway puts a newcomer into its place just now: that cannot be taken back.
    pub(super) fn is_being_replaced(&mut self) -> bool {
        self.exchange()
            .is_some_and(|exchange| matches!(exchange.stage, Stage::Replacing(None)))
    }

    pub(super) fn on_newcomer_offer(
        &mut self,
        now: Instant,
        reply: Result<Reply, CommandError>,
        out: &mut Vec<Action>,
    ) {
        let Some(exchange) = self.exchange() else {
            return;
        };
        let offer = match reply {
            Ok(Reply::Offered { offer }) => offer,
            Ok(_) => return self.newcomer_failed(now, 500, out),
            Err(error) => {
                let status = translate::end_of_command_error(error.kind).sip_code;
                return self.newcomer_failed(now, status, out);
            }
        };
        let Stage::Offering(goal) = std::mem::replace(&mut exchange.stage, Stage::Calling) else {
            return;
        };
        let begun = match &mut exchange.by {
            By::Client(asked, action) => asked.take().map(|asked| (asked, *action)),
            By::FarEnd(..) => None,
        };
        match goal {
            Goal::Newcomer(newcomer) => out.push(Action::CallNewcomer(newcomer, offer)),
            Goal::Other(other, _) => {
                exchange.stage = Stage::Joining(other);
                out.push(Action::InviteOther(other, offer));
                out.push(Action::Deadline(CallTimer::Transfer, Some(now + JOIN_WAIT_MAX)));
            }
        }
        if let Some((asked, action)) = begun {
            let call = self.client_id.clone();
            out.push(Action::Reply(
                asked,
                Ok(ResultBody::Transferring { call, action }),
            ));
        }
    }

    /// A provisional response of the newcomer.
    pub(crate) fn newcomer_rings(&mut self, status: u16, sdp: Option<String>, out: &mut Vec<Action>) {
        let Some(exchange) = self.exchange() else {
            return;
        };
        if sdp.is_some() {
            exchange.early_sdp = sdp;
        }
        // A network may repeat itself; those who wait need not hear it.
        if std::mem::replace(&mut exchange.told, status) == status {
            return;
        }
        let kind = exchange.by.way().event();
        if let By::FarEnd(leg, referral) = &exchange.by {
            out.push(Action::ReferProgress(*leg, *referral, status));
        }
        out.push(Action::Client(self.transfer_event(kind, "trying", status)));
    }

    /// The newcomer has answered.
    pub(crate) fn newcomer_answers(
        &mut self,
        now: Instant,
        sdp: Option<String>,
        latching: Option<Latching>,
        out: &mut Vec<Action>,
    ) {
        let Some(exchange) = self.exchange() else {
            return;
        };
        exchange.latching = latching;
        match sdp.or_else(|| exchange.early_sdp.take()) {
            Some(sdp) => self.place(sdp, None, out),
            None => self.newcomer_failed(now, 488, out),
        }
    }

    /// What the offer of a place led to at the far end of the other call.
    pub(super) fn on_joined(
        &mut self,
        now: Instant,
        other: CallKey,
        outcome: SipOutcome,
        out: &mut Vec<Action>,
    ) {
        let awaited = |exchange: &Exchange| matches!(exchange.stage, Stage::Joining(key) if key == other);
        if !self.exchange().is_some_and(|exchange| awaited(exchange)) {
            return;
        }
        match outcome {
            Ok(Some(sdp)) => self.place(sdp, Some(other), out),
            Ok(None) => self.newcomer_failed(now, 488, out),
            Err((status, _)) => self.newcomer_failed(now, status, out),
        }
    }

    fn place(&mut self, sdp: String, other: Option<CallKey>, out: &mut Vec<Action>) {
        let session = self.media.clone();
        let Some(exchange) = self.exchange() else {
            return;
        };
        exchange.stage = Stage::Replacing(other);
        let leg = exchange.by.place();
        out.push(Action::Deadline(CallTimer::Transfer, None));
        out.push(Action::Media(
            Command::Replace { session, leg, sdp },
            Purpose::Newcomer,
        ));
    }

    pub(super) fn on_newcomer_placed(
        &mut self,
        now: Instant,
        reply: Result<Reply, CommandError>,
        out: &mut Vec<Action>,
    ) {
        if let Err(error) = reply {
            let status = translate::end_of_command_error(error.kind).sip_code;
            return self.newcomer_failed(now, status, out);
        }
        let Some(Exchange {
            by,
            newcomer,
            stage,
            latching,
            ..
        }) = self.take_exchange()
        else {
            return;
        };
        out.push(Action::Note(self.transferred(by.way(), 200)));
        out.push(Action::Client(self.transfer_event(by.way().event(), "done", 200)));
        let has_left = self.second.is_none() && matches!(stage, Stage::Replacing(None));
        match (by, stage) {
            (By::Client(..), Stage::Replacing(other)) => {
                self.latch_second(latching, out);
                self.connect(now, other, newcomer, out);
            }
            (By::FarEnd(leg, referral), _) => {
                out.push(Action::ReferProgress(leg, referral, 200));
                out.push(Action::Succeed);
                if !has_left {
                    self.has_new_far_end(newcomer.unwrap_or_default(), latching, out);
                }
            }
            (By::Client(..), _) => {}
        }
        if has_left {
            self.left_alone(now, out);
        }
    }

    /// A leg of its own has the carrier's place: nothing that was said to the one before, or by it, holds for this one.
    fn has_new_far_end(&mut self, party: Party, latching: Option<Latching>, out: &mut Vec<Action>) {
        self.latching = None;
        self.latch(latching, out);
        self.show_party(party, out);
        self.far_end_holds(Direction::SendRecv, out);
        let State::Active(active) = &mut self.state else {
            return;
        };
        if active.hold == HoldState::Held {
            let command = Command::Play {
                session: self.media.clone(),
                to: LegName::Carrier,
                sound: Sound::Hold,
                repeat: true,
                yields: false,
            };
            out.push(Action::Media(command, Purpose::Nothing));
        } else if std::mem::take(&mut active.away) {
            self.client_away(out);
        }
    }

    /// The one whose place was to be taken stays.
    pub(crate) fn newcomer_failed(&mut self, now: Instant, status: u16, out: &mut Vec<Action>) {
        let Some(Exchange { by, stage, .. }) = self.take_exchange() else {
            return;
        };
        let session = self.media.clone();
        out.push(Action::Deadline(CallTimer::Transfer, None));
        out.push(Action::Media(
            Command::DropReplacement { session },
            Purpose::Nothing,
        ));
        self.let_go(&stage, out);
        match by {
            By::Client(Some(asked), _) => {
                out.push(Action::Note(self.transferred(TransferWay::Local, status)));
                out.push(Action::Reply(
                    asked,
                    failed(&format!("the transfer failed: {status}")),
                ));
            }
            By::Client(None, _) => self.transfer_failed(TransferWay::Local, status, out),
            By::FarEnd(leg, referral) => {
                out.push(Action::ReferProgress(leg, referral, status));
                self.transfer_failed(TransferWay::FarEnd, status, out);
                if self.leg.is_none() {
                    let end = End {
                        cause: translate::cause_of_status(status),
                        sip_code: status,
                        sip_reason: "Transfer failed",
                    };
                    self.end(now, EndedBy::Carrier, end, out);
                }
            }
        }
    }

    fn let_go(&mut self, stage: &Stage, out: &mut Vec<Action>) {
        if let Some(leg) = self.second.take() {
            out.push(Action::HangUpLeg(leg, None));
        }
        if let Stage::Joining(other) | Stage::Replacing(Some(other)) = stage {
            out.push(Action::ReturnOther(*other));
        }
    }

    /// The call ends while a transfer is under way.
    pub(super) fn end_transfer(&mut self, out: &mut Vec<Action>) {
        self.refuse_successor(out);
        let State::Active(active) = &mut self.state else {
            return;
        };
        let asked = match active.transfer.take() {
            Some(Transfer::Referred(order)) => order.asked,
            Some(Transfer::Ours(Exchange { by, stage, .. })) => {
                self.let_go(&stage, out);
                match by {
                    By::Client(asked, _) => asked,
                    By::FarEnd(leg, referral) => {
                        out.push(Action::ReferProgress(leg, referral, 487));
                        None
                    }
                }
            }
            Some(Transfer::GivenAway) | None => None,
        };
        if let Some(asked) = asked {
            out.push(Action::Reply(asked, failed("the call has ended")));
        }
    }
}
