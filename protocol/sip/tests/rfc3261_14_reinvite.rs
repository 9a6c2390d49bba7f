//! RFC 3261 §14: re-INVITE; RFC 3311: UPDATE; and other requests within a call.

use crate::support::agents::{ALICE, BOB, World, anew, reply, request, sdp, text};
use offhook_sip::user_agent::{ActionError, Body, Reply};
use offhook_sip_message::{HeaderName, HeaderValue, Method, StatusCode};

#[test]
fn a_reinvite_is_answered_and_acknowledged() {
    for agent in [ALICE, BOB] {
        let mut world = World::new();
        let (alices, bobs) = world.in_call();
        let leg = if agent == ALICE { alices } else { bobs };
        world.request(agent, leg, Method::Invite, sdp("hold"));
        world.run(10);
        let other = 1 - agent;
        assert_eq!(world.story(other), ["INVITE hold"]);
        let (incoming, _) = world.incoming_request(other);
        world.respond(other, incoming, reply(200, Some("held")));
        world.run(10);
        assert_eq!(world.story(agent), ["response 200 INVITE"]);
        assert_eq!(world.story(other), ["INVITE hold", "ack"]);
        assert!(world.last("200 INVITE").has(HeaderName::Contact));
        world.bye(agent, leg);
        world.expect_nothing_left();
    }
}

#[test]
fn a_rejected_reinvite_leaves_the_call_as_it_is() {
    let mut world = World::new();
    let (alices, _) = world.in_call();
    world.request(ALICE, alices, Method::Invite, sdp("video please"));
    world.run(10);
    let (incoming, _) = world.incoming_request(BOB);
    world.respond(BOB, incoming, Reply::new(StatusCode::NOT_ACCEPTABLE_HERE));
    world.run(10);
    assert_eq!(world.story(ALICE), ["response 488 INVITE"]);
    world.bye(ALICE, alices);
    world.run(10);
    assert_eq!(world.story(BOB)[1..], ["terminated remote"]);
    world.expect_nothing_left();
}

#[test]
fn reinvites_that_cross_get_491_and_the_one_who_waits_less_goes_first() {
    let mut world = World::new();
    let (alices, bobs) = world.in_call();
    world.request(ALICE, alices, Method::Invite, sdp("a"));
    world.request(BOB, bobs, Method::Invite, sdp("b"));
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
    world.respond(ALICE, incoming, reply(200, Some("b2")));
    world.run(2100);
    assert_eq!(world.story(BOB), ["response 200 INVITE"], "a is out of date");
    assert_eq!(world.story(ALICE), ["INVITE b", "response 491 INVITE", "ack"]);
    world.request(ALICE, alices, Method::Invite, sdp("after b"));
    world.run(10);
    assert_eq!(world.story(BOB)[1..], ["INVITE after b"]);
    let (incoming, _) = world.incoming_request(BOB);
    world.respond(BOB, incoming, reply(200, Some("a2")));
    world.run(10);
    assert_eq!(world.story(ALICE)[3..], ["response 200 INVITE"]);
    world.bye(ALICE, alices);
    world.expect_nothing_left();
}

#[test]
fn what_was_answered_with_491_is_sent_again_where_theirs_does_not_come() {
    let mut world = World::new();
    let (alices, _) = world.in_call();
    world.request(ALICE, alices, Method::Invite, sdp("a"));
    world.run(10);
    let (incoming, _) = world.incoming_request(BOB);
    world.respond(BOB, incoming, Reply::new(StatusCode::REQUEST_PENDING));
    world.run(4010);
    assert_eq!(world.story(BOB), ["INVITE a", "INVITE a"]);
    assert_eq!(world.story(ALICE), [""; 0]);
    world.bye(ALICE, alices);
    world.expect_nothing_left();
}

#[test]
fn one_offer_at_a_time() {
    let mut world = World::new();
    let (alices, bobs) = world.in_call();
    world.request(ALICE, alices, Method::Invite, sdp("a"));
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
    world.bye(ALICE, alices);
    world.expect_nothing_left();
}

#[test]
fn a_second_offer_before_the_first_is_answered_gets_500_with_retry_after() {
    let mut world = World::new();
    let (alices, _) = world.in_call();
    world.request(ALICE, alices, Method::Invite, sdp("a"));
    world.run(10);
    let second = anew(world.last("INVITE"), 3);
    world.forge(ALICE, second);
    assert!(world.last("500 INVITE").has(HeaderName::RetryAfter));
    assert_eq!(world.story(BOB), ["INVITE a"]);
}

#[test]
fn a_cancelled_reinvite_is_answered_with_487_and_the_call_stays() {
    let mut world = World::new();
    let (alices, _) = world.in_call();
    world.request(ALICE, alices, Method::Invite, sdp("a"));
    world.run(10);
    let text = text(world.last("INVITE")).replace("INVITE", "CANCEL");
    world.forge(ALICE, text);
    assert_eq!(world.story(ALICE), ["response 487 INVITE"]);
    let (incoming, _) = world.incoming_request(BOB);
    assert!(
        world.agents[BOB]
            .ua
            .respond(world.now(), incoming, reply(200, Some("late")))
            .is_err()
    );
    world.bye(ALICE, alices);
    world.run(10);
    assert_eq!(world.story(BOB), ["INVITE a", "terminated remote"]);
    world.expect_nothing_left();
}

#[test]
fn update_and_info_are_carried_within_the_call() {
    let mut world = World::new();
    let (alices, bobs) = world.in_call();
    world.request(BOB, bobs, Method::Update, sdp("u"));
    world.run(10);
    let (incoming, _) = world.incoming_request(ALICE);
    world.respond(ALICE, incoming, reply(200, Some("u2")));
    world.run(10);
    let digits = Body {
        content_type: HeaderValue::new("application/dtmf-relay").unwrap(),
        bytes: "Signal=5\r\nDuration=160\r\n".into(),
    };
    world.request(ALICE, alices, Method::Info, Some(digits));
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
    world.bye(ALICE, alices);
    world.expect_nothing_left();
}

#[test]
fn a_request_that_the_other_side_has_no_call_for_ends_the_call() {
    for (status, expected) in [(Some(481), "lost"), (None, "lost")] {
        let mut world = World::new();
        let (alices, _) = world.in_call();
        world.request(ALICE, alices, Method::Info, None);
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
