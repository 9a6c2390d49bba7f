//! Writing of what both kinds of leg have in common: the frame of a description, codecs, sections.

use std::net::IpAddr;

use offhook_sdp::attribute::{Fmtp, FmtpParameter, Ptime, RtpMap};
use offhook_sdp::{
    Bandwidth, BandwidthKind, Connection, Host, MediaDescription, MediaKind, Origin, SessionDescription,
    TransportProtocol,
};

use crate::codec::{Codec, NegotiatedCodec, TELEPHONE_EVENT, TelephoneEvents};
use crate::error::OfferAnswerError;
use crate::offered::OfferedSections;
use crate::opus_params::OpusParams;

/// Events that we understand: the sixteen digits and hook flash (RFC 4733 §3.2).
const EVENTS: &str = "0-16";
/// Payload type of telephone-event/8000 in our offers.
const EVENTS_8000_OFFERED: u8 = 101;
/// Payload type of telephone-event/48000 in our offers.
const EVENTS_48000_OFFERED: u8 = 110;

/// The codecs and events of a section that we write.
pub(crate) struct AudioFormats<'a> {
    pub(crate) codecs: &'a [(Codec, u8)],
    pub(crate) events: TelephoneEvents,
    pub(crate) opus: OpusParams,
    pub(crate) packet_ms: u16,
    pub(crate) max_bitrate_bps: Option<u32>,
}

impl AudioFormats<'_> {
    /// A section with these formats; transport attributes are the leg's to add.
    pub(crate) fn section(&self, port: u16, protocol: TransportProtocol) -> MediaDescription {
        let events = self.event_numbers();
        let numbers = self
            .codecs
            .iter()
            .map(|(_, number)| *number)
            .chain(events.iter().map(|(number, _)| *number));
        let formats = numbers.map(|number| number.to_string()).collect();
        let mut section = MediaDescription::new(MediaKind::Audio, port, protocol, formats);
        if let Some(limit) = self.max_bitrate_bps {
            let limit = u64::from(limit);
            section.bandwidths = vec![
                Bandwidth {
                    kind: BandwidthKind::ApplicationSpecific,
                    value: limit.div_ceil(1_000),
                },
                Bandwidth {
                    kind: BandwidthKind::TransportIndependent,
                    value: limit,
                },
            ];
        }
        for (codec, payload_type) in self.codecs {
            self.push_codec(&mut section, *codec, *payload_type);
        }
        for (payload_type, clock_rate_hz) in events {
            let encoding = TELEPHONE_EVENT.to_owned();
            section.attributes.push(&RtpMap {
                payload_type,
                encoding,
                clock_rate_hz,
                channels: None,
            });
            let parameters = vec![FmtpParameter {
                name: EVENTS.to_owned(),
                value: None,
            }];
            section.attributes.push(&Fmtp {
                payload_type,
                parameters,
            });
        }
        section.attributes.push(&Ptime(self.packet_ms));
        section
    }

    fn push_codec(&self, section: &mut MediaDescription, codec: Codec, payload_type: u8) {
        section.attributes.push(&RtpMap {
            payload_type,
            encoding: codec.encoding_name().to_owned(),
            clock_rate_hz: codec.clock_rate_hz(),
            channels: (codec == Codec::Opus).then_some(2),
        });
        let limit = self.opus.max_average_bitrate_bps.or(self.max_bitrate_bps);
        let opus = OpusParams {
            max_average_bitrate_bps: limit,
            ..self.opus
        };
        if let Some(fmtp) = opus.to_fmtp(payload_type).filter(|_| codec == Codec::Opus) {
            section.attributes.push(&fmtp);
        }
    }

    fn event_numbers(&self) -> Vec<(u8, u32)> {
        let narrow = self.events.at_8000.map(|number| (number, 8_000));
        let wide = self.events.at_48000.map(|number| (number, 48_000));
        narrow.into_iter().chain(wide).collect()
    }
}

/// A description of ours without sections.
pub(crate) fn frame(session_id: u64, version: u64, address: IpAddr) -> SessionDescription {
    let mut description = SessionDescription::new(Origin::new(session_id, version, address));
    description.connection = Some(Connection {
        host: Host::Ip(address),
    });
    description
}

/// A description as text. Who sends it may keep it for as long as the call takes: without room to grow.
pub(crate) fn print(description: &SessionDescription) -> String {
    let mut text = description.to_string();
    text.shrink_to_fit();
    text
}

/// Codecs and events of an offer of ours with their numbers: those already in use keep theirs (RFC 3264 §8.3.2), new
/// ones get our usual number, or a free one where a peer uses that for something else.
pub(crate) fn formats_to_offer(
    wanted: &[Codec],
    in_use: &[NegotiatedCodec],
    events_in_use: TelephoneEvents,
    wide_events: bool,
) -> (Vec<(Codec, u8)>, TelephoneEvents) {
    let known_8000 = events_in_use.receive_at_8000.or(events_in_use.at_8000);
    let known_48000 = events_in_use.receive_at_48000.or(events_in_use.at_48000);
    let mut taken: Vec<u8> = in_use
        .iter()
        .map(|negotiated| negotiated.receive_payload_type)
        .collect();
    taken.extend(known_8000.into_iter().chain(known_48000));
    let mut free = |usual: u8| {
        let number = std::iter::once(usual)
            .chain(96..=127)
            .find(|number| !taken.contains(number));
        taken.extend(number);
        number
    };
    let codecs = wanted.iter().filter_map(|codec| {
        let known = in_use.iter().find(|negotiated| negotiated.codec == *codec);
        let number = known.map(|known| known.receive_payload_type);
        Some((*codec, number.or_else(|| free(codec.payload_type_offered()))?))
    });
    let codecs = codecs.collect();
    let events = TelephoneEvents {
        at_8000: known_8000.or_else(|| free(EVENTS_8000_OFFERED)),
        at_48000: if wide_events {
            known_48000.or_else(|| free(EVENTS_48000_OFFERED))
        } else {
            None
        },
        ..TelephoneEvents::default()
    };
    (codecs, events)
}

/// Codecs of an answer of ours: those of `order` that were offered, with the offer's numbers.
pub(crate) fn codecs_to_answer(
    order: &[Codec],
    offered: &[NegotiatedCodec],
) -> Result<Vec<(Codec, u8)>, OfferAnswerError> {
    let number_of = |codec: &Codec| {
        let found = offered.iter().find(|negotiated| negotiated.codec == *codec)?;
        Some((*codec, found.payload_type))
    };
    let codecs: Vec<(Codec, u8)> = order.iter().filter_map(number_of).collect();
    if codecs.is_empty() {
        Err(OfferAnswerError::NoCommonCodec)
    } else {
        Ok(codecs)
    }
}

/// The sections of an offer of ours: on a leg whose peer has offered before, as many and in that order.
pub(crate) fn sections_to_offer(
    offered: Option<&OfferedSections>,
    ours: MediaDescription,
) -> Vec<MediaDescription> {
    match offered {
        Some(offered) => offered.around(ours),
        None => vec![ours],
    }
}
