//! Writes our descriptions for a browser.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use offhook_sdp::attribute::{Candidate, Direction, Group, IcePwd, IceUfrag, Mid, Msid, Setup, Ssrc, flag};
use offhook_sdp::{MediaDescription, SessionDescription, TransportProtocol};

use crate::codec::{Codec, TelephoneEvents};
use crate::error::OfferAnswerError;
use crate::offered::OfferedSections;
use crate::webrtc_state::{DtlsRole, WebRtcLegState, WebRtcLocal, WebRtcRemote};
use crate::write::{AudioFormats, codecs_to_answer, formats_to_offer, frame, sections_to_offer};

/// Length of the packets that we send, milliseconds.
const PACKET_MS: u16 = 20;
/// Track id of `a=msid`; there is one per stream.
const TRACK: &str = "audio";

/// Our answer to the offer with these sections, with the codecs of `order` that it has.
pub(super) fn answer(
    local: &WebRtcLocal,
    version: u64,
    offered: &OfferedSections,
    remote: &WebRtcRemote,
    role: DtlsRole,
    order: &[Codec],
) -> Result<SessionDescription, OfferAnswerError> {
    let codecs = codecs_to_answer(order, &remote.codecs)?;
    let setup = match role {
        DtlsRole::Client => Setup::Active,
        DtlsRole::Server => Setup::Passive,
    };
    let events = remote.telephone_events;
    let mut section = section(local, &codecs, events, offered.protocol.clone());
    if let Some(mid) = &remote.mid {
        section.attributes.push(&Mid(mid.clone()));
    }
    push_transport(&mut section, local, setup, remote.direction.mirrored());
    let mut description = session(local, version);
    if let Some(mid) = remote.mid.clone().filter(|_| offered.is_bundled) {
        description.attributes.push(&Group::bundle(vec![mid]));
    }
    push_stream_semantics(&mut description, local);
    description.media = offered.around(section);
    Ok(description)
}

/// Our offer; on a leg that has been up with the same sections, names and payload types.
pub(super) fn offer(state: &WebRtcLegState, direction: Direction) -> SessionDescription {
    let local = &state.local;
    let setup = match state.dtls_role {
        None => Setup::ActPass,
        Some(DtlsRole::Client) => Setup::Active,
        Some(DtlsRole::Server) => Setup::Passive,
    };
    let (codecs, events) = offered_formats(state);
    let mut section = section(local, &codecs, events, TransportProtocol::UdpTlsRtpSavpf);
    let mid = mid(state);
    section.attributes.push(&Mid(mid.clone()));
    push_transport(&mut section, local, setup, direction);
    let mut description = session(local, state.version);
    description.attributes.push(&Group::bundle(vec![mid]));
    push_stream_semantics(&mut description, local);
    description.media = sections_to_offer(state.offered.as_ref(), section);
    description
}

/// Codecs and events of our offers with their numbers: those already in use keep theirs (RFC 3264 §8.3.2).
pub(super) fn offered_formats(state: &WebRtcLegState) -> (Vec<(Codec, u8)>, TelephoneEvents) {
    let remote = state.remote.as_ref();
    let in_use = remote.map(|remote| remote.codecs.as_slice()).unwrap_or_default();
    let events = remote.map(|remote| remote.telephone_events).unwrap_or_default();
    formats_to_offer(&state.local.codecs, in_use, events, true)
}

/// The name of our audio section.
pub(super) fn mid(state: &WebRtcLegState) -> String {
    let known = state.remote.as_ref().and_then(|remote| remote.mid.clone());
    known.unwrap_or_else(|| "0".to_owned())
}

fn session(local: &WebRtcLocal, version: u64) -> SessionDescription {
    let mut description = frame(local.session_id, version, address(local).ip());
    description.attributes.push_flag(flag::ICE_LITE);
    description
}

fn push_stream_semantics(description: &mut SessionDescription, local: &WebRtcLocal) {
    description
        .attributes
        .push_raw("msid-semantic", &format!(" WMS {}", local.cname));
}

fn section(
    local: &WebRtcLocal,
    codecs: &[(Codec, u8)],
    events: TelephoneEvents,
    protocol: TransportProtocol,
) -> MediaDescription {
    let formats = AudioFormats {
        codecs,
        events,
        opus: local.opus,
        packet_ms: PACKET_MS,
        max_bitrate_bps: local.max_bitrate_bps,
    };
    formats.section(address(local).port(), protocol)
}

fn push_transport(section: &mut MediaDescription, local: &WebRtcLocal, setup: Setup, direction: Direction) {
    let attributes = &mut section.attributes;
    attributes.push_flag(direction.attribute_name());
    attributes.push_flag(flag::RTCP_MUX);
    attributes.push(&setup);
    attributes.push(&local.fingerprint);
    attributes.push(&IceUfrag(local.ice.ufrag.clone()));
    attributes.push(&IcePwd(local.ice.pwd.clone()));
    for (index, address) in (0..u16::MAX).zip(&local.addresses) {
        attributes.push(&Candidate::host(index, *address));
    }
    attributes.push_flag(flag::END_OF_CANDIDATES);
    attributes.push(&Msid {
        stream: local.cname.clone(),
        track: Some(TRACK.to_owned()),
    });
    attributes.push(&Ssrc::cname(local.ssrc, &local.cname));
}

/// The preferred address; the discard port of nowhere if the gateway gave none.
fn address(local: &WebRtcLocal) -> SocketAddr {
    local
        .addresses
        .first()
        .copied()
        .unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9))
}
