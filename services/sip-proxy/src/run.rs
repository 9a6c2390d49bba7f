//! The role's shell: socket, clock, name look-ups, metrics, log lines. The only `select!` of the crate.
//!
//! The role has a thread of its own: its messages wait for nobody else's work, and no scheduler is between it and its socket.

mod resolve;

use crate::config::Config;
use crate::dial_plan::CarrierId;
use crate::metrics::Metrics;
use crate::proxy::{Output, Proxy, Settings};
use bytes::Bytes;
use offhook_process::{Context, LogLimiter, Problem, RoleReadiness, RoleState, Shutdown};
use offhook_transport::udp::{ReceiveBuffer, UdpSocket};
use offhook_transport::{BindError, address};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use std::{io, thread};
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};

/// Name of the role.
pub const ROLE: &str = "sip-proxy";

/// Name of the bound socket in the readiness report.
pub const SIP_UDP: &str = "sip-udp";

/// How often carriers' names are looked up again.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(60);

/// Answers of name look-ups that may wait for the loop; a look-up more waits itself.
const LOOKUPS_MAX: usize = 16;

/// Longest sleep without a deadline; the loop then only looks whether it is leaving.
const IDLE: Duration = Duration::from_secs(3600);

/// Why the role ended or could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(Problem),
    /// The socket could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The role's thread could not be started.
    #[error("starting the thread of the SIP proxy failed: {0}")]
    Thread(io::Error),
    /// The socket failed while running.
    #[error("receiving SIP on {address} failed: {source}")]
    Receive {
        /// Our address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Runs the proxy until `shutdown`: while draining, calls go on but no new ones begin.
pub async fn run(config: Config, context: Context, shutdown: Shutdown) -> Result<(), Error> {
    let (ended_sender, ended) = oneshot::channel();
    let body = move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let result = match runtime {
            Ok(runtime) => runtime.block_on(serve(config, context, shutdown)),
            Err(error) => Err(Error::Thread(error)),
        };
        // Nobody listens only if the process is being torn down.
        let _ = ended_sender.send(result);
    };
    let thread = thread::Builder::new().name(ROLE.to_owned()).spawn(body);
    let thread = thread.map_err(Error::Thread)?;
    match ended.await {
        Ok(result) => result,
        Err(_) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("the thread says how it ended, or panics"),
        },
    }
}

async fn serve(config: Config, context: Context, mut shutdown: Shutdown) -> Result<(), Error> {
    let readiness = context.readiness.register(ROLE);
    let socket = UdpSocket::bind(config.sip_proxy.udp)?;
    let bound = socket.local_address();
    let settings = resolve::settings(&config, bound, advertised(&config, bound)).map_err(Error::Config)?;
    let (found_sender, mut found) = mpsc::channel(LOOKUPS_MAX);
    let lookups = tokio::spawn(look_up_names(
        resolve::names(&settings.carriers),
        bound.is_ipv4(),
        found_sender,
    ));
    let mut shell = Shell::new(settings, &context, socket);
    tracing::info!(address = %bound, carriers = config.carriers.len(), "SIP proxy listens on UDP");
    readiness.ready([(SIP_UDP, bound)]);

    let mut draining_until: Option<Instant> = None;
    let mut buffer = ReceiveBuffer::default();
    let mut stop = shutdown.clone();
    let result = loop {
        let now = Instant::now();
        // Here and not only below, so that a flood of datagrams cannot hold up timers.
        shell.proxy.handle_timeout(now);
        shell.settle(now);
        if draining_until.is_some_and(|until| now >= until || shell.proxy.is_quiet()) {
            break Ok(());
        }
        let wake_at = [shell.proxy.poll_timeout(), draining_until]
            .into_iter()
            .flatten()
            .min();
        let wake_at = wake_at.unwrap_or(now + IDLE);
        let Shell { proxy, socket, .. } = &mut shell;
        let proxy = RefCell::new(proxy);
        tokio::select! {
            biased;
            () = stop.stopped() => break Ok(()),
            until = shutdown.draining(), if draining_until.is_none() => {
                drain(proxy.into_inner(), &readiness);
                draining_until = Some(until);
            }
            received = socket.receive_or_unreachable(
                &mut buffer,
                |bytes, from| {
                    let bytes = Bytes::copy_from_slice(bytes);
                    proxy.borrow_mut().handle_datagram(Instant::now(), from, bytes);
                },
                |peer| proxy.borrow_mut().handle_transport_error(Instant::now(), peer),
            ) => {
                if let Err(source) = received {
                    break Err(Error::Receive { address: bound, source });
                }
            }
            Some((carrier, address)) = found.recv() => shell.carrier_found(carrier, address),
            () = tokio::time::sleep_until(wake_at.into()) => {}
        }
    };
    shell.settle(Instant::now());
    lookups.abort();
    tracing::info!("SIP proxy has stopped");
    result
}

