//! What goes into a leg and comes out of it.

use std::time::Duration;

use crate::ice::IceCredentials;
use crate::srtp::{SessionState, SrtpProfile};
use crate::{Certificate, DtlsRole, Fingerprint, Path};

/// What all legs of a node share.
#[derive(Debug, Clone)]
pub struct LegConfig {
    /// Our DTLS certificate; its fingerprint goes into the SDP.
    pub certificate: Certificate,
    /// ICE has failed if no pair was nominated so long after the peer's parameters came. Default 30 s.
    pub ice_timeout: Duration,
    /// Consent is lost if no authenticated check came for so long (RFC 7675 §5.1). Default 30 s.
    pub consent_timeout: Duration,
    /// DTLS has failed if it is not done so long after ICE connected. Default 20 s.
    pub dtls_timeout: Duration,
}

impl LegConfig {
    /// The defaults with this certificate.
    pub fn new(certificate: Certificate) -> Self {
        Self {
            certificate,
            ice_timeout: Duration::from_secs(30),
            consent_timeout: Duration::from_secs(30),
            dtls_timeout: Duration::from_secs(20),
        }
    }
}

/// What the peer's SDP says about its transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteParameters {
    /// `a=ice-ufrag` and `a=ice-pwd`.
    pub ice: IceCredentials,
    /// Every `a=fingerprint`; the certificate must match one of the strongest hash that we know among them.
    pub fingerprints: Vec<Fingerprint>,
    /// *Our* DTLS role by `a=setup` (peer `active` or `actpass` → [`DtlsRole::Passive`], peer `passive` → active).
    pub dtls_role: DtlsRole,
}

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// The first `len` bytes of the buffer are a decrypted RTP packet (its header fits; padding is still there).
    Rtp {
        /// Its length, in bytes.
        len: usize,
    },
    /// The first `len` bytes of the buffer are a decrypted compound RTCP packet.
    Rtcp {
        /// Its length, in bytes.
        len: usize,
    },
    /// It was STUN or DTLS: drain `poll_transmit` and `poll_event`.
    Handled,
    /// It was no good; counted in [`LegCounters`].
    Dropped(DropReason),
}

/// Why a datagram was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Neither STUN, DTLS, RTP nor RTCP.
    UnknownClass,
    /// From an address that has not passed an ICE check of this leg.
    Stranger,
    /// Not a readable STUN message, or one that a lite agent has no use for.
    BadStun,
    /// A check whose MESSAGE-INTEGRITY or USERNAME is wrong; it was answered with 401 or 400.
    BadIntegrity,
    /// Media before the SRTP keys are there and the fingerprint is checked.
    NotReady,
    /// Too short, or not version 2.
    Malformed,
    /// The authentication tag is wrong.
    BadTag,
    /// Seen before, or older than the replay window.
    Replayed,
    /// More sources than a leg may have.
    TooManySources,
    /// The leg has failed or was closed.
    Closed,
}

/// What a leg tells its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegEvent {
    /// An ICE check from this address was authenticated: route its datagrams to this leg.
    AddressAdded(Path),
    /// No check came from the address for the consent timeout, or newer ones took its place: forget it.
    AddressRemoved(Path),
    /// The first pair is nominated.
    IceConnected(Path),
    /// The peer has moved: media goes to another pair from now on (also after an ICE restart).
    SelectedAddressChanged(Path),
    /// The handshake is done and the peer's certificate is the one its SDP named: media may flow.
    DtlsConnected {
        /// Profile that SRTP uses.
        profile: SrtpProfile,
    },
    /// No authenticated check came within the consent timeout. Sending has stopped until one comes
    /// ([`LegEvent::ConsentRegained`]); the owner decides how long to wait.
    ConsentLost,
    /// A check came after [`LegEvent::ConsentLost`].
    ConsentRegained,
    /// The peer sent close_notify.
    RemoteClosed,
    /// The leg is dead.
    Failed(FailureReason),
}

/// Why a leg failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FailureReason {
    /// No pair was nominated in time.
    #[error(
        "ICE: no nominated pair within {waited:?} ({checks} authenticated checks came); is the media port reachable?"
    )]
    IceTimeout {
        /// How long we waited.
        waited: Duration,
        /// Authenticated checks so far.
        checks: u64,
    },
    /// The handshake did not end in time.
    #[error("DTLS: no handshake within {waited:?} after ICE connected")]
    DtlsTimeout {
        /// How long we waited.
        waited: Duration,
    },
    /// The handshake broke.
    #[error("DTLS: {0}")]
    DtlsFailed(String),
    /// The certificate is not the one the SDP named.
    #[error(
        "DTLS: the peer's certificate has the fingerprint {actual}, its SDP named {expected}; no media is accepted"
    )]
    FingerprintMismatch {
        /// What the SDP said, comma separated.
        expected: String,
        /// What the certificate has.
        actual: String,
    },
    /// The peer negotiated no SRTP profile.
    #[error(
        "DTLS: no SRTP profile in common (use_srtp); AEAD_AES_128_GCM, AEAD_AES_256_GCM and AES128_CM_SHA1_80 are known"
    )]
    NoSrtpProfile,
}

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// From and to where.
    pub path: Path,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Where and how much to send after `send_rtp` or `send_rtcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sending {
    /// From and to where.
    pub path: Path,
    /// The first `len` bytes of the buffer are the protected packet.
    pub len: usize,
}

/// Why a packet cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No selected pair or no keys yet, consent lost, or the leg is closed. Not worth a log line.
    #[error("the leg is not connected")]
    NotConnected,
    /// Not an RTP or RTCP packet, or the buffer lacks [`crate::srtp::GROWTH_MAX`] spare bytes.
    #[error("the packet is malformed or its buffer too small")]
    Malformed,
    /// More sources than a leg may have.
    #[error("too many sources on one leg")]
    TooManySources,
    /// A packet of this source and sequence number was sent before (or one so much newer that this cannot be known).
    #[error("this sequence number was sent before")]
    Repeated,
    /// The key has protected as many packets as it may (2^48 RTP or 2^31 RTCP).
    #[error("the SRTP key is used up")]
    KeyExhausted,
}

/// Counts of what was dropped, and of ICE checks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LegCounters {
    /// Authenticated checks.
    pub checks: u64,
    /// Dropped: [`DropReason::Stranger`].
    pub strangers: u64,
    /// Dropped: [`DropReason::BadStun`].
    pub bad_stun: u64,
    /// Dropped: [`DropReason::BadIntegrity`].
    pub bad_integrity: u64,
    /// Dropped: [`DropReason::NotReady`] and [`DropReason::Closed`].
    pub not_ready: u64,
    /// Dropped: [`DropReason::UnknownClass`] and [`DropReason::Malformed`].
    pub malformed: u64,
    /// Dropped: [`DropReason::BadTag`].
    pub bad_tag: u64,
    /// Dropped: [`DropReason::Replayed`].
    pub replayed: u64,
    /// Dropped: [`DropReason::TooManySources`].
    pub too_many_sources: u64,
}

/// What another node needs to carry on with a connected leg: ICE credentials, path and SRTP. DTLS stays behind, so a
/// close_notify is no longer understood there.
#[derive(Debug, Clone)]
pub struct LegState {
    /// Our ICE credentials.
    pub local: IceCredentials,
    /// Where media goes.
    pub path: Path,
    /// Keys, rollover counters, replay windows.
    pub srtp: SessionState,
}
