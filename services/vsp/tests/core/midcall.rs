//! While a call is up: M19 to M21 as far as signalling goes, digits, texts, candidates, and offers of the far end.

use crate::world::{CARRIER_ANSWER, CARRIER_OFFER, World, header};
use offhook_media_control::{
    Command, CommandErrorKind, Direction, Event, GoneReason, LegName, SessionSummary,
};
use offhook_sip::user_agent::{self, Ending};
use offhook_sip_message::Method;
use offhook_vsp::{ConnectionId, EndedBy};
use serde_json::{Value, json};
use std::time::Duration;

fn modify(world: &mut World, client: ConnectionId, action: &str) -> String {
    world.modify(client, json!({ "action": action }))
}

/// Answers the re-INVITE that the far end has got, and gives its offer.
fn far_reinvite(world: &mut World, status: u16) -> String {
    loop {
        if let user_agent::Event::IncomingRequest {
            incoming, request, ..
        } = world.far_event()
        {
            assert_eq!(request.method(), Some(&Method::Invite));
            world.far_respond(incoming, status, (status == 200).then_some(CARRIER_ANSWER));
            return String::from_utf8_lossy(request.body()).into_owned();
        }
    }
}

#[test]
fn m19_hold_and_resume_are_told_after_they_are_done() {
    let mut world = World::new();
    let (client, session) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    for (action, state, direction) in [
        ("hold", "held", Direction::SendOnly),
        ("unhold", "active", Direction::SendRecv),
        ("toggleHold", "held", Direction::SendOnly),
        ("toggleHold", "active", Direction::SendRecv),
    ] {
        let id = modify(&mut world, client, action);
        assert_eq!(world.frames_left(client), 0, "not before the far end has agreed");
        assert!(far_reinvite(&mut world, 200).contains(&format!("{direction:?}")));
        let result = world.frame(client);
        assert_eq!(result["id"], json!(id));
        let expected = json!({"callID": "call-1", "action": action, "holdState": state, "sessid": session});
        assert_eq!(result["result"], expected);
        assert!(
            matches!(world.gateway.commands.last(), Some(Command::Hold { held, .. }) if *held == (state == "held"))
        );
    }
}

#[test]
fn rfc6337_5_3_who_takes_the_place_of_a_far_end_on_hold_is_on_hold_too() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let old = world.call(client, "call-1", "9196");
    modify(&mut world, client, "hold");
    far_reinvite(&mut world, 200);
    world.far_successor(old, None);
    let answered = world.far_events.drain(..).find_map(|event| match event {
        user_agent::Event::Answered { response, .. } => Some(response),
        _ => None,
    });
    let offer = answered.expect("200 for the new far end");
    assert_eq!(offer.body(), b"v=0\r\no=offer SendOnly\r\n");
}

#[test]
fn m19_a_hold_that_is_there_already_and_one_that_fails() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.invite(client, "call-1", "9196");
    let refused = world.ask(
        client,
        "telnyx_rtc.modify",
        json!({"action": "hold", "dialogParams": {"callID": "call-1"}}),
    );
    assert_eq!(
        refused["error"]["code"], -32002,
        "a call that is not up cannot be held"
    );
    let (_, incoming, _) = world.far_invite();
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    world.expect(client, "answer");

    let unhold = world.ask(
        client,
        "telnyx_rtc.modify",
        json!({"action": "unhold", "dialogParams": {"callID": "call-1"}}),
    );
    assert_eq!(unhold["result"]["holdState"], "active");

    modify(&mut world, client, "hold");
    let second = world.ask(
        client,
        "telnyx_rtc.modify",
        json!({"action": "hold", "dialogParams": {"callID": "call-1"}}),
    );
    assert_eq!(second["error"]["code"], -32002, "one change at a time");
    far_reinvite(&mut world, 488);
    let failed = world.frame(client);
    assert!(
        failed["error"]["message"].as_str().unwrap().contains("488"),
        "{failed}"
    );
}

