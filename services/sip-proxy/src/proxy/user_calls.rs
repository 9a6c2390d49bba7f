//! The calls that a user has at a time, over browsers and phones: they are counted from the first ring to BYE, also those that
//! the user places, and over the limit the user is busy.

use super::Proxy;
use super::limits::{CountedUser, Slot};
use super::phone_calls::Caller;
use super::response_context::{Outcome, Target};
use super::settings::Peer;
use crate::dial_plan::Unanswered;
use offhook_call_trace::USER_HEADER;
use offhook_sip::transaction::{ClientTransactionId, ServerTransactionId};
use offhook_sip_message::{HeaderName, Message};

const USER: HeaderName<'static> = HeaderName::custom(USER_HEADER);

impl Proxy {
    /// The user of ours who calls, from a browser or a phone, if the user's calls are counted.
    pub(super) fn counted_caller(
        &self,
        request: &Message,
        peer: Peer,
        caller: Option<&Caller>,
    ) -> Option<CountedUser> {
        match peer {
            Peer::Vsp => self
                .limits
                .counted(std::str::from_utf8(request.first(USER)?).ok()?),
            Peer::Phone => caller?.counted,
            Peer::Carrier(_) => None,
        }
    }

    /// The call comes to this target; `false` if its user is busy. The targets of one user count once.
    pub(super) fn enters(&mut self, id: ServerTransactionId, target: &Target) -> bool {
        let Some(context) = self.contexts.get_mut(&id) else {
            return false;
        };
        if context.called.is_some_and(|(group, _)| group == target.group) {
            return true;
        }
        let before = context.called.take().map(|(_, slot)| slot);
        self.limits.release(before);
        let Some(user) = target.user else {
            return true;
        };
        if self.limits.is_busy(user) {
            return false;
        }
        context.called = Some((target.group, self.limits.hold_user(user)));
        true
    }

    /// Whether the next destination follows because this one's user is busy.
    pub(super) fn passes_over(&mut self, id: ServerTransactionId, group: usize, busy: &Outcome) -> bool {
        let Some(context) = self.contexts.get_mut(&id) else {
            return false;
        };
        context.targets.retain(|target| target.group != group);
        context.best = Some(Outcome::better(context.best.take(), busy.clone()));
        let hunt = context.hunt.as_ref();
        hunt.is_some_and(|hunt| hunt.next_on.contains(&Unanswered::Busy))
    }

    /// This branch has answered: what the call takes up of its user from now on, who may have been left behind for the next.
    pub(super) fn called_by(&mut self, id: ServerTransactionId, client: ClientTransactionId) -> Option<Slot> {
        let context = self.contexts.get_mut(&id)?;
        let called = context.called.take();
        let target = &context.branch(client)?.target;
        match (called, target.user) {
            (Some((group, slot)), Some(_)) if group == target.group => Some(slot),
            (called, user) => {
                self.limits.release(called.map(|(_, slot)| slot));
                user.map(|user| self.limits.hold_user(user))
            }
        }
    }
}
