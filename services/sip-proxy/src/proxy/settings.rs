//! What the core is told about the world: itself, its VSPs, its carriers.

use super::identity::Audience;
use super::seal::Sealer;
use crate::dial_plan::{CarrierId, DialPlan, Rewrite, UserName};
use offhook_sip::Timing;
use offhook_sip::digest::Credentials;
use offhook_sip::locate::Place;
use offhook_sip_message::{Host, Uri, UriBuf};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

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
    /// Most calls at a time of users who have such a limit, over all their clients; over it the user is busy.
    pub calls_max: HashMap<UserName, usize>,
    /// Users who may have SIP phones.
    pub phones: HashMap<UserName, PhoneUser>,
    /// T1, T2, T4.
    pub timing: Timing,
    /// How long a target may stay silent before the next one is tried.
    pub carrier_timeout: Duration,
    /// Timer C (§16.6 step 11).
    pub ring_timeout: Duration,
    /// Most requests without a final answer at a time; the transaction layer bounds what is only remembered.
    pub requests_max: usize,
    /// Most transactions in each direction, with those that are only remembered for repetitions.
    pub transactions_max: usize,
    /// Most new calls per second of each VSP; 0: no limit.
    pub calls_per_second: u32,
    /// Most new calls per second of the phones of one user; 0: no limit.
    pub phone_calls_per_second: u32,
    /// What seals our Record-Routes; `None`: the proxy draws a secret, and none from before it holds.
    pub sealer: Option<Sealer>,
    /// Whether messages are given out for the trace.
    pub trace: bool,
}

impl Settings {
    /// A proxy at this address that knows nobody; the rest as the configuration has it by default.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            bound: address,
            domain: None,
            vsps: Vec::new(),
            carriers: Vec::new(),
            dial_plan: DialPlan::new(),
            calls_max: HashMap::new(),
            phones: HashMap::new(),
            timing: Timing::default(),
            carrier_timeout: Duration::from_secs(2),
            ring_timeout: Duration::from_secs(185),
            requests_max: 20_000,
            transactions_max: TRANSACTIONS_MAX,
            calls_per_second: 0,
            phone_calls_per_second: 5,
            sealer: None,
            trace: true,
        }
    }
}

/// A user with SIP phones.
#[derive(Debug, Clone)]
pub struct PhoneUser {
    /// What the phones register and call with.
    pub credentials: Credentials,
    /// Numbers that they may show.
    pub numbers: Vec<String>,
    /// The one that they show when they ask for none of those; else the first, or the user's name.
    pub caller_id: Option<String>,
    /// Name that they show when they give none.
    pub display_name: Option<String>,
    /// Whether those called may not see who calls.
    pub hide_caller: bool,
}

impl From<Credentials> for PhoneUser {
    /// One without numbers.
    fn from(credentials: Credentials) -> Self {
        Self {
            credentials,
            numbers: Vec::new(),
            caller_id: None,
            display_name: None,
            hide_caller: false,
        }
    }
}

impl PhoneUser {
    /// What a call shows: the number asked for if it is the user's, else the default, else the user's name.
    pub(super) fn caller<'a>(&'a self, user: &'a UserName, asked: &[u8]) -> &'a str {
        let own = self.numbers.iter().find(|number| number.as_bytes() == asked);
        own.or(self.caller_id.as_ref())
            .or(self.numbers.first())
            .map_or(user.as_str(), String::as_str)
    }
}

/// Most transactions in each direction unless configured: INVITE and BYE of 2,000 calls per second are remembered for 32 s
/// (64 × T1) each, which makes 128,000.
pub const TRANSACTIONS_MAX: usize = 150_000;

