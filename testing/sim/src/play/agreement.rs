//! In foul weather nobody can say what is seen when. But once nothing has happened for long enough, the ends of each call
//! have to agree: both talk, or neither.

use super::{CLIENTS, Game};
use crate::actor::{ClientState, LineState};
use std::time::Duration;

/// After so many actions it is waited until all is quiet.
pub(super) const EVERY: usize = 40;
/// Longer than a phone rings and a lost client is waited for, with what SIP needs to say so ten times over (64 × T1).
const QUIET: Duration = Duration::from_secs(150);

impl Game {
    pub(super) fn agree(&mut self) -> Result<(), String> {
        self.world.run_for(QUIET);
        self.model.advance(self.world.elapsed());
        let mut alone = Vec::new();
        for tag in self.tags.clone() {
            let (mut ends, mut ringing) = (0, 0);
            let mut seen = Vec::new();
            for client in 0..CLIENTS {
                let client = self.world.client(client);
                // A client that is away has been given up by now, and will find out.
                if client.state() != ClientState::Ready {
                    continue;
                }
                for view in client.views_of(&tag).filter(|view| view.ending.is_none()) {
                    if view.is_active() {
                        ends += 1
                    } else {
                        ringing += 1
                    }
                    seen.push(format!("{view:?}"));
                }
            }
            for carrier in 0..2 {
                match self.world.carrier(carrier).line(&tag) {
                    Some(LineState::Talking) => ends += 1,
                    // All that it said may have been lost, and another carrier tried: a CANCEL may go only to who was heard of
                    // (RFC 3261 §9.1), so that it rings until it gives up by itself.
                    Some(LineState::Ringing | LineState::Over) | None => continue,
                }
                seen.push(format!(
                    "carrier {carrier} {:?}",
                    self.world.carrier(carrier).line(&tag)
                ));
            }
            self.report.looks += 1;
            // A transfer may have connected it with another one.
            if ringing == 0
                && ends == 1
                && self
                    .joined
                    .iter()
                    .any(|(one, other)| [one, other].contains(&&tag))
            {
                alone.push(tag);
            } else if ringing > 0 || (ends != 0 && ends != 2) {
                return Err(format!("call {tag}: its ends do not agree: {}", seen.join("; ")));
            }
        }
        let has_partner = |tag: &&String| {
            let mut pairs = self.joined.iter();
            pairs.any(|(one, other)| {
                [one, other].contains(tag) && alone.contains(one) && alone.contains(other)
            })
        };
        if let Some(tag) = alone.iter().find(|tag| !has_partner(tag)) {
            return Err(format!(
                "call {tag}: one end talks, and the one it was connected with does not"
            ));
        }
        Ok(())
    }
}
