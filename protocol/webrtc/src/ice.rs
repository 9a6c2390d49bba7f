//! ICE for a server that never sends a check (RFC 8445 §2.5): the lite agent.
//!
//! ```text
//! Waiting ─ check with USE-CANDIDATE ─► Connected ─ silence ─► Connected, consent lost ─ check ─► Connected
//!    └──── ICE timeout ─► Failed
//! ```
//!
//! The peer is controlling, so it decides: we answer its authenticated checks, remember the addresses that they come
//! from (peer-reflexive all, which is why remote candidates are not needed, however many the SDP lists), and send media
//! to the one it nominates. It may nominate another at any time.

use std::fmt;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use smallvec::SmallVec;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Path;
use crate::stun::{BindingRequest, ErrorCode, Message};

/// Most addresses of one peer that are kept. A browser has a few interfaces, each behind a NAT; the one heard of least
/// recently gives way.
pub const PATHS_MAX: usize = 8;

const UFRAG_LEN: usize = 16;
const PWD_LEN: usize = 32;
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Username fragment and password of one side (RFC 8445 §5.3). The password is wiped on drop and not shown by Debug.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct IceCredentials {
    /// `a=ice-ufrag`: 4 to 256 characters of `[A-Za-z0-9+/]`.
    pub ufrag: String,
    /// `a=ice-pwd`: 22 to 256 characters of the same.
    pub pwd: String,
}

impl IceCredentials {
    /// Fresh ones: 16 characters of ufrag (96 bits, so that it can serve as a demultiplexing key), 32 of password.
    pub fn generate(rng: &mut StdRng) -> Self {
        let mut text = |len: usize| -> String {
            (0..len)
                .map(|_| char::from(ICE_CHARS[usize::from(rng.random::<u8>() % 64)]))
                .collect()
        };
        Self {
            ufrag: text(UFRAG_LEN),
            pwd: text(PWD_LEN),
        }
    }
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("IceCredentials")
            .field("ufrag", &self.ufrag)
            .finish_non_exhaustive()
    }
}

/// Time limits of the agent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) ice_timeout: Duration,
    pub(crate) consent_timeout: Duration,
}

/// What the agent reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    PathAdded(Path),
    PathRemoved(Path),
    /// The first nomination.
    Connected(Path),
    /// A later one, of another path.
    Selected(Path),
    ConsentLost,
    ConsentRegained,
    /// No nomination in this time.
    TimedOut(Duration),
}

/// A message may add a path, remove one, select one, and bring consent back.
pub(crate) type Changes = SmallVec<[Change; 4]>;

/// What became of a STUN message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// An authentic check, or an indication.
    Taken,
    /// Not a message for us.
    BadMessage,
    /// USERNAME or MESSAGE-INTEGRITY missing or wrong; answered.
    BadIntegrity,
}

/// The agent.
#[derive(Debug)]
pub(crate) struct LiteAgent {
    limits: Limits,
    credentials: IceCredentials,
    /// Those before a restart, while the peer has not yet nominated under the new ones.
    previous: Option<IceCredentials>,
    state: State,
    paths: SmallVec<[Heard; 2]>,
    checks: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// No nomination yet; the deadline comes with the peer's parameters.
    Waiting {
        deadline: Option<Instant>,
    },
    Connected {
        selected: Path,
        last_check: Instant,
        consent: bool,
        contender: Option<Path>,
    },
    Failed,
}

/// A path on which an authentic check came.
#[derive(Debug, Clone, Copy)]
struct Heard {
    path: Path,
    last_check: Instant,
    /// PRIORITY of the last check.
    priority: u32,
}

impl LiteAgent {
    pub(crate) fn new(limits: Limits, credentials: IceCredentials) -> Self {
        Self {
            limits,
            credentials,
            previous: None,
            state: State::Waiting { deadline: None },
            paths: SmallVec::new(),
            checks: 0,
        }
    }

    /// An agent that goes on with a connected path; consent counts from now.
    pub(crate) fn resume(limits: Limits, credentials: IceCredentials, path: Path, now: Instant) -> Self {
        let state = State::Connected {
            selected: path,
            last_check: now,
            consent: true,
            contender: None,
        };
        let paths = [Heard {
            path,
            last_check: now,
            priority: 0,
        }]
        .into_iter()
        .collect();
        Self {
            state,
            paths,
            ..Self::new(limits, credentials)
        }
    }

