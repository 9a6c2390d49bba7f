//! Tries targets and judges their answers (RFC 3261 §16.6, §16.7, §16.8).

use super::forward::{Forward, loop_mark, response_upstream};
use super::own_route::{OwnRoute, hash};
use super::response_context::{Branch, Outcome, Progress, ResponseContext, Scope, State, Target, substitute};
use super::{CarrierFailure, DIALOGS_MAX, Output, Proxy, SHIFTED_DIALOGS_MAX};
use offhook_call_trace::CallId;
use offhook_sip::digest::Authenticator;
use offhook_sip::transaction::{ClientTransactionId, SendOptions, ServerTransactionId};
use offhook_sip::{Flow, Header};
use offhook_sip_message::header::{From, To};
use offhook_sip_message::{HeaderName, Message, Method, StatusCode, Token, respond};
use std::net::SocketAddr;
use std::time::Instant;

impl Proxy {
    pub(super) fn open_context(&mut self, id: ServerTransactionId, context: ResponseContext) {
        self.unanswered += 1;
        self.contexts.insert(id, context);
    }

    /// Starts with the next target; with none left, the caller gets the best of what came.
    pub(super) fn try_next(&mut self, now: Instant, id: ServerTransactionId) {
        loop {
            let Some(context) = self.contexts.get_mut(&id) else {
                return;
            };
            let Some(target) = context.targets.pop() else {
                let best = context
                    .best
                    .take()
                    .unwrap_or(Outcome::Own(StatusCode::SERVER_INTERNAL_ERROR));
                return self.finish(now, id, best);
            };
            let carrier = target.carrier;
            let forward = self.forward_to(id, &target);
            let Err(failure) = self.start_branch(now, id, target, forward, None) else {
                return;
            };
            let Some(context) = self.contexts.get_mut(&id) else {
                return;
            };
            context.best = Some(Outcome::better(context.best.take(), failure.outcome()));
            let report = carrier.map(|carrier| carrier_failed(context, carrier, failure));
            self.outputs.extend(report);
        }
    }

    /// The changes for one target: its request URI, our Record-Route, and credentials if its last challenge still counts.
    fn forward_to(&mut self, id: ServerTransactionId, target: &Target) -> Forward {
        let Some(context) = self.contexts.get(&id) else {
            return Forward::default();
        };
        let mut forward = context.forward.clone();
        if let Some(uri) = &target.request_uri {
            forward.request_uri = Some(uri.clone());
        }
        if context.scope == Scope::Initial {
            forward.record_route = record_route(&context.request, &forward, self.settings.address);
        }
        if let Some(authenticator) = target
            .carrier
            .and_then(|carrier| self.authenticators.get_mut(&carrier))
        {
            forward.credentials = credentials(authenticator, &context.request, &forward);
        }
        forward
    }

    fn start_branch(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        target: Target,
        forward: Forward,
        authenticator: Option<Authenticator>,
    ) -> Result<(), CarrierFailure> {
        let address = target.address.ok_or(CarrierFailure::Unresolved)?;
        let context = self.contexts.get_mut(&id).ok_or(CarrierFailure::Unreachable)?;
        let branch = self.layer.branch() + &loop_mark(&context.request);
        let request = forward.apply(&context.request, self.settings.address, &branch);
        let request = request.map_err(|_| CarrierFailure::Unreachable)?;
        let invite = context.is_invite();
        let impatient = invite && context.scope == Scope::Initial;
        let options = SendOptions {
            give_up_after: impatient.then_some(self.settings.carrier_timeout),
        };
        let sent = self.layer.send_request(now, Flow::udp(address), request, options);
        let client = sent.map_err(|_| CarrierFailure::Unreachable)?;
        let progress = Progress::Pending;
        context.branches.push(Branch {
            id: client,
            target,
            forward,
            authenticator,
            progress,
        });
        context.live_branches += 1;
        self.branches.insert(client, id);
        if invite {
            self.set_ring_timer(id, Some(now + self.settings.ring_timeout));
        }
        Ok(())
    }

