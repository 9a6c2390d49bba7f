//! RFC 3261 §22: challenges are answered.

use crate::support::agents::{ALICE, BOB, World, credentials, invite_to_bob, sdp};
use offhook_sip::Header;
use offhook_sip::digest::{VerifyError, challenge, verify};
use offhook_sip::user_agent::{IncomingId, Reply};
use offhook_sip_message::header::{Algorithm, Authorization, CSeq, Credentials, ProxyAuthorization, Via};
use offhook_sip_message::{HeaderName, Message, Method, StatusCode};

fn demand(proxy: bool, nonce: &str, stale: bool) -> Reply {
    let (name, status) = if proxy {
        ("Proxy-Authenticate", StatusCode::PROXY_AUTHENTICATION_REQUIRED)
    } else {
        ("WWW-Authenticate", StatusCode::UNAUTHORIZED)
    };
    let line = |algorithm| {
        let value = challenge("example.com", nonce, algorithm, stale).unwrap();
        Header::new(name, std::str::from_utf8(value.as_bytes()).unwrap()).unwrap()
    };
    Reply {
        headers: vec![line(Algorithm::Sha256), line(Algorithm::Md5)],
        ..Reply::new(status)
    }
}

fn check<const PROXY: bool>(message: &Message, nonce: &str) -> Result<Option<u32>, VerifyError> {
    let given: Credentials<'_, PROXY> = message.require().expect("credentials");
    assert_eq!(
        given.algorithm(),
        Some(Algorithm::Sha256),
        "the first that is offered (RFC 8760)"
    );
    let method = message.method().unwrap();
    verify(&given, method, "example.com", nonce, |user| {
        (user == b"alice").then(|| credentials().password)
    })
}

fn calling() -> (World, IncomingId) {
    let mut world = World::new();
    let mut invite = invite_to_bob();
    invite.credentials = Some(credentials());
    world.call_with(invite);
    let (_, incoming) = world.incoming(BOB);
    (world, incoming)
}

#[test]
fn a_call_answers_its_challenge_and_says_nothing_about_it() {
    for proxy in [true, false] {
        let (mut world, incoming) = calling();
        let first = world.last("INVITE").clone();
        world.respond(BOB, incoming, demand(proxy, "n1", false));
        world.run(10);
        assert_eq!(world.story(ALICE), [""; 0]);
        let second = world.last("INVITE").clone();
        let outcome = if proxy {
            check::<true>(&second, "n1")
        } else {
            check::<false>(&second, "n1")
        };
        assert_eq!(outcome, Ok(Some(1)));
        assert_eq!(
            second.require::<CSeq>().unwrap().number,
            first.require::<CSeq>().unwrap().number + 1
        );
        for name in [HeaderName::CallId, HeaderName::From, HeaderName::To] {
            assert_eq!(first.first(name), second.first(name), "{name}");
        }
        assert_ne!(
            first.require::<Via<'_>>().unwrap().branch(),
            second.require::<Via<'_>>().unwrap().branch()
        );
        let (_, incoming) = world.incoming(BOB);
        world.respond(BOB, incoming, Reply::new(StatusCode::OK));
        world.run(10);
        assert_eq!(world.story(ALICE), ["answered"]);
        let ack = world.last("ACK");
        let name = if proxy {
            HeaderName::ProxyAuthorization
        } else {
            HeaderName::Authorization
        };
        assert_eq!(
            ack.first(name),
            second.first(name),
            "an ACK bears the INVITE's credentials"
        );
    }
}

#[test]
fn wrong_credentials_are_tried_once() {
    let (mut world, incoming) = calling();
    world.respond(BOB, incoming, demand(true, "n1", false));
    world.run(10);
    let (_, incoming) = world.incoming(BOB);
    world.respond(BOB, incoming, demand(true, "n2", false));
    world.run(10);
    assert_eq!(world.story(ALICE), ["failed 407"]);
    world.expect_nothing_left();
}

#[test]
fn a_stale_nonce_is_replaced() {
    let (mut world, incoming) = calling();
    world.respond(BOB, incoming, demand(true, "n1", false));
    world.run(10);
    let (_, incoming) = world.incoming(BOB);
    world.respond(BOB, incoming, demand(true, "n2", true));
    world.run(10);
    assert_eq!(check::<true>(world.last("INVITE"), "n2"), Ok(Some(1)));
    assert_eq!(world.story(ALICE), [""; 0]);
}

