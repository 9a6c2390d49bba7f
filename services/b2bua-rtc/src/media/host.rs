//! The sessions of one worker: which datagram belongs to which, their timers, ports and outputs.

mod replacing;
mod routes;

use super::io::{Arrival, Io};
use super::ports::PortPool;
use super::timers::Timers;
use super::worker::WorkerEvent;
use crate::Lane;
use crate::outbox::{Outbox, SocketToken};
use crate::params::{LegKind, OpenRequest, RtpPort, SessionParams};
use crate::session::{Drops, MediaSession};
use offhook_media_control::{
    Command, CommandError, CommandErrorKind, GoneReason, LegName, MediaSessionId, Reply,
};
use offhook_process::LogLimiter;
use offhook_rtp::PacketClass;
use rand::rngs::StdRng;
use routes::{gone_text, refused};
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

pub(crate) use routes::session_of;

/// Events that wait because the router is behind; more mean that it is stuck, and only those that nobody must miss
/// are kept.
const EVENTS_PENDING_MAX: usize = 16 * 1024;

/// What a worker counts. Plain numbers; the shell publishes them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Sessions now.
    pub(crate) sessions: u64,
    /// RTP port pairs in use now.
    pub(crate) ports_in_use: u64,
    /// Datagrams that came to the WebRTC port.
    pub(crate) webrtc_in: u64,
    /// Datagrams that came to RTP ports.
    pub(crate) rtp_in: u64,
    /// Datagrams that the kernel took from us.
    pub(crate) out: u64,
    /// Datagrams that it did not take.
    pub(crate) out_lost: u64,
    /// Datagrams to the WebRTC port that belong to no session.
    pub(crate) unknown: u64,
    /// Datagrams given to the worker that has their session.
    pub(crate) handed_over: u64,
    /// What ended sessions have dropped.
    pub(crate) drops: Drops,
    /// Frames that ended sessions have transcoded.
    pub(crate) transcoded_frames: u64,
    /// Turns of the loop.
    pub(crate) turns: u64,
    /// Events lost because the router was behind.
    pub(crate) events_lost: u64,
}

/// What a socket is for.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Shared { local: SocketAddr },
    Leg { key: usize, leg: LegName, lane: Lane },
}

struct Hosted {
    session: MediaSession,
    ports: [Option<RtpPort>; 2],
    /// Of a leg that is readied to replace another.
    spare: Option<RtpPort>,
    /// The deadline that is in the heap.
    scheduled: Option<Instant>,
    /// Addresses that lead here.
    addresses: Vec<(LegName, (SocketAddr, SocketAddr))>,
}

/// A change of routes that the other workers have to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RouteNotice {
    /// ICE checks with this ufrag are mine; or no longer.
    Ufrag { ufrag: String, mine: bool },
    /// Datagrams between these addresses are mine; or no longer.
    Address {
        path: (SocketAddr, SocketAddr),
        mine: bool,
    },
}

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handled {
    Here,
    /// Its session is on this worker.
    GiveTo(usize),
}

/// The sessions of one worker.
pub(super) struct Host {
    params: Arc<SessionParams>,
    /// Boxed: half of a table that has just grown is empty.
    sessions: Slab<Box<Hosted>>,
    by_id: HashMap<MediaSessionId, usize>,
    by_ufrag: HashMap<String, usize>,
    /// By local and remote address of the WebRTC port.
    by_address: HashMap<(SocketAddr, SocketAddr), (usize, LegName)>,
    /// Workers that have the legs of other ufrags and addresses: the kernel spreads the port's traffic by source.
    foreign_ufrags: HashMap<String, usize>,
    foreign_addresses: HashMap<(SocketAddr, SocketAddr), usize>,
    purposes: Vec<Option<Purpose>>,
    timers: Timers,
    ports: PortPool,
    rng: StdRng,
    sessions_max: usize,
    pub(super) draining: bool,
    pub(super) outbox: Outbox,
    pub(super) events: VecDeque<WorkerEvent>,
    /// For the other workers.
    pub(super) notices: Vec<RouteNotice>,
    /// Sessions that have ended and are to be swept.
    ended: Vec<usize>,
    strangers_log: LogLimiter,
    pub(super) figures: Figures,
}

