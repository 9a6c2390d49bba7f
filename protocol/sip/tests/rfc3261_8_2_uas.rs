//! RFC 3261 §8.2, §12.2.2: what a user agent answers by itself.

use crate::support::agents::{ADDRESSES, ALICE, BOB, World, anew, name, name_addr, request, uri};
use crate::support::message;
use offhook_sip::Flow;
use offhook_sip::user_agent::{Reply, Target};
use offhook_sip_message::{HeaderName, Message, Method, StatusCode};

/// A request of a stranger at 192.0.2.66 to bob; `extra` lines come before the end, then `body`.
fn stranger(method: &str, extra: &str, body: &str) -> Message {
    // The two ways of one request share a Call-ID; all other requests are strangers to each other.
    let call = if extra.contains("X-Way") {
        0
    } else {
        1 + extra.len() + body.len()
    };
    let head = message(&format!(
        "{method} sip:bob@192.0.2.1 SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bK{}
         Max-Forwards: 70
         From: <sip:eve@192.0.2.66>;tag=e1
         To: <sip:bob@192.0.2.1>{}
         Call-ID: stranger-{call}
         CSeq: 5 {method}
         Contact: <sip:eve@192.0.2.66>
         Content-Length: {}
         {}",
        extra.len() + body.len(),
        if extra.contains("tagged") {
            ";tag=unknown"
        } else {
            ""
        },
        body.len(),
        if extra.is_empty() { "X-Nothing: 1" } else { extra },
    ));
    let mut bytes = head.bytes().to_vec();
    bytes.extend_from_slice(body.as_bytes());
    Message::parse(bytes.into()).unwrap()
}

fn ask(world: &mut World, message: &Message) -> Message {
    let eve = "192.0.2.66:5060".parse().unwrap();
    world.send(eve, ADDRESSES[BOB].parse().unwrap(), message.bytes().clone());
    world.run(5);
    let answers = world
        .wire
        .iter()
        .rev()
        .find(|(_, _, to, answer)| *to == eve && answer.status().is_some_and(|status| status.is_final()));
    answers.expect("an answer").3.clone()
}

fn text(message: &Message, name: HeaderName<'static>) -> String {
    message
        .values(name)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect::<Vec<_>>()
        .join(", ")
}

#[test]
fn unknown_methods_get_405_with_allow() {
    let mut world = World::new();
    for method in ["SUBSCRIBE", "REFER", "INVENT"] {
        let answer = ask(&mut world, &stranger(method, "", ""));
        assert_eq!(answer.status(), Some(StatusCode::METHOD_NOT_ALLOWED), "{method}");
        assert_eq!(
            text(&answer, HeaderName::Allow),
            "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, MESSAGE"
        );
    }
    assert_eq!(world.story(BOB), [""; 0]);
}

#[test]
fn required_extensions_get_420_and_supported_ones_are_passed_over() {
    let mut world = World::new();
    let answer = ask(
        &mut world,
        &stranger("INVITE", "Require: 100rel, precondition", ""),
    );
    assert_eq!(answer.status(), Some(StatusCode::BAD_EXTENSION));
    assert_eq!(text(&answer, HeaderName::Unsupported), "100rel, precondition");
    assert_eq!(world.story(BOB), [""; 0]);
    // What is no option tag cannot be said back; the request is answered all the same.
    let garbled = ask(
        &mut world,
        &stranger("INVITE", "Require: 100rel\u{2};;\u{1b}w", ""),
    );
    assert_eq!(garbled.status(), Some(StatusCode::BAD_EXTENSION));
    let polite = stranger("INVITE", "Supported: timer, 100rel", "").bytes().clone();
    let eve = "192.0.2.66:5060".parse().unwrap();
    world.send(eve, ADDRESSES[BOB].parse().unwrap(), polite);
    world.run(5);
    assert_eq!(world.story(BOB), ["call"]);
}

