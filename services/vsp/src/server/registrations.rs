//! Users who are accounts at a registrar elsewhere: registered there while they have a client here.

use super::{Server, TimerKey, places};
use crate::call::Asked;
use crate::settings::Registrar;
use offhook_rpc_message::{FrameId, GatewayState, ResultBody, ServerMessage, SessionId};
use offhook_sip::Flow;
use offhook_sip::digest::Credentials;
use offhook_sip::user_agent::{NameAddr, OutgoingRegistration, RegistrationId, RegistrationState};
use offhook_sip_message::{Host, UriBuf, UriBuilder};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long the question of a client waits for the registrar, before it is told to ask again.
const GATEWAY_WAIT: Duration = Duration::from_millis(2_500);
/// How long after a registrar's refusal a client that comes makes it be asked again: it may have been corrected there, but
/// many wrong passwords in a row lock accounts.
const ASK_REFUSER_AGAIN: Duration = Duration::from_secs(30);
/// Clients of one user whose question waits; more are told to ask again.
const WAITING_MAX: usize = 64;

/// The registration of one user.
#[derive(Debug)]
pub(super) struct Account {
    /// `None` until it is known where the registrar is.
    registration: Option<Registration>,
    /// Clients that want to know how it stands.
    waiting: Vec<(Asked, SessionId)>,
    /// When the registrar has refused it for good.
    refused_at: Option<Instant>,
}

/// What the user agent keeps up.
#[derive(Debug, Clone, Copy)]
struct Registration {
    id: RegistrationId,
    /// Where it goes.
    address: SocketAddr,
}

impl Server {
    /// The user has a client, or one more, or one less.
    pub(super) fn review_account(&mut self, now: Instant, user: &str) {
        let Some(registrar) = self
            .settings
            .users
            .get(user)
            .and_then(|user| user.register.clone())
        else {
            return;
        };
        let wanted = self.sessions.values().any(|session| session.user == user);
        let timer = TimerKey::Unregister(user.to_owned());
        match (wanted, self.accounts.contains_key(user)) {
            (true, true) => {
                self.deadlines.clear(&timer);
                self.ask_refuser_again(now, user);
            }
            (true, false) => self.register(now, user, &registrar),
            (false, true) if self.draining => self.unregister(now, user),
            // Pages are loaded anew, networks change: the client may come back.
            (false, true) => self.deadlines.set(timer, now + self.settings.reattach_grace),
            (false, false) => {}
        }
    }

    fn register(&mut self, now: Instant, user: &str, registrar: &Registrar) {
        let registration = match self.address_of(registrar) {
            Some(address) => self.start_registration(now, user, registrar, address),
            None => None,
        };
        let located = registration.is_some() || self.address_of(registrar).is_some();
        if registration.is_none() && located {
            return;
        }
        let account = Account {
            registration,
            waiting: Vec::new(),
            refused_at: None,
        };
        self.accounts.insert(user.to_owned(), account);
        if !located {
            self.locate(&registrar.domain);
        }
    }

    fn ask_refuser_again(&mut self, now: Instant, user: &str) {
        let Some(account) = self.accounts.get_mut(user) else {
            return;
        };
        let refused_long_ago = account
            .refused_at
            .is_some_and(|at| now.saturating_duration_since(at) >= ASK_REFUSER_AGAIN);
        if refused_long_ago && let Some(Registration { id, .. }) = account.registration {
            account.refused_at = None;
            if let Err(error) = self.user_agent.refresh_registration(now, id) {
                tracing::debug!(user, %error, "the registration is gone");
            }
        }
    }

    fn start_registration(
        &mut self,
        now: Instant,
        user: &str,
        registrar: &Registrar,
        address: SocketAddr,
    ) -> Option<Registration> {
        let plan = self.registration(user, registrar, address);
        match plan.map(|plan| self.user_agent.register(now, plan)) {
            Some(Ok(id)) => return Some(Registration { id, address }),
            Some(Err(error)) => tracing::error!(user, %error, "cannot register the user's account"),
            None => tracing::error!(
                user,
                "the user's registrar or account cannot stand in a SIP address"
            ),
        }
        None
    }

