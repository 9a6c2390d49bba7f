//! RFC 3261 §9: CANCEL.

use crate::support::agents::{ADDRESSES, ALICE, BOB, World};
use crate::support::{Driver, peer_request};
use offhook_sip::Header;
use offhook_sip::user_agent::{ActionError, Reply};
use offhook_sip_message::header::{CSeq, Via};
use offhook_sip_message::{HeaderName, Message, Method, StatusCode};

fn reason() -> Vec<Header> {
    vec![Header::new("Reason", "Q.850;cause=16").unwrap()]
}

#[test]
fn a_ringing_call_is_cancelled() {
    let mut world = World::new();
    let (leg, incoming) = world.called();
    world.respond(BOB, incoming, Reply::new(StatusCode::RINGING));
    world.agents[ALICE].ua.cancel(world.now(), leg, reason()).unwrap();
    world.run(20);
    assert_eq!(world.story(ALICE), ["180 INVITE", "failed 487"]);
    assert_eq!(world.story(BOB), ["call offer", "cancelled"]);
    assert_eq!(
        world.flow()[3..],
        ["9>1 CANCEL", "1>9 200 CANCEL", "1>9 487 INVITE", "9>1 ACK"]
    );
    assert_eq!(
        world.agents[ALICE].observed[3..],
        ["> CANCEL", "< 200 CANCEL", "< 487 INVITE", "> ACK"],
        "the trace has every message"
    );
    assert_eq!(
        world.agents[BOB].observed[3..],
        ["< CANCEL", "> 200 CANCEL", "> 487 INVITE", "< ACK"]
    );
    world.expect_nothing_left();
}

