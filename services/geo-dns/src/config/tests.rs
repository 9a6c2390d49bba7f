//! Tests of the configuration.

use super::*;
use offhook_process::Severity::{self, Error, Warning};
use std::fs;

const WORLD: &str = r#"
listen = "127.0.0.1:0"
zone = "rtc.example.com"
default_region = "america"
[[nameserver]]
name = "ns1.rtc.example.com"
addresses = ["192.0.2.53"]
[[nameserver]]
name = "ns2.example.net"
[[site]]
name = "NJ1"
addresses = ["192.0.2.1"]
health = "http://192.0.2.1:9090/readyz"
[[site]]
name = "AMS3"
addresses = ["192.0.2.2"]
health = "http://192.0.2.2:9090/readyz"
[[region]]
name = "america"
sites = ["NJ1"]
[[region]]
name = "europe"
sites = ["ams3"]
next = ["america"]
networks = ["80.0.0.0/4", "2a00::/11"]
"#;

fn read(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

/// Places and severities of what is wrong after `from` was replaced by `to`.
fn problems(from: &str, to: &str) -> Vec<(String, Severity)> {
    assert!(WORLD.contains(from), "{from}");
    let found = read(&WORLD.replacen(from, to, 1)).check();
    assert!(found.iter().all(|problem| !problem.remedy.is_empty()));
    found
        .into_iter()
        .map(|problem| (problem.path, problem.severity))
        .collect()
}

#[test]
fn a_sound_configuration_has_nothing_wrong() {
    let config = read(WORLD);
    assert_eq!(config.check(), []);
    assert_eq!((config.ttl_s, config.health.detection_ms()), (30, 17_000));
    let settings = config.settings(1).unwrap();
    assert_eq!(settings.health[0].as_ref().unwrap().port, 9090);
    assert!(toml::from_str::<Config>(&WORLD.replace("zone", "zones")).is_err());
    assert_eq!(
        read(&WORLD.replace("\"127.0.0.1:0\"", "[\"127.0.0.1:0\", \"[::1]:0\"]"))
            .listen
            .0
            .len(),
        2
    );
}

/// What to replace, by what, and where that is a mistake.
const MISTAKES: &[(&str, &str, &str, Severity)] = &[
    ("zone = \"rtc.example.com\"", "zone = \"rtc..com\"", "zone", Error),
    (
        "\"america\"\n[[nameserver]]",
        "\"amerika\"\n[[nameserver]]",
        "default_region",
        Error,
    ),
    (
        "sites = [\"ams3\"]",
        "sites = [\"AMS4\"]",
        "region[1].sites[0]",
        Error,
    ),
    (
        "next = [\"america\"]",
        "next = [\"asia\"]",
        "region[1].next[0]",
        Error,
    ),
    (
        "next = [\"america\"]",
        "next = [\"europe\"]",
        "region[1].next[0]",
        Error,
    ),
    ("\"80.0.0.0/4\"", "\"80.0.0.0\"", "region[1].networks[0]", Error),
    ("\"80.0.0.0/4\"", "\"80.0.0.1/4\"", "region[1].networks[0]", Error),
    ("\"80.0.0.0/4\"", "\"2a00::/11\"", "region[1].networks[1]", Error),
    (
        "sites = [\"NJ1\"]",
        "sites = [\"NJ1\"]\nnetworks = [\"2a00::/11\"]",
        "region[1].networks[1]",
        Error,
    ),
    (
        "sites = [\"NJ1\"]",
        "sites = [\"NJ1\"]\nnetworks_file = \"absent\"",
        "region[0].networks_file",
        Error,
    ),
    ("name = \"NJ1\"", "name = \"NJ 1\"", "site[0].name", Error),
    ("name = \"NJ1\"", "name = \"europe\"", "zone", Error),
    (
        "addresses = [\"192.0.2.1\"]",
        "addresses = []",
        "site[0].addresses",
        Error,
    ),
    (
        "addresses = [\"192.0.2.1\"]",
        "addresses = [\"192.0.2.1\"]\nweight = 0",
        "site[0].weight",
        Error,
    ),
    (
        "http://192.0.2.1:9090",
        "https://192.0.2.1:9090",
        "site[0].health",
        Error,
    ),
    ("listen = \"127.0.0.1:0\"", "listen = []", "listen", Error),
    (
        "zone =",
        "health = { failures = 0 }\nzone =",
        "health.failures",
        Error,
    ),
    (
        "zone =",
        "limits = { tcp_idle_s = 0 }\nzone =",
        "limits.tcp_idle_s",
        Error,
    ),
    ("zone =", "ttl_s = 3000000000\nzone =", "ttl_s", Error),
    (
        "addresses = [\"192.0.2.53\"]\n",
        "",
        "nameserver[0].addresses",
        Error,
    ),
    (
        "name = \"ns2.example.net\"",
        "name = \"ns2.example.net\"\naddresses = [\"192.0.2.54\"]",
        "nameserver[1].addresses",
        Warning,
    ),
    (
        "[[nameserver]]\nname = \"ns2.example.net\"\n",
        "",
        "nameserver",
        Warning,
    ),
    ("zone =", "ttl_s = 5\nzone =", "health", Warning),
    (
        "health = \"http://192.0.2.1:9090/readyz\"\n",
        "",
        "site[0].health",
        Warning,
    ),
    (
        "networks = [\"80.0.0.0/4\", \"2a00::/11\"]",
        "",
        "region[1].networks",
        Warning,
    ),
    (
        "addresses = [\"192.0.2.1\"]",
        "addresses = [\"192.0.2.1\", \"2001:db8::1\"]",
        "site[1].addresses",
        Warning,
    ),
];

#[test]
fn each_mistake_is_found_at_its_place() {
    for (from, to, place, severity) in MISTAKES {
        let found = problems(from, to);
        assert!(
            found.contains(&((*place).to_owned(), *severity)),
            "{to}: {found:?}"
        );
    }
    assert!(
        problems("sites = [\"ams3\"]", "sites = []")
            .iter()
            .any(|(place, _)| place == "site[1].name")
    );
}

#[test]
fn what_was_meant_is_said() {
    let remedy = |from: &str, to: &str| {
        let config = read(&WORLD.replacen(from, to, 1));
        config.check()[0].remedy.clone()
    };
    assert_eq!(
        remedy("sites = [\"ams3\"]", "sites = [\"AMS\"]"),
        "Did you mean `AMS3`?"
    );
    assert_eq!(
        remedy("next = [\"america\"]", "next = [\"x\"]"),
        "Known here: america, europe"
    );
    assert_eq!(remedy("\"80.0.0.0/4\"", "\"81.0.0.0/4\""), "Write 80.0.0.0/4");
}

#[test]
fn networks_come_from_files_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("europe.txt");
    let key = format!(
        "networks_file = {:?}\nnetworks = [\"80",
        path.display().to_string()
    );
    let config = read(&WORLD.replacen("networks = [\"80", &key, 1));
    fs::write(&path, "# Europe\n\n31.0.0.0/8 # RIPE\n  2001:600::/23\n").unwrap();
    assert_eq!(config.check(), []);
    fs::write(&path, "31.0.0.0/8\n80.0.0.0/4\nnonsense\n").unwrap();
    let found = config.check();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0]
            .what
            .ends_with("europe.txt:2: 80.0.0.0/4 is a network of `europe` already"),
        "{}",
        found[0].what
    );
    fs::write(&path, [0xFF, 0xFE]).unwrap();
    assert!(config.check()[0].what.contains("cannot be read"));
}

#[test]
fn health_urls() {
    let url = |text: &str| HealthUrl::parse(text).map(|url| (url.host, url.port, url.path));
    let read = |host: &str, port, path: &str| Some((host.to_owned(), port, path.to_owned()));
    assert_eq!(url("http://a.example/readyz"), read("a.example", 80, "/readyz"));
    assert_eq!(url("http://[2001:db8::1]:9090"), read("2001:db8::1", 9090, "/"));
    for bad in [
        "",
        "/readyz",
        "a.example",
        "https://a.example/",
        "ftp://a/",
        "http://",
        "http://u:p@a/",
    ] {
        assert_eq!(url(bad), None, "{bad}");
    }
}
