//! Random actions of clients, carriers and network, by seed; at the end every call, dialog and timer is accounted for.
//! `OFFHOOK_SIM_SEED` runs one seed alone.

use offhook_sim::actor::{ClientState, Plan};
use offhook_sim::{ALICE, BOB, SECOND_CARRIER_PREFIX, Totals, Weather, World};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

const ACTIONS: u32 = 300;
const SEEDS: std::ops::Range<u64> = 0..64;
const CLIENTS: usize = 4;

#[test]
fn whatever_happens_nothing_is_left_behind() {
    let seeds = match std::env::var("OFFHOOK_SIM_SEED") {
        Ok(seed) => {
            let seed: u64 = seed.parse().expect("OFFHOOK_SIM_SEED is a number");
            seed..seed + 1
        }
        Err(_) => SEEDS,
    };
    for seed in seeds {
        play(seed);
    }
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    assert_eq!(play(7), play(7));
}

/// Plays one run; steps and calls answered.
fn play(seed: u64) -> (u64, u64, usize) {
    let mut rng = StdRng::seed_from_u64(seed);
    let weather = if seed.is_multiple_of(2) {
        Weather::FAIR
    } else {
        Weather::FOUL
    };
    let mut world = World::new(weather, seed).without_traces();
    for index in 0..CLIENTS {
        let user = if index % 2 == 0 { ALICE } else { BOB };
        world.add_client(user, index < 2);
        world.connect(index);
    }
    world.run_for(Duration::from_secs(1));
    for number in 0..ACTIONS {
        act(&mut world, &mut rng, number);
        world.run_for(Duration::from_millis(rng.random_range(0..4_000)));
    }
    finish(&mut world);
    assert_eq!(world.totals(), Totals::default(), "seed {seed}");
    let answered = world.carrier(0).answered_total + world.carrier(1).answered_total;
    assert!(
        answered > 0,
        "seed {seed}: a run without an answered call shows nothing"
    );
    (world.steps(), answered, world.ended_calls.len())
}

fn act(world: &mut World, rng: &mut StdRng, number: u32) {
    let index = rng.random_range(0..CLIENTS);
    let online = world.client(index).state() == ClientState::Ready;
    let live = world.client(index).live_calls();
    match rng.random_range(0..20) {
        0..=8 if online && live.len() < 4 => {
            let plan = Plan::ALL[rng.random_range(0..Plan::ALL.len())];
            let prefix = if rng.random_bool(0.3) {
                SECOND_CARRIER_PREFIX
            } else {
                ""
            };
            world
                .client(index)
                .dial(&format!("c{number}"), &format!("{prefix}{}", plan.number()));
        }
        9..=13 if !live.is_empty() => {
            let call = &live[rng.random_range(0..live.len())];
            world.client(index).hang_up(call);
        }
        14 => world.cut(index),
        15 | 16 if !online => world.connect(index),
        17 => world.lose_media(),
        18 => {
            let carrier = world.carrier(rng.random_range(0..2));
            if !carrier.is_alive() {
                carrier.revive();
            } else if rng.random_bool(0.5) {
                carrier.die();
            }
        }
        19 if rng.random_bool(0.2) => {
            world.kill_gateway();
            world.run_for(Duration::from_secs(1));
            world.revive_gateway();
        }
        _ => {}
    }
}

/// Everyone hangs up and leaves; then all timers may run out.
fn finish(world: &mut World) {
    for index in 0..2 {
        world.carrier(index).revive();
    }
    for index in 0..CLIENTS {
        for call in world.client(index).live_calls() {
            world.client(index).hang_up(&call);
        }
    }
    world.run_for(Duration::from_secs(5));
    for index in 0..CLIENTS {
        world.cut(index);
    }
    world.run_for(Duration::from_secs(600));
}
