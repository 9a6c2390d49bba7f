//! Login: credentials to a session, new or resumed.

use super::{Server, TimerKey};
use crate::auth::{self, Credential, Question, Refusal, Verdict};
use crate::call::{Asked, CallKey, Return};
use crate::limits::RIVAL_PROBE;
use crate::output::{AskToken, CloseReason, ConnectionId, Departure, EndedBy, Note, Output, Rejection};
use crate::session::{PendingLogin, Probe, Session, Stage};
use crate::settings::AnonymousTarget;
use crate::translate::End;
use offhook_rpc_message::{
    AnonymousLogin, ErrorCode, FrameId, Login, ResultBody, RpcError, ServerMessage, SessionId,
};
use std::time::{Duration, Instant};

/// Version of the client dialect.
const PROTOCOL_VERSION: u32 = 1;
/// Refused logins after which a socket is closed.
const FAILURES_PER_SOCKET_MAX: u32 = 5;
/// How long a socket may stay after a refused login: closing it would make the SDK come back and fail again.
const REFUSED_LINGER: Duration = Duration::from_secs(300);

/// The session that a login gets.
enum Wanted {
    /// Another one than any that there is.
    New,
    /// The one that the socket has already.
    Current(SessionId),
    /// One without a socket.
    Detached(SessionId),
    /// One that another socket holds.
    Held(SessionId, ConnectionId),
}

impl Server {
    /// A client without a name may call one destination that the operator offers for it, and is called by nobody.
    pub(super) fn on_anonymous_login(&mut self, now: Instant, asked: Asked, login: &AnonymousLogin) {
        let offers = |target: &&AnonymousTarget| {
            login.target_type.as_deref() == Some(target.kind.as_str())
                && login.target_id.as_deref() == Some(target.id.as_str())
        };
        let target = self.settings.anonymous_targets.iter().find(offers);
        let Some((caller, destination)) =
            target.map(|target| (target.caller.clone(), target.destination.clone()))
        else {
            return self.refuse_login(now, asked.connection, &asked.frame, Refusal::Anonymous);
        };
        if self.draining && !self.has_calls_here(asked.connection, login.session.as_deref()) {
            return self.close_socket(now, asked.connection, CloseReason::Restart);
        }
        let Some(connection) = self.connections.get(&asked.connection) else {
            return;
        };
        let previous = connection.session().cloned();
        if previous.is_none() && self.sessions.len() >= self.settings.limits.sessions_max {
            let error = RpcError::new(ErrorCode::CallFailed, "the server is full; try again later");
            return self.reply(&asked, Err(error));
        }
        let pending = PendingLogin {
            frame: asked.frame,
            login: Login {
                session: login.session.clone(),
                reconnection: login.session.is_some(),
                user_agent: login.user_agent.clone(),
                ..Login::default()
            },
            valid_until: None,
            target: Some(destination),
            previous,
            queued: Vec::new(),
        };
        // No user has a name with a space.
        let name = format!("anonymous {caller}");
        self.on_good_login(now, asked.connection, Box::new(pending), name);
    }

    pub(super) fn on_login(&mut self, now: Instant, asked: Asked, mut login: Login) {
        let Some(connection) = self.connections.get(&asked.connection) else {
            return;
        };
        if self.draining && !self.has_calls_here(asked.connection, login.session.as_deref()) {
            return self.close_socket(now, asked.connection, CloseReason::Restart);
        }
        if self.throttle.refuses(now, connection.peer.address) {
            return self.refuse_login(now, asked.connection, &asked.frame, Refusal::Throttled);
        }
        let previous = connection.session().cloned();
        if previous.is_none() && self.sessions.len() >= self.settings.limits.sessions_max {
            self.note(Note::Login {
                address: connection.peer.address,
                outcome: Err(Refusal::Overloaded),
            });
            return self.reply(
                &asked,
                Err(RpcError::new(
                    ErrorCode::CallFailed,
                    "the server is full; try again later",
                )),
            );
        }
        let question = match question(&mut login) {
            Ok(question) => question,
            Err(refusal) => return self.refuse_login(now, asked.connection, &asked.frame, refusal),
        };
        let token = AskToken(self.next_key());
        if let Some(connection) = self.connections.get_mut(&asked.connection) {
            let pending = PendingLogin {
                frame: asked.frame,
                login,
                valid_until: None,
                target: None,
                previous,
                queued: Vec::new(),
            };
            connection.stage = Stage::Authenticating(Box::new(pending), token);
            self.questions.insert(token, asked.connection);
            self.outputs.push_back(Output::Ask { token, question });
        }
    }

