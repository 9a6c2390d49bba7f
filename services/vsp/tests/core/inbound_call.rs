//! Calls for users: R30 to R36, R59, M15 and M16 as far as signalling goes, and several clients of one user.

use crate::world::{
    BROWSER_ANSWER, CARRIER_OFFER, CARRIER_SIDE_OFFER, CLIENT_ANSWER, World, header, returning, settings,
};
use offhook_media_control::{Command, CommandErrorKind, GoneReason, LegName, SessionSummary};
use offhook_sip::user_agent::{Ending, Event};
use offhook_vsp::{ConnectionId, EndedBy};
use serde_json::{Value, json};
use std::time::Duration;

fn bye(world: &mut World, client: ConnectionId, call: &Value, extra: Value) -> Value {
    let mut params = json!({"cause": "USER_BUSY", "causeCode": 17, "dialogParams": {"callID": call}});
    for (key, value) in extra.as_object().unwrap() {
        params[key] = value.clone();
    }
    world.ask(client, "telnyx_rtc.bye", params)
}

/// The invite at a client, taken without the acknowledgement that the SDK sends.
fn silent_invite(world: &mut World, client: ConnectionId) -> Value {
    let frame = world.frame(client);
    assert_eq!(frame["method"], "telnyx_rtc.invite", "{frame}");
    frame["params"].clone()
}

#[test]
fn m15_r30_to_r36_a_call_rings_is_answered_and_has_media() {
    let mut world = World::new();
    let (client, session) = world.log_in("alice");
    world.far_call(
        "alice",
        &[
            ("P-Called-Party-ID", "<sip:+15550100@voice.example.com>"),
            ("X-Offhook-Call-Id", "call-of-the-proxy"),
            ("X-Queue", "support"),
            ("Subject", "not for clients"),
        ],
    );
    let Some(Command::Open {
        from: LegName::Carrier,
        sdp,
        call_id,
        ..
    }) = world.gateway.commands.first()
    else {
        panic!("a session from the caller's offer");
    };
    assert_eq!(
        (sdp.as_deref(), call_id.as_str()),
        (Some(CARRIER_SIDE_OFFER), "call-of-the-proxy")
    );
    assert_eq!(
        world.far_statuses(),
        [] as [u16; 0],
        "nobody has acknowledged yet"
    );
    let invite = world.expect(client, "invite");
    assert_eq!(world.far_statuses(), [180], "it rings when the client says so");
    assert_eq!(invite["sdp"], CARRIER_OFFER);
    assert_eq!(
        (&invite["caller_id_name"], &invite["caller_id_number"]),
        (&json!("Bob"), &json!("+4940555666"))
    );
    assert_eq!(invite["callee_id_number"], "+15550100");
    assert_eq!(invite["telnyx_session_id"], "call-of-the-proxy");
    assert!(invite["telnyx_leg_id"].is_string() && invite["telnyx_call_control_id"].is_string());
    assert_eq!(
        invite["dialogParams"]["custom_headers"],
        json!([{"name": "X-Queue", "value": "support"}])
    );

    is_answered(&mut world, client, &session, &invite);
    world.advance(Duration::from_secs(40));
    assert_eq!(
        (world.server.counts().calls, world.server.counts().sip.legs),
        (0, 0)
    );
    is_traced_by_the_id_of_the_proxy(&world);
}

/// The ringing call is answered, and ended by the caller.
fn is_answered(world: &mut World, client: ConnectionId, session: &str, invite: &Value) {
    let id = world.answer(client, &invite["callID"]);
    assert!(world.gateway.commands.iter().any(|command| matches!(command,
        Command::Answer { from: LegName::Client, sdp, is_final: true, .. } if sdp == BROWSER_ANSWER)));
    let Event::Answered { response, leg } = world.far_event() else {
        panic!()
    };
    assert_eq!(String::from_utf8_lossy(response.body()), CLIENT_ANSWER);
    let result = world.frame(client);
    assert_eq!(result["id"], json!(id));
    assert_eq!(
        result["result"],
        json!({"callID": invite["callID"], "message": "CALL ANSWERED", "sessid": session})
    );
    assert_eq!(
        world.frames_left(client),
        0,
        "no answer and no media for a call that came in"
    );

    world.far_bye(leg, None);
    let told = world.expect(client, "bye");
    assert_eq!(
        (&told["cause"], &told["callID"]),
        (&json!("NORMAL_CLEARING"), &invite["callID"])
    );
    assert!(told["sip_call_id"].is_string());
    assert_eq!(world.records.len(), 1);
    assert_eq!(
        (world.records[0].ended_by, world.records[0].user.as_str()),
        (EndedBy::Carrier, "alice")
    );
    assert!(world.records[0].talk.is_some() && world.records[0].media.is_some());
}