    pub(super) fn handle_response(
        &mut self,
        now: Instant,
        client: ClientTransactionId,
        response: Message,
        source: SocketAddr,
    ) {
        // Answers to a BYE of our own have no context.
        let Some(id) = self.branches.get(&client).copied() else {
            return;
        };
        let Some(status) = response.status() else {
            return;
        };
        if status.is_success() && self.is_repeated(id, client) {
            tracing::trace!(?response, "a 2xx came again");
        } else {
            self.trace_received(client.into(), response.bytes());
        }
        if status.is_provisional() {
            self.handle_provisional(now, id, status, &response);
        } else if status.is_success() {
            self.handle_success(now, id, client, &response, source);
        } else {
            self.handle_rejection(now, id, client, response);
        }
    }

    /// Whether this branch's 2xx went on before; then the trace leaves this one out, here and towards the caller.
    fn is_repeated(&mut self, id: ServerTransactionId, client: ClientTransactionId) -> bool {
        let Some(context) = self.contexts.get_mut(&id) else {
            return false;
        };
        let answered = context.state == State::Answered;
        let over = context
            .branch(client)
            .is_some_and(|branch| branch.progress == Progress::Over);
        context.repeats = answered && over;
        context.repeats
    }

    /// 100 is for us alone; others go on at once and wind timer C up again (§16.7 step 2, step 4).
    fn handle_provisional(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        status: StatusCode,
        response: &Message,
    ) {
        let Some(context) = self.contexts.get(&id) else {
            return;
        };
        if status == StatusCode::TRYING || context.state != State::Proceeding {
            return;
        }
        let invite = context.is_invite();
        if let Some(response) = response_upstream(&context.request, response) {
            // It fails only when the caller's transaction is over; then nobody wants to know.
            let _ = self.layer.respond(now, id, response);
        }
        if invite {
            self.set_ring_timer(id, Some(now + self.settings.ring_timeout));
        }
    }

    fn handle_success(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        client: ClientTransactionId,
        response: &Message,
        source: SocketAddr,
    ) {
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        let invite = context.is_invite();
        let forwarded =
            response_upstream(&context.request, response).filter(|_| context.state != State::Refused);
        let forwarded = forwarded.is_some_and(|response| self.layer.respond(now, id, response).is_ok());
        if !forwarded {
            if invite {
                self.hang_up(now, id, client, response, source);
            }
            return;
        }
        if let Some(branch) = context.branch(client) {
            branch.progress = Progress::Over;
        }
        if !context.is_unanswered() {
            return; // Repeated, or of another branch.
        }
        context.state = State::Answered;
        context.targets.clear();
        let others = context.pending();
        let (scope, call) = (context.scope, dialog_key(&context.request));
        if invite && scope == Scope::Initial {
            self.counts.answered_total += 1;
            if self.dialogs.len() < DIALOGS_MAX {
                self.dialogs.insert(call);
            }
        }
        for other in others {
            let _ = self.layer.cancel(now, other, &[]);
        }
        self.close(id);
    }

    fn handle_rejection(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        client: ClientTransactionId,
        response: Message,
    ) {
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        if let Some(branch) = context.branch(client) {
            branch.progress = Progress::Over;
        }
        let challenged = matches!(
            response.status(),
            Some(StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED)
        );
        let status = response.status().unwrap_or(StatusCode::SERVER_INTERNAL_ERROR);
        if !challenged {
            let failure = CarrierFailure::Status(status);
            return self.judge(now, id, client, Outcome::Response(response), failure);
        }
        let answered = match context.state {
            State::Proceeding => self.answer_challenge(now, id, client, &response),
            _ => Err(CarrierFailure::NoCredentials),
        };
        if let Err(failure) = answered {
            self.judge(now, id, client, failure.outcome(), failure);
        }
    }

    /// Nothing came from a branch, or it could not be sent (§16.8, §16.9).
    pub(super) fn handle_silence(
        &mut self,
        now: Instant,
        client: ClientTransactionId,
        failure: CarrierFailure,
    ) {
        let Some(id) = self.branches.get(&client).copied() else {
            return;
        };
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        if let Some(branch) = context.branch(client) {
            branch.progress = Progress::Over;
        }
        if !context.is_invite() && failure == CarrierFailure::Silent {
            // The sender has given up by now too; a 408 would come too late and mislead (RFC 4320 §4.2).
            if context.is_unanswered() {
                context.state = State::Refused;
                self.close(id);
            }
            return;
        }
        self.judge(now, id, client, failure.outcome(), failure);
    }

