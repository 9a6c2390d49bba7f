//! Documents that name our files must name files that are there, and what they say stands in one must stand there:
//! a path, the mark `›` and a text, each of the two quoted.

use super::{Finding, files::Tree};

const TOPS: [&str; 9] = [
    "wire", "protocol", "io", "services", "clients", "e2e", "testing", "xtask", "docs",
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        for (at, line) in file.text.lines().enumerate() {
            let quoted = line.split('`').skip(1).step_by(2);
            for path in quoted.filter(|text| is_path(text) && !exists(tree, text)) {
                findings.push(Finding::new(
                    &file.path,
                    at + 1,
                    format!("`{path}` does not exist"),
                ));
            }
            for (path, text) in passages(line).filter(|(path, text)| !stands(tree, path, text)) {
                let what = format!("`{text}` does not stand in `{path}`");
                findings.push(Finding::new(&file.path, at + 1, what));
            }
        }
    }
    findings
}

/// Each quoted path with the quoted text that a `›` ties to it.
fn passages(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = line.split('`').collect::<Vec<_>>();
    let ties = (2..parts.len().saturating_sub(1)).filter(|at| parts[*at].trim() == "›");
    let found = ties.map(|at| (parts[at - 1], parts[at + 1])).collect::<Vec<_>>();
    found.into_iter()
}

fn stands(tree: &Tree, path: &str, text: &str) -> bool {
    tree.files
        .iter()
        .any(|file| file.path == path && file.text.contains(text))
}

fn is_path(text: &str) -> bool {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/'));
    plain && text.split_once('/').is_some_and(|(top, _)| TOPS.contains(&top))
}

fn exists(tree: &Tree, path: &str) -> bool {
    let folder = format!("{}/", path.trim_end_matches('/'));
    tree.files
        .iter()
        .any(|file| file.path == path || file.path.starts_with(&folder))
}