    /// It is known, or known anew, where the registrar of this user is. `at_once`: what failed is tried there now.
    pub(super) fn move_account(&mut self, now: Instant, user: &str, at_once: bool) {
        let Some(registrar) = self.registrar_of(user).cloned() else {
            return;
        };
        let known = self.accounts.get(user).and_then(|account| account.registration);
        match (known, self.address_of(&registrar)) {
            (None, Some(address)) => {
                let registration = self.start_registration(now, user, &registrar, address);
                if let Some(account) = self.accounts.get_mut(user) {
                    account.registration = registration;
                }
            }
            (Some(registration), Some(address)) if registration.address != address => {
                self.go_to(now, user, registration, address, at_once);
            }
            _ => {}
        }
        if self.account_state(now, user) != GatewayState::NoReg {
            self.tell_waiting(now, user);
        }
    }

    /// The account registers at another address from now on; `at_once`, if it is not registered.
    fn go_to(
        &mut self,
        now: Instant,
        user: &str,
        registration: Registration,
        address: SocketAddr,
        at_once: bool,
    ) {
        let Registration { id, .. } = registration;
        if let Some(account) = self.accounts.get_mut(user) {
            account.registration = Some(Registration { id, address });
        }
        let moved = self
            .user_agent
            .set_registration_destination(id, Flow::udp(address));
        let waits = matches!(
            self.user_agent.registration(id),
            Some(RegistrationState::Retrying { .. })
        );
        let tried = match moved {
            Ok(()) if waits && at_once => self.user_agent.refresh_registration(now, id),
            moved => moved,
        };
        if let Err(error) = tried {
            tracing::debug!(user, %error, "the registration is gone");
        }
    }

    fn registration(
        &self,
        user: &str,
        registrar: &Registrar,
        address: SocketAddr,
    ) -> Option<OutgoingRegistration> {
        let domain = Host::new(registrar.domain.as_bytes())?;
        let account = UriBuilder::sip(Some(registrar.username.as_bytes()), domain, None)
            .build()
            .ok()?;
        let contact = self.settings.sip.contact;
        let host = contact.ip().to_string();
        let host = if contact.is_ipv6() {
            format!("[{host}]")
        } else {
            host
        };
        let contact = UriBuilder::sip(
            Some(user.as_bytes()),
            Host::new(host.as_bytes())?,
            Some(contact.port()),
        );
        Some(OutgoingRegistration {
            registrar: UriBuf::new(format!("sip:{}", registrar.domain)).ok()?,
            destination: Flow::udp(address),
            route: None,
            account: NameAddr {
                display_name: String::new(),
                uri: account,
            },
            contact: contact.build().ok()?,
            credentials: Some(registrar.credentials()),
            expires: registrar.expires,
            headers: Vec::new(),
        })
    }

    /// The last client has been gone for a while.
    pub(super) fn unregister(&mut self, now: Instant, user: &str) {
        self.deadlines.clear(&TimerKey::Unregister(user.to_owned()));
        self.deadlines.clear(&TimerKey::Gateway(user.to_owned()));
        if let Some(account) = self.accounts.remove(user)
            && let Some(Registration { id, .. }) = account.registration
            && let Err(error) = self.user_agent.unregister(now, id)
        {
            tracing::debug!(user, %error, "nothing to unregister");
        }
    }

    /// Answers a client that asks whether it can be called, as soon as that is known.
    pub(super) fn on_gateway_state(
        &mut self,
        now: Instant,
        asked: Asked,
        session: &SessionId,
        in_message: bool,
    ) {
        let asking = self.sessions.get_mut(session).map(|session| {
            session.wants_state_messages = in_message;
            session.user.clone()
        });
        let user = asking.unwrap_or_default();
        let state = self.account_state(now, &user);
        if state == GatewayState::NoReg
            && let Some(account) = self.accounts.get_mut(&user)
            && account.waiting.len() < WAITING_MAX
        {
            account.waiting.push((asked, session.clone()));
            self.deadlines.set(TimerKey::Gateway(user), now + GATEWAY_WAIT);
            return;
        }
        self.tell_gateway_state(&asked, session, state);
    }

    fn tell_gateway_state(&mut self, asked: &Asked, session: &SessionId, state: GatewayState) {
        let status = self.gateway_status(session, state);
        self.reply(asked, Ok(ResultBody::Gateway(status)));
        if let Some(session) = self.sessions.get_mut(session) {
            session.awaits_registration = state != GatewayState::Reged;
            // Told of anything else in a message, these clients ask again at once, without end.
            if session.wants_state_messages && state == GatewayState::Reged {
                self.send_message(asked.connection, None, &ServerMessage::GatewayState { state });
            }
        }
    }

