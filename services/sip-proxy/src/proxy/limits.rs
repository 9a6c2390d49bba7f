//! How many calls each neighbour may begin per second, and how many a carrier or a user may have at a time.

use super::settings::{Peer, Settings};
use crate::dial_plan::{CarrierId, UserName};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A user whose calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CountedUser(usize);

/// One of the calls that somebody may have at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Carrier(CarrierId),
    User(CountedUser),
}

/// What a call takes up: at most where it came from and where it went, twice if it is a spiral.
pub(super) type Held = SmallVec<[Slot; 2]>;

/// What all neighbours have used up.
#[derive(Debug)]
pub(super) struct Limits {
    carriers: Vec<CarrierUse>,
    vsps: Vec<Rate>,
    calls_per_second: u32,
    /// Of users whose phones have called: as many as the settings name.
    users: HashMap<UserName, Rate>,
    counted: HashMap<UserName, CountedUser>,
    users_calls: Vec<UserCalls>,
    /// Places that are taken, of all together: asked for with each batch of messages.
    held: usize,
}

#[derive(Debug)]
struct UserCalls {
    calls: usize,
    calls_max: usize,
}

#[derive(Debug)]
struct CarrierUse {
    rate: Rate,
    calls_per_second: u32,
    calls: usize,
    calls_max: usize,
}

impl Limits {
    pub(super) fn new(settings: &Settings) -> Self {
        let carriers = settings.carriers.iter().map(|carrier| CarrierUse {
            rate: Rate::default(),
            calls_per_second: carrier.calls_per_second,
            calls: 0,
            calls_max: carrier.calls_max,
        });
        let users = settings.calls_max.iter().enumerate();
        let counted = users.map(|(at, (user, _))| (user.clone(), CountedUser(at)));
        let users_calls = settings.calls_max.values().map(|calls_max| UserCalls {
            calls: 0,
            calls_max: *calls_max,
        });
        Self {
            counted: counted.collect(),
            users_calls: users_calls.collect(),
            carriers: carriers.collect(),
            vsps: settings.vsps.iter().map(|_| Rate::default()).collect(),
            calls_per_second: settings.calls_per_second,
            users: HashMap::new(),
            held: 0,
        }
    }

    /// Whether the phones of this user may begin another call in this second.
    pub(super) fn admit_phone(&mut self, now: Instant, user: &UserName, limit: u32) -> bool {
        self.users.entry(user.clone()).or_default().allow(now, limit)
    }

    /// Whether `peer`, which sends from `source`, may begin another call in this second.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        settings: &Settings,
        peer: Peer,
        source: SocketAddr,
    ) -> bool {
        let (rate, limit) = match peer {
            Peer::Vsp => {
                let vsp = settings.vsp_at(source).and_then(|at| self.vsps.get_mut(at));
                (vsp, self.calls_per_second)
            }
            // Once it is known whose it is: `admit_phone`.
            Peer::Phone => return true,
            Peer::Carrier(CarrierId(at)) => {
                let carrier = self.carriers.get_mut(at);
                let limit = carrier.as_ref().map_or(0, |carrier| carrier.calls_per_second);
                (carrier.map(|carrier| &mut carrier.rate), limit)
            }
        };
        rate.is_none_or(|rate| rate.allow(now, limit))
    }

    /// Takes a place for a call at a carrier; `None` if all are taken.
    pub(super) fn hold(&mut self, id: CarrierId) -> Option<Slot> {
        let carrier = self.carriers.get_mut(id.0)?;
        let free = carrier.calls_max == 0 || carrier.calls < carrier.calls_max;
        carrier.calls += usize::from(free);
        self.held += usize::from(free);
        free.then_some(Slot::Carrier(id))
    }

    /// The user of this name, if the user's calls are counted.
    pub(super) fn counted(&self, user: &str) -> Option<CountedUser> {
        self.counted.get(user).copied()
    }

    /// Whether the user has as many calls as may be.
    pub(super) fn is_busy(&self, user: CountedUser) -> bool {
        let user = self.users_calls.get(user.0);
        user.is_some_and(|user| user.calls >= user.calls_max)
    }

    /// Counts one more call of a user.
    pub(super) fn hold_user(&mut self, user: CountedUser) -> Slot {
        if let Some(user) = self.users_calls.get_mut(user.0) {
            user.calls += 1;
            self.held += 1;
        }
        Slot::User(user)
    }

    /// Gives back what was taken up.
    pub(super) fn release(&mut self, held: impl IntoIterator<Item = Slot>) {
        for slot in held {
            let calls = match slot {
                Slot::Carrier(CarrierId(at)) => self.carriers.get_mut(at).map(|carrier| &mut carrier.calls),
                Slot::User(CountedUser(at)) => self.users_calls.get_mut(at).map(|user| &mut user.calls),
            };
            if let Some(calls) = calls.filter(|calls| **calls > 0) {
                *calls -= 1;
                self.held -= 1;
            }
        }
    }

    /// What is taken up of all carriers and users.
    pub(super) fn held(&self) -> usize {
        self.held
    }
}

/// A rate with a burst of one second's worth, in one field: when the next would be due if all came evenly.
#[derive(Debug, Default)]
struct Rate {
    due: Option<Instant>,
}

impl Rate {
    fn allow(&mut self, now: Instant, per_second: u32) -> bool {
        if per_second == 0 {
            return true;
        }
        let due = self.due.map_or(now, |due| due.max(now));
        let next = due + Duration::from_secs(1) / per_second;
        let allowed = next <= now + Duration::from_secs(1);
        if allowed {
            self.due = Some(next);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_allows_a_burst_of_a_second_and_then_its_rate() {
        let start = Instant::now();
        let mut rate = Rate::default();
        let mut allowed = |at: Instant| (0..100).filter(|_| rate.allow(at, 10)).count();
        assert_eq!(allowed(start), 10);
        assert_eq!(allowed(start), 0);
        assert_eq!(allowed(start + Duration::from_millis(500)), 5);
        assert_eq!(allowed(start + Duration::from_secs(60)), 10);
        assert!(
            (0..1000).all(|_| Rate::default().allow(start, 0)),
            "0 is no limit"
        );
    }
}
