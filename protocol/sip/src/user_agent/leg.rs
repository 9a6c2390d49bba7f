//! The state of one call.

use super::api::{Body, OutgoingRequest, RequestId};
use crate::dialog::{Dialog, DialogId};
use crate::digest::Authenticator;
use crate::extra_header::Header;
use crate::flow::Flow;
use crate::transaction::{ClientTransactionId, ServerTransactionId};
use offhook_sip_message::{HeaderValue, Message, UriBuf};
use std::time::{Duration, Instant};

/// Early dialogs of one INVITE that are kept: as many phones as a fork may ring. Provisional responses of further forks
/// are still reported.
pub(super) const EARLY_DIALOGS_MAX: usize = 16;

/// Longest that an INVITE may stay unanswered, in either direction: no network rings longer (timer C of proxies is
/// 3 minutes or more), and a call whose CANCEL got lost must not ring for ever.
pub(super) const RING_MAX: Duration = Duration::from_secs(600);

/// Requests of one call that wait for the owner at a time: one offer and a burst of INFOs. Over it they get 500.
pub(super) const PENDING_MAX: usize = 16;

/// How often a re-INVITE is tried again after 491 before its 491 stands.
pub(super) const GLARE_RETRIES_MAX: u32 = 5;

/// One call. What its INVITE and its dialog have agreed on is in `state`.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) state: State,
    /// Added to every message of the call.
    pub(super) sticky: Vec<Header>,
    /// Where requests go when the dialog's next hop is a name.
    pub(super) flow: Flow,
    pub(super) auth: Option<Authenticator>,
    /// Their requests that wait for the owner; at most [`PENDING_MAX`].
    pub(super) pending: Vec<ServerTransactionId>,
}

/// ```text
///   invite() ─► Calling ──── 2xx ────► Confirmed ── bye(), BYE, no ACK ─► Closing ─► gone
///                  └ failure ─► gone      ▲                                  ▲
///   INVITE ───► Ringing ──── 2xx ─────────┘      2xx after cancel, 2xx of ───┘
///                  └ failure ─► gone             another fork
/// ```
#[derive(Debug)]
pub(super) enum State {
    /// Our INVITE has no final answer.
    Calling(Box<Calling>),
    /// Their INVITE has no final answer.
    Ringing {
        invite: ServerTransactionId,
        dialog: Box<Dialog>,
        /// See [`RING_MAX`].
        until: Instant,
    },
    /// Answered.
    Confirmed(Box<Confirmed>),
    /// Over for the owner; a BYE of ours is on its way or waits for an ACK (§15).
    Closing(Box<Closing>),
}

/// An INVITE of ours without final answer.
#[derive(Debug)]
pub(super) struct Calling {
    pub(super) transaction: ClientTransactionId,
    pub(super) plan: InvitePlan,
    pub(super) early: Vec<Dialog>,
    pub(super) cancelled: bool,
    /// See [`RING_MAX`].
    pub(super) until: Instant,
}

/// Everything to build the INVITE again with credentials.
#[derive(Debug)]
pub(super) struct InvitePlan {
    pub(super) request_uri: UriBuf,
    pub(super) from: HeaderValue,
    pub(super) to: HeaderValue,
    pub(super) call_id: String,
    pub(super) cseq: u32,
    pub(super) headers: Vec<Header>,
    pub(super) body: Option<Body>,
    pub(super) give_up_after: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Confirmed {
    pub(super) dialog: Dialog,
    /// We made the Call-ID: decides who waits longer after 491 (§14.1).
    pub(super) is_caller: bool,
    /// A 2xx of theirs whose offer the owner has to answer in the ACK.
    pub(super) ack_due: Option<AckDue>,
    /// A 2xx of ours that is repeated until its ACK comes.
    pub(super) unacked: Option<Unacked>,
    pub(super) reinvite: Option<Reinvite>,
    /// Their re-INVITE or UPDATE with an offer that the owner has not answered.
    pub(super) offer: Option<ServerTransactionId>,
}

impl Confirmed {
    pub(super) fn new(dialog: Dialog, is_caller: bool) -> Self {
        Self {
            dialog,
            is_caller,
            ack_due: None,
            unacked: None,
            reinvite: None,
            offer: None,
        }
    }

