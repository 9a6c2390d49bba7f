//! Runs every fuzz target on mutated seeds for a bounded time: `offhook-fuzz [TARGET…] [--seconds N] [--seed N]`;
//! `offhook-fuzz --list` names them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use offhook_fuzz::{TARGETS, Target, mutate, target};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Mutated inputs kept per target to mutate further.
const POOL_MAX: usize = 256;

struct Options {
    targets: Vec<&'static Target>,
    each: Duration,
    seed: u64,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("--list") {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        return ExitCode::SUCCESS;
    }
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\nusage: offhook-fuzz [TARGET…] [--seconds N per target] [--seed N]");
            return ExitCode::from(2);
        }
    };
    let mut failed = 0;
    for target in &options.targets {
        match fuzz(target, &options) {
            Ok(runs) => println!(
                "fuzz {:<14} {runs:>9} inputs, nothing found (seed {})",
                target.name, options.seed
            ),
            Err(input) => {
                failed += 1;
                let path = format!("finding-{}.bin", target.name);
                let kept = std::fs::write(&path, &input).is_ok();
                println!(
                    "fuzz {:<14} FAILED on an input of {} bytes",
                    target.name,
                    input.len()
                );
                println!(
                    "  kept as {path}: {kept}; as text: {}",
                    String::from_utf8_lossy(&input).escape_debug()
                );
            }
        }
    }
    println!("fuzz: {} passed, {failed} failed", options.targets.len() - failed);
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Feeds mutated inputs until the time is up. The error is the input that made the target panic.
fn fuzz(target: &Target, options: &Options) -> Result<u64, Vec<u8>> {
    let mut rng = StdRng::seed_from_u64(options.seed);
    let mut pool: Vec<Vec<u8>> = target.seeds.iter().map(|seed| seed.to_vec()).collect();
    for seed in &pool {
        attempt(target, seed)?;
    }
    let end = Instant::now() + options.each;
    let mut runs = 0;
    while Instant::now() < end {
        let mut input = pool[rng.random_range(0..pool.len())].clone();
        let other = &pool[rng.random_range(0..pool.len())];
        mutate::mutate(&mut input, other, &mut rng);
        attempt(target, &input)?;
        runs += 1;
        if rng.random_ratio(1, 64) && input.len() < 8_000 {
            if pool.len() < POOL_MAX {
                pool.push(input);
            } else {
                let at = rng.random_range(target.seeds.len()..pool.len());
                pool[at] = input;
            }
        }
    }
    Ok(runs)
}

fn attempt(target: &Target, input: &[u8]) -> Result<(), Vec<u8>> {
    std::panic::catch_unwind(|| (target.run)(input)).map_err(|_| input.to_vec())
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        targets: Vec::new(),
        each: Duration::from_secs(3),
        seed: 0x0ff_400c,
    };
    let number = |name: &str, value: Option<String>| -> Result<u64, String> {
        let value = value.ok_or_else(|| format!("{name} needs a number"))?;
        value
            .parse()
            .map_err(|_| format!("{name}: {value:?} is not a number"))
    };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seconds" => options.each = Duration::from_secs(number("--seconds", args.next())?),
            "--seed" => options.seed = number("--seed", args.next())?,
            name => options.targets.push(target(name).ok_or_else(|| {
                let known: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
                format!("no target {name:?}; there are {}", known.join(", "))
            })?),
        }
    }
    if options.targets.is_empty() {
        options.targets = TARGETS.iter().collect();
    }
    Ok(options)
}
