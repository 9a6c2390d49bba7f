//! Malformed, oversized, foreign and hostile input: M22 and the list. Each gets the protocol's own error or
//! silence, and disturbs no other call.

use crate::world::{World, invite_params, returning};
use offhook_rpc_message::{DEPTH_MAX, FRAME_LEN_MAX};
use offhook_vsp::Rejection;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn m22_unknown_methods_and_debug_frames() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    for method in [
        "telnyx_rtc.fly",
        "fly",
        "",
        "telnyx_rtc.",
        "verto.invite",
        "TELNYX_RTC.PING",
    ] {
        assert_eq!(
            world.ask(client, method, json!({}))["error"]["code"],
            -32601,
            "{method}"
        );
    }
    for kind in ["debug_report_start", "debug_report_data", "debug_report_stop"] {
        let frame = json!({"jsonrpc": "2.0", "id": kind, "type": kind, "debug_report_id": "2f", "call_id": "c",
            "debug_report_version": 1, "debug_report_data": {"event": "stats"}});
        world.text(client, &frame.to_string());
        let answer = world.frame(client);
        assert_eq!((&answer["id"], &answer["result"]), (&json!(kind), &json!({})));
    }
    assert!(world.closed.is_empty());
}

#[test]
fn broken_frames_get_their_error_and_leave_the_call_alone() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    let deep = format!(
        "{}1{}",
        "{\"a\":".repeat(DEPTH_MAX + 1),
        "}".repeat(DEPTH_MAX + 1)
    );
    let long = format!("{{\"id\":1,\"x\":\"{}\"}}", "x".repeat(FRAME_LEN_MAX));
    let long_id = format!("{{\"id\":\"{}\",\"method\":\"login\"}}", "x".repeat(500));
    for (text, code) in [
        ("", -32700),
        ("{", -32700),
        ("{\"id\":1,\"method\":\"telnyx_rtc.pi", -32700),
        ("nul", -32700),
        ("null", -32600),
        ("5", -32600),
        ("[]", -32600),
        ("[{\"id\":1}]", -32600),
        ("{}", -32600),
        ("{\"id\":1,\"id\":2,\"method\":\"x\"}", -32600),
        ("{\"id\":1,\"method\":5}", -32600),
        (
            "{\"id\":1,\"method\":\"telnyx_rtc.invite\",\"params\":[]}",
            -32602,
        ),
        (
            "{\"id\":1,\"method\":\"telnyx_rtc.invite\",\"params\":{\"dialogParams\":[\"call-1\"]}}",
            -32602,
        ),
        ("{\"id\":1,\"method\":\"telnyx_rtc.invite\"}", -32602),
        (
            "{\"id\":1,\"method\":\"telnyx_rtc.bye\",\"params\":{\"dialogParams\":{\"callID\":\"a\\r\\nb\"}}}",
            -32602,
        ),
        (deep.as_str(), -32600),
        (long.as_str(), -32600),
        (long_id.as_str(), -32600),
    ] {
        world.text(client, text);
        let answer = world.frame(client);
        assert_eq!(answer["error"]["code"], code, "{}", &text[..text.len().min(80)]);
        assert_eq!(world.frames_left(client), 0);
    }
    world.server.handle_binary(world.now, client);
    world.settle();
    assert_eq!(world.frames_left(client), 0);
    assert_eq!(world.rejections.last(), Some(&Rejection::Binary));
    assert_eq!(world.rejections.len(), 19, "one for each");
    assert!(world.far_events.is_empty() && world.server.counts().calls == 1);
}

#[test]
fn destinations_that_no_sip_message_may_have() {
    for number in [
        "12\r\nVia: SIP/2.0/UDP evil",
        "12\n",
        &"1".repeat(1024),
        "",
        "bob@evil.example",
        "<sip:a>",
        "\u{0}",
    ] {
        let mut world = World::new();
        let (client, _) = world.log_in("alice");
        world.invite(client, "call-1", number);
        let bye = world.expect(client, "bye");
        assert_eq!(
            (&bye["sipCode"], &bye["cause"]),
            (&json!(484), &json!("INVALID_NUMBER_FORMAT")),
            "{number:?}"
        );
        assert!(world.gateway.commands.is_empty() && world.far_events.is_empty());
        assert_eq!(world.rejections, [Rejection::Value]);
    }
}

