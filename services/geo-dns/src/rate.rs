//! How many answers a network gets over UDP, whose senders can be forged: so that nobody is flooded with our answers.
//!
//! Of what is too much every second question is answered by an empty one that says "ask over TCP" (a real resolver does, a
//! victim never asked); the others are left unanswered. A bucket is shared by networks that happen to meet in it, so that the
//! table never grows; which ones meet, nobody outside can know.

use crate::region::ClientNetwork;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Buckets: of a thousand networks that ask at once, each shares one with another only once in 65.
const BUCKETS: usize = 65_536;
/// Networks that count as one, bits: what one customer of a provider has at least.
const PREFIX_V4: u8 = 24;
pub(crate) const PREFIX_V6: u8 = 56;

/// What may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The answer.
    Answer,
    /// An empty one that is marked as cut off.
    Truncated,
    /// Nothing.
    Nothing,
}

/// See the module.
#[derive(Debug)]
pub struct RateLimit<S> {
    /// For each bucket when it would be empty, in nanoseconds since `start`.
    buckets: Vec<u64>,
    /// Time that an answer takes up, nanoseconds; 0: no limit.
    cost: u64,
    hasher: S,
    start: Instant,
    /// Flips with each answer that is too much.
    slips: bool,
}

impl<S: BuildHasher> RateLimit<S> {
    /// So many answers per second and network, as many at once; 0: no limit. The hasher has to be one that nobody can guess.
    pub fn new(answers_per_second: u32, hasher: S, now: Instant) -> Self {
        let cost = match answers_per_second {
            0 => 0,
            rate => 1_000_000_000 / u64::from(rate),
        };
        Self {
            buckets: vec![0; if cost == 0 { 0 } else { BUCKETS }],
            cost,
            hasher,
            start: now,
            slips: false,
        }
    }

    /// Counts an answer to `to`.
    pub fn count(&mut self, now: Instant, to: IpAddr) -> Verdict {
        let network = ClientNetwork::host(to);
        let network = network.widened(match network.address() {
            IpAddr::V4(_) => PREFIX_V4,
            IpAddr::V6(_) => PREFIX_V6,
        });
        let at = self.hasher.hash_one(network) as usize % BUCKETS;
        let Some(bucket) = self.buckets.get_mut(at) else {
            return Verdict::Answer;
        };
        let now = now.saturating_duration_since(self.start).as_nanos() as u64;
        let full = now + Duration::from_secs(1).as_nanos() as u64;
        let after = (*bucket).max(now) + self.cost;
        if after <= full {
            *bucket = after;
            return Verdict::Answer;
        }
        self.slips = !self.slips;
        if self.slips {
            Verdict::Truncated
        } else {
            Verdict::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasherDefault, DefaultHasher};

    type Fixed = BuildHasherDefault<DefaultHasher>;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_gets_so_many_answers_a_second_and_of_the_rest_every_second_one_cut_off() {
        let now = Instant::now();
        let mut limit = RateLimit::new(3, Fixed::default(), now);
        let mut ask = |after_ms, from| limit.count(now + Duration::from_millis(after_ms), ip(from));
        for from in ["192.0.2.1", "192.0.2.200", "::ffff:192.0.2.3"] {
            assert_eq!(ask(0, from), Verdict::Answer, "one network");
        }
        assert_eq!(ask(1, "192.0.2.1"), Verdict::Truncated);
        assert_eq!(ask(1, "192.0.2.1"), Verdict::Nothing);
        assert_eq!(ask(2, "192.0.2.1"), Verdict::Truncated);
        assert_eq!(ask(2, "198.51.100.1"), Verdict::Answer, "another network");
        assert_eq!(
            ask(340, "192.0.2.1"),
            Verdict::Answer,
            "a third of a second later"
        );
        assert_ne!(ask(341, "192.0.2.1"), Verdict::Answer);
        for _ in 0..3 {
            assert_eq!(
                ask(5_000, "192.0.2.1"),
                Verdict::Answer,
                "nothing is saved up beyond a second"
            );
        }
        assert_ne!(ask(5_000, "192.0.2.1"), Verdict::Answer);
        for _ in 0..3 {
            assert_eq!(ask(0, "2001:db8:0:ff::1"), Verdict::Answer);
        }
        assert_ne!(ask(0, "2001:db8:0:1::1"), Verdict::Answer, "the same /56");
    }

    #[test]
    fn the_table_never_grows() {
        let now = Instant::now();
        let mut limit = RateLimit::new(1, Fixed::default(), now);
        for at in 0..200_000_u32 {
            limit.count(now, std::net::Ipv4Addr::from_bits(at << 8).into());
        }
        assert_eq!(limit.buckets.len(), BUCKETS);
    }

    #[test]
    fn zero_is_no_limit() {
        let now = Instant::now();
        let mut limit = RateLimit::new(0, Fixed::default(), now);
        for _ in 0..10_000 {
            assert_eq!(limit.count(now, ip("192.0.2.1")), Verdict::Answer);
        }
    }
}
