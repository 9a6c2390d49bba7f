//! A client's session: an identity that has logged in, its calls, and the socket it has just now.
//!
//! ```text
//! socket:   Connected ──login──► Authenticating ──good──► Registered
//!               ▲                     │    └──session in use──► Probing ──► Registered
//!               └──────── refused ────┘
//! session:  Attached ──socket lost──► Detached ──grace over──► (closed)
//!               ▲                        │
//!               └── login with sessid ───┘
//! ```

use crate::call::{CallKey, CallState};
use crate::limits::{
    Limits, PING_INTERVAL, QUEUED_WHILE_LOGIN_LEN_MAX, QUEUED_WHILE_LOGIN_MAX, TokenBucket,
    UNAUTHENTICATED_MAX,
};
use crate::output::{AskToken, ConnectionId, Departure, Peer};
use crate::server::speed_test::Test as SpeedTest;
use offhook_rpc_message::validate::Destination;
use offhook_rpc_message::{ClientCallId, FrameId, Login, ServerMessage, SessionId, VoiceSdkId};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Calls that have ended and of which late requests may still come, or whose `bye` may have been lost.
const ENDED_KEPT_MAX: usize = 16;
/// How long after a return silence of the client's media still comes from before it.
const JUST_BACK: Duration = Duration::from_secs(30);
/// A socket that goes on asking after so many refusals, in bursts, is closed.
const REFUSED_BURSTS_MAX: u32 = 5;
/// Messages whose acknowledgement is awaited.
const SENT_KEPT_MAX: usize = 64;

/// One WebSocket.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: Peer,
    /// On every frame of this socket.
    pub(crate) voice_sdk_id: VoiceSdkId,
    pub(crate) stage: Stage,
    pub(crate) last_frame: Instant,
    pub(crate) next_ping: Instant,
    /// Number of our last ping.
    pub(crate) last_ping: Option<u64>,
    /// Closed then, if nobody has logged in.
    pub(crate) login_by: Instant,
    pub(crate) requests: TokenBucket,
    /// The SDK's speed test, while there is one.
    pub(crate) speed_test: Option<SpeedTest>,
    /// Refusals of requests above the rate, before the socket is closed.
    pub(crate) refusals: TokenBucket,
    pub(crate) login_failures: u32,
    next_id: u64,
    /// Messages about calls, to know what an acknowledgement means.
    sent: VecDeque<(u64, CallKey, &'static str)>,
}

/// How far a socket is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Nobody has logged in.
    Connected,
    /// The credentials are being checked.
    Authenticating(Box<PendingLogin>, AskToken),
    /// The credentials are good; whether the socket that holds the wanted session still lives is being found out.
    Probing(Box<PendingLogin>, Probe),
    /// Logged in.
    Registered(SessionId),
}

/// A login on its way.
#[derive(Debug)]
pub(crate) struct PendingLogin {
    pub(crate) frame: FrameId,
    /// What the client asked for, its credentials taken out.
    pub(crate) login: Login,
    /// When the token that is offered ends.
    pub(crate) valid_until: Option<Instant>,
    /// What an anonymous client may call.
    pub(crate) target: Option<Destination>,
    /// Session of an earlier login on this socket.
    pub(crate) previous: Option<SessionId>,
    /// Frames that came meanwhile.
    pub(crate) queued: Vec<String>,
}

/// A session that another socket holds.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) user: String,
    pub(crate) session: SessionId,
    pub(crate) rival: ConnectionId,
}

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) voice_sdk_id: VoiceSdkId,
    pub(crate) user: String,
    /// When its token ends, if it logged in with one: then it has to log in again before it may do anything new.
    pub(crate) valid_until: Option<Instant>,
    /// The one that an anonymous client may call.
    pub(crate) target: Option<Destination>,
    /// The client wants SDP answers early.
    pub(crate) early_answer: bool,
    pub(crate) report_id: Option<String>,
    /// The client's SDK acknowledges what it is sent; those for phones do not.
    pub(crate) acknowledges: bool,
    /// The client's SDK answers pings of the dialect. Who names no SDK may have one from before there were any, until a ping
    /// has come.
    pub(crate) answers_pings: bool,
    /// The client reads its gateway state in messages of ours alone, not in results.
    pub(crate) wants_state_messages: bool,
    /// Live calls.
    pub(crate) calls: BTreeMap<ClientCallId, CallKey>,
    /// `None` while detached.
    pub(crate) connection: Option<ConnectionId>,
    /// When its client came back.
    pub(crate) returned: Option<Instant>,
    /// How its last socket was left.
    pub(crate) departure: Departure,
    /// Its client was told that no calls reach its user.
    pub(crate) awaits_registration: bool,
    /// Where its client was last.
    pub(crate) address: Option<IpAddr>,
    ended: VecDeque<Ended>,
}

