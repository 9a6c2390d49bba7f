//! From a SIP domain to the addresses that serve it over UDP (RFC 3263 §4): NAPTR, SRV, then plain addresses.
//!
//! Addresses come from the system (so `/etc/hosts` counts); NAPTR and SRV, which the system has no call for, from the name
//! servers of `/etc/resolv.conf`.

mod message;

use message::{Answer, Kind, Naptr, Record, Srv};
use rand::RngExt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use std::{fs, io};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Port of SIP where neither the domain nor DNS names one.
const SIP_PORT: u16 = 5060;
/// Most addresses of one domain: more are never tried while a caller waits.
pub const ADDRESSES_MAX: usize = 8;
/// Name servers that are asked, as many as the system's resolver asks.
const SERVERS_MAX: usize = 3;
/// How long one name server may take.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// How long the system may take for an address.
const ADDRESS_WAIT: Duration = Duration::from_secs(3);
/// Largest answer over UDP (RFC 1035 §4.2.1): we offer no more.
const DATAGRAM_MAX: usize = 512;

/// Asks name servers. Clones share nothing but the list.
#[derive(Debug, Clone)]
pub struct Locator {
    servers: Vec<SocketAddr>,
}

impl Locator {
    /// With the system's name servers.
    pub fn system() -> Self {
        let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        Self::new(servers_of(&text))
    }

    /// With these name servers; of a long list, the first few.
    pub fn new(mut servers: Vec<SocketAddr>) -> Self {
        servers.truncate(SERVERS_MAX);
        Self { servers }
    }

    /// Where requests for `domain` go over UDP, in the order in which to try; empty if nobody is known to serve it. With
    /// `port`, only addresses are looked up (§4.2).
    pub async fn locate(&self, domain: &str, port: Option<u16>) -> Vec<SocketAddr> {
        let literal: Option<IpAddr> = domain.trim_matches(['[', ']']).parse().ok();
        if let Some(ip) = literal {
            return vec![SocketAddr::new(ip, port.unwrap_or(SIP_PORT))];
        }
        if let Some(port) = port {
            return addresses(domain, port).await;
        }
        let services = self.services(domain).await;
        if services.is_empty() {
            return addresses(domain, SIP_PORT).await;
        }
        let mut found = Vec::new();
        for service in services {
            // A target of "." says that the domain has no such service (RFC 2782).
            if found.len() < ADDRESSES_MAX && !service.target.is_empty() {
                found.extend(addresses(&service.target, service.port).await);
            }
        }
        found.truncate(ADDRESSES_MAX);
        found
    }

    /// The SRV records of the domain's SIP over UDP, in the order in which to try.
    async fn services(&self, domain: &str) -> Vec<Srv> {
        let naptr = self.ask(domain, Kind::Naptr).await;
        let mut pointers: Vec<Naptr> = naptr.into_iter().filter_map(Record::naptr).collect();
        let any_service = !pointers.is_empty();
        pointers.retain(|naptr| {
            naptr.service.eq_ignore_ascii_case("SIP+D2U") && naptr.flags.eq_ignore_ascii_case("s")
        });
        pointers.sort_by_key(|naptr| (naptr.order, naptr.preference));
        let name = match pointers.into_iter().next() {
            Some(naptr) => naptr.replacement,
            None => {
                if any_service {
                    tracing::debug!(
                        domain,
                        "its NAPTR records name no SIP over UDP; trying SRV all the same"
                    );
                }
                format!("_sip._udp.{domain}")
            }
        };
        let records = self.ask(&name, Kind::Srv).await;
        in_order(records.into_iter().filter_map(Record::srv).collect())
    }

    /// The records of one kind; none if no server knows better.
    async fn ask(&self, name: &str, kind: Kind) -> Vec<Record> {
        for server in &self.servers {
            match timeout(ANSWER_WAIT, exchange(*server, name, kind)).await {
                Ok(Ok(records)) => return records,
                Ok(Err(error)) => tracing::debug!(%server, name, %error, "a name server did not answer"),
                Err(_) => tracing::debug!(%server, name, "a name server did not answer in time"),
            }
        }
        Vec::new()
    }
}

/// One question, over TCP if the answer is too long for a datagram.
async fn exchange(server: SocketAddr, name: &str, kind: Kind) -> io::Result<Vec<Record>> {
    let id: u16 = rand::rng().random();
    let invalid = |what: &'static str| io::Error::new(io::ErrorKind::InvalidInput, what);
    let question = message::question(id, name, kind).ok_or(invalid("not a domain name"))?;
    let any: SocketAddr = match server.is_ipv4() {
        true => ([0, 0, 0, 0], 0).into(),
        false => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(&question).await?;
    let mut buffer = [0; DATAGRAM_MAX];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match message::answer(&buffer[..length], &question) {
            // Not ours: a late or a forged one.
            None => {}
            Some(Answer::Records(records)) => return Ok(records),
            Some(Answer::Failed) => return Err(invalid("the server failed")),
            Some(Answer::Truncated) => return exchange_stream(server, &question).await,
        }
    }
}

async fn exchange_stream(server: SocketAddr, question: &[u8]) -> io::Result<Vec<Record>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes(), question].concat();
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    match message::answer(&answer, question) {
        Some(Answer::Records(records)) => Ok(records),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "no answer to the question",
        )),
    }
}

async fn addresses(host: &str, port: u16) -> Vec<SocketAddr> {
    match timeout(ADDRESS_WAIT, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => found.take(ADDRESSES_MAX).collect(),
        _ => Vec::new(),
    }
}

/// By priority; within one, drawn by weight (RFC 2782).
fn in_order(mut services: Vec<Srv>) -> Vec<Srv> {
    services.truncate(4 * ADDRESSES_MAX);
    let mut rng = rand::rng();
    let mut ordered = Vec::with_capacity(services.len());
    while let Some(priority) = services.iter().map(|srv| srv.priority).min() {
        let candidates = || {
            services
                .iter()
                .enumerate()
                .filter(|(_, srv)| srv.priority == priority)
        };
        // One more each, so that those of weight 0 have a small chance.
        let total: u32 = candidates().map(|(_, srv)| u32::from(srv.weight) + 1).sum();
        let mut draw = rng.random_range(0..total);
        let drawn = candidates().find(|(_, srv)| {
            let weight = u32::from(srv.weight) + 1;
            let hit = draw < weight;
            draw = draw.saturating_sub(weight);
            hit
        });
        let at = drawn.map_or(0, |(at, _)| at);
        ordered.push(services.remove(at));
    }
    ordered
}

fn servers_of(resolv_conf: &str) -> Vec<SocketAddr> {
    let servers = resolv_conf.lines().filter_map(|line| {
        let server: IpAddr = line.trim().strip_prefix("nameserver")?.trim().parse().ok()?;
        Some(SocketAddr::new(server, 53))
    });
    let mut servers: Vec<SocketAddr> = servers.collect();
    if servers.is_empty() {
        // As the system's resolver does.
        servers.push(([127, 0, 0, 1], 53).into());
    }
    servers
}

#[cfg(test)]
mod tests;
