//! Where a message came from or goes to.

use std::fmt;
use std::net::SocketAddr;

/// Transport protocol of a [`Flow`] (RFC 3261 §18).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams: unreliable, so transactions retransmit.
    Udp,
    /// A TCP connection.
    Tcp,
    /// A TLS connection.
    Tls,
}

impl Transport {
    /// Whether the transport itself repeats what was lost.
    pub fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Port when a URI names none (RFC 3261 §18.2.2, §19.1.2).
    pub fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }

    /// The name in Via's sent-protocol.
    pub fn via_name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }
}

/// Number that the shell gave to a connection; unique while the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// The other end of a message: transport, address and, for connections, which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flow {
    /// Transport protocol.
    pub transport: Transport,
    /// Address of the other end.
    pub remote: SocketAddr,
    /// The connection to use; `None` for datagrams and where the shell shall open or choose one.
    pub connection: Option<ConnectionId>,
}

impl Flow {
    /// Datagrams to or from `remote`.
    pub fn udp(remote: SocketAddr) -> Self {
        Self {
            transport: Transport::Udp,
            remote,
            connection: None,
        }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.transport.via_name(), self.remote)
    }
}
