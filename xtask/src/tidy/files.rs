//! The text files of the workspace.

use super::mask::mask;
use crate::process::Failure;
use std::{fs, path::Path};

/// Folders that hold what others made.
const FOREIGN: [&str; 5] = [".git", "node_modules", "dist", "results", "corpus"];

/// All text files that are ours.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) files: Vec<SourceFile>,
}

/// One text file.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// From the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// Rust files only: the text with comments and string literals blanked, line by line as the original.
    pub(super) code: String,
    /// For each line whether it is test code.
    pub(super) is_test: Vec<bool>,
}

impl Tree {
    /// Reads all files below `root`.
    pub(super) fn read(root: &Path) -> Result<Self, Failure> {
        let mut tree = Self::default();
        tree.descend(root, "")?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    fn descend(&mut self, folder: &Path, prefix: &str) -> Result<(), Failure> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if entry.file_type()?.is_dir() {
                let is_target = prefix.is_empty() && name.starts_with("target");
                if !is_target && !FOREIGN.contains(&name.as_str()) {
                    self.descend(&entry.path(), &format!("{path}/"))?;
                }
            } else if let Ok(text) = String::from_utf8(fs::read(entry.path())?) {
                self.files.push(SourceFile::new(path, text));
            }
        }
        Ok(())
    }
}

impl SourceFile {
    pub(super) fn new(path: String, text: String) -> Self {
        let code = if path.ends_with(".rs") {
            mask(&text)
        } else {
            String::new()
        };
        let is_test = test_lines(&path, &text, &code);
        Self {
            path,
            text,
            code,
            is_test,
        }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Lines of code with their number from 1, and whether they are test code.
    pub(super) fn code_lines(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        self.code
            .lines()
            .zip(&self.is_test)
            .enumerate()
            .map(|(at, (line, is_test))| (at + 1, line, *is_test))
    }
}

/// Marks the lines of test files, and of modules under `#[cfg(test)]` in others.
fn test_lines(path: &str, text: &str, code: &str) -> Vec<bool> {
    let whole = path.starts_with("testing/")
        || path.contains("/tests/")
        || path.ends_with("tests.rs")
        || text.lines().any(|line| line == "#![cfg(test)]");
    let mut marks = vec![whole; code.lines().count()];
    let lines = code.lines().collect::<Vec<_>>();
    let mut at = 0;
    while at < lines.len() {
        if lines[at].trim() == "#[cfg(test)]" {
            let indent = lines[at].len() - lines[at].trim_start().len();
            let end = block_end(&lines, at + 1, indent);
            marks[at..=end].fill(true);
            at = end;
        }
        at += 1;
    }
    marks
}

/// The line on which the item that begins at `start`, indented by `indent`, ends, going by rustfmt's layout.
pub(super) fn block_end(lines: &[&str], start: usize, indent: usize) -> usize {
    for (at, line) in lines.iter().enumerate().skip(start) {
        let own = line.len() - line.trim_start().len();
        let ends_item = line.trim_end().ends_with(';') || line.trim_end().ends_with('}');
        if own == indent && ends_item {
            return at;
        }
    }
    lines.len().saturating_sub(1)
}
