//! Where responses and requests go (RFC 3261 §18.2.2, RFC 3581, §12.2.1.1).

use crate::flow::{Flow, Transport};
use offhook_sip_message::header::{self, Via};
use offhook_sip_message::{Scheme, Uri};
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

#[cfg(test)]
mod tests {
    use super::*;
    use offhook_sip_message::header::Header;

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
}
