//! A SIP user agent: places and takes calls, keeps their dialogs, answers what must be answered.
//!
//! `leg.rs` is the state of a call, `uac.rs` our INVITE, `uas.rs` what others ask, `answering.rs` what we answer, `mid_call.rs` our requests within a
//! call, `offer.rs` those that bear an offer, `ending.rs` BYE and what is left to do after it, `compose.rs` how messages
//! are written. Extensions have files of their own: `session_timer.rs`, `reliable.rs`, `refer.rs`, `replaces.rs`,
//! `register.rs`.

mod answering;
mod api;
mod compose;
mod ending;
mod extensions;
mod leg;
mod leg_state;
mod mid_call;
mod offer;
mod refer;
mod referral;
mod register;
mod registration;
mod reliable;
mod replaces;
mod session_timer;
mod uac;
mod uas;

pub use api::{
    ActionError, Body, Config, Counts, Direction, Ending, Event, Failure, IncomingId, InvalidConfig, LegId,
    NameAddr, Observation, OutgoingInvite, OutgoingRequest, Output, Reply, RequestId, Target,
};

pub use extensions::{Extensions, Notice, ReliableProvisionals, SessionTimer, SessionTimerMode};
pub use leg_state::{LegState, SessionState};
pub use refer::{OutgoingRefer, ReferralId};
pub use referral::Referral;
pub use register::REGISTRATIONS_MAX;
pub use registration::{OutgoingRegistration, RegistrationId, RegistrationState, RetryReason};
pub use replaces::ReplacedDialog;

use crate::deadline::Deadlines;
use crate::dialog::{Dialog, DialogId};
use crate::extra_header::Header;
use crate::flow::Flow;
use crate::transaction::{
    self, ClientTransactionId, ServerTransactionId, TransactionId, TransactionLayer, Transmit,
};
use bytes::Bytes;
use compose::Identity;
use leg::Leg;
use mid_call::RequestUse;
use offhook_sip_message::{Message, StartLine, header};
use rand::rngs::StdRng;
use registration::Registration;
use std::collections::{HashMap, VecDeque};
use std::time::Instant;
use uac::InviteUse;
use uas::ServerUse;

/// All calls of one SIP user agent. See the [crate] documentation for how to drive it.
#[derive(Debug)]
pub struct UserAgent {
    config: Config,
    extensions: Extensions,
    identity: Identity,
    layer: TransactionLayer,
    legs: HashMap<LegId, Leg>,
    dialogs: HashMap<DialogId, LegId>,
    clients: HashMap<ClientTransactionId, ClientUse>,
    servers: HashMap<ServerTransactionId, ServerUse>,
    /// Requests outside of dialogs that are being handled, to find merged ones (§8.2.2.2).
    merges: HashMap<uas::MergeKey, ServerTransactionId>,
    timers: Deadlines<LegId>,
    registrations: HashMap<RegistrationId, Registration>,
    registration_timers: Deadlines<RegistrationId>,
    outputs: VecDeque<Output>,
    notices: VecDeque<Notice>,
    last_id: u64,
}

/// What a client transaction is for. Lives as long as the transaction.
#[derive(Debug)]
enum ClientUse {
    Invite(Box<InviteUse>),
    Request(Box<RequestUse>),
    Bye(LegId),
    Register(RegistrationId),
}

impl ClientUse {
    fn leg(&self) -> Option<LegId> {
        match self {
            Self::Invite(invite) => Some(invite.leg),
            Self::Request(request) => request.leg,
            Self::Bye(leg) => Some(*leg),
            Self::Register(_) => None,
        }
    }
}

impl UserAgent {
    /// A user agent without calls. `rng` is for tags, branches, Call-IDs and cnonces.
    pub fn new(config: Config, rng: StdRng) -> Result<Self, InvalidConfig> {
        Self::with_extensions(config, Extensions::default(), rng)
    }

