//! `cargo xtask fuzz`: the fuzz targets guided by coverage, on the stable toolchain.

use crate::install;
use crate::process::{self, Failure, command, run, say};
use crate::up::target_folder;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Instrumentation that libFuzzer reads; plain code generation flags, so that no nightly compiler is needed.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1";

/// Longest input in bytes: several datagrams.
const INPUT_LEN_MAX: &str = "-max_len=8000";

/// Fuzzes `targets`, all if none is named, for `seconds` each. Corpora grow from run to run in the target folder.
pub(crate) fn go(root: &Path, targets: &[String], seconds: u32) -> Result<(), Failure> {
    install::ensure(install::TO_BUILD)?;
    install::ensure(install::TO_FUZZ)?;
    let all = known_targets(root)?;
    if let Some(unknown) = targets.iter().find(|target| !all.contains(target)) {
        let known = all.join(", ");
        return Err(Failure(format!("no target {unknown:?}; there are {known}")));
    }
    let folder = target_folder(root).join("libfuzzer");
    let program = build(root, &folder)?;
    let findings = folder.join("findings");
    let mut found = Vec::new();
    for target in all
        .iter()
        .filter(|target| targets.is_empty() || targets.contains(target))
    {
        say(&format!("fuzzing {target} for {seconds} s"));
        let corpus = folder.join("corpus").join(target);
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&findings)?;
        let time = format!("-max_total_time={seconds}");
        let prefix = format!("-artifact_prefix={}/{target}-", findings.display());
        let mut fuzz = command(&corpus, &program.to_string_lossy(), &[".", &time, &prefix]);
        fuzz.args([
            INPUT_LEN_MAX,
            "-verbosity=0",
            "-print_funcs=0",
            "-print_final_stats=1",
        ]);
        fuzz.env("FUZZ_TARGET", target);
        if run(fuzz).is_err() {
            found.push(target.as_str());
        }
    }
    if found.is_empty() {
        say("nothing found");
        return Ok(());
    }
    let (found, findings) = (found.join(", "), findings.display());
    Err(Failure(format!("{found} failed; the inputs are in {findings}")))
}

fn known_targets(root: &Path) -> Result<Vec<String>, Failure> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let list = ["run", "--quiet", "--package", "offhook-fuzz", "--", "--list"];
    let list = process::output(command(root, &cargo, &list))?;
    Ok(list.lines().map(str::to_owned).collect())
}

/// The instrumented program.
fn build(root: &Path, folder: &Path) -> Result<PathBuf, Failure> {
    say("building the instrumented targets");
    let triple = "x86_64-unknown-linux-gnu";
    let mut build = command(
        &root.join("testing/fuzz/libfuzzer"),
        "cargo",
        // With a target triple, build scripts stay without instrumentation.
        &["build", "--quiet", "--release", "--target", triple],
    );
    build
        .env("RUSTFLAGS", INSTRUMENTATION)
        .env("CARGO_TARGET_DIR", folder);
    run(build)?;
    Ok(folder.join(triple).join("release/libfuzzer"))
}