#[derive(Debug)]
struct Ended {
    key: CallKey,
    call: ClientCallId,
    /// The `bye`, until it is acknowledged.
    told: Option<Box<ServerMessage>>,
}

impl Connection {
    /// A socket that has just been opened.
    pub(crate) fn new(now: Instant, peer: Peer, voice_sdk_id: VoiceSdkId, limits: &Limits) -> Self {
        let rate = f64::from(limits.requests_per_second);
        let refusals = limits.requests_burst.saturating_mul(REFUSED_BURSTS_MAX);
        Self {
            peer,
            voice_sdk_id,
            stage: Stage::Connected,
            last_frame: now,
            next_ping: now + PING_INTERVAL,
            last_ping: None,
            login_by: now + UNAUTHENTICATED_MAX,
            requests: TokenBucket::new(now, limits.requests_burst, rate),
            // Refilled at the same rate: who asks for more than twice the rate is closed in the end, however fast we read.
            refusals: TokenBucket::new(now, refusals, rate),
            speed_test: None,
            login_failures: 0,
            next_id: 0,
            sent: VecDeque::new(),
        }
    }

    /// The session that is logged in here, also while another login is being checked.
    pub(crate) fn session(&self) -> Option<&SessionId> {
        match &self.stage {
            Stage::Registered(session) => Some(session),
            Stage::Authenticating(pending, _) | Stage::Probing(pending, _) => pending.previous.as_ref(),
            Stage::Connected => None,
        }
    }

    /// Id for the next message of ours; remembers what it is about.
    pub(crate) fn next_id(&mut self, about: Option<(CallKey, &'static str)>) -> u64 {
        self.next_id += 1;
        if let Some((key, name)) = about {
            if self.sent.len() == SENT_KEPT_MAX {
                self.sent.pop_front();
            }
            self.sent.push_back((self.next_id, key, name));
        }
        self.next_id
    }

    /// What the acknowledged message was about.
    pub(crate) fn acknowledged(&mut self, id: u64) -> Option<(CallKey, &'static str)> {
        let at = self.sent.iter().position(|(sent, ..)| *sent == id)?;
        self.sent.remove(at).map(|(_, key, name)| (key, name))
    }
}

/// A session as a value, with times from the moment of export.
#[derive(Debug, Clone)]
pub struct SessionState {
    /// Its client comes back with it.
    pub id: SessionId,
    /// The same, as the query of the WebSocket's address has it.
    pub voice_sdk_id: VoiceSdkId,
    /// Who is logged in.
    pub user: String,
    /// How long its token is still good, if it logged in with one.
    pub valid_for: Option<Duration>,
    /// The one that an anonymous client may call.
    pub target: Option<Destination>,
    /// The client wants SDP answers early.
    pub early_answer: bool,
    /// Under which its reports come.
    pub report_id: Option<String>,
    /// The client's SDK acknowledges what it is sent.
    pub acknowledges: bool,
    /// The client's SDK answers pings of the dialect.
    pub answers_pings: bool,
    /// The client reads its gateway state in messages alone.
    pub wants_state_messages: bool,
    /// Where its client was last.
    pub address: Option<IpAddr>,
    /// Its calls that are at rest.
    pub calls: Vec<CallState>,
    /// Calls that have ended a while ago, each with the `bye` that the client may have missed.
    pub ended: Vec<(ClientCallId, Option<ServerMessage>)>,
}

/// The moment that lies `duration` before `now`; `now`, where the clock does not reach back so far.
pub(crate) fn ago(now: Instant, duration: Duration) -> Instant {
    now.checked_sub(duration).unwrap_or(now)
}

impl PendingLogin {
    /// Keeps a frame until the login is decided, if there is room.
    pub(crate) fn queue(&mut self, text: &str) -> bool {
        let len = text.len() + self.queued.iter().map(String::len).sum::<usize>();
        let fits = self.queued.len() < QUEUED_WHILE_LOGIN_MAX && len <= QUEUED_WHILE_LOGIN_LEN_MAX;
        if fits {
            self.queued.push(text.to_owned());
        }
        fits
    }
}

impl Session {
    /// A session of `user` on `connection`.
    pub(crate) fn new(user: String, voice_sdk_id: VoiceSdkId, connection: ConnectionId) -> Self {
        Self {
            voice_sdk_id,
            user,
            valid_until: None,
            target: None,
            early_answer: false,
            report_id: None,
            acknowledges: true,
            answers_pings: true,
            wants_state_messages: false,
            calls: BTreeMap::new(),
            connection: Some(connection),
            returned: None,
            departure: Departure::Lost,
            awaits_registration: false,
            address: None,
            ended: VecDeque::new(),
        }
    }

