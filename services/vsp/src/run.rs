//! The core on sockets: the one task that owns it, and the tasks that only move bytes.

mod control_link;
mod gateway;
mod http;
mod metrics;
mod notes;
pub mod operator;
mod recordings;
mod reports;
pub(crate) mod verify;
mod websocket;

use crate::config::{AuthConfig, Config, UserConfig};
use crate::output::{AskToken, ConnectionId, Departure, MediaToken, Output, Peer};
use crate::{Server, auth::Verdict};
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use gateway::{FromGateway, Gateway};
use notes::Notes;
use offhook_media_control::{CommandError, Reply};
use offhook_process::{Context, Phase, RoleState, Shutdown, operator::Requests};
use offhook_sip::locate;
use offhook_transport::locate::Locator;
use offhook_transport::udp::{ReceiveBuffer, UdpSocket};
use offhook_transport::{BindError, address, tls::TlsError};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use verify::{KeyError, Verifier};

pub use gateway::{COMMANDS_MAX, CommandRequest, EVENTS_MAX, GatewayLink};

/// Name of the role in readiness and logs.
pub const ROLE: &str = "vsp";
/// Inputs of sockets that wait for the core. Over it, sockets are not read, which makes clients wait.
const INBOX_LEN: usize = 1024;
/// Inputs taken before outputs are sent and timers looked at.
const INBOX_BATCH_MAX: usize = 64;
/// Age that gauges may have: counting ten thousand sessions after each frame would cost more than the frames.
const GAUGES_AGE_MAX: Duration = Duration::from_millis(20);
/// How long the VSP waits for far ends to acknowledge its BYEs once no call is left.
const LEAVE_WAIT: Duration = Duration::from_secs(2);
/// How often it looks meanwhile, and how long it leaves sockets to send their close frames.
const POLL_EMPTY: Duration = Duration::from_millis(20);

/// What the VSP is made of.
#[derive(Debug)]
pub struct Parts {
    /// `[vsp]`.
    pub config: Config,
    /// `[auth]`.
    pub auth: AuthConfig,
    /// `[[user]]`.
    pub users: Vec<UserConfig>,
    /// The gateway in this process; `None`: `config.control` says where it is.
    pub gateway: Option<GatewayLink>,
    /// Answers what is neither WebSocket nor upload: the pages.
    pub pages: axum::Router,
    /// What the operator asks for, by the admin port.
    pub operator: Requests<Server>,
}

/// Why the VSP cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A key of tokens, or the hash of a password.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// TLS is missing.
    #[error("{0} is reachable from outside without TLS; see `offhook check`")]
    Plain(SocketAddr),
    /// The directory of recordings cannot be used.
    #[error("recordings in {directory}: {source}; see vsp.recordings_dir")]
    Recordings {
        /// As configured.
        directory: String,
        /// What the system says.
        source: io::Error,
    },
    /// No gateway.
    #[error("no media gateway: name one in vsp.control, or run the role b2bua-rtc in this process")]
    NoGateway,
    /// The SIP socket fails, or its address cannot be found out.
    #[error("SIP socket: {0}")]
    Sip(io::Error),
}

/// What tasks tell the core.
#[derive(Debug)]
enum Input {
    /// Whether a client with this sticky id may open a socket.
    Knocked(Option<String>, oneshot::Sender<bool>),
    Opened(ConnectionId, Peer, websocket::Writer),
    Text(ConnectionId, String),
    Binary(ConnectionId),
    /// The Pong of our last Ping frame.
    Pong(ConnectionId, u64),
    Closed(ConnectionId, Departure),
    /// A frame that the WebSocket layer refused; the socket is closed.
    Broken(ConnectionId, String),
    /// The client does not read; the socket is closed.
    Slow(ConnectionId),
    Verdict(AskToken, Verdict),
    Located(String, Vec<SocketAddr>),
}

