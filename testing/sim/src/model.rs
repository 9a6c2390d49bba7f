//! The reference: what each end of each call has to see after each action, told by a few rules instead of by SIP.
//!
//! It knows no messages and no timers of protocols, only who may hear whom, who is told what, and the two times that
//! people notice: how long a phone rings, and how long a lost client is waited for.

mod ending;
mod nodes;
mod seats;
mod transfers;

pub use ending::{Ending, ending_of_status};
use nodes::Nodes;
pub use seats::Seat;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a call rings.
pub const RING: Duration = Duration::from_secs(60);
/// How long the calls of a client that is gone are kept.
pub const GRACE: Duration = Duration::from_secs(60);

/// One end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Client with this index.
    Client(usize),
    /// Carrier with this index.
    Carrier(usize),
    /// What a client has left behind at a VSP that it cannot come back to; nobody looks at it.
    Ghost(usize),
}

/// What an end sees of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It rings, here or there.
    Ringing,
    /// Both talk.
    Talking {
        /// This end holds the other; `None` where a page that was loaded anew cannot know.
        holds: Option<bool>,
        /// The other end holds this one.
        is_held: Option<bool>,
    },
    /// Over: for a client in this way, for a carrier in any.
    Over(Option<Ending>),
}

impl Seen {
    const TALKING: Seen = Seen::Talking {
        holds: Some(false),
        is_held: Some(false),
    };

    /// Whether the call is not over.
    pub fn is_live(self) -> bool {
        !matches!(self, Seen::Over(_))
    }

    /// Whether both talk.
    pub fn is_talking(self) -> bool {
        matches!(self, Seen::Talking { .. })
    }
}

/// A call.
#[derive(Debug, Clone)]
pub struct Call {
    caller: End,
    /// The user who is called, where it is one.
    callee: Option<usize>,
    ends: BTreeMap<End, Seen>,
    /// Ends that hold the other one, whether or not a page knows it.
    holding: BTreeSet<End>,
    rings_until: Duration,
    /// The VSP at whose clients it rings.
    rings_at: usize,
    /// Sessions at which it has rung.
    asked: BTreeSet<(usize, u64)>,
    /// Status of who refused, as far as it counts.
    refusal: Option<u16>,
    /// Carriers that have been tried.
    tried: BTreeSet<usize>,
    /// How often the far end has sent the client to somebody else.
    sent_on: u8,
    /// The call that its far end was connected with by a transfer, and the VSP that holds both.
    joined: Option<(String, usize)>,
}

impl Call {
    fn new(caller: End, callee: Option<usize>, now: Duration) -> Self {
        Self {
            caller,
            callee,
            ends: [(caller, Seen::Ringing)].into(),
            holding: BTreeSet::new(),
            rings_until: now + RING,
            rings_at: 0,
            asked: BTreeSet::new(),
            refusal: None,
            tried: BTreeSet::new(),
            sent_on: 0,
            joined: None,
        }
    }

    /// What each end has to see.
    pub fn ends(&self) -> &BTreeMap<End, Seen> {
        &self.ends
    }

    fn set(&mut self, end: End, seen: Seen) {
        self.ends.insert(end, seen);
    }

    fn over(&mut self, end: End, ending: Ending) {
        let seen = match end {
            End::Client(_) => Seen::Over(Some(ending)),
            End::Carrier(_) | End::Ghost(_) => Seen::Over(None),
        };
        self.set(end, seen);
    }

    fn is_live(&self) -> bool {
        self.ends.values().any(|seen| seen.is_live())
    }

    fn is_talking(&self) -> bool {
        self.ends.values().any(|seen| seen.is_talking())
    }

    fn rings(&self) -> bool {
        self.ends.get(&self.caller) == Some(&Seen::Ringing)
    }

    /// Ends beside this one that see the call.
    fn others(&self, end: End) -> Vec<End> {
        let live = self
            .ends
            .iter()
            .filter(|(other, seen)| **other != end && seen.is_live());
        live.map(|(other, _)| *other).collect()
    }

    fn over_for_all(&mut self, ends: Vec<End>, ending: Ending) {
        for end in ends {
            self.over(end, ending);
        }
    }
}

/// The whole of it.
#[derive(Debug, Clone)]
pub struct Model {
    now: Duration,
    seats: Vec<Seat>,
    nodes: Nodes,
    calls: BTreeMap<String, Call>,
    /// Digits that the gateway has been given.
    pub digits: String,
}

impl Model {
    /// Clients that are online, each of this user.
    pub fn new(users: &[usize]) -> Self {
        Self {
            now: Duration::ZERO,
            seats: users.iter().map(|user| Seat::new(*user)).collect(),
            nodes: Nodes::default(),
            calls: BTreeMap::new(),
            digits: String::new(),
        }
    }

    /// A client's seat.
    pub fn seat(&mut self, client: usize) -> &mut Seat {
        &mut self.seats[client]
    }

    /// All calls.
    pub fn calls(&self) -> &BTreeMap<String, Call> {
        &self.calls
    }

