//! Adaptive playout of RTP packets, sans-IO: packets in at any time and in any order, out in order at deadlines.
//!
//! Each deadline follows from the packet's own timestamp: `arrival of the stream's first packet + time on the sender's
//! clock + hold`. So playout runs at the sender's clock and never drifts from it. The hold moves a little with each
//! packet towards what the network needs; the audio itself is neither stretched nor cut for that, packets are just sent
//! on a few milliseconds earlier or later. While packets get lost, those of a codec with error correction are held for one
//! packet longer, so that the packet which repairs a loss is there in time.

mod delay;

use std::time::{Duration, Instant};

use self::delay::DelayEstimate;

/// Most packets that wait: over a second of 20 ms. A burst beyond it loses its oldest.
pub const JITTER_PACKETS_MAX: usize = 64;
/// A transit time that differs so much from the window's comes from a jump of the sender's timestamps.
const JUMP_US: i64 = 1_000_000;
/// So many packets in a row that all came too late: the path has become slower for good.
const LATE_RUN_MAX: u32 = 10;
/// So many deadlines in a row without any packet: the source is silent, and may come back on another time scale.
const IDLE_AFTER: u32 = 10;
/// A hold that exceeds what is needed by more is not worn down but skipped.
const CATCH_UP_US: i64 = 250_000;

/// Sequence numbers of which it is known whether they have come.
const SEEN: i64 = 64;

/// Packets that must be missing among the last 64 for repair to be worth its delay: about 3 %.
const LOST_MIN: u32 = 2;

/// How long packets may be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JitterConfig {
    /// Hold before the network's jitter is known.
    pub start_delay: Duration,
    /// Least hold on a network without jitter; also the margin above the measured jitter.
    pub min_delay: Duration,
    /// Most hold, however bad the network.
    pub max_delay: Duration,
}

impl Default for JitterConfig {
    fn default() -> Self {
        Self {
            start_delay: Duration::from_millis(3),
            min_delay: Duration::from_millis(2),
            max_delay: Duration::from_millis(200),
        }
    }
}

/// What became of a packet on its way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pushed {
    /// It waits for its deadline.
    Queued,
    /// It waits, and playout starts anew with it: first packet, new source, or a jump of time.
    Restarted,
    /// It has been there before.
    Duplicate,
    /// Its deadline is over.
    Late,
    /// It is not of its codec, empty or too long.
    Unusable,
}

/// What is to be played next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulled<'a> {
    /// A packet.
    Packet {
        /// Its payload.
        payload: &'a [u8],
        /// Length of its audio, in ticks of the RTP timestamp.
        ticks: u32,
    },
    /// A packet is missing.
    Missing {
        /// Length of what is missing, in ticks of the RTP timestamp.
        ticks: u32,
        /// The packet right after it, if it is there already: may carry error correction for the missing one.
        next: Option<&'a [u8]>,
    },
    /// Nothing is missing: the sender paused (discontinuous transmission).
    Pause {
        /// Length of this part of the pause, in ticks of the RTP timestamp.
        ticks: u32,
    },
}

/// Counts and present values of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JitterStats {
    /// Packets given, of any fate.
    pub received: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets that had been there before.
    pub duplicates: u64,
    /// Packets that came after their deadline.
    pub late: u64,
    /// Packets dropped unplayed: too many at once, or skipped to catch up.
    pub skipped: u64,
    /// Times that playout started anew: new source, jump of time.
    pub restarts: u64,
    /// How long the fastest packet of late was held, microseconds.
    pub hold_us: u32,
}

/// Plays packets out in order; a plain value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JitterBuffer {
    rate_hz: u32,
    frame_ticks: u32,
    delay: DelayEstimate,
    /// Packets may carry error correction for the ones before them.
    repairs: bool,
    stream: Option<Stream>,
    /// Waiting packets by timestamp, soonest first.
    queue: Vec<Entry>,
    /// Emptied payload buffers, to be used again.
    spare: Vec<Vec<u8>>,
    /// The payload that the latest pull lent out.
    lent: Vec<u8>,
    stats: JitterStats,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    sequence: i64,
    timestamp: i64,
    ticks: u32,
    payload: Vec<u8>,
}

