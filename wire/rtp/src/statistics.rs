//! What a receiver knows of a stream (RFC 3550 appendix A.1, A.3, A.8) and the round trip from reports (§6.4.1).

use std::time::{Duration, Instant};

use crate::Ssrc;
use crate::rtcp::ReportBlock;

/// A 64-bit NTP timestamp: seconds since 1900 and their fraction (RFC 3550 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// From the time since the Unix epoch.
    pub fn from_unix(since_epoch: Duration) -> Self {
        let _ = since_epoch;
        todo!()
    }

    /// The middle 32 bits, as LSR and DLSR carry them: units of 1/65536 s.
    pub fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// Round trip from a report block about our stream (RFC 3550 §6.4.1): arrival minus LSR minus DLSR.
///
/// None if the block names no sender report yet, or if the clock says that it arrived before it was sent.
pub fn round_trip(arrival: NtpTime, block: &ReportBlock) -> Option<Duration> {
    let _ = (arrival, block);
    todo!()
}

/// What became of one sequence number (RFC 3550 §A.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceVerdict {
    /// Next or a small gap ahead.
    Ahead,
    /// Late or a duplicate; within the window.
    Behind,
    /// Jumped too far; not counted unless the next packet follows it.
    Jumped,
    /// The second packet after a jump: the sender has restarted, the statistics start anew.
    Restarted,
}

/// Statistics of one received stream.
#[derive(Debug, Clone)]
pub struct ReceiverStats {
    ssrc: Ssrc,
}

impl ReceiverStats {
    /// Starts at the first packet. `clock_rate_hz` is that of its payload.
    pub fn new(ssrc: Ssrc, clock_rate_hz: u32, sequence: u16, timestamp: u32, arrival: Instant) -> Self {
        let _ = (clock_rate_hz, sequence, timestamp, arrival);
        Self { ssrc }
    }

    /// The stream's source.
    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// Counts one packet.
    pub fn receive(&mut self, sequence: u16, timestamp: u32, arrival: Instant) -> SequenceVerdict {
        let _ = (sequence, timestamp, arrival);
        todo!()
    }

    /// Notes a sender report of this stream, for LSR and DLSR of the next report block.
    pub fn receive_sender_report(&mut self, ntp: NtpTime, arrival: Instant) {
        let _ = (ntp, arrival);
        todo!()
    }

    /// Report block for the next RR or SR; starts the next interval for the fraction lost.
    pub fn make_report(&mut self, now: Instant) -> ReportBlock {
        let _ = now;
        todo!()
    }

    /// Packets received, late ones and duplicates included.
    pub fn received(&self) -> u64 {
        todo!()
    }

    /// Packets lost since the start; duplicates make it less (may be negative).
    pub fn lost(&self) -> i64 {
        todo!()
    }

    /// Interarrival jitter.
    pub fn jitter(&self) -> Duration {
        todo!()
    }
}
