//! Sockets as the services want them: UDP in batches, TLS from PEM files, addresses of this machine and of SIP domains.
//!
//! A service's core never sees any of this; its `run.rs` moves bytes between the two.

pub mod address;
pub mod locate;
pub mod tls;
pub mod udp;

/// Why a socket could not be bound: where, why, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {transport} {address}: {source}{hint}", hint = hint(.source, *.address))]
pub struct BindError {
    /// `udp` or `tcp`.
    pub transport: &'static str,
    /// The address that was asked for.
    pub address: std::net::SocketAddr,
    /// Why.
    pub source: std::io::Error,
}

fn hint(error: &std::io::Error, address: std::net::SocketAddr) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::AddrInUse => format!(
            "; another process has port {port}: end it (find it with `ss -lntup 'sport = :{port}'`) or configure another port",
            port = address.port()
        ),
        ErrorKind::AddrNotAvailable => "; this machine has no such address".to_owned(),
        ErrorKind::PermissionDenied => "; ports below 1024 want root or CAP_NET_BIND_SERVICE".to_owned(),
        _ => String::new(),
    }
}

/// Connections that wait to be accepted: after a restart all clients come at once, and whoever finds no place tries again
/// only after seconds. The system may allow less (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// Listens on TCP. Async, for the listener belongs to the runtime that it is made in.
pub async fn listen_tcp(address: std::net::SocketAddr) -> Result<tokio::net::TcpListener, BindError> {
    bind_tcp(address, false).map_err(|source| BindError {
        transport: "tcp",
        address,
        source,
    })
}

/// The same beside a UDP socket of that address: `[::]` is IPv6 alone, as it is there, and leaves room for `0.0.0.0`.
pub async fn listen_tcp_beside_udp(
    address: std::net::SocketAddr,
) -> Result<tokio::net::TcpListener, BindError> {
    bind_tcp(address, true).map_err(|source| BindError {
        transport: "tcp",
        address,
        source,
    })
}

/// As tokio's listener, with a longer queue.
fn bind_tcp(address: std::net::SocketAddr, is_one_family: bool) -> std::io::Result<tokio::net::TcpListener> {
    let socket = match address {
        std::net::SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        std::net::SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    if is_one_family && address.is_ipv6() {
        socket2::SockRef::from(&socket).set_only_v6(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_the_remedy() {
        let first = listen_tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = first.local_addr().unwrap();
        let error = listen_tcp(address).await.unwrap_err().to_string();
        assert!(error.contains(&format!("tcp {address}")), "{error}");
        assert!(error.contains(&format!("sport = :{}", address.port())), "{error}");
    }
}
