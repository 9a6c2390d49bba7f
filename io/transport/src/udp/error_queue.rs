//! The kernel's queue of ICMP errors (`IP_RECVERR`): which destination was not there.

use socket2::{MsgHdrMut, SockAddr, SockRef};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::SocketAddr;

/// Room for one `cmsghdr` with its `sock_extended_err` and the address of whoever sent the ICMP message.
const CONTROL_LEN: usize = 128;

/// Where the data of a control message starts: after its header, aligned like a word.
const DATA_AT: usize = size_of::<libc::cmsghdr>().next_multiple_of(size_of::<usize>());

/// Asks the kernel to keep ICMP errors with the destination that they are about.
#[expect(unsafe_code, reason = "IP_RECVERR has no safe binding among our dependencies")]
pub(super) fn enable(socket: SockRef<'_>, ipv4: bool) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let (level, name) = match ipv4 {
        true => (libc::IPPROTO_IP, libc::IP_RECVERR),
        false => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    };
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

/// Takes the next error. `Some`: nobody is at this address; `None`: an error that says nothing of the kind, such as a new
/// path MTU. [`io::ErrorKind::WouldBlock`]: the queue is empty.
pub(super) fn take(socket: SockRef<'_>, any: SocketAddr) -> io::Result<Option<SocketAddr>> {
    let mut destination = SockAddr::from(any);
    let mut control = [MaybeUninit::new(0_u8); CONTROL_LEN];
    let mut message = MsgHdrMut::new()
        .with_addr(&mut destination)
        .with_control(&mut control);
    socket.recvmsg(&mut message, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT)?;
    let says_unreachable = is_unreachable(&initialized(control));
    Ok(destination.as_socket().filter(|_| says_unreachable))
}

#[expect(
    unsafe_code,
    reason = "the kernel writes into memory that is already initialized"
)]
fn initialized(control: [MaybeUninit<u8>; CONTROL_LEN]) -> [u8; CONTROL_LEN] {
    // SAFETY: all bytes were set to 0 before the kernel wrote some of them.
    control.map(|byte| unsafe { byte.assume_init() })
}

/// Whether the `sock_extended_err` says that an ICMP message came for want of a receiver: `ee_errno` is its first word,
/// `ee_origin` the byte after it.
fn is_unreachable(control: &[u8; CONTROL_LEN]) -> bool {
    let Some((errno, rest)) = control
        .get(DATA_AT..)
        .and_then(|data| data.split_first_chunk::<4>())
    else {
        return false;
    };
    let from_network = matches!(
        rest.first(),
        Some(&(libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6))
    );
    from_network
        && matches!(
            i32::from_ne_bytes(*errno),
            libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EHOSTDOWN
        )
}
