//! Tries targets and judges their answers (RFC 3261 §16.6, §16.7, §16.8).

use super::challenge::credentials;
use super::forward::{Forward, loop_mark};
use super::identity::{Audience, privacy};
use super::limits::Held;
use super::own_route::{OwnRoute, Party};
use super::response_context::{Branch, Outcome, Progress, ResponseContext, Scope, Side, State, Step, Target};
use super::seal::Sealer;
use super::{CarrierFailure, Output, Proxy};
use offhook_call_trace::CallId;
use offhook_sip::digest::Authenticator;
use offhook_sip::transaction::{ClientTransactionId, Outgoing, SendOptions, ServerTransactionId};
use offhook_sip::{Flow, Header};
use offhook_sip_message::{HeaderName, HeaderValue, Message, Method, StatusCode};
use std::net::SocketAddr;
use std::time::Instant;

impl Proxy {
    pub(super) fn open_context(&mut self, id: ServerTransactionId, context: ResponseContext) {
        self.unanswered += 1;
        self.contexts.insert(id, Box::new(context));
    }

    /// Starts with the next target; with none left, the caller gets the best of what came.
    pub(super) fn try_next(&mut self, now: Instant, id: ServerTransactionId) {
        loop {
            let Some(context) = self.contexts.get_mut(&id) else {
                return;
            };
            let Some(target) = context.targets.pop() else {
                if !context.pending().is_empty() {
                    return;
                }
                let best = context
                    .best
                    .take()
                    .unwrap_or(Outcome::Own(StatusCode::SERVER_INTERNAL_ERROR));
                return self.finish(now, id, best);
            };
            if !self.enters(id, &target) {
                let busy = Outcome::Own(StatusCode::BUSY_HERE);
                if self.passes_over(id, target.group, &busy) {
                    continue;
                }
                return self.finish(now, id, busy);
            }
            let tried = target.clone();
            let forward = self.forward_to(id, &target);
            let started = self.start_branch(now, id, target, forward, None);
            let Some(context) = self.contexts.get_mut(&id) else {
                return;
            };
            let Err(failure) = started else {
                let next = context.targets.last().map(|next| next.side);
                if next == Some(Side::Phone) {
                    context.forked = true;
                    continue;
                }
                return;
            };
            context.best = Some(Outcome::better(context.best.take(), failure.outcome()));
            self.give_up_target(now, id, &tried, failure);
        }
    }

    /// A target did not take the call: its carrier's other servers follow only if they may do better.
    fn give_up_target(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        target: &Target,
        failure: CarrierFailure,
    ) {
        let next_server = target.carrier.is_none() || self.learn_of_server(now, target.address, failure);
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        while !next_server
            && context
                .targets
                .last()
                .is_some_and(|next| next.is_same_carrier(target))
        {
            context.targets.pop();
        }
        let report = target
            .carrier
            .map(|carrier| carrier_failed(context, carrier, failure));
        self.outputs.extend(report);
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
        // A user agent takes a request that it has seen for a merged one (§8.2.2.2) and refuses it: what goes to the same
        // address again, for somebody else, gets the next CSeq, and our Record-Route remembers that.
        let again = context
            .branches
            .iter()
            .filter(|branch| branch.target.address == target.address);
        forward.shift = again.fold(forward.shift, |shift, branch| shift.max(branch.forward.shift + 1));
        if context.scope == Scope::Initial {
            forward.called = Some(target.party());
            self.disclose(context, target, &mut forward);
            forward.record_route = record_route(&context.request, &forward, &self.sent_by, &self.sealer);
        }
        if let Some(authenticator) = target
            .carrier
            .and_then(|carrier| self.authenticators.get_mut(&carrier))
        {
            forward.credentials = credentials(authenticator, &context.request, &forward);
        }
        forward
    }

    /// What this target may know of a call that begins.
    fn disclose(&self, context: &ResponseContext, target: &Target, forward: &mut Forward) {
        let carrier = target
            .carrier
            .and_then(|carrier| self.settings.carriers.get(carrier.0));
        let trusted = carrier.is_some_and(|carrier| carrier.trusted);
        let disclosure = &mut forward.disclosure;
        // Of the carrier that is called, for its responses; of the one that calls, for the request.
        if let Some(carrier) = carrier {
            disclosure.latching = carrier.latching;
        }
        if let Some(phone) = target.phone {
            disclosure.latching = phone.latching();
        }
        disclosure.audience = match target.side {
            Side::User => Audience::Vsp,
            Side::Outside if trusted => Audience::Trusted,
            Side::Outside | Side::Phone => Audience::Untrusted,
        };
        if target.side != Side::User {
            disclosure.called = None;
        }
        let is_hidden = disclosure.caller.as_ref().is_some_and(|caller| caller.is_hidden);
        disclosure.anonymous = disclosure.audience == Audience::Untrusted
            && (is_hidden || privacy(&context.request).is_anonymous);
    }