    /// Whether a client that logs in says that it has calls here: while we drain it may renew its credentials, or come back
    /// to them, and others go elsewhere.
    fn has_calls_here(&self, id: ConnectionId, session: Option<&str>) -> bool {
        let Some(connection) = self.connections.get(&id) else {
            return false;
        };
        let offered = connection.peer.voice_sdk_id.as_deref();
        let meant = |id: &SessionId, known: &Session| {
            session == Some(&*id.0) || offered == Some(&*known.voice_sdk_id.0)
        };
        connection.session().is_some()
            || self
                .sessions
                .iter()
                .any(|(id, known)| !known.calls.is_empty() && meant(id, known))
    }

    pub(super) fn on_verdict(&mut self, now: Instant, token: AskToken, verdict: Verdict) {
        let Some(id) = self.questions.remove(&token) else {
            return;
        };
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let address = connection.peer.address;
        let mut pending = match std::mem::replace(&mut connection.stage, Stage::Connected) {
            Stage::Authenticating(pending, asked) if asked == token => pending,
            other => {
                connection.stage = other;
                return;
            }
        };
        match self.user_of(&verdict) {
            Ok(user) => {
                pending.valid_until = self.valid_until(now, &verdict);
                self.on_good_login(now, id, pending, user);
            }
            // An error would be the end for the SDK; a closed socket makes it come back.
            Err(Refusal::Overloaded) if pending.previous.is_none() => {
                self.note(Note::Login {
                    address,
                    outcome: Err(Refusal::Overloaded),
                });
                self.close_socket(now, id, CloseReason::Busy);
            }
            Err(refusal) => {
                let frame = pending.frame.clone();
                self.back_to(id, pending.previous);
                self.refuse_login(now, id, &frame, refusal);
                self.run_queued(now, id, pending.queued);
            }
        }
    }

    fn user_of(&self, verdict: &Verdict) -> Result<String, Refusal> {
        let user = match verdict {
            Verdict::Password { user } => user.as_str(),
            Verdict::Token { claims, unix_now_s } => {
                auth::check_claims(claims, &self.settings.tokens, *unix_now_s)?
            }
            Verdict::Refused(refusal) => return Err(*refusal),
        };
        match self.settings.users.contains_key(user) {
            true => Ok(user.to_owned()),
            false => Err(Refusal::UnknownUser),
        }
    }

    /// When the token ends that proved who the client is.
    fn valid_until(&self, now: Instant, verdict: &Verdict) -> Option<Instant> {
        let Verdict::Token { claims, unix_now_s } = verdict else {
            return None;
        };
        let end_s = claims.expires_s?.saturating_add(self.settings.tokens.leeway_s);
        now.checked_add(Duration::from_secs(end_s.saturating_sub(*unix_now_s)))
    }

