//! The server transaction of every request but INVITE: RFC 3261 §17.2.2.
//!
//! ```text
//!                       │ request: deliver
//!     request: ignore   ▼
//!                 ┌─ Trying ──────── 64 × T1 without an answer ────────► Terminated
//!                 └──►│  │ 1xx from the user: send                          ▲  ▲
//!                     │  ▼                                                  │  │
//!     request, 1xx: ┌─│─ Proceeding ─ 64 × T1 without a final answer ───────┘  │
//!     send          └─│─►│ 200-699 from the user: send                         │
//!                     ▼  ▼                                                     │
//!                   Completed ─────── timer J ─────────────────────────────────┘
//!                     │ ▲ request: send again
//! ```
//!
//! The end of an unanswered transaction is ours: its client has given up by then (timer F), so keeping it is a leak.

use super::action::{Action, Actions};
use crate::timer::Timing;
use bytes::Bytes;
use offhook_sip_message::StatusCode;
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Server {
    timing: Timing,
    reliable: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Trying {
        end_at: Instant,
    },
    Proceeding {
        end_at: Instant,
        last: Bytes,
    },
    Completed {
        /// Timer J.
        end_at: Instant,
        response: Bytes,
    },
    Terminated,
}

impl Server {
    pub(super) fn start(now: Instant, timing: Timing, reliable: bool) -> Self {
        let state = State::Trying {
            end_at: now + timing.give_up(),
        };
        Self {
            timing,
            reliable,
            state,
        }
    }

    /// The request came again.
    pub(super) fn handle_repeated(&mut self) -> Actions {
        let mut actions = Actions::new();
        match &self.state {
            State::Proceeding { last: bytes, .. } | State::Completed { response: bytes, .. } => {
                actions.push(Action::repeat(bytes));
            }
            State::Trying { .. } | State::Terminated => {}
        }
        actions
    }

    /// The user answers; `Err` if that is not possible any more.
    pub(super) fn respond(
        &mut self,
        now: Instant,
        status: StatusCode,
        response: Bytes,
    ) -> Result<Actions, ()> {
        let mut actions = Actions::new();
        match &self.state {
            State::Trying { end_at } | State::Proceeding { end_at, .. } => {
                actions.push(Action::send(&response));
                self.state = if status.is_provisional() {
                    State::Proceeding {
                        end_at: *end_at,
                        last: response,
                    }
                } else if self.reliable {
                    State::Terminated
                } else {
                    State::Completed {
                        end_at: now + self.timing.give_up(),
                        response,
                    }
                };
                Ok(actions)
            }
            State::Completed { .. } | State::Terminated => Err(()),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.state = State::Terminated;
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Trying { end_at } | State::Proceeding { end_at, .. } | State::Completed { end_at, .. } => {
                Some(*end_at)
            }
            State::Terminated => None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}
