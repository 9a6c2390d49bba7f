//! The whole chain of one direction of a transcoded call: jitter buffer → decoder → 20 ms frames → encoder.

use std::time::{Duration, Instant};

use crate::codec::opus::{OpusEncoderConfig, PACKET_SAMPLES_MAX, packet_samples};
use crate::codec::{AudioCodec, AudioDecoder, AudioEncoder, AudioError};
use crate::jitter_buffer::{JitterBuffer, JitterConfig, JitterStats, Pulled, Pushed};
use crate::tone::ComfortNoise;
use crate::{FRAME_MS, FRAME_SAMPLES};

/// Made-up audio is worth hearing for so long, then low noise is better: 100 ms.
const CONCEALED_SAMPLES_MAX: usize = 800;
/// A caller that comes later than this has been held up; what would have been due is skipped.
const LAG_MAX: Duration = Duration::from_millis(200);
/// libopus conceals multiples of 2.5 ms.
const OPUS_GRAIN_SAMPLES: usize = 20;
/// Decoded audio that waits to be framed: the longest packet, and what was left before it.
const DECODED_MAX: usize = PACKET_SAMPLES_MAX + FRAME_SAMPLES;

/// What one direction of a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipelineConfig {
    /// Codec of the packets that come.
    pub received: AudioCodec,
    /// Codec of the packets to send.
    pub sent: AudioCodec,
    /// For the encoder, if Opus is sent.
    pub opus: OpusEncoderConfig,
    /// How long packets may be held.
    pub jitter: JitterConfig,
}

/// A received RTP packet, as far as the chain needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp, in ticks of the received codec.
    pub timestamp: u32,
    /// Source; a change of it starts the chain anew.
    pub ssrc: u32,
    /// Payload; telephone-event and comfort noise are not to be given.
    pub payload: &'a [u8],
}

/// Where the audio of a frame comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameOrigin {
    /// A packet.
    Decoded,
    /// The packet after a lost one, which may carry error correction for it.
    Recovered,
    /// Made up to bridge a loss.
    Concealed,
    /// Low noise, since the source pauses or has been silent for longer than can be bridged.
    ComfortNoise,
}

/// A payload to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputFrame {
    /// Length in bytes in the buffer that was given.
    pub len: usize,
    /// RTP timestamp in ticks of the sent codec; starts at 0, add an offset of your own. One frame is 20 ms.
    pub timestamp: u32,
    /// Set the marker bit: the first frame, or the first one after comfort noise (RFC 3551 §4.1).
    pub marker: bool,
    /// Where its newest audio comes from.
    pub origin: FrameOrigin,
}

/// Counts of one direction since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PipelineStats {
    /// Frames of [`FrameOrigin::Decoded`].
    pub decoded: u64,
    /// Frames of [`FrameOrigin::Recovered`].
    pub recovered: u64,
    /// Frames of [`FrameOrigin::Concealed`].
    pub concealed: u64,
    /// Frames of [`FrameOrigin::ComfortNoise`].
    pub comfort_noise: u64,
    /// Payloads that are not of their codec.
    pub undecodable: u64,
    /// Frames that were not made because the caller came too late.
    pub skipped: u64,
    /// Of the jitter buffer.
    pub jitter: JitterStats,
}

/// One direction of a transcoded call: push packets as they come, pop a frame at each deadline.
///
/// Its codec states are libopus' own and cannot be exported: a call that moves to another node builds new ones.
#[derive(Debug)]
pub struct Pipeline {
    received: AudioCodec,
    jitter: JitterBuffer,
    decoder: AudioDecoder,
    decoded: Decoded,
    noise: ComfortNoise,
    encoder: AudioEncoder,
    frame_ticks: u32,
    timestamp: u32,
    after_noise: bool,
    stats: PipelineStats,
}

/// Decoded audio that waits to be framed.
#[derive(Debug)]
struct Decoded {
    samples: [i16; DECODED_MAX],
    len: usize,
    /// Of the newest samples.
    origin: FrameOrigin,
    /// Samples made up in a row.
    concealed: usize,
}

impl Pipeline {
    /// Sets up the chain.
    ///
    /// # Errors
    /// [`AudioError::Opus`] if libopus refuses the settings.
    pub fn new(config: &PipelineConfig) -> Result<Self, AudioError> {
        let ticks_in_frame = |codec: AudioCodec| codec.ticks_per_sample() * FRAME_SAMPLES as u32;
        let received = config.received;
        Ok(Self {
            received,
            jitter: JitterBuffer::new(&config.jitter, received.clock_rate_hz(), ticks_in_frame(received))
                .with_repairs(received == AudioCodec::Opus),
            decoder: AudioDecoder::new(received)?,
            decoded: Decoded {
                samples: [0; DECODED_MAX],
                len: 0,
                origin: FrameOrigin::ComfortNoise,
                concealed: 0,
            },
            noise: ComfortNoise::new(1),
            encoder: AudioEncoder::new(config.sent, &config.opus)?,
            frame_ticks: ticks_in_frame(config.sent),
            timestamp: 0,
            after_noise: true,
            stats: PipelineStats::default(),
        })
    }

