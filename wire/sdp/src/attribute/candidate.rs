//! `a=candidate`: one way to reach a peer (RFC 8839 §5.1, TCP: RFC 6544 §4.5).

use std::fmt;
use std::net::SocketAddr;

use super::TypedAttribute;
use crate::host::Host;

/// Most extension pairs that are kept; browsers send up to five.
const EXTENSIONS_MAX: usize = 16;
/// Type preferences of RFC 8445 §5.1.2.2.
const HOST_PREFERENCE: u32 = 126;

/// One way to reach a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Groups candidates of one base and kind; 1 to 32 ice-chars.
    pub foundation: String,
    /// 1 for RTP, 2 for RTCP.
    pub component: u16,
    /// Transport.
    pub transport: CandidateTransport,
    /// The higher the better.
    pub priority: u32,
    /// Address, or an mDNS name that hides it.
    pub host: Host,
    /// Port; 9 for an active TCP candidate.
    pub port: u16,
    /// How the peer learned it.
    pub kind: CandidateKind,
    /// `raddr` and `rport`: the base of a reflexive or relayed candidate.
    pub related: Option<(Host, u16)>,
    /// `tcptype`, for TCP.
    pub tcp_type: Option<TcpType>,
    /// Further pairs such as `generation 0` or `ufrag 9Xw2`, in order.
    pub extensions: Vec<(String, String)>,
}

/// Transports of candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CandidateTransport {
    /// `udp`.
    Udp,
    /// `tcp`.
    Tcp,
    /// Any other, as written.
    Other(String),
}

/// How a peer learned of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CandidateKind {
    /// Its own interface.
    Host,
    /// By a STUN server.
    ServerReflexive,
    /// From a connectivity check.
    PeerReflexive,
    /// On a TURN server.
    Relayed,
}

/// Who opens the connection of a TCP candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TcpType {
    /// This side.
    Active,
    /// The other side.
    Passive,
    /// Both at once.
    SimultaneousOpen,
}

impl Candidate {
    /// A host candidate of ours over UDP, component 1. `index` counts our addresses, the preferred one first.
    pub fn host(index: u16, address: SocketAddr) -> Self {
        let local_preference = u32::from(u16::MAX - index);
        Self {
            foundation: (u32::from(index) + 1).to_string(),
            component: 1,
            transport: CandidateTransport::Udp,
            priority: (HOST_PREFERENCE << 24) | (local_preference << 8) | 255,
            host: Host::Ip(address.ip()),
            port: address.port(),
            kind: CandidateKind::Host,
            related: None,
            tcp_type: None,
            extensions: Vec::new(),
        }
    }

    /// Where it is, if it is numeric.
    pub fn address(&self) -> Option<SocketAddr> {
        self.host.ip().map(|ip| SocketAddr::new(ip, self.port))
    }
}

impl TypedAttribute for Candidate {
    const NAME: &'static str = "candidate";
    const EXPECTED: &'static str =
        "<foundation> <component> udp|tcp <priority> <address> <port> typ <kind> …";

    fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let foundation = words.next().filter(|text| text.len() <= 32)?.to_owned();
        let component = words
            .next()?
            .parse()
            .ok()
            .filter(|component| (1..=256).contains(component))?;
        let transport = CandidateTransport::parse(words.next()?);
        let priority = words.next()?.parse().ok()?;
        let host = Host::parse(words.next()?);
        let port = words.next()?.parse().ok()?;
        if words.next()? != "typ" {
            return None;
        }
        let kind = CandidateKind::parse(words.next()?)?;
        let mut candidate = Self {
            foundation,
            component,
            transport,
            priority,
            host,
            port,
            kind,
            related: None,
            tcp_type: None,
            extensions: Vec::new(),
        };
        candidate.take_extensions(words)?;
        Some(candidate)
    }
}

impl Candidate {
    fn take_extensions<'a>(&mut self, mut words: impl Iterator<Item = &'a str>) -> Option<()> {
        let mut related_host = None;
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            match name {
                "raddr" => related_host = Some(Host::parse(value)),
                "rport" => {
                    let port = value.parse().ok()?;
                    self.related = related_host.take().map(|host| (host, port));
                }
                "tcptype" => self.tcp_type = Some(TcpType::parse(value)?),
                _ if self.extensions.len() < EXTENSIONS_MAX => {
                    self.extensions.push((name.to_owned(), value.to_owned()));
                }
                _ => break,
            }
        }
        Some(())
    }
}

impl CandidateTransport {
    fn parse(text: &str) -> Self {
        if text.eq_ignore_ascii_case("udp") {
            Self::Udp
        } else if text.eq_ignore_ascii_case("tcp") {
            Self::Tcp
        } else {
            Self::Other(text.to_owned())
        }
    }
}

impl CandidateKind {
    const ALL: [Self; 4] = [
        Self::Host,
        Self::ServerReflexive,
        Self::PeerReflexive,
        Self::Relayed,
    ];

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
        }
    }
}

impl TcpType {
    const ALL: [Self; 3] = [Self::Active, Self::Passive, Self::SimultaneousOpen];

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::SimultaneousOpen => "so",
        }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match &self.transport {
            CandidateTransport::Udp => "udp",
            CandidateTransport::Tcp => "tcp",
            CandidateTransport::Other(other) => other,
        };
        write!(
            f,
            "{} {} {transport} {} ",
            self.foundation, self.component, self.priority
        )?;
        write!(f, "{} {} typ {}", self.host, self.port, self.kind.as_str())?;
        if let Some((host, port)) = &self.related {
            write!(f, " raddr {host} rport {port}")?;
        }
        if let Some(tcp_type) = self.tcp_type {
            write!(f, " tcptype {}", tcp_type.as_str())?;
        }
        self.extensions
            .iter()
            .try_for_each(|(name, value)| write!(f, " {name} {value}"))
    }
}
