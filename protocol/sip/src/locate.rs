//! Where responses and requests go (RFC 3261 §18.2.2, RFC 3581, §12.2.1.1), and in which order the servers of a domain are
//! tried (RFC 2782).

use crate::flow::{Flow, Transport};
use offhook_sip_message::header::{self, Via};
use offhook_sip_message::{Scheme, Uri};
use rand::{Rng, RngExt};
use std::net::SocketAddr;

/// Where the response to a request goes (RFC 3261 §18.2.2, RFC 3581 §4): on a connection back over it, otherwise to
/// `maddr`, else to the source address, at the source port where rport was asked for, else at the port of sent-by.
///
/// A `maddr` that is a name is not resolved: the source counts then.
pub fn response_flow(via: &Via<'_>, source: Flow) -> Flow {
    if source.transport.is_reliable() {
        return source;
    }
    let remote = match via.maddr().and_then(|host| host.ip()) {
        Some(maddr) => SocketAddr::new(maddr, via.port_or_default()),
        None if via.wants_rport() => source.remote,
        None => SocketAddr::new(source.remote.ip(), via.port_or_default()),
    };
    Flow { remote, ..source }
}

/// Where a request to `uri` goes if that can be said without DNS (RFC 3263 §4): the host, or `maddr`, is an address and
/// the transport one of ours.
pub fn request_flow(uri: &Uri<'_>) -> Option<Flow> {
    let host = uri.maddr().or(uri.host())?;
    let transport = match (uri.scheme(), uri.transport()) {
        (Scheme::Sips, _) | (Scheme::Sip, Some(header::Transport::Tls)) => Transport::Tls,
        (Scheme::Sip, None | Some(header::Transport::Udp)) => Transport::Udp,
        (Scheme::Sip, Some(header::Transport::Tcp)) => Transport::Tcp,
        _ => return None,
    };
    let port = uri.port().unwrap_or(transport.default_port());
    Some(Flow {
        transport,
        remote: SocketAddr::new(host.ip()?, port),
        connection: None,
    })
}

/// A server of a domain, as an SRV record names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Lower ones are tried first.
    pub priority: u16,
    /// Share of the first tries, within one priority.
    pub weight: u16,
    /// Where it is, in the order in which to try.
    pub addresses: Vec<SocketAddr>,
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self {
            priority: 0,
            weight: 0,
            addresses: vec![address],
        }
    }
}

/// All addresses in the order in which one request tries them: by priority, and drawn by weight within one (RFC 2782).
pub fn in_order(places: &[Place], rng: &mut impl Rng) -> Vec<SocketAddr> {
    let mut left: Vec<&Place> = places.iter().collect();
    let mut ordered = Vec::with_capacity(places.len());
    while let Some(priority) = left.iter().map(|place| place.priority).min() {
        let candidates = || {
            left.iter()
                .enumerate()
                .filter(|(_, place)| place.priority == priority)
        };
        // One more each, so that those of weight 0 have a small chance.
        let total: u32 = candidates().map(|(_, place)| u32::from(place.weight) + 1).sum();
        let mut draw = rng.random_range(0..total);
        let drawn = candidates().find(|(_, place)| {
            let weight = u32::from(place.weight) + 1;
            let hit = draw < weight;
            draw = draw.saturating_sub(weight);
            hit
        });
        let at = drawn.map_or(0, |(at, _)| at);
        ordered.extend(&left.remove(at).addresses);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use offhook_sip_message::header::Header;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn respond_to(via: &str) -> String {
        let source = Flow::udp("198.51.100.9:40000".parse().unwrap());
        response_flow(&Via::parse(via.as_bytes()).unwrap(), source).to_string()
    }

    #[test]
    fn rfc3261_18_2_2_and_rfc3581_responses_find_their_way() {
        assert_eq!(
            respond_to("SIP/2.0/UDP a.example.com;branch=z9hG4bK1"),
            "UDP/198.51.100.9:5060"
        );
        assert_eq!(
            respond_to("SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK1"),
            "UDP/198.51.100.9:5070"
        );
        assert_eq!(
            respond_to("SIP/2.0/UDP 10.0.0.1:5070;rport;branch=z9hG4bK1"),
            "UDP/198.51.100.9:40000"
        );
        assert_eq!(
            respond_to("SIP/2.0/UDP a.example.com;maddr=192.0.2.7"),
            "UDP/192.0.2.7:5060"
        );
    }

    #[test]
    fn a_connection_takes_the_response_back() {
        let source = Flow {
            transport: Transport::Tcp,
            remote: "198.51.100.9:40000".parse().unwrap(),
            connection: Some(crate::ConnectionId(7)),
        };
        let via = Via::parse(b"SIP/2.0/TCP a.example.com:5071;branch=z9hG4bK1").unwrap();
        assert_eq!(response_flow(&via, source), source);
    }

    #[test]
    fn requests_find_addresses_without_dns() {
        let flow =
            |uri: &str| request_flow(&Uri::parse(uri.as_bytes()).unwrap()).map(|flow| flow.to_string());
        assert_eq!(flow("sip:bob@192.0.2.3").as_deref(), Some("UDP/192.0.2.3:5060"));
        assert_eq!(
            flow("sip:[2001:db8::1]:5080;transport=tcp").as_deref(),
            Some("TCP/[2001:db8::1]:5080")
        );
        assert_eq!(flow("sips:192.0.2.3").as_deref(), Some("TLS/192.0.2.3:5061"));
        assert_eq!(flow("sip:example.com"), None);
        assert_eq!(flow("sip:192.0.2.3;transport=ws"), None);
        assert_eq!(flow("tel:+15550100"), None);
    }

    #[test]
    fn rfc2782_all_come_and_the_heavy_ones_first_most_of_the_time() {
        let place = |priority, weight, port| Place {
            priority,
            weight,
            addresses: vec![([127, 0, 0, 1], port).into(), ([127, 0, 0, 2], port).into()],
        };
        let places = [place(2, 0, 3), place(1, 0, 2), place(1, 99, 1)];
        let mut rng = StdRng::seed_from_u64(1);
        let mut first = 0;
        for _ in 0..200 {
            let ordered = in_order(&places, &mut rng);
            let ports: Vec<u16> = ordered.iter().map(SocketAddr::port).collect();
            assert_eq!(
                (ports.len(), &ports[4..]),
                (6, &[3, 3][..]),
                "priority counts before weight"
            );
            first += u32::from(ports[0] == 1);
        }
        assert!((180..200).contains(&first), "{first} of 200");
        assert!(in_order(&[], &mut rng).is_empty());
    }
}
