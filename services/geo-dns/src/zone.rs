//! The zone: which names there are, and what never depends on who asks.
//!
//! ```text
//! rtc.example.com           the nearest site; SOA, NS
//! nj1.rtc.example.com       that site, whatever happens
//! europe.rtc.example.com    the sites of that region, and the next one's when none of them stands
//! ns1.rtc.example.com       a name server, if its name is in the zone
//! ```

use crate::fleet::SiteId;
use crate::region::RegionId;
use hickory_proto::rr::{LowerName, Name, rdata::SOA};
use std::{collections::HashMap, net::IpAddr};

/// How long other servers would wait between transfers, which there are none of; customary values (RFC 1912 §2.2), seconds.
const REFRESH_S: i32 = 3_600;
const RETRY_S: i32 = 600;
const EXPIRE_S: i32 = 1_209_600;

/// What a name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// The name that everybody asks for: the nearest site.
    Nearest,
    /// One region's sites.
    Region(RegionId),
    /// One site.
    Site(SiteId),
    /// A name server.
    NameServer(Vec<IpAddr>),
    /// Only a part of other names: it is there, and has nothing (RFC 8020).
    Empty,
}

/// Why a zone cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidZone {
    /// Not a domain name.
    #[error("`{0}` is no domain name")]
    Name(String),
    /// Two things want one name.
    #[error("two things would be named {0}")]
    Taken(String),
}

/// What never depends on who asks.
#[derive(Debug, Clone)]
pub struct ZoneSettings {
    /// Name of the zone, which is the name that clients ask for.
    pub name: String,
    /// Mail address of who answers for the zone, or the same as a domain name; none: `hostmaster` in the zone.
    pub hostmaster: Option<String>,
    /// Number of this version of the zone.
    pub serial: u32,
    /// Lifetime of the sites' addresses, and of the answer that there is none, seconds.
    pub ttl_s: u32,
    /// Lifetime of the zone's own records, seconds.
    pub zone_ttl_s: u32,
    /// Name servers, the first being the primary; with addresses where their names are in the zone.
    pub name_servers: Vec<(String, Vec<IpAddr>)>,
}

/// The zone.
#[derive(Debug)]
pub struct Zone {
    apex: Name,
    soa: SOA,
    name_servers: Vec<(Name, Vec<IpAddr>)>,
    nodes: HashMap<LowerName, Node>,
    /// See [`ZoneSettings::ttl_s`].
    pub ttl_s: u32,
    /// See [`ZoneSettings::zone_ttl_s`].
    pub zone_ttl_s: u32,
}

impl Zone {
    /// The zone with a name for each site and region.
    pub fn new<'a>(
        settings: &ZoneSettings,
        sites: impl IntoIterator<Item = (SiteId, &'a str)>,
        regions: impl IntoIterator<Item = (RegionId, &'a str)>,
    ) -> Result<Self, InvalidZone> {
        let apex = domain(&settings.name)?;
        let hostmaster = match &settings.hostmaster {
            Some(text) => mailbox(text)?,
            None => below("hostmaster", &apex)?,
        };
        let mut name_servers = Vec::new();
        for (name, addresses) in &settings.name_servers {
            name_servers.push((domain(name)?, addresses.clone()));
        }
        let primary = name_servers
            .first()
            .map_or_else(|| apex.clone(), |(name, _)| name.clone());
        let (serial, ttl_s, zone_ttl_s) = (settings.serial, settings.ttl_s, settings.zone_ttl_s);
        let mut zone = Self {
            // What is not there may be there as soon as another site answers: RFC 2308 §4.
            soa: SOA::new(primary, hostmaster, serial, REFRESH_S, RETRY_S, EXPIRE_S, ttl_s),
            nodes: HashMap::from([(LowerName::new(&apex), Node::Nearest)]),
            apex,
            name_servers: Vec::new(),
            ttl_s,
            zone_ttl_s,
        };
        for (id, name) in sites {
            zone.add(below(name, &zone.apex)?, Node::Site(id))?;
        }
        for (id, name) in regions {
            zone.add(below(name, &zone.apex)?, Node::Region(id))?;
        }
        for (name, addresses) in &name_servers {
            if zone.holds(name) {
                zone.add(name.clone(), Node::NameServer(addresses.clone()))?;
            }
        }
        zone.name_servers = name_servers;
        Ok(zone)
    }

    fn add(&mut self, name: Name, node: Node) -> Result<(), InvalidZone> {
        let mut above = name.base_name();
        while above.num_labels() > self.apex.num_labels() {
            self.nodes.entry(LowerName::new(&above)).or_insert(Node::Empty);
            above = above.base_name();
        }
        match self.nodes.insert(LowerName::new(&name), node) {
            None | Some(Node::Empty) => Ok(()),
            Some(_) => Err(InvalidZone::Taken(name.to_ascii())),
        }
    }

    /// True for names at or below the zone's own.
    pub fn holds(&self, name: &Name) -> bool {
        self.apex.zone_of(name)
    }

    /// What a name is; none if there is no such name.
    pub fn find(&self, name: &Name) -> Option<&Node> {
        self.nodes.get(&LowerName::new(name))
    }

    /// Its own name.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// Its SOA record.
    pub fn soa(&self) -> &SOA {
        &self.soa
    }

    /// Its name servers, with the addresses of those whose names are in the zone.
    pub fn name_servers(&self) -> &[(Name, Vec<IpAddr>)] {
        &self.name_servers
    }
}

/// A name from the root down, with or without the dot at its end. Wildcards and the root are none that could be served.
pub fn domain(text: &str) -> Result<Name, InvalidZone> {
    let bad = || InvalidZone::Name(text.to_owned());
    let mut name = Name::from_ascii(text).map_err(|_| bad())?;
    name.set_fqdn(true);
    let is_served = !name.is_root() && name.iter().all(is_label);
    if is_served { Ok(name) } else { Err(bad()) }
}

/// A mail address as SOA records have it: what stands before the at-sign is one label, whatever dots it has (RFC 1035 §8).
fn mailbox(text: &str) -> Result<Name, InvalidZone> {
    let Some((user, host)) = text.split_once('@') else {
        return domain(text);
    };
    let bad = || InvalidZone::Name(text.to_owned());
    if user.is_empty() || !user.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad());
    }
    let host = domain(host).map_err(|_| bad())?;
    host.prepend_label(user.as_bytes()).map_err(|_| bad())
}

