//! Random text for branches, tags, Call-IDs and cnonces.

use rand::RngExt;
use rand::rngs::StdRng;

/// `bytes` random bytes as lower-case hex.
pub(crate) fn hex(rng: &mut StdRng, bytes: usize) -> String {
    (0..2 * bytes)
        .map(|_| char::from_digit(rng.random_range(0..16), 16).expect("below 16 is a hex digit"))
        .collect()
}
