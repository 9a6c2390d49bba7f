//! State of what goes out on a leg: which source feeds the stream, digits, the frame clock.
//!
//! ```text
//!              peer reachable                 20 ms after 20 ms: digits, ringback, sounds, comfort noise
//!   Stopped ──────────────────► Running ◄──────────────────────────┐
//!      ▲                          │  audio of the other leg flows   │ it has been quiet for QUIET
//!      └── peer gone, nothing ────┴───────────► Watching ───────────┘
//! ```

use super::own_sources::OwnSources;
use super::passing_event::PassingEvent;
use crate::stream::OutgoingStream;
use crate::tones::Clip;
use offhook_audio::Pipeline;
use offhook_offer_answer::{NegotiatedCodec, Route, TelephoneEvents};
use offhook_rtp::telephone_event::{DigitSender, DigitTiming, QueueFull};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Length of the frames that we make.
pub(crate) const FRAME: Duration = Duration::from_millis(20);
/// The other leg's audio counts as quiet when nothing came for so long: four packets, more than usual jitter.
pub(crate) const QUIET: Duration = Duration::from_millis(80);
/// A transcoder whose source stays silent for so many frames (2 s) is taken down.
pub(super) const IDLE_FRAMES_MAX: u32 = 100;

/// Sending half of a leg.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) stream: OutgoingStream,
    /// What frames of our own are sent as; none before the peer's description.
    pub(crate) codec: Option<NegotiatedCodec>,
    pub(super) clock: Clock,
    pub(super) transcoder: Option<Box<Transcoder>>,
    /// What is heard while the other leg says nothing.
    pub(crate) own: OwnSources,
    pub(super) digits: Option<Box<Digits>>,
    pub(super) passing: Option<PassingEvent>,
    /// When audio of the other leg was sent last.
    pub(super) last_audio: Option<Instant>,
    /// Frames that a transcoder made for this leg.
    pub(crate) transcoded_frames: u64,
}

/// When the next frame of ours is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    Stopped,
    /// Audio flows by itself; look again then.
    Watching(Instant),
    Running(Instant),
}

/// Decodes what the other leg sends and encodes it for this one.
#[derive(Debug)]
pub(super) struct Transcoder {
    pub(super) route: Route,
    /// What the peer allowed when it was made, bit/s.
    pub(super) cap_bps: Option<u32>,
    pub(super) pipeline: Pipeline,
    pub(super) idle_frames: u32,
}

/// Digits of ours that wait or sound.
#[derive(Debug)]
pub(crate) struct Digits {
    pub(super) sender: DigitSender,
    pub(super) payload_type: u8,
    pub(super) clock_rate_hz: u32,
    /// True while a tone is sent in place of audio.
    pub(super) sounding: bool,
}

impl Outbound {
    pub(crate) fn new(stream: OutgoingStream, comfort: bool) -> Self {
        Self {
            stream,
            codec: None,
            clock: Clock::Stopped,
            transcoder: None,
            own: OwnSources::new(comfort),
            digits: None,
            passing: None,
            last_audio: None,
            transcoded_frames: 0,
        }
    }

    /// Plays a sound. One that does not yield is heard in place of the other leg, at once.
    pub(crate) fn play(&mut self, clip: Arc<Clip>, repeat: bool, yields: bool) {
        if !yields {
            // What waits in it would be heard for a while.
            self.transcoder = None;
            self.last_audio = None;
        }
        self.own.play(clip, repeat, yields);
    }

    /// The other leg's audio has ended for sure: what we have of our own follows its last packet without a pause.
    pub(crate) fn source_gone(&mut self, now: Instant) {
        if let Some(last) = self.last_audio.take()
            && matches!(self.clock, Clock::Watching(_))
        {
            self.clock = Clock::Running(now.max(last + FRAME));
        }
    }

    /// Stops what was made from the other leg's audio.
    pub(crate) fn reset_source(&mut self) {
        self.transcoder = None;
    }

    /// Starts the frame clock if something needs it and it stands still.
    pub(crate) fn start_clock(&mut self, now: Instant) {
        let urgent = self.digits.is_some() || self.own.covers();
        let needed = self.own.is_any() || urgent;
        if needed && (self.clock == Clock::Stopped || urgent) && !self.is_running() {
            self.clock = Clock::Running(now);
        }
    }

    fn is_running(&self) -> bool {
        matches!(self.clock, Clock::Running(_))
    }

    /// Queues digits; false if the peer has no telephone-event.
    pub(crate) fn push_digits(
        &mut self,
        events: TelephoneEvents,
        digits: &str,
        duration_ms: u16,
    ) -> Result<bool, QueueFull> {
        let Some((payload_type, clock_rate_hz)) = self.codec.and_then(|codec| events.for_codec(codec.codec))
        else {
            return Ok(false);
        };
        let timing = DigitTiming {
            clock_rate_hz,
            frame_ms: FRAME.as_millis() as u32,
        };
        let queue = self.digits.get_or_insert_with(|| {
            Box::new(Digits {
                sender: DigitSender::new(timing),
                payload_type,
                clock_rate_hz,
                sounding: false,
            })
        });
        let pushed = queue.sender.push(digits, duration_ms);
        if !queue.sender.is_active() {
            self.digits = None;
        }
        pushed.map(|()| true)
    }

    /// When a frame is due, or the clock has to be looked at.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let frame = match self.clock {
            Clock::Stopped => None,
            Clock::Watching(at) | Clock::Running(at) => Some(at),
        };
        let transcoder = self.transcoder.as_ref().and_then(|t| t.pipeline.poll_timeout());
        [frame, transcoder].into_iter().flatten().min()
    }
}
