//! After many calls of every ending nothing is left.

use crate::world::{CARRIER_ANSWER, World};
use offhook_vsp::Counts;
use serde_json::json;
use std::time::Duration;

#[test]
fn after_200_calls_nothing_is_left() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    for n in 0..200 {
        let call = format!("call-{n}");
        let bye = json!({"cause": "NORMAL_CLEARING", "causeCode": 16, "dialogParams": {"callID": call}});
        world.invite(client, &call, "9196");
        let (leg, incoming, _) = world.far_invite();
        match n % 5 {
            0 => world.far_respond(incoming, 486, None),
            1 => {
                world.far_respond(incoming, 180, None);
                world.request(client, "telnyx_rtc.bye", bye);
            }
            2 => {
                world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
                world.request(client, "telnyx_rtc.bye", bye);
            }
            3 => {
                world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
                world.far_bye(leg, None);
            }
            _ => {
                world.far_respond(incoming, 183, Some(CARRIER_ANSWER));
                world.far_respond(incoming, 603, None);
            }
        }
        world.far_events.clear();
        world.advance(Duration::from_millis(200));
        world.take_frames(client);
    }
    assert_eq!(world.records.len(), 200);
    world.cut(client);
    world.advance(Duration::from_secs(40));
    let counts = world.server.counts();
    let sip = counts.sip;
    assert_eq!((sip.legs, sip.dialogs, sip.requests, sip.timers), (0, 0, 0, 0));
    assert_eq!(
        (
            sip.transactions.client_transactions,
            sip.transactions.server_transactions
        ),
        (0, 0)
    );
    assert_eq!(
        Counts {
            sip: Default::default(),
            ..counts
        },
        Counts::default()
    );
    assert_eq!(world.server.poll_timeout(), None);
}

#[test]
fn two_servers_with_one_seed_say_the_same() {
    let run = || {
        let mut world = World::new();
        let (client, session) = world.log_in("alice");
        let leg = world.call(client, "call-1", "9196");
        world.far_bye(leg, None);
        let frames = world.take_frames(client);
        let events: Vec<_> = world
            .traces
            .iter()
            .map(|(id, event)| (id.to_string(), event.detail.clone()))
            .collect();
        (session, format!("{frames:?}"), events)
    };
    assert_eq!(run(), run());
}
