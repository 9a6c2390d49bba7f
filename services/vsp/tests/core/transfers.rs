//! Transfers that the VSP makes itself, because the far end does not.

use crate::gateway::tag;
use crate::world::{CARRIER_ANSWER, World, header, invite_params, proxy_address, settings};
use offhook_media_control::{
    Command, CommandErrorKind, Direction, Event as MediaEvent, GoneReason, Latching, LegName, SessionSummary,
};
use offhook_sip::user_agent::{Event, IncomingId, LegId, Notice, Output};
use offhook_sip_message::{Message, Method, StatusCode};
use offhook_vsp::{ConnectionId, TransferWay};
use serde_json::{Value, json};
use std::time::Duration;

fn blind(world: &mut World, client: ConnectionId) -> String {
    let params = json!({"action": "transfer", "destination": "9199"});
    world.modify(client, params)
}

pub(crate) fn event(state: &str, status: u16) -> Value {
    json!({"kind": "transfer", "state": state, "sipCode": status})
}

/// The client is told next how its transfer goes.
pub(crate) fn told(world: &mut World, client: ConnectionId, state: &str, status: u16) {
    assert_eq!(world.frame(client)["params"]["eventData"], event(state, status));
}

/// The far end declines the REFER that it has got.
pub(crate) fn decline(world: &mut World, status: u16) {
    let Some(Notice::ReferRequested { leg, referral, .. }) = world.far_notices.pop() else {
        panic!("a REFER at the far end")
    };
    let status = StatusCode::new(status).unwrap();
    let now = world.now;
    world.far_end.decline_refer(now, leg, referral, status).unwrap();
    world.settle();
}

/// A call whose transfer has begun here: both legs of the far end, and the new one's INVITE.
fn begun(world: &mut World, client: ConnectionId) -> (LegId, LegId, IncomingId, Message) {
    let first = world.call(client, "call-1", "9196");
    let asked = blind(world, client);
    let (second, incoming, invite) = world.far_invite();
    let result = world.frame(client);
    assert_eq!(
        (&result["id"], &result["result"]["action"]),
        (&json!(asked), &json!("transfer"))
    );
    (first, second, incoming, invite)
}

/// Two far parties that talk, and the client that has left.
fn connected(world: &mut World) -> (ConnectionId, LegId, LegId) {
    let (client, _) = world.log_in("alice");
    let (first, second, incoming, _) = begun(world, client);
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    told(world, client, "done", 200);
    assert_eq!(world.expect(client, "bye")["sipReason"], "Transferred");
    world.far_events.clear();
    (client, first, second)
}

fn nothing_left(world: &mut World) {
    world.advance(Duration::from_secs(40));
    let counts = world.server.counts();
    assert_eq!(
        (counts.calls, counts.connected, counts.commands),
        (0, 0, 0),
        "{counts:?}"
    );
    assert_eq!((counts.sip.legs, counts.sip.requests), (0, 0), "{counts:?}");
    let of = |name: &str| world.tags().iter().filter(|tag| *tag == name).count();
    assert_eq!(of("open"), of("close"), "every media session is closed");
}

/// One party hangs up, so that the other one is left alone, and leaves.
pub(crate) fn both_leave(world: &mut World, one: LegId, other: LegId) {
    world.far_bye(one, None);
    assert!(world.far_has_left(other));
    nothing_left(world);
}

