//! Changes to a received message: splices over its bytes, put together in one pass.

use crate::chars;
use crate::header::{self, Header, Via};
use crate::limits::{HEADER_LINES_MAX, MESSAGE_MAX};
use crate::message::{HeaderLine, Message};
use crate::name::HeaderName;
use crate::uri::Uri;
use crate::value::HeaderValue;
use bytes::Bytes;
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::ops::Range;

/// Collects changes to a message; [`Edit::finish`] makes the new bytes in one allocation. All that is not changed stays
/// byte for byte. Each change is made against the original message: a header that was added cannot be edited again, and
/// of two changes to one place the wider one counts, then the later one.
#[derive(Debug)]
pub struct Edit<'a> {
    message: &'a Message,
    splices: SmallVec<[Splice; 12]>,
    /// All new text, one after the other.
    text: SmallVec<[u8; 1024]>,
}

/// `range` of the original gives way to `text` of [`Edit::text`].
#[derive(Debug, Clone)]
struct Splice {
    range: Range<usize>,
    text: Range<usize>,
    kind: Kind,
    /// Among splices of one kind at one position, the lower comes first.
    order: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Adds whole lines between others.
    Lines,
    /// Changes or removes what is there.
    Change,
}

impl<'a> Edit<'a> {
    /// No changes yet.
    pub fn new(message: &'a Message) -> Self {
        Self {
            message,
            splices: SmallVec::new(),
            text: SmallVec::new(),
        }
    }

    /// Replaces the request URI. Nothing happens to a response.
    pub fn request_uri(&mut self, uri: &Uri<'_>) {
        if self.message.is_request() {
            self.splice(self.message.start_line_tail(), &[uri.as_bytes()]);
        }
    }

    /// Adds a header before all others of its name; before all headers if there is none.
    pub fn prepend(&mut self, name: HeaderName<'_>, value: &HeaderValue) {
        let at = self
            .message
            .matching(name)
            .next()
            .map_or(self.message.headers_start(), |line| line.start.into());
        self.splice_header(at, name, value);
        // What is prepended later stands first.
        if let Some(splice) = self.splices.last_mut() {
            splice.order = -splice.order - 1;
        }
    }

    /// Adds a header after all others of its name; after all headers if there is none.
    pub fn append(&mut self, name: HeaderName<'_>, value: &HeaderValue) {
        let at = self
            .message
            .matching(name)
            .next_back()
            .map_or(self.message.headers_end(), |line| line.end.into());
        self.splice_header(at, name, value);
    }

    /// Sets a header to one value, where its first line stands; added at the end if there is none.
    pub fn replace(&mut self, name: HeaderName<'_>, value: &HeaderValue) {
        let message = self.message;
        let mut lines = message.matching(name);
        let Some(first) = lines.next() else {
            return self.append(name, value);
        };
        self.splice(
            first.value_start.into()..first.value_end.into(),
            &[value.as_bytes()],
        );
        for line in lines {
            self.splice(line.start.into()..line.end.into(), &[]);
        }
    }

    /// Replaces the first element of a list header, or the first line's value of another; added if there is none.
    pub fn replace_first(&mut self, name: HeaderName<'a>, value: &HeaderValue) {
        match self.elements(name).next() {
            Some(element) => self.splice(element.range, &[value.as_bytes()]),
            None => self.append(name, value),
        }
    }

    /// Removes all lines of a header.
    pub fn remove(&mut self, name: HeaderName<'_>) {
        let message = self.message;
        for line in message.matching(name) {
            self.splice(line.start.into()..line.end.into(), &[]);
        }
    }

