//! Datagrams by `epoll`, `recvmmsg` and `sendmmsg`: works on every Linux, and inside Docker's default profile.
#![expect(
    unsafe_code,
    reason = "batched system calls; each call states why it is sound"
)]

use super::io::{Arrival, SendFigures};
use super::sockaddr::{RAW_ADDRESS_LEN, RawAddress};
use crate::outbox::{DATAGRAM_LEN_MAX, Outbox, SocketToken, Transmit};
use slab::Slab;
use std::io;
use std::mem::zeroed;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Sockets reported by one `epoll_wait`; the rest come with the next.
const READY_MAX: usize = 512;
/// Datagrams taken or given in one system call: beyond 32 the gain per packet is below the noise.
const BATCH_MAX: usize = 64;
/// Batches taken from one shared socket in one go, so that a flood there does not starve the other sockets.
const SHARED_BATCHES_MAX: usize = 16;
/// Mark of the wake-up descriptor among the events.
const WAKE: u64 = u64::MAX;

/// An `epoll` instance with its sockets and batch buffers.
pub(super) struct Epoll {
    epoll: OwnedFd,
    wake: RawFd,
    sockets: Slab<Entry>,
    ready: Vec<libc::epoll_event>,
    receive: Box<ReceiveBatch>,
}

struct Entry {
    socket: UdpSocket,
    /// Carries many sessions, so it is drained in batches.
    shared: bool,
}

struct ReceiveBatch {
    buffers: Vec<[u8; DATAGRAM_LEN_MAX]>,
    addresses: Vec<RawAddress>,
}

impl Epoll {
    /// A poller that `wake` (an eventfd, owned by the caller and alive as long as this) can interrupt.
    pub(super) fn new(wake: RawFd) -> io::Result<Self> {
        // SAFETY: no pointers are passed; the result is checked before it is owned.
        let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        let poller = Self {
            epoll,
            wake,
            sockets: Slab::new(),
            ready: Vec::with_capacity(READY_MAX),
            receive: Box::new(ReceiveBatch {
                buffers: vec![[0; DATAGRAM_LEN_MAX]; BATCH_MAX],
                addresses: vec![RawAddress::empty(); BATCH_MAX],
            }),
        };
        poller.register(wake, WAKE)?;
        Ok(poller)
    }

    pub(super) fn add(&mut self, socket: UdpSocket, shared: bool) -> io::Result<SocketToken> {
        let fd = socket.as_raw_fd();
        let key = self.sockets.insert(Entry { socket, shared });
        match self.register(fd, key as u64) {
            Ok(()) => Ok(SocketToken(key as u32)),
            Err(error) => {
                self.sockets.remove(key);
                Err(error)
            }
        }
    }

    pub(super) fn remove(&mut self, token: SocketToken) -> Option<UdpSocket> {
        let entry = self.sockets.try_remove(token.0 as usize)?;
        // SAFETY: both descriptors are open; a null event is allowed for EPOLL_CTL_DEL.
        unsafe {
            libc::epoll_ctl(
                self.epoll.as_raw_fd(),
                libc::EPOLL_CTL_DEL,
                entry.socket.as_raw_fd(),
                std::ptr::null_mut(),
            )
        };
        Some(entry.socket)
    }

