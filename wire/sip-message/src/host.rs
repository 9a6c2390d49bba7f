//! Hosts: names and addresses as they stand in URIs and Via headers.

use crate::chars;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host of the grammar: name, IPv4 address or IPv6 reference (without its brackets).
#[derive(Clone, Copy, Debug)]
pub enum Host<'a> {
    /// A domain name, not resolved and not changed.
    Name(&'a [u8]),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// Takes `text` (IPv6 in brackets) if it is a host.
    pub fn new(text: &'a [u8]) -> Option<Self> {
        if let [b'[', inner @ .., b']'] = text {
            return std::str::from_utf8(inner).ok()?.parse().ok().map(Self::V6);
        }
        if text.is_empty() || !text.iter().all(|b| chars::is_host_byte(*b)) {
            return None;
        }
        // Only digits and dots can be an address; a name's last label starts with a letter (§25.1).
        if text[0].is_ascii_digit()
            && let Some(address) = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok())
        {
            return Some(Self::V4(address));
        }
        Some(Self::Name(text))
    }

    /// Splits `host[:port]`; white space around the colon is allowed as in Via.
    pub fn with_port(text: &'a [u8]) -> Option<(Self, Option<u16>)> {
        let text = chars::trim(text);
        let host_end = match text.first()? {
            b'[' => memchr::memchr(b']', text)? + 1,
            _ => memchr::memchr(b':', text).unwrap_or(text.len()),
        };
        let (host, rest) = text.split_at(host_end);
        let host = Self::new(chars::trim(host))?;
        match chars::trim(rest) {
            [] => Some((host, None)),
            [b':', port @ ..] => Some((host, Some(chars::decimal(chars::trim(port))?))),
            _ => None,
        }
    }

    /// The address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6(address) => Some(IpAddr::V6(*address)),
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Name(name) => out.extend_from_slice(name),
            address => {
                use std::io::Write;
                write!(out, "{address}").expect("a Vec takes all that is written");
            }
        }
    }
}

impl From<IpAddr> for Host<'_> {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address),
        }
    }
}

/// Names without regard to case, addresses by value (§19.1.4).
impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => a.eq_ignore_ascii_case(b),
            (a, b) => a.ip() == b.ip() && a.ip().is_some(),
        }
    }
}

impl Eq for Host<'_> {}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(&String::from_utf8_lossy(name)),
            Self::V4(address) => fmt::Display::fmt(address, f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}
