//! One continuous outgoing RTP stream (RFC 3550 §5.1) made from sources that come and go: the other leg's packets,
//! a transcoder, comfort noise, ringback, digits.
//!
//! The receiver sees one SSRC, sequence numbers without jumps of ours (losses of the source stay visible), and
//! timestamps that advance with the clock, whatever source feeds the stream at the moment.

use offhook_rtp::{RtpFields, Ssrc};
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};

/// Numbers the packets of one outgoing stream.
#[derive(Debug, Clone)]
pub struct OutgoingStream {
    ssrc: Ssrc,
    /// Sequence number that follows the highest one sent.
    next_sequence: u16,
    /// A timestamp and the moment that it stands for.
    anchor: Option<Anchor>,
    /// The timestamp that the very first packet will have.
    first_timestamp: u32,
    feed: Feed,
    packets: u64,
    payload_bytes: u64,
    last_sent: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    at: Instant,
    timestamp: u32,
    clock_rate_hz: u32,
}

/// What the latest audio packet came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feed {
    Nothing,
    /// Packets of a peer, renumbered by constant offsets.
    Relay {
        ssrc: Ssrc,
        payload_type: u8,
        sequence_offset: u16,
        timestamp_offset: u32,
    },
    /// Frames of ours, one after the other; holds what follows the last one.
    Frames {
        next_timestamp: u32,
        clock_rate_hz: u32,
    },
    /// Frames with a time line of their own, moved by a constant offset.
    Timed {
        timestamp_offset: u32,
        clock_rate_hz: u32,
    },
}

/// A source whose sequence numbers jump by more than this has restarted.
const SEQUENCE_JUMP_MAX: u16 = 3000;
/// Under new keys the numbers begin in the lower half: were the packets before a wrap lost, the receiver would never find
/// the rollover counter and stay silent for good (RFC 3711 §3.3.1).
const FIRST_SEQUENCE_MAX: u16 = 0x7fff;
/// Frames of ours that follow the last one later than this begin a new talkspurt.
const FRAMES_GAP_MAX: Duration = Duration::from_millis(100);

impl OutgoingStream {
    /// A stream that has not sent yet, with random numbers to begin with (RFC 3550 §5.1).
    pub fn random(ssrc: Ssrc, rng: &mut StdRng) -> Self {
        Self::new(ssrc, rng.random::<u16>() & FIRST_SEQUENCE_MAX, rng.random())
    }

    /// A stream that has not sent yet, and the numbers that it begins with.
    fn new(ssrc: Ssrc, first_sequence: u16, first_timestamp: u32) -> Self {
        Self {
            ssrc,
            next_sequence: first_sequence,
            anchor: None,
            first_timestamp,
            feed: Feed::Nothing,
            packets: 0,
            payload_bytes: 0,
            last_sent: None,
        }
    }

    /// Its source.
    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// Packets numbered so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes of payload so far.
    pub fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// When the last packet of any kind was numbered.
    pub fn last_sent(&self) -> Option<Instant> {
        self.last_sent
    }

    /// The header for a peer's packet that is passed on as `payload_type`.
    pub fn relay(
        &mut self,
        now: Instant,
        source: &RtpFields,
        clock_rate_hz: u32,
        payload_type: u8,
        payload_len: usize,
    ) -> RtpFields {
        let (sequence_offset, timestamp_offset, switched) = match self.feed {
            Feed::Relay {
                ssrc,
                payload_type: pt,
                sequence_offset,
                timestamp_offset,
            } if ssrc == source.ssrc
                && pt == payload_type
                && !self.jumped(source.sequence.wrapping_add(sequence_offset)) =>
            {
                (sequence_offset, timestamp_offset, false)
            }
            _ => {
                let timestamp = self.timestamp_at(now, clock_rate_hz);
                (
                    self.next_sequence.wrapping_sub(source.sequence),
                    timestamp.wrapping_sub(source.timestamp),
                    true,
                )
            }
        };
        self.feed = Feed::Relay {
            ssrc: source.ssrc,
            payload_type,
            sequence_offset,
            timestamp_offset,
        };
        let sequence = source.sequence.wrapping_add(sequence_offset);
        let timestamp = source.timestamp.wrapping_add(timestamp_offset);
        if switched || is_ahead(sequence, self.next_sequence.wrapping_sub(1)) {
            self.next_sequence = sequence.wrapping_add(1);
            self.anchor = Some(Anchor {
                at: now,
                timestamp,
                clock_rate_hz,
            });
        }
        self.count(now, payload_len);
        RtpFields {
            marker: source.marker || switched,
            payload_type,
            sequence,
            timestamp,
            ssrc: self.ssrc,
        }
    }

