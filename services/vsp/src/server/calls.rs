//! Runs what calls want done, and brings them what comes back.

use super::{Leg, PendingCommand, Server, TimerKey};
use crate::call::{Action, Asked, Call, CallKey, Purpose, Refused, SipPurpose};
use crate::output::{ConnectionId, MediaToken, Note, Output};
use offhook_call_trace::{CallId, Hop, Protocol, TraceEvent, redact_json};
use offhook_media_control::{Command, CommandError, Event, LegName, Reply};
use offhook_rpc_message::{ClientCallId, ErrorCode, ResultBody, RpcError, ServerMessage, SessionId};
use serde::Serialize;
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Instant;

impl Server {
    /// Lets a call do something, and does what it then wants done.
    pub(super) fn with_call(
        &mut self,
        now: Instant,
        key: CallKey,
        act: impl FnOnce(&mut Call, &mut Vec<Action>),
    ) {
        let mut actions = Vec::new();
        if let Some(call) = self.calls.get_mut(&key) {
            act(call, &mut actions);
        }
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            let mut more = Vec::new();
            self.run_action(now, key, action, &mut more);
            actions.extend(more);
        }
    }

    fn run_action(&mut self, now: Instant, key: CallKey, action: Action, more: &mut Vec<Action>) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let call_id = call.id.clone();
        match action {
            Action::Client(message) => {
                let connection = self
                    .sessions
                    .get(&call.session)
                    .and_then(|session| session.connection);
                if let Some(connection) = connection {
                    self.send_message(connection, Some(key), &message);
                }
            }
            Action::Reply(asked, result) => {
                self.reply_for_call(&call_id, &asked, result);
            }
            Action::Media(command, purpose) => {
                call.commands += 1;
                self.send_command(key, call_id, command, purpose);
            }
            Action::Invite(outgoing, offer) => match self.send_invite(now, key, &outgoing, offer) {
                Ok(()) => {}
                Err(refused) => {
                    if let Some(call) = self.calls.get_mut(&key) {
                        call.on_refused(now, refused, more);
                    }
                }
            },
            Action::HangUp(reason, headers) => {
                if let Some(leg) = call.leg {
                    self.send_hang_up(now, leg, reason, &headers);
                }
            }
            Action::Rings(leg) => self.tell_ringing(now, leg),
            Action::RingsNoMore(leg, status, by) => self.rings_no_more(now, leg, key, status, by),
            Action::AnswerIncoming(leg, sdp, headers) => self.answer_incoming(now, leg, key, sdp, &headers),
            Action::Respond(incoming, status, sdp) => self.send_response(now, incoming, status, sdp),
            Action::Request(request, purpose) => {
                if let (Err((purpose, status, reason)), Some(call)) = (
                    self.send_request(now, key, request, purpose),
                    self.calls.get_mut(&key),
                ) {
                    call.on_response(now, purpose, Err((status, reason.to_owned())), more);
                }
            }
            Action::Deadline(timer, Some(at)) => self.deadlines.set(TimerKey::Call(key, timer), at),
            Action::Deadline(timer, None) => self.deadlines.clear(&TimerKey::Call(key, timer)),
            Action::Note(note) => self.note(note),
            Action::Released(told) => {
                let (session, client_id) = (call.session.clone(), call.client_id.clone());
                self.release(now, key, &session, &client_id, told);
            }
            Action::Over => {
                self.by_media.remove(&call.media.clone());
                self.calls.remove(&key);
                if self.calls.is_empty() {
                    self.close_idle_sockets(now);
                }
            }
            action => self.run_transfer_action(now, key, action, more),
        }
    }

    /// The client has the call no more.
    fn release(
        &mut self,
        now: Instant,
        key: CallKey,
        session_id: &SessionId,
        call: &ClientCallId,
        told: Option<Box<ServerMessage>>,
    ) {
        if let Some(session) = self.sessions.get_mut(session_id)
            && session.calls.get(call) == Some(&key)
        {
            session.call_ended(key, call, told);
        }
        // The user agent says nothing more of requests of a call that is over, and clients wait for their answers.
        let is_over = |of: CallKey, purpose: &SipPurpose| {
            of == key || matches!(purpose, SipPurpose::Join(other) if *other == key)
        };
        let over: Vec<_> = self
            .sip_requests
            .extract_if(|_, (of, purpose)| is_over(*of, purpose))
            .collect();
        for (_, (of, purpose)) in over {
            if of != key {
                let outcome = Err((480, "the other call has ended".to_owned()));
                self.with_call(now, of, |call, out| call.on_response(now, purpose, outcome, out));
            } else if let Some(asked) = purpose.asked() {
                self.reply(&asked, Err(has_ended()));
            }
        }
        if self.draining {
            self.leave_if_idle(now, session_id);
        }
    }

    /// Sends a message of ours; `key` is the call it is about.
    pub(super) fn send_message(&mut self, to: ConnectionId, key: Option<CallKey>, message: &ServerMessage) {
        let Some(connection) = self.connections.get_mut(&to) else {
            return;
        };
        let id = connection.next_id(key.map(|key| (key, message.name())));
        let text = message.encode(id, &connection.voice_sdk_id);
        if let Some(call_id) = key
            .and_then(|key| self.calls.get(&key))
            .map(|call| call.id.clone())
        {
            self.trace_frame(&call_id, Hop::Vsp, message.name().to_owned(), &text);
        }
        self.outputs.push_back(Output::Text { to, text });
    }

    /// Answers a request about a call, in its trace too.
    pub(super) fn reply_for_call(
        &mut self,
        call_id: &CallId,
        asked: &Asked,
        result: Result<ResultBody, RpcError>,
    ) {
        let (kind, detail) = match &result {
            Ok(_) => ("result", String::new()),
            Err(error) => ("error", error.to_string()),
        };
        self.trace(
            call_id,
            Hop::Vsp,
            Hop::Client,
            Protocol::JsonRpc,
            format!("{kind} {}", asked.method),
            detail,
        );
        self.reply(asked, result);
    }

    fn send_command(&mut self, key: CallKey, call_id: CallId, command: Command, purpose: Purpose) {
        let token = MediaToken(self.next_key());
        let (name, detail) = tag_and_detail(&command, "method");
        self.trace(
            &call_id,
            Hop::Vsp,
            Hop::B2buaRtc,
            Protocol::Control,
            name.clone(),
            detail,
        );
        self.commands.insert(
            token,
            PendingCommand {
                key,
                call_id,
                purpose,
                name,
            },
        );
        self.outputs.push_back(Output::Media { token, command });
    }

    pub(super) fn on_media_reply(
        &mut self,
        now: Instant,
        token: MediaToken,
        reply: Result<Reply, CommandError>,
    ) {
        let Some(PendingCommand {
            key,
            call_id,
            purpose,
            name,
        }) = self.commands.remove(&token)
        else {
            return;
        };
        let (name, detail) = match &reply {
            Ok(reply) => (format!("reply {name}"), tag_and_detail(reply, "kind").1),
            Err(error) => (format!("error {name}"), error.to_string()),
        };
        self.trace(&call_id, Hop::B2buaRtc, Hop::Vsp, Protocol::Control, name, detail);
        if !self.calls.contains_key(&key) {
            if let Some(asked) = purpose.asked() {
                self.reply(&asked, Err(has_ended()));
            }
            return;
        }
        self.with_call(now, key, |call, out| {
            call.commands = call.commands.saturating_sub(1);
            call.on_reply(now, purpose, reply, out);
        });
    }

    pub(super) fn on_media_event(&mut self, now: Instant, event: Event) {
        let (name, detail) = match &event {
            Event::Trace { .. } | Event::Quality { .. } => Default::default(),
            event => tag_and_detail(event, "method"),
        };
        let session = match &event {
            Event::Trace { call_id, event } => {
                self.outputs
                    .push_back(Output::Trace(call_id.clone(), event.clone()));
                return;
            }
            Event::Connected { session }
            | Event::MediaStarted { session, .. }
            | Event::MediaStopped { session, .. }
            | Event::Dtmf { session, .. }
            | Event::PlayEnded { session, .. }
            | Event::Quality { session, .. }
            | Event::Gone { session, .. } => session,
        };
        let Some(key) = self.by_media.get(session).copied() else {
            return;
        };
        if let (Some(call), false) = (self.calls.get(&key), name.is_empty()) {
            let call_id = call.id.clone();
            self.trace(&call_id, Hop::B2buaRtc, Hop::Vsp, Protocol::Control, name, detail);
        }
        match event {
            Event::Gone { reason, summary, .. } => {
                self.with_call(now, key, |call, out| call.on_gone(now, reason, summary, out));
            }
            Event::Dtmf {
                from: LegName::Carrier,
                digit,
                ..
            } => {
                self.with_call(now, key, |call, out| call.carrier_digit(digit, out));
            }
            Event::Connected { .. }
            | Event::MediaStarted {
                from: LegName::Client,
                ..
            } => {
                self.with_call(now, key, |call, _| call.client_media_started());
            }
            Event::MediaStopped {
                from: LegName::Client,
                ..
            } => self.on_client_silent(now, key),
            Event::PlayEnded {
                to: LegName::Carrier, ..
            } => self.with_call(now, key, |call, _| call.away_is_over()),
            Event::Dtmf { .. }
            | Event::PlayEnded { .. }
            | Event::MediaStarted { .. }
            | Event::MediaStopped { .. }
            | Event::Quality { .. }
            | Event::Trace { .. } => {}
        }
    }

    fn on_client_silent(&mut self, now: Instant, key: CallKey) {
        let call = self.calls.get(&key);
        let session = call.and_then(|call| self.sessions.get(&call.session));
        let just_back = session.is_some_and(|session| session.is_just_back(now));
        let away = session.is_some_and(|session| session.connection.is_none());
        self.with_call(now, key, |call, out| {
            call.client_media_stopped(now, just_back, out);
            if away {
                call.client_away(out);
            }
        });
    }

    pub(super) fn trace(
        &mut self,
        call_id: &CallId,
        from: Hop,
        to: Hop,
        protocol: Protocol,
        name: String,
        detail: String,
    ) {
        let event = TraceEvent::message(Hop::Vsp, from, to, protocol, name).with_detail(detail);
        self.outputs.push_back(Output::Trace(call_id.clone(), event));
    }

    /// The INVITE of this call has gone out on this leg.
    pub(super) fn remember_leg(&mut self, leg: offhook_sip::user_agent::LegId, key: CallKey) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.leg = Some(leg);
            let call_id = call.id.clone();
            self.legs.insert(
                leg,
                Leg {
                    call_id,
                    key: Some(key),
                    over: false,
                },
            );
        }
    }

    /// The leg is over; its last messages may still pass.
    pub(super) fn leg_over(&mut self, leg: offhook_sip::user_agent::LegId) {
        if let Some(state) = self.legs.get_mut(&leg)
            && !state.over
        {
            state.over = true;
            self.ended_legs.push_back(leg);
            if self.ended_legs.len() > super::ENDED_LEGS_MAX
                && let Some(oldest) = self.ended_legs.pop_front()
            {
                self.legs.remove(&oldest);
            }
        }
    }

    pub(super) fn note_sip_call_id(&mut self, key: Option<CallKey>, call_id: CallId, sip_call_id: String) {
        if let Some(call) = key.and_then(|key| self.calls.get_mut(&key)) {
            call.set_sip_call_id(sip_call_id.clone());
        }
        self.note(Note::SipCallId { call_id, sip_call_id });
    }

    pub(super) fn refuse_call(&mut self, now: Instant, key: CallKey, refused: Refused) {
        self.with_call(now, key, |call, out| call.on_refused(now, refused, out));
    }
}

fn has_ended() -> RpcError {
    RpcError::new(ErrorCode::CallFailed, "the call has ended")
}

/// The tag of a command, reply or event, and all of it without secrets.
fn tag_and_detail(message: &impl Serialize, tag: &str) -> (String, String) {
    let value = serde_json::to_value(message).unwrap_or(Value::Null);
    let name = value
        .get(tag)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    (name, redact_json(&value).to_string())
}
