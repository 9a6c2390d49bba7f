//! What happens in a random run: a list of actions, made from a seed before the run, so that parts of it can be left out.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fmt;
use std::time::Duration;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// A client calls a carrier.
    Dial,
    /// A client calls another user.
    DialUser,
    /// A carrier calls a user.
    CallIn,
    /// A client answers.
    Answer,
    /// A client hangs up or declines.
    HangUp,
    /// A client holds the far end, or takes it back.
    Hold,
    /// A client sends digits.
    Digits,
    /// A client renews its ICE.
    RestartIce,
    /// A client asks its far end to call somebody else, which does so (or not).
    Transfer,
    /// A client asks the far end of one call to take its place in another.
    TransferToCall,
    /// A far end asks the client to talk with somebody else.
    SendOn,
    /// A client's socket breaks.
    Cut,
    /// A client comes back.
    Connect,
    /// A client changes networks: its socket breaks, and comes back from another address.
    Roam,
    /// A client's page is loaded anew.
    Reload,
    /// A client with a token gets a new one.
    Renew,
    /// A carrier answers.
    Take,
    /// A carrier refuses.
    Refuse,
    /// A carrier hangs up or gives up.
    End,
    /// A carrier holds the far end, or takes it back.
    FarHold,
    /// Both sides of a call change hold at the same time.
    BothHold,
    /// Both sides of a call hang up at the same time.
    BothEnd,
    /// A client answers while the carrier gives up.
    AnswerAndEnd,
    /// A carrier answers while the client hangs up.
    TakeAndHangUp,
    /// Two clients of a user answer at the same time.
    TwoAnswers,
    /// The gateway loses one session.
    LoseMedia,
    /// The gateway, or the link to it, is lost and comes back.
    LoseGateway,
    /// A carrier dies, and is back when its calls have ended for want of a refresh.
    KillCarrier,
    /// The VSP that takes new sockets leaves, and the other one takes its place.
    DrainVsp,
    /// The proxy takes no new calls for a while, then starts anew.
    DrainProxy,
}

/// How often each is drawn.
const WEIGHTS: [(Deed, u32); 30] = [
    (Deed::Dial, 12),
    (Deed::DialUser, 8),
    (Deed::CallIn, 10),
    (Deed::Answer, 14),
    (Deed::HangUp, 8),
    (Deed::Hold, 8),
    (Deed::Digits, 4),
    (Deed::RestartIce, 3),
    (Deed::Transfer, 3),
    (Deed::TransferToCall, 3),
    (Deed::SendOn, 4),
    (Deed::Cut, 4),
    (Deed::Connect, 10),
    (Deed::Roam, 3),
    (Deed::Reload, 3),
    (Deed::Renew, 3),
    (Deed::Take, 16),
    (Deed::Refuse, 5),
    (Deed::End, 6),
    (Deed::FarHold, 6),
    (Deed::BothHold, 3),
    (Deed::BothEnd, 2),
    (Deed::AnswerAndEnd, 2),
    (Deed::TakeAndHangUp, 2),
    (Deed::TwoAnswers, 2),
    (Deed::LoseMedia, 2),
    (Deed::LoseGateway, 1),
    (Deed::KillCarrier, 1),
    (Deed::DrainVsp, 2),
    (Deed::DrainProxy, 1),
];

/// Bit `deed as u32` of all of them.
pub fn all_deeds() -> u64 {
    WEIGHTS.iter().fold(0, |bits, (deed, _)| bits | 1 << *deed as u32)
}

/// A deed, to whom it happens, and how long it is left alone. Who `who` and `which` are is found when it happens, from
/// those who can: with nobody, nothing happens.
#[derive(Debug, Clone, Copy)]
pub struct Action {
    /// Its place in the list.
    pub number: usize,
    /// What is done.
    pub deed: Deed,
    /// Whose turn it is.
    pub who: u32,
    /// Which of several possibilities.
    pub which: u32,
    /// Time until the next one.
    pub pause: Duration,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Action {
            number,
            deed,
            who,
            which,
            pause,
        } = self;
        write!(
            f,
            "{number:>5}  {deed:?} (who {who}, which {which}), then {} ms",
            pause.as_millis()
        )
    }
}

/// The actions of a seed.
pub fn actions(seed: u64, count: usize) -> Vec<Action> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count).map(|number| draw(number, &mut rng)).collect()
}

/// The actions of a seed that fill so much time.
pub fn actions_for(seed: u64, time: Duration) -> Vec<Action> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut all = Vec::new();
    let mut filled = Duration::ZERO;
    while filled < time {
        let action = draw(all.len(), &mut rng);
        filled += action.pause;
        all.push(action);
    }
    all
}

fn draw(number: usize, rng: &mut StdRng) -> Action {
    let sum: u32 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
    let mut left = rng.random_range(0..sum);
    let mut deed = Deed::Dial;
    for (candidate, weight) in WEIGHTS {
        if left < weight {
            deed = candidate;
            break;
        }
        left -= weight;
    }
    // Now and then long enough for a grace or a ring time to end.
    let pause = match rng.random_ratio(1, 40) {
        true => rng.random_range(20_000..80_000),
        false => rng.random_range(700..4_000),
    };
    Action {
        number,
        deed,
        who: rng.random_range(0..1_000),
        which: rng.random_range(0..1_000),
        pause: Duration::from_millis(pause),
    }
}
