//! The kernel's queue of ICMP errors (`IP_RECVERR`): which destination was not there.

use socket2::{MsgHdrMut, SockAddr, SockRef};
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;

/// Room for one `cmsghdr` with its `sock_extended_err` and the address of whoever sent the ICMP message.
const CONTROL_LEN: usize = 128;

/// Asks the kernel to keep ICMP errors with the destination that they are about.
pub(super) fn enable(socket: SockRef<'_>, ipv4: bool) -> io::Result<()> {
    let (level, name) = match ipv4 {
        true => (libc::IPPROTO_IP, libc::IP_RECVERR),
        false => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    };
    super::switch_on(socket, level, name)
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
    let says_unreachable = is_unreachable(&super::initialized(control));
    Ok(destination.as_socket().filter(|_| says_unreachable))
}

/// Whether the `sock_extended_err` says that an ICMP message came for want of a receiver: `ee_errno` is its first word,
/// `ee_origin` the byte after it.
fn is_unreachable(control: &[u8; CONTROL_LEN]) -> bool {
    let Some((errno, rest)) = control
        .get(super::CONTROL_DATA_AT..)
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
