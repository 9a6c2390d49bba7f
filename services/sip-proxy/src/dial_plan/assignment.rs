//! Whose a number is: who is tried, in which order, and when the next one is.

use super::{Number, UserName};
use offhook_sip_message::StatusCode;
use std::time::Duration;

/// What a call to one of our numbers does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Who is tried, in this order.
    pub destinations: Vec<Destination>,
    /// How long each of them may ring; `None`: as long as any call.
    pub ring_timeout: Option<Duration>,
    /// What makes the proxy go on with the next one.
    pub next_on: Vec<Unanswered>,
}

impl Assignment {
    /// The number belongs to one user.
    pub fn to_user(user: UserName) -> Self {
        Self {
            destinations: vec![Destination::User(user)],
            ring_timeout: None,
            next_on: Unanswered::DEFAULT.to_vec(),
        }
    }
}

/// One who may take a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A user, at whichever VSP serves the user.
    User(UserName),
    /// A number elsewhere, over the carriers of its route.
    Number(Number),
}

/// Why somebody did not take a call, as far as it decides whether the next one is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// In another call: 486, 600.
    Busy,
    /// Rang, and nobody answered in time.
    NoAnswer,
    /// Not there: no session, no registration, no such user, or the way there is broken.
    Offline,
    /// Does not want the call: 603, or 487 although nobody cancelled.
    Rejected,
}

impl Unanswered {
    /// What makes the proxy go on unless the number says otherwise.
    pub const DEFAULT: [Self; 3] = [Self::Busy, Self::NoAnswer, Self::Offline];

    /// What a final status means of somebody who `rang`, or did not. `None`: it says nothing of the kind (e.g. 488).
    pub fn of(status: StatusCode, rang: bool) -> Option<Self> {
        match status.code() {
            486 | 600 => Some(Self::Busy),
            408 | 480 if rang => Some(Self::NoAnswer),
            404 | 408 | 410 | 480 | 500..600 => Some(Self::Offline),
            487 | 603 => Some(Self::Rejected),
            _ => None,
        }
    }
}
