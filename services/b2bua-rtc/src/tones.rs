//! Ready-made frames in every codec, encoded once per process and played by all calls: ringback, comfort noise, and the
//! sounds that signalling may ask for.

use crate::leg::audio_codec;
use offhook_audio::music::hold_music;
use offhook_audio::tone::{ComfortNoise, RingbackStyle, Tone};
use offhook_audio::{AudioEncoder, AudioError, FRAME_SAMPLES, OpusEncoderConfig, PAYLOAD_LEN_MAX};
use offhook_media_control::Sound;
use offhook_offer_answer::Codec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Frames of one ringback cadence: 2 s of tone and 4 s of silence (North America), 20 ms each.
const RINGBACK_FRAMES: usize = 300;
/// Frames of comfort noise before it repeats: long enough (1 s) that the repetition is not heard.
const NOISE_FRAMES: usize = 50;
/// Frames that an encoder is given first, from the end of a sound: so that a repetition sounds as if it went on.
const WARM_UP_FRAMES: usize = 5;

/// What a sound is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Material {
    /// Low noise.
    #[default]
    Noise,
    /// The built-in piece of music.
    Music,
    /// Samples of 8 kHz. Not empty.
    Samples(Vec<i16>),
}

/// What the sounds of the control link are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoundMaterials {
    /// [`Sound::Hold`].
    pub hold: Material,
    /// [`Sound::Away`].
    pub away: Material,
    /// [`Sound::Named`].
    pub named: BTreeMap<String, Material>,
}

impl Default for SoundMaterials {
    fn default() -> Self {
        Self {
            hold: Material::Music,
            away: Material::Noise,
            named: BTreeMap::new(),
        }
    }
}

/// A sound as frames of 20 ms.
#[derive(Debug)]
pub(crate) struct Clip([Vec<Box<[u8]>>; 3]);

impl Clip {
    /// A frame; `None` at the end.
    pub(crate) fn frame(&self, codec: Codec, index: usize) -> Option<&[u8]> {
        self.0[codec as usize].get(index).map(AsRef::as_ref)
    }

    /// A frame of the sound played over and over.
    pub(crate) fn repeated(&self, codec: Codec, index: usize) -> &[u8] {
        let frames = &self.0[codec as usize];
        &frames[index % frames.len()]
    }

    fn new(samples: &[i16]) -> Result<Self, AudioError> {
        let mut clip = Self(Default::default());
        for codec in Codec::ALL {
            clip.0[codec as usize] = encode(codec, samples)?;
        }
        Ok(clip)
    }
}

/// The frames.
#[derive(Debug)]
pub struct Tones {
    pub(crate) ringback: Clip,
    pub(crate) noise: Arc<Clip>,
    hold: Arc<Clip>,
    away: Arc<Clip>,
    named: BTreeMap<String, Arc<Clip>>,
}

impl Tones {
    /// Encodes them all: about 50 ms of work, and 3 ms for each second of sounds.
    ///
    /// # Errors
    /// [`AudioError`] if libopus refuses its settings.
    pub fn new(materials: &SoundMaterials) -> Result<Self, AudioError> {
        let mut samples = vec![0; RINGBACK_FRAMES * FRAME_SAMPLES];
        Tone::ringback(RingbackStyle::NorthAmerica).fill(&mut samples);
        let ringback = Clip::new(&samples)?;
        samples.truncate(NOISE_FRAMES * FRAME_SAMPLES);
        ComfortNoise::new(1).fill(&mut samples);
        let noise = Arc::new(Clip::new(&samples)?);
        let clip = |material: &Material| match material {
            Material::Noise => Ok(noise.clone()),
            Material::Music => Clip::new(&hold_music()).map(Arc::new),
            Material::Samples(samples) => Clip::new(samples).map(Arc::new),
        };
        let named = materials
            .named
            .iter()
            .map(|(name, material)| Ok((name.clone(), clip(material)?)));
        Ok(Self {
            hold: clip(&materials.hold)?,
            away: clip(&materials.away)?,
            named: named.collect::<Result<_, AudioError>>()?,
            ringback,
            noise,
        })
    }

    /// The frames of a sound; `None` if there is none of that name.
    pub(crate) fn sound(&self, sound: &Sound) -> Option<&Arc<Clip>> {
        match sound {
            Sound::Hold => Some(&self.hold),
            Sound::Away => Some(&self.away),
            Sound::Named(name) => self.named.get(name),
        }
    }
}

/// The samples as payloads; what is missing of the last frame is silence.
fn encode(codec: Codec, samples: &[i16]) -> Result<Vec<Box<[u8]>>, AudioError> {
    let mut encoder = AudioEncoder::new(audio_codec(codec), &OpusEncoderConfig::default())?;
    let mut payload = [0; PAYLOAD_LEN_MAX];
    let mut frame = |chunk: &[i16]| {
        let mut samples = [0; FRAME_SAMPLES];
        samples[..chunk.len()].copy_from_slice(chunk);
        let len = encoder.encode(&samples, &mut payload)?;
        Ok(Box::from(&payload[..len]))
    };
    let frames = samples.len().div_ceil(FRAME_SAMPLES);
    let warm_up = samples
        .chunks(FRAME_SAMPLES)
        .skip(frames.saturating_sub(WARM_UP_FRAMES));
    for chunk in warm_up {
        frame(chunk)?;
    }
    samples.chunks(FRAME_SAMPLES).map(frame).collect()
}