    /// The header for an audio frame of ours that lasts `ticks` of `clock_rate_hz`.
    pub fn frame(
        &mut self,
        now: Instant,
        payload_type: u8,
        clock_rate_hz: u32,
        ticks: u32,
        payload_len: usize,
    ) -> RtpFields {
        let (timestamp, switched) = match self.feed {
            Feed::Frames {
                next_timestamp,
                clock_rate_hz: rate,
            } if rate == clock_rate_hz && !self.has_paused(now) => (next_timestamp, false),
            _ => (self.timestamp_at(now, clock_rate_hz), true),
        };
        self.feed = Feed::Frames {
            next_timestamp: timestamp.wrapping_add(ticks),
            clock_rate_hz,
        };
        self.anchor = Some(Anchor {
            at: now,
            timestamp,
            clock_rate_hz,
        });
        self.next(now, switched, payload_type, timestamp, payload_len)
    }

    /// The header for a frame of a source that keeps its own time, `source_timestamp`: what it leaves out stays a gap.
    pub fn timed(
        &mut self,
        now: Instant,
        payload_type: u8,
        clock_rate_hz: u32,
        source_timestamp: u32,
        payload_len: usize,
    ) -> RtpFields {
        let (offset, switched) = match self.feed {
            Feed::Timed {
                timestamp_offset,
                clock_rate_hz: rate,
            } if rate == clock_rate_hz => (timestamp_offset, false),
            _ => {
                let timestamp = self.timestamp_at(now, clock_rate_hz);
                (timestamp.wrapping_sub(source_timestamp), true)
            }
        };
        self.feed = Feed::Timed {
            timestamp_offset: offset,
            clock_rate_hz,
        };
        let timestamp = source_timestamp.wrapping_add(offset);
        self.anchor = Some(Anchor {
            at: now,
            timestamp,
            clock_rate_hz,
        });
        self.next(now, switched, payload_type, timestamp, payload_len)
    }

    /// The next packet comes from another source, also if it looks like the present one.
    pub fn switch_source(&mut self) {
        self.feed = Feed::Nothing;
    }

    /// What is sent from now on is protected by new keys.
    pub fn rekeyed(&mut self) {
        self.next_sequence &= FIRST_SEQUENCE_MAX;
        self.feed = Feed::Nothing;
    }

    /// The header for a packet that lies beside the audio, such as a telephone-event, with a timestamp of its own (see
    /// [`Self::timestamp_at`]).
    pub fn beside(
        &mut self,
        now: Instant,
        payload_type: u8,
        timestamp: u32,
        marker: bool,
        payload_len: usize,
    ) -> RtpFields {
        if let Feed::Relay { .. } = self.feed {
            // It takes a sequence number, so the source's numbers no longer fit.
            self.feed = Feed::Nothing;
        }
        self.next(now, marker, payload_type, timestamp, payload_len)
    }