#[test]
fn headers_that_no_sip_message_may_have() {
    let attempt = |headers: Value| {
        let mut world = World::new();
        let (client, _) = world.log_in("alice");
        let mut params = invite_params("call-1", "9196");
        params["dialogParams"]["custom_headers"] = headers;
        world.request(client, "telnyx_rtc.invite", params);
        world.frame(client);
        world
    };
    for headers in [
        json!([{"name": "X-A", "value": "1\r\nVia: SIP/2.0/UDP evil"}]),
        json!([{"name": "X-A", "value": "1".repeat(300)}]),
        json!(
            (0..17)
                .map(|n| json!({"name": format!("X-{n}"), "value": "1"}))
                .collect::<Vec<_>>()
        ),
        json!([{"name": "Route", "value": "<sip:evil>"}]),
        json!([{"name": "v", "value": "SIP/2.0/UDP evil"}]),
        json!([{"name": "X-Offhook-Call-Id", "value": "forged"}]),
    ] {
        let mut world = attempt(headers.clone());
        let client = offhook_vsp::ConnectionId(1);
        let bye = world.expect(client, "bye");
        assert_eq!(bye["sipCode"], 400);
        if let Some(name) = headers[0]["name"].as_str().filter(|_| headers[1].is_null()) {
            assert!(
                bye["sipReason"].as_str().unwrap().contains(name),
                "refused by name: {bye}"
            );
        }
        assert!(world.far_events.is_empty());
    }
    let headers = json!([{"name": "Subject", "value": "evil"}, {"name": "X-Good", "value": "1"}, {"name": "X-Good", "value": "2"}, 5, {"name": "X-Half"}]);
    let mut world = attempt(headers);
    let (_, _, invite) = world.far_invite();
    let text = String::from_utf8_lossy(invite.bytes()).into_owned();
    assert!(!text.contains("evil"), "{text}");
    let goods: Vec<_> = text.lines().filter(|line| line.starts_with("X-Good")).collect();
    assert_eq!(goods, ["X-Good: 1", "X-Good: 2"]);
}

#[test]
fn calls_of_other_sessions_are_out_of_reach() {
    let mut world = World::new();
    let (alice, session) = world.log_in("alice");
    world.call(alice, "call-1", "9196");
    let commands = world.gateway.commands.len();
    let (bob, own) = world.log_in("bob");
    let about = |params: Value| {
        let mut params = params;
        params["sessid"] = json!(session);
        params["dialogParams"] = json!({"callID": "call-1"});
        params
    };
    let bye = world.ask(bob, "telnyx_rtc.bye", about(json!({})));
    assert_eq!(
        bye["result"]["sessid"],
        json!(own),
        "answered as any unknown call"
    );
    for (method, params) in [
        ("telnyx_rtc.modify", json!({"action": "hold"})),
        (
            "telnyx_rtc.modify",
            json!({"action": "updateMedia", "sdp": "v=0"}),
        ),
        ("telnyx_rtc.info", json!({"dtmf": "1"})),
        ("telnyx_rtc.candidate", json!({"candidate": "candidate:1"})),
        ("telnyx_rtc.endOfCandidates", json!({})),
        ("telnyx_rtc.answer", json!({"sdp": "v=0"})),
        ("telnyx_rtc.attach", json!({"sdp": "v=0"})),
    ] {
        assert_eq!(
            world.ask(bob, method, about(params))["error"]["code"],
            -32002,
            "{method}"
        );
    }
    assert_eq!(
        (world.gateway.commands.len(), world.frames_left(alice)),
        (commands, 0)
    );
    assert!(world.far_events.is_empty());
    world.invite(bob, "call-1", "9196");
    assert_eq!(
        world.server.counts().calls,
        2,
        "the same callID in another session is another call"
    );
}

