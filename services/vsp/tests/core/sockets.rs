//! WebSockets as such: M2 to M5, C28's frames, limits and draining.

use crate::world::{self, World};
use offhook_vsp::CloseReason;
use offhook_vsp::auth::{Refusal, Verdict};
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;

#[test]
fn m02_text_that_is_no_json_and_speed_tests_are_survived() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    for text in [
        "#SPE",
        "#SPU 99999999999",
        "#SPU x",
        "#SPB ........",
        "#SPE",
        "#SP",
    ] {
        world.text(client, text);
    }
    assert_eq!(world.frames_left(client), 0);
    world.text(client, "hello");
    assert_eq!(world.frame(client)["error"]["code"], -32700);
    assert_eq!(
        world.ask(client, "telnyx_rtc.ping", json!({}))["result"]["message"],
        "PONG"
    );
}

#[test]
fn m03_voice_sdk_id_is_stable_and_unguessable() {
    let mut world = World::new();
    let mut ids = HashSet::new();
    for _ in 0..50 {
        let client = world.open();
        let first = world.ask(client, "telnyx_rtc.ping", json!({}))["voice_sdk_id"].clone();
        world.request(client, "login", json!({"login": "bob", "passwd": "bob-pw"}));
        for frame in world.take_frames(client) {
            assert_eq!(frame["voice_sdk_id"], first);
        }
        let (id, node) = first.as_str().unwrap().split_once('.').unwrap();
        assert!(
            id.len() >= 32 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
            "{id}"
        );
        assert_eq!(node, "local", "where a balancer finds it (C5)");
        assert!(ids.insert(id.to_owned()));
    }
}

#[test]
fn m04_pings_go_out_every_15_seconds_and_are_answered() {
    let mut world = World::new();
    let (client, session) = world.log_in("alice");
    for round in 0..20 {
        world.advance(Duration::from_secs(15));
        let ping = world.frame(client);
        assert_eq!(ping["method"], "telnyx_rtc.ping", "round {round}");
        assert!(ping["id"].is_u64() && ping["params"]["serno"].is_u64());
        let answer = world.ask(client, "telnyx_rtc.ping", json!({}));
        assert_eq!(answer["result"], json!({"message": "PONG", "sessid": session}));
        assert_eq!(
            world.frames_left(client),
            0,
            "a ping is never answered with a ping"
        );
    }
    assert!(world.closed.is_empty());
}

#[test]
fn m04_a_ping_sent_back_as_it_came_is_answered() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.advance(Duration::from_secs(15));
    let ping = world.frame(client);
    world.text(client, &ping.to_string());
    let answer = world.frame(client);
    assert_eq!(
        (&answer["id"], &answer["result"]["message"]),
        (&ping["id"], &json!("PONG"))
    );
}

#[test]
fn m05_a_silent_socket_is_closed_after_60_seconds() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.advance(Duration::from_secs(59));
    assert!(world.closed.is_empty());
    world.advance(Duration::from_secs(1));
    assert_eq!(world.closed[&client], CloseReason::Silent);
    assert!(world.server.is_empty());
}

#[test]
fn c33_nobody_stays_without_login() {
    let mut world = World::new();
    let client = world.open();
    world.advance(Duration::from_secs(25));
    world.ask(client, "telnyx_rtc.ping", json!({}));
    world.advance(Duration::from_secs(5));
    assert_eq!(world.closed[&client], CloseReason::NotLoggedIn);
}

#[test]
fn c33_requests_above_the_rate_are_refused_and_then_the_socket_closed() {
    let mut settings = world::settings();
    settings.limits.requests_burst = 10;
    settings.limits.requests_per_second = 10;
    let mut world = World::with(settings);
    let (client, _) = world.log_in("alice");
    world.advance(Duration::from_secs(2));
    for _ in 0..10 {
        assert!(world.ask(client, "telnyx_rtc.gatewayState", json!({}))["result"].is_object());
    }
    assert_eq!(
        world.ask(client, "telnyx_rtc.gatewayState", json!({}))["error"]["code"],
        -32600
    );
    world.advance(Duration::from_secs(1));
    assert!(world.ask(client, "telnyx_rtc.gatewayState", json!({}))["result"].is_object());
    for _ in 0..100 {
        world.request(client, "telnyx_rtc.gatewayState", json!({}));
    }
    assert_eq!(world.closed[&client], CloseReason::Abuse);
}

