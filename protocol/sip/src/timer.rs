//! The timer values of RFC 3261 §17 (table 4) and RFC 6026, derived from T1, T2 and T4.

use std::time::Duration;

/// The three base values; all timers A to M follow from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Round trip estimate: the first retransmission interval. RFC 3261 default 500 ms.
    pub t1: Duration,
    /// Longest retransmission interval of requests other than INVITE and of responses to INVITE. Default 4 s.
    pub t2: Duration,
    /// How long a message may stay in the network. Default 5 s.
    pub t4: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
        }
    }
}

impl Timing {
    /// 64 × T1: how long a transaction waits for its end (timers B, F, H, J, L, M).
    pub fn give_up(&self) -> Duration {
        self.t1 * 64
    }

    /// Timer D: how long retransmitted final responses to INVITE are absorbed; at least 32 s over UDP.
    pub(crate) fn absorb_responses(&self, reliable: bool) -> Duration {
        if reliable {
            Duration::ZERO
        } else {
            self.give_up().max(Duration::from_secs(32))
        }
    }

    /// Timer I or K: how long retransmissions are absorbed after the end; zero where the transport is reliable.
    pub(crate) fn absorb_late(&self, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { self.t4 }
    }

    /// The interval after `interval`, doubled up to T2 (timers E and G).
    pub(crate) fn back_off(&self, interval: Duration) -> Duration {
        (interval * 2).min(self.t2)
    }
}
