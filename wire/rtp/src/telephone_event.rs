//! DTMF as telephone-event (RFC 4733): the payload, and the state of a sender and of a receiver.

mod receiver;
mod sender;

pub use receiver::{EventChange, EventChanges, EventReceiver, LOST_END_TIMEOUT};
pub use sender::{DigitSender, DigitTiming, EventFrame, EventPacket, QUEUE_LEN_MAX, QueueFull};

/// Length of the payload, in bytes.
pub const PAYLOAD_LEN: usize = 4;

/// Events 0 to 15 in order.
const DIGITS: &[u8; 16] = b"0123456789*#ABCD";

/// One telephone-event payload (RFC 4733 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// Event code; 0 to 15 are the DTMF digits.
    pub event: u8,
    /// End bit: the tone is over.
    pub end: bool,
    /// Power as minus dBm0, 0 to 63.
    pub volume: u8,
    /// How long the tone has sounded so far, in timestamp units.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Reads the first event of a payload; None if it is too short. What follows (redundancy) is not read.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let [event, second, d0, d1] = *payload.first_chunk::<PAYLOAD_LEN>()?;
        Some(Self {
            event,
            end: second & 0x80 != 0,
            volume: second & 0x3f,
            duration: u16::from_be_bytes([d0, d1]),
        })
    }

    /// The payload's bytes.
    pub fn to_payload(&self) -> [u8; PAYLOAD_LEN] {
        let [d0, d1] = self.duration.to_be_bytes();
        [
            self.event,
            u8::from(self.end) << 7 | self.volume.min(0x3f),
            d0,
            d1,
        ]
    }
}

/// The longest that one segment of an event can say it lasts.
pub const SEGMENT_DURATION_MAX: u16 = u16::MAX;
/// A sender may begin the next segment with its next packet, up to 50 ms (of 48 kHz) after the one that was full.
const SEGMENT_DELAY_MAX: u32 = 2_400;

/// Whether what begins at `timestamp` is the next segment of a long event (RFC 4733 §2.5.1.3), of which the segment that
/// began at `earlier` said to have lasted for `duration`.
pub fn is_next_segment(earlier: u32, duration: u16, timestamp: u32) -> bool {
    let ahead = timestamp.wrapping_sub(earlier);
    let full = u32::from(SEGMENT_DURATION_MAX);
    ahead != 0 && (ahead == u32::from(duration) || (full..=full + SEGMENT_DELAY_MAX).contains(&ahead))
}

/// Event code of a digit, `0-9 * # A-D` (also `a-d`).
pub fn event_of_digit(digit: char) -> Option<u8> {
    let digit = u8::try_from(digit.to_ascii_uppercase()).ok()?;
    DIGITS
        .iter()
        .position(|known| *known == digit)
        .map(|event| event as u8)
}

/// Digit of an event code; None above 15.
pub fn digit_of_event(event: u8) -> Option<char> {
    DIGITS.get(usize::from(event)).map(|digit| char::from(*digit))
}

#[cfg(test)]
mod tests;