    /// Waits until something can be read, [`super::io::Waker`] wakes us, or `timeout` is over. True if woken or readable.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let timeout_ms = timeout.map_or(-1, |t| t.as_micros().div_ceil(1000).min(60_000) as i32);
        // SAFETY: the buffer has room for READY_MAX events, and the kernel writes no more than it is told.
        let count = check(unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                self.ready.as_mut_ptr(),
                READY_MAX as i32,
                timeout_ms,
            )
        });
        let count = match count {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            other => other?,
        };
        // SAFETY: the kernel has initialised `count` events, at most READY_MAX, which is the capacity.
        unsafe { self.ready.set_len(count as usize) };
        Ok(count > 0)
    }

    /// Hands all that can be read to `handle`, within a budget; what is left is reported again by the next wait.
    pub(super) fn receive(&mut self, per_leg: usize, handle: &mut impl FnMut(Arrival<'_>)) {
        for index in 0..self.ready.len() {
            let key = self.ready[index].u64;
            if key == WAKE {
                drain_wake(self.wake);
                continue;
            }
            let Some(entry) = self.sockets.get(key as usize) else {
                continue; // Removed since it was reported.
            };
            let token = SocketToken(key as u32);
            let fd = entry.socket.as_raw_fd();
            if entry.shared {
                for _ in 0..SHARED_BATCHES_MAX {
                    if self.receive.batch(fd, token, handle) < BATCH_MAX {
                        break;
                    }
                }
            } else {
                for _ in 0..per_leg {
                    if !self.receive.single(fd, token, handle) {
                        break;
                    }
                }
            }
        }
        self.ready.clear();
    }

    /// Sends all of `outbox`. A full socket buffer loses the datagram, as the network would.
    pub(super) fn send(&mut self, outbox: &Outbox) -> SendFigures {
        let mut figures = SendFigures::default();
        for token in shared_tokens(&self.sockets) {
            let fd = self.sockets[token.0 as usize].socket.as_raw_fd();
            let mut rest = outbox.entries().iter().filter(|t| t.socket == token).peekable();
            while rest.peek().is_some() {
                send_batch(fd, outbox, rest.by_ref().take(BATCH_MAX), &mut figures);
            }
        }
        for transmit in outbox.entries() {
            match self.sockets.get(transmit.socket.0 as usize) {
                Some(entry) if !entry.shared => {
                    send_single(entry.socket.as_raw_fd(), outbox, transmit, &mut figures);
                }
                Some(_) => {}
                None => figures.lost += 1,
            }
        }
        figures
    }

    fn register(&self, fd: RawFd, key: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: key,
        };
        // SAFETY: both descriptors are open and `event` lives through the call.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) })
            .map(drop)
    }
}

/// The few sockets that carry many sessions each.
fn shared_tokens(sockets: &Slab<Entry>) -> impl Iterator<Item = SocketToken> + use<'_> {
    // They are added first, and never removed.
    sockets
        .iter()
        .take_while(|(_, entry)| entry.shared)
        .map(|(key, _)| SocketToken(key as u32))
}

