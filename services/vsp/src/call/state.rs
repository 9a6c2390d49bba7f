//! A call that is up as a value, with times from the moment of export: written down by one server, carried on by another.

use super::{Active, Call, ClientAnswer, ClientMedia, State};
use crate::session::ago;
use offhook_call_trace::CallId;
use offhook_media_control::{Latching, MediaSessionId};
use offhook_rpc_message::validate::CustomHeader;
use offhook_rpc_message::{CallIds, ClientCallId, HoldState, Party, SessionId};
use offhook_sip::user_agent::LegState;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A call that is up, at rest: nothing is asked of the gateway or the far end, and nobody changes places in it.
#[derive(Debug, Clone)]
pub struct CallState {
    /// Through all parts.
    pub id: CallId,
    /// For the client.
    pub client_id: ClientCallId,
    /// On the gateway, which keeps it.
    pub media: MediaSessionId,
    /// Its SIP dialog. May hold a password: keep it as secret as that.
    pub leg: LegState,
    /// Whether it came for the client.
    pub inbound: bool,
    /// Whether the caller asked that its number is not shown.
    pub hides_caller: bool,
    /// Whether the client was shown another far end, and may have lost that with a socket.
    pub party_unseen: bool,
    /// How often far ends have sent us to somebody else.
    pub far_transfers: u8,
    /// Headers of the INVITE: applications repeat them in their `bye`.
    pub invite_headers: Vec<CustomHeader>,
    /// Ids for the client.
    pub ids: CallIds,
    /// Who calls.
    pub caller: Party,
    /// Who is called.
    pub callee: Party,
    /// Since the call began.
    pub age: Duration,
    /// Since it was answered.
    pub talk: Duration,
    /// How long it may last.
    pub duration_max: Option<Duration>,
    /// How long two far parties may talk after a transfer.
    pub connected_max: Duration,
    /// Call-ID of the SIP dialog.
    pub sip_call_id: Option<String>,
    /// Opaque text of the application.
    pub client_state: Option<String>,
    /// SDP answer that was sent to the client, and may have been lost with a socket.
    pub unacknowledged_answer: Option<String>,
    /// Whose packets the gateway takes on the far side; none: its own rule.
    pub latching: Option<Latching>,
    /// Whether the client holds the far end.
    pub hold: HoldState,
    /// Whether the far end holds us, once it has.
    pub far_held: Option<bool>,
    /// Whether the client's media was there.
    pub has_media: bool,
}

impl Call {
    /// The call as a value with its dialog, if it is at rest.
    pub(crate) fn export(&self, now: Instant, leg: LegState) -> Option<CallState> {
        let State::Active(active) = &self.state else {
            return None;
        };
        let at_rest = active.hold_change.is_none()
            && active.transfer.is_none()
            && active.digits.is_empty()
            && !active.digit_sent
            && self.commands == 0
            && self.second.is_none()
            && !self.answer_owed;
        let unacknowledged_answer = match &self.client_answer {
            ClientAnswer::Sent(sdp) => Some(sdp.clone()),
            ClientAnswer::None | ClientAnswer::Acknowledged => None,
        };
        at_rest.then(|| CallState {
            id: self.id.clone(),
            client_id: self.client_id.clone(),
            media: self.media.clone(),
            leg,
            inbound: self.inbound,
            hides_caller: self.hides_caller,
            party_unseen: self.party_unseen,
            far_transfers: self.far_transfers,
            invite_headers: self.invite_headers.clone(),
            ids: self.ids.clone(),
            caller: self.caller.clone(),
            callee: self.callee.clone(),
            age: now.saturating_duration_since(self.started),
            talk: now.saturating_duration_since(active.since),
            duration_max: self.duration_max,
            connected_max: self.connected_max,
            sip_call_id: self.sip_call_id.clone(),
            client_state: self.client_state.clone(),
            unacknowledged_answer,
            latching: self.latching,
            hold: active.hold,
            far_held: active.far_held,
            has_media: active.client_media == ClientMedia::There,
        })
    }

    /// The call of such a value, without its leg; and its dialog, and when it has lasted long enough.
    pub(crate) fn import(
        now: Instant,
        session: SessionId,
        user: String,
        state: CallState,
    ) -> (Self, LegState, Option<Instant>) {
        let since = ago(now, state.talk);
        let active = Active {
            since,
            acknowledged: true,
            hold: state.hold,
            hold_change: None,
            far_held: state.far_held,
            transfer: None,
            successor: None,
            client_media: match state.has_media {
                true => ClientMedia::There,
                false => ClientMedia::Silent,
            },
            away: false,
            digits: VecDeque::new(),
            digit_sent: false,
        };
        let call = Self {
            id: state.id,
            client_id: state.client_id,
            session,
            media: state.media,
            leg: None,
            second: None,
            hides_caller: state.hides_caller,
            party_unseen: state.party_unseen,
            far_transfers: state.far_transfers,
            commands: 0,
            inbound: state.inbound,
            incoming: None,
            counted: true,
            reject_code: 0,
            invite_headers: state.invite_headers,
            user,
            ids: state.ids,
            caller: state.caller,
            callee: state.callee,
            started: ago(now, state.age),
            duration_max: state.duration_max,
            connected_max: state.connected_max,
            sip_call_id: state.sip_call_id,
            client_state: state.client_state,
            client_answer: match state.unacknowledged_answer {
                Some(sdp) => ClientAnswer::Sent(sdp),
                None => ClientAnswer::Acknowledged,
            },
            latching: state.latching,
            answer_owed: false,
            state: State::Active(Box::new(active)),
        };
        (call, state.leg, state.duration_max.map(|max| since + max))
    }
}