#[test]
fn c33_who_goes_on_above_twice_the_rate_is_closed_however_slowly_we_read() {
    let mut settings = world::settings();
    settings.limits.requests_burst = 10;
    settings.limits.requests_per_second = 10;
    let mut world = World::with(settings);
    let (twice, _) = world.log_in("alice");
    let (thrice, _) = world.log_in("bob");
    for _ in 0..100 {
        world.advance(Duration::from_millis(100));
        for _ in 0..2 {
            world.request(twice, "telnyx_rtc.gatewayState", json!({}));
        }
        for _ in 0..3 {
            world.request(thrice, "telnyx_rtc.gatewayState", json!({}));
        }
    }
    assert_eq!(world.closed.get(&thrice), Some(&CloseReason::Abuse));
    assert_eq!(
        world.closed.get(&twice),
        None,
        "it is refused half of what it asks"
    );
}

#[test]
fn draining_lets_calls_end_and_then_ends_them() {
    let mut world = World::new();
    let (busy, _) = world.log_in("alice");
    let (idle, _) = world.log_in("bob");
    world.call(busy, "call-1", "9196");
    world.drain(Duration::from_secs(20));
    assert_eq!(world.closed.get(&idle), Some(&CloseReason::Restart));
    assert!(!world.closed.contains_key(&busy));

    world.request(busy, "telnyx_rtc.invite", world::invite_params("call-2", "9196"));
    assert_eq!(world.frame(busy)["result"]["message"], "CALL CREATED");
    assert_eq!(world.expect(busy, "bye")["sipCode"], 503, "no new calls");
    let late = world.open();
    world.request(late, "login", json!({"login": "bob", "passwd": "bob-pw"}));
    assert_eq!(world.closed[&late], CloseReason::Restart, "and no new sessions");

    world.advance(Duration::from_secs(20));
    let bye = world.find_bye(busy);
    assert_eq!(bye["sipReason"], "Service is shutting down");
    assert_eq!(world.closed[&busy], CloseReason::Restart);
    assert!(world.server.is_empty(), "{:?}", world.server.counts());
}

#[test]
fn draining_does_not_wait_for_a_client_that_is_gone() {
    let mut world = World::new();
    let (client, _, leg) = world.talking();
    world.cut(client);
    world.drain(Duration::from_secs(20));
    assert_eq!(world.server.counts().calls, 1);
    world.far_bye(leg, None);
    assert!(world.server.is_empty(), "{:?}", world.server.counts());
}

#[test]
fn draining_lets_a_client_come_back_to_its_call_and_nobody_else() {
    let mut world = World::new();
    let (old, session) = world.log_in("alice");
    let sticky = world.sticky_id(old);
    world.call(old, "call-1", "9196");
    world.drain(Duration::from_secs(50));
    world.cut(old);

    let elsewhere = Some("vsdk-3c0ffee.other");
    assert!(!world.server.may_enter(elsewhere) && world.server.may_enter(Some(&sticky)));
    let idle = world.open_with(elsewhere);
    assert_eq!(world.closed[&idle], CloseReason::Restart);
    let foreign = world.open();
    world.request(foreign, "login", world::returning("bob", &session));
    assert_eq!(world.closed[&foreign], CloseReason::Restart);
    let wrong = world.open();
    world.request(
        wrong,
        "login",
        json!({"login": "alice", "passwd": "x", "sessid": session}),
    );
    assert_eq!(world.frame(wrong)["error"]["code"], -32001);

    let client = world.open_with(Some(&sticky));
    let login = json!({"login": "alice", "passwd": "alice-pw", "reconnection": true});
    assert_eq!(
        world.ask(client, "login", login)["result"]["sessid"],
        json!(session)
    );
    let ready = world.expect(client, "clientReady");
    assert_eq!(ready, json!({"reattached_sessions": ["call-1"]}));
    world.cut(client);
    let (client, _) = world.come_back(&session);

    world.modify(client, json!({"action": "hold"}));
    let bye = json!({"dialogParams": {"callID": "call-1"}});
    world.request(client, "telnyx_rtc.bye", bye);
    assert_eq!(
        world.closed[&client],
        CloseReason::Restart,
        "the last call is over"
    );
    let late = world.open();
    assert_eq!(world.closed[&late], CloseReason::Restart, "and nobody is awaited");
}

/// The socket goes; the session waits for its user, and ends with its call.
#[test]
fn draining_turns_away_who_logs_in_as_somebody_else_and_keeps_the_call_of_before() {
    let mut world = World::new();
    let (client, session, leg) = world.talking();
    world.drain(Duration::from_secs(50));
    world.request(client, "login", json!({"login": "bob", "passwd": "bob-pw"}));
    assert_eq!(world.closed[&client], CloseReason::Restart);
    let (back, calls) = world.come_back(&session);
    assert_eq!(calls, json!(["call-1"]));
    world.cut(back);
    world.far_bye(leg, None);
    assert!(world.server.is_empty(), "{:?}", world.server.counts());
}

