//! The datagram side of a worker: sockets in, batches out, behind one interface with two implementations.

use super::epoll::Epoll;
use super::io_uring::Uring;
use crate::config::IoChoice;
use crate::outbox::{Outbox, SocketToken};
use std::fs::File;
use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// A datagram that came in. It may be changed in place.
pub(super) struct Arrival<'a> {
    /// Socket that it came to.
    pub(super) socket: SocketToken,
    /// Who sent it.
    pub(super) source: SocketAddr,
    /// Its bytes.
    pub(super) data: &'a mut [u8],
}

/// How a batch went out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct SendFigures {
    /// Datagrams that the kernel took.
    pub(super) sent: u64,
    /// Datagrams that it did not take (buffer full, unreachable), or whose socket is gone.
    pub(super) lost: u64,
}

/// Interrupts the wait of one worker from any thread.
#[derive(Clone, Debug)]
pub(crate) struct Waker(Arc<File>);

impl Waker {
    fn new() -> io::Result<Self> {
        #[expect(unsafe_code, reason = "eventfd has no safe wrapper in std")]
        // SAFETY: no pointers; the descriptor is owned at once, and only here.
        let fd = unsafe {
            let fd = libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Self(Arc::new(File::from(fd))))
    }

    /// Wakes the worker; waking one that is awake is harmless.
    pub(crate) fn wake(&self) {
        // Fails only when 2^64 - 2 wake-ups are waiting: it is awake then.
        let _ = (&*self.0).write(&1u64.to_ne_bytes());
    }
}

/// The implementation that was chosen at start.
enum Backend {
    Epoll(Epoll),
    IoUring(Box<Uring>),
}

/// Sockets and batches of one worker.
pub(super) struct Io {
    backend: Backend,
    waker: Waker,
}

impl Io {
    /// Opens what `choice` names, or `epoll` where the kernel forbids it.
    pub(super) fn new(choice: IoChoice) -> io::Result<Self> {
        let waker = Waker::new()?;
        let fd = waker.0.as_raw_fd();
        let backend = match choice {
            IoChoice::Auto | IoChoice::Epoll => Backend::Epoll(Epoll::new(fd)?),
            IoChoice::IoUring => match Uring::new(fd) {
                Ok(uring) => Backend::IoUring(Box::new(uring)),
                Err(error) => {
                    tracing::warn!(%error, "io_uring is not to be had here; using epoll");
                    Backend::Epoll(Epoll::new(fd)?)
                }
            },
        };
        Ok(Self { backend, waker })
    }

    /// Name of the implementation, for the log.
    pub(super) fn name(&self) -> &'static str {
        match &self.backend {
            Backend::Epoll(_) => "epoll",
            Backend::IoUring(_) => "io_uring",
        }
    }

    /// A handle that interrupts [`Self::wait`].
    pub(super) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Takes a socket that carries many sessions. To be called before any [`Self::add`].
    pub(super) fn add_shared(&mut self, socket: UdpSocket) -> io::Result<SocketToken> {
        match &mut self.backend {
            Backend::Epoll(epoll) => epoll.add(socket, true),
            Backend::IoUring(uring) => uring.add(socket),
        }
    }

    /// Takes a socket of one leg.
    pub(super) fn add(&mut self, socket: UdpSocket) -> io::Result<SocketToken> {
        match &mut self.backend {
            Backend::Epoll(epoll) => epoll.add(socket, false),
            Backend::IoUring(uring) => uring.add(socket),
        }
    }

    /// Gives a socket back.
    pub(super) fn remove(&mut self, token: SocketToken) -> Option<UdpSocket> {
        match &mut self.backend {
            Backend::Epoll(epoll) => epoll.remove(token),
            Backend::IoUring(uring) => uring.remove(token),
        }
    }

    /// Lets datagrams gather for `time`; a wake-up ends it early.
    pub(super) fn nap(&self, time: Duration) {
        // Below this the nap costs more than it saves.
        if time < Duration::from_micros(50) {
            return;
        }
        let mut wake = libc::pollfd {
            fd: self.waker.0.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let time = libc::timespec {
            tv_sec: time.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(time.subsec_nanos() as i32),
        };
        #[expect(unsafe_code, reason = "ppoll has no safe wrapper in std")]
        // SAFETY: one descriptor that we own, a valid time, no signal mask.
        unsafe {
            libc::ppoll(&raw mut wake, 1, &raw const time, std::ptr::null());
        }
    }

    /// Waits for datagrams, a wake-up, or the end of `timeout` (`None`: for ever). True if there is something to do.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        match &mut self.backend {
            Backend::Epoll(epoll) => epoll.wait(timeout),
            Backend::IoUring(uring) => uring.wait(timeout),
        }
    }

    /// Hands what has come to `handle`: of a leg's socket at most `per_leg` datagrams, the rest next time.
    pub(super) fn receive(&mut self, per_leg: usize, mut handle: impl FnMut(Arrival<'_>)) {
        match &mut self.backend {
            Backend::Epoll(epoll) => epoll.receive(per_leg, &mut handle),
            // Its receives are completed already, whoever sent them; the kernel takes turns among the sockets.
            Backend::IoUring(uring) => uring.receive(&mut handle),
        }
    }

    /// Sends everything in `outbox` and empties it.
    pub(super) fn send(&mut self, outbox: &mut Outbox) -> SendFigures {
        if outbox.entries().is_empty() {
            return SendFigures::default();
        }
        let figures = match &mut self.backend {
            Backend::Epoll(epoll) => epoll.send(outbox),
            Backend::IoUring(uring) => uring.send(outbox),
        };
        outbox.clear();
        figures
    }
}
