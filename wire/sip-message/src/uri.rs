//! URIs: `sip`, `sips` and `tel` taken apart, others kept whole (RFC 3261 §19.1, RFC 3966).

use crate::chars;
use crate::header::Transport;
use crate::host::Host;
use crate::params::{ParamWriter, Params};
use bytes::Bytes;
use std::borrow::Cow;
use std::fmt;

mod compare;

/// Scheme of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`
    Tel,
    /// Any other: nothing of such a URI is taken apart.
    Other,
}

/// A view on a URI. Parts are as they stand, with their percent escapes.
#[derive(Clone, Copy)]
pub struct Uri<'a> {
    raw: &'a [u8],
    scheme: Scheme,
    user: Option<&'a [u8]>,
    password: Option<&'a [u8]>,
    host: Option<Host<'a>>,
    port: Option<u16>,
    params: Params<'a>,
    headers: &'a [u8],
}

/// A text is no URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed URI: {what}")]
pub struct InvalidUri {
    /// What is wrong, in words.
    pub what: &'static str,
}

const STRAY: &str = "white space, control characters, quotes, <> and bytes beyond ASCII must be escaped";

const fn wrong<T>(what: &'static str) -> Result<T, InvalidUri> {
    Err(InvalidUri { what })
}

impl<'a> Uri<'a> {
    /// Takes `raw` apart; it holds nothing but the URI.
    pub fn parse(raw: &'a [u8]) -> Result<Self, InvalidUri> {
        let (scheme, rest) = split_scheme(raw)?;
        if rest.is_empty() {
            return wrong("nothing after the scheme");
        }
        let blank = Self {
            raw,
            scheme,
            user: None,
            password: None,
            host: None,
            port: None,
            params: Params::default(),
            headers: b"",
        };
        match scheme {
            Scheme::Sip | Scheme::Sips => blank.with_sip_parts(rest),
            Scheme::Tel => blank.with_tel_parts(rest),
            Scheme::Other if rest.iter().all(|b| chars::is_uri_byte(*b)) => Ok(blank),
            Scheme::Other => wrong(STRAY),
        }
    }

    fn with_sip_parts(mut self, rest: &'a [u8]) -> Result<Self, InvalidUri> {
        let rest = match memchr::memchr(b'@', rest) {
            Some(at) => {
                self.set_user_info(&rest[..at])?;
                &rest[at + 1..]
            }
            None => rest,
        };
        let host_end = rest.iter().position(|b| matches!(b, b';' | b'?'));
        let (host, rest) = rest.split_at(host_end.unwrap_or(rest.len()));
        let Some((host, port)) = Host::with_port(host) else {
            return wrong("the host or the port is malformed");
        };
        (self.host, self.port) = (Some(host), port);
        let (params, rest) = split_params(rest)?;
        self.params = params;
        match rest {
            [] => Ok(self),
            [b'?', headers @ ..] if is_header_list(headers) => Ok(Self { headers, ..self }),
            [b'?', ..] => wrong("the part after ? is malformed"),
            _ => wrong("a parameter is malformed"),
        }
    }

    /// `user` or `user:password`.
    fn set_user_info(&mut self, info: &'a [u8]) -> Result<(), InvalidUri> {
        let user_end = info.iter().position(|b| *b == b':').unwrap_or(info.len());
        let (user, password) = (&info[..user_end], info.get(user_end + 1..));
        if user.is_empty() || chars::user_len(user) < user.len() {
            return wrong("the user part is empty or holds characters that must be escaped");
        }
        if password.is_some_and(|password| chars::user_len(password) < password.len()) {
            return wrong("the password holds characters that must be escaped");
        }
        (self.user, self.password) = (Some(user), password);
        Ok(())
    }

