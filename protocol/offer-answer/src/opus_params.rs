//! Opus parameters of `a=fmtp` (RFC 7587 §6.1) and what they mean for our encoder.

use offhook_sdp::attribute::Fmtp;

/// What one side says it wants to receive. Defaults are those of RFC 7587.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusParams {
    /// `maxplaybackrate`: highest sampling rate that it can render, Hz.
    pub max_playback_rate_hz: u32,
    /// `stereo`: it prefers stereo.
    pub stereo: bool,
    /// `useinbandfec`: it makes use of in-band forward error correction.
    pub in_band_fec: bool,
    /// `maxaveragebitrate`, bit/s.
    pub max_average_bitrate_bps: Option<u32>,
    /// `cbr`: it wants a constant bit rate.
    pub constant_bitrate: bool,
    /// `usedtx`: it prefers discontinuous transmission.
    pub dtx: bool,
    /// `minptime`: shortest packet, milliseconds.
    pub min_packet_ms: Option<u16>,
}

/// How our encoder is to be set for a peer; ready for `offhook-audio`'s encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusSending {
    /// Bits per second of the encoder, packet headers not counted.
    pub bitrate_bps: u32,
    /// Add in-band forward error correction.
    pub in_band_fec: bool,
    /// Send two channels. False whenever the source is a telephone.
    pub stereo: bool,
    /// Constant instead of variable bit rate.
    pub constant_bitrate: bool,
}
