//! What the operator writes: `[sip_proxy]`, `[[carrier]]`, `[[route]]`, and the numbers of the users.

mod number;

pub use number::{NextOn, NumberConfig, TargetConfig, UserNumbers};

use crate::dial_plan::{self, Prefix, Rewrite};
use crate::proxy::TRANSACTIONS_MAX;
use offhook_process::{Problem, Secret};
use offhook_sip_message::header::Transport;
use offhook_sip_message::{Scheme, UriBuf};
use offhook_transport::locate::Locator;
use serde::Deserialize;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// All that the role needs; the binary puts it together from the configuration's tables.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `[sip_proxy]`
    pub sip_proxy: SipProxyConfig,
    /// `[[carrier]]`, in the order of the file.
    pub carriers: Vec<CarrierConfig>,
    /// `[[route]]`
    pub routes: Vec<RouteConfig>,
    /// `[[number]]`
    pub numbers: Vec<NumberConfig>,
    /// `[[user]]`: names and numbers.
    pub users: Vec<UserNumbers>,
}

/// `[sip_proxy]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SipProxyConfig {
    /// Domain that SIP URIs of this platform carry, e.g. `voice.example.com`. Default: none, the address counts.
    pub domain: Option<String>,
    /// Address to listen on for SIP over UDP. Default `127.0.0.1:5060`; port 0 takes a free one.
    pub udp: SocketAddr,
    /// Address that others reach us at, in Via and Record-Route; needed behind NAT. Default: the bound one, or the one
    /// towards the first carrier when listening on `0.0.0.0`.
    pub advertise: Option<SocketAddr>,
    /// Addresses of our VSPs: `ip` or `ip:port` (default port 5060). Requests from these IPs may call out; calls to a
    /// user go to the first that has a session of the user. Default `["127.0.0.1:5070"]`.
    pub vsp: Vec<PeerAddress>,
    /// Name servers that say where carriers with a host name are. Default: those of the system.
    pub name_servers: Option<Vec<SocketAddr>>,
    /// How long a carrier may stay silent (not even 100) before the next one is tried, milliseconds. Default 2000.
    pub carrier_timeout_ms: u64,
    /// How long a call may ring before it is given up (timer C), milliseconds; RFC 3261 wants more than 180000. Default
    /// 185000.
    pub ring_timeout_ms: u64,
    /// Most calls that are being set up, and other requests without an answer, at a time; more calls get 503. Default
    /// 20000.
    pub requests_max: usize,
    /// Most SIP transactions in each direction, with those that are only kept for repetitions: 64 for each call per
    /// second, of 2 KiB. Default 150000.
    pub transactions_max: usize,
    /// Most new calls per second of each VSP; more get 503. 0: no limit. Default 2000.
    pub calls_per_second: u32,
    /// Most new calls per second of the SIP phones of one user; more get 503. 0: no limit. Default 5.
    pub phone_calls_per_second: u32,
    /// What the routes of calls are sealed with, at least 32 bytes, so that SIP phones and carriers send nothing to each other but
    /// within their calls. Default: a new one at each start; what belongs to a call of theirs from before it gets 481.
    pub route_secret: Option<Secret>,
    /// How long messages may lie before they are taken together, from 1500 per second on (250 calls), microseconds: what costs
    /// most at everyday load is waking up. 0: never. Default 4000.
    pub wake_interval_us: u64,
    /// Whether messages are recorded in the call traces; adds a tenth to the CPU that a call costs. Default true.
    pub trace: bool,
}

/// Shortest `route_secret`, bytes: as long as the hash (RFC 2104 §3).
const ROUTE_SECRET_LEN_MIN: usize = 32;

/// A request that lies for a tenth of T1 (500 ms) at each hop is not repeated.
const WAKE_INTERVAL_US_MAX: u64 = 50_000;

impl Default for SipProxyConfig {
    fn default() -> Self {
        Self {
            domain: None,
            udp: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 5060),
            advertise: None,
            name_servers: None,
            vsp: vec![PeerAddress(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 5070))],
            carrier_timeout_ms: 2_000,
            ring_timeout_ms: 185_000,
            requests_max: 20_000,
            transactions_max: TRANSACTIONS_MAX,
            calls_per_second: 2_000,
            phone_calls_per_second: 5,
            route_secret: None,
            wake_interval_us: 4_000,
            trace: true,
        }
    }
}

/// `ip` or `ip:port`; port 5060 if none is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PeerAddress(pub SocketAddr);

impl TryFrom<String> for PeerAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let with_default_port = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 5060));
        text.parse()
            .or_else(|_| with_default_port())
            .map(Self)
            .map_err(|_| format!("`{text}` is neither ip nor ip:port"))
    }
}

