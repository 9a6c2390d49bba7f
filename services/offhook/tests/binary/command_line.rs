//! The commands that do one thing and end.

use crate::support::{run, run_with_input, stderr, stdout};
use std::fs;
use tempfile::tempdir;

#[test]
fn help_names_every_command() {
    let folder = tempdir().unwrap();
    let text = stdout(&run(folder.path(), &["--help"]));
    for command in [
        "up",
        "vsp",
        "geo-dns",
        "sip-proxy",
        "b2bua-rtc",
        "check",
        "token",
        "keygen",
        "hash-password",
    ] {
        assert!(
            text.lines().any(|line| line.trim_start().starts_with(command)),
            "{command}: {text}"
        );
    }
    let nothing = run(folder.path(), &[]);
    assert_eq!(
        nothing.status.code(),
        Some(2),
        "without a command it says what there is, and fails"
    );
}

#[test]
fn a_good_file_is_ok() {
    let folder = tempdir().unwrap();
    fs::write(
        folder.path().join("a.toml"),
        "[vsp]\n[[user]]\nname = 'alice'\n[b2bua_rtc]\n",
    )
    .unwrap();
    let output = run(folder.path(), &["check", "--config", "a.toml"]);
    assert_eq!(stdout(&output), "ok a.toml: nothing to complain about\n");
    assert!(output.status.success());
}

#[test]
fn an_unknown_key_is_located_with_the_nearest_name() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("a.toml"), "[vsp]\nlissten = '127.0.0.1:1'\n").unwrap();
    let output = run(folder.path(), &["check", "--config", "a.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(
        text.contains("a.toml:2:1 vsp.lissten") && text.contains("Did you mean `listen`?"),
        "{text}"
    );

    let json = stdout(&run(folder.path(), &["check", "--config", "a.toml", "--json"]));
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&report["ok"], &report["problems"][0]["line"]),
        (&false.into(), &2.into())
    );
    assert_eq!(report["problems"][0]["path"], "vsp.lissten");
}

#[test]
fn all_problems_of_all_parts_are_listed() {
    let folder = tempdir().unwrap();
    let text = "[admin]\nlisten = '0.0.0.0:9090'\n[log]\nfilter = 'offhook=loud'\n\
        [vsp]\nlisten = '0.0.0.0:8080'\nsip_proxy = '127.0.0.1:5999'\n[[user]]\nname = 'a'\npassword = 'p'\n\
        [sip_proxy]\n[[carrier]]\nname = 'one'\nuri = 'sip:192.0.2.1'\n[[route]]\nprefix = ''\ncarriers = ['onne']\n\
        [b2bua_rtc]\nng = '0.0.0.0:2223'\n";
    fs::write(folder.path().join("a.toml"), text).unwrap();
    let output = run(folder.path(), &["check", "--config", "a.toml", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let paths = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["path"].as_str().unwrap())
        .collect::<Vec<_>>();
    for path in [
        "admin.listen",
        "log.filter",
        "vsp.tls",
        "user[0].password",
        "route[0].carriers[0]",
        "b2bua_rtc.ng",
        "vsp.sip_proxy",
    ] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
}

#[test]
fn a_missing_file_and_an_empty_one_are_errors() {
    let folder = tempdir().unwrap();
    let missing = run(folder.path(), &["check", "--config", "none.toml"]);
    assert!(
        !missing.status.success() && stdout(&missing).contains("cannot read none.toml"),
        "{missing:?}"
    );
    fs::write(folder.path().join("empty.toml"), "").unwrap();
    let empty = run(folder.path(), &["check", "--config", "empty.toml"]);
    assert!(
        !empty.status.success() && stdout(&empty).contains("no role is configured"),
        "{empty:?}"
    );
}

#[test]
fn a_probe_tells_a_dead_carrier() {
    let folder = tempdir().unwrap();
    let free = std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let text = format!(
        "[sip_proxy]\n[[carrier]]\nname = 'a'\nuri = 'sip:127.0.0.1:{free}'\n[[route]]\nprefix = ''\ncarriers = ['a']\n"
    );
    fs::write(folder.path().join("a.toml"), text).unwrap();
    let output = run(folder.path(), &["check", "--config", "a.toml", "--probe"]);
    assert!(
        stdout(&output).contains(&format!("127.0.0.1:{free} does not answer")),
        "{output:?}"
    );
    assert!(
        output.status.success(),
        "a carrier may be down for a while: a warning"
    );
}

#[test]
fn keys_make_tokens_that_the_configuration_takes() {
    let folder = tempdir().unwrap();
    for (algorithm, sub) in [("EdDSA", "ed"), ("ES256", "ec")] {
        let keys = folder.path().join(sub);
        fs::create_dir(&keys).unwrap();
        let made = run(folder.path(), &["keygen", "--alg", algorithm, "--out", sub]);
        assert!(made.status.success(), "{made:?}");
        let text = format!(
            "{}\n[vsp]\n[b2bua_rtc]\n[[user]]\nname = 'alice'\n",
            stdout(&made)
        );
        fs::write(folder.path().join("a.toml"), text).unwrap();
        let checked = run(folder.path(), &["check", "--config", "a.toml"]);
        assert!(checked.status.success(), "{checked:?}");

        let private = format!("{sub}/token-private.pem");
        let token = run(
            folder.path(),
            &[
                "token", "--config", "a.toml", "--user", "alice", "--key", &private,
            ],
        );
        assert_eq!(stdout(&token).trim().split('.').count(), 3, "{token:?}");
        let again = run(folder.path(), &["keygen", "--alg", algorithm, "--out", sub]);
        assert!(
            !again.status.success() && stderr(&again).contains("not overwritten"),
            "{again:?}"
        );
    }
}

#[test]
fn tokens_want_a_known_user_and_a_key() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("a.toml"), "[vsp]\n[[user]]\nname = 'alice'\n").unwrap();
    let stranger = run(
        folder.path(),
        &["token", "--config", "a.toml", "--user", "mallory"],
    );
    assert!(
        !stranger.status.success() && stderr(&stranger).contains("there are alice"),
        "{stranger:?}"
    );
    let keyless = run(folder.path(), &["token", "--config", "a.toml", "--user", "alice"]);
    assert!(
        !keyless.status.success() && stderr(&keyless).contains("offhook keygen"),
        "{keyless:?}"
    );
}

#[test]
fn a_hashed_password_is_one_that_the_configuration_takes() {
    let folder = tempdir().unwrap();
    let hash = stdout(&run_with_input(
        folder.path(),
        &["hash-password"],
        "correct horse\n",
    ));
    let text = format!(
        "[vsp]\n[b2bua_rtc]\n[[user]]\nname = 'alice'\npassword_hash = '{}'\n",
        hash.trim()
    );
    fs::write(folder.path().join("a.toml"), text).unwrap();
    let checked = run(folder.path(), &["check", "--config", "a.toml"]);
    assert!(checked.status.success(), "{checked:?}");
    let empty = run_with_input(folder.path(), &["hash-password"], "\n");
    assert!(
        !empty.status.success() && stderr(&empty).contains("empty"),
        "{empty:?}"
    );
}
