//! Calls that run, for draining, a gauge and the limits of carriers. Routing needs none of this: it is in Record-Route.

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

/// All running calls by hash of their Call-ID.
#[derive(Debug, Default)]
pub(super) struct Dialogs {
    running: HashMap<u64, Dialog>,
    expiries: BTreeSet<(Instant, u64)>,
}

#[derive(Debug)]
struct Dialog {
    expires_at: Instant,
    held: Held,
}

impl Dialogs {
    pub(super) fn len(&self) -> usize {
        self.running.len()
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
        let expires_at = now + lifetime(answer);
        self.expiries.insert((expires_at, key));
        let dialog = Dialog {
            expires_at,
            held: joined,
        };
        self.running.insert(key, dialog);
        Held::new()
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
        let key = dialog_key(request);
        let Some(dialog) = self.running.remove(&key) else {
            return Held::new();
        };
        self.expiries.remove(&(dialog.expires_at, key));
        dialog.held
    }

    /// The places of the next call whose session has expired: both ends have given it up by now.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Held> {
        let (at, key) = self.expiries.first().copied()?;
        if at > now {
            return None;
        }
        self.expiries.pop_first();
        Some(
            self.running
                .remove(&key)
                .map(|dialog| dialog.held)
                .unwrap_or_default(),
        )
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
