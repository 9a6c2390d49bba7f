//! UDP for signalling: one wake-up, many datagrams.
//!
//! [`UdpSocket`] is for those who do other things on the same runtime, [`batch::BatchSocket`] for a thread of its own.

pub mod batch;
mod error_queue;
mod local;

use crate::BindError;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::{
    io,
    mem::{MaybeUninit, size_of},
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
};
use tokio::io::Interest;

/// Largest UDP payload over IPv4, so that nothing is ever cut.
pub const DATAGRAM_LEN_MAX: usize = 65_507;
/// Most datagrams taken in one wake-up, so that a flood cannot starve timers.
pub const BATCH_MAX: usize = 64;
/// Most ICMP errors taken in one wake-up, for the same reason.
const ERRORS_MAX: usize = 64;
/// How often one datagram is tried while errors of earlier ones stand before it.
const SEND_TRIES: usize = 4;
/// Where the data of a control message starts: after its header, aligned like a word.
const CONTROL_DATA_AT: usize = size_of::<libc::cmsghdr>().next_multiple_of(size_of::<usize>());
/// Kernel buffer asked for in each direction, bytes: a second of 2,000 SIP messages. The kernel may grant less.
pub const KERNEL_BUFFER_LEN: usize = 4 * 1024 * 1024;

/// A bound UDP socket. Sending needs `&self` alone, so that it can be shared.
#[derive(Debug)]
pub struct UdpSocket {
    socket: tokio::net::UdpSocket,
    local_address: SocketAddr,
    /// Bound to all addresses, and told at which of them each datagram came.
    sees_local: bool,
}

/// Where datagrams are received into; made once and used again.
#[derive(Debug)]
pub struct ReceiveBuffer(Box<[u8]>);

impl Default for ReceiveBuffer {
    fn default() -> Self {
        Self(vec![0; DATAGRAM_LEN_MAX].into_boxed_slice())
    }
}

