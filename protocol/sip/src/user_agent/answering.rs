//! Our answers: the owner's and the user agent's own (RFC 3261 §8.2.6, §13.3.1).

use super::UserAgent;
use super::api::{ActionError, IncomingId, LegId, Reply};
use super::leg::{Confirmed, Leg, State, Unacked};
use super::session_timer::{self, Grant, OwnLines};
use super::uas::Kind;
use crate::transaction::ServerTransactionId;
use offhook_sip_message::header::CSeq;
use offhook_sip_message::{Message, StatusCode};
use rand::RngExt;
use std::time::Instant;

impl UserAgent {
    /// Answers an incoming request: provisionally, any number of times, then finally. A 2xx to INVITE is repeated
    /// until its ACK comes. `Gone` if the request is over, also because it was cancelled.
    pub fn respond(&mut self, now: Instant, incoming: IncomingId, reply: Reply) -> Result<(), ActionError> {
        let usage = self.servers.get(&incoming.0).ok_or(ActionError::Gone)?;
        if usage.answered {
            return Err(ActionError::State("the request was finally answered before"));
        }
        self.answer(now, incoming.0, &reply)?;
        self.pump(now);
        Ok(())
    }

    /// An answer that the user agent gives by itself.
    pub(super) fn reply(&mut self, now: Instant, id: ServerTransactionId, status: StatusCode) {
        let mut reply = Reply::new(status);
        let mut own = OwnLines::new();
        if status == StatusCode::SESSION_INTERVAL_TOO_SMALL {
            own.push(session_timer::min_se(&self.extensions.session_timer));
        }
        if matches!(
            status,
            StatusCode::SERVER_INTERNAL_ERROR | StatusCode::SERVICE_UNAVAILABLE
        ) {
            // §14.2: a random time of up to 10 s.
            let seconds: u8 = self.layer.rng().random_range(1..=10);
            reply.headers.extend(crate::extra_header::Header::new(
                "Retry-After",
                &seconds.to_string(),
            ));
        }
        if let Err(error) = self.answer_with(now, id, &reply, own) {
            tracing::debug!(%status, %error, "could not answer a request");
        }
    }

    pub(super) fn answer(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        reply: &Reply,
    ) -> Result<(), ActionError> {
        let usage = self.servers.get(&id).ok_or(ActionError::Gone)?;
        if let (Kind::Invite, Some(leg)) = (usage.kind, usage.leg)
            && let Some(outcome) = self.answer_reliably(now, id, leg, reply)
        {
            return outcome;
        }
        self.answer_with(now, id, reply, OwnLines::new())
    }

    fn answer_with(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        reply: &Reply,
        mut own: OwnLines,
    ) -> Result<(), ActionError> {
        let usage = self.servers.get(&id).ok_or(ActionError::Gone)?;
        let (kind, leg_id) = (usage.kind, usage.leg);
        let grant = self.grant(id, reply.status);
        own.extend(grant.iter().flat_map(Grant::lines));
        let response = self.send_response(now, id, reply, own)?;
        if !reply.status.is_final() {
            self.note_tagged(leg_id, reply.status);
            return Ok(());
        }
        let Some(usage) = self.servers.get_mut(&id) else {
            return Ok(());
        };
        usage.answered = true;
        let Some(leg_id) = leg_id else {
            return Ok(());
        };
        self.settle_request(leg_id, id);
        let success = reply.status.is_success();
        match kind {
            Kind::Invite if success => self.confirm_incoming(leg_id),
            Kind::Invite => self.remove_leg(now, leg_id),
            Kind::Reinvite | Kind::Update | Kind::Other => {}
        }
        if kind == Kind::Other || !success {
            return Ok(());
        }
        if let Some(leg) = self.legs.get_mut(&leg_id) {
            if reply.body.is_some() {
                leg.local_sdp.clone_from(&reply.body);
            }
            leg.session.running = grant.map(|grant| grant.start(now));
        }
        if kind == Kind::Reinvite || reply.body.is_some() {
            self.overtake_own_offer(leg_id);
        }
        if kind == Kind::Update {
            self.retime(leg_id);
            return Ok(());
        }
        let cseq = response.require::<CSeq>().map_or(0, |cseq| cseq.number);
        self.await_ack(now, leg_id, id, cseq, response);
        self.end_replaced(now, leg_id);
        Ok(())
    }

    /// The session timer that a 2xx grants (RFC 4028 §9).
    fn grant(&self, id: ServerTransactionId, status: StatusCode) -> Option<Grant> {
        let usage = self.servers.get(&id).filter(|_| status.is_success())?;
        let leg = self.legs.get(&usage.leg?).filter(|_| usage.kind != Kind::Other)?;
        Grant::of(
            &self.extensions.session_timer,
            &leg.session,
            self.layer.request(id)?,
        )
    }

    fn note_tagged(&mut self, leg: Option<LegId>, status: StatusCode) {
        if let Some(State::Ringing { tagged, .. }) =
            leg.and_then(|leg| Some(&mut self.legs.get_mut(&leg)?.state))
        {
            *tagged |= status != StatusCode::TRYING;
        }
    }

    /// Writes a response and gives it to its transaction.
    pub(super) fn send_response(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        reply: &Reply,
        own: OwnLines,
    ) -> Result<Message, ActionError> {
        let usage = self.servers.get(&id).ok_or(ActionError::Gone)?;
        let request = self.layer.request(id).ok_or(ActionError::Gone)?;
        let leg = usage.leg.and_then(|leg| self.legs.get(&leg));
        let sticky = leg.map_or(&[][..], |leg| &leg.sticky);
        let response = self.identity.response(request, reply, &usage.tag, sticky, &own)?;
        self.layer
            .respond(now, id, response.clone())
            .map_err(|_| ActionError::State("the request cannot be answered so any more"))?;
        Ok(response)
    }

    fn confirm_incoming(&mut self, leg_id: LegId) {
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return;
        };
        if let State::Ringing { dialog, .. } = &mut leg.state {
            let mut dialog = (**dialog).clone();
            dialog.state = crate::dialog::DialogState::Confirmed;
            leg.state = State::Confirmed(Box::new(Confirmed::new(dialog, false)));
        }
    }

    /// The 2xx is repeated until the ACK comes, whatever the transport (§13.3.1.4).
    fn await_ack(
        &mut self,
        now: Instant,
        leg_id: LegId,
        id: ServerTransactionId,
        cseq: u32,
        response: Message,
    ) {
        let timing = self.config.timing;
        if let Some(Leg {
            state: State::Confirmed(confirmed),
            ..
        }) = self.legs.get_mut(&leg_id)
        {
            confirmed.unacked = Some(Unacked {
                transaction: id,
                cseq,
                response,
                interval: timing.t1,
                repeat_at: now + timing.t1,
                give_up_at: now + timing.give_up(),
            });
        }
        self.retime(leg_id);
    }
}
