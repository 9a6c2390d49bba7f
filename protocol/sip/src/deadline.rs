//! Deadlines of many owners, one live deadline per key: sorted queues with lazy deletion.
//!
//! Nearly all deadlines of SIP are one of few times away from now (T1, T4, 64 × T1). Those of one time come in order, so that
//! they only have to be lined up; a heap would touch memory all over for each of a hundred thousand.

use crate::id_map::IdMap;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::hash::Hash;
use std::time::Instant;

/// Stale entries tolerated beyond the live ones before all is rebuilt. Small enough to keep memory proportional to the live
/// deadlines, large enough that a rebuild is rare.
const STALE_MAX: usize = 64;

/// Queues in order: one for each usual time away from now, with some to spare. What fits none goes to a heap.
const LANES: usize = 8;

/// At most one deadline per key. Setting, clearing and popping cost O(1) for deadlines that come in order, else O(log n); nothing
/// is ever scanned in order to find the next one.
#[derive(Debug)]
pub(crate) struct Deadlines<K> {
    /// Each in order of time.
    lanes: [VecDeque<(Instant, K)>; LANES],
    /// What came out of order.
    heap: BinaryHeap<Reverse<(Instant, K)>>,
    /// Entries in all of them, stale ones too: those that differ from `live`.
    queued: usize,
    live: IdMap<K, Instant>,
    /// The earliest of `live`.
    first: Option<(Instant, K)>,
}

impl<K: Copy + Eq + Ord + Hash> Deadlines<K> {
    pub(crate) fn new() -> Self {
        Self {
            lanes: Default::default(),
            heap: BinaryHeap::new(),
            queued: 0,
            live: IdMap::default(),
            first: None,
        }
    }

    /// Replaces the deadline of `key`; `None` removes it.
    pub(crate) fn set(&mut self, key: K, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.live.insert(key, at),
            None => self.live.remove(&key),
        };
        if before == at {
            return;
        }
        if let Some(at) = at {
            self.queue(at, key);
        }
        if self.queued > 2 * self.live.len() + STALE_MAX {
            self.rebuild();
        }
        match (at, self.first) {
            (_, Some((_, first))) if first == key => self.find_first(),
            (Some(at), Some((first, _))) if at < first => self.first = Some((at, key)),
            (Some(at), None) => self.first = Some((at, key)),
            _ => {}
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.first.map(|(at, _)| at)
    }

    /// Takes the earliest key whose deadline is not after `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (_, key) = self.first.filter(|(at, _)| *at <= now)?;
        self.live.remove(&key);
        self.find_first();
        Some(key)
    }

    /// How many deadlines are set.
    pub(crate) fn len(&self) -> usize {
        self.live.len()
    }

    /// Where it makes the smallest gap, so that those of one kind stay together.
    fn queue(&mut self, at: Instant, key: K) {
        self.queued += 1;
        let last = |lane: &VecDeque<(Instant, K)>| lane.back().map(|(last, _)| *last);
        let fitting = self.lanes.iter_mut().filter(|lane| last(lane) <= Some(at));
        match fitting.max_by_key(|lane| last(lane)) {
            Some(lane) => lane.push_back((at, key)),
            None => self.heap.push(Reverse((at, key))),
        }
    }

    /// Drops what is stale before the first live entry.
    fn find_first(&mut self) {
        loop {
            let fronts = self.lanes.iter().enumerate();
            let earliest = fronts
                .filter_map(|(lane, entries)| Some((*entries.front()?, lane)))
                .min();
            let odd = self.heap.peek().map(|Reverse(entry)| *entry);
            let first = match (earliest, odd) {
                (Some((entry, _)), Some(odd)) => Some(entry.min(odd)),
                (entry, odd) => entry.map(|(entry, _)| entry).or(odd),
            };
            if first.is_none_or(|(at, key)| self.live.get(&key) == Some(&at)) {
                self.first = first;
                return;
            }
            self.queued -= 1;
            match earliest {
                Some((entry, lane)) if first == Some(entry) => self.lanes[lane].pop_front().map(drop),
                _ => self.heap.pop().map(drop),
            };
        }
    }

    fn rebuild(&mut self) {
        self.lanes.iter_mut().for_each(VecDeque::clear);
        self.heap.clear();
        let mut entries: Vec<(Instant, K)> = self.live.iter().map(|(key, at)| (*at, *key)).collect();
        entries.sort_unstable();
        self.queued = entries.len();
        self.lanes[0] = entries.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    #[expect(
        clippy::disallowed_methods,
        reason = "there is no other way to make an Instant; time is virtual from here on"
    )]
    fn epoch() -> Instant {
        Instant::now()
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_map(steps in prop::collection::vec((0u8..20, prop::option::of(0u64..1000)), 0..400)) {
            let start = epoch();
            let mut queue = Deadlines::new();
            let mut model = BTreeMap::new();
            for (key, at) in steps {
                let at = at.map(|ms| start + Duration::from_millis(ms));
                queue.set(key, at);
                match at {
                    Some(at) => { model.insert(key, at); }
                    None => { model.remove(&key); }
                }
                prop_assert_eq!(queue.next(), model.values().min().copied());
                prop_assert_eq!(queue.len(), model.len());
                prop_assert!(queue.queued <= 2 * model.len() + STALE_MAX);
                let held = queue.heap.len() + queue.lanes.iter().map(VecDeque::len).sum::<usize>();
                prop_assert_eq!(held, queue.queued);
            }
            let end = start + Duration::from_secs(2);
            let mut last = start;
            while let Some(next) = queue.next() {
                prop_assert!(next >= last);
                last = next;
                let key = queue.pop_due(end).expect("a deadline before the end is due");
                prop_assert_eq!(model.remove(&key), Some(next));
            }
            prop_assert!(model.is_empty());
        }
    }

    #[test]
    fn nothing_is_due_early() {
        let start = epoch();
        let mut queue = Deadlines::new();
        queue.set(1, Some(start + Duration::from_millis(5)));
        assert_eq!(queue.pop_due(start + Duration::from_millis(4)), None);
        assert_eq!(queue.pop_due(start + Duration::from_millis(5)), Some(1));
        assert_eq!(queue.next(), None);
    }
}