#[test]
fn a_far_end_that_declines_refer_is_connected_here() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let first = world.call(client, "call-1", "9196");
    let asked = blind(&mut world, client);
    decline(&mut world, 603);
    world
        .far_events
        .retain(|event| !matches!(event, Event::Response { .. }));
    let (second, incoming, invite) = world.far_invite();
    assert!(
        invite
            .request_uri()
            .unwrap()
            .unwrap()
            .as_bytes()
            .starts_with(b"sip:9199@")
    );
    assert!(
        header(&invite, "From").unwrap().contains("+15550100"),
        "as in the client's own call"
    );
    assert_eq!(
        header(&invite, "Referred-By").as_deref(),
        Some("<sip:alice@voice.example.com>")
    );
    assert!(header(&invite, "X-Offhook-Call-Id").is_some());
    assert!(invite.body().ends_with(b"offer in place of Client\r\n"));
    let result = world.frame(client);
    assert_eq!(result["id"], json!(asked));
    assert_eq!(result["result"]["action"], "transfer");
    assert!(matches!(
        world.gateway.commands.last(),
        Some(Command::PrepareReplacement {
            leg: LegName::Client,
            ringback: true,
            ..
        })
    ));
    world.far_respond(incoming, 180, None);
    told(&mut world, client, "trying", 180);
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    assert!(world.gateway.commands.iter().any(|command| matches!(command,
        Command::Replace { leg: LegName::Client, sdp, .. } if sdp == CARRIER_ANSWER)));
    told(&mut world, client, "done", 200);
    let bye = world.expect(client, "bye");
    assert_eq!(
        (&bye["cause"], &bye["sipReason"]),
        (&json!("NORMAL_CLEARING"), &json!("Transferred"))
    );
    assert!(!world.far_has_left(first) && !world.far_has_left(second));
    let counts = world.server.counts();
    assert_eq!((counts.calls, counts.connected), (1, 1), "it stays accounted");
    assert!(world.records.is_empty(), "the call goes on");
    assert_eq!(world.transfers, [(TransferWay::Local, 200)]);
    world.advance(Duration::from_secs(60));
    world.far_bye(second, Some("Q.850;cause=17"));
    assert!(world.far_has_left(first));
    assert_eq!(world.records.len(), 1);
    assert_eq!(world.records[0].talk.map(|talk| talk.as_secs()), Some(60));
    nothing_left(&mut world);
}

#[test]
fn a_far_end_that_does_not_name_refer_is_not_asked() {
    let mut world = World::without_refer();
    let (_, first, second) = connected(&mut world);
    assert!(world.far_notices.is_empty());
    both_leave(&mut world, first, second);
}

#[test]
fn a_far_end_that_takes_the_refer_and_then_cannot_is_connected_here() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let first = world.call(client, "call-1", "9196");
    blind(&mut world, client);
    let Some(Notice::ReferRequested { leg, referral, .. }) = world.far_notices.pop() else {
        panic!()
    };
    world.far_end.accept_refer(world.now, leg, referral).unwrap();
    world.settle();
    world.take_frames(client);
    let refused = StatusCode::new(501).unwrap();
    let now = world.now;
    world.far_end.refer_progress(now, leg, referral, refused).unwrap();
    world.settle();
    world
        .far_events
        .retain(|event| matches!(event, Event::IncomingInvite { .. }));
    let (second, incoming, _) = world.far_invite();
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    told(&mut world, client, "done", 200);
    assert_eq!(world.expect(client, "bye")["callID"], "call-1");
    both_leave(&mut world, first, second);
}

#[test]
fn whoever_does_not_take_the_call_leaves_it_to_the_client() {
    let mut world = World::without_refer();
    let (client, _) = world.log_in("alice");
    let (first, _, incoming, _) = begun(&mut world, client);
    world.far_respond(incoming, 486, None);
    told(&mut world, client, "failed", 486);
    assert_eq!(world.tags().last().map(String::as_str), Some("drop-replacement"));
    assert_eq!((world.server.counts().calls, world.frames_left(client)), (1, 0));
    world.far_events.clear();
    blind(&mut world, client);
    let (_, incoming, _) = world.far_invite();
    world.frame(client);
    world.far_respond(incoming, 200, None);
    assert_eq!(
        world.frame(client)["params"]["eventData"],
        event("failed", 488),
        "without SDP"
    );
    world.far_events.clear();
    blind(&mut world, client);
    world.frame(client);
    let (_, incoming, _) = world.far_invite();
    world.far_respond(incoming, 183, Some(CARRIER_ANSWER));
    told(&mut world, client, "trying", 183);
    world.far_respond(incoming, 200, None);
    assert_eq!(
        world.frame(client)["params"]["eventData"],
        event("done", 200),
        "SDP of the 183"
    );
    world.expect(client, "bye");
    world.far_bye(first, None);
    nothing_left(&mut world);
}

