//! What goes in and out of a user agent.

use crate::digest::Credentials;
use crate::extra_header::Header;
use crate::flow::Flow;
use crate::timer::Timing;
use crate::transaction;
use bytes::Bytes;
use offhook_sip_message::{HeaderValue, Message, Method, StatusCode, UriBuf};
use std::time::Duration;

/// A call of this user agent: from its INVITE, through all early dialogs of it, to its end. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegId(pub(crate) u64);

/// A request that waits for our answer, by [`super::UserAgent::respond`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IncomingId(pub(crate) transaction::ServerTransactionId);

/// A request of ours other than the INVITE that starts a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub(crate) u64);

/// Settings of a user agent.
#[derive(Debug, Clone)]
pub struct Config {
    /// T1, T2, T4.
    pub timing: Timing,
    /// Our `host` or `host:port` in Via, as the other side can reach it.
    pub sent_by: String,
    /// Our URI in Contact, as the other side can reach it.
    pub contact: UriBuf,
    /// Value of User-Agent in requests and Server in responses; empty sends none.
    pub product: String,
    /// Methods that the owner handles; others get 405. INVITE, ACK, CANCEL and BYE need not be named. OPTIONS is answered
    /// by the user agent itself unless it is named here.
    pub allow: Vec<Method>,
    /// Media types of bodies that the owner reads (`application/sdp`, …); other bodies get 415.
    pub accept: Vec<String>,
    /// Most calls at a time, in both directions; over it an INVITE gets 503, [`super::UserAgent::invite`] an error.
    pub legs_max: usize,
}

/// A message body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Value of Content-Type.
    pub content_type: HeaderValue,
    /// The body, sent as it is.
    pub bytes: Bytes,
}

impl Body {
    /// An SDP, sent as it is.
    pub fn sdp(bytes: impl Into<Bytes>) -> Self {
        Self {
            content_type: HeaderValue::new("application/sdp").expect("has no line break"),
            bytes: bytes.into(),
        }
    }
}

/// A name-addr for From or To, without tag.
#[derive(Debug, Clone)]
pub struct NameAddr {
    /// Display name; quoted and escaped when written. Empty for none. Must hold no CR, LF or NUL.
    pub display_name: String,
    /// The address.
    pub uri: UriBuf,
}

impl NameAddr {
    /// `"name" <uri>`, the name quoted and escaped.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if !self.display_name.is_empty() {
            text.push('"');
            for character in self.display_name.chars() {
                if matches!(character, '"' | '\\') {
                    text.push('\\');
                }
                text.push(character);
            }
            text.push_str("\" ");
        }
        text.push_str(&format!("<{}>", self.uri));
        text
    }
}

/// A call to place.
#[derive(Debug, Clone)]
pub struct OutgoingInvite {
    /// Whom to call.
    pub request_uri: UriBuf,
    /// Next hop: the outbound proxy, or the callee itself.
    pub destination: Flow,
    /// From, without tag.
    pub from: NameAddr,
    /// To, without tag.
    pub to: NameAddr,
    /// Further header lines of the INVITE.
    pub headers: Vec<Header>,
    /// Further header lines of every request and response of this call, the INVITE too (our call id).
    pub sticky_headers: Vec<Header>,
    /// The offer; `None` asks the callee for one (RFC 3261 §13.2.1: the answer then goes into the ACK).
    pub body: Option<Body>,
    /// To answer 401 and 407.
    pub credentials: Option<Credentials>,
    /// Fails with 408 when nothing came in this time; `None`: 64 × T1.
    pub give_up_after: Option<Duration>,
}

/// A request to send, inside a call or outside of any.
#[derive(Debug, Clone)]
pub struct OutgoingRequest {
    /// Any method but INVITE (outside of a call), ACK, CANCEL and BYE, which have verbs of their own.
    pub method: Method,
    /// Further header lines.
    pub headers: Vec<Header>,
    /// Body.
    pub body: Option<Body>,
}

/// Where a request outside of any call goes.
#[derive(Debug, Clone)]
pub struct Target {
    /// Request URI.
    pub request_uri: UriBuf,
    /// Next hop.
    pub destination: Flow,
    /// From, without tag.
    pub from: NameAddr,
    /// To.
    pub to: NameAddr,
    /// To answer 401 and 407.
    pub credentials: Option<Credentials>,
}

/// An answer of ours.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status code.
    pub status: StatusCode,
    /// Reason phrase; `None` for the usual one.
    pub reason: Option<HeaderValue>,
    /// Further header lines.
    pub headers: Vec<Header>,
    /// Body.
    pub body: Option<Body>,
}

impl Reply {
    /// An answer with the usual phrase and nothing else.
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            reason: None,
            headers: Vec::new(),
            body: None,
        }
    }

    /// The same with a body.
    pub fn with_body(mut self, body: Body) -> Self {
        self.body = Some(body);
        self
    }
}

/// Why a call or request of ours failed.
#[derive(Debug, Clone)]
pub enum Failure {
    /// This final answer: 300 to 699, or a 2xx that came after our CANCEL or that no dialog can be made of.
    Response(Message),
    /// No final answer in time; to be treated as 408.
    TimedOut,
    /// The message could not be sent; to be treated as 503.
    Transport,
}

