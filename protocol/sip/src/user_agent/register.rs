//! Registrations of a user agent: its REGISTER requests and their answers (RFC 3261 §10.2).

use super::api::{ActionError, Failure};
use super::compose::{self, FirstRequestIds, Rest};
use super::extensions::Notice;
use super::registration::{
    Next, OutgoingRegistration, Registration, RegistrationId, RegistrationState, RetryReason,
};
use super::uac::accepts_challenge;
use super::{ClientUse, UserAgent};
use crate::flow::Flow;
use crate::transaction::SendOptions;
use offhook_sip_message::header::{self, Expires};
use offhook_sip_message::{HeaderName, HeaderValue, Message, Method};
use std::time::Instant;

/// Most registrations of one user agent: each costs about 1 KiB and a REGISTER every few minutes.
pub const REGISTRATIONS_MAX: usize = 10_000;

impl UserAgent {
    /// Registers an account elsewhere and keeps it registered. [`Notice::Registration`] tells each change.
    pub fn register(
        &mut self,
        now: Instant,
        plan: OutgoingRegistration,
    ) -> Result<RegistrationId, ActionError> {
        if self.registrations.len() >= REGISTRATIONS_MAX {
            return Err(ActionError::Full);
        }
        let tag = self.layer.tag();
        let from = compose::name_addr(&plan.account, Some(&tag))?;
        let to = compose::name_addr(&plan.account, None)?;
        let call_id = crate::random::hex(self.layer.rng(), 16);
        let id = RegistrationId(self.new_id());
        self.registrations
            .insert(id, Registration::new(plan, from, to, call_id));
        if let Err(error) = self.send_register(now, id) {
            self.registrations.remove(&id);
            return Err(error);
        }
        self.pump(now);
        Ok(id)
    }

    /// Removes the binding, and forgets the registration: at once where none can exist, else after the registrar's
    /// answer, whatever it is. `Registration(Unregistered)` follows.
    pub fn unregister(&mut self, now: Instant, id: RegistrationId) -> Result<(), ActionError> {
        let registration = self.registrations.get_mut(&id).ok_or(ActionError::Gone)?;
        if registration.state == RegistrationState::Unregistering {
            return Ok(());
        }
        let (bound, in_flight) = (registration.may_be_bound(now), registration.in_flight);
        registration.state = RegistrationState::Unregistering;
        registration.next_at = None;
        self.registration_timers.set(id, None);
        // One REGISTER at a time: the one that removes follows the answer to the one that is out.
        if !bound || (!in_flight && self.send_register(now, id).is_err()) {
            self.end_registration(id);
        }
        self.pump(now);
        Ok(())
    }

    /// Tries at once: after a change of network, or when the operator has corrected something. Does nothing while a
    /// REGISTER is on its way; revives a refused registration.
    pub fn refresh_registration(&mut self, now: Instant, id: RegistrationId) -> Result<(), ActionError> {
        let registration = self.registrations.get_mut(&id).ok_or(ActionError::Gone)?;
        if matches!(
            registration.state,
            RegistrationState::Unregistering | RegistrationState::Unregistered
        ) {
            return Err(ActionError::State("the registration is being removed"));
        }
        self.try_registration(now, id);
        self.pump(now);
        Ok(())
    }

    /// Where REGISTERs go from now on: the owner resolves names.
    pub fn set_registration_destination(
        &mut self,
        id: RegistrationId,
        destination: Flow,
    ) -> Result<(), ActionError> {
        let registration = self.registrations.get_mut(&id).ok_or(ActionError::Gone)?;
        registration.plan.destination = destination;
        Ok(())
    }

    /// How a registration stands; `None` once it is gone.
    pub fn registration(&self, id: RegistrationId) -> Option<RegistrationState> {
        self.registrations.get(&id).map(|registration| registration.state)
    }

    /// How many registrations there are, in whatever state.
    pub fn registration_count(&self) -> usize {
        self.registrations.len()
    }

    pub(super) fn handle_registration_timeout(&mut self, now: Instant, id: RegistrationId) {
        self.try_registration(now, id);
    }

    fn try_registration(&mut self, now: Instant, id: RegistrationId) {
        let Some(registration) = self.registrations.get_mut(&id).filter(|it| !it.in_flight) else {
            return;
        };
        let before = registration.state;
        registration.start_try();
        if self.send_register(now, id).is_err() {
            self.handle_register_failure(now, id, &Failure::Transport);
        } else {
            self.tell_registration(id, before);
        }
    }

