//! `a=ssrc`: what a media source says of itself (RFC 5576).

use std::fmt;

use super::TypedAttribute;

/// One attribute of a media source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssrc {
    /// The source.
    pub ssrc: u32,
    /// Name of its attribute, mostly `cname`; empty if none is given.
    pub attribute: String,
    /// Value of its attribute.
    pub value: Option<String>,
}

impl Ssrc {
    /// `<ssrc> cname:<cname>`.
    pub fn cname(ssrc: u32, cname: &str) -> Self {
        Self {
            ssrc,
            attribute: "cname".to_owned(),
            value: Some(cname.to_owned()),
        }
    }
}

impl TypedAttribute for Ssrc {
    const NAME: &'static str = "ssrc";
    const EXPECTED: &'static str = "<ssrc> <attribute>[:<value>]";

    fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        let (ssrc, rest) = value.split_once(' ').unwrap_or((value, ""));
        let (attribute, value) = match rest.split_once(':') {
            Some((attribute, value)) => (attribute, Some(value.to_owned())),
            None => (rest, None),
        };
        Some(Self {
            ssrc: ssrc.parse().ok()?,
            attribute: attribute.to_owned(),
            value,
        })
    }
}

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ssrc.fmt(f)?;
        if !self.attribute.is_empty() {
            write!(f, " {}", self.attribute)?;
        }
        self.value.as_ref().map_or(Ok(()), |value| write!(f, ":{value}"))
    }
}
