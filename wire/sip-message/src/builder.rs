//! New messages.

use crate::chars;
use crate::header::Header;
use crate::limits::MESSAGE_MAX;
use crate::message::{Message, ParseError};
use crate::name::HeaderName;
use crate::uri::Uri;
use crate::value::{HeaderValue, InvalidValue};
use crate::{Method, StatusCode};
use bytes::Bytes;

/// Puts a message together line by line. Content-Length is added by itself. A part that breaks a rule is remembered and
/// reported by [`MessageBuilder::build`], so that calls can be chained.
#[derive(Debug)]
pub struct MessageBuilder {
    out: Vec<u8>,
    body: Vec<u8>,
    error: Option<BuildError>,
}

/// Why no message came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A typed header held text that cannot stand in a header.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// Too large, or too many headers.
    #[error(transparent)]
    Message(#[from] ParseError),
}

impl MessageBuilder {
    /// `METHOD uri SIP/2.0`
    pub fn request(method: &Method, uri: &Uri<'_>) -> Self {
        Self::start(&[method.as_bytes(), b" ", uri.as_bytes(), b" SIP/2.0\r\n"])
    }

    /// `SIP/2.0 200 OK` with the phrase of the standard.
    pub fn response(status: StatusCode) -> Self {
        Self::start_response(status, status.phrase().as_bytes())
    }

    /// A response with a phrase of one's own.
    pub fn response_with_reason(status: StatusCode, reason: &HeaderValue) -> Self {
        Self::start_response(status, reason.as_bytes())
    }

    fn start_response(status: StatusCode, reason: &[u8]) -> Self {
        let code = status.code();
        let digits = [code / 100, code / 10 % 10, code % 10].map(|digit| b'0' + digit as u8);
        Self::start(&[b"SIP/2.0 ", &digits, b" ", reason, b"\r\n"])
    }

    fn start(parts: &[&[u8]]) -> Self {
        let mut out = Vec::with_capacity(1024);
        for part in parts {
            out.extend_from_slice(part);
        }
        Self {
            out,
            body: Vec::new(),
            error: None,
        }
    }

    /// Adds a header line.
    pub fn header(mut self, name: HeaderName<'_>, value: &HeaderValue) -> Self {
        self.push_line(name, value.as_bytes());
        self
    }

    /// Adds a typed header line.
    pub fn typed<'h, H: Header<'h>>(mut self, header: &H) -> Self {
        match header.to_value() {
            Ok(value) => self.push_line(H::NAME, value.as_bytes()),
            Err(error) => {
                self.error.get_or_insert(error.into());
            }
        }
        self
    }

    /// Adds a header line whose text is checked here: refused if it holds CR, LF or NUL.
    pub fn text(mut self, name: HeaderName<'_>, text: impl AsRef<[u8]>) -> Self {
        match HeaderValue::new(text.as_ref().to_vec()) {
            Ok(value) => self.push_line(name, value.as_bytes()),
            Err(error) => {
                self.error.get_or_insert(error.into());
            }
        }
        self
    }

    /// Copies all lines of one header from a received message, byte for byte.
    pub fn copy(mut self, from: &Message, name: HeaderName<'_>) -> Self {
        for line in from.matching(name) {
            self.out
                .extend_from_slice(&from.bytes()[line.start.into()..line.end.into()]);
        }
        self
    }

    /// Sets the body and its Content-Type.
    pub fn body(mut self, content_type: &HeaderValue, body: &[u8]) -> Self {
        self.push_line(HeaderName::ContentType, content_type.as_bytes());
        self.body = body.to_vec();
        self
    }

    /// The finished message.
    pub fn build(self) -> Result<Message, BuildError> {
        Ok(Message::parse(self.bytes()?)?)
    }

    /// The same where nobody reads it again. Too many headers are not noticed.
    pub fn bytes(mut self) -> Result<Bytes, BuildError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let length = self.body.len() as u64;
        self.push_line(HeaderName::ContentLength, chars::digits_of(length, &mut [0; 20]));
        self.out.extend_from_slice(b"\r\n");
        self.out.extend_from_slice(&self.body);
        if self.out.len() > MESSAGE_MAX {
            return Err(ParseError::TooLarge {
                bytes: self.out.len(),
            }
            .into());
        }
        // Transactions and traces keep it.
        self.out.shrink_to_fit();
        Ok(self.out.into())
    }

    pub(crate) fn push_line(&mut self, name: HeaderName<'_>, value: &[u8]) {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            self.out.extend_from_slice(part);
        }
    }
}
