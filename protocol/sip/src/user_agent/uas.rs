//! What others ask of us (RFC 3261 §8.2, §9.2, §12.2.2, §13.3, §14.2).

use super::api::{ActionError, Ending, Event, IncomingId, LegId, Reply};
use super::compose;
use super::leg::{ClosingPhase, Confirmed, Leg, PENDING_MAX, RING_MAX, State, Unacked};
use super::{Direction, UserAgent};
use crate::dialog::{Dialog, DialogId};
use crate::flow::Flow;
use crate::transaction::ServerTransactionId;
use bytes::Bytes;
use offhook_sip_message::header::{CSeq, CallId, From};
use offhook_sip_message::{HeaderName, Message, Method, StatusCode};
use rand::RngExt;
use std::time::Instant;

/// A request that we received, as long as its transaction lives.
#[derive(Debug)]
pub(super) struct ServerUse {
    pub(super) leg: Option<LegId>,
    source: Flow,
    tag: String,
    kind: Kind,
    answered: bool,
    merge_key: Option<MergeKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The INVITE that starts a call.
    Invite,
    /// An INVITE within one.
    Reinvite,
    Other,
}

/// What two copies of one request have in common that came by different ways (§8.2.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct MergeKey {
    call_id: Bytes,
    from_tag: Bytes,
    cseq: CSeq,
}

impl MergeKey {
    fn of(request: &Message) -> Option<Self> {
        let call_id: CallId<'_> = request.require().ok()?;
        let from: From<'_> = request.require().ok()?;
        Some(Self {
            call_id: Bytes::copy_from_slice(call_id.0),
            from_tag: Bytes::copy_from_slice(from.tag().unwrap_or_default()),
            cseq: request.require().ok()?,
        })
    }
}

impl UserAgent {
    pub(super) fn handle_request(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        request: Message,
        source: Flow,
    ) {
        let Some(method) = request.method().cloned() else {
            return;
        };
        let dialog_id = DialogId::of_request(&request);
        let leg = dialog_id
            .as_ref()
            .and_then(|dialog| self.dialogs.get(dialog))
            .copied();
        let tag = self.layer.tag();
        let kind = match (&method, &dialog_id) {
            (Method::Invite, None) => Kind::Invite,
            (Method::Invite, Some(_)) => Kind::Reinvite,
            _ => Kind::Other,
        };
        let usage = ServerUse {
            leg,
            source,
            tag,
            kind,
            answered: false,
            merge_key: None,
        };
        self.servers.insert(id, usage);
        if let Some(leg) = leg {
            self.observe(leg, Direction::Received, source, &request);
        }
        if let Err(status) = self.admit(id, &method, dialog_id.is_some(), &request) {
            return self.reply(now, id, status);
        }
        match (leg, method) {
            (Some(leg), Method::Bye) => self.handle_bye(now, id, leg, request),
            (_, Method::Options) if !self.config.allow.contains(&Method::Options) => {
                self.reply(now, id, StatusCode::OK);
            }
            (Some(leg), method) => self.handle_mid_call(now, id, leg, &method, request),
            (None, Method::Invite) => self.handle_new_call(now, id, request),
            (None, _) => self.push_event(Event::IncomingRequest {
                leg: None,
                incoming: IncomingId(id),
                request,
                source,
            }),
        }
    }