type ReplyFuture = Pin<Box<dyn Future<Output = (MediaToken, Result<Reply, CommandError>)> + Send>>;

/// Runs the VSP until `shutdown`. Reports its addresses as `http` and `sip-udp`.
pub async fn run(parts: Parts, context: Context, mut shutdown: Shutdown) -> Result<(), Error> {
    let readiness = context.readiness.register(ROLE);
    let sip = UdpSocket::bind(parts.config.sip)?;
    let contact = match parts.config.sip_advertised {
        Some(contact) => contact,
        None => address::advertised(sip.local_address(), parts.config.sip_proxy).map_err(Error::Sip)?,
    };
    let verifier = Verifier::new(&parts.auth, &parts.users, parts.config.limits.sessions_max).await?;
    let notes = Notes::new(&context);
    let gateway = match (parts.gateway, &parts.config.control) {
        (Some(link), _) => Gateway::local(link),
        (None, Some(url)) => Gateway::remote(url, context.node.as_str()),
        (None, None) => return Err(Error::NoGateway),
    };
    let (inbox_sender, inbox) = mpsc::channel(INBOX_LEN);
    let listener = http::Listener::bind(&parts.config, parts.pages, inbox_sender.clone(), &notes).await?;
    let addresses = [
        ("http", listener.local_address()),
        ("sip-udp", sip.local_address()),
    ];
    let accepting = tokio::spawn(listener.serve());

    let node = context.node.as_str();
    let settings = parts.config.settings(node, &parts.auth, &parts.users, contact);
    let mut shell = Shell {
        server: Server::new(settings, StdRng::from_rng(&mut rand::rng())),
        sip,
        locator: Locator::system(),
        inbox,
        inbox_sender,
        verifier,
        gateway,
        replies: FuturesUnordered::new(),
        writers: HashMap::new(),
        notes,
        operator: parts.operator,
        gauges_due: None,
    };
    if shell.gateway.is_up() {
        readiness.ready(addresses);
    } else {
        readiness.ready(addresses);
        readiness.set(RoleState::NotReady(
            "the control link to the media gateway is not up yet".to_owned(),
        ));
    }
    tracing::info!(http = %addresses[0].1, sip = %addresses[1].1, "VSP serves");
    let result = shell.serve(&readiness, addresses, &mut shutdown).await;
    accepting.abort();
    result
}

struct Shell {
    server: Server,
    sip: UdpSocket,
    locator: Locator,
    inbox: mpsc::Receiver<Input>,
    inbox_sender: mpsc::Sender<Input>,
    verifier: Verifier,
    gateway: Gateway,
    replies: FuturesUnordered<ReplyFuture>,
    writers: HashMap<ConnectionId, websocket::Writer>,
    notes: Notes,
    operator: Requests<Server>,
    /// When gauges are to be set; `None` if nothing has happened since they were.
    gauges_due: Option<Instant>,
}

