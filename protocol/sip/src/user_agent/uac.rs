//! Our INVITE: from the first byte to the ACK (RFC 3261 §9.1, §13.2, §22).

use super::api::{ActionError, Body, Event, Failure, LegId, OutgoingInvite};
use super::compose::{self, FirstRequestIds, Rest};
use super::leg::{Calling, Confirmed, EARLY_DIALOGS_MAX, InvitePlan, Leg, RING_MAX, State};
use super::reliable::{EarlyDialog, Provisional};
use super::session_timer::{OwnLines, Session};
use super::{ClientUse, UserAgent};
use crate::dialog::{Dialog, DialogId};
use crate::digest::Authenticator;
use crate::extra_header::Header;
use crate::flow::Flow;
use crate::transaction::{ClientTransactionId, SendOptions};
use bytes::Bytes;
use offhook_sip_message::{HeaderName, Message, Method, StatusCode};
use std::time::Instant;

/// Most answers (2xx of forks) to one INVITE that are acknowledged; more than so many phones never ring.
const ANSWERS_MAX: usize = 16;

/// An INVITE or re-INVITE that we sent, as long as its transaction lives: a repeated 2xx is acknowledged again from here,
/// also when the call is long over.
#[derive(Debug)]
pub(super) struct InviteUse {
    pub(super) leg: LegId,
    pub(super) request: Message,
    pub(super) flow: Flow,
    pub(super) is_reinvite: bool,
    pub(super) sticky: Vec<Header>,
    pub(super) acks: Vec<SentAck>,
}

/// An ACK to the 2xx of one fork.
#[derive(Debug)]
pub(super) struct SentAck {
    remote_tag: Bytes,
    ack: Message,
    flow: Flow,
}

impl UserAgent {
    /// Places a call. Ends in `Answered` or `Failed`.
    pub fn invite(&mut self, now: Instant, invite: OutgoingInvite) -> Result<LegId, ActionError> {
        if self.legs.len() >= self.config.legs_max {
            return Err(ActionError::Full);
        }
        let id = LegId(self.new_id());
        let tag = self.layer.tag();
        let mut plan = InvitePlan {
            request_uri: invite.request_uri,
            from: compose::name_addr(&invite.from, Some(&tag))?,
            to: compose::name_addr(&invite.to, None)?,
            call_id: crate::random::hex(self.layer.rng(), 16),
            cseq: 0,
            headers: invite.headers,
            body: invite.body,
            give_up_after: invite.give_up_after,
        };
        let mut auth = invite.credentials.map(Authenticator::new);
        let own = self.invite_lines(auth.as_mut(), &Session::default(), &plan);
        let transaction = self.send_invite(
            now,
            id,
            &mut plan,
            own,
            &invite.sticky_headers,
            invite.destination,
        )?;
        let calling = Calling {
            transaction,
            plan,
            early: Vec::new(),
            cancelled: false,
            prack_due: None,
            until: now + RING_MAX,
        };
        let state = State::Calling(Box::new(calling));
        let mut leg = Leg::new(state, invite.destination, invite.sticky_headers);
        leg.auth = auth;
        self.legs.insert(id, leg);
        self.retime(id);
        self.pump(now);
        Ok(id)
    }

    /// Credentials and the session timer, for the INVITE of `plan`.
    fn invite_lines(
        &self,
        auth: Option<&mut Authenticator>,
        session: &Session,
        plan: &InvitePlan,
    ) -> OwnLines {
        let uri = plan.request_uri.as_bytes();
        let mut own = auth
            .map(|auth| auth.headers(&Method::Invite, uri))
            .unwrap_or_default();
        own.extend(session.request_lines(&self.extensions.session_timer));
        own
    }

    /// Sends the INVITE of `plan`, the first time or again with other `own` lines, with the next CSeq and a new branch.
    fn send_invite(
        &mut self,
        now: Instant,
        leg: LegId,
        plan: &mut InvitePlan,
        own: OwnLines,
        sticky: &[Header],
        flow: Flow,
    ) -> Result<ClientTransactionId, ActionError> {
        plan.cseq += 1;
        let branch = self.layer.branch();
        let via = self.identity.via(flow.transport, &branch);
        let uri = plan.request_uri.uri();
        let ids = FirstRequestIds {
            from: &plan.from,
            to: &plan.to,
            call_id: &plan.call_id,
            cseq: plan.cseq,
        };
        let builder = compose::first_request(&Method::Invite, &uri, &via, &ids);
        let rest = Rest {
            own,
            sticky,
            headers: &plan.headers,
            body: plan.body.as_ref(),
        };
        let request = self.identity.finish(builder, &Method::Invite, rest)?;
        let options = SendOptions {
            give_up_after: plan.give_up_after,
        };
        let transaction = self
            .layer
            .send_request(now, flow, request.clone(), options)
            .map_err(|_| ActionError::Full)?;
        let invite = InviteUse {
            leg,
            request,
            flow,
            is_reinvite: false,
            sticky: sticky.to_vec(),
            acks: Vec::new(),
        };
        self.clients
            .insert(transaction, ClientUse::Invite(Box::new(invite)));
        Ok(transaction)
    }

