//! What goes into the core and what comes out of it, beside bytes and time.

use crate::auth::{Question, Refusal};
use crate::translate::Cause;
use bytes::Bytes;
use offhook_call_trace::{CallId, TraceEvent};
use offhook_media_control::{Command, SessionSummary};
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Names a WebSocket; given by the shell, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Names a command until its reply comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MediaToken(pub u64);

/// Names a question until its verdict comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskToken(pub u64);

/// Where a WebSocket comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Address of the client, as the proxy in front of us names it if there is one.
    pub address: IpAddr,
    /// `voice_sdk_id` of the URL, if there is one.
    pub voice_sdk_id: Option<String>,
}

/// How a client left a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// The connection broke, or the client closed it: its page may still be there, with its calls.
    Lost,
    /// The page was left or loaded anew (close code 1001): what it had is gone.
    PageLeft,
}

/// Why a WebSocket is closed: the number and the text of the close frame (RFC 6455 §7.4). SDKs look at neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Nothing came for a minute.
    Silent,
    /// No login in time.
    NotLoggedIn,
    /// Another socket has resumed its session.
    Resumed,
    /// Far more requests, or refused logins, than are allowed.
    Abuse,
    /// We leave; the client may come back at once, to another node.
    Restart,
    /// The operator has evicted the client.
    Evicted,
    /// More clients log in at once than we can check: this one may come back a little later.
    Busy,
}

impl CloseReason {
    /// The close code.
    pub const fn code(self) -> u16 {
        match self {
            CloseReason::Silent | CloseReason::Resumed => 1001,
            CloseReason::NotLoggedIn | CloseReason::Abuse | CloseReason::Evicted => 1008,
            CloseReason::Restart => 1012,
            CloseReason::Busy => 1013,
        }
    }

    /// The text of the close frame.
    pub const fn text(self) -> &'static str {
        match self {
            CloseReason::Silent => "nothing received for 60 s",
            CloseReason::NotLoggedIn => "no login in time",
            CloseReason::Resumed => "session resumed on another socket",
            CloseReason::Abuse => "too many requests",
            CloseReason::Restart => "service restart",
            CloseReason::Evicted => "evicted by the operator",
            CloseReason::Busy => "too many logins at once; try again later",
        }
    }
}

/// One output of the core.
#[derive(Debug)]
pub enum Output {
    /// Send this text frame.
    Text {
        /// Socket.
        to: ConnectionId,
        /// JSON.
        text: String,
    },
    /// Send this Ping frame (RFC 6455 §5.5.2); its Pong comes back by [`crate::Server::handle_pong`].
    Ping {
        /// Socket.
        to: ConnectionId,
        /// Number that the Pong repeats.
        number: u64,
    },
    /// Close this socket. The core has forgotten it already.
    Close {
        /// Socket.
        to: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
    /// Send this SIP message.
    Datagram {
        /// Where to.
        to: SocketAddr,
        /// The message.
        bytes: Bytes,
    },
    /// Give this command to the gateway; its reply comes back by [`crate::Server::handle_reply`].
    Media {
        /// For the reply.
        token: MediaToken,
        /// Command.
        command: Command,
    },
    /// Find this out; the answer comes back by [`crate::Server::handle_verdict`].
    Ask {
        /// For the verdict.
        token: AskToken,
        /// Question.
        question: Question,
    },
    /// Find out where this SIP domain is; the answer comes back by [`crate::Server::handle_located`].
    Locate {
        /// Domain.
        domain: String,
    },
    /// Add this to the call's trace.
    Trace(CallId, TraceEvent),
    /// Something to count or to log.
    Note(Note),
}

/// Why a frame or request of a client was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// Binary frame; ignored.
    Binary,
    /// Not JSON, not an object, too deep, no method.
    Malformed,
    /// Parameters of a known method that cannot be read.
    Params,
    /// No such method.
    UnknownMethod,
    /// More requests than the rate allows.
    Rate,
    /// A request before the login.
    NotLoggedIn,
    /// A call that the session does not have.
    UnknownCall,
    /// A destination, header or digit that may not be sent.
    Value,
    /// A limit of calls, candidates or pending requests.
    Limit,
}

impl Rejection {
    /// The name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Rejection::Binary => "binary",
            Rejection::Malformed => "malformed",
            Rejection::Params => "params",
            Rejection::UnknownMethod => "unknown-method",
            Rejection::Rate => "rate",
            Rejection::NotLoggedIn => "not-logged-in",
            Rejection::UnknownCall => "unknown-call",
            Rejection::Value => "value",
            Rejection::Limit => "limit",
        }
    }
}

/// Who ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndedBy {
    /// The browser.
    Client,
    /// The SIP side.
    Carrier,
    /// The media gateway, or the link to it.
    Gateway,
    /// We: a timeout, a limit, the shutdown.
    Vsp,
}

