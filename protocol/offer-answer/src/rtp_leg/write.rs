//! Writes our descriptions for a carrier.

use offhook_sdp::attribute::{Direction, Rtcp, flag};
use offhook_sdp::{MediaDescription, SessionDescription, TransportProtocol};

use crate::codec::{Codec, TelephoneEvents};
use crate::error::OfferAnswerError;
use crate::offered::OfferedSections;
use crate::rtp_state::{RtpLegState, RtpLocal, RtpRemote};
use crate::write::{AudioFormats, codecs_to_answer, formats_to_offer, frame, sections_to_offer};

/// Our offer; on a leg that has been up with the same sections and payload types.
pub(super) fn offer(state: &RtpLegState) -> SessionDescription {
    let local = &state.local;
    let (codecs, events) = offered_formats(state);
    let section = section(
        local,
        &codecs,
        events,
        TransportProtocol::RtpAvp,
        state.direction,
        local.shares_port(),
    );
    let mut description = frame(local.session_id, state.version, local.address.ip());
    description.media = sections_to_offer(state.offered.as_ref(), section);
    description
}

/// Our answer to the offer with these sections, with the codecs of `order` that it has.
pub(super) fn answer(
    state: &RtpLegState,
    offered: &OfferedSections,
    remote: &RtpRemote,
    order: &[Codec],
    direction: Direction,
) -> Result<SessionDescription, OfferAnswerError> {
    let local = &state.local;
    let codecs = codecs_to_answer(order, &remote.codecs)?;
    let events = remote.telephone_events;
    let section = section(
        local,
        &codecs,
        events,
        offered.protocol.clone(),
        direction,
        remote.rtcp_mux,
    );
    let mut description = frame(local.session_id, state.version, local.address.ip());
    description.media = offered.around(section);
    Ok(description)
}

/// Codecs and events of our offers with their numbers: those already in use keep theirs (RFC 3264 §8.3.2).
pub(super) fn offered_formats(state: &RtpLegState) -> (Vec<(Codec, u8)>, TelephoneEvents) {
    let remote = state.remote.as_ref();
    let in_use = remote.map(|remote| remote.codecs.as_slice()).unwrap_or_default();
    let events = remote.map(|remote| remote.telephone_events).unwrap_or_default();
    formats_to_offer(&state.local.codecs, in_use, events, false)
}

impl RtpLocal {
    /// True if RTP and RTCP come to one port: we then offer and accept multiplexing.
    pub(super) fn shares_port(&self) -> bool {
        self.rtcp_port == Some(self.address.port())
    }
}

fn section(
    local: &RtpLocal,
    codecs: &[(Codec, u8)],
    events: TelephoneEvents,
    protocol: TransportProtocol,
    direction: Direction,
    rtcp_mux: bool,
) -> MediaDescription {
    let formats = AudioFormats {
        codecs,
        events,
        opus: local.opus,
        packet_ms: local.packet_ms,
        max_bitrate_bps: local.max_bitrate_bps,
    };
    let mut section = formats.section(local.address.port(), protocol);
    if let Some(port) = local.rtcp_port.or_else(|| local.address.port().checked_add(1)) {
        section.attributes.push(&Rtcp { port, host: None });
    }
    if rtcp_mux {
        section.attributes.push_flag(flag::RTCP_MUX);
    }
    section.attributes.push_flag(direction.attribute_name());
    section
}
