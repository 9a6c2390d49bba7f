//! Calls as values: exported by one user agent, carried on by another.

use crate::support::agents::{ALICE, BOB, World, all_extensions, sdp, status};
use offhook_sip::user_agent::{ActionError, Extensions, LegState, Reply};
use offhook_sip_message::{HeaderName, Method};

/// Takes alice's call to another user agent at her address, which the world then knows as alice.
fn move_call(world: &mut World, state: LegState) -> offhook_sip::user_agent::LegId {
    world.replace_agent(ALICE, 99, all_extensions());
    let leg = world.agents[ALICE].ua.import_leg(world.now(), state).unwrap();
    world.wire.clear();
    leg
}

fn ok(body: &str) -> Reply {
    Reply {
        body: sdp(body),
        ..Reply::new(status(200))
    }
}

#[test]
fn a_moved_call_is_changed_from_both_sides_and_ended_from_either() {
    for ends in [ALICE, BOB] {
        let mut world = World::extended([all_extensions(), all_extensions()]);
        let (alices, bobs) = world.in_call();
        let state = world.agents[ALICE].ua.export_leg(world.now(), alices).unwrap();
        assert_eq!(state.local_sdp, sdp("offer"));
        assert!(state.is_caller && state.peer_takes_update);
        let moved = move_call(&mut world, state);
        for (agent, leg, body) in [(ALICE, moved, "from alice"), (BOB, bobs, "from bob")] {
            world.request(agent, leg, Method::Invite, sdp(body));
            world.run(10);
            let (incoming, asked) = world.incoming_request(1 - agent);
            assert_eq!(asked.body(), body.as_bytes());
            world.respond(1 - agent, incoming, ok("agreed"));
            world.run(10);
            assert!(world.story(agent).contains(&"response 200 INVITE".to_owned()));
        }
        let foreign = offhook_sip::text_of(world.last("INVITE"), "X-Offhook-Call-Id");
        assert_eq!(foreign, None, "bob's own call has no such header");
        let leg = if ends == ALICE { moved } else { bobs };
        world.bye(ends, leg);
        world.run(10);
        assert_eq!(world.story(1 - ends).last().unwrap(), "terminated remote");
        world.expect_nothing_left();
    }
}

#[test]
fn credentials_headers_and_session_timer_move_along() {
    let mut world = World::extended([all_extensions(), all_extensions()]);
    let (alices, bobs) = world.in_call();
    world.run(300_000);
    let state = world.agents[ALICE].ua.export_leg(world.now(), alices).unwrap();
    let session = state.session.unwrap();
    assert!(session.we_refresh && session.seconds == 1800);
    assert!((599..=600).contains(&session.refresh_in.as_secs()), "{session:?}");
    let cseq = state.dialog.local_cseq;
    move_call(&mut world, state);
    world.run(601_000);
    let refresh = world.last("UPDATE");
    assert_eq!(offhook_sip::text_of(refresh, "X-Offhook-Call-Id"), Some("c-1"));
    assert!(refresh.has(HeaderName::SessionExpires));
    let number = refresh
        .require::<offhook_sip_message::header::CSeq>()
        .unwrap()
        .number;
    assert_eq!(number, cseq + 1);
    world.bye(BOB, bobs);
    world.expect_nothing_left();
}

#[test]
fn only_an_answered_call_at_rest_is_exported_and_none_is_imported_twice() {
    let mut world = World::extended([Extensions::default(), Extensions::default()]);
    let leg = world.call();
    assert!(world.agents[ALICE].ua.export_leg(world.now(), leg).is_none());
    let release = world.agents[ALICE].ua.release_leg(leg);
    assert!(matches!(release, Err(ActionError::State(_))), "{release:?}");
    world.cancel(ALICE, leg);
    world.run(10);
    let (leg, bobs) = world.in_call();
    let state = world.agents[ALICE].ua.export_leg(world.now(), leg).unwrap();
    let twice = world.agents[ALICE].ua.import_leg(world.now(), state.clone());
    assert!(matches!(twice, Err(ActionError::State(_))), "{twice:?}");
    world.agents[ALICE].ua.release_leg(leg).unwrap();
    assert_eq!(world.agents[ALICE].ua.release_leg(leg), Err(ActionError::Gone));
    // Whoever still asks here is told that the call is not here any more.
    world.request(BOB, bobs, Method::Info, None);
    world.run(10);
    assert_eq!(world.story(BOB), ["response 481 INFO", "terminated lost"]);
    world.expect_nothing_left();
}
