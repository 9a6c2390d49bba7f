//! Blanks comments and literals of Rust source, so that rules look at code alone.

/// `source` with the same lines, in which comments and the insides of string and character literals are spaces.
pub(super) fn mask(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let previous = out.chars().next_back();
        let starts_word = !previous.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment_len(rest)
        } else if let Some(len) = raw_string_len(rest).filter(|_| starts_word) {
            len
        } else if first == '"' {
            quoted_len(rest)
        } else if let Some(len) = character_len(rest) {
            len
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        out.extend(rest[..len].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[len..];
    }
    out
}

fn block_comment_len(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of a raw string (`r"…"`, `br#"…"#`) at the start of `text`.
fn raw_string_len(text: &str) -> Option<usize> {
    let after = text
        .strip_prefix('b')
        .or_else(|| text.strip_prefix('c'))
        .unwrap_or(text)
        .strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let len = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + len)
}

fn quoted_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of a character literal at the start of `text`; `None` for lifetimes and all else.
fn character_len(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    let first = inner.chars().next()?;
    if first == '\\' {
        // The escaped character may itself be a quote.
        let skip = 1 + inner.chars().nth(1)?.len_utf8();
        return Some(1 + skip + inner[skip..].find('\'')? + 1);
    }
    inner[first.len_utf8()..]
        .starts_with('\'')
        .then(|| 1 + first.len_utf8() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blank_and_lines_stay() {
        let cases = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */\n d */ e", "a             \n      e"),
            ("f(\"x\\\"y\") + 1", "f(      ) + 1"),
            ("r#\"a\"b\"# + br\"c\"", "         +      "),
            (
                "'a' '\\'' '\\u{1}' 'x: &'static str",
                "                   'x: &'static str",
            ),
        ];
        for (source, masked) in cases {
            let got = mask(source);
            assert_eq!(got.lines().count(), source.lines().count(), "{source}");
            assert_eq!(
                got.split_whitespace().collect::<Vec<_>>(),
                masked.split_whitespace().collect::<Vec<_>>(),
                "{source}"
            );
        }
        assert_eq!(mask("for_r(\"b\")"), "for_r(   )");
    }
}
