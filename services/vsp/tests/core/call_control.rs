//! Call control beyond hold: transfers, the far end's hold and texts, who is shown as caller, session timers.

use crate::world::{CARRIER_ANSWER, CARRIER_SIDE_OFFER, World, header, invite_params, returning, settings};
use offhook_media_control::{Command, LegName};
use offhook_sip::user_agent::{Ending, Event, Failure, LegId, Notice};
use offhook_sip_message::{Method, StatusCode};
use serde_json::json;
use std::time::Duration;

/// The REFER that the far end has got: its call, and whom it is asked to call.
fn far_refer(world: &mut World) -> (LegId, offhook_sip::user_agent::ReferralId, String, bool) {
    let notice = world.far_notices.pop().expect("a REFER at the far end");
    let Notice::ReferRequested {
        leg, referral, to, ..
    } = notice
    else {
        panic!("{notice:?}")
    };
    let target = String::from_utf8_lossy(to.target.as_bytes()).into_owned();
    (leg, referral, target, to.replaces.is_some())
}

#[test]
fn a_blind_transfer_ends_our_call_when_it_has_worked() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    let id = world.modify(
        client,
        json!({"action": "transfer", "destination": "+1 555 0199"}),
    );
    let (leg, referral, target, replaces) = far_refer(&mut world);
    assert_eq!(
        (target.as_str(), replaces),
        ("sip:+15550199@voice.example.com", false)
    );
    world.far_end.accept_refer(world.now, leg, referral).unwrap();
    world.settle();
    let frames = world.take_frames(client);
    let result = frames
        .iter()
        .find(|frame| frame["id"] == json!(id))
        .expect("an answer");
    assert_eq!(result["result"]["action"], "transfer");
    world
        .far_end
        .refer_progress(world.now, leg, referral, StatusCode::RINGING)
        .unwrap();
    world.settle();
    let event = world.frame(client);
    assert_eq!(event["params"]["eventChannel"], "call-1");
    assert_eq!(
        event["params"]["eventData"],
        json!({"kind": "transfer", "state": "trying", "sipCode": 180})
    );
    world
        .far_end
        .refer_progress(world.now, leg, referral, StatusCode::OK)
        .unwrap();
    world.settle();
    assert_eq!(world.frame(client)["params"]["eventData"]["state"], "done");
    let bye = world.expect(client, "bye");
    assert_eq!(
        (&bye["cause"], &bye["sipReason"]),
        (&json!("NORMAL_CLEARING"), &json!("Transferred"))
    );
    assert!(world.far_events.iter().any(|event| matches!(
        event,
        Event::Terminated {
            ending: Ending::Remote(_),
            ..
        }
    )));
}

#[test]
fn a_transfer_that_fails_leaves_the_call_and_may_be_tried_again() {
    let mut own = settings();
    own.transfers.local = false;
    let mut world = World::with(own);
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    world.modify(client, json!({"action": "transfer", "destination": "9101"}));
    let (leg, referral, ..) = far_refer(&mut world);
    world.far_end.accept_refer(world.now, leg, referral).unwrap();
    world.settle();
    world.take_frames(client);
    world.modify(client, json!({"action": "transfer", "destination": "9101"}));
    assert_eq!(world.frame(client)["error"]["code"], -32002, "one at a time");
    world
        .far_end
        .refer_progress(world.now, leg, referral, StatusCode::BUSY_HERE)
        .unwrap();
    world.settle();
    let event = world.frame(client);
    assert_eq!(
        event["params"]["eventData"],
        json!({"kind": "transfer", "state": "failed", "sipCode": 486})
    );
    world.modify(client, json!({"action": "transfer", "destination": "9101"}));
    let (leg, referral, ..) = far_refer(&mut world);
    world
        .far_end
        .decline_refer(world.now, leg, referral, StatusCode::DECLINE)
        .unwrap();
    world.settle();
    let error = world.frame(client)["error"]["message"].clone();
    assert!(error.as_str().unwrap().contains("603"), "{error}");
    assert_eq!(world.server.counts().calls, 1);
}