    /// The timestamp that audio of `clock_rate_hz` has at this moment.
    pub fn timestamp_at(&self, now: Instant, clock_rate_hz: u32) -> u32 {
        let Some(anchor) = self.anchor else {
            return self.first_timestamp;
        };
        let elapsed = now.saturating_duration_since(anchor.at).max(FRAME_MIN);
        let ticks = elapsed.as_micros() as u64 * u64::from(clock_rate_hz) / 1_000_000;
        // Round to whole milliseconds of samples: decoders like frames on a grid.
        let grid = u64::from((clock_rate_hz / 1000).max(1));
        anchor.timestamp.wrapping_add((ticks / grid * grid) as u32)
    }

    /// Timestamp now, for a sender report, in the clock of the latest audio; `None` before the first packet.
    pub fn report_timestamp(&self, now: Instant) -> Option<u32> {
        let anchor = self.anchor?;
        let elapsed = now.saturating_duration_since(anchor.at);
        let ticks = elapsed.as_micros() as u64 * u64::from(anchor.clock_rate_hz) / 1_000_000;
        Some(anchor.timestamp.wrapping_add(ticks as u32))
    }

    fn next(
        &mut self,
        now: Instant,
        marker: bool,
        payload_type: u8,
        timestamp: u32,
        payload_len: usize,
    ) -> RtpFields {
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(1);
        self.count(now, payload_len);
        RtpFields {
            marker,
            payload_type,
            sequence,
            timestamp,
            ssrc: self.ssrc,
        }
    }

    fn count(&mut self, now: Instant, payload_len: usize) {
        self.packets += 1;
        self.payload_bytes += payload_len as u64;
        self.last_sent = Some(now);
    }

    fn has_paused(&self, now: Instant) -> bool {
        self.anchor.is_some_and(|anchor| anchor.at + FRAMES_GAP_MAX < now)
    }

    fn jumped(&self, sequence: u16) -> bool {
        let ahead = sequence.wrapping_sub(self.next_sequence);
        let behind = self.next_sequence.wrapping_sub(sequence);
        ahead.min(behind) > SEQUENCE_JUMP_MAX
    }
}

/// Two packets are never closer than this on the time line: sources that overlap would otherwise share a timestamp.
const FRAME_MIN: Duration = Duration::from_millis(20);