#[test]
fn m19_a_hold_that_the_gateway_refuses_is_taken_back() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    modify(&mut world, client, "hold");
    world.gateway.refuse.insert("answer", CommandErrorKind::BadSdp);
    assert!(far_reinvite(&mut world, 200).contains("SendOnly"));
    assert_eq!(world.frame(client)["error"]["code"], -32002);
    world.gateway.refuse.clear();
    assert!(
        far_reinvite(&mut world, 200).contains("SendRecv"),
        "the far end is resumed"
    );
    assert!(matches!(
        world.gateway.commands.last(),
        Some(Command::Hold { held: false, .. })
    ));
    modify(&mut world, client, "hold");
    far_reinvite(&mut world, 200);
    assert_eq!(world.frame(client)["result"]["holdState"], "held");
}

#[test]
fn a_hold_that_takes_long_is_told_in_time() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    world.network_up = false;
    modify(&mut world, client, "hold");
    world.advance(Duration::from_millis(8_000));
    assert_eq!(world.frame(client)["error"]["code"], -32002);
}

#[test]
fn m20_digits_go_to_the_gateway_or_by_info_but_never_twice() {
    let mut world = World::new();
    let (client, session) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    let digits = |digits: &str| json!({"dtmf": digits, "dialogParams": {"callID": "call-1"}});
    let result = world.ask(client, "telnyx_rtc.info", digits("12#"));
    assert_eq!(result["result"], json!({"message": "SENT", "sessid": session}));
    assert!(matches!(world.gateway.commands.last(),
        Some(Command::Dtmf { digits, to: LegName::Carrier, .. }) if digits == "12#"));
    assert!(world.far_events.is_empty());

    world.gateway.telephone_event = false;
    let result = world.ask(client, "telnyx_rtc.info", digits("4,*d"));
    assert_eq!(result["result"]["message"], "SENT");
    let mut signals = Vec::new();
    while let Some(event) = world.far_events.pop_front() {
        let user_agent::Event::IncomingRequest {
            incoming, request, ..
        } = event
        else {
            panic!("{event:?}")
        };
        assert_eq!(
            header(&request, "Content-Type").as_deref(),
            Some("application/dtmf-relay")
        );
        assert!(
            world.far_events.is_empty(),
            "one at a time, so that none overtakes another"
        );
        signals.push(
            String::from_utf8_lossy(request.body())
                .lines()
                .next()
                .unwrap()
                .to_owned(),
        );
        world.far_respond(incoming, 200, None);
    }
    assert_eq!(signals, ["Signal=4", "Signal=*", "Signal=D"]);
}

#[test]
fn digits_before_the_far_end_was_reached_and_digits_that_are_none() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.gateway.hold_replies = true;
    world.invite(client, "call-1", "9196");
    for (digits, code) in [
        ("1", -32002),
        ("", -32602),
        ("1\r\n2", -32602),
        (&"1".repeat(65), -32602),
        ("x", -32602),
    ] {
        let answer = world.ask(
            client,
            "telnyx_rtc.info",
            json!({"dtmf": digits, "dialogParams": {"callID": "call-1"}}),
        );
        assert_eq!(answer["error"]["code"], code, "{digits:?}");
    }
}

#[test]
fn digits_of_the_far_end_reach_the_client() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.call(client, "call-1", "9196");
    let session = world.media_session();
    world.event(Event::Dtmf {
        session,
        from: LegName::Carrier,
        digit: '5',
        duration_ms: 100,
    });
    assert_eq!(
        world.expect(client, "info"),
        json!({"callID": "call-1", "dtmf": "5"})
    );
    world.far_request(
        leg,
        Method::Info,
        Some(("application/dtmf-relay", "Signal=7\r\nDuration=160\r\n")),
    );
    assert_eq!(world.expect(client, "info")["dtmf"], "7");
}

