//! Deadlines of many owners: one binary heap with lazy deletion, one live deadline per key.

use crate::id_map::IdMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::Hash;
use std::time::Instant;

/// Stale heap entries tolerated beyond the live ones before the heap is rebuilt. Small enough to keep memory
/// proportional to the live deadlines, large enough that a rebuild is rare.
const STALE_MAX: usize = 64;

/// At most one deadline per key. Setting, clearing and popping cost O(log n); nothing is ever scanned in order
/// to find the next one.
#[derive(Debug)]
pub(crate) struct Deadlines<K> {
    heap: BinaryHeap<Reverse<(Instant, u64, K)>>,
    live: IdMap<K, (Instant, u64)>,
    next_serial: u64,
}

impl<K: Copy + Eq + Ord + Hash> Deadlines<K> {
    pub(crate) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            live: IdMap::default(),
            next_serial: 0,
        }
    }

    /// Replaces the deadline of `key`; `None` removes it.
    pub(crate) fn set(&mut self, key: K, at: Option<Instant>) {
        match at {
            Some(at) => {
                if self.live.get(&key).is_some_and(|(current, _)| *current == at) {
                    return;
                }
                self.next_serial += 1;
                self.live.insert(key, (at, self.next_serial));
                self.heap.push(Reverse((at, self.next_serial, key)));
            }
            None => {
                self.live.remove(&key);
            }
        }
        self.drop_stale();
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Takes the earliest key whose deadline is not after `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let Reverse((at, _, key)) = *self.heap.peek()?;
        if at > now {
            return None;
        }
        self.heap.pop();
        self.live.remove(&key);
        self.drop_stale();
        Some(key)
    }

    /// How many deadlines are set.
    pub(crate) fn len(&self) -> usize {
        self.live.len()
    }

    /// Keeps the top of the heap live (so that [`Self::next`] may trust it) and the heap small.
    fn drop_stale(&mut self) {
        while let Some(Reverse((_, serial, key))) = self.heap.peek() {
            if self.live.get(key).is_some_and(|(_, current)| current == serial) {
                break;
            }
            self.heap.pop();
        }
        if self.heap.len() > 2 * self.live.len() + STALE_MAX {
            self.heap = self
                .live
                .iter()
                .map(|(key, (at, serial))| Reverse((*at, *serial, *key)))
                .collect();
        }
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
                prop_assert!(queue.heap.len() <= 2 * model.len() + STALE_MAX);
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