    /// Gives up a call of ours that is not answered (RFC 3261 §9.1). `Failed` follows (487 as a rule); a 2xx that
    /// crosses the CANCEL is acknowledged and ended with BYE, which is reported as `Failed` too.
    pub fn cancel(&mut self, now: Instant, leg: LegId, headers: Vec<Header>) -> Result<(), ActionError> {
        let entry = self.legs.get_mut(&leg).ok_or(ActionError::Gone)?;
        let State::Calling(calling) = &mut entry.state else {
            return Err(ActionError::State(
                "only an unanswered call of ours can be cancelled",
            ));
        };
        calling.cancelled = true;
        let mut all = entry.sticky.clone();
        all.extend(headers);
        self.layer
            .cancel(now, calling.transaction, &all)
            .map_err(|_| ActionError::Gone)?;
        self.retime(leg);
        self.pump(now);
        Ok(())
    }

    pub(super) fn handle_invite_response(
        &mut self,
        now: Instant,
        id: ClientTransactionId,
        response: Message,
    ) {
        let Some(status) = response.status() else { return };
        let Some(ClientUse::Invite(invite)) = self.clients.get(&id) else {
            return;
        };
        if status.is_success() {
            self.handle_2xx(now, id, response);
        } else if invite.is_reinvite {
            if status.is_final() {
                self.handle_reinvite_rejected(now, id, response);
            }
        } else if status.is_provisional() {
            self.handle_provisional(now, id, response);
        } else {
            self.handle_rejection(now, id, response);
        }
    }

    fn handle_provisional(&mut self, now: Instant, id: ClientTransactionId, response: Message) {
        let Some(ClientUse::Invite(invite)) = self.clients.get(&id) else {
            return;
        };
        let leg_id = invite.leg;
        let Some(Leg {
            state: State::Calling(calling),
            peer,
            ..
        }) = self.legs.get_mut(&leg_id)
        else {
            return;
        };
        if calling.transaction != id || response.status() == Some(StatusCode::TRYING) {
            return;
        }
        peer.learn(&response);
        let cancelled = calling.cancelled;
        let mut reliability = Provisional::Plain;
        let dialog_id = DialogId::of_response(&response).filter(|dialog| !dialog.remote_tag.is_empty());
        if let Some(dialog_id) = &dialog_id {
            let has_room = calling.early.len() < EARLY_DIALOGS_MAX;
            let known = calling
                .early
                .iter_mut()
                .any(|early| early.dialog.id == *dialog_id);
            if !known && has_room {
                match Dialog::of_caller(&invite.request, &response) {
                    Ok(dialog) => {
                        calling.early.push(EarlyDialog::new(dialog));
                        self.dialogs.insert(dialog_id.clone(), leg_id);
                    }
                    Err(error) => {
                        tracing::debug!(?response, %error, "a provisional response makes no dialog");
                    }
                }
            }
            let mut early = calling.early.iter_mut();
            if let Some(early) = early.find(|early| early.dialog.id == *dialog_id) {
                reliability = early.handle_rseq(&response);
                if reliability != Provisional::Dropped
                    && let Err(error) = early.dialog.handle_response(&response)
                {
                    tracing::debug!(?response, %error, "a provisional response changes no dialog");
                }
            }
        }
        match (reliability, dialog_id) {
            (Provisional::Dropped, _) => return,
            (Provisional::Reliable, Some(dialog)) => self.acknowledge(now, leg_id, dialog, &response),
            (Provisional::Reliable | Provisional::Plain, _) => {}
        }
        if !cancelled {
            self.push_event(Event::Provisional {
                leg: leg_id,
                response,
            });
        }
    }

    fn handle_rejection(&mut self, now: Instant, id: ClientTransactionId, response: Message) {
        let Some(ClientUse::Invite(invite)) = self.clients.get(&id) else {
            return;
        };
        let leg_id = invite.leg;
        match self.legs.get(&leg_id) {
            Some(Leg {
                state: State::Calling(calling),
                ..
            }) if calling.transaction == id => {}
            _ => return,
        }
        if self.invite_again(now, leg_id, &response) {
            return;
        }
        self.remove_leg(now, leg_id);
        self.push_event(Event::Failed {
            leg: leg_id,
            failure: Failure::Response(response),
        });
    }