impl ReceiveBatch {
    /// One `recvmmsg`. Returns how many came.
    fn batch(&mut self, fd: RawFd, token: SocketToken, handle: &mut impl FnMut(Arrival<'_>)) -> usize {
        // SAFETY: `mmsghdr` and `iovec` are plain C structs for which all-zero is valid.
        let mut slices: [libc::iovec; BATCH_MAX] = unsafe { zeroed() };
        // SAFETY: as above.
        let mut messages: [libc::mmsghdr; BATCH_MAX] = unsafe { zeroed() };
        for index in 0..BATCH_MAX {
            slices[index].iov_base = self.buffers[index].as_mut_ptr().cast();
            slices[index].iov_len = DATAGRAM_LEN_MAX;
            messages[index].msg_hdr.msg_iov = &raw mut slices[index];
            messages[index].msg_hdr.msg_iovlen = 1;
            messages[index].msg_hdr.msg_name = (&raw mut self.addresses[index]).cast();
            messages[index].msg_hdr.msg_namelen = RAW_ADDRESS_LEN;
        }
        // SAFETY: every pointer in `messages` points to memory of the stated length that lives through the call.
        let count = unsafe {
            libc::recvmmsg(
                fd,
                messages.as_mut_ptr(),
                BATCH_MAX as u32,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        let count = count.max(0) as usize;
        for (index, message) in messages.iter().enumerate().take(count) {
            let len = (message.msg_len as usize).min(DATAGRAM_LEN_MAX);
            let cut = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            if let (Some(source), false) = (self.addresses[index].read(), cut) {
                handle(Arrival {
                    socket: token,
                    source,
                    data: &mut self.buffers[index][..len],
                });
            }
        }
        count
    }

    /// One `recvfrom`. False if nothing was there.
    fn single(&mut self, fd: RawFd, token: SocketToken, handle: &mut impl FnMut(Arrival<'_>)) -> bool {
        let mut address_len = RAW_ADDRESS_LEN;
        // SAFETY: buffer and address are as long as stated and live through the call.
        let len = unsafe {
            libc::recvfrom(
                fd,
                self.buffers[0].as_mut_ptr().cast(),
                DATAGRAM_LEN_MAX,
                libc::MSG_DONTWAIT | libc::MSG_TRUNC,
                (&raw mut self.addresses[0]).cast(),
                &raw mut address_len,
            )
        };
        // With MSG_TRUNC the kernel tells the true length: what did not fit is no packet of ours.
        if (0..=DATAGRAM_LEN_MAX as isize).contains(&len)
            && let Some(source) = self.addresses[0].read()
        {
            handle(Arrival {
                socket: token,
                source,
                data: &mut self.buffers[0][..len as usize],
            });
        }
        len >= 0
    }
}

/// One `sendmmsg` per stretch that the kernel takes, of at most [`BATCH_MAX`] datagrams.
fn send_batch<'a>(
    fd: RawFd,
    outbox: &Outbox,
    transmits: impl Iterator<Item = &'a Transmit>,
    figures: &mut SendFigures,
) {
    let mut addresses = [RawAddress::empty(); BATCH_MAX];
    // SAFETY: `mmsghdr` and `iovec` are plain C structs for which all-zero is valid.
    let mut slices: [libc::iovec; BATCH_MAX] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut messages: [libc::mmsghdr; BATCH_MAX] = unsafe { zeroed() };
    let mut count = 0;
    for transmit in transmits.take(BATCH_MAX) {
        let bytes = outbox.bytes(transmit);
        let (address, address_len) = RawAddress::new(&transmit.destination);
        addresses[count] = address;
        slices[count] = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        let header = &mut messages[count].msg_hdr;
        header.msg_name = (&raw mut addresses[count]).cast();
        header.msg_namelen = address_len;
        header.msg_iov = &raw mut slices[count];
        header.msg_iovlen = 1;
        count += 1;
    }
    let mut first = 0;
    while first < count {
        let rest = &mut messages[first..count];
        // SAFETY: the headers point into `addresses`, `slices` and the outbox, none of which changes or moves meanwhile;
        // the kernel only reads the datagrams.
        let sent =
            unsafe { libc::sendmmsg(fd, rest.as_mut_ptr(), rest.len() as u32, libc::MSG_DONTWAIT as _) };
        if sent > 0 {
            figures.sent += sent as u64;
            first += sent as usize;
        } else {
            // The first of the rest failed (unreachable, full): leave that one out and go on.
            figures.lost += 1;
            first += 1;
        }
    }
}

fn send_single(fd: RawFd, outbox: &Outbox, transmit: &Transmit, figures: &mut SendFigures) {
    let bytes = outbox.bytes(transmit);
    let (address, address_len) = RawAddress::new(&transmit.destination);
    // SAFETY: datagram and address are as long as stated and live through the call.
    let sent = unsafe {
        libc::sendto(
            fd,
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_DONTWAIT,
            (&raw const address).cast(),
            address_len,
        )
    };
    if sent >= 0 {
        figures.sent += 1;
    } else {
        figures.lost += 1;
    }
}

fn drain_wake(fd: RawFd) {
    let mut count = 0u64;
    // SAFETY: an eventfd gives exactly 8 bytes.
    unsafe { libc::read(fd, (&raw mut count).cast(), 8) };
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