#[test]
fn without_credentials_the_401_stands() {
    let mut world = World::new();
    let (_, incoming) = world.called();
    world.respond(BOB, incoming, demand(false, "n1", false));
    world.run(10);
    assert_eq!(world.story(ALICE), ["failed 401"]);
}

#[test]
fn requests_within_the_call_reuse_the_nonce_and_answer_new_ones() {
    let (mut world, incoming) = calling();
    world.respond(BOB, incoming, demand(false, "n1", false));
    world.run(10);
    let (_, incoming) = world.incoming(BOB);
    world.respond(BOB, incoming, Reply::new(StatusCode::OK));
    world.run(10);
    let leg = match world.agents[ALICE].events.last() {
        Some(offhook_sip::user_agent::Event::Answered { leg, .. }) => *leg,
        other => panic!("{other:?}"),
    };
    world.request(ALICE, leg, Method::Invite, sdp("hold"));
    world.run(10);
    assert_eq!(check::<false>(world.last("INVITE"), "n1"), Ok(Some(2)));
    let (incoming, _) = world.incoming_request(BOB);
    world.respond(BOB, incoming, demand(false, "n2", false));
    world.run(10);
    assert_eq!(check::<false>(world.last("INVITE"), "n2"), Ok(Some(1)));
    let (incoming, _) = world.incoming_request(BOB);
    world.respond(BOB, incoming, Reply::new(StatusCode::OK));
    world.run(10);

    world.request(ALICE, leg, Method::Info, None);
    world.run(10);
    assert_eq!(check::<false>(world.last("INFO"), "n2"), Ok(Some(2)));
    let (incoming, _) = world.incoming_request(BOB);
    world.respond(BOB, incoming, demand(false, "n3", false));
    world.run(10);
    assert_eq!(check::<false>(world.last("INFO"), "n3"), Ok(Some(1)));
    let (incoming, _) = world.incoming_request(BOB);
    world.respond(BOB, incoming, Reply::new(StatusCode::OK));
    world.run(10);

    world.bye(ALICE, leg);
    world.run(10);
    assert_eq!(check::<false>(world.last("BYE"), "n3"), Ok(Some(2)));
    assert_eq!(
        world.story(ALICE)[1..],
        ["response 200 INVITE", "response 200 INFO", "terminated local"]
    );
    world.expect_nothing_left();
}

#[test]
fn the_verifier_tells_what_is_wrong() {
    let (mut world, incoming) = calling();
    world.respond(BOB, incoming, demand(true, "n1", false));
    world.run(10);
    let invite = world.last("INVITE");
    let given: ProxyAuthorization<'_> = invite.require().unwrap();
    let known = |password: &'static str| move |_: &[u8]| Some(password.to_owned());
    let method = &Method::Invite;
    assert_eq!(
        verify(&given, method, "example.com", "n1", known("open sesame")),
        Ok(Some(1))
    );
    assert_eq!(
        verify(&given, method, "example.com", "n1", known("wrong")),
        Err(VerifyError::Wrong)
    );
    assert_eq!(
        verify(&given, method, "example.com", "n1", |_| None),
        Err(VerifyError::Wrong)
    );
    assert_eq!(
        verify(&given, &Method::Bye, "example.com", "n1", known("open sesame")),
        Err(VerifyError::Wrong)
    );
    let other = verify(&given, method, "example.com", "n9", known("open sesame"));
    assert_eq!(other, Err(VerifyError::OtherChallenge));
    let text = String::from_utf8(invite.bytes().to_vec()).unwrap();
    let text = text
        .replace("Proxy-Authorization", "Authorization")
        .replace("cnonce=", "nocnonce=");
    let cut = Message::parse(text.into_bytes().into()).unwrap();
    let given: Authorization<'_> = cut.require().unwrap();
    let outcome = verify(&given, method, "example.com", "n1", known("open sesame"));
    assert_eq!(outcome, Err(VerifyError::Malformed));
}
