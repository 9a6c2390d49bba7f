//! The codecs of the platform and how a session description names them.

use crate::opus_params::OpusParams;

/// A codec that the gateway can send and receive. The order is the default priority: Opus, then PCMU, then PCMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// `opus/48000/2` (RFC 7587).
    Opus,
    /// `PCMU/8000`, G.711 µ-law, static payload type 0 (RFC 3551).
    Pcmu,
    /// `PCMA/8000`, G.711 A-law, static payload type 8 (RFC 3551).
    Pcma,
}

/// Name of RFC 4733 events in `a=rtpmap`.
pub(crate) const TELEPHONE_EVENT: &str = "telephone-event";

impl Codec {
    /// All of them, in the default order of preference.
    pub const ALL: [Codec; 3] = [Codec::Opus, Codec::Pcmu, Codec::Pcma];

    /// Ticks per second of the RTP timestamp: 48,000 for Opus, 8,000 for G.711.
    pub fn clock_rate_hz(self) -> u32 {
        match self {
            Codec::Opus => 48_000,
            Codec::Pcmu | Codec::Pcma => 8_000,
        }
    }

    /// The name that `a=rtpmap` uses, without rate.
    pub fn encoding_name(self) -> &'static str {
        match self {
            Codec::Opus => "opus",
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
        }
    }

    /// The codec that `a=rtpmap` names, if it is one of ours.
    pub(crate) fn from_rtpmap(encoding: &str, clock_rate_hz: u32, channels: Option<u8>) -> Option<Self> {
        let found = Self::ALL
            .into_iter()
            .find(|codec| codec.encoding_name().eq_ignore_ascii_case(encoding))?;
        let channels_fit = match found {
            Self::Opus => channels.is_none_or(|channels| channels == 2),
            Self::Pcmu | Self::Pcma => channels.is_none_or(|channels| channels == 1),
        };
        (found.clock_rate_hz() == clock_rate_hz && channels_fit).then_some(found)
    }

    /// The codec of a static payload type (RFC 3551 §6).
    pub(crate) fn from_static_payload_type(payload_type: u8) -> Option<Self> {
        match payload_type {
            0 => Some(Self::Pcmu),
            8 => Some(Self::Pcma),
            _ => None,
        }
    }

    /// The payload type that we put into our own offers: 111 for Opus, the static ones for G.711.
    pub fn payload_type_offered(self) -> u8 {
        match self {
            Codec::Opus => 111,
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
        }
    }
}

/// A codec as one leg negotiated it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegotiatedCodec {
    /// Which.
    pub codec: Codec,
    /// RTP payload type, 0 to 127, to send with: the peer's number.
    pub payload_type: u8,
    /// RTP payload type to expect: ours if we offered, otherwise the same. There are peers that answer with another
    /// number and then send with either (RFC 3264 §6.1).
    pub receive_payload_type: u8,
    /// What the peer wants to receive; the defaults of RFC 7587 for G.711.
    pub opus: OpusParams,
}

/// Payload types of telephone-event (RFC 4733) that a leg negotiated, by clock rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TelephoneEvents {
    /// At 8,000 Hz: beside G.711, and what carriers use beside Opus too.
    pub at_8000: Option<u8>,
    /// At 48,000 Hz: beside Opus.
    pub at_48000: Option<u8>,
    /// What we offered at 8,000 Hz, where the peer answered with another number.
    pub receive_at_8000: Option<u8>,
    /// What we offered at 48,000 Hz, where the peer answered with another number.
    pub receive_at_48000: Option<u8>,
}

impl TelephoneEvents {
    /// Payload type and clock rate in Hz to send digits with while `codec` is sent: the one of the codec's own clock
    /// rate (RFC 4733 §2.1), otherwise the other one.
    pub fn for_codec(&self, codec: Codec) -> Option<(u8, u32)> {
        let narrow = self.at_8000.map(|payload_type| (payload_type, 8_000));
        let wide = self.at_48000.map(|payload_type| (payload_type, 48_000));
        match codec {
            Codec::Opus => wide.or(narrow),
            Codec::Pcmu | Codec::Pcma => narrow.or(wide),
        }
    }

    /// Clock rate in Hz if a received `payload_type` is telephone-event.
    pub fn clock_rate_hz(&self, payload_type: u8) -> Option<u32> {
        let is = |candidates: [Option<u8>; 2]| candidates.contains(&Some(payload_type));
        if is([self.at_8000, self.receive_at_8000]) {
            Some(8_000)
        } else if is([self.at_48000, self.receive_at_48000]) {
            Some(48_000)
        } else {
            None
        }
    }

    /// True if neither rate was negotiated.
    pub fn is_empty(&self) -> bool {
        self.at_8000.is_none() && self.at_48000.is_none()
    }
}
