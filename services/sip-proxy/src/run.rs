//! The role's shell. Here, on the process's runtime: starting, leaving, look-ups of names. `run/shell.rs` has the thread that
//! owns socket and core.
//!
//! ```text
//! runtime: shutdown, names ──orders──► thread: socket ─► core ─► socket
//! ```

mod pace;
mod resolve;
mod shell;

use crate::config::Config;
use offhook_process::{Context, Problem, RoleState, Shutdown};
use offhook_transport::udp::batch::{BatchSocket, Waker};
use offhook_transport::{BindError, address};
use pace::Pace;
use resolve::Found;
use shell::{Order, Shell};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use std::{io, thread};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Name of the role.
pub const ROLE: &str = "sip-proxy";

/// Name of the bound socket in the readiness report.
pub const SIP_UDP: &str = "sip-udp";

/// Answers of name look-ups that may wait; a look-up more waits itself.
const LOOKUPS_MAX: usize = 16;

/// Orders that may wait for the thread, which takes them at least once per batch of messages.
const ORDERS_MAX: usize = 16;

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
    let readiness = context.readiness.register(ROLE);
    let socket = BatchSocket::bind(config.sip_proxy.udp)?;
    let bound = socket.local_address();
    let settings = resolve::settings(&config, bound, advertised(&config, bound)).map_err(Error::Config)?;
    let (found_sender, found) = mpsc::channel(LOOKUPS_MAX);
    let locator = config.sip_proxy.locator();
    let mut lookups = JoinSet::new();
    for name in resolve::names(&settings.carriers) {
        let sender = found_sender.clone();
        lookups.spawn(resolve::keep_located(
            locator.clone(),
            name,
            bound.is_ipv4(),
            sender,
        ));
    }
    let (orders, inbox) = Orders::new(socket.waker());
    let pace = Pace::new(Duration::from_micros(config.sip_proxy.wake_interval_us));
    let shell = Shell::new(settings, pace, &context, socket, inbox);
    let (ended_sender, mut ended) = oneshot::channel();
    let body = move || {
        // Nobody listens only if the process is being torn down.
        let _ = ended_sender.send(shell.serve());
    };
    let thread = thread::Builder::new().name(ROLE.to_owned()).spawn(body);
    let thread = thread.map_err(Error::Thread)?;
    tracing::info!(address = %bound, carriers = config.carriers.len(), "SIP proxy listens on UDP");
    readiness.ready([(SIP_UDP, bound)]);

    let says_draining = || readiness.set(RoleState::Draining);
    let result = attend(shutdown, found, &orders, &mut ended, says_draining).await;
    lookups.shutdown().await;
    tracing::info!("SIP proxy has stopped");
    match result {
        Some(result) => result,
        None => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("the thread says how it ended, or panics"),
        },
    }
}

/// Tells the thread what it has to know until it has ended; how, or `None` if it panicked.
async fn attend(
    mut shutdown: Shutdown,
    mut found: mpsc::Receiver<Found>,
    orders: &Orders,
    ended: &mut oneshot::Receiver<Result<(), Error>>,
    says_draining: impl Fn(),
) -> Option<Result<(), Error>> {
    let mut stop = shutdown.clone();
    let (mut draining, mut stopping) = (false, false);
    loop {
        let order = tokio::select! {
            biased;
            result = &mut *ended => return result.ok(),
            () = stop.stopped(), if !stopping => {
                stopping = true;
                Order::Stop
            }
            until = shutdown.draining(), if !draining && !stopping => {
                draining = true;
                says_draining();
                Order::Drain { until }
            }
            Some(found) = found.recv() => Order::CarrierFound(found),
        };
        orders.give(order).await;
    }
}

/// The way to the thread. Dropping it ends the thread.
struct Orders {
    sender: Option<mpsc::Sender<Order>>,
    waker: Waker,
}

impl Orders {
    fn new(waker: Waker) -> (Self, mpsc::Receiver<Order>) {
        let (sender, inbox) = mpsc::channel(ORDERS_MAX);
        let sender = Some(sender);
        (Self { sender, waker }, inbox)
    }

    async fn give(&self, order: Order) {
        if let Some(sender) = &self.sender {
            // It fails when the thread has just ended, which is heard of next.
            let _ = sender.send(order).await;
        }
        self.waker.wake();
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        self.sender = None;
        self.waker.wake();
    }
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
