//! `offhook check`: what is wrong with a configuration, where, and how to mend it.

use crate::{
    config::Config,
    probe::{self, Answer},
};
use anstyle::{AnsiColor, Style};
use offhook_process::{
    Problem, Severity,
    config::{ConfigError, SyntaxError},
};
use serde::Serialize;
use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    file: String,
    ok: bool,
    problems: &'a [Finding],
}

/// A problem, with its place in the file where that is known.
#[derive(Debug, Serialize)]
struct Finding {
    #[serde(flatten)]
    problem: Problem,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

/// Checks `path` and prints what was found. True if the process would start with it.
pub(crate) async fn run(path: &Path, json: bool, probe: bool) -> io::Result<bool> {
    let findings = find(path, probe).await;
    let ok = findings
        .iter()
        .all(|finding| finding.problem.severity != Severity::Error);
    let mut out = io::stdout().lock();
    if json {
        let report = Report {
            file: path.display().to_string(),
            ok,
            problems: &findings,
        };
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        let coloured = out.is_terminal();
        print(&mut out, path, &findings, coloured)?;
    }
    Ok(ok)
}

async fn find(path: &Path, probe: bool) -> Vec<Finding> {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(ConfigError::Syntax(error)) => return vec![unreadable(*error)],
        Err(other) => {
            return vec![plain(Problem::error(
                "",
                other.to_string(),
                "Give the path of a TOML file",
            ))];
        }
    };
    let mut problems = config.check();
    if probe {
        problems.extend(probe_carriers(&config).await);
    }
    problems.into_iter().map(plain).collect()
}

fn plain(problem: Problem) -> Finding {
    Finding {
        problem,
        line: None,
        column: None,
    }
}

fn unreadable(error: SyntaxError) -> Finding {
    let known = |number: usize| (number > 0).then_some(number);
    Finding {
        line: known(error.line),
        column: known(error.column),
        problem: error.problem,
    }
}

/// Asks each carrier whether it speaks SIP.
async fn probe_carriers(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Some(proxy) = &config.sip_proxy else {
        return problems;
    };
    let (locator, ipv4) = (proxy.locator(), proxy.udp.is_ipv4());
    for (path, host, port) in config.carrier_hosts() {
        let located = locator.locate(&host, port, ipv4).await;
        let addresses: Vec<_> = located
            .servers
            .into_iter()
            .flat_map(|server| server.addresses)
            .collect();
        if addresses.is_empty() {
            let what = format!("nobody knows where {host} is");
            let remedy = "Check the name, and the name servers of this machine";
            problems.push(Problem::error(path, what, remedy));
            continue;
        }
        for address in addresses {
            let (what, remedy) = match probe::options(address).await {
                Ok(Answer::Status(_)) => continue,
                Ok(Answer::NotSip) => (format!("{address} answers, but not in SIP"), "Check the port"),
                Ok(Answer::Silence) => (
                    format!("{address} does not answer a SIP OPTIONS over UDP"),
                    "Check address, port and firewalls; some carriers answer only addresses that they know",
                ),
                Err(error) => (
                    format!("{address} cannot be reached: {error}"),
                    "Check routes and firewalls",
                ),
            };
            problems.push(Problem::warning(path.clone(), what, remedy));
        }
    }
    problems
}

fn print(out: &mut impl Write, path: &Path, findings: &[Finding], coloured: bool) -> io::Result<()> {
    let paint = |colour: AnsiColor| {
        if coloured {
            colour.on_default().bold()
        } else {
            Style::new()
        }
    };
    for finding in findings {
        let (word, style) = match finding.problem.severity {
            Severity::Error => ("error", paint(AnsiColor::Red)),
            Severity::Warning => ("warning", paint(AnsiColor::Yellow)),
        };
        let place = match (finding.line, finding.column) {
            (Some(line), Some(column)) => {
                format!("{}:{line}:{column} {}", path.display(), finding.problem.path)
            }
            _ if finding.problem.path.is_empty() => path.display().to_string(),
            _ => finding.problem.path.clone(),
        };
        writeln!(out, "{style}{word}{style:#} {}", place.trim_end())?;
        writeln!(out, "    {}", finding.problem.what)?;
        if !finding.problem.remedy.is_empty() {
            writeln!(out, "    → {}", finding.problem.remedy)?;
        }
    }
    let count = |severity| {
        findings
            .iter()
            .filter(|finding| finding.problem.severity == severity)
            .count()
    };
    match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => {
            let style = paint(AnsiColor::Green);
            writeln!(
                out,
                "{style}ok{style:#} {}: nothing to complain about",
                path.display()
            )
        }
        (errors, warnings) => {
            let (errors, warnings) = (counted(errors, "error"), counted(warnings, "warning"));
            writeln!(out, "{}: {errors}, {warnings}", path.display())
        }
    }
}

fn counted(count: usize, word: &str) -> String {
    match count {
        0 => format!("no {word}s"),
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_read_well() {
        let findings = [
            plain(Problem::error(
                "carrier[0].uri",
                "it is no SIP URI",
                "Write sip:host:port",
            )),
            Finding {
                line: Some(3),
                column: Some(1),
                problem: Problem::warning("", "odd", ""),
            },
        ];
        let mut out = Vec::new();
        print(&mut out, Path::new("a.toml"), &findings, false).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "error carrier[0].uri\n    it is no SIP URI\n    → Write sip:host:port\nwarning a.toml:3:1\n    odd\na.toml: 1 error, 1 warning\n"
        );
    }
}