impl EndedBy {
    /// The name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            EndedBy::Client => "client",
            EndedBy::Carrier => "carrier",
            EndedBy::Gateway => "gateway",
            EndedBy::Vsp => "vsp",
        }
    }
}

/// How a call went.
#[derive(Debug, Clone, PartialEq)]
pub struct CallRecord {
    /// Call.
    pub call_id: CallId,
    /// User whose call it was.
    pub user: String,
    /// Number that called.
    pub from: String,
    /// Number that was called.
    pub to: String,
    /// Who ended it.
    pub ended_by: EndedBy,
    /// Why.
    pub cause: Cause,
    /// SIP status that says the same, where one does.
    pub sip_code: Option<u16>,
    /// From invite to answer.
    pub setup: Option<Duration>,
    /// From answer to end.
    pub talk: Option<Duration>,
    /// The gateway's figures, if it told them.
    pub media: Option<SessionSummary>,
}

/// Something to count or to log.
#[derive(Debug)]
pub enum Note {
    /// A login was decided.
    Login {
        /// Where from.
        address: IpAddr,
        /// Whether it was good, and if not, why.
        outcome: Result<String, Refusal>,
    },
    /// A frame or request was refused.
    Rejected {
        /// Which socket's.
        connection: ConnectionId,
        /// Why.
        why: Rejection,
        /// What exactly, without secrets.
        detail: String,
    },
    /// A session was opened: reports with this id may be uploaded.
    ReportIssued(String),
    /// A call was made.
    CallStarted {
        /// Call.
        call_id: CallId,
        /// The id of the client that calls for it; empty for a call from outside.
        client_call: String,
        /// Number that calls.
        from: String,
        /// Number that is called.
        to: String,
    },
    /// A call rings at a client of the one called.
    CallOffered {
        /// Call.
        call_id: CallId,
        /// The client's id for it.
        client_call: String,
    },
    /// The SIP dialog of a call has this Call-ID.
    SipCallId {
        /// Call.
        call_id: CallId,
        /// `Call-ID`.
        sip_call_id: String,
    },
    /// A call was answered so long after its invite.
    CallAnswered {
        /// Call.
        call_id: CallId,
        /// Time.
        setup: Duration,
    },
    /// A transfer has ended: with a 2xx it has worked.
    Transferred {
        /// Call.
        call_id: CallId,
        /// Who made it.
        way: TransferWay,
        /// Status of the party that was to take a place, or of who was asked to make the transfer.
        status: u16,
    },
    /// A call is over.
    CallEnded(Box<CallRecord>),
}

/// Who makes a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransferWay {
    /// The far end, asked by REFER for our client.
    Refer,
    /// We, for our client.
    Local,
    /// We, asked by the far end.
    FarEnd,
}

impl TransferWay {
    /// The name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            TransferWay::Refer => "refer",
            TransferWay::Local => "local",
            TransferWay::FarEnd => "far-end",
        }
    }

    /// The `kind` of the events that tell a client of it.
    pub(crate) const fn event(self) -> &'static str {
        match self {
            TransferWay::Refer | TransferWay::Local => "transfer",
            TransferWay::FarEnd => "farTransfer",
        }
    }
}

/// How much the core holds; all zero when every socket, session and call is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// WebSockets.
    pub connections: usize,
    /// Client sessions, detached ones too.
    pub sessions: usize,
    /// Of them those without a socket.
    pub detached: usize,
    /// Calls that a client or the gateway still knows.
    pub calls: usize,
    /// Of them those of two far parties that a transfer has connected, without a client.
    pub connected: usize,
    /// Calls for users that ring.
    pub incoming: usize,
    /// Commands without reply.
    pub commands: usize,
    /// Questions without verdict.
    pub questions: usize,
    /// Deadlines.
    pub timers: usize,
    /// Of the SIP user agent.
    pub sip: offhook_sip::user_agent::Counts,
}

/// A client's session, as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionView {
    /// Its id, `sessid` of the client dialect.
    pub session: String,
    /// Who has logged in; `anonymous …` for a client without a name.
    pub user: String,
    /// Where the client is, or was last.
    pub address: Option<IpAddr>,
    /// Whether it has a socket now; without one it has its calls for the grace time.
    pub connected: bool,
    /// Its calls.
    pub calls: Vec<CallView>,
}

/// A call of a session, as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallView {
    /// Through all parts.
    pub call_id: CallId,
    /// The client's id for it.
    pub client_call: String,
    /// Whether the client was called.
    pub inbound: bool,
    /// How far it is.
    pub stage: CallStage,
    /// Number of the caller.
    pub from: String,
    /// Number or user that is called.
    pub to: String,
    /// Since it began, seconds.
    pub age_s: u64,
}

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallStage {
    /// The client calls; nobody has answered.
    Calling,
    /// It rings at the client.
    Ringing,
    /// Somebody has answered; the media is being joined.
    Answering,
    /// Both talk.
    Active,
    /// The client holds the far end.
    Held,
    /// It is over but for the gateway's figures.
    Ending,
}
