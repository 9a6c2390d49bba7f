//! When to sleep although there may be work: waking up costs more than a SIP message does.

use offhook_transport::udp::batch::BATCH_MAX;
use std::time::{Duration, Instant};

/// From so many messages per second on it pays: at 200 calls per second, each message is still served at once.
const BUSY_PER_SECOND: usize = 1_500;

/// Over this time the rate is counted.
const WINDOW: Duration = Duration::from_millis(100);

/// How to spend the time until the next look at the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Not at all: more lies there.
    None,
    /// Sleep so long, whatever comes.
    Nap(Duration),
    /// Wait for the next message, at most so long.
    Wait(Duration),
}

/// Watches the rate of messages.
#[derive(Debug)]
pub(super) struct Pace {
    /// How long messages may lie under load: it saves most wake-ups, ours and those of whoever we send to.
    nap: Duration,
    window: Option<Instant>,
    count: usize,
    busy: bool,
    /// Size of the last batch.
    last: usize,
}

impl Pace {
    /// With a nap of zero nobody ever sleeps while there is work.
    pub(super) fn new(nap: Duration) -> Self {
        Self {
            nap,
            window: None,
            count: 0,
            busy: false,
            last: 0,
        }
    }

    /// A batch was taken, maybe an empty one.
    pub(super) fn received(&mut self, now: Instant, messages: usize) {
        let start = *self.window.get_or_insert(now);
        let passed = now.duration_since(start);
        if passed >= WINDOW {
            let per_second = self.count as f64 / passed.as_secs_f64();
            self.busy = per_second >= BUSY_PER_SECOND as f64;
            (self.window, self.count) = (Some(now), 0);
        }
        self.count += messages;
        self.last = messages;
    }

    /// What to do until the next look; not beyond the next deadline. After an empty look nobody naps: the first message
    /// after a pause is served at once.
    pub(super) fn rest(&self, now: Instant, deadline: Instant) -> Rest {
        let left = deadline.saturating_duration_since(now);
        match self.last {
            BATCH_MAX.. => Rest::None,
            1.. if self.busy && !self.nap.min(left).is_zero() => Rest::Nap(self.nap.min(left)),
            _ => Rest::Wait(left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAP: Duration = Duration::from_millis(4);

    #[test]
    fn without_a_nap_it_only_waits() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::ZERO);
        for ms in 0..=400 {
            pace.received(start + Duration::from_millis(ms), 4);
        }
        let now = start + Duration::from_millis(400);
        assert_eq!(pace.rest(now, now + NAP), Rest::Wait(NAP));
    }

    #[test]
    fn it_naps_only_while_many_messages_come_and_never_beyond_a_deadline() {
        let start = Instant::now();
        let later = |ms| start + Duration::from_millis(ms);
        let wait = |ms| Rest::Wait(Duration::from_millis(ms));
        let mut pace = Pace::new(NAP);
        assert_eq!(pace.rest(start, later(5)), wait(5), "nothing came yet");
        for ms in 0..=200 {
            pace.received(later(ms), 1);
        }
        assert_eq!(
            pace.rest(later(200), later(900)),
            wait(700),
            "1,000 per second are few"
        );
        for ms in 200..=400 {
            pace.received(later(ms), 4);
        }
        assert_eq!(pace.rest(later(400), later(900)), Rest::Nap(NAP));
        assert_eq!(pace.rest(later(400), later(402)), Rest::Nap(NAP / 2));
        assert_eq!(pace.rest(later(400), later(400)), wait(0));
        pace.received(later(401), 0);
        assert_eq!(pace.rest(later(401), later(900)), wait(499), "it is quiet now");
        pace.received(later(900), 1);
        assert_eq!(pace.rest(later(900), later(999)), wait(99), "it was quiet since");
    }

    #[test]
    fn a_full_batch_is_followed_by_the_next_at_once() {
        let now = Instant::now();
        let mut pace = Pace::new(NAP);
        pace.received(now, BATCH_MAX);
        assert_eq!(pace.rest(now, now + WINDOW), Rest::None);
    }
}
