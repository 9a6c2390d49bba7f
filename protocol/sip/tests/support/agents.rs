//! User agents on a virtual network: alice (0) and bob (1), and whoever the test plays itself.

use bytes::Bytes;
use offhook_sip::digest::Credentials;
use offhook_sip::user_agent::{
    Body, Config, Direction, Event, Extensions, Failure, IncomingId, LegId, NameAddr, Notice, OutgoingInvite,
    OutgoingRequest, Output, ReliableProvisionals, Reply, SessionTimer, SessionTimerMode, UserAgent,
};
use offhook_sip::{Flow, Header, Timing};
use offhook_sip_message::{HeaderValue, Message, Method, StatusCode, UriBuf};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(crate) const ALICE: usize = 0;
pub(crate) const BOB: usize = 1;
pub(crate) const ADDRESSES: [&str; 2] = ["192.0.2.9:5060", "192.0.2.1:5060"];

pub(crate) fn uri(text: &str) -> UriBuf {
    UriBuf::new(text.to_owned()).unwrap()
}

pub(crate) fn sdp(text: &str) -> Option<Body> {
    Some(Body::sdp(text.to_owned()))
}

pub(crate) fn name_addr(text: &str) -> NameAddr {
    NameAddr {
        display_name: String::new(),
        uri: uri(text),
    }
}

pub(crate) fn status(code: u16) -> StatusCode {
    StatusCode::new(code).unwrap()
}

/// An answer with or without SDP.
pub(crate) fn reply(code: u16, body: Option<&str>) -> Reply {
    Reply {
        body: body.and_then(sdp),
        ..Reply::new(status(code))
    }
}

/// An INVITE to bob with an offer.
pub(crate) fn invite_to_bob() -> OutgoingInvite {
    OutgoingInvite {
        request_uri: uri("sip:bob@192.0.2.1"),
        destination: Flow::udp(ADDRESSES[BOB].parse().unwrap()),
        from: name_addr("sip:alice@192.0.2.9"),
        to: name_addr("sip:bob@192.0.2.1"),
        headers: vec![Header::new("X-Once", "1").unwrap()],
        sticky_headers: vec![Header::new("X-Offhook-Call-Id", "c-1").unwrap()],
        body: sdp("offer"),
        credentials: None,
        give_up_after: None,
    }
}

pub(crate) fn credentials() -> Credentials {
    Credentials {
        username: "alice".into(),
        password: "open sesame".into(),
    }
}

pub(crate) fn request(method: Method, body: Option<Body>) -> OutgoingRequest {
    OutgoingRequest {
        method,
        headers: Vec::new(),
        body,
    }
}

pub(crate) struct Agent {
    pub(crate) ua: UserAgent,
    pub(crate) events: Vec<Event>,
    pub(crate) notices: Vec<Notice>,
    /// `> INVITE`, `< 180 INVITE` as observed for the trace.
    pub(crate) observed: Vec<String>,
}

/// All extensions, session timers always, provisionals reliable wherever possible.
pub(crate) fn all_extensions() -> Extensions {
    Extensions {
        session_timer: session_timer(SessionTimerMode::Require),
        reliable_provisionals: ReliableProvisionals::WhenSupported,
        transfers: true,
        replaces: true,
    }
}

pub(crate) fn session_timer(mode: SessionTimerMode) -> SessionTimer {
    SessionTimer {
        mode,
        ..SessionTimer::default()
    }
}

/// What the network does to datagrams, in percent and milliseconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Weather {
    pub(crate) loss: u32,
    pub(crate) duplicates: u32,
    pub(crate) jitter_ms: u64,
}

pub(crate) struct World {
    pub(crate) agents: [Agent; 2],
    start: Instant,
    now: Instant,
    pub(crate) weather: Weather,
    rng: StdRng,
    in_flight: Vec<(Instant, SocketAddr, SocketAddr, Bytes)>,
    /// All that was sent: ms, sender, receiver, message; lost ones too.
    pub(crate) wire: Vec<(u64, SocketAddr, SocketAddr, Message)>,
}

