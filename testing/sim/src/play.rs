//! Random runs against the reference model: actions from a seed, what every end sees compared after each of them, and
//! everything accounted for in the end. A run that fails is made as short as it can be made.

mod agreement;
mod deeds;
mod outages;
mod shrink;
mod transfers;

pub use shrink::{failure, shrink};

use crate::action::Action;
use crate::actor::{CallView, ClientState, LineState};
use crate::model::{End, Model, Seen};
use crate::{ALICE, BOB, Totals, Weather, World, errors};
use std::fmt;
use std::time::Duration;

/// Clients: those with even numbers are Alice's, the others Bob's.
pub const CLIENTS: usize = 4;
/// The client that logs in by token.
pub const TOKEN_CLIENT: usize = 3;
/// How long its tokens are valid.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(120);
/// So near to the end of a time that people notice, nothing is looked at: the model does not know milliseconds.
const BLUR: Duration = Duration::from_millis(400);
/// The same for the end of a token, which is told in whole seconds.
const TOKEN_BLUR: Duration = Duration::from_millis(1_500);
/// Longer than any timer of a call that is over.
const AFTERMATH: Duration = Duration::from_secs(600);

/// What a good run was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Inputs of all nodes.
    pub steps: u64,
    /// Actions that found somebody to happen to.
    pub actions: u64,
    /// What they were: bit `deed as u32` of each that happened.
    pub deeds: u64,
    /// Calls.
    pub calls: u64,
    /// Times that an end of a call was compared.
    pub looks: u64,
    /// Time in the world.
    pub simulated: Duration,
}

/// What went wrong, and after which action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Number of the action.
    pub action: usize,
    /// In words.
    pub what: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after action {}: {}", self.action, self.what)
    }
}

/// A run.
pub(crate) struct Game {
    pub(crate) world: World,
    /// `None` in foul weather, where nobody can say what is seen when.
    pub(crate) model: Model,
    pub(crate) is_fair: bool,
    pub(crate) tags: Vec<String>,
    pub(crate) report: Report,
    /// Calls whose far ends a client wanted to talk with each other.
    pub(crate) joined: Vec<(String, String)>,
    pub(crate) vsp_drains: bool,
    pub(crate) proxy_drains_until: Option<Duration>,
}

/// The weather of a seed.
pub fn weather(seed: u64) -> Weather {
    match seed.is_multiple_of(2) {
        true => Weather::FAIR,
        false => Weather::FOUL,
    }
}

/// Plays `actions` in the world of `seed`. What a node does that it must never do panics.
pub fn play(seed: u64, actions: &[Action]) -> Result<Report, Mismatch> {
    errors::collect();
    drop(errors::take());
    let mut game = Game::new(seed);
    for action in actions {
        let mismatch = |what| Mismatch {
            action: action.number,
            what,
        };
        game.act(action).map_err(mismatch)?;
        game.pass(action.pause);
        game.compare().map_err(mismatch)?;
        if let Some(line) = errors::take().into_iter().next() {
            return Err(mismatch(format!("ERROR {line}")));
        }
        if action.number % agreement::EVERY == agreement::EVERY - 1 && !game.is_fair {
            game.agree().map_err(mismatch)?;
        }
    }
    let last = actions.last().map_or(0, |action| action.number);
    game.finish().map_err(|what| Mismatch { action: last, what })
}

impl Game {
    fn new(seed: u64) -> Self {
        let mut world = World::new(weather(seed), seed).without_traces();
        for index in 0..CLIENTS {
            let user = if index % 2 == 0 { ALICE } else { BOB };
            let client = world.add_client(user, index < 2);
            if client == TOKEN_CLIENT {
                let token = world.token(user.0, TOKEN_LIFETIME);
                world.client(client).set_token(token);
            }
            world.connect(client);
        }
        world.run_for(Duration::from_secs(1));
        let users: Vec<usize> = (0..CLIENTS).map(|client| client % 2).collect();
        let mut model = Model::new(&users);
        model.seat(TOKEN_CLIENT).token_until = Some(TOKEN_LIFETIME);
        model.advance(world.elapsed());
        Self {
            world,
            model,
            is_fair: seed.is_multiple_of(2),
            tags: Vec::new(),
            report: Report::default(),
            joined: Vec::new(),
            vsp_drains: false,
            proxy_drains_until: None,
        }
    }

