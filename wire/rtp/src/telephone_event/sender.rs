//! Sends queued digits, one packet per frame (RFC 4733 §2.5.1).
//!
//! ```text
//! Idle ─ push ─► Tone: packets with growing duration ─► Ending: the last packet three times ─► Gap ─► Tone | Idle
//! ```

use std::collections::VecDeque;

use super::{PAYLOAD_LEN, TelephoneEvent, event_of_digit};

/// Most digits that wait: twice what one command of the control link may carry.
pub const QUEUE_LEN_MAX: usize = 128;

/// The last packet of an event goes out this often, in successive frames (RFC 4733 §2.5.1.4).
const END_PACKETS: u8 = 3;
/// Power of our tones: −10 dBm0.
const VOLUME: u8 = 10;
/// A `,` among the digits.
const PAUSE_MS: u32 = 1_000;
/// Shortest pause between two digits (ITU-T Q.24 has receivers want 40 ms).
const GAP_MS: u32 = 60;

/// The queue of digits is full or the digits hold something that is no digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueueFull {
    /// More than [`QUEUE_LEN_MAX`] would wait.
    #[error("more than {QUEUE_LEN_MAX} digits would wait to be sent")]
    Full,
    /// Not one of `0-9 * # A-D ,`.
    #[error("{0:?} is not a DTMF digit")]
    NotADigit(char),
}

/// Clock rate and frame of the stream that the events are sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigitTiming {
    /// Clock rate of the telephone-event payload type, e.g. 8000.
    pub clock_rate_hz: u32,
    /// Time between two calls of [`DigitSender::next_frame`], milliseconds.
    pub frame_ms: u32,
}

/// What to send in place of audio in one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFrame {
    /// Nothing: send audio.
    Audio,
    /// Nothing, and the pause between digits has to be kept: send audio or silence, no digit is due.
    Gap,
    /// This packet.
    Event(EventPacket),
}

/// One telephone-event packet; the sequence number is the stream's next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPacket {
    /// Set on the first packet of a digit.
    pub marker: bool,
    /// When the digit (or its segment) started: the same on all its packets.
    pub timestamp: u32,
    /// The payload.
    pub payload: [u8; PAYLOAD_LEN],
}

/// Digits to send and the one being sent.
#[derive(Debug, Clone)]
pub struct DigitSender {
    timing: DigitTiming,
    queue: VecDeque<Queued>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum Queued {
    Tone { event: u8, duration: u32 },
    Pause { duration: u32 },
}

#[derive(Debug, Clone, Copy)]
enum State {
    Idle,
    Tone(Tone),
    Ending { last: EventPacket, left: u8 },
    Gap { left: u32 },
}

/// A sounding digit; times in timestamp units.
#[derive(Debug, Clone, Copy)]
struct Tone {
    event: u8,
    /// Start of the current segment.
    timestamp: u32,
    /// Sounded in this segment.
    elapsed: u32,
    /// Still to sound.
    left: u32,
    started: bool,
}

impl DigitSender {
    /// Nothing queued.
    pub fn new(timing: DigitTiming) -> Self {
        Self {
            timing,
            queue: VecDeque::new(),
            state: State::Idle,
        }
    }

    /// Queues digits that sound `duration_ms` each; `,` is a pause of one second. All or none are taken.
    pub fn push(&mut self, digits: &str, duration_ms: u16) -> Result<(), QueueFull> {
        let added = digits.chars().count();
        if self.queue.len() + added > QUEUE_LEN_MAX {
            return Err(QueueFull::Full);
        }
        if let Some(wrong) = digits
            .chars()
            .find(|digit| *digit != ',' && event_of_digit(*digit).is_none())
        {
            return Err(QueueFull::NotADigit(wrong));
        }
        let tone = self.units(u32::from(duration_ms)).max(self.frame());
        let pause = self.units(PAUSE_MS);
        self.queue
            .extend(digits.chars().map(|digit| match event_of_digit(digit) {
                Some(event) => Queued::Tone {
                    event,
                    duration: tone,
                },
                None => Queued::Pause { duration: pause },
            }));
        Ok(())
    }

    /// Whether digits wait or sound.
    pub fn is_active(&self) -> bool {
        !matches!(self.state, State::Idle) || !self.queue.is_empty()
    }

    /// What to send in this frame; `timestamp` is the media time at the frame's start.
    pub fn next_frame(&mut self, timestamp: u32) -> EventFrame {
        let frame = self.frame();
        match &mut self.state {
            State::Ending { last, left } => {
                let packet = *last;
                *left -= 1;
                if *left == 0 {
                    self.state = State::Gap {
                        left: self.units(GAP_MS),
                    };
                }
                return EventFrame::Event(packet);
            }
            State::Gap { left } if *left > frame => {
                *left -= frame;
                return EventFrame::Gap;
            }
            State::Gap { .. } => {
                self.state = State::Idle;
                return EventFrame::Gap;
            }
            State::Tone(tone) => {
                let mut tone = *tone;
                return EventFrame::Event(self.sound(&mut tone));
            }
            State::Idle => {}
        }
        match self.queue.pop_front() {
            None => EventFrame::Audio,
            Some(Queued::Pause { duration }) => {
                self.state = State::Gap { left: duration };
                EventFrame::Gap
            }
            Some(Queued::Tone { event, duration }) => {
                let mut tone = Tone {
                    event,
                    timestamp,
                    elapsed: 0,
                    left: duration,
                    started: false,
                };
                EventFrame::Event(self.sound(&mut tone))
            }
        }
    }

    /// Sounds one frame of a tone and decides what the next frame does.
    fn sound(&mut self, tone: &mut Tone) -> EventPacket {
        let step = tone.left.min(self.frame());
        if tone.elapsed + step > u32::from(u16::MAX) {
            // RFC 4733 §2.5.1.3: the duration field is full, so the event goes on in a new segment.
            let full = u32::from(u16::MAX);
            tone.left -= full - tone.elapsed;
            let packet = tone.packet(false, u16::MAX);
            *tone = Tone {
                timestamp: tone.timestamp.wrapping_add(full),
                elapsed: 0,
                ..*tone
            };
            self.state = State::Tone(*tone);
            return packet;
        }
        tone.elapsed += step;
        tone.left -= step;
        let is_over = tone.left == 0;
        // The branch above keeps `elapsed` within the field.
        let packet = tone.packet(is_over, tone.elapsed as u16);
        tone.started = true;
        self.state = if is_over {
            State::Ending {
                last: EventPacket {
                    marker: false,
                    ..packet
                },
                left: END_PACKETS - 1,
            }
        } else {
            State::Tone(*tone)
        };
        packet
    }

    fn frame(&self) -> u32 {
        self.units(self.timing.frame_ms)
    }

    fn units(&self, milliseconds: u32) -> u32 {
        // A second or 65 s of tone at 48 kHz are far below 2^32.
        (u64::from(milliseconds) * u64::from(self.timing.clock_rate_hz) / 1_000) as u32
    }
}

impl Tone {
    fn packet(&self, end: bool, duration: u16) -> EventPacket {
        let payload = TelephoneEvent {
            event: self.event,
            end,
            volume: VOLUME,
            duration,
        }
        .to_payload();
        EventPacket {
            marker: !self.started,
            timestamp: self.timestamp,
            payload,
        }
    }
}
