//! INVITEs without SDP: our 200 makes the offer, and the ACK has to answer it (RFC 3261 §13.2.2.4, §14.2).

use crate::world::{BROWSER_ANSWER, CARRIER_OFFER, CLIENT_ANSWER, World};
use offhook_media_control::{Command, CommandErrorKind, LegName};
use offhook_sip::user_agent::{Ending, Event, LegId};
use offhook_sip_message::Method;
use offhook_vsp::ConnectionId;
use serde_json::Value;

const LATE_ANSWER: &str = "v=0\r\no=answer in the ACK\r\n";

/// A call without SDP that the client has answered: the 200 has come to the far end.
fn answered(world: &mut World) -> (ConnectionId, LegId, Value) {
    let (client, _) = world.log_in("alice");
    let leg = world.far_call_with("alice", "\"Bob\" <sip:+4940555666@carrier.example>", &[], None);
    let invite = world.expect(client, "invite");
    assert_eq!(
        invite["sdp"], CARRIER_OFFER,
        "the client is offered what it always is"
    );
    world.answer(client, &invite["callID"]);
    assert_eq!(world.frame(client)["result"]["message"], "CALL ANSWERED");
    (client, leg, invite["callID"].clone())
}

fn offered_in_200(world: &mut World) -> Option<String> {
    world.far_events.drain(..).find_map(|event| match event {
        Event::Answered { response, .. } | Event::Response { response, .. } => {
            Some(String::from_utf8_lossy(response.body()).into_owned())
        }
        _ => None,
    })
}

fn hung_up(world: &World) -> bool {
    let by_us = |event: &Event| {
        matches!(
            event,
            Event::Terminated {
                ending: Ending::Remote(_),
                ..
            }
        )
    };
    world.far_events.iter().any(by_us)
}

#[test]
fn an_invite_without_sdp_rings_and_the_ack_brings_the_answer() {
    let mut world = World::new();
    let (client, leg, _) = answered(&mut world);
    assert!(matches!(
        &world.gateway.commands[..],
        [
            Command::Open { from: LegName::Carrier, sdp: None, early_answer: false, .. },
            Command::Answer { from: LegName::Client, sdp, .. },
        ] if sdp == BROWSER_ANSWER
    ));
    assert_eq!(offered_in_200(&mut world).as_deref(), Some(CLIENT_ANSWER));
    world.far_ack(leg, Some(LATE_ANSWER));
    assert!(matches!(world.gateway.commands.last(),
        Some(Command::Answer { from: LegName::Carrier, sdp, is_final: true, .. }) if sdp == LATE_ANSWER));
    assert_eq!((world.server.counts().calls, world.frames_left(client)), (1, 0));
    assert!(!hung_up(&world));
}

#[test]
fn an_ack_without_the_answer_or_with_a_bad_one_ends_the_call_with_bye() {
    for sdp in [None, Some(LATE_ANSWER)] {
        let mut world = World::new();
        let (client, leg, call) = answered(&mut world);
        world
            .gateway
            .refuse
            .insert("answer", CommandErrorKind::NoCommonCodec);
        world.far_events.clear();
        world.far_ack(leg, sdp);
        assert!(hung_up(&world), "{sdp:?}");
        let bye = world.expect(client, "bye");
        assert_eq!((&bye["callID"], &bye["sipCode"]), (&call, &488.into()));
        assert_eq!(world.server.counts().calls, 0);
    }
}

#[test]
fn a_re_invite_without_sdp_that_is_not_answered_in_its_ack_ends_the_call_too() {
    for (sdp, ends) in [(Some(LATE_ANSWER), false), (None, true)] {
        let mut world = World::new();
        let (client, leg, _) = answered(&mut world);
        world.far_ack(leg, Some(LATE_ANSWER));
        world.far_events.clear();
        world.far_request(leg, Method::Invite, None);
        assert_eq!(
            offered_in_200(&mut world).as_deref(),
            Some("v=0\r\no=offer SendRecv\r\n")
        );
        world.far_ack(leg, sdp);
        assert_eq!(hung_up(&world), ends);
        assert_eq!(world.server.counts().calls, usize::from(!ends));
        // A re-INVITE with SDP is acknowledged without: nothing is owed then.
        if !ends {
            world.far_request(leg, Method::Invite, Some(("application/sdp", "v=0 sendonly")));
            assert_eq!(world.server.counts().calls, 1);
            world.take_frames(client);
        }
    }
}

#[test]
fn somebody_who_takes_the_place_of_the_far_end_may_want_our_offer_too() {
    for (sdp, stays) in [(Some(LATE_ANSWER), true), (None, false)] {
        let mut world = World::new();
        let (client, _) = world.log_in("alice");
        let old = world.call(client, "call-1", "9196");
        let new = world.far_successor(old, None);
        assert_eq!(
            offered_in_200(&mut world).as_deref(),
            Some("v=0\r\no=offer SendRecv\r\n")
        );
        world.far_ack(new, sdp);
        assert_eq!(world.server.counts().calls, usize::from(stays));
        let over = |event: &Event| matches!(event, Event::Terminated { leg, .. } if *leg == new);
        assert_eq!(world.far_events.iter().any(over), !stays);
    }
}
