//! How requests come to their end: final answers, CANCEL, timer C (RFC 3261 §16.7 step 6, §16.8, §16.10).

use super::rejection::RETRY_AFTER;
use super::response_context::{Outcome, State, substitute};
use super::{CarrierFailure, Proxy};
use crate::dial_plan::Unanswered;
use offhook_sip::Header;
use offhook_sip::transaction::ServerTransactionId;
use offhook_sip_message::{HeaderName, HeaderValue, Message, StatusCode, Token, respond};
use std::time::{Duration, Instant};

/// How long a destination that was cancelled may take to say so before the next one is tried: some round trips.
const GIVE_UP_GRACE: Duration = Duration::from_secs(2);

impl Proxy {
    /// The caller gets its final answer.
    pub(super) fn finish(&mut self, now: Instant, id: ServerTransactionId, outcome: Outcome) {
        let tag = self.layer.tag();
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        let substitute = substitute(&outcome);
        let received = match &outcome {
            Outcome::Response(client, response) if substitute.is_none() => {
                let bytes = context.backward(*client, response);
                bytes.map(|bytes| (outcome.status(), bytes))
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
            if matches!(outcome, Outcome::Full) {
                let after = HeaderValue::number(RETRY_AFTER.seconds);
                builder = builder.header(HeaderName::RetryAfter, &after);
            }
            let response = builder.build().ok()?;
            Some((status, response.bytes().clone()))
        });
        context.state = State::Refused;
        context.targets.clear();
        if let Some((status, bytes)) = response {
            // It fails only when the caller's transaction is over; then nobody waits.
            let _ = self.layer.respond_with(now, id, status, bytes);
        }
        self.close(id);
    }

    /// The request has its final answer: no timer, and a BYE ends its call.
    pub(super) fn close(&mut self, id: ServerTransactionId) {
        self.unanswered -= 1;
        self.set_ring_timer(id, None);
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        self.limits.release(context.take_held());
        if !context.is_invite() {
            // Repetitions are the transaction layer's; only an INVITE can still be answered by others.
            self.settled.push(id);
        }
        if let Some(dialog) = context.ends {
            let held = self.dialogs.end(dialog);
            self.limits.release(held);
        }
    }

    pub(super) fn set_ring_timer(&mut self, id: ServerTransactionId, at: Option<Instant>) {
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        if let Some(old) = std::mem::replace(&mut context.ring_deadline, at) {
            self.ring_timers.remove(&(old, id));
        }
        self.ring_timers.extend(at.map(|at| (at, id)));
    }

    /// Timer C fired (§16.8), or the destination that rings has had its time.
    pub(super) fn ring_out(&mut self, now: Instant, id: ServerTransactionId) {
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        context.ring_deadline = None;
        if context.state != State::Proceeding {
            return;
        }
        if context.giving_up {
            return self.leave_behind(now, id);
        }
        if let Some(hunt) = &context.hunt
            && hunt.next_on.contains(&Unanswered::NoAnswer)
        {
            context.giving_up = true;
            for branch in context.pending() {
                // It fails only when the branch is just being answered; then its answer decides.
                let _ = self.layer.cancel(now, branch, &[]);
            }
            return self.set_ring_timer(id, Some(now + GIVE_UP_GRACE));
        }
        context.state = State::RangOut;
        self.end_branches(now, id, &[], StatusCode::REQUEST_TIMEOUT);
    }

    /// What was cancelled does not even say so: the next destination does not wait for it.
    fn leave_behind(&mut self, now: Instant, id: ServerTransactionId) {
        let Some(context) = self.contexts.get(&id) else {
            return;
        };
        let pending = context.pending();
        let last = pending.last().copied();
        for branch in pending {
            self.end_branch(id, branch);
        }
        if let Some(branch) = last {
            let outcome = Outcome::Own(StatusCode::REQUEST_TIMEOUT);
            self.judge(now, id, branch, outcome, CarrierFailure::Silent);
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
}
