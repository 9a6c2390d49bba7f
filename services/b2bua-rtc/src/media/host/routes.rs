//! Which datagram belongs to which session, and what sessions leave behind when they end.

use super::{EVENTS_PENDING_MAX, Host, Hosted, Purpose, RouteNotice};
use crate::Lane;
use crate::media::io::Io;
use crate::media::worker::WorkerEvent;
use crate::outbox::SocketToken;
use crate::params::RtpPort;
use crate::session::Output;
use offhook_media_control::{
    Command, CommandError, CommandErrorKind, Event, GoneReason, LegName, MediaSessionId,
};
use offhook_webrtc::Path;
use offhook_webrtc::stun::PLAIN_RESPONSE_LEN_MAX;
use std::net::SocketAddr;
use std::time::Instant;

impl Host {
    /// Hands a datagram to its session.
    #[inline]
    pub(super) fn datagram(
        &mut self,
        now: Instant,
        key: usize,
        leg: LegName,
        lane: Lane,
        source: SocketAddr,
        data: &mut [u8],
    ) {
        if let Some(hosted) = self.sessions.get_mut(key) {
            hosted
                .session
                .handle_datagram(now, leg, lane, source, data, &mut self.outbox);
            self.after(key);
        }
    }

    /// A datagram to the WebRTC port from nobody we know: a plain STUN request is answered, all else is dropped.
    pub(super) fn stranger(&mut self, now: Instant, local: SocketAddr, source: SocketAddr, data: &[u8]) {
        self.figures.unknown += 1;
        let socket = self
            .params
            .webrtc_sockets
            .iter()
            .find(|(address, _)| *address == local)
            .map(|(_, token)| *token);
        let mut response = [0; PLAIN_RESPONSE_LEN_MAX];
        if let Some(socket) = socket
            && let Some(len) = offhook_webrtc::stun::answer_plain_request(data, source, &mut response)
        {
            self.outbox.push(socket, source, &response[..len]);
        } else if let Some(suppressed) = self.strangers_log.allow(now) {
            tracing::warn!(%source, suppressed, "datagram to the WebRTC port that belongs to no call");
        }
    }

    /// Another worker's routes have changed.
    pub(in crate::media) fn note_route(&mut self, worker: usize, notice: RouteNotice) {
        match notice {
            RouteNotice::Ufrag { ufrag, mine: true } => {
                self.foreign_ufrags.insert(ufrag, worker);
            }
            RouteNotice::Ufrag { ufrag, mine: false } => {
                self.foreign_ufrags.remove(&ufrag);
            }
            RouteNotice::Address { path, mine: true } => {
                self.foreign_addresses.insert(path, worker);
                if let Some((key, leg)) = self.by_address.remove(&path) {
                    self.forget_address(key, leg, path);
                }
            }
            // It may have gone to a third worker meanwhile.
            RouteNotice::Address { path, mine: false } => {
                if self.foreign_addresses.get(&path) == Some(&worker) {
                    self.foreign_addresses.remove(&path);
                }
            }
        }
    }

    /// What has to be done after each input to a session: its deadline and its outputs.
    #[inline]
    pub(super) fn after(&mut self, key: usize) {
        let Some(hosted) = self.sessions.get_mut(key) else {
            return;
        };
        if let Some(at) = hosted.session.poll_timeout()
            && hosted.scheduled.is_none_or(|scheduled| at < scheduled)
        {
            hosted.scheduled = Some(at);
            self.timers.push(at, key);
        }
        if hosted.session.has_output() {
            self.drain_outputs(key);
        }
    }

    fn drain_outputs(&mut self, key: usize) {
        while let Some(output) = self
            .sessions
            .get_mut(key)
            .and_then(|hosted| hosted.session.poll_output())
        {
            match output {
                Output::Event(event) => self.push_event(key, event),
                Output::AddressAdded(leg, path) => self.add_address(key, leg, path),
                Output::AddressRemoved(leg, path) => self.remove_address(key, leg, path),
                Output::UfragAdded(ufrag) => {
                    self.notices.push(RouteNotice::Ufrag {
                        ufrag: ufrag.clone(),
                        mine: true,
                    });
                    self.by_ufrag.insert(ufrag, key);
                }
                Output::UfragRemoved(ufrag) => {
                    self.by_ufrag.remove(&ufrag);
                    self.notices.push(RouteNotice::Ufrag { ufrag, mine: false });
                }
                Output::LegRenewed(leg) => {
                    for (of, path) in self.sessions[key].addresses.clone() {
                        if of == leg {
                            self.remove_path(key, path);
                        }
                    }
                }
                Output::Ended => self.ended.push(key),
            }
        }
    }

    fn push_event(&mut self, key: usize, event: Event) {
        let must_arrive = matches!(
            event,
            Event::Gone { .. } | Event::Dtmf { .. } | Event::Connected { .. }
        );
        if self.events.len() >= EVENTS_PENDING_MAX && !must_arrive {
            self.figures.events_lost += 1;
            return;
        }
        let session = self.sessions[key].session.id().clone();
        self.events.push_back(WorkerEvent::Event { session, event });
    }

