//! All sockets, sessions and calls of one VSP; sans-IO.
//!
//! Inputs go in by `handle_*(now, …)`; after each, all outputs are taken out by [`Server::poll_output`], and
//! [`Server::poll_timeout`] says when [`Server::handle_timeout`] is due.

mod calls;
mod incoming;
mod login;
mod newcomers;
mod operator;
mod places;
mod referrals;
mod registrations;
mod requests;
mod session_state;
mod sip;
mod sockets;
pub(crate) mod speed_test;
mod transfers;

pub use session_state::SessionExists;

use crate::auth::Verdict;
use crate::call::{Call, CallKey, CallTimer, Purpose, SipPurpose};
use crate::deadlines::Deadlines;
use crate::incoming::Incoming;
use crate::limits::LoginThrottle;
use crate::output::{AskToken, ConnectionId, Counts, Departure, EndedBy, MediaToken, Note, Output, Peer};
use crate::session::{Connection, Session};
use crate::settings::Settings;
use crate::translate::End;
use bytes::Bytes;
use offhook_call_trace::CallId;
use offhook_media_control::{Command, CommandError, Event, MediaSessionId, Reply};
use offhook_rpc_message::SessionId;
use offhook_sip::user_agent::{LegId, RequestId, UserAgent};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

/// The core of the VSP.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    rng: StdRng,
    connections: BTreeMap<ConnectionId, Connection>,
    sessions: BTreeMap<SessionId, Session>,
    calls: BTreeMap<CallKey, Call>,
    by_media: HashMap<MediaSessionId, CallKey>,
    commands: HashMap<MediaToken, PendingCommand>,
    questions: HashMap<AskToken, ConnectionId>,
    /// Sockets that have to show that they live, each with one that asks for its session.
    probes: BTreeSet<(ConnectionId, ConnectionId)>,
    throttle: LoginThrottle,
    user_agent: UserAgent,
    incoming: BTreeMap<LegId, Incoming>,
    /// Users' registrations elsewhere.
    accounts: BTreeMap<String, registrations::Account>,
    /// Where the registrars of accounts are, by domain; as many as the settings name.
    places: HashMap<String, places::Place>,
    legs: HashMap<LegId, Leg>,
    ended_legs: VecDeque<LegId>,
    sip_requests: HashMap<RequestId, (CallKey, SipPurpose)>,
    deadlines: Deadlines<TimerKey>,
    outputs: VecDeque<Output>,
    /// Sessions of calls that ended with the control link.
    abandoned: Vec<MediaSessionId>,
    last_key: u64,
    draining: bool,
}

#[derive(Debug)]
struct PendingCommand {
    key: CallKey,
    call_id: CallId,
    purpose: Purpose,
    name: String,
}

