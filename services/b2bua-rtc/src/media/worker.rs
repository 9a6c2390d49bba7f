//! One media thread: waits, takes a batch, runs timers, sends a batch.
//!
//! Under load it wakes once per wake interval and takes all that has come meanwhile; waking is most of what a packet
//! costs otherwise. Commands cut that nap short.

use super::host::{Figures, Handled, Host, RouteNotice};
use super::io::{Io, Waker};
use super::ports::{PortPool, bind_udp};
use crate::config::IoChoice;
use crate::outbox::SocketToken;
use crate::params::{OpenRequest, SessionParams};
use offhook_media_control::{
    Command, CommandError, CommandErrorKind, Event, GoneReason, MediaSessionId, Reply,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::io as std_io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Messages that wait for one worker: commands, and datagrams that the kernel gave to the wrong one.
const INBOX_MAX: usize = 4096;
/// How often figures are published.
const FIGURES_INTERVAL: Duration = Duration::from_millis(500);
/// Legs send a packet every 20 ms, some every 10: so many can have come on one port since the last turn. One is taken
/// in a quick turn, which saves a system call; a worker that was held up catches up.
const PACKET_INTERVAL: Duration = Duration::from_millis(10);
/// Most datagrams of one leg in one turn: a flood on a port cannot delay other legs for long.
const PER_LEG_MAX: usize = 32;
/// Messages taken in one turn, so that datagrams are not kept waiting.
const MESSAGES_PER_TURN_MAX: usize = 64;

/// Where a reply goes.
pub(crate) type ReplySender = oneshot::Sender<Result<Reply, CommandError>>;

/// What a worker is told.
#[derive(Debug)]
pub(crate) enum ToWorker {
    Open(Box<OpenRequest>, ReplySender),
    Command(Box<Command>, ReplySender),
    Abandon(MediaSessionId, GoneReason),
    /// A datagram of the WebRTC port whose session is here.
    Datagram {
        local: SocketAddr,
        source: SocketAddr,
        bytes: Box<[u8]>,
    },
    /// Routes of another worker.
    Routes {
        worker: usize,
        notices: Vec<RouteNotice>,
    },
    /// Take no new sessions.
    Drain,
    /// End what is left and return.
    Stop,
}

/// What a worker tells.
#[derive(Debug)]
pub(crate) enum WorkerEvent {
    Event {
        session: MediaSessionId,
        event: Event,
    },
    /// The session is no longer here, whyever.
    Ended {
        session: MediaSessionId,
    },
}

/// A local address of the WebRTC port, and what browsers are told.
#[derive(Debug)]
pub(crate) struct SharedAddress {
    pub(crate) local: SocketAddr,
    pub(crate) socket: UdpSocket,
}

/// What a worker is made with.
#[derive(Debug)]
pub(crate) struct WorkerConfig {
    pub(crate) index: usize,
    pub(crate) io: IoChoice,
    pub(crate) wake_interval: Duration,
    pub(crate) sessions_max: usize,
    /// This worker's sockets of the WebRTC port, one per local address.
    pub(crate) shared: Vec<SharedAddress>,
    /// `webrtc_sockets` is filled in by the worker.
    pub(crate) params: SessionParams,
    pub(crate) rtp_address: std::net::IpAddr,
    /// First ports of its pairs.
    pub(crate) ports: Vec<u16>,
    pub(crate) seed: [u8; 32],
}

/// The other end of a worker.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    inbox: SyncSender<ToWorker>,
    waker: Waker,
    pub(crate) figures: watch::Receiver<Figures>,
    /// Which implementation moves its datagrams.
    pub(crate) io_name: &'static str,
    pub(crate) thread: JoinHandle<()>,
}

/// The inbox of a worker, for another one.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    inbox: SyncSender<ToWorker>,
    waker: Waker,
}

impl WorkerHandle {
    /// Puts a message into the inbox.
    ///
    /// # Errors
    /// The message, if the inbox is full or the worker has gone.
    pub(crate) fn send(&self, message: ToWorker) -> Result<(), ToWorker> {
        send(&self.inbox, &self.waker, message)
    }

