//! Sizes and headers: nothing so long that it cannot be read in one go, and no file without a purpose.

use super::{
    Finding,
    files::{SourceFile, block_end},
};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_script = [".ts", ".js", ".mjs"].iter().any(|end| file.path.ends_with(end));
    if file.is_rust() || is_script {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            findings.push(Finding::new(
                &file.path,
                0,
                format!("{lines} lines; split it, {FILE_LINES_MAX} are allowed"),
            ));
        }
    }
    if file.is_rust() {
        if !file.text.starts_with("//! ") {
            findings.push(Finding::new(
                &file.path,
                1,
                "must open with a `//!` line that says what it is for",
            ));
        }
        findings.extend(long_functions(file));
    }
    if is_script
        && !file.path.ends_with(".test.ts")
        && !(file.text.starts_with("//") || file.text.starts_with("/*") || file.text.starts_with("#!"))
    {
        findings.push(Finding::new(
            &file.path,
            1,
            "must open with a comment that says what it is for",
        ));
    }
    findings
}

fn long_functions(file: &SourceFile) -> Vec<Finding> {
    let lines = file.code.lines().collect::<Vec<_>>();
    let mut findings = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let length = block_end(&lines, at, indent) - at + 1;
        if length > FUNCTION_LINES_MAX {
            let what = format!("fn {name} has {length} lines; split it, {FUNCTION_LINES_MAX} are allowed");
            findings.push(Finding::new(&file.path, at + 1, what));
        }
    }
    findings
}

/// The name of the function that begins on this line.
fn function_name(line: &str) -> Option<&str> {
    let mut words = line.trim_start();
    loop {
        let (word, rest) = words.split_once(' ')?;
        if word == "fn" {
            return rest.split(['(', '<']).next();
        }
        let is_qualifier = word.starts_with("pub") || matches!(word, "const" | "async" | "unsafe" | "extern");
        if !is_qualifier && !word.ends_with(')') {
            return None;
        }
        words = rest;
    }
}
