//! When to sleep although there is work: waking up costs more than a SIP message does.

use std::time::{Duration, Instant};

/// How long messages may lie under load: nobody who dials notices, and with 3,500 messages per second (500 calls) it saves
/// most wake-ups.
const NAP: Duration = Duration::from_millis(1);

/// From so many messages per second on it pays: at 100 calls per second, each message is still served at once.
const BUSY_PER_SECOND: usize = 1_500;

/// Over this time the rate is counted.
const WINDOW: Duration = Duration::from_millis(100);

/// Watches the rate of messages.
#[derive(Debug, Default)]
pub(super) struct Pace {
    window: Option<Instant>,
    count: usize,
    busy: bool,
}

impl Pace {
    /// A batch was taken.
    pub(super) fn received(&mut self, now: Instant, messages: usize) {
        let start = *self.window.get_or_insert(now);
        let passed = now.duration_since(start);
        if passed >= WINDOW {
            let per_second = self.count as f64 / passed.as_secs_f64();
            self.busy = per_second >= BUSY_PER_SECOND as f64;
            (self.window, self.count) = (Some(now), 0);
        }
        self.count += messages;
    }

    /// How long to sleep before the socket is looked at again; not beyond the next deadline.
    pub(super) fn nap(&self, now: Instant, deadline: Instant) -> Option<Duration> {
        let nap = NAP.min(deadline.saturating_duration_since(now));
        (self.busy && !nap.is_zero()).then_some(nap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_naps_only_while_many_messages_come_and_never_beyond_a_deadline() {
        let start = Instant::now();
        let later = |ms| start + Duration::from_millis(ms);
        let mut pace = Pace::default();
        for ms in 0..=200 {
            pace.received(later(ms), 1);
        }
        assert_eq!(pace.nap(later(200), later(900)), None, "1,000 per second are few");
        for ms in 200..=400 {
            pace.received(later(ms), 4);
        }
        assert_eq!(pace.nap(later(400), later(900)), Some(NAP));
        assert_eq!(pace.nap(later(400), later(400)), None);
        pace.received(later(900), 1);
        assert_eq!(pace.nap(later(900), later(999)), None, "it was quiet since");
    }
}
