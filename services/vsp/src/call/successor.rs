//! Somebody whom the far end has sent takes its place in the call (RFC 3891).
//!
//! ```text
//!   INVITE with Replaces ──► the gateway takes its offer ──200──► it is the far end, and the old one is hung up on
//!                                 └── it gives up, the call ends ──► as before, or over
//! ```

use super::exchange::Transfer;
use super::midcall::{direction_of, failed, status_of};
use super::{Action, Call, HoldChange, Purpose, State};
use offhook_media_control::{Command, CommandError, Direction, Latching, LegName, Reply};
use offhook_rpc_message::Party;
use offhook_sip::user_agent::{IncomingId, LegId};

/// Who comes.
#[derive(Debug)]
pub(crate) struct Successor {
    /// For the answer.
    pub(crate) incoming: IncomingId,
    pub(crate) leg: LegId,
    pub(crate) party: Party,
    /// Whose packets the gateway takes from it; none: its own rule.
    pub(crate) latching: Option<Latching>,
}

impl Call {
    /// It calls, with an offer or without. Only an active call has a place to take, and one at a time takes it.
    pub(crate) fn replace_far_end(
        &mut self,
        successor: Successor,
        sdp: Option<String>,
        out: &mut Vec<Action>,
    ) {
        let session = self.media.clone();
        let status = match &mut self.state {
            State::Active(active) if active.successor.is_some() => 491,
            // Whoever comes while we make a transfer comes too late.
            State::Active(active)
                if !matches!(active.transfer, Some(Transfer::Ours(_) | Transfer::GivenAway)) =>
            {
                active.successor = Some(Box::new(successor));
                let command = match sdp {
                    Some(sdp) => Command::Reoffer {
                        session,
                        from: LegName::Carrier,
                        sdp,
                    },
                    None => Command::MakeOffer {
                        session,
                        to: LegName::Carrier,
                        direction: direction_of(active.hold),
                        renew: false,
                    },
                };
                return out.push(Action::Media(command, Purpose::Replacement));
            }
            _ => 481,
        };
        out.push(Action::RefuseLeg(successor.incoming, successor.leg, status));
    }

    pub(super) fn on_replacement(&mut self, reply: Result<Reply, CommandError>, out: &mut Vec<Action>) {
        let State::Active(active) = &mut self.state else {
            return;
        };
        let Some(successor) = active.successor.take() else {
            return;
        };
        let status = match reply {
            Ok(Reply::Reoffered { answer, direction }) => {
                return out.push(Action::TakeLeg(successor, answer, Some(direction)));
            }
            Ok(Reply::Offered { offer }) => return out.push(Action::TakeLeg(successor, offer, None)),
            Ok(_) => 500,
            Err(error) => status_of(error.kind),
        };
        out.push(Action::RefuseLeg(successor.incoming, successor.leg, status));
    }

    /// It has its 200, and is the far end: it sends its media so, or was made an offer.
    pub(crate) fn succeeded_by(
        &mut self,
        successor: Successor,
        direction: Option<Direction>,
        out: &mut Vec<Action>,
    ) {
        self.answer_owed = direction.is_none();
        self.latch(successor.latching, out);
        // Whom the old far end was to call is its affair.
        if let Some(asked) = self.take_referred().and_then(|order| order.asked) {
            out.push(Action::Reply(asked, failed("the far end was replaced")));
        }
        self.show_party(successor.party, out);
        self.far_end_holds(direction.unwrap_or(Direction::SendRecv), out);
    }

    /// It gave up before its 200; the far end stays. Where the gateway was told of the new media, the old one's comes back.
    pub(crate) fn successor_gone(&mut self, direction: Option<Direction>, out: &mut Vec<Action>) {
        if direction.is_some() {
            self.recall_far_end(out);
        }
    }

    /// The call ends before the gateway is done.
    pub(super) fn refuse_successor(&mut self, out: &mut Vec<Action>) {
        if let State::Active(active) = &mut self.state
            && let Some(successor) = active.successor.take()
        {
            out.push(Action::RefuseLeg(successor.incoming, successor.leg, 481));
        }
    }

    /// The far end's media went elsewhere, or was to: it is asked to come back, unless it is being asked something already.
    pub(super) fn recall_far_end(&mut self, out: &mut Vec<Action>) {
        if let State::Active(active) = &mut self.state
            && active.hold_change.is_none()
        {
            active.hold_change = Some(HoldChange {
                asked: None,
                action: "return",
                target: active.hold,
            });
            self.hold_again(out);
        }
    }
}
