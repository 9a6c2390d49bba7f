//! Typed headers: each a view on the bytes of its value, parsed when asked for. One file per header.

mod address;
mod auth;
mod call_id;
mod contact;
mod content_type;
mod cseq;
mod number;
mod rack;
mod reason;
mod replaces;
mod retry_after;
mod session_expires;
mod via;

use crate::chars;
use crate::name::HeaderName;
use crate::value::{HeaderValue, InvalidValue};
use std::borrow::Cow;

pub use address::{From, NameAddr, PAssertedIdentity, RecordRoute, ReferTo, ReferredBy, Route, To};
pub(crate) use address::{is_plain, tag};
pub use auth::{
    Algorithm, AuthParams, AuthenticationInfo, Authorization, Challenge, Credentials, ProxyAuthenticate,
    ProxyAuthorization, WwwAuthenticate,
};
pub use call_id::CallId;
pub use contact::Contact;
pub use content_type::ContentType;
pub use cseq::CSeq;
pub use number::{ContentLength, Expires, MaxForwards, MinExpires, MinSe, RSeq};
pub use rack::RAck;
pub use reason::Reason;
pub use replaces::Replaces;
pub use retry_after::RetryAfter;
pub use session_expires::{Refresher, SessionExpires};
pub use via::{Transport, Via};

/// A header whose value we understand. Parsing borrows from the message; writing makes a [`HeaderValue`].
pub trait Header<'a>: Sized {
    /// The header's name.
    const NAME: HeaderName<'static>;

    /// Reads one value (of a list header: one element).
    fn parse(value: &'a [u8]) -> Result<Self, HeaderError>;

    /// Appends the value as it stands in a message.
    fn write(&self, out: &mut Vec<u8>);

    /// The value for a message that is being built; refused if a part that came from outside would break out.
    fn to_value(&self) -> Result<HeaderValue, InvalidValue> {
        let mut out = Vec::with_capacity(64);
        self.write(&mut out);
        HeaderValue::new(out)
    }
}

/// A header is missing or its value breaks the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("header {header}: {what}")]
pub struct HeaderError {
    /// Which header.
    pub header: HeaderName<'static>,
    /// What is wrong with it, in words.
    pub what: &'static str,
}

impl HeaderError {
    pub(crate) const fn missing(header: HeaderName<'static>) -> Self {
        Self {
            header,
            what: "missing",
        }
    }
}

/// A value with each fold (line break and white space) replaced by one space (§7.3.1).
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'\r', b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
        let mut before = &rest[..at];
        while let [kept @ .., b' ' | b'\t'] = before {
            before = kept;
        }
        out.extend_from_slice(before);
        out.push(b' ');
        rest = &rest[at..];
        while let [first, tail @ ..] = rest
            && chars::is_space(*first)
        {
            rest = tail;
        }
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// The elements of one line's value: split at commas outside quotes and angle brackets if it is a `list`.
pub(crate) fn elements(value: &[u8], list: bool) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        loop {
            let text = rest?;
            // Most values hold no comma at all: asking for one first saves the careful look.
            let comma = match list && memchr::memchr(b',', text).is_some() {
                true => chars::find_outside(text, b','),
                false => None,
            };
            let (element, next) = match comma {
                Some(comma) => (&text[..comma], Some(&text[comma + 1..])),
                None => (text, None),
            };
            rest = next;
            let element = chars::trim(element);
            if !element.is_empty() {
                return Some(element);
            }
        }
    })
}
