//! `cargo xtask test`: all suites, one line each at the end.

use crate::{
    install,
    process::{Failure, run_logged, say},
    suites::{SUITES, Suite},
    up::{install_packages, target_folder},
};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

enum Outcome {
    Passed,
    Failed,
}

struct Result {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
    closing: Vec<String>,
}

/// Installs what is missing and runs the suites that `filters` and `quick` leave.
pub(crate) fn run(root: &Path, filters: &[String], quick: bool) -> std::result::Result<(), Failure> {
    let chosen = choose(filters, quick)?;
    let logs = target_folder(root).join("test-logs");
    fs::create_dir_all(&logs)?;
    prepare(root)?;
    let results = chosen
        .into_iter()
        .map(|suite| run_suite(root, suite, &logs))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    say("");
    results.iter().for_each(|result| say(&summary(result)));
    match results
        .iter()
        .filter(|result| matches!(result.outcome, Outcome::Failed))
        .count()
    {
        0 => Ok(()),
        failed => Err(Failure(format!(
            "{failed} of {} suites failed; whole logs are in {}",
            results.len(),
            logs.display()
        ))),
    }
}

fn choose(filters: &[String], quick: bool) -> std::result::Result<Vec<&'static Suite>, Failure> {
    let wanted = |suite: &&Suite| {
        filters.is_empty() || filters.iter().any(|filter| suite.name.contains(filter.as_str()))
    };
    let chosen = SUITES
        .iter()
        .filter(wanted)
        .filter(|suite| !(quick && suite.slow))
        .collect::<Vec<_>>();
    if chosen.is_empty() {
        let names = SUITES
            .iter()
            .map(|suite| suite.name)
            .collect::<Vec<_>>()
            .join(", ");
        return Err(Failure(format!(
            "no suite is called like that; there are {names}"
        )));
    }
    Ok(chosen)
}

fn prepare(root: &Path) -> std::result::Result<(), Failure> {
    say("▸ tools");
    install::ensure(install::TO_BUILD)?;
    install::ensure(install::TO_TEST)?;
    install::ensure_node()?;
    say("▸ packages of the clients and of the end-to-end tests");
    install_packages(&root.join("clients"))?;
    install_packages(&root.join("e2e"))
}

fn run_suite(root: &Path, suite: &'static Suite, logs: &Path) -> std::result::Result<Result, Failure> {
    let mut result = Result {
        name: suite.name,
        outcome: Outcome::Passed,
        took: Duration::ZERO,
        closing: Vec::new(),
    };
    say(&format!("▸ {}", suite.name));
    let log = logs.join(format!("{}.log", suite.name));
    fs::write(&log, "")?;
    let started = Instant::now();
    for step in (suite.steps)(root) {
        let logged = run_logged(step.command, &log, step.closing)?;
        result.closing.extend(logged.closing);
        if !logged.success {
            result.outcome = Outcome::Failed;
            logged
                .reasons
                .iter()
                .for_each(|line| say(&format!("    | {line}")));
            break;
        }
    }
    result.took = started.elapsed();
    Ok(result)
}

fn summary(result: &Result) -> String {
    let (mark, word) = match result.outcome {
        Outcome::Passed => ('✔', "passed"),
        Outcome::Failed => ('✘', "FAILED"),
    };
    let closing = closing_line(result.name, &result.closing);
    format!(
        "{mark} {:<8} {word} {:>7.1} s  {closing}",
        result.name,
        result.took.as_secs_f32()
    )
}

/// What the summary says of a suite: the total that its runner printed under the suite's name, if it did, else all its
/// closing lines; the results of many Rust test binaries are added up.
fn closing_line(suite: &str, lines: &[String]) -> String {
    let total = format!("{suite}: ");
    if let Some(line) = lines.iter().rfind(|line| line.starts_with(&total)) {
        return line.clone();
    }
    let (results, mut others) = lines
        .iter()
        .cloned()
        .partition::<Vec<_>, _>(|line| line.starts_with("test result:"));
    match results.len() {
        0 | 1 => others.extend(results),
        _ => others.push(added_up(&results)),
    }
    others.join("  ")
}

fn added_up(results: &[String]) -> String {
    let sum = |word: &str| {
        results
            .iter()
            .filter_map(|line| count_before(line, word))
            .sum::<u32>()
    };
    let (passed, failed, ignored) = (sum("passed"), sum("failed"), sum("ignored"));
    format!(
        "{passed} passed; {failed} failed; {ignored} ignored; in {} test binaries",
        results.len()
    )
}

/// The number that stands before `word`.
fn count_before(line: &str, word: &str) -> Option<u32> {
    let (before, _) = line.split_once(&format!(" {word}"))?;
    before.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_many_binaries_add_up_beside_other_lines() {
        let lines = [
            "Summary [  36.094s] 1386 tests run: 1386 passed, 0 skipped",
            "test result: ok. 27 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ];
        let lines = lines.map(str::to_owned);
        assert_eq!(
            closing_line("rust", &lines),
            format!("{}  30 passed; 2 failed; 1 ignored; in 2 test binaries", lines[0])
        );
        assert_eq!(closing_line("rust", &lines[1..2]), lines[1]);
    }

    #[test]
    fn a_total_under_the_name_of_the_suite_stands_for_all() {
        let lines = ["fuzz rtp 9 inputs, nothing found", "fuzz: 21 passed, 0 failed"];
        assert_eq!(closing_line("fuzz", &lines.map(str::to_owned)), lines[1]);
    }

    #[test]
    fn filters_choose_suites() {
        let names = |filters: &[&str], quick| {
            let filters = filters
                .iter()
                .map(|filter| (*filter).to_owned())
                .collect::<Vec<_>>();
            choose(&filters, quick).map(|suites| suites.iter().map(|suite| suite.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["fuzz", "form"], false).unwrap(), ["format", "fuzz"]);
        assert!(!names(&[], true).unwrap().contains(&"e2e"));
        assert!(
            names(&["nothing"], false)
                .unwrap_err()
                .to_string()
                .contains("tidy, format")
        );
    }
}
