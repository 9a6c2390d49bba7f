//! Headers that the owner of a user agent adds to messages.

use bytes::Bytes;
use offhook_sip_message::{HeaderName, HeaderValue, Message, MessageBuilder};

/// Names that the stack writes itself; from elsewhere they would contradict it.
const RESERVED: [HeaderName<'static>; 16] = [
    HeaderName::Via,
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::Contact,
    HeaderName::MaxForwards,
    HeaderName::Route,
    HeaderName::RecordRoute,
    HeaderName::ContentLength,
    HeaderName::ContentType,
    HeaderName::Authorization,
    HeaderName::ProxyAuthorization,
    HeaderName::RSeq,
    HeaderName::RAck,
    HeaderName::Timestamp,
];

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
    /// Takes a name and a value. Names that the stack writes itself (Via, From, Contact, Content-Length, …) are refused,
    /// in their short forms too.
    pub fn new(name: &str, value: &str) -> Result<Self, InvalidHeader> {
        let known = HeaderName::new(name.as_bytes()).map_err(|_| InvalidHeader::Name)?;
        if RESERVED.contains(&known) {
            return Err(InvalidHeader::Reserved(name.to_owned()));
        }
        let value = HeaderValue::new(value.to_owned()).map_err(|_| InvalidHeader::Value)?;
        Ok(Self {
            name: Bytes::copy_from_slice(name.as_bytes()),
            value,
        })
    }

    /// The name.
    pub fn name(&self) -> HeaderName<'_> {
        HeaderName::new(&self.name).expect("the name was checked to be a token")
    }

    /// The value.
    pub fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// Adds lines to a message under construction.
    pub(crate) fn add_all(headers: &[Self], mut builder: MessageBuilder) -> MessageBuilder {
        for header in headers {
            builder = builder.header(header.name(), &header.value);
        }
        builder
    }
}

/// The text of the first header `name` of a message, if it is UTF-8: for headers of our own.
pub fn text_of<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let name = HeaderName::new(name.as_bytes()).ok()?;
    std::str::from_utf8(message.first(name)?).ok()
}