    /// Decides what the failure of a branch means for the whole.
    fn judge(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        client: ClientTransactionId,
        outcome: Outcome,
        failure: CarrierFailure,
    ) {
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        if !context.is_unanswered() || !context.pending().is_empty() {
            return;
        }
        let outcome = match context.state {
            // The carrier's own trouble is not what the caller who gave up has to hear.
            State::Cancelled if outcome.is_failover() || failure.is_credentials() => {
                Outcome::Own(StatusCode::REQUEST_TERMINATED)
            }
            State::RangOut => Outcome::Own(StatusCode::REQUEST_TIMEOUT),
            State::Proceeding if context.scope == Scope::Initial && outcome.is_failover() => {
                context.best = Some(Outcome::better(context.best.take(), outcome));
                let carrier = context.branch(client).and_then(|branch| branch.target.carrier);
                let report = carrier.map(|carrier| carrier_failed(context, carrier, failure));
                self.outputs.extend(report);
                return self.try_next(now, id);
            }
            _ => outcome,
        };
        self.finish(now, id, outcome);
    }

    /// The caller gets its final answer.
    fn finish(&mut self, now: Instant, id: ServerTransactionId, outcome: Outcome) {
        let tag = self.layer.tag();
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        let substitute = substitute(outcome.status());
        let received = match &outcome {
            Outcome::Response(response) if substitute.is_none() => {
                response_upstream(&context.request, response)
            }
            _ => None,
        };
        let response = received.or_else(|| {
            let status = substitute
                .as_ref()
                .map_or(outcome.status(), |substitute| substitute.status);
            let mut builder = respond(&context.request, status, Token::new(tag.as_bytes()).ok());
            if let Some(reason) = substitute.and_then(|substitute| substitute.reason) {
                builder = builder.header(HeaderName::Reason, &reason);
            }
            builder.build().ok()
        });
        context.state = State::Refused;
        context.targets.clear();
        if let Some(response) = response {
            // It fails only when the caller's transaction is over; then nobody waits.
            let _ = self.layer.respond(now, id, response);
        }
        self.close(id);
    }

    /// The request has its final answer: no timer, and a BYE ends its call.
    fn close(&mut self, id: ServerTransactionId) {
        self.unanswered -= 1;
        self.set_ring_timer(id, None);
        let Some(context) = self.contexts.get(&id) else {
            return;
        };
        if context.request.method() != Some(&Method::Bye) {
            return;
        }
        self.dialogs.remove(&dialog_key(&context.request));
        let tags = [
            context
                .request
                .require::<From<'_>>()
                .ok()
                .and_then(|from| from.tag()),
            context.request.require::<To<'_>>().ok().and_then(|to| to.tag()),
        ];
        for tag in tags.into_iter().flatten() {
            self.shifts.remove(&shift_key(&context.request, tag));
        }
    }

    fn set_ring_timer(&mut self, id: ServerTransactionId, at: Option<Instant>) {
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        if let Some(old) = std::mem::replace(&mut context.ring_deadline, at) {
            self.ring_timers.remove(&(old, id));
        }
        self.ring_timers.extend(at.map(|at| (at, id)));
    }

    /// Timer C fired (§16.8).
    pub(super) fn ring_out(&mut self, now: Instant, id: ServerTransactionId) {
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        context.ring_deadline = None;
        if context.state == State::Proceeding {
            context.state = State::RangOut;
            self.end_branches(now, id, &[], StatusCode::REQUEST_TIMEOUT);
        }
    }

    pub(super) fn cancel_call(&mut self, now: Instant, id: ServerTransactionId, cancel: &Message) {
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        if context.state != State::Proceeding {
            return;
        }
        context.state = State::Cancelled;
        let reason = cancel
            .first(HeaderName::Reason)
            .and_then(|text| std::str::from_utf8(text).ok());
        let reason: Vec<Header> = reason
            .and_then(|text| Header::new("Reason", text).ok())
            .into_iter()
            .collect();
        self.end_branches(now, id, &reason, StatusCode::REQUEST_TERMINATED);
    }

