//! The world: all nodes, the network between them, and the one clock.

mod outages;
mod verdict;

use crate::actor::{Carrier, CarrierOutput, Client, ClientOutput, Gateway};
use crate::network::{Network, Weather};
use crate::scene::{self, CARRIER_A, CARRIER_B, PROXY, VSPS};
use bytes::Bytes;
use offhook_call_trace::{CallId, Hop, TraceEvent};
use offhook_media_control::{Command, CommandError, Event, Reply};
use offhook_sip::user_agent::SessionTimerMode;
use offhook_sip_proxy::proxy::{self, Proxy};
use offhook_vsp::auth::Verdict;
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
    vsps: [Server; 2],
    /// The one that takes new sockets.
    front: usize,
    proxy: Proxy,
    carriers: [Carrier; 2],
    gateway: Gateway,
    gateway_is_up: bool,
    clients: Vec<(Client, Option<Socket>)>,
    last_connection: u64,
    traces: Vec<(CallId, TraceEvent)>,
    keep_traces: bool,
    /// Calls that the VSP reported as over.
    pub ended_calls: Vec<offhook_vsp::CallRecord>,
    steps: u64,
    rng: StdRng,
}

/// A client's way to a VSP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Socket {
    node: usize,
    id: ConnectionId,
}

/// What is left when all is said; all zero after every call's last timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Calls in the VSPs.
    pub vsp_calls: usize,
    /// What the VSPs wait for: sessions without a socket, commands, questions, timers beside those of sockets.
    pub vsp_pending: usize,
    /// SIP legs, dialogs and transactions of the VSPs.
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
        socket: Socket,
        text: String,
    },
    ToClient {
        socket: Socket,
        text: String,
    },
    CloseClient {
        socket: Socket,
    },
    Command {
        node: usize,
        token: MediaToken,
        command: Command,
    },
    Reply {
        node: usize,
        token: MediaToken,
        reply: Result<Reply, CommandError>,
    },
    Event(usize, Event),
    Verdict {
        node: usize,
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
            vsps: VSPS.map(|address| Server::new(scene::vsp(address), StdRng::from_rng(&mut rng))),
            front: 0,
            proxy: Proxy::new(scene::proxy(), StdRng::from_rng(&mut rng)),
            carriers: [
                Carrier::new(CARRIER_A, SessionTimerMode::Require, seed ^ 2),
                Carrier::new(CARRIER_B, SessionTimerMode::Off, seed ^ 3),
            ],
            gateway: Gateway::default(),
            gateway_is_up: true,
            clients: Vec::new(),
            last_connection: 0,
            traces: Vec::new(),
            keep_traces: true,
            ended_calls: Vec::new(),
            steps: 0,
            rng,
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
        let (node, id) = (self.front, ConnectionId(self.last_connection));
        let (client, socket) = &mut self.clients[index];
        let voice_sdk_id = client.voice_sdk_id().map(str::to_owned);
        *socket = Some(Socket { node, id });
        client.handle_opened();
        let address = IpAddr::V4(address);
        let peer = Peer {
            address,
            voice_sdk_id,
        };
        self.vsps[node].handle_opened(self.now, id, peer);
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
        if let Some(socket) = self.clients[index].1.take() {
            self.vsps[socket.node].handle_closed(self.now, socket.id, how);
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
        let vsps: Vec<_> = self.vsps.iter().map(Server::counts).collect();
        let proxy = self.proxy.counts();
        let sip = |counts: offhook_sip::user_agent::Counts| {
            counts.legs
                + counts.dialogs
                + counts.requests
                + counts.transactions.client_transactions
                + counts.transactions.server_transactions
        };
        Totals {
            vsp_calls: vsps.iter().map(|vsp| vsp.calls + vsp.incoming).sum(),
            vsp_pending: vsps
                .iter()
                .map(|vsp| vsp.detached + vsp.commands + vsp.questions + vsp.timers - vsp.connections)
                .sum(),
            vsp_sip: vsps.iter().map(|vsp| sip(vsp.sip)).sum(),
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
            self.vsps.iter().filter_map(Server::poll_timeout).min(),
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
        for vsp in &mut self.vsps {
            if due(vsp.poll_timeout(), self.now) {
                self.steps += 1;
                vsp.handle_timeout(self.now);
            }
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
            Parcel::Sip { from, to, bytes } => self.deliver_sip(from, to, bytes),
            Parcel::ToServer { socket, text } => {
                if self.clients.iter().any(|(_, at)| *at == Some(socket)) {
                    self.vsps[socket.node].handle_text(now, socket.id, &text);
                }
            }
            Parcel::ToClient { socket, text } => {
                if let Some((client, _)) = self.client_at(socket) {
                    client.handle_text(&text);
                }
            }
            Parcel::CloseClient { socket } => {
                if let Some((client, at)) = self.client_at(socket) {
                    *at = None;
                    client.handle_closed();
                }
            }
            Parcel::Command { node, token, command } if self.gateway_is_up => {
                let reply = self.gateway.handle_command(node, command);
                let parcel = Parcel::Reply { node, token, reply };
                self.network.send_reliably(now, parcel);
            }
            Parcel::Command { node, token, .. } => {
                let reply = Err(CommandError {
                    kind: offhook_media_control::CommandErrorKind::LinkDown,
                    message: "the gateway cannot be reached".into(),
                });
                self.vsps[node].handle_reply(now, token, reply);
            }
            Parcel::Reply { node, token, reply } => self.vsps[node].handle_reply(now, token, reply),
            Parcel::Event(node, event) => self.vsps[node].handle_event(now, event),
            Parcel::Verdict { node, token, verdict } => self.vsps[node].handle_verdict(now, token, verdict),
        }
    }

    fn deliver_sip(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        let now = self.now;
        if let Some(node) = VSPS.iter().position(|vsp| *vsp == to) {
            return self.vsps[node].handle_datagram(now, from, bytes);
        }
        match to {
            PROXY => self.proxy.handle_datagram(now, from, bytes),
            CARRIER_A => self.carriers[0].handle_datagram(now, from, bytes),
            CARRIER_B => self.carriers[1].handle_datagram(now, from, bytes),
            _ => panic!("nobody is at {to}"),
        }
    }

    fn client_at(&mut self, socket: Socket) -> Option<&mut (Client, Option<Socket>)> {
        self.clients.iter_mut().find(|(_, at)| *at == Some(socket))
    }

    /// Takes all outputs of all nodes until none has any.
    fn settle(&mut self) {
        for _ in 0..STEPS_AT_ONCE_MAX {
            let mut moved = false;
            for node in 0..VSPS.len() {
                while let Some(output) = self.vsps[node].poll_output() {
                    moved = true;
                    self.on_vsp_output(node, output);
                }
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
                    if let Some(socket) = *socket {
                        self.network
                            .send_reliably(self.now, Parcel::ToServer { socket, text });
                    }
                }
            }
            if !moved {
                return;
            }
        }
        panic!("the nodes talk without end at one instant");
    }

    fn on_vsp_output(&mut self, node: usize, output: offhook_vsp::Output) {
        use offhook_vsp::Output;
        let parcel = match output {
            Output::Text { to: id, text } => Parcel::ToClient {
                socket: Socket { node, id },
                text,
            },
            Output::Close { to: id, .. } => Parcel::CloseClient {
                socket: Socket { node, id },
            },
            Output::Datagram { to, bytes } => return self.send_sip(VSPS[node], to, bytes),
            Output::Media { token, command } => Parcel::Command { node, token, command },
            Output::Ask { token, question } => Parcel::Verdict {
                node,
                token,
                verdict: verdict::on(&question, self.unix_now_s()),
            },
            // Nobody is an account elsewhere here, or shows by Pong frames that it lives.
            Output::Locate { .. } | Output::Ping { .. } => return,
            Output::Trace(call, event) => return self.keep(call, event),
            Output::Note(Note::CallEnded(record)) => return self.ended_calls.push(*record),
            Output::Note(_) => return,
        };
        self.network.send_reliably(self.now, parcel);
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
