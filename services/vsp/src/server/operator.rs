//! What the operator sees and does: sessions with their calls, and eviction.

use super::Server;
use crate::output::{CloseReason, SessionView};
use crate::translate::End;
use offhook_rpc_message::{ServerMessage, SessionId};
use std::time::Instant;

impl Server {
    /// The sessions there are, or those of one user; at most `limit`.
    pub fn sessions(&self, now: Instant, user: Option<&str>, limit: usize) -> Vec<SessionView> {
        let wanted = self
            .sessions
            .iter()
            .filter(|(_, session)| user.is_none_or(|user| session.user == user));
        wanted
            .take(limit)
            .map(|(id, session)| SessionView {
                session: id.0.to_string(),
                user: session.user.clone(),
                address: session.address,
                connected: session.connection.is_some(),
                calls: session
                    .calls
                    .values()
                    .filter_map(|key| self.calls.get(key))
                    .map(|call| call.view(now))
                    .collect(),
            })
            .collect()
    }

    /// Evicts a client: its calls end, and its SDK stays away until the application connects anew. False if there is no
    /// such session.
    pub fn handle_punt(&mut self, now: Instant, session: &str) -> bool {
        let id = SessionId(session.into());
        let Some(session) = self.sessions.get(&id) else {
            return false;
        };
        tracing::info!(user = session.user, calls = session.calls.len(), "client evicted");
        let connection = session.connection;
        // SDKs that know no punt hear of the end of their calls at least.
        self.end_session(now, &id, End::EVICTED);
        if let Some(connection) = connection {
            self.send_message(connection, None, &ServerMessage::Punt {});
            self.close_socket(now, connection, CloseReason::Evicted);
        }
        self.drain_user_agent(now);
        true
    }

    /// Evicts all clients of a user, and says how many those were.
    pub fn handle_punt_user(&mut self, now: Instant, user: &str) -> usize {
        let of_user = self.sessions.iter().filter(|(_, session)| session.user == user);
        let sessions: Vec<_> = of_user.map(|(id, _)| id.0.to_string()).collect();
        sessions
            .into_iter()
            .filter(|session| self.handle_punt(now, session))
            .count()
    }
}
