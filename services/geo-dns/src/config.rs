//! What the operator writes: `[geo_dns]`.

mod build;
mod check;

pub use build::{HealthUrl, Settings};

use crate::fleet::HealthSettings;
use serde::Deserialize;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// `[geo_dns]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// UDP and TCP addresses, one or several. Default `0.0.0.0:53`; port 0 takes a free one.
    #[serde(default)]
    pub listen: Listen,
    /// The zone that this server answers for, and the name that clients ask for.
    pub zone: String,
    /// Who answers for the zone: a mail address, or a domain name in the way of SOA records. Default: `hostmaster` in the zone.
    pub hostmaster: Option<String>,
    /// How long resolvers may keep a site's address, seconds. Default 30.
    #[serde(default = "ttl_s")]
    pub ttl_s: u32,
    /// How long they may keep what rarely changes (SOA, NS), seconds. Default 3600.
    #[serde(default = "zone_ttl_s")]
    pub zone_ttl_s: u32,
    /// Name of the region for those whom no network names.
    pub default_region: String,
    /// When sites are asked how they are.
    #[serde(default)]
    pub health: HealthConfig,
    /// What askers may use up.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// The name servers of the zone, as the parent zone delegates to them; the first is the primary.
    #[serde(default)]
    pub nameserver: Vec<NameServerConfig>,
    /// The places where VSPs are.
    #[serde(default)]
    pub site: Vec<SiteConfig>,
    /// The parts of the world.
    #[serde(default)]
    pub region: Vec<RegionConfig>,
}

/// One address with port, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "ListenForm")]
pub struct Listen(pub Vec<SocketAddr>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "invalid socket address syntax")]
enum ListenForm {
    One(SocketAddr),
    Many(Vec<SocketAddr>),
}

impl From<ListenForm> for Listen {
    fn from(form: ListenForm) -> Self {
        match form {
            ListenForm::One(address) => Self(vec![address]),
            ListenForm::Many(addresses) => Self(addresses),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self(vec![(Ipv4Addr::UNSPECIFIED, 53).into()])
    }
}

/// `[geo_dns.health]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// From the beginning of a site's check to that of the next, milliseconds. Default 5000.
    pub interval_ms: u64,
    /// How long an answer may take, milliseconds. Default 2000.
    pub timeout_ms: u64,
    /// Failures in a row after which a site is answered no more. Default 3.
    pub failures: u32,
    /// Successes in a row after which it is answered again. Default 2.
    pub successes: u32,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            interval_ms: 5_000,
            timeout_ms: 2_000,
            failures: 3,
            successes: 2,
        }
    }
}

impl HealthConfig {
    /// When sites are asked, and when they are believed.
    pub fn settings(&self) -> HealthSettings {
        HealthSettings {
            interval: Duration::from_millis(self.interval_ms),
            failures: self.failures.max(1),
            successes: self.successes.max(1),
        }
    }

    /// How long a check may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// How long a site may be dead at most before it is answered no more, milliseconds.
    fn detection_ms(&self) -> u64 {
        let checks = self.interval_ms.saturating_mul(self.failures.into());
        checks.saturating_add(self.timeout_ms)
    }
}

/// `[geo_dns.limits]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Answers per second over UDP to one network (/24, /56); who asks more is told to ask over TCP. 0: no limit. Default 1000.
    pub answers_per_second: u32,
    /// TCP connections at once. Default 500.
    pub tcp_connections_max: usize,
    /// TCP connections of one address (IPv6: of one /56) at once. Default 20.
    pub tcp_connections_per_address_max: usize,
    /// How long a TCP connection may be silent, seconds. Default 10.
    pub tcp_idle_s: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            answers_per_second: 1_000,
            tcp_connections_max: 500,
            tcp_connections_per_address_max: 20,
            tcp_idle_s: 10,
        }
    }
}

/// `[[geo_dns.nameserver]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameServerConfig {
    /// Its name.
    pub name: String,
    /// Its addresses, if its name is in the zone. Default: none.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

/// `[[geo_dns.site]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteConfig {
    /// Its name: a label of a domain name, under which it can be asked for directly.
    pub name: String,
    /// The addresses that clients reach it at.
    pub addresses: Vec<IpAddr>,
    /// What tells whether it serves: `http://host:port/readyz`. Without it the site counts as healthy.
    pub health: Option<String>,
    /// Its share among the sites of a region, against theirs. Default 1.
    #[serde(default = "weight")]
    pub weight: u32,
    /// Whether it is taken out: answered only when there is no other. Default false.
    #[serde(default)]
    pub drain: bool,
}

/// `[[geo_dns.region]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionConfig {
    /// Its name: a label of a domain name, under which it can be asked for directly.
    pub name: String,
    /// Names of its sites, which share its clients.
    pub sites: Vec<String>,
    /// Names of other regions, the nearest first; those not named follow in the order of the file. Default: none.
    #[serde(default)]
    pub next: Vec<String>,
    /// Its networks; of all regions' networks the longest that fits counts. Default: none.
    #[serde(default)]
    pub networks: Vec<String>,
    /// A text file with further networks, one in a line; `#` begins a comment.
    pub networks_file: Option<PathBuf>,
}

fn ttl_s() -> u32 {
    30
}

fn zone_ttl_s() -> u32 {
    3_600
}

fn weight() -> u32 {
    1
}

#[cfg(test)]
mod tests;