    /// No further targets, and CANCEL to what still runs.
    fn end_branches(&mut self, now: Instant, id: ServerTransactionId, reason: &[Header], status: StatusCode) {
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        context.targets.clear();
        let pending = context.pending();
        if pending.is_empty() {
            return self.finish(now, id, Outcome::Own(status));
        }
        for branch in pending {
            // It fails only when the branch is just being answered; then its answer decides.
            let _ = self.layer.cancel(now, branch, reason);
        }
    }

    /// Sends the request again with credentials, as a new branch with the next CSeq (§22.2).
    fn answer_challenge(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        client: ClientTransactionId,
        response: &Message,
    ) -> Result<(), CarrierFailure> {
        let cnonce = self.layer.tag();
        let context = self.contexts.get_mut(&id).ok_or(CarrierFailure::NoCredentials)?;
        let branch = context.branch(client).ok_or(CarrierFailure::NoCredentials)?;
        let carrier = branch.target.carrier.ok_or(CarrierFailure::NoCredentials)?;
        let known = self
            .settings
            .carriers
            .get(carrier.0)
            .and_then(|carrier| carrier.credentials.clone());
        let known = known.ok_or(CarrierFailure::NoCredentials)?;
        let mut authenticator = branch
            .authenticator
            .take()
            .unwrap_or_else(|| Authenticator::new(known));
        authenticator
            .handle_challenge(response, &cnonce)
            .map_err(CarrierFailure::Credentials)?;
        let (target, mut forward) = (branch.target.clone(), branch.forward.clone());
        forward.shift += 1;
        forward.credentials = credentials(&mut authenticator, &context.request, &forward);
        match context.scope {
            Scope::Initial => {
                forward.record_route = record_route(&context.request, &forward, self.settings.address)
            }
            Scope::InDialog => {
                let tag = context
                    .request
                    .require::<From<'_>>()
                    .ok()
                    .and_then(|from| from.tag());
                let key = shift_key(&context.request, tag.unwrap_or_default());
                if self.shifts.len() < SHIFTED_DIALOGS_MAX || self.shifts.contains_key(&key) {
                    *self.shifts.entry(key).or_default() += 1;
                }
            }
        }
        self.authenticators.insert(carrier, authenticator.clone());
        self.counts.challenges_total += 1;
        self.start_branch(now, id, target, forward, Some(authenticator))
    }
}

fn carrier_failed(
    context: &ResponseContext,
    carrier: crate::dial_plan::CarrierId,
    failure: CarrierFailure,
) -> Output {
    let call: Option<CallId> = context.call.clone();
    let next = context.targets.last().and_then(|target| target.carrier);
    Output::CarrierFailed {
        carrier,
        failure,
        next,
        call,
    }
}

fn record_route(
    request: &Message,
    forward: &Forward,
    address: SocketAddr,
) -> Option<offhook_sip_message::HeaderValue> {
    let from = request.require::<From<'_>>().ok()?;
    let route = OwnRoute::new(
        forward.call.clone(),
        forward.shift,
        from.tag().unwrap_or_default(),
    );
    route.to_value(address).ok()
}

fn credentials(
    authenticator: &mut Authenticator,
    request: &Message,
    forward: &Forward,
) -> Vec<(HeaderName<'static>, offhook_sip_message::HeaderValue)> {
    let Some(method) = request.method() else {
        return Vec::new();
    };
    match (&forward.request_uri, request.request_uri()) {
        (Some(uri), _) => authenticator.headers(method, uri.as_bytes()),
        (None, Some(Ok(uri))) => authenticator.headers(method, uri.as_bytes()),
        (None, _) => Vec::new(),
    }
}

fn dialog_key(request: &Message) -> u64 {
    hash(&[request.first(HeaderName::CallId).unwrap_or_default()])
}

/// Tells the CSeq count of one side of one dialog.
pub(super) fn shift_key(request: &Message, tag: &[u8]) -> u64 {
    hash(&[request.first(HeaderName::CallId).unwrap_or_default(), tag])
}