/// A carrier as the core sees it.
#[derive(Debug, Clone)]
pub struct Carrier {
    /// Name, for logs and metrics.
    pub name: String,
    /// `sip:host[:port]`
    pub target: UriBuf,
    /// Its servers; none while its name is not resolved.
    pub places: Vec<Place>,
    /// Addresses that were its servers' a while ago, and when DNS named others: calls go on there.
    pub former: Vec<(SocketAddr, Instant)>,
    /// Addresses that it sends from, besides those of `places`.
    pub sources: Vec<IpAddr>,
    /// For its challenges.
    pub credentials: Option<Credentials>,
    /// Characters to take off the front of numbers.
    pub strip: usize,
    /// What to put before the rest.
    pub prepend: String,
    /// How the numbers that it calls are turned into E.164.
    pub inbound: Vec<Rewrite>,
    /// Where it writes the number that it calls.
    pub called_number: CalledNumber,
    /// Whether callers' asserted identity may be shown to it (RFC 3325 §5).
    pub trusted: bool,
    /// Whose media packets the gateway takes; `None`: the gateway's own rule.
    pub latching: Option<Latching>,
    /// Whether its 3xx are followed, to carriers that we know, or passed on.
    pub follow_redirects: bool,
    /// Most calls per second that it may begin; 0: no limit.
    pub calls_per_second: u32,
    /// Most calls at a time, in both directions; 0: no limit.
    pub calls_max: usize,
}

/// Whose media packets are a carrier's. The proxy only passes it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latching {
    /// Those from address and port of its SDP.
    Off,
    /// Those from the address of its SDP.
    SameAddress,
    /// Those of whoever sends first: it is behind NAT.
    Any,
}

impl Latching {
    /// As it stands in the header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::SameAddress => "same-address",
            Self::Any => "any",
        }
    }
}

/// How long what comes from a former address of a carrier is still taken as the carrier's: longer than most calls.
const FORMER_KEPT: Duration = Duration::from_secs(3600);
/// Former addresses of one carrier that are kept; the oldest goes first.
const FORMER_MAX: usize = 32;

impl Carrier {
    /// All addresses of its servers, the preferred ones first.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.places
            .iter()
            .flat_map(|place| place.addresses.iter().copied())
    }

    fn is_at(&self, address: SocketAddr) -> bool {
        self.addresses().any(|own| own == address)
    }

    /// Its name was resolved anew.
    pub(super) fn move_to(&mut self, now: Instant, places: Vec<Place>) {
        let mut before: Vec<SocketAddr> = self.addresses().collect();
        self.places = places;
        before.retain(|address| !self.is_at(*address));
        let mut former = std::mem::take(&mut self.former);
        former.retain(|(address, since)| {
            let recent = now.saturating_duration_since(*since) < FORMER_KEPT;
            recent && !before.contains(address) && !self.is_at(*address)
        });
        former.extend(before.into_iter().map(|address| (address, now)));
        let surplus = former.len().saturating_sub(FORMER_MAX);
        former.drain(..surplus);
        self.former = former;
    }

    /// A carrier that gets and sends numbers as they are, and is neither trusted nor limited.
    pub fn new(name: impl Into<String>, target: UriBuf) -> Self {
        Self {
            name: name.into(),
            target,
            places: Vec::new(),
            former: Vec::new(),
            sources: Vec::new(),
            credentials: None,
            strip: 0,
            prepend: String::new(),
            inbound: Vec::new(),
            called_number: CalledNumber::RequestUri,
            trusted: false,
            latching: None,
            follow_redirects: false,
            calls_per_second: 0,
            calls_max: 0,
        }
    }
}

/// Where a carrier writes the number that it calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CalledNumber {
    /// In the request URI, as SIP means it.
    #[default]
    RequestUri,
    /// In To: the request URI names our account at the carrier.
    To,
}

/// Who is at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// One of our VSPs.
    Vsp,
    /// A carrier.
    Carrier(CarrierId),
    /// A registered phone of a user.
    Phone,
}

