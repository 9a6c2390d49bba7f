//! What failed, picked from a test runner's output while it passes by.

/// Most lines that are kept.
const LINES_MAX: usize = 120;
/// Most lines that are kept of one failed test.
const LINES_OF_ONE_MAX: usize = 30;

/// The failed tests of one run: their names, and what each runner says about them.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    lines: Vec<String>,
    /// How many more lines belong to the test that failed last.
    following: usize,
}

impl Failures {
    /// Reads the next line, without colours.
    pub(crate) fn take(&mut self, line: &str) {
        if starts_failure(line) {
            self.following = LINES_OF_ONE_MAX;
        }
        if self.following > 0 && self.lines.len() < LINES_MAX {
            self.lines.push(line.to_owned());
        }
        self.following = if ends_failure(line) {
            0
        } else {
            self.following.saturating_sub(1)
        };
    }

    /// All that was kept, in order.
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines
    }
}

/// TAP's `not ok 3 - name`, nextest's `FAIL [ 0.1s] crate test`, libtest's `thread 'x' panicked at`.
fn starts_failure(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("not ok ")
        || line.starts_with("FAIL [")
        || (line.starts_with("thread '") && line.contains(" panicked at "))
}

/// The end of TAP's YAML block, and of a panic's message.
fn ends_failure(line: &str) -> bool {
    let line = line.trim();
    line == "..." || line.starts_with("stack backtrace:") || line.starts_with("note: run with")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(output: &str) -> Vec<String> {
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.take(line));
        failures.into_lines()
    }

    #[test]
    fn tap() {
        let kept = of("ok 1 - a\nnot ok 2 - b\n  ---\n  error: 'no'\n  ...\nok 3 - c\n  ---\n  ...");
        assert_eq!(kept, ["not ok 2 - b", "  ---", "  error: 'no'", "  ..."]);
    }

    #[test]
    fn panics() {
        let kept = of(
            "fine\nthread 'a::b' (7) panicked at src/lib.rs:3:5:\nleft: 1\nnote: run with `RUST_BACKTRACE=1`\nmore",
        );
        assert_eq!(kept.len(), 3);
        assert_eq!(kept[1], "left: 1");
    }

    #[test]
    fn it_is_bounded() {
        let kept = of(&"not ok 1 - x\n".repeat(10 * LINES_MAX));
        assert_eq!(kept.len(), LINES_MAX);
        let kept = of(&format!(
            "not ok 1 - x\n{}",
            "line\n".repeat(10 * LINES_OF_ONE_MAX)
        ));
        assert_eq!(kept.len(), LINES_OF_ONE_MAX);
    }
}
