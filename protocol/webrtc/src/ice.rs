//! ICE for a server that never sends a check (RFC 8445 §2.5): the lite agent.

use std::fmt;

use rand::rngs::StdRng;

/// Username fragment and password of one side (RFC 8445 §5.3).
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// `a=ice-ufrag`: 4 to 256 characters of `[A-Za-z0-9+/]`.
    pub ufrag: String,
    /// `a=ice-pwd`: 22 to 256 characters of the same.
    pub pwd: String,
}

impl IceCredentials {
    /// Fresh ones: 16 characters of ufrag (96 bits, so that it can serve as a demultiplexing key), 32 of password.
    pub fn generate(rng: &mut StdRng) -> Self {
        let _ = rng;
        todo!()
    }
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("IceCredentials")
            .field("ufrag", &self.ufrag)
            .finish_non_exhaustive()
    }
}