    /// Takes a received packet.
    pub fn push(&mut self, now: Instant, packet: &Packet<'_>) -> Pushed {
        let samples = match self.received {
            AudioCodec::Opus => packet_samples(packet.payload),
            AudioCodec::Pcmu | AudioCodec::Pcma => {
                Some(packet.payload.len()).filter(|len| (1..=PACKET_SAMPLES_MAX).contains(len))
            }
        };
        // A length of nothing is refused by the buffer, like every other unusable packet.
        let ticks = samples.unwrap_or(0) as u32 * self.received.ticks_per_sample();
        let pushed = self.jitter.push(now, packet, ticks);
        if pushed == Pushed::Unusable {
            self.stats.undecodable += 1;
        }
        pushed
    }

    /// When the next frame is due; none before the first packet.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.jitter
            .due(self.decoded.len as u32 * self.received.ticks_per_sample())
    }

    /// The frame that is due at `now`, encoded into `payload` (give [`crate::PAYLOAD_LEN_MAX`] bytes); none if none
    /// is due. Call until none.
    pub fn pop(&mut self, now: Instant, payload: &mut [u8]) -> Option<OutputFrame> {
        let due = self.poll_timeout()?;
        let lag = now.checked_duration_since(due)?;
        if lag > LAG_MAX {
            self.skip(lag);
        }
        while self.decoded.len < FRAME_SAMPLES {
            self.decode_next()?;
        }
        let frame = &self.decoded.samples[..FRAME_SAMPLES];
        let encoded = self.encoder.encode(frame, payload);
        self.decoded
            .samples
            .copy_within(FRAME_SAMPLES..self.decoded.len, 0);
        self.decoded.len -= FRAME_SAMPLES;
        let timestamp = self.timestamp;
        self.timestamp = timestamp.wrapping_add(self.frame_ticks);
        // Only too little room for the payload can fail here; the frame is then lost, as on the network.
        let len = encoded.ok()?;
        Some(self.account(len, timestamp))
    }

    /// Counts since the start.
    pub fn stats(&self) -> PipelineStats {
        PipelineStats {
            jitter: self.jitter.stats(),
            ..self.stats
        }
    }

    /// Puts the next part of the stream behind the decoded audio.
    fn decode_next(&mut self) -> Option<()> {
        let ticks_per_sample = self.received.ticks_per_sample();
        let Decoded {
            samples,
            len,
            origin,
            concealed,
        } = &mut self.decoded;
        let room = &mut samples[*len..];
        let grain = match self.received {
            AudioCodec::Opus => OPUS_GRAIN_SAMPLES,
            AudioCodec::Pcmu | AudioCodec::Pcma => 1,
        };
        let part = |ticks: u32| {
            let wanted = (ticks / ticks_per_sample) as usize;
            (wanted - wanted % grain).clamp(grain, PACKET_SAMPLES_MAX)
        };
        let (made, from) = match self.jitter.pull()? {
            Pulled::Packet { payload, ticks } => match self.decoder.decode(payload, room) {
                Ok(made) if made > 0 => (made, FrameOrigin::Decoded),
                _ => {
                    self.stats.undecodable += 1;
                    (
                        conceal(&mut self.decoder, &mut room[..part(ticks)]),
                        FrameOrigin::Concealed,
                    )
                }
            },
            Pulled::Missing {
                ticks,
                next: Some(next),
            } => {
                let target = &mut room[..part(ticks)];
                match self.decoder.recover(next, target) {
                    Ok(true) => (target.len(), FrameOrigin::Recovered),
                    Ok(false) => (target.len(), FrameOrigin::Concealed),
                    Err(_) => (conceal(&mut self.decoder, target), FrameOrigin::Concealed),
                }
            }
            Pulled::Missing { ticks, next: None } if *concealed < CONCEALED_SAMPLES_MAX => (
                conceal(&mut self.decoder, &mut room[..part(ticks)]),
                FrameOrigin::Concealed,
            ),
            Pulled::Missing { ticks, next: None } | Pulled::Pause { ticks } => {
                let target = &mut room[..part(ticks)];
                self.noise.fill(target);
                (target.len(), FrameOrigin::ComfortNoise)
            }
        };
        *len += made;
        *origin = from;
        *concealed = match from {
            FrameOrigin::Decoded | FrameOrigin::Recovered => 0,
            FrameOrigin::Concealed | FrameOrigin::ComfortNoise => concealed.saturating_add(made),
        };
        Some(())
    }

    fn skip(&mut self, lag: Duration) {
        let frames = u32::try_from(lag.as_millis()).unwrap_or(u32::MAX) / FRAME_MS;
        self.jitter
            .skip(frames.saturating_mul(self.received.ticks_per_sample() * FRAME_SAMPLES as u32));
        self.timestamp = self.timestamp.wrapping_add(frames.wrapping_mul(self.frame_ticks));
        self.stats.skipped += u64::from(frames);
    }

    fn account(&mut self, len: usize, timestamp: u32) -> OutputFrame {
        let origin = self.decoded.origin;
        let count = match origin {
            FrameOrigin::Decoded => &mut self.stats.decoded,
            FrameOrigin::Recovered => &mut self.stats.recovered,
            FrameOrigin::Concealed => &mut self.stats.concealed,
            FrameOrigin::ComfortNoise => &mut self.stats.comfort_noise,
        };
        *count += 1;
        let noise = origin == FrameOrigin::ComfortNoise;
        let marker = self.after_noise && !noise;
        self.after_noise = noise;
        OutputFrame {
            len,
            timestamp,
            marker,
            origin,
        }
    }
}

/// Fills `target` from the decoder's own concealment, or with silence if it has none for this length.
fn conceal(decoder: &mut AudioDecoder, target: &mut [i16]) -> usize {
    if decoder.conceal(target).is_err() {
        target.fill(0);
    }
    target.len()
}
