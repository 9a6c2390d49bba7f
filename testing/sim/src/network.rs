//! What lies between the nodes: things under way, each with its time of arrival.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// How the datagram network behaves.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Shortest way from node to node.
    pub latency: Duration,
    /// Up to so much more, evenly drawn, so that datagrams overtake one another.
    pub jitter: Duration,
    /// Share of datagrams that are lost, 0 to 1.
    pub loss: f64,
    /// Share of datagrams that come twice, 0 to 1.
    pub duplication: f64,
}

impl Weather {
    /// Nothing is lost; one millisecond from node to node.
    pub const FAIR: Weather = Weather {
        latency: Duration::from_millis(1),
        jitter: Duration::ZERO,
        loss: 0.0,
        duplication: 0.0,
    };

    /// Much is lost, late, twice or out of order.
    pub const FOUL: Weather = Weather {
        latency: Duration::from_millis(5),
        jitter: Duration::from_millis(60),
        loss: 0.1,
        duplication: 0.05,
    };
}

/// Things under way. Those that arrive at the same time keep the order in which they were sent.
#[derive(Debug)]
pub struct Network<T> {
    weather: Weather,
    rng: StdRng,
    under_way: BinaryHeap<Reverse<Entry<T>>>,
    sent: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Instant,
    number: u64,
    what: T,
}

impl<T: Clone> Network<T> {
    /// An empty network.
    pub fn new(weather: Weather, seed: u64) -> Self {
        Self {
            weather,
            rng: StdRng::seed_from_u64(seed),
            under_way: BinaryHeap::new(),
            sent: 0,
        }
    }

    /// Sends as a datagram: it may be lost, doubled, overtaken.
    pub fn send_unreliably(&mut self, now: Instant, what: T) {
        if self.weather.duplication > 0.0 && self.rng.random_bool(self.weather.duplication) {
            let at = now + self.delay();
            self.arrive_at(at, what.clone());
        }
        if self.weather.loss > 0.0 && self.rng.random_bool(self.weather.loss) {
            return;
        }
        let at = now + self.delay();
        self.arrive_at(at, what);
    }

    /// Sends as on a stream: everything arrives, in order.
    pub fn send_reliably(&mut self, now: Instant, what: T) {
        let at = now + self.weather.latency;
        self.arrive_at(at, what);
    }

    /// Lets something arrive at a given time.
    pub fn arrive_at(&mut self, at: Instant, what: T) {
        self.sent += 1;
        self.under_way.push(Reverse(Entry {
            at,
            number: self.sent,
            what,
        }));
    }

    /// When the next thing arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse(entry)| entry.at)
    }

    /// The next thing that has arrived at `now`.
    pub fn arrived(&mut self, now: Instant) -> Option<T> {
        if self.next_arrival()? > now {
            return None;
        }
        self.under_way.pop().map(|Reverse(entry)| entry.what)
    }

    fn delay(&mut self) -> Duration {
        self.weather.latency + self.weather.jitter.mul_f64(self.rng.random_range(0.0..1.0))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl<T> Eq for Entry<T> {}
impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
