//! Calls that run, for draining, a gauge, the limits of carriers and CSeq shifts of challenges within the call. All else that
//! routing needs is in Record-Route.

use super::limits::Held;
use super::own_route::hash;
use offhook_sip_message::header::SessionExpires;
use offhook_sip_message::{HeaderName, Message};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// Most calls that are remembered as running, about 100 bytes each. More are proxied all the same.
const DIALOGS_MAX: usize = 1_000_000;

/// A call without session timer whose BYE never came is forgotten after so long without re-INVITE or UPDATE: longer than
/// anybody talks.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Longest session interval that is believed; beyond it, [`AGE_MAX`] counts.
const SESSION_EXPIRES_MAX_S: u32 = 24 * 3600;

/// Sides of one call whose CSeq is shifted; beyond it the oldest is forgotten. Only forks have more than two.
const SHIFTS_MAX: usize = 4;

/// All running calls by hash of their Call-ID.
#[derive(Debug, Default)]
pub(super) struct Dialogs {
    running: HashMap<u64, Dialog>,
    expiries: BTreeSet<(Instant, u64)>,
    /// How many of them have shifts: mostly none, so that nobody has to look.
    shifted: usize,
}

#[derive(Debug)]
struct Dialog {
    expires_at: Instant,
    held: Held,
    /// CSeq shifts that arose within the call, by hash of the From tag of the side that counts.
    shifts: Vec<(u64, u32)>,
}

impl Dialogs {
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// Calls with a shift.
    pub(super) fn shifted(&self) -> usize {
        self.shifted
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// A call was answered; `held` are its places at carriers. Gives back the places that nobody holds any more.
    pub(super) fn start(&mut self, now: Instant, answer: &Message, held: Held) -> Held {
        let key = dialog_key(answer);
        // A call that passes us twice (a spiral) is one call, with the places of both.
        let mut joined = self.end(answer);
        joined.extend(held);
        if self.running.len() >= DIALOGS_MAX {
            return joined;
        }
        self.insert(key, now + lifetime(answer), joined);
        Held::new()
    }

    fn insert(&mut self, key: u64, expires_at: Instant, held: Held) {
        self.expiries.insert((expires_at, key));
        let dialog = Dialog {
            expires_at,
            held,
            shifts: Vec::new(),
        };
        self.running.insert(key, dialog);
    }

    /// By how much the CSeq of a request with this From tag is raised since the call was answered.
    pub(super) fn shift(&self, request: &Message, tag: &[u8]) -> u32 {
        if self.shifted == 0 {
            return 0;
        }
        let dialog = self.running.get(&dialog_key(request));
        let shifts = dialog.into_iter().flat_map(|dialog| &dialog.shifts);
        let own = hash(&[tag]);
        shifts
            .filter(|(side, _)| *side == own)
            .map(|(_, shift)| shift)
            .sum()
    }

    /// A challenge was answered for a request with this From tag: what follows counts one more. A call that was answered
    /// before we started is known from now on.
    pub(super) fn raise_shift(&mut self, now: Instant, request: &Message, tag: &[u8]) {
        let key = dialog_key(request);
        if !self.running.contains_key(&key) {
            if self.running.len() >= DIALOGS_MAX {
                return;
            }
            self.insert(key, now + AGE_MAX, Held::new());
        }
        let Some(Dialog { shifts, .. }) = self.running.get_mut(&key) else {
            return;
        };
        self.shifted += usize::from(shifts.is_empty());
        let own = hash(&[tag]);
        match shifts.iter_mut().find(|(side, _)| *side == own) {
            Some((_, shift)) => *shift = shift.saturating_add(1),
            None => {
                if shifts.len() >= SHIFTS_MAX {
                    shifts.remove(0);
                }
                shifts.push((own, 1));
            }
        }
    }

    /// The session was refreshed by the 2xx to a re-INVITE or UPDATE (RFC 4028 §8).
    pub(super) fn refresh(&mut self, now: Instant, answer: &Message) {
        let key = dialog_key(answer);
        if let Some(dialog) = self.running.get_mut(&key) {
            self.expiries.remove(&(dialog.expires_at, key));
            dialog.expires_at = now + lifetime(answer);
            self.expiries.insert((dialog.expires_at, key));
        }
    }

    /// BYE: gives back its places.
    pub(super) fn end(&mut self, request: &Message) -> Held {
        self.remove(dialog_key(request))
    }

    fn remove(&mut self, key: u64) -> Held {
        let Some(dialog) = self.running.remove(&key) else {
            return Held::new();
        };
        self.expiries.remove(&(dialog.expires_at, key));
        self.shifted -= usize::from(!dialog.shifts.is_empty());
        dialog.held
    }

    /// The places of the next call whose session has expired: both ends have given it up by now.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Held> {
        let (at, key) = self.expiries.first().copied()?;
        (at <= now).then(|| self.remove(key))
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }
}

/// How long a call lives after this 2xx, if nothing more is heard of it.
fn lifetime(answer: &Message) -> Duration {
    match answer.get::<SessionExpires>() {
        Some(Ok(SessionExpires { seconds, .. })) if (1..=SESSION_EXPIRES_MAX_S).contains(&seconds) => {
            Duration::from_secs(seconds.into())
        }
        _ => AGE_MAX,
    }
}

fn dialog_key(message: &Message) -> u64 {
    hash(&[message.first(HeaderName::CallId).unwrap_or_default()])
}
