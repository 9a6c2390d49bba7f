//! Opus by libopus, decoded and encoded directly at 8 kHz mono.
//!
//! A stereo or fullband stream is mixed and narrowed by libopus itself while decoding: no resampler, half the cost.

use super::{AudioCodec, AudioError};
use crate::SAMPLE_RATE_HZ;

/// Lowest rate that still sounds like speech with error correction on, bit/s.
const BITRATE_MIN_BPS: u32 = 6_000;
/// Beyond it, 8 kHz audio gains nothing, bit/s.
const BITRATE_MAX_BPS: u32 = 64_000;
/// Longest packet, in samples: 120 ms (RFC 6716 §2).
pub const PACKET_SAMPLES_MAX: usize = (SAMPLE_RATE_HZ as usize / 1_000) * 120;

/// How to encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusEncoderConfig {
    /// Bits per second, held between 6,000 and 64,000; 28,000 is all that telephone audio needs, its
    /// error correction included.
    pub bitrate_bps: u32,
    /// 0 (cheapest) to 10 (best).
    pub complexity: u8,
    /// Add in-band forward error correction.
    pub in_band_fec: bool,
    /// Loss in percent that the correction is made for, 0 to 100.
    pub expected_loss_percent: u8,
    /// Constant instead of variable bit rate.
    pub constant_bitrate: bool,
}

impl Default for OpusEncoderConfig {
    fn default() -> Self {
        Self {
            bitrate_bps: 28_000,
            complexity: 1,
            in_band_fec: true,
            expected_loss_percent: 10,
            constant_bitrate: false,
        }
    }
}

/// An Opus encoder. Its state is libopus' own and cannot be exported: after a move it starts fresh, which is heard as
/// a few milliseconds of fading in.
#[derive(Debug)]
pub struct OpusEncoder(opus::Encoder);

impl OpusEncoder {
    /// An encoder for speech at 8 kHz mono, without discontinuous transmission.
    ///
    /// # Errors
    /// [`AudioError::Opus`] if libopus refuses the settings.
    pub fn new(config: &OpusEncoderConfig) -> Result<Self, AudioError> {
        let mut encoder = opus::Encoder::new(SAMPLE_RATE_HZ, opus::Channels::Mono, opus::Application::Voip)
            .map_err(failure)?;
        let bitrate = config.bitrate_bps.clamp(BITRATE_MIN_BPS, BITRATE_MAX_BPS);
        encoder
            .set_complexity(i32::from(config.complexity.min(10)))
            .map_err(failure)?;
        encoder
            .set_bitrate(opus::Bitrate::Bits(bitrate as i32))
            .map_err(failure)?;
        encoder.set_vbr(!config.constant_bitrate).map_err(failure)?;
        encoder.set_inband_fec(config.in_band_fec).map_err(failure)?;
        encoder
            .set_packet_loss_perc(i32::from(config.expected_loss_percent.min(100)))
            .map_err(failure)?;
        encoder.set_signal(opus::Signal::Voice).map_err(failure)?;
        encoder.set_dtx(false).map_err(failure)?;
        Ok(Self(encoder))
    }

    /// Encodes one packet of 2.5, 5, 10, 20, 40 or 60 ms (20 ms: 160 samples); gives its length in bytes.
    ///
    /// # Errors
    /// [`AudioError::Opus`] for another number of samples or too little room.
    pub fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> Result<usize, AudioError> {
        self.0.encode(samples, payload).map_err(failure)
    }
}

/// An Opus decoder. Its state is libopus' own and cannot be exported: after a move it starts fresh, as it does after
/// a loss.
#[derive(Debug)]
pub struct OpusDecoder(opus::Decoder);

impl OpusDecoder {
    /// A decoder to 8 kHz mono.
    ///
    /// # Errors
    /// [`AudioError::Opus`] if libopus runs out of memory.
    pub fn new() -> Result<Self, AudioError> {
        opus::Decoder::new(SAMPLE_RATE_HZ, opus::Channels::Mono)
            .map(Self)
            .map_err(failure)
    }

    /// Decodes a packet; gives the number of samples. `samples` should have room for [`PACKET_SAMPLES_MAX`].
    ///
    /// # Errors
    /// [`AudioError::BadPayload`] if it is not Opus or there is too little room.
    pub fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> Result<usize, AudioError> {
        if payload.is_empty() {
            return Err(bad(payload));
        }
        self.0.decode(payload, samples, false).map_err(|_| bad(payload))
    }

    /// Recovers the packet before `next` from the error correction in it. `samples` is exactly as long as what is
    /// missing: a multiple of 2.5 ms. Where `next` carries no correction, libopus conceals.
    ///
    /// # Errors
    /// [`AudioError::BadPayload`] if `next` is not Opus.
    pub fn recover(&mut self, next: &[u8], samples: &mut [i16]) -> Result<usize, AudioError> {
        if next.is_empty() {
            return Err(bad(next));
        }
        self.0.decode(next, samples, true).map_err(|_| bad(next))
    }

    /// Conceals a loss. `samples` is exactly as long as what is missing: a multiple of 2.5 ms.
    ///
    /// # Errors
    /// [`AudioError::Opus`] for another length.
    pub fn conceal(&mut self, samples: &mut [i16]) -> Result<usize, AudioError> {
        self.0.decode(&[], samples, false).map_err(failure)
    }
}

/// Length of the audio in a packet, in samples of 8 kHz, without decoding it; none if it is not Opus.
pub fn packet_samples(payload: &[u8]) -> Option<usize> {
    let samples = opus::packet::get_nb_samples(payload, SAMPLE_RATE_HZ).ok()?;
    (1..=PACKET_SAMPLES_MAX).contains(&samples).then_some(samples)
}

fn bad(payload: &[u8]) -> AudioError {
    AudioError::BadPayload {
        codec: AudioCodec::Opus,
        len: payload.len(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn failure(error: opus::Error) -> AudioError {
    AudioError::Opus {
        operation: error.function(),
        reason: error.description(),
    }
}
