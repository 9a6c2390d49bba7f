//! A session whose server is gone, carried on by another (docs/decisions/0008).

use crate::world::{World, settings};
use offhook_media_control::{Event, LegName, MediaSessionId};
use offhook_sip::user_agent::LegId;
use offhook_vsp::{ConnectionId, Server, SessionExists, SessionState, Settings};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Alice in a call that has lasted a minute.
fn talking(world: &mut World) -> (ConnectionId, String, LegId) {
    let (client, session, leg) = world.talking();
    world.advance_alive(client, MINUTE);
    world.take_frames(client);
    (client, session, leg)
}

/// The server dies; another one stands in its place and takes up what was written down.
fn succeed(world: &mut World, settings: Settings, state: SessionState) {
    world.server = Server::new(settings, StdRng::seed_from_u64(99));
    let now = world.now;
    world.server.import_session(now, state).expect("it is new here");
    world.settle();
}

fn exported(world: &World, session: &str) -> SessionState {
    let state = world.server.export_session(world.now, session);
    state.expect("the session")
}

/// Alice's call is up, and carried on by another server: her session, and the far end's leg.
fn carried_on(world: &mut World, settings: Settings) -> (String, LegId) {
    let (_, session, leg) = talking(world);
    let state = exported(world, &session);
    succeed(world, settings, state);
    (session, leg)
}

#[test]
fn a_call_goes_on_at_another_server() {
    let mut world = World::new();
    let (session, leg) = carried_on(&mut world, settings());
    let (client, calls) = world.come_back(&session);
    assert_eq!(calls, json!(["call-1"]));
    world.hold(client, "call-1");
    assert_eq!(world.frame(client)["result"]["holdState"], "held");
    world.advance_alive(client, MINUTE);
    world.take_frames(client);
    world.far_bye(leg, Some("Q.850;cause=16"));
    assert_eq!(world.expect(client, "bye")["callID"], "call-1");
    let record = world.records.pop().expect("its record");
    assert_eq!(
        record.talk.map(|talk| talk.as_secs()),
        Some(120),
        "both servers' time"
    );
    world.cut(client);
    assert!(world.server.is_empty());
}

#[test]
fn the_far_end_may_hang_up_before_the_client_is_back() {
    let mut world = World::new();
    let (session, leg) = carried_on(&mut world, settings());
    world.far_bye(leg, None);
    let (client, calls) = world.come_back(&session);
    assert_eq!(calls, json!([]));
    assert_eq!(world.expect(client, "bye")["callID"], "call-1");
}

#[test]
fn a_client_that_does_not_come_ends_it_after_the_grace_time() {
    let mut world = World::new();
    let (_, leg) = carried_on(&mut world, settings());
    assert_eq!(world.server.counts().detached, 1);
    world.advance(2 * MINUTE);
    assert!(world.far_has_left(leg));
    assert!(world.server.is_empty());
}

#[test]
fn the_longest_duration_counts_from_the_answer() {
    let mut limited = settings();
    limited.call_duration_max = Some(3 * MINUTE / 2);
    let mut world = World::with(limited.clone());
    let (session, leg) = carried_on(&mut world, limited);
    let (client, _) = world.come_back(&session);
    world.advance_alive(client, MINUTE / 3);
    assert!(!world.far_has_left(leg));
    world.advance_alive(client, MINUTE / 3);
    assert!(world.far_has_left(leg));
}

#[test]
fn media_that_was_gone_is_offered_anew() {
    let mut world = World::new();
    let (_, session, _) = talking(&mut world);
    let media: MediaSessionId = world.media_session();
    world.event(Event::MediaStopped {
        session: media,
        from: LegName::Client,
    });
    let state = exported(&world, &session);
    assert!(!state.calls[0].has_media);
    succeed(&mut world, settings(), state);
    let (client, calls) = world.come_back(&session);
    assert_eq!(calls, json!(["call-1"]));
    assert_eq!(world.expect(client, "attach")["callID"], "call-1");
}

#[test]
fn what_is_under_way_is_left_out() {
    let mut world = World::new();
    let (client, session) = world.log_in("alice");
    world.invite(client, "call-1", "9196");
    assert!(exported(&world, &session).calls.is_empty(), "it rings");
    assert!(world.server.export_session(world.now, "unknown").is_none());
}

#[test]
fn nobody_takes_what_is_here() {
    let mut world = World::new();
    let (_, session, _) = talking(&mut world);
    let state = exported(&world, &session);
    let now = world.now;
    assert_eq!(world.server.import_session(now, state), Err(SessionExists));
    assert_eq!(world.server.counts().calls, 1);
}
