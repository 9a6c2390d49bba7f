//! `cargo xtask sim`: random runs against the reference model.

use crate::process::{Failure, command, run};
use std::{env, path::Path};

/// Plays `seeds` runs from `first` on, each for so much time of its world.
pub(crate) fn play(
    root: &Path,
    first: u64,
    seeds: u64,
    hours: f64,
    only: Option<&str>,
) -> Result<(), Failure> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let (first, seeds, hours) = (first.to_string(), seeds.to_string(), hours.to_string());
    let mut arguments = vec!["run", "--quiet", "--package", "offhook-sim", "--"];
    arguments.extend(["--first", &first, "--seeds", &seeds, "--hours", &hours]);
    if let Some(only) = only {
        arguments.extend(["--only", only]);
    }
    run(command(root, &cargo, &arguments))
}
