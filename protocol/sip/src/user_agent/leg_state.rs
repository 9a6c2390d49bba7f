//! An answered call as a value (RFC 3261 §12): exported by one user agent, carried on by another.

use super::UserAgent;
use super::api::{ActionError, Body, LegId};
use super::leg::{Abilities, Confirmed, Leg, State};
use super::session_timer::{Running, Session};
use crate::dialog::{Dialog, DialogState};
use crate::digest::Authenticator;
use crate::extra_header::Header;
use crate::flow::Flow;
use std::time::{Duration, Instant};

/// An answered call, at rest: requests that are under way are not part of it and are answered by whoever has them.
#[derive(Debug, Clone)]
pub struct LegState {
    /// Tags, CSeqs, route set, target.
    pub dialog: Dialog,
    /// Whether this side placed the call: decides who waits longer after 491 (RFC 3261 §14.1).
    pub is_caller: bool,
    /// See [`super::OutgoingInvite::sticky_headers`].
    pub sticky_headers: Vec<Header>,
    /// Where requests go when the dialog's next hop is a name.
    pub flow: Flow,
    /// Credentials and what they were last asked with. Holds a password: keep it as secret as that.
    pub auth: Option<Authenticator>,
    /// Our side of the session as it was agreed on last.
    pub local_sdp: Option<Body>,
    /// Whether the other side takes UPDATE.
    pub peer_takes_update: bool,
    /// The session timer, if the session expires.
    pub session: Option<SessionState>,
}

/// A session timer, with times from the moment of export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionState {
    /// The interval that was agreed on, in seconds.
    pub seconds: u32,
    /// Whether this side refreshes.
    pub we_refresh: bool,
    /// How long until the next refresh.
    pub refresh_in: Duration,
    /// How long until the call is given up.
    pub end_in: Duration,
}

impl UserAgent {
    /// A copy of an answered call as a value; `None` unless the call is answered and its ACK has passed. The call goes
    /// on here: [`Self::release_leg`] lets go of it.
    pub fn export_leg(&self, now: Instant, leg: LegId) -> Option<LegState> {
        let leg = self.legs.get(&leg)?;
        let State::Confirmed(confirmed) = &leg.state else {
            return None;
        };
        if confirmed.ack_due.is_some() || confirmed.unacked.is_some() {
            return None;
        }
        let left = |at: Instant| at.saturating_duration_since(now);
        Some(LegState {
            dialog: confirmed.dialog.clone(),
            is_caller: confirmed.is_caller,
            sticky_headers: leg.sticky.clone(),
            flow: leg.flow,
            auth: leg.auth.clone(),
            local_sdp: leg.local_sdp.clone(),
            peer_takes_update: leg.peer.update,
            session: leg.session.running.map(|running| SessionState {
                seconds: running.seconds,
                we_refresh: running.we_refresh,
                refresh_in: left(running.refresh_at),
                end_in: left(running.end_at),
            }),
        })
    }

    /// Takes over an answered call of another user agent that has the same address, or whose place in the network this
    /// one has taken. `State` if this user agent has the call already.
    pub fn import_leg(&mut self, now: Instant, state: LegState) -> Result<LegId, ActionError> {
        if self.legs.len() >= self.config.legs_max {
            return Err(ActionError::Full);
        }
        if self.dialogs.contains_key(&state.dialog.id) {
            return Err(ActionError::State("this user agent has the call already"));
        }
        let id = LegId(self.new_id());
        let mut dialog = state.dialog;
        dialog.state = DialogState::Confirmed;
        self.dialogs.insert(dialog.id.clone(), id);
        let confirmed = Confirmed::new(dialog, state.is_caller);
        let mut leg = Leg::new(
            State::Confirmed(Box::new(confirmed)),
            state.flow,
            state.sticky_headers,
        );
        leg.auth = state.auth;
        leg.local_sdp = state.local_sdp;
        leg.peer = Abilities {
            update: state.peer_takes_update,
            ..Abilities::default()
        };
        leg.session = Session {
            running: state.session.map(|session| Running {
                seconds: session.seconds,
                we_refresh: session.we_refresh,
                refresh_at: now + session.refresh_in,
                end_at: now + session.end_in,
            }),
            ..Session::default()
        };
        self.legs.insert(id, leg);
        self.retime(id);
        Ok(id)
    }

    /// Forgets an answered call without a word to the other side: another user agent has taken it over. Requests that
    /// still come for it here get 481, those that wait for the owner are left to time out.
    pub fn release_leg(&mut self, leg: LegId) -> Result<(), ActionError> {
        match self.legs.get_mut(&leg) {
            Some(Leg {
                state: State::Confirmed(_),
                own_offer,
                ..
            }) => *own_offer = None,
            Some(_) => return Err(ActionError::State("only an answered call can be let go")),
            None => return Err(ActionError::Gone),
        }
        self.forget_leg(leg);
        Ok(())
    }
}