    fn on_good_login(&mut self, now: Instant, id: ConnectionId, pending: Box<PendingLogin>, user: String) {
        match self.wanted(id, &pending, &user) {
            Wanted::Current(session) => self.relogin(now, id, *pending, &session),
            Wanted::Detached(session) => self.resume(now, id, *pending, session),
            Wanted::New => self.new_session(now, id, *pending, user),
            Wanted::Held(session, rival) => {
                // Two pages may share a session id by accident (a duplicated tab): the one that holds it keeps it if it
                // lives. A client that changed networks leaves a socket behind that looks alive and is not.
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.stage = Stage::Probing(pending, Probe { user, session, rival });
                    self.probes.insert((rival, id));
                    self.ping(rival);
                    self.deadlines.set(TimerKey::Probe(id), now + RIVAL_PROBE);
                }
            }
        }
    }

    fn wanted(&self, id: ConnectionId, pending: &PendingLogin, user: &str) -> Wanted {
        let of_user = |id: &SessionId| self.sessions.get(id).is_some_and(|session| session.user == user);
        if let Some(current) = pending.previous.as_ref().filter(|current| of_user(current)) {
            return Wanted::Current(current.clone());
        }
        let offered = self
            .connections
            .get(&id)
            .and_then(|connection| connection.peer.voice_sdk_id.as_deref());
        match (&pending.login.session, offered) {
            (Some(asked), _) => {
                let asked = SessionId(asked.as_str().into());
                match self
                    .sessions
                    .get(&asked)
                    .filter(|session| session.user == user)
                    .map(|s| s.connection)
                {
                    None => Wanted::New,
                    Some(None) => Wanted::Detached(asked),
                    Some(Some(rival)) => Wanted::Held(asked, rival),
                }
            }
            // Without a session id, the sticky id alone may be that of another client in the same page: it never takes a
            // session away from a socket.
            (None, Some(offered)) if pending.login.reconnection => {
                let fits = |session: &Session| {
                    session.user == user
                        && session.connection.is_none()
                        && *session.voice_sdk_id.0 == *offered
                };
                let found = self.sessions.iter().find(|(_, session)| fits(session));
                found.map_or(Wanted::New, |(id, _)| Wanted::Detached(id.clone()))
            }
            _ => Wanted::New,
        }
    }

    /// New credentials for the session that the socket has: nothing else changes. A clientReady would destroy calls.
    fn relogin(&mut self, now: Instant, id: ConnectionId, pending: PendingLogin, session: &SessionId) {
        self.note_client(session, &pending);
        self.logged_in(id, &pending.frame, session);
        self.run_queued(now, id, pending.queued);
    }

    /// The login comes to nothing: the socket is what it was before.
    fn back_to(&mut self, id: ConnectionId, previous: Option<SessionId>) {
        if let (Some(connection), Some(previous)) = (self.connections.get_mut(&id), previous) {
            connection.stage = Stage::Registered(previous);
        }
    }

    /// One user has more clients than a user may have. Those that it has stay.
    fn too_many_sessions(&mut self, id: ConnectionId, pending: PendingLogin) {
        self.back_to(id, pending.previous);
        self.reject(id, Rejection::Limit, "sessions of one user");
        let asked = Asked {
            connection: id,
            frame: pending.frame,
            method: "login",
        };
        let message = "too many clients of this user; close some or try again later";
        self.reply(&asked, Err(RpcError::new(ErrorCode::CallFailed, message)));
        self.arm_socket(id);
    }

    fn new_session(&mut self, now: Instant, id: ConnectionId, pending: PendingLogin, user: String) {
        if self.draining {
            self.back_to(id, pending.previous);
            return self.close_socket(now, id, CloseReason::Restart);
        }
        let of_user = self
            .sessions
            .values()
            .filter(|session| session.user == user)
            .count();
        if of_user >= self.settings.limits.sessions_per_user_max {
            return self.too_many_sessions(id, pending);
        }
        if let Some(previous) = &pending.previous {
            self.end_session(now, previous, End::CLIENT_GONE);
        }
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let mut session = Session::new(user, connection.voice_sdk_id.clone(), id);
        if self.settings.call_reports {
            let report_id = format!("cr-{}", self.new_uuid());
            self.note(Note::ReportIssued(report_id.clone()));
            session.report_id = Some(report_id);
        }
        let session_id = SessionId(self.new_uuid().into());
        let user = session.user.clone();
        self.sessions.insert(session_id.clone(), session);
        self.review_account(now, &user);
        self.note_client(&session_id, &pending);
        self.logged_in(id, &pending.frame, &session_id);
        self.send_message(
            id,
            None,
            &ServerMessage::ClientReady {
                reattached: Some(Vec::new()),
            },
        );
        self.offer_ringing_calls(now, &session_id);
        self.run_queued(now, id, pending.queued);
    }

    /// Gives a session without a socket to this one, with what its client may have missed.
    fn resume(&mut self, now: Instant, id: ConnectionId, pending: PendingLogin, session_id: SessionId) {
        if let Some(previous) = pending
            .previous
            .as_ref()
            .filter(|previous| **previous != session_id)
        {
            self.end_session(now, previous, End::CLIENT_GONE);
        }
        self.deadlines.clear(&TimerKey::Grace(session_id.clone()));
        let how = self.how_returned(id, &session_id);
        if how == Return::Reloaded {
            self.keep_best_call(now, &session_id);
        }
        let Some(session) = self.sessions.get_mut(&session_id) else {
            // While we drain, it went with the calls that a new page does not take.
            return self.close_socket(now, id, CloseReason::Restart);
        };
        session.connection = Some(id);
        session.returned = Some(now);
        let keys: Vec<_> = session.calls.values().copied().collect();
        let reattached = session.calls.keys().cloned().collect();
        let mut missed: Vec<_> = session
            .missed_byes()
            .into_iter()
            .map(|message| (None, message))
            .collect();
        for key in session.calls.values() {
            if let Some(call) = self.calls.get(key) {
                missed.extend(call.missed().into_iter().map(|message| (Some(*key), message)));
            }
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.voice_sdk_id = session.voice_sdk_id.clone();
        }
        self.note_client(&session_id, &pending);
        self.logged_in(id, &pending.frame, &session_id);
        self.send_message(
            id,
            None,
            &ServerMessage::ClientReady {
                reattached: Some(reattached),
            },
        );
        for (key, message) in missed {
            self.send_message(id, key, &message);
        }
        for key in keys {
            self.with_call(now, key, |call, out| call.client_returned(now, how, out));
        }
        self.offer_ringing_calls(now, &session_id);
        self.run_queued(now, id, pending.queued);
    }

    /// What the page is like that takes up a session on this socket.
    fn how_returned(&self, id: ConnectionId, session: &SessionId) -> Return {
        let Some(session) = self.sessions.get(session) else {
            return Return::Same;
        };
        let address = self
            .connections
            .get(&id)
            .map(|connection| connection.peer.address);
        match session.departure {
            Departure::PageLeft => Return::Reloaded,
            Departure::Lost if session.address.is_some() && session.address != address => Return::Elsewhere,
            Departure::Lost => Return::Same,
        }
    }

    /// A page that was loaded anew takes one call. The others end, before the client is told which ones there are.
    fn keep_best_call(&mut self, now: Instant, session: &SessionId) {
        let Some(session) = self.sessions.get(session) else {
            return;
        };
        let rank = |key: &CallKey| self.calls.get(key).and_then(|call| call.rank_after_reload());
        let up = |key: &CallKey| rank(key).is_some_and(|rank| rank < 2);
        let best = session.calls.values().copied().filter(up).min_by_key(rank);
        let lost = |key: &CallKey| match rank(key) {
            Some(2) => false,
            Some(_) => Some(*key) != best,
            None => true,
        };
        for key in session.calls.values().copied().filter(lost).collect::<Vec<_>>() {
            self.with_call(now, key, |call, out| {
                call.end(now, EndedBy::Vsp, End::CLIENT_GONE, out)
            });
        }
    }

    /// Takes over what the client says of itself.
    fn note_client(&mut self, session: &SessionId, pending: &PendingLogin) {
        let login = &pending.login;
        if let Some(session) = self.sessions.get_mut(session) {
            session.valid_until = pending.valid_until;
            session.target = pending.target.clone();
            session.early_answer = login.early_sdp_answer;
            session.answers_pings = login.user_agent.is_some();
            let agent = login
                .user_agent
                .as_deref()
                .unwrap_or_default()
                .to_ascii_lowercase();
            session.acknowledges = !(agent.starts_with("android") || agent.starts_with("ios"));
        }
    }

    fn logged_in(&mut self, id: ConnectionId, frame: &FrameId, session: &SessionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.stage = Stage::Registered(session.clone());
        connection.login_failures = 0;
        let address = connection.peer.address;
        let session = self.sessions.get_mut(session);
        let user = session.map(|session| {
            session.address = Some(address);
            session.departure = Departure::Lost;
            session.user.clone()
        });
        let user = user.unwrap_or_default();
        self.note(Note::Login {
            address,
            outcome: Ok(user),
        });
        let asked = Asked {
            connection: id,
            frame: frame.clone(),
            method: "login",
        };
        self.reply(
            &asked,
            Ok(ResultBody::LoggedIn {
                protocol_version: PROTOCOL_VERSION,
            }),
        );
        self.arm_socket(id);
    }

    /// Every refusal looks the same to the client, and none is -32000: that would make the SDK log in for ever.
    fn refuse_login(&mut self, now: Instant, id: ConnectionId, frame: &FrameId, refusal: Refusal) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let address = connection.peer.address;
        connection.login_failures += 1;
        connection.login_by = connection.login_by.max(now + REFUSED_LINGER);
        let closes = connection.login_failures >= FAILURES_PER_SOCKET_MAX;
        if !matches!(refusal, Refusal::Throttled | Refusal::Overloaded) {
            self.throttle.failed(now, address);
        }
        self.note(Note::Login {
            address,
            outcome: Err(refusal),
        });
        let error = RpcError::new(ErrorCode::AuthenticationFailed, "Authentication failure");
        self.reply(
            &Asked {
                connection: id,
                frame: frame.clone(),
                method: "login",
            },
            Err(error),
        );
        if closes {
            self.close_socket(now, id, CloseReason::Abuse);
        } else {
            self.arm_socket(id);
        }
    }

    /// Our ping was answered on this socket: it lives, and keeps a session that another one asks for. Other frames may have
    /// been on their way when it was left.
    pub(super) fn rival_lives(&mut self, now: Instant, rival: ConnectionId) {
        for (id, pending, probe) in self.take_probes(rival) {
            self.new_session(now, id, *pending, probe.user);
        }
    }

    /// This socket is gone: who waits for its session gets it, if it is still there.
    pub(super) fn rival_gone(&mut self, now: Instant, rival: ConnectionId) {
        for (id, pending, probe) in self.take_probes(rival) {
            let free = self
                .sessions
                .get(&probe.session)
                .is_some_and(|session| session.connection.is_none());
            match free {
                true => self.resume(now, id, *pending, probe.session),
                false => self.new_session(now, id, *pending, probe.user),
            }
        }
    }

    /// The socket that holds the session does not answer: it is closed, which hands the session over.
    pub(super) fn on_probe_unanswered(&mut self, now: Instant, id: ConnectionId) {
        if let Some(Stage::Probing(_, probe)) = self.connections.get(&id).map(|connection| &connection.stage)
        {
            let rival = probe.rival;
            self.close_socket(now, rival, CloseReason::Resumed);
        }
    }

    fn take_probes(&mut self, rival: ConnectionId) -> Vec<(ConnectionId, Box<PendingLogin>, Probe)> {
        let of_rival = (rival, ConnectionId(0))..=(rival, ConnectionId(u64::MAX));
        let waiting: Vec<_> = self.probes.range(of_rival).map(|(_, id)| *id).collect();
        let mut taken = Vec::new();
        for id in waiting {
            self.probes.remove(&(rival, id));
            self.deadlines.clear(&TimerKey::Probe(id));
            if let Some(connection) = self.connections.get_mut(&id)
                && let Stage::Probing(pending, probe) =
                    std::mem::replace(&mut connection.stage, Stage::Connected)
            {
                taken.push((id, pending, probe));
            }
        }
        taken
    }

    fn run_queued(&mut self, now: Instant, id: ConnectionId, queued: Vec<String>) {
        for text in queued {
            self.on_frame(now, id, &text, true);
        }
    }
}

/// What has to be found out about the credentials of a login, which are taken out of it.
fn question(login: &mut Login) -> Result<Question, Refusal> {
    if let Some(token) = login.token.take() {
        let token = Credential::new(token).ok_or(Refusal::TokenMalformed)?;
        return Ok(Question::Token { token });
    }
    match (login.user.take(), login.password.take()) {
        (Some(user), Some(password)) if !user.is_empty() => {
            let password = Credential::new(password).ok_or(Refusal::WrongPassword)?;
            Ok(Question::Password { user, password })
        }
        _ => Err(Refusal::NoCredentials),
    }
}
