//! Fingerprints of certificates, as SDP carries them (RFC 8122 §5).

use std::fmt;

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

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

/// Names in SDP.
const HASH_FUNCTIONS: [(HashFunction, &str); 4] = [
    (HashFunction::Sha1, "sha-1"),
    (HashFunction::Sha256, "sha-256"),
    (HashFunction::Sha384, "sha-384"),
    (HashFunction::Sha512, "sha-512"),
];

impl HashFunction {
    /// Name in SDP.
    pub fn name(self) -> &'static str {
        HASH_FUNCTIONS
            .iter()
            .find(|(known, _)| *known == self)
            .map_or("", |(_, name)| name)
    }

    fn digest_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
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
    #[error("a {} fingerprint must be {expected} hexadecimal bytes separated by colons", hash.name())]
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
        let text = text.trim();
        let (name, digest) = text.split_once(' ').unwrap_or((text, ""));
        let known = HASH_FUNCTIONS
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name));
        let Some((hash, _)) = known else {
            return Err(FingerprintError::UnknownHash(name.chars().take(16).collect()));
        };
        let expected = hash.digest_len();
        let bytes: Option<Vec<u8>> = digest
            .trim()
            .split(':')
            .take(expected + 1)
            .map(read_byte)
            .collect();
        match bytes {
            Some(digest) if digest.len() == expected => Ok(Self { hash: *hash, digest }),
            _ => Err(FingerprintError::Digest {
                hash: *hash,
                expected,
            }),
        }
    }

    /// Hashes a certificate (DER).
    pub fn of(hash: HashFunction, certificate: &[u8]) -> Self {
        let digest = match hash {
            HashFunction::Sha1 => Sha1::digest(certificate).to_vec(),
            HashFunction::Sha256 => Sha256::digest(certificate).to_vec(),
            HashFunction::Sha384 => Sha384::digest(certificate).to_vec(),
            HashFunction::Sha512 => Sha512::digest(certificate).to_vec(),
        };
        Self { hash, digest }
    }

    /// Its hash function.
    pub fn hash(&self) -> HashFunction {
        self.hash
    }
}

/// Checks a certificate against what the SDP named (RFC 8122 §5): one of the fingerprints of the strongest hash among
/// them has to match. The error is the certificate's own fingerprint under that hash.
pub(crate) fn check(named: &[Fingerprint], certificate: &[u8]) -> Result<(), Fingerprint> {
    let strongest = named
        .iter()
        .map(Fingerprint::hash)
        .max()
        .unwrap_or(HashFunction::Sha256);
    let actual = Fingerprint::of(strongest, certificate);
    if named.contains(&actual) {
        Ok(())
    } else {
        Err(actual)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.hash.name())?;
        for (index, byte) in self.digest.iter().enumerate() {
            let separator = if index == 0 { ' ' } else { ':' };
            write!(formatter, "{separator}{byte:02X}")?;
        }
        Ok(())
    }
}

fn read_byte(text: &str) -> Option<u8> {
    let is_hex = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex {
        u8::from_str_radix(text, 16).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &[u8] = b"abc";
    const SHA1: &str = "sha-1 A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D";
    const SHA256: &str = "sha-256 BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:\
                          B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD";

    fn fingerprint(text: &str) -> Fingerprint {
        Fingerprint::parse(text).unwrap()
    }

    #[test]
    fn reads_and_writes_all_hashes() {
        assert_eq!(Fingerprint::of(HashFunction::Sha1, CERTIFICATE).to_string(), SHA1);
        assert_eq!(
            Fingerprint::of(HashFunction::Sha256, CERTIFICATE).to_string(),
            SHA256
        );
        for (hash, _) in HASH_FUNCTIONS {
            let of = Fingerprint::of(hash, CERTIFICATE);
            assert_eq!(fingerprint(&of.to_string()), of);
            assert_eq!(fingerprint(&of.to_string().to_lowercase()), of);
            assert_eq!(fingerprint(&format!(" {} ", of.to_string().to_uppercase())), of);
        }
    }

    #[test]
    fn refuses_what_is_no_fingerprint() {
        assert_eq!(
            Fingerprint::parse("md5 AB"),
            Err(FingerprintError::UnknownHash("md5".into()))
        );
        let short = &SHA256[..SHA256.len() - 3];
        let long = &format!("{SHA256}:00");
        let wrong = [
            short,
            long,
            "sha-256",
            "sha-256 ",
            &SHA256.replace("BA:78", "+A:78"),
            &SHA256.replace("BA:", "é:"),
        ];
        for text in wrong {
            let expected = FingerprintError::Digest {
                hash: HashFunction::Sha256,
                expected: 32,
            };
            assert_eq!(Fingerprint::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn the_strongest_named_hash_decides() {
        let wrong_sha1 = fingerprint(&SHA1.replace("A9", "A8"));
        let wrong_sha256 = fingerprint(&SHA256.replace("BA:78", "BB:78"));
        let (sha1, sha256) = (fingerprint(SHA1), fingerprint(SHA256));
        assert_eq!(check(std::slice::from_ref(&sha1), CERTIFICATE), Ok(()));
        assert_eq!(check(&[wrong_sha1, sha256.clone()], CERTIFICATE), Ok(()));
        assert_eq!(
            check(&[wrong_sha256.clone(), sha256.clone()], CERTIFICATE),
            Ok(()),
            "several certificates"
        );
        assert_eq!(check(&[sha1, wrong_sha256], CERTIFICATE), Err(sha256.clone()));
        assert_eq!(check(&[], CERTIFICATE), Err(sha256));
    }
}