#[test]
fn the_cancel_repeats_the_invites_identity() {
    let mut world = World::new();
    let leg = world.call();
    world.agents[ALICE].ua.cancel(world.now(), leg, reason()).unwrap();
    world.run(20);
    let (invite, cancel) = (world.last("INVITE"), world.last("CANCEL"));
    let via: Via<'_> = cancel.require().unwrap();
    assert_eq!(via.branch(), invite.require::<Via<'_>>().unwrap().branch());
    assert_eq!(
        cancel.require::<CSeq>().unwrap().number,
        invite.require::<CSeq>().unwrap().number
    );
    for name in [HeaderName::From, HeaderName::To, HeaderName::CallId] {
        assert_eq!(cancel.first(name), invite.first(name), "{name}");
    }
    assert_eq!(cancel.first(HeaderName::Reason), Some(&b"Q.850;cause=16"[..]));
    assert_eq!(
        cancel.first(HeaderName::custom("X-Offhook-Call-Id")),
        Some(&b"c-1"[..])
    );
    assert!(!cancel.has(HeaderName::ContentType) && cancel.body().is_empty());
}

#[test]
fn before_any_provisional_response_the_cancel_waits() {
    let mut world = World::new();
    world.weather.loss = 100;
    let leg = world.call();
    world.cancel(ALICE, leg);
    world.run(300);
    assert_eq!(world.flow(), ["9>1 INVITE"]);
    world.weather.loss = 0;
    world.run(300);
    assert_eq!(world.story(ALICE), ["failed 487"]);
    assert_eq!(world.story(BOB), ["call offer", "cancelled"]);
    world.expect_nothing_left();
}

#[test]
fn without_any_response_a_cancelled_call_times_out() {
    let mut world = World::new();
    world.weather.loss = 100;
    let leg = world.call();
    world.cancel(ALICE, leg);
    world.run(32_000);
    assert_eq!(world.story(ALICE), ["failed timed out"]);
    world.expect_nothing_left();
}

#[test]
fn a_cancel_that_nobody_follows_up_ends_after_64_t1() {
    let mut world = World::new();
    let leg = world.call();
    world.cancel(ALICE, leg);
    world.weather.loss = 100;
    world.drain();
    world.run(31_999);
    assert_eq!(world.story(ALICE), [""; 0]);
    world.run(10);
    assert_eq!(world.story(ALICE), ["failed timed out"]);
    world.expect_nothing_left();
}

#[test]
fn nothing_rings_for_ever() {
    let mut world = World::new();
    world.call();
    world.run(599_000);
    assert_eq!(world.story(ALICE), [""; 0]);
    world.run(2000);
    assert_eq!(world.story(ALICE), ["failed 487"]);
    assert_eq!(world.story(BOB), ["call offer", "cancelled"]);
    world.expect_nothing_left();

    // Each side by itself, when the other is gone.
    let mut world = World::new();
    world.call();
    world.weather.loss = 100;
    world.run(640_000);
    assert_eq!(world.story(ALICE), ["failed timed out"]);
    assert_eq!(world.story(BOB), ["call offer", "terminated unanswered"]);
    world.expect_nothing_left();
}

#[test]
fn a_2xx_that_crosses_the_cancel_is_acknowledged_and_ended() {
    let mut world = World::new();
    let (leg, incoming) = world.called();
    world.agents[BOB]
        .ua
        .respond(world.now(), incoming, Reply::new(StatusCode::OK))
        .unwrap();
    world.cancel(ALICE, leg);
    world.run(50);
    assert_eq!(world.story(ALICE), ["failed 200"]);
    assert_eq!(world.story(BOB), ["call offer", "ack", "terminated remote"]);
    for expected in ["9>1 ACK", "9>1 BYE", "1>9 200 CANCEL", "1>9 200 BYE"] {
        assert!(
            world.flow().contains(&expected.to_owned()),
            "{expected} in {:?}",
            world.flow()
        );
    }
    world.expect_nothing_left();
}

#[test]
fn after_the_cancel_provisional_responses_are_not_reported() {
    let mut world = World::new();
    let (leg, incoming) = world.called();
    world.agents[BOB]
        .ua
        .respond(world.now(), incoming, Reply::new(StatusCode::RINGING))
        .unwrap();
    world.cancel(ALICE, leg);
    world.run(50);
    assert_eq!(world.story(ALICE), ["failed 487"]);
}

#[test]
fn only_an_unanswered_call_of_ours_can_be_cancelled() {
    let mut world = World::new();
    let (leg, bobs_leg) = world.in_call();
    let now = world.now();
    for (agent, leg) in [(ALICE, leg), (BOB, bobs_leg)] {
        let outcome = world.agents[agent].ua.cancel(now, leg, Vec::new());
        assert!(matches!(outcome, Err(ActionError::State(_))), "{outcome:?}");
    }
}

fn cancel_of(invite: &Message) -> Message {
    let text = String::from_utf8(invite.bytes().to_vec())
        .unwrap()
        .replace("INVITE", "CANCEL");
    Message::parse(text.into_bytes().into()).unwrap()
}

#[test]
fn the_layer_answers_a_cancel_by_the_state_of_its_invite() {
    let invite = peer_request("INVITE", "z9hG4bKs1");
    let mut driver = Driver::new();
    driver.receive(&cancel_of(&invite));
    assert_eq!(driver.last_sent().status(), Some(StatusCode::CALL_DOES_NOT_EXIST));

    let mut driver = Driver::new();
    let id = driver.receive_new(&invite);
    driver.receive(&cancel_of(&invite));
    assert_eq!(driver.last_sent().status(), Some(StatusCode::OK));
    driver.respond(id, 487);
    driver.receive(&cancel_of(&invite));
    assert_eq!(
        driver.story(),
        ["0 request INVITE", "0 cancel"],
        "a repeated CANCEL is not news"
    );

    let mut driver = Driver::new();
    let id = driver.receive_new(&invite);
    driver.respond(id, 200);
    driver.receive(&cancel_of(&invite));
    assert_eq!(driver.last_sent().status(), Some(StatusCode::OK));
    assert_eq!(
        driver.last_sent().require::<CSeq>().unwrap().method,
        Method::Cancel
    );
    assert_eq!(driver.story(), ["0 request INVITE"], "too late to have an effect");
    driver.advance(60_000);
    assert!(driver.is_empty());
}

#[test]
fn a_cancel_from_nowhere_touches_no_call() {
    let mut world = World::new();
    world.call();
    let forged = peer_request("CANCEL", "z9hG4bKforged");
    let bob = ADDRESSES[BOB].parse().unwrap();
    world.send("192.0.2.66:5060".parse().unwrap(), bob, forged.bytes().clone());
    world.run(10);
    assert_eq!(world.story(BOB), ["call offer"]);
    assert_eq!(world.flow().last().map(String::as_str), Some("1>6 481 CANCEL"));
}
