//! Messages out of a byte stream (RFC 3261 §18.3), with the keep-alives of RFC 5626 §4.4.1.

use crate::header::{ContentLength, Header};
use crate::index::{self, Broken};
use crate::limits::{MESSAGE_MAX, STREAM_HEAD_MAX};
use crate::name::HeaderName;
use bytes::{Buf, Bytes, BytesMut};

/// What came in on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// One whole message, for [`crate::Message::parse`].
    Message(Bytes),
    /// A double CR LF between messages: answer it with [`PONG`].
    Ping,
}

/// Answer to a [`Frame::Ping`].
pub const PONG: &[u8] = b"\r\n";

/// The stream cannot be cut into messages any more: close it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No end of the headers within [`STREAM_HEAD_MAX`].
    #[error("no end of the headers within {STREAM_HEAD_MAX} bytes")]
    HeadTooLong,
    /// On a stream Content-Length must be there, once, and a number.
    #[error("Content-Length is missing, repeated or no number; a stream cannot be followed without it")]
    ContentLength,
    /// The message is over [`MESSAGE_MAX`].
    #[error("message of {bytes} bytes; at most {MESSAGE_MAX} are accepted")]
    TooLarge {
        /// Its length with the head.
        bytes: usize,
    },
}

/// Cuts messages out of one direction of a stream. Holds at most one unfinished message.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
    /// Up to here no end of the head was found.
    scanned: usize,
    /// Length of the message at the front, once its head is complete.
    wanted: Option<usize>,
}

impl Framer {
    /// An empty stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was read. Call [`Framer::poll`] until it yields `None` before the next read, so that no more than one
    /// message and one read are held.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame, `None` until more is read.
    pub fn poll(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.wanted.is_none() {
            if self.skip_line_breaks() {
                return Ok(Some(Frame::Ping));
            }
            self.wanted = self.message_length()?;
        }
        match self.wanted {
            Some(length) if length <= self.buffer.len() => {
                self.wanted = None;
                self.scanned = 0;
                Ok(Some(Frame::Message(self.buffer.split_to(length).freeze())))
            }
            _ => Ok(None),
        }
    }

    /// Drops line breaks before a message; `true` if two CR LF in a row made a ping.
    fn skip_line_breaks(&mut self) -> bool {
        while self.buffer.starts_with(b"\r\n") {
            let rest = &self.buffer[2..];
            if rest.starts_with(b"\r\n") {
                self.buffer.advance(4);
                return true;
            }
            if b"\r\n".starts_with(rest) {
                // May still become a ping.
                return false;
            }
            self.buffer.advance(2);
        }
        false
    }

    /// Length of the message at the front with its body; `None` until its head is there.
    fn message_length(&mut self) -> Result<Option<usize>, FrameError> {
        let from = self.scanned.saturating_sub(3);
        let Some(found) = memchr::memmem::find(&self.buffer[from..], b"\r\n\r\n") else {
            self.scanned = self.buffer.len();
            let too_long = self.buffer.len() > STREAM_HEAD_MAX;
            return if too_long {
                Err(FrameError::HeadTooLong)
            } else {
                Ok(None)
            };
        };
        let head_end = from + found + 4;
        if head_end > STREAM_HEAD_MAX {
            return Err(FrameError::HeadTooLong);
        }
        let length = head_end.saturating_add(content_length(&self.buffer[..head_end])?);
        if length > MESSAGE_MAX {
            return Err(FrameError::TooLarge { bytes: length });
        }
        self.buffer.reserve(length.saturating_sub(self.buffer.len()));
        Ok(Some(length))
    }
}

fn content_length(head: &[u8]) -> Result<usize, FrameError> {
    let index = index::head(head, Broken::Skip).map_err(|_| FrameError::ContentLength)?;
    let kind = HeaderName::ContentLength.kind();
    let mut lines = index.lines.iter().filter(|line| line.kind == kind);
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(FrameError::ContentLength);
    };
    let value = &head[line.value_start.into()..line.value_end.into()];
    ContentLength::parse(value)
        .map(|length| length.0 as usize)
        .map_err(|_| FrameError::ContentLength)
}
