//! The role's shell: sockets and clock. The only `select!` of the crate.

use crate::config::Config;
use crate::metrics::Metrics;
use crate::server::{CallSummary, Output, Server, Settings};
use bytes::Bytes;
use offhook_call_trace::CallId;
use offhook_process::{Context, LogLimiter, RoleState, Shutdown};
use offhook_sip::user_agent::{InvalidConfig, LegId};
use offhook_transport::udp::{ReceiveBuffer, UdpSocket};
use offhook_transport::{BindError, address};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Name of the role.
pub const ROLE: &str = "demo-carrier";

/// Name of the bound socket in the readiness report.
pub const SIP_UDP: &str = "sip-udp";

/// RTP packets that may wait for the loop: 100 ms of 1,000 calls. More are dropped, as on a full line.
const PACKETS_MAX: usize = 5_000;

/// Packets taken from the queue at once, so that a flood cannot hold up timers.
const PACKETS_BATCH: usize = 256;

/// Longest RTP packet that is taken, bytes; anything near it is no audio.
const PACKET_LEN_MAX: usize = 2_048;

/// Longest sleep without a deadline.
const IDLE: Duration = Duration::from_secs(3600);

/// How long the last BYEs may take after draining is over.
const FAREWELL: Duration = Duration::from_millis(500);

/// Why the role ended or could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Our own address cannot stand in SIP messages.
    #[error("demo_carrier.listen: {0}")]
    Address(#[from] InvalidConfig),
    /// The socket failed while running.
    #[error("receiving SIP on {address} failed: {source}")]
    Receive {
        /// Our address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Runs the carrier until `shutdown`: while draining, calls go on but no new ones are taken.
pub async fn run(config: Config, context: Context, mut shutdown: Shutdown) -> Result<(), Error> {
    let readiness = context.readiness.register(ROLE);
    let socket = UdpSocket::bind(config.listen)?;
    let bound = socket.local_address();
    let (packet_sender, mut packets) = mpsc::channel(PACKETS_MAX);
    let mut shell = Shell::new(&config, &context, socket, packet_sender)?;
    tracing::info!(address = %bound, "demo carrier listens on UDP");
    readiness.ready([(SIP_UDP, bound)]);

    let mut draining_until: Option<Instant> = None;
    let mut leaving_at: Option<Instant> = None;
    let mut buffer = ReceiveBuffer::default();
    let mut batch = Vec::with_capacity(PACKETS_BATCH);
    let mut stop = shutdown.clone();
    let result = loop {
        let now = Instant::now();
        shell.server.handle_timeout(now);
        shell.settle(now);
        if draining_until.is_some_and(|until| now >= until) && leaving_at.is_none() {
            shell.server.end_calls(now);
            shell.settle(now);
            leaving_at = Some(now + FAREWELL);
        }
        let quiet = draining_until.is_some() && shell.server.is_quiet();
        if quiet || leaving_at.is_some_and(|at| now >= at) {
            break Ok(());
        }
        let pending = if leaving_at.is_some() {
            leaving_at
        } else {
            draining_until
        };
        let wake_at = shell
            .server
            .poll_timeout()
            .into_iter()
            .chain(pending)
            .min()
            .unwrap_or(now + IDLE);
        let Shell { server, socket, .. } = &mut shell;
        tokio::select! {
            biased;
            () = stop.stopped() => break Ok(()),
            until = shutdown.draining(), if draining_until.is_none() => {
                server.drain();
                readiness.set(RoleState::Draining);
                draining_until = Some(until);
            }
            received = socket.receive_batch(&mut buffer, |bytes, from| {
                server.handle_sip(Instant::now(), from, Bytes::copy_from_slice(bytes));
            }) => {
                if let Err(source) = received {
                    break Err(Error::Receive { address: bound, source });
                }
            }
            _ = packets.recv_many(&mut batch, PACKETS_BATCH) => {
                for Packet { leg, from, bytes } in batch.drain(..) {
                    server.handle_rtp(Instant::now(), leg, from, &bytes);
                }
            }
            () = tokio::time::sleep_until(wake_at.into()) => {}
        }
    };
    tracing::info!("demo carrier has stopped");
    result
}

/// An RTP packet on its way from a call's socket to the core.
struct Packet {
    leg: LegId,
    from: SocketAddr,
    bytes: Bytes,
}

/// A call's RTP socket; its reader ends with it.
struct Port {
    socket: Arc<tokio::net::UdpSocket>,
    reader: JoinHandle<()>,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// The core with all that carries out what it says.
struct Shell {
    server: Server,
    socket: UdpSocket,
    context: Context,
    metrics: Metrics,
    config: Config,
    ports: HashMap<LegId, Port>,
    packets: mpsc::Sender<Packet>,
    send_errors: LogLimiter,
}

impl Shell {
    fn new(
        config: &Config,
        context: &Context,
        socket: UdpSocket,
        packets: mpsc::Sender<Packet>,
    ) -> Result<Self, Error> {
        let bound = socket.local_address();
        // Which way out matters only when listening on all interfaces; nothing is sent there.
        let somewhere = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), 5060);
        let settings = Settings {
            address: advertised(config, bound, somewhere).unwrap_or(bound),
            codecs: config.codecs.iter().map(|name| (*name).into()).collect(),
            ring: Duration::from_millis(config.ring_ms),
            calls_max: config.calls_max,
            trace: config.trace,
        };
        let mut metrics = None;
        context.register(|registry| metrics = Some(Metrics::new(registry)));
        Ok(Self {
            server: Server::new(settings, StdRng::from_rng(&mut rand::rng()))?,
            socket,
            context: context.clone(),
            metrics: metrics.unwrap_or_default(),
            config: config.clone(),
            ports: HashMap::new(),
            packets,
            send_errors: LogLimiter::default(),
        })
    }

    /// Carries out all outputs.
    fn settle(&mut self, now: Instant) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::SendSip { to, bytes } => self.send_sip(now, to, &bytes),
                Output::SendRtp { leg, to, bytes } => {
                    // What does not fit into the kernel's buffer is lost, as on any line.
                    if let Some(port) = self.ports.get(&leg)
                        && let Err(error) = port.socket.try_send_to(&bytes, to)
                    {
                        tracing::trace!(%to, %error, "an RTP packet was not sent");
                    }
                }
                Output::OpenPort { leg, peer } => {
                    let port = self.open_port(leg, peer).map_err(|error| error.kind());
                    self.server.handle_port(now, leg, port);
                }
                Output::ClosePort { leg } => {
                    self.ports.remove(&leg);
                }
                Output::Trace(call_id, event) => self.context.traces.record(&call_id, event),
                Output::Ended(summary) => log_end(&summary),
            }
        }
        self.metrics.update(self.server.counts());
    }

    fn send_sip(&mut self, now: Instant, to: SocketAddr, bytes: &[u8]) {
        match self.socket.try_send(bytes, to) {
            Ok(()) => {}
            // Lost like any other datagram: SIP sends it again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                if let Some(suppressed) = self.send_errors.allow(now) {
                    tracing::warn!(%to, %error, suppressed, "a SIP message could not be sent");
                }
                self.server.handle_transport_error(now, to);
            }
        }
    }

    /// Opens a call's RTP port; gives its address as `peer` reaches it.
    fn open_port(&mut self, leg: LegId, peer: SocketAddr) -> io::Result<SocketAddr> {
        let socket = std::net::UdpSocket::bind(SocketAddr::new(self.config.listen.ip(), 0))?;
        socket.set_nonblocking(true)?;
        let socket = Arc::new(tokio::net::UdpSocket::from_std(socket)?);
        let address = advertised(&self.config, socket.local_addr()?, peer)?;
        let reader = tokio::spawn(read_port(leg, Arc::clone(&socket), self.packets.clone()));
        self.ports.insert(leg, Port { socket, reader });
        Ok(address)
    }
}

