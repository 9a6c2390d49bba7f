//! Header names: an enum of those that we know, with their compact forms, and tokens for all others.

use crate::chars;
use std::fmt;

/// Text that the grammar calls a `token` (RFC 3261 §25.1): no space, no separator, no line break.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token<'a>(&'a [u8]);

/// A text that should have been a token is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name must be a token: letters, digits and -.!%*_+`'~ only, and not empty")]
pub struct InvalidName;

impl<'a> Token<'a> {
    /// Takes `text` if it is a token.
    pub const fn new(text: &'a [u8]) -> Result<Self, InvalidName> {
        if chars::is_token(text) {
            Ok(Self(text))
        } else {
            Err(InvalidName)
        }
    }

    /// The bytes of the token.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(self.0), f)
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $variant:ident, $text:literal, $compact:literal, $list:literal;)*) => {
        /// The name of a header, independent of case and of the short or long form.
        #[derive(Clone, Copy, Debug)]
        #[non_exhaustive]
        pub enum HeaderName<'a> {
            $(#[doc = concat!("`", $text, "`.")] $variant,)*
            /// Any other; compared without regard to case.
            Other(Token<'a>),
        }

        /// Index of a name in [`KNOWN`]; [`OTHER`] for names that are not there.
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        enum Index { $($variant,)* Other }

        /// Long name, compact name (empty: none) and whether the grammar makes the value a comma list.
        const KNOWN: &[(&str, &str, bool)] = &[$(($text, $compact, $list),)*];

        const VARIANTS: &[HeaderName<'static>] = &[$(HeaderName::$variant,)*];

        impl HeaderName<'_> {
            pub(crate) const fn kind(self) -> Kind {
                match self {
                    $(Self::$variant => Kind(Index::$variant as u8),)*
                    Self::Other(_) => OTHER,
                }
            }
        }
    };
}

names! {
    Via, "Via", "v", true;
    From, "From", "f", false;
    To, "To", "t", false;
    CallId, "Call-ID", "i", false;
    CSeq, "CSeq", "", false;
    Contact, "Contact", "m", true;
    MaxForwards, "Max-Forwards", "", false;
    Route, "Route", "", true;
    RecordRoute, "Record-Route", "", true;
    ContentLength, "Content-Length", "l", false;
    ContentType, "Content-Type", "c", false;
    ContentEncoding, "Content-Encoding", "e", true;
    ContentDisposition, "Content-Disposition", "", false;
    Expires, "Expires", "", false;
    MinExpires, "Min-Expires", "", false;
    Require, "Require", "", true;
    Supported, "Supported", "k", true;
    Unsupported, "Unsupported", "", true;
    ProxyRequire, "Proxy-Require", "", true;
    Allow, "Allow", "", true;
    Accept, "Accept", "", true;
    AcceptEncoding, "Accept-Encoding", "", true;
    AcceptLanguage, "Accept-Language", "", true;
    AcceptContact, "Accept-Contact", "a", true;
    RejectContact, "Reject-Contact", "j", true;
    RequestDisposition, "Request-Disposition", "d", true;
    RetryAfter, "Retry-After", "", false;
    Reason, "Reason", "", true;
    WwwAuthenticate, "WWW-Authenticate", "", false;
    ProxyAuthenticate, "Proxy-Authenticate", "", false;
    Authorization, "Authorization", "", false;
    ProxyAuthorization, "Proxy-Authorization", "", false;
    AuthenticationInfo, "Authentication-Info", "", false;
    RSeq, "RSeq", "", false;
    RAck, "RAck", "", false;
    SessionExpires, "Session-Expires", "x", false;
    MinSe, "Min-SE", "", false;
    ReferTo, "Refer-To", "r", false;
    ReferredBy, "Referred-By", "b", false;
    Replaces, "Replaces", "", false;
    Join, "Join", "", false;
    PAssertedIdentity, "P-Asserted-Identity", "", true;
    PPreferredIdentity, "P-Preferred-Identity", "", true;
    Privacy, "Privacy", "", false;
    Event, "Event", "o", false;
    AllowEvents, "Allow-Events", "u", true;
    SubscriptionState, "Subscription-State", "", false;
    Subject, "Subject", "s", false;
    UserAgent, "User-Agent", "", false;
    Server, "Server", "", false;
    Date, "Date", "", false;
    Warning, "Warning", "", true;
    Organization, "Organization", "", false;
    Path, "Path", "", true;
    ServiceRoute, "Service-Route", "", true;
    HistoryInfo, "History-Info", "", true;
    Diversion, "Diversion", "", true;
    Identity, "Identity", "y", false;
    MimeVersion, "MIME-Version", "", false;
    Timestamp, "Timestamp", "", false;
    AlertInfo, "Alert-Info", "", true;
    CallInfo, "Call-Info", "", true;
    ErrorInfo, "Error-Info", "", true;
    InReplyTo, "In-Reply-To", "", true;
}

/// One byte that stands for a name in a message's index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kind(u8);

/// The kind of every name that is not in the table.
pub(crate) const OTHER: Kind = Kind(Index::Other as u8);

