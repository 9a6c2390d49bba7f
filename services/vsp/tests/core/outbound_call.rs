//! Calls of a browser to a SIP far end: M11 to M14, M17, M18, M26 of the checklist, and how calls fail.

use crate::world::{self, CARRIER_ANSWER, CARRIER_OFFER, CLIENT_ANSWER, OFFER, World, header, invite_params};
use offhook_media_control::{Command, CommandErrorKind};
use offhook_sip::user_agent::{Ending, Event};
use offhook_vsp::EndedBy;
use serde_json::json;
use std::time::Duration;

#[test]
fn m11_m12_result_comes_first_then_ringing_media_answer() {
    let mut world = World::new();
    let (client, session) = world.log_in("alice");
    let id = world.request(
        client,
        "telnyx_rtc.invite",
        invite_params("call-1", "+4930123456"),
    );
    let created = world.frame(client);
    assert_eq!(created["id"], json!(id));
    assert_eq!(
        created["result"],
        json!({"callID": "call-1", "message": "CALL CREATED", "sessid": session})
    );

    let (_, incoming, invite) = world.far_invite();
    assert_eq!(invite.body(), CARRIER_OFFER.as_bytes());
    assert_eq!(
        invite.request_uri().unwrap().unwrap().to_string(),
        "sip:+4930123456@voice.example.com"
    );
    assert_eq!(header(&invite, "X-Ticket").as_deref(), Some("8812"));
    assert!(
        header(&invite, "From")
            .unwrap()
            .starts_with("\"Alice\" <sip:+15550100@voice.example.com>")
    );
    assert!(header(&invite, "Contact").unwrap().contains("127.0.0.1:5070"));

    world.far_respond(incoming, 180, None);
    let ringing = world.expect(client, "ringing");
    assert_eq!(ringing["callID"], "call-1");
    assert_eq!(
        ringing["telnyx_session_id"].as_str(),
        header(&invite, "X-Offhook-Call-Id").as_deref()
    );
    assert_eq!(ringing["caller_id_number"], "+15550100");
    assert_eq!(ringing["callee_id_number"], "+4930123456");
    assert!(ringing["telnyx_leg_id"].is_string() && ringing["telnyx_call_control_id"].is_string());

    world.far_respond(incoming, 183, Some(CARRIER_ANSWER));
    let media = world.expect(client, "media");
    assert_eq!(
        (&media["callID"], &media["sdp"]),
        (&json!("call-1"), &json!(CLIENT_ANSWER))
    );

    world.far_respond_with(incoming, 200, Some(CARRIER_ANSWER), &[("X-Agent", "7")]);
    let answer = world.expect(client, "answer");
    assert!(answer.get("sdp").is_none(), "the SDP was in media: {answer}");
    assert_eq!(
        answer["dialogParams"]["custom_headers"],
        json!([{"name": "X-Agent", "value": "7"}])
    );
    assert_eq!(world.frames_left(client), 0);
    assert!(matches!(world.far_event(), Event::AckReceived { .. }));
    assert_eq!(world.tags(), ["open", "answer", "answer"]);
}

#[test]
fn answer_without_media_carries_the_sdp() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.invite(client, "call-1", "9196");
    let (_, incoming, _) = world.far_invite();
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    assert_eq!(world.expect(client, "answer")["sdp"], CLIENT_ANSWER);
}

#[test]
fn a_200_without_sdp_stands_on_the_183() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.invite(client, "call-1", "9196");
    let (_, incoming, _) = world.far_invite();
    world.far_respond(incoming, 183, Some(CARRIER_ANSWER));
    world.expect(client, "ringing");
    world.expect(client, "media");
    world.far_respond(incoming, 200, None);
    world.expect(client, "answer");
}

#[test]
fn a_200_without_any_sdp_ends_the_call() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.invite(client, "call-1", "9196");
    let (_, incoming, _) = world.far_invite();
    world.far_respond(incoming, 200, None);
    let bye = world.expect(client, "bye");
    assert_eq!(
        (&bye["cause"], &bye["sipCode"]),
        (&json!("INCOMPATIBLE_DESTINATION"), &json!(488))
    );
    let ended = world.far_events.iter().any(|event| {
        matches!(
            event,
            Event::Terminated {
                ending: Ending::Remote(_),
                ..
            }
        )
    });
    assert!(ended, "{:?}", world.far_events);
}

