//! Our requests other than the first INVITE: within a call (RFC 3261 §12.2.1, §14.1) and outside of any.

use super::api::{ActionError, Ending, Event, Failure, LegId, OutgoingRequest, RequestId, Target};
use super::compose::{self, FirstRequestIds, Rest};
use super::leg::{AckDue, Confirmed, GLARE_RETRIES_MAX, Leg, Reinvite, ReinvitePhase, State};
use super::uac::{InviteUse, accepts_challenge};
use super::{ClientUse, UserAgent};
use crate::digest::Authenticator;
use crate::flow::Flow;
use crate::transaction::{ClientTransactionId, SendOptions};
use offhook_sip_message::{HeaderValue, Message, Method, StatusCode};
use rand::RngExt;
use std::time::{Duration, Instant};

/// A request that waits for its final answer.
#[derive(Debug)]
pub(super) struct RequestUse {
    pub(super) leg: Option<LegId>,
    request: RequestId,
    outgoing: OutgoingRequest,
    /// How to send it again with credentials, outside of calls.
    outside: Option<Outside>,
}

#[derive(Debug)]
struct Outside {
    target: Target,
    auth: Option<Authenticator>,
    from: HeaderValue,
    to: HeaderValue,
    call_id: String,
    cseq: u32,
}

impl UserAgent {
    /// Sends a request within an answered call (INFO, UPDATE, MESSAGE, REFER, …; INVITE for a re-INVITE, whose 491 is
    /// tried again by the user agent after the random time of RFC 3261 §14.1). `Response` or `RequestFailed` follows,
    /// unless the call ends before.
    pub fn request(
        &mut self,
        now: Instant,
        leg: LegId,
        request: OutgoingRequest,
    ) -> Result<RequestId, ActionError> {
        if matches!(request.method, Method::Ack | Method::Cancel | Method::Bye) {
            return Err(ActionError::State("ACK, CANCEL and BYE have verbs of their own"));
        }
        let entry = self.legs.get(&leg).ok_or(ActionError::Gone)?;
        let State::Confirmed(confirmed) = &entry.state else {
            return Err(ActionError::State("the call is not answered, or over"));
        };
        let offers =
            request.method == Method::Invite || (request.method == Method::Update && request.body.is_some());
        if offers && !may_offer(confirmed) {
            return Err(ActionError::State("another offer is open; wait for its answer"));
        }
        let id = RequestId(self.new_id());
        if request.method == Method::Invite {
            self.send_reinvite(now, leg, id, request, 0)?;
        } else {
            self.send_within(now, leg, id, request)?;
        }
        self.pump(now);
        Ok(id)
    }

    fn send_within(
        &mut self,
        now: Instant,
        leg: LegId,
        request: RequestId,
        outgoing: OutgoingRequest,
    ) -> Result<(), ActionError> {
        let (transaction, ..) = self.send_in_dialog(now, leg, &outgoing)?;
        let usage = RequestUse {
            leg: Some(leg),
            request,
            outgoing,
            outside: None,
        };
        self.clients
            .insert(transaction, ClientUse::Request(Box::new(usage)));
        Ok(())
    }

