//! The transaction layer: owns all transactions, runs their timers, bounds them. `receive.rs` finds the transaction of
//! what comes in.

use super::action::{Action, Actions};
use super::client::Client;
use super::derive;
use super::event::{
    ClientTransactionId, Counts, Event, Output, ServerTransactionId, TransactionId, Transmit,
};
use super::invite_client::InviteClient;
use super::invite_server::InviteServer;
use super::key;
use super::server::Server;
use crate::deadline::Deadlines;
use crate::extra_header::Header;
use crate::flow::Flow;
use crate::id_map::IdMap;
use crate::timer::Timing;
use bytes::Bytes;
use offhook_sip_message::header::Via;
use offhook_sip_message::{Host, Message, Method, StatusCode};
use rand::rngs::StdRng;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most transactions at a time in each direction unless told otherwise: 100,000 at about 2 KiB each. Over it, requests are answered with 503 and Retry-After, and own requests fail with [`SendError::Full`].
pub const TRANSACTIONS_MAX: usize = 100_000;

/// Settings of a layer.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// T1, T2, T4.
    pub timing: Timing,
    /// Most transactions in each direction.
    pub transactions_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timing: Timing::default(),
            transactions_max: TRANSACTIONS_MAX,
        }
    }
}

/// Settings of one client transaction.
#[derive(Debug, Clone, Copy, Default)]
pub struct SendOptions {
    /// Give up (event `TimedOut`) when not even a provisional response came in this time; `None` means 64 × T1.
    /// For failing over to the next carrier before the caller loses patience. An INVITE that was given up so is
    /// still cancelled by the layer should a provisional response come late.
    pub give_up_after: Option<Duration>,
}

/// A request that is sent, with what its transaction is told by.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Its method.
    pub method: &'a Method,
    /// The branch of its top Via, made by [`TransactionLayer::branch`].
    pub branch: &'a [u8],
    /// Host and port of its top Via.
    pub sent_by: (Host<'a>, u16),
    /// The whole message.
    pub bytes: Bytes,
}

/// Why a request could not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The limit of client transactions is reached.
    #[error("too many SIP transactions are open; try again later")]
    Full,
    /// The message is no request, is an ACK, or has no usable top Via.
    #[error("only a request with a branch z9hG4bK… in its Via, and no ACK, can start a transaction")]
    NoRequest,
    /// A transaction with this branch and method exists.
    #[error("a transaction with the same branch and method exists; make a new branch")]
    BranchInUse,
}

/// Why a response could not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RespondError {
    /// The transaction is over.
    #[error("the server transaction is over")]
    Gone,
    /// The message is no response, or its class is not allowed in the transaction's state.
    #[error("the transaction was finally answered before, or the message is no response")]
    NotAllowed,
}

/// Why an INVITE could not be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing to cancel: the INVITE is finally answered or over")]
pub struct NothingToCancel;

/// All transactions of one SIP element. See the [crate] documentation for how to drive it.
#[derive(Debug)]
pub struct TransactionLayer {
    pub(super) config: Config,
    rng: StdRng,
    pub(super) clients: IdMap<ClientTransactionId, ClientEntry>,
    pub(super) client_keys: HashMap<Arc<[u8]>, ClientTransactionId>,
    /// Those that wait for a final response, and from where: few of all that are kept for repetitions.
    waiting: IdMap<ClientTransactionId, Flow>,
    pub(super) servers: IdMap<ServerTransactionId, ServerEntry>,
    pub(super) server_keys: HashMap<Arc<[u8]>, ServerTransactionId>,
    timers: Deadlines<TransactionId>,
    pub(super) outputs: VecDeque<Output>,
    last_id: u64,
    /// For look-ups without allocation.
    pub(super) key_buffer: Vec<u8>,
    pub(super) totals: Counts,
    /// While a datagram is taken: its answers go to its source.
    pub(super) answers_source: bool,
}

#[derive(Debug)]
pub(super) struct ClientEntry {
    key: Arc<[u8]>,
    flow: Flow,
    pub(super) machine: ClientMachine,
    /// The INVITE that this CANCEL of the layer's own ends; its outcome is nobody's business.
    pub(super) cancels: Option<ClientTransactionId>,
}

#[derive(Debug)]
pub(super) enum ClientMachine {
    Invite(Box<InviteClient>),
    Other(Box<Client>),
}