/// A page that was loaded anew takes no call that is still being placed: with that its session has no reason to stay.
#[test]
fn draining_sends_a_client_away_whose_call_ends_with_its_return() {
    let mut world = World::new();
    let (bob, _) = world.log_in("bob");
    world.call(bob, "bobs", "9196");
    let (old, session) = world.log_in("alice");
    world.invite(old, "call-1", "9197");
    world.leave_page(old);
    world.drain(Duration::from_secs(50));
    let client = world.open();
    world.request(client, "login", world::returning("alice", &session));
    assert_eq!(world.closed.get(&client), Some(&CloseReason::Restart));
    assert_eq!(
        (world.server.counts().sessions, world.server.counts().connections),
        (1, 1),
        "bob stays"
    );
}

/// A call is not cut because its token ends during a drain.
#[test]
fn draining_lets_a_client_with_a_call_renew_its_credentials() {
    let mut world = World::new();
    let (client, _, _) = world.talking();
    world.drain(Duration::from_secs(20));
    let login = json!({"login": "alice", "passwd": "alice-pw"});
    let renewed = world.ask(client, "login", login);
    assert!(renewed["result"].is_object(), "{renewed}");
    assert!(!world.closed.contains_key(&client));
    assert_eq!(world.server.counts().calls, 1);
}

#[test]
fn c28_the_speed_test_tells_how_long_both_ways_took() {
    let mut world = World::new();
    let stranger = world.open();
    world.text(stranger, "#SPU 1024");
    world.text(stranger, "#SPE");
    assert!(world.speed_test.is_empty(), "not before the login");
    let (client, _) = world.log_in("alice");
    let filler = format!("#SPB {}", ".".repeat(1024));
    world.text(client, "#SPU 1048576");
    for _ in 0..1024 {
        world.text(client, &filler);
    }
    world.advance(Duration::from_millis(200));
    world.text(client, "#SPE");
    assert!(world.rejections.is_empty(), "announced filler is no flood");
    assert_eq!(world.speed_test[0], "#SPU200");
    let sent: usize = world.speed_test[1..].iter().map(|frame| frame.len() - 5).sum();
    assert_eq!(sent, 256 * 1024);
    world.advance(Duration::from_millis(50));
    world.take_frames(client);
    world.ask(client, "telnyx_rtc.ping", json!({}));
    assert_eq!(
        world.speed_test.last().unwrap(),
        "#SPD200",
        "four times as much as was sent"
    );
    world.ask(client, "telnyx_rtc.ping", json!({}));
    let told = world
        .speed_test
        .iter()
        .filter(|frame| frame.starts_with("#SPD"))
        .count();
    assert_eq!(told, 1);
}

#[test]
fn c28_a_volume_that_was_only_announced_is_not_sent_back() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.text(client, "#SPU 4194304");
    world.text(client, "#SPE");
    let sent: usize = world.speed_test.iter().map(String::len).sum();
    assert!(sent < 100, "{sent} bytes for two short lines");
    world.advance(Duration::from_secs(1));
    world.take_frames(client);
    world.ask(client, "telnyx_rtc.ping", json!({}));
    assert!(world.speed_test.last().unwrap().starts_with("#SPD"));
}

/// After a restart all clients come at once. An error would be the end for an SDK; a closed socket makes it come back.
#[test]
fn a_login_that_finds_no_place_is_told_to_come_back_by_a_closed_socket() {
    let mut world = World::new();
    world.auto_verdict = false;
    let client = world.open();
    world.request(client, "login", json!({"login": "alice", "passwd": "alice-pw"}));
    let (token, _) = world.questions.pop().unwrap();
    let overloaded = Verdict::Refused(Refusal::Overloaded);
    world.server.handle_verdict(world.now, token, overloaded);
    world.settle();
    assert_eq!(world.closed[&client], CloseReason::Busy);
    assert_eq!(world.frames_left(client), 0, "no error that would be final");
    assert!(world.server.is_empty());
}

#[test]
fn who_waits_for_us_to_check_a_password_is_not_closed_for_being_late() {
    let mut world = World::new();
    world.auto_verdict = false;
    let client = world.open();
    world.request(client, "login", json!({"login": "alice", "passwd": "alice-pw"}));
    for _ in 0..5 {
        world.advance(Duration::from_secs(25));
        world.ask(client, "telnyx_rtc.ping", json!({}));
    }
    assert!(world.closed.is_empty());
    let (token, question) = world.questions.pop().unwrap();
    world
        .server
        .handle_verdict(world.now, token, world::verdict(question));
    world.settle();
    assert_eq!(world.frame(client)["result"]["message"], "logged in");
    world.expect(client, "clientReady");
}