#[test]
fn a_second_call_with_a_live_call_id_is_refused() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    let answer = world.ask(client, "telnyx_rtc.invite", invite_params("call-1", "9197"));
    assert_eq!(answer["error"]["code"], -32002);
    assert!(world.far_events.is_empty() && world.server.counts().calls == 1);
}

#[test]
fn a_session_has_a_limit_of_calls() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    for n in 0..16 {
        world.invite(client, &format!("call-{n}"), "9196");
    }
    let answer = world.ask(client, "telnyx_rtc.invite", invite_params("one-too-many", "9196"));
    assert_eq!(answer["error"]["code"], -32002);
    assert_eq!(world.server.counts().calls, 16);
}

#[test]
fn calls_that_were_not_offered_to_a_client_cannot_be_answered_by_it() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    for method in ["telnyx_rtc.answer", "telnyx_rtc.attach"] {
        let answer = world.ask(
            client,
            method,
            json!({"sdp": "v=0", "dialogParams": {"callID": "call-1"}}),
        );
        assert_eq!(answer["error"]["code"], -32002);
    }
    assert_eq!(
        world.ask(
            client,
            "telnyx_rtc.modify",
            json!({"action": "fly", "callID": "call-1"})
        )["error"]["code"],
        -32602
    );
}

#[test]
fn frames_for_sockets_that_are_not_there_are_nothing() {
    let mut world = World::new();
    let ghost = offhook_vsp::ConnectionId(99);
    world.text(ghost, "{}");
    world.cut(ghost);
    assert!(world.server.is_empty());
}

#[test]
fn sip_garbage_disturbs_no_call() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    for datagram in [
        &b""[..],
        b"\r\n\r\n",
        b"\0\0\0\0",
        b"SIP/2.0 200 OK\r\n\r\n",
        b"INVITE sip:vsp@127.0.0.1 SIP/2.0\r\nContent-Length: 99999\r\n\r\n",
        b"BYE sip:vsp@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
    ] {
        world.server.handle_datagram(world.now, "192.0.2.66:5060".parse().unwrap(), datagram.to_vec().into());
        world.settle();
    }
    assert_eq!((world.frames_left(client), world.server.counts().calls), (0, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the params are: one answer, no panic, and the session lives on.
    #[test]
    fn any_params_get_one_answer(
        method in prop::sample::select(vec!["invite", "answer", "attach", "modify", "bye", "info", "candidate",
            "endOfCandidates", "subscribe", "unsubscribe", "broadcast", "gatewayState", "ringing_ack"]),
        key in prop::sample::select(vec!["callID", "sdp", "dialogParams", "action", "dtmf", "msg", "candidate",
            "eventChannel", "cause", "causeCode", "custom_headers", "destination_number"]),
        value in any_json(),
        nested in any::<bool>(),
    ) {
        let mut world = World::new();
        let (client, _) = world.log_in("alice");
        let mut params = json!({"sdp": "v=0", "dialogParams": {"callID": "c", "destination_number": "1"}});
        if nested {
            params["dialogParams"][key] = value;
        } else {
            params[key] = value;
        }
        let id = world.request(client, &format!("telnyx_rtc.{method}"), params);
        let frames = world.take_frames(client);
        let answers = frames.iter().filter(|frame| frame["id"] == json!(id)).count();
        prop_assert_eq!(answers, 1, "{:?}", frames);
        let pong = world.ask(client, "telnyx_rtc.ping", json!({}));
        prop_assert_eq!(&pong["result"]["message"], &json!("PONG"));
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        Just(json!("c")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z]{1,8}", inner, 0..4)
                .prop_map(|map| Value::from(map.into_iter().collect::<serde_json::Map<_, _>>())),
        ]
    })
}

#[test]
fn one_user_does_not_take_all_sessions() {
    let mut own = crate::world::settings();
    own.limits.sessions_per_user_max = 2;
    let mut world = World::with(own);
    let (first, _) = world.log_in("alice");
    world.log_in("alice");
    let third = world.open();
    let answer = world.ask(third, "login", json!({"login": "alice", "passwd": "alice-pw"}));
    assert_eq!(answer["error"]["code"], -32002);
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("too many clients")
    );
    world.log_in("bob");
    world.cut(first);
    let answer = world.ask(third, "login", json!({"login": "alice", "passwd": "alice-pw"}));
    assert_eq!(answer["result"]["message"], "logged in");
}

