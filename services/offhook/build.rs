//! Puts the softphone's files, if they are built, into the binary.

use std::{env, fmt::Write, fs, path::Path};

fn main() {
    let manifest = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let dist = Path::new(&manifest).join("../../clients/softphone/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut files = fs::read_dir(&dist)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect::<Vec<_>>();
    files.sort();
    let mut list = String::from("[\n");
    for file in files.iter().filter(|file| file.is_file()) {
        let file = file
            .canonicalize()
            .expect("a file that was just listed has a path");
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        println!("cargo::rerun-if-changed={}", file.display());
        writeln!(list, "    ({name:?}, include_bytes!({file:?})),")
            .expect("writing into a String cannot fail");
    }
    list.push_str("]\n");
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("page_files.rs");
    fs::write(out, list).expect("cargo's own folder can be written");
}
