//! The plain values of a WebRTC leg's negotiation: what we are, what the peer said, what has been agreed.

use std::net::SocketAddr;

use offhook_sdp::attribute::{Direction, Fingerprint, Setup};

use crate::codec::{Codec, NegotiatedCodec, TelephoneEvents};
use crate::offered::OfferedSections;
use crate::opus_params::OpusParams;
use crate::read::LatestOffer;

/// An ICE user fragment and password (RFC 8839 §5.4).
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// 4 to 256 ice-chars.
    pub ufrag: String,
    /// 22 to 256 ice-chars; secret.
    pub pwd: String,
}

impl std::fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceCredentials")
            .field("ufrag", &self.ufrag)
            .field("pwd", &"…")
            .finish()
    }
}

/// Which side of the DTLS handshake we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DtlsRole {
    /// We send the ClientHello (`a=setup:active`).
    Client,
    /// We wait for it (`a=setup:passive`).
    Server,
}

/// What our side of the leg is made of; the gateway fills it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebRtcLocal {
    /// Identifies our descriptions in `o=`; unique per leg, below 2⁶³.
    pub session_id: u64,
    /// Our ICE credentials.
    pub ice: IceCredentials,
    /// Of our DTLS certificate.
    pub fingerprint: Fingerprint,
    /// Every address that browsers may reach us at, the preferred one first: one host candidate each. Not empty.
    pub addresses: Vec<SocketAddr>,
    /// SSRC of what we send.
    pub ssrc: u32,
    /// RTCP canonical name of what we send, and stream id of `a=msid`; a token.
    pub cname: String,
    /// Codecs that we offer and accept, most preferred first; normally [`Codec::ALL`].
    pub codecs: Vec<Codec>,
    /// What we want to receive when Opus is chosen.
    pub opus: OpusParams,
    /// Cap on what the browser is to send, bit/s, written as `b=TIAS`/`b=AS` and `maxaveragebitrate`.
    pub max_bitrate_bps: Option<u32>,
}

/// What the browser's latest description says. Its candidates are not read: an ICE-lite agent waits for checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebRtcRemote {
    /// Its ICE credentials.
    pub ice: IceCredentials,
    /// Its certificate must match at least one of these (RFC 8122 §6.2). Not empty.
    pub fingerprints: Vec<Fingerprint>,
    /// Its `a=setup`; actpass when absent from an offer, active when absent from an answer.
    pub setup: Setup,
    /// Codecs that both sides can do. From an offer: in our order of preference; from an answer: in the
    /// browser's order. Not empty.
    pub codecs: Vec<NegotiatedCodec>,
    /// Payload types of telephone-event.
    pub telephone_events: TelephoneEvents,
    /// As the browser states it, of its own sending and receiving.
    pub direction: Direction,
    /// The most that it wants to receive, bit/s of codec payload (`b=TIAS`, `b=AS`, headers taken off).
    pub max_bitrate_bps: Option<u32>,
    /// `a=ptime`: packet length that it wants to receive, milliseconds.
    pub packet_ms: Option<u16>,
    /// `a=maxptime`, milliseconds.
    pub max_packet_ms: Option<u16>,
    /// `a=mid` of the audio section.
    pub mid: Option<String>,
    /// SSRC that it announced (`a=ssrc`), if any.
    pub ssrc: Option<u32>,
}

/// All that a WebRTC leg's negotiation knows; plain, so that it can be written down and taken up elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebRtcLegState {
    /// Our side.
    pub local: WebRtcLocal,
    /// Version of our next description (`o=`, RFC 3264 §8).
    pub version: u64,
    /// The browser's latest description, read.
    pub remote: Option<WebRtcRemote>,
    /// The sections of the browser's latest offer.
    pub offered: Option<OfferedSections>,
    /// Whose offer counts.
    pub latest_offer: LatestOffer,
    /// Our DTLS role, once agreed; constant from then on.
    pub dtls_role: Option<DtlsRole>,
}
