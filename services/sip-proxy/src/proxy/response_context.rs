//! One proxied request and its branches (RFC 3261 §16.7).
//!
//! ```text
//!               ┌── 408, 5xx, silence: the next target ──┐
//!               ▼                                        │
//!   start ──► Proceeding ────────────────────────────────┘   (also busy, no answer, offline, where the number says so)
//!               │ │ │ └── 2xx: forward, cancel the others ──────────────► Answered
//!               │ │ └──── other final, no target left: forward the best ► Refused
//!               │ └────── timer C: cancel ► RangOut ── final: 408 ──────► Refused
//!               └──────── CANCEL: cancel ► Cancelled ── final, silence ─► Refused
//! ```
//!
//! A user's phones ring together with the user's browsers: those are branches at one time, the first 2xx cancels the others,
//! and without one the best answer counts.
//!
//! A 2xx always goes on while the caller can take it, also in RangOut and Cancelled and from a branch that was given up
//! for the next carrier. In Refused the caller has its final answer: then the proxy acknowledges the late 2xx itself and
//! sends BYE, so that no carrier bills a call that nobody hears.

use super::forward::{Backward, Forward};
use super::identity::{Audience, Disclosure};
use super::limits::{CountedUser, Held, Slot};
use super::output::CarrierFailure;
use super::own_route::Party;
use super::phone_calls::PhoneRef;
use crate::dial_plan::{CarrierId, Unanswered};
use bytes::Bytes;
use offhook_call_trace::{CallId, Hop};
use offhook_sip::digest::Authenticator;
use offhook_sip::transaction::ClientTransactionId;
use offhook_sip_message::{HeaderValue, Message, Method, StatusCode, UriBuf};
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A request that is being proxied.
#[derive(Debug)]
pub(super) struct ResponseContext {
    /// As it came in.
    pub(super) request: Message,
    pub(super) state: State,
    pub(super) scope: Scope,
    pub(super) call: Option<CallId>,
    pub(super) upstream: Hop,
    pub(super) downstream: Hop,
    /// What the caller's side may know of the called one.
    pub(super) upstream_audience: Audience,
    /// When the next destination of a number is tried.
    pub(super) hunt: Option<Hunt>,
    /// The destination that rings has had its time and is being cancelled; the next one follows.
    pub(super) giving_up: bool,
    /// Redirects followed so far.
    pub(super) redirects: usize,
    /// What the call takes up of the carrier or the user that it came from.
    pub(super) held: Option<Slot>,
    /// What it takes up of the user who is being tried, with the group of the user's targets.
    pub(super) called: Option<(usize, Slot)>,
    /// How the request is changed, whatever its target.
    pub(super) forward: Forward,
    /// Not tried yet, the next one last.
    pub(super) targets: SmallVec<[Target; 1]>,
    pub(super) branches: SmallVec<[Branch; 1]>,
    pub(super) best: Option<Outcome>,
    /// The next response to the caller repeats one that is in the trace already.
    pub(super) repeats: bool,
    /// Several targets ring at once: the best of their answers counts, not the last.
    pub(super) forked: bool,
    /// Timer C.
    pub(super) ring_deadline: Option<Instant>,
    /// The call that this BYE ends, by its key among the dialogs.
    pub(super) ends: Option<u64>,
    /// Client transactions that still exist.
    pub(super) live_branches: usize,
    /// The server transaction still exists.
    pub(super) has_server: bool,
}

/// See the diagram above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Proceeding,
    RangOut,
    Cancelled,
    Answered,
    Refused,
}

/// What kind of request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Begins a call: we record-route it and may try several targets.
    Initial,
    /// Belongs to a call: it has one next hop.
    InDialog,
}

/// Where a request can go.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// `None`: the carrier's name is not resolved.
    pub(super) address: Option<SocketAddr>,
    pub(super) carrier: Option<CarrierId>,
    pub(super) request_uri: Option<UriBuf>,
    /// Targets of one group are ways to the same destination.
    pub(super) group: usize,
    /// What is there.
    pub(super) side: Side,
    /// Which phone, if it is one.
    pub(super) phone: Option<PhoneRef>,
    /// Whose calls are counted there.
    pub(super) user: Option<CountedUser>,
}

