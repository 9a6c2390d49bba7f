//! The world: all nodes, the network between them, and the one clock.

use crate::actor::{Carrier, CarrierOutput, Client, ClientOutput, Gateway};
use crate::network::{Network, Weather};
use crate::scene::{self, CARRIER_A, CARRIER_B, PROXY, VSP};
use bytes::Bytes;
use offhook_call_trace::{CallId, Hop, TraceEvent};
use offhook_media_control::{Command, CommandError, Event, Reply};
use offhook_sip_proxy::proxy::{self, Proxy};
use offhook_vsp::auth::{Claims, Question, Refusal, Verdict};
use offhook_vsp::{AskToken, ConnectionId, MediaToken, Note, Peer, Server};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// What the clocks of the world say at its start, seconds since 1970.
const UNIX_START_S: u64 = 1_800_000_000;
/// More steps than this at one instant are a loop that never ends.
const STEPS_AT_ONCE_MAX: u32 = 100_000;

/// Everything.
pub struct World {
    now: Instant,
    start: Instant,
    network: Network<Parcel>,
    vsp: Server,
    proxy: Proxy,
    carriers: [Carrier; 2],
    gateway: Gateway,
    gateway_is_up: bool,
    clients: Vec<(Client, Option<ConnectionId>)>,
    last_connection: u64,
    traces: Vec<(CallId, TraceEvent)>,
    keep_traces: bool,
    /// Calls that the VSP reported as over.
    pub ended_calls: Vec<offhook_vsp::CallRecord>,
    steps: u64,
}

/// What is left when all is said; all zero after every call's last timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Calls in the VSP.
    pub vsp_calls: usize,
    /// Commands and questions of the VSP that wait.
    pub vsp_pending: usize,
    /// SIP legs, dialogs and transactions of the VSP.
    pub vsp_sip: usize,
    /// Response contexts, branches and transactions of the proxy.
    pub proxy: usize,
    /// Legs, dialogs and transactions of the carriers.
    pub carriers: usize,
    /// Sessions of the gateway.
    pub media_sessions: usize,
}

#[derive(Debug, Clone)]
enum Parcel {
    Sip {
        from: SocketAddr,
        to: SocketAddr,
        bytes: Bytes,
    },
    ToServer {
        connection: ConnectionId,
        text: String,
    },
    ToClient {
        connection: ConnectionId,
        text: String,
    },
    CloseClient {
        connection: ConnectionId,
    },
    Command {
        token: MediaToken,
        command: Command,
    },
    Reply {
        token: MediaToken,
        reply: Result<Reply, CommandError>,
    },
    Event(Event),
    Verdict {
        token: AskToken,
        verdict: Verdict,
    },
}

