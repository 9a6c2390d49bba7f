//! Passwords and tokens: R15.

use crate::vsp::{self, Client, Vsp, metric};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use offhook_vsp::config::AuthConfig;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

struct Keys {
    _folder: tempfile::TempDir,
    ed25519: EncodingKey,
    p256: EncodingKey,
    p256_public_pem: String,
    auth: AuthConfig,
}

fn keys() -> Keys {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str, algorithm| {
        let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, pair.public_key_pem()).unwrap();
        (pair, path)
    };
    let (ed25519, ed25519_file) = make("ed25519.pem", &rcgen::PKCS_ED25519);
    let (p256, p256_file) = make("p256.pem", &rcgen::PKCS_ECDSA_P256_SHA256);
    let auth = json!({"audience": "voice", "leeway_s": 5, "jwt": [
        {"alg": "EdDSA", "public_key_file": ed25519_file},
        {"alg": "ES256", "public_key_file": p256_file},
        {"alg": "HS256", "secret": SECRET},
    ]});
    Keys {
        _folder: folder,
        ed25519: EncodingKey::from_ed_pem(ed25519.serialize_pem().as_bytes()).unwrap(),
        p256: EncodingKey::from_ec_pem(p256.serialize_pem().as_bytes()).unwrap(),
        p256_public_pem: p256.public_key_pem(),
        auth: serde_json::from_value(auth).unwrap(),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn token(algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, key).unwrap()
}

fn good() -> Value {
    json!({"sub": "alice", "exp": now() + 60, "aud": "voice"})
}

fn good_but(key: &str, value: Value) -> Value {
    let mut claims = good();
    claims[key] = value;
    claims
}

async fn start(keys: &Keys) -> Vsp {
    let mut config = vsp::config();
    config.limits.login_failures_max = 100;
    vsp::start_with(config, keys.auth.clone()).await
}

async fn present(vsp: &Vsp, token: &str) -> Value {
    let mut client = Client::connect(vsp).await;
    client.ask("login", json!({"login_token": token})).await
}

#[tokio::test]
async fn m07_tokens_of_each_algorithm_log_in() {
    let keys = keys();
    let vsp = start(&keys).await;
    let hs256 = EncodingKey::from_secret(SECRET.as_bytes());
    let several = good_but("aud", json!(["other", "voice"]));
    for (name, token) in [
        ("EdDSA", token(Algorithm::EdDSA, &keys.ed25519, &good())),
        ("ES256", token(Algorithm::ES256, &keys.p256, &good())),
        ("HS256", token(Algorithm::HS256, &hs256, &good())),
        (
            "several audiences",
            token(Algorithm::EdDSA, &keys.ed25519, &several),
        ),
        (
            "within the leeway",
            token(
                Algorithm::EdDSA,
                &keys.ed25519,
                &good_but("exp", json!(now() - 2)),
            ),
        ),
    ] {
        let answer = present(&vsp, &token).await;
        assert_eq!(answer["result"]["message"], "logged in", "{name}: {answer}");
    }
}

#[tokio::test]
async fn m07_claims_that_do_not_hold_are_refused() {
    let keys = keys();
    let vsp = start(&keys).await;
    for (outcome, claims) in [
        ("token-expired", good_but("exp", json!(now() - 60))),
        ("token-not-yet-valid", good_but("nbf", json!(now() + 60))),
        ("token-audience", good_but("aud", json!("other"))),
        ("token-incomplete", good_but("exp", Value::Null)),
        ("unknown-user", good_but("sub", json!("mallory"))),
    ] {
        let answer = present(&vsp, &token(Algorithm::EdDSA, &keys.ed25519, &claims)).await;
        assert_eq!(
            answer["error"],
            json!({"code": -32001, "message": "Authentication failure"}),
            "{outcome}"
        );
        let counted = format!("offhook_vsp_logins_total{{outcome=\"{outcome}\"}}");
        assert_eq!(metric(&vsp, &counted), 1.0, "{outcome}");
    }
    assert_eq!(
        present(
            &vsp,
            &token(Algorithm::EdDSA, &keys.ed25519, &good_but("aud", Value::Null))
        )
        .await["error"]["code"],
        -32001
    );
}

#[tokio::test]
async fn m07_signatures_that_are_not_ours_are_refused() {
    let keys = keys();
    let vsp = start(&keys).await;
    let strange = EncodingKey::from_secret(b"another secret of sufficient length, as it seems");
    let hs256 = EncodingKey::from_secret(SECRET.as_bytes());
    // The public key as an HMAC secret: believed where the token chooses its algorithm.
    let confused = EncodingKey::from_secret(keys.p256_public_pem.as_bytes());
    let mut forged = token(Algorithm::EdDSA, &keys.ed25519, &good());
    forged.truncate(forged.len() - 8);
    forged.push_str("AAAAAAAA");
    for (name, token) in [
        (
            "signed by somebody else",
            token(Algorithm::HS256, &strange, &good()),
        ),
        ("of another algorithm", token(Algorithm::HS512, &hs256, &good())),
        ("confused", token(Algorithm::HS256, &confused, &good())),
        ("forged", forged),
        ("unsigned", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.".to_owned()),
        ("garbage", "not a token".to_owned()),
    ] {
        let answer = present(&vsp, &token).await;
        assert_eq!(
            answer["error"],
            json!({"code": -32001, "message": "Authentication failure"}),
            "{name}"
        );
    }
}

#[tokio::test]
async fn passwords_are_checked_and_guesses_throttled() {
    let vsp = vsp::start().await;
    let mut client = Client::connect(&vsp).await;
    let wrong = client.log_in("alice", "guess").await;
    let unknown = client.log_in("mallory", "guess").await;
    assert_eq!(wrong["error"], unknown["error"]);
    assert_eq!(
        client.log_in("alice", "alice-demo").await["result"]["message"],
        "logged in"
    );
    let mut refused = 0;
    for _ in 0..3 {
        let mut client = Client::connect(&vsp).await;
        for _ in 0..4 {
            refused += usize::from(client.log_in("alice", "guess").await["error"]["code"] == -32001);
        }
    }
    assert_eq!(refused, 12);
    assert!(metric(&vsp, "offhook_vsp_logins_total{outcome=\"throttled\"}") >= 3.0);
    assert_eq!(metric(&vsp, "offhook_vsp_logins_total{outcome=\"ok\"}"), 1.0);
}

#[tokio::test]
async fn a_key_that_cannot_be_read_keeps_the_vsp_from_starting() {
    let auth = json!({"jwt": [{"alg": "EdDSA", "public_key_file": "/nonexistent/key.pem"}]});
    let auth: AuthConfig = serde_json::from_value(auth).unwrap();
    assert!(auth.check()[0].what.contains("/nonexistent/key.pem"));
    let weak: AuthConfig =
        serde_json::from_value(json!({"jwt": [{"alg": "HS256", "secret": "short"}]})).unwrap();
    assert_eq!(weak.check().len(), 1);
    let mixed: AuthConfig =
        serde_json::from_value(json!({"jwt": [{"alg": "ES256", "secret": SECRET}]})).unwrap();
    assert!(mixed.check()[0].what.contains("public_key_file"));
}
