//! What is wrong with a description, in which line, and what should be there.

/// A description that cannot be read, or an attribute that is not what its name says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("SDP line {line}: {kind}")]
pub struct SdpError {
    /// Line number, counted from 1; 0 for a line that was not read but made by ourselves.
    pub line: usize,
    /// What is wrong there.
    pub kind: SdpErrorKind,
}

/// Kinds of [`SdpError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpErrorKind {
    /// Longer than [`crate::SDP_LEN_MAX`].
    #[error("description of {len} bytes; at most {max} are read", max = crate::SDP_LEN_MAX)]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The first line is not `v=0`.
    #[error("a description starts with v=0")]
    NotSdp,
    /// A line without `letter=`.
    #[error("not of the form <letter>=<value>")]
    NotALine,
    /// A carriage return inside a line, or a NUL.
    #[error("control character inside the line; lines end with CR LF")]
    ControlCharacter,
    /// A session without `o=`.
    #[error("no o= line; add o=- <id> <version> IN IP4 <address>")]
    NoOrigin,
    /// A line with a known letter and an unreadable value.
    #[error("{letter}= must be {expected}")]
    BadLine {
        /// The line's letter.
        letter: char,
        /// Its form.
        expected: &'static str,
    },
    /// An attribute with an unreadable value.
    #[error("a={name} must be {expected}")]
    BadAttribute {
        /// The attribute's name.
        name: &'static str,
        /// Its form.
        expected: &'static str,
    },
    /// More of something than is read.
    #[error("more than {max} {what}; send fewer")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

impl SdpErrorKind {
    /// Puts the line number to it.
    pub(crate) fn at(self, line: usize) -> SdpError {
        SdpError { line, kind: self }
    }
}
