//! Transfers between calls: REFER of a client, Replaces of the SIP side, and transfers that we make ourselves.

use super::Server;
use super::incoming::parties;
use super::sip::{address, latching_of, sdp_of};
use crate::call::{
    Action, Asked, Call, CallKey, Goal, Newcomer, OutgoingCall, SipPurpose, Successor, TransferOrder,
    TransferTo,
};
use offhook_media_control::Direction;
use offhook_rpc_message::validate::Destination;
use offhook_rpc_message::{ClientCallId, ErrorCode, ModifyAction, Party, RpcError};
use offhook_sip::Header;
use offhook_sip::user_agent::{IncomingId, LegId, Notice, OutgoingRefer, ReplacedDialog, Reply};
use offhook_sip_message::{Message, StatusCode};
use std::time::Instant;

impl Server {
    /// The client's `modify`.
    pub(super) fn on_modify(&mut self, now: Instant, asked: Asked, key: CallKey, action: ModifyAction) {
        let (action, to) = match action {
            ModifyAction::Transfer { destination } => ("transfer", self.to_number(key, &destination)),
            ModifyAction::Replace { other } => ("replace", self.to_call(key, &other)),
            action => return self.with_call(now, key, |call, out| call.modify(now, asked, action, out)),
        };
        let allowed = self.calls.get(&key).map_or(Ok(()), |call| call.may_transfer());
        let leg = self.calls.get(&key).and_then(|call| call.leg);
        let leg = leg.ok_or_else(|| RpcError::new(ErrorCode::CallFailed, "the call is not active"));
        match allowed.and(to).and_then(|to| Ok((to, leg?))) {
            Ok((to, leg)) => {
                let asked = Some(asked);
                self.transfer(now, key, leg, TransferOrder { asked, action, to });
            }
            Err(error) => self.with_call(now, key, |_, out| out.push(Action::Reply(asked, Err(error)))),
        }
    }

    /// Somebody whom the client may have called: where it may call its target alone, nobody else is called on its behalf.
    fn to_number(&self, key: CallKey, destination: &str) -> Result<TransferTo, RpcError> {
        let destination = Destination::new(destination)
            .map_err(|why| RpcError::new(ErrorCode::InvalidParams, format!("destination: {why}")))?;
        let session = self.calls.get(&key).map(|call| &call.session);
        let target = session.and_then(|id| self.sessions.get(id)?.target.as_ref());
        if target.is_some_and(|target| target.as_str() != destination.as_str()) {
            let why = "anonymous clients may have their target called alone";
            return Err(RpcError::new(ErrorCode::CallFailed, why));
        }
        Ok(TransferTo::Number(destination))
    }

    /// Asks the far end to make a transfer; makes it here where that one does not know how.
    fn transfer(&mut self, now: Instant, key: CallKey, leg: LegId, order: TransferOrder) {
        let refer = match self.user_agent.may_refer(leg) {
            true => self.refer_for(key, &order.to),
            false => None,
        };
        let sent = refer.map(|refer| self.user_agent.refer(now, leg, refer));
        match sent {
            Some(Ok(request)) => {
                self.sip_requests.insert(request, (key, SipPurpose::Transfer));
                self.with_call(now, key, |call, _| call.transfer_asked(order));
            }
            Some(Err(error)) => {
                let why = format!("the call cannot be transferred now: {error}");
                self.with_call(now, key, |call, out| call.transfer_refused(order, 500, &why, out));
            }
            None => self.with_call(now, key, |_, out| {
                out.push(Action::TransferHere(order, StatusCode::METHOD_NOT_ALLOWED.code()));
            }),
        }
    }

    /// What the far end is asked; `None` if a party is gone by now.
    fn refer_for(&self, key: CallKey, to: &TransferTo) -> Option<OutgoingRefer> {
        let (to, replaces) = match to {
            TransferTo::Number(destination) => {
                let domain = self.domain_of(self.calls.get(&key)?.user());
                (address(domain, destination.as_str(), "").ok()?.uri, None)
            }
            // Our far end shall take our place in the other call.
            TransferTo::Call(other) => {
                let dialog = self.user_agent.dialog(self.calls.get(other)?.leg?)?;
                (
                    dialog.remote_target.clone(),
                    Some(ReplacedDialog::of_dialog(dialog)),
                )
            }
        };
        Some(OutgoingRefer {
            to,
            replaces,
            referred_by: None,
            headers: Vec::new(),
        })
    }

    fn domain_of(&self, user: &str) -> &str {
        self.registrar_of(user)
            .map_or(&self.settings.sip.domain, |registrar| &registrar.domain)
    }

    fn to_call(&self, key: CallKey, other: &ClientCallId) -> Result<TransferTo, RpcError> {
        let session = self.calls.get(&key).map(|call| &call.session);
        let session = session.and_then(|id| self.sessions.get(id));
        let other_key = session
            .and_then(|session| session.calls.get(other))
            .filter(|other| **other != key);
        other_key
            .filter(|key| self.calls.get(key).is_some_and(|other| other.is_active()))
            .map(|key| TransferTo::Call(*key))
            .ok_or_else(|| RpcError::new(ErrorCode::CallFailed, "replaceCallID names no other active call"))
    }

    /// The far end does not make a transfer, for this status: we make it, if the operator lets us.
    pub(super) fn transfer_here(
        &mut self,
        key: CallKey,
        order: TransferOrder,
        status: u16,
        more: &mut Vec<Action>,
    ) {
        let goal = self.goal(key, &order.to, status);
        if let Some(call) = self.calls.get_mut(&key) {
            match goal {
                Ok(goal) => call.begin_transfer(order, goal, more),
                Err(why) => call.transfer_refused(order, status, &why, more),
            }
        }
    }

