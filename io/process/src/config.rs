//! Reads a TOML file into a typed tree, and says precisely what is wrong with it.

use crate::{Problem, Severity};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Largest configuration file in bytes: thousands of users fit, a log file given by mistake does not.
pub const FILE_LEN_MAX: u64 = 16 * 1024 * 1024;

/// Why a configuration file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there, or not ours to read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is larger than [`FILE_LEN_MAX`].
    #[error("{path} is larger than {FILE_LEN_MAX} bytes; is it a configuration file?", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is not TOML, or not our tree.
    #[error(transparent)]
    Syntax(#[from] Box<SyntaxError>),
}

/// What is wrong in the text of a configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct SyntaxError {
    /// Name of the file.
    pub file: String,
    /// Line, from 1. 0 if unknown.
    pub line: usize,
    /// Column in characters, from 1. 0 if unknown.
    pub column: usize,
    /// What is wrong and where in the tree.
    #[serde(flatten)]
    pub problem: Problem,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}",
            self.file, self.line, self.column, self.problem.what
        )?;
        if !self.problem.path.is_empty() {
            write!(f, " (at {})", self.problem.path)?;
        }
        if !self.problem.remedy.is_empty() {
            write!(f, ". {}", self.problem.remedy)?;
        }
        Ok(())
    }
}

/// Reads `path` as TOML into `T`.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_LEN_MAX {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
        });
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(parse(&path.display().to_string(), &text)?)
}

/// Reads `text` as TOML into `T`; `file` is its name in errors.
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Box<SyntaxError>> {
    let deserializer =
        toml::Deserializer::parse(text).map_err(|error| syntax_error(file, text, String::new(), &error))?;
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = match error.path().to_string() {
            root if root == "." => String::new(),
            path => path,
        };
        syntax_error(file, text, path, error.inner())
    })
}

fn syntax_error(file: &str, text: &str, path: String, error: &toml::de::Error) -> Box<SyntaxError> {
    let (line, column) = error.span().map_or((0, 0), |span| locate(text, span.start));
    let (what, remedy) = explain(error.message());
    let problem = Problem {
        path,
        what,
        remedy,
        severity: Severity::Error,
    };
    Box::new(SyntaxError {
        file: file.to_owned(),
        line,
        column,
        problem,
    })
}

