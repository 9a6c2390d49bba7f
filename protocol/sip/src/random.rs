//! Random text for branches, tags, Call-IDs and cnonces.

use rand::RngExt;
use rand::rngs::StdRng;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// `bytes` random bytes as lower-case hex.
pub(crate) fn hex(rng: &mut StdRng, bytes: usize) -> String {
    let mut out = String::with_capacity(2 * bytes);
    push_hex(&mut out, rng, bytes);
    out
}

/// Appends `bytes` random bytes as lower-case hex.
pub(crate) fn push_hex(out: &mut String, rng: &mut StdRng, bytes: usize) {
    for _ in 0..bytes {
        let byte: u8 = rng.random();
        for digit in [byte >> 4, byte & 15] {
            out.push(char::from(DIGITS[usize::from(digit)]));
        }
    }
}