/// `[[carrier]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarrierConfig {
    /// Name, for routes, logs and metrics.
    pub name: String,
    /// `sip:host[:port]`, where its calls go. With a host name and no port, DNS names its servers (NAPTR, SRV), which are
    /// tried in that order; what DNS says holds as long as DNS says.
    pub uri: String,
    /// Further source addresses of this carrier, besides the host of `uri`. Default: none.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// User name for digest authentication. Default: none, a challenge is a failure of the carrier.
    #[serde(default)]
    pub username: Option<String>,
    /// Password for it.
    #[serde(default)]
    pub password: Option<Secret>,
    /// How many characters to take off the front of the number (a leading `+` is one). Default 0.
    #[serde(default)]
    pub strip: usize,
    /// What to put before the number, after `strip`. Default: nothing.
    #[serde(default)]
    pub prepend: String,
    /// How the numbers that it calls are turned into E.164: `[{ prefix = "00", replace = "+" }, …]`; of those that fit the
    /// longest counts. Default: none, for carriers that send E.164, with or without `+`.
    #[serde(default)]
    pub inbound: Vec<RewriteConfig>,
    /// Where it writes the number that it calls: `request-uri` or `to`. Default `request-uri`.
    #[serde(default)]
    pub called_number: CalledNumberConfig,
    /// Whether it may know who calls although the caller is anonymous: P-Asserted-Identity goes to trusted carriers only.
    /// Default false.
    #[serde(default)]
    pub trusted: bool,
    /// Whose media packets are taken: `off`, `same-address` or `any`, for carriers behind NAT. Default: what `b2bua_rtc.latching`
    /// says.
    #[serde(default)]
    pub latching: Option<LatchingConfig>,
    /// Whether its redirects (3xx) to carriers of this file are followed. Default false: the caller gets them.
    #[serde(default)]
    pub follow_redirects: bool,
    /// Most calls per second that it may begin; more get 503. 0: no limit. Default 500.
    #[serde(default = "carrier_calls_per_second")]
    pub calls_per_second: u32,
    /// Most calls with it at a time, in both directions; it gets 503 for more, and our calls go to the next carrier. 0: no
    /// limit. Default 0.
    #[serde(default)]
    pub calls_max: usize,
}

fn carrier_calls_per_second() -> u32 {
    500
}

/// One rule of `carrier.inbound`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewriteConfig {
    /// Start of the numbers that it is for; empty for all.
    pub prefix: String,
    /// What to put in its place.
    pub replace: String,
}

impl RewriteConfig {
    /// The rule; `None` if a number cannot start so.
    pub fn rule(&self) -> Option<Rewrite> {
        Some(Rewrite {
            prefix: Prefix::new(&self.prefix)?,
            replace: Prefix::new(&self.replace)?,
        })
    }
}

/// `carrier.called_number`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CalledNumberConfig {
    /// In the request URI.
    #[default]
    RequestUri,
    /// In To, because the request URI names our account.
    To,
}

/// `carrier.latching`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LatchingConfig {
    /// Those from address and port of its SDP.
    Off,
    /// Those from the address of its SDP, whatever the port.
    SameAddress,
    /// Those of whoever sends first.
    Any,
}

/// `[[route]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Start of the numbers that it is for: `+` and digits, or empty for all. The longest that fits counts.
    pub prefix: String,
    /// Names of carriers, in order of failover.
    pub carriers: Vec<String>,
}

impl SipProxyConfig {
    /// Says where carriers with a host name are.
    pub fn locator(&self) -> Locator {
        match &self.name_servers {
            Some(servers) => Locator::with_servers(servers.clone()),
            None => Locator::system(),
        }
    }
}

impl CarrierConfig {
    /// The target, if `uri` is one that we can use: `sip:host[:port]`, UDP.
    pub fn target(&self) -> Option<UriBuf> {
        let target = UriBuf::new(self.uri.clone()).ok()?;
        let uri = target.uri();
        let udp = matches!(uri.transport(), None | Some(Transport::Udp));
        let usable = uri.scheme() == Scheme::Sip && uri.user().is_none() && uri.headers().is_empty() && udp;
        usable.then_some(target)
    }

    /// Where it is, if `uri` has an address and no name.
    fn literal_address(&self) -> Option<SocketAddr> {
        let target = self.target()?;
        let uri = target.uri();
        Some(SocketAddr::new(uri.host()?.ip()?, uri.port_or_default()))
    }
}

impl Config {
    /// Everything that is wrong or doubtful, with its place in the tree.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = self.sip_proxy.check();
        let mut names = HashSet::new();
        for (index, carrier) in self.carriers.iter().enumerate() {
            let place = format!("carrier[{index}]");
            problems.extend(carrier.check().into_iter().map(|problem| problem.below(&place)));
            if !names.insert(carrier.name.as_str()) {
                problems.push(Problem::error(
                    format!("{place}.name"),
                    format!("two carriers are named `{}`", carrier.name),
                    "Give each a name of its own",
                ));
            }
            if carrier
                .literal_address()
                .is_some_and(|address| self.sip_proxy.is_ours(address))
            {
                problems.push(Problem::error(
                    format!("{place}.uri"),
                    format!(
                        "`{}` is a VSP or this proxy: calls would go in circles",
                        carrier.uri
                    ),
                    "Write the carrier's own address; sip_proxy.udp and sip_proxy.vsp are ours",
                ));
            }
        }
        let mut prefixes = HashSet::new();
        for (index, route) in self.routes.iter().enumerate() {
            let place = format!("route[{index}]");
            problems.extend(
                route
                    .check(&names)
                    .into_iter()
                    .map(|problem| problem.below(&place)),
            );
            if !prefixes.insert(route.prefix.as_str()) {
                problems.push(Problem::error(
                    format!("{place}.prefix"),
                    format!("two routes have the prefix `{}`", route.prefix),
                    "Join them: list all carriers in one, in order of failover",
                ));
            }
        }
        problems.extend(number::check(&self.numbers, &self.users, &self.routes));
        problems
    }
}