    /// Tells it to stop after what its inbox holds; does nothing if it has gone.
    pub(crate) async fn stop(&self) {
        if let Err(message) = self.send(ToWorker::Stop) {
            let Peer { inbox, waker } = self.peer();
            // A full inbox empties within milliseconds, and nobody receives from that of a worker that has gone.
            let sent = tokio::task::spawn_blocking(move || inbox.send(message).map(|()| waker.wake()));
            let _ = sent.await;
        }
    }

    /// Its inbox, for the other workers.
    pub(crate) fn peer(&self) -> Peer {
        Peer {
            inbox: self.inbox.clone(),
            waker: self.waker.clone(),
        }
    }
}

fn send(inbox: &SyncSender<ToWorker>, waker: &Waker, message: ToWorker) -> Result<(), ToWorker> {
    match inbox.try_send(message) {
        Ok(()) => {
            waker.wake();
            Ok(())
        }
        Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => Err(message),
    }
}

/// A refusal for a message that found the inbox full.
pub(crate) fn refuse(message: ToWorker) {
    if let ToWorker::Open(_, reply) | ToWorker::Command(_, reply) = message {
        let error = CommandError {
            kind: CommandErrorKind::Busy,
            message: "the media worker is behind; try again or use another gateway".to_owned(),
        };
        // The asker may have gone; then nobody needs the answer.
        let _ = reply.send(Err(error));
    }
}

/// Binds the WebRTC port for one worker.
pub(crate) fn bind_shared(address: SocketAddr) -> std_io::Result<SharedAddress> {
    let socket = bind_udp(address, true)?;
    Ok(SharedAddress {
        local: socket.local_addr()?,
        socket,
    })
}

/// Starts a worker. `peers` brings the inboxes of all workers, in order, once they are all there.
pub(crate) fn spawn(
    config: WorkerConfig,
    events: mpsc::Sender<WorkerEvent>,
    peers: oneshot::Receiver<Vec<Peer>>,
) -> std_io::Result<WorkerHandle> {
    let mut io = Io::new(config.io)?;
    let (inbox, messages) = sync_channel(INBOX_MAX);
    let (figures_sender, figures) = watch::channel(Figures::default());
    let mut params = config.params;
    params.webrtc_sockets = config
        .shared
        .into_iter()
        .map(|shared| Ok((shared.local, io.add_shared(shared.socket)?)))
        .collect::<std_io::Result<Vec<(SocketAddr, SocketToken)>>>()?;
    let host = Host::new(
        Arc::new(params),
        PortPool::new(config.rtp_address, config.ports),
        config.sessions_max,
        StdRng::from_seed(config.seed),
    );
    let waker = io.waker();
    let io_name = io.name();
    let mut worker = Worker {
        index: config.index,
        host,
        io,
        messages,
        events,
        figures: figures_sender,
        published: Instant::now(),
        wake_interval: config.wake_interval,
        peers: Vec::new(),
        stop: false,
    };
    let thread = std::thread::Builder::new()
        .name(format!("media-{}", config.index))
        .spawn(move || {
            // Sent right after all workers were spawned; if the start failed half way there is nothing to do.
            let Ok(peers) = peers.blocking_recv() else {
                return;
            };
            worker.peers = peers;
            worker.run();
        })?;
    Ok(WorkerHandle {
        inbox,
        waker,
        figures,
        io_name,
        thread,
    })
}

struct Worker {
    index: usize,
    host: Host,
    io: Io,
    messages: Receiver<ToWorker>,
    events: mpsc::Sender<WorkerEvent>,
    figures: watch::Sender<Figures>,
    published: Instant,
    wake_interval: Duration,
    peers: Vec<Peer>,
    stop: bool,
}

impl Worker {
    fn run(&mut self) {
        let mut woken = Instant::now();
        while !self.stop {
            self.io.nap(self.wake_interval.saturating_sub(woken.elapsed()));
            let ready = self.io.wait(self.patience());
            let since_last = woken.elapsed();
            woken = Instant::now();
            // First, so that new routes are known to the datagrams that follow them.
            self.take_messages(woken);
            match ready {
                Ok(true) => self.receive(woken, since_last),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%error, worker = self.index, "cannot wait for datagrams");
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            self.host.handle_timeouts(woken, &mut self.io);
            self.flush();
            self.publish(woken);
        }
        let now = Instant::now();
        self.host.abandon_all(now, GoneReason::Shutdown, &mut self.io);
        self.flush();
        self.publish(now);
    }