impl Host {
    pub(super) fn new(params: Arc<SessionParams>, ports: PortPool, sessions_max: usize, rng: StdRng) -> Self {
        let mut host = Self {
            sessions: Slab::new(),
            by_id: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_address: HashMap::new(),
            foreign_ufrags: HashMap::new(),
            foreign_addresses: HashMap::new(),
            purposes: Vec::new(),
            timers: Timers::default(),
            ports,
            rng,
            sessions_max,
            draining: false,
            outbox: Outbox::with_capacity(1024),
            events: VecDeque::new(),
            notices: Vec::new(),
            ended: Vec::new(),
            strangers_log: LogLimiter::default(),
            figures: Figures::default(),
            params,
        };
        for (local, token) in host.params.webrtc_sockets.clone() {
            host.set_purpose(token, Some(Purpose::Shared { local }));
        }
        host
    }

    /// Takes one datagram.
    #[inline]
    pub(super) fn handle_arrival(&mut self, now: Instant, arrival: &mut Arrival<'_>) -> Handled {
        let Some(Some(purpose)) = self.purposes.get(arrival.socket.0 as usize).copied() else {
            return Handled::Here;
        };
        match purpose {
            Purpose::Leg { key, leg, lane } => {
                self.figures.rtp_in += 1;
                self.datagram(now, key, leg, lane, arrival.source, arrival.data);
                Handled::Here
            }
            Purpose::Shared { local } => {
                self.figures.webrtc_in += 1;
                self.handle_webrtc(now, local, arrival.source, arrival.data)
            }
        }
    }

    /// Takes a datagram of the WebRTC port, received here or handed over.
    pub(super) fn handle_webrtc(
        &mut self,
        now: Instant,
        local: SocketAddr,
        source: SocketAddr,
        data: &mut [u8],
    ) -> Handled {
        let lane = Lane::WebRtc { local };
        // A check names its leg, whatever was at that address before.
        if offhook_rtp::classify(data) == PacketClass::Stun
            && let Some(ufrag) = offhook_webrtc::stun::local_ufrag(data)
        {
            if let Some(&key) = self.by_ufrag.get(ufrag) {
                let leg = self.sessions[key].session.leg_of_ufrag(ufrag);
                self.datagram(now, key, leg, lane, source, data);
                return Handled::Here;
            }
            if let Some(&worker) = self.foreign_ufrags.get(ufrag) {
                return Handled::GiveTo(worker);
            }
        }
        if let Some(&(key, leg)) = self.by_address.get(&(local, source)) {
            self.datagram(now, key, leg, lane, source, data);
            return Handled::Here;
        }
        if let Some(&worker) = self.foreign_addresses.get(&(local, source)) {
            return Handled::GiveTo(worker);
        }
        self.stranger(now, local, source, data);
        Handled::Here
    }

    /// Runs all timers that are due.
    pub(super) fn handle_timeouts(&mut self, now: Instant, io: &mut Io) {
        while let Some((at, key)) = self.timers.pop_due(now) {
            let Some(hosted) = self.sessions.get_mut(key).filter(|h| h.scheduled == Some(at)) else {
                continue; // Replaced, or the session is gone.
            };
            hosted.scheduled = None;
            hosted.session.handle_timeout(now, &mut self.outbox);
            self.after(key);
        }
        self.sweep(now, io);
    }