    pub(super) fn start_branch(
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
        let bytes = forward.apply(&context.request, &self.sent_by, &branch);
        let bytes = bytes.map_err(|_| CarrierFailure::Unreachable)?;
        let invite = context.is_invite();
        let begins_call = invite && context.scope == Scope::Initial;
        let held = match target.carrier.filter(|_| begins_call) {
            Some(carrier) => Some(self.limits.hold(carrier).ok_or(CarrierFailure::Full)?),
            None => None,
        };
        let options = SendOptions {
            give_up_after: begins_call.then_some(self.settings.carrier_timeout),
        };
        let method = context.request.method().ok_or(CarrierFailure::Unreachable)?;
        let own = self.settings.address;
        let request = Outgoing {
            method,
            branch: branch.as_bytes(),
            sent_by: (own.ip().into(), own.port()),
            bytes,
        };
        let sent = self
            .layer
            .send_outgoing(now, Flow::udp(address), request, options);
        let Ok(client) = sent else {
            self.limits.release(held);
            return Err(CarrierFailure::Unreachable);
        };
        let patience = context.hunt.as_ref().and_then(|hunt| hunt.ring_timeout);
        context.branches.push(Branch {
            id: client,
            target,
            forward,
            authenticator,
            progress: Progress::Pending,
            rang: false,
            held,
        });
        context.live_branches += 1;
        self.branches.insert(client, id);
        if invite {
            let patience = patience.unwrap_or(self.settings.ring_timeout);
            self.set_ring_timer(id, Some(now + patience));
        }
        Ok(())
    }

