//! RTP, RTCP and telephone-event, read in place and written.
//!
//! Formats as values, plus the arithmetic of RFC 3550's appendix that needs nothing but packets and their arrival
//! times. Nothing here panics on any bytes, and nothing but [`rtcp`]'s writer allocates.

mod class;
mod packet;
pub mod rtcp;
mod statistics;
pub mod telephone_event;

pub use class::{PacketClass, classify};
pub use packet::{FIXED_HEADER_LEN, RtpError, RtpFields, RtpPacket};
pub use statistics::{NtpTime, ReceiverStats, SequenceVerdict, round_trip};

use std::fmt;

/// A synchronization source (RFC 3550 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ssrc(pub u32);

impl fmt::Display for Ssrc {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08x}", self.0)
    }
}

/// Some instant for tests to count from: only differences matter.
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant cannot be made otherwise, and it is only an origin"
)]
fn origin() -> std::time::Instant {
    std::time::Instant::now()
}