/// Line and column of the byte at `offset`.
fn locate(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// What to do about values of which the reader says only that something is wrong with them.
const FORMS: [(&str, &str); 5] = [
    (
        "socket address",
        "Write address:port, such as 127.0.0.1:8080 or [::1]:8080",
    ),
    ("IP address", "Write an address such as 192.0.2.1 or 2001:db8::1"),
    (
        "expected a sequence",
        "Write a list: [ … ], or for a list of sections each of them as [[name]]",
    ),
    (
        "secret file",
        "Create it, readable for the user that runs offhook, or mend the path",
    ),
    ("environment variable", "Set it where offhook is started"),
];

/// What serde says, in two parts: what is wrong, and what to do.
fn explain(message: &str) -> (String, String) {
    let message = without_text(message.trim());
    let message = message.as_str();
    if let Some((_, remedy)) = FORMS.iter().find(|(form, _)| message.contains(form)) {
        let what = message
            .split_once(", expected ")
            .map_or(message, |(what, _)| what);
        return (what.to_owned(), (*remedy).to_owned());
    }
    if message.starts_with("missing field") {
        let remedy = "Add it; offhook.example.toml shows every key with its unit and default";
        return (message.to_owned(), remedy.to_owned());
    }
    let Some((what, rest)) = message.split_once(", expected ") else {
        return (message.to_owned(), String::new());
    };
    if !what.starts_with("unknown ") {
        return (what.to_owned(), format!("Write {rest}"));
    }
    let mut quoted = what.split('`').skip(1).step_by(2);
    let known = rest.split('`').skip(1).step_by(2).collect::<Vec<_>>();
    let nearest = quoted.next().and_then(|wrong| nearest(wrong, &known));
    let remedy = match nearest {
        Some(name) => format!("Did you mean `{name}`?"),
        None => format!("Known here: {}", known.join(", ")),
    };
    (what.to_owned(), remedy)
}

/// A message without the text that stands at the wrong place: it may be a secret, and its line says which it is.
fn without_text(message: &str) -> String {
    const BEFORE: &str = "invalid type: string";
    const AFTER: &str = ", expected ";
    match (message.starts_with(BEFORE), message.rfind(AFTER)) {
        (true, Some(at)) => format!("{BEFORE}{}", &message[at..]),
        _ => message.to_owned(),
    }
}

/// The name among `known` that `wrong` was probably meant to be.
pub fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    // Of short names a single slip makes something that resembles nothing else by its letters.
    let is_slip = |name: &str| name.len() > 2 && strsim::osa_distance(wrong, name) == 1;
    let score = |name: &str| {
        if is_slip(name) {
            0.9
        } else {
            strsim::jaro_winkler(wrong, name)
        }
    };
    let scored = known.iter().map(|name| (score(name), *name));
    scored
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Tree {
        #[serde(default)]
        carrier: Vec<Carrier>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Carrier {
        uri: String,
        #[serde(default)]
        ring_timeout_ms: u32,
    }

    #[test]
    fn a_right_text_gives_its_values() {
        let tree = parse::<Tree>("t", "[[carrier]]\nuri = 'a'\nring_timeout_ms = 5\n").unwrap();
        assert_eq!(
            (tree.carrier[0].uri.as_str(), tree.carrier[0].ring_timeout_ms),
            ("a", 5)
        );
    }

    fn error(text: &str) -> Box<SyntaxError> {
        parse::<Tree>("offhook.toml", text).unwrap_err()
    }

    #[test]
    fn an_unknown_key_names_the_nearest_one_and_its_place() {
        let error = error("[[carrier]]\nuri = 'a'\n\n[[carrier]]\nuri = 'b'\nring_timeout = 5\n");
        assert_eq!((error.line, error.column), (6, 1));
        assert_eq!(error.problem.path, "carrier[1].ring_timeout");
        assert_eq!(error.problem.remedy, "Did you mean `ring_timeout_ms`?");
        assert_eq!(
            error.to_string(),
            "offhook.toml:6:1: unknown field `ring_timeout` (at carrier[1].ring_timeout). Did you mean `ring_timeout_ms`?"
        );
    }

    #[test]
    fn a_name_that_resembles_nothing_lists_what_is_known() {
        assert_eq!(
            error("[[carrier]]\nuri = 'a'\nzzz = 1\n").problem.remedy,
            "Known here: uri, ring_timeout_ms"
        );
        assert_eq!(error("quux = 1").problem.remedy, "Known here: carrier");
    }

    #[test]
    fn two_letters_that_changed_places_are_a_slip() {
        assert_eq!(nearest("vps", &["user", "vsp", "log"]), Some("vsp"));
        assert_eq!(nearest("vp", &["user", "vsp", "log"]), Some("vsp"));
        assert_eq!(nearest("sql", &["user", "vsp", "log"]), None);
    }

    #[test]
    fn what_cannot_be_read_says_how_it_is_written() {
        let remedy = |message: &str| explain(message).1;
        assert!(remedy("invalid socket address syntax").contains("127.0.0.1:8080"));
        assert!(remedy("invalid type: integer `8080`, expected socket address").contains("[::1]:8080"));
        assert!(remedy("invalid IP address syntax").contains("192.0.2.1"));
        assert!(remedy("missing field `zone`").contains("offhook.example.toml"));
        assert_eq!(
            explain("invalid type: string \"a\", expected u32"),
            ("invalid type: string".to_owned(), "Write u32".to_owned())
        );
        let (what, list) = explain("invalid type: map, expected a sequence");
        assert_eq!(what, "invalid type: map");
        assert!(list.contains("[[name]]"));
        assert!(remedy("cannot read the secret file /a: No such file").contains("Create it"));
        assert!(remedy("the environment variable A is not set").contains("Set it"));
    }

    #[test]
    fn wrong_types_and_missing_keys_carry_their_path() {
        let wrong = error("[[carrier]]\nuri = 'a'\nring_timeout_ms = 'long'\n");
        assert_eq!(
            (wrong.line, wrong.problem.path.as_str()),
            (3, "carrier[0].ring_timeout_ms")
        );
        let missing = error("[[carrier]]\nring_timeout_ms = 3\n");
        assert_eq!(missing.problem.path, "carrier[0]");
        assert!(missing.problem.what.contains("missing field `uri`"), "{missing}");
    }

    #[test]
    fn what_is_not_toml_is_located() {
        let error = error("a = \n");
        assert_eq!(error.line, 1);
        assert!(!error.problem.what.is_empty());
    }

    #[test]
    fn an_error_shows_no_value() {
        let error = error("[[carrier]]\nuri = 'x'\npassword = 'hunter2'\n");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn an_error_of_type_does_not_show_the_text_that_stands_there() {
        let error = error("carrier = 'hunter2, expected or not'\n");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load::<Tree>(Path::new("/nonexistent/offhook.toml")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/offhook.toml"), "{error}");
    }
}
