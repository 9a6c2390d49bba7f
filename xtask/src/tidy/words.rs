//! Words that must not stand in our files.

use super::{Finding, files::SourceFile};

/// Words of unfinished work; put together here so that this file does not find itself.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
];
/// Paths that exist on one machine only.
const MACHINE_PATHS: [&str; 3] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
];

pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |line: usize, what: String| findings.push(Finding::new(&file.path, line, what));
    for (at, line) in file.text.lines().enumerate() {
        for word in MACHINE_PATHS.iter().filter(|word| line.contains(**word)) {
            found(at + 1, format!("`{word}` is a path of one machine"));
        }
        if is_lock_file(file) {
            continue;
        }
        for word in UNFINISHED.iter().filter(|word| contains_word(line, word)) {
            found(at + 1, format!("`{word}`: finish it, or take it out"));
        }
    }
    for (number, line, _) in file.code_lines() {
        if line.contains("#[allow(") || line.contains("#![allow(") {
            found(
                number,
                "use #[expect(…, reason = \"…\")], which ends when its reason does".to_owned(),
            );
        }
    }
    if file.path.ends_with("package-lock.json") && file.text.contains("\"resolved\": \"http") {
        found(
            0,
            "names the registry that it was made with: take out the \"resolved\" lines".to_owned(),
        );
    }
    if file.path.ends_with("Cargo.lock") {
        let foreign = |line: &&str| {
            line.starts_with("source = ") && !line.contains("github.com/rust-lang/crates.io-index")
        };
        if let Some(line) = file.text.lines().find(foreign) {
            found(0, format!("names a source other than crates.io: {line}"));
        }
    }
    findings
}

fn is_lock_file(file: &SourceFile) -> bool {
    file.path.ends_with(".lock") || file.path.ends_with("package-lock.json")
}

/// True if `word` stands in `line` and is not a part of a longer one. A word that ends with `(` may go on.
pub(super) fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && (word.ends_with('(') || !after.is_some_and(is_word))
    })
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