impl UdpSocket {
    /// Binds `address`; port 0 lets the system choose. Must be called inside a tokio runtime.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        Self::try_bind(address).map_err(|source| BindError {
            transport: "udp",
            address,
            source,
        })
    }

    fn try_bind(address: SocketAddr) -> io::Result<Self> {
        let socket = tokio::net::UdpSocket::from_std(open(address)?.into())?;
        let local_address = socket.local_addr()?;
        // Best effort: on a machine with one address it makes no difference.
        let sees_local =
            address.ip().is_unspecified() && local::enable(SockRef::from(&socket), address.is_ipv4()).is_ok();
        Ok(Self {
            socket,
            local_address,
            sees_local,
        })
    }

    /// The address that is bound, with the port that the system chose if 0 was asked.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Waits until there is something to read, then hands up to [`BATCH_MAX`] datagrams to `take` and says how many.
    /// Safe to drop half way (in `select!`): nothing is lost. ICMP errors of earlier sends are passed over.
    pub async fn receive_batch(
        &self,
        buffer: &mut ReceiveBuffer,
        mut take: impl FnMut(&[u8], SocketAddr),
    ) -> io::Result<usize> {
        let take = |bytes: &[u8], from, _| take(bytes, from);
        self.receive_batch_at(buffer, take).await
    }

    /// The same, and hands to `take` which of our addresses each was sent to, if the socket is bound to all of them: an answer
    /// has to leave from there, see [`Self::try_send_from`].
    pub async fn receive_batch_at(
        &self,
        buffer: &mut ReceiveBuffer,
        mut take: impl FnMut(&[u8], SocketAddr, Option<IpAddr>),
    ) -> io::Result<usize> {
        loop {
            let taken = self.receive(buffer, &mut take, &mut |_| {}).await?;
            if taken > 0 {
                return Ok(taken);
            }
        }
    }

    /// The same, and hands to `unreachable` the destinations of earlier sends at which nobody is, as ICMP says. May give 0
    /// if there were only such.
    pub async fn receive_or_unreachable(
        &self,
        buffer: &mut ReceiveBuffer,
        mut take: impl FnMut(&[u8], SocketAddr),
        mut unreachable: impl FnMut(SocketAddr),
    ) -> io::Result<usize> {
        let mut take = |bytes: &[u8], from, _| take(bytes, from);
        self.receive(buffer, &mut take, &mut unreachable).await
    }

    async fn receive(
        &self,
        buffer: &mut ReceiveBuffer,
        take: &mut impl FnMut(&[u8], SocketAddr, Option<IpAddr>),
        unreachable: &mut impl FnMut(SocketAddr),
    ) -> io::Result<usize> {
        loop {
            let ready = self.socket.ready(Interest::READABLE | Interest::ERROR).await?;
            let failed = ready.is_error() && self.take_errors(unreachable);
            let taken = self.take_datagrams(buffer, take)?;
            if failed || taken > 0 {
                return Ok(taken);
            }
        }
    }

    fn take_datagrams(
        &self,
        buffer: &mut ReceiveBuffer,
        take: &mut impl FnMut(&[u8], SocketAddr, Option<IpAddr>),
    ) -> io::Result<usize> {
        let mut taken = 0;
        for _ in 0..BATCH_MAX {
            match self.try_receive(&mut buffer.0) {
                Ok((len, from, at)) => {
                    take(&buffer.0[..len], from, at);
                    taken += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if is_icmp(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, Option<IpAddr>)> {
        if self.sees_local {
            return self.socket.try_io(Interest::READABLE, || {
                local::receive(SockRef::from(&self.socket), buffer, self.local_address)
            });
        }
        let (len, from) = self.socket.try_recv_from(buffer)?;
        Ok((len, from, None))
    }

    /// Whether there was any.
    fn take_errors(&self, unreachable: &mut impl FnMut(SocketAddr)) -> bool {
        let mut any = false;
        for _ in 0..ERRORS_MAX {
            let taken = self.socket.try_io(Interest::ERROR, || {
                error_queue::take(SockRef::from(&self.socket), self.local_address)
            });
            match taken {
                Ok(Some(destination)) => {
                    unreachable(destination);
                    any = true;
                }
                Ok(None) => {}
                Err(_) => break,
            }
        }
        any
    }

    /// Sends one datagram without waiting. [`io::ErrorKind::WouldBlock`] says that the kernel's buffer is full: the
    /// datagram is lost like any other on the way, and SIP sends it again.
    pub fn try_send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        self.try_send_from(bytes, to, None)
    }

    /// The same from one of our addresses, as [`Self::receive_batch_at`] gives it; `None`: whichever the routes prefer.
    pub fn try_send_from(&self, bytes: &[u8], to: SocketAddr, local: Option<IpAddr>) -> io::Result<()> {
        let try_once = || match local {
            Some(local) => local::send(SockRef::from(&self.socket), bytes, to, local),
            None => self.try_send_once(bytes, to),
        };
        let mut result = try_once();
        for _ in 1..SEND_TRIES {
            // The error belongs to an earlier datagram; this one has not been tried.
            result = match result {
                Err(error) if is_icmp(&error) => try_once(),
                result => return result,
            };
        }
        result
    }

    fn try_send_once(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        match self.socket.try_send_to(bytes, to) {
            // tokio has not seen the socket writable yet: ask the kernel itself.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                SockRef::from(&self.socket).send_to(bytes, &to.into()).map(drop)
            }
            result => result.map(drop),
        }
    }

    /// Sends one datagram, waiting while the kernel's buffer is full.
    pub async fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        self.socket
            .async_io(Interest::WRITABLE, || self.try_send(bytes, to))
            .await
    }
}

/// A bound socket that never waits.
fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Best effort: a container may refuse, and the default works at low load.
    let _ = socket.set_recv_buffer_size(KERNEL_BUFFER_LEN);
    let _ = socket.set_send_buffer_size(KERNEL_BUFFER_LEN);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // Best effort too: without it a dead peer is found by its silence.
    let _ = error_queue::enable(SockRef::from(&socket), address.is_ipv4());
    Ok(socket)
}

/// Switches an option on that is an `int`.
#[expect(
    unsafe_code,
    reason = "not every option has a safe binding among our dependencies"
)]
fn switch_on(socket: SockRef<'_>, level: libc::c_int, name: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open as long as `socket` borrows it, and the option is an int of this length.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[expect(
    unsafe_code,
    reason = "the kernel writes into memory that is already initialized"
)]
fn initialized<const LEN: usize>(control: [MaybeUninit<u8>; LEN]) -> [u8; LEN] {
    // SAFETY: those who call this have set all bytes before the kernel wrote some of them.
    control.map(|byte| unsafe { byte.assume_init() })
}

