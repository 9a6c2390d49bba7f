//! Codecs, jitter buffer, loss concealment, DTMF and tones, sans-IO.
//!
//! All audio here is mono, 16 bit, 8 kHz: one leg of every transcoded call is a telephone, and libopus decodes and
//! encodes straight at that rate. [`Pipeline`] is the whole chain from received RTP payloads to payloads to send.
//! Calls whose legs agree on a codec never come here; G.711 A ↔ µ needs [`g711::convert`] only.

pub mod codec;
pub mod dtmf;
pub mod jitter_buffer;
pub mod level;
pub mod music;
mod pipeline;
pub mod tone;
pub mod wav;

pub use codec::concealment::G711Concealer;
pub use codec::g711;
pub use codec::opus::{OpusDecoder, OpusEncoder, OpusEncoderConfig};
pub use codec::{AudioCodec, AudioDecoder, AudioEncoder, AudioError};
pub use jitter_buffer::{JitterBuffer, JitterConfig, JitterStats, Pulled, Pushed};
pub use pipeline::{FrameOrigin, OutputFrame, Packet, Pipeline, PipelineConfig, PipelineStats};

/// Samples per second of all audio in this crate.
pub const SAMPLE_RATE_HZ: u32 = 8_000;
/// Length of the frames that are sent, milliseconds.
pub const FRAME_MS: u32 = 20;
/// Samples of one frame.
pub const FRAME_SAMPLES: usize = (SAMPLE_RATE_HZ / 1_000 * FRAME_MS) as usize;
/// Longest payload that is decoded or made, bytes: the largest Opus frame (RFC 6716 §3.2.1).
pub const PAYLOAD_LEN_MAX: usize = 1_275;
