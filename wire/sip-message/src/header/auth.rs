//! Digest authentication headers (RFC 3261 §22, RFC 8760): the text only; hashes are computed elsewhere.

use super::{Header, HeaderError};
use crate::chars;
use crate::name::HeaderName;
use crate::params::{push_quoted, unquote};
use std::borrow::Cow;

/// Hash of a digest challenge (RFC 8760 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `MD5`, also when none is named.
    Md5,
    /// `MD5-sess`.
    Md5Sess,
    /// `SHA-256`.
    Sha256,
    /// `SHA-256-sess`.
    Sha256Sess,
    /// `SHA-512-256`.
    Sha512_256,
    /// `SHA-512-256-sess`.
    Sha512_256Sess,
}

impl Algorithm {
    const ALL: [Self; 6] = [
        Self::Md5,
        Self::Md5Sess,
        Self::Sha256,
        Self::Sha256Sess,
        Self::Sha512_256,
        Self::Sha512_256Sess,
    ];

    /// The name as it stands in a header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
            Self::Sha512_256 => "SHA-512-256",
            Self::Sha512_256Sess => "SHA-512-256-sess",
        }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|a| text.eq_ignore_ascii_case(a.as_str().as_bytes()))
    }
}

/// `name=value` pairs after the scheme, as they stand.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuthParams<'a>(&'a [u8]);

impl<'a> AuthParams<'a> {
    /// Names and values in order; quotes stay on quoted values.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        super::elements(self.0, true).filter_map(|pair| {
            let equals = memchr::memchr(b'=', pair)?;
            Some((chars::trim(&pair[..equals]), chars::trim(&pair[equals + 1..])))
        })
    }

    /// The first value of this name without quotes. Names compare without case.
    pub fn get(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        self.iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| unquote(value))
    }

    fn algorithm(&self) -> Option<Algorithm> {
        match self.get("algorithm") {
            None => Some(Algorithm::Md5),
            Some(text) => Algorithm::parse(&text),
        }
    }
}

/// A server's demand for credentials, of any scheme.
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'a> {
    /// `Digest`, `Bearer`, …
    pub scheme: &'a [u8],
    /// What the scheme says.
    pub params: AuthParams<'a>,
}

impl<'a> Challenge<'a> {
    /// Whether the scheme is Digest.
    pub fn is_digest(&self) -> bool {
        self.scheme.eq_ignore_ascii_case(b"Digest")
    }

    /// The algorithm; `None` if it names one that we don't know (such a challenge has to be passed over).
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.params.algorithm()
    }

    /// `realm`.
    pub fn realm(&self) -> Option<Cow<'a, [u8]>> {
        self.params.get("realm")
    }

    /// `nonce`.
    pub fn nonce(&self) -> Option<Cow<'a, [u8]>> {
        self.params.get("nonce")
    }

    /// `opaque`, which goes back unchanged.
    pub fn opaque(&self) -> Option<Cow<'a, [u8]>> {
        self.params.get("opaque")
    }

    /// `stale=true`: the credentials were right, the nonce was too old.
    pub fn is_stale(&self) -> bool {
        self.params
            .get("stale")
            .is_some_and(|v| v.eq_ignore_ascii_case(b"true"))
    }

    /// Whether `qop` offers this protection (`auth`, `auth-int`).
    pub fn offers_qop(&self, qop: &str) -> bool {
        self.params.get("qop").is_some_and(|v| {
            v.split(|b| *b == b',')
                .any(|o| chars::trim(o).eq_ignore_ascii_case(qop.as_bytes()))
        })
    }

    /// Whether `qop` is there at all; without it the old computation of RFC 2069 applies.
    pub fn has_qop(&self) -> bool {
        self.params.get("qop").is_some()
    }
}

/// Credentials that answer a challenge. [`crate::HeaderValue::digest`] makes them.
pub type Authorization<'a> = Credentials<'a, false>;

/// The same for a proxy.
pub type ProxyAuthorization<'a> = Credentials<'a, true>;

/// A client's credentials; `PROXY` tells Proxy-Authorization from Authorization.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a, const PROXY: bool> {
    /// `Digest`, `Bearer`, …
    pub scheme: &'a [u8],
    /// What the scheme says.
    pub params: AuthParams<'a>,
}

