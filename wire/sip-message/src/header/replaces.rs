//! Replaces (RFC 3891).

use super::{Header, HeaderError};
use crate::chars;
use crate::name::HeaderName;
use crate::params::Params;

/// The dialog that a new INVITE takes the place of.
#[derive(Clone, Copy, Debug)]
pub struct Replaces<'a> {
    /// Its Call-ID.
    pub call_id: &'a [u8],
    /// `from-tag`, `to-tag`, `early-only`.
    pub params: Params<'a>,
}

impl<'a> Replaces<'a> {
    /// Tag of the receiver's side.
    pub fn to_tag(&self) -> Option<&'a [u8]> {
        self.params.get("to-tag")
    }

    /// Tag of the other side.
    pub fn from_tag(&self) -> Option<&'a [u8]> {
        self.params.get("from-tag")
    }

    /// Whether only a dialog that still rings may be replaced.
    pub fn early_only(&self) -> bool {
        self.params.has("early-only")
    }
}

impl<'a> Header<'a> for Replaces<'a> {
    const NAME: HeaderName<'static> = HeaderName::Replaces;

    fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let call_id = chars::trim(&value[..end]);
        let params = Params::new(&value[end..]);
        let replaces = Self { call_id, params };
        let complete =
            replaces.to_tag().is_some() && replaces.from_tag().is_some() && params.is_well_formed();
        if call_id.is_empty() || !complete {
            return Err(HeaderError {
                header: Self::NAME,
                what: "a Call-ID, to-tag and from-tag are expected",
            });
        }
        Ok(replaces)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.call_id);
        out.extend_from_slice(self.params.as_bytes());
    }
}