#[test]
fn nobody_who_answers_within_the_ring_time() {
    let mut world = World::without_refer();
    let (client, _) = world.log_in("alice");
    let (first, second, incoming, _) = begun(&mut world, client);
    world.far_respond(incoming, 180, None);
    world.advance_alive(client, Duration::from_secs(65));
    let frames = world.take_frames(client);
    let failed = |frame: &Value| frame["params"]["eventData"] == event("failed", 408);
    assert!(frames.iter().any(failed));
    assert!(frames.iter().all(|frame| frame["method"] != "telnyx_rtc.bye"));
    assert_eq!(world.server.counts().calls, 1, "the client has its call");
    assert!(
        world
            .far_events
            .iter()
            .any(|event| matches!(event, Event::Cancelled { leg, .. } if *leg == second))
    );
    assert!(!world.far_has_left(first));
    world.far_bye(first, None);
    nothing_left(&mut world);
}

#[test]
fn a_gateway_without_a_port_is_an_error_for_the_client() {
    let mut world = World::without_refer();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    world
        .gateway
        .refuse
        .insert("prepare-replacement", CommandErrorKind::Busy);
    blind(&mut world, client);
    assert_eq!(world.frame(client)["error"]["code"], -32002);
    world.gateway.refuse.clear();
    world.gateway.refuse.insert("replace", CommandErrorKind::BadSdp);
    blind(&mut world, client);
    world.frame(client);
    let (second, incoming, _) = world.far_invite();
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    told(&mut world, client, "failed", 400);
    assert!(world.far_has_left(second));
    assert_eq!(world.server.counts().calls, 1);
}

/// What the gateway has replaced it does not put back: there is nobody left to talk with.
#[test]
fn a_new_party_that_leaves_while_it_is_put_into_its_place_ends_the_call() {
    let mut world = World::without_refer();
    let (client, _) = world.log_in("alice");
    let (first, second, incoming, _) = begun(&mut world, client);
    world.gateway.hold_replies = true;
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    world.far_bye(second, None);
    world.release_replies();
    told(&mut world, client, "done", 200);
    assert_eq!(world.expect(client, "bye")["sipReason"], "Transferred");
    assert_eq!(world.frames_left(client), 0);
    assert!(world.far_has_left(first));
    assert_eq!(world.records.len(), 1);
    nothing_left(&mut world);
}

#[test]
fn whoever_hangs_up_while_the_new_party_rings_ends_it_all() {
    for by_client in [true, false] {
        let mut world = World::without_refer();
        let (client, _) = world.log_in("alice");
        let (first, second, incoming, _) = begun(&mut world, client);
        world.far_respond(incoming, 180, None);
        if by_client {
            let params = json!({"dialogParams": {"callID": "call-1"}});
            world.request(client, "telnyx_rtc.bye", params);
            assert!(world.far_has_left(first));
        } else {
            world.far_bye(first, None);
            assert_eq!(world.find_bye(client)["callID"], "call-1");
        }
        let cancelled = |event: &Event| matches!(event, Event::Cancelled { leg, .. } if *leg == second);
        assert!(world.far_events.iter().any(cancelled));
        nothing_left(&mut world);
    }
}

#[test]
fn a_held_party_is_resumed_when_it_is_connected() {
    let mut world = World::without_refer();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    world.hold(client, "call-1");
    world.take_frames(client);
    blind(&mut world, client);
    let (_, incoming, _) = world.far_invite();
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    for _ in 0..2 {
        let (_, _, named) = world.far_asked();
        assert_eq!(named.method(), Some(&Method::Update));
    }
    let (_, incoming, request) = world.far_asked();
    assert!(request.body().ends_with(b"offer SendRecv\r\n"));
    assert!(matches!(
        world.gateway.commands.last(),
        Some(Command::MakeOffer {
            to: LegName::Carrier,
            direction: Direction::SendRecv,
            ..
        })
    ));
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    assert_eq!(tag(world.gateway.commands.last().unwrap()), "answer");
}

