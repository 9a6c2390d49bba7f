//! The core with all that carries out what it says.

use super::{Error, health, tcp};
use crate::config::{Config, HealthUrl};
use crate::fleet::{Check, Fleet, Output, SiteId, Standing};
use crate::metrics::Metrics;
use crate::rate::{PREFIX_V6, RateLimit};
use crate::region::ClientNetwork;
use crate::responder::{Outcome, Responder, Transport};
use offhook_process::{Context, LogLimiter, operator::Request};
use offhook_transport::udp::UdpSocket;
use std::{
    collections::HashMap,
    hash::RandomState,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
    task::{JoinError, JoinSet},
};

/// Questions of TCP connections that wait for the loop; a connection more waits itself.
const QUESTIONS_MAX: usize = 64;

/// What comes from a listening socket.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A message over UDP.
    Datagram {
        message: Vec<u8>,
        from: SocketAddr,
        /// Which of our addresses was asked, where the socket has several.
        at: Option<IpAddr>,
        socket: Arc<UdpSocket>,
    },
    /// A connection.
    Connection { stream: TcpStream, from: SocketAddr },
}

/// A message over TCP.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) message: Vec<u8>,
    pub(super) from: SocketAddr,
    /// Takes what to send back; none closes the connection.
    pub(super) answer: oneshot::Sender<Option<Vec<u8>>>,
}

/// What happens to what the shell has begun.
#[derive(Debug)]
pub(super) enum Event {
    /// A check is over.
    Checked(SiteId, Check),
    /// A question came over TCP.
    Asked(Question),
    /// A connection of that party has ended.
    Gone(IpAddr),
}

#[derive(Debug)]
pub(super) struct Shell {
    responder: Responder<RandomState>,
    metrics: Metrics,
    health: Vec<Option<Arc<HealthUrl>>>,
    health_timeout: Duration,
    checks: JoinSet<(SiteId, Check)>,
    connections: JoinSet<IpAddr>,
    /// How many of them each [`party`] has.
    per_address: HashMap<IpAddr, usize>,
    connections_max: usize,
    connections_per_address_max: usize,
    idle: Duration,
    question_sender: mpsc::Sender<Question>,
    questions: mpsc::Receiver<Question>,
    bad_input: LogLimiter,
}

impl Shell {
    pub(super) fn new(config: &Config, context: &Context, serial: u32, now: Instant) -> Result<Self, Error> {
        let settings = config.settings(serial).map_err(|problems| {
            let first = problems.into_iter().next();
            Error::Config(Box::new(first.expect("who fails says at least one problem")))
        })?;
        let responder = Responder {
            zone: settings.zone,
            regions: settings.regions,
            fleet: Fleet::new(settings.sites, config.health.settings(), now),
            limit: RateLimit::new(config.limits.answers_per_second, RandomState::new(), now),
        };
        let mut metrics = None;
        context.register(|registry| metrics = Some(Metrics::new(registry)));
        let metrics = metrics.unwrap_or_default();
        metrics.update(&responder.fleet);
        let (question_sender, questions) = mpsc::channel(QUESTIONS_MAX);
        Ok(Self {
            responder,
            metrics,
            health: settings.health.into_iter().map(|url| url.map(Arc::new)).collect(),
            health_timeout: config.health.timeout(),
            checks: JoinSet::new(),
            connections: JoinSet::new(),
            per_address: HashMap::new(),
            connections_max: config.limits.tcp_connections_max,
            connections_per_address_max: config.limits.tcp_connections_per_address_max,
            idle: Duration::from_secs(config.limits.tcp_idle_s),
            question_sender,
            questions,
            bad_input: LogLimiter::default(),
        })
    }

    /// True until every site has been asked once.
    pub(super) fn is_warming_up(&self) -> bool {
        self.responder.fleet.is_warming_up()
    }

