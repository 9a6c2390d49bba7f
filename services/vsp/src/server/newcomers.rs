//! Parties that take another one's place in a call: their legs, and what comes on them.

use super::sip::{
    address, digit_of, latching_of, outgoing_request, q850_of, refused, sdp_of, status_of_taken, text_body,
};
use super::{Leg, Server, TimerKey};
use crate::call::{Action, CallKey, CallTimer, Newcomer, SipPurpose, SipRequest};
use crate::output::EndedBy;
use crate::translate::End;
use offhook_rpc_message::Party;
use offhook_sip::asserted_identity::p_asserted_identity;
use offhook_sip::user_agent::{ActionError, Ending, Event, IncomingId, LegId, ReferralId};
use offhook_sip_message::{Message, Method, StatusCode};
use std::time::Instant;

impl Server {
    /// The call that an event's leg is the second one of.
    pub(super) fn second_of(&self, event: &Event) -> Option<(LegId, CallKey)> {
        let leg = match event {
            Event::Provisional { leg, .. }
            | Event::Answered { leg, .. }
            | Event::Failed { leg, .. }
            | Event::AckReceived { leg, .. }
            | Event::Terminated { leg, .. }
            | Event::IncomingRequest { leg: Some(leg), .. } => *leg,
            Event::IncomingRequest { leg: None, .. }
            | Event::IncomingInvite { .. }
            | Event::Cancelled { .. }
            | Event::Response { .. }
            | Event::RequestFailed { .. } => return None,
        };
        let key = self.legs.get(&leg)?.key?;
        let call = self.calls.get(&key)?;
        call.is_second(leg).then_some((leg, key))
    }

    /// An event of the second leg of a call.
    pub(super) fn on_second_event(&mut self, now: Instant, leg: LegId, key: CallKey, event: Event) {
        match event {
            Event::Provisional { response, .. } => {
                let status = response.status().map_or(100, StatusCode::code);
                self.with_call(now, key, |call, out| {
                    call.newcomer_rings(status, sdp_of(&response), out);
                });
            }
            Event::Answered { response, .. } => self.with_call(now, key, |call, out| {
                call.newcomer_answers(now, sdp_of(&response), latching_of(&response), out);
            }),
            Event::Failed { failure, .. } => {
                let status = refused(&failure, &[]).status;
                self.with_call(now, key, |call, out| {
                    call.second = None;
                    call.newcomer_failed(now, status, out);
                });
                self.leg_over(leg);
            }
            Event::Terminated { ending, .. } => {
                let q850 = match &ending {
                    Ending::Remote(bye) => q850_of(bye),
                    _ => Some(End::CARRIER_LOST.cause.q850().into()),
                };
                if !matches!(ending, Ending::Local) {
                    self.with_call(now, key, |call, out| call.on_party_gone(now, leg, q850, out));
                }
                self.leg_over(leg);
            }
            Event::AckReceived { request, .. } => {
                self.with_call(now, key, |call, out| call.second_ack(sdp_of(&request), out));
            }
            Event::IncomingRequest {
                incoming, request, ..
            } => self.on_second_request(now, key, incoming, &request),
            Event::IncomingInvite { .. }
            | Event::Cancelled { .. }
            | Event::Response { .. }
            | Event::RequestFailed { .. } => {}
        }
    }

    fn on_second_request(&mut self, now: Instant, key: CallKey, incoming: IncomingId, request: &Message) {
        let sdp = sdp_of(request);
        let offers = match request.method() {
            Some(Method::Invite) => true,
            Some(Method::Update) => sdp.is_some(),
            _ => false,
        };
        if offers {
            return self.with_call(now, key, |call, out| call.second_offer(incoming, sdp, out));
        }
        self.send_response(now, incoming, status_of_taken(request), None);
        match request.method() {
            Some(Method::Message) => {
                if let Some(text) = text_body(request) {
                    self.with_call(now, key, |call, out| call.text_between(true, text, out));
                }
            }
            Some(Method::Info) => {
                if let Some(digit) = digit_of(request) {
                    self.with_call(now, key, |call, out| call.digit_between(true, digit, out));
                }
            }
            _ => {}
        }
    }

