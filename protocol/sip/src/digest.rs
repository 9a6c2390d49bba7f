//! Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760): answers to challenges, and a verifier.

use std::fmt;

/// User name and password for a realm.
#[derive(Clone)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}
