//! Session-Expires (RFC 4028 §4).

use super::{Header, HeaderError};
use crate::chars;
use crate::name::HeaderName;
use crate::params::Params;

/// Who refreshes a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// The side that sent the request.
    Uac,
    /// The side that answers it.
    Uas,
}

/// How long a session lives without a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// The interval.
    pub seconds: u32,
    /// Who refreshes; `None`: to be settled by the answer.
    pub refresher: Option<Refresher>,
}

impl Header<'_> for SessionExpires {
    const NAME: HeaderName<'static> = HeaderName::SessionExpires;

    fn parse(value: &[u8]) -> Result<Self, HeaderError> {
        let wrong = |what| HeaderError {
            header: Self::NAME,
            what,
        };
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let seconds =
            chars::decimal(chars::trim(&value[..end])).ok_or(wrong("a number of seconds is expected"))?;
        let refresher = match Params::new(&value[end..]).get("refresher") {
            None => None,
            Some(text) if text.eq_ignore_ascii_case(b"uac") => Some(Refresher::Uac),
            Some(text) if text.eq_ignore_ascii_case(b"uas") => Some(Refresher::Uas),
            Some(_) => return Err(wrong("the refresher is uac or uas")),
        };
        Ok(Self { seconds, refresher })
    }

    fn write(&self, out: &mut Vec<u8>) {
        chars::push_decimal(out, self.seconds);
        match self.refresher {
            None => {}
            Some(Refresher::Uac) => out.extend_from_slice(b";refresher=uac"),
            Some(Refresher::Uas) => out.extend_from_slice(b";refresher=uas"),
        }
    }
}