    /// Time passes; never up to a moment at which something is about to be noticed.
    fn pass(&mut self, time: Duration) {
        self.world.run_for(time);
        loop {
            let now = self.world.elapsed();
            let near = |due: Option<Duration>, blur| due.is_some_and(|due| due.abs_diff(now) < blur);
            let mut probe = self.model.clone();
            probe.advance(now.saturating_sub(BLUR));
            let token_ends = probe.seat(TOKEN_CLIENT).token_until;
            if near(probe.next_deadline(), BLUR) || near(token_ends, TOKEN_BLUR) {
                self.world.run_for(2 * BLUR);
            } else {
                break;
            }
        }
        self.model.advance(self.world.elapsed());
        self.bring_back();
    }

    /// Compares what every end sees with what it has to see.
    fn compare(&mut self) -> Result<(), String> {
        if !self.is_fair {
            return Ok(());
        }
        let calls = self.model.calls().clone();
        for (tag, call) in &calls {
            for (end, wanted) in call.ends() {
                self.report.looks += 1;
                let (right, seen) = match *end {
                    End::Client(client) => self.client_sees(client, tag, *wanted),
                    End::Carrier(carrier) => self.carrier_sees(carrier, tag, *wanted),
                    End::Ghost(_) => continue,
                };
                if !right {
                    return Err(format!("call {tag}: {end:?} sees {seen}, and not {wanted:?}"));
                }
            }
        }
        let digits = self.world.gateway().digits.clone();
        match digits == self.model.digits {
            true => Ok(()),
            false => Err(format!("digits {digits}, and not {}", self.model.digits)),
        }
    }

    fn client_sees(&mut self, client: usize, tag: &str, wanted: Seen) -> (bool, String) {
        let is_online = self.model.seat(client).is_online();
        let client = self.world.client(client);
        if is_online && client.state() != ClientState::Ready {
            return (false, format!("nothing, being {:?}", client.state()));
        }
        // Who is away knows nothing new.
        if !is_online {
            return (true, String::new());
        }
        let views: Vec<&CallView> = client.views_of(tag).collect();
        let text = format!("{views:?}");
        let live = views.iter().find(|view| view.ending.is_none());
        let right = match (wanted, live) {
            (Seen::Over(None), live) => live.is_none(),
            (Seen::Over(Some(wanted)), None) => views.iter().any(|view| {
                let ending = view.ending.as_ref();
                ending.is_some_and(|is| wanted.allows(&is.cause, is.cause_code, is.sip_code))
            }),
            (Seen::Ringing, Some(view)) => !view.is_active(),
            (Seen::Talking { holds, is_held }, Some(view)) => {
                view.is_active()
                    && holds.is_none_or(|holds| holds == view.holds)
                    && is_held.is_none_or(|is_held| is_held == view.is_held)
            }
            (Seen::Over(Some(_)), Some(_)) | (_, None) => false,
        };
        (right, text)
    }

    fn carrier_sees(&mut self, carrier: usize, tag: &str, wanted: Seen) -> (bool, String) {
        let carrier = self.world.carrier(carrier);
        let (state, holding) = (carrier.line(tag), carrier.holds(tag));
        let right = match (wanted, state) {
            // It may never have heard of it.
            (Seen::Over(_), None | Some(LineState::Over)) | (Seen::Ringing, Some(LineState::Ringing)) => true,
            (Seen::Talking { holds, is_held }, Some(LineState::Talking)) => {
                holds.is_none_or(|holds| holds == holding.0)
                    && is_held.is_none_or(|is_held| is_held == holding.1)
            }
            _ => false,
        };
        (right, format!("{state:?}, (holds, is held) {holding:?}"))
    }

    /// Everyone hangs up and leaves, and all timers run out: nothing may be left.
    fn finish(mut self) -> Result<Report, String> {
        self.hang_up_all();
        self.world.run_for(Duration::from_secs(5));
        for client in 0..CLIENTS {
            self.world.cut(client);
        }
        self.world.run_for(AFTERMATH);
        let totals = self.world.totals();
        if totals != Totals::default() {
            return Err(format!("left over: {totals:?}"));
        }
        if let Some(line) = errors::take().into_iter().next() {
            return Err(format!("ERROR {line}"));
        }
        self.report.steps = self.world.steps();
        self.report.calls = self.tags.len() as u64;
        self.report.simulated = self.world.elapsed();
        Ok(self.report)
    }

    fn hang_up_all(&mut self) {
        for client in 0..CLIENTS {
            for call in self.world.client(client).live_calls() {
                self.world.client(client).hang_up(&call);
            }
        }
        for carrier in 0..2 {
            for tag in self.tags.clone() {
                self.world
                    .with_carrier(carrier, |carrier, now| carrier.end(now, &tag));
            }
        }
    }
}
