//! `a=rtcp`: where RTCP goes if not to the port after RTP (RFC 3605).

use std::fmt;

use super::TypedAttribute;
use crate::host::Host;

/// Where RTCP goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rtcp {
    /// Port.
    pub port: u16,
    /// Address, if it differs from that of `c=`.
    pub host: Option<Host>,
}

impl TypedAttribute for Rtcp {
    const NAME: &'static str = "rtcp";
    const EXPECTED: &'static str = "<port> [IN IP4|IP6 <address>]";

    fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let port = words.next()?.parse().ok()?;
        let host = match (words.next(), words.next(), words.next()) {
            (None, _, _) => None,
            (Some(net), Some(family), Some(address)) => Some(Host::parse_with_family(net, family, address)?),
            _ => return None,
        };
        Some(Self { port, host })
    }
}

impl fmt::Display for Rtcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.port.fmt(f)?;
        self.host
            .as_ref()
            .map_or(Ok(()), |host| write!(f, " IN {} {host}", host.family()))
    }
}