    /// Runs what a transfer wants done.
    pub(super) fn run_transfer_action(
        &mut self,
        now: Instant,
        key: CallKey,
        action: Action,
        more: &mut Vec<Action>,
    ) {
        match action {
            Action::TakeLeg(successor, sdp, direction) => self.take_leg(now, key, *successor, sdp, direction),
            Action::RefuseLeg(incoming, leg, status) => {
                self.send_response(now, incoming, status, None);
                self.leg_over(leg);
            }
            Action::Send(leg, request) => self.send_beside(now, leg, request),
            Action::CallNewcomer(newcomer, offer) => self.call_newcomer(now, key, *newcomer, offer, more),
            Action::InviteOther(other, offer) => self.invite_other(now, key, other, offer, more),
            Action::TakeOther(other) => self.take_other(now, key, other),
            Action::ReturnOther(other) => self.with_call(now, other, |call, out| call.returned(out)),
            Action::Introduce(first, second) => self.introduce(now, key, first, second),
            Action::Succeed => self.succeed(now, key),
            Action::HangUpLeg(leg, reason) => {
                // How it ends is no affair of the call's any more.
                if let Some(leg) = self.legs.get_mut(&leg) {
                    leg.key = None;
                }
                self.send_hang_up(now, leg, reason, &[]);
                self.leg_over(leg);
            }
            Action::ReferProgress(leg, referral, status) => self.tell_referrer(now, leg, referral, status),
            Action::TransferHere(order, status) => self.transfer_here(key, order, status, more),
            // The others are run where all are.
            _ => {}
        }
    }

