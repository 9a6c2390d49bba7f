//! Sees to it that the programs we need are there: installs them where we may, otherwise says how.

use crate::process::{self, Failure, command, find, say};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// A program and the Debian packages that bring it, the first that exists being taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    program: &'static str,
    packages: &'static [&'static str],
    why: &'static str,
}

const fn tool(program: &'static str, packages: &'static [&'static str], why: &'static str) -> Tool {
    Tool {
        program,
        packages,
        why,
    }
}

/// Oldest Node that the clients are built with.
pub(crate) const NODE_MAJOR_MIN: u32 = 20;

/// What building needs.
pub(crate) const TO_BUILD: &[Tool] = &[
    tool(
        "cc",
        &["build-essential"],
        "a C compiler, for libopus and the cryptography",
    ),
    tool("make", &["build-essential"], "for libopus"),
    tool("cmake", &["cmake"], "for libopus"),
];

/// What fuzzing needs beyond that.
pub(crate) const TO_FUZZ: &[Tool] = &[tool("c++", &["build-essential"], "a C++ compiler, for libFuzzer")];

/// What testing needs beyond that.
pub(crate) const TO_TEST: &[Tool] = &[
    tool("chromium", &["chromium"], "the browser in the end-to-end tests"),
    tool("sipp", &["sip-tester"], "a carrier in the end-to-end tests"),
    tool(
        "baresip",
        &["baresip-core", "baresip"],
        "a carrier in the end-to-end tests",
    ),
    tool(
        "kamailio",
        &["kamailio"],
        "somebody else's registrar in the end-to-end tests",
    ),
    tool(
        "dig",
        &["bind9-dnsutils", "dnsutils"],
        "a resolver in the end-to-end tests",
    ),
    tool("turnserver", &["coturn"], "a relay in the end-to-end tests"),
    tool(
        "haproxy",
        &["haproxy"],
        "a balancer between two nodes in the end-to-end tests",
    ),
    tool(
        "ip",
        &["iproute2"],
        "a network behind NAT in the end-to-end tests",
    ),
    tool(
        "iptables",
        &["iptables"],
        "a network behind NAT in the end-to-end tests",
    ),
];

/// Installs those of `tools` that are missing.
pub(crate) fn ensure(tools: &[Tool]) -> Result<(), Failure> {
    let missing = tools
        .iter()
        .filter(|tool| find(tool.program).is_none())
        .collect::<Vec<_>>();
    if missing.is_empty() {
        return Ok(());
    }
    for tool in &missing {
        say(&format!("  missing: {} ({})", tool.program, tool.why));
    }
    let Some(apt) = Apt::usable() else {
        return Err(by_hand(&missing));
    };
    apt.install(&missing)?;
    match missing.iter().find(|tool| find(tool.program).is_none()) {
        None => Ok(()),
        Some(tool) => Err(Failure(format!(
            "{} is still missing after apt-get; {}",
            tool.program,
            by_hand(&missing)
        ))),
    }
}

/// Checks that Node is there and young enough; Node comes from too many places for us to install it.
pub(crate) fn ensure_node() -> Result<(), Failure> {
    let remedy = format!(
        "Node {NODE_MAJOR_MIN} or later is needed to build the web page. Debian 13 and Ubuntu 25.04: \
         `apt-get install nodejs npm`; elsewhere: https://nodejs.org/en/download"
    );
    let version = process::output(command(Path::new("."), "node", &["--version"])).unwrap_or_default();
    match node_major(&version) {
        Some(major) if major >= NODE_MAJOR_MIN && find("npm").is_some() => return Ok(()),
        Some(_) => say(&format!("  Node is {}, or npm is missing", version.trim())),
        None => say("  missing: node"),
    }
    // Where the system's own package is young enough, take it.
    let apt = Apt::usable().filter(|apt| {
        apt.candidate_major("nodejs")
            .is_some_and(|major| major >= NODE_MAJOR_MIN)
    });
    let apt = apt.ok_or(Failure(remedy))?;
    apt.install(&[&tool("node", &["nodejs"], ""), &tool("npm", &["npm"], "")])
}

fn node_major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn by_hand(missing: &[&Tool]) -> Failure {
    let mut packages = missing.iter().map(|tool| tool.packages[0]).collect::<Vec<_>>();
    packages.dedup();
    let packages = packages.join(" ");
    Failure(format!(
        "please install what is missing, on Debian or Ubuntu with: sudo apt-get install {packages}"
    ))
}

/// apt-get, with the right to use it.
struct Apt {
    sudo: bool,
}

impl Apt {
    fn usable() -> Option<Self> {
        find("apt-get")?;
        let id = process::output(command(Path::new("/"), "id", &["-u"])).ok()?;
        if id.trim() == "0" {
            return Some(Self { sudo: false });
        }
        find("sudo")?;
        process::output(command(Path::new("/"), "sudo", &["-n", "true"])).ok()?;
        Some(Self { sudo: true })
    }

    fn install(&self, tools: &[&Tool]) -> Result<(), Failure> {
        say("  apt-get update");
        // Fails when one of several sources is down; what is needed may still be there.
        if let Err(error) = process::run(self.apt_get(&["update", "-qq"])) {
            say(&format!("  {error}; going on with the lists that are there"));
        }
        let mut packages = tools.iter().map(|tool| self.available(tool)).collect::<Vec<_>>();
        packages.dedup();
        say(&format!("  apt-get install {}", packages.join(" ")));
        let _no_services = NoServices::begin(self)?;
        let mut arguments = vec!["install", "-qq", "-y", "--no-install-recommends"];
        arguments.extend(packages);
        process::run(self.apt_get(&arguments))
    }

    /// The first of the tool's packages that the lists know.
    fn available(&self, tool: &Tool) -> &'static str {
        let known = tool
            .packages
            .iter()
            .find(|package| self.candidate(package).is_some());
        known.unwrap_or(&tool.packages[0])
    }

    fn candidate(&self, package: &str) -> Option<String> {
        let policy = process::output(command(Path::new("/"), "apt-cache", &["policy", package])).ok()?;
        let candidate = policy
            .lines()
            .find_map(|line| line.trim().strip_prefix("Candidate:"))?
            .trim();
        (candidate != "(none)").then(|| candidate.to_owned())
    }

    fn candidate_major(&self, package: &str) -> Option<u32> {
        let candidate = self.candidate(package)?;
        candidate.split(['.', '+', '~', '-']).next()?.parse().ok()
    }

    fn apt_get(&self, arguments: &[&str]) -> Command {
        let mut all = vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
        all.extend(arguments);
        self.elevated(&all)
    }

    fn elevated(&self, line: &[&str]) -> Command {
        if self.sudo {
            command(Path::new("/"), "sudo", &[&["-n"][..], line].concat())
        } else {
            command(Path::new("/"), line[0], &line[1..])
        }
    }
}

