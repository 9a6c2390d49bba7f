//! `a=extmap`: RTP header extensions (RFC 8285 §8).

use std::fmt;

use super::{Direction, TypedAttribute};

/// One RTP header extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extmap {
    /// Local identifier in packets, 1 to 4095.
    pub id: u16,
    /// Direction, where it is limited.
    pub direction: Option<Direction>,
    /// What it means.
    pub uri: String,
    /// Its attributes, as written.
    pub attributes: Option<String>,
}

impl TypedAttribute for Extmap {
    const NAME: &'static str = "extmap";
    const EXPECTED: &'static str = "<id>[/<direction>] <uri> [<attributes>]";

    fn parse(value: &str) -> Option<Self> {
        let mut words = value.trim().splitn(3, ' ');
        let id = words.next()?;
        let (id, direction) = match id.split_once('/') {
            Some((id, direction)) => (id, Some(Direction::from_attribute_name(direction)?)),
            None => (id, None),
        };
        let id = id.parse().ok().filter(|id| (1..4096).contains(id))?;
        Some(Self {
            id,
            direction,
            uri: super::word(words.next()?)?,
            attributes: words.next().map(str::to_owned),
        })
    }
}

impl fmt::Display for Extmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)?;
        if let Some(direction) = self.direction {
            write!(f, "/{}", direction.attribute_name())?;
        }
        write!(f, " {}", self.uri)?;
        self.attributes
            .as_ref()
            .map_or(Ok(()), |attributes| write!(f, " {attributes}"))
    }
}
