//! Plays random runs against the reference model: `offhook-sim [--seeds N] [--first SEED] [--hours H]`, each seed for so
//! much time of its world. `offhook-sim --seed SEED --hours H [--only 1,5,9]` plays one again, with these actions alone.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use offhook_sim::action::{Action, actions_for};
use offhook_sim::play::{Report, failure, play, shrink};
use std::process::ExitCode;
use std::time::{Duration, Instant};

struct Options {
    seeds: std::ops::Range<u64>,
    hours: f64,
    only: Option<Vec<usize>>,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!(
                "{message}\nusage: offhook-sim [--seeds N] [--first SEED] [--hours H] | --seed SEED [--hours H] [--only NUMBERS]"
            );
            return ExitCode::from(2);
        }
    };
    let mut failed = 0;
    for seed in options.seeds.clone() {
        let mut actions = actions_for(seed, Duration::from_secs_f64(options.hours * 3_600.0));
        if let Some(only) = &options.only {
            actions.retain(|action| only.contains(&action.number));
        }
        if !one(seed, &actions, &options) {
            failed += 1;
        }
    }
    println!(
        "sim: {} seeds passed, {failed} failed",
        options.seeds.count() - failed
    );
    ExitCode::from(u8::from(failed > 0))
}

/// Plays one seed; whether it went well.
fn one(seed: u64, actions: &[Action], options: &Options) -> bool {
    let start = Instant::now();
    let Some(first) = failure(seed, actions) else {
        // A run is a function of its seed: it goes well again.
        let took = start.elapsed();
        if let Ok(report) = play(seed, actions) {
            print(seed, &report, took);
        }
        return true;
    };
    println!("sim seed {seed}: FAILED {first}");
    if options.only.is_some() {
        return false;
    }
    // Each try that fails would print its panic.
    std::panic::set_hook(Box::new(|_| {}));
    let (kept, why) = shrink(seed, actions);
    println!("  {} actions are enough: {why}", kept.len());
    for action in &kept {
        println!("  {action}");
    }
    let numbers: Vec<String> = kept.iter().map(|action| action.number.to_string()).collect();
    println!(
        "  again: cargo xtask sim --seed {seed} --hours {} --only {}",
        options.hours,
        numbers.join(",")
    );
    false
}

fn print(seed: u64, report: &Report, took: Duration) {
    println!(
        "sim seed {seed}: {} s simulated in {:.1} s; {} actions, {} calls, {} looks, {} steps ({:.0} a second); nothing left, no ERROR",
        report.simulated.as_secs(),
        took.as_secs_f64(),
        report.actions,
        report.calls,
        report.looks,
        report.steps,
        report.steps as f64 / took.as_secs_f64()
    );
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let (mut seeds, mut first, mut hours, mut only) = (20, 0, 1.0, None);
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
        let number = || {
            value
                .parse::<u64>()
                .map_err(|_| format!("{arg}: {value:?} is no number"))
        };
        match arg.as_str() {
            "--seeds" => seeds = number()?,
            "--first" => first = number()?,
            "--seed" => (first, seeds) = (number()?, 1),
            "--hours" => {
                hours = value
                    .parse()
                    .map_err(|_| format!("{arg}: {value:?} is no number"))?
            }
            "--only" => {
                let numbers = value.split(',').map(|text| text.trim().parse());
                let numbers: Result<Vec<usize>, _> = numbers.collect();
                only = Some(numbers.map_err(|_| format!("{arg}: {value:?} is no list of numbers"))?);
            }
            other => return Err(format!("no option {other:?}")),
        }
    }
    Ok(Options {
        seeds: first..first + seeds,
        hours,
        only,
    })
}
