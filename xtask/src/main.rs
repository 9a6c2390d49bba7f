//! Chores: run everything on this machine, test everything, keep the house tidy.

mod failures;
mod fuzz;
mod install;
mod process;
mod reference;
mod sim;
mod suites;
mod test;
mod tidy;
mod up;

use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the Offhook workspace")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Installs what is missing, builds, and runs all of Offhook on this machine.
    Up {
        /// For `offhook up`, after `--`: for example `--config my.toml`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Installs what the tests need and runs all of them, or those suites whose name contains a FILTER.
    Test {
        /// Parts of suite names; see the list that a wrong one prints.
        filters: Vec<String>,
        /// Without browsers and fuzzing.
        #[arg(long)]
        quick: bool,
    },
    /// Fuzzes guided by coverage: all targets, or those named.
    Fuzz {
        /// Targets; see the list that a wrong one prints.
        targets: Vec<String>,
        /// Time for each target.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Plays random calls against the reference model, on a virtual clock; see `testing/sim`.
    Sim {
        /// How many runs.
        #[arg(long, default_value_t = 20)]
        seeds: u64,
        /// Seed of the first one.
        #[arg(long, default_value_t = 0)]
        first: u64,
        /// One run alone, of this seed.
        #[arg(long, conflicts_with_all = ["seeds", "first"])]
        seed: Option<u64>,
        /// Time in the world of each run.
        #[arg(long, default_value_t = 1.0)]
        hours: f64,
        /// Of the run's actions only those with these numbers, as a failure prints them.
        #[arg(long, requires = "seed")]
        only: Option<String>,
    },
    /// Checks the rules of the house: layers, sizes, headers, clocks, licences, lock files.
    Tidy,
    /// Writes docs/configuration.md anew from offhook.example.toml.
    Docs,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Up { arguments } => up::run(&root(), &arguments),
        Chore::Test { filters, quick } => test::run(&root(), &filters, quick),
        Chore::Fuzz { targets, seconds } => fuzz::go(&root(), &targets, seconds),
        Chore::Sim {
            seeds,
            first,
            seed,
            hours,
            only,
        } => {
            let (first, seeds) = seed.map_or((first, seeds), |seed| (seed, 1));
            sim::play(&root(), first, seeds, hours, only.as_deref())
        }
        Chore::Tidy => tidy::run(&root()),
        Chore::Docs => reference::write(&root()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::say(&format!("xtask: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder.
fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}
