//! Datagrams by `io_uring`: receives that stay armed and fill buffers of one pool, sends that go out in one system call
//! for all sockets. Needs Linux 6.1; Docker's default profile forbids it, so it can never be the only way. Chosen by
//! configuration only: see `IoChoice::Auto`.
//!
//! The kernel runs completions only when this thread asks for them (`DEFER_TASKRUN`), which suits a worker that wakes
//! once a millisecond: datagrams that come meanwhile cost no wake-up.
#![expect(
    unsafe_code,
    reason = "shared rings and buffers; each use states why it is sound"
)]

use super::io::{Arrival, SendFigures};
use super::sockaddr::{RAW_ADDRESS_LEN, RawAddress};
use crate::outbox::{DATAGRAM_LEN_MAX, Outbox, SocketToken};
use io_uring::types::{BufRingEntry, CancelBuilder, Fd, RecvMsgOut, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use slab::Slab;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// Requests that are handed to the kernel at once.
const REQUESTS_MAX: u32 = 1024;
/// Completions that can wait; more are kept by the kernel until there is room.
const COMPLETIONS_MAX: u32 = 4096;
/// Receive buffers of one worker: what comes in some milliseconds of a full load. A power of two.
const BUFFERS: u16 = 512;
/// Group of these buffers.
const GROUP: u16 = 0;
/// Header that the kernel writes before address and datagram.
const HEADER_LEN: usize = 16;
const BUFFER_LEN: usize = HEADER_LEN + RAW_ADDRESS_LEN as usize + DATAGRAM_LEN_MAX;
/// Rounds of completions taken in one turn, so that a flood leaves time for timers and sending.
const ROUNDS_MAX: usize = 64;
/// Alignment of the buffer ring.
const PAGE_LEN: usize = 4096;

/// Marks among the completions; sockets have their slot and generation instead.
const WAKE: u64 = u64::MAX;
const SEND: u64 = u64::MAX - 1;

/// A ring with its sockets and buffers.
pub(super) struct Uring {
    ring: IoUring,
    /// The thread that submits first is the only one that may; rings are made elsewhere.
    enabled: bool,
    wake: RawFd,
    sockets: Slab<Entry>,
    generation: u32,
    /// Template of all receives: how long an address may be. Boxed, since the kernel looks at it while they are armed.
    template: Box<libc::msghdr>,
    buffers: Buffers,
    /// Sockets whose receive has ended and has to be armed again.
    disarmed: Vec<SocketToken>,
    completions: Vec<(u64, i32, u32)>,
    headers: Vec<Outgoing>,
    /// Sends that failed since the last batch.
    failed: u64,
}

struct Entry {
    socket: UdpSocket,
    generation: u32,
}

/// What one send points to; it stays put until the kernel has taken it.
struct Outgoing {
    address: RawAddress,
    slice: libc::iovec,
    header: libc::msghdr,
}

/// The pool of receive buffers and the ring that gives them to the kernel.
struct Buffers {
    ring: NonNull<BufRingEntry>,
    memory: Vec<u8>,
    tail: u16,
}

// SAFETY: the pointers are to memory that this value owns, and it is used by one thread at a time.
unsafe impl Send for Uring {}

impl Uring {
    /// A ring that `wake` (an eventfd, owned by the caller and alive as long as this) can interrupt.
    pub(super) fn new(wake: RawFd) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_cqsize(COMPLETIONS_MAX)
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_r_disabled()
            .build(REQUESTS_MAX)?;
        let buffers = Buffers::new();
        // SAFETY: the ring of entries is page aligned, as long as stated, and outlives the kernel's use of it (see Drop).
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(buffers.ring.as_ptr() as u64, BUFFERS, GROUP, 0)?;
        }
        // SAFETY: a plain C struct for which all-zero is valid.
        let mut template: Box<libc::msghdr> = Box::new(unsafe { zeroed() });
        template.msg_namelen = RAW_ADDRESS_LEN;
        let mut uring = Self {
            ring,
            enabled: false,
            wake,
            sockets: Slab::new(),
            generation: 0,
            template,
            buffers,
            disarmed: Vec::new(),
            completions: Vec::with_capacity(COMPLETIONS_MAX as usize),
            headers: Vec::with_capacity(REQUESTS_MAX as usize),
            failed: 0,
        };
        uring.buffers.give_all();
        uring.arm_wake()?;
        Ok(uring)
    }

    pub(super) fn add(&mut self, socket: UdpSocket) -> io::Result<SocketToken> {
        self.generation = self.generation.wrapping_add(1) & 0x7fff_ffff;
        let generation = self.generation;
        let key = self.sockets.insert(Entry { socket, generation });
        let token = SocketToken(key as u32);
        match self.arm(token) {
            Ok(()) => Ok(token),
            Err(error) => {
                self.sockets.remove(key);
                Err(error)
            }
        }
    }

    pub(super) fn remove(&mut self, token: SocketToken) -> Option<UdpSocket> {
        let entry = self.sockets.try_remove(token.0 as usize)?;
        // An armed receive would keep the port bound. It may have ended by itself: then there is nothing to cancel.
        let _ = self.ring.submit();
        let cancel = CancelBuilder::user_data(user_data(token, entry.generation));
        let _ = self.ring.submitter().register_sync_cancel(None, cancel);
        Some(entry.socket)
    }

    /// Waits until something has completed or `timeout` is over. True if there is something.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        if !self.enabled {
            self.ring.submitter().register_enable_rings()?;
            self.enabled = true;
        }
        for token in std::mem::take(&mut self.disarmed) {
            self.arm(token)?;
        }
        let result = match timeout {
            Some(timeout) => {
                let time = Timespec::from(timeout);
                self.ring
                    .submitter()
                    .submit_with_args(1, &SubmitArgs::new().timespec(&time))
            }
            None => self.ring.submit_and_wait(1),
        };
        match result.map_err(|error| error.raw_os_error()) {
            // ETIME: nothing came; EINTR: a signal; EBUSY: completions have to be taken first.
            Ok(_) | Err(Some(libc::ETIME | libc::EINTR | libc::EBUSY)) => {}
            Err(code) => return Err(io::Error::from_raw_os_error(code.unwrap_or(libc::EIO))),
        }
        Ok(!self.ring.completion().is_empty())
    }

    /// Hands what has come to `handle`.
    pub(super) fn receive(&mut self, handle: &mut impl FnMut(Arrival<'_>)) {
        for _ in 0..ROUNDS_MAX {
            self.receive_completed(handle);
            if !self.ring.submission().taskrun() {
                break;
            }
            // The kernel runs a few dozen completions at a time; there are more.
            let now = Timespec::new();
            let _ = self
                .ring
                .submitter()
                .submit_with_args(1, &SubmitArgs::new().timespec(&now));
        }
    }

    fn receive_completed(&mut self, handle: &mut impl FnMut(Arrival<'_>)) {
        let mut completions = std::mem::take(&mut self.completions);
        completions.extend(
            self.ring
                .completion()
                .map(|c| (c.user_data(), c.result(), c.flags())),
        );
        for (user_data, result, flags) in completions.drain(..) {
            match user_data {
                // Only sends that failed complete.
                SEND => self.failed += 1,
                WAKE => {
                    drain_wake(self.wake);
                    if !cqueue::more(flags) {
                        // Refused only when the ring is broken, which the next wait reports.
                        let _ = self.arm_wake();
                    }
                }
                _ => self.received(user_data, result, flags, handle),
            }
        }
        self.completions = completions;
        self.buffers.publish();
    }

    fn received(&mut self, data: u64, result: i32, flags: u32, handle: &mut impl FnMut(Arrival<'_>)) {
        let token = SocketToken(data as u32);
        let known = self
            .sockets
            .get(token.0 as usize)
            .is_some_and(|entry| user_data(token, entry.generation) == data);
        if let Some(buffer) = cqueue::buffer_select(flags) {
            if known && result > 0 {
                self.buffers
                    .read(buffer, result as usize, &self.template, token, handle);
            }
            self.buffers.give(buffer);
        }
        if known && !cqueue::more(flags) {
            self.disarmed.push(token);
        }
    }

    /// Sends all of `outbox`. A full socket buffer loses the datagram, as the network would.
    pub(super) fn send(&mut self, outbox: &Outbox) -> SendFigures {
        let mut figures = SendFigures {
            sent: 0,
            lost: std::mem::take(&mut self.failed),
        };
        self.headers.clear();
        for (transmit, bytes) in outbox.transmits() {
            if self.headers.len() == self.headers.capacity() {
                self.flush(&mut figures);
            }
            let Some(entry) = self.sockets.get(transmit.socket.0 as usize) else {
                figures.lost += 1;
                continue;
            };
            let fd = entry.socket.as_raw_fd();
            let (address, address_len) = RawAddress::new(&transmit.destination);
            self.headers.push(Outgoing {
                address,
                slice: libc::iovec {
                    iov_base: bytes.as_ptr().cast_mut().cast(),
                    iov_len: bytes.len(),
                },
                // SAFETY: a plain C struct for which all-zero is valid.
                header: unsafe { zeroed() },
            });
            let outgoing = self.headers.last_mut().expect("one was pushed");
            outgoing.header.msg_name = (&raw mut outgoing.address).cast();
            outgoing.header.msg_namelen = address_len;
            outgoing.header.msg_iov = &raw mut outgoing.slice;
            outgoing.header.msg_iovlen = 1;
            let request = opcode::SendMsg::new(Fd(fd), &raw const outgoing.header)
                // Not to be queued when the socket's buffer is full: the outbox is used again right after.
                .flags(libc::MSG_DONTWAIT as u32)
                .build()
                .flags(squeue::Flags::SKIP_SUCCESS)
                .user_data(SEND);
            // SAFETY: header, address and slice lie in `headers`, whose memory does not move before `flush`; the datagram
            // lies in the outbox, which is not changed meanwhile. The kernel takes both during `flush`.
            let pushed = unsafe { self.ring.submission().push(&request) };
            if pushed.is_err() {
                self.headers.pop();
                figures.lost += 1;
            }
        }
        self.flush(&mut figures);
        figures
    }

    /// Gives the kernel all requests; sends are done when it returns.
    fn flush(&mut self, figures: &mut SendFigures) {
        match self.ring.submit() {
            Ok(_) => figures.sent += self.headers.len() as u64,
            Err(_) => figures.lost += self.headers.len() as u64,
        }
        self.headers.clear();
    }

    fn arm(&mut self, token: SocketToken) -> io::Result<()> {
        let Some(entry) = self.sockets.get(token.0 as usize) else {
            return Ok(());
        };
        let fd = Fd(entry.socket.as_raw_fd());
        let request = opcode::RecvMsgMulti::new(fd, &raw const *self.template, GROUP)
            .build()
            .user_data(user_data(token, entry.generation));
        self.push(&request)
    }

    fn arm_wake(&mut self) -> io::Result<()> {
        let request = opcode::PollAdd::new(Fd(self.wake), libc::POLLIN as u32)
            .multi(true)
            .build()
            .user_data(WAKE);
        self.push(&request)
    }

    fn push(&mut self, request: &squeue::Entry) -> io::Result<()> {
        // SAFETY: receives and polls point only to the boxed template and to descriptors that stay open until they are
        // cancelled.
        while unsafe { self.ring.submission().push(request) }.is_err() {
            self.ring.submit()?;
        }
        Ok(())
    }
}

impl std::ops::Drop for Uring {
    fn drop(&mut self) {
        // The kernel must not write into buffers that are about to be freed.
        if self.enabled {
            let _ = self.ring.submit();
            let _ = self
                .ring
                .submitter()
                .register_sync_cancel(None, CancelBuilder::any().all());
            let _ = self.ring.submitter().unregister_buf_ring(GROUP);
        }
    }
}

impl Buffers {
    fn new() -> Self {
        // SAFETY: the layout has a size.
        let ring = unsafe { alloc_zeroed(Self::layout()) };
        let Some(ring) = NonNull::new(ring.cast()) else {
            handle_alloc_error(Self::layout());
        };
        Self {
            ring,
            memory: vec![0; BUFFER_LEN * usize::from(BUFFERS)],
            tail: 0,
        }
    }

    fn layout() -> Layout {
        Layout::from_size_align(size_of::<BufRingEntry>() * usize::from(BUFFERS), PAGE_LEN)
            .expect("a page is a valid alignment and the size is small")
    }

    fn give_all(&mut self) {
        for buffer in 0..BUFFERS {
            self.give(buffer);
        }
        self.publish();
    }

    /// Gives a buffer back; the kernel sees it after [`Self::publish`].
    fn give(&mut self, buffer: u16) {
        let start = BUFFER_LEN * usize::from(buffer);
        let index = usize::from(self.tail % BUFFERS);
        // SAFETY: the index is within the ring, and the kernel does not read the entry before the tail moves past it.
        let entry = unsafe { &mut *self.ring.as_ptr().add(index) };
        entry.set_addr(self.memory[start..].as_mut_ptr() as u64);
        entry.set_len(BUFFER_LEN as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&mut self) {
        // SAFETY: this is the ring's first entry, in which the kernel keeps the tail; both sides use it atomically.
        unsafe {
            let tail = BufRingEntry::tail(self.ring.as_ptr()).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }

    /// Hands out the datagram in a buffer.
    fn read(
        &mut self,
        buffer: u16,
        len: usize,
        template: &libc::msghdr,
        token: SocketToken,
        handle: &mut impl FnMut(Arrival<'_>),
    ) {
        let start = BUFFER_LEN * usize::from(buffer);
        let Some(bytes) = self.memory.get_mut(start..start + len.min(BUFFER_LEN)) else {
            return;
        };
        let Ok(message) = RecvMsgOut::parse(bytes, template) else {
            return;
        };
        let source = RawAddress::from_bytes(message.name_data()).and_then(|address| address.read());
        let payload_len = message.payload_data().len();
        let cut = message.is_payload_truncated();
        let payload = HEADER_LEN + RAW_ADDRESS_LEN as usize;
        if let (Some(source), false, Some(data)) =
            (source, cut, bytes.get_mut(payload..payload + payload_len))
        {
            handle(Arrival {
                socket: token,
                source,
                data,
            });
        }
    }
}

impl std::ops::Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and the kernel's use of it has ended (see Drop of the ring).
        unsafe { dealloc(self.ring.as_ptr().cast(), Self::layout()) };
    }
}

fn user_data(token: SocketToken, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(token.0)
}

fn drain_wake(fd: RawFd) {
    let mut count = 0u64;
    // SAFETY: an eventfd gives exactly 8 bytes.
    unsafe { libc::read(fd, (&raw mut count).cast(), 8) };
}
