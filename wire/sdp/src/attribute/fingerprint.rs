//! `a=fingerprint`: hash of the DTLS certificate (RFC 8122 §5).

use std::fmt;

use super::TypedAttribute;

/// Longest digest in bytes: SHA-512.
const DIGEST_LEN_MAX: usize = 64;

/// Hash of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// How it was computed.
    pub hash: HashFunction,
    /// The digest: as long as the hash function says, for the ones we know.
    pub digest: Vec<u8>,
}

/// Hash functions of fingerprints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashFunction {
    /// `sha-1`: too weak to accept.
    Sha1,
    /// `sha-256`: what every browser uses.
    Sha256,
    /// `sha-384`.
    Sha384,
    /// `sha-512`.
    Sha512,
    /// Any other, as written.
    Other(String),
}

impl HashFunction {
    fn parse(name: &str) -> Self {
        let known = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];
        let found = known
            .into_iter()
            .find(|hash| hash.name().eq_ignore_ascii_case(name));
        found.unwrap_or_else(|| Self::Other(name.to_owned()))
    }

    /// As it is written.
    pub fn name(&self) -> &str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
            Self::Other(other) => other,
        }
    }

    /// Length of the digest in bytes, if we know it.
    pub fn digest_len(&self) -> Option<usize> {
        match self {
            Self::Sha1 => Some(20),
            Self::Sha256 => Some(32),
            Self::Sha384 => Some(48),
            Self::Sha512 => Some(64),
            Self::Other(_) => None,
        }
    }
}

impl Fingerprint {
    /// A SHA-256 fingerprint.
    pub fn sha256(digest: [u8; 32]) -> Self {
        Self {
            hash: HashFunction::Sha256,
            digest: digest.to_vec(),
        }
    }
}

impl TypedAttribute for Fingerprint {
    const NAME: &'static str = "fingerprint";
    const EXPECTED: &'static str = "<hash> <two hexadecimal digits>:…, as many as the hash has bytes";

    fn parse(value: &str) -> Option<Self> {
        let (hash, hex) = value.trim().split_once(' ')?;
        let hash = HashFunction::parse(hash);
        let mut digest = Vec::with_capacity(32);
        for pair in hex.trim().split(':') {
            if pair.len() != 2
                || digest.len() == DIGEST_LEN_MAX
                || !pair.bytes().all(|byte| byte.is_ascii_hexdigit())
            {
                return None;
            }
            digest.push(u8::from_str_radix(pair, 16).ok()?);
        }
        hash.digest_len()
            .is_none_or(|len| len == digest.len())
            .then_some(Self { hash, digest })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hash.name())?;
        for (index, byte) in self.digest.iter().enumerate() {
            write!(f, "{}{byte:02X}", if index == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}
