//! Calls that run, for draining, a gauge, the limits of carriers and CSeq shifts of challenges within the call. All else that
//! routing needs is in Record-Route.

use super::limits::Held;
use super::own_route::hash;
use offhook_sip_message::header::{CSeq, RAck, SessionExpires};
use offhook_sip_message::{HeaderName, Message, Method};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Most calls that are remembered as running, about 100 bytes each. More are proxied all the same.
const DIALOGS_MAX: usize = 1_000_000;

/// A call without session timer whose BYE never came is forgotten after so long without re-INVITE or UPDATE: longer than
/// anybody talks.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// How long a shift is remembered that a PRACK brought, unless the call is answered: nothing rings longer.
const EARLY_MAX: Duration = Duration::from_secs(600);

/// Shortest session interval, whatever a message says (RFC 4028 §4).
const SESSION_EXPIRES_MIN_S: u32 = 90;

/// Longest session interval that is believed; beyond it, [`AGE_MAX`] counts.
const SESSION_EXPIRES_MAX_S: u32 = 24 * 3600;

/// Sides of one call whose CSeq is shifted; beyond it the oldest is forgotten.
const SHIFTS_MAX: usize = 2;

/// Shifts of one side whose CSeq is known one by one: an ACK or RAck names an older request, but none further back.
const RECENT_MAX: usize = 8;

/// All running calls by hash of their Call-ID and both tags.
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
    /// CSeq shifts that arose within the call.
    shifts: Vec<Shift>,
}

/// By how much one side's CSeq is raised.
#[derive(Debug, Default)]
struct Shift {
    /// Hash of the side's tag.
    side: u64,
    /// For its next requests.
    total: u32,
    /// The side's own CSeqs with which the last of them began.
    recent: VecDeque<u32>,
}

impl Shift {
    /// For the request that this side has given the CSeq `number`.
    fn of(&self, number: u32) -> u32 {
        let later = self.recent.iter().filter(|since| **since > number).count();
        self.total.saturating_sub(later as u32)
    }

    fn raise(&mut self, since: u32) {
        self.total = self.total.saturating_add(1);
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(since);
    }
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
        let (key, expires_at) = (dialog_key(answer), now + lifetime(answer));
        // A call that passes us twice (a spiral) is one call, with the places of both.
        if self.running.contains_key(&key) {
            self.renew(key, expires_at);
        } else if self.running.len() >= DIALOGS_MAX {
            return held;
        } else {
            self.insert(key, expires_at);
        }
        if let Some(dialog) = self.running.get_mut(&key) {
            dialog.held.extend(held);
        }
        Held::new()
    }

    fn insert(&mut self, key: u64, expires_at: Instant) {
        self.expiries.insert((expires_at, key));
        let dialog = Dialog {
            expires_at,
            held: Held::new(),
            shifts: Vec::new(),
        };
        self.running.insert(key, dialog);
    }

    /// By how much the CSeq of a request of the side with this tag is raised since the call began, and that in its RAck.
    pub(super) fn shifts(&self, request: &Message, tag: &[u8]) -> (u32, u32) {
        if self.shifted == 0 {
            return (0, 0);
        }
        let dialog = self.running.get(&dialog_key(request));
        let mut shifts = dialog.into_iter().flat_map(|dialog| &dialog.shifts);
        let own = hash(&[tag]);
        let Some(shift) = shifts.find(|shift| shift.side == own) else {
            return (0, 0);
        };
        let cseq = request.require::<CSeq>().map_or(0, |cseq| shift.of(cseq.number));
        let rack = request.get::<RAck>().and_then(Result::ok);
        (cseq, rack.map_or(0, |rack| shift.of(rack.cseq.number)))
    }

    /// A challenge was answered for this request of the side with this tag: from it on, that side counts one more. A call that
    /// was answered before we started is known from now on.
    pub(super) fn raise_shift(&mut self, now: Instant, request: &Message, tag: &[u8]) {
        let Ok(CSeq { number, method }) = request.require() else {
            return;
        };
        let key = dialog_key(request);
        if !self.running.contains_key(&key) {
            if self.running.len() >= DIALOGS_MAX {
                return;
            }
            let lifetime = match method {
                Method::Prack => EARLY_MAX,
                _ => AGE_MAX,
            };
            self.insert(key, now + lifetime);
        }
        let Some(Dialog { shifts, .. }) = self.running.get_mut(&key) else {
            return;
        };
        self.shifted += usize::from(shifts.is_empty());
        let side = hash(&[tag]);
        let known = shifts.iter().position(|shift| shift.side == side);
        let at = known.unwrap_or_else(|| {
            if shifts.len() >= SHIFTS_MAX {
                shifts.remove(0);
            }
            shifts.push(Shift {
                side,
                ..Shift::default()
            });
            shifts.len() - 1
        });
        if let Some(shift) = shifts.get_mut(at) {
            shift.raise(number);
        }
    }

    /// The session was refreshed by the 2xx to a re-INVITE or UPDATE (RFC 4028 §8).
    pub(super) fn refresh(&mut self, now: Instant, answer: &Message) {
        self.renew(dialog_key(answer), now + lifetime(answer));
    }

    fn renew(&mut self, key: u64, expires_at: Instant) {
        if let Some(dialog) = self.running.get_mut(&key) {
            self.expiries.remove(&(dialog.expires_at, key));
            dialog.expires_at = expires_at;
            self.expiries.insert((expires_at, key));
        }
    }

    /// The call's places, which it gives up before it ends.
    pub(super) fn vacate(&mut self, key: u64) -> Held {
        let dialog = self.running.get_mut(&key);
        dialog
            .map(|dialog| std::mem::take(&mut dialog.held))
            .unwrap_or_default()
    }

    /// Ends the call with this [`dialog_key`]: gives back its places.
    pub(super) fn end(&mut self, key: u64) -> Held {
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
        (at <= now).then(|| self.end(key))
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }
}

/// How long a call lives after this 2xx, if nothing more is heard of it.
fn lifetime(answer: &Message) -> Duration {
    match answer.get::<SessionExpires>() {
        Some(Ok(SessionExpires { seconds, .. })) if (1..=SESSION_EXPIRES_MAX_S).contains(&seconds) => {
            Duration::from_secs(seconds.max(SESSION_EXPIRES_MIN_S).into())
        }
        _ => AGE_MAX,
    }
}

/// The same for both sides. A Call-ID alone is anybody's who has seen it, and forks share it.
pub(super) fn dialog_key(message: &Message) -> u64 {
    let (from, to) = (message.from_tag(), message.to_tag());
    let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
    let call_id = message.first(HeaderName::CallId).unwrap_or_default();
    hash(&[call_id, from.min(to), from.max(to)])
}
