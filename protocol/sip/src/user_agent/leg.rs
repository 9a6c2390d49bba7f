//! The state of one call.

use super::api::{Body, LegId, OutgoingRequest, RequestId};
use super::refer::Transfers;
use super::reliable::{EarlyDialog, PrackDue, Provisionals};
use super::session_timer::Session;
use crate::dialog::{Dialog, DialogId};
use crate::digest::Authenticator;
use crate::extra_header::Header;
use crate::flow::Flow;
use crate::transaction::{ClientTransactionId, ServerTransactionId};
use offhook_sip_message::{HeaderName, HeaderValue, Message, Method, UriBuf};
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
    /// A re-INVITE of ours, or an UPDATE with an offer.
    pub(super) own_offer: Option<OwnOffer>,
    /// Their re-INVITE or UPDATE with an offer that the owner has not answered.
    pub(super) offer: Option<ServerTransactionId>,
    /// Our side of the session as it was agreed on last, to be sent again when the session is refreshed.
    pub(super) local_sdp: Option<Body>,
    pub(super) peer: Abilities,
    pub(super) session: Session,
    /// Our reliable provisional responses to their INVITE.
    pub(super) provisionals: Option<Box<Provisionals>>,
    pub(super) transfers: Transfers,
    /// The call that this one takes the place of (RFC 3891).
    pub(super) replaces: Option<LegId>,
}

/// What the other side said that it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Abilities {
    /// Allow names UPDATE.
    pub(super) update: bool,
    /// There was an Allow, and it does not name REFER.
    pub(super) no_refer: bool,
}

impl Abilities {
    /// Takes note of Allow, where a message has it.
    pub(super) fn learn(&mut self, message: &Message) {
        if message.has(HeaderName::Allow) {
            self.update = message.lists(HeaderName::Allow, "UPDATE");
            self.no_refer = !message.lists(HeaderName::Allow, "REFER");
        }
    }
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
        /// The caller knows our tag: requests can go to it.
        tagged: bool,
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
    pub(super) early: Vec<EarlyDialog>,
    pub(super) cancelled: bool,
    /// A reliable provisional response with an offer that the owner has to answer in the PRACK.
    pub(super) prack_due: Option<PrackDue>,
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
}

impl Confirmed {
    pub(super) fn new(dialog: Dialog, is_caller: bool) -> Self {
        Self {
            dialog,
            is_caller,
            ack_due: None,
            unacked: None,
        }
    }