/// A leg of the user agent, remembered for a while after its call so that its last messages find their trace.
#[derive(Debug)]
struct Leg {
    call_id: CallId,
    /// `None` while it rings at clients.
    key: Option<CallKey>,
    over: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum TimerKey {
    /// Ping, silence, login deadline of a socket.
    Socket(ConnectionId),
    /// A socket waits for its rival to show that it lives.
    Probe(ConnectionId),
    /// The grace of a detached session is over.
    Grace(SessionId),
    /// Of a call.
    Call(CallKey, CallTimer),
    /// Nobody answers.
    Ring(LegId),
    /// The last client of this user has been gone for a while.
    Unregister(String),
    /// Clients of this user have waited long enough for its registrar.
    Gateway(String),
    /// DNS is asked again where this domain is.
    Locate(String),
    /// Calls that are still there are ended.
    Drain,
}

/// Legs that are over and still remembered: BYEs of so many calls may be unanswered at once.
const ENDED_LEGS_MAX: usize = 1024;
/// Sessions of a lost control link that are closed by name when it is back; the gateway ends others by its grace time.
const ABANDONED_MAX: usize = 20_000;

impl Server {
    /// A server without sockets. `rng` is for ids, tags and branches.
    pub fn new(settings: Settings, mut rng: StdRng) -> Self {
        let user_agent = UserAgent::with_extensions(
            sip::user_agent_config(&settings),
            sip::extensions(&settings),
            StdRng::from_rng(&mut rng),
        )
        .expect("a socket address can be reached at, and constants have no line breaks");
        Self {
            throttle: LoginThrottle::new(settings.limits.login_failures_max),
            settings,
            rng,
            connections: BTreeMap::new(),
            sessions: BTreeMap::new(),
            calls: BTreeMap::new(),
            by_media: HashMap::new(),
            commands: HashMap::new(),
            questions: HashMap::new(),
            probes: BTreeSet::new(),
            user_agent,
            incoming: BTreeMap::new(),
            accounts: BTreeMap::new(),
            places: HashMap::new(),
            legs: HashMap::new(),
            ended_legs: VecDeque::new(),
            sip_requests: HashMap::new(),
            deadlines: Deadlines::new(),
            outputs: VecDeque::new(),
            abandoned: Vec::new(),
            last_key: 0,
            draining: false,
        }
    }

    /// A WebSocket was opened.
    pub fn handle_opened(&mut self, now: Instant, connection: ConnectionId, peer: Peer) {
        self.open_socket(now, connection, peer);
        self.drain_user_agent(now);
    }

    /// A text frame came.
    pub fn handle_text(&mut self, now: Instant, connection: ConnectionId, text: &str) {
        self.on_text(now, connection, text);
        self.drain_user_agent(now);
    }

    /// A binary frame came.
    pub fn handle_binary(&mut self, now: Instant, connection: ConnectionId) {
        self.on_binary(now, connection);
    }

    /// A Pong frame came, for the Ping frame of this number.
    pub fn handle_pong(&mut self, now: Instant, connection: ConnectionId, number: u64) {
        self.on_pong(now, connection, number);
        self.drain_user_agent(now);
    }

    /// A WebSocket is gone, in this way.
    pub fn handle_closed(&mut self, now: Instant, connection: ConnectionId, how: Departure) {
        self.on_socket_gone(now, connection, how);
        self.drain_user_agent(now);
    }

    /// A SIP datagram came.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: Bytes) {
        self.user_agent
            .handle_datagram(now, offhook_sip::Flow::udp(from), datagram);
        self.drain_user_agent(now);
    }

    /// A SIP datagram could not be sent to `to`.
    pub fn handle_unsent(&mut self, now: Instant, to: SocketAddr) {
        self.user_agent
            .handle_transport_error(now, offhook_sip::Flow::udp(to));
        self.drain_user_agent(now);
    }

    /// The gateway's reply to a command.
    pub fn handle_reply(&mut self, now: Instant, token: MediaToken, reply: Result<Reply, CommandError>) {
        self.on_media_reply(now, token, reply);
        self.drain_user_agent(now);
    }

    /// The gateway tells something.
    pub fn handle_event(&mut self, now: Instant, event: Event) {
        self.on_media_event(now, event);
        self.drain_user_agent(now);
    }

    /// The link to the gateway is down: its calls end. The gateway may have kept their sessions for us; they are closed
    /// when the link is back.
    pub fn handle_link_down(&mut self, now: Instant) {
        for key in self.calls.keys().copied().collect::<Vec<_>>() {
            if let Some(call) = self.calls.get(&key)
                && self.abandoned.len() < ABANDONED_MAX
            {
                self.abandoned.push(call.media.clone());
            }
            self.with_call(now, key, |call, out| call.on_link_down(now, out));
        }
        self.drain_user_agent(now);
    }