    /// How long to wait for datagrams when there are none.
    fn patience(&self) -> Option<Duration> {
        let timers = self
            .host
            .next_timeout()
            .map(|at| at.saturating_duration_since(Instant::now()));
        // Events that found the router's queue full are offered again soon.
        let retry = (!self.host.events.is_empty()).then_some(Duration::from_millis(5));
        let figures = (self.host.figures() != *self.figures.borrow()).then_some(FIGURES_INTERVAL);
        [timers, retry, figures].into_iter().flatten().min()
    }

    fn receive(&mut self, now: Instant, since_last: Duration) {
        let Self { io, host, peers, .. } = self;
        host.figures.turns += 1;
        let per_leg = 1 + (since_last.as_millis() / PACKET_INTERVAL.as_millis()) as usize;
        io.receive(per_leg.min(PER_LEG_MAX), |mut arrival| {
            let Handled::GiveTo(worker) = host.handle_arrival(now, &mut arrival) else {
                return;
            };
            let Some((peer, local)) = peers.get(worker).zip(host.shared_local(arrival.socket)) else {
                return;
            };
            host.figures.handed_over += 1;
            let message = ToWorker::Datagram {
                local,
                source: arrival.source,
                bytes: Box::from(&*arrival.data),
            };
            // A full inbox loses the datagram, as a full socket buffer would.
            if send(&peer.inbox, &peer.waker, message).is_err() {
                host.figures.out_lost += 1;
            }
        });
    }

    fn take_messages(&mut self, now: Instant) {
        for _ in 0..MESSAGES_PER_TURN_MAX {
            let Ok(message) = self.messages.try_recv() else {
                return;
            };
            self.take_message(now, message);
            // Other workers have to know new routes before the reply leads a browser here.
            self.send_notices();
        }
        // There may be more: do not sleep on them.
        self.io.waker().wake();
    }

    fn take_message(&mut self, now: Instant, message: ToWorker) {
        match message {
            ToWorker::Open(request, reply) => {
                let result = self.host.open(now, *request, &mut self.io);
                self.send_notices();
                let _ = reply.send(result);
            }
            ToWorker::Command(command, reply) => {
                let result = self.host.command(now, &command, &mut self.io);
                self.send_notices();
                let _ = reply.send(result);
            }
            ToWorker::Abandon(session, reason) => self.host.abandon(now, &session, reason, &mut self.io),
            ToWorker::Datagram {
                local,
                source,
                mut bytes,
            } => {
                // Not handed on once more: routes that change meanwhile must not send it in circles.
                self.host.handle_webrtc(now, local, source, &mut bytes);
            }
            ToWorker::Routes { worker, notices } => {
                for notice in notices {
                    self.host.note_route(worker, notice);
                }
            }
            ToWorker::Drain => self.host.draining = true,
            ToWorker::Stop => self.stop = true,
        }
    }

    fn send_notices(&mut self) {
        if self.host.notices.is_empty() {
            return;
        }
        let notices = std::mem::take(&mut self.host.notices);
        for (index, peer) in self.peers.iter().enumerate() {
            if index != self.index {
                let message = ToWorker::Routes {
                    worker: self.index,
                    notices: notices.clone(),
                };
                if send(&peer.inbox, &peer.waker, message).is_err() {
                    tracing::warn!(
                        worker = index,
                        "a media worker is behind; a call may miss datagrams"
                    );
                }
            }
        }
    }

    fn flush(&mut self) {
        self.send_notices();
        let sent = self.io.send(&mut self.host.outbox);
        self.host.figures.out += sent.sent;
        self.host.figures.out_lost += sent.lost;
        while let Some(event) = self.host.events.pop_front() {
            if let Err(error) = self.events.try_send(event) {
                if let mpsc::error::TrySendError::Full(event) = error {
                    self.host.events.push_front(event);
                }
                return;
            }
        }
    }

    fn publish(&mut self, now: Instant) {
        if now.saturating_duration_since(self.published) >= FIGURES_INTERVAL || self.stop {
            self.published = now;
            self.figures.send_replace(self.host.figures());
        }
    }
}