#[test]
fn a_text_is_sent_or_refused_with_the_reason() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    let message =
        json!({"msg": {"from": "alice", "to": "bob", "body": "hello"}, "dialogParams": {"callID": "call-1"}});
    for (status, member) in [(200, "result"), (403, "error")] {
        let id = world.request(client, "telnyx_rtc.info", message.clone());
        let user_agent::Event::IncomingRequest {
            incoming, request, ..
        } = world.far_event()
        else {
            panic!()
        };
        assert_eq!(request.body(), b"hello");
        world.far_respond(incoming, status, None);
        let answer = world.frame(client);
        assert!(
            answer["id"] == json!(id) && answer[member].is_object(),
            "{answer}"
        );
    }
}

#[test]
fn m21_update_media_carries_the_answer_in_its_result() {
    let mut world = World::new();
    let (client, session) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    let params = json!({"action": "updateMedia", "callID": "call-1", "sdp": "v=0 restart", "trickle": true,
        "dialogParams": {"callID": "call-1"}});
    let result = world.ask(client, "telnyx_rtc.modify", params.clone());
    let expected = json!({"callID": "call-1", "action": "updateMedia", "sdp": "v=0\r\no=answer to Client\r\n",
        "holdState": "active", "sessid": session});
    assert_eq!(result["result"], expected);
    world.gateway.refuse.insert("reoffer", CommandErrorKind::BadSdp);
    assert_eq!(
        world.ask(client, "telnyx_rtc.modify", params)["error"]["code"],
        -32002
    );
}

#[test]
fn m23_the_client_is_never_offered_anything_while_the_far_end_changes_its_media() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.call(client, "call-1", "9196");
    for (method, body, expected) in [
        (
            Method::Invite,
            Some(("application/sdp", "v=0 new")),
            Some("v=0\r\no=answer to Carrier\r\n"),
        ),
        (
            Method::Update,
            Some(("application/sdp", "v=0 new")),
            Some("v=0\r\no=answer to Carrier\r\n"),
        ),
        (Method::Update, None, None),
    ] {
        world.far_request(leg, method.clone(), body);
        let response = loop {
            if let user_agent::Event::Response { response, .. } = world.far_event() {
                break response;
            }
        };
        assert_eq!(response.status().unwrap().code(), 200, "{method}");
        assert_eq!(
            String::from_utf8_lossy(response.body()),
            expected.unwrap_or_default()
        );
    }
    assert_eq!(world.frames_left(client), 0);
}

#[test]
fn an_offer_of_the_far_end_that_cannot_be_used_leaves_the_call_as_it_was() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.call(client, "call-1", "9196");
    world
        .gateway
        .refuse
        .insert("reoffer", CommandErrorKind::NoCommonCodec);
    world.far_request(leg, Method::Invite, Some(("application/sdp", "v=0 g729")));
    let user_agent::Event::Response { response, .. } = world.far_event() else {
        panic!()
    };
    assert_eq!(response.status().unwrap().code(), 488);
    assert_eq!((world.frames_left(client), world.server.counts().calls), (0, 1));
}

