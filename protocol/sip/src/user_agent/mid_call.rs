//! Our requests other than the first INVITE: within a call (RFC 3261 §12.2.1) and outside of any.

use super::api::{ActionError, Ending, Event, Failure, LegId, OutgoingRequest, RequestId, Target};
use super::compose::{self, FirstRequestIds, Rest};
use super::leg::State;
use super::refer::ReferralId;
use super::reliable::rack_line;
use super::uac::accepts_challenge;
use super::{ClientUse, UserAgent};
use crate::dialog::DialogId;
use crate::digest::Authenticator;
use crate::flow::Flow;
use crate::transaction::{ClientTransactionId, SendOptions};
use offhook_sip_message::header::RAck;
use offhook_sip_message::{HeaderValue, Message, Method, StatusCode};
use std::time::Instant;

/// A request that waits for its final answer.
#[derive(Debug)]
pub(super) struct RequestUse {
    pub(super) leg: Option<LegId>,
    purpose: Purpose,
    outgoing: OutgoingRequest,
    /// How to send it again with credentials, outside of calls.
    outside: Option<Outside>,
}

/// Who wants to know the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The owner.
    Owner(RequestId),
    /// Nobody but the session timer.
    Refresh,
    /// Nobody: the response that it acknowledges is just repeated no longer.
    Prack(RAck),
    /// Whoever keeps the transfer.
    Notify(ReferralId),
    /// Nobody: the call goes on as it is.
    Told,
}

impl Purpose {
    fn owner(&self) -> Option<RequestId> {
        match self {
            Self::Owner(request) => Some(*request),
            Self::Refresh | Self::Prack(_) | Self::Notify(_) | Self::Told => None,
        }
    }
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
    /// Sends a request within an answered call (INFO, UPDATE, MESSAGE, REFER, …; INVITE for a re-INVITE). Re-INVITEs
    /// and UPDATEs with an offer that get 491 are tried again by the user agent after the random time of RFC 3261 §14.1;
    /// where an offer of theirs is accepted meanwhile, the owner gets the 491 and makes a new one.
    /// UPDATE (RFC 3311) and INFO also go while the call rings, if it has one early dialog; an offer only after that of
    /// the INVITE was answered reliably (RFC 3262). `Response` or `RequestFailed` follows, unless the call ends before.
    pub fn request(
        &mut self,
        now: Instant,
        leg: LegId,
        request: OutgoingRequest,
    ) -> Result<RequestId, ActionError> {
        if matches!(
            request.method,
            Method::Ack | Method::Cancel | Method::Bye | Method::Prack
        ) {
            return Err(ActionError::State(
                "ACK, CANCEL, BYE and PRACK have verbs of their own",
            ));
        }
        let entry = self.legs.get(&leg).ok_or(ActionError::Gone)?;
        entry.admits(&request.method).map_err(ActionError::State)?;
        let offers =
            request.method == Method::Invite || (request.method == Method::Update && request.body.is_some());
        if offers && !entry.may_offer() {
            return Err(ActionError::State("another offer is open; wait for its answer"));
        }
        let id = RequestId(self.new_id());
        if offers {
            self.send_offer(now, leg, Some(id), request, 0)?;
        } else {
            self.send_within(now, leg, Purpose::Owner(id), request)?;
        }
        self.pump(now);
        Ok(id)
    }

    /// Sends a request without an offer within an answered call, as a courtesy: whether and how it is answered changes
    /// nothing, and is not reported. Not even silence ends the call.
    pub fn tell(&mut self, now: Instant, leg: LegId, request: OutgoingRequest) -> Result<(), ActionError> {
        let entry = self.legs.get(&leg).ok_or(ActionError::Gone)?;
        entry.admits(&request.method).map_err(ActionError::State)?;
        self.send_within(now, leg, Purpose::Told, request)?;
        self.pump(now);
        Ok(())
    }

    /// Sends a request other than INVITE within a call.
    pub(super) fn send_within(
        &mut self,
        now: Instant,
        leg: LegId,
        purpose: Purpose,
        outgoing: OutgoingRequest,
    ) -> Result<(), ActionError> {
        let dialog = self.dialog(leg).map(|dialog| dialog.id.clone());
        let dialog = dialog.ok_or(ActionError::State("the call has no dialog of its own"))?;
        self.send_as(now, leg, &dialog, purpose, outgoing)
    }

    /// The same within one of its dialogs.
    pub(super) fn send_as(
        &mut self,
        now: Instant,
        leg: LegId,
        dialog: &DialogId,
        purpose: Purpose,
        outgoing: OutgoingRequest,
    ) -> Result<(), ActionError> {
        let (transaction, message, _) = self.send_in_dialog(now, leg, dialog, Some(&purpose), &outgoing)?;
        if let (Method::Refer, Purpose::Owner(request)) = (&outgoing.method, &purpose) {
            self.note_refer(now, leg, *request, &message);
        }
        self.track(transaction, leg, purpose, outgoing);
        Ok(())
    }

    pub(super) fn track(
        &mut self,
        transaction: ClientTransactionId,
        leg: LegId,
        purpose: Purpose,
        outgoing: OutgoingRequest,
    ) {
        let usage = RequestUse {
            leg: Some(leg),
            purpose,
            outgoing,
            outside: None,
        };
        self.clients
            .insert(transaction, ClientUse::Request(Box::new(usage)));
    }

