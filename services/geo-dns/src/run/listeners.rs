//! The sockets: UDP and TCP at each address, with the same port.

use super::{DNS_TCP, DNS_UDP, Error, shell::Arrival};
use crate::query::QUERY_LEN_MAX;
use offhook_process::LogLimiter;
use offhook_transport::{
    BindError, listen_tcp_beside_udp,
    udp::{ReceiveBuffer, UdpSocket},
};
use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet, time};

/// Questions and connections that wait for the loop: 40 ms of 100,000 a second. More are dropped, as on a full line.
const ARRIVALS_MAX: usize = 4_096;
/// How often a port is drawn anew that is free for UDP and taken for TCP.
const DRAWS_MAX: usize = 16;
/// Pause after connections could not be accepted, which is when the process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// All sockets, and the tasks that read from them, which end with this.
#[derive(Debug)]
pub(super) struct Listeners {
    sockets: Vec<(Arc<UdpSocket>, Option<TcpListener>)>,
    addresses: Vec<(&'static str, SocketAddr)>,
    readers: JoinSet<Result<(), Error>>,
    sender: mpsc::Sender<Arrival>,
    arrivals: mpsc::Receiver<Arrival>,
}

impl Listeners {
    /// Binds all of them; nothing is read yet.
    pub(super) async fn bind(addresses: &[SocketAddr]) -> Result<Self, BindError> {
        let (sender, arrivals) = mpsc::channel(ARRIVALS_MAX);
        let mut this = Self {
            sockets: Vec::new(),
            addresses: Vec::new(),
            readers: JoinSet::new(),
            sender,
            arrivals,
        };
        for address in addresses {
            let (udp, tcp) = bind_both(*address).await?;
            let bound = udp.local_address();
            this.addresses.extend([(DNS_UDP, bound), (DNS_TCP, bound)]);
            this.sockets.push((Arc::new(udp), Some(tcp)));
        }
        Ok(this)
    }

    /// What is bound, by name.
    pub(super) fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        self.addresses.clone()
    }

    /// The next question or connection; from the first call on sockets are read. Safe to drop half way (in `select!`).
    pub(super) async fn next(&mut self) -> Result<Arrival, Error> {
        for (udp, tcp) in &mut self.sockets {
            if let Some(tcp) = tcp.take() {
                self.readers.spawn(read_udp(Arc::clone(udp), self.sender.clone()));
                self.readers.spawn(accept(tcp, self.sender.clone()));
            }
        }
        tokio::select! {
            Some(arrival) = self.arrivals.recv() => Ok(arrival),
            Some(ended) = self.readers.join_next() => match ended {
                Ok(Err(error)) => Err(error),
                Ok(Ok(())) => unreachable!("readers end when the loop does, or with an error"),
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            },
            else => std::future::pending().await,
        }
    }
}

async fn bind_both(address: SocketAddr) -> Result<(UdpSocket, TcpListener), BindError> {
    let mut draws = 1;
    loop {
        let udp = UdpSocket::bind(address)?;
        match listen_tcp_beside_udp(udp.local_address()).await {
            Ok(tcp) => return Ok((udp, tcp)),
            // Any port will do, but it has to be one for both.
            Err(error)
                if address.port() == 0
                    && error.source.kind() == ErrorKind::AddrInUse
                    && draws < DRAWS_MAX =>
            {
                draws += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn read_udp(socket: Arc<UdpSocket>, sender: mpsc::Sender<Arrival>) -> Result<(), Error> {
    let mut buffer = ReceiveBuffer::default();
    loop {
        let received = socket.receive_batch_at(&mut buffer, |bytes, from, at| {
            // One byte over the limit is enough to see that it is too long.
            let message = bytes[..bytes.len().min(QUERY_LEN_MAX + 1)].to_vec();
            let socket = Arc::clone(&socket);
            // The loop is behind: like a datagram that the kernel had no room for, it is asked again.
            let _ = sender.try_send(Arrival::Datagram {
                message,
                from,
                at,
                socket,
            });
        });
        received.await.map_err(|source| Error::Receive {
            address: socket.local_address(),
            source,
        })?;
        // Lets the loop take what has come before more comes.
        tokio::task::yield_now().await;
    }
}

async fn accept(listener: TcpListener, sender: mpsc::Sender<Arrival>) -> Result<(), Error> {
    let mut failures = LogLimiter::default();
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                if sender.send(Arrival::Connection { stream, from }).await.is_err() {
                    return Ok(());
                }
            }
            Err(error) => {
                if let Some(suppressed) = failures.allow(Instant::now()) {
                    tracing::warn!(%error, suppressed, "a TCP connection could not be accepted");
                }
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
