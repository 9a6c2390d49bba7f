//! From a SIP domain to the servers that serve it over UDP (RFC 3263 §4): NAPTR, SRV, then plain addresses.
//!
//! Names of `/etc/hosts` count first, then the name servers of `/etc/resolv.conf`, or those that we are told. Where they
//! know no address, the system is asked, which may know other ways.

mod message;

use message::{Answer, Kind, Naptr, Record, Srv};
use rand::RngExt;
use std::collections::HashMap;
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
/// How long an answer holds at least: a lifetime of 0 must not make us ask without a pause.
const FRESH_MIN: Duration = Duration::from_secs(1);
/// How long at most, whatever the zone says: a move is found out within an hour.
const FRESH_MAX: Duration = Duration::from_secs(3600);
/// How long what the system says holds, which names no lifetime.
const FRESH_UNKNOWN: Duration = Duration::from_secs(60);

/// Asks name servers. Clones share nothing but the lists.
#[derive(Debug, Clone)]
pub struct Locator {
    servers: Vec<SocketAddr>,
    hosts: HashMap<String, Vec<IpAddr>>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// At most [`ADDRESSES_MAX`] addresses in all; empty if nobody is known to serve the domain.
    pub servers: Vec<Server>,
    /// How long that holds: as long as the zone says, within a second and an hour.
    pub fresh_for: Duration,
}

/// A server, as an SRV record names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Lower ones are tried first (RFC 2782).
    pub priority: u16,
    /// Share of the first tries, within one priority.
    pub weight: u16,
    /// Where it is, in the order in which to try.
    pub addresses: Vec<SocketAddr>,
}

/// The records of one kind, and how long they may be kept.
#[derive(Debug, Default)]
struct Records {
    records: Vec<Record>,
    fresh_for: Option<Duration>,
}

/// No name server has answered.
struct Silent;

impl Locator {
    /// With the system's name servers and its `/etc/hosts`.
    pub fn system() -> Self {
        let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        Self::with_servers(servers_of(&text))
    }

    /// With these name servers and the system's `/etc/hosts`.
    pub fn with_servers(servers: Vec<SocketAddr>) -> Self {
        let text = fs::read_to_string("/etc/hosts").unwrap_or_default();
        let hosts = hosts_of(&text);
        Self {
            hosts,
            ..Self::new(servers)
        }
    }

    /// With these name servers alone; of a long list, the first few.
    pub fn new(mut servers: Vec<SocketAddr>) -> Self {
        servers.truncate(SERVERS_MAX);
        let hosts = HashMap::new();
        Self { servers, hosts }
    }

    /// Where requests for `domain` go over UDP. With `port`, only addresses are looked up (§4.2). Of both kinds of addresses
    /// those count that a socket for `ipv4`, or else IPv6, can send to.
    pub async fn locate(&self, domain: &str, port: Option<u16>, ipv4: bool) -> Located {
        let mut found = self.find(domain, port).await;
        let mut room = ADDRESSES_MAX;
        for server in &mut found.servers {
            server.addresses.retain(|address| address.is_ipv4() == ipv4);
            server.addresses.truncate(room);
            room -= server.addresses.len();
        }
        found.servers.retain(|server| !server.addresses.is_empty());
        found
    }

    async fn find(&self, domain: &str, port: Option<u16>) -> Located {
        let literal: Option<IpAddr> = domain.trim_matches(['[', ']']).parse().ok();
        if let Some(ip) = literal {
            let address = SocketAddr::new(ip, port.unwrap_or(SIP_PORT));
            return Located::one(vec![address], FRESH_MAX);
        }
        let plain = port.or(self
            .hosts
            .contains_key(&domain.to_ascii_lowercase())
            .then_some(SIP_PORT));
        if let Some(port) = plain {
            return self.addresses(domain, port).await;
        }
        let Ok(services) = self.services(domain).await else {
            return Located::one(system_addresses(domain, SIP_PORT).await, FRESH_UNKNOWN);
        };
        let Some(mut fresh_for) = services.fresh_for else {
            return self.addresses(domain, SIP_PORT).await;
        };
        let mut services: Vec<Srv> = services.records.into_iter().filter_map(Record::srv).collect();
        services.sort_by_key(|srv| srv.priority);
        let mut servers = Vec::new();
        // A target of "." says that the domain has no such service (RFC 2782).
        for service in services
            .into_iter()
            .filter(|srv| !srv.target.is_empty())
            .take(ADDRESSES_MAX)
        {
            let found = self.addresses(&service.target, service.port).await;
            fresh_for = fresh_for.min(found.fresh_for);
            servers.extend(found.servers.into_iter().map(|server| Server {
                priority: service.priority,
                weight: service.weight,
                ..server
            }));
        }
        Located { servers, fresh_for }
    }

