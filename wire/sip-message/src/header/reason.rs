//! Reason (RFC 3326).

use super::{Header, HeaderError};
use crate::chars;
use crate::name::HeaderName;
use crate::params::{Params, unquote};
use std::borrow::Cow;

/// Why a request was sent, e.g. `Q.850;cause=16;text="Normal call clearing"`; one element of the list.
#[derive(Clone, Copy, Debug)]
pub struct Reason<'a> {
    /// `SIP`, `Q.850`, …
    pub protocol: &'a [u8],
    /// `cause`, `text`, …
    pub params: Params<'a>,
}

impl<'a> Reason<'a> {
    /// The cause number of the protocol.
    pub fn cause(&self) -> Option<u16> {
        chars::decimal(self.params.get("cause")?)
    }

    /// The text without quotes.
    pub fn text(&self) -> Option<Cow<'a, [u8]>> {
        self.params.get("text").map(unquote)
    }
}

impl<'a> Header<'a> for Reason<'a> {
    const NAME: HeaderName<'static> = HeaderName::Reason;

    fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let protocol = chars::trim(&value[..end]);
        let params = Params::new(&value[end..]);
        if !chars::is_token(protocol) || !params.is_well_formed() {
            return Err(HeaderError {
                header: Self::NAME,
                what: "a protocol and parameters are expected",
            });
        }
        Ok(Self { protocol, params })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.protocol);
        out.extend_from_slice(self.params.as_bytes());
    }
}
