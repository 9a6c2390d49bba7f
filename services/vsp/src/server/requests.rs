//! What a client that has logged in asks for.

use super::Server;
use crate::call::{ANONYMOUS, Action, Asked, Call, CallKey, NewCall, OutgoingCall, Start, UNNAMED};
use crate::limits::{CUSTOM_HEADERS_SENT_MAX, DTMF_DIGITS_MAX};
use crate::output::{Note, Rejection};
use crate::translate::End;
use offhook_call_trace::{CallId, Hop, Protocol};
use offhook_media_control::MediaSessionId;
use offhook_rpc_message::validate::{self, CustomHeader, Destination, InvalidHeader};
use offhook_rpc_message::{
    Bye, ByeMessage, ClientCallId, ClientMethod, ErrorCode, GatewayState, GatewayStatus, Info, Invite, Party,
    RawHeader, ResultBody, RpcError, ServerMessage, SessionId,
};
use std::time::Instant;

/// Carries the application's `clientState` from one end to the other.
pub(super) const CLIENT_STATE: &str = "X-Client-State";

impl Server {
    pub(super) fn on_session_request(
        &mut self,
        now: Instant,
        asked: Asked,
        session: &SessionId,
        method: ClientMethod,
        text: &str,
    ) {
        let expired = self
            .sessions
            .get(session)
            .is_some_and(|session| session.is_expired(now));
        if expired
            && matches!(
                method,
                ClientMethod::Invite(_) | ClientMethod::GatewayState { .. }
            )
        {
            // What is about calls that are up is still done: no call ends because a token does.
            let error = RpcError::new(
                ErrorCode::AuthenticationRequired,
                "the token has expired; log in again",
            );
            return self.reply(&asked, Err(error));
        }
        let result = match method {
            ClientMethod::Invite(invite) => return self.on_invite(now, asked, session, *invite, text),
            ClientMethod::GatewayState { in_message } => {
                return self.on_gateway_state(now, asked, session, in_message);
            }
            ClientMethod::Subscribe { channels } => Ok(ResultBody::NotSubscribed { channels }),
            ClientMethod::Unsubscribe { channels } => Ok(ResultBody::NotUnsubscribed { channels }),
            ClientMethod::Broadcast => Ok(ResultBody::Broadcast),
            ClientMethod::AiConversation | ClientMethod::AttachCalls => Ok(ResultBody::Empty),
            ClientMethod::DisablePushNotification => Ok(ResultBody::PushDisabled),
            ClientMethod::Unknown(name) => {
                self.reject(asked.connection, Rejection::UnknownMethod, &name);
                Err(RpcError::new(
                    ErrorCode::MethodNotFound,
                    format!("there is no method {name:?}"),
                ))
            }
            method => return self.on_call_request(now, asked, session, method, text),
        };
        self.reply(&asked, result);
    }

    pub(super) fn gateway_status(&self, session: &SessionId, state: GatewayState) -> GatewayStatus {
        GatewayStatus {
            state,
            call_report_id: self
                .sessions
                .get(session)
                .and_then(|session| session.report_id.clone()),
            dc: self.settings.site.clone(),
            region: self.settings.region.clone(),
        }
    }

