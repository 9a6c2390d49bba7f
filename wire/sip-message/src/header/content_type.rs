//! Content-Type (§20.15).

use super::{Header, HeaderError};
use crate::chars;
use crate::name::HeaderName;
use crate::params::Params;

/// Media type of the body.
#[derive(Clone, Copy, Debug)]
pub struct ContentType<'a> {
    /// `application` in `application/sdp`.
    pub kind: &'a [u8],
    /// `sdp` in `application/sdp`.
    pub subtype: &'a [u8],
    /// `boundary`, `charset`, …
    pub params: Params<'a>,
}

impl ContentType<'_> {
    /// Whether this is `kind/subtype`, without regard to case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes())
            && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }
}

impl<'a> Header<'a> for ContentType<'a> {
    const NAME: HeaderName<'static> = HeaderName::ContentType;

    fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        let wrong = HeaderError {
            header: Self::NAME,
            what: "type/subtype is expected",
        };
        let params_start = memchr::memchr(b';', value).unwrap_or(value.len());
        let (media, params) = value.split_at(params_start);
        let slash = memchr::memchr(b'/', media).ok_or(wrong)?;
        let (kind, subtype) = (chars::trim(&media[..slash]), chars::trim(&media[slash + 1..]));
        if !chars::is_token(kind) || !chars::is_token(subtype) {
            return Err(wrong);
        }
        Ok(Self {
            kind,
            subtype,
            params: Params::new(params),
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.kind);
        out.push(b'/');
        out.extend_from_slice(self.subtype);
        out.extend_from_slice(self.params.as_bytes());
    }
}
