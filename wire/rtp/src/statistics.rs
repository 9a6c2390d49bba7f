//! What a receiver knows of a stream (RFC 3550 appendix A.1, A.3, A.8) and the round trip from reports (§6.4.1).

use std::time::{Duration, Instant};

use crate::Ssrc;
use crate::rtcp::ReportBlock;

/// A gap up to this is loss (RFC 3550 §A.1); a bigger one is a restart or a stray packet.
const DROPOUT_MAX: u16 = 3_000;
/// Packets up to this old are late; older ones are a restart or stray.
const MISORDER_MAX: u16 = 100;
/// Seconds from 1900 to 1970.
const NTP_TO_UNIX_SECONDS: u64 = 2_208_988_800;

/// A 64-bit NTP timestamp: seconds since 1900 and their fraction (RFC 3550 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// From the time since the Unix epoch. Wraps in 2036, as the format does.
    pub fn from_unix(since_epoch: Duration) -> Self {
        let seconds = since_epoch.as_secs().wrapping_add(NTP_TO_UNIX_SECONDS);
        let fraction = (u64::from(since_epoch.subsec_nanos()) << 32) / 1_000_000_000;
        Self((seconds << 32) | fraction)
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
    if block.last_sr == 0 {
        return None;
    }
    let units = arrival
        .middle()
        .wrapping_sub(block.last_sr)
        .wrapping_sub(block.delay_since_last_sr);
    // Beyond half the range it is a small negative number: the clocks step or the peer rounds up.
    (units < 1 << 31).then(|| from_ntp_units(units))
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

/// Statistics of one received stream. It counts from its first packet: the owner decides which SSRC is worth one, so
/// the probation of §A.1 is not needed here.
#[derive(Debug, Clone)]
pub struct ReceiverStats {
    ssrc: Ssrc,
    clock_rate_hz: u32,
    /// Zero of the arrival clock.
    epoch: Instant,
    base_sequence: u16,
    /// Highest sequence number with its cycles above (§6.4.1). Reports carry the lower 32 bits; more are kept, since a
    /// sender that skips ahead can wrap those within minutes.
    highest: u64,
    /// The sequence number that would confirm a restart.
    after_jump: Option<u16>,
    received: u64,
    expected_prior: u64,
    received_prior: u64,
    /// Arrival minus timestamp of the last packet, in timestamp units (§A.8).
    transit: u32,
    /// Sixteen times the jitter, in timestamp units (§A.8).
    jitter_16: u32,
    last_sr: Option<(NtpTime, Instant)>,
}

impl ReceiverStats {
    /// Starts at the first packet. `clock_rate_hz` is that of its payload.
    pub fn new(ssrc: Ssrc, clock_rate_hz: u32, sequence: u16, timestamp: u32, arrival: Instant) -> Self {
        Self {
            ssrc,
            clock_rate_hz,
            epoch: arrival,
            base_sequence: sequence,
            highest: u64::from(sequence),
            after_jump: None,
            received: 1,
            expected_prior: 0,
            received_prior: 0,
            transit: 0u32.wrapping_sub(timestamp),
            jitter_16: 0,
            last_sr: None,
        }
    }

    /// The stream's source.
    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// Clock rate that jitter is reckoned by.
    pub fn clock_rate_hz(&self) -> u32 {
        self.clock_rate_hz
    }

    /// Counts one packet.
    pub fn receive(&mut self, sequence: u16, timestamp: u32, arrival: Instant) -> SequenceVerdict {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        let verdict = if ahead != 0 && ahead < DROPOUT_MAX {
            self.highest += u64::from(ahead);
            SequenceVerdict::Ahead
        } else if ahead == 0 || ahead > 0u16.wrapping_sub(MISORDER_MAX) {
            SequenceVerdict::Behind
        } else if self.after_jump == Some(sequence) {
            *self = Self {
                last_sr: self.last_sr,
                ..Self::new(self.ssrc, self.clock_rate_hz, sequence, timestamp, arrival)
            };
            return SequenceVerdict::Restarted;
        } else {
            self.after_jump = Some(sequence.wrapping_add(1));
            return SequenceVerdict::Jumped;
        };
        self.after_jump = None;
        self.received += 1;
        self.update_jitter(timestamp, arrival);
        verdict
    }

    /// Notes a sender report of this stream, for LSR and DLSR of the next report block.
    pub fn receive_sender_report(&mut self, ntp: NtpTime, arrival: Instant) {
        self.last_sr = Some((ntp, arrival));
    }

    /// Report block for the next RR or SR; starts the next interval for the fraction lost (§A.3).
    pub fn make_report(&mut self, now: Instant) -> ReportBlock {
        let expected = self.expected();
        let expected_interval = expected - self.expected_prior;
        let received_interval = self.received - self.received_prior;
        (self.expected_prior, self.received_prior) = (expected, self.received);
        let lost_interval = expected_interval.saturating_sub(received_interval);
        let fraction_lost = match (lost_interval << 8).checked_div(expected_interval) {
            Some(fraction) => fraction.min(255) as u8,
            None => 0,
        };
        let delay = |(_, arrival): (NtpTime, Instant)| to_ntp_units(now.saturating_duration_since(arrival));
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost,
            cumulative_lost: self.lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_sequence: self.highest as u32,
            jitter: self.jitter_16 >> 4,
            last_sr: self.last_sr.map_or(0, |(ntp, _)| ntp.middle()),
            delay_since_last_sr: self.last_sr.map_or(0, delay),
        }
    }

    /// Packets received, late ones and duplicates included.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Packets lost since the start; duplicates make it less (may be negative).
    pub fn lost(&self) -> i64 {
        self.expected() as i64 - self.received as i64
    }

    /// Interarrival jitter.
    pub fn jitter(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.jitter_16) / 16.0 / f64::from(self.clock_rate_hz.max(1)))
    }

    fn expected(&self) -> u64 {
        self.highest + 1 - u64::from(self.base_sequence)
    }

    fn update_jitter(&mut self, timestamp: u32, arrival: Instant) {
        let since = arrival.saturating_duration_since(self.epoch);
        let units = since.as_nanos() * u128::from(self.clock_rate_hz) / 1_000_000_000;
        // Both clocks count modulo 2^32; only differences matter.
        let transit = (units as u32).wrapping_sub(timestamp);
        let difference = transit.wrapping_sub(self.transit).cast_signed().unsigned_abs();
        self.transit = transit;
        // A jump of the media clock (hold, a new talker) is not jitter: a second of it says nothing about the network.
        if difference < self.clock_rate_hz {
            self.jitter_16 = self.jitter_16 + difference - ((self.jitter_16 + 8) >> 4);
        }
    }
}

fn to_ntp_units(duration: Duration) -> u32 {
    (duration.as_nanos().saturating_mul(65_536) / 1_000_000_000).min(u128::from(u32::MAX)) as u32
}

fn from_ntp_units(units: u32) -> Duration {
    Duration::from_nanos(u64::from(units) * 1_000_000_000 / 65_536)
}

#[cfg(test)]
mod tests;
