//! Sockets that are lost and come back: M27, M28, and who may have a session back.

use crate::world::{CARRIER_ANSWER, CLIENT_ANSWER, World, header, returning};
use offhook_sip::user_agent::{Ending, Event};
use offhook_vsp::{CloseReason, ConnectionId};
use serde_json::{Value, json};
use std::time::Duration;

fn sessid(answer: &Value) -> &str {
    answer["result"]["sessid"].as_str().unwrap()
}

/// Logs in on a new socket and gives it with the `clientReady`.
fn come_back(world: &mut World, user: &str, session: &str) -> (ConnectionId, Value, Value) {
    let client = world.open();
    let answer = world.ask(client, "login", returning(user, session));
    let ready = world.expect(client, "clientReady");
    (client, answer, ready)
}

#[test]
fn m27_a_lost_socket_keeps_its_call_and_gets_it_back() {
    let mut world = World::new();
    let (old, session) = world.log_in("alice");
    let sticky = world.ask(old, "telnyx_rtc.ping", json!({}))["voice_sdk_id"].clone();
    let leg = world.call(old, "call-1", "9196");
    world.cut(old);
    world.advance(Duration::from_secs(30));
    let (client, answer, ready) = come_back(&mut world, "alice", &session);
    assert_eq!(sessid(&answer), session);
    assert_eq!(answer["voice_sdk_id"], sticky);
    assert_eq!(ready, json!({"reattached_sessions": ["call-1"]}));
    assert_eq!(
        world.frames_left(client),
        0,
        "all was acknowledged on the old socket"
    );
    world.advance_alive(client, Duration::from_secs(60));
    world.take_frames(client);
    assert!(world.far_events.is_empty(), "the call goes on");
    world.far_bye(leg, None);
    assert_eq!(world.expect(client, "bye")["callID"], "call-1");
}

#[test]
fn what_happened_meanwhile_is_told() {
    let mut world = World::new();
    let (old, session) = world.log_in("alice");
    let over = world.call(old, "over", "1");
    world.invite(old, "answered", "2");
    let (_, incoming, _) = world.far_invite();
    world.cut(old);
    world.far_bye(over, None);
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    let (client, calls) = world.come_back(&session);
    assert_eq!(calls, json!(["answered"]));
    assert_eq!(world.expect(client, "bye")["callID"], "over");
    let media = world.expect(client, "media");
    assert_eq!(
        (&media["callID"], &media["sdp"]),
        (&json!("answered"), &json!(CLIENT_ANSWER))
    );
    assert_eq!(world.expect(client, "answer")["callID"], "answered");
}

#[test]
fn m28_without_return_the_far_end_is_released_after_the_grace() {
    let mut world = World::new();
    let (client, _, _) = world.talking();
    world.cut(client);
    world.advance(Duration::from_secs(59));
    assert!(world.far_events.is_empty());
    world.advance(Duration::from_secs(1));
    let Event::Terminated {
        ending: Ending::Remote(bye),
        ..
    } = world.far_event()
    else {
        panic!()
    };
    assert_eq!(header(&bye, "Reason").as_deref(), Some("Q.850;cause=102"));
    assert_eq!(world.records[0].cause.name, "RECOVERY_ON_TIMER_EXPIRE");
    world.advance(Duration::from_secs(40));
    assert!(world.server.is_empty(), "{:?}", world.server.counts());
}

#[test]
fn a_session_without_calls_ends_with_its_socket() {
    let mut world = World::new();
    let (client, session) = world.log_in("alice");
    world.cut(client);
    assert_eq!(world.server.counts().sessions, 0);
    let (_, answer, ready) = come_back(&mut world, "alice", &session);
    assert_ne!(sessid(&answer), session);
    assert_eq!(ready, json!({"reattached_sessions": []}));
}

#[test]
fn c03_the_session_of_somebody_else_is_not_to_be_had() {
    let mut world = World::new();
    let (alice, session, _) = world.talking();
    world.cut(alice);
    let (_, answer, ready) = come_back(&mut world, "bob", &session);
    assert_ne!(sessid(&answer), session);
    assert_eq!(ready, json!({"reattached_sessions": []}));
    assert_eq!(world.server.counts().detached, 1, "alice's still waits for her");
}