    /// The registrar has answered, or takes its time.
    pub(super) fn tell_waiting(&mut self, now: Instant, user: &str) {
        self.deadlines.clear(&TimerKey::Gateway(user.to_owned()));
        let waiting = self
            .accounts
            .get_mut(user)
            .map(|account| std::mem::take(&mut account.waiting));
        let state = self.account_state(now, user);
        for (asked, session) in waiting.unwrap_or_default() {
            self.tell_gateway_state(&asked, &session, state);
        }
    }

    /// Clients that were told otherwise hear that calls arrive now: some ask only a few times. Bad news is never sent unasked,
    /// for clients end their calls on it.
    fn tell_of_success(&mut self, user: &str) {
        let told = self.sessions.iter().filter_map(|(id, session)| {
            let awaits = session.awaits_registration && session.user == user;
            Some((id.clone(), session.connection.filter(|_| awaits)?))
        });
        for (id, connection) in told.collect::<Vec<_>>() {
            let (Some(socket), Some(session)) =
                (self.connections.get_mut(&connection), self.sessions.get_mut(&id))
            else {
                continue;
            };
            let state = GatewayState::Reged;
            if session.wants_state_messages {
                session.awaits_registration = false;
                self.send_message(connection, None, &ServerMessage::GatewayState { state });
                continue;
            }
            let asked = Asked {
                connection,
                frame: FrameId::number(socket.next_id(None)),
                method: "gatewayState",
            };
            self.tell_gateway_state(&asked, &id, state);
        }
    }

    /// Whether calls reach this user: by our own proxy always.
    fn account_state(&self, now: Instant, user: &str) -> GatewayState {
        let Some(registrar) = self.registrar_of(user) else {
            return GatewayState::Reged;
        };
        let registration = self.accounts.get(user).and_then(|account| account.registration);
        let Some(Registration { id, .. }) = registration else {
            return match self.is_being_located(registrar) {
                true => GatewayState::NoReg,
                false => GatewayState::FailWait,
            };
        };
        match self.user_agent.registration(id) {
            Some(RegistrationState::Registered { until }) if now < until => GatewayState::Reged,
            Some(RegistrationState::Retrying {
                bound_until: Some(until),
                ..
            }) if now < until => GatewayState::Reged,
            Some(RegistrationState::Retrying { .. }) => GatewayState::FailWait,
            // The registrar has not answered: the first time, or since the binding has run out.
            Some(RegistrationState::Registering | RegistrationState::Registered { .. }) => {
                GatewayState::NoReg
            }
            _ => GatewayState::Failed,
        }
    }

    /// A registration has changed.
    pub(super) fn on_registration(&mut self, now: Instant, id: RegistrationId, state: RegistrationState) {
        let found = self.accounts.iter().find_map(|(user, account)| {
            let registration = account
                .registration
                .filter(|registration| registration.id == id)?;
            Some((user.clone(), registration))
        });
        let Some((user, registration)) = found else {
            return;
        };
        if let Some(account) = self.accounts.get_mut(&user) {
            account.refused_at = matches!(state, RegistrationState::Refused { .. }).then_some(now);
        }
        match state {
            RegistrationState::Registering => return,
            RegistrationState::Registered { .. } => {
                tracing::info!(user, "registered at the user's registrar")
            }
            state => tracing::warn!(user, ?state, "the user's account is not registered"),
        }
        if matches!(state, RegistrationState::Retrying { .. }) && self.fail_over(now, &user, registration) {
            return;
        }
        self.tell_waiting(now, &user);
        if matches!(state, RegistrationState::Registered { .. }) {
            self.tell_of_success(&user);
        }
    }

    /// Whether another address of the registrar is tried.
    fn fail_over(&mut self, now: Instant, user: &str, registration: Registration) -> bool {
        let registrar = self
            .registrar_of(user)
            .filter(|registrar| registrar.address.is_none());
        let Some(domain) = registrar.map(|registrar| registrar.domain.clone()) else {
            return false;
        };
        match self.next_address(now, &domain, registration.address) {
            places::Next::Now(address) => {
                self.go_to(now, user, registration, address, true);
                true
            }
            places::Next::Later => false,
        }
    }

    /// The registrar of a user, which its calls go through.
    pub(super) fn registrar_of(&self, user: &str) -> Option<&Registrar> {
        self.settings.users.get(user)?.register.as_ref()
    }
}

impl Registrar {
    /// The account's, for challenges.
    pub(super) fn credentials(&self) -> Credentials {
        Credentials {
            username: self.username.clone(),
            password: self.password.expose().to_owned(),
        }
    }
}
