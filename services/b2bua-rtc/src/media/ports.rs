//! Pool of RTP ports: each leg gets an even port for RTP and the odd one above it for RTCP (RFC 3550 §11).

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How long a port rests before it is given again: packets of the old call must not reach the new one.
const REST: Duration = Duration::from_secs(5);
/// Ports of other programs that are skipped in one search before it gives up.
const SKIPS_MAX: usize = 64;
/// DSCP EF in the TOS byte (RFC 3246): voice is forwarded first where networks honour it.
const TOS_EXPEDITED: u32 = 0xb8;

/// A worker's share of the RTP ports.
#[derive(Debug)]
pub(super) struct PortPool {
    address: IpAddr,
    free: VecDeque<u16>,
    resting: VecDeque<(Instant, u16)>,
    in_use: usize,
}

/// A bound pair of ports.
#[derive(Debug)]
pub(super) struct PortPair {
    /// The even port.
    pub(super) port: u16,
    /// Bound to it.
    pub(super) rtp: UdpSocket,
    /// Bound to the port above it.
    pub(super) rtcp: UdpSocket,
}

impl PortPool {
    /// A pool of the pairs that begin at `ports` (even numbers).
    pub(super) fn new(address: IpAddr, ports: impl IntoIterator<Item = u16>) -> Self {
        Self {
            address,
            free: ports.into_iter().collect(),
            resting: VecDeque::new(),
            in_use: 0,
        }
    }

    /// Pairs that are given out.
    pub(super) fn in_use(&self) -> usize {
        self.in_use
    }

    /// Binds the next pair; `None` if all are in use or resting, or only ports of other programs are left.
    pub(super) fn take(&mut self, now: Instant) -> Option<PortPair> {
        while let Some((since, port)) = self.resting.front().copied()
            && now.saturating_duration_since(since) >= REST
        {
            self.resting.pop_front();
            self.free.push_back(port);
        }
        for _ in 0..SKIPS_MAX {
            let port = self.free.pop_front()?;
            match self.bind(port) {
                Ok(pair) => {
                    self.in_use += 1;
                    return Some(pair);
                }
                Err(error) => {
                    tracing::debug!(port, %error, "skipped an RTP port that cannot be bound");
                    self.resting.push_back((now, port));
                }
            }
        }
        None
    }

    /// Gives a pair back; its sockets must be closed.
    pub(super) fn give_back(&mut self, now: Instant, port: u16) {
        self.in_use -= 1;
        self.resting.push_back((now, port));
    }

    fn bind(&self, port: u16) -> io::Result<PortPair> {
        Ok(PortPair {
            port,
            rtp: bind_udp(SocketAddr::new(self.address, port), false)?,
            rtcp: bind_udp(SocketAddr::new(self.address, port + 1), false)?,
        })
    }
}

/// A non-blocking UDP socket that marks its packets as voice; `shared` if further sockets are to bind the same port.
pub(super) fn bind_udp(address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::DGRAM,
        Some(socket2::Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    if shared {
        socket.set_reuse_port(true)?;
        // One socket takes what all its calls send within a wake-up interval; refused sizes are cut by the kernel.
        socket.set_recv_buffer_size(SHARED_BUFFER_LEN)?;
        socket.set_send_buffer_size(SHARED_BUFFER_LEN)?;
    }
    if address.is_ipv4() {
        // Only a hint to the network: a kernel that refuses it still carries calls.
        let _ = socket.set_tos_v4(TOS_EXPEDITED);
    } else {
        let _ = socket.set_tclass_v6(TOS_EXPEDITED);
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Buffers of a socket that all calls share, in bytes.
const SHARED_BUFFER_LEN: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn ports_for_test(count: u16) -> Vec<u16> {
        // Even ports that are free right now; other tests look elsewhere because the kernel hands these out.
        (0..count)
            .map(|_| {
                loop {
                    let probe = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                    let port = probe.local_addr().unwrap().port();
                    if port.is_multiple_of(2) && port < u16::MAX {
                        break port;
                    }
                }
            })
            .collect()
    }

    #[test]
    fn pairs_are_given_once_rest_and_come_back() {
        let now = Instant::now();
        let mut pool = PortPool::new(Ipv4Addr::LOCALHOST.into(), ports_for_test(2));
        let first = pool.take(now).unwrap();
        let second = pool.take(now).unwrap();
        assert_ne!(first.port, second.port);
        assert_eq!(first.rtcp.local_addr().unwrap().port(), first.port + 1);
        assert!(pool.take(now).is_none(), "exhausted");
        assert_eq!(pool.in_use(), 2);
        let port = first.port;
        drop(first);
        pool.give_back(now, port);
        assert!(
            pool.take(now + REST - Duration::from_millis(1)).is_none(),
            "still resting"
        );
        assert_eq!(pool.take(now + REST).unwrap().port, port);
    }

    #[test]
    fn ports_of_other_programs_are_skipped() {
        let now = Instant::now();
        let ports = ports_for_test(2);
        let _other = UdpSocket::bind((Ipv4Addr::LOCALHOST, ports[0] + 1)).unwrap();
        let mut pool = PortPool::new(Ipv4Addr::LOCALHOST.into(), ports.clone());
        assert_eq!(pool.take(now).unwrap().port, ports[1]);
        assert!(pool.take(now).is_none());
    }
}