    /// Sends the INVITE again with credentials, or with a longer session interval; `false` if the response has to stand.
    fn invite_again(&mut self, now: Instant, id: LegId, response: &Message) -> bool {
        let Some(mut leg) = self.legs.remove(&id) else {
            return false;
        };
        let cnonce = self.layer.tag();
        let State::Calling(calling) = &mut leg.state else {
            self.legs.insert(id, leg);
            return false;
        };
        let mut sent = false;
        let settings = &self.extensions.session_timer;
        let worthwhile = leg.session.accepts_min_se(settings, response)
            || accepts_challenge(leg.auth.as_mut(), response, &cnonce);
        if !calling.cancelled && worthwhile {
            calling.prack_due = None;
            for early in calling.early.drain(..) {
                self.dialogs.remove(&early.dialog.id);
            }
            let own = self.invite_lines(leg.auth.as_mut(), &leg.session, &calling.plan);
            let transaction = self.send_invite(now, id, &mut calling.plan, own, &leg.sticky, leg.flow);
            if let Ok(transaction) = transaction {
                calling.transaction = transaction;
                sent = true;
            }
        }
        self.legs.insert(id, leg);
        sent
    }

    pub(super) fn handle_invite_failure(&mut self, now: Instant, id: ClientTransactionId, failure: Failure) {
        let Some(ClientUse::Invite(invite)) = self.clients.get(&id) else {
            return;
        };
        let (leg_id, is_reinvite) = (invite.leg, invite.is_reinvite);
        match self.legs.get(&leg_id).map(|leg| &leg.state) {
            Some(State::Calling(calling)) if calling.transaction == id => {
                self.remove_leg(now, leg_id);
                self.push_event(Event::Failed { leg: leg_id, failure });
            }
            Some(State::Confirmed(_)) if is_reinvite => self.handle_reinvite_lost(now, id, failure),
            _ => {}
        }
    }

    fn handle_2xx(&mut self, now: Instant, id: ClientTransactionId, response: Message) {
        let Some(ClientUse::Invite(invite)) = self.clients.get(&id) else {
            return;
        };
        let Some(dialog_id) = DialogId::of_response(&response) else {
            return;
        };
        let leg_id = invite.leg;
        if let Some(sent) = invite
            .acks
            .iter()
            .find(|sent| sent.remote_tag == dialog_id.remote_tag)
        {
            let (flow, ack) = (sent.flow, sent.ack.clone());
            return self.send_ack(leg_id, flow, &ack, false);
        }
        if invite.acks.len() >= ANSWERS_MAX {
            return;
        }
        match self.legs.get(&leg_id).map(|leg| &leg.state) {
            Some(State::Calling(calling)) if calling.transaction == id => {
                self.handle_answer(now, id, leg_id, response);
            }
            Some(State::Confirmed(confirmed)) if invite.is_reinvite && confirmed.dialog.id == dialog_id => {
                self.handle_reinvite_accepted(now, id, response);
            }
            // The owner has not given its answer for the ACK yet.
            Some(State::Confirmed(confirmed))
                if confirmed.dialog.id == dialog_id && confirmed.ack_due.is_some() => {}
            _ if invite.is_reinvite => {}
            _ => self.end_fork(now, id, response),
        }
    }

    /// The first 2xx to a call of ours (§13.2.2.4).
    fn handle_answer(&mut self, now: Instant, id: ClientTransactionId, leg_id: LegId, response: Message) {
        let Some(ClientUse::Invite(invite)) = self.clients.get(&id) else {
            return;
        };
        let dialog = Dialog::of_caller(&invite.request, &response);
        let Some(Leg {
            state: State::Calling(calling),
            auth,
            peer,
            session,
            local_sdp,
            ..
        }) = self.legs.get_mut(&leg_id)
        else {
            return;
        };
        let (cancelled, cseq) = (calling.cancelled, calling.plan.cseq);
        let mut has_offer = calling.plan.body.is_some();
        let mut cseqs = None;
        for early in calling.early.drain(..) {
            self.dialogs.remove(&early.dialog.id);
            if dialog.as_ref().is_ok_and(|dialog| dialog.id == early.dialog.id) {
                cseqs = Some((early.dialog.local_cseq, early.dialog.remote_cseq));
                // The offer was theirs and is answered in the PRACK.
                has_offer |= early.agreed;
            }
        }
        let Ok(mut dialog) = dialog else {
            self.remove_leg(now, leg_id);
            return self.push_event(Event::Failed {
                leg: leg_id,
                failure: Failure::Response(response),
            });
        };
        if let Some((local, remote)) = cseqs {
            dialog.local_cseq = local;
            dialog.remote_cseq = remote;
        }
        if let Some(body) = calling.plan.body.take() {
            // An UPDATE before the answer may have changed it.
            local_sdp.get_or_insert(body);
        }
        peer.learn(&response);
        session.handle_2xx(now, &self.extensions.session_timer, &response);
        if let Some(auth) = auth {
            auth.handle_accepted();
        }
        self.dialogs.insert(dialog.id.clone(), leg_id);
        if let Some(leg) = self.legs.get_mut(&leg_id) {
            leg.state = State::Confirmed(Box::new(Confirmed::unacknowledged(dialog, id, cseq)));
        }
        self.retime(leg_id);
        if cancelled {
            self.close(now, leg_id, Vec::new());
            return self.push_event(Event::Failed {
                leg: leg_id,
                failure: Failure::Response(response),
            });
        }
        if has_offer {
            self.send_due_ack(leg_id, None);
        }
        self.push_event(Event::Answered {
            leg: leg_id,
            response,
        });
    }