    /// A branch has its final response, or will never have one: its place at the carrier is free. Gives whether that is
    /// news.
    pub(super) fn end_branch(&mut self, id: ServerTransactionId, client: ClientTransactionId) -> bool {
        let branch = self
            .contexts
            .get_mut(&id)
            .and_then(|context| context.branch(client));
        let Some(branch) = branch else {
            return false;
        };
        self.limits.release(branch.held.take());
        std::mem::replace(&mut branch.progress, Progress::Over) == Progress::Pending
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
            self.handle_provisional(now, id, client, status, &response);
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
        client: ClientTransactionId,
        status: StatusCode,
        response: &Message,
    ) {
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        let passes = context.state == State::Proceeding && !context.giving_up;
        let branch = context
            .branch(client)
            .filter(|branch| branch.progress == Progress::Pending);
        let Some(branch) = branch.filter(|_| passes && status != StatusCode::TRYING) else {
            return;
        };
        branch.rang |= (180..190).contains(&status.code());
        let rewinds = context.is_invite()
            && context
                .hunt
                .as_ref()
                .is_none_or(|hunt| hunt.ring_timeout.is_none());
        if let Some(response) = context.backward(client, response) {
            // It fails only when the caller's transaction is over; then nobody wants to know.
            let _ = self.layer.respond_with(now, id, status, response);
        }
        if rewinds {
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
        let (invite, scope) = (context.is_invite(), context.scope);
        let forwarded = context
            .backward(client, response)
            .filter(|_| context.state != State::Refused);
        let status = response.status().unwrap_or(StatusCode::OK);
        let forwarded =
            forwarded.is_some_and(|response| self.layer.respond_with(now, id, status, response).is_ok());
        if !forwarded {
            if invite {
                self.hang_up(now, id, client, response, source);
            }
            return;
        }
        let mut held = Held::new();
        if let Some(branch) = context.branch(client) {
            branch.progress = Progress::Over;
            held.extend(branch.held.take());
        }
        if !context.is_unanswered() {
            // Repeated, or of another branch, which the caller's side ends.
            return self.limits.release(held);
        }
        context.state = State::Answered;
        context.targets.clear();
        let others = context.pending();
        let refreshes = matches!(context.request.method(), Some(Method::Invite | Method::Update));
        if invite && scope == Scope::Initial {
            self.counts.answered_total += 1;
            held.extend(context.held.take());
            held.extend(self.called_by(id, client));
            held = self.dialogs.start(now, response, held);
        } else if refreshes {
            self.dialogs.refresh(now, response);
        }
        self.limits.release(held);
        for other in others {
            // So that their users see who was faster, and no missed call (RFC 3326 §2).
            let elsewhere = Header::new("Reason", "SIP;cause=200;text=\"Call completed elsewhere\"").ok();
            let _ = self.layer.cancel(now, other, elsewhere.as_slice());
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
        if !self.end_branch(id, client) {
            return;
        }
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        let challenged = matches!(
            response.status(),
            Some(StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED)
        );
        let status = response.status().unwrap_or(StatusCode::SERVER_INTERNAL_ERROR);
        if !challenged {
            if status.code() < 400 && self.follow_redirect(now, id, client, &response) {
                return;
            }
            let failure = CarrierFailure::Status(status);
            return self.judge(now, id, client, Outcome::Response(client, response), failure);
        }
        let answered = match context.state {
            State::Proceeding if !context.giving_up => self.answer_challenge(now, id, client, &response),
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
        if !self.end_branch(id, client) {
            return;
        }
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
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
    pub(super) fn judge(
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
        if !context.is_unanswered() {
            return;
        }
        if !context.pending().is_empty() {
            return self.set_aside(now, id, client, outcome);
        }
        let outcome = match context.state {
            // The carrier's own trouble is not what the caller who gave up has to hear.
            State::Cancelled if outcome.is_failover() || failure.is_credentials() => {
                Outcome::Own(StatusCode::REQUEST_TERMINATED)
            }
            State::RangOut => Outcome::Own(StatusCode::REQUEST_TIMEOUT),
            State::Proceeding if context.scope == Scope::Initial => {
                // Whoever was cancelled for ringing too long did not answer, whatever is said now.
                let outcome = match context.giving_up {
                    true => Outcome::Own(StatusCode::REQUEST_TIMEOUT),
                    false => outcome,
                };
                let outcome = match context.best.take() {
                    Some(best) if context.forked => Outcome::better(Some(best), outcome),
                    best => {
                        context.best = best;
                        outcome
                    }
                };
                let step = context.next_step(client, &outcome);
                if step == Step::Stop {
                    return self.finish(now, id, outcome);
                }
                return self.go_on(now, id, client, outcome, failure);
            }
            _ => outcome,
        };
        self.finish(now, id, outcome);
    }

    /// One branch has had its say while others ring: it counts when they are over (§16.7 step 5, step 6).
    fn set_aside(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        client: ClientTransactionId,
        outcome: Outcome,
    ) {
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        let asks_next = context.asks_next(client, &outcome);
        let is_global = outcome.status().code() >= 600 && context.state == State::Proceeding;
        context.best = Some(Outcome::better(context.best.take(), outcome));
        if asks_next {
            self.try_next(now, id);
        } else if is_global {
            context.targets.clear();
            for other in context.pending() {
                // It fails only when the branch is just being answered; then its answer decides.
                let _ = self.layer.cancel(now, other, &[]);
            }
        }
    }

    /// The next target, or, with none left, the best of what came.
    fn go_on(
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
        context.giving_up = false;
        let failed = outcome.is_failover();
        context.best = Some(Outcome::better(context.best.take(), outcome));
        let target = context.branch(client).map(|branch| branch.target.clone());
        let group = target.as_ref().map_or(0, |target| target.group);
        if let Some(target) = target.filter(|_| failed) {
            self.give_up_target(now, id, &target, failure);
        }
        let next = self.contexts.get(&id).and_then(|context| context.targets.last());
        self.counts.hunted_total += u64::from(next.is_some_and(|next| next.group != group));
        self.try_next(now, id);
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

/// What we write into Record-Route for the branch that `forward` goes on.
pub(super) fn record_route(
    request: &Message,
    forward: &Forward,
    address: &str,
    sealer: &Sealer,
) -> Option<HeaderValue> {
    let tag = request.from_tag().unwrap_or_default();
    let disclosure = &forward.disclosure;
    let trusted = disclosure.audience == Audience::Trusted;
    let route = OwnRoute::new(forward.call.clone(), forward.shift, tag);
    let route = route.disclosing(trusted, disclosure.anonymous, tag);
    let caller = match &disclosure.caller {
        Some(caller) => Party::Phone(caller.phone.number),
        None if disclosure.from_carrier => Party::Outside,
        None => Party::Vsp,
    };
    let route = route.between(caller, forward.called?, tag);
    let call_id = request.first(HeaderName::CallId).unwrap_or_default();
    route.to_value(address, sealer, call_id).ok()
}