fn below(label: &str, apex: &Name) -> Result<Name, InvalidZone> {
    let bad = || InvalidZone::Name(label.to_owned());
    if !is_label(label.as_bytes()) {
        return Err(bad());
    }
    apex.prepend_label(label).map_err(|_| bad())
}

/// Letters, digits and hyphens inside, as host names have them; and underscores, which do no harm.
fn is_label(label: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let ends = [label.first(), label.last()];
    label.iter().all(plain) && ends.iter().all(|end| end.is_some_and(|end| *end != b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ZoneSettings {
        ZoneSettings {
            name: "rtc.example.com".to_owned(),
            hostmaster: None,
            serial: 7,
            ttl_s: 30,
            zone_ttl_s: 3600,
            name_servers: vec![
                (
                    "a.ns.rtc.example.com".to_owned(),
                    vec!["192.0.2.53".parse().unwrap()],
                ),
                ("ns2.example.net.".to_owned(), Vec::new()),
            ],
        }
    }

    fn zone() -> Zone {
        Zone::new(
            &settings(),
            [(SiteId(0), "NJ1")],
            [(RegionId(0), "north-america")],
        )
        .unwrap()
    }

    fn name(text: &str) -> Name {
        domain(text).unwrap()
    }

    #[test]
    fn names_are_found_whatever_their_case() {
        let zone = zone();
        assert_eq!(zone.find(&name("RTC.example.COM")), Some(&Node::Nearest));
        assert_eq!(
            zone.find(&name("nj1.rtc.example.com")),
            Some(&Node::Site(SiteId(0)))
        );
        assert_eq!(
            zone.find(&name("north-america.rtc.example.com")),
            Some(&Node::Region(RegionId(0)))
        );
        assert_eq!(zone.find(&name("nj2.rtc.example.com")), None);
        assert!(zone.holds(&name("x.y.RTC.example.com")) && !zone.holds(&name("xrtc.example.com")));
        assert!(!zone.holds(&name("example.com")), "it is the zone's parent");
    }

    #[test]
    fn rfc8020_what_lies_between_is_there() {
        let zone = zone();
        assert_eq!(zone.find(&name("ns.rtc.example.com")), Some(&Node::Empty));
        assert!(matches!(
            zone.find(&name("a.ns.rtc.example.com")),
            Some(Node::NameServer(_))
        ));
        assert_eq!(
            zone.find(&name("ns2.example.net")),
            None,
            "that one is not ours to answer"
        );
    }

    #[test]
    fn rfc1035_3_3_13_the_soa_names_primary_and_hostmaster() {
        let zone = zone();
        let soa = zone.soa();
        assert_eq!(soa.mname, name("a.ns.rtc.example.com"));
        assert_eq!(soa.rname, name("hostmaster.rtc.example.com"));
        assert_eq!((soa.serial, soa.minimum), (7, 30));
    }

    #[test]
    fn rfc1035_8_a_mail_address_is_one_label_and_a_domain() {
        let read = |text: &str| mailbox(text).map(|name| name.to_ascii());
        assert_eq!(read("dns@example.com").unwrap(), "dns.example.com.");
        assert_eq!(read("dns.admin@example.com").unwrap(), "dns\\.admin.example.com.");
        assert_eq!(mailbox("dns.admin@example.com").unwrap().num_labels(), 3);
        assert_eq!(read("dns.example.com").unwrap(), "dns.example.com.");
        for bad in ["@example.com", "dns@", "a b@example.com", "dns@example..com"] {
            assert_eq!(mailbox(bad), Err(InvalidZone::Name(bad.to_owned())));
        }
    }

    #[test]
    fn one_name_is_one_thing() {
        let twice = Zone::new(&settings(), [(SiteId(0), "EU")], [(RegionId(0), "eu")]);
        assert!(matches!(twice, Err(InvalidZone::Taken(_))), "{twice:?}");
        for bad in [
            "",
            ".",
            "-a.example",
            "a b.example",
            "*.example.com",
            "x..y",
            &"a".repeat(64),
        ] {
            assert!(domain(bad).is_err(), "{bad}");
        }
        let label = Zone::new(&settings(), [(SiteId(0), "a.b")], []);
        assert!(label.is_err(), "a site's name is one label");
    }
}