    /// Whether a re-INVITE of ours waits for its final answer.
    pub(super) fn has_reinvite_out(&self) -> bool {
        self.reinvite
            .as_ref()
            .is_some_and(|reinvite| matches!(reinvite.phase, ReinvitePhase::Sent(_)))
    }
}

/// Which ACK is owed.
#[derive(Debug, Clone, Copy)]
pub(super) struct AckDue {
    pub(super) transaction: ClientTransactionId,
    pub(super) cseq: u32,
}

#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) transaction: ServerTransactionId,
    pub(super) cseq: u32,
    pub(super) response: Message,
    pub(super) interval: Duration,
    pub(super) repeat_at: Instant,
    pub(super) give_up_at: Instant,
}

/// A re-INVITE of ours.
#[derive(Debug)]
pub(super) struct Reinvite {
    pub(super) request: RequestId,
    pub(super) outgoing: OutgoingRequest,
    pub(super) retries: u32,
    pub(super) phase: ReinvitePhase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReinvitePhase {
    Sent(ClientTransactionId),
    /// After 491.
    Waiting {
        until: Instant,
    },
}

#[derive(Debug)]
pub(super) struct Closing {
    pub(super) dialog: Dialog,
    pub(super) headers: Vec<Header>,
    pub(super) phase: ClosingPhase,
}

#[derive(Debug)]
pub(super) enum ClosingPhase {
    /// BYE may go only when the ACK to our 2xx came, or never will (§15).
    AwaitingAck(Unacked),
    ByeSent,
}

impl From<Option<Unacked>> for ClosingPhase {
    fn from(unacked: Option<Unacked>) -> Self {
        unacked.map_or(Self::ByeSent, Self::AwaitingAck)
    }
}

impl Leg {
    /// The dialogs under which requests for this call arrive.
    pub(super) fn dialog_ids(&self) -> Vec<DialogId> {
        match &self.state {
            State::Calling(calling) => calling.early.iter().map(|dialog| dialog.id.clone()).collect(),
            State::Ringing { dialog, .. } => vec![dialog.id.clone()],
            State::Confirmed(confirmed) => vec![confirmed.dialog.id.clone()],
            State::Closing(closing) => vec![closing.dialog.id.clone()],
        }
    }

    /// The dialog of the call: the confirmed one, or the only early one.
    pub(super) fn dialog(&self) -> Option<&Dialog> {
        match &self.state {
            State::Calling(calling) => match calling.early.as_slice() {
                [only] => Some(only),
                _ => None,
            },
            State::Ringing { dialog, .. } => Some(dialog),
            State::Confirmed(confirmed) => Some(&confirmed.dialog),
            State::Closing(closing) => Some(&closing.dialog),
        }
    }

    /// The 2xx that waits for its ACK, in whatever state the call is.
    pub(super) fn unacked(&mut self) -> Option<&mut Unacked> {
        match &mut self.state {
            State::Confirmed(confirmed) => confirmed.unacked.as_mut(),
            State::Closing(closing) => match &mut closing.phase {
                ClosingPhase::AwaitingAck(unacked) => Some(unacked),
                ClosingPhase::ByeSent => None,
            },
            State::Calling(_) | State::Ringing { .. } => None,
        }
    }

    /// Whether the wait after a 491 is over.
    pub(super) fn glare_over(&self, now: Instant) -> bool {
        let State::Confirmed(confirmed) = &self.state else {
            return false;
        };
        confirmed.reinvite.as_ref().is_some_and(
            |reinvite| matches!(reinvite.phase, ReinvitePhase::Waiting { until } if until <= now),
        )
    }

    /// When the call needs the clock next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let (unacked, reinvite) = match &self.state {
            State::Confirmed(confirmed) => (confirmed.unacked.as_ref(), confirmed.reinvite.as_ref()),
            State::Closing(closing) => match &closing.phase {
                ClosingPhase::AwaitingAck(unacked) => (Some(unacked), None),
                ClosingPhase::ByeSent => (None, None),
            },
            State::Calling(calling) => return (!calling.cancelled).then_some(calling.until),
            State::Ringing { until, .. } => return Some(*until),
        };
        let repeat = unacked.map(|unacked| unacked.repeat_at.min(unacked.give_up_at));
        let glare = reinvite.and_then(|reinvite| match reinvite.phase {
            ReinvitePhase::Waiting { until } => Some(until),
            ReinvitePhase::Sent(_) => None,
        });
        repeat.into_iter().chain(glare).min()
    }
}