fn drain(proxy: &mut Proxy, readiness: &RoleReadiness) {
    proxy.drain();
    readiness.set(RoleState::Draining);
    tracing::info!(calls = proxy.counts().dialogs, "SIP proxy takes no new calls");
}

/// The address that others reach us at.
fn advertised(config: &Config, bound: SocketAddr) -> SocketAddr {
    if let Some(address) = config.sip_proxy.advertise {
        return address;
    }
    let carrier = config.carriers.iter().find_map(|carrier| {
        let target = carrier.target()?;
        let ip: IpAddr = target.uri().host()?.ip()?;
        Some(SocketAddr::new(ip, 5060))
    });
    let peer = carrier.or(config.sip_proxy.vsp.first().map(|vsp| vsp.0));
    peer.and_then(|peer| address::advertised(bound, peer).ok())
        .unwrap_or(bound)
}

/// Looks up carriers' names now and then, one after the other, off the loop.
async fn look_up_names(
    names: Vec<(CarrierId, String, u16)>,
    ipv4: bool,
    found: mpsc::Sender<(CarrierId, Option<SocketAddr>)>,
) {
    if names.is_empty() {
        // Keeps the channel open, so that the loop waits on it for nothing.
        return std::future::pending().await;
    }
    loop {
        for (carrier, name, port) in &names {
            let address = resolve::look_up(name, *port, ipv4).await;
            if found.send((*carrier, address)).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(LOOKUP_INTERVAL).await;
    }
}

/// The core with all that carries out what it says.
struct Shell {
    proxy: Proxy,
    socket: UdpSocket,
    context: Context,
    metrics: Metrics,
    carrier_names: Vec<String>,
    carrier_addresses: Vec<Option<SocketAddr>>,
    refusals: LogLimiter,
    failures: LogLimiter,
    send_errors: LogLimiter,
}

impl Shell {
    fn new(settings: Settings, context: &Context, socket: UdpSocket) -> Self {
        let mut metrics = None;
        context.register(|registry| metrics = Some(Metrics::new(registry)));
        Self {
            carrier_names: settings
                .carriers
                .iter()
                .map(|carrier| carrier.name.clone())
                .collect(),
            carrier_addresses: settings.carriers.iter().map(|carrier| carrier.address).collect(),
            proxy: Proxy::new(settings, StdRng::from_rng(&mut rand::rng())),
            socket,
            context: context.clone(),
            metrics: metrics.unwrap_or_default(),
            refusals: LogLimiter::default(),
            failures: LogLimiter::default(),
            send_errors: LogLimiter::default(),
        }
    }

    /// Carries out all outputs.
    fn settle(&mut self, now: Instant) {
        while let Some(output) = self.proxy.poll_output() {
            match output {
                Output::Transmit { to, bytes } => self.send(now, to, &bytes),
                Output::Trace(traced) => self.context.traces.record(&traced.call, traced.event()),
                Output::Refused { source, reason } => {
                    self.metrics.refused(reason);
                    if let Some(suppressed) = self.refusals.allow(now) {
                        tracing::warn!(%source, reason = reason.as_str(), suppressed, "a SIP message was refused");
                    }
                }
                Output::CarrierFailed {
                    carrier,
                    failure,
                    next,
                    call,
                } => {
                    let suppressed = self.failures.allow(now);
                    let name = self.name(carrier);
                    self.metrics.carrier_failed(name, failure);
                    if let Some(suppressed) = suppressed {
                        let next = next.map(|next| self.name(next));
                        let call_id = call.as_ref().map(|call| call.as_str());
                        tracing::warn!(call_id, carrier = name, %failure, next, suppressed, "a carrier did not take a call");
                    }
                }
            }
        }
        self.metrics.update(self.proxy.counts());
    }

    fn name(&self, carrier: CarrierId) -> &str {
        self.carrier_names.get(carrier.0).map_or("", String::as_str)
    }

    fn send(&mut self, now: Instant, to: SocketAddr, bytes: &[u8]) {
        match self.socket.try_send(bytes, to) {
            Ok(()) => {}
            // Lost like any other datagram: SIP sends it again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                if let Some(suppressed) = self.send_errors.allow(now) {
                    tracing::warn!(%to, %error, suppressed, "a SIP message could not be sent");
                }
                self.proxy.handle_transport_error(now, to);
            }
        }
    }

    fn carrier_found(&mut self, carrier: CarrierId, address: Option<SocketAddr>) {
        let Some(known) = self.carrier_addresses.get_mut(carrier.0) else {
            return;
        };
        // A name server that fails for once does not make a carrier vanish.
        if address.is_none() || *known == address {
            if known.is_none() {
                tracing::warn!(
                    carrier = self.name(carrier),
                    "the carrier's host name cannot be resolved; trying again in a minute"
                );
            }
            return;
        }
        *known = address;
        tracing::info!(
            carrier = self.name(carrier),
            ?address,
            "the carrier's host name is resolved"
        );
        self.proxy.set_carrier_address(carrier, address);
    }
}
