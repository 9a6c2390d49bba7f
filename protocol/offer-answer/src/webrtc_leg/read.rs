//! Reads a browser's description.

use offhook_sdp::attribute::{
    Fingerprint, HashFunction, IcePwd, IceUfrag, Mid, Setup, Ssrc, TypedAttribute, flag,
};
use offhook_sdp::{MediaDescription, SessionDescription, TransportProtocol};

use crate::codec::Codec;
use crate::error::OfferAnswerError;
use crate::read::{AudioTerms, audio_section};
use crate::webrtc_state::{IceCredentials, WebRtcRemote};

/// Most fingerprints that are kept; a browser has one certificate.
const FINGERPRINTS_MAX: usize = 8;

/// Reads offer or answer; `setup_default` holds where no `a=setup` is.
pub(super) fn remote(
    session: &SessionDescription,
    allowed: &[Codec],
    setup_default: Setup,
) -> Result<WebRtcRemote, OfferAnswerError> {
    let (_, section) = audio_section(session)?;
    check_transport(section)?;
    let levels = Levels { session, section };
    let ice = credentials(&levels)?;
    let fingerprints = fingerprints(&levels)?;
    if !section.attributes.has(flag::RTCP_MUX) {
        return Err(OfferAnswerError::MissingRtcpMux);
    }
    let terms = AudioTerms::read(session, section, allowed)?;
    Ok(WebRtcRemote {
        ice,
        fingerprints,
        setup: levels.first::<Setup>()?.unwrap_or(setup_default),
        codecs: terms.codecs,
        telephone_events: terms.telephone_events,
        direction: terms.direction,
        max_bitrate_bps: terms.max_bitrate_bps,
        packet_ms: terms.packet_ms,
        max_packet_ms: terms.max_packet_ms,
        mid: section.attributes.first::<Mid>()?.map(|mid| mid.0),
        ssrc: section
            .attributes
            .all::<Ssrc>()
            .flatten()
            .next()
            .map(|source| source.ssrc),
    })
}

/// Attributes that a section may leave to the session (RFC 8839 §5.4, RFC 8122 §5).
struct Levels<'a> {
    session: &'a SessionDescription,
    section: &'a MediaDescription,
}

impl Levels<'_> {
    fn first<T: TypedAttribute>(&self) -> Result<Option<T>, OfferAnswerError> {
        match self.section.attributes.first()? {
            Some(value) => Ok(Some(value)),
            None => Ok(self.session.attributes.first()?),
        }
    }
}

fn check_transport(section: &MediaDescription) -> Result<(), OfferAnswerError> {
    match &section.protocol {
        TransportProtocol::UdpTlsRtpSavpf
        | TransportProtocol::UdpTlsRtpSavp
        | TransportProtocol::RtpSavpf
        | TransportProtocol::RtpSavp => Ok(()),
        other => Err(OfferAnswerError::UnsupportedTransport {
            protocol: other.to_string(),
            expected: "UDP/TLS/RTP/SAVPF",
        }),
    }
}

fn credentials(levels: &Levels<'_>) -> Result<IceCredentials, OfferAnswerError> {
    let missing = |name| OfferAnswerError::MissingIceCredentials { name };
    let ufrag = levels.first::<IceUfrag>()?.ok_or(missing(IceUfrag::NAME))?.0;
    let pwd = levels.first::<IcePwd>()?.ok_or(missing(IcePwd::NAME))?.0;
    Ok(IceCredentials { ufrag, pwd })
}

fn fingerprints(levels: &Levels<'_>) -> Result<Vec<Fingerprint>, OfferAnswerError> {
    let own: Result<Vec<Fingerprint>, _> = levels.section.attributes.all().take(FINGERPRINTS_MAX).collect();
    let mut all = own?;
    if all.is_empty() {
        let shared: Result<Vec<Fingerprint>, _> =
            levels.session.attributes.all().take(FINGERPRINTS_MAX).collect();
        all = shared?;
    }
    let first = all
        .first()
        .ok_or(OfferAnswerError::MissingFingerprint)?
        .hash
        .name()
        .to_owned();
    let strong = [HashFunction::Sha256, HashFunction::Sha384, HashFunction::Sha512];
    all.retain(|fingerprint| strong.contains(&fingerprint.hash));
    if all.is_empty() {
        Err(OfferAnswerError::UnsupportedFingerprint { hash: first })
    } else {
        all.shrink_to_fit();
        Ok(all)
    }
}
