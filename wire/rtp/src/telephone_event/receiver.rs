//! Turns received telephone-event packets into presses and releases, each once (RFC 4733 §2.5.2).

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::{TelephoneEvent, is_next_segment};

/// A key counts as released when no packet of its event came for so long: ten packets of 20 ms, all lost.
pub const LOST_END_TIMEOUT: Duration = Duration::from_millis(200);

/// Events whose late packets are still recognised.
const REMEMBERED: usize = 8;

/// What a packet or the passing of time meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventChange {
    /// A key went down.
    Pressed {
        /// Event code.
        event: u8,
    },
    /// It went up, or its end was lost and it counts as up.
    Released {
        /// Event code.
        event: u8,
        /// How long it was down as far as is known, in timestamp units.
        duration: u32,
    },
}

/// At most a release of the last event and a press and a release of the next.
pub type EventChanges = SmallVec<[EventChange; 3]>;

/// Receives the events of one stream (one SSRC).
#[derive(Debug, Clone, Default)]
pub struct EventReceiver {
    down: Option<Down>,
    /// Timestamps of the last events, newest at `next - 1`.
    seen: [Option<u32>; REMEMBERED],
    next: usize,
}

#[derive(Debug, Clone, Copy)]
struct Down {
    event: u8,
    /// Start of the current segment.
    timestamp: u32,
    /// Longest duration that a packet of this segment stated.
    duration: u16,
    /// Duration of the segments before (RFC 4733 §2.5.1.3).
    before: u32,
    last_arrival: Instant,
}

impl EventReceiver {
    /// No key down, nothing seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one packet. An event is known by its timestamp, so its repeated, reordered and late packets change
    /// nothing, and any packet of an event that was not seen before presses the key, be it the last one.
    pub fn receive(&mut self, now: Instant, timestamp: u32, packet: TelephoneEvent) -> EventChanges {
        let mut changes = EventChanges::new();
        if let Some(down) = &mut self.down
            && down.is_continued_by(timestamp, packet.event)
        {
            *down = Down {
                timestamp,
                duration: 0,
                before: down.before.saturating_add(timestamp.wrapping_sub(down.timestamp)),
                ..*down
            };
            self.remember(timestamp);
        } else if !self.seen.contains(&Some(timestamp)) {
            changes.extend(self.release());
            self.remember(timestamp);
            self.down = Some(Down {
                event: packet.event,
                timestamp,
                duration: 0,
                before: 0,
                last_arrival: now,
            });
            changes.push(EventChange::Pressed { event: packet.event });
        }
        let Some(down) = self.down.as_mut().filter(|down| down.timestamp == timestamp) else {
            return changes;
        };
        down.duration = down.duration.max(packet.duration);
        down.last_arrival = now;
        if packet.end {
            changes.extend(self.release());
        }
        changes
    }

    /// When the key that is down will count as released.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.down.map(|down| down.last_arrival + LOST_END_TIMEOUT)
    }

    /// Releases a key whose end was lost.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<EventChange> {
        if self.poll_timeout()? > now {
            return None;
        }
        self.release()
    }

    fn release(&mut self) -> Option<EventChange> {
        let down = self.down.take()?;
        Some(EventChange::Released {
            event: down.event,
            duration: down.before.saturating_add(u32::from(down.duration)),
        })
    }

    fn remember(&mut self, timestamp: u32) {
        self.seen[self.next % REMEMBERED] = Some(timestamp);
        self.next = (self.next + 1) % REMEMBERED;
    }
}

impl Down {
    fn is_continued_by(&self, timestamp: u32, event: u8) -> bool {
        event == self.event && is_next_segment(self.timestamp, self.duration, timestamp)
    }
}
