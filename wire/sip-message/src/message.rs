//! A received message: its bytes and where its headers stand.

use crate::header::{self, Header, HeaderError};
use crate::index::{self, Broken, Line, Lines};
use crate::limits::MESSAGE_MAX;
use crate::name::{HeaderName, Kind};
use crate::uri::{InvalidUri, Uri};
use crate::{Method, StatusCode};
use bytes::Bytes;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A message that was received, or built by us: its buffer and the index of its header lines. Clones share both, and a
/// message is as cheap to move and to keep as a pointer.
#[derive(Clone)]
pub struct Message(Arc<Inner>);

struct Inner {
    raw: Bytes,
    start: Start,
    lines: Lines,
    start_line_end: usize,
    body_start: usize,
}

enum Start {
    Request {
        method: Method,
        uri: Range<usize>,
    },
    Response {
        status: StatusCode,
        reason: Range<usize>,
    },
}

/// The first line of a message.
#[derive(Clone, Copy, Debug)]
pub enum StartLine<'a> {
    /// `INVITE sip:bob@example.com SIP/2.0`
    Request {
        /// What is asked for.
        method: &'a Method,
        /// The request URI as it stands; see [`Message::request_uri`].
        uri: &'a [u8],
    },
    /// `SIP/2.0 200 OK`
    Response {
        /// The result.
        status: StatusCode,
        /// The phrase as it stands; may be empty.
        reason: &'a [u8],
    },
}

/// One header of a message as it stands there.
#[derive(Clone, Copy, Debug)]
pub struct HeaderLine<'a> {
    /// The name, known or other.
    pub name: HeaderName<'a>,
    /// The name as the sender wrote it.
    pub raw_name: &'a [u8],
    /// The value without white space around it; folds are still in it (see [`header::unfold`]).
    pub value: &'a [u8],
}

/// Why bytes are no message. [`ParseError::status`] says how to answer, if the rest can be answered at all
/// ([`Message::salvage`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Over [`MESSAGE_MAX`].
    #[error("message of {bytes} bytes; at most {max} are accepted", max = MESSAGE_MAX)]
    TooLarge {
        /// Size that was received.
        bytes: usize,
    },
    /// The empty line after the headers is missing.
    #[error("the message ends before the empty line that closes its headers")]
    Unfinished,
    /// Neither a request line nor a status line.
    #[error("the first line is neither a request line nor a status line")]
    StartLine,
    /// Another version than SIP/2.0.
    #[error("the version in the first line is not SIP/2.0")]
    Version,
    /// The status code is no number from 100 to 699.
    #[error("the status code is not a number from 100 to 699")]
    StatusCode,
    /// A line among the headers has no name or no colon.
    #[error("the line at byte {at} is not a header: it needs a name and a colon")]
    HeaderLine {
        /// Where the line starts.
        at: usize,
    },
    /// A CR or LF that is not part of a CR LF.
    #[error("byte {at} of the headers is a CR or LF alone; lines end with both")]
    BareLineBreak {
        /// Where it stands.
        at: usize,
    },
    /// Over [`crate::limits::HEADER_LINES_MAX`].
    #[error("more than {max} header lines", max = crate::limits::HEADER_LINES_MAX)]
    TooManyHeaders,
}

impl ParseError {
    /// The status that tells the sender of a request what is wrong. A broken response gets no answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::MESSAGE_TOO_LARGE,
            Self::Version => StatusCode::VERSION_NOT_SUPPORTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl Message {
    /// Reads one message: a whole datagram, or what [`crate::framing`] cut from a stream. Empty lines before it are
    /// skipped (§7.5), bytes beyond its Content-Length are dropped (§18.3); a wrong Content-Length is left to
    /// [`crate::validate`].
    pub fn parse(raw: Bytes) -> Result<Self, ParseError> {
        Self::read(raw, Broken::Refuse)
    }

    /// Reads what can be read of a request that [`Message::parse`] refused, so that it can be answered: lines that
    /// are no headers are left out. Never forward it. `None` if there is nothing to answer.
    pub fn salvage(mut raw: Bytes) -> Option<Self> {
        raw.truncate(MESSAGE_MAX);
        Self::read(raw, Broken::Skip).ok().filter(Self::is_request)
    }

    fn read(mut raw: Bytes, broken: Broken) -> Result<Self, ParseError> {
        let skip = raw.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        if skip > 0 {
            raw = raw.slice(skip..);
        }
        let head = index::head(&raw, broken)?;
        let line = &raw[..head.start_line_end];
        let start = match start_line(&raw, line) {
            Ok(start) => start,
            Err(error) if broken == Broken::Refuse => return Err(error),
            Err(error) => salvage_start(line).ok_or(error)?,
        };
        if let Some(length) = content_length(&raw, &head.lines)
            && let Some(excess_start) = head.body_start.checked_add(length)
            && excess_start < raw.len()
        {
            raw.truncate(excess_start);
        }
        Ok(Self(Arc::new(Inner {
            raw,
            start,
            lines: head.lines,
            start_line_end: head.start_line_end,
            body_start: head.body_start,
        })))
    }

    /// The whole message, byte for byte as received (without what [`Message::parse`] says it drops).
    pub fn bytes(&self) -> &Bytes {
        &self.0.raw
    }

    /// The first line.
    pub fn start_line(&self) -> StartLine<'_> {
        match &self.0.start {
            Start::Request { method, uri } => StartLine::Request {
                method,
                uri: &self.0.raw[uri.clone()],
            },
            Start::Response { status, reason } => StartLine::Response {
                status: *status,
                reason: &self.0.raw[reason.clone()],
            },
        }
    }

