//! The INVITE client transaction: RFC 3261 §17.1.1 with the Accepted state of RFC 6026 §8.4.
//!
//! ```text
//!                     │ INVITE from the user: send it
//!     timer A:        ▼
//!     send again ┌─ Calling ──────────── timer B: time-out ────────► Terminated
//!                └──► │ │ └─ give_up_after: time-out ─► Abandoned ──────┘ 64 × T1
//!                 1xx │ │                                   │ 1xx: CANCEL
//!                     ▼ │                                   ▼
//!            ┌── Proceeding ◄───────────────────────────────┘
//!     1xx:   └──► │  │ │ └── 64 × T1 after CANCEL: time-out ─► Terminated
//!     deliver     │  │ │
//!     300-699:    │  │ └─ 2xx: deliver ─► Accepted ── timer M ─► Terminated
//!     deliver, ACK▼  │                      │ ▲ 2xx: deliver
//!               Completed ── timer D ─► Terminated
//!                 │ ▲ 300-699: send ACK again
//! ```
//!
//! Abandoned is ours: after a give-up time shorter than timer B the user has moved on, but the request may still ring
//! somewhere. A late 1xx is then answered with CANCEL, and a late 2xx still reaches the user.

use super::action::{Action, Actions};
use super::derive;
use crate::timer::Timing;
use bytes::Bytes;
use offhook_sip_message::Message;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct InviteClient {
    /// To be sent again, and to make CANCEL and ACK from, which few calls need: then it is read.
    request: Bytes,
    timing: Timing,
    reliable: bool,
    state: State,
    /// The user was told that it is over; only a 2xx may still reach it.
    user_left: bool,
}

#[derive(Debug)]
enum State {
    Calling {
        /// Timer A; `None` over a reliable transport.
        retransmit_at: Option<Instant>,
        interval: Duration,
        /// Timer B, or the shorter time that the user asked for.
        give_up_at: Instant,
        /// When timer B would fire.
        end_at: Instant,
        /// To be sent when a provisional response comes (§9.1).
        cancel: Option<Box<Message>>,
    },
    Abandoned {
        end_at: Instant,
        cancel: Box<Message>,
    },
    Proceeding {
        /// 64 × T1 after CANCEL; without a CANCEL, how long it may ring is for the user to say.
        give_up_at: Option<Instant>,
    },
    Completed {
        ack: Option<Bytes>,
        /// Timer D.
        end_at: Instant,
    },
    Accepted {
        /// Timer M.
        end_at: Instant,
    },
    Terminated,
}

impl InviteClient {
    /// The transaction and its first effect: the INVITE goes out.
    pub(super) fn start(
        now: Instant,
        request: Bytes,
        timing: Timing,
        reliable: bool,
        give_up_after: Option<Duration>,
    ) -> (Self, Actions) {
        let mut actions = Actions::new();
        actions.push(Action::send(&request));
        let end_at = now + timing.give_up();
        let state = State::Calling {
            retransmit_at: (!reliable).then(|| now + timing.t1),
            interval: timing.t1,
            give_up_at: give_up_after.map_or(end_at, |after| end_at.min(now + after)),
            end_at,
            cancel: None,
        };
        let this = Self {
            request,
            timing,
            reliable,
            state,
            user_left: false,
        };
        (this, actions)
    }

    /// The INVITE; `None` once nothing is made from it any more.
    pub(super) fn request(&self) -> Option<Message> {
        Message::parse(self.request.clone()).ok()
    }

    pub(super) fn handle_response(&mut self, now: Instant, response: Message) -> Actions {
        let mut actions = Actions::new();
        let Some(status) = response.status() else {
            return actions;
        };
        if status.is_provisional() {
            self.on_provisional(now, response, &mut actions);
        } else if status.is_success() {
            self.on_success(now, response, &mut actions);
        } else {
            self.on_rejection(now, response, &mut actions);
        }
        actions
    }

    fn on_provisional(&mut self, now: Instant, response: Message, actions: &mut Actions) {
        let cancelled_at = now + self.timing.give_up();
        match std::mem::replace(&mut self.state, State::Terminated) {
            State::Calling { cancel, .. } => {
                self.state = State::Proceeding {
                    give_up_at: cancel.is_some().then_some(cancelled_at),
                };
                actions.push(Action::Deliver(response));
                actions.extend(cancel.map(Action::StartCancel));
            }
            State::Abandoned { cancel, .. } => {
                self.state = State::Proceeding {
                    give_up_at: Some(cancelled_at),
                };
                actions.push(Action::StartCancel(cancel));
            }
            state @ State::Proceeding { .. } => {
                self.state = state;
                if !self.user_left {
                    actions.push(Action::Deliver(response));
                }
            }
            state => self.state = state,
        }
    }

