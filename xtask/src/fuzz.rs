//! `cargo xtask fuzz`: the fuzz targets guided by coverage, on the stable toolchain.

use crate::process::{Failure, command, run, say};
use crate::up::target_folder;
use std::{fs, path::Path};

/// Instrumentation that libFuzzer reads; plain code generation flags, so that no nightly compiler is needed.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1";

/// Targets, as `offhook-fuzz` names them.
const TARGETS: [&str; 10] = [
    "sip-message",
    "sip-stream",
    "sip-stack",
    "sip-extensions",
    "sdp",
    "offer-answer",
    "stun",
    "rtp",
    "srtp",
    "rpc",
];

/// Fuzzes `targets`, all if none is named, for `seconds` each. Corpora grow from run to run in the target folder.
pub(crate) fn go(root: &Path, targets: &[String], seconds: u32) -> Result<(), Failure> {
    if let Some(unknown) = targets.iter().find(|target| !TARGETS.contains(&target.as_str())) {
        let known = TARGETS.join(", ");
        return Err(Failure(format!("no target {unknown:?}; there are {known}")));
    }
    let folder = target_folder(root).join("libfuzzer");
    let triple = "x86_64-unknown-linux-gnu";
    say("building the instrumented targets");
    let mut build = command(
        &root.join("testing/fuzz/libfuzzer"),
        "cargo",
        // With a target triple, build scripts stay without instrumentation.
        &["build", "--quiet", "--release", "--target", triple],
    );
    build
        .env("RUSTFLAGS", INSTRUMENTATION)
        .env("CARGO_TARGET_DIR", &folder);
    run(build)?;
    let program = folder.join(triple).join("release/libfuzzer");
    let wanted = |target: &&&str| targets.is_empty() || targets.iter().any(|name| name == **target);
    for target in TARGETS.iter().filter(wanted) {
        say(&format!("fuzzing {target} for {seconds} s"));
        let corpus = folder.join("corpus").join(target);
        fs::create_dir_all(&corpus)?;
        let time = format!("-max_total_time={seconds}");
        let mut fuzz = command(
            &corpus,
            &program.to_string_lossy(),
            &[".", &time, "-max_len=8000", "-verbosity=0"],
        );
        fuzz.env("FUZZ_TARGET", target);
        run(fuzz)?;
    }
    say("nothing found");
    Ok(())
}