#[derive(Debug)]
pub(super) struct ServerEntry {
    pub(super) key: Arc<[u8]>,
    pub(super) request: Message,
    /// Where responses go.
    pub(super) flow: Flow,
    pub(super) machine: ServerMachine,
    /// The INVITE that this CANCEL ends: answered by the layer, its end is nobody's business.
    pub(super) cancels: Option<ServerTransactionId>,
}

#[derive(Debug)]
pub(super) enum ServerMachine {
    Invite(InviteServer),
    Other(Server),
}

impl TransactionLayer {
    /// A layer without transactions. `rng` is for branches and tags.
    pub fn new(config: Config, rng: StdRng) -> Self {
        Self {
            config,
            rng,
            clients: IdMap::default(),
            client_keys: HashMap::new(),
            waiting: IdMap::default(),
            servers: IdMap::default(),
            server_keys: HashMap::new(),
            timers: Deadlines::new(),
            outputs: VecDeque::new(),
            last_id: 0,
            key_buffer: Vec::with_capacity(128),
            totals: Counts::default(),
            answers_source: false,
        }
    }

    /// The transport could not send to `flow`: ends the client transactions that still wait for something there.
    /// O(number of requests without a final response): whoever is down at a busy hour causes an error with each call.
    pub fn handle_transport_error(&mut self, flow: Flow) {
        let mut failed: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| **waiting == flow)
            .map(|(id, _)| *id)
            .collect();
        failed.sort_unstable();
        for id in failed {
            if self.clients.get(&id).is_some_and(|entry| entry.cancels.is_none()) {
                self.push_event(Event::TransportFailed {
                    transaction: id.into(),
                });
            }
            self.remove_client(id);
        }
    }

    /// Runs what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(id) = self.timers.pop_due(now) {
            match id {
                TransactionId::Client(id) => {
                    let Some(entry) = self.clients.get_mut(&id) else {
                        continue;
                    };
                    let actions = match &mut entry.machine {
                        ClientMachine::Invite(machine) => machine.handle_timeout(now),
                        ClientMachine::Other(machine) => machine.handle_timeout(now),
                    };
                    self.settle_client(now, id, actions, None);
                }
                TransactionId::Server(id) => {
                    let Some(entry) = self.servers.get_mut(&id) else {
                        continue;
                    };
                    let actions = match &mut entry.machine {
                        ServerMachine::Invite(machine) => machine.handle_timeout(now),
                        ServerMachine::Other(machine) => {
                            machine.handle_timeout(now);
                            Actions::new()
                        }
                    };
                    self.settle_server(id, actions);
                }
            }
        }
    }

    /// When [`Self::handle_timeout`] has to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The next output; drain until `None` after each input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Sends a request in a client transaction of its own. Its top Via must be ours, with a branch of [`Self::branch`].
    pub fn send_request(
        &mut self,
        now: Instant,
        flow: Flow,
        request: Message,
        options: SendOptions,
    ) -> Result<ClientTransactionId, SendError> {
        self.send_message(now, flow, &request, options, None)
    }

    fn send_message(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Message,
        options: SendOptions,
        cancels: Option<ClientTransactionId>,
    ) -> Result<ClientTransactionId, SendError> {
        let via: Via<'_> = request.require().map_err(|_| SendError::NoRequest)?;
        let outgoing = Outgoing {
            method: request.method().ok_or(SendError::NoRequest)?,
            branch: via.branch().unwrap_or_default(),
            sent_by: (via.host, via.port_or_default()),
            bytes: request.bytes().clone(),
        };
        self.start_client(now, flow, outgoing, options, cancels)
    }

    /// The same for a request of which only the bytes exist, as a proxy makes them. Nothing is read from them.
    pub fn send_outgoing(
        &mut self,
        now: Instant,
        flow: Flow,
        request: Outgoing<'_>,
        options: SendOptions,
    ) -> Result<ClientTransactionId, SendError> {
        self.start_client(now, flow, request, options, None)
    }

    fn start_client(
        &mut self,
        now: Instant,
        flow: Flow,
        request: Outgoing<'_>,
        options: SendOptions,
        cancels: Option<ClientTransactionId>,
    ) -> Result<ClientTransactionId, SendError> {
        let Outgoing {
            method,
            branch,
            sent_by,
            bytes,
        } = request;
        if *method == Method::Ack || !branch.starts_with(Via::MAGIC_COOKIE.as_bytes()) {
            return Err(SendError::NoRequest);
        }
        key::write_parts(&mut self.key_buffer, branch, sent_by, method);
        let key: Arc<[u8]> = self.key_buffer.as_slice().into();
        let Entry::Vacant(place) = self.client_keys.entry(key.clone()) else {
            return Err(SendError::BranchInUse);
        };
        if self.clients.len() >= self.config.transactions_max {
            self.totals.overload_total += 1;
            return Err(SendError::Full);
        }
        self.last_id += 1;
        let id = ClientTransactionId(self.last_id);
        place.insert(id);
        let (timing, reliable) = (self.config.timing, flow.transport.is_reliable());
        let (machine, actions) = if *method == Method::Invite {
            let (machine, actions) = InviteClient::start(now, bytes, timing, reliable, options.give_up_after);
            (ClientMachine::Invite(Box::new(machine)), actions)
        } else {
            let (machine, actions) = Client::start(now, bytes, timing, reliable, options.give_up_after);
            (ClientMachine::Other(Box::new(machine)), actions)
        };
        self.waiting.insert(id, flow);
        self.clients.insert(
            id,
            ClientEntry {
                key,
                flow,
                machine,
                cancels,
            },
        );
        self.settle_client(now, id, actions, None);
        Ok(id)
    }

    /// Sends a message outside of any transaction: an ACK to a 2xx, or what a proxy forwards statelessly.
    pub fn send_stateless(&mut self, flow: Flow, bytes: Bytes) {
        self.transmit(flow, bytes, None, true);
    }

    /// Answers a request. The response goes where RFC 3261 §18.2.2 and RFC 3581 say.
    pub fn respond(
        &mut self,
        now: Instant,
        transaction: ServerTransactionId,
        response: Message,
    ) -> Result<(), RespondError> {
        let status = response.status().ok_or(RespondError::NotAllowed)?;
        self.respond_with(now, transaction, status, response.bytes().clone())
    }

    /// The same with a response of which only the bytes exist, as a proxy makes them.
    pub fn respond_with(
        &mut self,
        now: Instant,
        transaction: ServerTransactionId,
        status: StatusCode,
        bytes: Bytes,
    ) -> Result<(), RespondError> {
        let entry = self.servers.get_mut(&transaction).ok_or(RespondError::Gone)?;
        let actions = match &mut entry.machine {
            ServerMachine::Invite(machine) => machine.respond(now, status, bytes),
            ServerMachine::Other(machine) => machine.respond(now, status, bytes),
        };
        let actions = actions.map_err(|()| RespondError::NotAllowed)?;
        self.settle_server(transaction, actions);
        Ok(())
    }

    /// Repeats a 2xx or a reliable provisional response to INVITE, which is the user agent's task while no ACK or PRACK
    /// came (RFC 3261 §13.3.1.4, RFC 3262 §3): like [`Self::respond`], but not `fresh`.
    pub(crate) fn repeat_response(&mut self, transaction: ServerTransactionId, response: &Message) {
        if let Some(entry) = self.servers.get(&transaction) {
            let flow = entry.flow;
            self.transmit(flow, response.bytes().clone(), Some(transaction.into()), false);
        }
    }

    /// Cancels an INVITE: at once if a provisional response came, otherwise as soon as one comes (RFC 3261 §9.1).
    /// `extra` header lines (Reason) go into the CANCEL. Without a final response 64 × T1 later, the INVITE times out.
    pub fn cancel(
        &mut self,
        now: Instant,
        invite: ClientTransactionId,
        extra: &[Header],
    ) -> Result<(), NothingToCancel> {
        let entry = self.clients.get_mut(&invite).ok_or(NothingToCancel)?;
        let ClientMachine::Invite(machine) = &mut entry.machine else {
            return Err(NothingToCancel);
        };
        let request = machine.request().ok_or(NothingToCancel)?;
        let message = derive::cancel_of(&request, extra)
            .or_else(|| derive::cancel_of(&request, &[]))
            .ok_or(NothingToCancel)?;
        let actions = machine.cancel(now, message).map_err(|()| NothingToCancel)?;
        self.settle_client(now, invite, actions, None);
        Ok(())
    }

    /// The request of a server transaction that still exists: to build a response from.
    pub fn request(&self, transaction: ServerTransactionId) -> Option<&Message> {
        self.servers.get(&transaction).map(|entry| &entry.request)
    }

    /// A new branch for Via: the magic cookie and 96 random bits.
    pub fn branch(&mut self) -> String {
        let mut branch = String::with_capacity(64);
        branch.push_str(Via::MAGIC_COOKIE);
        crate::random::push_hex(&mut branch, &mut self.rng, 12);
        branch
    }

    /// A new tag for From or To: 64 random bits.
    pub fn tag(&mut self) -> String {
        crate::random::hex(&mut self.rng, 8)
    }

    /// The layer's source of randomness, for those who build on it.
    pub(crate) fn rng(&mut self) -> &mut StdRng {
        &mut self.rng
    }

    /// How much is held now.
    pub fn counts(&self) -> Counts {
        Counts {
            client_transactions: self.clients.len(),
            server_transactions: self.servers.len(),
            timers: self.timers.len(),
            ..self.totals
        }
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn push_event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn transmit(
        &mut self,
        flow: Flow,
        bytes: Bytes,
        transaction: Option<TransactionId>,
        fresh: bool,
    ) {
        self.outputs.push_back(Output::Transmit(Transmit {
            flow,
            bytes,
            transaction,
            fresh,
        }));
    }

    /// Carries out what a client transaction asked for, then sets its timer or removes it. `source` is where the
    /// response came from that caused this.
    pub(super) fn settle_client(
        &mut self,
        now: Instant,
        id: ClientTransactionId,
        actions: Actions,
        source: Option<Flow>,
    ) {
        let Some(entry) = self.clients.get(&id) else {
            return;
        };
        let (flow, cancels) = (entry.flow, entry.cancels);
        for action in actions {
            match action {
                Action::Send { bytes, fresh } => {
                    self.transmit(flow, bytes, Some(cancels.unwrap_or(id).into()), fresh);
                }
                Action::Deliver(response) => self.push_event(match cancels {
                    Some(invite) => Event::CancelAnswered { invite, response },
                    None => Event::Response {
                        transaction: id,
                        response,
                        flow: source.unwrap_or(flow),
                    },
                }),
                Action::StartCancel(message) => {
                    let started = self.send_message(now, flow, &message, SendOptions::default(), Some(id));
                    if started.is_err() {
                        // Better one CANCEL that may be lost than none.
                        self.transmit(flow, message.bytes().clone(), Some(id.into()), true);
                    }
                }
                Action::TimedOut if cancels.is_none() => self.push_event(Event::TimedOut { transaction: id }),
                Action::TimedOut | Action::AckMissing => {}
            }
        }
        let Some(entry) = self.clients.get(&id) else {
            return;
        };
        let (waits, over, next) = match &entry.machine {
            ClientMachine::Invite(machine) => {
                (machine.is_waiting(), machine.is_over(), machine.poll_timeout())
            }
            ClientMachine::Other(machine) => {
                (machine.is_waiting(), machine.is_over(), machine.poll_timeout())
            }
        };
        self.timers.set(id.into(), next);
        if !waits {
            self.waiting.remove(&id);
        }
        if over {
            self.remove_client(id);
        }
    }

    fn remove_client(&mut self, id: ClientTransactionId) {
        let Some(entry) = self.clients.remove(&id) else {
            return;
        };
        self.client_keys.remove(&entry.key);
        self.waiting.remove(&id);
        self.timers.set(id.into(), None);
        if entry.cancels.is_none() {
            self.push_event(Event::Terminated {
                transaction: id.into(),
            });
        }
    }

    /// Carries out what a server transaction asked for, then sets its timer or removes it.
    pub(super) fn settle_server(&mut self, id: ServerTransactionId, actions: Actions) {
        let Some(entry) = self.servers.get(&id) else {
            return;
        };
        let (flow, cancels) = (entry.flow, entry.cancels);
        for action in actions {
            match action {
                Action::Send { bytes, fresh } => {
                    self.transmit(flow, bytes, Some(cancels.unwrap_or(id).into()), fresh);
                }
                Action::AckMissing => self.push_event(Event::AckMissing { transaction: id }),
                Action::Deliver(_) | Action::StartCancel(_) | Action::TimedOut => {}
            }
        }
        let Some(entry) = self.servers.get(&id) else {
            return;
        };
        let (over, next) = match &entry.machine {
            ServerMachine::Invite(machine) => (machine.is_over(), machine.poll_timeout()),
            ServerMachine::Other(machine) => (machine.is_over(), machine.poll_timeout()),
        };
        self.timers.set(id.into(), next);
        if !over {
            return;
        }
        self.timers.set(id.into(), None);
        if let Some(entry) = self.servers.remove(&id) {
            self.server_keys.remove(&entry.key);
            if entry.cancels.is_none() {
                self.push_event(Event::Terminated {
                    transaction: id.into(),
                });
            }
        }
    }
}
