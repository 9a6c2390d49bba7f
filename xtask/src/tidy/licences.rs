//! Licences of all that we link, against the list in `deny.toml`, which cargo-deny reads too where it is installed.

use super::Finding;
use crate::{
    process::{self, Failure, command},
    up::cargo,
};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
struct Deny {
    licenses: Licences,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
}

pub(super) fn check(root: &Path) -> Result<Vec<Finding>, Failure> {
    let text = std::fs::read_to_string(root.join("deny.toml"))?;
    let deny: Deny = toml::from_str(&text).map_err(|error| Failure(format!("deny.toml: {error}")))?;
    let json = process::output(command(
        root,
        &cargo(),
        &["metadata", "--format-version=1", "--locked", "--all-features"],
    ))?;
    let metadata: Metadata =
        serde_json::from_str(&json).map_err(|error| Failure(format!("cargo metadata: {error}")))?;
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let licence = package.license.as_deref().unwrap_or("none stated");
        if !allows(&deny.licenses.allow, licence) {
            let what = format!(
                "{} {} has the licence {licence}, which deny.toml does not allow",
                package.name, package.version
            );
            findings.push(Finding::new("Cargo.lock", 0, what));
        }
    }
    Ok(findings)
}

/// True if the SPDX expression can be met with what is allowed. `A/B` is the old form of `A OR B`.
fn allows(allowed: &[String], expression: &str) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let met = any_of(allowed, &mut words);
    met && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(allowed: &[String], words: &mut Words<'_>) -> bool {
    let mut met = all_of(allowed, words);
    while words.next_if_eq(&"OR").is_some() {
        met |= all_of(allowed, words);
    }
    met
}

fn all_of(allowed: &[String], words: &mut Words<'_>) -> bool {
    let mut met = one(allowed, words);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(allowed, words);
    }
    met
}

fn one(allowed: &[String], words: &mut Words<'_>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let met = any_of(allowed, words);
        return words.next_if_eq(&")").is_some() && met;
    }
    let Some(name) = words.next() else { return false };
    let name = match words.next_if_eq(&"WITH").and_then(|_| words.next()) {
        Some(exception) => format!("{name} WITH {exception}"),
        None => name.to_owned(),
    };
    allowed.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let allowed = ["MIT", "Apache-2.0", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "MIT/Apache-2.0",
            "ISC AND (Apache-2.0 OR ISC)",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
            "(MIT OR MPL-2.0) AND ISC",
        ] {
            assert!(allows(&allowed, good), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT",
            "MIT MIT",
            "Apache-2.0 WITH other",
            "none stated",
        ] {
            assert!(!allows(&allowed, bad), "{bad}");
        }
    }
}