    /// A 2xx of another fork, or one that came too late: acknowledged and ended at once (§13.2.2.4).
    fn end_fork(&mut self, now: Instant, id: ClientTransactionId, response: Message) {
        let Some(ClientUse::Invite(invite)) = self.clients.get_mut(&id) else {
            return;
        };
        let Ok(dialog) = Dialog::of_caller(&invite.request, &response) else {
            return;
        };
        let (flow, sticky) = (invite.flow, invite.sticky.clone());
        tracing::info!(?response, "ending a second answer to one INVITE");
        let fork = LegId(self.new_id());
        self.dialogs.insert(dialog.id.clone(), fork);
        let cseq = dialog.local_cseq;
        let state = State::Confirmed(Box::new(Confirmed::unacknowledged(dialog, id, cseq)));
        self.legs.insert(fork, Leg::new(state, flow, sticky));
        self.close(now, fork, Vec::new());
    }

    /// Acknowledges the 2xx to an INVITE that had no offer, with the answer; or the reliable provisional response
    /// (RFC 3262 §5) where that bore the offer, by PRACK.
    pub fn ack(&mut self, now: Instant, leg: LegId, body: Option<Body>) -> Result<(), ActionError> {
        let entry = self.legs.get_mut(&leg).ok_or(ActionError::Gone)?;
        match &entry.state {
            State::Confirmed(confirmed) if confirmed.ack_due.is_some() => {
                if body.is_some() {
                    entry.local_sdp.clone_from(&body);
                }
                self.send_due_ack(leg, body.as_ref());
            }
            _ => self.answer_in_prack(now, leg, body)?,
        }
        self.pump(now);
        Ok(())
    }

    /// Sends the ACK that the call owes and keeps it for repeated 2xx.
    pub(super) fn send_due_ack(&mut self, leg_id: LegId, body: Option<&Body>) {
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return;
        };
        let State::Confirmed(confirmed) = &mut leg.state else {
            return;
        };
        let Some(due) = confirmed.ack_due.take() else {
            return;
        };
        let flow = confirmed.dialog.next_hop().unwrap_or(leg.flow);
        let branch = self.layer.branch();
        let via = self.identity.via(flow.transport, &branch);
        let mut builder = confirmed.dialog.request(&Method::Ack, due.cseq, &via);
        let invite = match self.clients.get_mut(&due.transaction) {
            Some(ClientUse::Invite(invite)) => Some(invite),
            _ => None,
        };
        if let Some(invite) = &invite {
            // The same credentials as the INVITE's (§22.1): an ACK cannot be challenged.
            builder = builder
                .copy(&invite.request, HeaderName::Authorization)
                .copy(&invite.request, HeaderName::ProxyAuthorization);
        }
        let rest = Rest {
            sticky: &leg.sticky,
            body,
            ..Rest::default()
        };
        let Ok(ack) = self.identity.finish(builder, &Method::Ack, rest) else {
            return;
        };
        if let Some(invite) = invite {
            invite.acks.push(SentAck {
                remote_tag: confirmed.dialog.id.remote_tag.clone(),
                ack: ack.clone(),
                flow,
            });
        }
        self.send_ack(leg_id, flow, &ack, true);
    }
}

/// Whether a 401 or 407 can be answered with credentials; they then are in `auth`.
pub(super) fn accepts_challenge(auth: Option<&mut Authenticator>, response: &Message, cnonce: &str) -> bool {
    let asks = matches!(
        response.status(),
        Some(StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED)
    );
    let Some(auth) = auth.filter(|_| asks) else {
        return false;
    };
    match auth.handle_challenge(response, cnonce) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(?response, %error, "cannot answer a digest challenge");
            false
        }
    }
}