    fn goal(&self, key: CallKey, to: &TransferTo, status: u16) -> Result<Goal, String> {
        let gone = || "the call is over".to_owned();
        let call = self.calls.get(&key).ok_or_else(gone)?;
        let user = call.user();
        if !self.settings.transfers.local {
            return Err(format!("the far end does not transfer calls: {status}"));
        }
        let connected = self.calls.values().filter(|call| call.is_connected());
        let max = self.settings.limits.calls_per_session_max;
        if connected.filter(|call| call.user() == user).count() >= max {
            return Err(format!("{max} calls that were transferred are still up"));
        }
        match to {
            TransferTo::Number(_) if self.draining => Err("this server takes no new calls".to_owned()),
            TransferTo::Number(destination) => {
                let by = address(self.domain_of(user), user, "").map_err(|error| error.to_string())?;
                let by = Header::new("Referred-By", &format!("<{}>", by.uri)).ok();
                let outgoing = self.call_for(call, destination.clone());
                let by = by.filter(|_| !outgoing.hides_caller);
                Ok(Goal::Newcomer(Box::new(Newcomer {
                    outgoing,
                    headers: by.into_iter().collect(),
                })))
            }
            TransferTo::Call(other) => match self.calls.get(other) {
                Some(call) if call.may_be_given_away() => Ok(Goal::Other(*other, call.far_end_for_others())),
                Some(_) => Err("the other call is being changed".to_owned()),
                None => Err(gone()),
            },
        }
    }

    /// A call on the account of this call's user, shown as the user was in it, or by default.
    pub(super) fn call_for(&self, call: &Call, destination: Destination) -> OutgoingCall {
        let user = self.settings.users.get(call.user()).cloned().unwrap_or_default();
        let own_name = call.user().strip_prefix("anonymous ").unwrap_or(call.user());
        let by_default = || Party {
            number: user.caller_number(own_name, None).to_owned(),
            name: user.display_name.clone().unwrap_or_default(),
        };
        let (caller, hides) = call.shown_as().unwrap_or_else(|| (by_default(), false));
        OutgoingCall {
            destination,
            caller,
            hides_caller: hides || user.hide_caller,
            headers: Vec::new(),
        }
    }

    /// What the user agent tells beside the events of calls.
    pub(super) fn on_notice(&mut self, now: Instant, notice: Notice) {
        match notice {
            Notice::ReferProgress {
                leg,
                status,
                finished,
                ..
            } => self.with_leg(now, leg, |call, out| {
                call.on_transfer_progress(now, status.code(), finished, out)
            }),
            Notice::ReferRequested {
                leg, referral, to, ..
            } => self.on_refer(now, leg, referral, &to),
            Notice::SessionExpired { leg } => {
                if let Some(state) = self.legs.get(&leg) {
                    tracing::info!(call_id = %state.call_id, "nobody refreshed the session in time");
                }
            }
            Notice::Registration { registration, state } => self.on_registration(now, registration, state),
            notice => tracing::trace!(?notice, "notice of the user agent"),
        }
    }

    /// An INVITE that takes the place of a leg of ours; false if it does not.
    pub(super) fn on_replacing_invite(
        &mut self,
        now: Instant,
        leg: LegId,
        invite: IncomingId,
        request: &Message,
    ) -> bool {
        let Some(old) = self.user_agent.replaced_by(leg) else {
            return false;
        };
        let key = self
            .legs
            .get(&old)
            .and_then(|old| old.key)
            .filter(|key| self.calls.get(key).is_some_and(|call| call.leg == Some(old)));
        match key {
            Some(key) => {
                let (party, _) = parties(request, "");
                let successor = Successor {
                    incoming: invite,
                    leg,
                    party,
                    latching: latching_of(request),
                };
                self.with_call(now, key, |call, out| {
                    call.replace_far_end(successor, sdp_of(request), out)
                });
            }
            None => {
                self.send_response(now, invite, 481, None);
                self.leg_over(leg);
            }
        }
        true
    }

    /// The gateway has taken the offer of the new far end: 200, and the call goes on with it.
    pub(super) fn take_leg(
        &mut self,
        now: Instant,
        key: CallKey,
        successor: Successor,
        sdp: String,
        direction: Option<Direction>,
    ) {
        let Some(call_id) = self.calls.get(&key).map(|call| call.id.clone()) else {
            return;
        };
        let leg = successor.leg;
        let mut reply = Reply::new(StatusCode::OK);
        reply.body = Some(offhook_sip::user_agent::Body::sdp(sdp));
        if let Err(error) = self.user_agent.respond(now, successor.incoming, reply) {
            tracing::debug!(%call_id, %error, "who was to take a far end's place has gone");
            self.leg_over(leg);
            return self.with_call(now, key, |call, out| call.successor_gone(direction, out));
        }
        let call = self.calls.get_mut(&key);
        let old = call.and_then(|call| call.leg.replace(leg));
        if let Some(old) = old {
            if let Some(old) = self.legs.get_mut(&old) {
                old.key = None;
            }
            self.leg_over(old);
        }
        if let Some(new) = self.legs.get_mut(&leg) {
            new.key = Some(key);
            new.call_id = call_id;
        }
        self.with_call(now, key, |call, out| call.succeeded_by(successor, direction, out));
        self.abandon_requests(now, key);
    }
}