fn is_traced_by_the_id_of_the_proxy(world: &World) {
    let names: Vec<_> = world
        .traces
        .iter()
        .map(|(_, event)| event.name.as_str())
        .collect();
    for name in [
        "INVITE",
        "open",
        "invite",
        "ack invite",
        "180 INVITE",
        "answer",
        "200 INVITE",
        "ACK",
        "BYE",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert!(
        world
            .traces
            .iter()
            .all(|(id, _)| id.as_str() == "call-of-the-proxy")
    );
}

#[test]
fn m15_the_client_hangs_up_with_a_header_of_its_own() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.far_call("alice", &[("X-Queue", "support")]);
    let call = world.expect(client, "invite")["callID"].clone();
    world.answer(client, &call);
    world.frame(client);
    let headers = json!([{"name": "X-Queue", "value": "support"}, {"name": "X-Survey", "value": "5"}]);
    let result = bye(
        &mut world,
        client,
        &call,
        json!({"cause": "NORMAL_CLEARING", "causeCode": 16,
        "dialogParams": {"callID": call, "custom_headers": headers}}),
    );
    assert_eq!(result["result"]["message"], "CALL ENDED");
    let ended = world.far_events.drain(..).find_map(|event| match event {
        Event::Terminated {
            ending: Ending::Remote(bye),
            ..
        } => Some(bye),
        _ => None,
    });
    let bye = ended.expect("a BYE at the far end");
    assert_eq!(header(&bye, "X-Survey").as_deref(), Some("5"));
    assert_eq!(
        header(&bye, "X-Queue"),
        None,
        "what came with the invite is not sent back"
    );
    assert_eq!(header(&bye, "Reason").as_deref(), Some("Q.850;cause=16"));
}

#[test]
fn m16_r59_a_declined_call_gets_the_configured_code_or_that_of_the_application() {
    for (configured, extra, status) in [
        (487, json!({}), 487),
        (486, json!({}), 486),
        (603, json!({}), 603),
        (487, json!({"sipCode": 486}), 486),
        (487, json!({"sipCode": 200}), 487),
        (487, json!({"cause": "CALL_REJECTED", "causeCode": 21}), 603),
    ] {
        let mut settings = settings();
        settings.reject_code = configured;
        let mut world = World::with(settings);
        let (client, _) = world.log_in("alice");
        let call = world.called(client);
        let result = bye(&mut world, client, &call, extra);
        assert_eq!(result["result"]["message"], "CALL ENDED");
        assert_eq!(world.far_statuses(), [180, status]);
        assert_eq!(world.frames_left(client), 0);
        assert_eq!(
            (world.records.len(), world.records[0].ended_by),
            (1, EndedBy::Client)
        );
        world.advance(Duration::from_secs(40));
        assert_eq!(world.server.counts().sip.legs, 0);
    }
}

#[test]
fn m16_the_caller_gives_up() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.far_call("alice", &[]);
    let call = world.expect(client, "invite")["callID"].clone();
    world.far_end.cancel(world.now, leg, Vec::new()).unwrap();
    world.settle();
    let told = world.expect(client, "bye");
    assert_eq!(
        (&told["cause"], &told["causeCode"], &told["sipCode"]),
        (&json!("ORIGINATOR_CANCEL"), &json!(487), &json!(487))
    );
    assert_eq!(told["callID"], call);
    assert_eq!(world.far_statuses(), [180, 487]);
    let late = world.answer(client, &call);
    let answer = world.frame(client);
    assert_eq!(
        (&answer["id"], &answer["error"]["code"]),
        (&json!(late), &json!(-32002))
    );
    assert_eq!(world.server.counts().calls, 0);
}