    /// The same with extensions switched on; [`Self::poll_notice`] is then to be drained too.
    pub fn with_extensions(
        config: Config,
        extensions: Extensions,
        rng: StdRng,
    ) -> Result<Self, InvalidConfig> {
        let layer_config = transaction::Config {
            timing: config.timing,
            ..transaction::Config::default()
        };
        Ok(Self {
            identity: Identity::new(&config, &extensions)?,
            layer: TransactionLayer::new(layer_config, rng),
            config,
            extensions,
            legs: HashMap::new(),
            dialogs: HashMap::new(),
            clients: HashMap::new(),
            servers: HashMap::new(),
            merges: HashMap::new(),
            timers: Deadlines::new(),
            registrations: HashMap::new(),
            registration_timers: Deadlines::new(),
            outputs: VecDeque::new(),
            notices: VecDeque::new(),
            last_id: 0,
        })
    }

    /// Takes a datagram.
    pub fn handle_datagram(&mut self, now: Instant, source: Flow, datagram: Bytes) {
        self.layer.handle_datagram(now, source, datagram);
        self.pump(now);
    }

    /// Takes a message that came over a connection.
    pub fn handle_message(&mut self, now: Instant, source: Flow, message: Message) {
        self.layer.handle_message(now, source, message);
        self.pump(now);
    }

    /// The transport could not send to `flow`.
    pub fn handle_transport_error(&mut self, now: Instant, flow: Flow) {
        self.layer.handle_transport_error(flow);
        self.pump(now);
    }

