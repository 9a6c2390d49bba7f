//! What a call is made of.

use super::{Call, ClientAnswer, OutgoingCall, State};
use offhook_call_trace::CallId;
use offhook_media_control::MediaSessionId;
use offhook_rpc_message::validate::CustomHeader;
use offhook_rpc_message::{CallIds, ClientCallId, Party, SessionId};
use offhook_sip::user_agent::LegId;
use std::time::{Duration, Instant};

/// Who calls whom: what a call is made of.
#[derive(Debug)]
pub(crate) struct NewCall {
    pub(crate) id: CallId,
    pub(crate) client_id: ClientCallId,
    pub(crate) session: SessionId,
    pub(crate) media: MediaSessionId,
    pub(crate) leg_id: String,
    pub(crate) user: String,
    pub(crate) caller: Party,
    pub(crate) callee: Party,
    pub(crate) start: Start,
    pub(crate) duration_max: Option<Duration>,
    pub(crate) connected_max: Duration,
}

/// What starts a call.
#[derive(Debug)]
pub(crate) enum Start {
    /// The client's invite.
    Outgoing {
        outgoing: Box<OutgoingCall>,
        ring_timeout: Duration,
    },
    /// An INVITE for the client.
    Incoming {
        leg: LegId,
        headers: Vec<CustomHeader>,
        reject_code: u16,
        acknowledges: bool,
        hides_caller: bool,
    },
}

impl Start {
    /// The first state, the leg that rings, and the status of a refusal by the client.
    fn begin(self) -> (State, Option<LegId>, u16) {
        match self {
            Self::Outgoing {
                outgoing,
                ring_timeout,
            } => (
                State::Opening {
                    outgoing,
                    candidates: Vec::new(),
                    ring_timeout,
                },
                None,
                0,
            ),
            Self::Incoming {
                leg,
                headers,
                reject_code,
                acknowledges,
                ..
            } => (
                State::Offering {
                    headers,
                    acknowledges,
                },
                Some(leg),
                reject_code,
            ),
        }
    }
}

impl Call {
    /// A call; [`Call::open`] or [`Call::offer`] starts it.
    pub(crate) fn new(now: Instant, new: NewCall) -> Self {
        let (invite_headers, hides_caller) = match &new.start {
            Start::Outgoing { outgoing, .. } => (outgoing.headers.clone(), outgoing.hides_caller),
            Start::Incoming {
                headers,
                hides_caller,
                ..
            } => (headers.clone(), *hides_caller),
        };
        let (state, incoming, reject_code) = new.start.begin();
        Self {
            ids: CallIds {
                control: format!("v1:{}", new.id),
                session: new.id.to_string(),
                leg: new.leg_id,
            },
            id: new.id,
            client_id: new.client_id,
            session: new.session,
            media: new.media,
            leg: None,
            second: None,
            hides_caller,
            party_unseen: false,
            far_transfers: 0,
            commands: 0,
            inbound: incoming.is_some(),
            counted: incoming.is_none(),
            incoming,
            reject_code,
            invite_headers,
            user: new.user,
            caller: new.caller,
            callee: new.callee,
            started: now,
            duration_max: new.duration_max,
            connected_max: new.connected_max,
            sip_call_id: None,
            client_state: None,
            client_answer: ClientAnswer::None,
            latching: None,
            answer_owed: false,
            state,
        }
    }
}