    /// Requests about a call that the session has.
    fn on_call_request(
        &mut self,
        now: Instant,
        asked: Asked,
        session: &SessionId,
        method: ClientMethod,
        text: &str,
    ) {
        let Some(client_call) = method.call().cloned() else {
            // Login, invite and the like are dispatched before.
            return;
        };
        let known = self
            .sessions
            .get(session)
            .and_then(|session| session.calls.get(&client_call))
            .copied();
        let Some(key) = known else {
            return self.on_unknown_call(asked, session, &client_call, method);
        };
        if let Some(call) = self.calls.get(&key) {
            let (call_id, has_room) = (call.id.clone(), call.has_room());
            self.trace_frame(&call_id, Hop::Client, method.name().to_owned(), text);
            if !has_room && !matches!(method, ClientMethod::Bye(_)) {
                self.reject(
                    asked.connection,
                    Rejection::Limit,
                    "too many requests of one call wait for the gateway",
                );
                let error = RpcError::new(
                    ErrorCode::CallFailed,
                    "too many requests of this call are unanswered",
                );
                return self.reply_for_call(&call_id, &asked, Err(error));
            }
        }
        match method {
            ClientMethod::Bye(bye) => {
                let headers = passable_headers(&bye.headers, &self.settings.headers_allowed);
                self.with_call(now, key, |call, out| {
                    call.hang_up_by_client(now, asked, &bye, headers, out)
                });
            }
            ClientMethod::Modify(modify) => self.on_modify(now, asked, key, modify.action),
            ClientMethod::Info { info, .. } => self.on_info(now, asked, key, info),
            ClientMethod::Candidate(candidate) => {
                self.with_call(now, key, |call, out| {
                    call.candidate(asked, candidate.candidate, out)
                });
            }
            ClientMethod::EndOfCandidates { .. } => {
                self.with_call(now, key, |call, out| call.candidate(asked, String::new(), out));
            }
            ClientMethod::RingingAck { .. } => {
                let result = Ok(ResultBody::Call(client_call));
                self.with_call(now, key, |call, out| {
                    out.push(Action::Reply(asked, result));
                    call.rings(out);
                });
            }
            ClientMethod::Answer(answer) => self.on_answer(now, asked, key, *answer),
            ClientMethod::Attach(answer) => {
                self.with_call(now, key, |call, out| call.attached(asked, answer.sdp, out));
            }
            _ => {
                let error = RpcError::new(ErrorCode::CallFailed, "the call was not offered to this client");
                self.with_call(now, key, |_, out| out.push(Action::Reply(asked, Err(error))));
            }
        }
    }

    /// A hang-up of a call that is gone is no error, and neither is what was under way when it ended.
    fn on_unknown_call(
        &mut self,
        asked: Asked,
        session: &SessionId,
        call: &ClientCallId,
        method: ClientMethod,
    ) {
        let late = self
            .sessions
            .get(session)
            .is_some_and(|session| session.has_ended(call));
        let result = match method {
            ClientMethod::Bye(bye) => {
                let Bye {
                    cause, cause_code, ..
                } = *bye;
                Ok(ResultBody::CallEnded {
                    call: call.clone(),
                    cause: cause.unwrap_or_else(|| "NORMAL_CLEARING".to_owned()),
                    cause_code: cause_code.unwrap_or(16),
                })
            }
            ClientMethod::Candidate(_)
            | ClientMethod::EndOfCandidates { .. }
            | ClientMethod::RingingAck { .. }
                if late =>
            {
                Ok(ResultBody::Call(call.clone()))
            }
            ClientMethod::Info { .. } if late => Ok(ResultBody::Sent),
            method => {
                self.reject(
                    asked.connection,
                    Rejection::UnknownCall,
                    &format!("{} of {call}", method.name()),
                );
                Err(RpcError::new(ErrorCode::CallFailed, "CALL DOES NOT EXIST"))
            }
        };
        self.reply(&asked, result);
    }

