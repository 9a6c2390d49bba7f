//! A client's session as a value: exported by one server, carried on by another (docs/decisions/0008).

use super::{Server, TimerKey};
use crate::call::{Call, CallKey, CallState, CallTimer};
use crate::output::{MediaToken, Output};
use crate::session::{Session, SessionState};
use offhook_media_control::Command;
use offhook_rpc_message::SessionId;
use std::time::Instant;

/// The server has a session of this id already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this server has the session already")]
pub struct SessionExists;

impl Server {
    /// A session with its calls as a value. Calls that are not at rest (being set up, transferred or re-negotiated, or with
    /// a command under way) are not part of it. The session goes on here.
    pub fn export_session(&self, now: Instant, id: &str) -> Option<SessionState> {
        let (id, session) = self.sessions.get_key_value(&SessionId(id.into()))?;
        let calls = session.calls.values().filter_map(|key| {
            let call = self.calls.get(key)?;
            call.export(now, self.user_agent.export_leg(now, call.leg?)?)
        });
        Some(session.export(now, id.clone(), calls.collect()))
    }

    /// Takes a session over whose server is gone, at the same place in the network and with the same gateway. It waits for
    /// its client as after a lost socket. A call whose dialog finds no room ends: the client is told when it comes.
    ///
    /// # Errors
    /// If the session is here.
    pub fn import_session(&mut self, now: Instant, state: SessionState) -> Result<(), SessionExists> {
        let id = state.id.clone();
        if self.sessions.contains_key(&id) {
            return Err(SessionExists);
        }
        let user = state.user.clone();
        let (mut session, calls) = Session::import(now, state, || CallKey(self.next_key()));
        for state in calls {
            if let Some(key) = self.import_call(now, &id, &user, state) {
                let call = &self.calls[&key];
                session.calls.insert(call.client_id.clone(), key);
            }
        }
        self.sessions.insert(id.clone(), session);
        let until = now + self.settings.reattach_grace;
        self.deadlines.set(TimerKey::Grace(id), until);
        self.review_account(now, &user);
        self.drain_user_agent(now);
        Ok(())
    }

    fn import_call(
        &mut self,
        now: Instant,
        session: &SessionId,
        user: &str,
        state: CallState,
    ) -> Option<CallKey> {
        let (call, leg, ends_at) = Call::import(now, session.clone(), user.to_owned(), state);
        let Ok(leg) = self.user_agent.import_leg(now, leg) else {
            let token = MediaToken(self.next_key());
            let command = Command::Close { session: call.media };
            self.outputs.push_back(Output::Media { token, command });
            return None;
        };
        let key = CallKey(self.next_key());
        self.by_media.insert(call.media.clone(), key);
        self.calls.insert(key, call);
        self.remember_leg(leg, key);
        if let Some(at) = ends_at {
            self.deadlines.set(TimerKey::Call(key, CallTimer::State), at);
        }
        Some(key)
    }
}
