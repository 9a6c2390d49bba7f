//! The seal on our Record-Route URI: whoever shows one takes part in a call that went through us.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt::{self, Write};

/// Bytes of the code that travel: guessed online only, one message per guess.
const LEN: usize = 10;

/// Makes and checks seals (HMAC-SHA256, cut short). Debugging never shows the secret.
#[derive(Clone)]
pub struct Sealer(Hmac<Sha256>);

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

/// The seal of one Record-Route URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seal([u8; LEN]);

impl Sealer {
    /// Who knows `secret` can make all seals.
    pub fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"))
    }

    /// Of what our URI says in the call with this Call-ID.
    pub(super) fn seal(&self, call_id: &[u8], params: &str) -> Seal {
        let code = self.code(call_id, params).finalize().into_bytes();
        let mut seal = [0; LEN];
        for (to, from) in seal.iter_mut().zip(code) {
            *to = from;
        }
        Seal(seal)
    }

    /// In constant time.
    pub(super) fn holds(&self, seal: Seal, call_id: &[u8], params: &str) -> bool {
        self.code(call_id, params).verify_truncated_left(&seal.0).is_ok()
    }

    fn code(&self, call_id: &[u8], params: &str) -> Hmac<Sha256> {
        // A line break stands in no Call-ID.
        self.0
            .clone()
            .chain_update(call_id)
            .chain_update(b"\n")
            .chain_update(params)
    }
}

impl Seal {
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut seal = [0; LEN];
        if text.len() != 2 * LEN || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (at, byte) in seal.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(seal))
    }
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            for digit in [byte >> 4, byte & 15] {
                f.write_char(char::from_digit(digit.into(), 16).unwrap_or_default())?;
            }
        }
        Ok(())
    }
}
