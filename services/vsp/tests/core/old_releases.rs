//! Releases of the JS SDK before 2.9: no `User-Agent` in their login, no answer to pings, gateway states in messages.

use crate::world::World;
use offhook_vsp::{CloseReason, Departure};
use serde_json::{Value, json};
use std::time::Duration;

/// Four pings.
const MINUTE: Duration = Duration::from_secs(60);

/// What a release without a `voice_sdk_id` sends when it comes back.
fn returning(user: &str, session: &str) -> Value {
    json!({"login": user, "passwd": format!("{user}-pw"), "loginParams": {}, "sessid": session})
}

#[test]
fn an_idle_client_that_knows_no_pings_stays_while_its_browser_sends_pongs() {
    let mut world = World::new();
    let (client, _) = world.log_in_nameless("alice");
    world.call(client, "call-1", "9196");
    for _ in 0..20 {
        world.advance(Duration::from_secs(15));
        assert_eq!(world.pings.len(), 1, "a Ping frame beside each ping");
        world.pong();
    }
    assert!(world.closed.is_empty());
    assert_eq!(world.server.counts().calls, 1);
}

#[test]
fn who_answers_neither_is_dropped() {
    let mut world = World::new();
    let (client, _) = world.log_in_nameless("alice");
    world.advance(MINUTE);
    assert_eq!(world.closed[&client], CloseReason::Silent);
    assert!(world.server.is_empty());
}

#[test]
fn pongs_are_no_life_of_a_client_that_names_its_sdk() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    for number in 0..100 {
        world.advance(Duration::from_millis(600));
        world.server.handle_pong(world.now, client, number);
        world.settle();
    }
    assert!(world.pings.is_empty(), "none are asked for");
    assert_eq!(world.closed[&client], CloseReason::Silent);
}

/// Release 2.9 names itself no more than those before it, and answers.
#[test]
fn who_has_answered_a_ping_once_has_to_go_on() {
    let mut world = World::new();
    let (client, _) = world.log_in_nameless("alice");
    world.advance(Duration::from_secs(15));
    world.take_frames(client);
    world.ask(client, "telnyx_rtc.ping", json!({}));
    world.pong();
    for _ in 0..3 {
        world.advance(Duration::from_secs(15));
        assert!(world.pings.is_empty());
    }
    world.advance(Duration::from_secs(15));
    assert_eq!(world.closed[&client], CloseReason::Silent);
}

#[test]
fn before_the_login_pongs_keep_nobody() {
    let mut world = World::new();
    let client = world.open();
    world.server.handle_pong(world.now, client, 1);
    world.advance(Duration::from_secs(30));
    assert_eq!(world.closed[&client], CloseReason::NotLoggedIn);
}

#[test]
fn a_lost_socket_keeps_its_call_for_the_session_id_alone() {
    let mut world = World::new();
    let (old, session) = world.log_in_nameless("alice");
    world.call(old, "call-1", "9196");
    world.cut(old);
    let client = world.open();
    let answer = world.ask(client, "login", returning("alice", &session));
    assert_eq!(answer["result"]["sessid"], json!(session));
    let ready = world.expect(client, "clientReady");
    assert_eq!(ready, json!({"reattached_sessions": ["call-1"]}));
    assert_eq!(world.frames_left(client), 0, "the call goes on as it is");
}

#[test]
fn the_tab_that_has_the_session_keeps_it_by_its_pong() {
    let mut world = World::new();
    let (first, session) = world.log_in_nameless("alice");
    world.call(first, "call-1", "9196");
    let second = world.open();
    let id = world.request(second, "login", returning("alice", &session));
    world.pong();
    let answer = world.frame(second);
    assert_eq!(answer["id"], json!(id));
    assert_ne!(answer["result"]["sessid"], json!(session));
    assert!(world.closed.is_empty());
    assert_eq!(world.server.counts().calls, 1);
}

#[test]
fn a_pong_for_an_earlier_ping_keeps_no_session_from_its_client() {
    let mut world = World::new();
    let (old, session) = world.log_in_nameless("alice");
    world.call(old, "call-1", "9196");
    world.advance(Duration::from_secs(15));
    let late = std::mem::take(&mut world.pings);
    let client = world.open();
    world.request(client, "login", returning("alice", &session));
    for (socket, number) in late {
        world.server.handle_pong(world.now, socket, number);
    }
    world.settle();
    assert_eq!(world.frames_left(client), 0, "the newer ping is unanswered");
    world.advance(Duration::from_millis(1_500));
    assert_eq!(world.closed[&old], CloseReason::Resumed);
    assert_eq!(world.frame(client)["result"]["sessid"], json!(session));
}

#[test]
fn a_pong_of_a_socket_that_is_gone_changes_nothing() {
    let mut world = World::new();
    let (client, _) = world.log_in_nameless("alice");
    world.advance(Duration::from_secs(15));
    world.server.handle_closed(world.now, client, Departure::PageLeft);
    world.pong();
    assert!(world.server.is_empty());
}

/// Releases 2.5 and 2.6 become ready by a message; a result with the state tells them nothing.
#[test]
fn who_repeats_the_method_in_its_params_is_told_the_state_in_a_message_too() {
    let mut world = World::new();
    let (client, session) = world.log_in_nameless("alice");
    let params = json!({"method": "telnyx_rtc.gatewayState", "jsonrpc": "2.0", "params": {}});
    let result = world.ask(client, "telnyx_rtc.gatewayState", params);
    assert_eq!(result["result"]["params"]["state"], "REGED");
    assert_eq!(result["result"]["sessid"], json!(session));
    assert_eq!(world.expect(client, "gatewayState"), json!({"state": "REGED"}));
    assert_eq!(world.frames_left(client), 0);

    let (client, _) = world.log_in("alice");
    world.ask(client, "telnyx_rtc.gatewayState", json!({}));
    assert_eq!(world.frames_left(client), 0, "others would be ready twice");
}
