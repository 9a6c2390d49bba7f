//! DTLS with the peer (RFC 5763, RFC 5764): certificate, fingerprints, handshake.

use std::fmt;
use std::sync::Arc;

/// Who starts the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DtlsRole {
    /// We send the ClientHello (`a=setup:active`).
    Active,
    /// The peer does (`a=setup:passive`).
    Passive,
}

/// Hash function of a fingerprint (RFC 8122 §5), weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HashFunction {
    /// `sha-1`
    Sha1,
    /// `sha-256`
    Sha256,
    /// `sha-384`
    Sha384,
    /// `sha-512`
    Sha512,
}

/// A certificate's fingerprint. Displays as in SDP: `sha-256 AB:CD:…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    hash: HashFunction,
    digest: Vec<u8>,
}

/// Why a text is not a fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FingerprintError {
    /// Not one of the four hash functions.
    #[error("fingerprint hash {0:?} is not known; sha-256 is understood by everyone")]
    UnknownHash(String),
    /// Not as many two-digit hexadecimal bytes with colons as the hash has.
    #[error("{hash:?} fingerprint must be {expected} hexadecimal bytes separated by colons")]
    Digest {
        /// The function.
        hash: HashFunction,
        /// Its length in bytes.
        expected: usize,
    },
}

impl Fingerprint {
    /// Reads the value of `a=fingerprint`, e.g. `sha-256 AB:CD:…`; case does not matter.
    pub fn parse(text: &str) -> Result<Self, FingerprintError> {
        let _ = text;
        todo!()
    }

    /// Hashes a certificate (DER).
    pub fn of(hash: HashFunction, certificate: &[u8]) -> Self {
        let _ = certificate;
        Self {
            hash,
            digest: Vec::new(),
        }
    }

    /// Its hash function.
    pub fn hash(&self) -> HashFunction {
        self.hash
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = (formatter, &self.digest);
        todo!()
    }
}

/// A self-signed ECDSA P-256 certificate with its key, made once per process.
#[derive(Clone)]
pub struct Certificate {
    inner: Arc<()>,
}

/// No certificate could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot make a DTLS certificate: {0}")]
pub struct CertificateError(String);

impl Certificate {
    /// Makes one, valid for a year from now: call it from the shell at start (it reads the clock; about 30 ms).
    pub fn generate() -> Result<Self, CertificateError> {
        todo!()
    }

    /// Its sha-256 fingerprint, for our SDP.
    pub fn fingerprint(&self) -> &Fingerprint {
        let _ = &self.inner;
        todo!()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificate").finish_non_exhaustive()
    }
}