impl World {
    /// A world where nothing has happened yet; the seed decides on everything that is left to chance.
    pub fn new(weather: Weather, seed: u64) -> Self {
        let start = Instant::now();
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            now: start,
            start,
            network: Network::new(weather, seed ^ 1),
            vsp: Server::new(scene::vsp(), StdRng::from_rng(&mut rng)),
            proxy: Proxy::new(scene::proxy(), StdRng::from_rng(&mut rng)),
            carriers: [
                Carrier::new(CARRIER_A, seed ^ 2),
                Carrier::new(CARRIER_B, seed ^ 3),
            ],
            gateway: Gateway::default(),
            gateway_is_up: true,
            clients: Vec::new(),
            last_connection: 0,
            traces: Vec::new(),
            keep_traces: true,
            ended_calls: Vec::new(),
            steps: 0,
        }
    }

    /// Keeps no traces: for long runs.
    pub fn without_traces(mut self) -> Self {
        self.keep_traces = false;
        self
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Inputs that were handled.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Adds a client, offline; the index is its name from now on.
    pub fn add_client(&mut self, user: (&str, &str), early_sdp_answer: bool) -> usize {
        self.clients
            .push((Client::new(user.0, user.1, early_sdp_answer), None));
        self.clients.len() - 1
    }

    /// The client.
    pub fn client(&mut self, index: usize) -> &mut Client {
        &mut self.clients[index].0
    }

    /// Carrier A (0) or B (1).
    pub fn carrier(&mut self, index: usize) -> &mut Carrier {
        &mut self.carriers[index]
    }

    /// The gateway.
    pub fn gateway(&mut self) -> &mut Gateway {
        &mut self.gateway
    }

    /// Opens a socket for a client, which logs in.
    pub fn connect(&mut self, index: usize) {
        self.connect_from(index, Ipv4Addr::LOCALHOST);
    }

    /// The same from another address.
    pub fn connect_from(&mut self, index: usize, address: Ipv4Addr) {
        self.last_connection += 1;
        let connection = ConnectionId(self.last_connection);
        let (client, socket) = &mut self.clients[index];
        let voice_sdk_id = client.voice_sdk_id().map(str::to_owned);
        *socket = Some(connection);
        client.handle_opened();
        let address = IpAddr::V4(address);
        self.vsp.handle_opened(
            self.now,
            connection,
            Peer {
                address,
                voice_sdk_id,
            },
        );
        self.settle();
    }

    /// Cuts a client's socket.
    pub fn cut(&mut self, index: usize) {
        self.clients[index].0.handle_closed();
        self.socket_gone(index, offhook_vsp::Departure::Lost);
    }

    /// A client's page is left; it is loaded anew with its next socket.
    pub fn leave_page(&mut self, index: usize) {
        self.clients[index].0.reload();
        self.socket_gone(index, offhook_vsp::Departure::PageLeft);
    }

    fn socket_gone(&mut self, index: usize, how: offhook_vsp::Departure) {
        if let Some(connection) = self.clients[index].1.take() {
            self.vsp.handle_closed(self.now, connection, how);
        }
        self.settle();
    }

    /// A token for a user that ends after `lifetime`.
    pub fn token(&self, user: &str, lifetime: Duration) -> String {
        let ends_s = self.unix_now_s() + lifetime.as_secs();
        format!("{user} {ends_s}")
    }

    fn unix_now_s(&self) -> u64 {
        UNIX_START_S + self.elapsed().as_secs()
    }

    /// Lets a carrier do something now.
    pub fn with_carrier(&mut self, index: usize, act: impl FnOnce(&mut Carrier, Instant)) {
        act(&mut self.carriers[index], self.now);
        self.settle();
    }

    /// The gateway dies, or the link to it: its sessions are gone, commands go unheard.
    pub fn kill_gateway(&mut self) {
        self.gateway = Gateway::default();
        self.gateway_is_up = false;
        self.vsp.handle_link_down(self.now);
        self.settle();
    }

    /// It is back, empty.
    pub fn revive_gateway(&mut self) {
        self.gateway_is_up = true;
    }

    /// The gateway loses one of its sessions.
    pub fn lose_media(&mut self) {
        if let Some(event) = self.gateway.lose_one() {
            self.network.send_reliably(self.now, Parcel::Event(event));
        }
        self.settle();
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        self.settle();
        while let Some(next) = self.next_deadline().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = until;
    }

    /// Lets time pass until `done`, at most `limit`. Whether it was done.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut World) -> bool) -> bool {
        let until = self.now + limit;
        self.settle();
        while !done(self) {
            let Some(next) = self.next_deadline().filter(|next| *next <= until) else {
                self.now = until;
                return done(self);
            };
            self.now = self.now.max(next);
            self.step();
        }
        true
    }

    /// The trace of a call: what every part saw of it, in order.
    pub fn trace(&self, call: &CallId) -> Vec<&TraceEvent> {
        self.traces
            .iter()
            .filter(|(id, _)| id == call)
            .map(|(_, event)| event)
            .collect()
    }

    /// Calls in the traces.
    pub fn traced_calls(&self) -> Vec<CallId> {
        let calls: BTreeMap<&CallId, ()> = self.traces.iter().map(|(id, _)| (id, ())).collect();
        calls.into_keys().cloned().collect()
    }

    /// What every node still holds.
    pub fn totals(&self) -> Totals {
        let vsp = self.vsp.counts();
        let proxy = self.proxy.counts();
        let sip = |counts: offhook_sip::user_agent::Counts| {
            counts.legs
                + counts.dialogs
                + counts.requests
                + counts.transactions.client_transactions
                + counts.transactions.server_transactions
        };
        Totals {
            vsp_calls: vsp.calls,
            vsp_pending: vsp.commands + vsp.questions,
            vsp_sip: sip(vsp.sip),
            proxy: proxy.contexts
                + proxy.branches
                + proxy.transactions.client_transactions
                + proxy.transactions.server_transactions,
            carriers: self.carriers.iter().map(|carrier| sip(carrier.counts())).sum(),
            media_sessions: self.gateway.sessions(),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let carriers = self.carriers.iter().filter_map(Carrier::poll_timeout).min();
        [
            self.network.next_arrival(),
            self.vsp.poll_timeout(),
            self.proxy.poll_timeout(),
            carriers,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn step(&mut self) {
        while let Some(parcel) = self.network.arrived(self.now) {
            self.steps += 1;
            self.deliver(parcel);
            self.settle();
        }
        let due = |deadline: Option<Instant>, now| deadline.is_some_and(|at| at <= now);
        if due(self.vsp.poll_timeout(), self.now) {
            self.steps += 1;
            self.vsp.handle_timeout(self.now);
        }
        if due(self.proxy.poll_timeout(), self.now) {
            self.steps += 1;
            self.proxy.handle_timeout(self.now);
        }
        for carrier in &mut self.carriers {
            if due(carrier.poll_timeout(), self.now) {
                self.steps += 1;
                carrier.handle_timeout(self.now);
            }
        }
        self.settle();
    }

    fn deliver(&mut self, parcel: Parcel) {
        let now = self.now;
        match parcel {
            Parcel::Sip { from, to: VSP, bytes } => self.vsp.handle_datagram(now, from, bytes),
            Parcel::Sip {
                from,
                to: PROXY,
                bytes,
            } => self.proxy.handle_datagram(now, from, bytes),
            Parcel::Sip {
                from,
                to: CARRIER_A,
                bytes,
            } => self.carriers[0].handle_datagram(now, from, bytes),
            Parcel::Sip {
                from,
                to: CARRIER_B,
                bytes,
            } => self.carriers[1].handle_datagram(now, from, bytes),
            Parcel::Sip { to, .. } => panic!("nobody is at {to}"),
            Parcel::ToServer { connection, text } => {
                if self.clients.iter().any(|(_, socket)| *socket == Some(connection)) {
                    self.vsp.handle_text(now, connection, &text);
                }
            }
            Parcel::ToClient { connection, text } => {
                if let Some((client, _)) = self.client_at(connection) {
                    client.handle_text(&text);
                }
            }
            Parcel::CloseClient { connection } => {
                if let Some((client, socket)) = self.client_at(connection) {
                    *socket = None;
                    client.handle_closed();
                }
            }
            Parcel::Command { token, command } if self.gateway_is_up => {
                let reply = self.gateway.handle_command(command);
                self.network.send_reliably(now, Parcel::Reply { token, reply });
            }
            Parcel::Command { token, .. } => {
                let reply = Err(CommandError {
                    kind: offhook_media_control::CommandErrorKind::LinkDown,
                    message: "the gateway cannot be reached".into(),
                });
                self.vsp.handle_reply(now, token, reply);
            }
            Parcel::Reply { token, reply } => self.vsp.handle_reply(now, token, reply),
            Parcel::Event(event) => self.vsp.handle_event(now, event),
            Parcel::Verdict { token, verdict } => self.vsp.handle_verdict(now, token, verdict),
        }
    }

    fn client_at(&mut self, connection: ConnectionId) -> Option<&mut (Client, Option<ConnectionId>)> {
        self.clients
            .iter_mut()
            .find(|(_, socket)| *socket == Some(connection))
    }

    /// Takes all outputs of all nodes until none has any.
    fn settle(&mut self) {
        for _ in 0..STEPS_AT_ONCE_MAX {
            let mut moved = false;
            while let Some(output) = self.vsp.poll_output() {
                moved = true;
                self.on_vsp_output(output);
            }
            while let Some(output) = self.proxy.poll_output() {
                moved = true;
                self.on_proxy_output(output);
            }
            for (index, from) in [CARRIER_A, CARRIER_B].into_iter().enumerate() {
                while let Some(CarrierOutput::Datagram(to, bytes)) =
                    self.carriers[index].poll_output(self.now)
                {
                    moved = true;
                    self.send_sip(from, to, bytes);
                }
            }
            for (client, socket) in &mut self.clients {
                while let Some(ClientOutput::Text(text)) = client.poll_output() {
                    moved = true;
                    if let Some(connection) = *socket {
                        self.network
                            .send_reliably(self.now, Parcel::ToServer { connection, text });
                    }
                }
            }
            if !moved {
                return;
            }
        }
        panic!("the nodes talk without end at one instant");
    }

    fn on_vsp_output(&mut self, output: offhook_vsp::Output) {
        use offhook_vsp::Output;
        match output {
            Output::Text { to, text } => {
                self.network
                    .send_reliably(self.now, Parcel::ToClient { connection: to, text });
            }
            Output::Close { to, .. } => {
                self.network
                    .send_reliably(self.now, Parcel::CloseClient { connection: to });
            }
            Output::Datagram { to, bytes } => self.send_sip(VSP, to, bytes),
            Output::Media { token, command } => {
                self.network
                    .send_reliably(self.now, Parcel::Command { token, command });
            }
            Output::Ask { token, question } => {
                let verdict = check(&question, self.unix_now_s());
                self.network
                    .send_reliably(self.now, Parcel::Verdict { token, verdict });
            }
            // Nobody is an account elsewhere here.
            Output::Locate { .. } => {}
            Output::Trace(call, event) => self.keep(call, event),
            Output::Note(Note::CallEnded(record)) => self.ended_calls.push(*record),
            Output::Note(_) => {}
        }
    }

    fn on_proxy_output(&mut self, output: proxy::Output) {
        match output {
            proxy::Output::Transmit { to, bytes } => self.send_sip(PROXY, to, bytes),
            proxy::Output::Trace(traced) => {
                if self.keep_traces {
                    let event = traced.event();
                    self.keep(traced.call, event);
                }
            }
            proxy::Output::Refused { .. } | proxy::Output::CarrierFailed { .. } => {}
        }
    }

    fn send_sip(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        self.network
            .send_unreliably(self.now, Parcel::Sip { from, to, bytes });
    }

    fn keep(&mut self, call: CallId, event: TraceEvent) {
        if self.keep_traces {
            self.traces.push((call, event));
        }
    }
}

/// What of a trace went between two parts as seen by one: `from → to name`.
impl World {
    /// Names of the messages that `observer` saw of a call, each with sender and receiver.
    pub fn seen_by(&self, call: &CallId, observer: Hop) -> Vec<(Hop, Hop, String)> {
        let events = self
            .trace(call)
            .into_iter()
            .filter(|event| event.observer == observer);
        events
            .map(|event| (event.from, event.to, event.name.clone()))
            .collect()
    }
}

fn check(question: &Question, unix_now_s: u64) -> Verdict {
    match question {
        Question::Password { user, password } => {
            let known = [scene::ALICE, scene::BOB]
                .into_iter()
                .find(|(name, _)| name == user);
            match known {
                Some((_, right)) if right == password.expose() => Verdict::Password { user: user.clone() },
                Some(_) => Verdict::Refused(Refusal::WrongPassword),
                None => Verdict::Refused(Refusal::UnknownUser),
            }
        }
        Question::Token { token } => match token.expose().split_once(' ') {
            Some((user, ends_s)) => {
                let claims = Claims {
                    subject: Some(user.to_owned()),
                    expires_s: ends_s.parse().ok(),
                    ..Claims::default()
                };
                Verdict::Token { claims, unix_now_s }
            }
            None => Verdict::Refused(Refusal::TokenMalformed),
        },
    }
}
