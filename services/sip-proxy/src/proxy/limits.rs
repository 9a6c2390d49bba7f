//! How many calls each neighbour may begin per second, and how many a carrier may have at a time.

use super::settings::{Peer, Settings};
use crate::dial_plan::{CarrierId, UserName};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The carriers at which a call takes a place: at most where it came from and where it went, twice if it is a spiral.
pub(super) type Held = SmallVec<[CarrierId; 2]>;

/// What all neighbours have used up.
#[derive(Debug)]
pub(super) struct Limits {
    carriers: Vec<CarrierUse>,
    vsps: Vec<Rate>,
    calls_per_second: u32,
    /// Of users whose phones have called: as many as the settings name.
    users: HashMap<UserName, Rate>,
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
        Self {
            carriers: carriers.collect(),
            vsps: settings.vsps.iter().map(|_| Rate::default()).collect(),
            calls_per_second: settings.calls_per_second,
            users: HashMap::new(),
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

    /// Takes a place for a call at a carrier; `false` if all are taken.
    pub(super) fn hold(&mut self, carrier: CarrierId) -> bool {
        let Some(carrier) = self.carriers.get_mut(carrier.0) else {
            return false;
        };
        let free = carrier.calls_max == 0 || carrier.calls < carrier.calls_max;
        carrier.calls += usize::from(free);
        free
    }

    /// Gives places back.
    pub(super) fn release(&mut self, held: impl IntoIterator<Item = CarrierId>) {
        for carrier in held {
            if let Some(carrier) = self.carriers.get_mut(carrier.0) {
                carrier.calls = carrier.calls.saturating_sub(1);
            }
        }
    }

    /// Places taken at all carriers.
    pub(super) fn held(&self) -> usize {
        self.carriers.iter().map(|carrier| carrier.calls).sum()
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