#[test]
fn two_clients_of_one_page_do_not_take_each_others_session() {
    let mut world = World::new();
    let (alice, session) = world.log_in("alice");
    let sticky = world.sticky_id(alice);
    world.call(alice, "call-1", "9196");

    let bob = world.open_with(Some(&sticky));
    let answer = world.ask(bob, "login", returning("bob", &session));
    assert_ne!(sessid(&answer), session);
    assert_ne!(answer["voice_sdk_id"], json!(sticky));

    let tab = world.open_with(Some(&sticky));
    let id = world.request(tab, "login", returning("alice", &session));
    let ping = world.frame(alice);
    assert_eq!(
        ping["method"], "telnyx_rtc.ping",
        "the one that has the session is asked whether it lives"
    );
    world.ask(alice, "telnyx_rtc.ping", json!({}));
    let answer = world.frame(tab);
    assert_eq!(answer["id"], json!(id));
    assert_ne!(sessid(&answer), session);
    assert_eq!(
        world.expect(tab, "clientReady"),
        json!({"reattached_sessions": []})
    );
    assert!(world.closed.is_empty());
    assert_eq!(
        world.ask(alice, "telnyx_rtc.gatewayState", json!({}))["result"]["sessid"],
        json!(session)
    );
}

#[test]
fn a_client_that_answers_pings_with_results_keeps_its_session() {
    let mut world = World::new();
    let (alice, session) = world.log_in("alice");
    let tab = world.open();
    world.request(tab, "login", returning("alice", &session));
    world.expect(alice, "ping");
    assert_ne!(sessid(&world.frame(tab)), session);
    assert!(world.closed.is_empty());
}

#[test]
fn a_socket_left_behind_in_another_network_gives_its_session_up() {
    let mut world = World::new();
    let (old, session, _) = world.talking();
    let client = world.open();
    world.request(client, "login", returning("alice", &session));
    assert_eq!(world.frames_left(client), 0);
    world.advance(Duration::from_millis(1_500));
    assert_eq!(world.closed[&old], CloseReason::Resumed);
    let answer = world.frame(client);
    assert_eq!(sessid(&answer), session);
    assert_eq!(
        world.expect(client, "clientReady"),
        json!({"reattached_sessions": ["call-1"]})
    );
}

#[test]
fn a_socket_that_closes_while_it_is_asked_hands_its_session_over() {
    let mut world = World::new();
    let (old, session, _) = world.talking();
    let client = world.open();
    world.request(client, "login", returning("alice", &session));
    world.cut(old);
    assert_eq!(sessid(&world.frame(client)), session);
    world.advance(Duration::from_secs(5));
    assert!(world.closed.is_empty());
}

#[test]
fn a_frame_that_was_on_its_way_when_its_socket_was_left_keeps_no_session_from_its_client() {
    let mut world = World::new();
    let (old, session, _) = world.talking();
    let client = world.open();
    world.request(client, "login", returning("alice", &session));
    assert_eq!(world.frame(old)["method"], "telnyx_rtc.ping");
    world.ask(old, "telnyx_rtc.gatewayState", json!({}));
    assert_eq!(
        world.frames_left(client),
        0,
        "only a ping shows that a socket lives"
    );
    world.cut(old);
    assert_eq!(sessid(&world.frame(client)), session);
    assert_eq!(
        world.expect(client, "clientReady"),
        json!({"reattached_sessions": ["call-1"]})
    );
}

#[test]
fn the_sticky_id_alone_finds_a_session_that_waits() {
    let without_session_id = || json!({"login": "alice", "passwd": "alice-pw", "reconnection": true});
    let mut world = World::new();
    let (old, session) = world.log_in("alice");
    let sticky = world.sticky_id(old);
    world.call(old, "call-1", "9196");

    let tab = world.open_with(Some(&sticky));
    let answer = world.ask(tab, "login", without_session_id());
    assert_ne!(sessid(&answer), session, "not while a socket holds it");
    world.cut(tab);

    world.cut(old);
    let client = world.open_with(Some(&sticky));
    let answer = world.ask(client, "login", without_session_id());
    assert_eq!(sessid(&answer), session);
    assert_eq!(
        world.expect(client, "clientReady"),
        json!({"reattached_sessions": ["call-1"]})
    );
}

#[test]
fn answers_to_requests_of_a_lost_socket_go_nowhere() {
    let mut world = World::new();
    let (old, session, _) = world.talking();
    world.gateway.hold_replies = true;
    world.request(
        old,
        "telnyx_rtc.info",
        json!({"dtmf": "1", "dialogParams": {"callID": "call-1"}}),
    );
    world.cut(old);
    let (client, _) = world.come_back(&session);
    world.release_replies();
    assert_eq!(world.frames_left(client), 0);
}
