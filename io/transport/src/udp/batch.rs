//! UDP for a thread that does nothing else: many datagrams per system call, and no runtime between it and its socket.

mod system;

use super::{error_queue, is_icmp, open};
use crate::BindError;
use bytes::Bytes;
use socket2::SockRef;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;
use std::{io, net};

/// Datagrams taken or given in one system call. More would only let the first of a batch wait for the work of the last.
pub const BATCH_MAX: usize = 32;

/// Most ICMP errors taken at once, so that a flood of them cannot starve datagrams.
const ERRORS_MAX: usize = 64;

/// How often one datagram is tried while errors of earlier ones stand before it.
const SEND_TRIES: usize = 4;

/// A bound UDP socket with room for a batch in each direction.
#[derive(Debug)]
pub struct BatchSocket {
    socket: net::UdpSocket,
    local_address: SocketAddr,
    woken: UnixDatagram,
    waker: Waker,
    arrivals: system::Arrivals,
    outbox: Vec<(SocketAddr, Bytes)>,
}

/// Ends [`BatchSocket::wait`] from another thread; clones do the same.
#[derive(Debug, Clone)]
pub struct Waker(Arc<UnixDatagram>);

impl Waker {
    /// Ends the wait that is under way, or else the next one.
    pub fn wake(&self) {
        // It fails when so many are under way that the thread wakes up anyway, or when it is gone.
        let _ = self.0.send(&[0]);
    }
}

impl BatchSocket {
    /// Binds `address`; port 0 lets the system choose.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        Self::try_bind(address).map_err(|source| BindError {
            transport: "udp",
            address,
            source,
        })
    }

    fn try_bind(address: SocketAddr) -> io::Result<Self> {
        let socket: net::UdpSocket = open(address)?.into();
        let (woken, waker) = UnixDatagram::pair()?;
        woken.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        Ok(Self {
            local_address: socket.local_addr()?,
            socket,
            woken,
            waker: Waker(Arc::new(waker)),
            arrivals: system::Arrivals::new(),
            outbox: Vec::with_capacity(BATCH_MAX),
        })
    }

    /// The address that is bound, with the port that the system chose if 0 was asked.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// What other threads end a wait with.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Waits until there is something to receive, a [`Waker`] was used, or `timeout` is over.
    pub fn wait(&self, timeout: Duration) -> io::Result<()> {
        if system::wait(&self.socket, &self.woken, timeout)? {
            let mut rest = [0; 1];
            while self.woken.recv(&mut rest).is_ok() {}
        }
        Ok(())
    }

    /// Hands up to [`BATCH_MAX`] datagrams that lie there to `take`, and to `unreachable` the destinations of earlier
    /// sends at which nobody is, as ICMP says. Never waits. Gives how many datagrams there were.
    pub fn receive(
        &mut self,
        take: impl FnMut(&[u8], SocketAddr),
        mut unreachable: impl FnMut(SocketAddr),
    ) -> io::Result<usize> {
        let count = match self.arrivals.fill(&self.socket) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) if is_icmp(&error) => {
                self.take_errors(&mut unreachable);
                0
            }
            Err(error) => return Err(error),
        };
        if count == 0 {
            // A wait also ends for an error that no receiving call told of.
            self.take_errors(&mut unreachable);
        }
        self.arrivals.read(count, take);
        Ok(count)
    }

    fn take_errors(&self, unreachable: &mut impl FnMut(SocketAddr)) {
        for _ in 0..ERRORS_MAX {
            match error_queue::take(SockRef::from(&self.socket), self.local_address) {
                Ok(Some(destination)) => unreachable(destination),
                Ok(None) => {}
                Err(_) => break,
            }
        }
    }

    /// Puts a datagram with those that [`BatchSocket::flush`] sends. `false`: there is no more room, flush first.
    #[must_use]
    pub fn push(&mut self, to: SocketAddr, bytes: &Bytes) -> bool {
        let fits = self.outbox.len() < BATCH_MAX;
        if fits {
            self.outbox.push((to, bytes.clone()));
        }
        fits
    }

    /// Sends all that was pushed, in order, without waiting; `failed` hears of each that could not be sent.
    /// [`io::ErrorKind::WouldBlock`] says that the kernel's buffer is full: that datagram is lost like any other on the
    /// way, and SIP sends it again.
    pub fn flush(&mut self, mut failed: impl FnMut(SocketAddr, io::Error)) {
        let mut first = 0;
        let mut tries = 0;
        while let Some(rest) = self.outbox.get(first..).filter(|rest| !rest.is_empty()) {
            match system::send(&self.socket, rest) {
                Ok(sent) => {
                    first += sent.max(1);
                    tries = 0;
                }
                // The error belongs to an earlier datagram; this one has not been tried.
                Err(error) if is_icmp(&error) && tries + 1 < SEND_TRIES => tries += 1,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    failed(rest[0].0, error);
                    first += 1;
                    tries = 0;
                }
            }
        }
        self.outbox.clear();
    }
}

#[cfg(test)]
mod tests;