    fn with_tel_parts(mut self, rest: &'a [u8]) -> Result<Self, InvalidUri> {
        let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
        let number = &rest[..end];
        let digits = number.strip_prefix(b"+").unwrap_or(number);
        let phone_digit =
            |b: &u8| b.is_ascii_hexdigit() || matches!(b, b'*' | b'#' | b'-' | b'.' | b'(' | b')');
        if digits.is_empty() || !digits.iter().all(phone_digit) {
            return wrong("a tel number consists of digits, * # and separators");
        }
        self.user = Some(number);
        match split_params(&rest[end..])? {
            (params, []) => Ok(Self { params, ..self }),
            _ => wrong("a parameter is malformed"),
        }
    }

    /// The whole URI as it stands.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.raw
    }

    /// Its scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// User part, or the number of a `tel` URI; escapes as they stand.
    pub fn user(&self) -> Option<&'a [u8]> {
        self.user
    }

    /// User part without escapes. May hold any byte: check it before it goes into a text of another kind.
    pub fn user_unescaped(&self) -> Option<Cow<'a, [u8]>> {
        self.user.map(unescape)
    }

    /// Password part, which nobody should use (§19.1.1).
    pub fn password(&self) -> Option<&'a [u8]> {
        self.password
    }

    /// Host; `None` for `tel` and unknown schemes.
    pub fn host(&self) -> Option<Host<'a>> {
        self.host
    }

    /// Port as it stands; `None` if it is left to the transport's default.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Port with the scheme's and transport's default filled in: 5061 for `sips` and TLS, otherwise 5060.
    pub fn port_or_default(&self) -> u16 {
        self.port
            .unwrap_or_else(|| match (self.scheme, self.transport()) {
                (Scheme::Sips, _) | (_, Some(Transport::Tls)) => 5061,
                _ => 5060,
            })
    }

    /// Parameters after the host or number.
    pub fn params(&self) -> Params<'a> {
        self.params
    }

    /// The `lr` parameter: the element is a loose router (§16.12). Some write `lr=on` and mean the same.
    pub fn is_loose_router(&self) -> bool {
        self.params.has("lr")
    }

    /// The `transport` parameter.
    pub fn transport(&self) -> Option<Transport<'a>> {
        self.params.get("transport").map(Transport::parse)
    }

    /// The `maddr` parameter.
    pub fn maddr(&self) -> Option<Host<'a>> {
        Host::new(self.params.get("maddr")?)
    }

    /// What follows the `?`, without it: headers for the request that is made from this URI.
    pub fn headers(&self) -> &'a [u8] {
        self.headers
    }

    /// Whether both mean the same by the rules of §19.1.4 (`sip`, `sips`) or RFC 3966 §4 (`tel`); others byte by byte.
    pub fn is_equivalent(&self, other: &Uri<'_>) -> bool {
        compare::equivalent(self, other)
    }

    /// A copy that owns its bytes.
    pub fn to_buf(&self) -> UriBuf {
        UriBuf(Bytes::copy_from_slice(self.raw))
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.raw))
    }
}

impl fmt::Debug for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A URI that owns its bytes, checked when made. Cloning shares them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UriBuf(Bytes);

impl UriBuf {
    /// Takes `text` if it is a URI.
    pub fn new(text: impl Into<Bytes>) -> Result<Self, InvalidUri> {
        let text = text.into();
        Uri::parse(&text)?;
        Ok(Self(text))
    }

    /// The view on it.
    pub fn uri(&self) -> Uri<'_> {
        Uri::parse(&self.0).expect("it was parsed when it was made")
    }

    /// The whole URI.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for UriBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for UriBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Makes a `sip` or `sips` URI.
#[derive(Clone, Debug)]
pub struct UriBuilder {
    text: Vec<u8>,
    params: ParamWriter,
}

impl UriBuilder {
    /// `sip:user@host:port`; `user` is escaped as needed.
    pub fn sip(user: Option<&[u8]>, host: Host<'_>, port: Option<u16>) -> Self {
        Self::with_scheme(b"sip:", user, host, port)
    }

