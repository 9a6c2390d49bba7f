//! `a=msid`: stream and track of a section (RFC 8830).

use std::fmt;

use super::TypedAttribute;

/// Stream and track of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Msid {
    /// Stream id; `-` for no stream.
    pub stream: String,
    /// Track id.
    pub track: Option<String>,
}

impl TypedAttribute for Msid {
    const NAME: &'static str = "msid";
    const EXPECTED: &'static str = "<stream> [<track>]";

    fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace().map(str::to_owned);
        Some(Self {
            stream: words.next()?,
            track: words.next(),
        })
    }
}

impl fmt::Display for Msid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stream)?;
        self.track.as_ref().map_or(Ok(()), |track| write!(f, " {track}"))
    }
}
