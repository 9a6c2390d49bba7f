//! Checks on values of a client that later stand in a SIP message. What passes can be written into a header or a
//! URI as it is.

/// Longest destination in bytes: a phone number has 15 digits (E.164), a user name or an address some more.
pub const DESTINATION_LEN_MAX: usize = 64;
/// Longest header name in bytes.
pub const HEADER_NAME_LEN_MAX: usize = 64;
/// Longest header value in bytes; a UDP datagram with an SDP has to hold several.
pub const HEADER_VALUE_LEN_MAX: usize = 256;
/// Longest display name in bytes.
pub const DISPLAY_NAME_LEN_MAX: usize = 64;

/// Why a destination is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDestination {
    /// Nothing was dialled.
    #[error("no destination number")]
    Empty,
    /// Longer than [`DESTINATION_LEN_MAX`].
    #[error("the destination is longer than {DESTINATION_LEN_MAX} characters")]
    TooLong,
    /// A character that can stand in no number and no user name (line breaks and spaces among them).
    #[error("the destination has a character other than A-Z a-z 0-9 + * # - _ . ! ~ ' ( )")]
    Character,
}

/// A number or user name that can be dialled: the user part of a SIP URI, before it is escaped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination(String);

impl Destination {
    /// Takes `text`; spaces and the separators `-`, `.`, `(`, `)` that people write into phone numbers are dropped
    /// when all else are digits.
    pub fn new(text: &str) -> Result<Self, InvalidDestination> {
        let text = text
            .strip_prefix("sip:")
            .or_else(|| text.strip_prefix("tel:"))
            .unwrap_or(text);
        if text.is_empty() {
            return Err(InvalidDestination::Empty);
        }
        if text.len() > DESTINATION_LEN_MAX {
            return Err(InvalidDestination::TooLong);
        }
        let number: String = text
            .chars()
            .filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')'))
            .collect();
        let digits = number.strip_prefix('+').unwrap_or(&number);
        if !digits.is_empty()
            && digits
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b'*' | b'#'))
        {
            return Ok(Self(number));
        }
        let user = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+*#-_.!~'()".contains(&b));
        if user {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidDestination::Character)
        }
    }

    /// The number or user name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a custom header is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    /// Only extension headers and those that the operator allows may be set.
    #[error(
        "only headers whose names start with X-, other than X-Offhook-, and those that are allowed may be set"
    )]
    Name,
    /// The header decides where a message goes, who sent it or how it is read.
    #[error("the header is written by the server alone")]
    Reserved,
    /// Longer than [`HEADER_NAME_LEN_MAX`] or [`HEADER_VALUE_LEN_MAX`].
    #[error(
        "a header has at most {HEADER_NAME_LEN_MAX} characters of name and {HEADER_VALUE_LEN_MAX} of value"
    )]
    TooLong,
    /// Line breaks and other control characters would start a header of their own.
    #[error("a header value has no line breaks or other control characters")]
    Value,
}

/// Headers that nobody but the SIP stack writes, in lower case: routing, identity, framing, extensions. Compact forms have
/// one letter, and no such name is taken.
const RESERVED: [&str; 33] = [
    "via",
    "from",
    "to",
    "call-id",
    "cseq",
    "contact",
    "route",
    "record-route",
    "path",
    "service-route",
    "max-forwards",
    "content-length",
    "content-type",
    "content-encoding",
    "authorization",
    "proxy-authorization",
    "www-authenticate",
    "proxy-authenticate",
    "p-asserted-identity",
    "p-preferred-identity",
    "p-called-party-id",
    "privacy",
    "identity",
    "replaces",
    "refer-to",
    "referred-by",
    "require",
    "proxy-require",
    "supported",
    "session-expires",
    "min-se",
    "rseq",
    "rack",
];

/// A header `X-…`, or one that the operator allows, with a value of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomHeader {
    name: String,
    value: String,
}

impl CustomHeader {
    /// Takes `name` and `value` if they are safe in a SIP message and the name starts with `X-`.
    pub fn new(name: &str, value: &str) -> Result<Self, InvalidHeader> {
        Self::with_allowed(name, value, &[])
    }