    /// A client calls a carrier.
    pub fn dial(&mut self, client: usize, tag: &str, carrier: usize) {
        let mut call = Call::new(End::Client(client), None, self.now);
        call.set(End::Carrier(carrier), Seen::Ringing);
        call.tried.insert(carrier);
        self.calls.insert(tag.to_owned(), call);
        self.refuse_new(tag);
    }

    /// An end calls a user: it rings at all clients that are there.
    pub fn call_user(&mut self, caller: End, tag: &str, user: usize) {
        let call = Call::new(caller, Some(user), self.now);
        self.calls.insert(tag.to_owned(), call);
        if !self.refuse_new(tag) && !self.ring_at_front(tag) {
            self.over_for_caller(tag, ending_of_status(480));
        }
    }

    /// A call that may not begin: the caller's token has ended, or a node takes no new calls.
    fn refuse_new(&mut self, tag: &str) -> bool {
        let Some(call) = self.calls.get_mut(tag) else {
            return false;
        };
        let refusal = match call.caller {
            End::Client(client) if self.seats[client].is_expired(self.now) => Ending::OWN_EARLY,
            End::Client(client) if self.nodes.is_draining(self.seats[client].node) => Ending::DRAINING,
            _ if self.nodes.proxy_drains => ending_of_status(503),
            _ => return false,
        };
        let caller = call.caller;
        call.ends.clear();
        call.over(caller, refusal);
        true
    }

    /// It rings at the clients of the user who is called, at the VSP that takes new calls. Whether there are any.
    fn ring_at_front(&mut self, tag: &str) -> bool {
        let Some(call) = self.calls.get_mut(tag) else {
            return false;
        };
        call.rings_at = self.nodes.front;
        if let End::Carrier(_) = call.caller {
            call.rings_until = self.now + RING;
        }
        let mut rings = false;
        for (client, seat) in self.seats.iter().enumerate() {
            let is_there = seat.is_online() && seat.node == self.nodes.front && !seat.is_expired(self.now);
            if call.callee == Some(seat.user) && is_there {
                call.asked.insert((client, seat.session));
                call.set(End::Client(client), Seen::Ringing);
                rings = true;
            }
        }
        rings
    }

    fn over_for_caller(&mut self, tag: &str, ending: Ending) {
        if let Some(call) = self.calls.get_mut(tag) {
            let caller = call.caller;
            call.over(caller, ending);
            note_missed(&mut self.seats, caller, tag);
        }
    }

    /// An end answers: the others stop ringing.
    pub fn answer(&mut self, end: End, tag: &str) {
        let Some(call) = self.calls.get_mut(tag) else {
            return;
        };
        for other in call.others(end) {
            if other == call.caller {
                call.set(other, Seen::TALKING);
            } else {
                call.over(other, Ending::LOST_RACE);
                note_missed(&mut self.seats, other, tag);
            }
        }
        call.set(end, Seen::TALKING);
    }

    /// A client hangs up, gives up or declines.
    pub fn hang_up(&mut self, client: usize, tag: &str) {
        let end = End::Client(client);
        let Some(call) = self.calls.get_mut(tag) else {
            return;
        };
        if call.is_talking() {
            call.over(end, Ending::NORMAL);
            self.end_others(end, tag, Ending::NORMAL);
        } else if call.caller == end {
            call.over(end, Ending::OWN_EARLY);
            self.end_others(end, tag, Ending::GIVEN_UP);
        } else {
            call.over(end, Ending::OWN_EARLY);
            self.refuse_one(tag, 487);
        }
    }

    /// A carrier hangs up or gives up.
    pub fn carrier_ends(&mut self, carrier: usize, tag: &str) {
        let end = End::Carrier(carrier);
        let Some(call) = self.calls.get_mut(tag) else {
            return;
        };
        let ending = match call.is_talking() {
            true => Ending::NORMAL,
            false => Ending::GIVEN_UP,
        };
        call.set(end, Seen::Over(None));
        self.end_others(end, tag, ending);
        self.end_joined(tag, ending);
    }

    /// A carrier refuses: for what is its own fault, the other one is tried.
    pub fn carrier_refuses(&mut self, carrier: usize, tag: &str, status: u16) {
        let Some(call) = self.calls.get_mut(tag) else {
            return;
        };
        let end = End::Carrier(carrier);
        call.set(end, Seen::Over(None));
        let other = 1 - carrier;
        if (500..600).contains(&status) && call.tried.insert(other) {
            call.set(End::Carrier(other), Seen::Ringing);
        } else {
            // That all carriers are overloaded is not said on (RFC 3261 §16.7).
            let told = if status == 503 { 500 } else { status };
            self.end_others(end, tag, ending_of_status(told));
        }
    }

    /// An end holds the other, or takes it back.
    pub fn hold(&mut self, end: End, tag: &str, hold: bool) {
        let Some(call) = self.calls.get_mut(tag) else {
            return;
        };
        match hold {
            true => call.holding.insert(end),
            false => call.holding.remove(&end),
        };
        for (at, seen) in &mut call.ends {
            if let Seen::Talking { holds, is_held } = seen {
                let which = if *at == end { holds } else { is_held };
                if *at == end || which.is_some() {
                    *which = Some(hold);
                }
            }
        }
    }

