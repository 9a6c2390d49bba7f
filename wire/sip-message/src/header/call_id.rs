//! Call-ID (§20.8).

use super::{Header, HeaderError};
use crate::chars;
use crate::name::HeaderName;

/// What all messages of a dialog share; compares byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId<'a>(pub &'a [u8]);

impl<'a> Header<'a> for CallId<'a> {
    const NAME: HeaderName<'static> = HeaderName::CallId;

    fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        if value.is_empty() || value.iter().any(|b| chars::is_space(*b)) {
            return Err(HeaderError {
                header: Self::NAME,
                what: "one word is expected",
            });
        }
        Ok(Self(value))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }
}