/// Brings a port's packets to the core, until it is aborted or the core is gone.
async fn read_port(leg: LegId, socket: Arc<tokio::net::UdpSocket>, packets: mpsc::Sender<Packet>) {
    let mut buffer = [0; PACKET_LEN_MAX];
    loop {
        let (len, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // An ICMP answer to what we sent: the peer has not opened its port yet, or has closed it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return tracing::error!(%error, "receiving RTP failed"),
        };
        let packet = Packet {
            leg,
            from,
            bytes: Bytes::copy_from_slice(&buffer[..len]),
        };
        if let Err(mpsc::error::TrySendError::Closed(_)) = packets.try_send(packet) {
            return;
        }
    }
}

/// The address that `peer` reaches a socket of ours at.
fn advertised(config: &Config, bound: SocketAddr, peer: SocketAddr) -> io::Result<SocketAddr> {
    match config.advertise {
        Some(ip) => Ok(SocketAddr::new(ip, bound.port())),
        None => address::advertised(bound, peer),
    }
}

fn log_end(summary: &CallSummary) {
    tracing::info!(
        call_id = summary.call_id.as_ref().map(CallId::as_str),
        scenario = summary.scenario.as_str(),
        codec = summary.codec,
        received = summary.received,
        sent = summary.sent,
        "call ended: {}",
        summary.ending
    );
}
