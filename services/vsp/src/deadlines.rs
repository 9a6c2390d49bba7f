//! Deadlines by key: one each, the earliest first.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// Deadlines of keys `K`.
#[derive(Debug)]
pub(crate) struct Deadlines<K> {
    by_key: HashMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}

impl<K: Clone + Eq + Hash + Ord> Deadlines<K> {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            by_key: HashMap::new(),
            by_time: BTreeSet::new(),
        }
    }

    /// Sets the deadline of `key`, in place of an earlier one.
    pub(crate) fn set(&mut self, key: K, at: Instant) {
        self.clear(&key);
        self.by_key.insert(key.clone(), at);
        self.by_time.insert((at, key));
    }

    /// Forgets the deadline of `key`.
    pub(crate) fn clear(&mut self, key: &K) {
        if let Some((key, at)) = self.by_key.remove_entry(key) {
            self.by_time.remove(&(at, key));
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out one key whose deadline has come.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<K> {
        let (_, key) = self.by_time.first().filter(|(at, _)| *at <= now)?.clone();
        self.clear(&key);
        Some(key)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn due_keys_come_in_order_and_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut deadlines = Deadlines::new();
        deadlines.set('a', at(3));
        deadlines.set('b', at(2));
        deadlines.set('a', at(1));
        deadlines.set('c', at(9));
        assert_eq!(deadlines.next(), Some(at(1)));
        assert_eq!(deadlines.take_due(at(2)), Some('a'));
        assert_eq!(deadlines.take_due(at(2)), Some('b'));
        assert_eq!(deadlines.take_due(at(2)), None);
        deadlines.clear(&'c');
        assert_eq!(deadlines.len(), 0);
    }
}