    fn on_info(&mut self, now: Instant, asked: Asked, key: CallKey, info: Info) {
        let digits = match info {
            Info::Dtmf(digits) => digits.to_ascii_uppercase(),
            Info::Message { body } => {
                return self.with_call(now, key, |call, out| call.message(asked, body, out));
            }
            Info::Other => String::new(),
        };
        let valid = |digit: u8| digit.is_ascii_digit() || matches!(digit, b'*' | b'#' | b'A'..=b'D' | b',');
        if (1..=DTMF_DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(valid) {
            return self.with_call(now, key, |call, out| call.dtmf(asked, digits, out));
        }
        self.reject(asked.connection, Rejection::Value, "digits");
        let message =
            format!("info has dtmf, 1 to {DTMF_DIGITS_MAX} of 0-9 * # A-D and a comma for a pause, or msg");
        let error = RpcError::new(ErrorCode::InvalidParams, message);
        self.with_call(now, key, |_, out| out.push(Action::Reply(asked, Err(error))));
    }

    fn on_invite(&mut self, now: Instant, asked: Asked, session_id: &SessionId, invite: Invite, text: &str) {
        let Some(session) = self.sessions.get(session_id) else {
            return;
        };
        let (user, early_answer) = (session.user.clone(), session.early_answer);
        let calls_max = self.settings.limits.calls_per_session_max;
        if session.calls.contains_key(&invite.call) {
            let error = RpcError::new(ErrorCode::CallFailed, "a call with this callID is up already");
            self.reject(
                asked.connection,
                Rejection::Value,
                "invite with the callID of a live call",
            );
            return self.reply(&asked, Err(error));
        }
        if session.calls.len() >= calls_max {
            let error = RpcError::new(
                ErrorCode::CallFailed,
                format!("at most {calls_max} calls at once"),
            );
            self.reject(asked.connection, Rejection::Limit, "calls of one session");
            return self.reply(&asked, Err(error));
        }
        let target = session.target.clone();
        let outgoing = match self.outgoing(&user, target, &invite) {
            Ok(outgoing) if !self.draining => outgoing,
            Ok(_) => return self.refuse_invite(&asked, invite.call, End::DRAINING, End::DRAINING.sip_reason),
            Err((end, why)) => {
                self.reject(asked.connection, Rejection::Value, &why);
                return self.refuse_invite(&asked, invite.call, end, &why);
            }
        };
        let key = CallKey(self.next_key());
        let mut call = self.new_call(now, session_id, &user, &invite, outgoing);
        call.set_client_state(invite.dialog.client_state.clone());
        let call_id = call.id.clone();
        if let Some(session) = self.sessions.get_mut(session_id) {
            session.calls.insert(invite.call.clone(), key);
        }
        self.by_media.insert(call.media.clone(), key);
        self.calls.insert(key, call);
        self.trace_frame(&call_id, Hop::Client, "invite".to_owned(), text);
        // The result goes first: the SDK's states depend on it.
        self.reply_for_call(&call_id, &asked, Ok(ResultBody::CallCreated(invite.call)));
        self.with_call(now, key, |call, out| {
            call.open(now, invite.sdp, early_answer, out)
        });
    }

    fn new_call(
        &mut self,
        now: Instant,
        session: &SessionId,
        user: &str,
        invite: &Invite,
        outgoing: OutgoingCall,
    ) -> Call {
        let id = CallId::new(&self.new_uuid()).expect("a UUID is a call id");
        let callee = Party {
            name: UNNAMED.to_owned(),
            number: outgoing.destination.as_str().to_owned(),
        };
        self.note(Note::CallStarted {
            call_id: id.clone(),
            client_call: invite.call.to_string(),
            from: outgoing.caller.number.clone(),
            to: callee.number.clone(),
        });
        let new = NewCall {
            id,
            client_id: invite.call.clone(),
            session: session.clone(),
            media: MediaSessionId(self.new_uuid()),
            leg_id: self.new_uuid(),
            user: user.to_owned(),
            caller: outgoing.caller.clone(),
            callee,
            start: Start::Outgoing {
                outgoing: Box::new(outgoing),
                ring_timeout: self.settings.ring_timeout,
            },
            duration_max: self.settings.call_duration_max,
            connected_max: self.settings.transfers.connected_max,
        };
        Call::new(now, new)
    }

    /// Who calls whom with which headers, checked.
    fn outgoing(
        &self,
        user_name: &str,
        target: Option<Destination>,
        invite: &Invite,
    ) -> Result<OutgoingCall, (End, String)> {
        let dialog = &invite.dialog;
        let dialled = dialog.destination_number.as_deref().unwrap_or_default();
        let destination = match target {
            // Anonymous clients dial nothing, or what they may.
            Some(target) if dialled.is_empty() || dialled == target.as_str() => target,
            Some(_) => {
                return Err((
                    End::NOT_ALLOWED,
                    "anonymous clients may call their target alone".to_owned(),
                ));
            }
            None => Destination::new(dialled).map_err(|why| (End::NOT_A_NUMBER, why.to_string()))?,
        };
        let mut headers = outgoing_headers(&dialog.custom_headers, &self.settings.headers_allowed)
            .map_err(|why| (End::BAD_HEADER, why))?;
        if let Some(state) = &dialog.client_state {
            let state = CustomHeader::new(CLIENT_STATE, state);
            headers.push(state.map_err(|why| (End::BAD_HEADER, format!("clientState: {why}")))?);
        }
        let user = self.settings.users.get(user_name).cloned().unwrap_or_default();
        let own_name = user_name.strip_prefix("anonymous ").unwrap_or(user_name);
        let number = user
            .caller_number(own_name, dialog.caller_id_number.as_deref())
            .to_owned();
        let asks_to_hide = dialog
            .caller_id_number
            .as_deref()
            .is_some_and(|number| number.eq_ignore_ascii_case(ANONYMOUS));
        let asked_name = validate::display_name(dialog.caller_id_name.as_deref().unwrap_or_default());
        let name = if asked_name.is_empty() {
            user.display_name.unwrap_or_default()
        } else {
            asked_name
        };
        Ok(OutgoingCall {
            destination,
            caller: Party { name, number },
            hides_caller: asks_to_hide || user.hide_caller,
            headers,
        })
    }

    /// As a result and a `bye`, so that the application sees cause and status.
    fn refuse_invite(&mut self, asked: &Asked, call: ClientCallId, end: End, why: &str) {
        self.reply(asked, Ok(ResultBody::CallCreated(call.clone())));
        let bye = ServerMessage::Bye(ByeMessage {
            call,
            cause: end.cause.name.to_owned(),
            cause_code: end.cause.code,
            sip_code: Some(end.sip_code),
            sip_reason: Some(why.to_owned()),
            sip_call_id: None,
            client_state: None,
            headers: Vec::new(),
        });
        self.send_message(asked.connection, None, &bye);
    }

    pub(super) fn trace_frame(&mut self, call_id: &CallId, from: Hop, name: String, text: &str) {
        let to = if from == Hop::Vsp { Hop::Client } else { Hop::Vsp };
        let detail = serde_json::from_str(text)
            .map(|frame| offhook_call_trace::redact_json(&frame).to_string())
            .unwrap_or_default();
        self.trace(call_id, from, to, Protocol::JsonRpc, name, detail);
    }
}

/// The client's headers. Those that are not allowed are left out; a reserved or malformed one is named.
pub(super) fn outgoing_headers(raw: &[RawHeader], allowed: &[String]) -> Result<Vec<CustomHeader>, String> {
    let mut headers = Vec::new();
    for header in raw {
        match CustomHeader::with_allowed(&header.name, &header.value, allowed) {
            Ok(header) => headers.push(header),
            Err(InvalidHeader::Name) => {}
            Err(why) => {
                let name = validate::display_name(&header.name);
                return Err(format!("header {name:?}: {why}"));
            }
        }
    }
    if headers.len() > CUSTOM_HEADERS_SENT_MAX {
        return Err(format!("at most {CUSTOM_HEADERS_SENT_MAX} custom headers"));
    }
    Ok(headers)
}

/// Those of the client's headers that may pass: for requests that must not fail on one that may not.
pub(super) fn passable_headers(raw: &[RawHeader], allowed: &[String]) -> Vec<CustomHeader> {
    raw.iter()
        .filter_map(|header| CustomHeader::with_allowed(&header.name, &header.value, allowed).ok())
        .take(CUSTOM_HEADERS_SENT_MAX)
        .collect()
}