    fn add_address(&mut self, key: usize, leg: LegName, path: Path) {
        let path = (path.local, path.remote);
        // The address may have been another session's (a browser that reuses its port): it is ours from now on.
        if let Some((before, its_leg)) = self.by_address.insert(path, (key, leg))
            && before != key
        {
            self.forget_address(before, its_leg, path);
        }
        let addresses = &mut self.sessions[key].addresses;
        // Most browsers have one.
        addresses.reserve_exact(1);
        addresses.push((leg, path));
        self.notices.push(RouteNotice::Address { path, mine: true });
    }

    /// Another session has claimed the address.
    fn forget_address(&mut self, key: usize, leg: LegName, path: (SocketAddr, SocketAddr)) {
        if let Some(hosted) = self.sessions.get_mut(key) {
            hosted.addresses.retain(|(_, known)| *known != path);
            let (local, remote) = path;
            hosted.session.forget_address(leg, Path { local, remote });
        }
    }

    fn remove_address(&mut self, key: usize, leg: LegName, path: Path) {
        let path = (path.local, path.remote);
        if self.by_address.get(&path) == Some(&(key, leg)) {
            self.remove_path(key, path);
        }
    }

    fn remove_path(&mut self, key: usize, path: (SocketAddr, SocketAddr)) {
        self.by_address.remove(&path);
        self.sessions[key].addresses.retain(|(_, known)| *known != path);
        self.notices.push(RouteNotice::Address { path, mine: false });
    }

    /// Drops a session and all that leads to it.
    pub(super) fn remove(&mut self, now: Instant, key: usize, io: &mut Io) {
        self.drain_outputs(key);
        self.ended.retain(|ended| *ended != key);
        let Hosted {
            mut session,
            ports,
            spare,
            addresses,
            ..
        } = *self.sessions.remove(key);
        self.by_id.remove(session.id());
        for ufrag in session.take_ufrags() {
            self.by_ufrag.remove(&ufrag);
            self.notices.push(RouteNotice::Ufrag { ufrag, mine: false });
        }
        for (_, path) in addresses {
            self.by_address.remove(&path);
            self.notices.push(RouteNotice::Address { path, mine: false });
        }
        self.figures.drops.add(session.drops());
        self.figures.transcoded_frames += session.transcoded_frames();
        // What the session had to say goes out before its sockets close.
        io.send(&mut self.outbox);
        self.free_ports(now, ports, io);
        self.free_ports(now, [spare], io);
        self.events.push_back(WorkerEvent::Ended {
            session: session.id().clone(),
        });
    }

    /// A port whose datagrams go nowhere yet.
    pub(super) fn take_port(&mut self, now: Instant, io: &mut Io) -> Option<RtpPort> {
        let pair = self.ports.take(now)?;
        let port = pair.port;
        let sockets = io.add(pair.rtp).and_then(|rtp| match io.add(pair.rtcp) {
            Ok(rtcp) => Ok((rtp, rtcp)),
            Err(error) => {
                io.remove(rtp);
                Err(error)
            }
        });
        match sockets {
            Ok((rtp, rtcp)) => Some(RtpPort { port, rtp, rtcp }),
            Err(error) => {
                tracing::error!(%error, port, "an RTP socket cannot be watched; raise the limit of open files");
                self.ports.give_back(now, port);
                None
            }
        }
    }

    /// Datagrams that come to a port are this leg's from now on.
    pub(super) fn route_port(&mut self, port: Option<RtpPort>, key: usize, leg: LegName) {
        let Some(port) = port else {
            return;
        };
        for (token, lane) in [(port.rtp, Lane::Rtp), (port.rtcp, Lane::Rtcp)] {
            self.set_purpose(token, Some(Purpose::Leg { key, leg, lane }));
        }
    }

    pub(super) fn free_ports<const N: usize>(
        &mut self,
        now: Instant,
        ports: [Option<RtpPort>; N],
        io: &mut Io,
    ) {
        for port in ports.into_iter().flatten() {
            for token in [port.rtp, port.rtcp] {
                self.set_purpose(token, None);
                io.remove(token);
            }
            self.ports.give_back(now, port.port);
        }
    }

    pub(super) fn set_purpose(&mut self, token: SocketToken, purpose: Option<Purpose>) {
        let index = token.0 as usize;
        if self.purposes.len() <= index {
            self.purposes.resize(index + 1, None);
        }
        self.purposes[index] = purpose;
    }
}

/// The session that a command is for.
pub(crate) fn session_of(command: &Command) -> Option<&MediaSessionId> {
    match command {
        Command::Open { session, .. }
        | Command::Answer { session, .. }
        | Command::Reoffer { session, .. }
        | Command::MakeOffer { session, .. }
        | Command::PrepareReplacement { session, .. }
        | Command::Replace { session, .. }
        | Command::DropReplacement { session }
        | Command::Candidate { session, .. }
        | Command::Ringing { session }
        | Command::Dtmf { session, .. }
        | Command::Hold { session, .. }
        | Command::Play { session, .. }
        | Command::StopPlaying { session, .. }
        | Command::Latch { session, .. }
        | Command::Close { session } => Some(session),
        Command::Ping {} => None,
    }
}

pub(super) fn refused(kind: CommandErrorKind, message: &str) -> CommandError {
    CommandError {
        kind,
        message: message.to_owned(),
    }
}

pub(super) fn gone_text(reason: GoneReason) -> &'static str {
    match reason {
        GoneReason::ControlLost => "signalling was gone for longer than the grace time",
        GoneReason::Shutdown => "the gateway was asked to stop",
        _ => "ended by the gateway",
    }
}
