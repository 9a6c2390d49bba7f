//! Transfers that the VSP makes itself, between two calls of a client: one far end is given a place in the call of the other.

use crate::transfers::{both_leave, decline, event, told};
use crate::world::{CARRIER_ANSWER, World};
use offhook_media_control::Command;
use offhook_sip::user_agent::{IncomingId, LegId};
use offhook_sip_message::Method;
use offhook_vsp::ConnectionId;
use serde_json::{Value, json};
use std::time::Duration;

/// Alice in two calls, the far end of the second one asked into the first: her socket, that far end's leg, what it was asked.
fn joining() -> (World, ConnectionId, LegId, IncomingId) {
    let mut world = World::without_refer();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    let second = world.call(client, "call-2", "9197");
    world.modify(client, json!({"action": "replace", "replaceCallID": "call-2"}));
    world.frame(client);
    let (_, incoming, _) = world.far_asked();
    (world, client, second, incoming)
}

#[test]
fn two_far_ends_of_a_client_are_joined_when_one_of_them_declines() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let first = world.call(client, "call-1", "9196");
    let second = world.call(client, "call-2", "9197");
    world.modify(client, json!({"action": "replace", "replaceCallID": "call-2"}));
    decline(&mut world, 405);
    assert_eq!(world.frame(client)["result"]["action"], "replace");
    let (leg, incoming, request) = world.far_asked();
    assert_eq!((leg, request.method()), (second, Some(&Method::Invite)));
    assert!(request.body().ends_with(b"offer in place of Client\r\n"));
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    told(&mut world, client, "done", 200);
    for call in ["call-1", "call-2"] {
        let bye = world.expect(client, "bye");
        assert_eq!(
            (&bye["callID"], &bye["sipReason"]),
            (&json!(call), &json!("Transferred"))
        );
    }
    assert!(!world.far_has_left(first) && !world.far_has_left(second));
    let counts = world.server.counts();
    assert_eq!((counts.calls, counts.connected), (1, 1));
    let of = |name: &str| world.tags().iter().filter(|tag| *tag == name).count();
    assert_eq!(
        (of("open"), of("close")),
        (2, 1),
        "the second media session is closed"
    );
    both_leave(&mut world, second, first);
}

#[test]
fn a_far_end_that_does_not_want_to_move_stays_where_it_was() {
    let (mut world, client, second, incoming) = joining();
    world.far_respond(incoming, 488, None);
    told(&mut world, client, "failed", 488);
    let (leg, incoming, request) = world.far_asked();
    assert_eq!(leg, second);
    assert!(
        request.body().ends_with(b"offer SendRecv\r\n"),
        "its media comes back"
    );
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    world.hold(client, "call-2");
    assert_eq!(
        world.frame(client)["result"]["holdState"],
        "held",
        "the call works as before"
    );
    assert_eq!(world.server.counts().calls, 2);
}

/// The far end of the other call cannot answer any more; nobody waits for it.
#[test]
fn an_other_far_end_that_hangs_up_instead_of_moving_ends_the_transfer_at_once() {
    for by_client in [false, true] {
        let (mut world, client, second, _) = joining();
        if by_client {
            let params = json!({"dialogParams": {"callID": "call-2"}});
            world.request(client, "telnyx_rtc.bye", params);
        } else {
            world.far_bye(second, None);
        }
        let frames = world.take_frames(client);
        let failed = |frame: &Value| frame["params"]["eventData"]["state"] == "failed";
        assert!(frames.iter().any(failed), "{frames:?}");
        world.hold(client, "call-1");
        assert_eq!(world.frame(client)["result"]["holdState"], "held");
    }
}

/// One far end takes so long to move that the client has somebody else moved; then it answers.
#[test]
fn a_late_answer_of_one_far_end_is_not_taken_for_that_of_another() {
    let mut world = World::without_refer();
    let (client, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    world.call(client, "call-2", "9197");
    let third = world.call(client, "call-3", "9198");
    world.modify(client, json!({"action": "replace", "replaceCallID": "call-2"}));
    let (_, late, _) = world.far_asked();
    world.advance(Duration::from_secs(11));
    let frames = world.take_frames(client);
    let failed = |frame: &Value| frame["params"]["eventData"] == event("failed", 408);
    assert!(frames.iter().any(failed), "{frames:?}");
    world.modify(client, json!({"action": "replace", "replaceCallID": "call-3"}));
    let (leg, incoming, _) = world.far_asked();
    assert_eq!(leg, third);
    world.take_frames(client);
    world.far_respond(late, 200, Some("v=0 late"));
    assert_eq!(world.frames_left(client), 0, "nobody is connected by that");
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    told(&mut world, client, "done", 200);
    let replaced = world.gateway.commands.iter().find_map(|command| match command {
        Command::Replace { sdp, .. } => Some(sdp.as_str()),
        _ => None,
    });
    assert_eq!(replaced, Some(CARRIER_ANSWER));
}
