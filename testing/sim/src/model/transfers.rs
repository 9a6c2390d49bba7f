//! Who talks with whom after a transfer, and after somebody was lost.

use super::{Call, End, Ending, Model, Seen};

/// How often one call is sent on by its far ends.
const SENT_ON_MAX: u8 = 4;

impl Model {
    /// Whether a call that begins now for this client is let through.
    pub fn may_call(&self, client: usize) -> bool {
        !self.nodes.proxy_drains && !self.nodes.is_draining(self.seats[client].node)
    }

    /// The far end calls somebody else instead: the call is over.
    pub fn transferred(&mut self, client: usize, tag: &str) {
        let end = End::Client(client);
        if let Some(call) = self.calls.get_mut(tag) {
            call.over(end, Ending::TRANSFERRED);
        }
        self.end_others(end, tag, Ending::NORMAL);
    }

    /// The far ends of two calls of a client talk with each other now, and the client with neither.
    pub fn joined(&mut self, client: usize, tag: &str, other: &str) {
        let node = self.seats[client].node;
        for (tag, other) in [(tag, other), (other, tag)] {
            if let Some(call) = self.calls.get_mut(tag) {
                call.over(End::Client(client), Ending::TRANSFERRED);
                call.forget_hold();
                call.joined = Some((other.to_owned(), node));
            }
        }
    }

    /// Whether the far end may send the client to somebody else once more; from now on it has done so.
    pub fn sends_on(&mut self, tag: &str) -> bool {
        let may_call = !self.nodes.proxy_drains;
        let draining = self.nodes.draining.map(|(node, _)| node);
        let Some(call) = self.calls.get_mut(tag) else {
            return false;
        };
        let is_leaving = |end: &End| match end {
            End::Client(client) => Some(self.seats[*client].node) == draining,
            _ => false,
        };
        if call.ends.keys().any(is_leaving) || call.sent_on >= SENT_ON_MAX {
            return false;
        }
        call.sent_on += 1;
        may_call
    }

    /// Another far end has taken the place of the one that sent the client to it.
    pub fn succeeded(&mut self, tag: &str, old: usize, new: usize) {
        if let Some(call) = self.calls.get_mut(tag) {
            call.set(End::Carrier(old), Seen::Over(None));
            call.set(End::Carrier(new), Seen::TALKING);
            call.holding.remove(&End::Carrier(old));
            call.forget_hold();
        }
    }

    /// The media session of a client is lost.
    pub fn media_lost(&mut self, client: usize, tag: &str) {
        let end = End::Client(client);
        if let Some(call) = self.calls.get_mut(tag) {
            call.over(end, Ending::MEDIA_GONE);
        }
        self.end_others(end, tag, Ending::FAR_MEDIA_GONE);
    }

    /// A carrier was dead for so long that everybody has noticed.
    pub fn carrier_died(&mut self, carrier: usize) {
        let end = End::Carrier(carrier);
        for tag in self.live_tags() {
            let Some(call) = self.calls.get_mut(&tag) else {
                continue;
            };
            // Where it rings, time will tell.
            if call.ends.get(&end).is_some_and(|seen| seen.is_talking()) {
                call.set(end, Seen::Over(None));
                self.end_others(end, &tag, Ending::FAR_END_LOST);
                self.end_joined(&tag, Ending::FAR_END_LOST);
            }
        }
    }

    /// One of two far ends that talk with each other is gone: the other one's call is over, too.
    pub(super) fn end_joined(&mut self, tag: &str, ending: Ending) {
        let joined = self.calls.get_mut(tag).and_then(|call| call.joined.take());
        let other = joined.and_then(|(other, _)| self.calls.get_mut(&other));
        if let Some(call) = other {
            call.joined = None;
            let ends = call
                .ends
                .keys()
                .copied()
                .filter(|end| matches!(end, End::Carrier(_)));
            call.over_for_all(ends.collect(), ending);
        }
    }
}

impl Call {
    /// Who holds whom is not looked at while a place changes hands.
    fn forget_hold(&mut self) {
        for seen in self.ends.values_mut().filter(|seen| seen.is_talking()) {
            *seen = Seen::Talking {
                holds: None,
                is_held: None,
            };
        }
    }
}