    /// Whether this is a request.
    pub fn is_request(&self) -> bool {
        matches!(self.0.start, Start::Request { .. })
    }

    /// The method, if this is a request.
    pub fn method(&self) -> Option<&Method> {
        match &self.0.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// The status, if this is a response.
    pub fn status(&self) -> Option<StatusCode> {
        match self.0.start {
            Start::Request { .. } => None,
            Start::Response { status, .. } => Some(status),
        }
    }

    /// The request URI; `None` for a response.
    pub fn request_uri(&self) -> Option<Result<Uri<'_>, InvalidUri>> {
        match &self.0.start {
            Start::Request { uri, .. } => Some(Uri::parse(&self.0.raw[uri.clone()])),
            Start::Response { .. } => None,
        }
    }

    /// The body, empty if there is none.
    pub fn body(&self) -> &[u8] {
        &self.0.raw[self.0.body_start..]
    }

    /// A handle on the message's buffer for a part of it that a view gave out, to keep it without copying.
    ///
    /// # Panics
    /// When `part` does not lie inside this message.
    pub fn share(&self, part: &[u8]) -> Bytes {
        self.0.raw.slice_ref(part)
    }

    /// All headers in order.
    pub fn headers(&self) -> impl DoubleEndedIterator<Item = HeaderLine<'_>> {
        self.0.lines.iter().map(|line| self.header_line(line))
    }

    /// The headers of one name, a line at a time.
    pub fn headers_named<'a>(
        &'a self,
        name: HeaderName<'a>,
    ) -> impl DoubleEndedIterator<Item = HeaderLine<'a>> {
        self.matching(name).map(|line| self.header_line(line))
    }

    /// The raw value of the first header of this name, whole (also of a list).
    pub fn first(&self, name: HeaderName<'_>) -> Option<&[u8]> {
        let kind = name.kind();
        let line = match kind == crate::name::OTHER {
            true => self.matching(name).next()?,
            false => self
                .0
                .lines
                .starting_at(kind)
                .iter()
                .find(|line| line.kind == kind)?,
        };
        Some(self.value(line))
    }

    /// Whether a header of this name is there.
    pub fn has(&self, name: HeaderName<'_>) -> bool {
        self.matching(name).next().is_some()
    }

    /// The values of a header in order: where the grammar makes it a list, each element of each line; otherwise each
    /// line. Empty elements are left out.
    pub fn values<'a>(&'a self, name: HeaderName<'a>) -> impl Iterator<Item = &'a [u8]> {
        let list = name.is_list();
        self.matching(name)
            .flat_map(move |line| header::elements(self.value(line), list))
            .take(crate::limits::LIST_VALUES_MAX)
    }

    /// Whether a list header holds this token, e.g. `Supported` the tag `100rel`. Compares without case.
    pub fn lists(&self, name: HeaderName<'_>, token: &str) -> bool {
        self.matching(name).any(|line| {
            header::elements(self.value(line), true).any(|value| value.eq_ignore_ascii_case(token.as_bytes()))
        })
    }

    /// The first value of a typed header; `None` if it is not there.
    pub fn get<'a, H: Header<'a>>(&'a self) -> Option<Result<H, HeaderError>> {
        let value = self.first(H::NAME)?;
        let first = match H::NAME.is_list() {
            true => header::elements(value, true).next().unwrap_or_default(),
            false => value,
        };
        Some(H::parse(first))
    }

    /// The tag in From, for messages that were validated: its address is not read again.
    pub fn from_tag(&self) -> Option<&[u8]> {
        header::tag(self.first(HeaderName::From)?)
    }

    /// The tag in To, likewise.
    pub fn to_tag(&self) -> Option<&[u8]> {
        header::tag(self.first(HeaderName::To)?)
    }

    /// The first value of a typed header that must be there.
    pub fn require<'a, H: Header<'a>>(&'a self) -> Result<H, HeaderError> {
        self.get().unwrap_or(Err(HeaderError::missing(H::NAME)))
    }

    /// All values of a typed header in order.
    pub fn all<'a, H: Header<'a>>(&'a self) -> impl Iterator<Item = Result<H, HeaderError>> {
        self.values(H::NAME).map(H::parse)
    }

    pub(crate) fn matching<'a>(&'a self, name: HeaderName<'a>) -> impl DoubleEndedIterator<Item = &'a Line> {
        let kind: Kind = name.kind();
        self.0.lines.starting_at(kind).iter().filter(move |line| {
            line.kind == kind
                && (kind != crate::name::OTHER || self.raw_name(line).eq_ignore_ascii_case(name.as_bytes()))
        })
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.0.lines
    }

    pub(crate) fn value(&self, line: &Line) -> &[u8] {
        &self.0.raw[line.value_start.into()..line.value_end.into()]
    }

    fn raw_name(&self, line: &Line) -> &[u8] {
        &self.0.raw[line.start.into()..line.name_end.into()]
    }

    fn header_line(&self, line: &Line) -> HeaderLine<'_> {
        let raw_name = self.raw_name(line);
        HeaderLine {
            name: line.kind.name(raw_name),
            raw_name,
            value: self.value(line),
        }
    }

    /// Where the request URI or the reason stands.
    pub(crate) fn start_line_tail(&self) -> Range<usize> {
        match &self.0.start {
            Start::Request { uri, .. } => uri.clone(),
            Start::Response { reason, .. } => reason.clone(),
        }
    }

    /// After the start line's line break: where the first header stands.
    pub(crate) fn headers_start(&self) -> usize {
        self.0.start_line_end + 2
    }

    /// Of the empty line that ends the headers.
    pub(crate) fn headers_end(&self) -> usize {
        self.0
            .lines
            .last()
            .map_or(self.headers_start(), |line| line.end.into())
    }

    pub(crate) fn body_start(&self) -> usize {
        self.0.body_start
    }
}