impl<const PROXY: bool> Credentials<'_, PROXY> {
    /// Whether the scheme is Digest.
    pub fn is_digest(&self) -> bool {
        self.scheme.eq_ignore_ascii_case(b"Digest")
    }

    /// The algorithm; `None` if it is unknown.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.params.algorithm()
    }

    /// `nc`: how often the nonce was used, a number in 8 hex digits.
    pub fn nonce_count(&self) -> Option<u32> {
        let text = self.params.get("nc")?;
        u32::from_str_radix(std::str::from_utf8(&text).ok().filter(|t| t.len() == 8)?, 16).ok()
    }
}

/// Names whose values stand unquoted in credentials (§25.1: algorithm, message-qop, nonce-count).
const BARE: [&str; 4] = ["algorithm", "qop", "nc", "stale"];

/// Makes the text of digest credentials or of a digest challenge from names and values, quoting as the grammar wants.
fn write_digest(out: &mut Vec<u8>, params: &[(&str, &[u8])]) {
    out.extend_from_slice(b"Digest ");
    for (position, (name, value)) in params.iter().enumerate() {
        if position > 0 {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        if BARE.contains(name) {
            out.extend_from_slice(value);
        } else {
            push_quoted(out, value);
        }
    }
}

impl crate::HeaderValue {
    /// Digest credentials or a digest challenge from names and raw values, in this order, quoted as the grammar wants.
    pub fn digest(params: &[(&str, &[u8])]) -> Result<Self, crate::InvalidValue> {
        let mut out = Vec::with_capacity(256);
        write_digest(&mut out, params);
        Self::new(out)
    }
}

fn split_scheme(value: &[u8]) -> Option<(&[u8], AuthParams<'_>)> {
    let end = value.iter().position(|b| chars::is_space(*b))?;
    let (scheme, params) = value.split_at(end);
    chars::is_token(scheme).then_some((scheme, AuthParams(chars::trim(params))))
}

fn write_auth(scheme: &[u8], params: &AuthParams<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(scheme);
    out.push(b' ');
    out.extend_from_slice(params.0);
}

const NO_SCHEME: &str = "a scheme and its parameters are expected";

impl<'a, const PROXY: bool> Header<'a> for Credentials<'a, PROXY> {
    const NAME: HeaderName<'static> = if PROXY {
        HeaderName::ProxyAuthorization
    } else {
        HeaderName::Authorization
    };

    fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        let (scheme, params) = split_scheme(value).ok_or(HeaderError {
            header: Self::NAME,
            what: NO_SCHEME,
        })?;
        Ok(Self { scheme, params })
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_auth(self.scheme, &self.params, out);
    }
}

macro_rules! challenges {
    ($($name:ident $doc:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a>(pub Challenge<'a>);

        impl<'a> Header<'a> for $name<'a> {
            const NAME: HeaderName<'static> = HeaderName::$name;

            fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
                let (scheme, params) =
                    split_scheme(value).ok_or(HeaderError { header: Self::NAME, what: NO_SCHEME })?;
                Ok(Self(Challenge { scheme, params }))
            }

            fn write(&self, out: &mut Vec<u8>) {
                write_auth(self.0.scheme, &self.0.params, out);
            }
        }
    )*};
}

/// What a server says after it accepted credentials (RFC 7616 §3.5).
#[derive(Clone, Copy, Debug)]
pub struct AuthenticationInfo<'a>(pub AuthParams<'a>);

impl<'a> AuthenticationInfo<'a> {
    /// `nextnonce`: what to answer with from now on.
    pub fn next_nonce(&self) -> Option<Cow<'a, [u8]>> {
        self.0.get("nextnonce")
    }
}

impl<'a> Header<'a> for AuthenticationInfo<'a> {
    const NAME: HeaderName<'static> = HeaderName::AuthenticationInfo;

    fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        Ok(Self(AuthParams(value)))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.0);
    }
}

challenges! {
    WwwAuthenticate "A server's challenge in a 401 (§20.44). There may be several lines, one per algorithm.";
    ProxyAuthenticate "A proxy's challenge in a 407 (§20.27). There may be several lines, one per algorithm.";
}
