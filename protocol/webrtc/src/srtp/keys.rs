//! Master keys, and the session keys derived from them (RFC 3711 §4.3, RFC 7714 §11).

use std::fmt;

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Aes256Enc};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::SrtpProfile;

/// Longest master or session key.
const KEY_LEN_MAX: usize = 32;
/// Length that a salt is filled up to with zeros at its end.
pub(super) const SALT_LEN: usize = 14;

/// Labels of the session keys (RFC 3711 §4.3.1 and §4.3.2).
#[derive(Debug, Clone, Copy)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// Master key and salt of one direction. Wiped on drop.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey {
    #[zeroize(skip)]
    profile: SrtpProfile,
    key: [u8; KEY_LEN_MAX],
    salt: [u8; SALT_LEN],
}

/// Keying material of the wrong length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{profile} needs {expected} bytes of keying material, got {actual}")]
pub struct KeyError {
    /// The profile it is for.
    pub profile: SrtpProfile,
    /// Bytes it needs.
    pub expected: usize,
    /// Bytes there were.
    pub actual: usize,
}

impl MasterKey {
    /// From a key and a salt of the profile's lengths.
    pub fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Result<Self, KeyError> {
        let (expected, actual) = (profile.key_len() + profile.salt_len(), key.len() + salt.len());
        if (key.len(), salt.len()) != (profile.key_len(), profile.salt_len()) {
            return Err(KeyError {
                profile,
                expected,
                actual,
            });
        }
        let mut master = Self {
            profile,
            key: [0; KEY_LEN_MAX],
            salt: [0; SALT_LEN],
        };
        master.key[..key.len()].copy_from_slice(key);
        master.salt[..salt.len()].copy_from_slice(salt);
        Ok(master)
    }

    /// The profile it is for.
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// The key, for a store that keeps calls alive. Secret.
    pub fn key(&self) -> &[u8] {
        &self.key[..self.profile.key_len()]
    }

    /// The salt, for the same use. Secret.
    pub fn salt(&self) -> &[u8] {
        &self.salt[..self.profile.salt_len()]
    }

    /// Derives a session key: AES in counter mode over `(label at byte 7 ⊕ salt) · 2^16` (§4.3.3), with a key derivation
    /// rate of zero, the only one that DTLS-SRTP has.
    pub(super) fn derive<const LEN: usize>(&self, label: Label) -> Zeroizing<[u8; LEN]> {
        let mut out = Zeroizing::new([0; LEN]);
        let mut input = [0u8; 16];
        input[..SALT_LEN].copy_from_slice(&self.salt);
        input[7] ^= label as u8;
        for (counter, chunk) in (0u16..).zip(out.chunks_mut(16)) {
            input[SALT_LEN..].copy_from_slice(&counter.to_be_bytes());
            let block = Zeroizing::new(self.encrypt(input));
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        input.zeroize();
        out
    }

    fn encrypt(&self, block: [u8; 16]) -> [u8; 16] {
        let mut block = block.into();
        let [first, second] = [&self.key[..16], &self.key[16..]];
        if self.profile.key_len() == KEY_LEN_MAX {
            Aes256Enc::new(&self.key.into()).encrypt_block(&mut block);
        } else {
            debug_assert!(second.iter().all(|byte| *byte == 0));
            let mut key = aes::cipher::Key::<Aes128Enc>::default();
            key.copy_from_slice(first);
            Aes128Enc::new(&key).encrypt_block(&mut block);
        }
        block.into()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MasterKey")
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}