    /// `sips:user@host:port`; `user` is escaped as needed.
    pub fn sips(user: Option<&[u8]>, host: Host<'_>, port: Option<u16>) -> Self {
        Self::with_scheme(b"sips:", user, host, port)
    }

    fn with_scheme(scheme: &[u8], user: Option<&[u8]>, host: Host<'_>, port: Option<u16>) -> Self {
        let mut text = Vec::with_capacity(64);
        text.extend_from_slice(scheme);
        if let Some(user) = user {
            push_escaped(&mut text, user);
            text.push(b'@');
        }
        host.write(&mut text);
        if let Some(port) = port {
            text.push(b':');
            chars::push_decimal(&mut text, port);
        }
        Self {
            text,
            params: ParamWriter::new(),
        }
    }

    /// Adds `;name`.
    pub fn flag(mut self, name: &str) -> Self {
        self.params = self.params.flag(name);
        self
    }

    /// Adds `;name=value`.
    pub fn param(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.params = self.params.pair(name, value);
        self
    }

    /// The URI; an error if a parameter or the host was none.
    pub fn build(mut self) -> Result<UriBuf, InvalidUri> {
        self.text.extend_from_slice(self.params.params().as_bytes());
        UriBuf::new(self.text)
    }
}

fn push_escaped(out: &mut Vec<u8>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &b in text {
        if chars::is_user_byte(b) && !matches!(b, b'%' | b'#') {
            out.push(b);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
        }
    }
}

/// `text` with `%41` as `A`. What is no escape stays.
pub(crate) fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        match chars::escape(rest) {
            Some(byte) => {
                out.push(byte);
                rest = &rest[3..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    Cow::Owned(out)
}

/// The scheme and what follows its colon.
fn split_scheme(raw: &[u8]) -> Result<(Scheme, &[u8]), InvalidUri> {
    // Nearly all that we meet.
    if let Some(rest) = raw.strip_prefix(b"sip:") {
        return Ok((Scheme::Sip, rest));
    }
    let Some(colon) = raw.iter().position(|b| *b == b':') else {
        return wrong("no scheme");
    };
    let scheme = match &raw[..colon] {
        s if s.eq_ignore_ascii_case(b"sip") => Scheme::Sip,
        s if s.eq_ignore_ascii_case(b"sips") => Scheme::Sips,
        s if s.eq_ignore_ascii_case(b"tel") => Scheme::Tel,
        [first, more @ ..]
            if first.is_ascii_alphabetic()
                && more
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')) =>
        {
            Scheme::Other
        }
        _ => return wrong("the scheme is malformed"),
    };
    Ok((scheme, &raw[colon + 1..]))
}

/// The `;name=value` parameters that `text` starts with, and what follows them.
pub(crate) fn split_params(text: &[u8]) -> Result<(Params<'_>, &[u8]), InvalidUri> {
    let mut rest = text;
    while let [b';', part @ ..] = rest {
        let mut end = chars::param_len(part);
        let mut is_empty = end == 0;
        if part.get(end) == Some(&b'=') {
            let value_len = chars::param_len(&part[end + 1..]);
            is_empty |= value_len == 0;
            end += 1 + value_len;
        }
        if is_empty {
            return wrong("a parameter is malformed");
        }
        rest = &part[end..];
    }
    Ok((Params::new(&text[..text.len() - rest.len()]), rest))
}

/// `name=value&name=value`, values may be empty (§25.1 `headers`).
fn is_header_list(text: &[u8]) -> bool {
    let header_byte = |b: u8| chars::is_param_byte(b) && b != b'&' || b == b'?';
    let part_ok = |part: &[u8]| {
        part.iter()
            .enumerate()
            .all(|(at, b)| header_byte(*b) || chars::escape(&part[at..]).is_some())
    };
    text.split(|b| *b == b'&').all(|pair| {
        memchr::memchr(b'=', pair)
            .is_some_and(|at| at > 0 && part_ok(&pair[..at]) && part_ok(&pair[at + 1..]))
    })
}