#[test]
fn destinations_of_transfers_are_checked_like_those_of_calls() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    for destination in ["", "9\r\nVia: x", "a@b>", "x y"] {
        world.modify(client, json!({"action": "transfer", "destination": destination}));
        assert_eq!(world.frame(client)["error"]["code"], -32602, "{destination:?}");
    }
    world.modify(client, json!({"action": "replace", "replaceCallID": "call-1"}));
    assert_eq!(world.frame(client)["error"]["code"], -32002, "not with itself");
    world.modify(client, json!({"action": "replace"}));
    assert_eq!(world.frame(client)["error"]["code"], -32602);
    assert!(world.far_notices.is_empty());
}

#[test]
fn an_attended_transfer_joins_two_calls_of_the_client() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    let second = world.call(client, "call-2", "9197");
    world.modify(client, json!({"action": "replace", "replaceCallID": "call-2"}));
    let Some(Notice::ReferRequested { leg, to, .. }) = world.far_notices.pop() else {
        panic!()
    };
    assert_ne!(leg, second);
    let replaced = to.replaces.clone().expect("Replaces");
    let dialog = world.far_end.dialog(second).unwrap();
    assert_eq!(
        (&replaced.call_id, &replaced.to_tag, &replaced.from_tag),
        (&dialog.id.call_id, &dialog.id.local_tag, &dialog.id.remote_tag),
        "as the far end of the second call names it"
    );
}

#[test]
fn a_far_end_does_not_make_us_call() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.call(client, "call-1", "9196");
    let to = offhook_sip_message::UriBuf::new("sip:+1900premium@evil.example".to_owned()).unwrap();
    let refer = offhook_sip::user_agent::OutgoingRefer {
        to,
        replaces: None,
        referred_by: None,
        headers: Vec::new(),
    };
    world.far_end.refer(world.now, leg, refer).unwrap();
    world.settle();
    let Event::Response { response, .. } = world.far_event() else {
        panic!()
    };
    assert_eq!(response.status(), Some(StatusCode::DECLINE));
    assert_eq!((world.server.counts().calls, world.frames_left(client)), (1, 0));
}

#[test]
fn c13_somebody_whom_the_far_end_sends_takes_its_place() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let old = world.call(client, "call-1", "9196");
    let new = world.far_successor(old, Some(CARRIER_SIDE_OFFER));
    assert!(matches!(world.gateway.commands.last(),
        Some(Command::Reoffer { from: LegName::Carrier, sdp, .. }) if sdp == CARRIER_SIDE_OFFER));
    let answered = world.far_events.drain(..).find_map(|event| match event {
        Event::Answered { leg, response } => Some((leg, response)),
        _ => None,
    });
    let (leg, response) = answered.expect("200 for the new leg");
    assert_eq!(leg, new);
    assert!(String::from_utf8_lossy(response.body()).contains("answer to Carrier"));
    let shown = world.expect(client, "display");
    assert_eq!(
        (&shown["display_name"], &shown["display_number"]),
        (&json!("Bob"), &json!("+4940555666"))
    );
    assert_eq!(world.frames_left(client), 0, "the call goes on");
    world.far_bye(new, None);
    assert_eq!(world.expect(client, "bye")["callID"], "call-1");
}

#[test]
fn r70_a_client_that_was_away_is_told_whether_the_far_end_holds() {
    let mut world = World::new();
    let (client, session) = world.log_in("alice");
    let leg = world.call(client, "call-1", "9196");
    world.cut(client);
    let hold = Some(("application/sdp", "v=0\r\na=sendonly\r\n"));
    world.far_request(leg, Method::Invite, hold);
    let client = world.open();
    let back = returning("alice", &session);
    world.ask(client, "login", back);
    world.expect(client, "clientReady");
    let frames = world.take_frames(client);
    let event = frames.iter().find(|frame| frame["method"] == "telnyx_rtc.event");
    assert_eq!(
        event.unwrap()["params"]["eventData"],
        json!({"kind": "farHold", "holdState": "held"})
    );
}

