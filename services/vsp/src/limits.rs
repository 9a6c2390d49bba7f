//! How much of everything there may be, and the two meters that watch rates.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Requests that one socket may send before its answers are awaited while a login is being checked. The SDK sends none.
pub const QUEUED_WHILE_LOGIN_MAX: usize = 8;
/// Their bytes: nobody knows yet whose they are, and an invite has some 6 KiB.
pub const QUEUED_WHILE_LOGIN_LEN_MAX: usize = 64 * 1024;
/// Candidates that wait for the gateway to know their call. Browsers have some ten; a host with many addresses, forty.
pub const CANDIDATES_QUEUED_MAX: usize = 64;
/// Digits in one `info`.
pub const DTMF_DIGITS_MAX: usize = offhook_media_control::DTMF_DIGITS_MAX;
/// Requests of one call that may wait for the gateway or for SIP at once.
pub const PENDING_PER_CALL_MAX: usize = 64;
/// Custom headers of one call that go into a SIP message: a datagram has to hold them beside the SDP.
pub const CUSTOM_HEADERS_SENT_MAX: usize = 16;
/// Addresses whose failed logins are remembered. Those with the oldest failures are forgotten first.
pub const THROTTLED_ADDRESSES_MAX: usize = 10_000;
/// Server pings: the SDK starts probing by itself after 20 s of silence.
pub const PING_INTERVAL: Duration = Duration::from_secs(15);
/// A socket that has been silent for so long is closed.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long a socket may take to log in.
pub const UNAUTHENTICATED_MAX: Duration = Duration::from_secs(30);
/// How long the socket that holds a session may take to show that it lives, when another one asks for the session.
pub const RIVAL_PROBE: Duration = Duration::from_millis(1_500);
/// How long the gateway may take to apply an answer, or to close a session before the call is forgotten.
pub const CLOSE_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long each digit sounds.
pub const DTMF_DURATION_MS: u16 = 160;

/// Limits that the operator sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Client sessions at once.
    pub sessions_max: usize,
    /// Client sessions of one user at once.
    pub sessions_per_user_max: usize,
    /// Calls of one session at once.
    pub calls_per_session_max: usize,
    /// Requests per second of one socket, over a while.
    pub requests_per_second: u32,
    /// Requests that a socket may send at once beyond that rate.
    pub requests_burst: u32,
    /// Failed logins of one address (IPv6: of one /64) before it has to wait; one is forgiven every six seconds.
    pub login_failures_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_max: 10_000,
            sessions_per_user_max: 100,
            calls_per_session_max: 16,
            requests_per_second: 50,
            requests_burst: 200,
            login_failures_max: 10,
        }
    }
}

/// Lets through a number of things at once, and a rate of them over time.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    burst: f64,
    per_second: f64,
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(now: Instant, burst: u32, per_second: f64) -> Self {
        Self {
            burst: f64::from(burst),
            per_second,
            tokens: f64::from(burst),
            filled: now,
        }
    }

    /// Takes one, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }

    /// Takes one whether there is one or not: what is missing, `debt_max` at most, has to come in first.
    fn charge(&mut self, now: Instant, debt_max: f64) {
        self.refill(now);
        self.tokens = (self.tokens - 1.0).max(-debt_max);
    }

    /// Whether there is none.
    pub fn is_empty(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens < 1.0
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        self.filled = now;
    }
}

/// Failed logins by address.
#[derive(Debug)]
pub struct LoginThrottle {
    failures_max: u32,
    addresses: HashMap<IpAddr, TokenBucket>,
}

/// One failed login is forgiven every six seconds.
const FORGIVEN_PER_SECOND: f64 = 1.0 / 6.0;
/// Failures that are remembered beyond those that pass: many sockets may fail at once, before the first one is known to. An
/// hour's worth.
const FAILURES_OWED_MAX: f64 = 600.0;

impl LoginThrottle {
    /// A throttle that lets `failures_max` failures pass at once.
    pub fn new(failures_max: u32) -> Self {
        Self {
            failures_max,
            addresses: HashMap::new(),
        }
    }

    /// Whether `address` has to wait before it may try again.
    pub fn refuses(&mut self, now: Instant, address: IpAddr) -> bool {
        self.addresses
            .get_mut(&network(address))
            .is_some_and(|bucket| bucket.is_empty(now))
    }

    /// Counts a failure.
    pub fn failed(&mut self, now: Instant, address: IpAddr) {
        let address = network(address);
        if self.addresses.len() >= THROTTLED_ADDRESSES_MAX && !self.addresses.contains_key(&address) {
            let oldest = self
                .addresses
                .iter()
                .min_by_key(|(_, bucket)| bucket.filled)
                .map(|(address, _)| *address);
            oldest.and_then(|address| self.addresses.remove(&address));
        }
        let full = TokenBucket::new(now, self.failures_max, FORGIVEN_PER_SECOND);
        let bucket = self.addresses.entry(address).or_insert(full);
        bucket.charge(now, FAILURES_OWED_MAX);
    }
}

/// Whom an address stands for: an IPv6 customer has a /64 of addresses; an IPv4-mapped one is the IPv4 address.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(start, 3, 2.0);
        assert_eq!((0..5).filter(|_| bucket.take(start)).count(), 3);
        assert!(!bucket.take(start + Duration::from_millis(400)));
        assert!(bucket.take(start + Duration::from_millis(500)));
        assert_eq!(
            (0..9)
                .filter(|_| bucket.take(start + Duration::from_secs(60)))
                .count(),
            3
        );
    }

    #[test]
    fn failures_of_a_network_make_it_wait() {
        let start = Instant::now();
        let mut throttle = LoginThrottle::new(2);
        let [one, neighbour, other]: [IpAddr; 3] =
            ["2001:db8::1", "2001:db8::2", "2001:db8:1::1"].map(|text| text.parse().unwrap());
        throttle.failed(start, one);
        assert!(!throttle.refuses(start, one));
        throttle.failed(start, one);
        assert!(throttle.refuses(start, one) && throttle.refuses(start, neighbour));
        assert!(!throttle.refuses(start, other));
        assert!(!throttle.refuses(start + Duration::from_secs(7), one));
    }

    #[test]
    fn guesses_at_once_gain_nothing_over_guesses_in_a_row() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let address = "192.0.2.1".parse().unwrap();
        let mut throttle = LoginThrottle::new(2);
        for _ in 0..52 {
            throttle.failed(start, address);
        }
        assert!(throttle.refuses(after(50 * 6), address));
        assert!(!throttle.refuses(after(51 * 6 + 1), address));
        for _ in 0..10_000 {
            throttle.failed(after(400), address);
        }
        assert!(!throttle.refuses(after(400 + 3_610), address), "not for ever");
    }

    #[test]
    fn the_memory_of_failures_is_bounded() {
        let start = Instant::now();
        let mut throttle = LoginThrottle::new(1);
        for n in 0..THROTTLED_ADDRESSES_MAX as u32 + 100 {
            throttle.failed(start + Duration::from_millis(u64::from(n)), IpAddr::V4(n.into()));
        }
        assert_eq!(throttle.addresses.len(), THROTTLED_ADDRESSES_MAX);
        let known = IpAddr::V4((THROTTLED_ADDRESSES_MAX as u32).into());
        let later = start + Duration::from_secs(60);
        (0..100).for_each(|_| throttle.failed(later, known));
        assert_eq!(
            throttle.addresses.len(),
            THROTTLED_ADDRESSES_MAX,
            "who is known pushes out nobody"
        );
    }
}
