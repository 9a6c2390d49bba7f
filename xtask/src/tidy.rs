//! The rules of the house that no compiler checks.
//!
//! Each module is one kind of rule and gives [`Finding`]s; there are no exceptions by file.

mod clocks;
mod files;
mod layers;
mod map;
mod mask;
mod shape;
mod words;

use crate::{
    process::{Failure, say},
    reference,
};
use files::Tree;
use std::{fmt, path::Path};

/// A rule broken somewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    file: String,
    /// From 1; 0 for the whole file.
    line: usize,
    what: String,
}

impl Finding {
    fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.what),
            line => write!(f, "{}:{line}: {}", self.file, self.what),
        }
    }
}

/// Checks the workspace in `root`; fails if a rule is broken.
pub(crate) fn run(root: &Path) -> Result<(), Failure> {
    let tree = Tree::read(root)?;
    let mut findings = check(&tree);
    if !reference::is_current(root) {
        let what = "is not what offhook.example.toml makes; run `cargo xtask docs`";
        findings.push(Finding::new("docs/configuration.md", 0, what));
    }
    findings.sort();
    for finding in &findings {
        say(&finding.to_string());
    }
    let files = tree.files.len();
    if findings.is_empty() {
        say(&format!("tidy: {files} files, nothing to complain about"));
        Ok(())
    } else {
        Err(Failure(format!(
            "tidy: {files} files, {} findings",
            findings.len()
        )))
    }
}

fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = layers::manifests(tree);
    findings.extend(map::check(tree));
    for file in &tree.files {
        findings.extend(shape::check(file));
        findings.extend(words::check(file));
        findings.extend(layers::imports(file));
        findings.extend(clocks::check(file));
    }
    findings
}

#[cfg(test)]
mod tests;