#[test]
fn c10_early_sdp_answer_comes_right_after_the_result() {
    let mut world = World::new();
    let (client, _) = world.log_in_with("alice", json!({"early_sdp_answer": true}));
    world.invite(client, "call-1", "9196");
    assert_eq!(world.expect(client, "media")["sdp"], CLIENT_ANSWER);
    let (_, incoming, _) = world.far_invite();
    world.far_respond(incoming, 180, None);
    world.expect(client, "ringing");
    world.far_respond(incoming, 180, None);
    world.far_respond(incoming, 183, Some(CARRIER_ANSWER));
    let early = world.expect(client, "event");
    assert_eq!(
        (&early["eventChannel"], &early["eventData"]),
        (&json!("call-1"), &json!({"kind": "earlyMedia"}))
    );
    world.far_respond(incoming, 183, Some(CARRIER_ANSWER));
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    assert!(world.expect(client, "answer").get("sdp").is_none());
    assert_eq!(
        world.frames_left(client),
        0,
        "one media, one ringing, one news of early media, one answer"
    );
    assert_eq!(world.tags(), ["open", "ringing", "answer", "answer", "answer"]);
    assert!(
        matches!(&world.gateway.commands[0], Command::Open { sdp, early_answer: true, .. } if sdp.as_deref() == Some(OFFER))
    );
}

#[test]
fn m13_failures_reach_the_application_as_cause_code_and_status() {
    for (status, cause, code) in [
        (486, "USER_BUSY", 17),
        (404, "UNALLOCATED_NUMBER", 1),
        (403, "CALL_REJECTED", 21),
        (603, "CALL_REJECTED", 21),
        (480, "NO_ANSWER", 19),
        (503, "NORMAL_TEMPORARY_FAILURE", 41),
        (488, "INCOMPATIBLE_DESTINATION", 88),
    ] {
        let mut world = World::new();
        let (client, _) = world.log_in("alice");
        world.invite(client, "call-1", "9101");
        let (_, incoming, invite) = world.far_invite();
        world.far_respond(incoming, status, None);
        let bye = world.expect(client, "bye");
        assert_eq!(bye["callID"], "call-1");
        assert_eq!(
            (&bye["cause"], &bye["causeCode"]),
            (&json!(cause), &json!(code)),
            "{status}"
        );
        assert_eq!(bye["sipCode"], json!(status));
        assert!(!bye["sipReason"].as_str().unwrap().is_empty());
        assert_eq!(bye["sip_call_id"].as_str(), header(&invite, "Call-ID").as_deref());
        assert!(bye.get("isRecovering").is_none() && bye.get("initiator").is_none());
        assert_eq!(world.frames_left(client), 0);
        let record = &world.records[0];
        assert_eq!(
            (record.ended_by, record.sip_code),
            (EndedBy::Carrier, Some(status))
        );
        assert!(record.media.is_some() && record.setup.is_none());
    }
}

#[test]
fn m13_a_cause_of_q850_says_more_than_the_status() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.invite(client, "call-1", "1");
    let (_, incoming, _) = world.far_invite();
    world.far_respond_with(incoming, 480, None, &[("Reason", "Q.850;cause=17;text=\"busy\"")]);
    let bye = world.expect(client, "bye");
    assert_eq!(
        (&bye["cause"], &bye["sipCode"]),
        (&json!("USER_BUSY"), &json!(480))
    );
}

#[test]
fn m13_nobody_answers() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.invite(client, "call-1", "9103");
    let (leg, incoming, _) = world.far_invite();
    world.far_respond(incoming, 180, None);
    world.expect(client, "ringing");
    world.advance_alive(client, Duration::from_secs(60));
    let bye = world.find_bye(client);
    assert_eq!(bye["cause"], "NO_ANSWER");
    assert_eq!((&bye["causeCode"], &bye["sipCode"]), (&json!(19), &json!(408)));
    assert!(matches!(world.far_event(), Event::Cancelled { leg: cancelled, .. } if cancelled == leg));
    assert_eq!(world.records[0].ended_by, EndedBy::Vsp);
}

