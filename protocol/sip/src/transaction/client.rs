//! The client transaction of every request but INVITE: RFC 3261 §17.1.2.
//!
//! ```text
//!                      │ request from the user: send it
//!      timer E:        ▼
//!      send again ┌─ Trying ──────── timer F: time-out ───► Terminated
//!                 └──► │  │                                   ▲   ▲
//!                  1xx │  └──── 200-699: deliver ─────────┐   │   │
//!                      ▼                                  │   │   │
//!      timer E:   ┌─ Proceeding ──── timer F: time-out ───│───┘   │
//!      send again,└──► │  200-699: deliver                │       │
//!      1xx: deliver    ▼                                  │       │
//!                  Completed ◄────────────────────────────┘       │
//!                      └───────────── timer K ────────────────────┘
//! ```

use super::action::{Action, Actions};
use crate::timer::Timing;
use bytes::Bytes;
use offhook_sip_message::Message;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Client {
    request: Bytes,
    timing: Timing,
    reliable: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Trying {
        retry: Retry,
        /// The earlier of timer F and the time that the user asked for.
        give_up_at: Instant,
    },
    Proceeding {
        retry: Retry,
    },
    Completed {
        /// Timer K.
        end_at: Instant,
    },
    Terminated,
}

#[derive(Debug, Clone, Copy)]
struct Retry {
    /// Timer E; `None` over a reliable transport.
    at: Option<Instant>,
    interval: Duration,
    /// Timer F.
    end_at: Instant,
}

impl Client {
    /// The transaction and its first effect: the request goes out.
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
        let retry = Retry {
            at: (!reliable).then(|| now + timing.t1),
            interval: timing.t1,
            end_at,
        };
        let give_up_at = give_up_after.map_or(end_at, |after| end_at.min(now + after));
        let state = State::Trying { retry, give_up_at };
        let this = Self {
            request,
            timing,
            reliable,
            state,
        };
        (this, actions)
    }

    pub(super) fn handle_response(&mut self, now: Instant, response: Message) -> Actions {
        let mut actions = Actions::new();
        let provisional = response.status().is_some_and(|status| status.is_provisional());
        match &self.state {
            State::Trying { retry, .. } | State::Proceeding { retry } => {
                let retry = *retry;
                if provisional {
                    self.state = State::Proceeding { retry };
                } else {
                    let absorb = self.timing.absorb_late(self.reliable);
                    self.request.clear();
                    self.state = if absorb.is_zero() {
                        State::Terminated
                    } else {
                        State::Completed { end_at: now + absorb }
                    };
                }
                actions.push(Action::Deliver(response));
            }
            State::Completed { .. } | State::Terminated => {}
        }
        actions
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Actions {
        let mut actions = Actions::new();
        let (retry, give_up_at, interval_at_least) = match &mut self.state {
            State::Trying { retry, give_up_at } => (retry, *give_up_at, Duration::ZERO),
            // Once a provisional response came, timer E runs at T2 (§17.1.2.2).
            State::Proceeding { retry } => {
                let end_at = retry.end_at;
                (retry, end_at, self.timing.t2)
            }
            State::Completed { end_at } => {
                if *end_at <= now {
                    self.state = State::Terminated;
                }
                return actions;
            }
            State::Terminated => return actions,
        };
        if give_up_at <= now {
            actions.push(Action::TimedOut);
            self.state = State::Terminated;
        } else if let Some(at) = retry.at
            && at <= now
        {
            retry.interval = self.timing.back_off(retry.interval).max(interval_at_least);
            retry.at = Some(now + retry.interval);
            actions.push(Action::repeat(&self.request));
        }
        actions
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let (retry, give_up_at) = match &self.state {
            State::Trying { retry, give_up_at } => (retry, *give_up_at),
            State::Proceeding { retry } => (retry, retry.end_at),
            State::Completed { end_at } => return Some(*end_at),
            State::Terminated => return None,
        };
        Some(retry.at.map_or(give_up_at, |at| at.min(give_up_at)))
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    /// Whether the transaction still sends or waits, so that a transport error concerns its user.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Trying { .. } | State::Proceeding { .. })
    }
}