    fn send_reinvite(
        &mut self,
        now: Instant,
        leg_id: LegId,
        request: RequestId,
        outgoing: OutgoingRequest,
        retries: u32,
    ) -> Result<(), ActionError> {
        let (transaction, message, flow) = self.send_in_dialog(now, leg_id, &outgoing)?;
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return Err(ActionError::Gone);
        };
        let invite = InviteUse {
            leg: leg_id,
            request: message,
            flow,
            reinvite: Some(request),
            sticky: leg.sticky.clone(),
            acks: Vec::new(),
        };
        self.clients
            .insert(transaction, ClientUse::Invite(Box::new(invite)));
        if let State::Confirmed(confirmed) = &mut leg.state {
            confirmed.reinvite = Some(Reinvite {
                request,
                outgoing,
                retries,
                phase: ReinvitePhase::Sent(transaction),
            });
        }
        self.retime(leg_id);
        Ok(())
    }

    /// Sends a request with the call's dialog, credentials and sticky headers.
    pub(super) fn send_in_dialog(
        &mut self,
        now: Instant,
        leg: LegId,
        outgoing: &OutgoingRequest,
    ) -> Result<(ClientTransactionId, Message, Flow), ActionError> {
        let leg = self.legs.get_mut(&leg).ok_or(ActionError::Gone)?;
        let dialog = match &mut leg.state {
            State::Confirmed(confirmed) => &mut confirmed.dialog,
            State::Closing(closing) => &mut closing.dialog,
            State::Calling(_) | State::Ringing { .. } => {
                return Err(ActionError::State("the call is not answered"));
            }
        };
        let flow = dialog.next_hop().unwrap_or(leg.flow);
        let branch = self.layer.branch();
        let via = self.identity.via(flow.transport, &branch);
        let builder = dialog.next_request(&outgoing.method, &via);
        let uri = dialog.remote_target.as_bytes();
        let rest = Rest {
            auth: leg
                .auth
                .as_mut()
                .map(|auth| auth.headers(&outgoing.method, uri))
                .unwrap_or_default(),
            sticky: &leg.sticky,
            headers: &outgoing.headers,
            body: outgoing.body.as_ref(),
        };
        let message = self.identity.finish(builder, &outgoing.method, rest)?;
        let id = self
            .layer
            .send_request(now, flow, message.clone(), SendOptions::default())
            .map_err(|_| ActionError::Full)?;
        Ok((id, message, flow))
    }

    /// Sends a request outside of any call: OPTIONS as a keepalive, MESSAGE, REGISTER.
    pub fn request_to(
        &mut self,
        now: Instant,
        target: Target,
        request: OutgoingRequest,
    ) -> Result<RequestId, ActionError> {
        if matches!(
            request.method,
            Method::Invite | Method::Ack | Method::Cancel | Method::Bye
        ) {
            return Err(ActionError::State(
                "INVITE, ACK, CANCEL and BYE have verbs of their own",
            ));
        }
        let tag = self.layer.tag();
        let outside = Outside {
            auth: target.credentials.clone().map(Authenticator::new),
            from: compose::name_addr(&target.from, Some(&tag))?,
            to: compose::name_addr(&target.to, None)?,
            call_id: crate::random::hex(self.layer.rng(), 16),
            cseq: 0,
            target,
        };
        let id = RequestId(self.new_id());
        self.send_outside(now, id, request, outside)?;
        self.pump(now);
        Ok(id)
    }

    fn send_outside(
        &mut self,
        now: Instant,
        request: RequestId,
        outgoing: OutgoingRequest,
        mut outside: Outside,
    ) -> Result<(), ActionError> {
        outside.cseq += 1;
        let flow = outside.target.destination;
        let branch = self.layer.branch();
        let via = self.identity.via(flow.transport, &branch);
        let uri = outside.target.request_uri.uri();
        let ids = FirstRequestIds {
            from: &outside.from,
            to: &outside.to,
            call_id: &outside.call_id,
            cseq: outside.cseq,
        };
        let builder = compose::first_request(&outgoing.method, &uri, &via, &ids);
        let rest = Rest {
            auth: outside
                .auth
                .as_mut()
                .map(|auth| auth.headers(&outgoing.method, uri.as_bytes()))
                .unwrap_or_default(),
            headers: &outgoing.headers,
            body: outgoing.body.as_ref(),
            ..Rest::default()
        };
        let message = self.identity.finish(builder, &outgoing.method, rest)?;
        let transaction = self
            .layer
            .send_request(now, flow, message, SendOptions::default())
            .map_err(|_| ActionError::Full)?;
        let usage = RequestUse {
            leg: None,
            request,
            outgoing,
            outside: Some(outside),
        };
        self.clients
            .insert(transaction, ClientUse::Request(Box::new(usage)));
        Ok(())
    }

    pub(super) fn handle_request_response(
        &mut self,
        now: Instant,
        id: ClientTransactionId,
        response: Message,
    ) {
        let Some(status) = response.status().filter(|status| status.is_final()) else {
            return;
        };
        let Some(ClientUse::Request(mut usage)) = self.clients.remove(&id) else {
            return;
        };
        let cnonce = self.layer.tag();
        let (leg_id, request) = (usage.leg, usage.request);
        let resent = match (leg_id, usage.outside.take()) {
            (None, Some(mut outside)) => {
                accepts_challenge(outside.auth.as_mut(), &response, &cnonce)
                    && self.send_outside(now, request, usage.outgoing, outside).is_ok()
            }
            (Some(leg), _) => {
                let auth = self.legs.get_mut(&leg).and_then(|leg| leg.auth.as_mut());
                accepts_challenge(auth, &response, &cnonce)
                    && self.send_within(now, leg, request, usage.outgoing).is_ok()
            }
            (None, None) => false,
        };
        if resent || !self.is_live(leg_id) {
            return;
        }
        if let Some(State::Confirmed(confirmed)) =
            leg_id.and_then(|leg| Some(&mut self.legs.get_mut(&leg)?.state))
            && status.is_success()
            && response
                .require::<offhook_sip_message::header::CSeq>()
                .is_ok_and(|c| c.method == Method::Update)
        {
            confirmed.dialog.refresh_target(&response);
        }
        self.push_event(Event::Response {
            request,
            leg: leg_id,
            response,
        });
        if let Some(leg) = leg_id {
            self.end_if_forgotten(now, leg, status);
        }
    }

    pub(super) fn handle_request_failure(&mut self, now: Instant, id: ClientTransactionId, failure: Failure) {
        let Some(ClientUse::Request(usage)) = self.clients.remove(&id) else {
            return;
        };
        if !self.is_live(usage.leg) {
            return;
        }
        self.push_event(Event::RequestFailed {
            request: usage.request,
            leg: usage.leg,
            failure,
        });
        if let Some(leg) = usage.leg {
            self.end_if_forgotten(now, leg, StatusCode::REQUEST_TIMEOUT);
        }
    }

    /// Whether the owner still hears about a request: of a call only while that lasts.
    fn is_live(&self, leg: Option<LegId>) -> bool {
        leg.is_none_or(|leg| {
            matches!(
                self.legs.get(&leg).map(|leg| &leg.state),
                Some(State::Confirmed(_))
            )
        })
    }

    /// §12.2.1.2: the other side has forgotten the call.
    fn end_if_forgotten(&mut self, now: Instant, leg: LegId, status: StatusCode) {
        if matches!(
            status,
            StatusCode::CALL_DOES_NOT_EXIST | StatusCode::REQUEST_TIMEOUT
        ) && self.is_live(Some(leg))
        {
            self.close(now, leg, Vec::new());
            self.push_event(Event::Terminated {
                leg,
                ending: Ending::Lost,
            });
        }
    }

    /// The re-INVITE `id` of the call, if it is still the current one.
    fn take_reinvite(&mut self, id: ClientTransactionId) -> Option<(LegId, Reinvite)> {
        let Some(ClientUse::Invite(invite)) = self.clients.get(&id) else {
            return None;
        };
        let leg_id = invite.leg;
        let State::Confirmed(confirmed) = &mut self.legs.get_mut(&leg_id)?.state else {
            return None;
        };
        let reinvite = confirmed
            .reinvite
            .take_if(|reinvite| reinvite.phase == ReinvitePhase::Sent(id))?;
        Some((leg_id, reinvite))
    }

    pub(super) fn handle_reinvite_accepted(&mut self, id: ClientTransactionId, response: Message) {
        let Some((leg_id, reinvite)) = self.take_reinvite(id) else {
            return;
        };
        let Some(ClientUse::Invite(invite)) = self.clients.get(&id) else {
            return;
        };
        let cseq = invite
            .request
            .require::<offhook_sip_message::header::CSeq>()
            .map_or(0, |cseq| cseq.number);
        if let Some(leg) = self.legs.get_mut(&leg_id)
            && let State::Confirmed(confirmed) = &mut leg.state
        {
            confirmed.dialog.refresh_target(&response);
            confirmed.ack_due = Some(AckDue {
                transaction: id,
                cseq,
            });
            if let Some(auth) = &mut leg.auth {
                auth.handle_accepted();
            }
        }
        if reinvite.outgoing.body.is_some() {
            self.send_due_ack(leg_id, None);
        }
        self.push_event(Event::Response {
            request: reinvite.request,
            leg: Some(leg_id),
            response,
        });
        self.retime(leg_id);
    }

    pub(super) fn handle_reinvite_rejected(
        &mut self,
        now: Instant,
        id: ClientTransactionId,
        response: Message,
    ) {
        let Some(status) = response.status() else { return };
        let Some((leg_id, mut reinvite)) = self.take_reinvite(id) else {
            return;
        };
        let cnonce = self.layer.tag();
        let auth = self.legs.get_mut(&leg_id).and_then(|leg| leg.auth.as_mut());
        if accepts_challenge(auth, &response, &cnonce) {
            let sent = self.send_reinvite(
                now,
                leg_id,
                reinvite.request,
                reinvite.outgoing.clone(),
                reinvite.retries,
            );
            if sent.is_ok() {
                return;
            }
        }
        if status == StatusCode::REQUEST_PENDING && reinvite.retries < GLARE_RETRIES_MAX {
            let wait = self.glare_wait(leg_id);
            reinvite.phase = ReinvitePhase::Waiting { until: now + wait };
            if let Some(Leg {
                state: State::Confirmed(confirmed),
                ..
            }) = self.legs.get_mut(&leg_id)
            {
                confirmed.reinvite = Some(reinvite);
            }
            return self.retime(leg_id);
        }
        self.push_event(Event::Response {
            request: reinvite.request,
            leg: Some(leg_id),
            response,
        });
        self.end_if_forgotten(now, leg_id, status);
    }

    pub(super) fn handle_reinvite_lost(&mut self, now: Instant, id: ClientTransactionId, failure: Failure) {
        let Some((leg_id, reinvite)) = self.take_reinvite(id) else {
            return;
        };
        self.push_event(Event::RequestFailed {
            request: reinvite.request,
            leg: Some(leg_id),
            failure,
        });
        self.end_if_forgotten(now, leg_id, StatusCode::REQUEST_TIMEOUT);
    }

    /// §14.1: in units of 10 ms, 2.1 to 4 s for the owner of the Call-ID, 0 to 2 s for the other.
    fn glare_wait(&mut self, leg: LegId) -> Duration {
        let is_caller = matches!(self.legs.get(&leg).map(|leg| &leg.state),
            Some(State::Confirmed(confirmed)) if confirmed.is_caller);
        let tens_of_ms = if is_caller {
            self.layer.rng().random_range(210..=400)
        } else {
            self.layer.rng().random_range(0..=200)
        };
        Duration::from_millis(10 * tens_of_ms)
    }

    /// The wait after 491 is over.
    pub(super) fn retry_reinvite(&mut self, now: Instant, leg_id: LegId) {
        let Some(Leg {
            state: State::Confirmed(confirmed),
            ..
        }) = self.legs.get_mut(&leg_id)
        else {
            return;
        };
        let Some(mut reinvite) = confirmed.reinvite.take() else {
            return;
        };
        if confirmed.offer.is_some() || confirmed.unacked.is_some() {
            // Their re-INVITE came in the meantime and goes first.
            reinvite.phase = ReinvitePhase::Waiting {
                until: now + self.config.timing.t1,
            };
            confirmed.reinvite = Some(reinvite);
            return;
        }
        let (request, retries) = (reinvite.request, reinvite.retries + 1);
        if self
            .send_reinvite(now, leg_id, request, reinvite.outgoing, retries)
            .is_err()
        {
            self.push_event(Event::RequestFailed {
                request,
                leg: Some(leg_id),
                failure: Failure::Transport,
            });
        }
    }
}

/// Whether no offer is open in either direction (§14.1, RFC 3311 §5.1).
fn may_offer(confirmed: &Confirmed) -> bool {
    confirmed.ack_due.is_none()
        && confirmed.unacked.is_none()
        && confirmed.reinvite.is_none()
        && confirmed.offer.is_none()
}