#[test]
fn another_phone_of_the_user_that_the_proxy_rang_was_faster() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.far_call("alice", &[]);
    world.expect(client, "invite");
    let reason =
        offhook_sip::Header::new("Reason", "SIP;cause=200;text=\"Call completed elsewhere\"").unwrap();
    world.far_end.cancel(world.now, leg, vec![reason]).unwrap();
    world.settle();
    let told = world.expect(client, "bye");
    assert_eq!(
        (&told["cause"], &told["sipReason"]),
        (&json!("LOSE_RACE"), &json!("Call completed elsewhere"))
    );
}

#[test]
fn m16_nobody_answers_in_time() {
    for code in [480, 408] {
        let mut settings = settings();
        settings.no_answer_code = code;
        let mut world = World::with(settings);
        let (client, _) = world.log_in("alice");
        world.far_call("alice", &[]);
        world.expect(client, "invite");
        world.advance_alive(client, Duration::from_secs(60));
        assert_eq!(world.far_statuses(), [180, code]);
        let told = world.find_bye(client);
        assert_eq!(
            (&told["cause"], &told["sipCode"]),
            (&json!("NO_ANSWER"), &json!(code))
        );
        assert_eq!(world.records[0].cause.name, "NO_ANSWER");
    }
}

#[test]
fn the_first_of_several_clients_to_answer_gets_the_call() {
    let mut world = World::new();
    let (one, _) = world.log_in("alice");
    let (two, _) = world.log_in("alice");
    let (three, _) = world.log_in("alice");
    let (bob, _) = world.log_in("bob");
    world.far_call("alice", &[]);
    let calls = [one, two, three].map(|client| world.expect(client, "invite")["callID"].clone());
    assert_eq!(world.frames_left(bob), 0);
    assert_eq!(world.far_statuses(), [180], "once");
    assert_eq!(world.gateway.commands.len(), 3, "one session each");

    // The gateway takes a moment for the first answer; the second one comes meanwhile.
    world.gateway.hold_replies = true;
    let first = world.answer(two, &calls[1]);
    let second = world.answer(three, &calls[2]);
    let lost = world.frame(three);
    assert_eq!(
        (&lost["id"], &lost["result"]["message"]),
        (&json!(second), &json!("CALL ANSWERED"))
    );
    assert_eq!(world.expect(three, "bye")["cause"], "LOSE_RACE");
    world.release_replies();
    assert_eq!(world.far_statuses(), [200]);
    assert_eq!(world.frame(two)["id"], json!(first));
    let told = world.expect(one, "bye");
    assert_eq!(
        (
            &told["cause"],
            &told["causeCode"],
            &told["sipCode"],
            &told["sipReason"]
        ),
        (
            &json!("LOSE_RACE"),
            &json!(502),
            &json!(200),
            &json!("Call completed elsewhere")
        )
    );
    assert_eq!(world.frames_left(two), 0);
    assert_eq!(world.server.counts().calls, 1);
    let closed = world.tags().iter().filter(|tag| *tag == "close").count();
    assert_eq!(closed, 2, "the sessions of the others");
    assert!(world.records.is_empty(), "those were no calls of their own");
}

#[test]
fn one_rejection_does_not_reject_for_all() {
    let mut world = World::new();
    let (one, _) = world.log_in("alice");
    let (two, _) = world.log_in("alice");
    world.far_call("alice", &[]);
    let calls = [one, two].map(|client| world.expect(client, "invite")["callID"].clone());
    bye(&mut world, one, &calls[0], json!({}));
    assert_eq!(world.far_statuses(), [180]);
    assert_eq!(world.frames_left(two), 0);
    bye(&mut world, two, &calls[1], json!({}));
    assert_eq!(world.far_statuses(), [487]);
    assert_eq!(world.records.len(), 1);
}

#[test]
fn without_a_client_the_user_is_unavailable_and_strangers_are_unknown() {
    let mut world = World::new();
    world.far_call("alice", &[]);
    assert_eq!(world.far_statuses(), [480]);
    world.far_call("mallory", &[]);
    assert_eq!(world.far_statuses(), [404]);
    world.advance(Duration::from_secs(40));
    assert!(world.server.is_empty(), "{:?}", world.server.counts());
}