/// One source on one time scale. Sequence numbers and timestamps are extended beyond their wrap.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stream {
    ssrc: u32,
    /// Arrival of its first packet; all times are microseconds since then.
    epoch: Instant,
    /// Timestamp of its first packet.
    base_timestamp: i64,
    highest_sequence: i64,
    /// Sequence number of its first packet.
    first_sequence: i64,
    /// Timestamp of the packet with the highest sequence number.
    latest_timestamp: i64,
    /// Bit n: sequence number `highest - n` has come.
    seen: u64,
    /// Timestamp that is played next.
    position: i64,
    /// Sequence number that was played last.
    played_sequence: Option<i64>,
    /// Deadline of a timestamp minus its time on the sender's clock.
    offset_us: i64,
    /// Length of the sender's packets.
    packet_ticks: u32,
    late_run: u32,
    empty_run: u32,
    /// The number that would confirm that the source has started anew (RFC 3550 §A.1).
    anew: Option<u16>,
}

impl JitterBuffer {
    /// An empty buffer for a codec of `rate_hz` whose audio is taken in frames of `frame_ticks`.
    pub fn new(config: &JitterConfig, rate_hz: u32, frame_ticks: u32) -> Self {
        Self {
            rate_hz,
            frame_ticks,
            delay: DelayEstimate::new(config),
            repairs: false,
            stream: None,
            queue: Vec::with_capacity(JITTER_PACKETS_MAX + 1),
            spare: Vec::with_capacity(JITTER_PACKETS_MAX + 1),
            lent: Vec::new(),
            stats: JitterStats::default(),
        }
    }

    /// For a codec whose packets may repair the loss of the one before.
    pub fn with_repairs(mut self, repairs: bool) -> Self {
        self.repairs = repairs;
        self
    }