    /// The session as a value, with these of its calls.
    pub(crate) fn export(&self, now: Instant, id: SessionId, calls: Vec<CallState>) -> SessionState {
        let ended = self.ended.iter();
        SessionState {
            id,
            voice_sdk_id: self.voice_sdk_id.clone(),
            user: self.user.clone(),
            valid_for: self.valid_until.map(|until| until.saturating_duration_since(now)),
            target: self.target.clone(),
            early_answer: self.early_answer,
            report_id: self.report_id.clone(),
            acknowledges: self.acknowledges,
            answers_pings: self.answers_pings,
            wants_state_messages: self.wants_state_messages,
            address: self.address,
            calls,
            ended: ended
                .map(|ended| (ended.call.clone(), ended.told.as_deref().cloned()))
                .collect(),
        }
    }

    /// The session of such a value, without a socket, and the calls that it is to have.
    pub(crate) fn import(
        now: Instant,
        state: SessionState,
        mut next_key: impl FnMut() -> CallKey,
    ) -> (Self, Vec<CallState>) {
        let ended = state.ended.into_iter().map(|(call, told)| Ended {
            key: next_key(),
            call,
            told: told.map(Box::new),
        });
        let session = Self {
            voice_sdk_id: state.voice_sdk_id,
            user: state.user,
            valid_until: state.valid_for.map(|valid| now + valid),
            target: state.target,
            early_answer: state.early_answer,
            report_id: state.report_id,
            acknowledges: state.acknowledges,
            answers_pings: state.answers_pings,
            wants_state_messages: state.wants_state_messages,
            calls: BTreeMap::new(),
            connection: None,
            returned: None,
            departure: Departure::Lost,
            awaits_registration: false,
            address: state.address,
            ended: ended.take(ENDED_KEPT_MAX).collect(),
        };
        (session, state.calls)
    }

    /// Whether its token has ended.
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.valid_until.is_some_and(|until| until <= now)
    }

    /// Whether the client came back a moment ago: less than the gateway takes to notice silence, and some more.
    pub(crate) fn is_just_back(&self, now: Instant) -> bool {
        let back = self.returned.filter(|_| self.connection.is_some());
        back.is_some_and(|back| now.saturating_duration_since(back) < JUST_BACK)
    }

    /// The client has this call no more.
    pub(crate) fn call_ended(&mut self, key: CallKey, call: &ClientCallId, told: Option<Box<ServerMessage>>) {
        self.calls.remove(call);
        if self.ended.len() == ENDED_KEPT_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(Ended {
            key,
            call: call.clone(),
            told,
        });
    }

    /// Whether this was a call of the session a while ago.
    pub(crate) fn has_ended(&self, call: &ClientCallId) -> bool {
        self.ended.iter().any(|ended| ended.call == *call)
    }

    /// The client knows that this call is over.
    pub(crate) fn bye_acknowledged(&mut self, key: CallKey) {
        if let Some(ended) = self.ended.iter_mut().find(|ended| ended.key == key) {
            ended.told = None;
        }
    }

    /// The `bye`s that a client may have missed.
    pub(crate) fn missed_byes(&self) -> Vec<ServerMessage> {
        self.ended
            .iter()
            .filter_map(|ended| ended.told.as_deref().cloned())
            .collect()
    }
}