impl SipProxyConfig {
    fn is_ours(&self, address: SocketAddr) -> bool {
        address == self.udp || self.vsp.iter().any(|vsp| vsp.0 == address)
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.vsp.is_empty() {
            problems.push(Problem::error(
                "sip_proxy.vsp",
                "no VSP may call",
                "List the address of each VSP",
            ));
        }
        if self.carrier_timeout_ms == 0 {
            problems.push(Problem::error(
                "sip_proxy.carrier_timeout_ms",
                "no carrier can answer in 0 ms",
                "Take 1000 to 5000",
            ));
        }
        if self.ring_timeout_ms <= 180_000 {
            problems.push(Problem::warning(
                "sip_proxy.ring_timeout_ms",
                "calls are given up sooner than RFC 3261 §16.6 allows (more than 180000 ms)",
                "Take 185000, unless callers shall not wait that long",
            ));
        }
        if self.wake_interval_us > WAKE_INTERVAL_US_MAX {
            problems.push(Problem::error(
                "sip_proxy.wake_interval_us",
                format!(
                    "{} are so long that neighbours repeat what they sent",
                    self.wake_interval_us
                ),
                "Take 1000 to 10000, or 0 to take each message at once",
            ));
        }
        let secret = self.route_secret.as_ref().map(Secret::expose);
        if secret.is_some_and(|secret| secret.len() < ROUTE_SECRET_LEN_MIN) {
            problems.push(Problem::error(
                "sip_proxy.route_secret",
                "it is so short that it can be guessed",
                "Take 32 random bytes or more, such as the output of `openssl rand -hex 32`",
            ));
        }
        if self.requests_max == 0 {
            problems.push(Problem::error(
                "sip_proxy.requests_max",
                "nothing can be proxied",
                "Take 20000",
            ));
        }
        if self.transactions_max < self.requests_max {
            problems.push(Problem::error(
                "sip_proxy.transactions_max",
                "there is no room for a transaction of each request",
                "Take at least requests_max; 64 for each call per second is what calls need",
            ));
        }
        problems
    }
}

impl CarrierConfig {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.name.is_empty() {
            problems.push(Problem::error(
                "name",
                "the name is empty",
                "Name it, so that routes can refer to it",
            ));
        }
        if self.target().is_none() {
            problems.push(Problem::error(
                "uri",
                format!("`{}` is no target for calls", self.uri),
                "Write sip:host or sip:host:port; UDP is the only transport so far",
            ));
        }
        if self.username.is_some() != self.password.is_some() {
            problems.push(Problem::error(
                "username",
                "username and password belong together",
                "Give both, or neither",
            ));
        }
        if !dial_plan::is_dialable(&self.prepend) {
            problems.push(Problem::error(
                "prepend",
                format!("`{}` cannot stand in a number", self.prepend),
                "Use digits and +",
            ));
        }
        for (index, rule) in self.inbound.iter().enumerate() {
            if rule.rule().is_none() {
                problems.push(Problem::error(
                    format!("inbound[{index}]"),
                    format!(
                        "`{}` and `{}` are no starts of numbers",
                        rule.prefix, rule.replace
                    ),
                    "Use digits and +, such as { prefix = \"00\", replace = \"+\" }",
                ));
            }
        }
        problems
    }
}

impl RouteConfig {
    fn check(&self, carriers: &HashSet<&str>) -> Vec<Problem> {
        let mut problems = Vec::new();
        if Prefix::new(&self.prefix).is_none() {
            problems.push(Problem::error(
                "prefix",
                format!("`{}` is no start of a number", self.prefix),
                "Use digits and +, or leave it empty for all numbers",
            ));
        }
        if self.carriers.is_empty() {
            problems.push(Problem::error(
                "carriers",
                "the route leads nowhere",
                "Name at least one carrier",
            ));
        }
        for (index, name) in self.carriers.iter().enumerate() {
            if !carriers.contains(name.as_str()) {
                let known: Vec<&str> = carriers.iter().copied().collect();
                let remedy = match offhook_process::config::nearest(name, &known) {
                    Some(near) => format!("Did you mean `{near}`?"),
                    None => "Add a [[carrier]] of this name".to_owned(),
                };
                problems.push(Problem::error(
                    format!("carriers[{index}]"),
                    format!("there is no carrier `{name}`"),
                    remedy,
                ));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests;
