//! What is lost on the way: sockets, datagrams, the gateway.

use offhook_sim::actor::{ClientState, Plan};
use offhook_sim::{ALICE, Totals, Weather, World};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const AFTERMATH: Duration = Duration::from_secs(200);

fn in_call(weather: Weather, seed: u64) -> World {
    let mut world = World::new(weather, seed);
    let alice = world.add_client(ALICE, false);
    world.connect(alice);
    world.run_for(SECOND);
    world.client(alice).dial("c1", &Plan::Answer.number());
    let answered = world.run_until(40 * SECOND, |world| {
        world
            .client(0)
            .call("c1")
            .expect("placed")
            .states
            .contains(&"active")
    });
    assert!(answered, "seed {seed}: {:?}", world.client(0).call("c1"));
    world
}

#[test]
fn m27_a_cut_socket_leaves_the_call_up_for_a_client_that_returns() {
    let mut world = in_call(Weather::FAIR, 1);
    for _ in 0..10 {
        world.cut(0);
        world.run_for(5 * SECOND);
        world.connect(0);
        world.run_for(SECOND);
        assert_eq!(world.client(0).state(), ClientState::Ready);
        assert_eq!(
            world.client(0).live_calls(),
            ["c1"],
            "the call is listed as reattached"
        );
        assert_eq!(world.gateway().sessions(), 1);
    }
    world.client(0).hang_up("c1");
    world.run_for(AFTERMATH);
    assert_eq!(world.totals(), Totals::default());
}

#[test]
fn m28_a_client_that_stays_away_is_hung_up_for() {
    let mut world = in_call(Weather::FAIR, 1);
    world.cut(0);
    world.run_for(59 * SECOND);
    assert_eq!(world.totals().vsp_calls, 1, "the grace is 60 s");
    world.run_for(3 * SECOND);
    assert_eq!(world.totals().media_sessions, 0);
    let record = world.ended_calls.last().expect("the call is over");
    assert_eq!(record.cause.name, "RECOVERY_ON_TIMER_EXPIRE");
    world.run_for(AFTERMATH);
    assert_eq!(world.totals(), Totals::default());
}

#[test]
fn a_lost_gateway_ends_the_call_and_leaves_the_session() {
    let mut world = in_call(Weather::FAIR, 1);
    world.kill_gateway();
    world.run_for(2 * SECOND);
    let ending = world.client(0).ending("c1").expect("no media, no call");
    assert_eq!(
        (ending.cause.as_str(), ending.cause_code, ending.sip_code),
        ("NORMAL_TEMPORARY_FAILURE", 41, Some(503))
    );
    assert_eq!(world.client(0).state(), ClientState::Ready);
    world.client(0).dial("c2", &Plan::Answer.number());
    world.run_for(2 * SECOND);
    assert!(
        world.client(0).call("c2").expect("placed").ending.is_some(),
        "without a gateway calls fail at once"
    );
    world.revive_gateway();
    world.client(0).dial("c3", &Plan::Answer.number());
    world.run_for(3 * SECOND);
    assert!(
        world
            .client(0)
            .call("c3")
            .expect("placed")
            .states
            .contains(&"active"),
        "and work again when it is back"
    );
    world.client(0).hang_up("c3");
    world.run_for(AFTERMATH);
    assert_eq!(world.totals(), Totals::default());
}

#[test]
fn a_session_that_the_gateway_loses_ends_its_call() {
    let mut world = in_call(Weather::FAIR, 1);
    world.lose_media();
    world.run_for(2 * SECOND);
    assert!(world.client(0).call("c1").expect("placed").ending.is_some());
    world.run_for(AFTERMATH);
    assert_eq!(world.totals(), Totals::default());
}

/// A tenth of the datagrams lost, late, twice and out of order: the timers of RFC 3261 carry every call through.
#[test]
fn calls_survive_foul_weather() {
    for seed in 0..40 {
        let mut world = in_call(Weather::FOUL, seed);
        world.run_for(5 * SECOND);
        world.client(0).hang_up("c1");
        world.run_for(2 * AFTERMATH);
        assert_eq!(world.totals(), Totals::default(), "seed {seed}");
    }
}