    /// Sends a request with the call's dialog, credentials, session timer and sticky headers.
    pub(super) fn send_in_dialog(
        &mut self,
        now: Instant,
        leg: LegId,
        dialog: &DialogId,
        purpose: Option<&Purpose>,
        outgoing: &OutgoingRequest,
    ) -> Result<(ClientTransactionId, Message, Flow), ActionError> {
        let leg = self.legs.get_mut(&leg).ok_or(ActionError::Gone)?;
        let (session, default_flow) = (leg.session, leg.flow);
        let dialog = leg.dialog_mut(dialog).ok_or(ActionError::Gone)?;
        let flow = dialog.next_hop().unwrap_or(default_flow);
        let branch = self.layer.branch();
        let via = self.identity.via(flow.transport, &branch);
        let builder = dialog.next_request(&outgoing.method, &via);
        let uri = dialog.remote_target.clone();
        let mut own = leg
            .auth
            .as_mut()
            .map(|auth| auth.headers(&outgoing.method, uri.as_bytes()))
            .unwrap_or_default();
        if compose::refreshes_target(&outgoing.method) {
            own.extend(session.request_lines(&self.extensions.session_timer));
        }
        if let Some(Purpose::Prack(rack)) = purpose {
            own.push(rack_line(rack));
        }
        let rest = Rest {
            own,
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
            own: outside
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
            purpose: Purpose::Owner(request),
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
        let Some(ClientUse::Request(usage)) = self.clients.remove(&id) else {
            return;
        };
        let RequestUse {
            leg,
            purpose,
            outgoing,
            outside,
        } = *usage;
        let cnonce = self.layer.tag();
        let Some(leg_id) = leg else {
            let Some((request, mut outside)) = purpose.owner().zip(outside) else {
                return;
            };
            let resent = accepts_challenge(outside.auth.as_mut(), &response, &cnonce)
                && self.send_outside(now, request, outgoing, outside).is_ok();
            if !resent {
                self.push_event(Event::Response {
                    request,
                    leg: None,
                    response,
                });
            }
            return;
        };
        let Some(leg) = self.legs.get_mut(&leg_id).filter(|leg| leg.is_live()) else {
            return;
        };
        let settings = &self.extensions.session_timer;
        let worthwhile = leg.session.accepts_min_se(settings, &response)
            || accepts_challenge(leg.auth.as_mut(), &response, &cnonce);
        let own_offer = leg.take_offer(id);
        if let Some(own_offer) = own_offer {
            return self.settle_update(now, leg_id, own_offer, worthwhile, response);
        }
        if worthwhile && self.send_again(now, leg_id, &purpose, &outgoing, &response) {
            return;
        }
        self.settle_request_within(now, leg_id, &purpose, &outgoing, &response);
        if let Some(request) = purpose.owner() {
            self.push_event(Event::Response {
                request,
                leg: Some(leg_id),
                response,
            });
        }
        if matches!(purpose, Purpose::Owner(_) | Purpose::Refresh) {
            self.end_if_forgotten(now, leg_id, status);
        }
    }

    /// Once more, with credentials or a longer session interval, in the dialog of the response.
    fn send_again(
        &mut self,
        now: Instant,
        leg: LegId,
        purpose: &Purpose,
        outgoing: &OutgoingRequest,
        response: &Message,
    ) -> bool {
        DialogId::of_response(response).is_some_and(|dialog| {
            self.send_as(now, leg, &dialog, purpose.clone(), outgoing.clone())
                .is_ok()
        })
    }

    /// What a final answer, or `None` for its absence, changes in the call.
    fn settle_request_within(
        &mut self,
        now: Instant,
        leg_id: LegId,
        purpose: &Purpose,
        outgoing: &OutgoingRequest,
        response: &Message,
    ) {
        let accepted = response.status().is_some_and(StatusCode::is_success);
        match (purpose, &outgoing.method) {
            (Purpose::Notify(referral), _) if !accepted => self.handle_notify_refused(leg_id, *referral),
            (Purpose::Owner(request), Method::Refer) => self.settle_refer(leg_id, *request, Some(response)),
            (_, Method::Update) if accepted => self.handle_session_2xx(now, leg_id, response),
            _ => {}
        }
    }

    pub(super) fn handle_request_failure(&mut self, now: Instant, id: ClientTransactionId, failure: Failure) {
        let Some(ClientUse::Request(usage)) = self.clients.remove(&id) else {
            return;
        };
        let RequestUse { leg, purpose, .. } = *usage;
        if let Some(leg_id) = leg {
            let Some(leg) = self.legs.get_mut(&leg_id).filter(|leg| leg.is_live()) else {
                return;
            };
            leg.take_offer(id);
            match purpose {
                Purpose::Notify(referral) => return self.handle_notify_refused(leg_id, referral),
                Purpose::Prack(_) | Purpose::Told => return,
                Purpose::Owner(request) => self.settle_refer(leg_id, request, None),
                Purpose::Refresh => {}
            }
        }
        if let Some(request) = purpose.owner() {
            self.push_event(Event::RequestFailed {
                request,
                leg,
                failure,
            });
        }
        if let Some(leg) = leg {
            self.end_if_forgotten(now, leg, StatusCode::REQUEST_TIMEOUT);
        }
    }

    /// §12.2.1.2: the other side has forgotten the call.
    pub(super) fn end_if_forgotten(&mut self, now: Instant, leg: LegId, status: StatusCode) {
        let answered = matches!(
            self.legs.get(&leg).map(|leg| &leg.state),
            Some(State::Confirmed(_))
        );
        if answered
            && matches!(
                status,
                StatusCode::CALL_DOES_NOT_EXIST | StatusCode::REQUEST_TIMEOUT
            )
        {
            self.close(now, leg, Vec::new());
            self.push_event(Event::Terminated {
                leg,
                ending: Ending::Lost,
            });
        }
    }
}