    fn on_success(&mut self, now: Instant, response: Message, actions: &mut Actions) {
        match self.state {
            State::Calling { .. } | State::Abandoned { .. } | State::Proceeding { .. } => {
                self.state = State::Accepted {
                    end_at: now + self.timing.give_up(),
                };
                self.request.clear();
                actions.push(Action::Deliver(response));
            }
            // Completed too: another fork's 2xx has to be acknowledged and ended by somebody.
            State::Accepted { .. } | State::Completed { .. } => actions.push(Action::Deliver(response)),
            State::Terminated => {}
        }
    }

    fn on_rejection(&mut self, now: Instant, response: Message, actions: &mut Actions) {
        match &self.state {
            State::Calling { .. } | State::Abandoned { .. } | State::Proceeding { .. } => {
                let ack = self
                    .request()
                    .and_then(|request| derive::ack_of_rejection(&request, &response));
                self.request.clear();
                if !self.user_left {
                    actions.push(Action::Deliver(response));
                }
                actions.extend(ack.as_ref().map(Action::send));
                let absorb = self.timing.absorb_responses(self.reliable);
                self.state = if absorb.is_zero() {
                    State::Terminated
                } else {
                    State::Completed {
                        ack,
                        end_at: now + absorb,
                    }
                };
            }
            State::Completed { ack, .. } => actions.extend(ack.as_ref().map(Action::repeat)),
            State::Accepted { .. } | State::Terminated => {}
        }
    }

    /// Cancels; `Err` when there is nothing left to cancel.
    pub(super) fn cancel(&mut self, now: Instant, message: Message) -> Result<Actions, ()> {
        let mut actions = Actions::new();
        match &mut self.state {
            State::Calling { cancel, .. } => {
                cancel.get_or_insert(Box::new(message));
            }
            State::Proceeding { give_up_at } => {
                if give_up_at.is_none() {
                    *give_up_at = Some(now + self.timing.give_up());
                    actions.push(Action::StartCancel(Box::new(message)));
                }
            }
            State::Abandoned { .. }
            | State::Completed { .. }
            | State::Accepted { .. }
            | State::Terminated => {
                return Err(());
            }
        }
        Ok(actions)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Actions {
        let mut actions = Actions::new();
        match &mut self.state {
            State::Calling { give_up_at, .. } if *give_up_at <= now => self.give_up(now, &mut actions),
            State::Calling {
                retransmit_at: Some(at),
                interval,
                ..
            } if *at <= now => {
                // Timer A doubles without a ceiling (§17.1.1.2).
                *interval *= 2;
                *at = now + *interval;
                actions.push(Action::repeat(&self.request));
            }
            State::Proceeding { give_up_at: Some(at) } if *at <= now => {
                if !self.user_left {
                    actions.push(Action::TimedOut);
                }
                self.state = State::Terminated;
            }
            State::Abandoned { end_at, .. }
            | State::Completed { end_at, .. }
            | State::Accepted { end_at }
                if *end_at <= now =>
            {
                self.state = State::Terminated;
            }
            _ => {}
        }
        actions
    }

    fn give_up(&mut self, now: Instant, actions: &mut Actions) {
        actions.push(Action::TimedOut);
        self.user_left = true;
        let State::Calling { end_at, cancel, .. } = std::mem::replace(&mut self.state, State::Terminated)
        else {
            return;
        };
        let cancel = cancel
            .map(|message| *message)
            .or_else(|| derive::cancel_of(&self.request()?, &[]));
        if now < end_at
            && let Some(cancel) = cancel
        {
            self.state = State::Abandoned {
                end_at,
                cancel: Box::new(cancel),
            };
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Calling {
                retransmit_at,
                give_up_at,
                ..
            } => Some(retransmit_at.map_or(*give_up_at, |at| at.min(*give_up_at))),
            State::Proceeding { give_up_at } => *give_up_at,
            State::Abandoned { end_at, .. }
            | State::Completed { end_at, .. }
            | State::Accepted { end_at } => Some(*end_at),
            State::Terminated => None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    /// Whether the transaction still sends or waits, so that a transport error concerns its user.
    pub(super) fn is_waiting(&self) -> bool {
        !self.user_left && matches!(self.state, State::Calling { .. } | State::Proceeding { .. })
    }
}