    /// When [`Self::handle_timeouts`] is due.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Opens a session.
    pub(super) fn open(
        &mut self,
        now: Instant,
        request: OpenRequest,
        io: &mut Io,
    ) -> Result<Reply, CommandError> {
        if let Err(error) = self.admit(&request.session) {
            // The router has counted it in; a session that is there already stays.
            if error.kind != CommandErrorKind::SessionExists {
                self.events.push_back(WorkerEvent::Ended {
                    session: request.session,
                });
            }
            return Err(error);
        }
        let key = self.sessions.vacant_key();
        let mut ports = [None, None];
        for (slot, leg) in ports.iter_mut().zip([LegName::Client, LegName::Carrier]) {
            if request.kind(leg) == LegKind::Rtp {
                *slot = self.take_port(now, io);
                self.route_port(*slot, key, leg);
                if slot.is_none() {
                    break;
                }
            }
        }
        let id = request.session.clone();
        // A port that is missing is found, and reported as busy, by the session.
        match MediaSession::open(now, self.params.clone(), request, ports, &mut self.rng) {
            Ok((session, reply)) => {
                self.by_id.insert(session.id().clone(), key);
                self.sessions.insert(Box::new(Hosted {
                    session,
                    ports,
                    spare: None,
                    scheduled: None,
                    addresses: Vec::new(),
                }));
                self.after(key);
                Ok(reply)
            }
            Err(error) => {
                self.free_ports(now, ports, io);
                self.events.push_back(WorkerEvent::Ended { session: id });
                Err(error)
            }
        }
    }

    fn admit(&self, session: &MediaSessionId) -> Result<(), CommandError> {
        if self.draining {
            return Err(refused(
                CommandErrorKind::Draining,
                "the gateway is leaving; use another one",
            ));
        }
        if self.by_id.contains_key(session) {
            return Err(refused(
                CommandErrorKind::SessionExists,
                "a session of this id is open",
            ));
        }
        if self.sessions.len() >= self.sessions_max {
            return Err(refused(
                CommandErrorKind::Busy,
                "as many sessions as sessions_max allows are open",
            ));
        }
        Ok(())
    }

    /// Does what signalling asks of a session that is open, closing included.
    pub(super) fn command(
        &mut self,
        now: Instant,
        command: &Command,
        io: &mut Io,
    ) -> Result<Reply, CommandError> {
        let key = session_of(command)
            .and_then(|session| self.by_id.get(session))
            .copied()
            .ok_or_else(|| refused(CommandErrorKind::UnknownSession, "no session of this id is open"))?;
        let hosted = &mut self.sessions[key];
        let reply = match command {
            Command::Close { .. } => {
                let summary = hosted.session.close(now, &mut self.outbox);
                self.remove(now, key, io);
                return Ok(Reply::Closed { summary });
            }
            Command::PrepareReplacement { leg, ringback, .. } => {
                self.prepare_replacement(now, key, *leg, *ringback, io)
            }
            Command::Replace { leg, sdp, .. } => self.replace(now, key, *leg, sdp, io),
            Command::DropReplacement { .. } => Ok(self.drop_replacement(now, key, io)),
            command => hosted.session.handle_command(now, command, &mut self.rng),
        };
        self.after(key);
        reply
    }

    /// Ends one session on our own account.
    pub(super) fn abandon(
        &mut self,
        now: Instant,
        session: &MediaSessionId,
        reason: GoneReason,
        io: &mut Io,
    ) {
        if let Some(&key) = self.by_id.get(session) {
            self.sessions[key].session.abandon(now, reason, gone_text(reason));
            self.after(key);
            self.sweep(now, io);
        }
    }

    /// Ends all sessions on our own account.
    pub(super) fn abandon_all(&mut self, now: Instant, reason: GoneReason, io: &mut Io) {
        let keys: Vec<usize> = self.sessions.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.sessions[key].session.abandon(now, reason, gone_text(reason));
            self.after(key);
        }
        self.sweep(now, io);
    }

    /// Closes what has ended since the last sweep. Sockets cannot be closed while datagrams are being taken from them.
    pub(super) fn sweep(&mut self, now: Instant, io: &mut Io) {
        while let Some(key) = self.ended.pop() {
            if let Some(hosted) = self.sessions.get_mut(key) {
                hosted.session.close(now, &mut self.outbox);
                self.remove(now, key, io);
            }
        }
    }

    /// The local address of a WebRTC socket.
    pub(super) fn shared_local(&self, token: SocketToken) -> Option<SocketAddr> {
        match self.purposes.get(token.0 as usize)? {
            Some(Purpose::Shared { local }) => Some(*local),
            _ => None,
        }
    }

    /// The present figures.
    pub(super) fn figures(&self) -> Figures {
        Figures {
            sessions: self.sessions.len() as u64,
            ports_in_use: self.ports.in_use() as u64,
            ..self.figures
        }
    }
}
