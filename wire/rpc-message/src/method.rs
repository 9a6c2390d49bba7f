//! What clients ask: a closed set of methods with the parameters that a server uses.

use crate::{ClientCallId, lenient};
use serde::Deserialize;
use std::fmt;

/// A request or notification of a client, its parameters read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMethod {
    /// `login`.
    Login(Box<Login>),
    /// `anonymous_login`.
    AnonymousLogin(Box<AnonymousLogin>),
    /// `telnyx_rtc.invite`.
    Invite(Box<Invite>),
    /// `telnyx_rtc.answer`.
    Answer(Box<Answer>),
    /// `telnyx_rtc.attach`: the answer to an attach of ours.
    Attach(Box<Answer>),
    /// `telnyx_rtc.modify`.
    Modify(Box<Modify>),
    /// `telnyx_rtc.bye`.
    Bye(Box<Bye>),
    /// `telnyx_rtc.info`.
    Info {
        /// Call.
        call: ClientCallId,
        /// Digits or text.
        info: Info,
    },
    /// `telnyx_rtc.candidate`.
    Candidate(Candidate),
    /// `telnyx_rtc.endOfCandidates`.
    EndOfCandidates {
        /// Call.
        call: ClientCallId,
    },
    /// `telnyx_rtc.gatewayState`.
    GatewayState {
        /// The client takes the state from a message of the server alone, and reads no result: releases 2.5 and 2.6 of the
        /// JS SDK, which repeat the method in `params`.
        in_message: bool,
    },
    /// `telnyx_rtc.ping`.
    Ping,
    /// `telnyx_rtc.subscribe`.
    Subscribe {
        /// Channels.
        channels: Vec<String>,
    },
    /// `telnyx_rtc.unsubscribe`.
    Unsubscribe {
        /// Channels.
        channels: Vec<String>,
    },
    /// `telnyx_rtc.broadcast`.
    Broadcast,
    /// `ai_conversation`.
    AiConversation,
    /// `telnyx_rtc.attachCalls`: a mobile client wants the call that it was woken for.
    AttachCalls,
    /// `telnyx_rtc.ringing_ack`.
    RingingAck {
        /// Call.
        call: ClientCallId,
    },
    /// `telnyx_rtc.disable_push_notification`.
    DisablePushNotification,
    /// Any other; the name cut to [`crate::METHOD_LEN_MAX`].
    Unknown(String),
}

impl ClientMethod {
    /// The bare method, as traces name it: `invite`, `bye`, …; `unknown` for others.
    pub const fn name(&self) -> &'static str {
        match self {
            ClientMethod::Login(_) => "login",
            ClientMethod::AnonymousLogin(_) => "anonymous_login",
            ClientMethod::Invite(_) => "invite",
            ClientMethod::Answer(_) => "answer",
            ClientMethod::Attach(_) => "attach",
            ClientMethod::Modify(_) => "modify",
            ClientMethod::Bye(_) => "bye",
            ClientMethod::Info { .. } => "info",
            ClientMethod::Candidate(_) => "candidate",
            ClientMethod::EndOfCandidates { .. } => "endOfCandidates",
            ClientMethod::GatewayState { .. } => "gatewayState",
            ClientMethod::Ping => "ping",
            ClientMethod::Subscribe { .. } => "subscribe",
            ClientMethod::Unsubscribe { .. } => "unsubscribe",
            ClientMethod::Broadcast => "broadcast",
            ClientMethod::AiConversation => "ai_conversation",
            ClientMethod::AttachCalls => "attachCalls",
            ClientMethod::RingingAck { .. } => "ringing_ack",
            ClientMethod::DisablePushNotification => "disable_push_notification",
            ClientMethod::Unknown(_) => "unknown",
        }
    }

    /// The call that the request is about.
    pub fn call(&self) -> Option<&ClientCallId> {
        match self {
            ClientMethod::Invite(invite) => Some(&invite.call),
            ClientMethod::Answer(answer) | ClientMethod::Attach(answer) => Some(&answer.call),
            ClientMethod::Modify(modify) => Some(&modify.call),
            ClientMethod::Bye(bye) => Some(&bye.call),
            ClientMethod::Candidate(candidate) => Some(&candidate.call),
            ClientMethod::Info { call, .. }
            | ClientMethod::EndOfCandidates { call }
            | ClientMethod::RingingAck { call } => Some(call),
            ClientMethod::Login(_)
            | ClientMethod::AnonymousLogin(_)
            | ClientMethod::GatewayState { .. }
            | ClientMethod::Ping
            | ClientMethod::Subscribe { .. }
            | ClientMethod::Unsubscribe { .. }
            | ClientMethod::Broadcast
            | ClientMethod::AiConversation
            | ClientMethod::AttachCalls
            | ClientMethod::DisablePushNotification
            | ClientMethod::Unknown(_) => None,
        }
    }
}

