//! The codecs behind one face each way: payload to 8 kHz samples, and back.

pub mod concealment;
pub mod g711;
pub mod opus;

use self::concealment::G711Concealer;
use self::g711::Law;
use self::opus::{OpusDecoder, OpusEncoder, OpusEncoderConfig};

/// A codec that can be decoded and encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// Opus; RTP clock 48 kHz.
    Opus,
    /// G.711 µ-law; RTP clock 8 kHz.
    Pcmu,
    /// G.711 A-law; RTP clock 8 kHz.
    Pcma,
}

impl AudioCodec {
    /// Ticks per second of the RTP timestamp.
    pub fn clock_rate_hz(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Pcmu | Self::Pcma => 8_000,
        }
    }

    /// Ticks of the RTP timestamp per sample of this crate: 6 for Opus, 1 for G.711.
    pub fn ticks_per_sample(self) -> u32 {
        self.clock_rate_hz() / crate::SAMPLE_RATE_HZ
    }
}

/// What a codec cannot do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AudioError {
    /// libopus refused a setting or ran out of memory.
    #[error("libopus: {operation} failed: {reason}; check the Opus settings")]
    Opus {
        /// The function that failed.
        operation: &'static str,
        /// libopus' own words.
        reason: &'static str,
    },
    /// A payload that is not of its codec, too long, or longer than the room for its samples.
    #[error("undecodable {codec:?} payload of {len} bytes")]
    BadPayload {
        /// What it should have been.
        codec: AudioCodec,
        /// Its length.
        len: usize,
    },
    /// The buffer given for the payload is too short.
    #[error("no room for the payload: {room} bytes, {needed} needed")]
    NoRoom {
        /// Bytes given.
        room: usize,
        /// Bytes needed.
        needed: usize,
    },
}

/// Samples to payloads of one codec.
#[derive(Debug)]
pub enum AudioEncoder {
    /// Opus.
    Opus(OpusEncoder),
    /// G.711; without state.
    G711(Law),
}

impl AudioEncoder {
    /// An encoder; `opus` counts only for Opus.
    ///
    /// # Errors
    /// [`AudioError::Opus`] if libopus refuses the settings.
    pub fn new(codec: AudioCodec, opus: &OpusEncoderConfig) -> Result<Self, AudioError> {
        Ok(match codec {
            AudioCodec::Opus => Self::Opus(OpusEncoder::new(opus)?),
            AudioCodec::Pcmu => Self::G711(Law::Mu),
            AudioCodec::Pcma => Self::G711(Law::A),
        })
    }

    /// Encodes 8 kHz samples (20 ms: 160 of them) into `payload`; gives the payload's length in bytes.
    ///
    /// # Errors
    /// [`AudioError`] if the room is too small, or libopus refuses the number of samples.
    pub fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> Result<usize, AudioError> {
        match self {
            Self::Opus(encoder) => encoder.encode(samples, payload),
            Self::G711(law) => {
                let room = payload.len();
                let target = payload.get_mut(..samples.len()).ok_or(AudioError::NoRoom {
                    room,
                    needed: samples.len(),
                })?;
                g711::encode(*law, samples, target);
                Ok(samples.len())
            }
        }
    }
}

/// Payloads of one codec to samples, with what it knows about bridging losses.
#[derive(Debug)]
pub enum AudioDecoder {
    /// Opus.
    Opus(OpusDecoder),
    /// G.711.
    G711 {
        /// Which law.
        law: Law,
        /// Bridges losses.
        concealer: Box<G711Concealer>,
    },
}

impl AudioDecoder {
    /// A decoder.
    ///
    /// # Errors
    /// [`AudioError::Opus`] if libopus runs out of memory.
    pub fn new(codec: AudioCodec) -> Result<Self, AudioError> {
        Ok(match codec {
            AudioCodec::Opus => Self::Opus(OpusDecoder::new()?),
            AudioCodec::Pcmu => Self::G711 {
                law: Law::Mu,
                concealer: Box::default(),
            },
            AudioCodec::Pcma => Self::G711 {
                law: Law::A,
                concealer: Box::default(),
            },
        })
    }

    /// Decodes a payload; gives the number of samples. `samples` should have room for
    /// [`opus::PACKET_SAMPLES_MAX`].
    ///
    /// # Errors
    /// [`AudioError::BadPayload`] if it is not of this codec or there is too little room.
    pub fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> Result<usize, AudioError> {
        match self {
            Self::Opus(decoder) => decoder.decode(payload, samples),
            Self::G711 { law, concealer } => {
                let codec = if *law == Law::Mu {
                    AudioCodec::Pcmu
                } else {
                    AudioCodec::Pcma
                };
                let len = payload.len();
                let target = samples
                    .get_mut(..len)
                    .ok_or(AudioError::BadPayload { codec, len })?;
                g711::decode(*law, payload, target);
                concealer.decoded(target);
                Ok(len)
            }
        }
    }

    /// Fills `samples` for the packet that was lost before `next`; true if `next` may have carried error correction for
    /// it, false if it was concealed.
    ///
    /// # Errors
    /// [`AudioError`] if `next` is not of this codec.
    pub fn recover(&mut self, next: &[u8], samples: &mut [i16]) -> Result<bool, AudioError> {
        match self {
            Self::Opus(decoder) => decoder.recover(next, samples).map(|_| true),
            Self::G711 { concealer, .. } => {
                concealer.conceal(samples);
                Ok(false)
            }
        }
    }

    /// Fills `samples` for a packet that was lost.
    ///
    /// # Errors
    /// [`AudioError::Opus`] for a length that is no multiple of 2.5 ms.
    pub fn conceal(&mut self, samples: &mut [i16]) -> Result<(), AudioError> {
        match self {
            Self::Opus(decoder) => decoder.conceal(samples).map(|_| ()),
            Self::G711 { concealer, .. } => {
                concealer.conceal(samples);
                Ok(())
            }
        }
    }
}
