//! Digest examples of RFC 2617 §3.5, RFC 7616 §3.9 and RFC 2069, and the choice of a challenge (RFC 8760 §2.4).

use crate::support::agents::credentials;
use crate::support::{own_request, response_builder};
use offhook_sip::digest::{Authenticator, ChallengeError, Computation, Credentials};
use offhook_sip_message::header::{Algorithm, Authorization, Header};
use offhook_sip_message::{HeaderName, Message, Method};

fn mufasa<'a>(algorithm: Algorithm, password: &'a [u8]) -> Computation<'a> {
    Computation {
        algorithm,
        username: b"Mufasa",
        realm: b"http-auth@example.org",
        password,
        nonce: b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        method: b"GET",
        uri: b"/dir/index.html",
        cnonce: b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        count: Some(b"00000001"),
    }
}

#[test]
fn rfc7616_3_9_1() {
    let password = b"Circle of Life";
    assert_eq!(
        mufasa(Algorithm::Md5, password).response(),
        "8ca523f5e9506fed4657c9700eebdbec"
    );
    assert_eq!(
        mufasa(Algorithm::Sha256, password).response(),
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    );
}

#[test]
fn rfc2617_3_5() {
    let computation = Computation {
        realm: b"testrealm@host.com",
        nonce: b"dcd98b7102dd2f0e8b11d0f600bfb0c093",
        cnonce: b"0a4f113b",
        ..mufasa(Algorithm::Md5, b"Circle Of Life")
    };
    assert_eq!(computation.response(), "6629fae49393a05397450978507c4ef1");
}

#[test]
fn without_qop_neither_count_nor_cnonce_go_in() {
    let computation = |cnonce| Computation {
        count: None,
        cnonce,
        ..mufasa(Algorithm::Md5, b"Circle Of Life")
    };
    assert_eq!(computation(b"one").response(), computation(b"two").response());
    assert_ne!(
        computation(b"one").response(),
        mufasa(Algorithm::Md5, b"Circle Of Life").response()
    );
}

#[test]
fn session_variants_mix_the_nonces_into_the_secret() {
    let plain = mufasa(Algorithm::Md5, b"x").response();
    let session = mufasa(Algorithm::Md5Sess, b"x").response();
    assert_ne!(plain, session);
    assert_eq!(mufasa(Algorithm::Sha512_256, b"x").response().len(), 64);
    assert_ne!(
        mufasa(Algorithm::Sha512_256, b"x").response(),
        mufasa(Algorithm::Sha256, b"x").response()
    );
}

fn challenged(lines: &[&str]) -> Message {
    let request = own_request("REGISTER", "z9hG4bKr1");
    let builder = response_builder(&request, 401);
    lines
        .iter()
        .fold(builder, |builder, line| {
            builder.text(HeaderName::WwwAuthenticate, line)
        })
        .build()
        .unwrap()
}

fn answer(auth: &mut Authenticator) -> Vec<String> {
    auth.headers(&Method::Register, b"sip:example.com")
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect()
}

#[test]
fn the_first_supported_challenge_of_each_realm_is_answered() {
    let mut auth = Authenticator::new(credentials());
    let response = challenged(&[
        "Digest realm=\"a\", nonce=\"n1\", algorithm=SHA-999, qop=\"auth\"",
        "Digest realm=\"a\", nonce=\"n2\", algorithm=SHA-512-256, qop=\"auth-int,auth\", opaque=\"o\"",
        "Digest realm=\"a\", nonce=\"n3\"",
        "Basic realm=\"b\"",
        "Digest realm=\"b\", nonce=\"n4\"",
    ]);
    auth.handle_challenge(&response, "c1").unwrap();
    let lines = answer(&mut auth);
    assert_eq!(lines.len(), 2);
    for part in [
        "realm=\"a\"",
        "nonce=\"n2\"",
        "algorithm=SHA-512-256",
        "qop=auth,",
        "nc=00000001",
        "opaque=\"o\"",
    ] {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }
    assert!(lines[1].contains("nonce=\"n4\"") && !lines[1].contains("qop") && !lines[1].contains("cnonce"));
    assert!(answer(&mut auth)[0].contains("nc=00000002"));
}

#[test]
fn what_cannot_be_answered_is_said() {
    let mut auth = Authenticator::new(credentials());
    for lines in [
        &["Basic realm=\"b\""][..],
        &["Digest realm=\"a\", nonce=\"n\", qop=\"auth-int\""],
        &["Digest realm=\"a\""],
        &[],
    ] {
        assert_eq!(
            auth.handle_challenge(&challenged(lines), "c"),
            Err(ChallengeError::Unsupported),
            "{lines:?}"
        );
    }
    let mut auth = Authenticator::new(credentials());
    let stale = challenged(&["Digest realm=\"a\", nonce=\"n\", stale=true"]);
    let outcomes: Vec<_> = (0..10).map(|_| auth.handle_challenge(&stale, "c")).collect();
    assert!(outcomes[..8].iter().all(Result::is_ok));
    assert_eq!(outcomes[9], Err(ChallengeError::TooOften));
}

#[test]
fn quotes_are_escaped_and_the_password_is_never_shown() {
    let tricky = Credentials {
        username: "al\"ice".into(),
        password: "secret".into(),
    };
    assert!(!format!("{tricky:?}").contains("secret"));
    let mut auth = Authenticator::new(tricky);
    assert!(!format!("{auth:?}").contains("secret"));
    auth.handle_challenge(&challenged(&["Digest realm=\"a\", nonce=\"n\""]), "c")
        .unwrap();
    let (_, value) = auth.headers(&Method::Register, b"sip:example.com").remove(0);
    let given = Authorization::parse(value.as_bytes()).unwrap();
    assert_eq!(given.params.get("username").as_deref(), Some(&b"al\"ice"[..]));
}