/// Credentials and wishes of `login`. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Login {
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// JWT; wins over user and password.
    pub token: Option<String>,
    /// Session that the client wants back.
    pub session: Option<String>,
    /// The client has a `voice_sdk_id` of an earlier socket.
    pub reconnection: bool,
    /// The client wants the SDP answer of its calls before the far end has answered.
    pub early_sdp_answer: bool,
    /// SDK name and version.
    pub user_agent: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .field("by_token", &self.token.is_some())
            .field("session", &self.session)
            .field("early_sdp_answer", &self.early_sdp_answer)
            .finish_non_exhaustive()
    }
}

/// Target of `anonymous_login`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnonymousLogin {
    /// Kind of target.
    pub target_type: Option<String>,
    /// Its id.
    pub target_id: Option<String>,
    /// Session that the client wants back.
    pub session: Option<String>,
    /// SDK name and version.
    pub user_agent: Option<String>,
}

/// Parameters of `invite`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// New call.
    pub call: ClientCallId,
    /// SDP offer.
    pub sdp: String,
    /// Candidates follow in messages of their own.
    pub trickle: bool,
    /// The rest.
    pub dialog: DialogParams,
}

/// Parameters of `answer` and `attach`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Call.
    pub call: ClientCallId,
    /// SDP answer.
    pub sdp: String,
    /// Candidates follow in messages of their own.
    pub trickle: bool,
    /// The rest.
    pub dialog: DialogParams,
}

/// Parameters of `modify`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modify {
    /// Call.
    pub call: ClientCallId,
    /// What is to change.
    pub action: ModifyAction,
}

/// `params.action` of `modify`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModifyAction {
    /// `hold`.
    Hold,
    /// `unhold`.
    Unhold,
    /// `toggleHold`.
    ToggleHold,
    /// `updateMedia`: an ICE restart.
    UpdateMedia {
        /// New SDP offer.
        sdp: String,
        /// Candidates follow in messages of their own.
        trickle: bool,
    },
    /// `transfer`: blind, to this number or user.
    Transfer {
        /// As the client wrote it; not checked.
        destination: String,
    },
    /// `replace`: attended; this call's far end is connected with that of another call of the client.
    Replace {
        /// The other call.
        other: ClientCallId,
    },
    /// Any other; the name cut to [`crate::METHOD_LEN_MAX`].
    Other(String),
}

/// Parameters of `bye`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bye {
    /// Call.
    pub call: ClientCallId,
    /// Name of the cause.
    pub cause: Option<String>,
    /// Its number.
    pub cause_code: Option<u16>,
    /// SIP status that the application asks for.
    pub sip_code: Option<u16>,
    /// Headers for the SIP message, those of the call's invite among them; not checked.
    pub headers: Vec<RawHeader>,
}

/// Content of `info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Info {
    /// Digits to send.
    Dtmf(String),
    /// A text for the far end.
    Message {
        /// Its text.
        body: String,
    },
    /// Neither.
    Other,
}

/// Parameters of `candidate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Call.
    pub call: ClientCallId,
    /// `candidate:…`, which may name its `ufrag`; empty means no more.
    pub candidate: String,
}

/// A custom header as the client wrote it, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawHeader {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// What a server uses of `dialogParams`; the rest (TURN credentials among it) is skipped unread.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct DialogParams {
    #[serde(rename = "callID", deserialize_with = "lenient::text")]
    pub(crate) call_id: Option<String>,
    #[serde(rename = "callId", deserialize_with = "lenient::text")]
    pub(crate) call_id_mobile: Option<String>,
    #[serde(deserialize_with = "lenient::flag")]
    pub(crate) trickle: bool,
    #[serde(rename = "useTrickleIce", deserialize_with = "lenient::flag")]
    pub(crate) use_trickle_ice: bool,
    /// Number or user to call; not checked.
    #[serde(deserialize_with = "lenient::text")]
    pub destination_number: Option<String>,
    /// Caller's name that the client asks for.
    #[serde(deserialize_with = "lenient::text")]
    pub caller_id_name: Option<String>,
    /// Caller's number that the client asks for.
    #[serde(deserialize_with = "lenient::text")]
    pub caller_id_number: Option<String>,
    /// Headers for the SIP message; not checked.
    #[serde(deserialize_with = "lenient::headers")]
    pub custom_headers: Vec<RawHeader>,
    /// The same as an application may spell it in its `bye`.
    #[serde(rename = "customHeaders", deserialize_with = "lenient::headers")]
    pub(crate) custom_headers_camel: Vec<RawHeader>,
    /// Opaque text of the application, base64.
    #[serde(rename = "clientState", deserialize_with = "lenient::text")]
    pub client_state: Option<String>,
}
