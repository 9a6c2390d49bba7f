//! WebSockets: opening, frames, pings, silence, closing.

use super::{Server, TimerKey};
use crate::call::Asked;
use crate::limits::{PING_INTERVAL, SILENCE_MAX};
use crate::output::{CloseReason, ConnectionId, Departure, EndedBy, Note, Output, Peer, Rejection};
use crate::session::{Connection, Session, Stage};
use crate::translate::End;
use offhook_call_trace::{Hop, Protocol};
use offhook_rpc_message::{
    ClientFrame, ClientMethod, ErrorCode, ResultBody, RpcError, ServerMessage, SessionId, VoiceSdkId,
};
use std::time::Instant;

/// How often it is looked whether credentials are still being checked once a login takes long.
const CHECK_LOOK: std::time::Duration = std::time::Duration::from_secs(5);
/// Longest excerpt of what was refused, in bytes.
const EXCERPT_LEN_MAX: usize = 200;

impl Server {
    pub(super) fn open_socket(&mut self, now: Instant, id: ConnectionId, peer: Peer) {
        if !self.may_enter(peer.voice_sdk_id.as_deref()) {
            self.outputs.push_back(Output::Close {
                to: id,
                reason: CloseReason::Restart,
            });
            return;
        }
        // What is unguessable has no dot: a balancer takes all after the first one for the node.
        let unguessable = self.new_uuid();
        let voice_sdk_id = VoiceSdkId(format!("vsdk-{unguessable}.{}", self.settings.node).into());
        let connection = Connection::new(now, peer, voice_sdk_id, &self.settings.limits);
        self.connections.insert(id, connection);
        self.arm_socket(id);
    }

    /// Whether a client that brings this sticky id may open a socket. While we leave, only whoever has a call here and may
    /// have lost its socket: others do better at another node. Old releases bring none.
    pub fn may_enter(&self, voice_sdk_id: Option<&str>) -> bool {
        let awaited = |session: &Session| {
            let is_meant = voice_sdk_id.is_none_or(|id| *session.voice_sdk_id.0 == *id);
            is_meant && !session.calls.is_empty()
        };
        !self.draining || self.sessions.values().any(awaited)
    }