/// True for errors that an ICMP answer to an earlier datagram left on the socket.
fn is_icmp(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn datagrams_come_in_one_batch_and_whole() {
        let (a, b) = (socket(), socket());
        let large = vec![7; DATAGRAM_LEN_MAX];
        a.try_send(b"one", b.local_address()).unwrap();
        a.try_send(b"", b.local_address()).unwrap();
        a.send(&large, b.local_address()).await.unwrap();
        let mut got = Vec::new();
        let mut buffer = ReceiveBuffer::default();
        while got.len() < 3 {
            b.receive_batch(&mut buffer, |bytes, from| got.push((bytes.to_vec(), from)))
                .await
                .unwrap();
        }
        let from = a.local_address();
        assert_eq!(got, [(b"one".to_vec(), from), (Vec::new(), from), (large, from)]);
    }

    #[tokio::test]
    async fn who_was_asked_at_one_address_of_many_answers_from_there() {
        for (any, client, at) in [
            ("0.0.0.0:0", "127.0.0.1:0", "127.0.0.2"),
            ("[::]:0", "[::1]:0", "::1"),
        ] {
            let Ok(server) = UdpSocket::bind(any.parse().unwrap()) else {
                continue; // A machine without IPv6.
            };
            let at: IpAddr = at.parse().unwrap();
            let client = UdpSocket::bind(client.parse().unwrap()).unwrap();
            let asked = SocketAddr::new(at, server.local_address().port());
            client.try_send(b"question", asked).unwrap();
            let mut buffer = ReceiveBuffer::default();
            let mut got = Vec::new();
            let take = |bytes: &[u8], from, at| got.push((bytes.to_vec(), from, at));
            server.receive_batch_at(&mut buffer, take).await.unwrap();
            assert_eq!(got, [(b"question".to_vec(), client.local_address(), Some(at))]);
            server
                .try_send_from(b"answer", client.local_address(), Some(at))
                .unwrap();
            let mut got = Vec::new();
            let take = |bytes: &[u8], from| got.push((bytes.to_vec(), from));
            client.receive_batch(&mut buffer, take).await.unwrap();
            assert_eq!(got, [(b"answer".to_vec(), asked)]);
        }
    }

    #[tokio::test]
    async fn a_batch_has_an_end() {
        let (a, b) = (socket(), socket());
        for _ in 0..BATCH_MAX + 1 {
            a.try_send(b"x", b.local_address()).unwrap();
        }
        let mut buffer = ReceiveBuffer::default();
        assert_eq!(b.receive_batch(&mut buffer, |_, _| {}).await.unwrap(), BATCH_MAX);
        assert_eq!(b.receive_batch(&mut buffer, |_, _| {}).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_dead_peer_does_not_break_the_socket() {
        let (a, b) = (socket(), socket());
        let dead = socket().local_address();
        for _ in 0..3 {
            a.try_send(b"nobody there", dead).unwrap();
        }
        b.try_send(b"still here", a.local_address()).unwrap();
        let mut got = 0;
        a.receive_batch(&mut ReceiveBuffer::default(), |_, _| got += 1)
            .await
            .unwrap();
        assert_eq!(got, 1);
    }

    #[tokio::test]
    async fn a_dead_peer_is_named() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(a) = UdpSocket::bind(host.parse().unwrap()) else {
                continue; // A machine without IPv6.
            };
            let dead = UdpSocket::bind(host.parse().unwrap()).unwrap().local_address();
            let other = UdpSocket::bind(host.parse().unwrap()).unwrap();
            a.try_send(b"somebody there", other.local_address()).unwrap();
            a.try_send(b"nobody there", dead).unwrap();
            let mut named = Vec::new();
            let mut buffer = ReceiveBuffer::default();
            let taken = a.receive_or_unreachable(&mut buffer, |_, _| {}, |peer| named.push(peer));
            assert_eq!(taken.await.unwrap(), 0);
            assert_eq!(named, [dead]);
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let first = socket();
        let error = UdpSocket::bind(first.local_address()).unwrap_err().to_string();
        assert!(
            error.contains(&first.local_address().to_string()) && error.contains("another process"),
            "{error}"
        );
    }
}
