//! What is wrong with a configuration, where, and how to mend it.

use serde::Serialize;
use std::fmt;

/// Whether a [`Problem`] keeps the process from starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It works, but probably not as meant, or not safely.
    Warning,
    /// The process would not start with it.
    Error,
}

/// One finding of `offhook check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Dotted place in the configuration: `carrier[1].uri`.
    pub path: String,
    /// What is wrong, in one sentence without a full stop.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
    /// How bad it is.
    pub severity: Severity,
}

impl Problem {
    /// A problem that keeps the process from starting.
    pub fn error(path: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            what: what.into(),
            remedy: remedy.into(),
            severity: Severity::Error,
        }
    }

    /// A problem that the process can live with.
    pub fn warning(path: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(path, what, remedy)
        }
    }

    /// The same, one level further down: `below("vsp")` makes `listen` into `vsp.listen`.
    pub fn below(mut self, parent: &str) -> Self {
        self.path = match self.path.as_str() {
            "" => parent.to_owned(),
            path if path.starts_with('[') => format!("{parent}{path}"),
            path => format!("{parent}.{path}"),
        };
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}. {}", self.path, self.what, self.remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_nest() {
        let path = |path: &str| Problem::error(path, "w", "r").below("vsp").path;
        assert_eq!(path("listen"), "vsp.listen");
        assert_eq!(path("[1].uri"), "vsp[1].uri");
        assert_eq!(path(""), "vsp");
    }
}
