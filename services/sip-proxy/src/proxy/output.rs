//! What comes out of the proxy.

use crate::dial_plan::CarrierId;
use bytes::Bytes;
use offhook_call_trace::{CallId, Hop, Protocol, TraceEvent, redact_sip};
use offhook_sip::digest::ChallengeError;
use offhook_sip_message::header::CSeq;
use offhook_sip_message::{Message, StatusCode};
use std::net::SocketAddr;

/// One output of the proxy.
#[derive(Debug)]
pub enum Output {
    /// Send this datagram.
    Transmit {
        /// Where to.
        to: SocketAddr,
        /// The whole message.
        bytes: Bytes,
    },
    /// A message of a call passed; repeated ones are left out.
    Trace(Traced),
    /// Something was not taken. To be counted, and logged within limits.
    Refused {
        /// Who sent it.
        source: SocketAddr,
        /// Why.
        reason: Refusal,
    },
    /// A carrier did not take a call.
    CarrierFailed {
        /// Which one.
        carrier: CarrierId,
        /// Why.
        failure: CarrierFailure,
        /// Who is tried next; `None`: nobody is left.
        next: Option<CarrierId>,
        /// The call.
        call: Option<CallId>,
    },
}

/// A message for the trace, not yet redacted: turn it into an event before it is kept.
#[derive(Debug)]
pub struct Traced {
    /// The call.
    pub call: CallId,
    /// Sender.
    pub from: Hop,
    /// Receiver.
    pub to: Hop,
    /// The whole message, secrets included.
    pub message: Bytes,
}

impl Traced {
    /// The event, redacted.
    pub fn event(&self) -> TraceEvent {
        event_of(self.from, self.to, &self.message)
    }
}

/// The event of a message, redacted.
pub(crate) fn event_of(from: Hop, to: Hop, message: &Bytes) -> TraceEvent {
    let name = Message::parse(message.clone())
        .map(|message| name_of(&message))
        .unwrap_or_default();
    TraceEvent::message(Hop::SipProxy, from, to, Protocol::Sip, name).with_detail(redact_sip(message))
}

/// `INVITE`, or `180 INVITE` for a response.
fn name_of(message: &Message) -> String {
    match (message.method(), message.status(), message.require::<CSeq>()) {
        (Some(method), _, _) => method.to_string(),
        (None, Some(status), Ok(cseq)) => format!("{status} {}", cseq.method),
        (None, status, _) => status.map(|status| status.to_string()).unwrap_or_default(),
    }
}

/// Why something was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The sender is neither VSP nor carrier.
    Stranger,
    /// No SIP message, or one that breaks the grammar.
    Malformed,
    /// The request URI holds no number that could be called.
    BadNumber,
    /// No route for the number, or nobody has it.
    NoRoute,
    /// A method that this proxy does not take outside of calls.
    Method,
    /// Max-Forwards is used up.
    TooManyHops,
    /// The request was here before.
    Loop,
    /// Proxy-Require names an extension that we don't have.
    Extension,
    /// A request of a call without our Route, or one that leads nowhere.
    NoDialog,
    /// A request whose Route does not prove that its call went through us.
    Unproven,
    /// The next hop has no address that we could send to.
    NoAddress,
    /// Too much under way.
    Overload,
    /// The neighbour begins more calls per second than it may.
    Rate,
    /// The carrier has as many calls as it may have.
    CarrierFull,
    /// We are leaving.
    Draining,
    /// A phone registers with a wrong name or password.
    Credentials,
    /// A phone wants to register for too short a time.
    Interval,
    /// A phone calls, or the user has as many phones as may be.
    Phones,
}

impl Refusal {
    /// All of them, for counters.
    pub const ALL: [Self; 18] = [
        Self::Stranger,
        Self::Malformed,
        Self::BadNumber,
        Self::NoRoute,
        Self::Method,
        Self::TooManyHops,
        Self::Loop,
        Self::Extension,
        Self::NoDialog,
        Self::Unproven,
        Self::NoAddress,
        Self::Overload,
        Self::Rate,
        Self::CarrierFull,
        Self::Draining,
        Self::Credentials,
        Self::Interval,
        Self::Phones,
    ];

    /// Name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Malformed => "malformed",
            Self::BadNumber => "bad-number",
            Self::NoRoute => "no-route",
            Self::Method => "method",
            Self::TooManyHops => "too-many-hops",
            Self::Loop => "loop",
            Self::Extension => "extension",
            Self::NoDialog => "no-dialog",
            Self::Unproven => "unproven",
            Self::NoAddress => "no-address",
            Self::Overload => "overload",
            Self::Rate => "rate",
            Self::CarrierFull => "carrier-full",
            Self::Draining => "draining",
            Self::Credentials => "credentials",
            Self::Interval => "interval",
            Self::Phones => "phones",
        }
    }
}

/// Why a carrier did not take a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CarrierFailure {
    /// Its name is not resolved.
    #[error("its host name has no address")]
    Unresolved,
    /// It has as many calls as it may have.
    #[error("it has reached its calls_max")]
    Full,
    /// Nothing came in the time that it has.
    #[error("it did not answer")]
    Silent,
    /// The datagram could not be sent.
    #[error("it could not be reached")]
    Unreachable,
    /// It answered 408 or 5xx.
    #[error("it answered {0}")]
    Status(StatusCode),
    /// It asks for credentials that we don't have, or refuses those that we have.
    #[error("it asks for credentials: {0}")]
    Credentials(ChallengeError),
    /// It asks for credentials and none are configured.
    #[error("it asks for credentials; configure its username and password")]
    NoCredentials,
}

/// What the proxy holds now, and what it has done since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Requests under way, with those that are only remembered for repetitions.
    pub contexts: usize,
    /// Requests without a final answer.
    pub unanswered: usize,
    /// Client transactions that belong to a context.
    pub branches: usize,
    /// Answered calls without BYE so far.
    pub dialogs: usize,
    /// What calls take up of carriers and users whose calls are limited.
    pub places: usize,
    /// Dialogs whose CSeq was shifted by answering a challenge within the call.
    pub shifted_dialogs: usize,
    /// Registered phones.
    pub phones: usize,
    /// Deadlines.
    pub timers: usize,
    /// Calls that were routed.
    pub calls_total: u64,
    /// Calls that were answered with 2xx.
    pub answered_total: u64,
    /// Challenges of carriers that were answered.
    pub challenges_total: u64,
    /// Redirects that were followed.
    pub redirects_total: u64,
    /// Times that the next destination of a number was tried.
    pub hunted_total: u64,
    /// Calls that were forgotten because their session expired without BYE.
    pub expired_total: u64,
    /// Answers that came after the caller had been refused, and were ended by us with ACK and BYE.
    pub late_answers_total: u64,
    /// The transaction layer's.
    pub transactions: offhook_sip::transaction::Counts,
}