#[test]
fn unreadable_bodies_get_415_with_accept() {
    let mut world = World::new();
    let answer = ask(
        &mut world,
        &stranger("MESSAGE", "Content-Type: text/html", "<b>hi</b>"),
    );
    assert_eq!(answer.status(), Some(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    assert_eq!(
        text(&answer, HeaderName::Accept),
        "application/sdp, application/dtmf-relay"
    );
    let encoded = stranger(
        "MESSAGE",
        "Content-Type: application/sdp\r\nContent-Encoding: gzip",
        "zzz",
    );
    assert_eq!(
        ask(&mut world, &encoded).status(),
        Some(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    );
    let bare = ask(&mut world, &stranger("MESSAGE", "X-No-Type: at-all", "hi"));
    assert_eq!(bare.status(), Some(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    let optional = "Content-Type: text/html\r\nContent-Disposition: render;handling=optional";
    let eve = "192.0.2.66:5060".parse().unwrap();
    let optional = stranger("MESSAGE", optional, "hi").bytes().clone();
    world.send(eve, ADDRESSES[BOB].parse().unwrap(), optional);
    world.run(5);
    assert_eq!(world.story(BOB), ["MESSAGE hi"]);
}

#[test]
fn requests_of_unknown_dialogs_get_481() {
    let mut world = World::new();
    for method in ["BYE", "INFO", "INVITE", "UPDATE", "OPTIONS"] {
        let answer = ask(&mut world, &stranger(method, "X-Who: tagged", ""));
        assert_eq!(answer.status(), Some(StatusCode::CALL_DOES_NOT_EXIST), "{method}");
    }
    assert_eq!(
        ask(&mut world, &stranger("BYE", "", "")).status(),
        Some(StatusCode::CALL_DOES_NOT_EXIST)
    );
    assert_eq!(world.story(BOB), [""; 0]);
    world.expect_nothing_left();
}

#[test]
fn an_ack_of_nobody_is_ignored() {
    let mut world = World::new();
    let eve = "192.0.2.66:5060".parse().unwrap();
    world.send(
        eve,
        ADDRESSES[BOB].parse().unwrap(),
        stranger("ACK", "X-Who: tagged", "").bytes().clone(),
    );
    world.run(5);
    assert_eq!(world.wire.len(), 1);
}

#[test]
fn the_same_request_by_two_ways_is_merged() {
    let mut world = World::new();
    let first = stranger("INVITE", "X-Way: one", "");
    let eve = "192.0.2.66:5060".parse().unwrap();
    world.send(eve, ADDRESSES[BOB].parse().unwrap(), first.bytes().clone());
    let answer = ask(&mut world, &stranger("INVITE", "X-Way: another", ""));
    assert_eq!(answer.status(), Some(StatusCode::LOOP_DETECTED));
    assert_eq!(world.story(BOB), ["call"]);
}

#[test]
fn an_invite_without_contact_gets_400() {
    let mut world = World::new();
    let text = String::from_utf8(stranger("INVITE", "", "").bytes().to_vec()).unwrap();
    let bare = text.replace("Contact: <sip:eve@192.0.2.66>\r\n", "");
    let answer = ask(&mut world, &Message::parse(bare.into_bytes().into()).unwrap());
    assert_eq!(answer.status(), Some(StatusCode::BAD_REQUEST));
    world.expect_nothing_left();
}

#[test]
fn an_old_cseq_within_a_call_gets_500() {
    let mut world = World::new();
    let (alices, _) = world.in_call();
    world.request(ALICE, alices, Method::Info, None);
    world.run(10);
    let old = anew(world.last("INFO"), 1);
    world.forge(ALICE, old);
    assert_eq!(world.story(BOB), ["INFO"]);
    assert_eq!(name(world.last("500 INFO")), "500 INFO");
}

#[test]
fn options_is_answered_with_what_we_can() {
    let mut world = World::new();
    let answer = ask(&mut world, &stranger("OPTIONS", "", ""));
    assert_eq!(answer.status(), Some(StatusCode::OK));
    assert!(answer.has(HeaderName::Allow) && answer.has(HeaderName::Accept));
    assert_eq!(world.story(BOB), [""; 0]);
}

#[test]
fn requests_outside_of_calls_go_both_ways() {
    let mut world = World::new();
    let target = || Target {
        request_uri: uri("sip:bob@192.0.2.1"),
        destination: Flow::udp(ADDRESSES[BOB].parse().unwrap()),
        from: name_addr("sip:alice@192.0.2.9"),
        to: name_addr("sip:bob@192.0.2.1"),
        credentials: None,
    };
    let now = world.now();
    world.agents[ALICE]
        .ua
        .request_to(now, target(), request(Method::Options, None))
        .unwrap();
    world.agents[ALICE]
        .ua
        .request_to(now, target(), request(Method::Message, None))
        .unwrap();
    world.run(10);
    let (incoming, _) = world.incoming_request(BOB);
    world.respond(BOB, incoming, Reply::new(StatusCode::ACCEPTED));
    world.run(10);
    assert_eq!(world.story(BOB), ["MESSAGE"]);
    assert_eq!(
        world.story(ALICE),
        ["response 200 OPTIONS", "response 202 MESSAGE"]
    );
    world.weather.loss = 100;
    world.agents[ALICE]
        .ua
        .request_to(world.now(), target(), request(Method::Options, None))
        .unwrap();
    world.expect_nothing_left();
    assert_eq!(world.story(ALICE)[2..], ["request failed timed out"]);
}

#[test]
fn too_many_pending_requests_of_one_call_get_500() {
    let mut world = World::new();
    let (alices, _) = world.in_call();
    for _ in 0..17 {
        world.request(ALICE, alices, Method::Info, None);
        world.run(2);
    }
    world.run(10);
    assert_eq!(world.story(BOB).len(), 16);
    assert_eq!(world.story(ALICE), ["response 500 INFO"]);
}
