//! Clients as the model knows them: whether they are there, which session they have, and what they miss while away.

use super::{Call, End, Ending, GRACE, Model, Seen};
use std::collections::BTreeSet;
use std::time::Duration;

/// A client.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Whose client it is.
    pub user: usize,
    /// The VSP that its session is at.
    pub node: usize,
    /// Counts its sessions.
    pub session: u64,
    is_online: bool,
    grace_until: Option<Duration>,
    /// Whether there is a session.
    has_session: bool,
    /// When its token ends.
    pub token_until: Option<Duration>,
    /// Calls that ended while it was away.
    missed: BTreeSet<String>,
}

impl Seat {
    pub(super) fn new(user: usize) -> Self {
        Self {
            user,
            node: 0,
            session: 1,
            is_online: true,
            grace_until: None,
            has_session: true,
            token_until: None,
            missed: BTreeSet::new(),
        }
    }

    /// Whether it can hear what is said now.
    pub fn is_online(&self) -> bool {
        self.is_online
    }

    /// Whether its token is over.
    pub fn is_expired(&self, now: Duration) -> bool {
        self.token_until.is_some_and(|until| until <= now)
    }

    pub(super) fn grace_until(&self) -> Option<Duration> {
        self.grace_until
    }

    pub(super) fn has_session(&self) -> bool {
        self.has_session
    }

    /// Its socket is closed, and its session over; gives what it will never be told.
    pub(super) fn leaves(&mut self) -> BTreeSet<String> {
        self.is_online = false;
        self.session_ends()
    }

    /// Its session is where it cannot come back to, it will have another one at this VSP; gives what it was not told.
    pub(super) fn moves(&mut self, node: usize) -> BTreeSet<String> {
        self.node = node;
        self.session_ends()
    }

    pub(super) fn misses(&mut self, tag: &str) {
        self.missed.insert(tag.to_owned());
    }

    /// Its session is gone; gives what it will never be told.
    pub(super) fn session_ends(&mut self) -> BTreeSet<String> {
        self.has_session = false;
        self.grace_until = None;
        std::mem::take(&mut self.missed)
    }
}

impl Model {
    /// A client's socket breaks.
    pub fn cut(&mut self, client: usize) {
        let has_calls = self.has_live_calls(client);
        let seat = &mut self.seats[client];
        seat.is_online = false;
        if has_calls {
            seat.grace_until = Some(self.now + GRACE);
        } else {
            seat.session_ends();
        }
    }

    /// A client comes back.
    pub fn connect(&mut self, client: usize) {
        self.leave_behind(client);
        let has_calls = self.has_live_calls(client);
        let seat = &mut self.seats[client];
        seat.is_online = true;
        seat.grace_until = None;
        let missed = std::mem::take(&mut seat.missed);
        if !seat.has_session {
            seat.has_session = true;
            seat.session += 1;
        } else if !has_calls {
            // Not one of its calls is left: the SDK concludes that all are lost before it is told how they ended.
            for tag in missed {
                if let Some(call) = self.calls.get_mut(&tag) {
                    call.over(End::Client(client), Ending::NOT_REATTACHED);
                }
            }
        }
        self.ring_at(client);
    }

    /// A client's page is loaded anew. `order` has its calls in the order in which one is chosen.
    pub fn reload(&mut self, client: usize, order: &[String]) {
        let end = End::Client(client);
        if self.seats[client].node != self.nodes.front {
            self.cut(client);
            self.connect(client);
        } else if self.has_live_calls(client) {
            let rank = |tag: &&String| {
                let call = self.calls.get(*tag)?;
                let is_talking = call.ends.get(&end)?.is_talking();
                is_talking.then(|| call.holding.contains(&end))
            };
            let talking = order.iter().filter(|tag| rank(tag).is_some());
            let kept = talking.min_by_key(|tag| rank(tag)).cloned();
            for tag in order.iter().filter(|tag| Some(*tag) != kept.as_ref()) {
                let rings_here =
                    |call: &Call| call.caller != end && call.ends.get(&end) == Some(&Seen::Ringing);
                if !self.calls.get(tag).is_some_and(rings_here) {
                    self.abandon(end, tag);
                }
            }
        } else {
            self.seats[client].session += 1;
        }
        self.seats[client].missed.clear();
        for call in self.calls.values_mut() {
            match call.ends.get_mut(&end) {
                Some(Seen::Over(_)) => drop(call.ends.remove(&end)),
                Some(Seen::Talking { holds, is_held }) => (*holds, *is_held) = (None, None),
                Some(Seen::Ringing) | None => {}
            }
        }
        self.ring_at(client);
    }

    pub(super) fn has_live_calls(&self, client: usize) -> bool {
        let end = End::Client(client);
        let live = |call: &Call| call.ends.get(&end).is_some_and(|seen| seen.is_live());
        self.calls.values().any(live)
    }

    /// Calls that ring for its user ring at a client that has come, once in each of its sessions.
    fn ring_at(&mut self, client: usize) {
        let seat = &self.seats[client];
        let (user, node, session) = (seat.user, seat.node, seat.session);
        for call in self.calls.values_mut() {
            let rings_here = call.callee == Some(user) && call.rings_at == node && call.rings();
            if rings_here && call.asked.insert((client, session)) {
                call.set(End::Client(client), Seen::Ringing);
            }
        }
    }
}
