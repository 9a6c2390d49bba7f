//! A telephone-event of the other leg on its way through: which of its packets belong together, and what they say in this
//! leg's clock.

use offhook_rtp::telephone_event::{SEGMENT_DURATION_MAX, TelephoneEvent, is_next_segment};
use offhook_rtp::{RtpFields, Ssrc};

/// The event that was passed on last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PassingEvent {
    source: Ssrc,
    event: u8,
    /// Start of the present segment at the source.
    source_timestamp: u32,
    /// The longest that the segment said to have lasted, in ticks of the source.
    duration: u16,
    /// How long the segments before it lasted.
    before: u32,
    has_ended: bool,
    /// Start of the event on this leg.
    timestamp: u32,
}

/// What a packet is to the event that was passed on last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follow {
    /// The event goes on, as this.
    Goes(PassingEvent),
    /// It belongs to one before.
    Late,
    /// It begins another one.
    Other,
}

impl PassingEvent {
    pub(super) fn new(source: &RtpFields, event: &TelephoneEvent, timestamp: u32) -> Self {
        Self {
            source: source.ssrc,
            event: event.event,
            source_timestamp: source.timestamp,
            duration: event.duration,
            before: 0,
            has_ended: event.end,
            timestamp,
        }
    }

    pub(super) fn is_of(&self, source: Ssrc) -> bool {
        self.source == source
    }

    /// What a packet of the same source is to this event.
    pub(super) fn follow(mut self, source: &RtpFields, event: &TelephoneEvent) -> Follow {
        let ahead = source.timestamp.wrapping_sub(self.source_timestamp);
        if ahead.cast_signed() < 0 {
            return Follow::Late;
        }
        if ahead == 0 {
            self.duration = self.duration.max(event.duration);
        } else if !self.has_ended
            && event.event == self.event
            && is_next_segment(self.source_timestamp, self.duration, source.timestamp)
        {
            self.before = self.before.saturating_add(ahead);
            (self.source_timestamp, self.duration) = (source.timestamp, event.duration);
        } else {
            return Follow::Other;
        }
        self.has_ended |= event.end;
        Follow::Goes(self)
    }

    /// Timestamp and duration of a packet on this leg, whose segments may be others than the source's.
    pub(super) fn state(&self, event: &TelephoneEvent, source_rate_hz: u32, rate_hz: u32) -> (u32, u16) {
        let ticks = u64::from(self.before) + u64::from(event.duration);
        let total = ticks * u64::from(rate_hz) / u64::from(source_rate_hz.max(1));
        let full = u64::from(SEGMENT_DURATION_MAX);
        let segments = total.saturating_sub(1) / full;
        let start = self.timestamp.wrapping_add((segments * full) as u32);
        (start, (total - segments * full) as u16)
    }
}