    pub(crate) fn credentials(&self) -> &IceCredentials {
        &self.credentials
    }

    pub(crate) fn previous_credentials(&self) -> Option<&IceCredentials> {
        self.previous.as_ref()
    }

    /// Authentic checks so far.
    pub(crate) fn checks(&self) -> u64 {
        self.checks
    }

    /// Starts the time within which the peer has to nominate; without effect once it has.
    pub(crate) fn expect_peer(&mut self, now: Instant) {
        if let State::Waiting {
            deadline: deadline @ None,
        } = &mut self.state
        {
            *deadline = Some(now + self.limits.ice_timeout);
        }
    }

    /// New credentials (RFC 8445 §9). The old ones still answer until the peer nominates under the new ones.
    pub(crate) fn restart(&mut self, credentials: IceCredentials) {
        let current = std::mem::replace(&mut self.credentials, credentials);
        // A second restart before that: the peer may still be checking with the oldest ones.
        self.previous.get_or_insert(current);
    }

    /// Where media goes; None before the first nomination and while consent is lost.
    pub(crate) fn sending_path(&self) -> Option<Path> {
        match self.state {
            State::Connected {
                selected,
                consent: true,
                ..
            } => Some(selected),
            _ => None,
        }
    }

    /// Where media goes or went.
    pub(crate) fn selected_path(&self) -> Option<Path> {
        match self.state {
            State::Connected { selected, .. } => Some(selected),
            _ => None,
        }
    }

    /// Whether an authentic check came on this path.
    pub(crate) fn knows(&self, path: Path) -> bool {
        self.paths.iter().any(|heard| heard.path == path)
    }

    /// What comes on this path is no longer the peer's, until the next authentic check from there.
    pub(crate) fn forget(&mut self, path: Path) {
        self.paths.retain(|heard| heard.path != path);
    }

    /// Takes a STUN message; the second value is the answer to send back on the same path.
    pub(crate) fn handle_message(
        &mut self,
        now: Instant,
        path: Path,
        bytes: &[u8],
        changes: &mut Changes,
    ) -> (Verdict, Option<Vec<u8>>) {
        let request = match Message::parse(bytes) {
            Ok(Message::Request(request)) => request,
            Ok(Message::Indication) => return (Verdict::Taken, None),
            Err(_) => return (Verdict::BadMessage, None),
        };
        let is_current = match self.authenticate(&request) {
            Ok(is_current) => is_current,
            Err(code) => return (Verdict::BadIntegrity, Some(request.refuse(code, None))),
        };
        let pwd = match &self.previous {
            Some(previous) if !is_current => &previous.pwd,
            _ => &self.credentials.pwd,
        };
        if !request.unknown.is_empty() {
            return (
                Verdict::Taken,
                Some(request.refuse(ErrorCode::UnknownAttribute, Some(pwd))),
            );
        }
        if request.claims_controlled {
            // A lite agent is always controlled (RFC 8445 §6.1.1); this makes the peer take the other role.
            return (
                Verdict::Taken,
                Some(request.refuse(ErrorCode::RoleConflict, Some(pwd))),
            );
        }
        let answer = request.accept(path.remote, pwd);
        self.hear(now, path, request.priority, changes);
        if request.use_candidate {
            self.nominate(now, path, request.priority, is_current, changes);
        }
        self.renew_consent(now, path, changes);
        (Verdict::Taken, Some(answer))
    }

    /// Runs timers that are due.
    pub(crate) fn handle_timeout(&mut self, now: Instant, changes: &mut Changes) {
        match &mut self.state {
            State::Waiting {
                deadline: Some(deadline),
            } if *deadline <= now => {
                self.state = State::Failed;
                changes.push(Change::TimedOut(self.limits.ice_timeout));
            }
            State::Connected {
                last_check, consent, ..
            } if *consent && *last_check + self.limits.consent_timeout <= now => {
                *consent = false;
                changes.push(Change::ConsentLost);
            }
            _ => {}
        }
        let (selected, max_age) = (self.selected_path(), self.limits.consent_timeout);
        self.paths.retain(|heard| {
            let keep = Some(heard.path) == selected || heard.last_check + max_age > now;
            if !keep {
                changes.push(Change::PathRemoved(heard.path));
            }
            keep
        });
    }

