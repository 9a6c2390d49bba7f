//! How much one address may send that is no neighbour by configuration: phones, and whoever wants to become one. So nobody
//! can use up what all of them have together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Requests per second of one address: an office of fifty phones behind one, whose line comes back.
const PER_SECOND_MAX: u32 = 50;

/// Addresses counted within one second, about 40 bytes each. Beyond it only the limits for all together hold.
const ADDRESSES_MAX: usize = 10_000;

/// What came in this second.
#[derive(Debug, Default)]
pub(super) struct Floods {
    since: Option<Instant>,
    requests: HashMap<IpAddr, u32>,
}

impl Floods {
    /// Whether one more request of this address is looked at.
    pub(super) fn admits(&mut self, now: Instant, source: IpAddr) -> bool {
        let over = |since| now.duration_since(since) >= Duration::from_secs(1);
        if self.since.is_none_or(over) {
            self.since = Some(now);
            self.requests.clear();
        }
        let full = self.requests.len() >= ADDRESSES_MAX;
        if full && !self.requests.contains_key(&source) {
            return true;
        }
        let seen = self.requests.entry(source).or_default();
        *seen = seen.saturating_add(1);
        *seen <= PER_SECOND_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_uses_up_its_own_second_only_and_memory_has_an_end() {
        let start = Instant::now();
        let mut floods = Floods::default();
        let mut admitted = |at: Instant, from: u32, count: usize| {
            (0..count)
                .filter(|_| floods.admits(at, IpAddr::from(from.to_be_bytes())))
                .count()
        };
        let limit = PER_SECOND_MAX as usize;
        assert_eq!(admitted(start, 1, 1_000), limit);
        assert_eq!(admitted(start, 2, 10), 10);
        assert_eq!(admitted(start + Duration::from_millis(999), 1, 10), 0);
        assert_eq!(admitted(start + Duration::from_secs(1), 1, 10), 10);
        for from in 0..ADDRESSES_MAX as u32 + 10 {
            assert_eq!(admitted(start + Duration::from_secs(1), from, 1), 1);
        }
        assert_eq!(floods.requests.len(), ADDRESSES_MAX);
    }
}
