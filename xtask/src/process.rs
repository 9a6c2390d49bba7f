//! Runs other programs, and says what goes on.

use crate::failures::Failures;
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

/// Why a chore failed, for a person.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// A line to the person who waits.
pub(crate) fn say(line: &str) {
    // Nobody reads it if standard error is closed: no reason to fail.
    let _ = writeln!(io::stderr(), "{line}");
}

/// A command in `folder`.
pub(crate) fn command(folder: &Path, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    command
}

/// Runs a command with our own terminal and fails if it does.
pub(crate) fn run(mut command: Command) -> Result<(), Failure> {
    let name = printed(&command);
    let status = command
        .status()
        .map_err(|error| Failure(format!("cannot run `{name}`: {error}")))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure(format!("`{name}` failed ({status})")))
    }
}

/// Standard output of a command that must succeed.
pub(crate) fn output(mut command: Command) -> Result<String, Failure> {
    let name = printed(&command);
    let output = command
        .output()
        .map_err(|error| Failure(format!("cannot run `{name}`: {error}")))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let errors = String::from_utf8_lossy(&output.stderr);
        Err(Failure(format!(
            "`{name}` failed ({}): {}",
            output.status,
            errors.trim()
        )))
    }
}

/// What became of a command whose output went to a log file.
#[derive(Debug)]
pub(crate) struct Logged {
    pub(crate) success: bool,
    /// The last line that `closing` took, without colours.
    pub(crate) closing: Vec<String>,
    /// The failed tests, or else the last lines of all.
    pub(crate) reasons: Vec<String>,
}

/// Most lines that are kept in memory to be shown after a failure.
const LAST_LINES: usize = 60;

/// Runs a command with all output in `log`, appended; lines that `closing` takes are shown at once and kept.
pub(crate) fn run_logged(
    mut command: Command,
    log: &Path,
    closing: fn(&str) -> bool,
) -> Result<Logged, Failure> {
    let name = printed(&command);
    let mut file = File::options().create(true).append(true).open(log)?;
    writeln!(file, "$ {name}")?;
    let (reader, writer) = io::pipe()?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let started = Instant::now();
    let mut child = command
        .spawn()
        .map_err(|error| Failure(format!("cannot run `{name}`: {error}")))?;
    // It holds the write ends of the pipe, and reading would never end.
    drop(command);
    let mut shown = Vec::new();
    let mut failures = Failures::default();
    let mut last = VecDeque::with_capacity(LAST_LINES);
    for line in BufReader::new(reader).split(b'\n') {
        let line = line?;
        file.write_all(&line)?;
        file.write_all(b"\n")?;
        let plain = without_colours(&String::from_utf8_lossy(&line));
        if closing(&plain) {
            say(&format!("    {}", plain.trim()));
            shown.push(plain.trim().to_owned());
        }
        failures.take(&plain);
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(plain);
    }
    let status = child.wait()?;
    writeln!(file, "{status} after {:.1} s", started.elapsed().as_secs_f32())?;
    let failures = failures.into_lines();
    Ok(Logged {
        success: status.success(),
        closing: shown,
        reasons: if failures.is_empty() {
            last.into()
        } else {
            failures
        },
    })
}

/// Folders of programs for administrators, which some systems leave out of a user's path.
const ADMIN_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The path of a program, if it is there.
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(ADMIN_FOLDERS.map(Into::into))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn printed(command: &Command) -> String {
    let parts = std::iter::once(command.get_program()).chain(command.get_args());
    parts
        .map(|part| part.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// `line` without escape sequences for colours, and without a carriage return at its end.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            // ESC [ … letter
            '\u{1b}' => {
                characters.by_ref().skip(1).find(char::is_ascii_alphabetic);
            }
            '\r' => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_taken_off() {
        assert_eq!(
            without_colours("\u{1b}[1m\u{1b}[32m ok\u{1b}[0m done\r"),
            " ok done"
        );
    }

    #[test]
    fn output_goes_to_the_log_and_closing_lines_come_back() {
        let folder = std::env::temp_dir().join(format!("xtask-logged-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let log = folder.join("a.log");
        let command = command(&folder, "sh", &["-c", "echo one; echo result: two >&2; exit 3"]);
        let logged = run_logged(command, &log, |line| line.starts_with("result:")).unwrap();
        assert!(!logged.success);
        assert_eq!(logged.closing, ["result: two"]);
        assert_eq!(logged.reasons, ["one", "result: two"]);
        assert!(
            std::fs::read_to_string(&log)
                .unwrap()
                .contains("one\nresult: two\n")
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
