//! `a=fmtp`: parameters of a format (RFC 8866 §6.15).

use std::fmt;

use super::TypedAttribute;

/// Most parameters of one line that are kept; codecs define under 20.
const PARAMETERS_MAX: usize = 64;

/// The parameters of one payload type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fmtp {
    /// 0 to 127.
    pub payload_type: u8,
    /// In order, at most 64.
    pub parameters: Vec<FmtpParameter>,
}

/// `name=value`, or a bare value such as the `0-16` of telephone-event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FmtpParameter {
    /// Before `=`, or all of it.
    pub name: String,
    /// After `=`.
    pub value: Option<String>,
}

impl Fmtp {
    /// The value of a parameter; names are compared without regard to case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self
            .parameters
            .iter()
            .find(|parameter| parameter.name.eq_ignore_ascii_case(name))?;
        found.value.as_deref()
    }

    /// The value of a parameter as a number.
    pub fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.get(name)?.parse().ok()
    }

    /// True if a parameter is `1`.
    pub fn enabled(&self, name: &str) -> bool {
        self.get(name) == Some("1")
    }

    /// Appends `name=value`.
    pub fn push(&mut self, name: &str, value: impl fmt::Display) {
        self.parameters.push(FmtpParameter {
            name: name.to_owned(),
            value: Some(value.to_string()),
        });
    }
}

impl TypedAttribute for Fmtp {
    const NAME: &'static str = "fmtp";
    const EXPECTED: &'static str = "<payload type> <name>=<value>;…";

    fn parse(value: &str) -> Option<Self> {
        let (payload_type, list) = value.trim().split_once(' ')?;
        let parameters = list
            .split(';')
            .map(str::trim)
            .filter(|parameter| !parameter.is_empty())
            .take(PARAMETERS_MAX)
            .map(|parameter| match parameter.split_once('=') {
                Some((name, value)) => FmtpParameter {
                    name: name.trim().to_owned(),
                    value: Some(value.trim().to_owned()),
                },
                None => FmtpParameter {
                    name: parameter.to_owned(),
                    value: None,
                },
            })
            .collect();
        Some(Self {
            payload_type: super::payload_type(payload_type)?,
            parameters,
        })
    }
}

impl fmt::Display for Fmtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.payload_type)?;
        for (index, parameter) in self.parameters.iter().enumerate() {
            f.write_str(if index == 0 { " " } else { ";" })?;
            f.write_str(&parameter.name)?;
            if let Some(value) = &parameter.value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}
