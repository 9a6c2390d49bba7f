//! Headers that the owner of a user agent adds to messages.

use bytes::Bytes;
use offhook_sip_message::{HeaderName, HeaderValue, Token};

/// A header line of the owner's: name and value are checked once, here, so that neither can break out of its line or
/// override what the stack itself writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    name: Bytes,
    value: HeaderValue,
}

/// Why a [`Header`] is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    /// Not a token.
    #[error("a header name must be a token: letters, digits and -.!%*_+`'~ only, and not empty")]
    Name,
    /// CR, LF or NUL inside.
    #[error("a header value must not contain CR, LF or NUL")]
    Value,
    /// Belongs to the stack.
    #[error("the header {0} is written by the SIP stack; leave it out")]
    Reserved(String),
}

impl Header {
    /// Takes a name and a value. Names that the stack writes itself (Via, From, Contact, Content-Length, …) are refused.
    pub fn new(name: &str, value: &str) -> Result<Self, InvalidHeader> {
        todo!()
    }

    /// The name.
    pub fn name(&self) -> HeaderName<'_> {
        todo!()
    }

    /// The value.
    pub fn value(&self) -> &HeaderValue {
        &self.value
    }
}
