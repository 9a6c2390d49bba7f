//! Via (§20.42, RFC 3581).

use super::{Header, HeaderError};
use crate::chars;
use crate::host::Host;
use crate::name::HeaderName;
use crate::params::Params;
use std::net::{IpAddr, SocketAddr};

/// Transport named in a Via or in a URI's `transport` parameter.
#[derive(Clone, Copy, Debug)]
pub enum Transport<'a> {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket (RFC 7118).
    Ws,
    /// WebSocket over TLS (RFC 7118).
    Wss,
    /// Any other token.
    Other(&'a [u8]),
}

impl<'a> Transport<'a> {
    /// The transport that `text` names, in any case.
    pub fn parse(text: &'a [u8]) -> Self {
        match text {
            t if t.eq_ignore_ascii_case(b"UDP") => Self::Udp,
            t if t.eq_ignore_ascii_case(b"TCP") => Self::Tcp,
            t if t.eq_ignore_ascii_case(b"TLS") => Self::Tls,
            t if t.eq_ignore_ascii_case(b"WS") => Self::Ws,
            t if t.eq_ignore_ascii_case(b"WSS") => Self::Wss,
            other => Self::Other(other),
        }
    }

    /// The name as it stands in a Via.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Udp => b"UDP",
            Self::Tcp => b"TCP",
            Self::Tls => b"TLS",
            Self::Ws => b"WS",
            Self::Wss => b"WSS",
            Self::Other(text) => text,
        }
    }
}

impl PartialEq for Transport<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes().eq_ignore_ascii_case(other.as_bytes())
    }
}

impl Eq for Transport<'_> {}

/// One hop that the request passed; the way back for its responses. One element of the list.
#[derive(Clone, Copy, Debug)]
pub struct Via<'a> {
    /// What the hop sent on.
    pub transport: Transport<'a>,
    /// Its address as it knows it (`sent-by`).
    pub host: Host<'a>,
    /// Its port; `None` is the transport's default.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport`, …
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// What every branch of RFC 3261 starts with (§8.1.1.7).
    pub const MAGIC_COOKIE: &'static str = "z9hG4bK";

    /// The transaction's id.
    pub fn branch(&self) -> Option<&'a [u8]> {
        self.params.get("branch")
    }

    /// Whether the branch is one of RFC 3261: starts with the cookie and has more.
    pub fn has_rfc3261_branch(&self) -> bool {
        let cookie = Self::MAGIC_COOKIE.as_bytes();
        self.branch().is_some_and(|b| {
            b.len() > cookie.len()
                && b.get(..cookie.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(cookie))
        })
    }

    /// Where the request really came from, as the receiver noted it.
    pub fn received(&self) -> Option<IpAddr> {
        let text = self.params.get("received")?;
        // Some senders put brackets around IPv6 here, the grammar does not.
        Host::new(text)
            .and_then(|host| host.ip())
            .or_else(|| std::str::from_utf8(text).ok()?.parse().ok())
    }

    /// Whether the sender asks for the port to be noted (RFC 3581 §3), noted or not.
    pub fn wants_rport(&self) -> bool {
        self.params.has("rport")
    }

    /// Whether a receiver has to note where the request came from, or has to correct such a note (§18.2.1, RFC 3581 §4).
    pub fn wants_stamp(&self, source: SocketAddr) -> bool {
        self.host.ip() != Some(source.ip()) || self.wants_rport() || self.params.has("received")
    }

    /// The noted source port.
    pub fn rport(&self) -> Option<u16> {
        chars::decimal(self.params.get("rport")?)
    }

    /// Multicast or redirect address (§18.1.1).
    pub fn maddr(&self) -> Option<Host<'a>> {
        Host::new(self.params.get("maddr")?)
    }

    /// Port of `sent-by`, with the transport's default filled in.
    pub fn port_or_default(&self) -> u16 {
        self.port.unwrap_or(match self.transport {
            Transport::Tls | Transport::Wss => 5061,
            _ => 5060,
        })
    }
}

impl<'a> Header<'a> for Via<'a> {
    const NAME: HeaderName<'static> = HeaderName::Via;

    fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        let wrong = |what| HeaderError {
            header: Self::NAME,
            what,
        };
        let plain = value.strip_prefix(b"SIP/2.0/");
        let rest = plain
            .or_else(|| after_spaced_protocol(value))
            .ok_or(wrong("SIP/2.0/ and a transport are expected"))?;
        let rest = chars::trim(rest);
        let (transport, rest) = rest.split_at(chars::token_len(rest));
        match rest.first() {
            None => return Err(wrong("the sent-by address is missing")),
            Some(b) if !chars::is_space(*b) || transport.is_empty() => {
                return Err(wrong("the transport is no token"));
            }
            Some(_) => {}
        }
        let params_start = rest.iter().position(|b| *b == b';').unwrap_or(rest.len());
        let (sent_by, params) = rest.split_at(params_start);
        let (host, port) =
            Host::with_spaced_port(sent_by).ok_or(wrong("the sent-by address is malformed"))?;
        let params = Params::new(params);
        if !params.is_well_formed() {
            return Err(wrong("malformed parameters"));
        }
        Ok(Self {
            transport: Transport::parse(transport),
            host,
            port,
            params,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"SIP/2.0/");
        out.extend_from_slice(self.transport.as_bytes());
        out.push(b' ');
        self.host.write(out);
        if let Some(port) = self.port {
            out.push(b':');
            chars::push_decimal(out, port);
        }
        out.extend_from_slice(self.params.as_bytes());
    }
}

/// What follows `SIP / 2.0 /`, in any case and with white space where the grammar has it.
fn after_spaced_protocol(value: &[u8]) -> Option<&[u8]> {
    let mut parts = value.splitn(3, |b| *b == b'/');
    let (name, version, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = chars::trim(name).eq_ignore_ascii_case(b"SIP") && chars::trim(version) == b"2.0";
    fits.then_some(rest)
}
