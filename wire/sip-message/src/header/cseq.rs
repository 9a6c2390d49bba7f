//! CSeq (§20.16).

use super::{Header, HeaderError};
use crate::Method;
use crate::chars;
use crate::name::HeaderName;

/// Place of a request in its dialog, and its method.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CSeq {
    /// Below 2^31 (§8.1.1.5).
    pub number: u32,
    /// The method, also in responses.
    pub method: Method,
}

impl Header<'_> for CSeq {
    const NAME: HeaderName<'static> = HeaderName::CSeq;

    fn parse(value: &[u8]) -> Result<Self, HeaderError> {
        let wrong = |what| HeaderError {
            header: Self::NAME,
            what,
        };
        let gap = value
            .iter()
            .position(|b| chars::is_space(*b))
            .ok_or(wrong("a number and a method are expected"))?;
        let number: u32 =
            chars::decimal(&value[..gap]).ok_or(wrong("the number is no number or too large"))?;
        if number >= 1 << 31 {
            return Err(wrong("the number must be below 2^31"));
        }
        let method = Method::new(chars::trim(&value[gap..])).ok_or(wrong("the method is no token"))?;
        Ok(Self { number, method })
    }

    fn write(&self, out: &mut Vec<u8>) {
        chars::push_decimal(out, self.number);
        out.push(b' ');
        out.extend_from_slice(self.method.as_bytes());
    }
}
