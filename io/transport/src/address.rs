//! Which addresses this machine has, and from which of them it reaches a peer.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

/// The address that packets to `peer` leave from. Sends nothing. Needed because a socket bound to `0.0.0.0` does not
/// say which address a peer can answer to.
pub fn local_towards(peer: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if peer.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let probe = UdpSocket::bind((any, 0))?;
    // A port is needed to connect, and does not matter.
    probe.connect((peer.ip(), if peer.port() == 0 { 9 } else { peer.port() }))?;
    Ok(probe.local_addr()?.ip())
}

/// `bound` with its unspecified address replaced by the one from which `peer` is reached.
pub fn advertised(bound: SocketAddr, peer: SocketAddr) -> io::Result<SocketAddr> {
    if bound.ip().is_unspecified() {
        Ok(SocketAddr::new(local_towards(peer)?, bound.port()))
    } else {
        Ok(bound)
    }
}

/// All unicast addresses of the interfaces that are up, loopback last, without IPv6 link-local ones (they mean
/// nothing without a scope).
pub fn interfaces() -> io::Result<Vec<IpAddr>> {
    let mut addresses = list_interfaces()?;
    addresses.retain(|address| !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()));
    addresses.sort_by_key(IpAddr::is_loopback);
    addresses.dedup();
    Ok(addresses)
}

#[expect(unsafe_code, reason = "getifaddrs has no safe binding among our dependencies")]
fn list_interfaces() -> io::Result<Vec<IpAddr>> {
    let mut list = std::ptr::null_mut();
    // SAFETY: `list` is a valid place for the pointer that the call stores.
    if unsafe { libc::getifaddrs(&mut list) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut addresses = Vec::new();
    let mut entry = list;
    while !entry.is_null() {
        // SAFETY: `entry` is a node of the list, which is freed only below; `ifa_addr` is null or a socket address
        // whose length fits its family.
        unsafe {
            let up = (*entry).ifa_flags & libc::IFF_UP as libc::c_uint != 0;
            if up && !(*entry).ifa_addr.is_null() {
                addresses.extend(read_address((*entry).ifa_addr));
            }
            entry = (*entry).ifa_next;
        }
    }
    // SAFETY: `list` came from getifaddrs and is freed once.
    unsafe { libc::freeifaddrs(list) };
    Ok(addresses)
}

/// # Safety
/// `address` points to a socket address whose length fits its family.
#[expect(unsafe_code, reason = "reads what getifaddrs gave")]
unsafe fn read_address(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: by this function's contract; the casts follow the family, and reads are unaligned.
    unsafe {
        match i32::from((*address).sa_family) {
            libc::AF_INET => {
                let v4 = address.cast::<libc::sockaddr_in>().read_unaligned();
                Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
            }
            libc::AF_INET6 => {
                let v6 = address.cast::<libc::sockaddr_in6>().read_unaligned();
                Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there_and_last() {
        let all = interfaces().unwrap();
        assert!(all.contains(&Ipv4Addr::LOCALHOST.into()));
        assert!(all.iter().is_sorted_by_key(|address| address.is_loopback()));
    }

    #[test]
    fn towards_loopback_is_loopback() {
        let peer = "127.0.0.1:5060".parse().unwrap();
        assert_eq!(local_towards(peer).unwrap(), Ipv4Addr::LOCALHOST);
        assert_eq!(
            advertised("0.0.0.0:5070".parse().unwrap(), peer).unwrap(),
            "127.0.0.1:5070".parse().unwrap()
        );
        let fixed = "192.0.2.1:5070".parse().unwrap();
        assert_eq!(advertised(fixed, peer).unwrap(), fixed);
    }
}