    /// The SRV records of the domain's SIP over UDP.
    async fn services(&self, domain: &str) -> Result<Records, Silent> {
        let naptr = self.ask(domain, Kind::Naptr).await?;
        let fresh_for = naptr.fresh_for;
        let mut pointers: Vec<Naptr> = naptr.records.into_iter().filter_map(Record::naptr).collect();
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
        let mut services = self.ask(&name, Kind::Srv).await?;
        services.fresh_for = services
            .fresh_for
            .map(|own| fresh_for.map_or(own, |naptr| naptr.min(own)));
        Ok(services)
    }

    /// Both kinds of addresses of a host.
    async fn addresses(&self, host: &str, port: u16) -> Located {
        if let Some(known) = self.hosts.get(&host.to_ascii_lowercase()) {
            let known = known.iter().map(|ip| SocketAddr::new(*ip, port));
            return Located::one(known.collect(), FRESH_UNKNOWN);
        }
        let (v4, v6) = tokio::join!(self.ask(host, Kind::A), self.ask(host, Kind::Aaaa));
        let both: Vec<Records> = [v4, v6].into_iter().flatten().collect();
        let fresh_for = both.iter().filter_map(|records| records.fresh_for).min();
        let ips = both
            .into_iter()
            .flat_map(|found| found.records)
            .filter_map(Record::address);
        let found: Vec<SocketAddr> = ips.map(|ip| SocketAddr::new(ip, port)).collect();
        match fresh_for {
            Some(fresh_for) if !found.is_empty() => Located::one(found, fresh_for),
            _ => Located::one(system_addresses(host, port).await, FRESH_UNKNOWN),
        }
    }

    /// The records of one kind; none if the first server that answers knows none.
    async fn ask(&self, name: &str, kind: Kind) -> Result<Records, Silent> {
        for server in &self.servers {
            match timeout(ANSWER_WAIT, exchange(*server, name, kind)).await {
                Ok(Ok(answer)) => {
                    let of_kind = answer.into_iter().filter(|(record, _)| record.kind() == kind);
                    let (records, lifetimes): (Vec<_>, Vec<_>) = of_kind.unzip();
                    let shortest = lifetimes.into_iter().min();
                    let fresh_for = shortest.map(|ttl_s| Duration::from_secs(u64::from(ttl_s)));
                    let fresh_for = fresh_for.map(|fresh_for| fresh_for.clamp(FRESH_MIN, FRESH_MAX));
                    return Ok(Records { records, fresh_for });
                }
                Ok(Err(error)) => tracing::debug!(%server, name, %error, "a name server did not answer"),
                Err(_) => tracing::debug!(%server, name, "a name server did not answer in time"),
            }
        }
        Err(Silent)
    }
}

impl Located {
    /// One server, or none.
    fn one(addresses: Vec<SocketAddr>, fresh_for: Duration) -> Self {
        let server = Server {
            priority: 0,
            weight: 0,
            addresses,
        };
        let servers = Some(server).filter(|server| !server.addresses.is_empty());
        Self {
            servers: servers.into_iter().collect(),
            fresh_for,
        }
    }
}

/// One question, over TCP if the answer is too long for a datagram.
async fn exchange(server: SocketAddr, name: &str, kind: Kind) -> io::Result<Vec<(Record, u32)>> {
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

async fn exchange_stream(server: SocketAddr, question: &[u8]) -> io::Result<Vec<(Record, u32)>> {
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

async fn system_addresses(host: &str, port: u16) -> Vec<SocketAddr> {
    match timeout(ADDRESS_WAIT, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => found.take(2 * ADDRESSES_MAX).collect(),
        _ => Vec::new(),
    }
}

/// Addresses by name in lower case.
fn hosts_of(hosts: &str) -> HashMap<String, Vec<IpAddr>> {
    let mut known: HashMap<String, Vec<IpAddr>> = HashMap::new();
    for line in hosts.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(ip) = words.next().and_then(|word| word.parse().ok()) else {
            continue;
        };
        for name in words {
            known.entry(name.to_ascii_lowercase()).or_default().push(ip);
        }
    }
    known
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