    /// Takes a packet whose audio is `ticks` long.
    pub fn push(&mut self, now: Instant, packet: &crate::Packet<'_>, ticks: u32) -> Pushed {
        self.stats.received += 1;
        if ticks == 0 || packet.payload.is_empty() || packet.payload.len() > crate::PAYLOAD_LEN_MAX {
            return Pushed::Unusable;
        }
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.ssrc == packet.ssrc) else {
            return self.restart(now, packet, ticks);
        };
        let (sequence, timestamp) = stream.extend(packet);
        let newest = sequence > stream.highest_sequence;
        let transit_us = stream.transit_us(now, timestamp, self.rate_hz);
        let floor_us = i64::from(self.delay.floor_us());
        let jumped = (transit_us - floor_us).abs() > JUMP_US;
        if newest && jumped {
            return self.restart(now, packet, ticks);
        }
        if sequence <= stream.highest_sequence - SEEN {
            // Older than can be known, or of a source that numbers its packets anew: then the next one follows it.
            if stream.anew == Some(packet.sequence) {
                return self.restart(now, packet, ticks);
            }
            stream.anew = Some(packet.sequence.wrapping_add(1));
            self.stats.late += 1;
            return Pushed::Late;
        }
        stream.anew = None;
        if !stream.mark_seen(sequence) {
            self.stats.duplicates += 1;
            return Pushed::Duplicate;
        }
        if newest {
            stream.latest_timestamp = timestamp;
            stream.packet_ticks = ticks;
        } else {
            self.stats.reordered += 1;
        }
        if jumped {
            // Not the newest, and of another time: a straggler from before a jump.
            self.stats.late += 1;
            return Pushed::Late;
        }
        self.delay.add(transit_us as i32);
        if timestamp + i64::from(ticks) <= stream.position {
            return self.late(now, packet, ticks);
        }
        stream.late_run = 0;
        self.insert(sequence, timestamp, ticks, packet.payload);
        Pushed::Queued
    }

    /// When the frame that begins `behind_ticks` before the next packet to be pulled is due; none before the first
    /// packet.
    pub fn due(&self, behind_ticks: u32) -> Option<Instant> {
        let stream = self.stream.as_ref()?;
        // Packets that are no multiple of our frames reach over their ends: wait for the one that completes a frame.
        let whole = greatest_common_divisor(self.frame_ticks, stream.packet_ticks);
        let wait = i64::from(self.frame_ticks - whole) - i64::from(behind_ticks);
        let due_us = self.ticks_to_us(stream.position + wait - stream.base_timestamp) + stream.offset_us;
        Some(match u64::try_from(due_us) {
            Ok(after) => stream.epoch + Duration::from_micros(after),
            Err(_) => stream.epoch,
        })
    }

    /// The next part to be played; the position moves on by its length. None before the first packet.
    pub fn pull(&mut self) -> Option<Pulled<'_>> {
        self.settle();
        let stream = self.stream.as_mut()?;
        let packet_ticks = i64::from(stream.packet_ticks);
        let Some(gap) = self.queue.first().map(|first| first.timestamp - stream.position) else {
            stream.empty_run = stream.empty_run.saturating_add(1);
            stream.position += packet_ticks;
            return Some(Pulled::Missing {
                ticks: stream.packet_ticks,
                next: None,
            });
        };
        stream.empty_run = 0;
        // There are senders whose timestamps are off by a few ticks: not worth inventing audio for.
        if gap <= packet_ticks / 4 {
            return Some(self.take_first());
        }
        let part = gap.min(packet_ticks);
        stream.position += part;
        let ticks = part as u32;
        let first = self.queue.first()?;
        if stream
            .played_sequence
            .is_some_and(|played| first.sequence == played + 1)
        {
            return Some(Pulled::Pause { ticks });
        }
        let next = (gap == part).then_some(first.payload.as_slice());
        Some(Pulled::Missing { ticks, next })
    }

    /// Moves the position on by `ticks` without playing: for a caller that was held up for longer than audio is worth
    /// being late.
    pub fn skip(&mut self, ticks: u32) {
        if let Some(stream) = &mut self.stream {
            stream.position += i64::from(ticks);
        }
        self.drop_before_position();
    }

    /// Packets that wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// True if no packet waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Counts since the start, and the present hold.
    pub fn stats(&self) -> JitterStats {
        let hold = self
            .stream
            .as_ref()
            .map_or(0, |stream| stream.offset_us - i64::from(self.delay.floor_us()));
        JitterStats {
            hold_us: u32::try_from(hold.max(0)).unwrap_or(u32::MAX),
            ..self.stats
        }
    }

    fn restart(&mut self, now: Instant, packet: &crate::Packet<'_>, ticks: u32) -> Pushed {
        while let Some(entry) = self.queue.pop() {
            self.spare.push(entry.payload);
            self.stats.skipped += 1;
        }
        if self.stream.is_some() {
            self.stats.restarts += 1;
        }
        self.delay.restart();
        self.delay.add(0);
        let (sequence, timestamp) = (i64::from(packet.sequence), i64::from(packet.timestamp));
        self.stream = Some(Stream {
            ssrc: packet.ssrc,
            epoch: now,
            base_timestamp: timestamp,
            highest_sequence: sequence,
            first_sequence: sequence,
            latest_timestamp: timestamp,
            seen: 1,
            position: timestamp,
            played_sequence: None,
            offset_us: i64::from(self.delay.target_us()),
            packet_ticks: ticks,
            late_run: 0,
            empty_run: 0,
            anew: None,
        });
        self.insert(sequence, timestamp, ticks, packet.payload);
        Pushed::Restarted
    }

    fn late(&mut self, now: Instant, packet: &crate::Packet<'_>, ticks: u32) -> Pushed {
        let Some(stream) = &mut self.stream else {
            return Pushed::Late;
        };
        stream.late_run += 1;
        if stream.late_run > LATE_RUN_MAX || stream.empty_run >= IDLE_AFTER {
            return self.restart(now, packet, ticks);
        }
        self.stats.late += 1;
        Pushed::Late
    }

    fn insert(&mut self, sequence: i64, timestamp: i64, ticks: u32, payload: &[u8]) {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(payload);
        let place = self.queue.partition_point(|entry| entry.timestamp <= timestamp);
        self.queue.insert(
            place,
            Entry {
                sequence,
                timestamp,
                ticks,
                payload: buffer,
            },
        );
        if self.queue.len() > JITTER_PACKETS_MAX {
            let oldest = self.queue.remove(0);
            self.spare.push(oldest.payload);
            self.stats.skipped += 1;
            if let (Some(stream), Some(first)) = (&mut self.stream, self.queue.first()) {
                stream.position = stream.position.max(first.timestamp);
            }
        }
    }

    fn take_first(&mut self) -> Pulled<'_> {
        let entry = self.queue.remove(0);
        if let Some(stream) = &mut self.stream {
            stream.position = stream.position.max(entry.timestamp + i64::from(entry.ticks));
            stream.played_sequence = Some(entry.sequence);
        }
        let used = std::mem::replace(&mut self.lent, entry.payload);
        self.spare.push(used);
        Pulled::Packet {
            payload: &self.lent,
            ticks: entry.ticks,
        }
    }

    /// Moves the hold towards what the network needs: up by at most half, down by a twentieth to a quarter of a packet's
    /// length, so that what we send stays nearly even. Far too much hold, after a stall, is skipped.
    fn settle(&mut self) {
        let rate_hz = i64::from(self.rate_hz);
        let Some(stream) = &mut self.stream else { return };
        let packet_us = i64::from(stream.packet_ticks) * 1_000_000 / rate_hz;
        let repair_us = if self.repairs && stream.lost() >= LOST_MIN {
            packet_us
        } else {
            0
        };
        let wanted_us = i64::from(self.delay.floor_us()) + i64::from(self.delay.target_us()) + repair_us;
        let excess_us = stream.offset_us - wanted_us;
        if excess_us > CATCH_UP_US {
            let ticks = excess_us * rate_hz / 1_000_000;
            stream.offset_us = wanted_us;
            stream.position += ticks;
            self.drop_before_position();
        } else {
            let down_us = (excess_us / 16).clamp(packet_us / 20, packet_us / 4);
            stream.offset_us -= excess_us.clamp(-packet_us / 2, down_us);
        }
    }

    fn drop_before_position(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        while self
            .queue
            .first()
            .is_some_and(|entry| entry.timestamp + i64::from(entry.ticks) <= stream.position)
        {
            let entry = self.queue.remove(0);
            stream.played_sequence = Some(entry.sequence);
            self.spare.push(entry.payload);
            self.stats.skipped += 1;
        }
    }

    fn ticks_to_us(&self, ticks: i64) -> i64 {
        ticks * 1_000_000 / i64::from(self.rate_hz)
    }
}

