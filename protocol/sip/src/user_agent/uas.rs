//! What others ask of us (RFC 3261 §8.2, §9.2, §12.2.2, §13.3, §14.2).

use super::api::{Ending, Event, IncomingId, LegId};
use super::compose;
use super::extensions::SessionTimerMode;
use super::leg::{ClosingPhase, Leg, PENDING_MAX, RING_MAX, State};
use super::session_timer;
use super::{Direction, UserAgent};
use crate::dialog::{Dialog, DialogId};
use crate::flow::Flow;
use crate::transaction::ServerTransactionId;
use bytes::Bytes;
use offhook_sip_message::header::{CSeq, CallId, From};
use offhook_sip_message::{HeaderName, Message, Method, StatusCode};
use std::time::Instant;

/// A request that we received, as long as its transaction lives.
#[derive(Debug)]
pub(super) struct ServerUse {
    pub(super) leg: Option<LegId>,
    source: Flow,
    pub(super) tag: String,
    pub(super) kind: Kind,
    pub(super) answered: bool,
    merge_key: Option<MergeKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The INVITE that starts a call.
    Invite,
    /// An INVITE within one.
    Reinvite,
    Update,
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
            (Method::Update, Some(_)) => Kind::Update,
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
            (Some(leg), Method::Prack) if !self.config.allow.contains(&Method::Prack) => {
                self.handle_prack(now, id, leg, request);
            }
            (Some(leg), Method::Refer) if self.extensions.transfers => {
                self.handle_refer(now, id, leg, request);
            }
            (Some(leg), Method::Notify) if self.takes_notify(leg, &request) => {
                self.handle_notify(now, id, leg, &request);
            }
            (Some(leg), Method::Update) if self.is_bare_refresh(&request) => {
                self.handle_bare_refresh(now, id, leg, &request);
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
        if self.identity.unsupported(request).next().is_some() {
            return Err(StatusCode::BAD_EXTENSION);
        }
        if compose::refreshes_target(method)
            && session_timer::is_too_brief(&self.extensions.session_timer, request)
        {
            return Err(StatusCode::SESSION_INTERVAL_TOO_SMALL);
        }
        if !self.identity.accepts_body(request) {
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        Ok(())
    }

    fn check_cseq(&mut self, leg: LegId, request: &Message) -> Result<(), StatusCode> {
        let dialog_id = DialogId::of_request(request);
        let cseq: CSeq = request.require().map_err(|_| StatusCode::BAD_REQUEST)?;
        let leg = self.legs.get_mut(&leg);
        let dialog = leg.zip(dialog_id).and_then(|(leg, id)| leg.dialog_mut(&id));
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
        let replaces = match self.replaced(&request) {
            Ok(replaces) => replaces,
            Err(status) => return self.reply(now, id, status),
        };
        let leg = LegId(self.new_id());
        if let Some(usage) = self.servers.get_mut(&id) {
            usage.leg = Some(leg);
        }
        self.dialogs.insert(dialog.id.clone(), leg);
        let state = State::Ringing {
            invite: id,
            dialog: Box::new(dialog),
            tagged: false,
            until: now + RING_MAX,
        };
        let mut entry = Leg::new(state, source, Vec::new());
        entry.pending.push(id);
        entry.peer.learn(&request);
        entry.provisionals = self.provisionals_for(&request);
        entry.replaces = replaces;
        self.legs.insert(leg, entry);
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
        let is_offer = *method == Method::Invite || !request.body().is_empty();
        let confirmed = match &leg.state {
            State::Confirmed(confirmed) => Some(confirmed),
            State::Closing(_) => return Err(StatusCode::CALL_DOES_NOT_EXIST),
            State::Calling(_) | State::Ringing { .. } => None,
        };
        if is_offer && confirmed.is_none() && !(*method == Method::Update && leg.is_agreed()) {
            // Before the answer an offer is open on principle: ours if we call, theirs if they do (RFC 3311 §5.2).
            return Err(match leg.state {
                State::Ringing { .. } if *method == Method::Update => StatusCode::SERVER_INTERNAL_ERROR,
                _ => StatusCode::REQUEST_PENDING,
            });
        }
        let answer_due = confirmed.is_some_and(|confirmed| confirmed.ack_due.is_some());
        if is_offer && (leg.has_offer_out() || answer_due) {
            return Err(StatusCode::REQUEST_PENDING);
        }
        if is_offer && leg.offer.is_some() {
            return Err(StatusCode::SERVER_INTERNAL_ERROR);
        }
        if *method == Method::Invite && !compose::has_contact(request) {
            return Err(StatusCode::BAD_REQUEST);
        }
        leg.peer.learn(request);
        if let Some(dialog) = DialogId::of_request(request).and_then(|id| leg.dialog_mut(&id)) {
            dialog.refresh_target(request);
        }
        if is_offer {
            leg.offer = Some(id);
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

    /// Where a request came from.
    pub(super) fn source_of(&self, id: ServerTransactionId) -> Option<Flow> {
        self.servers.get(&id).map(|usage| usage.source)
    }

    /// Whether the user agent itself handles a NOTIFY: one about a transfer; others are the owner's if it wants them.
    fn takes_notify(&self, leg: LegId, request: &Message) -> bool {
        let about_refer = request
            .first(HeaderName::Event)
            .is_some_and(|event| event.to_ascii_lowercase().starts_with(b"refer"));
        self.extensions.transfers
            && self.legs.contains_key(&leg)
            && (about_refer || !self.config.allow.contains(&Method::Notify))
    }

    /// An UPDATE without an offer only refreshes: the user agent answers it where the owner does not take UPDATEs, or
    /// where session timers are its own business. One that says who the other side is says more than that (RFC 5876 §4).
    fn is_bare_refresh(&self, request: &Message) -> bool {
        let own = self.extensions.session_timer.mode != SessionTimerMode::Off
            && !request.has(HeaderName::PAssertedIdentity);
        request.body().is_empty() && (own || !self.config.allow.contains(&Method::Update))
    }

    fn handle_bare_refresh(&mut self, now: Instant, id: ServerTransactionId, leg: LegId, request: &Message) {
        let status = match self.admit_offer(leg, id, &Method::Update, request) {
            Ok(()) => StatusCode::OK,
            Err(status) => status,
        };
        self.reply(now, id, status);
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
    pub(super) fn settle_request(&mut self, leg: LegId, id: ServerTransactionId) {
        let Some(leg) = self.legs.get_mut(&leg) else {
            return;
        };
        leg.pending.retain(|pending| *pending != id);
        leg.offer.take_if(|offer| *offer == id);
        leg.transfers.forget(id);
    }
}