    pub(super) fn on_binary(&mut self, now: Instant, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.last_frame = now;
            self.reject(id, Rejection::Binary, "binary frame ignored");
        }
    }

    /// Browsers answer Ping frames by themselves, whatever the page does. That counts for clients alone that answer no others.
    pub(super) fn on_pong(&mut self, now: Instant, id: ConnectionId, number: u64) {
        if self.answers_pings(id) {
            return;
        }
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.last_frame = now;
        if connection.last_ping == Some(number) {
            self.rival_lives(now, id);
        }
    }

    /// Whether this socket's client has to show by frames of the dialect that it lives.
    fn answers_pings(&self, id: ConnectionId) -> bool {
        let session = self.connections.get(&id).and_then(Connection::session);
        let session = session.and_then(|session| self.sessions.get(session));
        session.is_none_or(|session| session.answers_pings)
    }

    pub(super) fn on_text(&mut self, now: Instant, id: ConnectionId, text: &str) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.last_frame = now;
        let announced = connection
            .speed_test
            .as_mut()
            .is_some_and(|test| test.expects(text));
        let allowed = announced || connection.requests.take(now);
        if !allowed && !connection.refusals.take(now) {
            self.reject(id, Rejection::Rate, "closed: the client goes on above the rate");
            return self.close_socket(now, id, CloseReason::Abuse);
        }
        self.on_frame(now, id, text, allowed);
    }

    pub(super) fn on_frame(&mut self, now: Instant, id: ConnectionId, text: &str, allowed: bool) {
        match offhook_rpc_message::decode(text) {
            Ok(ClientFrame::Request { id: frame, method }) if allowed => {
                let asked = Asked {
                    connection: id,
                    frame,
                    method: method.name(),
                };
                self.on_request(now, asked, method, text);
            }
            Ok(ClientFrame::Request { id: frame, method }) => {
                self.reject(id, Rejection::Rate, "request above the rate");
                let error = RpcError::new(ErrorCode::InvalidRequest, "too many requests per second");
                self.reply(
                    &Asked {
                        connection: id,
                        frame,
                        method: method.name(),
                    },
                    Err(error),
                );
            }
            Ok(ClientFrame::Debug(report)) => {
                self.reply(
                    &Asked {
                        connection: id,
                        frame: report.id,
                        method: "debug",
                    },
                    Ok(ResultBody::Empty),
                );
            }
            Ok(ClientFrame::Ack { id: Some(sent), .. }) => self.on_ack(now, id, sent),
            Ok(ClientFrame::SpeedTest(step)) if allowed => self.on_speed_test(now, id, step),
            Ok(ClientFrame::Ack { id: None, .. } | ClientFrame::SpeedTest(_)) => {}
            Ok(ClientFrame::Notification(ClientMethod::AiConversation)) => {}
            Ok(ClientFrame::Notification(method)) => {
                self.reject(id, Rejection::Malformed, &format!("{} without id", method.name()));
            }
            Err(malformed) => {
                let why = match malformed.error.code {
                    ErrorCode::InvalidParams => Rejection::Params,
                    _ => Rejection::Malformed,
                };
                let method = malformed.method.as_deref().unwrap_or("frame");
                self.reject(id, why, &format!("{method}: {}", malformed.error.message));
                let asked = Asked {
                    connection: id,
                    frame: malformed.id,
                    method: "malformed",
                };
                self.reply(&asked, Err(malformed.error));
            }
        }
    }

    fn on_request(&mut self, now: Instant, asked: Asked, method: ClientMethod, text: &str) {
        let Some(connection) = self.connections.get_mut(&asked.connection) else {
            return;
        };
        match (&mut connection.stage, method) {
            (_, ClientMethod::Ping) => {
                let id = asked.connection;
                if let Some(session) = connection.session().and_then(|id| self.sessions.get_mut(id)) {
                    session.answers_pings = true;
                }
                self.reply(&asked, Ok(ResultBody::Pong));
                self.on_client_ping(now, id);
                self.rival_lives(now, id);
            }
            (Stage::Authenticating(pending, _) | Stage::Probing(pending, _), _) => {
                if !pending.queue(text) {
                    self.reject(
                        asked.connection,
                        Rejection::Limit,
                        "too many requests before the login is decided",
                    );
                    let error =
                        RpcError::new(ErrorCode::InvalidRequest, "a login is being checked; wait for it");
                    self.reply(&asked, Err(error));
                }
            }
            (_, ClientMethod::Login(login)) => self.on_login(now, asked, *login),
            (_, ClientMethod::AnonymousLogin(login)) => self.on_anonymous_login(now, asked, &login),
            (Stage::Registered(session), method) => {
                let session = session.clone();
                self.on_session_request(now, asked, &session, method, text);
            }
            (Stage::Connected, method) => {
                self.reject(
                    asked.connection,
                    Rejection::NotLoggedIn,
                    &format!("{} before login", method.name()),
                );
                let error = RpcError::new(ErrorCode::AuthenticationRequired, "Authentication required");
                self.reply(&asked, Err(error));
            }
        }
    }

    fn on_ack(&mut self, now: Instant, id: ConnectionId, sent: u64) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.last_ping == Some(sent) {
            return self.rival_lives(now, id);
        }
        let session = connection.session().cloned();
        let Some((key, name)) = connection.acknowledged(sent) else {
            return;
        };
        if let Some(session) = session.and_then(|session| self.sessions.get_mut(&session))
            && name == "bye"
        {
            session.bye_acknowledged(key);
        }
        if let Some(call) = self.calls.get(&key) {
            let call_id = call.id.clone();
            self.trace(
                &call_id,
                Hop::Client,
                Hop::Vsp,
                Protocol::JsonRpc,
                format!("ack {name}"),
                String::new(),
            );
            self.with_call(now, key, |call, out| call.on_ack(name, out));
        }
    }

    pub(super) fn on_socket_timer(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if now.saturating_duration_since(connection.last_frame) >= SILENCE_MAX {
            return self.close_socket(now, id, CloseReason::Silent);
        }
        let registered = connection.session().is_some();
        // Whose credentials we take our time to check does not pay for it.
        let being_checked = matches!(connection.stage, Stage::Authenticating(..));
        if being_checked {
            connection.login_by = connection.login_by.max(now + CHECK_LOOK);
        }
        if !registered && now >= connection.login_by {
            return self.close_socket(now, id, CloseReason::NotLoggedIn);
        }
        if now >= connection.next_ping {
            connection.next_ping = now + PING_INTERVAL;
            if registered {
                self.ping(id);
            }
        }
        self.arm_socket(id);
    }

    pub(super) fn ping(&mut self, id: ConnectionId) {
        let answers = self.answers_pings(id);
        if let Some(connection) = self.connections.get_mut(&id) {
            let serno = connection.next_id(None);
            connection.last_ping = Some(serno);
            let text = ServerMessage::Ping { serno }.encode(serno, &connection.voice_sdk_id);
            self.outputs.push_back(Output::Text { to: id, text });
            if !answers {
                let number = serno;
                self.outputs.push_back(Output::Ping { to: id, number });
            }
        }
    }

    pub(super) fn arm_socket(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let mut at = connection.next_ping.min(connection.last_frame + SILENCE_MAX);
        if connection.session().is_none() {
            at = at.min(connection.login_by);
        }
        self.deadlines.set(TimerKey::Socket(id), at);
    }

    pub(super) fn close_socket(&mut self, now: Instant, id: ConnectionId, reason: CloseReason) {
        self.outputs.push_back(Output::Close { to: id, reason });
        self.on_socket_gone(now, id, Departure::Lost);
    }

    /// Forgets a socket. Its session keeps its calls for the grace time, and ends at once if it has none.
    pub(super) fn on_socket_gone(&mut self, now: Instant, id: ConnectionId, how: Departure) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        self.deadlines.clear(&TimerKey::Socket(id));
        self.deadlines.clear(&TimerKey::Probe(id));
        if let Stage::Probing(_, probe) = &connection.stage {
            self.probes.remove(&(probe.rival, id));
        }
        if let Some(session) = connection.session() {
            self.detach(now, &session.clone(), how);
        }
        self.rival_gone(now, id);
    }

    fn detach(&mut self, now: Instant, id: &SessionId, how: Departure) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.connection = None;
        session.departure = how;
        if session.calls.is_empty() {
            let user = session.user.clone();
            self.sessions.remove(id);
            self.review_account(now, &user);
        } else {
            let calls: Vec<_> = session.calls.values().copied().collect();
            self.deadlines
                .set(TimerKey::Grace(id.clone()), now + self.settings.reattach_grace);
            for key in calls {
                self.with_call(now, key, |call, out| call.client_away(out));
            }
        }
    }

    pub(super) fn on_grace_over(&mut self, now: Instant, id: &SessionId) {
        if self
            .sessions
            .get(id)
            .is_some_and(|session| session.connection.is_none())
        {
            self.end_session(now, id, End::CLIENT_GONE);
        }
    }

    /// Ends a session with all its calls. Its socket stays.
    pub(super) fn end_session(&mut self, now: Instant, id: &SessionId, end: End) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        for key in session.calls.values().copied().collect::<Vec<_>>() {
            self.with_call(now, key, |call, out| call.end(now, EndedBy::Vsp, end, out));
        }
        self.deadlines.clear(&TimerKey::Grace(id.clone()));
        if let Some(session) = self.sessions.remove(id) {
            self.review_account(now, &session.user);
        }
    }

    /// While draining: a session that no call needs any more ends, and its socket.
    pub(super) fn leave_if_idle(&mut self, now: Instant, id: &SessionId) {
        let Some(session) = self.sessions.get(id).filter(|session| session.calls.is_empty()) else {
            return;
        };
        match session.connection {
            Some(connection) => self.close_socket(now, connection, CloseReason::Restart),
            None => self.end_session(now, id, End::DRAINING),
        }
    }

    /// While draining: closes the sockets, and ends the sessions without socket, that no call needs.
    pub(super) fn close_idle_sockets(&mut self, now: Instant) {
        if !self.draining {
            return;
        }
        let sessions = &self.sessions;
        let busy = |connection: &Connection| {
            let session = connection.session().and_then(|id| sessions.get(id));
            session.is_some_and(|session| !session.calls.is_empty())
        };
        let idle: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, connection)| !busy(connection))
            .map(|(id, _)| *id)
            .collect();
        for id in idle {
            self.close_socket(now, id, CloseReason::Restart);
        }
        let left = |session: &Session| session.connection.is_none() && session.calls.is_empty();
        let ended: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| left(session))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ended {
            self.end_session(now, &id, End::DRAINING);
        }
    }

    /// Answers a request, if its socket is still there.
    pub(super) fn reply(&mut self, asked: &Asked, result: Result<ResultBody, RpcError>) {
        let Some(connection) = self.connections.get(&asked.connection) else {
            return;
        };
        let voice_sdk_id = &connection.voice_sdk_id;
        let text = match result {
            Ok(body) => body.encode(&asked.frame, connection.session(), voice_sdk_id),
            Err(error) => error.encode(&asked.frame, voice_sdk_id),
        };
        self.outputs.push_back(Output::Text {
            to: asked.connection,
            text,
        });
    }

    /// Counts and logs something refused.
    pub(super) fn reject(&mut self, connection: ConnectionId, why: Rejection, detail: &str) {
        let end = (0..=EXCERPT_LEN_MAX.min(detail.len()))
            .rev()
            .find(|end| detail.is_char_boundary(*end));
        let detail = detail[..end.unwrap_or(0)].to_owned();
        self.note(Note::Rejected {
            connection,
            why,
            detail,
        });
    }
}