impl Kind {
    /// What a line's name is called, in one table look-up and one comparison.
    pub(crate) fn of(name: &[u8]) -> Self {
        let Some(index) = SLOTS[hash(name)].checked_sub(1) else {
            return OTHER;
        };
        let (long, compact, _) = KNOWN[usize::from(index)];
        let known = if name.len() == 1 { compact } else { long }.as_bytes();
        // Nearly everybody writes the standard's case.
        if name == known || name.eq_ignore_ascii_case(known) {
            Self(index)
        } else {
            OTHER
        }
    }

    /// So many names stand before all others in the table: those that everybody asks for.
    pub(crate) const COMMON: usize = Index::ContentType as usize + 1;

    /// Its place in the table.
    pub(crate) fn place(self) -> usize {
        self.0.into()
    }

    /// Its place in a set of kinds.
    pub(crate) const fn bit(self) -> u128 {
        1 << self.0
    }

    pub(crate) fn name(self, raw: &[u8]) -> HeaderName<'_> {
        VARIANTS
            .get(usize::from(self.0))
            .copied()
            .unwrap_or(HeaderName::Other(Token(raw)))
    }
}

const SLOT_COUNT: usize = 512;

const _: () = assert!(KNOWN.len() < 128, "a set of kinds is a u128");

/// Table from [`hash`] to index + 1; 0 is free. Both forms of a name are in it, and no two share a slot.
static SLOTS: [u8; SLOT_COUNT] = slots();

const fn slots() -> [u8; SLOT_COUNT] {
    let mut table = [0u8; SLOT_COUNT];
    let mut i = 0;
    while i < KNOWN.len() {
        place(&mut table, KNOWN[i].0.as_bytes(), i);
        if !KNOWN[i].1.is_empty() {
            place(&mut table, KNOWN[i].1.as_bytes(), i);
        }
        i += 1;
    }
    table
}

const fn place(table: &mut [u8; SLOT_COUNT], name: &[u8], index: usize) {
    let slot = hash(name);
    assert!(
        table[slot] == 0,
        "two names share a slot: find other factors for hash"
    );
    table[slot] = index as u8 + 1;
}

/// Of length, first, middle and last character without their case bit. The factors were searched for until no two
/// known names collided; the compiler checks that (see [`place`]).
const fn hash(name: &[u8]) -> usize {
    if name.is_empty() {
        return 0;
    }
    let first = (name[0] | 0x20) as usize;
    let middle = (name[name.len() / 2] | 0x20) as usize;
    let last = (name[name.len() - 1] | 0x20) as usize;
    (name.len() * 112 + first * 101 + middle * 118 + last * 2) % SLOT_COUNT
}

impl<'a> HeaderName<'a> {
    /// The name that `text` spells, in its long or compact form.
    pub fn new(text: &'a [u8]) -> Result<Self, InvalidName> {
        let token = Token::new(text)?;
        Ok(Kind::of(text).name(token.0))
    }

    /// A name that is a constant of the program and not one of the variants, e.g. of an `X-` header.
    ///
    /// # Panics
    /// When `text` is not a token. Call it in a `const`, so that this happens when compiling.
    pub const fn custom(text: &'a str) -> Self {
        match Token::new(text.as_bytes()) {
            Ok(token) => Self::Other(token),
            Err(InvalidName) => panic!("a header name must be a token"),
        }
    }

    /// How the name is written out: the long form.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Other(token) => token.as_bytes(),
            known => KNOWN[usize::from(known.kind().0)].0.as_bytes(),
        }
    }

    /// Whether several values may share a line, separated by commas (§7.3.1).
    pub fn is_list(&self) -> bool {
        KNOWN
            .get(usize::from(self.kind().0))
            .is_some_and(|(_, _, list)| *list)
    }
}

impl PartialEq for HeaderName<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Other(a), Self::Other(b)) => a.0.eq_ignore_ascii_case(b.0),
            (a, b) => a.kind() == b.kind(),
        }
    }
}

impl Eq for HeaderName<'_> {}

impl fmt::Display for HeaderName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_both_forms_and_any_case() {
        for (index, (long, compact, _)) in KNOWN.iter().enumerate() {
            for text in [
                long.to_string(),
                long.to_uppercase(),
                long.to_lowercase(),
                compact.to_string(),
                compact.to_uppercase(),
            ] {
                if !text.is_empty() {
                    assert_eq!(Kind::of(text.as_bytes()), Kind(index as u8), "{text}");
                }
            }
        }
        assert_eq!(Kind::of(b"X-Unknown"), OTHER);
        assert_eq!(Kind::of(b""), OTHER);
        assert_eq!(Kind::of(b"vi"), OTHER);
    }

    #[test]
    fn other_names_compare_without_case() {
        assert_eq!(HeaderName::custom("X-Foo"), HeaderName::new(b"x-fOO").unwrap());
        assert_ne!(HeaderName::custom("X-Foo"), HeaderName::custom("X-Bar"));
        assert_ne!(HeaderName::custom("X-Foo"), HeaderName::Via);
        assert_eq!(HeaderName::new(b"a b").unwrap_err(), InvalidName);
        assert_eq!(HeaderName::new(b"X\r\nVia").unwrap_err(), InvalidName);
    }
}
