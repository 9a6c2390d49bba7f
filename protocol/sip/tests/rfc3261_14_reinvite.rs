//! RFC 3261 §14: re-INVITE; RFC 3311: UPDATE; and other requests within a call.

use crate::support::agents::{ALICE, BOB, World, request, sdp};
use offhook_sip::user_agent::{ActionError, Body, Reply};
use offhook_sip_message::{HeaderName, HeaderValue, Method, StatusCode};

fn ok(body: &str) -> Reply {
    Reply {
        body: sdp(body),
        ..Reply::new(StatusCode::OK)
    }
}

#[test]
fn a_reinvite_is_answered_and_acknowledged() {
    for agent in [ALICE, BOB] {
        let mut world = World::new();
        let (alices, bobs) = world.in_call();
        let leg = if agent == ALICE { alices } else { bobs };
        let hold = request(Method::Invite, sdp("hold"));
        world.agents[agent].ua.request(world.now(), leg, hold).unwrap();
        world.run(10);
        let other = 1 - agent;
        assert_eq!(world.story(other), ["INVITE hold"]);
        let (incoming, _) = world.incoming_request(other);
        world.respond(other, incoming, ok("held"));
        world.run(10);
        assert_eq!(world.story(agent), ["response 200 INVITE"]);
        assert_eq!(world.story(other), ["INVITE hold", "ack"]);
        assert!(world.last("200 INVITE").has(HeaderName::Contact));
        world.agents[agent].ua.bye(world.now(), leg, Vec::new()).unwrap();
        world.expect_nothing_left();
    }
}

#[test]
fn a_rejected_reinvite_leaves_the_call_as_it_is() {
    let mut world = World::new();
    let (alices, _) = world.in_call();
    let change = request(Method::Invite, sdp("video please"));
    world.agents[ALICE]
        .ua
        .request(world.now(), alices, change)
        .unwrap();
    world.run(10);
    let (incoming, _) = world.incoming_request(BOB);
    world.respond(BOB, incoming, Reply::new(StatusCode::NOT_ACCEPTABLE_HERE));
    world.run(10);
    assert_eq!(world.story(ALICE), ["response 488 INVITE"]);
    world.agents[ALICE]
        .ua
        .bye(world.now(), alices, Vec::new())
        .unwrap();
    world.run(10);
    assert_eq!(world.story(BOB)[1..], ["terminated remote"]);
    world.expect_nothing_left();
}

#[test]
fn reinvites_that_cross_get_491_and_the_one_who_waits_less_goes_first() {
    let mut world = World::new();
    let (alices, bobs) = world.in_call();
    let now = world.now();
    world.agents[ALICE]
        .ua
        .request(now, alices, request(Method::Invite, sdp("a")))
        .unwrap();
    world.agents[BOB]
        .ua
        .request(now, bobs, request(Method::Invite, sdp("b")))
        .unwrap();
    world.run(10);
    assert_eq!(
        world
            .flow()
            .iter()
            .filter(|line| line.ends_with("491 INVITE"))
            .count(),
        2
    );
    assert_eq!(world.story(ALICE), [""; 0], "491 is the user agents' own affair");
    // Bob does not own the Call-ID: within 2 s.
    world.run(2020);
    assert_eq!(world.story(ALICE), ["INVITE b"]);
    let (incoming, _) = world.incoming_request(ALICE);
    world.respond(ALICE, incoming, ok("b2"));
    world.run(2100);
    assert_eq!(world.story(BOB), ["response 200 INVITE", "INVITE a"]);
    let (incoming, _) = world.incoming_request(BOB);
    world.respond(BOB, incoming, ok("a2"));
    world.run(10);
    assert_eq!(world.story(ALICE), ["INVITE b", "ack", "response 200 INVITE"]);
    world.agents[ALICE]
        .ua
        .bye(world.now(), alices, Vec::new())
        .unwrap();
    world.expect_nothing_left();
}

#[test]
fn one_offer_at_a_time() {
    let mut world = World::new();
    let (alices, bobs) = world.in_call();
    world.agents[ALICE]
        .ua
        .request(world.now(), alices, request(Method::Invite, sdp("a")))
        .unwrap();
    for method in [Method::Invite, Method::Update] {
        let second = world.agents[ALICE]
            .ua
            .request(world.now(), alices, request(method, sdp("b")));
        assert!(matches!(second, Err(ActionError::State(_))), "{second:?}");
    }
    world.run(10);
    let crossing = world.agents[BOB]
        .ua
        .request(world.now(), bobs, request(Method::Invite, sdp("c")));
    assert!(matches!(crossing, Err(ActionError::State(_))), "{crossing:?}");
    world.agents[ALICE]
        .ua
        .bye(world.now(), alices, Vec::new())
        .unwrap();
    world.expect_nothing_left();
}

