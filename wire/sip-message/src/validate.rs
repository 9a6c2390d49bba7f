//! What a receiver has to check before it believes a message (RFC 3261 §8.1.1, §8.2, §16.3, §18.3).

use crate::StatusCode;
use crate::header::{self, Header};
use crate::header::{CSeq, CallId, Contact, ContentLength, From, HeaderError, MaxForwards, Route, To, Via};
use crate::limits::{GROWTH_LEN, GROWTH_LINES, HEADER_LINES_MAX, MESSAGE_MAX};
use crate::message::{Message, StartLine};
use crate::name::HeaderName;
use crate::uri::{InvalidUri, Uri};

/// A rule that a message breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// A header is missing or malformed.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A header that may be there once is there more often.
    #[error("header {0} is there more than once")]
    Repeated(HeaderName<'static>),
    /// The method in CSeq is not the request's.
    #[error("the method in CSeq differs from the request's")]
    CSeqMethod,
    /// The datagram ends before the body does.
    #[error("Content-Length says {declared} bytes, {present} are there")]
    BodyCut {
        /// What Content-Length says.
        declared: u32,
        /// What is there.
        present: usize,
    },
    /// The request URI.
    #[error("request URI: {0}")]
    RequestUri(#[from] InvalidUri),
    /// The request URI carries headers, which only other URIs may (§19.1.1).
    #[error("the request URI holds headers")]
    RequestUriHeaders,
    /// A request so near to the limits that it could be neither answered nor passed on.
    #[error("the request is so large that nothing can be added to it")]
    NoRoom,
}

impl Defect {
    /// The status that tells a request's sender. A response with a defect is dropped.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Header(_)
            | Self::Repeated(_)
            | Self::CSeqMethod
            | Self::BodyCut { .. }
            | Self::RequestUri(_)
            | Self::RequestUriHeaders => StatusCode::BAD_REQUEST,
            Self::NoRoom => StatusCode::MESSAGE_TOO_LARGE,
        }
    }
}

/// Headers that a message has at most once.
const SINGLE: [HeaderName<'static>; 7] = [
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::MaxForwards,
    HeaderName::ContentLength,
    HeaderName::ContentType,
];

/// The bits of [`SINGLE`] in a set of kinds.
const SINGLE_KINDS: u128 = {
    let mut kinds = 0;
    let mut at = 0;
    while at < SINGLE.len() {
        kinds |= SINGLE[at].kind().bit();
        at += 1;
    }
    kinds
};

fn repeated(message: &Message) -> Option<HeaderName<'static>> {
    let mut seen = 0;
    for line in message.lines() {
        let bit = line.kind.bit() & SINGLE_KINDS;
        if seen & bit != 0 {
            return SINGLE.into_iter().find(|name| name.kind() == line.kind);
        }
        seen |= bit;
    }
    None
}

fn required<'a>(message: &'a Message, name: HeaderName<'static>) -> Result<&'a [u8], HeaderError> {
    message.first(name).ok_or(HeaderError::missing(name))
}

fn check_address<'a, H: Header<'a>>(value: &'a [u8]) -> Result<(), HeaderError> {
    match header::is_plain(value) {
        true => Ok(()),
        false => H::parse(value).map(|_| ()),
    }
}

/// The first rule that `message` breaks. Checks what every element needs to handle it; whether an extension, a method
/// or a scheme is supported is the element's own question. Max-Forwards may be missing (§16.3).
pub fn validate(message: &Message) -> Result<(), Defect> {
    if let Some(name) = repeated(message) {
        return Err(Defect::Repeated(name));
    }
    message.require::<Via<'_>>()?;
    validate_headers(message)
}

/// The same for a message whose top Via was read before, and is well formed.
pub fn validate_beyond_via(message: &Message) -> Result<(), Defect> {
    match repeated(message) {
        Some(name) => Err(Defect::Repeated(name)),
        None => validate_headers(message),
    }
}

fn validate_headers(message: &Message) -> Result<(), Defect> {
    check_address::<From<'_>>(required(message, HeaderName::From)?)?;
    check_address::<To<'_>>(required(message, HeaderName::To)?)?;
    message.require::<CallId<'_>>()?;
    let cseq: CSeq = message.require()?;
    message.get::<MaxForwards>().transpose()?;
    if let Some(routes) = message.first(HeaderName::Route) {
        check_address::<Route<'_>>(header::elements(routes, true).next().unwrap_or_default())?;
    }
    for contact in message.values(HeaderName::Contact) {
        check_address::<Contact<'_>>(contact)?;
    }
    if let Some(length) = message.get::<ContentLength>().transpose()?
        && length.0 as usize > message.body().len()
    {
        return Err(Defect::BodyCut {
            declared: length.0,
            present: message.body().len(),
        });
    }
    if let StartLine::Request { method, uri } = message.start_line() {
        if *method != cseq.method {
            return Err(Defect::CSeqMethod);
        }
        if !Uri::parse(uri)?.headers().is_empty() {
            return Err(Defect::RequestUriHeaders);
        }
        let lines = message.lines().len();
        if message.bytes().len() > MESSAGE_MAX - GROWTH_LEN || lines > HEADER_LINES_MAX - GROWTH_LINES {
            return Err(Defect::NoRoom);
        }
    }
    Ok(())
}