    /// The call that we placed with `invite`, whose 2xx waits for its ACK.
    pub(super) fn unacknowledged(dialog: Dialog, invite: ClientTransactionId, cseq: u32) -> Self {
        Self {
            ack_due: Some(AckDue {
                transaction: invite,
                cseq,
            }),
            ..Self::new(dialog, true)
        }
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

/// A re-INVITE of ours, or an UPDATE with an offer.
#[derive(Debug)]
pub(super) struct OwnOffer {
    /// `None`: the user agent's own refresh of the session.
    pub(super) request: Option<RequestId>,
    pub(super) outgoing: OutgoingRequest,
    pub(super) retries: u32,
    pub(super) phase: OfferPhase,
    /// The 491 that it waits after.
    pub(super) refusal: Option<Message>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfferPhase {
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
    /// A call in `state` that nothing else is known of.
    pub(super) fn new(state: State, flow: Flow, sticky: Vec<Header>) -> Self {
        Self {
            state,
            sticky,
            flow,
            auth: None,
            pending: Vec::new(),
            own_offer: None,
            offer: None,
            local_sdp: None,
            peer: Abilities::default(),
            session: Session::default(),
            provisionals: None,
            transfers: Transfers::default(),
            replaces: None,
        }
    }

    /// The dialogs under which requests for this call arrive.
    pub(super) fn dialog_ids(&self) -> Vec<DialogId> {
        match &self.state {
            State::Calling(calling) => calling
                .early
                .iter()
                .map(|early| early.dialog.id.clone())
                .collect(),
            State::Ringing { dialog, .. } => vec![dialog.id.clone()],
            State::Confirmed(confirmed) => vec![confirmed.dialog.id.clone()],
            State::Closing(closing) => vec![closing.dialog.id.clone()],
        }
    }

    /// The dialog of the call: the confirmed one, or the only early one.
    pub(super) fn dialog(&self) -> Option<&Dialog> {
        match &self.state {
            State::Calling(calling) => match calling.early.as_slice() {
                [only] => Some(&only.dialog),
                _ => None,
            },
            State::Ringing { dialog, .. } => Some(dialog),
            State::Confirmed(confirmed) => Some(&confirmed.dialog),
            State::Closing(closing) => Some(&closing.dialog),
        }
    }

    /// The dialog `id` of the call, early or not.
    pub(super) fn dialog_mut(&mut self, id: &DialogId) -> Option<&mut Dialog> {
        let dialog = match &mut self.state {
            State::Calling(calling) => calling
                .early
                .iter_mut()
                .map(|early| &mut early.dialog)
                .find(|dialog| dialog.id == *id)?,
            State::Ringing { dialog, .. } => dialog,
            State::Confirmed(confirmed) => &mut confirmed.dialog,
            State::Closing(closing) => &mut closing.dialog,
        };
        (dialog.id == *id).then_some(dialog)
    }

    /// Whether the owner may still send and hear of requests within the call.
    pub(super) fn is_live(&self) -> bool {
        !matches!(self.state, State::Closing(_))
    }

    /// Whether the offer of the INVITE is answered for good, so that another may follow (RFC 3311 §5.1).
    pub(super) fn is_agreed(&self) -> bool {
        match &self.state {
            State::Calling(calling) => matches!(calling.early.as_slice(), [only] if only.agreed),
            State::Ringing { .. } => self.provisionals.as_ref().is_some_and(|sent| sent.agreed),
            State::Confirmed(confirmed) => confirmed.ack_due.is_none() && confirmed.unacked.is_none(),
            State::Closing(_) => false,
        }
    }

    /// Whether no offer is open in either direction (§14.1, RFC 3311 §5.1).
    pub(super) fn may_offer(&self) -> bool {
        self.is_agreed() && self.own_offer.is_none() && self.offer.is_none()
    }

    /// Whether an offer of ours waits for its answer. One that waits after a 491 is no obstacle: the waits differ so
    /// that the other side's can come first.
    pub(super) fn has_offer_out(&self) -> bool {
        self.own_offer
            .as_ref()
            .is_some_and(|offer| matches!(offer.phase, OfferPhase::Sent(_)))
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
        self.own_offer
            .as_ref()
            .is_some_and(|offer| matches!(offer.phase, OfferPhase::Waiting { until } if until <= now))
    }

    /// When the call needs the clock next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let repeat = |unacked: &Unacked| unacked.repeat_at.min(unacked.give_up_at);
        let of_state = match &self.state {
            State::Calling(calling) => (!calling.cancelled).then_some(calling.until),
            State::Ringing { until, .. } => Some(*until),
            State::Confirmed(confirmed) => confirmed.unacked.as_ref().map(repeat),
            State::Closing(closing) => {
                return match &closing.phase {
                    ClosingPhase::AwaitingAck(unacked) => Some(repeat(unacked)),
                    ClosingPhase::ByeSent => None,
                };
            }
        };
        let glare = self.own_offer.as_ref().and_then(|offer| match offer.phase {
            OfferPhase::Waiting { until } => Some(until),
            OfferPhase::Sent(_) => None,
        });
        let of_provisionals = self
            .provisionals
            .as_ref()
            .filter(|_| matches!(self.state, State::Ringing { .. }))
            .and_then(|sent| sent.poll_timeout());
        let of_session = matches!(self.state, State::Confirmed(_))
            .then(|| self.session.poll_timeout())
            .flatten();
        [
            of_state,
            glare,
            of_provisionals,
            of_session,
            self.transfers.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Whether `method` may be sent in the state of the call; the text says why not.
    pub(super) fn admits(&self, method: &Method) -> Result<(), &'static str> {
        let early = matches!(method, Method::Update | Method::Info | Method::Prack);
        match &self.state {
            State::Confirmed(_) => Ok(()),
            State::Calling(calling) if early && calling.early.len() == 1 && !calling.cancelled => Ok(()),
            State::Ringing { tagged: true, .. } if early => Ok(()),
            State::Calling(_) | State::Ringing { .. } | State::Closing(_) => {
                Err("the call is not answered, or over")
            }
        }
    }
}