/// How a call ended that was answered, or that came in.
#[derive(Debug, Clone)]
pub enum Ending {
    /// We sent BYE.
    Local,
    /// The other side sent this BYE (its Reason header says why).
    Remote(Message),
    /// The owner left an incoming call unanswered for 10 minutes; 480 has been sent.
    Unanswered,
    /// No ACK to our 2xx came; we sent BYE (RFC 3261 §13.3.1.4).
    AckMissing,
    /// A request inside the call was answered 481, 408 or not at all: the other side has forgotten it (§12.2.1.2).
    Lost,
}

/// What the owner of a user agent has to know.
#[derive(Debug)]
pub enum Event {
    /// 101 to 199 to our INVITE. Several forks may answer; the tag of To tells them apart. None comes after a cancel.
    Provisional {
        /// The call.
        leg: LegId,
        /// The response.
        response: Message,
    },
    /// The first 2xx to our INVITE. It has been acknowledged, unless the INVITE had no body: then the owner has to
    /// call [`super::UserAgent::ack`] with the answer.
    Answered {
        /// The call.
        leg: LegId,
        /// The response.
        response: Message,
    },
    /// Our INVITE failed; the leg is over. After a cancel this is 487 in general, and a 2xx where one crossed the CANCEL
    /// (it has been acknowledged and ended with BYE).
    Failed {
        /// The call.
        leg: LegId,
        /// Why.
        failure: Failure,
    },
    /// A call for us. 100 has been sent.
    IncomingInvite {
        /// The call.
        leg: LegId,
        /// For [`super::UserAgent::respond`].
        incoming: IncomingId,
        /// The INVITE.
        request: Message,
        /// Where it came from.
        source: Flow,
    },
    /// A request that waits for the owner's answer: re-INVITE, UPDATE, INFO, REFER, MESSAGE, NOTIFY, … within a call,
    /// OPTIONS, MESSAGE, REGISTER, … outside of any. BYE is answered by the user agent and reported as `Terminated`.
    IncomingRequest {
        /// The call that it belongs to.
        leg: Option<LegId>,
        /// For [`super::UserAgent::respond`].
        incoming: IncomingId,
        /// The request.
        request: Message,
        /// Where it came from.
        source: Flow,
    },
    /// The caller gave up before we answered; 487 has been sent and the leg is over.
    Cancelled {
        /// The call.
        leg: LegId,
        /// The CANCEL, for its Reason header.
        request: Message,
    },
    /// The ACK to our 2xx came, with the answer in its body if the INVITE had no offer. Also for re-INVITEs.
    AckReceived {
        /// The call.
        leg: LegId,
        /// The ACK.
        request: Message,
    },
    /// The call is over after it was answered; or, for an incoming call, before (then `Ending::Remote`).
    Terminated {
        /// The call.
        leg: LegId,
        /// How.
        ending: Ending,
    },
    /// A final answer of any class to a request of ours (also to a re-INVITE, whose 2xx has been acknowledged).
    Response {
        /// Which request.
        request: RequestId,
        /// The call that it belongs to.
        leg: Option<LegId>,
        /// The answer.
        response: Message,
    },
    /// A request of ours got no final answer.
    RequestFailed {
        /// Which request.
        request: RequestId,
        /// The call that it belonged to.
        leg: Option<LegId>,
        /// `TimedOut` or `Transport`.
        failure: Failure,
    },
}

/// Whether we sent or received an observed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// We sent it.
    Sent,
    /// We received it.
    Received,
}

/// One message of a call, for the trace. Comes once per message: repeated ones are left out.
#[derive(Debug, Clone)]
pub struct Observation {
    /// The call.
    pub leg: LegId,
    /// Sent or received.
    pub direction: Direction,
    /// Where to or from.
    pub flow: Flow,
    /// `INVITE`, `180 INVITE`, …
    pub name: String,
    /// The whole message, secrets included: to be redacted before it is kept.
    pub bytes: Bytes,
}

/// One output of a user agent.
#[derive(Debug)]
pub enum Output {
    /// Send this.
    Transmit(transaction::Transmit),
    /// Know this.
    Event(Event),
    /// A message of a call passed.
    Observed(Observation),
}

/// Why a [`Config`] is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// Not `host` or `host:port`.
    #[error("sent_by must be the host or host:port at which others reach us")]
    SentBy,
    /// A text with a line break.
    #[error("product, contact and accept must hold no line breaks")]
    LineBreak,
}

/// Why a verb was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// The leg or request is over, or never was.
    #[error("the call or request is over")]
    Gone,
    /// Not allowed in the state of the call: a second offer while one is open (RFC 3261 §14.1), an answer after a final
    /// answer, a BYE before the dialog exists, …
    #[error("not possible in this state of the call: {0}")]
    State(&'static str),
    /// `legs_max` calls exist, or the transaction layer is full.
    #[error("too many calls or transactions are open; try again later")]
    Full,
    /// A display name or address cannot stand in a header.
    #[error("a name or address holds characters that cannot stand in a SIP header")]
    Unwritable,
}

/// What the user agent holds now; all zero when every call and request is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Calls.
    pub legs: usize,
    /// Dialogs, early and confirmed.
    pub dialogs: usize,
    /// Requests of ours outside of calls or within, not finally answered, and incoming ones that wait for the owner.
    pub requests: usize,
    /// Deadlines of the user agent's own.
    pub timers: usize,
    /// The transaction layer's.
    pub transactions: transaction::Counts,
}
