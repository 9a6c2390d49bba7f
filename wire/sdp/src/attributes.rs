//! The `a=` lines of a section: name and value, typed when asked for.

use std::fmt::Write as _;

use crate::attribute::{Direction, TypedAttribute};
use crate::error::{SdpError, SdpErrorKind};

/// One `a=` line. Two are equal if they say the same, wherever they stood.
#[derive(Debug, Clone)]
pub struct Attribute {
    /// Before the colon.
    pub name: String,
    /// After the colon; none for a flag.
    pub value: Option<String>,
    /// Line number it was read from, counted from 1; 0 if it was not read.
    pub(crate) line: usize,
}

impl PartialEq for Attribute {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.value == other.value
    }
}

impl Eq for Attribute {}

/// The `a=` lines of the session or of one section, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes(pub(crate) Vec<Attribute>);

impl Attributes {
    /// All lines, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Attribute> {
        self.0.iter()
    }

    /// True if there is a line of this name, with or without value.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|attribute| attribute.name == name)
    }

    /// The first attribute of type `T`, if there is one.
    ///
    /// # Errors
    /// If there is one and it cannot be read.
    pub fn first<T: TypedAttribute>(&self) -> Result<Option<T>, SdpError> {
        self.all::<T>().next().transpose()
    }

    /// Every attribute of type `T`, in order, each readable or not.
    pub fn all<T: TypedAttribute>(&self) -> impl Iterator<Item = Result<T, SdpError>> {
        self.0
            .iter()
            .filter(|attribute| attribute.name == T::NAME)
            .map(|attribute| {
                let value = attribute.value.as_deref().unwrap_or_default();
                T::parse(value).ok_or_else(|| {
                    SdpErrorKind::BadAttribute {
                        name: T::NAME,
                        expected: T::EXPECTED,
                    }
                    .at(attribute.line)
                })
            })
    }

    /// The direction, if a line states one; the last one counts.
    pub fn direction(&self) -> Option<Direction> {
        self.0
            .iter()
            .rev()
            .find_map(|attribute| Direction::from_attribute_name(&attribute.name))
    }

    /// Appends a typed attribute.
    pub fn push<T: TypedAttribute>(&mut self, attribute: &T) {
        let mut value = String::new();
        // Writing into a String cannot fail.
        let _ = write!(value, "{attribute}");
        self.0.push(Attribute {
            name: T::NAME.to_owned(),
            value: Some(value),
            line: 0,
        });
    }

    /// Appends a line without value, such as `rtcp-mux` (see [`crate::attribute::flag`]).
    pub fn push_flag(&mut self, name: &str) {
        self.0.push(Attribute {
            name: name.to_owned(),
            value: None,
            line: 0,
        });
    }

    /// Appends a line as it is.
    pub fn push_raw(&mut self, name: &str, value: &str) {
        self.0.push(Attribute {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            line: 0,
        });
    }
}
