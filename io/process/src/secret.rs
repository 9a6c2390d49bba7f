//! Texts that must not be seen: passwords, keys, tokens.

use serde::{Deserialize, Deserializer, de};
use std::{fmt, path::PathBuf};
use zeroize::Zeroizing;

/// A secret of the configuration. Reads as a text, as `{ env = "NAME" }` or as `{ file = "/path" }` (one trailing
/// newline is cut); is overwritten in memory when dropped, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text that is known already.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Source {
    Env(String),
    File(PathBuf),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a text, { env = \"NAME\" } or { file = \"/path\" }")]
enum Form {
    Text(String),
    From(Source),
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(Self::new(text)),
            Form::From(Source::Env(name)) => std::env::var(&name).map(Self::new).map_err(|_| {
                de::Error::custom(format!(
                    "the environment variable {name} is not set (or is not UTF-8)"
                ))
            }),
            Form::From(Source::File(path)) => {
                let text = std::fs::read_to_string(&path).map(Zeroizing::new).map_err(|e| {
                    de::Error::custom(format!("cannot read the secret file {}: {e}", path.display()))
                })?;
                let text = text.strip_suffix('\n').unwrap_or(&text);
                Ok(Self::new(text.strip_suffix('\r').unwrap_or(text)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Holder {
        password: Secret,
    }

    #[test]
    fn reads_text_environment_and_file() {
        let read = |text: &str| toml::from_str::<Holder>(text).map(|h| h.password.expose().to_owned());
        assert_eq!(read("password = 'p'").unwrap(), "p");

        let path = std::env::var("PATH").unwrap();
        assert_eq!(read("password = { env = 'PATH' }").unwrap(), path);

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from-file\n").unwrap();
        assert_eq!(
            read(&format!("password = {{ file = '{}' }}", file.path().display())).unwrap(),
            "from-file"
        );
    }

    #[test]
    fn a_missing_source_is_named() {
        let error = |text: &str| toml::from_str::<Holder>(text).unwrap_err().to_string();
        assert!(
            error("password = { env = 'OFFHOOK_NOT_SET_ANYWHERE' }")
                .contains("OFFHOOK_NOT_SET_ANYWHERE is not set")
        );
        assert!(error("password = { file = '/nonexistent/secret' }").contains("/nonexistent/secret"));
        assert!(error("password = 5").contains("{ env = \"NAME\" }"));
    }

    #[test]
    fn debug_shows_nothing() {
        let holder = Holder {
            password: Secret::new("hunter2"),
        };
        assert!(!format!("{holder:?}").contains("hunter2"));
    }
}