    /// When the next timer is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let state = match self.state {
            State::Waiting { deadline } => deadline,
            State::Connected {
                last_check,
                consent: true,
                ..
            } => Some(last_check + self.limits.consent_timeout),
            State::Connected { .. } | State::Failed => None,
        };
        let selected = self.selected_path();
        let others = self.paths.iter().filter(|heard| Some(heard.path) != selected);
        let oldest = others
            .map(|heard| heard.last_check + self.limits.consent_timeout)
            .min();
        [state, oldest].into_iter().flatten().min()
    }

    /// Which credentials the request was made with: the current ones (true) or those before a restart.
    fn authenticate(&self, request: &BindingRequest<'_>) -> Result<bool, ErrorCode> {
        let username = request
            .username
            .filter(|_| request.has_integrity())
            .ok_or(ErrorCode::BadRequest)?;
        let ours = username.split_once(':').map_or(username, |(ours, _)| ours);
        let is_ours = |known: &IceCredentials| known.ufrag == ours && request.is_authentic(&known.pwd);
        if is_ours(&self.credentials) {
            Ok(true)
        } else if self.previous.as_ref().is_some_and(is_ours) {
            Ok(false)
        } else {
            Err(ErrorCode::Unauthenticated)
        }
    }

    /// Remembers the path.
    fn hear(&mut self, now: Instant, path: Path, priority: u32, changes: &mut Changes) {
        self.checks += 1;
        let heard = Heard {
            path,
            last_check: now,
            priority,
        };
        if let Some(known) = self.paths.iter_mut().find(|known| known.path == path) {
            *known = heard;
            return;
        }
        if self.paths.len() == PATHS_MAX {
            let selected = self.selected_path();
            let candidates = self
                .paths
                .iter()
                .enumerate()
                .filter(|(_, known)| Some(known.path) != selected);
            if let Some((oldest, _)) = candidates.min_by_key(|(_, known)| known.last_check) {
                changes.push(Change::PathRemoved(self.paths.remove(oldest).path));
            }
        }
        self.paths.push(heard);
        changes.push(Change::PathAdded(path));
    }

    /// Selects the path, or lets it wait for a second nomination.
    ///
    /// A peer that nominates aggressively sends USE-CANDIDATE on every pair, by turns (RFC 8445 §8.1.1 lets the highest
    /// priority win), and one that has moved sends it on the new pair alone, whatever its priority. So a lower priority
    /// wins when it is nominated twice without the selected path being nominated in between. After an ICE restart, and
    /// while consent is lost, there is nothing to compare with: the first nomination counts.
    fn nominate(&mut self, now: Instant, path: Path, priority: u32, is_current: bool, changes: &mut Changes) {
        let is_restart = is_current && self.previous.take().is_some();
        match &mut self.state {
            State::Failed => {}
            State::Waiting { .. } => {
                self.state = State::Connected {
                    selected: path,
                    last_check: now,
                    consent: true,
                    contender: None,
                };
                changes.push(Change::Connected(path));
            }
            State::Connected {
                selected, contender, ..
            } if *selected == path => *contender = None,
            State::Connected {
                selected,
                contender,
                last_check,
                consent,
            } => {
                let current = self.paths.iter().find(|heard| heard.path == *selected);
                let is_better =
                    is_restart || !*consent || current.is_none_or(|current| priority >= current.priority);
                if is_better || *contender == Some(path) {
                    (*selected, *contender, *last_check) = (path, None, now);
                    changes.push(Change::Selected(path));
                } else {
                    *contender = Some(path);
                }
            }
        }
    }

    /// A check on the selected path is the peer's consent to go on (RFC 7675 §5.1, seen from the answering side).
    fn renew_consent(&mut self, now: Instant, path: Path, changes: &mut Changes) {
        if let State::Connected {
            selected,
            last_check,
            consent,
            ..
        } = &mut self.state
            && *selected == path
        {
            *last_check = now;
            if !*consent {
                *consent = true;
                changes.push(Change::ConsentRegained);
            }
        }
    }
}

#[cfg(test)]
mod tests;
