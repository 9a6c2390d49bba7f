//! Two user agents on a network that loses, doubles and reorders: whatever happens, nothing stays behind.

use crate::support::agents::{
    ALICE, BOB, Weather, World, all_extensions, invite_to_bob, request, sdp, session_timer, uri,
};
use offhook_sip::user_agent::{
    Event, Extensions, IncomingId, LegId, Notice, OutgoingRefer, ReferralId, Reply, SessionTimer,
    SessionTimerMode,
};
use offhook_sip_message::{Method, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::HashMap;
use std::time::Duration;

/// Owners of both user agents who do something random whenever they are told something or time passes.
struct Owners {
    rng: StdRng,
    /// How often a REFER is tried, against one for each other deed.
    refers: u32,
    legs: [Vec<LegId>; 2],
    waiting: [Vec<IncomingId>; 2],
    referrals: [Vec<(LegId, ReferralId)>; 2],
    /// Transfers whose end was told.
    referred: u32,
    /// How each leg ended; one ending for each.
    endings: HashMap<(usize, LegId), u32>,
    started: u32,
    answered: u32,
}

impl Owners {
    fn new(seed: u64, refers: u32) -> Self {
        Self {
            refers,
            rng: StdRng::seed_from_u64(seed ^ 0x5eed),
            legs: Default::default(),
            waiting: Default::default(),
            referrals: Default::default(),
            referred: 0,
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

    fn hear_notices(&mut self, world: &mut World) {
        for agent in [ALICE, BOB] {
            for notice in std::mem::take(&mut world.agents[agent].notices) {
                match notice {
                    Notice::ReferRequested { leg, referral, .. } => {
                        self.referrals[agent].push((leg, referral));
                    }
                    Notice::ReferProgress { finished, .. } => self.referred += u32::from(finished),
                    _ => {}
                }
            }
        }
    }

    /// Accepts, refuses or reports on a transfer.
    fn transfer(&mut self, world: &mut World, agent: usize) {
        let now = world.now();
        let ua = &mut world.agents[agent].ua;
        let Some((leg, referral)) = self.referrals[agent].last().copied() else {
            return;
        };
        let _refused = match self.rng.random_range(0..8) {
            0 => ua.decline_refer(now, leg, referral, StatusCode::DECLINE).err(),
            1..=4 => ua.accept_refer(now, leg, referral).err(),
            5 => ua.refer_progress(now, leg, referral, StatusCode::RINGING).err(),
            _ => {
                self.referrals[agent].pop();
                ua.refer_progress(now, leg, referral, StatusCode::OK).err()
            }
        };
    }

    /// One random deed; refusals are part of the game.
    fn act(&mut self, world: &mut World) {
        let now = world.now();
        let agent = self.rng.random_range(0..2);
        if self.rng.random_bool(0.8) {
            self.transfer(world, agent);
        }
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
        let refer = OutgoingRefer {
            to: uri("sip:carol@192.0.2.7"),
            replaces: None,
            referred_by: None,
            headers: Vec::new(),
        };
        let _refused = match self.rng.random_range(0..6 + self.refers) {
            6.. => ua.refer(now, leg, refer).err(),
            0 => ua.cancel(now, leg, Vec::new()).err(),
            1 => ua.bye(now, leg, Vec::new()).err(),
            2 => ua.request(now, leg, request(Method::Invite, sdp("again"))).err(),
            3 => ua.request(now, leg, request(Method::Info, None)).err(),
            4 => ua.request(now, leg, request(Method::Update, sdp("update"))).err(),
            5 => ua.hang_up(now, leg, StatusCode::BUSY_HERE, Vec::new()).err(),
        };
    }
}

fn play(seed: u64, weather: Weather) -> Owners {
    play_with(seed, weather, Extensions::default())
}

fn play_with(seed: u64, weather: Weather, extensions: Extensions) -> Owners {
    let refers = if extensions.transfers { 12 } else { 0 };
    let mut world = World::with_all(seed, weather, [extensions.clone(), extensions]);
    let mut owners = Owners::new(seed, refers);
    for _ in 0..400 {
        let pause = owners.rng.random_range(0..1500);
        let end = world.now() + Duration::from_millis(pause);
        while world.step(end) {
            owners.hear(&mut world);
        }
        owners.act(&mut world);
        world.drain();
        owners.hear(&mut world);
        owners.hear_notices(&mut world);
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

/// All of them, sessions as short as RFC 4028 allows.
fn every_extension() -> Extensions {
    Extensions {
        session_timer: SessionTimer {
            interval: Duration::from_secs(90),
            ..session_timer(SessionTimerMode::Require)
        },
        ..all_extensions()
    }
}

#[test]
fn extensions_in_fair_weather() {
    let played: Vec<_> = (300..320)
        .map(|seed| play_with(seed, Weather::default(), every_extension()))
        .collect();
    let sum = |count: fn(&Owners) -> u32| played.iter().map(count).sum::<u32>();
    let (answered, referred) = (sum(|owners| owners.answered), sum(|owners| owners.referred));
    assert!(
        answered > 20 && referred > 10,
        "{answered} calls, {referred} transfers"
    );
}

#[test]
fn extensions_with_loss_duplicates_and_reordering() {
    let storm = Weather {
        loss: 25,
        duplicates: 15,
        jitter_ms: 400,
    };
    let played: Vec<_> = (400..460)
        .map(|seed| play_with(seed, storm, every_extension()))
        .collect();
    let sum = |count: fn(&Owners) -> u32| played.iter().map(count).sum::<u32>();
    let (answered, referred) = (sum(|owners| owners.answered), sum(|owners| owners.referred));
    assert!(
        answered > 60 && referred > 10,
        "{answered} calls, {referred} transfers"
    );
}

#[test]
fn extensions_when_almost_nothing_arrives() {
    let night = Weather {
        loss: 80,
        duplicates: 10,
        jitter_ms: 2000,
    };
    for seed in 500..530 {
        play_with(seed, night, every_extension());
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
