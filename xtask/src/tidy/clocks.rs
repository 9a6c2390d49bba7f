//! Clocks, chance and waiting belong to the shells.

use super::{Finding, files::SourceFile, layers::is_shell, words::contains_word};

const CLOCKS: [&str; 5] = [
    "Instant::now",
    "SystemTime::now",
    "thread_rng",
    "rand::rng()",
    "OsRng",
];

pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Under testing/, what is a shell measures in real time, which is its purpose.
    let measures = file.path.starts_with("testing/") && file.path.contains("/src/run");
    for (number, line, is_test) in file.code_lines() {
        if is_test && !measures && contains_word(line, "sleep(") {
            let what = "a test must not sleep: use the virtual clock, or wait for what you expect";
            findings.push(Finding::new(&file.path, number, what));
        }
        if is_test || is_shell(&file.path) {
            continue;
        }
        for clock in CLOCKS.iter().filter(|clock| line.contains(**clock)) {
            let what = format!(
                "`{clock}`: take time and chance as arguments; only io/, main.rs, run*.rs and config.rs read them"
            );
            findings.push(Finding::new(&file.path, number, what));
        }
    }
    findings
}