#[test]
fn a_second_offer_before_the_first_is_answered_gets_500_with_retry_after() {
    let mut world = World::new();
    let (alices, _) = world.in_call();
    world.agents[ALICE]
        .ua
        .request(world.now(), alices, request(Method::Invite, sdp("a")))
        .unwrap();
    world.run(10);
    let text = String::from_utf8(world.last("INVITE").bytes().to_vec()).unwrap();
    let text = text
        .replace("CSeq: 2 INVITE", "CSeq: 3 INVITE")
        .replace("branch=z9hG4bK", "branch=z9hG4bKx");
    let [alice, bob] = crate::support::agents::ADDRESSES.map(|address| address.parse().unwrap());
    world.send(alice, bob, text.into_bytes().into());
    world.run(10);
    assert!(world.last("500 INVITE").has(HeaderName::RetryAfter));
    assert_eq!(world.story(BOB), ["INVITE a"]);
}

#[test]
fn a_cancelled_reinvite_is_answered_with_487_and_the_call_stays() {
    let mut world = World::new();
    let (alices, _) = world.in_call();
    world.agents[ALICE]
        .ua
        .request(world.now(), alices, request(Method::Invite, sdp("a")))
        .unwrap();
    world.run(10);
    let text = String::from_utf8(world.last("INVITE").bytes().to_vec())
        .unwrap()
        .replace("INVITE", "CANCEL");
    let [alice, bob] = crate::support::agents::ADDRESSES.map(|address| address.parse().unwrap());
    world.send(alice, bob, text.into_bytes().into());
    world.run(10);
    assert_eq!(world.story(ALICE), ["response 487 INVITE"]);
    let (incoming, _) = world.incoming_request(BOB);
    assert!(
        world.agents[BOB]
            .ua
            .respond(world.now(), incoming, ok("late"))
            .is_err()
    );
    world.agents[ALICE]
        .ua
        .bye(world.now(), alices, Vec::new())
        .unwrap();
    world.run(10);
    assert_eq!(world.story(BOB), ["INVITE a", "terminated remote"]);
    world.expect_nothing_left();
}

#[test]
fn update_and_info_are_carried_within_the_call() {
    let mut world = World::new();
    let (alices, bobs) = world.in_call();
    world.agents[BOB]
        .ua
        .request(world.now(), bobs, request(Method::Update, sdp("u")))
        .unwrap();
    world.run(10);
    let (incoming, _) = world.incoming_request(ALICE);
    world.respond(ALICE, incoming, ok("u2"));
    world.run(10);
    let digits = Body {
        content_type: HeaderValue::new("application/dtmf-relay").unwrap(),
        bytes: "Signal=5\r\nDuration=160\r\n".into(),
    };
    world.agents[ALICE]
        .ua
        .request(world.now(), alices, request(Method::Info, Some(digits)))
        .unwrap();
    world.run(10);
    let (incoming, info) = world.incoming_request(BOB);
    assert_eq!(
        info.first(HeaderName::ContentType),
        Some(&b"application/dtmf-relay"[..])
    );
    world.respond(BOB, incoming, Reply::new(StatusCode::OK));
    world.run(10);
    assert_eq!(world.story(ALICE), ["UPDATE u", "response 200 INFO"]);
    assert_eq!(
        world.agents[BOB].observed.last().map(String::as_str),
        Some("> 200 INFO")
    );
    world.agents[ALICE]
        .ua
        .bye(world.now(), alices, Vec::new())
        .unwrap();
    world.expect_nothing_left();
}

#[test]
fn a_request_that_the_other_side_has_no_call_for_ends_the_call() {
    for (status, expected) in [(Some(481), "lost"), (None, "lost")] {
        let mut world = World::new();
        let (alices, _) = world.in_call();
        world.agents[ALICE]
            .ua
            .request(world.now(), alices, request(Method::Info, None))
            .unwrap();
        match status {
            Some(code) => {
                world.run(10);
                let (incoming, _) = world.incoming_request(BOB);
                world.respond(BOB, incoming, Reply::new(StatusCode::new(code).unwrap()));
                assert_eq!(world.story(ALICE)[0], "response 481 INFO");
            }
            None => {
                world.weather.loss = 100;
                world.drain();
                world.run(32_010);
                assert_eq!(world.story(ALICE)[0], "request failed timed out");
                world.weather.loss = 0;
            }
        }
        world.run(1000);
        assert_eq!(world.story(ALICE)[1], format!("terminated {expected}"));
        assert!(
            world.story(BOB).contains(&"terminated remote".to_owned()),
            "our BYE tidies up over there"
        );
        world.expect_nothing_left();
    }
}

#[test]
fn verbs_have_their_own_methods() {
    let mut world = World::new();
    let (alices, _) = world.in_call();
    for method in [Method::Ack, Method::Cancel, Method::Bye] {
        let outcome = world.agents[ALICE]
            .ua
            .request(world.now(), alices, request(method, None));
        assert!(matches!(outcome, Err(ActionError::State(_))), "{outcome:?}");
    }
}
