//! Makes `docs/configuration.md` from `offhook.example.toml`, so that there is one place to keep true.
//!
//! In the example, a comment describes what follows it; `#key = value` (without a space) is a key with its default, and
//! `key = value` one that has none.

use crate::process::{Failure, say};
use std::{fmt::Write, fs, path::Path};

const EXAMPLE: &str = "offhook.example.toml";
const REFERENCE: &str = "docs/configuration.md";

/// Writes the reference.
pub(crate) fn write(root: &Path) -> Result<(), Failure> {
    let example = fs::read_to_string(root.join(EXAMPLE))?;
    fs::write(root.join(REFERENCE), render(&example))?;
    say(&format!("docs: wrote {REFERENCE} from {EXAMPLE}"));
    Ok(())
}

/// True if both files are there and the reference is what the example makes.
pub(crate) fn is_current(root: &Path) -> bool {
    let example = fs::read_to_string(root.join(EXAMPLE));
    let reference = fs::read_to_string(root.join(REFERENCE));
    matches!((example, reference), (Ok(example), Ok(reference)) if reference == render(&example))
}

fn render(example: &str) -> String {
    let mut out =
        format!("# Configuration\n\n<!-- Made from {EXAMPLE} by `cargo xtask docs`; edit that file. -->\n");
    let mut comment = String::new();
    let mut in_table = false;
    for line in example.lines().map(str::trim_end) {
        if let Some(words) = line.strip_prefix("# ") {
            let space = if comment.is_empty() { "" } else { " " };
            write!(comment, "{space}{words}").expect("writing into a String cannot fail");
        } else if line.starts_with('[') {
            let described = std::mem::take(&mut comment);
            write!(out, "\n## `{line}`\n\n{described}\n").expect("writing into a String cannot fail");
            in_table = false;
        } else if let Some((key, value, is_default)) = key_line(line) {
            if !in_table {
                out.push_str("\n| Key | Default | Meaning |\n|---|---|---|\n");
                in_table = true;
            }
            let default = if is_default {
                format!("`{value}`")
            } else {
                format!("none; such as `{value}`")
            };
            let meaning = std::mem::take(&mut comment);
            let row = format!("| `{key}` | {} | {} |\n", cell(&default), cell(&meaning));
            out.push_str(&row);
        } else if line.is_empty() && !comment.is_empty() {
            // A paragraph of its own, such as the one at the top.
            write!(out, "\n{}\n", std::mem::take(&mut comment)).expect("writing into a String cannot fail");
        }
    }
    out
}

/// Key, value, and whether the value is the default.
fn key_line(line: &str) -> Option<(&str, &str, bool)> {
    let (line, is_default) = line.strip_prefix('#').map_or((line, false), |rest| (rest, true));
    let (key, value) = line.split_once(" = ")?;
    let is_key = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
    is_key.then_some((key, value, is_default))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_keys_and_comments() {
        let example = "# All keys.\n\n# One node.\n# Really.\n[node]\n# Its name.\n#name = \"local\"\n\n# Carriers.\n[[carrier]]\n# A | B.\nuri = \"sip:x\"\n";
        let text = render(example);
        let expected = "\nAll keys.\n\n## `[node]`\n\nOne node. Really.\n\n| Key | Default | Meaning |\n|---|---|---|\n| `name` | `\"local\"` | Its name. |\n\
            \n## `[[carrier]]`\n\nCarriers.\n\n| Key | Default | Meaning |\n|---|---|---|\n| `uri` | none; such as `\"sip:x\"` | A \\| B. |\n";
        assert!(text.ends_with(expected), "{text}");
    }
}
