//! What the core is told about the world: itself, its VSPs, its carriers.

use crate::dial_plan::{CarrierId, DialPlan};
use offhook_sip::Timing;
use offhook_sip::digest::Credentials;
use offhook_sip_message::{Host, Uri, UriBuf};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Settings of a [`super::Proxy`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our address as others reach it, for Via and Record-Route.
    pub address: SocketAddr,
    /// Our address as it is bound, where it differs.
    pub bound: SocketAddr,
    /// Our domain, which may stand in URIs instead of the address.
    pub domain: Option<String>,
    /// Our VSPs: requests from these IPs may call out, calls from carriers go to the first that answers.
    pub vsps: Vec<SocketAddr>,
    /// Carriers; [`CarrierId`] is the position.
    pub carriers: Vec<Carrier>,
    /// Routes and numbers.
    pub dial_plan: DialPlan,
    /// T1, T2, T4.
    pub timing: Timing,
    /// How long a target may stay silent before the next one is tried.
    pub carrier_timeout: Duration,
    /// Timer C (§16.6 step 11).
    pub ring_timeout: Duration,
    /// Most requests without a final answer at a time; the transaction layer bounds what is only remembered.
    pub requests_max: usize,
    /// Whether messages are given out for the trace.
    pub trace: bool,
}

/// A carrier as the core sees it.
#[derive(Debug, Clone)]
pub struct Carrier {
    /// Name, for logs and metrics.
    pub name: String,
    /// `sip:host[:port]`
    pub target: UriBuf,
    /// Where that is; `None` while its name is not resolved.
    pub address: Option<SocketAddr>,
    /// Addresses that it sends from, besides that of `address`.
    pub sources: Vec<IpAddr>,
    /// For its challenges.
    pub credentials: Option<Credentials>,
    /// Characters to take off the front of numbers.
    pub strip: usize,
    /// What to put before the rest.
    pub prepend: String,
}

/// Who is at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// One of our VSPs.
    Vsp,
    /// A carrier.
    Carrier(CarrierId),
}

impl Settings {
    /// Who sends from `source`; `None`: a stranger. An exact address counts before an IP alone, for on one machine VSP
    /// and carrier share the IP.
    pub(super) fn peer(&self, source: SocketAddr) -> Option<Peer> {
        if let Some(id) = self
            .carriers
            .iter()
            .position(|carrier| carrier.address == Some(source))
        {
            return Some(Peer::Carrier(CarrierId(id)));
        }
        if self.vsps.iter().any(|vsp| vsp.ip() == source.ip()) {
            return Some(Peer::Vsp);
        }
        self.carrier_at(source).map(Peer::Carrier)
    }

    /// The carrier that has `address`, or sends from its IP.
    pub(super) fn carrier_at(&self, address: SocketAddr) -> Option<CarrierId> {
        let exact = self
            .carriers
            .iter()
            .position(|carrier| carrier.address == Some(address));
        let by_ip = || {
            self.carriers.iter().position(|carrier| {
                carrier.address.is_some_and(|own| own.ip() == address.ip())
                    || carrier.sources.contains(&address.ip())
            })
        };
        exact.or_else(by_ip).map(CarrierId)
    }

    /// Whether `uri` means this proxy.
    pub(super) fn is_own(&self, uri: &Uri<'_>) -> bool {
        match uri.host() {
            Some(Host::Name(name)) => {
                let ours = self
                    .domain
                    .as_deref()
                    .is_some_and(|domain| name.eq_ignore_ascii_case(domain.as_bytes()));
                ours && uri
                    .port()
                    .is_none_or(|port| port == self.address.port() || port == self.bound.port())
            }
            Some(host) => host.ip().is_some_and(|ip| {
                let address = SocketAddr::new(ip, uri.port_or_default());
                address == self.address || address == self.bound
            }),
            None => false,
        }
    }

    /// The address of a host that a carrier is configured with, so that requests in a dialog need no DNS.
    pub(super) fn known_host(&self, uri: &Uri<'_>) -> Option<SocketAddr> {
        let host = uri.host()?;
        let carrier = self
            .carriers
            .iter()
            .find(|carrier| carrier.target.uri().host() == Some(host))?;
        let address = carrier.address?;
        Some(
            uri.port()
                .map_or(address, |port| SocketAddr::new(address.ip(), port)),
        )
    }
}