#[test]
fn r70_the_far_ends_hold_is_answered_and_shown_and_is_not_ours() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.call(client, "call-1", "9196");
    for (sdp, state) in [
        ("v=0\r\na=sendonly\r\n", "held"),
        ("v=0\r\na=sendrecv\r\n", "active"),
    ] {
        for first in [true, false] {
            world.far_request(leg, Method::Invite, Some(("application/sdp", sdp)));
            let Event::Response { response, .. } = world.far_event() else {
                panic!()
            };
            assert_eq!(response.status(), Some(StatusCode::OK));
            if first {
                let event = world.frame(client);
                assert_eq!(event["method"], "telnyx_rtc.event");
                assert_eq!(
                    event["params"],
                    json!({"eventChannel": "call-1",
                    "eventData": {"kind": "farHold", "holdState": state}})
                );
            }
            assert_eq!(world.frames_left(client), 0, "told once");
        }
    }
    let unhold = world.ask(
        client,
        "telnyx_rtc.modify",
        json!({"action": "unhold", "dialogParams": {"callID": "call-1"}}),
    );
    assert_eq!(unhold["result"]["holdState"], "active");
}

#[test]
fn r66_c22_texts_go_both_ways() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.call(client, "call-1", "9196");
    world.far_request(leg, Method::Message, Some(("text/plain", "grüße")));
    let Event::Response { response, .. } = world.far_event() else {
        panic!()
    };
    assert_eq!(response.status(), Some(StatusCode::OK));
    let info = world.frame(client);
    assert_eq!(info["method"], "telnyx_rtc.info");
    assert_eq!(
        info["params"],
        json!({"callID": "call-1", "msg": {"from": "9196", "to": "+15550100", "body": "grüße"}})
    );
}

/// RFC 3428 §7: a 200 says that it has arrived.
#[test]
fn a_text_that_reaches_nobody_is_refused() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let text = ("text/plain", "hello");
    assert_eq!(world.far_asks_outside(Method::Message, &[], Some(text)), 403);
    assert_eq!(world.far_asks_outside(Method::Info, &[], None), 481);
    let leg = world.call(client, "call-1", "9196");
    let long = "x".repeat(1_001);
    world.far_request(leg, Method::Message, Some(("text/plain", &long)));
    let Event::Response { response, .. } = world.far_event() else {
        panic!()
    };
    assert_eq!(response.status().unwrap().code(), 413);
    assert_eq!(world.frames_left(client), 0);
}

#[test]
fn who_calls_is_asserted_and_hidden_when_asked() {
    let mut own = settings();
    own.users.get_mut("bob").unwrap().hide_caller = true;
    let mut world = World::with(own);
    let (alice, _) = world.log_in("alice");
    let (bob, _) = world.log_in("bob");
    let mut params = invite_params("open", "9196");
    params["dialogParams"]["caller_id_name"] = json!("Jörg \"J\" Öl");
    world.request(alice, "telnyx_rtc.invite", params);
    let (.., invite) = world.far_invite();
    assert_eq!(
        header(&invite, "P-Asserted-Identity").as_deref(),
        Some("\"Jörg J Öl\" <sip:+15550100@voice.example.com>")
    );
    assert!(header(&invite, "From").unwrap().contains("Jörg J Öl"));
    assert_eq!(header(&invite, "Privacy"), None);
    let mut params = invite_params("hidden", "9196");
    params["dialogParams"]["caller_id_number"] = json!("anonymous");
    world.request(alice, "telnyx_rtc.invite", params);
    world.request(bob, "telnyx_rtc.invite", invite_params("hidden", "9196"));
    for number in ["+15550101", "bob"] {
        let (.., invite) = world.far_invite();
        assert!(
            header(&invite, "From")
                .unwrap()
                .starts_with("\"Anonymous\" <sip:anonymous@anonymous.invalid>")
        );
        assert_eq!(header(&invite, "Privacy").as_deref(), Some("id"));
        assert!(header(&invite, "P-Asserted-Identity").unwrap().contains(number));
    }
}

#[test]
fn c11_headers_pass_under_the_allow_list() {
    let mut own = settings();
    own.headers_allowed = vec!["user-to-user".to_owned()];
    let mut world = World::with(own);
    let (client, _) = world.log_in("alice");
    let mut params = invite_params("call-1", "9196");
    params["dialogParams"]["custom_headers"] = json!([{"name": "User-to-User", "value": "00"},
        {"name": "Subject", "value": "no"}, {"name": "X-A", "value": "1"}]);
    world.request(client, "telnyx_rtc.invite", params);
    world.frame(client);
    let (_, incoming, invite) = world.far_invite();
    assert_eq!(header(&invite, "User-to-User").as_deref(), Some("00"));
    assert_eq!(
        (header(&invite, "X-A").as_deref(), header(&invite, "Subject")),
        (Some("1"), None)
    );
    world.far_respond_with(
        incoming,
        200,
        Some(CARRIER_ANSWER),
        &[("User-to-User", "01"), ("Subject", "no")],
    );
    let answer = world.expect(client, "answer");
    assert_eq!(
        answer["dialogParams"]["custom_headers"],
        json!([{"name": "User-to-User", "value": "01"}])
    );
}

