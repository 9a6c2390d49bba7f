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
        // Only digits and dots can be an address; a name's last label starts with a letter (§25.1).
        if let Some((address, [])) = v4_prefix(text) {
            return Some(Self::V4(address));
        }
        (!text.is_empty() && chars::host_len(text) == text.len()).then_some(Self::Name(text))
    }

    /// Splits `host[:port]`.
    pub fn with_port(text: &'a [u8]) -> Option<(Self, Option<u16>)> {
        let (host, rest) = match v4_prefix(text) {
            Some((address, rest @ ([] | [b':', ..]))) => (Self::V4(address), rest),
            _ => {
                let end = match text.first()? {
                    b'[' => memchr::memchr(b']', text)? + 1,
                    _ => chars::host_len(text),
                };
                (Self::new(&text[..end])?, &text[end..])
            }
        };
        match rest {
            [] => Some((host, None)),
            [b':', port @ ..] => Some((host, Some(chars::decimal(port)?))),
            _ => None,
        }
    }

    /// The same with white space around each part, as Via may have it.
    pub(crate) fn with_spaced_port(text: &'a [u8]) -> Option<(Self, Option<u16>)> {
        let text = chars::trim(text);
        Self::with_port(text).or_else(|| {
            let colon = text.iter().rposition(|b| *b == b':')?;
            let (host, port) = (chars::trim(&text[..colon]), chars::trim(&text[colon + 1..]));
            Some((Self::new(host)?, Some(chars::decimal(port)?)))
        })
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
            Self::V4(address) => {
                for (at, octet) in address.octets().into_iter().enumerate() {
                    if at > 0 {
                        out.push(b'.');
                    }
                    chars::push_decimal(out, octet);
                }
            }
            Self::V6(address) => {
                use std::io::Write;
                write!(out, "[{address}]").expect("a Vec takes all that is written");
            }
        }
    }
}

/// Four decimal numbers up to 255 with dots between, none with a leading zero, and what follows them: nearly every host that
/// we meet.
fn v4_prefix(text: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let (mut address, mut octet, mut digits, mut dots) = (0_u32, 0_u32, 0, 0);
    let mut len = 0;
    for b in text {
        match b {
            b'0'..=b'9' => {
                if digits > 0 && octet == 0 {
                    return None;
                }
                octet = octet * 10 + u32::from(b - b'0');
                digits += 1;
                if octet > 255 {
                    return None;
                }
            }
            b'.' if digits > 0 && dots < 3 => {
                address = address << 8 | octet;
                (octet, digits) = (0, 0);
                dots += 1;
            }
            _ => break,
        }
        len += 1;
    }
    let whole = dots == 3 && digits > 0;
    whole.then(|| (Ipv4Addr::from(address << 8 | octet), &text[len..]))
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn addresses_are_those_of_the_standard_library(text in "[0-9.]{0,16}|([0-9]{1,3}\\.){3}[0-9]{1,3}") {
            let address = v4_prefix(text.as_bytes()).filter(|(_, rest)| rest.is_empty());
            prop_assert_eq!(address.map(|(address, _)| address), text.parse().ok());
        }

        #[test]
        fn an_address_is_written_as_it_is_read(bytes: [u8; 4]) {
            let address = Ipv4Addr::from(bytes);
            let mut out = Vec::new();
            Host::V4(address).write(&mut out);
            prop_assert_eq!(out, address.to_string().into_bytes());
        }
    }
}