    fn send_register(&mut self, now: Instant, id: RegistrationId) -> Result<(), ActionError> {
        let registration = self.registrations.get_mut(&id).ok_or(ActionError::Gone)?;
        registration.cseq += 1;
        let plan = &registration.plan;
        let flow = plan.destination;
        let branch = self.layer.branch();
        let via = self.identity.via(flow.transport, &branch);
        let uri = plan.registrar.uri();
        let ids = FirstRequestIds {
            from: &registration.from,
            to: &registration.to,
            call_id: &registration.call_id,
            cseq: registration.cseq,
        };
        let mut builder = compose::first_request(&Method::Register, &uri, &via, &ids);
        if let Some(route) = &plan.route {
            builder = builder.typed(&header::Route(header::NameAddr::new(route.uri())));
        }
        let contact = HeaderValue::new(format!("<{}>", plan.contact)).map_err(|_| ActionError::Unwritable)?;
        builder = builder
            .header(HeaderName::Contact, &contact)
            .typed(&Expires(registration.seconds_to_ask()))
            .text(HeaderName::Supported, "path");
        let auth = registration.auth.as_mut();
        let rest = Rest {
            own: auth
                .map(|auth| auth.headers(&Method::Register, uri.as_bytes()))
                .unwrap_or_default(),
            headers: &plan.headers,
            ..Rest::default()
        };
        let message = self.identity.finish_plain(builder, rest)?;
        let transaction = self
            .layer
            .send_request(now, flow, message, SendOptions::default())
            .map_err(|_| ActionError::Full)?;
        registration.in_flight = true;
        registration.removal_sent = registration.state == RegistrationState::Unregistering;
        self.clients.insert(transaction, ClientUse::Register(id));
        Ok(())
    }

    pub(super) fn handle_register_response(&mut self, now: Instant, id: RegistrationId, response: &Message) {
        if response.status().is_some_and(|status| status.is_provisional()) {
            return;
        }
        let cnonce = self.layer.tag();
        let Some(registration) = self.registrations.get_mut(&id) else {
            return;
        };
        registration.in_flight = false;
        let before = registration.state;
        // The answer to the REGISTER that was out when the owner wanted to unregister: that one follows now.
        let removes_next = before == RegistrationState::Unregistering && !registration.removal_sent;
        let again = removes_next || accepts_challenge(registration.auth.as_mut(), response, &cnonce);
        let next = match again {
            true => Next::Again,
            false => registration.handle_response(now, response, self.layer.rng()),
        };
        self.go_on(now, id, before, &next);
    }

    pub(super) fn handle_register_failure(&mut self, now: Instant, id: RegistrationId, failure: &Failure) {
        let Some(registration) = self.registrations.get_mut(&id) else {
            return;
        };
        registration.in_flight = false;
        let before = registration.state;
        let reason = match failure {
            Failure::TimedOut => RetryReason::TimedOut,
            Failure::Transport | Failure::Response(_) => RetryReason::Transport,
        };
        let next = registration.handle_failure(now, reason, self.layer.rng());
        self.go_on(now, id, before, &next);
    }

    fn go_on(&mut self, now: Instant, id: RegistrationId, before: RegistrationState, next: &Next) {
        match next {
            Next::Over => self.end_registration(id),
            Next::Again => {
                if self.send_register(now, id).is_err() {
                    self.handle_register_failure(now, id, &Failure::Transport);
                }
            }
            Next::Wait => {
                let next_at = self.registrations.get(&id).and_then(|it| it.next_at);
                self.registration_timers.set(id, next_at);
                self.tell_registration(id, before);
            }
        }
    }

    fn tell_registration(&mut self, id: RegistrationId, before: RegistrationState) {
        let Some(state) = self.registration(id).filter(|state| *state != before) else {
            return;
        };
        self.push_notice(Notice::Registration {
            registration: id,
            state,
        });
    }

    fn end_registration(&mut self, id: RegistrationId) {
        self.registrations.remove(&id);
        self.registration_timers.set(id, None);
        self.push_notice(Notice::Registration {
            registration: id,
            state: RegistrationState::Unregistered,
        });
    }
}