#[test]
fn a_user_with_all_calls_taken_is_busy() {
    let mut settings = settings();
    settings.users.get_mut("alice").unwrap().calls_max = Some(1);
    settings.limits.calls_per_session_max = 1;
    let mut world = World::with(settings);
    let (client, _) = world.log_in("alice");
    let (bob, _) = world.log_in("bob");
    for (client, user) in [(client, "alice"), (bob, "bob")] {
        world.invite(client, "call-1", "9196");
        world.far_events.clear();
        world.far_call(user, &[]);
        assert_eq!(world.far_statuses(), [486]);
        assert_eq!(world.frames_left(client), 0);
    }
}

/// It is one call, at however many browsers it rings.
#[test]
fn a_call_that_rings_at_several_clients_counts_once() {
    let mut own = settings();
    own.users.get_mut("alice").unwrap().calls_max = Some(2);
    let mut world = World::with(own);
    let clients = [0, 1, 2].map(|_| world.log_in("alice").0);
    world.far_call("alice", &[]);
    world.far_statuses();
    world.far_call("alice", &[]);
    for client in clients {
        assert_eq!(world.frames_left(client), 2, "both ring");
    }
    assert!(!world.far_statuses().contains(&486));
    world.far_call("alice", &[]);
    assert!(world.far_statuses().contains(&486), "the third is one too many");
}

#[test]
fn a_client_that_logs_in_while_it_rings_rings_too() {
    let mut world = World::new();
    let (one, _) = world.log_in("alice");
    world.far_call("alice", &[]);
    world.expect(one, "invite");
    let (two, _) = world.log_in("alice");
    let call = world.expect(two, "invite")["callID"].clone();
    world.answer(two, &call);
    assert_eq!(world.frame(two)["result"]["message"], "CALL ANSWERED");
    assert_eq!(world.expect(one, "bye")["cause"], "LOSE_RACE");
    let (three, _) = world.log_in("alice");
    assert_eq!(world.frames_left(three), 0, "it rings no more");
}

#[test]
fn phones_that_acknowledge_nothing_ring_as_soon_as_they_are_asked() {
    let mut world = World::new();
    let client = world.open();
    world.request(
        client,
        "login",
        json!({"login": "alice", "passwd": "alice-pw", "User-Agent": "Android-3.1.0"}),
    );
    world.take_frames(client);
    world.far_call("alice", &[]);
    assert_eq!(world.far_statuses(), [180]);
    silent_invite(&mut world, client);

    let (web, _) = world.log_in("bob");
    world.far_call("bob", &[]);
    let call = silent_invite(&mut world, web)["callID"].clone();
    assert_eq!(world.far_statuses(), [] as [u16; 0]);
    let ack = world.ask(web, "telnyx_rtc.ringing_ack", json!({"callID": call}));
    assert_eq!(ack["result"]["callID"], call);
    assert_eq!(world.far_statuses(), [180], "C31: a request that says the same");
}

#[test]
fn an_answer_that_the_gateway_refuses_leaves_the_others_ringing() {
    let mut world = World::new();
    let (one, _) = world.log_in("alice");
    let (two, _) = world.log_in("alice");
    world.far_call("alice", &[]);
    let calls = [one, two].map(|client| world.expect(client, "invite")["callID"].clone());
    world.gateway.refuse.insert("answer", CommandErrorKind::BadSdp);
    world.answer(one, &calls[0]);
    assert_eq!(world.frame(one)["error"]["code"], -32002);
    assert_eq!((world.far_statuses(), world.frames_left(two)), (vec![180], 0));
    world.gateway.refuse.clear();
    world.answer(two, &calls[1]);
    assert_eq!(world.frame(two)["result"]["message"], "CALL ANSWERED");
    assert_eq!(world.far_statuses(), [200]);
}

#[test]
fn a_gateway_that_is_full_or_gone_refuses_the_call() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.gateway.refuse.insert("open", CommandErrorKind::Busy);
    world.far_call("alice", &[]);
    assert_eq!(world.far_statuses(), [503]);
    assert_eq!(world.frames_left(client), 0, "the client has never heard of it");
    world.gateway.refuse.clear();

    world.far_call("alice", &[]);
    world.expect(client, "invite");
    let session = world.media_session();
    world.event(offhook_media_control::Event::Gone {
        session,
        reason: GoneReason::Shutdown,
        message: String::new(),
        summary: SessionSummary::default(),
    });
    assert_eq!(world.far_statuses(), [180, 503]);
    assert_eq!(world.expect(client, "bye")["sipCode"], 503);
}

