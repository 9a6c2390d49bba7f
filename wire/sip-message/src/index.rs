//! Finds the start line and the header lines of a message: the only parsing that every message pays for.

use crate::chars;
use crate::limits::{HEADER_LINES_MAX, MESSAGE_MAX};
use crate::message::ParseError;
use crate::name::Kind;
use smallvec::SmallVec;
use std::ops::Deref;

/// A position in a message; [`MESSAGE_MAX`] keeps it within 16 bits.
pub(crate) type Position = u16;

const _: () = assert!(MESSAGE_MAX <= Position::MAX as usize);

/// Where one header stands: `start..end` with its line break and all folds, name and trimmed value inside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) kind: Kind,
    pub(crate) start: Position,
    pub(crate) name_end: Position,
    pub(crate) value_start: Position,
    pub(crate) value_end: Position,
    pub(crate) end: Position,
}

/// The header lines of a message.
pub(crate) struct Lines {
    /// Those of an ordinary message fit without allocating.
    all: SmallVec<[Line; 32]>,
    /// Where the first line of each common kind stands among them; their number or more: there is none.
    firsts: [u16; Kind::COMMON],
}

impl Lines {
    fn new() -> Self {
        Self {
            all: SmallVec::new(),
            firsts: [u16::MAX; Kind::COMMON],
        }
    }

    fn push(&mut self, line: Line) {
        if let Some(first) = self.firsts.get_mut(line.kind.place()) {
            *first = (*first).min(self.all.len() as u16);
        }
        self.all.push(line);
    }

    /// From the first line of this kind on; maybe with some before it.
    pub(crate) fn starting_at(&self, kind: Kind) -> &[Line] {
        let first = self.firsts.get(kind.place()).copied().unwrap_or_default();
        self.all.get(first.into()..).unwrap_or_default()
    }
}

impl Deref for Lines {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        &self.all
    }
}

/// The head of a message, found.
pub(crate) struct Head {
    /// End of the start line without its line break.
    pub(crate) start_line_end: usize,
    pub(crate) lines: Lines,
    /// After the empty line.
    pub(crate) body_start: usize,
}

/// What to do with a line that is no header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Give up.
    Refuse,
    /// Leave it out, also a missing end of the head: enough to answer the sender.
    Skip,
}

/// Indexes `raw`, which starts with its start line.
pub(crate) fn head(raw: &[u8], broken: Broken) -> Result<Head, ParseError> {
    if raw.len() > MESSAGE_MAX {
        return Err(ParseError::TooLarge { bytes: raw.len() });
    }
    let start_line_end = line_end(raw, 0, broken)?.ok_or(ParseError::Unfinished)?;
    let mut lines = Lines::new();
    let mut at = start_line_end + 2;
    loop {
        let start = at;
        let end = match unfolded_end(raw, start, broken) {
            Ok(Some(end)) => end,
            Ok(None) if broken == Broken::Skip => break,
            Ok(None) => return Err(ParseError::Unfinished),
            Err(error) => return Err(error),
        };
        at = end + 2;
        if end == start {
            break;
        }
        match split(raw, start, end) {
            Some(line) if lines.len() < HEADER_LINES_MAX => lines.push(line),
            Some(_) if broken == Broken::Skip => break,
            Some(_) => return Err(ParseError::TooManyHeaders),
            None if broken == Broken::Skip => {}
            None => return Err(ParseError::HeaderLine { at: start }),
        }
    }
    Ok(Head {
        start_line_end,
        lines,
        body_start: at.min(raw.len()),
    })
}

/// Position of the CR LF that ends the header from `start`, beyond all folds (§7.3.1).
fn unfolded_end(raw: &[u8], start: usize, broken: Broken) -> Result<Option<usize>, ParseError> {
    let mut from = start;
    loop {
        let Some(end) = line_end(raw, from, broken)? else {
            return Ok(None);
        };
        let folded = end > start && matches!(raw.get(end + 2), Some(b' ' | b'\t'));
        if !folded {
            return Ok(Some(end));
        }
        from = end + 2;
    }
}

/// Position of the next CR LF. A CR or LF alone is refused: parsers that disagree on it see different messages.
fn line_end(raw: &[u8], from: usize, broken: Broken) -> Result<Option<usize>, ParseError> {
    let mut from = from;
    loop {
        let Some(found) = raw
            .get(from..)
            .and_then(|rest| memchr::memchr2(b'\r', b'\n', rest))
        else {
            return Ok(None);
        };
        let at = from + found;
        if raw[at] == b'\r' && raw.get(at + 1) == Some(&b'\n') {
            return Ok(Some(at));
        }
        match broken {
            Broken::Refuse => return Err(ParseError::BareLineBreak { at }),
            Broken::Skip => from = at + 1,
        }
    }
}

/// Name and value of the header in `start..end`; `None` if there is no name or no colon.
fn split(raw: &[u8], start: usize, end: usize) -> Option<Line> {
    let line = raw.get(start..end)?;
    let (name, rest) = line.split_at(chars::token_len(line));
    let mut spaced = rest;
    while let [b' ' | b'\t', rest @ ..] = spaced {
        spaced = rest;
    }
    let [b':', after @ ..] = spaced else {
        return None;
    };
    if name.is_empty() {
        return None;
    }
    // Nearly everybody writes one space before the value and none behind it.
    let value = chars::trim(after.strip_prefix(b" ").unwrap_or(after));
    let value_start = value.as_ptr() as usize - raw.as_ptr() as usize;
    Some(Line {
        kind: Kind::of(name),
        start: start as Position,
        name_end: (start + name.len()) as Position,
        value_start: value_start as Position,
        value_end: (value_start + value.len()) as Position,
        end: (end + 2) as Position,
    })
}