impl Target {
    /// Who is there, for Record-Route.
    pub(super) fn party(&self) -> Party {
        match (self.phone, self.side) {
            (Some(phone), _) => Party::Phone(phone.number),
            (None, Side::User) => Party::Vsp,
            (None, Side::Phone | Side::Outside) => Party::Outside,
        }
    }
}

/// What is at a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// A user of ours, at a VSP.
    User,
    /// A phone of a user; it rings together with what was tried before it.
    Phone,
    /// A carrier, or who knows what in a dialog.
    Outside,
}

/// How the destinations of a number are tried one after the other.
#[derive(Debug)]
pub(super) struct Hunt {
    /// How long each may ring.
    pub(super) ring_timeout: Option<Duration>,
    /// What makes us go on.
    pub(super) next_on: SmallVec<[Unanswered; 4]>,
}

/// What follows when a target did not take a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The next target.
    Next,
    /// There is none; the best of all answers goes to the caller.
    Exhausted,
    /// This answer goes to the caller.
    Stop,
}

/// One attempt.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) id: ClientTransactionId,
    pub(super) target: Target,
    pub(super) forward: Forward,
    /// Answers this branch's challenges, once it was challenged.
    pub(super) authenticator: Option<Authenticator>,
    pub(super) progress: Progress,
    /// A 18x came.
    pub(super) rang: bool,
    /// The place that it takes at its carrier.
    pub(super) held: Option<Slot>,
}

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// No final response yet.
    Pending,
    /// Failed, or given up for the next target.
    Over,
    /// Answered with 2xx after the caller had been refused: BYE is sent.
    Hung,
}

/// How an attempt ended, if not with 2xx.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// The target's final response.
    Response(ClientTransactionId, Message),
    /// Ours, for want of one.
    Own(StatusCode),
    /// The carrier has as many calls as it may have.
    Full,
}

impl Outcome {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Response(_, response) => response.status().unwrap_or(StatusCode::SERVER_INTERNAL_ERROR),
            Self::Own(status) => *status,
            Self::Full => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Lower is better (§16.7 step 6): 6xx, then the lowest class, and 503 after all others. Within 4xx, who is busy is
    /// more to hear of than who did not answer, and that more than who is not there.
    fn rank(&self) -> u16 {
        match self.status().code() {
            600.. => 0,
            503 => 600,
            480 => 410,
            408 => 420,
            404 | 410 => 430,
            code => code / 100 * 100,
        }
    }

    /// The better of two; the earlier one if they are equal.
    pub(super) fn better(earlier: Option<Self>, later: Self) -> Self {
        match earlier {
            Some(earlier) if earlier.rank() <= later.rank() => earlier,
            _ => later,
        }
    }

    /// Whether another target may do better: 408 and 5xx say nothing about the callee.
    pub(super) fn is_failover(&self) -> bool {
        matches!(self.status().code(), 408 | 500..600)
    }
}

impl ResponseContext {
    pub(super) fn new(request: Message, scope: Scope, forward: Forward, hops: (Hop, Hop)) -> Self {
        let (upstream, downstream) = hops;
        Self {
            request,
            state: State::Proceeding,
            scope,
            call: forward.call.clone(),
            upstream,
            downstream,
            upstream_audience: Audience::default(),
            hunt: None,
            giving_up: false,
            redirects: 0,
            held: None,
            called: None,
            forward,
            targets: SmallVec::new(),
            branches: SmallVec::new(),
            best: None,
            repeats: false,
            forked: false,
            ring_deadline: None,
            ends: None,
            live_branches: 0,
            has_server: true,
        }
    }

    pub(super) fn branch(&mut self, id: ClientTransactionId) -> Option<&mut Branch> {
        self.branches.iter_mut().find(|branch| branch.id == id)
    }

    pub(super) fn pending(&self) -> SmallVec<[ClientTransactionId; 2]> {
        let pending = self
            .branches
            .iter()
            .filter(|branch| branch.progress == Progress::Pending);
        pending.map(|branch| branch.id).collect()
    }