    /// The same, for names of `allowed` (in lower case) too.
    pub fn with_allowed(name: &str, value: &str, allowed: &[String]) -> Result<Self, InvalidHeader> {
        let lower = name.to_ascii_lowercase();
        let token = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
        if name.len() > HEADER_NAME_LEN_MAX || value.len() > HEADER_VALUE_LEN_MAX {
            return Err(InvalidHeader::TooLong);
        }
        if is_reserved(&lower) {
            return Err(InvalidHeader::Reserved);
        }
        let known = (lower.starts_with("x-") && name.len() > 2) || allowed.contains(&lower);
        if !known || !name.bytes().all(token) {
            return Err(InvalidHeader::Name);
        }
        if value.chars().any(char::is_control) {
            return Err(InvalidHeader::Value);
        }
        Ok(Self {
            name: name.to_owned(),
            value: value.trim().to_owned(),
        })
    }

    /// Its name, as it was written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value.
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// Whether a header of this name, in lower case, is written by the SIP stack alone.
pub fn is_reserved(lower: &str) -> bool {
    lower.len() == 1 || lower.starts_with("x-offhook-") || RESERVED.contains(&lower)
}

/// `text` as a display name: control characters, quotes and backslashes dropped, cut to [`DISPLAY_NAME_LEN_MAX`].
pub fn display_name(text: &str) -> String {
    let mut name = String::new();
    for c in text
        .trim()
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '"' | '\\'))
    {
        if name.len() + c.len_utf8() > DISPLAY_NAME_LEN_MAX {
            break;
        }
        name.push(c);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_users_pass() {
        for (text, taken) in [
            ("9196", "9196"),
            ("+1 (555) 010-0100", "+15550100100"),
            ("tel:+4930123456", "+4930123456"),
            ("*72#", "*72#"),
            ("bob", "bob"),
            ("bob.smith-2", "bob.smith-2"),
        ] {
            assert_eq!(
                Destination::new(text).map(|d| d.0),
                Ok(taken.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_could_break_a_sip_message_is_refused() {
        use InvalidDestination::{Character, Empty, TooLong};
        for (text, why) in [
            ("", Empty),
            ("sip:", Empty),
            ("12\r\nVia: x", Character),
            ("12\n", Character),
            ("bob@evil", Character),
            ("a b", Character),
            ("<1>", Character),
            ("1;x=y", Character),
            ("ü", Character),
        ] {
            assert_eq!(Destination::new(text), Err(why), "{text:?}");
        }
        assert_eq!(Destination::new(&"1".repeat(1024)), Err(TooLong));
    }

    #[test]
    fn headers_cannot_smuggle_lines_or_routing() {
        use InvalidHeader::{Name, Reserved, TooLong, Value};
        assert!(CustomHeader::new("X-Ticket", "8812").is_ok());
        for (name, value, why) in [
            ("Route", "<sip:evil>", Reserved),
            ("v", "SIP/2.0/UDP evil", Reserved),
            ("Subject", "hi", Name),
            ("X-", "", Name),
            ("X-A:", "", Name),
            ("X-A\r\nVia", "", Name),
            ("X-Offhook-Call-Id", "1", Reserved),
            ("X-A", "1\r\nVia: x", Value),
            ("X-A", "1\u{0}", Value),
        ] {
            assert_eq!(CustomHeader::new(name, value), Err(why), "{name:?}: {value:?}");
        }
        assert_eq!(CustomHeader::new("X-A", &"1".repeat(257)), Err(TooLong));
        let allowed = ["user-to-user".to_owned(), "route".to_owned()];
        assert!(CustomHeader::with_allowed("User-to-User", "00", &allowed).is_ok());
        assert_eq!(CustomHeader::with_allowed("Route", "", &allowed), Err(Reserved));
    }

    #[test]
    fn display_names_lose_what_would_end_the_quotes() {
        assert_eq!(display_name(" Al\"i\\ce\r\n "), "Alice");
        assert_eq!(display_name(&"ä".repeat(50)).len(), 64);
    }
}
