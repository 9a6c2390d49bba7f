//! Nodes that leave: who may still call, who has to move, and what is left behind.

use super::{End, Ending, GRACE, Model, Seen};
use std::collections::BTreeMap;
use std::time::Duration;

/// The VSPs and the proxy.
#[derive(Debug, Clone, Default)]
pub(super) struct Nodes {
    /// The VSP that takes new sockets.
    pub(super) front: usize,
    /// The one that leaves, and when it ends its last calls.
    pub(super) draining: Option<(usize, Duration)>,
    /// The proxy takes no new calls.
    pub(super) proxy_drains: bool,
    /// Sessions that nobody will come back to: until when they are waited for, and where.
    ghosts: BTreeMap<usize, (Duration, usize)>,
    ghosts_total: usize,
}

impl Nodes {
    pub(super) fn is_draining(&self, node: usize) -> bool {
        self.draining.is_some_and(|(draining, _)| draining == node)
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        let graces = self.ghosts.values().map(|(until, _)| *until);
        let drain = self.draining.map(|(_, until)| until);
        graces.chain(drain.filter(|until| *until < Duration::MAX)).min()
    }
}

impl Model {
    /// The VSP in front begins to leave, the other one takes its place.
    pub fn drain_vsp(&mut self, bound: Duration) {
        self.nodes.draining = Some((self.nodes.front, self.now + bound));
        self.nodes.front = 1 - self.nodes.front;
        self.leave_idle();
    }

    /// The VSP that has left is back.
    pub fn vsp_is_back(&mut self) {
        self.nodes.draining = None;
    }

    /// The proxy takes no new calls, or takes them again.
    pub fn drain_proxy(&mut self, drains: bool) {
        self.nodes.proxy_drains = drains;
    }

    /// Clients whose VSP leaves have to go once they have no calls.
    pub(super) fn leave_idle(&mut self) {
        for client in 0..self.seats.len() {
            let (node, has_session) = (self.seats[client].node, self.seats[client].has_session());
            if self.nodes.is_draining(node) && has_session && !self.has_live_calls(client) {
                self.session_left(client);
            }
        }
    }

    fn session_left(&mut self, client: usize) {
        let missed = self.seats[client].leaves();
        for tag in missed {
            if let Some(call) = self.calls.get_mut(&tag) {
                call.over(End::Client(client), Ending::NOT_REATTACHED);
            }
        }
    }

    /// A client comes back to another VSP than the one that has its calls: there they are kept for nobody.
    pub(super) fn leave_behind(&mut self, client: usize) {
        let (front, seat) = (self.nodes.front, &mut self.seats[client]);
        let (node, until) = (seat.node, seat.grace_until().unwrap_or(self.now + GRACE));
        if node == front {
            return;
        }
        let missed = seat.moves(front);
        let (end, ghost) = (End::Client(client), End::Ghost(self.nodes.ghosts_total));
        let mut lives = false;
        for (tag, call) in &mut self.calls {
            let seen = call.ends.get(&end).copied();
            if let Some(seen) = seen.filter(|seen| seen.is_live()) {
                call.over(end, Ending::NOT_REATTACHED);
                call.set(ghost, seen);
                if call.caller == end {
                    call.caller = ghost;
                }
                lives = true;
            } else if missed.contains(tag) {
                call.over(end, Ending::NOT_REATTACHED);
            }
        }
        if lives {
            self.nodes.ghosts.insert(self.nodes.ghosts_total, (until, node));
            self.nodes.ghosts_total += 1;
        }
    }

    /// Ghosts whose time is over, and the end of a drain.
    pub(super) fn nodes_due(&mut self, due: Duration) {
        let is_due = |(_, (until, _)): &(&usize, &(Duration, usize))| *until <= due;
        let ghosts: Vec<usize> = self
            .nodes
            .ghosts
            .iter()
            .filter(is_due)
            .map(|(ghost, _)| *ghost)
            .collect();
        for ghost in ghosts {
            self.nodes.ghosts.remove(&ghost);
            for tag in self.live_tags() {
                self.abandon(End::Ghost(ghost), &tag);
            }
        }
        if let Some((node, until)) = &mut self.nodes.draining
            && *until <= due
        {
            let node = *node;
            *until = Duration::MAX;
            self.end_all_at(node);
        }
    }

    /// The time of a VSP is over: all its calls end.
    fn end_all_at(&mut self, node: usize) {
        let (seats, ghosts) = (&self.seats, self.nodes.ghosts.clone());
        let is_here = |end: &End| match end {
            End::Client(client) => seats[*client].node == node && seats[*client].has_session(),
            End::Ghost(ghost) => ghosts.get(ghost).is_some_and(|(_, at)| *at == node),
            End::Carrier(_) => false,
        };
        let mut here = Vec::new();
        for (tag, call) in self.calls.iter().filter(|(_, call)| call.is_live()) {
            if call.joined.as_ref().is_some_and(|(_, at)| *at == node) {
                here.extend(call.ends.keys().map(|end| (tag.clone(), *end)));
            }
            let ends = call
                .ends
                .iter()
                .filter(|(end, seen)| seen.is_live() && is_here(end));
            here.extend(ends.map(|(end, _)| (tag.clone(), *end)));
        }
        let mut ended = Vec::new();
        for (tag, end) in here {
            if let Some(call) = self.calls.get_mut(&tag)
                && let Some(seen) = call.ends.get(&end).copied().filter(|seen| seen.is_live())
            {
                call.over(end, Ending::DRAINING);
                super::note_missed(&mut self.seats, end, &tag);
                ended.push((tag, end, seen));
            }
        }
        for (tag, end, seen) in ended {
            self.tell_others(node, end, seen, &tag);
        }
        self.nodes.ghosts.retain(|_, (_, at)| *at != node);
        self.leave_idle();
    }

    /// What those hear who are not at the node that ended the call for one end.
    fn tell_others(&mut self, node: usize, end: End, seen: Seen, tag: &str) {
        let call = &self.calls[tag];
        if seen.is_talking() {
            self.end_others(end, tag, Ending::FAR_NODE_LEFT);
        } else if call.caller == end {
            self.end_others(end, tag, Ending::GIVEN_UP);
        } else if call.rings() && call.others(call.caller).is_empty() {
            // The proxy asks the next VSP.
            if node == 1 || !self.ring_at_front(tag) {
                self.over_for_caller(tag, super::ending_of_status(480));
            }
        }
    }
}
