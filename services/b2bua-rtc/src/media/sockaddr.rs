//! `SocketAddr` to and from the kernel's socket addresses, without allocation.

use std::mem::size_of;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Room for an IPv4 or IPv6 address as the kernel writes it.
#[derive(Clone, Copy)]
pub(super) union RawAddress {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// Length of a buffer for any address that we take.
pub(super) const RAW_ADDRESS_LEN: libc::socklen_t = size_of::<RawAddress>() as libc::socklen_t;

impl RawAddress {
    /// No address.
    pub(super) const fn empty() -> Self {
        // All fields are plain numbers.
        Self {
            v6: libc::sockaddr_in6 {
                sin6_family: 0,
                sin6_port: 0,
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
                sin6_scope_id: 0,
            },
        }
    }

    /// An address as the kernel wrote it among other bytes; `None` if it is too long.
    #[expect(unsafe_code, reason = "the bytes of an address are copied as they are")]
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut address = Self::empty();
        if bytes.len() > size_of::<Self>() {
            return None;
        }
        // SAFETY: the length was checked, and every bit pattern is valid for the union's integer fields.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut address).cast::<u8>(), bytes.len());
        }
        Some(address)
    }

    /// `address` as the kernel wants it, and its length.
    pub(super) fn new(address: &SocketAddr) -> (Self, libc::socklen_t) {
        match address {
            SocketAddr::V4(v4) => (
                Self {
                    v4: libc::sockaddr_in {
                        sin_family: libc::AF_INET as libc::sa_family_t,
                        sin_port: v4.port().to_be(),
                        sin_addr: libc::in_addr {
                            s_addr: u32::from_ne_bytes(v4.ip().octets()),
                        },
                        sin_zero: [0; 8],
                    },
                },
                size_of::<libc::sockaddr_in>() as libc::socklen_t,
            ),
            SocketAddr::V6(v6) => (
                Self {
                    v6: libc::sockaddr_in6 {
                        sin6_family: libc::AF_INET6 as libc::sa_family_t,
                        sin6_port: v6.port().to_be(),
                        sin6_flowinfo: v6.flowinfo(),
                        sin6_addr: libc::in6_addr {
                            s6_addr: v6.ip().octets(),
                        },
                        sin6_scope_id: v6.scope_id(),
                    },
                },
                size_of::<libc::sockaddr_in6>() as libc::socklen_t,
            ),
        }
    }

    /// The address that the kernel wrote; `None` if it is neither IPv4 nor IPv6.
    #[expect(
        unsafe_code,
        reason = "the family says which member of the union the kernel wrote"
    )]
    pub(super) fn read(&self) -> Option<SocketAddr> {
        // SAFETY: both members begin with the family, every bit pattern is valid for their integer fields, and the
        // whole union was initialised by `empty` or `new`.
        unsafe {
            match libc::c_int::from(self.v4.sin_family) {
                libc::AF_INET => {
                    let ip = Ipv4Addr::from(self.v4.sin_addr.s_addr.to_ne_bytes());
                    Some(SocketAddrV4::new(ip, u16::from_be(self.v4.sin_port)).into())
                }
                libc::AF_INET6 => {
                    let ip = Ipv6Addr::from(self.v6.sin6_addr.s6_addr);
                    let port = u16::from_be(self.v6.sin6_port);
                    Some(SocketAddrV6::new(ip, port, self.v6.sin6_flowinfo, self.v6.sin6_scope_id).into())
                }
                _ => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back() {
        for text in [
            "127.0.0.1:5060",
            "203.0.113.9:1",
            "[::1]:65535",
            "[2001:db8::1]:3478",
        ] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(RawAddress::new(&address).0.read(), Some(address));
        }
        assert_eq!(RawAddress::empty().read(), None);
        assert!(RawAddress::from_bytes(&[0; 64]).is_none());
    }
}