    /// Runs what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.layer.handle_timeout(now);
        self.pump(now);
        while let Some(leg) = self.timers.pop_due(now) {
            self.handle_leg_timeout(now, leg);
            self.retime(leg);
            self.pump(now);
        }
        while let Some(registration) = self.registration_timers.pop_due(now) {
            self.handle_registration_timeout(now, registration);
            self.pump(now);
        }
    }

    /// When [`Self::handle_timeout`] has to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.layer
            .poll_timeout()
            .into_iter()
            .chain(self.timers.next())
            .chain(self.registration_timers.next())
            .min()
    }

    /// The next output; drain until `None` after each input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next notice, of extensions and registrations; drain until `None` after the outputs.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Header lines for every further request and response of this call (see [`OutgoingInvite::sticky_headers`]).
    pub fn set_sticky_headers(&mut self, leg: LegId, headers: Vec<Header>) -> Result<(), ActionError> {
        self.legs.get_mut(&leg).ok_or(ActionError::Gone)?.sticky = headers;
        Ok(())
    }

    /// The dialog of a call, once there is one: the confirmed one, or the only early one.
    pub fn dialog(&self, leg: LegId) -> Option<&Dialog> {
        self.legs.get(&leg)?.dialog()
    }

    /// Whether the other side takes UPDATE (RFC 3311): its Allow names it.
    pub fn may_update(&self, leg: LegId) -> bool {
        self.legs.get(&leg).is_some_and(|leg| leg.peer.update)
    }

    /// How much is held now.
    pub fn counts(&self) -> Counts {
        Counts {
            legs: self.legs.len(),
            dialogs: self.dialogs.len(),
            requests: self.clients.len() + self.servers.len(),
            timers: self.timers.len() + self.registration_timers.len(),
            transactions: self.layer.counts(),
        }
    }

    /// Carries on what the layer has to say, until it is silent.
    fn pump(&mut self, now: Instant) {
        while let Some(output) = self.layer.poll_output() {
            match output {
                transaction::Output::Transmit(transmit) => self.pass_on(transmit),
                transaction::Output::Event(event) => self.handle_event(now, event),
            }
        }
    }

    fn pass_on(&mut self, transmit: Transmit) {
        let leg = transmit
            .transaction
            .filter(|_| transmit.fresh)
            .and_then(|id| self.leg_of(id));
        if let Some(leg) = leg
            && let Ok(message) = Message::parse(transmit.bytes.clone())
        {
            self.observe(leg, Direction::Sent, transmit.flow, &message);
        }
        self.outputs.push_back(Output::Transmit(transmit));
    }

    fn handle_event(&mut self, now: Instant, event: transaction::Event) {
        use transaction::Event as E;
        match event {
            E::Request {
                transaction,
                request,
                flow,
            } => self.handle_request(now, transaction, request, flow),
            E::Cancel { invite, request } => self.handle_cancel(now, invite, request),
            E::Ack {
                request,
                completed,
                flow,
            } => self.handle_ack(now, request, completed, flow),
            E::Response {
                transaction,
                response,
                flow,
            } => {
                if let Some(leg) = self.leg_of(transaction.into()) {
                    self.observe(leg, Direction::Received, flow, &response);
                }
                self.handle_response(now, transaction, response);
            }
            E::CancelAnswered { invite, response } => {
                if let Some(ClientUse::Invite(invite)) = self.clients.get(&invite) {
                    let (leg, flow) = (invite.leg, invite.flow);
                    self.observe(leg, Direction::Received, flow, &response);
                }
            }
            E::TimedOut { transaction } => self.handle_no_response(now, transaction, Failure::TimedOut),
            E::TransportFailed {
                transaction: TransactionId::Client(transaction),
            } => self.handle_no_response(now, transaction, Failure::Transport),
            // Our rejection stands whether its ACK came or not.
            E::AckMissing { .. } | E::TransportFailed { .. } => {}
            E::Terminated {
                transaction: TransactionId::Client(id),
            } => {
                self.clients.remove(&id);
            }
            E::Terminated {
                transaction: TransactionId::Server(id),
            } => self.forget_server(id),
        }
    }

    fn handle_response(&mut self, now: Instant, transaction: ClientTransactionId, response: Message) {
        match self.clients.get(&transaction) {
            Some(ClientUse::Invite(_)) => self.handle_invite_response(now, transaction, response),
            Some(ClientUse::Request(_)) => self.handle_request_response(now, transaction, response),
            Some(ClientUse::Bye(leg)) => {
                let leg = *leg;
                self.handle_bye_response(now, leg, &response);
            }
            Some(ClientUse::Register(registration)) => {
                let registration = *registration;
                self.handle_register_response(now, registration, &response);
            }
            None => {}
        }
    }

    /// A request of ours got no final answer.
    fn handle_no_response(&mut self, now: Instant, transaction: ClientTransactionId, failure: Failure) {
        match self.clients.get(&transaction) {
            Some(ClientUse::Invite(_)) => self.handle_invite_failure(now, transaction, failure),
            Some(ClientUse::Request(_)) => self.handle_request_failure(now, transaction, failure),
            Some(ClientUse::Bye(leg)) => {
                let leg = *leg;
                self.remove_leg(now, leg);
            }
            Some(ClientUse::Register(registration)) => {
                let registration = *registration;
                self.handle_register_failure(now, registration, &failure);
            }
            None => {}
        }
    }

    fn leg_of(&self, transaction: TransactionId) -> Option<LegId> {
        match transaction {
            TransactionId::Client(id) => self.clients.get(&id)?.leg(),
            TransactionId::Server(id) => self.servers.get(&id)?.leg,
        }
    }

    fn push_event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn push_notice(&mut self, notice: Notice) {
        self.notices.push_back(notice);
    }

    fn observe(&mut self, leg: LegId, direction: Direction, flow: Flow, message: &Message) {
        let name = match message.start_line() {
            StartLine::Request { method, .. } => method.to_string(),
            StartLine::Response { status, .. } => match message.require::<header::CSeq>() {
                Ok(cseq) => format!("{status} {}", cseq.method),
                Err(_) => status.to_string(),
            },
        };
        self.outputs.push_back(Output::Observed(Observation {
            leg,
            direction,
            flow,
            name,
            bytes: message.bytes().clone(),
        }));
    }

    /// Sends a message outside of any transaction: an ACK to a 2xx.
    fn send_ack(&mut self, leg: LegId, flow: Flow, ack: &Message, fresh: bool) {
        if fresh {
            self.observe(leg, Direction::Sent, flow, ack);
        }
        self.outputs.push_back(Output::Transmit(Transmit {
            flow,
            bytes: ack.bytes().clone(),
            transaction: None,
            fresh,
        }));
    }

    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Sets the call's deadline anew; to be called after each change of its state.
    fn retime(&mut self, leg: LegId) {
        let next = self.legs.get(&leg).and_then(Leg::poll_timeout);
        self.timers.set(leg, next);
    }

    fn remove_leg(&mut self, now: Instant, id: LegId) {
        self.drop_own_offer(now, id);
        self.forget_leg(id);
    }

    fn forget_leg(&mut self, id: LegId) {
        if let Some(leg) = self.legs.remove(&id) {
            for dialog in leg.dialog_ids() {
                self.dialogs.remove(&dialog);
            }
        }
        self.timers.set(id, None);
    }
}
