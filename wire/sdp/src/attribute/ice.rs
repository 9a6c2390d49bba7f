//! `a=ice-ufrag` and `a=ice-pwd` (RFC 8839 §5.4).

use std::fmt;

use super::TypedAttribute;

/// User fragment: 4 to 256 ice-chars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceUfrag(pub String);

/// Password: 22 to 256 ice-chars. Secret: `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct IcePwd(pub String);

impl TypedAttribute for IceUfrag {
    const NAME: &'static str = "ice-ufrag";
    const EXPECTED: &'static str = "4 to 256 letters, digits, + or /";

    fn parse(value: &str) -> Option<Self> {
        ice_chars(value, 4).map(Self)
    }
}

impl TypedAttribute for IcePwd {
    const NAME: &'static str = "ice-pwd";
    const EXPECTED: &'static str = "22 to 256 letters, digits, + or /";

    fn parse(value: &str) -> Option<Self> {
        ice_chars(value, 22).map(Self)
    }
}

impl fmt::Display for IceUfrag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for IcePwd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IcePwd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IcePwd(…)")
    }
}

/// ice-char is a letter, a digit, `+` or `/`; `-`, `_` and `=` are forgiven, since there are agents that use base64url.
fn ice_chars(value: &str, len_min: usize) -> Option<String> {
    let value = value.trim();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte);
    ((len_min..=256).contains(&value.len()) && value.bytes().all(allowed)).then(|| value.to_owned())
}
