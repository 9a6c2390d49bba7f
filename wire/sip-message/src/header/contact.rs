//! Contact (§20.10).

use super::{Header, HeaderError, NameAddr};
use crate::chars;
use crate::name::HeaderName;

/// Where to reach a party directly, one element of the list.
#[derive(Clone, Copy, Debug)]
pub enum Contact<'a> {
    /// `*`: all bindings, in a REGISTER that removes them.
    All,
    /// An address.
    Address(NameAddr<'a>),
}

impl<'a> Contact<'a> {
    /// The address; `None` for `*`.
    pub fn address(&self) -> Option<&NameAddr<'a>> {
        match self {
            Self::All => None,
            Self::Address(address) => Some(address),
        }
    }

    /// The `expires` parameter in seconds.
    pub fn expires(&self) -> Option<u32> {
        chars::decimal(self.address()?.params.get("expires")?)
    }
}

impl<'a> Header<'a> for Contact<'a> {
    const NAME: HeaderName<'static> = HeaderName::Contact;

    fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        if value == b"*" {
            return Ok(Self::All);
        }
        NameAddr::parse(value)
            .map(Self::Address)
            .map_err(|what| HeaderError {
                header: Self::NAME,
                what,
            })
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::All => out.push(b'*'),
            Self::Address(address) => address.write(out),
        }
    }
}