#[test]
fn requests_that_wait_when_their_call_ends_are_answered() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.call(client, "call-1", "9196");
    let about = |params: Value| {
        let mut params = params;
        params["dialogParams"] = json!({"callID": "call-1"});
        params
    };
    let text = world.request(client, "telnyx_rtc.info", about(json!({"msg": {"body": "hi"}})));
    let transfer = world.request(
        client,
        "telnyx_rtc.modify",
        about(json!({"action": "transfer", "destination": "1"})),
    );
    world.gateway.hold_replies = true;
    let digits = world.request(client, "telnyx_rtc.info", about(json!({"dtmf": "1"})));
    world.far_bye(leg, None);
    world.server.handle_link_down(world.now);
    world.settle();
    world.release_replies();
    let frames = world.take_frames(client);
    for id in [text, transfer, digits] {
        let answers = frames.iter().filter(|frame| frame["id"] == json!(id)).count();
        assert_eq!(answers, 1, "{id} in {frames:?}");
    }
    assert_eq!(world.server.counts().commands, 0);
}

#[test]
fn requests_replayed_on_the_next_socket_change_nothing_twice() {
    let mut world = World::new();
    let (old, session) = world.log_in("alice");
    let call = world.called(old);
    world.answer(old, &call);
    world.cut(old);
    let client = world.open();
    let back = returning("alice", &session);
    world.ask(client, "login", back.clone());
    world.expect(client, "clientReady");
    let commands = world.gateway.commands.len();
    world.answer(client, &call);
    assert_eq!(world.frame(client)["result"]["message"], "CALL ANSWERED");
    world.ask(client, "login", back);
    assert_eq!(world.frames_left(client), 0);
    let bye = json!({"dialogParams": {"callID": call}});
    for _ in 0..2 {
        let ended = world.ask(client, "telnyx_rtc.bye", bye.clone());
        assert_eq!(ended["result"]["message"], "CALL ENDED");
    }
    let closed = world.tags().iter().filter(|tag| *tag == "close").count();
    assert_eq!((closed, world.gateway.commands.len() - commands), (1, 1));
}

#[test]
fn a_caller_that_hangs_up_before_it_acknowledges_and_one_that_never_does() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    for never in [false, true] {
        let leg = world.far_call("alice", &[]);
        let call = world.expect(client, "invite")["callID"].clone();
        // What the caller sends from here on is lost, its BYE aside.
        world.gateway.hold_replies = true;
        world.answer(client, &call);
        world.network_up = !never;
        world.release_replies();
        assert_eq!(world.frame(client)["result"]["message"], "CALL ANSWERED");
        if !never {
            world.far_bye(leg, None);
        }
        world.advance_alive(client, Duration::from_secs(40));
        assert_eq!(world.find_bye(client)["callID"], call);
        assert_eq!(world.server.counts().calls, 0);
        world.network_up = true;
        world.far_events.clear();
        world.advance_alive(client, Duration::from_secs(70));
        world.take_frames(client);
    }
    assert_eq!(world.server.counts().sip.legs, 0);
}

/// Nobody knows yet whose they are.
#[test]
fn frames_that_wait_for_a_login_are_bounded_in_number_and_bytes() {
    for (len, fit) in [(10, 8), (30 * 1024, 2), (100 * 1024, 0)] {
        let mut world = World::new();
        world.auto_verdict = false;
        let client = world.open();
        world.request(client, "login", json!({"login": "alice", "passwd": "alice-pw"}));
        let params = json!({"eventChannel": ["x".repeat(len)]});
        for _ in 0..12 {
            world.request(client, "telnyx_rtc.subscribe", params.clone());
        }
        let refused = world.take_frames(client);
        assert_eq!(refused.len(), 12 - fit, "{len} bytes each");
        assert!(refused.iter().all(|frame| frame["error"]["code"] == -32600));
    }
}
