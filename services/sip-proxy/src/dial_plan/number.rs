//! Numbers and the starts of numbers.

use offhook_sip_message::{Scheme, StatusCode, Uri};
use std::fmt;

/// Longest number in characters: E.164 has 15 digits; access codes and extensions fit too.
pub const NUMBER_LEN_MAX: usize = 64;

/// A number to call: an optional `+`, then digits, `*` and `#`. Nothing else can be in it, so it can stand in a URI.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Number(String);

/// Why a request URI names no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Neither `sip`, `sips` nor `tel`.
    #[error("the scheme of the request URI is not sip, sips or tel")]
    Scheme,
    /// No user part, or nothing in it but separators.
    #[error("the request URI holds no number")]
    Empty,
    /// Over [`NUMBER_LEN_MAX`].
    #[error("the number has more than {NUMBER_LEN_MAX} characters")]
    TooLong,
    /// Something that no number has.
    #[error("the number holds characters other than digits, +, * and #")]
    Character,
}

impl NumberError {
    /// How the request is answered.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Scheme => StatusCode::UNSUPPORTED_URI_SCHEME,
            Self::Empty => StatusCode::ADDRESS_INCOMPLETE,
            Self::TooLong => StatusCode::BAD_REQUEST,
            Self::Character => StatusCode::NOT_FOUND,
        }
    }
}

impl Number {
    /// The number that `text` spells, without visual separators (`-`, `.`, blank, parentheses).
    pub fn new(text: &[u8]) -> Result<Self, NumberError> {
        if text.len() > NUMBER_LEN_MAX {
            return Err(NumberError::TooLong);
        }
        let mut number = String::with_capacity(text.len());
        for &byte in text {
            match byte {
                b'-' | b'.' | b' ' | b'(' | b')' => {}
                b'+' if number.is_empty() => number.push('+'),
                b'0'..=b'9' | b'*' | b'#' => number.push(char::from(byte)),
                _ => return Err(NumberError::Character),
            }
        }
        if number.is_empty() || number == "+" {
            return Err(NumberError::Empty);
        }
        Ok(Self(number))
    }

    /// The number in the user part of a request URI; parameters in it (`;phone-context=…`) are left out.
    pub fn of(uri: &Uri<'_>) -> Result<Self, NumberError> {
        if uri.scheme() == Scheme::Other {
            return Err(NumberError::Scheme);
        }
        // Checked before the escapes are undone: they only make it longer.
        let user = uri.user().ok_or(NumberError::Empty)?;
        if user.len() > 3 * NUMBER_LEN_MAX {
            return Err(NumberError::TooLong);
        }
        let user = uri.user_unescaped().unwrap_or_default();
        let end = user.iter().position(|byte| *byte == b';').unwrap_or(user.len());
        Self::new(&user[..end])
    }

    /// The number in E.164, as the rules of the carrier that sent it say: the longest `prefix` that fits gives way to
    /// its `replace`.
    pub fn normalised(self, rules: &[Rewrite]) -> Self {
        let fits = rules.iter().filter_map(|rule| {
            let rest = self.0.strip_prefix(rule.prefix.0.as_str())?;
            Some((rest, rule))
        });
        let Some((rest, rule)) = fits.max_by_key(|(_, rule)| rule.prefix.0.len()) else {
            return self;
        };
        // A number that the rule would break (`+` within, too long, nothing left) stays what it is.
        let number = format!("{}{rest}", rule.replace.0);
        Self::new(number.as_bytes()).unwrap_or(self)
    }

    /// What tells numbers apart: carriers send them with or without their `+`.
    pub(super) fn key(&self) -> &str {
        self.0.strip_prefix('+').unwrap_or(&self.0)
    }

    /// The number as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number as a carrier wants it: `strip` characters less, `prepend` before the rest. `None` if nothing is left.
    pub fn rewritten(&self, strip: usize, prepend: &str) -> Option<String> {
        let rest = self.0.get(strip..)?;
        let number = format!("{prepend}{rest}");
        (!number.is_empty()).then_some(number)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether each character may stand in a number that is sent to a carrier.
pub fn is_dialable(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'*' | b'#'))
}

/// Start of a number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix(pub(super) String);

impl Prefix {
    /// Takes `text` if a number can start so; empty fits all.
    pub fn new(text: &str) -> Option<Self> {
        let valid = is_dialable(text) && !text.get(1..).is_some_and(|rest| rest.contains('+'));
        (valid && text.len() <= NUMBER_LEN_MAX).then(|| Self(text.to_owned()))
    }
}

/// How numbers of a carrier are turned into E.164: what they start with, and what stands there instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// Start of the numbers that it is for; empty for all.
    pub prefix: Prefix,
    /// What to put in its place.
    pub replace: Prefix,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn numbers_are_freed_of_separators() {
        assert_eq!(number("+1 (555) 010-0123").as_str(), "+15550100123");
        assert_eq!(number("*98#").as_str(), "*98#");
        let of =
            |uri: &str| Number::of(&Uri::parse(uri.as_bytes()).unwrap()).map(|number| number.to_string());
        assert_eq!(of("sip:%2B1555;phone-context=x@proxy").as_deref(), Ok("+1555"));
        assert_eq!(of("tel:+1-555").as_deref(), Ok("+1555"));
        assert_eq!(of("sip:proxy"), Err(NumberError::Empty));
        assert_eq!(of("http://example.com"), Err(NumberError::Scheme));
    }

    #[test]
    fn odd_numbers_are_refused() {
        for (text, error) in [
            ("", NumberError::Empty),
            ("+", NumberError::Empty),
            ("(-)", NumberError::Empty),
            ("alice", NumberError::Character),
            ("1\r\nVia: x", NumberError::Character),
            ("1+2", NumberError::Character),
            ("1\0", NumberError::Character),
            (&"1".repeat(65), NumberError::TooLong),
            (&"1".repeat(100_000), NumberError::TooLong),
        ] {
            assert_eq!(Number::new(text.as_bytes()), Err(error), "{text:?}");
        }
        let escaped = format!("sip:{}@h", "%31".repeat(65));
        assert_eq!(
            Number::of(&Uri::parse(escaped.as_bytes()).unwrap()),
            Err(NumberError::TooLong)
        );
    }

    #[test]
    fn carriers_get_the_number_in_their_form() {
        assert_eq!(
            number("+15550100").rewritten(1, "00").as_deref(),
            Some("0015550100")
        );
        assert_eq!(number("123").rewritten(0, "").as_deref(), Some("123"));
        assert_eq!(number("123").rewritten(3, ""), None);
        assert_eq!(number("123").rewritten(4, "9"), None);
    }

    #[test]
    fn numbers_of_a_carrier_become_e164() {
        let rule = |prefix, replace| Rewrite {
            prefix: Prefix::new(prefix).unwrap(),
            replace: Prefix::new(replace).unwrap(),
        };
        let rules = [rule("00", "+"), rule("0", "+49"), rule("", "+4930")];
        for (sent, meant) in [
            ("0015550100", "+15550100"),
            ("030123", "+4930123"),
            ("123", "+4930123"),
        ] {
            assert_eq!(number(sent).normalised(&rules).as_str(), meant, "{sent}");
        }
        assert_eq!(number("123").normalised(&[]).as_str(), "123");
        // With a rule for all numbers only, a `+` would stand within: the number stays.
        assert_eq!(number("+1555").normalised(&rules[2..]).as_str(), "+1555");
    }
}