#[test]
fn a_cancel_that_crosses_the_answer_ends_the_call_everywhere() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.far_call("alice", &[]);
    let call = world.expect(client, "invite")["callID"].clone();
    world.gateway.hold_replies = true;
    let id = world.answer(client, &call);
    world.far_end.cancel(world.now, leg, Vec::new()).unwrap();
    world.settle();
    world.release_replies();
    let result = world.frame(client);
    assert_eq!(
        (&result["id"], &result["result"]["message"]),
        (&json!(id), &json!("CALL ANSWERED"))
    );
    assert_eq!(world.expect(client, "bye")["cause"], "ORIGINATOR_CANCEL");
    assert_eq!(world.far_statuses(), [180, 487]);
    assert_eq!(world.server.counts().calls, 0);
}

#[test]
fn a_second_answer_of_the_same_client_changes_nothing() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let call = world.called(client);
    world.answer(client, &call);
    world.frame(client);
    let commands = world.gateway.commands.len();
    world.answer(client, &call);
    assert_eq!(world.frame(client)["result"]["message"], "CALL ANSWERED");
    assert_eq!(world.gateway.commands.len(), commands);
}

#[test]
fn a_caller_who_hides_is_shown_as_such_and_one_who_is_asserted_as_asserted() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let identity = ("P-Asserted-Identity", "\"Jörg\" <sip:+4930123@carrier.example>");
    for (privacy, name, number) in [("none", "Jörg", "+4930123"), ("id", "Anonymous", "anonymous")] {
        world.far_call_from(
            "alice",
            "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
            &[identity, ("Privacy", privacy)],
        );
        let invite = world.expect(client, "invite");
        assert_eq!(
            (&invite["caller_id_name"], &invite["caller_id_number"]),
            (&json!(name), &json!(number))
        );
    }
}

#[test]
fn c17_a_socket_that_is_lost_while_it_rings_answers_on_the_next_one() {
    let mut world = World::new();
    let (old, session) = world.log_in("alice");
    let call = world.called(old);
    world.cut(old);
    let client = world.open();
    let back = returning("alice", &session);
    world.ask(client, "login", back);
    let ready = world.expect(client, "clientReady");
    assert_eq!(ready, json!({"reattached_sessions": [call]}));
    assert_eq!(world.frames_left(client), 0, "a second invite would ring again");
    world.answer(client, &call);
    assert_eq!(world.frame(client)["result"]["message"], "CALL ANSWERED");
    assert_eq!(world.far_statuses(), [180, 200]);
}

#[test]
fn c17_an_invite_that_was_lost_with_its_socket_is_sent_again() {
    let mut world = World::new();
    let (old, session) = world.log_in("alice");
    world.far_call("alice", &[]);
    let call = silent_invite(&mut world, old)["callID"].clone();
    world.cut(old);
    let client = world.open();
    let back = returning("alice", &session);
    world.ask(client, "login", back);
    world.expect(client, "clientReady");
    assert_eq!(world.expect(client, "invite")["callID"], call);
    assert_eq!(world.far_statuses(), [180]);
}

#[test]
fn calls_come_from_the_proxy_alone() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let invite = "INVITE sip:alice@voice.example.com SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKx\r\n\
        From: <sip:x@evil>;tag=1\r\nTo: <sip:alice@voice.example.com>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\
        Contact: <sip:x@198.51.100.9>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
    world
        .server
        .handle_datagram(world.now, "198.51.100.9:5060".parse().unwrap(), invite.into());
    world.settle();
    assert_eq!(world.frames_left(client), 0);
    assert!(world.gateway.commands.is_empty());
    world.advance(Duration::from_secs(40));
    assert_eq!(world.server.counts().sip.legs, 0);
}

#[test]
fn draining_takes_no_more_calls_and_ends_those_that_ring() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.far_call("alice", &[]);
    world.expect(client, "invite");
    world.drain(Duration::from_secs(5));
    world.far_call("alice", &[]);
    assert_eq!(world.far_statuses(), [180, 503]);
    world.advance(Duration::from_secs(5));
    assert_eq!(world.far_statuses(), [503]);
    assert_eq!(world.expect(client, "bye")["sipCode"], 503);
}
