//! Calls from one user's browser to another's, through the SIP proxy.

use offhook_sim::actor::ClientState;
use offhook_sim::{ALICE, BOB, Totals, Weather, World};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// Longer than the slowest timer of a call that is over.
const AFTERMATH: Duration = Duration::from_secs(200);

/// Alice is client 0; Bob is 1 and 2.
fn world(weather: Weather) -> World {
    let mut world = World::new(weather, 5);
    for user in [ALICE, BOB, BOB] {
        let client = world.add_client(user, false);
        world.connect(client);
    }
    world.run_for(3 * SECOND);
    assert_eq!(world.client(2).state(), ClientState::Ready);
    world
}

fn only_call(world: &mut World, client: usize) -> String {
    let calls = world.client(client).live_calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    calls[0].clone()
}

fn states(world: &mut World, client: usize, call: &str) -> Vec<&'static str> {
    world
        .client(client)
        .call(call)
        .expect("the call is known")
        .states
        .clone()
}

#[test]
fn a_user_calls_another_whose_first_answer_wins() {
    let mut world = world(Weather::FAIR);
    world.client(0).dial("c1", BOB.0);
    world.run_for(SECOND);
    let [one, two] = [1, 2].map(|client| only_call(&mut world, client));
    assert_eq!(states(&mut world, 0, "c1"), ["requesting", "trying", "ringing"]);
    world.client(2).answer(&two);
    world.run_for(SECOND);
    assert_eq!(
        states(&mut world, 0, "c1"),
        ["requesting", "trying", "ringing", "active"]
    );
    assert_eq!(states(&mut world, 2, &two), ["ringing", "answering", "active"]);
    assert_eq!(states(&mut world, 1, &one), ["ringing", "hangup"]);
    let lost = world.client(1).ending(&one).unwrap();
    assert_eq!(lost.cause, "LOSE_RACE");
    world.client(2).hang_up(&two);
    world.run_for(SECOND);
    assert!(states(&mut world, 0, "c1").ends_with(&["active", "hangup"]));
    world.run_for(AFTERMATH);
    assert_eq!(world.totals(), Totals::default());
}

#[test]
fn a_user_who_declines_on_all_phones_or_who_is_called_off() {
    let mut world = world(Weather::FAIR);
    world.client(0).dial("c1", BOB.0);
    world.run_for(SECOND);
    for client in [1, 2] {
        let call = only_call(&mut world, client);
        world.client(client).hang_up(&call);
    }
    world.run_for(SECOND);
    let ending = world.client(0).ending("c1").expect("over");
    assert_eq!(ending.sip_code, Some(487));
    world.client(0).dial("c2", BOB.0);
    world.run_for(SECOND);
    let call = only_call(&mut world, 1);
    world.client(0).hang_up("c2");
    world.run_for(SECOND);
    assert_eq!(states(&mut world, 1, &call), ["ringing", "hangup"]);
    world.run_for(AFTERMATH);
    assert_eq!(world.totals(), Totals::default());
}
