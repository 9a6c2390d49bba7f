//! The one door through which new text enters a header.

use bytes::Bytes;
use std::fmt;

/// Text for a header, proven to hold no CR, LF or NUL, so that it can neither end its line nor start another.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HeaderValue(Bytes);

/// The text for a header holds a character that would break out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "byte {byte:#04x} at position {at} of a header value: CR, LF and NUL cannot stand in a header; remove them"
)]
pub struct InvalidValue {
    /// The refused byte.
    pub byte: u8,
    /// Where it stands.
    pub at: usize,
}

impl HeaderValue {
    /// Takes `text` if it holds no CR, LF or NUL. Any other byte may stand in it, in any encoding.
    pub fn new(text: impl Into<Bytes>) -> Result<Self, InvalidValue> {
        let text = text.into();
        match memchr::memchr3(b'\r', b'\n', 0, &text) {
            Some(at) => Err(InvalidValue { byte: text[at], at }),
            None => Ok(Self(text)),
        }
    }

    /// A value that cannot be refused: a decimal number.
    pub fn number(number: impl Into<u64>) -> Self {
        let mut digits = [0; 20];
        Self(Bytes::copy_from_slice(crate::chars::digits_of(
            number,
            &mut digits,
        )))
    }

    /// A received value as a new one: folds become one space each (§7.3.1). Fails on a NUL.
    pub fn unfold(received: &[u8]) -> Result<Self, InvalidValue> {
        Self::new(crate::header::unfold(received).into_owned())
    }

    /// The bytes of the value.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}