impl Stream {
    /// Sequence number and timestamp of a packet beyond their wrap, next to the newest ones.
    fn extend(&self, packet: &crate::Packet<'_>) -> (i64, i64) {
        let ahead = packet.sequence.wrapping_sub(self.highest_sequence as u16) as i16;
        let later = packet.timestamp.wrapping_sub(self.latest_timestamp as u32) as i32;
        (
            self.highest_sequence + i64::from(ahead),
            self.latest_timestamp + i64::from(later),
        )
    }

    fn transit_us(&self, now: Instant, timestamp: i64, rate_hz: u32) -> i64 {
        let arrival_us = now.saturating_duration_since(self.epoch).as_micros() as i64;
        arrival_us - (timestamp - self.base_timestamp) * 1_000_000 / i64::from(rate_hz)
    }

    /// Packets that have not come, of the last 64 without the newest two, which may still be overtaken ones.
    fn lost(&self) -> u32 {
        let known = (self.highest_sequence - self.first_sequence).clamp(0, 63);
        let overtaken = 0b11;
        (!self.seen & (u64::MAX >> (63 - known)) & !overtaken).count_ones()
    }

    /// Notes that a sequence number has come; false if it had, or is too old to tell.
    fn mark_seen(&mut self, sequence: i64) -> bool {
        let ahead = sequence - self.highest_sequence;
        if ahead > 0 {
            self.seen = if ahead < 64 { self.seen << ahead | 1 } else { 1 };
            self.highest_sequence = sequence;
            return true;
        }
        let bit = 1_u64
            .checked_shl(u32::try_from(-ahead).unwrap_or(u32::MAX))
            .unwrap_or(0);
        let new = bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
        new
    }
}

fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
