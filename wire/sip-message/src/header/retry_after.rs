//! Retry-After (§20.33).

use super::{Header, HeaderError};
use crate::chars;
use crate::name::HeaderName;

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// From now.
    pub seconds: u32,
}

impl Header<'_> for RetryAfter {
    const NAME: HeaderName<'static> = HeaderName::RetryAfter;

    /// A comment in parentheses and parameters after the number are passed over.
    fn parse(value: &[u8]) -> Result<Self, HeaderError> {
        let end = memchr::memchr2(b';', b'(', value).unwrap_or(value.len());
        chars::decimal(chars::trim(&value[..end]))
            .map(|seconds| Self { seconds })
            .ok_or(HeaderError {
                header: Self::NAME,
                what: "a number of seconds is expected",
            })
    }

    fn write(&self, out: &mut Vec<u8>) {
        chars::push_decimal(out, self.seconds);
    }
}