/// Debugging shows the first line only: headers may hold secrets.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Message({:?})",
            String::from_utf8_lossy(&self.0.raw[..self.0.start_line_end])
        )
    }
}

const VERSION: &[u8] = b"SIP/2.0";

/// The first Content-Length, if it is a number.
fn content_length(raw: &[u8], lines: &Lines) -> Option<usize> {
    let kind = HeaderName::ContentLength.kind();
    let line = lines.starting_at(kind).first()?;
    let value = &raw[line.value_start.into()..line.value_end.into()];
    header::ContentLength::parse(value)
        .ok()
        .map(|length| length.0 as usize)
}

fn start_line(raw: &Bytes, line: &[u8]) -> Result<Start, ParseError> {
    let is_response = line
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"));
    if is_response {
        status_line(line)
    } else {
        request_line(raw, line)
    }
}

fn request_line(raw: &Bytes, line: &[u8]) -> Result<Start, ParseError> {
    let method_end = memchr::memchr(b' ', line).ok_or(ParseError::StartLine)?;
    let uri_start = method_end + 1;
    let uri_len = memchr::memchr(b' ', &line[uri_start..]).ok_or(ParseError::StartLine)?;
    let uri = uri_start..uri_start + uri_len;
    let version = &line[uri.end + 1..];
    let method = &line[..method_end];
    let method = match Method::known(method) {
        Some(method) => method,
        None if crate::chars::is_token(method) => Method::Other(raw.slice(..method_end)),
        None => return Err(ParseError::StartLine),
    };
    if uri.is_empty() {
        return Err(ParseError::StartLine);
    }
    if !version.eq_ignore_ascii_case(VERSION) {
        let other_version = version
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"));
        let plain = version.iter().all(|b| !crate::chars::is_space(*b));
        return Err(if other_version && plain {
            ParseError::Version
        } else {
            ParseError::StartLine
        });
    }
    Ok(Start::Request { method, uri })
}

fn status_line(line: &[u8]) -> Result<Start, ParseError> {
    let (version, rest) = line
        .split_at_checked(VERSION.len())
        .ok_or(ParseError::StartLine)?;
    let [b' ', rest @ ..] = rest else {
        return Err(ParseError::Version);
    };
    if !version.eq_ignore_ascii_case(VERSION) {
        return Err(ParseError::Version);
    }
    let code_len = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let code: Option<u16> = if code_len == 3 {
        crate::chars::decimal(&rest[..3])
    } else {
        None
    };
    let status = code
        .and_then(|c| StatusCode::new(c).ok())
        .ok_or(ParseError::StatusCode)?;
    let reason_start = (VERSION.len() + 1 + code_len + 1).min(line.len());
    Ok(Start::Response {
        status,
        reason: reason_start..line.len(),
    })
}

/// The method of a broken request line, if that much is there.
fn salvage_start(line: &[u8]) -> Option<Start> {
    let method_end = memchr::memchr(b' ', line)?;
    let is_response = line
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"));
    let method = Method::new(&line[..method_end]).filter(|_| !is_response)?;
    Some(Start::Request {
        method,
        uri: method_end..method_end,
    })
}
