//! `a=crypto`: SRTP keys in the description, "SDES" (RFC 4568).

use std::fmt;

use super::TypedAttribute;

/// One offered key. Secret: `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Crypto {
    /// Number that the answer repeats.
    pub tag: u32,
    /// Such as `AES_CM_128_HMAC_SHA1_80`.
    pub suite: String,
    /// `inline:<base64>…`, as written; several are joined by `;`.
    pub key_params: String,
    /// Session parameters, as written.
    pub session_params: Option<String>,
}

impl TypedAttribute for Crypto {
    const NAME: &'static str = "crypto";
    const EXPECTED: &'static str = "<tag> <suite> inline:<key> [<session parameters>]";

    fn parse(value: &str) -> Option<Self> {
        let mut words = value.trim().splitn(4, ' ');
        let tag = words.next()?.parse().ok()?;
        let suite = super::word(words.next()?)?;
        let key_params = words
            .next()
            .filter(|params| params.starts_with("inline:"))?
            .to_owned();
        Some(Self {
            tag,
            suite,
            key_params,
            session_params: words.next().map(str::to_owned),
        })
    }
}

impl fmt::Display for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.tag, self.suite, self.key_params)?;
        self.session_params
            .as_ref()
            .map_or(Ok(()), |params| write!(f, " {params}"))
    }
}

impl fmt::Debug for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crypto")
            .field("tag", &self.tag)
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}
