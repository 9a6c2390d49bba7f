//! Opus parameters of `a=fmtp` (RFC 7587 §6.1) and what they mean for our encoder.

use offhook_sdp::attribute::Fmtp;

/// Fewer bits than these are no speech any more; caps below it are not followed further.
const BITRATE_MIN_BPS: u32 = 6_000;

/// What one side says it wants to receive. The default is what we ask for: mono, with error correction.
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

impl OpusParams {
    /// What holds for a peer that says nothing (RFC 7587 §6.1).
    pub const UNSTATED: Self = Self {
        max_playback_rate_hz: 48_000,
        stereo: false,
        in_band_fec: false,
        max_average_bitrate_bps: None,
        constant_bitrate: false,
        dtx: false,
        min_packet_ms: None,
    };

    /// What a leg's peer is to be asked for whose packets are passed on to one that wants `self`, and at most `cap_bps` (its
    /// `max_bitrate_bps`): the encoder is the far end's, so the wishes have to reach it. Pauses are not asked for, since a
    /// gateway cannot tell them from a loss of media.
    pub fn passed_on(&self, cap_bps: Option<u32>) -> Self {
        let caps = [self.max_average_bitrate_bps, cap_bps];
        let cap_bps = caps.into_iter().flatten().min();
        Self {
            max_average_bitrate_bps: cap_bps.map(|cap| cap.max(BITRATE_MIN_BPS)),
            dtx: false,
            min_packet_ms: Self::default().min_packet_ms,
            ..*self
        }
    }

    /// Reads a peer's parameters; what is missing, unreadable or out of range is unstated.
    pub(crate) fn from_fmtp(fmtp: &Fmtp) -> Self {
        let rate = fmtp
            .number("maxplaybackrate")
            .filter(|rate| (8_000..=48_000).contains(rate));
        Self {
            max_playback_rate_hz: rate.unwrap_or(Self::UNSTATED.max_playback_rate_hz),
            stereo: fmtp.enabled("stereo"),
            in_band_fec: fmtp.enabled("useinbandfec"),
            max_average_bitrate_bps: fmtp
                .number("maxaveragebitrate")
                .filter(|rate| (BITRATE_MIN_BPS..=510_000).contains(rate)),
            constant_bitrate: fmtp.enabled("cbr"),
            dtx: fmtp.enabled("usedtx"),
            min_packet_ms: fmtp
                .number("minptime")
                .filter(|length| (1..=120).contains(length)),
        }
    }

    /// Writes what differs from [`Self::UNSTATED`]; none if nothing does.
    pub(crate) fn to_fmtp(self, payload_type: u8) -> Option<Fmtp> {
        let mut fmtp = Fmtp {
            payload_type,
            parameters: Vec::new(),
        };
        if let Some(length) = self.min_packet_ms {
            fmtp.push("minptime", length);
        }
        if self.in_band_fec {
            fmtp.push("useinbandfec", 1);
        }
        if self.stereo {
            fmtp.push("stereo", 1);
        }
        if self.max_playback_rate_hz != Self::UNSTATED.max_playback_rate_hz {
            fmtp.push("maxplaybackrate", self.max_playback_rate_hz);
        }
        if let Some(rate) = self.max_average_bitrate_bps {
            fmtp.push("maxaveragebitrate", rate);
        }
        if self.constant_bitrate {
            fmtp.push("cbr", 1);
        }
        if self.dtx {
            fmtp.push("usedtx", 1);
        }
        (!fmtp.parameters.is_empty()).then_some(fmtp)
    }
}

impl Default for OpusParams {
    fn default() -> Self {
        Self {
            in_band_fec: true,
            min_packet_ms: Some(10),
            ..Self::UNSTATED
        }
    }
}

/// How our encoder is to be set for a peer; ready for `offhook-audio`'s encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusSending {
    /// Bits per second of the encoder, packet headers not counted.
    pub bitrate_bps: u32,
    /// Add in-band forward error correction.
    pub in_band_fec: bool,
    /// Constant instead of variable bit rate.
    pub constant_bitrate: bool,
}

impl OpusSending {
    /// Our encoder's settings for a peer that wants `peer`: `bitrate_bps` of ours, under its `maxaveragebitrate` and
    /// under `cap_bps` (the peer's `max_bitrate_bps`). Always mono: the source is a telephone.
    pub fn for_peer(peer: &OpusParams, bitrate_bps: u32, cap_bps: Option<u32>) -> Self {
        let caps = [peer.max_average_bitrate_bps, cap_bps];
        let bitrate_bps = caps.into_iter().flatten().fold(bitrate_bps, u32::min);
        Self {
            bitrate_bps: bitrate_bps.max(BITRATE_MIN_BPS),
            in_band_fec: peer.in_band_fec,
            constant_bitrate: peer.constant_bitrate,
        }
    }
}
