//! `offhook.example.toml` is right and complete.

use crate::support::{offhook, stdout};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};
use tempfile::{TempDir, tempdir};

const EXAMPLE: &str = include_str!("../../../../offhook.example.toml");

/// A folder with the files that the example names.
fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let token = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    for (name, text) in [
        ("cert.pem", certificate.cert.pem()),
        ("key.pem", certificate.signing_key.serialize_pem()),
        ("token-public.pem", token.public_key_pem()),
        ("admin-token", "secret\n".to_owned()),
        ("north-america.txt", "192.0.2.0/24\n".to_owned()),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    fs::write(folder.path().join("closed.wav"), wav()).unwrap();
    folder
}

/// 20 ms of A-law, which is as much as a sound needs.
fn wav() -> Vec<u8> {
    let format = [6, 0, 1, 0, 0x40, 0x1F, 0, 0, 0x40, 0x1F, 0, 0, 1, 0, 8, 0];
    let data = [0xD5; 160];
    let parts: [&[u8]; 5] = [
        b"RIFF\xC4\0\0\0WAVEfmt \x10\0\0\0",
        &format,
        b"data",
        &[160, 0, 0, 0],
        &data,
    ];
    parts.concat()
}

fn check(folder: &Path, text: &str) -> serde_json::Value {
    let text = text.replace("/etc/offhook", &folder.display().to_string());
    fs::write(folder.join("a.toml"), text).unwrap();
    let mut command = offhook(folder, &["check", "--config", "a.toml", "--json"]);
    command
        .env("OFFHOOK_TOKEN_SECRET", "x".repeat(32))
        .env("OFFHOOK_ROUTE_SECRET", "r".repeat(32))
        .env("OFFHOOK_ALICE_PHONE_PASSWORD", "a")
        .env("OFFHOOK_BOB_PASSWORD", "b")
        .env("OFFHOOK_CARRIER_A_PASSWORD", "c");
    serde_json::from_str(&stdout(&command.output().unwrap())).unwrap()
}

/// `key = value`, whether it is a default (`#key = value`) or not.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.strip_prefix('#').unwrap_or(line).split_once(" = ")?;
    key.bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        .then_some(key)
}

#[test]
fn it_is_right_as_it_stands() {
    let report = check(folder().path(), EXAMPLE);
    assert_eq!(report["ok"], true, "{report:#}");
}

#[test]
fn its_defaults_are_values_that_can_be_set() {
    let lines = EXAMPLE.lines().map(|line| {
        if key_of(line).is_some() {
            line.trim_start_matches('#')
        } else {
            line
        }
    });
    let report = check(folder().path(), &lines.collect::<Vec<_>>().join("\n"));
    assert_eq!(report["ok"], true, "{report:#}");
}

#[test]
fn it_shows_every_key_of_every_section() {
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in EXAMPLE.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
            // A section is a key of the one above it.
            let (parent, name) = section.rsplit_once('.').unwrap_or(("", &section));
            shown
                .entry(parent.to_owned())
                .or_default()
                .insert(name.to_owned());
        } else if let Some(key) = key_of(line) {
            shown.entry(section.clone()).or_default().insert(key.to_owned());
        }
    }
    let folder = folder();
    for (section, keys) in shown {
        let known = known_keys(folder.path(), &section);
        assert_eq!(keys, known, "[{section}]: left is shown, right is known");
    }
}

/// The keys of a section, which an unknown one makes the program list.
fn known_keys(folder: &Path, section: &str) -> BTreeSet<String> {
    let is_section = |line: &str| line.trim_matches(['[', ']']) == section && line.starts_with('[');
    let mut lines = EXAMPLE.lines().map(str::to_owned).collect::<Vec<_>>();
    let at = if section.is_empty() {
        0
    } else {
        lines.iter().position(|line| is_section(line)).unwrap() + 1
    };
    lines.insert(at, "zzzz = 1".to_owned());
    let report = check(folder, &lines.join("\n"));
    let remedy = report["problems"][0]["remedy"].as_str().unwrap();
    let list = remedy
        .strip_prefix("Known here: ")
        .unwrap_or_else(|| panic!("[{section}]: {report:#}"));
    list.split(", ").map(str::to_owned).collect()
}
