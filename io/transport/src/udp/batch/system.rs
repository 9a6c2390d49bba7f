//! The system calls of a batch: `ppoll`, `recvmmsg`, `sendmmsg`.
#![expect(
    unsafe_code,
    reason = "batched system calls have no safe binding among our dependencies; each says why it is sound"
)]

use super::super::DATAGRAM_LEN_MAX;
use super::BATCH_MAX;
use bytes::Bytes;
use socket2::{SockAddr, SockAddrStorage};
use std::array;
use std::io;
use std::mem::zeroed;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// From one buffer to the next: a power of two would have them all compete for the same lines of the cache.
const STRIDE: usize = (DATAGRAM_LEN_MAX + 1).next_multiple_of(64) + 64;

/// Room for one batch that comes in. Pages of it that no datagram was long enough to reach cost nothing.
pub(super) struct Arrivals {
    bytes: Box<[u8]>,
    sources: Box<[SockAddrStorage]>,
    /// Length of each datagram and of its source's address.
    lengths: [(usize, libc::socklen_t); BATCH_MAX],
}

impl std::fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrivals").finish_non_exhaustive()
    }
}

impl Arrivals {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; STRIDE * BATCH_MAX].into_boxed_slice(),
            sources: (0..BATCH_MAX).map(|_| SockAddrStorage::zeroed()).collect(),
            lengths: [(0, 0); BATCH_MAX],
        }
    }

    /// Takes what lies there, at most [`BATCH_MAX`]. Gives how many; never waits.
    pub(super) fn fill(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        // SAFETY: `iovec` and `mmsghdr` are plain C structs for which all-zero is valid.
        let mut slices: [libc::iovec; BATCH_MAX] = unsafe { zeroed() };
        // SAFETY: as above.
        let mut messages: [libc::mmsghdr; BATCH_MAX] = unsafe { zeroed() };
        let rooms = self.bytes.chunks_exact_mut(STRIDE).zip(&mut self.sources);
        for ((message, slice), (room, source)) in messages.iter_mut().zip(&mut slices).zip(rooms) {
            slice.iov_base = room.as_mut_ptr().cast();
            slice.iov_len = DATAGRAM_LEN_MAX;
            message.msg_hdr.msg_iov = slice;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_namelen = size_of::<SockAddrStorage>() as libc::socklen_t;
            message.msg_hdr.msg_name = (&raw mut *source).cast();
        }
        // SAFETY: every pointer in `messages` points to memory of the stated length that nobody else uses and that lives
        // through the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                BATCH_MAX as u32,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for (length, message) in self.lengths.iter_mut().zip(&messages).take(count) {
            *length = (message.msg_len as usize, message.msg_hdr.msg_namelen);
        }
        Ok(count)
    }

    /// The first `count` of what came last.
    pub(super) fn read(&self, count: usize, mut take: impl FnMut(&[u8], SocketAddr)) {
        let rooms = self.bytes.chunks_exact(STRIDE).zip(&self.sources);
        for ((room, source), (len, address_len)) in rooms.zip(self.lengths).take(count) {
            // SAFETY: the storage is plain bytes, of which the kernel wrote an address of this length.
            let source = unsafe { SockAddr::new(std::ptr::read(source), address_len) };
            if let (Some(bytes), Some(source)) = (room.get(..len), source.as_socket()) {
                take(bytes, source);
            }
        }
    }
}

/// Gives the kernel the first [`BATCH_MAX`] of `datagrams`, and says how many it took: at least one, or an error that is
/// about the first, or left by an earlier one.
pub(super) fn send(socket: &UdpSocket, datagrams: &[(SocketAddr, Bytes)]) -> io::Result<usize> {
    let datagrams = &datagrams[..datagrams.len().min(BATCH_MAX)];
    let addresses: [Option<SockAddr>; BATCH_MAX] =
        array::from_fn(|index| datagrams.get(index).map(|(to, _)| SockAddr::from(*to)));
    // SAFETY: `iovec` and `mmsghdr` are plain C structs for which all-zero is valid.
    let mut slices: [libc::iovec; BATCH_MAX] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut messages: [libc::mmsghdr; BATCH_MAX] = unsafe { zeroed() };
    let targets = addresses.iter().flatten().zip(datagrams);
    for ((message, slice), (address, (_, bytes))) in messages.iter_mut().zip(&mut slices).zip(targets) {
        slice.iov_base = bytes.as_ptr().cast_mut().cast();
        slice.iov_len = bytes.len();
        message.msg_hdr.msg_iov = slice;
        message.msg_hdr.msg_iovlen = 1;
        message.msg_hdr.msg_name = address.as_ptr().cast_mut().cast();
        message.msg_hdr.msg_namelen = address.len();
    }
    // SAFETY: the headers point into `addresses`, `slices` and the datagrams, none of which changes or moves meanwhile; the
    // kernel reads no more of them than `datagrams.len()`, and only reads what they point to.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            datagrams.len() as u32,
            libc::MSG_DONTWAIT as _,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Waits for either socket. True if `woken` has something.
pub(super) fn wait(socket: &UdpSocket, woken: &UnixDatagram, timeout: Duration) -> io::Result<bool> {
    let entry = |fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    let mut entries = [entry(socket.as_raw_fd()), entry(woken.as_raw_fd())];
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // SAFETY: both descriptors are open, the entries and the time live through the call, and no signal mask is given.
    let ready = unsafe { libc::ppoll(entries.as_mut_ptr(), 2, &timeout, std::ptr::null()) };
    match ready {
        0.. => Ok(entries[1].revents != 0),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
    }
}