fn agent(index: usize, seed: u64, extensions: Extensions) -> Agent {
    agent_that_allows(
        index,
        seed,
        extensions,
        vec![Method::Info, Method::Update, Method::Message],
    )
}

fn agent_that_allows(index: usize, seed: u64, extensions: Extensions, allow: Vec<Method>) -> Agent {
    let config = Config {
        timing: Timing::default(),
        sent_by: ADDRESSES[index].into(),
        contact: uri(&format!("sip:{}", ADDRESSES[index])),
        product: "test/1".into(),
        allow,
        accept: vec!["application/sdp".into(), "application/dtmf-relay".into()],
        legs_max: 3,
    };
    Agent {
        ua: UserAgent::with_extensions(config, extensions, StdRng::seed_from_u64(seed)).unwrap(),
        events: Vec::new(),
        notices: Vec::new(),
        observed: Vec::new(),
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(1, Weather::default())
    }

    pub(crate) fn with(seed: u64, weather: Weather) -> Self {
        Self::with_all(seed, weather, [Extensions::default(), Extensions::default()])
    }

    /// Alice and bob with these extensions.
    pub(crate) fn extended(extensions: [Extensions; 2]) -> Self {
        Self::with_all(1, Weather::default(), extensions)
    }

    pub(crate) fn with_all(seed: u64, weather: Weather, [alices, bobs]: [Extensions; 2]) -> Self {
        let start = super::epoch();
        Self {
            agents: [agent(ALICE, 2 * seed, alices), agent(BOB, 2 * seed + 1, bobs)],
            start,
            now: start,
            weather,
            rng: StdRng::seed_from_u64(seed),
            in_flight: Vec::new(),
            wire: Vec::new(),
        }
    }

    /// Bob's owner answers REGISTER.
    pub(crate) fn with_registrar() -> Self {
        let mut world = Self::new();
        world.agents[BOB] = agent_that_allows(BOB, 3, Extensions::default(), vec![Method::Register]);
        world
    }

    /// Another user agent takes the address of this one.
    pub(crate) fn replace_agent(&mut self, index: usize, seed: u64, extensions: Extensions) {
        self.agents[index] = agent(index, seed, extensions);
    }

    /// Drops what is under way and starts so.
    pub(crate) fn drop_in_flight(&mut self, start: &[u8]) {
        self.in_flight.retain(|(.., bytes)| !bytes.starts_with(start));
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn elapsed_ms(&self) -> u64 {
        self.now.duration_since(self.start).as_millis() as u64
    }

    /// Takes what the agents have to say and puts their datagrams on the network.
    pub(crate) fn drain(&mut self) {
        for index in [ALICE, BOB] {
            while let Some(output) = self.agents[index].ua.poll_output() {
                match output {
                    Output::Transmit(transmit) => {
                        let from = ADDRESSES[index].parse().unwrap();
                        self.send(from, transmit.flow.remote, transmit.bytes);
                    }
                    Output::Event(event) => self.agents[index].events.push(event),
                    Output::Observed(seen) => {
                        let arrow = if seen.direction == Direction::Sent {
                            '>'
                        } else {
                            '<'
                        };
                        self.agents[index].observed.push(format!("{arrow} {}", seen.name));
                    }
                }
            }
            let agent = &mut self.agents[index];
            agent
                .notices
                .extend(std::iter::from_fn(|| agent.ua.poll_notice()));
        }
    }

    /// Text of the test's own as a datagram from one agent's address to the other's.
    pub(crate) fn forge(&mut self, from: usize, text: String) {
        let [source, target] = [from, 1 - from].map(|index| ADDRESSES[index].parse().unwrap());
        self.send(source, target, text.into());
        self.run(10);
    }

    /// Puts a datagram on the network.
    pub(crate) fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        let message = Message::parse(bytes.clone()).expect("what is sent can be parsed");
        self.wire.push((self.elapsed_ms(), from, to, message));
        let copies = match self.rng.random_range(0..100) {
            roll if roll < self.weather.loss => 0,
            roll if roll < self.weather.loss + self.weather.duplicates => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let delay = Duration::from_millis(1 + self.rng.random_range(0..=self.weather.jitter_ms));
            self.in_flight.push((self.now + delay, from, to, bytes.clone()));
        }
    }

    /// Lets time pass to the next thing that happens, at most to `end`; `false` if nothing happens before.
    pub(crate) fn step(&mut self, end: Instant) -> bool {
        self.drain();
        let arrivals = self.in_flight.iter().map(|(at, ..)| *at);
        let timers = self.agents.iter().filter_map(|agent| agent.ua.poll_timeout());
        let Some(next) = arrivals.chain(timers).min().filter(|next| *next <= end) else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(next);
        let due = self.in_flight.iter().position(|(at, ..)| *at <= self.now);
        if let Some(position) = due {
            let (_, from, to, bytes) = self.in_flight.remove(position);
            if let Some(index) = ADDRESSES.iter().position(|address| address.parse() == Ok(to)) {
                self.agents[index]
                    .ua
                    .handle_datagram(self.now, Flow::udp(from), bytes);
            }
        }
        for agent in &mut self.agents {
            if agent.ua.poll_timeout().is_some_and(|at| at <= self.now) {
                agent.ua.handle_timeout(self.now);
            }
        }
        self.drain();
        true
    }

    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while self.step(end) {}
    }

    /// Alice calls Bob.
    pub(crate) fn call(&mut self) -> LegId {
        self.call_with(invite_to_bob())
    }

    pub(crate) fn call_with(&mut self, invite: OutgoingInvite) -> LegId {
        let leg = self.agents[ALICE].ua.invite(self.now, invite).unwrap();
        self.run(10);
        leg
    }

    /// The same: her call, and what Bob has to answer.
    pub(crate) fn called(&mut self) -> (LegId, IncomingId) {
        let leg = self.call();
        (leg, self.incoming(BOB).1)
    }

    /// The last call that came in at `agent`.
    pub(crate) fn incoming(&self, agent: usize) -> (LegId, IncomingId) {
        let found = self.agents[agent]
            .events
            .iter()
            .rev()
            .find_map(|event| match event {
                Event::IncomingInvite { leg, incoming, .. } => Some((*leg, *incoming)),
                _ => None,
            });
        found.expect("a call came in")
    }

    /// The last request that came in at `agent` within a call or without.
    pub(crate) fn incoming_request(&self, agent: usize) -> (IncomingId, &Message) {
        let found = self.agents[agent]
            .events
            .iter()
            .rev()
            .find_map(|event| match event {
                Event::IncomingRequest {
                    incoming, request, ..
                } => Some((*incoming, request)),
                _ => None,
            });
        found.expect("a request came in")
    }

    pub(crate) fn respond(&mut self, agent: usize, incoming: IncomingId, reply: Reply) {
        self.agents[agent].ua.respond(self.now, incoming, reply).unwrap();
        self.run(10);
    }

    /// Asks an agent for a request within a call.
    pub(crate) fn request(&mut self, agent: usize, leg: LegId, method: Method, body: Option<Body>) {
        let ua = &mut self.agents[agent].ua;
        ua.request(self.now, leg, request(method, body)).unwrap();
    }

    /// Has an agent hang up.
    pub(crate) fn bye(&mut self, agent: usize, leg: LegId) {
        self.agents[agent].ua.bye(self.now, leg, Vec::new()).unwrap();
    }

    /// Has an agent give up its call before the answer.
    pub(crate) fn cancel(&mut self, agent: usize, leg: LegId) {
        self.agents[agent].ua.cancel(self.now, leg, Vec::new()).unwrap();
    }

    /// alice and bob in a call; the legs of both.
    pub(crate) fn in_call(&mut self) -> (LegId, LegId) {
        let leg = self.call();
        let (bobs_leg, incoming) = self.incoming(BOB);
        self.respond(BOB, incoming, Reply::new(status(180)));
        self.respond(BOB, incoming, reply(200, Some("answer")));
        self.run(100);
        self.agents.iter_mut().for_each(|agent| agent.events.clear());
        self.wire.clear();
        (leg, bobs_leg)
    }

    /// What an agent was told, in short.
    pub(crate) fn story(&self, agent: usize) -> Vec<String> {
        self.agents[agent].events.iter().map(tell).collect()
    }

    /// What went over the wire: `9>1 INVITE`, `1>9 180 INVITE` (last digit of the addresses).
    pub(crate) fn flow(&self) -> Vec<String> {
        let end = |address: &SocketAddr| address.ip().to_string().pop().unwrap();
        self.wire
            .iter()
            .map(|(_, from, to, message)| format!("{}>{} {}", end(from), end(to), name(message)))
            .collect()
    }

    /// The last message of this name on the wire.
    pub(crate) fn last(&self, wanted: &str) -> &Message {
        let found = self
            .wire
            .iter()
            .rev()
            .find(|(.., message)| name(message) == wanted);
        &found
            .unwrap_or_else(|| panic!("no {wanted} in {:?}", self.flow()))
            .3
    }

    /// Runs until all timers are through, then nothing may be left.
    pub(crate) fn expect_nothing_left(&mut self) {
        self.run(1_000_000);
        for (index, agent) in self.agents.iter().enumerate() {
            let counts = agent.ua.counts();
            let held = [
                counts.legs,
                counts.dialogs,
                counts.requests,
                counts.timers,
                counts.transactions.client_transactions,
                counts.transactions.server_transactions,
                counts.transactions.timers,
            ];
            assert_eq!(held, [0; 7], "agent {index} {:?}", self.story(index));
            assert_eq!(agent.ua.poll_timeout(), None);
            assert_eq!(agent.ua.registration_count(), 0);
        }
    }
}