    /// What follows when this branch ended so. Targets that are passed over are gone.
    pub(super) fn next_step(&mut self, id: ClientTransactionId, outcome: &Outcome) -> Step {
        let Some(branch) = self.branch(id) else {
            return Step::Stop;
        };
        let (group, side, rang) = (branch.target.group, branch.target.side, branch.rang);
        let status = outcome.status();
        // Another VSP may have the user's session; another carrier has its own luck.
        let absent = side != Side::Outside && !rang && matches!(status.code(), 404 | 480);
        let other_way = !self.giving_up && (outcome.is_failover() || absent);
        if other_way && self.targets.last().is_some_and(|next| next.group == group) {
            return Step::Next;
        }
        self.targets.retain(|target| target.group != group);
        match &self.hunt {
            Some(hunt) => match Unanswered::of(status, rang || self.giving_up) {
                Some(why) if !hunt.next_on.contains(&why) => Step::Stop,
                None => Step::Stop,
                Some(_) if self.targets.is_empty() => Step::Exhausted,
                Some(_) => Step::Next,
            },
            None if outcome.is_failover() || self.best.is_some() && absent => Step::Exhausted,
            None => Step::Stop,
        }
    }

    /// The branch ended so while others ring: whether one more VSP of the user may be asked now.
    pub(super) fn asks_next(&mut self, id: ClientTransactionId, outcome: &Outcome) -> bool {
        let group = self.branch(id).map(|branch| branch.target.group);
        let goes_on = outcome.is_failover() || matches!(outcome.status().code(), 404 | 480);
        let next = self.targets.last().map(|next| next.group);
        self.state == State::Proceeding && !self.giving_up && goes_on && next.is_some() && next == group
    }

    /// The response to a request of this context, as its sender gets it.
    pub(super) fn backward(&self, id: ClientTransactionId, response: &Message) -> Option<Bytes> {
        let upstream_audience = self.upstream_audience;
        let branch = self.branches.iter().find(|branch| branch.id == id)?;
        let has_tag = || response.to_tag().is_some();
        let forms_dialog = || response.status().is_some_and(|status| status.code() < 300) && has_tag();
        let backward = Backward {
            request: &self.request,
            disclosure: Disclosure {
                audience: upstream_audience,
                from_carrier: branch.forward.disclosure.audience != Audience::Vsp,
                latching: branch.forward.disclosure.latching,
                ..Disclosure::default()
            },
            record_route: branch.forward.record_route.as_ref().filter(|_| forms_dialog()),
        };
        backward.apply(response)
    }

    /// What it takes up until it is answered, given back.
    pub(super) fn take_held(&mut self) -> Held {
        let called = self.called.take().map(|(_, slot)| slot);
        self.held.take().into_iter().chain(called).collect()
    }

    /// Whether the caller still waits for its final response.
    pub(super) fn is_unanswered(&self) -> bool {
        !matches!(self.state, State::Answered | State::Refused)
    }

    pub(super) fn is_invite(&self) -> bool {
        self.request.method() == Some(&Method::Invite)
    }

    /// Whether nothing refers to it any more.
    pub(super) fn is_over(&self) -> bool {
        !self.has_server && self.live_branches == 0
    }
}

/// What the caller gets in place of what the targets said.
pub(super) struct Substitute {
    pub(super) status: StatusCode,
    /// What was said, for whoever reads the answer (RFC 3326).
    pub(super) reason: Option<HeaderValue>,
}

/// §16.7 step 6: a 503 is ours alone to know, and so are challenges of a carrier, which the caller could not answer.
/// Our own limits are ours to tell.
pub(super) fn substitute(outcome: &Outcome) -> Option<Substitute> {
    let status = outcome.status();
    let instead = match status {
        _ if matches!(outcome, Outcome::Full) => return None,
        StatusCode::SERVICE_UNAVAILABLE => StatusCode::SERVER_INTERNAL_ERROR,
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => StatusCode::BAD_GATEWAY,
        _ => return None,
    };
    let reason = format!("SIP;cause={status};text=\"{}\"", status.phrase());
    Some(Substitute {
        status: instead,
        reason: HeaderValue::new(reason).ok(),
    })
}

impl CarrierFailure {
    pub(super) fn is_credentials(self) -> bool {
        matches!(self, Self::Credentials(_) | Self::NoCredentials)
    }

    /// How the attempt counts among the others.
    pub(super) fn outcome(self) -> Outcome {
        Outcome::Own(match self {
            Self::Full => return Outcome::Full,
            Self::Silent => StatusCode::REQUEST_TIMEOUT,
            Self::Unresolved | Self::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Credentials(_) | Self::NoCredentials => StatusCode::BAD_GATEWAY,
            Self::Status(status) => status,
        })
    }
}
