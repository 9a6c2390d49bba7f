//! The INVITE server transaction: RFC 3261 §17.2.1 with the Accepted state of RFC 6026 §8.7.
//!
//! ```text
//!                        │ INVITE: deliver, send 100
//!     INVITE:            ▼
//!     send last ┌── Proceeding ── 2xx from the user: send ─► Accepted ── timer L ─► Terminated
//!     1xx again └──►│   │ 300-699 from the user: send           │ ▲ 2xx from the user: send;
//!     1xx from the  │   ▼                                       └─┘ ACK: deliver
//!     user: send    └ Completed ── timer H: no ACK ────► Terminated
//!                    ▲ │ │ ACK                               ▲
//!          timer G,  └─┘ ▼                                   │
//!          INVITE:    Confirmed ──────── timer I ────────────┘
//!          send again
//! ```

use super::action::{Action, Actions};
use crate::timer::Timing;
use bytes::Bytes;
use offhook_sip_message::StatusCode;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct InviteServer {
    timing: Timing,
    reliable: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Proceeding {
        /// The last provisional response.
        last: Bytes,
    },
    Completed {
        response: Bytes,
        /// Timer G; `None` over a reliable transport.
        retransmit_at: Option<Instant>,
        interval: Duration,
        /// Timer H.
        give_up_at: Instant,
    },
    Confirmed {
        /// Timer I.
        end_at: Instant,
    },
    Accepted {
        /// Timer L.
        end_at: Instant,
    },
    Terminated,
}

/// What an ACK that matches the transaction means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AckMeaning {
    /// It completes the transaction after a non-2xx answer.
    Completes,
    /// It acknowledges a 2xx with the INVITE's branch (against the RFC, but seen): the user's business.
    Acknowledges2xx,
    /// Repeated or out of place.
    Nothing,
}

impl InviteServer {
    /// The transaction and its first effect: `trying` (100) goes out at once, which stops the retransmissions that
    /// load the network most.
    pub(super) fn start(timing: Timing, reliable: bool, trying: Bytes) -> (Self, Actions) {
        let mut actions = Actions::new();
        actions.push(Action::send(&trying));
        let state = State::Proceeding { last: trying };
        let this = Self {
            timing,
            reliable,
            state,
        };
        (this, actions)
    }

    /// The INVITE came again.
    pub(super) fn handle_repeated(&mut self) -> Actions {
        let mut actions = Actions::new();
        match &self.state {
            State::Proceeding { last: bytes } | State::Completed { response: bytes, .. } => {
                actions.push(Action::repeat(bytes));
            }
            // In Accepted the user repeats its 2xx itself (RFC 6026 §7.1).
            State::Accepted { .. } | State::Confirmed { .. } | State::Terminated => {}
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
            State::Proceeding { .. } => {
                actions.push(Action::send(&response));
                self.state = if status.is_provisional() {
                    State::Proceeding { last: response }
                } else if status.is_success() {
                    State::Accepted {
                        end_at: now + self.timing.give_up(),
                    }
                } else {
                    State::Completed {
                        response,
                        retransmit_at: (!self.reliable).then(|| now + self.timing.t1),
                        interval: self.timing.t1,
                        give_up_at: now + self.timing.give_up(),
                    }
                };
            }
            // A proxy may see 2xx of several forks, a UA repeats its own; the caller knows which one this is.
            State::Accepted { .. } if status.is_success() => actions.push(Action::send(&response)),
            State::Accepted { .. }
            | State::Completed { .. }
            | State::Confirmed { .. }
            | State::Terminated => {
                return Err(());
            }
        }
        Ok(actions)
    }

    pub(super) fn handle_ack(&mut self, now: Instant) -> AckMeaning {
        match &self.state {
            State::Completed { .. } => {
                let absorb = self.timing.absorb_late(self.reliable);
                self.state = if absorb.is_zero() {
                    State::Terminated
                } else {
                    State::Confirmed { end_at: now + absorb }
                };
                AckMeaning::Completes
            }
            State::Accepted { .. } => AckMeaning::Acknowledges2xx,
            State::Proceeding { .. } | State::Confirmed { .. } | State::Terminated => AckMeaning::Nothing,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Actions {
        let mut actions = Actions::new();
        match &mut self.state {
            State::Completed { give_up_at, .. } if *give_up_at <= now => {
                actions.push(Action::AckMissing);
                self.state = State::Terminated;
            }
            State::Completed {
                retransmit_at: Some(at),
                interval,
                response,
                ..
            } if *at <= now => {
                *interval = self.timing.back_off(*interval);
                *at = now + *interval;
                actions.push(Action::repeat(response));
            }
            State::Confirmed { end_at } | State::Accepted { end_at } if *end_at <= now => {
                self.state = State::Terminated;
            }
            _ => {}
        }
        actions
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Completed {
                retransmit_at,
                give_up_at,
                ..
            } => Some(retransmit_at.map_or(*give_up_at, |at| at.min(*give_up_at))),
            State::Confirmed { end_at } | State::Accepted { end_at } => Some(*end_at),
            State::Proceeding { .. } | State::Terminated => None,
        }
    }

    /// Whether the INVITE still waits for its final answer: only then can it be cancelled (RFC 3261 §9.2).
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}
