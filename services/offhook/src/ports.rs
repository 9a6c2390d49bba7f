//! Port 0 between the roles of one process: a role that takes any port has to be found by the others. Such a port is chosen
//! before the roles start; where another role of the process is meant, port 0 stands for whatever it has got.

use crate::config::Config;
use offhook_process::Problem;
use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

/// Turns every port of the process into 0, and so into a free one.
pub(crate) fn free(config: &mut Config) {
    config.admin.listen.set_port(0);
    if let Some(vsp) = &mut config.vsp {
        for address in [&mut vsp.listen, &mut vsp.sip, &mut vsp.sip_proxy] {
            address.set_port(0);
        }
    }
    if let Some(proxy) = &mut config.sip_proxy {
        proxy.udp.set_port(0);
        for vsp in &mut proxy.vsp {
            vsp.0.set_port(0);
        }
    }
    if let Some(gateway) = &mut config.b2bua_rtc {
        gateway.webrtc.set_port(0);
    }
    if let Some(carrier) = &mut config.demo_carrier {
        let usual = format!("sip:{}", carrier.listen);
        carrier.listen.set_port(0);
        let any = format!("sip:{}", carrier.listen);
        let uris = config.carrier.iter_mut().map(|carrier| &mut carrier.uri);
        uris.filter(|uri| **uri == usual)
            .for_each(|uri| *uri = any.clone());
    }
}

/// Chooses ports for SIP where 0 was asked, and tells the roles of each other's.
pub(crate) fn settle(config: &mut Config) -> io::Result<()> {
    let vsp = choose(config.vsp.as_mut().map(|vsp| &mut vsp.sip))?;
    let proxy = choose(config.sip_proxy.as_mut().map(|proxy| &mut proxy.udp))?;
    let asked = config.demo_carrier.as_ref().map(|carrier| carrier.listen);
    let carrier = choose(config.demo_carrier.as_mut().map(|carrier| &mut carrier.listen))?;
    if let (Some(vsp), Some(proxy)) = (&mut config.vsp, proxy) {
        follow(&mut vsp.sip_proxy, proxy);
    }
    if let (Some(proxy), Some(vsp)) = (&mut config.sip_proxy, vsp) {
        for address in &mut proxy.vsp {
            follow(&mut address.0, vsp);
        }
    }
    if let (Some(asked), Some(carrier)) = (asked.filter(|asked| asked.port() == 0), carrier) {
        let any = format!("sip:{asked}");
        let uris = config.carrier.iter_mut().map(|carrier| &mut carrier.uri);
        uris.filter(|uri| **uri == any)
            .for_each(|uri| *uri = format!("sip:{carrier}"));
    }
    Ok(())
}

/// The address with a port; a free one if none was asked.
fn choose(address: Option<&mut SocketAddr>) -> io::Result<Option<SocketAddr>> {
    let Some(address) = address else {
        return Ok(None);
    };
    if address.port() == 0 {
        // Free again until the role binds it. The system hands out others first, and a role that comes too late says so.
        *address = UdpSocket::bind(*address)?.local_addr()?;
    }
    Ok(Some(*address))
}

fn follow(address: &mut SocketAddr, role: SocketAddr) {
    if address.port() == 0 {
        address.set_port(role.port());
    }
}

/// Sockets of this file that want the same port. A process of all roles does not start with them; roles on hosts of their own do.
pub(crate) fn check(config: &Config) -> Vec<Problem> {
    let sockets = sockets(config);
    let mut problems = Vec::new();
    for (at, (path, transport, address)) in sockets.iter().enumerate() {
        let rest = sockets.iter().skip(at + 1);
        for (other, ..) in rest.filter(|(_, its, theirs)| its == transport && overlap(*address, *theirs)) {
            let what = format!("{path} has {transport} {address} too");
            let remedy = "Give each its own port, unless they run on different hosts";
            problems.push(Problem::warning(*other, what, remedy));
        }
    }
    problems
}

/// Place, transport and address of each socket that the file names.
fn sockets(config: &Config) -> Vec<(&'static str, &'static str, SocketAddr)> {
    let mut sockets = vec![("admin.listen", "tcp", config.admin.listen)];
    if let Some(vsp) = &config.vsp {
        sockets.extend([("vsp.listen", "tcp", vsp.listen), ("vsp.sip", "udp", vsp.sip)]);
    }
    if let Some(proxy) = &config.sip_proxy {
        sockets.push(("sip_proxy.udp", "udp", proxy.udp));
    }
    if let Some(gateway) = &config.b2bua_rtc {
        sockets.push(("b2bua_rtc.webrtc", "udp", gateway.webrtc));
        sockets.extend(gateway.stun.map(|address| ("b2bua_rtc.stun", "udp", address)));
        sockets.extend(gateway.ng.map(|address| ("b2bua_rtc.ng", "udp", address)));
        let control = gateway.control.listen;
        sockets.extend(control.map(|address| ("b2bua_rtc.control.listen", "tcp", address)));
    }
    if let Some(carrier) = &config.demo_carrier {
        sockets.push(("demo_carrier.listen", "udp", carrier.listen));
    }
    for address in config.geo_dns.iter().flat_map(|geo_dns| &geo_dns.listen.0) {
        sockets.extend(["udp", "tcp"].map(|transport| ("geo_dns.listen", transport, *address)));
    }
    sockets
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip(), other.ip());
    let same_ip = a == b || (a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified()));
    one.port() == other.port() && one.port() != 0 && same_ip
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo;

    #[test]
    fn two_sockets_at_one_port_are_found() {
        let clashes = |text: &str| {
            let config = Config::parse("a.toml", text).unwrap();
            let problems = check(&config).into_iter();
            problems.map(|problem| problem.path).collect::<Vec<_>>()
        };
        assert!(check(&demo::config(false)).is_empty() && check(&demo::config(true)).is_empty());
        assert_eq!(
            clashes("[admin]\nlisten = '127.0.0.1:8080'\n[vsp]\n"),
            ["vsp.listen"]
        );
        let sip = "[vsp]\nsip = '127.0.0.1:5060'\n[sip_proxy]\nudp = '0.0.0.0:5060'\n";
        assert_eq!(clashes(sip), ["sip_proxy.udp"]);
        let apart = "[vsp]\nsip = '127.0.0.1:5060'\n[sip_proxy]\nudp = '127.0.0.2:5060'\n";
        assert!(clashes(apart).is_empty());
    }

    #[test]
    fn roles_on_free_ports_know_each_other() {
        let mut config = demo::config(true);
        settle(&mut config).unwrap();
        let (vsp, proxy) = (config.vsp.unwrap(), config.sip_proxy.unwrap());
        assert!(vsp.sip.port() != 0 && proxy.udp.port() != 0 && vsp.sip != proxy.udp);
        assert_eq!((vsp.sip_proxy, proxy.vsp[0].0), (proxy.udp, vsp.sip));
        let carrier = config.demo_carrier.unwrap().listen;
        assert_eq!(config.carrier[0].uri, format!("sip:{carrier}"));
        assert_eq!(
            (vsp.listen.port(), config.admin.listen.port()),
            (0, 0),
            "these find their own"
        );
    }

    #[test]
    fn ports_that_were_asked_for_stay() {
        let mut config = demo::config(false);
        settle(&mut config).unwrap();
        assert_eq!(config.vsp.unwrap().sip_proxy.port(), 5060);
        assert_eq!(config.carrier[0].uri, "sip:127.0.0.1:5080");
    }
}
