//! Why a description from a peer cannot be used.

/// Why an offer or answer was refused. Each says what is wrong, where, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferAnswerError {
    /// The text is not a session description that we can read (SIP 400).
    #[error(transparent)]
    Sdp(#[from] offhook_sdp::SdpError),
    /// No audio section with a port (SIP 488).
    #[error("no audio: the description has no m=audio line with a port; offer audio")]
    NoAudio,
    /// A WebRTC leg without `ice-ufrag` or `ice-pwd` (RFC 8839 §5.4).
    #[error("no a={name} for the audio section; WebRTC needs ICE credentials in every description")]
    MissingIceCredentials {
        /// `ice-ufrag` or `ice-pwd`.
        name: &'static str,
    },
    /// A WebRTC leg without `fingerprint` (RFC 8122).
    #[error("no a=fingerprint for the audio section; WebRTC needs the DTLS certificate's fingerprint")]
    MissingFingerprint,
    /// None of the fingerprints is of a hash that we can check.
    #[error("a=fingerprint uses {hash} only; use sha-256, sha-384 or sha-512")]
    UnsupportedFingerprint {
        /// The first hash of the description.
        hash: String,
    },
    /// A WebRTC leg without `rtcp-mux` (RFC 8834 §4.5).
    #[error("no a=rtcp-mux for the audio section; the gateway has one port for RTP and RTCP")]
    MissingRtcpMux,
    /// A transport protocol that this kind of leg does not speak.
    #[error("transport {protocol} in the m=audio line; this leg takes {expected}")]
    UnsupportedTransport {
        /// As the peer wrote it.
        protocol: String,
        /// What it should be.
        expected: &'static str,
    },
    /// No `c=` line at the session or the section (RFC 8866 §5.7).
    #[error("no c= line for the audio section; add one to the session or the section")]
    MissingConnection,
    /// The address of `c=` is a name: the media path does not ask the DNS.
    #[error("c= names the host {host}; write its IP address")]
    AddressNotNumeric {
        /// As the peer wrote it.
        host: String,
    },
    /// No codec that both sides can do (SIP 488, cause INCOMPATIBLE_DESTINATION).
    #[error("no codec in common; the gateway does opus/48000/2, PCMU/8000 and PCMA/8000")]
    NoCommonCodec,
    /// The answer takes a payload type or a section that was not offered.
    #[error("the answer does not fit the offer: {what}")]
    AnswerMismatch {
        /// What does not fit.
        what: &'static str,
    },
    /// An answer came that no offer of ours waits for, or an answer is asked before an offer came.
    #[error("not in this state: {what}")]
    WrongState {
        /// What was tried.
        what: &'static str,
    },
    /// A restart tried to swap DTLS client and server (RFC 8842 §5.5: needs a new association).
    #[error("a=setup:{setup} would change the DTLS role of a running association; keep it")]
    DtlsRoleChanged {
        /// As the peer wrote it.
        setup: &'static str,
    },
}

impl OfferAnswerError {
    /// True if the description is well-formed but cannot be met: SIP 488 rather than 400.
    pub fn is_not_acceptable(&self) -> bool {
        matches!(
            self,
            Self::NoAudio
                | Self::UnsupportedFingerprint { .. }
                | Self::UnsupportedTransport { .. }
                | Self::NoCommonCodec
        )
    }
}
