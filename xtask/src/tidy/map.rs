//! Documents that name our files must name files that are there.

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
        }
    }
    findings
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
