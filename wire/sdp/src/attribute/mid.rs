//! `a=mid`: the name of a section (RFC 5888 §4).

use std::fmt;

use super::TypedAttribute;

/// The name of a section, a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mid(pub String);

impl TypedAttribute for Mid {
    const NAME: &'static str = "mid";
    const EXPECTED: &'static str = "a name without blanks";

    fn parse(value: &str) -> Option<Self> {
        super::word(value).map(Self)
    }
}

impl fmt::Display for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