impl Settings {
    /// Who sends from `source`, where a phone has registered from if `is_phone`; `None`: a stranger. An exact address
    /// counts before an IP alone, for on one machine VSP, carrier and phone share the IP.
    pub(super) fn peer(&self, source: SocketAddr, is_phone: bool) -> Option<Peer> {
        if let Some(id) = self.carriers.iter().position(|carrier| carrier.is_at(source)) {
            return Some(Peer::Carrier(CarrierId(id)));
        }
        if is_phone && !self.vsps.contains(&source) {
            return Some(Peer::Phone);
        }
        if self.vsp_at(source).is_some() {
            return Some(Peer::Vsp);
        }
        self.carrier_at(source).map(Peer::Carrier)
    }

    /// What a neighbour may know.
    pub(super) fn audience(&self, peer: Peer) -> Audience {
        match peer {
            Peer::Vsp => Audience::Vsp,
            Peer::Carrier(CarrierId(at)) if self.carriers.get(at).is_some_and(|carrier| carrier.trusted) => {
                Audience::Trusted
            }
            Peer::Carrier(_) | Peer::Phone => Audience::Untrusted,
        }
    }

    /// Whose media packets are this neighbour's.
    pub(super) fn latching_of(&self, peer: Peer) -> Option<Latching> {
        match peer {
            Peer::Carrier(CarrierId(at)) => self.carriers.get(at)?.latching,
            Peer::Vsp | Peer::Phone => None,
        }
    }

    /// Who gets what is sent to `address`; `None`: somebody whom only the dialog knows.
    pub(super) fn receiver(&self, address: SocketAddr) -> Option<Peer> {
        if self.vsps.contains(&address) {
            return Some(Peer::Vsp);
        }
        let carrier = self.carrier_at(address).map(Peer::Carrier);
        carrier.or_else(|| self.vsp_at(address).map(|_| Peer::Vsp))
    }

    /// Whether only calls with somebody outside lead to `address`: a carrier's, and not on the machine of a VSP.
    pub(super) fn is_outside(&self, address: SocketAddr) -> bool {
        let is_carrier = |carrier: &Carrier| carrier.is_at(address);
        self.carriers.iter().any(is_carrier)
            || self.carrier_at(address).is_some() && self.vsp_at(address).is_none()
    }

    /// Position of the VSP that has `address`, or else its IP.
    pub(super) fn vsp_at(&self, address: SocketAddr) -> Option<usize> {
        let exact = self.vsps.iter().position(|vsp| *vsp == address);
        exact.or_else(|| self.vsps.iter().position(|vsp| vsp.ip() == address.ip()))
    }

    /// The carrier that `uri` leads to by the address or name, and port, that it is configured with, and where that is.
    pub(super) fn carrier_of(&self, uri: &Uri<'_>) -> Option<(CarrierId, SocketAddr)> {
        let host = uri.host()?;
        let found = self.carriers.iter().position(|carrier| {
            let target = carrier.target.uri();
            let by_name = target.host() == Some(host) && target.port_or_default() == uri.port_or_default();
            let literal = host.ip().map(|ip| SocketAddr::new(ip, uri.port_or_default()));
            by_name || literal.is_some_and(|literal| carrier.is_at(literal))
        })?;
        let literal = host.ip().map(|ip| SocketAddr::new(ip, uri.port_or_default()));
        let address = literal.or_else(|| self.carriers.get(found)?.addresses().next());
        Some((CarrierId(found), address?))
    }

    /// The carrier that has `address`, or sends from its IP.
    pub(super) fn carrier_at(&self, address: SocketAddr) -> Option<CarrierId> {
        let exact = self.carriers.iter().position(|carrier| carrier.is_at(address));
        let by_ip = || {
            self.carriers.iter().position(|carrier| {
                carrier.addresses().any(|own| own.ip() == address.ip())
                    || carrier.sources.contains(&address.ip())
                    || carrier.former.iter().any(|(own, _)| own.ip() == address.ip())
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
        let address = carrier.addresses().next()?;
        Some(
            uri.port()
                .map_or(address, |port| SocketAddr::new(address.ip(), port)),
        )
    }
}