    /// When [`Self::settle`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.responder.fleet.poll_timeout()
    }

    /// Carries out what is due and what the core wants.
    pub(super) fn settle(&mut self, now: Instant) {
        self.responder.fleet.handle_timeout(now);
        while let Some(output) = self.responder.fleet.poll_output() {
            match output {
                Output::Check(site) => self.start_check(site),
                Output::Changed {
                    site,
                    standing,
                    check,
                } => {
                    self.report(site, standing, check);
                    self.metrics.update(&self.responder.fleet);
                }
            }
        }
    }

    fn start_check(&mut self, site: SiteId) {
        if let Some(Some(url)) = self.health.get(usize::from(site.0)) {
            let (url, limit) = (Arc::clone(url), self.health_timeout);
            self.checks
                .spawn(async move { (site, health::check(&url, limit).await) });
        }
    }

    fn report(&self, site: SiteId, standing: Standing, check: Option<Check>) {
        let name = self
            .responder
            .fleet
            .site(site)
            .map_or("", |site| site.name.as_str());
        match (standing, check) {
            (Standing::Available, _) => tracing::info!(site = name, "site is answered again"),
            (Standing::Failing, Some(Check::Failed(failure))) => {
                tracing::warn!(site = name, reason = %failure, "site is answered no more: it fails its checks");
            }
            (Standing::Failing, _) => tracing::warn!(site = name, "site is answered no more"),
            (Standing::Drained, _) => tracing::info!(site = name, "site is answered no more: it drains"),
        }
    }

    /// What happens next to what was begun here. Safe to drop half way (in `select!`).
    pub(super) async fn next(&mut self) -> Event {
        tokio::select! {
            Some(checked) = self.checks.join_next() => {
                let (site, check) = unpanicked(checked);
                Event::Checked(site, check)
            }
            Some(question) = self.questions.recv() => Event::Asked(question),
            Some(ended) = self.connections.join_next() => Event::Gone(unpanicked(ended)),
            else => std::future::pending().await,
        }
    }

    /// Takes it in.
    pub(super) fn handle(&mut self, event: Event) {
        match event {
            Event::Checked(site, check) => self.responder.fleet.handle_check(Instant::now(), site, check),
            Event::Asked(Question {
                message,
                from,
                answer,
            }) => {
                // The client may have gone.
                let _ = answer.send(self.reply(from, Transport::Tcp, &message));
            }
            Event::Gone(ip) => self.disconnected(ip),
        }
    }

    /// Does what the operator asks for.
    pub(super) fn serve(&mut self, request: Request<Fleet>) {
        request(&mut self.responder.fleet);
    }

    /// Takes what has come to a listening socket.
    pub(super) fn take(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Datagram {
                message,
                from,
                at,
                socket,
            } => {
                let reply = self.reply(from, Transport::Udp, &message);
                if let Some(bytes) = reply
                    && socket.try_send_from(&bytes, from, at).is_err()
                {
                    self.metrics.lost();
                }
            }
            Arrival::Connection { stream, from } => self.connected(stream, from),
        }
    }

    fn connected(&mut self, stream: TcpStream, from: SocketAddr) {
        let ip = party(from.ip());
        let held = self.per_address.get(&ip).copied().unwrap_or_default();
        if self.connections.len() >= self.connections_max || held >= self.connections_per_address_max {
            self.metrics.connection_refused();
            return;
        }
        self.per_address.insert(ip, held + 1);
        let (idle, questions) = (self.idle, self.question_sender.clone());
        self.connections.spawn(async move {
            tcp::serve(stream, from, idle, questions).await;
            ip
        });
        self.metrics.connections(self.connections.len());
    }

    fn disconnected(&mut self, ip: IpAddr) {
        if let Some(held) = self.per_address.get_mut(&ip) {
            *held -= 1;
            if *held == 0 {
                self.per_address.remove(&ip);
            }
        }
        self.metrics.connections(self.connections.len());
    }

    fn reply(&mut self, from: SocketAddr, transport: Transport, message: &[u8]) -> Option<Vec<u8>> {
        let now = Instant::now();
        let reply = self.responder.handle_message(now, from.ip(), transport, message);
        self.metrics.question(transport, reply.outcome);
        if let Some(site) = reply.site {
            self.metrics.answered(&self.responder.fleet, site);
        }
        let is_bad = matches!(reply.outcome, Outcome::FormatError | Outcome::Ignored);
        if is_bad && let Some(suppressed) = self.bad_input.allow(now) {
            let outcome = reply.outcome.as_str();
            tracing::info!(%from, outcome, len = message.len(), suppressed, "a message that is no question");
        }
        reply.bytes
    }
}

/// Who counts as one: an IPv4 address, or the IPv6 network of one customer, who has more addresses than there are connections.
fn party(address: IpAddr) -> IpAddr {
    let host = ClientNetwork::host(address);
    match host.address() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(_) => host.widened(PREFIX_V6).address(),
    }
}

/// The result of a task; its panic is ours.
fn unpanicked<T>(result: Result<T, JoinError>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_customer_is_one_party() {
        let party = |text: &str| party(text.parse().unwrap()).to_string();
        assert_eq!(party("2001:db8:0:1::1"), party("2001:db8:0:ff::2"));
        assert_ne!(party("2001:db8:0:1::1"), party("2001:db8:0:100::1"));
        assert_eq!(party("192.0.2.1"), "192.0.2.1");
        assert_eq!(party("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