/// While this lives, packages may not start their services: a baresip or a Redis of the system would take our ports.
struct NoServices<'a> {
    apt: &'a Apt,
    ours: bool,
}

const POLICY_FILE: &str = "/usr/sbin/policy-rc.d";

impl<'a> NoServices<'a> {
    fn begin(apt: &'a Apt) -> Result<Self, Failure> {
        if Path::new(POLICY_FILE).exists() {
            return Ok(Self { apt, ours: false });
        }
        let draft = draft_path();
        fs::write(&draft, "#!/bin/sh\nexit 101\n")?;
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755))?;
        let moved =
            process::run(apt.elevated(&["install", "-m", "755", &draft.to_string_lossy(), POLICY_FILE]));
        fs::remove_file(&draft)?;
        moved.map(|()| Self { apt, ours: true })
    }
}

impl Drop for NoServices<'_> {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = process::run(self.apt.elevated(&["rm", "-f", POLICY_FILE]))
        {
            say(&format!(
                "  {POLICY_FILE} could not be removed ({error}): please remove it, it keeps services from starting"
            ));
        }
    }
}

fn draft_path() -> PathBuf {
    std::env::temp_dir().join(format!("offhook-policy-rc.d-{}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node() {
        assert_eq!(node_major("v20.20.2\n"), Some(20));
        assert_eq!(node_major(""), None);
        assert_eq!(node_major("node: not found"), None);
    }

    #[test]
    fn the_command_for_people_names_each_package_once() {
        let text = by_hand(&TO_BUILD.iter().collect::<Vec<_>>()).to_string();
        assert!(
            text.ends_with("sudo apt-get install build-essential cmake"),
            "{text}"
        );
    }
}
