//! Two user agents on a network that loses, doubles and reorders: whatever happens, nothing stays behind.

use crate::support::agents::{ALICE, BOB, Weather, World, invite_to_bob, request, sdp};
use offhook_sip::user_agent::{Event, IncomingId, LegId, Reply};
use offhook_sip_message::{Method, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::HashMap;
use std::time::Duration;

/// Owners of both user agents who do something random whenever they are told something or time passes.
struct Owners {
    rng: StdRng,
    legs: [Vec<LegId>; 2],
    waiting: [Vec<IncomingId>; 2],
    /// How each leg ended; one ending for each.
    endings: HashMap<(usize, LegId), u32>,
    started: u32,
    answered: u32,
}

impl Owners {
    fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed ^ 0x5eed),
            legs: Default::default(),
            waiting: Default::default(),
            endings: HashMap::new(),
            started: 0,
            answered: 0,
        }
    }

    fn hear(&mut self, world: &mut World) {
        for agent in [ALICE, BOB] {
            for event in std::mem::take(&mut world.agents[agent].events) {
                match event {
                    Event::IncomingInvite { leg, incoming, .. } => {
                        self.legs[agent].push(leg);
                        self.waiting[agent].push(incoming);
                    }
                    Event::IncomingRequest { incoming, .. } => self.waiting[agent].push(incoming),
                    Event::Answered { .. } => self.answered += 1,
                    Event::Failed { leg, .. }
                    | Event::Cancelled { leg, .. }
                    | Event::Terminated { leg, .. } => {
                        *self.endings.entry((agent, leg)).or_default() += 1;
                        self.legs[agent].retain(|known| *known != leg);
                    }
                    _ => {}
                }
            }
        }
    }

    /// One random deed; refusals are part of the game.
    fn act(&mut self, world: &mut World) {
        let now = world.now();
        let agent = self.rng.random_range(0..2);
        let ua = &mut world.agents[agent].ua;
        if self.rng.random_bool(0.6)
            && let Some(incoming) = self.waiting[agent].pop()
        {
            let code = [180, 183, 200, 200, 200, 486, 603][self.rng.random_range(0..7)];
            let body = sdp("answer").filter(|_| code != 486);
            let reply = Reply {
                body,
                ..Reply::new(StatusCode::new(code).unwrap())
            };
            let outcome = ua.respond(now, incoming, reply);
            if code < 200 && outcome.is_ok() {
                self.waiting[agent].push(incoming);
            } else if code >= 300 {
                // Our own rejection of a call is no event.
                self.legs[agent].retain(|leg| ua.dialog(*leg).is_some());
            }
            return;
        }
        let picked = (!self.legs[agent].is_empty()).then(|| self.rng.random_range(0..self.legs[agent].len()));
        let Some(leg) = picked.map(|position| self.legs[agent][position]) else {
            if agent == ALICE && self.started < 12 {
                self.started += 1;
                self.legs[agent].extend(ua.invite(now, invite_to_bob()));
            }
            return;
        };
        // `Err` is an answer too: most deeds do not fit the state of a random call.
        let _refused = match self.rng.random_range(0..6) {
            0 => ua.cancel(now, leg, Vec::new()).err(),
            1 => ua.bye(now, leg, Vec::new()).err(),
            2 => ua.request(now, leg, request(Method::Invite, sdp("again"))).err(),
            3 => ua.request(now, leg, request(Method::Info, None)).err(),
            4 => ua.request(now, leg, request(Method::Update, sdp("update"))).err(),
            _ => ua.hang_up(now, leg, StatusCode::BUSY_HERE, Vec::new()).err(),
        };
    }
}

fn play(seed: u64, weather: Weather) -> Owners {
    let mut world = World::with(seed, weather);
    let mut owners = Owners::new(seed);
    for _ in 0..400 {
        let pause = owners.rng.random_range(0..1500);
        let end = world.now() + Duration::from_millis(pause);
        while world.step(end) {
            owners.hear(&mut world);
        }
        owners.act(&mut world);
        world.drain();
        owners.hear(&mut world);
    }
    for agent in [ALICE, BOB] {
        for leg in std::mem::take(&mut owners.legs[agent]) {
            let now = world.now();
            let _gone = world.agents[agent]
                .ua
                .hang_up(now, leg, StatusCode::BUSY_HERE, Vec::new())
                .err();
        }
    }
    world.expect_nothing_left();
    owners.hear(&mut world);
    assert!(
        owners.endings.values().all(|times| *times == 1),
        "seed {seed}: a call ended twice: {:?}",
        owners.endings
    );
    owners
}

#[test]
fn fair_weather() {
    let answered: u32 = (0..20).map(|seed| play(seed, Weather::default()).answered).sum();
    assert!(answered > 20, "{answered} calls were answered");
}

#[test]
fn loss_duplicates_and_reordering() {
    let storm = Weather {
        loss: 25,
        duplicates: 15,
        jitter_ms: 400,
    };
    let answered: u32 = (100..160).map(|seed| play(seed, storm).answered).sum();
    assert!(answered > 60, "{answered} calls were answered");
}

#[test]
fn almost_nothing_arrives() {
    let night = Weather {
        loss: 80,
        duplicates: 10,
        jitter_ms: 2000,
    };
    for seed in 200..230 {
        play(seed, night);
    }
}

#[test]
fn a_seed_replays_the_same_story() {
    let storm = Weather {
        loss: 25,
        duplicates: 15,
        jitter_ms: 400,
    };
    let story = |seed| {
        let mut world = World::with(seed, storm);
        world.call();
        world.run(20_000);
        world.flow()
    };
    assert_eq!(story(7), story(7));
    assert_ne!(story(7), story(8));
}