#[test]
fn m13_an_unreachable_far_end_is_no_answer() {
    let mut world = World::new();
    world.network_up = false;
    let (client, _) = world.log_in("alice");
    world.invite(client, "call-1", "9103");
    world.advance_alive(client, Duration::from_secs(40));
    let bye = world.find_bye(client);
    assert_eq!(
        (&bye["cause"], &bye["sipCode"]),
        (&json!("NO_ANSWER"), &json!(408))
    );
}

#[test]
fn m14_the_caller_gives_up_while_it_rings() {
    let mut world = World::new();
    let (client, session) = world.log_in("alice");
    world.invite(client, "call-1", "9103");
    let (leg, incoming, _) = world.far_invite();
    world.far_respond(incoming, 180, None);
    world.expect(client, "ringing");
    let params = json!({"sessid": session, "cause": "USER_BUSY", "causeCode": 17, "sipCode": null, "sip_call_id": null,
        "dialogParams": {"callID": "call-1", "custom_headers": []}});
    let result = world.ask(client, "telnyx_rtc.bye", params);
    let expected = json!({"callID": "call-1", "message": "CALL ENDED", "cause": "USER_BUSY", "causeCode": 17, "sessid": session});
    assert_eq!(result["result"], expected);
    assert!(matches!(world.far_event(), Event::Cancelled { leg: cancelled, .. } if cancelled == leg));
    assert_eq!(world.frames_left(client), 0, "nothing follows a bye");
    let record = &world.records[0];
    assert_eq!(
        (record.ended_by, record.cause.name),
        (EndedBy::Client, "ORIGINATOR_CANCEL")
    );
}

#[test]
fn m17_the_far_end_hangs_up() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.call(client, "call-1", "9196");
    world.advance(Duration::from_secs(3));
    world.far_bye(leg, None);
    let bye = world.expect(client, "bye");
    assert_eq!(
        (&bye["cause"], &bye["causeCode"]),
        (&json!("NORMAL_CLEARING"), &json!(16))
    );
    assert!(bye["sip_call_id"].is_string());
    let record = &world.records[0];
    assert_eq!(
        (record.ended_by, record.talk),
        (EndedBy::Carrier, Some(Duration::from_secs(3)))
    );
    assert_eq!(record.media.as_ref().map(|media| media.duration_ms), Some(1));
}

#[test]
fn m17_the_far_end_says_why_it_hangs_up() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.call(client, "call-1", "9196");
    world.far_bye(leg, Some("Q.850;cause=31"));
    assert_eq!(world.expect(client, "bye")["cause"], "NORMAL_UNSPECIFIED");
}

#[test]
fn m17_the_client_hangs_up() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.call(client, "call-1", "9196");
    let params = json!({"cause": "NORMAL_CLEARING", "causeCode": 16, "dialogParams": {"callID": "call-1"}});
    let result = world.ask(client, "telnyx_rtc.bye", params);
    assert_eq!(result["result"]["message"], "CALL ENDED");
    match world.far_event() {
        Event::Terminated {
            leg: ended,
            ending: Ending::Remote(bye),
        } => {
            assert_eq!(ended, leg);
            assert_eq!(header(&bye, "Reason").as_deref(), Some("Q.850;cause=16"));
            assert!(
                header(&bye, "X-Ticket").is_none(),
                "headers of the call are not repeated"
            );
            assert!(header(&bye, "X-Offhook-Call-Id").is_some());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.tags().last().unwrap(), "close");
    assert_eq!(world.frames_left(client), 0);
}

#[test]
fn m18_a_bye_of_an_unknown_call_is_answered() {
    let mut world = World::new();
    let (client, session) = world.log_in("alice");
    let result = world.ask(
        client,
        "telnyx_rtc.bye",
        json!({"dialogParams": {"callID": "never-heard-of"}}),
    );
    assert_eq!(result["result"]["callID"], "never-heard-of");
    assert_eq!(result["result"]["sessid"], json!(session));
}

