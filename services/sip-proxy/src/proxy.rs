//! The proxy core (RFC 3261 §16): takes datagrams and the time, gives datagrams and what to know about them.
//!
//! Here: its state and what comes in. `proxy/initial.rs` starts calls and `proxy/targets.rs` says where they go,
//! `proxy/in_dialog.rs` routes what belongs to one, `proxy/branch.rs` tries targets and judges their answers,
//! `proxy/ending.rs` ends requests, `proxy/forward.rs` makes the messages, `proxy/identity.rs` says what they may tell.
//! `proxy/registrar.rs` knows our users' phones, `proxy/phone_calls.rs` lets them call.

mod branch;
mod challenge;
mod dialogs;
mod ending;
mod floods;
mod forward;
mod identity;
mod in_dialog;
mod initial;
mod late_answer;
mod limits;
mod output;
mod own_route;
mod phone_auth;
mod phone_calls;
mod redirect;
mod registrar;
mod rejection;
mod response_context;
mod seal;
mod servers;
mod settings;
mod targets;
mod user_calls;

pub(crate) use output::event_of;
pub use output::{CarrierFailure, Counts, Output, Refusal, Traced};
pub use seal::Sealer;
pub use settings::{CalledNumber, Carrier, Latching, PhoneUser, Settings, TRANSACTIONS_MAX};

use crate::dial_plan::CarrierId;
use bytes::Bytes;
use dialogs::Dialogs;
use floods::Floods;
use limits::Limits;
use memchr::memmem::Finder;
use offhook_call_trace::{CallId, Hop};
use offhook_sip::digest::Authenticator;
use offhook_sip::locate::Place;
use offhook_sip::transaction::{
    self, ClientTransactionId, Event, ServerTransactionId, TransactionId, TransactionLayer, Transmit,
};
use offhook_sip::{Flow, IdMap};
use offhook_sip_message::{
    HeaderName, HeaderValue, Message, MessageBuilder, Method, StatusCode, Token, respond,
};
use phone_auth::{Failures, Nonces};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use registrar::Registrar;
use rejection::Rejection;
use response_context::ResponseContext;
use servers::Resting;
use settings::Peer;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Methods that we take outside of calls or pass on within.
const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY, MESSAGE, SUBSCRIBE";

/// Those that we take outside of calls.
const ALLOW_OUTSIDE: &str = "INVITE, ACK, CANCEL, OPTIONS";

/// Strangers answered per second; the others meet silence, so that nobody can use us to flood a third party.
const STRANGERS_ANSWERED_MAX: u32 = 10;

/// A stateful record-routing proxy. After each input drain [`Proxy::poll_output`] and ask [`Proxy::poll_timeout`].
#[derive(Debug)]
pub struct Proxy {
    settings: Settings,
    layer: TransactionLayer,
    rng: StdRng,
    contexts: IdMap<ServerTransactionId, Box<ResponseContext>>,
    /// Contexts that nothing more can happen to; they go when what they said is out.
    settled: Vec<ServerTransactionId>,
    /// Host and port of our Vias.
    sent_by: String,
    sent_by_finder: Finder<'static>,
    /// Tells our Record-Routes from made-up ones.
    sealer: Sealer,
    branches: IdMap<ClientTransactionId, ServerTransactionId>,
    ring_timers: BTreeSet<(Instant, ServerTransactionId)>,
    /// What each carrier last challenged us with, to answer before it asks again.
    authenticators: HashMap<CarrierId, Authenticator>,
    /// Addresses of carriers that did not answer lately.
    resting: Resting,
    /// Calls that run.
    dialogs: Dialogs,
    limits: Limits,
    registrar: Registrar,
    floods: Floods,
    nonces: Nonces,
    failures: Failures,
    unanswered: usize,
    draining: bool,
    strangers: (Option<Instant>, u32),
    outputs: VecDeque<Output>,
    counts: Counts,
}

impl Proxy {
    /// A proxy without calls. `rng` is for branches, tags and call ids.
    pub fn new(settings: Settings, mut rng: StdRng) -> Self {
        let config = transaction::Config {
            timing: settings.timing,
            transactions_max: settings.transactions_max,
        };
        let drawn: [u8; 32] = rng.random();
        let sent_by = settings.address.to_string();
        let sealer = settings.sealer.clone().unwrap_or_else(|| Sealer::new(&drawn));
        Self {
            layer: TransactionLayer::new(config, StdRng::from_rng(&mut rng)),
            rng,
            contexts: IdMap::default(),
            settled: Vec::new(),
            sent_by_finder: Finder::new(&sent_by).into_owned(),
            sent_by,
            sealer,
            branches: IdMap::default(),
            ring_timers: BTreeSet::new(),
            authenticators: HashMap::new(),
            resting: Resting::default(),
            dialogs: Dialogs::default(),
            limits: Limits::new(&settings),
            registrar: Registrar::default(),
            floods: Floods::default(),
            nonces: Nonces::default(),
            failures: Failures::default(),
            unanswered: 0,
            draining: false,
            strangers: (None, 0),
            outputs: VecDeque::new(),
            counts: Counts::default(),
            settings,
        }
    }