#[test]
fn far_parties_hold_press_keys_and_write_to_each_other() {
    let mut world = World::without_refer();
    let (client, first, second) = connected(&mut world);
    for (leg, name) in [(first, LegName::Carrier), (second, LegName::Client)] {
        let other = if leg == first { second } else { first };
        let sdp = "v=0\r\na=sendonly\r\n";
        world.far_request(leg, Method::Invite, Some(("application/sdp", sdp)));
        assert!(matches!(world.gateway.commands.last(),
            Some(Command::Reoffer { from, .. }) if *from == name));
        let Event::Response { response, .. } = world.far_event() else {
            panic!()
        };
        assert_eq!(response.status(), Some(StatusCode::OK));
        world.far_request(
            leg,
            Method::Info,
            Some(("application/dtmf-relay", "Signal=5\r\n")),
        );
        assert!(matches!(world.gateway.commands.last(),
            Some(Command::Dtmf { to, digits, .. }) if *to != name && digits == "5"));
        world.far_events.clear();
        world.far_request(leg, Method::Message, Some(("text/plain", "hello")));
        let heard = world.far_events.drain(..).any(|event| {
            matches!(event, Event::IncomingRequest { leg: Some(of), request, .. }
                if of == other && request.body() == b"hello".as_slice())
        });
        assert!(heard);
        world.far_events.clear();
    }
    assert_eq!(world.frames_left(client), 0, "none of it is the client's affair");
}

#[test]
fn a_pair_without_a_client_ends_by_time_by_drain_and_with_its_gateway() {
    for way in ["time", "drain", "link", "gone"] {
        let mut world = World::without_refer();
        let (client, first, second) = connected(&mut world);
        match way {
            "time" => world.advance_alive(client, Duration::from_secs(4 * 60 * 60)),
            "drain" => {
                world.drain(Duration::from_secs(5));
                assert!(!world.far_has_left(first), "it may go on for a while");
                world.advance(Duration::from_secs(6));
            }
            "link" => world.server.handle_link_down(world.now),
            _ => {
                let session = world.media_session();
                world.event(MediaEvent::Gone {
                    session,
                    reason: GoneReason::MediaTimeout,
                    message: String::new(),
                    summary: SessionSummary::default(),
                });
            }
        }
        world.settle();
        assert!(world.far_has_left(first) && world.far_has_left(second), "{way}");
        assert_eq!(world.server.counts().connected, 0, "{way}");
        assert_eq!(world.records.len(), 1, "{way}");
    }
}

#[test]
fn a_client_cannot_leave_more_pairs_behind_than_it_may_have_calls() {
    let mut own = settings();
    own.limits.calls_per_session_max = 2;
    let mut world = World::with(own);
    let (client, _) = world.log_in("alice");
    for round in 0..3 {
        world.call(client, "call-1", "9196");
        blind(&mut world, client);
        decline(&mut world, 501);
        world
            .far_events
            .retain(|event| matches!(event, Event::IncomingInvite { .. }));
        if round == 2 {
            let error = world.frame(client)["error"]["message"].clone();
            assert!(error.as_str().unwrap().contains("2 calls"), "{error}");
            break;
        }
        let (_, incoming, _) = world.far_invite();
        world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
        world.find_bye(client);
        world.far_events.clear();
    }
    assert_eq!(world.server.counts().connected, 2);
}

