//! Runs the binary, and makes the files that configurations name.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

/// The binary with arguments, in a folder.
pub(crate) fn offhook(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offhook"));
    command.args(arguments).current_dir(folder);
    command
}

/// What it prints and how it ends.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    offhook(folder, arguments)
        .output()
        .expect("the binary was built for this test")
}

/// The same, with something on standard input.
pub(crate) fn run_with_input(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = offhook(folder, arguments);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it was built");
    child
        .stdin
        .take()
        .expect("it is piped")
        .write_all(input.as_bytes())
        .expect("it reads");
    child.wait_with_output().expect("it ends")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