    /// Takes a datagram. Only VSPs, carriers and registered phones may send requests, and others only to register;
    /// responses find their request by its branch, which nobody can guess.
    pub fn handle_datagram(&mut self, now: Instant, source: SocketAddr, datagram: Bytes) {
        if datagram.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return self.answer_keep_alive(now, source, &datagram);
        }
        let is_response = datagram
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"));
        let mut may_be_behind_nat = false;
        if !is_response {
            match self.peer(source) {
                Some(Peer::Vsp | Peer::Carrier(_)) => {}
                Some(Peer::Phone) if self.floods.admits(now, source.ip()) => may_be_behind_nat = true,
                Some(Peer::Phone) => {
                    // In silence: an answer to each would be a flood of our own.
                    let reason = Refusal::Rate;
                    return self.outputs.push_back(Output::Refused { source, reason });
                }
                None if self.may_register(now, source, &datagram) => may_be_behind_nat = true,
                None => return self.refuse_stranger(now, source, datagram),
            }
        }
        let before = self.layer.counts();
        match may_be_behind_nat {
            true => self
                .layer
                .handle_datagram_from_nat(now, Flow::udp(source), datagram),
            false => self.layer.handle_datagram(now, Flow::udp(source), datagram),
        }
        let after = self.layer.counts();
        if after.unparsable_total + after.malformed_total > before.unparsable_total + before.malformed_total {
            self.outputs.push_back(Output::Refused {
                source,
                reason: Refusal::Malformed,
            });
        }
        self.process(now);
    }

    /// The transport could not send to `remote`.
    pub fn handle_transport_error(&mut self, now: Instant, remote: SocketAddr) {
        self.layer.handle_transport_error(Flow::udp(remote));
        self.process(now);
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.layer.handle_timeout(now);
        self.process(now);
        while let Some((at, id)) = self.ring_timers.first().copied()
            && at <= now
        {
            self.ring_timers.pop_first();
            self.ring_out(now, id);
            self.process(now);
        }
        self.registrar.expire(now);
        while let Some(held) = self.dialogs.pop_expired(now) {
            self.counts.expired_total += 1;
            self.limits.release(held);
        }
    }

    /// When [`Proxy::handle_timeout`] has to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let ring = self.ring_timers.first().map(|(at, _)| *at);
        [
            ring,
            self.layer.poll_timeout(),
            self.dialogs.poll_timeout(),
            self.registrar.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next output; drain until `None` after each input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// From now on no new calls: they get 503. What belongs to running ones still passes.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether no call runs and no request waits for its answer.
    pub fn is_quiet(&self) -> bool {
        self.unanswered == 0 && self.dialogs.is_empty()
    }

    /// A carrier's name was resolved (again).
    pub fn set_carrier_places(&mut self, now: Instant, carrier: CarrierId, places: Vec<Place>) {
        if let Some(carrier) = self.settings.carriers.get_mut(carrier.0) {
            carrier.move_to(now, places);
        }
    }

    /// How much is held and what was done.
    pub fn counts(&self) -> Counts {
        let transactions = self.layer.counts();
        Counts {
            contexts: self.contexts.len(),
            unanswered: self.unanswered,
            branches: self.branches.len(),
            dialogs: self.dialogs.len(),
            places: self.limits.held(),
            shifted_dialogs: self.dialogs.shifted(),
            phones: self.registrar.len(),
            timers: self.ring_timers.len() + transactions.timers,
            transactions,
            ..self.counts
        }
    }

    /// Takes all that the transaction layer has to say.
    fn process(&mut self, now: Instant) {
        while let Some(output) = self.layer.poll_output() {
            match output {
                transaction::Output::Transmit(transmit) => self.transmit(transmit),
                transaction::Output::Event(event) => self.handle_event(now, event),
            }
        }
        for id in self.settled.drain(..) {
            self.contexts.remove(&id);
        }
    }

    fn handle_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Request {
                transaction,
                request,
                flow,
            } => self.handle_request(now, transaction, request, flow.remote),
            Event::Cancel { invite, request } => self.handle_cancel(now, invite, &request),
            Event::Ack {
                request,
                completed: Some(id),
                ..
            } => self.trace_received(id.into(), request.bytes()),
            Event::Ack {
                request,
                completed: None,
                flow,
            } => self.handle_ack(request, flow.remote),
            Event::Response {
                transaction,
                response,
                flow,
            } => {
                self.handle_response(now, transaction, response, flow.remote);
            }
            Event::CancelAnswered { invite, response } => {
                self.trace_received(invite.into(), response.bytes())
            }
            Event::TimedOut { transaction } => self.handle_silence(now, transaction, CarrierFailure::Silent),
            Event::TransportFailed {
                transaction: TransactionId::Client(id),
            } => {
                self.handle_silence(now, id, CarrierFailure::Unreachable);
            }
            // The far end of a server transaction is the caller's side: it repeats, or gives up.
            Event::TransportFailed {
                transaction: TransactionId::Server(_),
            }
            | Event::AckMissing { .. } => {}
            Event::Terminated { transaction } => self.handle_terminated(transaction),
        }
    }

    fn handle_request(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        request: Message,
        source: SocketAddr,
    ) {
        if self.has_registrar() && request.method() == Some(&Method::Register) {
            return self.handle_register(now, id, request, source);
        }
        let Some(peer) = self.peer(source) else {
            return;
        };
        let in_dialog = request.to_tag().is_some();
        let refusal = match request.method() {
            Some(_) if in_dialog => return self.start_in_dialog(now, id, request, source, peer),
            Some(Method::Invite) => return self.start_call(now, id, request, source, peer),
            Some(Method::Options) => return self.answer_options(now, id, &request, source),
            // These exist within dialogs only (§15.1.2, RFC 3262 §3, RFC 3311 §5.2, RFC 6086 §4.2.2, RFC 6665 §4.1.3).
            Some(Method::Bye | Method::Prack | Method::Update | Method::Info | Method::Notify) => {
                Rejection::new(StatusCode::CALL_DOES_NOT_EXIST, Refusal::NoDialog)
            }
            Some(Method::Other(_)) => Rejection::new(StatusCode::NOT_IMPLEMENTED, Refusal::Method),
            _ => Rejection::new(StatusCode::METHOD_NOT_ALLOWED, Refusal::Method),
        };
        let rejection = refusal.with(HeaderName::Allow, HeaderValue::new(ALLOW_OUTSIDE).ok());
        self.reject(now, id, &request, source, rejection);
    }

    /// Whoever asks whether we are there learns it, and what we take (§11.2).
    fn answer_options(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        request: &Message,
        source: SocketAddr,
    ) {
        if self.draining {
            return self.reject(
                now,
                id,
                request,
                source,
                Rejection::unavailable(Refusal::Draining),
            );
        }
        let tag = self.layer.tag();
        let builder = respond(request, StatusCode::OK, Token::new(tag.as_bytes()).ok())
            .text(HeaderName::Allow, ALLOW)
            .text(HeaderName::Accept, "*/*");
        self.answer(now, id, builder);
    }

    /// CANCEL goes hop by hop (§16.10): the layer has answered it, we end what it is for.
    fn handle_cancel(&mut self, now: Instant, invite: ServerTransactionId, request: &Message) {
        self.trace_received(invite.into(), request.bytes());
        self.cancel_call(now, invite, request);
    }

    fn handle_terminated(&mut self, transaction: TransactionId) {
        let id = match transaction {
            TransactionId::Client(client) => match self.branches.remove(&client) {
                Some(id) => id,
                None => return,
            },
            TransactionId::Server(id) => id,
        };
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        match transaction {
            TransactionId::Client(_) => context.live_branches = context.live_branches.saturating_sub(1),
            TransactionId::Server(_) => context.has_server = false,
        }
        if !context.is_over() {
            return;
        }
        if context.is_unanswered() {
            self.unanswered -= 1;
        }
        if let Some(at) = context.ring_deadline {
            self.ring_timers.remove(&(at, id));
        }
        let held = context.branches.iter().filter_map(|branch| branch.held);
        self.limits.release(held);
        self.limits.release(context.take_held());
        self.contexts.remove(&id);
    }

    /// Who sends from `source`; `None`: a stranger.
    fn peer(&self, source: SocketAddr) -> Option<Peer> {
        self.settings.peer(source, self.registrar.is_phone(source))
    }

    /// Whether a stranger's datagram is looked at because it may be a phone's.
    fn may_register(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) -> bool {
        datagram.starts_with(b"REGISTER ")
            && self.has_registrar()
            && self.floods.admits(now, source.ip())
            && self.registrar.admits(now)
    }

    /// Strangers get 403 without any state, and only a few of them.
    fn refuse_stranger(&mut self, now: Instant, source: SocketAddr, datagram: Bytes) {
        self.outputs.push_back(Output::Refused {
            source,
            reason: Refusal::Stranger,
        });
        let (since, answered) = &mut self.strangers;
        if since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            (*since, *answered) = (Some(now), 0);
        }
        *answered += 1;
        if *answered > STRANGERS_ANSWERED_MAX {
            return;
        }
        let Ok(request) = Message::parse(datagram) else {
            return;
        };
        if request.method().is_none_or(|method| *method == Method::Ack) {
            return;
        }
        let tag = self.layer.tag();
        let response = respond(&request, StatusCode::FORBIDDEN, Token::new(tag.as_bytes()).ok()).build();
        if let Ok(response) = response {
            self.outputs.push_back(Output::Transmit {
                to: source,
                bytes: response.bytes().clone(),
            });
        }
    }

    /// Refuses a request that has no context.
    fn reject(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        request: &Message,
        source: SocketAddr,
        rejection: Rejection,
    ) {
        if rejection.is_challenge() {
            return self.challenge(now, id, request, &rejection);
        }
        tracing::debug!(%source, ?request, status = %rejection.status, reason = rejection.reason.as_str(), "refused");
        self.outputs.push_back(Output::Refused {
            source,
            reason: rejection.reason,
        });
        let tag = self.layer.tag();
        let mut builder = respond(request, rejection.status, Token::new(tag.as_bytes()).ok());
        if let Some((name, value)) = &rejection.header {
            builder = builder.header(*name, value);
        }
        let response = self.answer(now, id, builder);
        let Some(call) = self.call_of(request).filter(|_| self.settings.trace) else {
            return;
        };
        let peer = self.peer(source).map_or(Hop::Vsp, hop_of);
        self.trace(&call, peer, Hop::SipProxy, request.bytes());
        if let Some(response) = response {
            self.trace(&call, Hop::SipProxy, peer, response.bytes());
        }
    }

    fn answer(&mut self, now: Instant, id: ServerTransactionId, builder: MessageBuilder) -> Option<Message> {
        let response = builder.build().ok()?;
        self.layer.respond(now, id, response.clone()).ok()?;
        Some(response)
    }

    /// The call id that a request of a VSP carries.
    fn call_of(&self, request: &Message) -> Option<CallId> {
        let text = std::str::from_utf8(request.first(forward::CALL_ID)?).ok()?;
        CallId::new(text).ok()
    }

    /// A new call id: a random UUID (RFC 9562 §5.4).
    fn mint_call_id(&mut self) -> CallId {
        let id = uuid::Builder::from_random_bytes(self.rng.random()).into_uuid();
        CallId::new(&id.to_string()).expect("a UUID holds hex digits and hyphens only")
    }

    fn transmit(
        &mut self,
        Transmit {
            flow,
            bytes,
            transaction,
            fresh,
        }: Transmit,
    ) {
        if fresh
            && self.settings.trace
            && let Some((call, to)) = transaction.and_then(|id| self.traced_as(id))
        {
            self.trace(&call, Hop::SipProxy, to, &bytes);
        }
        self.outputs.push_back(Output::Transmit {
            to: flow.remote,
            bytes,
        });
    }

    /// Under which call, and towards whom, a message that goes out stands in the trace; `None`: not at all.
    fn traced_as(&mut self, transaction: TransactionId) -> Option<(CallId, Hop)> {
        match transaction {
            TransactionId::Client(client) => {
                let context = self.contexts.get(self.branches.get(&client)?)?;
                Some((context.call.clone()?, context.downstream))
            }
            TransactionId::Server(server) => {
                let context = self.contexts.get_mut(&server)?;
                let repeats = std::mem::take(&mut context.repeats);
                Some((context.call.clone()?, context.upstream)).filter(|_| !repeats)
            }
        }
    }

    /// Records a message that belongs to a request under way.
    fn trace_received(&mut self, transaction: TransactionId, message: &Bytes) {
        if !self.settings.trace {
            return;
        }
        let found = match transaction {
            TransactionId::Client(client) => {
                let context = self.branches.get(&client).and_then(|id| self.contexts.get(id));
                context.map(|context| (context.call.clone(), context.downstream))
            }
            TransactionId::Server(server) => self
                .contexts
                .get(&server)
                .map(|context| (context.call.clone(), context.upstream)),
        };
        if let Some((Some(call), from)) = found {
            self.trace(&call, from, Hop::SipProxy, message);
        }
    }

    fn trace(&mut self, call: &CallId, from: Hop, to: Hop, message: &Bytes) {
        let traced = Traced {
            call: call.clone(),
            from,
            to,
            message: message.clone(),
        };
        self.outputs.push_back(Output::Trace(traced));
    }
}

fn hop_of(peer: Peer) -> Hop {
    match peer {
        Peer::Vsp => Hop::Vsp,
        Peer::Carrier(_) => Hop::Carrier,
        Peer::Phone => Hop::Client,
    }
}
