//! An address as descriptions write it: an IP address, or a name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// An IP address or a host name (a DNS name, or an mDNS name of a browser that hides its addresses).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A numeric address.
    Ip(IpAddr),
    /// Anything else, as written.
    Name(String),
}

impl Host {
    /// Reads an address; what is not numeric is a name.
    pub(crate) fn parse(text: &str) -> Self {
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        bare.parse()
            .map_or_else(|_| Host::Name(text.to_owned()), Host::Ip)
    }

    /// Reads `IN IP4 <address>`, three words in that order. The family may lie; the address tells. No address has white
    /// space or control characters in it, of which some would pass as the end of a word.
    pub(crate) fn parse_with_family(net: &str, family: &str, address: &str) -> Option<Self> {
        let known = net.eq_ignore_ascii_case("IN")
            && (family.eq_ignore_ascii_case("IP4") || family.eq_ignore_ascii_case("IP6"));
        // A multicast address may carry "/ttl/count"; nothing here uses multicast, so it is not kept.
        let address = address.split('/').next().unwrap_or_default();
        let is_word = |char: char| !char.is_whitespace() && !char.is_control();
        (known && !address.is_empty() && address.chars().all(is_word)).then(|| Self::parse(address))
    }

    /// The numeric address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::Ip(ip) => Some(*ip),
            Host::Name(_) => None,
        }
    }

    /// `IP4` or `IP6`; names count as IPv4.
    pub(crate) fn family(&self) -> &'static str {
        match self {
            Host::Ip(IpAddr::V6(_)) => "IP6",
            Host::Ip(IpAddr::V4(_)) | Host::Name(_) => "IP4",
        }
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Host::Ip(ip)
    }
}

impl Default for Host {
    fn default() -> Self {
        Host::Ip(Ipv4Addr::UNSPECIFIED.into())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Ip(ip) => ip.fmt(f),
            Host::Name(name) => f.write_str(name),
        }
    }
}