impl Shell {
    async fn serve(
        &mut self,
        readiness: &offhook_process::RoleReadiness,
        addresses: [(&'static str, SocketAddr); 2],
        shutdown: &mut Shutdown,
    ) -> Result<(), Error> {
        let mut buffer = ReceiveBuffer::default();
        let mut datagrams = Vec::new();
        let mut drain_until = None;
        loop {
            let deadline = [self.server.poll_timeout(), self.gauges_due]
                .into_iter()
                .flatten()
                .min();
            let timer = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            let mut stopped = shutdown.clone();
            let mut only_gauges = false;
            tokio::select! {
                received = self.sip.receive_batch(&mut buffer, |bytes, from| datagrams.push((Bytes::copy_from_slice(bytes), from))) => {
                    received.map_err(Error::Sip)?;
                    let now = Instant::now();
                    for (bytes, from) in datagrams.drain(..) {
                        self.server.handle_datagram(now, from, bytes);
                    }
                }
                Some(input) = self.inbox.recv() => self.take_inputs(input),
                Some(request) = self.operator.next() => request(&mut self.server),
                Some((token, reply)) = self.replies.next() => {
                    self.server.handle_reply(Instant::now(), token, reply);
                }
                event = self.gateway.next() => self.take_event(event, readiness, addresses),
                () = timer => only_gauges = !self.on_timer(Instant::now()),
                until = shutdown.draining(), if drain_until.is_none() => {
                    tracing::info!(calls = self.server.counts().calls, "VSP drains");
                    readiness.set(RoleState::Draining);
                    drain_until = Some(until);
                    self.server.handle_drain(Instant::now(), until);
                }
                () = stopped.stopped() => return Ok(()),
            }
            self.send_outputs();
            if !only_gauges && self.gauges_due.is_none() {
                self.gauges_due = Some(Instant::now() + GAUGES_AGE_MAX);
            }
            if drain_until.is_some() && self.has_drained() {
                self.say_goodbye(shutdown).await;
                return Ok(());
            }
        }
    }

    /// Whether the core had something due, not the gauges alone.
    fn on_timer(&mut self, now: Instant) -> bool {
        if self.gauges_due.is_some_and(|due| due <= now) {
            self.gauges_due = None;
            self.notes.set_counts(&self.server.counts());
        }
        let due = self.server.poll_timeout().is_some_and(|due| due <= now);
        if due {
            self.server.handle_timeout(now);
        }
        due
    }

    fn has_drained(&self) -> bool {
        let counts = self.server.counts();
        counts.connections + counts.sessions + counts.calls == 0
    }

    fn take_inputs(&mut self, first: Input) {
        self.take_input(first);
        for _ in 1..INBOX_BATCH_MAX {
            match self.inbox.try_recv() {
                Ok(input) => self.take_input(input),
                Err(_) => break,
            }
        }
    }

    fn take_input(&mut self, input: Input) {
        let now = Instant::now();
        match input {
            Input::Knocked(voice_sdk_id, answer) => {
                // Who has gone meanwhile needs no answer.
                let _ = answer.send(self.server.may_enter(voice_sdk_id.as_deref()));
            }
            Input::Opened(id, peer, writer) => {
                self.writers.insert(id, writer);
                self.server.handle_opened(now, id, peer);
            }
            Input::Text(id, text) => self.server.handle_text(now, id, &text),
            Input::Binary(id) => self.server.handle_binary(now, id),
            Input::Pong(id, number) => self.server.handle_pong(now, id, number),
            Input::Closed(id, how) => {
                self.writers.remove(&id);
                self.server.handle_closed(now, id, how);
            }
            Input::Broken(id, why) => {
                self.notes.broken_socket(id, &why);
                self.writers.remove(&id);
                self.server.handle_closed(now, id, Departure::Lost);
            }
            Input::Slow(id) => self.drop_slow(now, id),
            Input::Verdict(token, verdict) => self.server.handle_verdict(now, token, verdict),
            Input::Located(domain, addresses) => self.server.handle_located(now, &domain, addresses),
        }
    }

    fn take_event(
        &mut self,
        event: FromGateway,
        readiness: &offhook_process::RoleReadiness,
        addresses: [(&'static str, SocketAddr); 2],
    ) {
        match event {
            FromGateway::Event(event) => self.server.handle_event(Instant::now(), event),
            FromGateway::Up => {
                tracing::info!("control link to the media gateway is up");
                self.server.handle_link_up();
                readiness.ready(addresses);
            }
            FromGateway::Down(why) => {
                tracing::error!(why, "control link to the media gateway is down; its calls end");
                readiness.set(RoleState::NotReady(format!(
                    "control link to the media gateway: {why}"
                )));
                self.server.handle_link_down(Instant::now());
            }
        }
    }

    /// Sends all that the core wants sent.
    fn send_outputs(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Text { to, text } => self.send_to(to, |writer| writer.send(text)),
                Output::Ping { to, number } => self.send_to(to, |writer| writer.ping(number)),
                Output::Close { to, reason } => {
                    if let Some(writer) = self.writers.remove(&to) {
                        writer.close(reason);
                    }
                }
                Output::Datagram { to, bytes } => self.send_datagram(to, &bytes),
                Output::Media { token, command } => {
                    let reply = self.gateway.command(command);
                    self.replies.push(Box::pin(async move { (token, reply.await) }));
                }
                Output::Ask { token, question } => {
                    let (verifier, inbox) = (self.verifier.clone(), self.inbox_sender.clone());
                    tokio::spawn(async move {
                        let verdict = verifier.answer(question).await;
                        // The core is gone: nobody waits for the answer.
                        let _ = inbox.send(Input::Verdict(token, verdict)).await;
                    });
                }
                Output::Locate { domain } => self.locate(domain),
                Output::Trace(call_id, event) => self.notes.trace(&call_id, event),
                Output::Note(note) => self.notes.take(note),
            }
        }
    }

    fn send_to(
        &mut self,
        to: ConnectionId,
        send: impl FnOnce(&websocket::Writer) -> Result<(), websocket::Slow>,
    ) {
        if self.writers.get(&to).is_some_and(|writer| send(writer).is_err()) {
            self.drop_slow(Instant::now(), to);
        }
    }

    /// Asks DNS, while everything else goes on.
    fn locate(&self, domain: String) {
        let (locator, inbox) = (self.locator.clone(), self.inbox_sender.clone());
        let ipv4 = self.sip.local_address().is_ipv4();
        tokio::spawn(async move {
            let found = locator.locate(&domain, None, ipv4).await;
            let places = found.servers.into_iter().map(|server| locate::Place {
                priority: server.priority,
                weight: server.weight,
                addresses: server.addresses,
            });
            let addresses = locate::in_order(&places.collect::<Vec<_>>(), &mut rand::rng());
            // The core is gone: nobody waits for the answer.
            let _ = inbox.send(Input::Located(domain, addresses)).await;
        });
    }

    fn send_datagram(&mut self, to: SocketAddr, bytes: &[u8]) {
        match self.sip.try_send(bytes, to) {
            Ok(()) => {}
            // Like any datagram that is lost on the way: SIP sends it again, or gives up in time.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tracing::warn!(%to, "SIP datagram lost: the socket's buffer is full");
            }
            Err(error) => {
                tracing::warn!(%to, %error, "SIP datagram not sent");
                self.server.handle_unsent(Instant::now(), to);
            }
        }
    }

    /// A client that does not read what it is sent.
    fn drop_slow(&mut self, now: Instant, id: ConnectionId) {
        tracing::warn!(connection = id.0, "client does not read and is dropped");
        self.notes.slow_client();
        self.writers.remove(&id);
        self.server.handle_closed(now, id, Departure::Lost);
    }

    /// Waits a moment until far ends have acknowledged the last BYEs, and sockets have sent their close frames.
    async fn say_goodbye(&mut self, shutdown: &mut Shutdown) {
        let end = tokio::time::Instant::now() + LEAVE_WAIT;
        let mut buffer = ReceiveBuffer::default();
        while !self.server.is_empty() && tokio::time::Instant::now() < end {
            if shutdown.phase() == Phase::Stopped {
                return;
            }
            let mut datagrams = Vec::new();
            let receive = self.sip.receive_batch(&mut buffer, |bytes, from| {
                datagrams.push((Bytes::copy_from_slice(bytes), from));
            });
            // Neither a timeout nor a broken socket changes that we leave.
            let _ = tokio::time::timeout(POLL_EMPTY, receive).await;
            let now = Instant::now();
            for (bytes, from) in datagrams {
                self.server.handle_datagram(now, from, bytes);
            }
            self.server.handle_timeout(now);
            self.send_outputs();
        }
        tokio::time::sleep(POLL_EMPTY).await;
    }
}
