//! Ready-made frames of ringback and comfort noise in every codec, encoded once per worker and played by all calls.

use crate::leg::audio_codec;
use offhook_audio::tone::{ComfortNoise, RingbackStyle, Tone};
use offhook_audio::{AudioEncoder, AudioError, FRAME_SAMPLES, OpusEncoderConfig, PAYLOAD_LEN_MAX};
use offhook_offer_answer::Codec;

/// Frames of one ringback cadence: 2 s of tone and 4 s of silence (North America), 20 ms each.
const RINGBACK_FRAMES: usize = 300;
/// Frames of comfort noise before it repeats: long enough (1 s) that the repetition is not heard.
const NOISE_FRAMES: usize = 50;

/// The frames.
#[derive(Debug)]
pub struct Tones {
    ringback: [Vec<Box<[u8]>>; 3],
    noise: [Vec<Box<[u8]>>; 3],
}

impl Tones {
    /// Encodes them all: about 50 ms of work.
    ///
    /// # Errors
    /// [`AudioError`] if libopus refuses its settings.
    pub fn new() -> Result<Self, AudioError> {
        let mut tones = Self {
            ringback: Default::default(),
            noise: Default::default(),
        };
        for codec in Codec::ALL {
            let mut ringback = Tone::ringback(RingbackStyle::NorthAmerica);
            tones.ringback[codec as usize] =
                encode(codec, RINGBACK_FRAMES, |samples| ringback.fill(samples))?;
            let mut noise = ComfortNoise::new(1);
            tones.noise[codec as usize] = encode(codec, NOISE_FRAMES, |samples| noise.fill(samples))?;
        }
        Ok(tones)
    }

    /// A frame of ringback; `index` counts from the start of the ringing.
    pub(crate) fn ringback(&self, codec: Codec, index: usize) -> &[u8] {
        &self.ringback[codec as usize][index % RINGBACK_FRAMES]
    }

    /// A frame of comfort noise.
    pub(crate) fn noise(&self, codec: Codec, index: usize) -> &[u8] {
        &self.noise[codec as usize][index % NOISE_FRAMES]
    }
}

fn encode(
    codec: Codec,
    frames: usize,
    mut fill: impl FnMut(&mut [i16]),
) -> Result<Vec<Box<[u8]>>, AudioError> {
    let mut encoder = AudioEncoder::new(audio_codec(codec), &OpusEncoderConfig::default())?;
    let mut samples = [0; FRAME_SAMPLES];
    let mut payload = [0; PAYLOAD_LEN_MAX];
    (0..frames)
        .map(|_| {
            fill(&mut samples);
            let len = encoder.encode(&samples, &mut payload)?;
            Ok(payload[..len].into())
        })
        .collect()
}