    /// Removes each header line that is `unwanted`, in one pass over all.
    pub fn remove_lines(&mut self, unwanted: impl Fn(&HeaderLine<'_>) -> bool) {
        let message = self.message;
        for (header, line) in message.headers().zip(message.lines()) {
            if unwanted(&header) {
                self.splice(line.start.into()..line.end.into(), &[]);
            }
        }
    }

    /// Removes the first `count` values of a header, across lines: the top Via, our own Routes.
    pub fn pop_values(&mut self, name: HeaderName<'a>, count: usize) {
        for element in self.elements(name).take(count) {
            // The last of a line takes the line with it, unless values before it stay (they cannot: we pop in order).
            let range = match element.next_start {
                Some(next) => element.range.start..next,
                None => element.line,
            };
            self.splice(range, &[]);
        }
    }

    /// Notes in the top Via where the request came from (§18.2.1, RFC 3581 §4), replacing what the sender may have
    /// put there. Returns whether that changed anything; `false` also if there is no Via to read.
    pub fn stamp_via(&mut self, source: SocketAddr) -> bool {
        let Some(element) = self.elements(HeaderName::Via).next() else {
            return false;
        };
        let raw = self.message.bytes();
        let Ok(via) = Via::parse(&raw[element.range.clone()]) else {
            return false;
        };
        if !via.wants_stamp(source) {
            return false;
        }
        let moved = via.host.ip() != Some(source.ip());
        let wants_rport = via.wants_rport();
        let head = via.params.as_bytes().as_ptr() as usize - raw.as_ptr() as usize;
        let mut tail: Vec<u8> = Vec::with_capacity(96);
        for (name, value) in via.params.iter() {
            if name.eq_ignore_ascii_case(b"received") || name.eq_ignore_ascii_case(b"rport") {
                continue;
            }
            tail.push(b';');
            tail.extend_from_slice(name);
            if let Some(value) = value {
                tail.push(b'=');
                tail.extend_from_slice(value);
            }
        }
        if moved || wants_rport {
            tail.extend_from_slice(b";received=");
            tail.extend_from_slice(source.ip().to_string().as_bytes());
        }
        if wants_rport {
            tail.extend_from_slice(b";rport=");
            chars::push_decimal(&mut tail, source.port());
        }
        self.splice(head..element.range.end, &[&tail]);
        true
    }

    /// Sets the body and its Content-Length; an empty body has no Content-Type.
    pub fn body(&mut self, content_type: Option<&HeaderValue>, body: &[u8]) {
        match content_type {
            Some(value) if !body.is_empty() => self.replace(HeaderName::ContentType, value),
            _ => self.remove(HeaderName::ContentType),
        }
        self.replace(HeaderName::ContentLength, &HeaderValue::number(body.len() as u64));
        self.splice(self.message.body_start()..self.message.bytes().len(), &[body]);
    }

    /// The new message's bytes.
    pub fn finish(mut self) -> Bytes {
        self.put_together()
    }

    fn put_together(&mut self) -> Bytes {
        let raw = self.message.bytes();
        self.splices
            .sort_by_key(|splice| (splice.range.start, splice.kind, splice.order));
        let mut out = Vec::with_capacity(raw.len() + self.text.len());
        let mut at = 0;
        let mut changed_at = None;
        for splice in &self.splices {
            let start = splice.range.start;
            if splice.kind == Kind::Change && (start < at || changed_at == Some(start)) {
                continue;
            }
            if start > at {
                out.extend_from_slice(&raw[at..start]);
            }
            out.extend_from_slice(&self.text[splice.text.clone()]);
            at = at.max(splice.range.end);
            if splice.kind == Kind::Change {
                changed_at = Some(start);
            }
        }
        out.extend_from_slice(&raw[at..]);
        out.into()
    }

    /// The new message, indexed again. An error only if it grew beyond the limits.
    pub fn finish_message(self) -> Result<Message, crate::ParseError> {
        Message::parse(self.finish())
    }

    /// The new message's bytes, where nobody needs its index. An error only if it grew beyond the limits.
    pub fn finish_within_limits(mut self) -> Result<Bytes, crate::ParseError> {
        let added = self.splices.iter().filter(|splice| splice.kind == Kind::Lines);
        if self.message.lines().len() + added.count() > HEADER_LINES_MAX {
            return Err(crate::ParseError::TooManyHeaders);
        }
        let bytes = self.put_together();
        match bytes.len() {
            ..=MESSAGE_MAX => Ok(bytes),
            bytes => Err(crate::ParseError::TooLarge { bytes }),
        }
    }

    fn splice_header(&mut self, at: usize, name: HeaderName<'_>, value: &HeaderValue) {
        let order = self.splices.len() as i32;
        self.push(
            at..at,
            &[name.as_bytes(), b": ", value.as_bytes(), b"\r\n"],
            Kind::Lines,
            order,
        );
    }

    fn splice(&mut self, range: Range<usize>, parts: &[&[u8]]) {
        // Of two changes to one place the later one counts: it goes first.
        let order = -(self.splices.len() as i32);
        self.push(range, parts, Kind::Change, order);
    }

    fn push(&mut self, range: Range<usize>, parts: &[&[u8]], kind: Kind, order: i32) {
        let start = self.text.len();
        for part in parts {
            self.text.extend_from_slice(part);
        }
        self.splices.push(Splice {
            range,
            text: start..self.text.len(),
            kind,
            order,
        });
    }

    /// Where each value of a header stands in the original.
    fn elements(&self, name: HeaderName<'a>) -> impl Iterator<Item = Element> + use<'a> {
        let message = self.message;
        let list = name.is_list();
        let base = message.bytes().as_ptr() as usize;
        message.matching(name).flat_map(move |line| {
            let starts = move |element: &[u8]| element.as_ptr() as usize - base;
            let mut found = header::elements(message.value(line), list).peekable();
            std::iter::from_fn(move || {
                let element = found.next()?;
                let start = starts(element);
                Some(Element {
                    range: start..start + element.len(),
                    next_start: found.peek().map(|next| starts(next)),
                    line: line.start.into()..line.end.into(),
                })
            })
        })
    }
}

/// One value of a header in the original message.
struct Element {
    range: Range<usize>,
    /// Where the next value of the same line starts.
    next_start: Option<usize>,
    line: Range<usize>,
}