    /// The link to the gateway is up.
    pub fn handle_link_up(&mut self) {
        for session in std::mem::take(&mut self.abandoned) {
            let token = MediaToken(self.next_key());
            // Nobody waits for the reply: that the gateway has forgotten the session as well is as good.
            let command = Command::Close { session };
            self.outputs.push_back(Output::Media { token, command });
        }
    }

    /// The answer to a question.
    pub fn handle_verdict(&mut self, now: Instant, token: AskToken, verdict: Verdict) {
        self.on_verdict(now, token, verdict);
        self.drain_user_agent(now);
    }

    /// Where a SIP domain is, in the order in which to try; none: nobody knows.
    pub fn handle_located(&mut self, now: Instant, domain: &str, addresses: Vec<SocketAddr>) {
        self.on_located(now, domain, addresses);
        self.drain_user_agent(now);
    }

    /// Runs what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.deadlines.take_due(now) {
            match timer {
                TimerKey::Socket(connection) => self.on_socket_timer(now, connection),
                TimerKey::Probe(connection) => self.on_probe_unanswered(now, connection),
                TimerKey::Grace(session) => self.on_grace_over(now, &session),
                TimerKey::Call(key, timer) => {
                    self.with_call(now, key, |call, out| call.on_timer(now, timer, out))
                }
                TimerKey::Ring(leg) => self.on_ring_timer(now, leg),
                TimerKey::Unregister(user) => self.unregister(now, &user),
                TimerKey::Gateway(user) => self.tell_waiting(now, &user),
                TimerKey::Locate(domain) => self.locate(&domain),
                TimerKey::Drain => self.end_all_calls(now),
            }
        }
        self.user_agent.handle_timeout(now);
        self.drain_user_agent(now);
    }

    /// From now on no new sessions and calls; calls that are still there at `until` are ended. Sockets are closed as
    /// soon as their last call is over. Done when [`Server::is_empty`].
    pub fn handle_drain(&mut self, now: Instant, until: Instant) {
        self.draining = true;
        self.deadlines.set(TimerKey::Drain, until.max(now));
        for user in self.accounts.keys().cloned().collect::<Vec<_>>() {
            self.review_account(now, &user);
        }
        self.close_idle_sockets(now);
        self.drain_user_agent(now);
    }

    /// The next output; to be taken until `None` after each input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Server::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.deadlines.next(), self.user_agent.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// How much is held now.
    pub fn counts(&self) -> Counts {
        Counts {
            connections: self.connections.len(),
            sessions: self.sessions.len(),
            detached: self
                .sessions
                .values()
                .filter(|session| session.connection.is_none())
                .count(),
            calls: self.calls.len(),
            connected: self.calls.values().filter(|call| call.is_connected()).count(),
            incoming: self.incoming.len(),
            commands: self.commands.len(),
            questions: self.questions.len(),
            timers: self.deadlines.len(),
            sip: self.user_agent.counts(),
        }
    }

    /// Whether no socket, session or call is left.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
            && self.sessions.is_empty()
            && self.calls.is_empty()
            && self.incoming.is_empty()
            && self.user_agent.counts().legs == 0
            && self.user_agent.registration_count() == 0
    }

    fn end_all_calls(&mut self, now: Instant) {
        for leg in self.incoming.keys().copied().collect::<Vec<_>>() {
            let end = End::DRAINING;
            self.end_incoming(now, leg, EndedBy::Vsp, end.sip_code, Some(end));
        }
        for key in self.calls.keys().copied().collect::<Vec<_>>() {
            self.with_call(now, key, |call, out| {
                call.end(now, EndedBy::Vsp, End::DRAINING, out)
            });
        }
        self.close_idle_sockets(now);
    }

    fn next_key(&mut self) -> u64 {
        self.last_key += 1;
        self.last_key
    }

    /// A UUID (version 4) from our own random numbers.
    fn new_uuid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.rng.random())
            .into_uuid()
            .to_string()
    }

    fn note(&mut self, note: Note) {
        self.outputs.push_back(Output::Note(note));
    }
}