#[test]
fn a_client_that_hides_is_not_named_to_the_new_party() {
    let mut world = World::without_refer();
    let (client, _) = world.log_in("alice");
    let mut params = invite_params("call-1", "9196");
    params["dialogParams"]["caller_id_number"] = json!("anonymous");
    world.request(client, "telnyx_rtc.invite", params);
    let (_, incoming, _) = world.far_invite();
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    world.take_frames(client);
    world.far_events.clear();
    blind(&mut world, client);
    let (.., invite) = world.far_invite();
    assert!(header(&invite, "From").unwrap().contains("anonymous.invalid"));
    assert_eq!(header(&invite, "Privacy").as_deref(), Some("id"));
    assert_eq!(header(&invite, "Referred-By"), None);
}

#[test]
fn a_client_may_hold_while_its_far_end_tries_and_hears_when_that_is_in_the_way() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    blind(&mut world, client);
    let Some(Notice::ReferRequested { leg, referral, .. }) = world.far_notices.pop() else {
        panic!()
    };
    world.far_end.accept_refer(world.now, leg, referral).unwrap();
    world.settle();
    world.take_frames(client);
    world.modify(client, json!({"action": "hold"}));
    assert_eq!(world.frames_left(client), 0, "the far end is asked");
    let now = world.now;
    let refused = StatusCode::new(503).unwrap();
    world.far_end.refer_progress(now, leg, referral, refused).unwrap();
    world.settle();
    told(&mut world, client, "failed", 491);
}

/// NOTIFYs may overtake the answer to their REFER.
#[test]
fn an_outcome_that_is_faster_than_the_answer_to_the_refer_is_the_answer_for_the_client() {
    for (status, member) in [(200, "result"), (486, "error")] {
        let mut world = World::new();
        let (client, _) = world.log_in("alice");
        world.call(client, "call-1", "9196");
        let asked = blind(&mut world, client);
        let Some(Notice::ReferRequested { leg, referral, .. }) = world.far_notices.pop() else {
            panic!()
        };
        world.far_end.accept_refer(world.now, leg, referral).unwrap();
        let status = StatusCode::new(status).unwrap();
        world
            .far_end
            .refer_progress(world.now, leg, referral, status)
            .unwrap();
        let sent = std::iter::from_fn(|| world.far_end.poll_output());
        let mut sent: Vec<_> = sent
            .filter_map(|output| match output {
                Output::Transmit(transmit) => Some(transmit.bytes),
                _ => None,
            })
            .collect();
        sent.reverse();
        for bytes in sent {
            world.server.handle_datagram(world.now, proxy_address(), bytes);
        }
        world.settle();
        let frames = world.take_frames(client);
        let answers: Vec<_> = frames
            .iter()
            .filter(|frame| frame["id"] == json!(asked))
            .collect();
        assert_eq!(answers.len(), 1, "{frames:?}");
        assert!(answers[0][member].is_object(), "{frames:?}");
    }
}

#[test]
fn the_media_of_a_new_party_is_recognised_by_its_own_rule() {
    let rule = |world: &World| {
        let last = world
            .gateway
            .commands
            .iter()
            .rev()
            .find_map(|command| match command {
                Command::Latch { leg, latching, .. } => Some((*leg, *latching)),
                _ => None,
            });
        last.expect("a rule")
    };
    let header = [("X-Offhook-Latching", "any")];
    let any = (LegName::Client, Some(Latching::Any));
    let mut world = World::without_refer();
    let (client, _) = world.log_in("alice");
    let (.., incoming, _) = begun(&mut world, client);
    world.far_respond_with(incoming, 200, Some(CARRIER_ANSWER), &header);
    assert_eq!(rule(&world), any);
    // A party that is moved keeps what it had in its own call.
    let mut world = World::without_refer();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    world.invite(client, "call-2", "9197");
    let (_, incoming, _) = world.far_invite();
    world.far_respond_with(incoming, 200, Some(CARRIER_ANSWER), &header);
    world.modify(client, json!({"action": "replace", "replaceCallID": "call-2"}));
    let (_, incoming, _) = world.far_asked();
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    assert_eq!(rule(&world), any);
}
