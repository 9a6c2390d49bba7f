//! How long packets must be held: from how unevenly they came lately.

use crate::jitter_buffer::JitterConfig;

/// Packets that are remembered: 2.5 s of 20 ms. Bounds how long a spike of jitter keeps the hold up.
const WINDOW: usize = 128;
/// Part of the packets that may come too late for the hold: 1 in 50.
const LATE_PART: usize = 50;
/// Packets before the start value gives way to what was measured.
const LEARN_MIN: usize = 16;

/// Transit times of the last packets, in microseconds on a scale of their own, and what follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DelayEstimate {
    transits_us: [i32; WINDOW],
    len: usize,
    next: usize,
    /// The fastest of the window.
    floor_us: i32,
    /// Hold above the fastest.
    target_us: i32,
    start_us: i32,
    min_us: i32,
    max_us: i32,
}

impl DelayEstimate {
    pub(super) fn new(config: &JitterConfig) -> Self {
        let micros = |duration: std::time::Duration| i32::try_from(duration.as_micros()).unwrap_or(i32::MAX);
        let (min_us, max_us) = (
            micros(config.min_delay),
            micros(config.max_delay.max(config.min_delay)),
        );
        let start_us = micros(config.start_delay).clamp(min_us, max_us);
        Self {
            transits_us: [0; WINDOW],
            len: 0,
            next: 0,
            floor_us: 0,
            target_us: start_us,
            start_us,
            min_us,
            max_us,
        }
    }

    /// Forgets the window, not the hold: a source that starts anew mostly comes over the same network.
    pub(super) fn restart(&mut self) {
        self.len = 0;
        self.next = 0;
        self.floor_us = 0;
        self.start_us = self.target_us;
    }

    /// Takes the transit time of a packet.
    pub(super) fn add(&mut self, transit_us: i32) {
        self.transits_us[self.next] = transit_us;
        self.next = (self.next + 1) % WINDOW;
        self.len = (self.len + 1).min(WINDOW);
        // Sorting out the window costs about a microsecond: not for each packet, but at once for one that came late.
        if self.next.is_multiple_of(4) || self.len < LEARN_MIN || transit_us > self.floor_us + self.target_us
        {
            self.update();
        }
    }

    /// Transit time of the fastest packet of the window.
    pub(super) fn floor_us(&self) -> i32 {
        self.floor_us
    }

    /// How long the fastest packet is to be held.
    pub(super) fn target_us(&self) -> i32 {
        self.target_us
    }

    fn update(&mut self) {
        let mut sorted = self.transits_us;
        let Some(window) = sorted.get_mut(..self.len).filter(|window| !window.is_empty()) else {
            return;
        };
        self.floor_us = window.iter().copied().min().unwrap_or_default();
        let index = window.len() - 1 - window.len() / LATE_PART;
        let (_, nearly_slowest, _) = window.select_nth_unstable(index);
        let measured = (*nearly_slowest - self.floor_us)
            .saturating_add(self.min_us)
            .clamp(self.min_us, self.max_us);
        self.target_us = if self.len < LEARN_MIN {
            measured.max(self.start_us)
        } else {
            measured
        };
    }
}
