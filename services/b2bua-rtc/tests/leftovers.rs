//! What a session must not pile up, and when one that everybody has forgotten ends.

mod support;

use offhook_b2bua_rtc::session::Output;
use offhook_media_control::{Command, Event, GoneReason, LegName, Reply};
use std::collections::BTreeSet;
use std::time::Duration;
use support::{World, sdp, session_id};

/// Our ufrags that lead to the session by now.
fn ufrags(world: &World) -> BTreeSet<&str> {
    let mut live = BTreeSet::new();
    for output in &world.outputs {
        match output {
            Output::UfragAdded(ufrag) => assert!(live.insert(ufrag.as_str()), "told twice"),
            Output::UfragRemoved(ufrag) => assert!(live.remove(ufrag.as_str()), "not there"),
            _ => {}
        }
    }
    live
}

#[test]
fn a_client_that_restarts_ice_again_and_again_leaves_the_latest_two_ufrags() {
    let mut world = World::connected("0", "0");
    let mut before = String::new();
    for _ in 0..50 {
        world.client.restart_ice();
        let command = Command::Reoffer {
            session: session_id(),
            from: LegName::Client,
            sdp: sdp::browser(&world.client, "0").replace("actpass", "active"),
        };
        let Ok(Reply::Reoffered { answer, .. }) = world.command(&command) else {
            panic!("refused")
        };
        let ufrag = sdp::value(&answer, "a=ice-ufrag:").to_owned();
        let live = ufrags(&world);
        assert!(live.len() <= 2, "{live:?}");
        assert!(live.contains(ufrag.as_str()), "its checks find the session");
        assert!(
            before.is_empty() || live.contains(before.as_str()),
            "those under way, too"
        );
        before = ufrag;
    }
}

#[test]
fn a_leg_that_is_started_anew_again_and_again_leaves_the_latest_two_ufrags() {
    let mut world = World::connected("0", "0");
    for _ in 0..50 {
        let offer = world.renew_client();
        let live = ufrags(&world);
        assert!(live.len() <= 2, "{live:?}");
        assert!(live.contains(sdp::value(&offer, "a=ice-ufrag:")));
    }
}

#[test]
fn a_session_that_nobody_answers_or_closes_ends_after_an_hour_and_the_media_timeout() {
    let (mut world, _, _) = World::offer_from_client("0", false);
    let gone = |event: &Event| {
        matches!(
            event,
            Event::Gone {
                reason: GoneReason::MediaTimeout,
                ..
            }
        )
    };
    world.now += Duration::from_secs(3_600 + 298);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.count(gone), 0, "it may still ring");
    world.run_for(Duration::from_secs(3));
    assert_eq!(world.count(gone), 1);
}
