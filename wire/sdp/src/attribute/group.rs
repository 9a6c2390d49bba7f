//! `a=group`: sections that belong together (RFC 5888 §5, BUNDLE: RFC 9143).

use std::fmt;

use super::TypedAttribute;
use crate::MEDIA_SECTIONS_MAX;

/// Sections that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// `BUNDLE`, `LS` …
    pub semantics: String,
    /// Names of the sections, at most as many as a description can have.
    pub mids: Vec<String>,
}

impl Group {
    /// A BUNDLE of these sections.
    pub fn bundle(mids: Vec<String>) -> Self {
        Self {
            semantics: "BUNDLE".to_owned(),
            mids,
        }
    }

    /// True if it says which sections share a transport.
    pub fn is_bundle(&self) -> bool {
        self.semantics == "BUNDLE"
    }
}

impl TypedAttribute for Group {
    const NAME: &'static str = "group";
    const EXPECTED: &'static str = "<semantics> <mid> …";

    fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace().map(str::to_owned);
        Some(Self {
            semantics: words.next()?,
            mids: words.take(MEDIA_SECTIONS_MAX).collect(),
        })
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.semantics)?;
        self.mids.iter().try_for_each(|mid| write!(f, " {mid}"))
    }
}