fn is_ahead(sequence: u16, of: u16) -> bool {
    let distance = sequence.wrapping_sub(of);
    distance != 0 && distance < 0x8000
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const OURS: Ssrc = Ssrc(7);

    fn packet(ssrc: u32, sequence: u16, timestamp: u32) -> RtpFields {
        RtpFields {
            marker: false,
            payload_type: 0,
            sequence,
            timestamp,
            ssrc: Ssrc(ssrc),
        }
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_source_keeps_its_gaps_and_a_new_one_carries_on() {
        let start = Instant::now();
        let mut stream = OutgoingStream::new(OURS, 65_534, 1000);
        let first = stream.relay(start, &packet(1, 10, 5000), 8000, 0, 160);
        assert_eq!(
            (first.sequence, first.timestamp, first.marker),
            (65_534, 1000, true)
        );
        // 11 is lost, 13 overtakes 12.
        let third = stream.relay(start + ms(60), &packet(1, 13, 5480), 8000, 0, 160);
        let second = stream.relay(start + ms(61), &packet(1, 12, 5320), 8000, 0, 160);
        assert_eq!((third.sequence, third.timestamp), (1, 1480));
        assert_eq!(
            (second.sequence, second.timestamp, second.marker),
            (0, 1320, false)
        );
        // Another source, 20 ms after the newest packet.
        let other = stream.relay(start + ms(80), &packet(2, 999, 1), 8000, 0, 160);
        assert_eq!(
            (other.sequence, other.timestamp, other.marker, other.ssrc),
            (2, 1640, true, OURS)
        );
        assert_eq!(stream.packets(), 4);
    }

    #[test]
    fn a_codec_of_another_clock_carries_on_in_its_own_ticks() {
        let start = Instant::now();
        let mut stream = OutgoingStream::new(OURS, 0, 0);
        stream.relay(start, &packet(1, 0, 0), 8000, 0, 160);
        let opus = stream.frame(start + ms(40), 111, 48_000, 960, 60);
        assert_eq!((opus.sequence, opus.timestamp, opus.payload_type), (1, 1920, 111));
        let next = stream.frame(start + ms(61), 111, 48_000, 960, 60);
        assert_eq!(
            next.timestamp, 2880,
            "frames stay on their grid whatever the clock does"
        );
    }

    #[test]
    fn frames_after_a_pause_have_the_time_of_the_clock() {
        let start = Instant::now();
        let mut stream = OutgoingStream::new(OURS, 0, 0);
        stream.frame(start, 0, 8000, 160, 160);
        let late = stream.frame(start + ms(100), 0, 8000, 160, 160);
        assert_eq!((late.timestamp, late.marker), (160, false), "held up, no pause");
        let after = stream.frame(start + ms(10_100), 0, 8000, 160, 160);
        assert_eq!(
            (after.timestamp, after.marker, after.sequence),
            (160 + 80_000, true, 2)
        );
    }

    #[test]
    fn rfc3711_3_3_1_under_new_keys_a_wrap_is_far_away() {
        let mut rng = StdRng::seed_from_u64(3);
        for _ in 0..100 {
            let mut stream = OutgoingStream::random(OURS, &mut rng);
            let first = stream.frame(Instant::now(), 0, 8000, 160, 160);
            assert!(first.sequence <= 0x7fff, "{}", first.sequence);
        }
        let start = Instant::now();
        let mut stream = OutgoingStream::new(OURS, 65_530, 0);
        stream.relay(start, &packet(1, 10, 0), 8000, 0, 160);
        stream.rekeyed();
        let next = stream.relay(start + ms(20), &packet(1, 11, 160), 8000, 0, 160);
        assert_eq!((next.sequence, next.timestamp), (32_763, 160));
    }

    #[test]
    fn a_source_with_its_own_time_keeps_its_gaps() {
        let start = Instant::now();
        let mut stream = OutgoingStream::new(OURS, 0, 0);
        stream.frame(start, 0, 8000, 160, 160);
        let first = stream.timed(start + ms(20), 111, 48_000, 5_000, 60);
        assert_eq!((first.sequence, first.timestamp, first.marker), (1, 960, true));
        // Two frames are left out; then the source starts anew.
        let later = stream.timed(start + ms(80), 111, 48_000, 5_000 + 3 * 960, 60);
        assert_eq!(
            (later.sequence, later.timestamp, later.marker),
            (2, 960 + 3 * 960, false)
        );
        stream.switch_source();
        let anew = stream.timed(start + ms(100), 111, 48_000, 0, 60);
        assert_eq!((anew.timestamp, anew.marker), (960 + 4 * 960, true));
    }

    #[test]
    fn events_do_not_move_the_time_line() {
        let start = Instant::now();
        let mut stream = OutgoingStream::new(OURS, 0, 0);
        stream.relay(start, &packet(1, 0, 0), 8000, 0, 160);
        let timestamp = stream.timestamp_at(start + ms(20), 8000);
        for n in 0..5 {
            let event = stream.beside(start + ms(20 + 20 * n), 101, timestamp, n == 0, 4);
            assert_eq!((event.sequence, event.timestamp), (1 + n as u16, 160));
        }
        let audio = stream.relay(start + ms(120), &packet(1, 6, 960), 8000, 0, 160);
        assert_eq!((audio.sequence, audio.timestamp), (6, 960));
    }

    #[test]
    fn a_restarted_source_does_not_tear_the_sequence() {
        let start = Instant::now();
        let mut stream = OutgoingStream::new(OURS, 100, 0);
        stream.relay(start, &packet(1, 0, 0), 8000, 0, 160);
        let jumped = stream.relay(start + ms(20), &packet(1, 30_000, 77), 8000, 0, 160);
        assert_eq!((jumped.sequence, jumped.timestamp), (101, 160));
    }
}
