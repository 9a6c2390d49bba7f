//! `a=setup`: who opens the DTLS association (RFC 4145 §4, RFC 8842).

use std::fmt;

use super::TypedAttribute;

/// Who opens the DTLS association.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setup {
    /// The side that states it sends the ClientHello.
    Active,
    /// The other side does.
    Passive,
    /// The answerer may choose; only in offers.
    ActPass,
    /// Not now.
    HoldConn,
}

impl Setup {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
            Self::HoldConn => "holdconn",
        }
    }
}

impl TypedAttribute for Setup {
    const NAME: &'static str = "setup";
    const EXPECTED: &'static str = "active, passive, actpass or holdconn";

    fn parse(value: &str) -> Option<Self> {
        [Self::Active, Self::Passive, Self::ActPass, Self::HoldConn]
            .into_iter()
            .find(|setup| setup.as_str().eq_ignore_ascii_case(value.trim()))
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
