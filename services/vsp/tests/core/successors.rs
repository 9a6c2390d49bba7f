//! RFC 3891: somebody takes the far end's place, and what may come in between.

use crate::world::{CARRIER_ANSWER, CARRIER_SIDE_OFFER, World};
use offhook_media_control::{Command, Latching, LegName};
use offhook_sip::user_agent::{Event, Failure, LegId};
use offhook_sip_message::Method;
use serde_json::{Value, json};
use std::time::Duration;

const HOLD: Option<(&str, &str)> = Some(("application/sdp", "v=0\r\na=sendonly\r\n"));

/// How the far end's INVITE on this leg was refused.
fn refused(world: &mut World, leg: LegId) -> Option<u16> {
    let status = |event: &Event| match event {
        Event::Failed {
            leg: of,
            failure: Failure::Response(response),
        } if *of == leg => response.status().map(|status| status.code()),
        _ => None,
    };
    world.far_events.iter().find_map(status)
}

fn far_holds(frames: &[Value]) -> Vec<&Value> {
    let data = frames.iter().map(|frame| &frame["params"]["eventData"]);
    let holds = data.filter(|data| data["kind"] == "farHold");
    holds.map(|data| &data["holdState"]).collect()
}

fn nothing_left(world: &mut World) {
    world.advance(Duration::from_secs(40));
    let counts = world.server.counts();
    assert_eq!((counts.calls, counts.commands), (0, 0), "{counts:?}");
    assert_eq!((counts.sip.legs, counts.sip.dialogs), (0, 0), "{counts:?}");
}

/// Far ends hold whom they hand over; who comes in their place does not.
#[test]
fn the_hold_of_a_far_end_ends_with_it() {
    for (sdp, then) in [
        (Some(CARRIER_SIDE_OFFER), json!(["held", "active"])),
        (None, json!(["held", "active"])),
        (HOLD.map(|(_, sdp)| sdp), json!(["held"])),
    ] {
        let mut world = World::new();
        let (client, _, old) = world.talking();
        world.far_request(old, Method::Invite, HOLD);
        world.far_successor(old, sdp);
        assert_eq!(json!(far_holds(&world.take_frames(client))), then);
    }
}

/// The gateway has been told of the new one's media already: the old one's has to come back.
#[test]
fn one_that_gives_up_while_the_gateway_works_leaves_the_call_to_the_far_end() {
    let mut world = World::new();
    let (client, _, old) = world.talking();
    world.gateway.hold_replies = true;
    let new = world.far_successor(old, Some(CARRIER_SIDE_OFFER));
    world.far_end.cancel(world.now, new, Vec::new()).unwrap();
    world.settle();
    world.release_replies();
    assert_eq!(refused(&mut world, new), Some(487));
    assert_eq!(world.frames_left(client), 0, "nobody else is shown");
    let (leg, incoming, request) = world.far_asked();
    assert_eq!((leg, request.method()), (old, Some(&Method::Invite)));
    assert!(request.body().ends_with(b"offer SendRecv\r\n"));
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    assert!(
        matches!(world.gateway.commands.iter().rfind(|command| matches!(command, Command::Answer { .. })),
        Some(Command::Answer { from: LegName::Carrier, sdp, .. }) if sdp == CARRIER_ANSWER)
    );
    world.far_bye(old, None);
    assert_eq!(world.expect(client, "bye")["callID"], "call-1");
    nothing_left(&mut world);
}

#[test]
fn of_two_at_once_the_first_comes_and_the_second_is_refused() {
    let mut world = World::new();
    let (client, _, old) = world.talking();
    world.gateway.hold_replies = true;
    let first = world.far_successor(old, Some(CARRIER_SIDE_OFFER));
    let second = world.far_successor(old, Some(CARRIER_SIDE_OFFER));
    assert_eq!(refused(&mut world, second), Some(491));
    world.release_replies();
    assert_eq!(refused(&mut world, first), None);
    world.expect(client, "display");
    assert!(world.far_has_left(old));
    world.far_bye(first, None);
    assert_eq!(world.expect(client, "bye")["callID"], "call-1");
    nothing_left(&mut world);
}

#[test]
fn a_call_that_ends_meanwhile_refuses_it_at_once() {
    for way in ["far end", "client", "link"] {
        let mut world = World::new();
        let (client, _, old) = world.talking();
        world.gateway.hold_replies = true;
        let new = world.far_successor(old, Some(CARRIER_SIDE_OFFER));
        match way {
            "far end" => world.far_bye(old, None),
            "client" => {
                let params = json!({"dialogParams": {"callID": "call-1"}});
                world.request(client, "telnyx_rtc.bye", params);
            }
            _ => world.server.handle_link_down(world.now),
        }
        world.settle();
        assert_eq!(refused(&mut world, new), Some(481), "{way}");
        world.release_replies();
        nothing_left(&mut world);
    }
}

#[test]
fn its_media_is_recognised_by_its_own_rule() {
    let mut world = World::new();
    let (_, _, old) = world.talking();
    let headers = [("X-Offhook-Latching", "any")];
    world.far_successor_with(old, Some(CARRIER_SIDE_OFFER), &headers);
    assert!(matches!(
        world.gateway.commands.last(),
        Some(Command::Latch {
            leg: LegName::Carrier,
            latching: Some(Latching::Any),
            ..
        })
    ));
}
