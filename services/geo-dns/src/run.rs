//! The role's shell: sockets, clock, health checks. One loop owns the core; what reads from sockets hands it questions.
//!
//! ```text
//! UDP readers ─┐ questions                 ┌─► answers
//! TCP clients ─┴──────────► loop: core ────┤
//!                             ▲            └─► checks ─┐
//!                             └──────── results ───────┘
//! ```

mod health;
mod listeners;
pub mod operator;
mod shell;
mod tcp;

use crate::config::Config;
use crate::fleet::Fleet;
use listeners::Listeners;
use offhook_process::{Context, Problem, RoleState, Shutdown, operator::Requests};
use offhook_transport::BindError;
use shell::Shell;
use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Name of the role.
pub const ROLE: &str = "geo-dns";

/// Name of the bound UDP sockets in the readiness report.
pub const DNS_UDP: &str = "dns-udp";

/// Name of the bound TCP sockets in the readiness report.
pub const DNS_TCP: &str = "dns-tcp";

/// Longest sleep without a deadline.
const IDLE: Duration = Duration::from_secs(3600);

/// Why the role ended or could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error("geo_dns.{}: {}", .0.path, .0.what)]
    Config(Box<Problem>),
    /// A socket could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A socket failed while running.
    #[error("receiving questions on {address} failed: {source}")]
    Receive {
        /// Our address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Answers until `shutdown`. It has nothing to drain: who is not answered asks the zone's next name server.
pub async fn run(
    config: Config,
    context: Context,
    mut shutdown: Shutdown,
    mut operator: Requests<Fleet>,
) -> Result<(), Error> {
    let readiness = context.readiness.register(ROLE);
    let mut shell = Shell::new(&config, &context, serial(), Instant::now())?;
    let mut listeners = Listeners::bind(&config.listen.0).await?;
    let mut stop = shutdown.clone();

    readiness.set(RoleState::Starting(
        "waiting for the first health checks".to_owned(),
    ));
    // Questions wait in the kernel meanwhile, no longer than a check may take: an answer is kept by resolvers for long, and
    // nothing is known yet that it could be made of.
    while shell.is_warming_up() {
        shell.settle(Instant::now());
        tokio::select! {
            () = stop.stopped() => return Ok(()),
            _ = shutdown.draining() => return Ok(()),
            event = shell.next() => shell.handle(event),
        }
    }
    let addresses = listeners.addresses();
    tracing::info!(zone = config.zone, addresses = ?addresses.iter().map(|(_, address)| address).collect::<Vec<_>>(), "geo-DNS answers");
    readiness.ready(addresses);

    let result = loop {
        shell.settle(Instant::now());
        let wake_at = shell.poll_timeout().unwrap_or_else(|| Instant::now() + IDLE);
        // In no fixed order: TCP clients that ask all the time must not keep UDP waiting, nor the other way round.
        tokio::select! {
            () = stop.stopped() => break Ok(()),
            _ = shutdown.draining() => break Ok(()),
            event = shell.next() => shell.handle(event),
            result = listeners.next() => match result {
                Ok(arrival) => shell.take(arrival),
                Err(error) => break Err(error),
            },
            Some(request) = operator.next() => shell.serve(request),
            () = tokio::time::sleep_until(wake_at.into()) => {}
        }
    };
    tracing::info!("geo-DNS has stopped");
    result
}

/// Seconds since 1970 as they fit (RFC 1982 counts on from there): higher after each start with another configuration.
fn serial() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() as u32
}
