//! Who may use whom: `wire → wire; protocol → protocol, wire; io → io, wire; services → all of these, in their shells io
//! too; testing → everything`. A service never uses another one, except the binary that puts them together.

use super::{
    Finding,
    files::{SourceFile, Tree},
};
use std::collections::BTreeMap;

/// The service that puts the others together.
const BINARY: &str = "services/offhook";
/// Folders that may open sockets and read clocks, beside files that are named for it.
const SHELLS: [&str; 6] = [
    "io/",
    "testing/",
    "xtask/",
    // The binary is shell through and through.
    "services/offhook/",
    // Media workers are threads that own their sockets; sessions and legs, which they drive, are pure.
    "services/b2bua-rtc/src/media/",
    // Front ends of the control link, each on its own kind of socket.
    "services/b2bua-rtc/src/control/",
];
/// Crates that do input and output, or need a runtime; sans-IO layers do without.
const IO_CRATES: [&str; 10] = [
    "tokio",
    "socket2",
    "libc",
    "axum",
    "hyper",
    "hyper-util",
    "tokio-rustls",
    "tokio-tungstenite",
    "io-uring",
    "tracing-subscriber",
];
/// What must not meet, and why: (crate, dependency, reason).
const NEVER: [(&str, &str, &str); 6] = [
    ("services/vsp", "offhook-sdp", "the VSP never looks inside an SDP"),
    (
        "services/vsp",
        "offhook-offer-answer",
        "the VSP never looks inside an SDP",
    ),
    (
        "services/sip-proxy",
        "offhook-sdp",
        "the SIP proxy never looks inside an SDP",
    ),
    (
        "services/sip-proxy",
        "offhook-media-control",
        "media is the business of VSP and gateway alone",
    ),
    (
        "services/b2bua-rtc",
        "offhook-sip",
        "the gateway never speaks SIP",
    ),
    (
        "services/b2bua-rtc",
        "offhook-sip-message",
        "the gateway never speaks SIP",
    ),
];

/// Checks what each `Cargo.toml` asks for.
pub(super) fn manifests(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.files.iter().filter_map(Manifest::read).collect::<Vec<_>>();
    let folders = manifests
        .iter()
        .map(|m| (m.name.as_str(), m.folder))
        .collect::<BTreeMap<_, _>>();
    let mut findings = Vec::new();
    for manifest in &manifests {
        let mut found =
            |what: String| findings.push(Finding::new(&format!("{}/Cargo.toml", manifest.folder), 0, what));
        for (dependency, is_dev) in &manifest.dependencies {
            match folders.get(dependency.as_str()) {
                Some(to) if !may_use(manifest.folder, to) => {
                    found(format!("{} must not depend on {to}", layer(manifest.folder)));
                }
                None if !is_dev
                    && is_sans_io(manifest.folder)
                    && IO_CRATES.contains(&dependency.as_str()) =>
                {
                    found(format!(
                        "{dependency} does input and output, which {} leaves to the shells",
                        layer(manifest.folder)
                    ));
                }
                _ => {}
            }
            if let Some((_, _, reason)) = NEVER
                .iter()
                .find(|(at, to, _)| manifest.folder == *at && dependency == to)
            {
                found(format!("must not depend on {dependency}: {reason}"));
            }
        }
    }
    findings
}

/// Checks what the pure modules of services import: no runtime, no `io/*`.
pub(super) fn imports(file: &SourceFile) -> Vec<Finding> {
    let is_pure = file.is_rust()
        && file.path.starts_with("services/")
        && file.path.contains("/src/")
        && !is_shell(&file.path);
    if !is_pure {
        return Vec::new();
    }
    let io = IO_CRATES.iter().map(|name| name.replace('-', "_"));
    let ours = ["offhook_process", "offhook_transport"].map(str::to_owned);
    let mut findings = Vec::new();
    for name in io.chain(ours) {
        let first = file
            .code_lines()
            .find(|(_, line, is_test)| !is_test && uses(line, &name));
        if let Some((number, ..)) = first {
            let what = format!("`{name}` belongs into main.rs, run*.rs, config.rs; this module is pure");
            findings.push(Finding::new(&file.path, number, what));
        }
    }
    findings
}

/// True for the files that may open sockets and read clocks.
pub(super) fn is_shell(path: &str) -> bool {
    // Examples are programs.
    if path.contains("/examples/") || SHELLS.iter().any(|shell| path.starts_with(shell)) {
        return true;
    }
    let below_src = path.split_once("/src/").map_or("", |(_, rest)| rest);
    below_src
        .split('/')
        .any(|part| part.starts_with("run") || matches!(part, "main.rs" | "config.rs" | "config"))
}

struct Manifest<'a> {
    folder: &'a str,
    name: String,
    /// Name and whether it is for tests alone.
    dependencies: Vec<(String, bool)>,
}

impl<'a> Manifest<'a> {
    fn read(file: &'a SourceFile) -> Option<Self> {
        let folder = file.path.strip_suffix("/Cargo.toml")?;
        let table: toml::Table = file.text.parse().ok()?;
        let name = table.get("package")?.get("name")?.as_str()?.to_owned();
        let mut dependencies = Vec::new();
        for (section, is_dev) in [
            ("dependencies", false),
            ("build-dependencies", false),
            ("dev-dependencies", true),
        ] {
            let names = table
                .get(section)
                .and_then(toml::Value::as_table)
                .into_iter()
                .flat_map(toml::Table::keys);
            dependencies.extend(names.map(|name| (name.clone(), is_dev)));
        }
        Some(Self {
            folder,
            name,
            dependencies,
        })
    }
}

fn layer(folder: &str) -> &str {
    folder.split('/').next().unwrap_or_default()
}

fn is_sans_io(folder: &str) -> bool {
    matches!(layer(folder), "wire" | "protocol")
}

fn may_use(from: &str, to: &str) -> bool {
    match (layer(from), layer(to)) {
        ("testing", _) | ("wire" | "protocol" | "io" | "services", "wire") => true,
        ("protocol" | "services", "protocol") | ("io" | "services", "io") => true,
        ("services", "services") => from == BINARY,
        _ => false,
    }
}

fn uses(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let before = line[..at].chars().next_back();
        !before.is_some_and(is_word) && line[at + name.len()..].starts_with("::")
    })
}
