//! Answers of clients that come in the last moment, or to nothing.

use crate::world::World;
use offhook_media_control::CommandErrorKind;
use std::time::Duration;

/// Who was told that another was faster has refused nothing: the caller hears why that one failed.
#[test]
fn an_answer_that_fails_after_a_second_one_came_is_no_answer_for_the_caller() {
    let mut world = World::new();
    let clients = [0, 1].map(|_| world.log_in("alice").0);
    world.far_call("alice", &[]);
    world.gateway.hold_replies = true;
    let rings = clients.map(|client| world.expect(client, "invite")["callID"].clone());
    for (client, call) in clients.into_iter().zip(&rings) {
        world.answer(client, call);
    }
    world
        .gateway
        .refuse
        .insert("answer", CommandErrorKind::NoCommonCodec);
    world.release_replies();
    assert_eq!(world.far_statuses().pop(), Some(488));
    world.advance(Duration::from_secs(40));
    let counts = world.server.counts();
    assert_eq!(
        (counts.calls, counts.incoming, counts.sip.legs),
        (0, 0, 0),
        "{counts:?}"
    );
}

#[test]
fn the_ring_time_is_over_for_nobody_who_has_answered() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let call = world.called(client);
    world.advance_alive(client, Duration::from_secs(55));
    world.take_frames(client);
    world.gateway.hold_replies = true;
    world.answer(client, &call);
    world.advance_alive(client, Duration::from_secs(10));
    world.release_replies();
    assert_eq!(world.far_statuses().pop(), Some(200));
    assert_eq!(world.server.counts().calls, 1);
}