    /// The checks of §8.2 and §12.2.2 in their order; the status says which one failed.
    fn admit(
        &mut self,
        id: ServerTransactionId,
        method: &Method,
        has_tag: bool,
        request: &Message,
    ) -> Result<(), StatusCode> {
        if !self.identity.allows(method) {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        let leg = self.servers.get(&id).and_then(|usage| usage.leg);
        match leg {
            Some(leg) => self.check_cseq(leg, request)?,
            None if has_tag || *method == Method::Bye => return Err(StatusCode::CALL_DOES_NOT_EXIST),
            None => self.check_merged(id, request)?,
        }
        if request.has(HeaderName::Require) {
            return Err(StatusCode::BAD_EXTENSION);
        }
        if !self.identity.accepts_body(request) {
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        Ok(())
    }

    fn check_cseq(&mut self, leg: LegId, request: &Message) -> Result<(), StatusCode> {
        let dialog_id = DialogId::of_request(request);
        let cseq: CSeq = request.require().map_err(|_| StatusCode::BAD_REQUEST)?;
        let dialog = match self.legs.get_mut(&leg).map(|leg| &mut leg.state) {
            Some(State::Calling(calling)) => calling
                .early
                .iter_mut()
                .find(|dialog| Some(&dialog.id) == dialog_id.as_ref()),
            Some(State::Ringing { dialog, .. }) => Some(&mut **dialog),
            Some(State::Confirmed(confirmed)) => Some(&mut confirmed.dialog),
            Some(State::Closing(closing)) => Some(&mut closing.dialog),
            None => None,
        };
        let dialog = dialog.ok_or(StatusCode::CALL_DOES_NOT_EXIST)?;
        dialog
            .handle_cseq(cseq.number)
            .map_err(|_| StatusCode::SERVER_INTERNAL_ERROR)
    }

    fn check_merged(&mut self, id: ServerTransactionId, request: &Message) -> Result<(), StatusCode> {
        let key = MergeKey::of(request).ok_or(StatusCode::BAD_REQUEST)?;
        if self.merges.contains_key(&key) {
            return Err(StatusCode::LOOP_DETECTED);
        }
        self.merges.insert(key.clone(), id);
        if let Some(usage) = self.servers.get_mut(&id) {
            usage.merge_key = Some(key);
        }
        Ok(())
    }

    fn handle_new_call(&mut self, now: Instant, id: ServerTransactionId, request: Message) {
        let Some(usage) = self.servers.get(&id) else {
            return;
        };
        let source = usage.source;
        if self.legs.len() >= self.config.legs_max {
            return self.reply(now, id, StatusCode::SERVICE_UNAVAILABLE);
        }
        let Ok(dialog) = Dialog::of_callee(&request, &usage.tag) else {
            return self.reply(now, id, StatusCode::BAD_REQUEST);
        };
        let leg = LegId(self.new_id());
        if let Some(usage) = self.servers.get_mut(&id) {
            usage.leg = Some(leg);
        }
        self.dialogs.insert(dialog.id.clone(), leg);
        self.legs.insert(
            leg,
            Leg {
                state: State::Ringing {
                    invite: id,
                    dialog: Box::new(dialog),
                    until: now + RING_MAX,
                },
                sticky: Vec::new(),
                flow: source,
                auth: None,
                pending: vec![id],
            },
        );
        self.retime(leg);
        self.observe(leg, Direction::Received, source, &request);
        self.push_event(Event::IncomingInvite {
            leg,
            incoming: IncomingId(id),
            request,
            source,
        });
    }

    /// A request within a call that the owner has to answer.
    fn handle_mid_call(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        leg_id: LegId,
        method: &Method,
        request: Message,
    ) {
        let offers = compose::refreshes_target(method);
        if offers && let Err(status) = self.admit_offer(leg_id, id, method, &request) {
            return self.reply(now, id, status);
        }
        let Some(usage) = self.servers.get(&id) else {
            return;
        };
        let source = usage.source;
        match self.legs.get_mut(&leg_id) {
            Some(Leg {
                state: State::Closing(_),
                ..
            })
            | None => return self.reply(now, id, StatusCode::CALL_DOES_NOT_EXIST),
            Some(leg) if leg.pending.len() >= PENDING_MAX => {
                return self.reply(now, id, StatusCode::SERVER_INTERNAL_ERROR);
            }
            Some(leg) => leg.pending.push(id),
        }
        self.push_event(Event::IncomingRequest {
            leg: Some(leg_id),
            incoming: IncomingId(id),
            request,
            source,
        });
    }

    /// One offer at a time (§14.2, RFC 3311 §5.2); an admitted one refreshes the target.
    fn admit_offer(
        &mut self,
        leg_id: LegId,
        id: ServerTransactionId,
        method: &Method,
        request: &Message,
    ) -> Result<(), StatusCode> {
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return Err(StatusCode::CALL_DOES_NOT_EXIST);
        };
        let confirmed = match &mut leg.state {
            State::Confirmed(confirmed) => confirmed,
            // Before the answer there is an offer open on principle; only an UPDATE without one can be taken.
            _ if *method == Method::Update && request.body().is_empty() => return Ok(()),
            _ => return Err(StatusCode::REQUEST_PENDING),
        };
        let is_offer = *method == Method::Invite || !request.body().is_empty();
        // One that waits after a 491 is no obstacle: the waits differ so that the other side's can come first.
        if is_offer && (confirmed.has_reinvite_out() || confirmed.ack_due.is_some()) {
            return Err(StatusCode::REQUEST_PENDING);
        }
        if is_offer && confirmed.offer.is_some() {
            return Err(StatusCode::SERVER_INTERNAL_ERROR);
        }
        if *method == Method::Invite && !compose::has_contact(request) {
            return Err(StatusCode::BAD_REQUEST);
        }
        confirmed.dialog.refresh_target(request);
        if is_offer {
            confirmed.offer = Some(id);
        }
        Ok(())
    }

    fn handle_bye(&mut self, now: Instant, id: ServerTransactionId, leg_id: LegId, request: Message) {
        match self.legs.get(&leg_id).map(|leg| &leg.state) {
            // A callee does not end its early dialog with BYE (§15).
            Some(State::Calling(_)) | None => return self.reply(now, id, StatusCode::CALL_DOES_NOT_EXIST),
            // The BYEs crossed; the owner knows already.
            Some(State::Closing(closing)) => {
                let done = matches!(closing.phase, ClosingPhase::AwaitingAck(_));
                self.reply(now, id, StatusCode::OK);
                if done {
                    self.remove_leg(now, leg_id);
                }
                return;
            }
            Some(State::Ringing { .. } | State::Confirmed(_)) => {}
        }
        self.reply(now, id, StatusCode::OK);
        self.refuse_pending(now, leg_id);
        self.remove_leg(now, leg_id);
        self.push_event(Event::Terminated {
            leg: leg_id,
            ending: Ending::Remote(request),
        });
    }

    /// 487 to whatever the other side still waits for (§15.1.2).
    pub(super) fn refuse_pending(&mut self, now: Instant, leg: LegId) {
        let pending = self
            .legs
            .get_mut(&leg)
            .map(|leg| std::mem::take(&mut leg.pending))
            .unwrap_or_default();
        for id in pending {
            self.reply(now, id, StatusCode::REQUEST_TERMINATED);
        }
    }

    pub(super) fn handle_cancel(&mut self, now: Instant, invite: ServerTransactionId, request: Message) {
        let Some(usage) = self.servers.get(&invite) else {
            return;
        };
        let (leg, kind, source) = (usage.leg, usage.kind, usage.source);
        if let Some(leg) = leg {
            self.observe(leg, Direction::Received, source, &request);
        }
        self.reply(now, invite, StatusCode::REQUEST_TERMINATED);
        if let (Some(leg), Kind::Invite) = (leg, kind) {
            self.remove_leg(now, leg);
            self.push_event(Event::Cancelled { leg, request });
        }
    }

    pub(super) fn handle_ack(
        &mut self,
        now: Instant,
        request: Message,
        completed: Option<ServerTransactionId>,
        source: Flow,
    ) {
        if let Some(leg) = completed.and_then(|id| self.servers.get(&id)?.leg) {
            self.observe(leg, Direction::Received, source, &request);
        }
        if completed.is_some() {
            return;
        }
        let Some(leg_id) = DialogId::of_request(&request).and_then(|id| self.dialogs.get(&id).copied())
        else {
            return;
        };
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return;
        };
        let cseq = request.require::<CSeq>().map(|cseq| cseq.number).ok();
        if leg.unacked().map(|unacked| unacked.cseq) != cseq {
            return;
        }
        match &mut leg.state {
            State::Confirmed(confirmed) => {
                confirmed.unacked = None;
                self.observe(leg_id, Direction::Received, source, &request);
                self.push_event(Event::AckReceived { leg: leg_id, request });
            }
            State::Closing(_) => {
                self.observe(leg_id, Direction::Received, source, &request);
                self.send_bye(now, leg_id);
            }
            State::Calling(_) | State::Ringing { .. } => {}
        }
        self.retime(leg_id);
    }

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
        if let Err(error) = self.answer(now, id, &reply) {
            tracing::debug!(%status, %error, "could not answer a request");
        }
    }

    fn answer(&mut self, now: Instant, id: ServerTransactionId, reply: &Reply) -> Result<(), ActionError> {
        let usage = self.servers.get(&id).ok_or(ActionError::Gone)?;
        let request = self.layer.request(id).ok_or(ActionError::Gone)?;
        let leg = usage.leg.and_then(|leg| self.legs.get(&leg));
        let sticky = leg.map_or(&[][..], |leg| &leg.sticky);
        let response = self.identity.response(request, reply, &usage.tag, sticky)?;
        let cseq = request.require::<CSeq>().map_or(0, |cseq| cseq.number);
        self.layer
            .respond(now, id, response.clone())
            .map_err(|_| ActionError::State("the request cannot be answered so any more"))?;
        if !reply.status.is_final() {
            return Ok(());
        }
        let Some(usage) = self.servers.get_mut(&id) else {
            return Ok(());
        };
        usage.answered = true;
        let (kind, Some(leg_id)) = (usage.kind, usage.leg) else {
            return Ok(());
        };
        let success = reply.status.is_success();
        self.settle_request(leg_id, id);
        match kind {
            Kind::Invite if success => self.confirm_incoming(leg_id),
            Kind::Invite => self.remove_leg(now, leg_id),
            Kind::Reinvite | Kind::Other => {}
        }
        if kind != Kind::Other && success {
            self.await_ack(now, leg_id, id, cseq, response);
        }
        Ok(())
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

    pub(super) fn forget_server(&mut self, id: ServerTransactionId) {
        let Some(usage) = self.servers.remove(&id) else {
            return;
        };
        if let Some(key) = usage.merge_key {
            self.merges.remove(&key);
        }
        if let Some(leg) = usage.leg {
            self.settle_request(leg, id);
        }
    }

    /// The request is answered or over: nobody waits for the owner any more.
    fn settle_request(&mut self, leg: LegId, id: ServerTransactionId) {
        let Some(leg) = self.legs.get_mut(&leg) else {
            return;
        };
        leg.pending.retain(|pending| *pending != id);
        if let State::Confirmed(confirmed) = &mut leg.state {
            confirmed.offer.take_if(|offer| *offer == id);
        }
    }
}
