//! Reading of what both kinds of leg have in common: section, codecs, events, times, bandwidth.

use offhook_sdp::attribute::{Direction, Fmtp, MaxPtime, Ptime, RtpMap, flag};
use offhook_sdp::{Bandwidth, BandwidthKind, MediaDescription, MediaKind, SessionDescription};

use crate::codec::{Codec, NegotiatedCodec, TELEPHONE_EVENT, TelephoneEvents};
use crate::error::OfferAnswerError;
use crate::opus_params::OpusParams;

/// Packets per second at 20 ms, to take headers off a bandwidth.
const PACKETS_PER_SECOND: u64 = 50;
/// RTP header, bits.
const RTP_HEADER_BITS: u64 = 12 * 8;
/// IPv4, UDP and RTP headers, bits.
const IP_HEADERS_BITS: u64 = 40 * 8;

/// Whose offer a leg's latest exchange began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LatestOffer {
    /// There was none.
    #[default]
    None,
    /// Ours: answers of the peer are taken, the last one counts (a 200 after a 183).
    Ours,
    /// The peer's: we answer.
    Theirs,
}

/// What a section says of its media, on either kind of leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AudioTerms {
    pub(crate) codecs: Vec<NegotiatedCodec>,
    pub(crate) telephone_events: TelephoneEvents,
    pub(crate) direction: Direction,
    pub(crate) max_bitrate_bps: Option<u32>,
    pub(crate) packet_ms: Option<u16>,
    pub(crate) max_packet_ms: Option<u16>,
}

impl AudioTerms {
    /// Reads a section; of its codecs those of `allowed`, in the section's order.
    pub(crate) fn read(
        session: &SessionDescription,
        section: &MediaDescription,
        allowed: &[Codec],
    ) -> Result<Self, OfferAnswerError> {
        let formats = Formats::read(section);
        let codecs = formats.codecs(section, allowed);
        if codecs.is_empty() {
            return Err(OfferAnswerError::NoCommonCodec);
        }
        let direction = section
            .attributes
            .direction()
            .or_else(|| session.attributes.direction());
        Ok(Self {
            codecs,
            telephone_events: formats.telephone_events(section),
            direction: direction.unwrap_or_default(),
            max_bitrate_bps: payload_limit_bps(&section.bandwidths)
                .or_else(|| payload_limit_bps(&session.bandwidths)),
            packet_ms: section
                .attributes
                .first::<Ptime>()
                .ok()
                .flatten()
                .map(|ptime| ptime.0),
            max_packet_ms: section
                .attributes
                .first::<MaxPtime>()
                .ok()
                .flatten()
                .map(|maxptime| maxptime.0),
        })
    }
}

/// For an answer to an offer of ours: what we receive has the numbers that we offered.
pub(crate) fn expect_offered(
    codecs: &mut [NegotiatedCodec],
    events: &mut TelephoneEvents,
    offered: &(Vec<(Codec, u8)>, TelephoneEvents),
) {
    for negotiated in codecs {
        if let Some((_, number)) = offered.0.iter().find(|(codec, _)| *codec == negotiated.codec) {
            negotiated.receive_payload_type = *number;
        }
    }
    events.receive_at_8000 = events.at_8000.and(offered.1.at_8000);
    events.receive_at_48000 = events.at_48000.and(offered.1.at_48000);
}

/// The first audio section that is not rejected, and its index. A port of 0 does not reject a section that shares the
/// transport of another one (`bundle-only`, RFC 9143 §6).
pub(crate) fn audio_section(
    session: &SessionDescription,
) -> Result<(usize, &MediaDescription), OfferAnswerError> {
    let usable = |section: &MediaDescription| section.port != 0 || section.attributes.has(flag::BUNDLE_ONLY);
    let mut sections = session.media.iter().enumerate();
    sections
        .find(|(_, section)| section.kind == MediaKind::Audio && usable(section))
        .ok_or(OfferAnswerError::NoAudio)
}

/// The `a=rtpmap` and `a=fmtp` lines of a section; unreadable ones concern codecs that we don't do.
struct Formats {
    maps: Vec<RtpMap>,
    parameters: Vec<Fmtp>,
}

impl Formats {
    fn read(section: &MediaDescription) -> Self {
        Self {
            maps: section.attributes.all().flatten().collect(),
            parameters: section.attributes.all().flatten().collect(),
        }
    }

    fn codecs(&self, section: &MediaDescription, allowed: &[Codec]) -> Vec<NegotiatedCodec> {
        let mut found: Vec<NegotiatedCodec> = Vec::new();
        for payload_type in section.payload_types() {
            let known = self
                .codec_of(payload_type)
                .filter(|codec| allowed.contains(codec));
            let Some(codec) = known.filter(|codec| found.iter().all(|other| other.codec != *codec)) else {
                continue;
            };
            let fmtp = self
                .parameters
                .iter()
                .find(|fmtp| fmtp.payload_type == payload_type);
            let opus = fmtp
                .filter(|_| codec == Codec::Opus)
                .map_or(OpusParams::UNSTATED, OpusParams::from_fmtp);
            found.push(NegotiatedCodec {
                codec,
                payload_type,
                receive_payload_type: payload_type,
                opus,
            });
        }
        found
    }

    fn telephone_events(&self, section: &MediaDescription) -> TelephoneEvents {
        let at = |rate_hz| {
            section.payload_types().find(|payload_type| {
                self.map_of(*payload_type).is_some_and(|map| {
                    map.encoding.eq_ignore_ascii_case(TELEPHONE_EVENT) && map.clock_rate_hz == rate_hz
                })
            })
        };
        TelephoneEvents {
            at_8000: at(8_000),
            at_48000: at(48_000),
            ..TelephoneEvents::default()
        }
    }

    fn codec_of(&self, payload_type: u8) -> Option<Codec> {
        match self.map_of(payload_type) {
            Some(map) => Codec::from_rtpmap(&map.encoding, map.clock_rate_hz, map.channels),
            None => Codec::from_static_payload_type(payload_type),
        }
    }

    fn map_of(&self, payload_type: u8) -> Option<&RtpMap> {
        self.maps.iter().find(|map| map.payload_type == payload_type)
    }
}

/// The tightest of several limits, as bits of codec payload per second.
fn payload_limit_bps(bandwidths: &[Bandwidth]) -> Option<u32> {
    let limits = bandwidths.iter().filter_map(|bandwidth| {
        let headers = match bandwidth.kind {
            BandwidthKind::TransportIndependent => RTP_HEADER_BITS,
            _ => IP_HEADERS_BITS,
        };
        Some(
            bandwidth
                .media_bps()?
                .saturating_sub(headers * PACKETS_PER_SECOND),
        )
    });
    limits.min().map(|limit| u32::try_from(limit).unwrap_or(u32::MAX))
}
