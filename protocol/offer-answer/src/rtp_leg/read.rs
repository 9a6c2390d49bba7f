//! Reads a carrier's description.

use std::net::{IpAddr, SocketAddr};

use offhook_sdp::attribute::{Direction, Rtcp, flag};
use offhook_sdp::{Host, MediaDescription, SessionDescription, TransportProtocol};

use crate::error::OfferAnswerError;
use crate::read::{AudioTerms, audio_section};
use crate::rtp_state::{RtpLocal, RtpRemote};

/// Reads offer or answer.
pub(super) fn remote(session: &SessionDescription, local: &RtpLocal) -> Result<RtpRemote, OfferAnswerError> {
    let (_, section) = audio_section(session)?;
    check_transport(section)?;
    let terms = AudioTerms::read(session, section, &local.codecs)?;
    let rtcp_mux = local.shares_port() && section.attributes.has(flag::RTCP_MUX);
    let rtp = rtp_address(session, section)?;
    Ok(RtpRemote {
        rtp,
        rtcp: rtp.and_then(|rtp| rtcp_address(section, rtp, rtcp_mux)),
        rtcp_mux,
        codecs: terms.codecs,
        telephone_events: terms.telephone_events,
        direction: if rtp.is_some() {
            terms.direction
        } else {
            held(terms.direction)
        },
        max_bitrate_bps: terms.max_bitrate_bps,
        packet_ms: terms.packet_ms,
        max_packet_ms: terms.max_packet_ms,
    })
}

fn check_transport(section: &MediaDescription) -> Result<(), OfferAnswerError> {
    match &section.protocol {
        TransportProtocol::RtpAvp | TransportProtocol::RtpAvpf => Ok(()),
        other => Err(OfferAnswerError::UnsupportedTransport {
            protocol: other.to_string(),
            expected: "RTP/AVP",
        }),
    }
}

/// Where RTP goes; none where the address is zeros (hold as of RFC 2543), or the port (`bundle-only`, which is of no use here).
fn rtp_address(
    session: &SessionDescription,
    section: &MediaDescription,
) -> Result<Option<SocketAddr>, OfferAnswerError> {
    let connection = session
        .connection_of(section)
        .ok_or(OfferAnswerError::MissingConnection)?;
    let address = numeric(&connection.host)?;
    let is_usable = !connection.is_unspecified() && section.port != 0;
    Ok(is_usable.then(|| SocketAddr::new(address, section.port)))
}

/// An unreadable or unusable `a=rtcp` only costs reports: the default port then has to do.
fn rtcp_address(section: &MediaDescription, rtp: SocketAddr, mux: bool) -> Option<SocketAddr> {
    if mux {
        return Some(rtp);
    }
    match section.attributes.first::<Rtcp>() {
        Ok(Some(Rtcp { port: 0, .. })) => None,
        Ok(Some(Rtcp { port, host })) => {
            let stated = host.as_ref().and_then(Host::ip).filter(|ip| !ip.is_unspecified());
            Some(SocketAddr::new(stated.unwrap_or(rtp.ip()), port))
        }
        Ok(None) | Err(_) => rtp
            .port()
            .checked_add(1)
            .map(|port| SocketAddr::new(rtp.ip(), port)),
    }
}

fn numeric(host: &Host) -> Result<IpAddr, OfferAnswerError> {
    host.ip().ok_or_else(|| OfferAnswerError::AddressNotNumeric {
        host: host.to_string(),
    })
}

/// Without an address it cannot listen, whatever it states.
fn held(stated: Direction) -> Direction {
    Direction::new(stated.sends(), false)
}
