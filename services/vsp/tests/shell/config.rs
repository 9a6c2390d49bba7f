//! What `offhook check` says about the VSP's part of a configuration.

use offhook_process::{Problem, Severity};
use offhook_vsp::config::{AuthConfig, Config, UserConfig, check_users};
use serde_json::{Value, json};

fn vsp(keys: Value) -> Vec<Problem> {
    serde_json::from_value::<Config>(keys).unwrap().check()
}

fn users(list: Value) -> Vec<Problem> {
    check_users(&serde_json::from_value::<Vec<UserConfig>>(list).unwrap())
}

/// Paths of errors and of warnings.
fn paths(problems: &[Problem]) -> (Vec<&str>, Vec<&str>) {
    let (errors, warnings): (Vec<_>, Vec<_>) = problems
        .iter()
        .partition(|problem| problem.severity == Severity::Error);
    (
        errors.iter().map(|problem| problem.path.as_str()).collect(),
        warnings.iter().map(|problem| problem.path.as_str()).collect(),
    )
}

#[test]
fn nothing_is_wrong_with_the_defaults() {
    assert!(vsp(json!({})).is_empty());
    assert!(AuthConfig::default().check().is_empty());
    assert!(check_users(&[]).is_empty());
}

#[test]
fn each_mistake_is_found_where_it_is() {
    for (keys, errors, warnings) in [
        (json!({"listen": "0.0.0.0:443"}), vec!["tls"], vec![]),
        (
            json!({"listen": "0.0.0.0:443", "trusted_proxies": ["10.0.0.1"]}),
            vec![],
            vec![],
        ),
        (
            json!({"tls": {"cert": "/nonexistent", "key": "/nonexistent"}}),
            vec!["tls.cert", "tls.key"],
            vec![],
        ),
        (json!({"domain": "not a host"}), vec!["domain"], vec![]),
        (json!({"sip_proxy": "[::1]:5060"}), vec!["sip"], vec![]),
        (json!({"ring_timeout_s": 0}), vec!["ring_timeout_s"], vec![]),
        (
            json!({"control": "http://127.0.0.1:8090"}),
            vec!["control"],
            vec![],
        ),
        (json!({"control": "ws://127.0.0.1:8090/control"}), vec![], vec![]),
        (
            json!({"control": "ws://10.0.0.7:8090/control"}),
            vec![],
            vec!["control"],
        ),
        (
            json!({"limits": {"sessions_max": 0}}),
            vec!["limits.sessions_max"],
            vec![],
        ),
    ] {
        assert_eq!(paths(&vsp(keys.clone())), (errors, warnings), "{keys}");
    }
}

#[test]
fn unknown_keys_are_refused() {
    assert!(serde_json::from_value::<Config>(json!({"lisen": "127.0.0.1:1"})).is_err());
    assert!(serde_json::from_value::<AuthConfig>(json!({"jwt": [{"alg": "none"}]})).is_err());
    assert!(serde_json::from_value::<UserConfig>(json!({"name": "a", "passwd": "x"})).is_err());
}

#[test]
fn users_are_checked() {
    let good =
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$8jBPYwCV5tSyNvVHUSGwJNfYcbAp1Yz3kqJ2cVfzqCw";
    let list = json!([
        {"name": "alice", "password_hash": good, "numbers": ["+1555"], "caller_id": "+1555"},
        {"name": "alice", "password": "p"},
        {"name": "b ob", "password_hash": "plain", "caller_id": "+1556"},
        {"name": "carla", "password_hash": good, "password": "p"},
        {"name": "token-only"},
    ]);
    let problems = users(list);
    let (errors, warnings) = paths(&problems);
    assert_eq!(
        errors,
        ["[1].name", "[2].name", "[2].password_hash", "[3].password"]
    );
    assert_eq!(warnings, ["[1].password", "[2].caller_id"]);
    assert!(
        problems.iter().all(|problem| !problem.what.contains("\"p\"")),
        "{problems:?}"
    );
}

#[test]
fn what_calls_for_users_need_is_checked() {
    let config: Config = serde_json::from_value(json!({
        "reject_code": 404, "no_answer_code": 503, "session_expires_s": 30,
        "headers_allowed": ["User-to-User", "Route", "X-Offhook-Call-Id"],
        "anonymous_targets": [{"type": "ai_assistant", "id": "desk", "destination": ""}],
        "limits": {"sessions_per_user_max": 0},
    }))
    .unwrap();
    let problems = config.check();
    let (mut errors, _) = paths(&problems);
    errors.sort();
    assert_eq!(
        errors,
        [
            "anonymous_targets[0].destination",
            "headers_allowed",
            "headers_allowed",
            "limits.sessions_per_user_max",
            "no_answer_code",
            "reject_code",
            "session_expires_s",
        ]
    );
    let problems = users(
        json!([{"name": "alice", "register": {"domain": "p b x", "address": "192.0.2.1:5060",
        "username": "", "password": "p", "expires_s": 5}}]),
    );
    let (errors, _) = paths(&problems);
    assert_eq!(
        errors,
        [
            "[0].register.domain",
            "[0].register.username",
            "[0].register.expires_s"
        ]
    );
}
