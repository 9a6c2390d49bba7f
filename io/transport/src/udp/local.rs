//! At which of its addresses a socket of `0.0.0.0` or `[::]` was reached, and sending from that one: `IP_PKTINFO`,
//! `IPV6_PKTINFO` (RFC 3542 §6). Left to itself the kernel answers from the address that its routes prefer, and whoever asked
//! another one takes the answer for a stranger's.

use socket2::{MaybeUninitSlice, MsgHdr, MsgHdrMut, SockAddr, SockRef};
use std::io::{self, IoSlice};
use std::mem::{MaybeUninit, offset_of, size_of};
use std::net::{IpAddr, SocketAddr};

/// Room for one control message with a packet's addresses, of either family.
const CONTROL_LEN: usize = 64;

/// Asks the kernel to say with each datagram where it was sent to.
pub(super) fn enable(socket: SockRef<'_>, ipv4: bool) -> io::Result<()> {
    let (level, name) = match ipv4 {
        true => (libc::IPPROTO_IP, libc::IP_PKTINFO),
        false => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
    };
    super::switch_on(socket, level, name)
}

/// Takes a datagram: its length, whom it is from, and our address that it was sent to. `any` has the socket's family.
pub(super) fn receive(
    socket: SockRef<'_>,
    buffer: &mut [u8],
    any: SocketAddr,
) -> io::Result<(usize, SocketAddr, Option<IpAddr>)> {
    let mut from = SockAddr::from(any);
    let mut control = [MaybeUninit::new(0_u8); CONTROL_LEN];
    let mut buffers = [MaybeUninitSlice::new(uninitialized(buffer))];
    let mut message = MsgHdrMut::new()
        .with_addr(&mut from)
        .with_buffers(&mut buffers)
        .with_control(&mut control);
    let len = socket.recvmsg(&mut message, libc::MSG_DONTWAIT)?;
    let from = from.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    Ok((len, from, read(&super::initialized(control))))
}

/// Sends a datagram from `local`, one of our addresses.
pub(super) fn send(socket: SockRef<'_>, bytes: &[u8], to: SocketAddr, local: IpAddr) -> io::Result<()> {
    let (control, len) = write(local);
    let to = SockAddr::from(to);
    let buffers = [IoSlice::new(bytes)];
    let message = MsgHdr::new()
        .with_addr(&to)
        .with_buffers(&buffers)
        .with_control(&control[..len]);
    socket.sendmsg(&message, libc::MSG_DONTWAIT).map(drop)
}

#[expect(unsafe_code, reason = "what is initialized may be taken for what need not be")]
fn uninitialized(buffer: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: both have the same layout, and the kernel, the only one that writes here, writes initialized bytes.
    unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) }
}

/// Level and type of the control message, and where in it the address stands.
fn place(ipv4: bool) -> (libc::c_int, libc::c_int, usize, usize) {
    match ipv4 {
        true => (
            libc::IPPROTO_IP,
            libc::IP_PKTINFO,
            offset_of!(libc::in_pktinfo, ipi_spec_dst),
            size_of::<libc::in_pktinfo>(),
        ),
        false => (
            libc::IPPROTO_IPV6,
            libc::IPV6_PKTINFO,
            offset_of!(libc::in6_pktinfo, ipi6_addr),
            size_of::<libc::in6_pktinfo>(),
        ),
    }
}

fn read(control: &[u8; CONTROL_LEN]) -> Option<IpAddr> {
    let word = |at: usize| {
        let bytes = control.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map(|bytes| libc::c_int::from_ne_bytes(*bytes))
    };
    let level = word(offset_of!(libc::cmsghdr, cmsg_level))?;
    let kind = word(offset_of!(libc::cmsghdr, cmsg_type))?;
    let family = [true, false].into_iter().find(|ipv4| {
        let (its_level, its_kind, ..) = place(*ipv4);
        (level, kind) == (its_level, its_kind)
    })?;
    let address = control.get(super::CONTROL_DATA_AT + place(family).2..)?;
    Some(match family {
        true => IpAddr::from(*address.first_chunk::<4>()?),
        false => IpAddr::from(*address.first_chunk::<16>()?),
    })
}

/// The control message that says from which address to send, and its length. No interface is named: routes decide.
fn write(local: IpAddr) -> ([u8; CONTROL_LEN], usize) {
    let (level, kind, address_at, len) = place(local.is_ipv4());
    let mut control = [0; CONTROL_LEN];
    let mut put = |at: usize, bytes: &[u8]| control[at..at + bytes.len()].copy_from_slice(bytes);
    let data_at = super::CONTROL_DATA_AT;
    put(
        offset_of!(libc::cmsghdr, cmsg_len),
        &(data_at + len).to_ne_bytes(),
    );
    put(offset_of!(libc::cmsghdr, cmsg_level), &level.to_ne_bytes());
    put(offset_of!(libc::cmsghdr, cmsg_type), &kind.to_ne_bytes());
    match local {
        IpAddr::V4(v4) => put(data_at + address_at, &v4.octets()),
        IpAddr::V6(v6) => put(data_at + address_at, &v6.octets()),
    }
    (control, data_at + len.next_multiple_of(size_of::<usize>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for text in ["192.0.2.1", "2001:db8::1"] {
            let address: IpAddr = text.parse().unwrap();
            let (control, len) = write(address);
            assert_eq!(read(&control), Some(address));
            assert!(len <= CONTROL_LEN, "{len}");
        }
        assert_eq!(read(&[0; CONTROL_LEN]), None, "the kernel may say nothing");
    }
}