#[test]
fn candidates_wait_for_the_gateway_and_keep_their_order() {
    let mut world = World::new();
    let (client, session) = world.log_in("alice");
    world.gateway.hold_replies = true;
    world.invite(client, "call-1", "9196");
    let candidate = |n: usize| {
        json!({"candidate": format!("candidate:{n}"), "sdpMid": "0", "sdpMLineIndex": 0,
        "dialogParams": {"callID": "call-1"}})
    };
    for n in 0..2 {
        let result = world.ask(client, "telnyx_rtc.candidate", candidate(n));
        assert_eq!(result["result"], json!({"callID": "call-1", "sessid": session}));
    }
    let end = json!({"endOfCandidates": true, "dialogParams": {"callID": "call-1"}});
    world.ask(client, "telnyx_rtc.endOfCandidates", end.clone());
    assert_eq!(world.tags(), ["open"]);
    world.release_replies();
    world.ask(client, "telnyx_rtc.endOfCandidates", end);
    let sent: Vec<_> = world
        .gateway
        .commands
        .iter()
        .filter_map(|command| match command {
            Command::Candidate { candidate, .. } => Some(candidate.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(sent, ["candidate:0", "candidate:1", "", ""]);
}

#[test]
fn too_many_candidates_are_refused() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.gateway.hold_replies = true;
    world.invite(client, "call-1", "9196");
    let candidate = json!({"candidate": "candidate:1", "dialogParams": {"callID": "call-1"}});
    let answers: Vec<Value> = (0..65)
        .map(|_| world.ask(client, "telnyx_rtc.candidate", candidate.clone()))
        .collect();
    assert!(answers[63]["result"].is_object());
    assert_eq!(answers[64]["error"]["code"], -32002);
}

#[test]
fn a_media_session_that_is_gone_ends_both_sides_with_its_reason() {
    for (reason, cause, status, q850) in [
        (GoneReason::IceFailed, "MEDIA_TIMEOUT", 408, "Q.850;cause=41"),
        (
            GoneReason::DtlsFailed,
            "INCOMPATIBLE_DESTINATION",
            488,
            "Q.850;cause=88",
        ),
        (
            GoneReason::Shutdown,
            "NORMAL_TEMPORARY_FAILURE",
            503,
            "Q.850;cause=41",
        ),
    ] {
        let mut world = World::new();
        let (client, _) = world.log_in("alice");
        world.call(client, "call-1", "9196");
        let session = world.media_session();
        let summary = SessionSummary {
            duration_ms: 7,
            ..SessionSummary::default()
        };
        world.event(Event::Gone {
            session,
            reason,
            message: "script".to_owned(),
            summary,
        });
        let bye = world.expect(client, "bye");
        assert_eq!((&bye["cause"], &bye["sipCode"]), (&json!(cause), &json!(status)));
        let user_agent::Event::Terminated {
            ending: Ending::Remote(bye),
            ..
        } = world.far_event()
        else {
            panic!()
        };
        assert_eq!(header(&bye, "Reason").as_deref(), Some(q850));
        assert!(
            !world.tags().contains(&"close".to_owned()),
            "it is closed already"
        );
        assert_eq!(world.records[0].ended_by, EndedBy::Gateway);
        assert_eq!(
            world.records[0].media.as_ref().map(|media| media.duration_ms),
            Some(7)
        );
        assert_eq!(world.server.counts().calls, 0);
    }
}

#[test]
fn a_gateway_that_cannot_be_reached_ends_its_calls_and_leaves_the_session() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    world.server.handle_link_down(world.now);
    world.settle();
    let bye = world.expect(client, "bye");
    assert_eq!(
        (&bye["cause"], &bye["causeCode"]),
        (&json!("NORMAL_TEMPORARY_FAILURE"), &json!(41))
    );
    assert_eq!(
        (&bye["sipCode"], &bye["sipReason"]),
        (&json!(503), &json!("Media gateway lost"))
    );
    assert!(matches!(
        world.far_event(),
        user_agent::Event::Terminated {
            ending: Ending::Remote(_),
            ..
        }
    ));
    assert!(world.closed.is_empty());
    let session = world.media_session();
    world.gateway.commands.clear();
    world.server.handle_link_up();
    world.settle();
    assert_eq!(
        world.gateway.commands,
        [Command::Close { session }],
        "a gateway that kept the session is told"
    );
    assert_eq!(
        world.ask(client, "telnyx_rtc.gatewayState", json!({}))["result"]["params"]["state"],
        "REGED"
    );
}

#[test]
fn a_far_end_that_has_forgotten_the_call_ends_it() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    world.network_up = false;
    modify(&mut world, client, "hold");
    world.advance_alive(client, Duration::from_secs(40));
    let bye = world.find_bye(client);
    assert_eq!(bye["cause"], "RECOVERY_ON_TIMER_EXPIRE");
}

#[test]
fn a_re_invite_without_offer_is_answered_with_ours() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.call(client, "call-1", "9196");
    world.far_request(leg, Method::Invite, None);
    let user_agent::Event::Response { response, .. } = world.far_event() else {
        panic!()
    };
    assert_eq!(
        String::from_utf8_lossy(response.body()),
        "v=0\r\no=offer SendRecv\r\n"
    );
    assert_ne!(response.body(), CARRIER_OFFER.as_bytes());
    assert_eq!(world.frames_left(client), 0);
}
