//! What the operator sees and does: sessions with their calls, and eviction (C8).

use crate::world::{World, header, returning};
use offhook_sip::user_agent::{Ending, Event};
use offhook_vsp::{CallStage, CloseReason};
use serde_json::json;
use std::time::Duration;

#[test]
fn sessions_are_listed_with_their_calls() {
    let mut world = World::new();
    let (alice, session) = world.log_in("alice");
    let (bob, _) = world.log_in("bob");
    world.call(alice, "call-1", "9196");
    world.far_call("bob", &[]);
    world.expect(bob, "invite");
    world.advance_alive(alice, Duration::from_secs(10));

    let listed = world.server.sessions(world.now, Some("alice"), 10);
    let [of_alice] = listed.as_slice() else {
        panic!("{listed:?}")
    };
    assert_eq!(
        (&*of_alice.session, of_alice.connected, of_alice.calls.len()),
        (&*session, true, 1)
    );
    let call = &of_alice.calls[0];
    assert_eq!(
        (&*call.client_call, call.stage, call.inbound, call.age_s),
        ("call-1", CallStage::Active, false, 10)
    );
    assert_eq!((&*call.from, &*call.to), ("+15550100", "9196"));
    let all = world.server.sessions(world.now, None, 10);
    assert!(all.iter().any(|session| {
        let stages: Vec<_> = session.calls.iter().map(|call| call.stage).collect();
        session.user == "bob" && stages == [CallStage::Ringing]
    }));
    assert_eq!(world.server.sessions(world.now, None, 1).len(), 1);
}

#[test]
fn c08_an_evicted_client_hears_of_its_calls_and_that_it_shall_stay_away() {
    let mut world = World::new();
    let (client, session) = world.log_in("alice");
    let (other, _) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    assert!(world.server.handle_punt(world.now, &session));
    world.settle();
    let methods: Vec<_> = world
        .take_frames(client)
        .iter()
        .map(|frame| frame["method"].clone())
        .collect();
    assert_eq!(methods, [json!("telnyx_rtc.bye"), json!("telnyx_rtc.punt")]);
    assert_eq!(world.closed.get(&client), Some(&CloseReason::Evicted));
    let Event::Terminated {
        ending: Ending::Remote(bye),
        ..
    } = world.far_event()
    else {
        panic!("a BYE at the far end")
    };
    assert_eq!(header(&bye, "Reason").as_deref(), Some("Q.850;cause=41"));
    assert_eq!((world.frames_left(other), world.closed.get(&other)), (0, None));

    let back = world.open();
    let login = returning("alice", &session);
    let answer = world.ask(back, "login", login);
    assert_ne!(
        answer["result"]["sessid"], session,
        "nothing is left to come back to"
    );
    assert!(!world.server.handle_punt(world.now, &session));
}

#[test]
fn c08_a_client_that_is_away_loses_its_calls_too() {
    let mut world = World::new();
    let (client, session) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    world.cut(client);
    assert!(!world.server.sessions(world.now, None, 10)[0].connected);
    assert!(world.server.handle_punt(world.now, &session));
    world.settle();
    assert!(matches!(world.far_event(), Event::Terminated { .. }));
    world.advance(Duration::from_secs(40));
    assert!(world.server.is_empty(), "{:?}", world.server.counts());
}

#[test]
fn c08_all_clients_of_a_user_are_evicted_and_what_rings_there_is_unavailable() {
    let mut world = World::new();
    let clients = [world.log_in("alice").0, world.log_in("alice").0];
    let (bob, _) = world.log_in("bob");
    world.far_call("alice", &[]);
    for client in clients {
        world.expect(client, "invite");
    }
    assert_eq!(world.server.handle_punt_user(world.now, "alice"), 2);
    world.settle();
    assert_eq!(world.far_statuses(), [180, 480]);
    assert_eq!(world.closed.len(), 2);
    assert_eq!(world.server.handle_punt_user(world.now, "alice"), 0);
    assert_eq!((world.frames_left(bob), world.server.counts().sessions), (0, 1));
}