    /// Sends the INVITE of a newcomer.
    pub(super) fn call_newcomer(
        &mut self,
        now: Instant,
        key: CallKey,
        newcomer: Newcomer,
        offer: String,
        more: &mut Vec<Action>,
    ) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let (call_id, registrar) = (call.id.clone(), self.registrar_of(call.user()));
        let sent = match self.outgoing_invite((&call_id, call.user()), &newcomer.outgoing, registrar, offer) {
            Ok(mut invite) => {
                invite.headers.extend(newcomer.headers);
                self.user_agent.invite(now, invite).map_err(|error| match error {
                    ActionError::Full => 503,
                    ActionError::Unwritable => 400,
                    ActionError::Gone | ActionError::State(_) => 500,
                })
            }
            Err(error) => Err(error.status().code()),
        };
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        match sent {
            Ok(leg) => {
                call.second = Some(leg);
                let key = Some(key);
                self.legs.insert(
                    leg,
                    Leg {
                        call_id,
                        key,
                        over: false,
                    },
                );
            }
            Err(status) => return call.newcomer_failed(now, status, more),
        }
        let until = now + self.settings.ring_timeout;
        self.deadlines
            .set(TimerKey::Call(key, CallTimer::Transfer), until);
    }

    /// Offers the far end of `other` a place in the call.
    pub(super) fn invite_other(
        &mut self,
        now: Instant,
        key: CallKey,
        other: CallKey,
        offer: String,
        more: &mut Vec<Action>,
    ) {
        let call = self.calls.get(&other).filter(|call| call.may_be_given_away());
        let leg = call.and_then(|call| call.leg);
        let request = outgoing_request(SipRequest::Reinvite(offer));
        match leg.map(|leg| self.user_agent.request(now, leg, request)) {
            Some(Ok(id)) => {
                self.sip_requests.insert(id, (key, SipPurpose::Join(other)));
                if let Some(other) = self.calls.get_mut(&other) {
                    other.promise_away();
                }
            }
            Some(Err(_)) | None => {
                if let Some(call) = self.calls.get_mut(&key) {
                    call.newcomer_failed(now, 491, more);
                }
            }
        }
    }

    /// The far end of `other` is in the call now.
    pub(super) fn take_other(&mut self, now: Instant, key: CallKey, other: CallKey) {
        let taken = self
            .calls
            .get_mut(&other)
            .filter(|other| other.is_active())
            .and_then(|other| Some((other.leg.take()?, other.latching)));
        let (Some((leg, latching)), Some(call)) = (taken, self.calls.get_mut(&key)) else {
            // It has left at the last moment.
            return self.with_call(now, key, |call, out| {
                call.end(now, EndedBy::Carrier, End::CARRIER_LOST, out);
            });
        };
        call.second = Some(leg);
        let call_id = call.id.clone();
        if let Some(leg) = self.legs.get_mut(&leg) {
            tracing::info!(%call_id, joined = %leg.call_id, "two calls joined");
            leg.key = Some(key);
            leg.call_id = call_id;
        }
        self.with_call(now, key, |call, out| call.latch_second(latching, out));
        self.with_call(now, other, |call, out| call.given_away(now, out));
    }

    /// Tells two far parties who the other one is: our proxy, which knows who may see it, and those that take it (RFC 3325,
    /// RFC 5876 §4).
    fn introduce(&mut self, now: Instant, key: CallKey, first: Option<Party>, second: Option<Party>) {
        let Some(call) = self.calls.get(&key).filter(|call| call.is_connected()) else {
            return;
        };
        let domain = &self.settings.sip.domain;
        let by_proxy = self.registrar_of(call.user()).is_none();
        let identity = |(leg, party): (Option<LegId>, Option<Party>)| {
            let (leg, party) = (leg?, party?);
            let identity = address(domain, &party.number, &party.name).ok()?;
            let is_told = by_proxy && self.user_agent.may_update(leg);
            let header = p_asserted_identity(&identity).ok().filter(|_| is_told)?;
            Some((leg, SipRequest::Identity(header)))
        };
        for (leg, request) in [(call.leg, second), (call.second, first)]
            .map(identity)
            .into_iter()
            .flatten()
        {
            self.send_beside(now, leg, request);
        }
    }

    /// Sends a request whose answer nobody waits for.
    pub(super) fn send_beside(&mut self, now: Instant, leg: LegId, request: SipRequest) {
        if let Err(error) = self.user_agent.tell(now, leg, outgoing_request(request)) {
            tracing::debug!(%error, "a request between two far parties was not sent");
        }
    }

    /// Who has sent us to the newcomer hears how that goes.
    pub(super) fn tell_referrer(&mut self, now: Instant, leg: LegId, referral: ReferralId, status: u16) {
        let status = StatusCode::new(status).unwrap_or(StatusCode::SERVER_INTERNAL_ERROR);
        if let Err(error) = self.user_agent.refer_progress(now, leg, referral, status) {
            tracing::debug!(%error, "nobody listens to how a transfer goes");
        }
    }

    /// The newcomer is the far end of the call now; who has sent us there may leave.
    pub(super) fn succeed(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let old = std::mem::replace(&mut call.leg, call.second.take());
        if let Some(old) = old {
            if let Some(leg) = self.legs.get_mut(&old) {
                leg.key = None;
            }
            self.send_hang_up(now, old, None, &[]);
            self.leg_over(old);
        }
        self.abandon_requests(now, key);
    }

    /// The call has another far end: nobody answers any more what the one before was asked.
    pub(super) fn abandon_requests(&mut self, now: Instant, key: CallKey) {
        let open: Vec<_> = self.sip_requests.extract_if(|_, (of, _)| *of == key).collect();
        for (_, (_, purpose)) in open {
            self.with_call(now, key, |call, out| {
                let outcome = Err((487, "the far end was replaced".to_owned()));
                call.on_response(now, purpose, outcome, out);
            });
        }
    }
}
