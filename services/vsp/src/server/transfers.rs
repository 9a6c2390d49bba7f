//! Transfers between calls: REFER of a client, Replaces of the SIP side.

use super::Server;
use super::incoming::parties;
use super::sip::{address, sdp_of};
use crate::call::{Action, Asked, CallKey, SipPurpose};
use offhook_rpc_message::validate::Destination;
use offhook_rpc_message::{ClientCallId, ErrorCode, ModifyAction, RpcError};
use offhook_sip::user_agent::{IncomingId, LegId, Notice, OutgoingRefer, ReplacedDialog, Reply};
use offhook_sip_message::{Message, StatusCode};
use std::time::Instant;

impl Server {
    /// The client's `modify`.
    pub(super) fn on_modify(&mut self, now: Instant, asked: Asked, key: CallKey, action: ModifyAction) {
        let (action, refer) = match action {
            ModifyAction::Transfer { destination } => ("transfer", self.blind(key, &destination)),
            ModifyAction::Replace { other } => ("replace", self.attended(key, &other)),
            action => return self.with_call(now, key, |call, out| call.modify(now, asked, action, out)),
        };
        let allowed = self.calls.get(&key).map_or(Ok(()), |call| call.may_transfer());
        let leg = self.calls.get(&key).and_then(|call| call.leg);
        let sent = match (allowed.and(refer), leg) {
            (Ok(refer), Some(leg)) => self.user_agent.refer(now, leg, refer).map_err(|error| {
                RpcError::new(
                    ErrorCode::CallFailed,
                    format!("the call cannot be transferred now: {error}"),
                )
            }),
            (Ok(_), None) => Err(RpcError::new(ErrorCode::CallFailed, "the call is not active")),
            (Err(error), _) => Err(error),
        };
        match sent {
            Ok(request) => {
                let purpose = SipPurpose::Transfer(asked, action);
                self.sip_requests.insert(request, (key, purpose));
                self.with_call(now, key, |call, _| call.transfer_asked());
            }
            Err(error) => self.with_call(now, key, |_, out| out.push(Action::Reply(asked, Err(error)))),
        }
    }

    fn blind(&self, key: CallKey, destination: &str) -> Result<OutgoingRefer, RpcError> {
        let invalid = |why: String| RpcError::new(ErrorCode::InvalidParams, format!("destination: {why}"));
        let destination = Destination::new(destination).map_err(|why| invalid(why.to_string()))?;
        let registrar = self
            .calls
            .get(&key)
            .and_then(|call| self.registrar_of(call.user()));
        let domain = registrar.map_or(&self.settings.sip.domain, |registrar| &registrar.domain);
        let to = address(domain, destination.as_str(), "").map_err(|why| invalid(why.to_string()))?;
        Ok(OutgoingRefer {
            to: to.uri,
            replaces: None,
            referred_by: None,
            headers: Vec::new(),
        })
    }

    /// Our far end shall take our place in the other call.
    fn attended(&self, key: CallKey, other: &ClientCallId) -> Result<OutgoingRefer, RpcError> {
        let error = |why: &str| RpcError::new(ErrorCode::CallFailed, why);
        let session = self.calls.get(&key).map(|call| &call.session);
        let session = session.and_then(|id| self.sessions.get(id));
        let other_key = session
            .and_then(|session| session.calls.get(other))
            .filter(|other| **other != key);
        let other = other_key
            .and_then(|key| self.calls.get(key))
            .filter(|other| other.is_active());
        let leg = other
            .and_then(|other| other.leg)
            .ok_or_else(|| error("replaceCallID names no other active call"))?;
        let dialog = self
            .user_agent
            .dialog(leg)
            .ok_or_else(|| error("the other call is over"))?;
        Ok(OutgoingRefer {
            to: dialog.remote_target.clone(),
            replaces: Some(ReplacedDialog::of_dialog(dialog)),
            referred_by: None,
            headers: Vec::new(),
        })
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
            // A far end that could make us call whom it likes would make its calls at our expense.
            Notice::ReferRequested { leg, referral, .. } => {
                if let Err(error) = self
                    .user_agent
                    .decline_refer(now, leg, referral, StatusCode::DECLINE)
                {
                    tracing::debug!(%error, "a REFER was over before its answer");
                }
            }
            Notice::SessionExpired { leg } => {
                if let Some(state) = self.legs.get(&leg) {
                    tracing::info!(call_id = %state.call_id, "nobody refreshed the session in time");
                }
            }
            Notice::Registration { registration, state } => self.on_registration(registration, state),
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
            .filter(|key| self.calls.contains_key(key));
        match key {
            Some(key) => {
                let (party, _) = parties(request, "");
                self.with_call(now, key, |call, out| {
                    call.replace_far_end(invite, leg, party, sdp_of(request), out)
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
        incoming: IncomingId,
        leg: LegId,
        sdp: String,
    ) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let call_id = call.id.clone();
        let old = call.leg.replace(leg);
        if let Some(old) = old.and_then(|old| self.legs.get_mut(&old)) {
            old.key = None;
        }
        if let Some(new) = self.legs.get_mut(&leg) {
            new.key = Some(key);
            new.call_id = call_id;
        }
        if let Some(old) = old {
            self.leg_over(old);
        }
        let mut reply = Reply::new(StatusCode::OK);
        reply.body = Some(offhook_sip::user_agent::Body::sdp(sdp));
        if let Err(error) = self.user_agent.respond(now, incoming, reply) {
            tracing::debug!(%error, "who was to take a far end's place has gone");
        }
    }
}