#[test]
fn m26_calls_on_one_socket_are_independent() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.invite(client, "one", "1");
    let (one, first, _) = world.far_invite();
    world.invite(client, "two", "2");
    let (two, second, _) = world.far_invite();
    world.far_respond(second, 200, Some(CARRIER_ANSWER));
    assert_eq!(world.expect(client, "answer")["callID"], "two");
    world.far_respond(first, 180, None);
    assert_eq!(world.expect(client, "ringing")["callID"], "one");
    world.far_bye(two, None);
    assert_eq!(world.expect(client, "bye")["callID"], "two");
    world.far_respond(first, 200, Some(CARRIER_ANSWER));
    assert_eq!(world.expect(client, "answer")["callID"], "one");
    world.far_bye(one, None);
    assert_eq!(world.expect(client, "bye")["callID"], "one");
}

#[test]
fn the_gateways_refusals_end_the_call_before_sip_hears_of_it() {
    for (kind, cause, status) in [
        (CommandErrorKind::NoCommonCodec, "INCOMPATIBLE_DESTINATION", 488),
        (CommandErrorKind::BadSdp, "MANDATORY_IE_MISSING", 400),
        (CommandErrorKind::Busy, "NORMAL_TEMPORARY_FAILURE", 503),
        (CommandErrorKind::LinkDown, "NORMAL_TEMPORARY_FAILURE", 503),
    ] {
        let mut world = World::new();
        world.gateway.refuse.insert("open", kind);
        let (client, _) = world.log_in("alice");
        world.invite(client, "call-1", "9196");
        let bye = world.expect(client, "bye");
        assert_eq!(
            (&bye["cause"], &bye["sipCode"]),
            (&json!(cause), &json!(status)),
            "{kind:?}"
        );
        assert!(world.far_events.is_empty());
        world.advance(Duration::from_secs(6));
        assert_eq!(world.server.counts().calls, 0);
    }
}

#[test]
fn an_answer_that_the_gateway_cannot_use_ends_both_sides() {
    let mut world = World::new();
    world
        .gateway
        .refuse
        .insert("answer", CommandErrorKind::NoCommonCodec);
    let (client, _) = world.log_in("alice");
    world.invite(client, "call-1", "9196");
    let (_, incoming, _) = world.far_invite();
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    assert_eq!(world.expect(client, "bye")["causeCode"], 88);
    let bye = world.far_events.iter().find_map(|event| match event {
        Event::Terminated {
            ending: Ending::Remote(bye),
            ..
        } => header(bye, "Reason"),
        _ => None,
    });
    assert_eq!(bye.as_deref(), Some("Q.850;cause=88"));
}

#[test]
fn a_call_is_as_long_as_calls_may_be() {
    let mut settings = world::settings();
    settings.call_duration_max = Some(Duration::from_secs(30));
    let mut world = World::with(settings);
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    world.advance_alive(client, Duration::from_secs(30));
    let bye = world.find_bye(client);
    assert_eq!(bye["cause"], "ALLOTTED_TIMEOUT");
}

#[test]
fn numbers_of_others_are_not_shown() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let mut params = invite_params("call-1", "9196");
    params["dialogParams"]["caller_id_number"] = json!("+49110");
    params["dialogParams"]["caller_id_name"] = json!("Po\"lice\r\nVia: x");
    world.request(client, "telnyx_rtc.invite", params);
    let (_, _, invite) = world.far_invite();
    let from = header(&invite, "From").unwrap();
    assert!(
        from.starts_with("\"PoliceVia: x\" <sip:+15550101@voice.example.com>"),
        "{from}"
    );
}

#[test]
fn the_trace_tells_the_call_in_order_and_without_secrets() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.call(client, "call-1", "9196");
    world.far_bye(leg, None);
    world.expect(client, "bye");
    let names: Vec<_> = world
        .traces
        .iter()
        .map(|(_, event)| event.name.as_str())
        .collect();
    let order = [
        "invite",
        "result invite",
        "open",
        "reply open",
        "INVITE",
        "180 INVITE",
        "ringing",
        "200 INVITE",
        "answer",
        "reply answer",
        "answer",
        "BYE",
        "bye",
    ];
    let mut at = 0;
    for name in order {
        let found = names[at..].iter().position(|traced| *traced == name);
        at += found.unwrap_or_else(|| panic!("{name} after {:?} in {names:?}", &names[..at])) + 1;
    }
    let all = format!("{:?}", world.traces);
    assert!(!all.contains("TURN-SECRET"));
    assert!(world.traces.iter().all(|(id, _)| *id == world.traces[0].0));
}