#[test]
fn a_far_end_that_is_lost_without_a_word_is_noticed() {
    let mut own = settings();
    own.sip.session_expires = Some(Duration::from_secs(300));
    let mut world = World::with(own);
    let (client, _) = world.log_in("alice");
    world.invite(client, "call-1", "9196");
    let (_, incoming, invite) = world.far_invite();
    assert!(header(&invite, "Session-Expires").unwrap().starts_with("300"));
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    world.expect(client, "answer");
    world.network_up = false;
    world.advance_alive(client, Duration::from_secs(340));
    assert_eq!(world.find_bye(client)["cause"], "RECOVERY_ON_TIMER_EXPIRE");
}

#[test]
fn an_invite_that_requires_reliable_answers_gets_them() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.far_call("alice", &[("Require", "100rel")]);
    let call = world.expect(client, "invite")["callID"].clone();
    world.answer(client, &call);
    let answered = world.far_events.drain(..).any(|event| match event {
        Event::Answered { .. } => true,
        Event::Failed { failure, .. } => panic!("{failure:?}"),
        _ => false,
    });
    assert!(answered);
    assert_eq!(world.frame(client)["result"]["message"], "CALL ANSWERED");
    world.far_bye(leg, None);
    assert_eq!(world.expect(client, "bye")["callID"], call);
}

#[test]
fn a_redirection_that_nobody_followed_ends_the_call_with_its_status() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.invite(client, "call-1", "9196");
    let (_, incoming, _) = world.far_invite();
    world.far_respond(incoming, 302, None);
    assert_eq!(world.expect(client, "bye")["sipCode"], 302);
}

#[test]
fn glare_is_solved_and_then_the_hold_is_told() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.call(client, "call-1", "9196");
    world.gateway.hold_replies = true;
    // Their offer is with the gateway when the client holds: our offer has to wait for their ACK.
    let theirs = world.far_request(leg, Method::Invite, Some(("application/sdp", CARRIER_SIDE_OFFER)));
    world.modify(client, json!({"action": "hold"}));
    world.release_replies();
    for _ in 0..4 {
        world.advance(Duration::from_secs(3));
        while let Some(event) = world.far_events.pop_front() {
            match event {
                Event::IncomingRequest {
                    incoming, request, ..
                } if request.method() == Some(&Method::Invite) => {
                    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
                }
                Event::Response {
                    request, response, ..
                } if request == theirs => {
                    assert_eq!(response.status(), Some(StatusCode::OK));
                }
                Event::Failed {
                    failure: Failure::Response(response),
                    ..
                } => panic!("{response:?}"),
                _ => {}
            }
        }
    }
    let result = world
        .take_frames(client)
        .into_iter()
        .find(|frame| frame["result"]["action"] == "hold");
    assert_eq!(result.expect("the hold is told")["result"]["holdState"], "held");
}

/// The gateway's offer is void once it has answered theirs: the next one is made anew.
#[test]
fn an_offer_that_theirs_has_overtaken_is_made_anew() {
    let mut world = World::new();
    let (client, _, leg) = world.talking();
    world.modify(client, json!({"action": "hold"}));
    let (_, incoming, _) = world.far_asked();
    world.far_respond(incoming, 491, None);
    world.far_request(leg, Method::Invite, Some(("application/sdp", CARRIER_SIDE_OFFER)));
    world.advance(Duration::from_secs(5));
    let (_, incoming, _) = world.far_asked();
    let tags = world.tags();
    let at = |name: &str| tags.iter().rposition(|tag| tag == name);
    assert!(at("make-offer") > at("reoffer"), "{tags:?}");
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    let frames = world.take_frames(client);
    let result = frames.iter().find(|frame| frame["result"]["action"] == "hold");
    assert_eq!(result.expect("the hold is told")["result"]["holdState"], "held");
}