pub(crate) fn name(message: &Message) -> String {
    let cseq: offhook_sip_message::header::CSeq = message.require().unwrap();
    match message.status() {
        None => cseq.method.to_string(),
        Some(status) => format!("{status} {}", cseq.method),
    }
}

/// A message as it is on the wire.
pub(crate) fn text(message: &Message) -> String {
    String::from_utf8(message.bytes().to_vec()).unwrap()
}

/// How often this line of [`World::flow`] was seen.
pub(crate) fn count(world: &World, line: &str) -> usize {
    world.flow().iter().filter(|seen| *seen == line).count()
}

/// The text of a request as a new one of the same dialog.
pub(crate) fn anew(request: &Message, cseq: u32) -> String {
    let text = text(request);
    let cseq_line = text.lines().find(|line| line.starts_with("CSeq: ")).unwrap();
    let method = request.method().unwrap();
    text.replace(cseq_line, &format!("CSeq: {cseq} {method}"))
        .replace("branch=z9hG4bK", &format!("branch=z9hG4bKx{cseq}"))
}

fn tell(event: &Event) -> String {
    let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
    match event {
        Event::Provisional { response, .. } => format!("{} {}", name(response), text(response.body())),
        Event::Answered { response, .. } => format!("answered {}", text(response.body())),
        Event::Failed { failure, .. } => format!("failed {}", tell_failure(failure)),
        Event::IncomingInvite { request, .. } => format!("call {}", text(request.body())),
        Event::IncomingRequest { request, .. } => format!("{} {}", name(request), text(request.body())),
        Event::Cancelled { .. } => "cancelled".into(),
        Event::AckReceived { request, .. } => format!("ack {}", text(request.body())),
        Event::Terminated { ending, .. } => format!("terminated {}", tell_ending(ending)),
        Event::Response { response, .. } => format!("response {}", name(response)),
        Event::RequestFailed { failure, .. } => format!("request failed {}", tell_failure(failure)),
    }
    .trim()
    .to_owned()
}

fn tell_failure(failure: &Failure) -> String {
    match failure {
        Failure::Response(response) => response.status().unwrap().to_string(),
        Failure::TimedOut => "timed out".into(),
        Failure::Transport => "transport".into(),
    }
}

fn tell_ending(ending: &offhook_sip::user_agent::Ending) -> &'static str {
    use offhook_sip::user_agent::Ending;
    match ending {
        Ending::Local => "local",
        Ending::Remote(_) => "remote",
        Ending::AckMissing => "ack missing",
        Ending::Unanswered => "unanswered",
        Ending::Lost => "lost",
    }
}

/// A header value of the test's.
pub(crate) fn value(text: &str) -> HeaderValue {
    HeaderValue::new(text.to_owned()).unwrap()
}