    /// The gateway is lost, and all calls with it.
    pub fn gateway_lost(&mut self) {
        for tag in self.live_tags() {
            let Some(call) = self.calls.get_mut(&tag) else {
                continue;
            };
            let ends: Vec<End> = call
                .ends
                .iter()
                .filter(|(_, seen)| seen.is_live())
                .map(|(end, _)| *end)
                .collect();
            for end in ends {
                call.over(end, Ending::NO_MEDIA);
                note_missed(&mut self.seats, end, &tag);
            }
        }
    }

    /// What was left open by things that happened at the same time is taken from what is seen, after it was found to be
    /// one of the ways in which it may end.
    pub fn adopt(&mut self, tag: &str, ends: BTreeMap<End, Seen>) {
        if let Some(call) = self.calls.get_mut(tag) {
            call.ends.extend(ends);
        }
    }

    /// When the next ring time or grace ends.
    pub fn next_deadline(&self) -> Option<Duration> {
        let rings = self
            .calls
            .values()
            .filter(|call| call.rings())
            .map(|call| call.rings_until);
        let graces = self.seats.iter().filter_map(Seat::grace_until);
        rings.chain(graces).chain(self.nodes.next_deadline()).min()
    }

    /// Time passes.
    pub fn advance(&mut self, now: Duration) {
        while let Some(due) = self.next_deadline().filter(|due| *due <= now) {
            self.now = due;
            self.nodes_due(due);
            for client in 0..self.seats.len() {
                if self.seats[client].grace_until() == Some(due) {
                    self.expire(client);
                }
            }
            for tag in self.live_tags() {
                if self.calls[&tag].rings() && self.calls[&tag].rings_until <= due {
                    self.rings_out(&tag);
                }
            }
            self.leave_idle();
        }
        self.now = now;
        self.leave_idle();
    }

    fn rings_out(&mut self, tag: &str) {
        let Some(call) = self.calls.get_mut(tag) else {
            return;
        };
        let caller = call.caller;
        call.over(caller, Ending::NO_ANSWER);
        note_missed(&mut self.seats, caller, tag);
        let ending = match caller {
            End::Client(_) | End::Ghost(_) => Ending::RUNG_OUT_OR_GIVEN_UP,
            End::Carrier(_) => ending_of_status(480),
        };
        self.end_others(caller, tag, ending);
    }

    /// A client's session ends with all its calls.
    fn expire(&mut self, client: usize) {
        for tag in self.live_tags() {
            self.abandon(End::Client(client), &tag);
        }
        let missed = self.seats[client].session_ends();
        for tag in missed {
            if let Some(call) = self.calls.get_mut(&tag) {
                call.over(End::Client(client), Ending::NOT_REATTACHED);
            }
        }
    }

    /// A client has lost this call by staying away.
    fn abandon(&mut self, end: End, tag: &str) {
        let Some(call) = self.calls.get_mut(tag) else {
            return;
        };
        let Some(seen) = call.ends.get(&end).copied().filter(|seen| seen.is_live()) else {
            return;
        };
        call.over(end, Ending::NOT_REATTACHED);
        note_missed(&mut self.seats, end, tag);
        if seen.is_talking() {
            self.end_others(end, tag, Ending::CLIENT_GONE);
        } else if self.calls[tag].caller == end {
            self.end_others(end, tag, Ending::GIVEN_UP);
        } else {
            self.refuse_one(tag, 408);
        }
    }

    /// It rings no more at one client of the user who is called; if at none, the caller hears why.
    fn refuse_one(&mut self, tag: &str, status: u16) {
        let Some(call) = self.calls.get_mut(tag) else {
            return;
        };
        let known = call.refusal.unwrap_or(0);
        if ending::weight(status) > ending::weight(known) {
            call.refusal = Some(status);
        }
        if !call.others(call.caller).is_empty() {
            return;
        }
        // Who is gone from one VSP may be at the next one.
        let (refusal, is_next) = (call.refusal, call.rings_at < self.nodes.front);
        match refusal {
            Some(408) if is_next && self.ring_at_front(tag) => {}
            Some(408) => self.over_for_caller(tag, Ending::NOBODY_LEFT),
            refusal => self.over_for_caller(tag, ending_of_status(refusal.unwrap_or(480))),
        }
    }

    fn end_others(&mut self, end: End, tag: &str, ending: Ending) {
        let Some(call) = self.calls.get_mut(tag) else {
            return;
        };
        let others = call.others(end);
        for other in &others {
            note_missed(&mut self.seats, *other, tag);
        }
        call.over_for_all(others, ending);
    }

    fn live_tags(&self) -> Vec<String> {
        let live = self.calls.iter().filter(|(_, call)| call.is_live());
        live.map(|(tag, _)| tag.clone()).collect()
    }
}

/// A client that is away does not hear of the end; it is told when it comes back in time.
fn note_missed(seats: &mut [Seat], end: End, tag: &str) {
    if let End::Client(client) = end
        && !seats[client].is_online()
    {
        seats[client].misses(tag);
    }
}
