//! What `cargo xtask test` runs, in this order.

use crate::{
    process::{command, find},
    up::{cargo, target_folder},
};
use std::{path::Path, process::Command};

/// One part of the tests; its steps run until one fails.
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    /// Left out by `--quick`.
    pub(crate) slow: bool,
    pub(crate) steps: fn(&Path) -> Vec<Step>,
}

/// One command of a suite.
pub(crate) struct Step {
    pub(crate) command: Command,
    /// Which lines of its output tell how it went; they are shown.
    pub(crate) closing: fn(&str) -> bool,
}

/// All suites. Quick ones that find much come first; the clients are built before Rust, because the binary embeds
/// their page.
pub(crate) const SUITES: &[Suite] = &[
    suite("tidy", false, |root| {
        vec![step(command(root, &this_program(), &["tidy"]), |line| {
            line.contains("tidy:")
        })]
    }),
    suite("format", false, |root| {
        let prettier = |folder| command(&root.join(folder), "npm", &["run", "format:check"]);
        vec![
            step(command(root, &cargo(), &["fmt", "--all", "--check"]), |_| false),
            step(prettier("clients"), |_| false),
            step(prettier("e2e"), |_| false),
        ]
    }),
    suite("clients", false, |root| {
        let clients = root.join("clients");
        let npm = |script: &str, closing| step(command(&clients, "npm", &["run", script]), closing);
        vec![
            npm("build", |_| false),
            npm("typecheck", |_| false),
            npm("test", is_node_summary),
        ]
    }),
    suite("clippy", false, |root| {
        let arguments = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ];
        vec![step(command(root, &cargo(), &arguments), is_cargo_finish)]
    }),
    suite("deny", false, |root| {
        let tools = target_folder(root).join("tools");
        let mut install = command(root, &cargo(), CARGO_DENY);
        install.arg("--root").arg(&tools);
        let check = ["--locked", "check", "bans", "licenses", "sources"];
        let deny = tools.join("bin/cargo-deny");
        vec![
            step(install, |_| false),
            step(command(root, &deny.to_string_lossy(), &check), |line| {
                line.contains(" ok")
            }),
        ]
    }),
    suite("rust", false, rust_tests),
    suite("fuzz", true, |root| {
        vec![step(
            command(
                root,
                &cargo(),
                &["run", "--quiet", "--locked", "--package", "offhook-fuzz"],
            ),
            |line| line.starts_with("fuzz"),
        )]
    }),
    suite("sim", true, |root| {
        vec![step(
            command(
                root,
                &cargo(),
                &["run", "--quiet", "--locked", "--package", "offhook-sim"],
            ),
            |line| line.starts_with("sim"),
        )]
    }),
    suite("e2e", true, |root| {
        let mut tests = command(&root.join("e2e"), "npm", &["test"]);
        tests.env("OFFHOOK_BIN", target_folder(root).join("debug/offhook"));
        vec![
            step(
                command(root, &cargo(), &["build", "--locked", "--package", "offhook"]),
                is_cargo_finish,
            ),
            step(tests, is_node_summary),
        ]
    }),
];

/// Of a fixed version, so that it builds with our toolchain and says the same everywhere; unoptimised, as it runs for a second.
const CARGO_DENY: &[&str] = &[
    "install",
    "cargo-deny",
    "--version",
    "=0.20.2",
    "--locked",
    "--debug",
];

const fn suite(name: &'static str, slow: bool, steps: fn(&Path) -> Vec<Step>) -> Suite {
    Suite { name, slow, steps }
}

fn step(command: Command, closing: fn(&str) -> bool) -> Step {
    Step { command, closing }
}

fn rust_tests(root: &Path) -> Vec<Step> {
    let workspace = ["--workspace", "--locked"];
    if find("cargo-nextest").is_none() {
        let all = command(
            root,
            &cargo(),
            &[&["test", "--no-fail-fast"][..], &workspace].concat(),
        );
        return vec![step(all, is_rust_summary)];
    }
    let tests = command(
        root,
        &cargo(),
        &[&["nextest", "run", "--no-fail-fast"][..], &workspace].concat(),
    );
    let examples = command(root, &cargo(), &[&["test", "--doc"][..], &workspace].concat());
    vec![
        step(tests, |line| line.trim_start().starts_with("Summary")),
        step(examples, is_rust_summary),
    ]
}

/// `test result: ok. 3 passed; …`, without the binaries that have no test.
fn is_rust_summary(line: &str) -> bool {
    line.starts_with("test result:") && !line.contains(" 0 passed; 0 failed")
}

fn is_cargo_finish(line: &str) -> bool {
    line.trim_start().starts_with("Finished")
}

/// Closing lines of node's own test runner (`ℹ pass 12`, `# fail 0`).
fn is_node_summary(line: &str) -> bool {
    let line = line.trim_start_matches(['ℹ', '#', ' ']);
    ["tests ", "pass ", "fail ", "skipped "].iter().any(|start| {
        line.strip_prefix(start)
            .is_some_and(|rest| rest.trim().parse::<u32>().is_ok())
    })
}

fn this_program() -> String {
    std::env::current_exe().map_or_else(|_| "xtask".to_owned(), |path| path.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines() {
        assert!(is_rust_summary("test result: ok. 27 passed; 0 failed; 0 ignored"));
        assert!(!is_rust_summary("test result: ok. 0 passed; 0 failed; 0 ignored"));
        assert!(is_node_summary("ℹ pass 12") && is_node_summary("# fail 0"));
        assert!(!is_node_summary("passes audio both ways"));
    }
}
