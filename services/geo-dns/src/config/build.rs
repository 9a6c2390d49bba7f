//! From what is written to what runs; what cannot be is said with its place.

use super::{Config, RegionConfig, SiteConfig};
use crate::choice::{Region, Regions};
use crate::fleet::{SITES_MAX, Site, SiteId};
use crate::region::{NETWORKS_MAX, Networks, RegionId};
use crate::zone::{InvalidZone, Zone, ZoneSettings};
use ipnet::IpNet;
use offhook_process::{Problem, config::nearest};
use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

/// Longest line of a file of networks, bytes: a network and a remark.
const LINE_LEN_MAX: u64 = 1_000;

/// What runs, made of a configuration.
#[derive(Debug)]
pub struct Settings {
    /// The zone.
    pub zone: Zone,
    /// The world.
    pub regions: Regions,
    /// The sites.
    pub sites: Vec<Site>,
    /// Where each of them is asked how it is, by [`SiteId`].
    pub health: Vec<Option<HealthUrl>>,
}

/// Where a site is asked how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthUrl {
    /// Host name or IP address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Path and query.
    pub path: String,
}

impl HealthUrl {
    /// Reads `http://host[:port][/path]`.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: hyper::Uri = text.parse().ok()?;
        let is_plain = uri.scheme_str() == Some("http") && !uri.authority()?.as_str().contains('@');
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        (is_plain && !host.is_empty()).then(|| Self {
            host,
            port: uri.port_u16().unwrap_or(80),
            path: path.to_owned(),
        })
    }
}

impl Config {
    /// What runs; `serial` is the number of this version of the zone. Otherwise everything that is in the way.
    pub fn settings(&self, serial: u32) -> Result<Settings, Vec<Problem>> {
        let mut problems = Vec::new();
        let sites = self.sites(&mut problems);
        let regions = self.regions(&mut problems);
        let zone = self.zone(serial, &mut problems);
        let health = self
            .site
            .iter()
            .map(|site| site.health.as_deref().and_then(HealthUrl::parse));
        match (zone, regions) {
            (Some(zone), Some(regions)) if problems.is_empty() => Ok(Settings {
                zone,
                regions,
                sites,
                health: health.collect(),
            }),
            _ => Err(problems),
        }
    }

    fn sites(&self, problems: &mut Vec<Problem>) -> Vec<Site> {
        if self.site.is_empty() {
            let remedy = "Add [[geo_dns.site]] with name and addresses";
            problems.push(Problem::error("site", "there is no site to answer with", remedy));
        }
        if self.site.len() > SITES_MAX {
            let what = format!("{} sites; {SITES_MAX} are possible", self.site.len());
            problems.push(Problem::error(
                "site",
                what,
                "Join sites that are near each other",
            ));
        }
        for (at, site) in self.site.iter().enumerate() {
            let place = format!("site[{at}]");
            problems.extend(site.problems().into_iter().map(|problem| problem.below(&place)));
        }
        let sites = self.site.iter().map(|site| Site {
            name: site.name.clone(),
            addresses: site.addresses.clone(),
            weight: site.weight,
            is_drained: site.drain,
            is_checked: site.health.is_some(),
        });
        sites.collect()
    }

    fn regions(&self, problems: &mut Vec<Problem>) -> Option<Regions> {
        let mut networks = NetworkReader::new(self);
        let mut regions = Vec::new();
        for (at, region) in self.region.iter().enumerate() {
            let place = format!("region[{at}]");
            let mut found = Vec::new();
            regions.push(self.region(at, region, &mut found));
            networks.read(at, region, &mut found);
            problems.extend(found.into_iter().map(|problem| problem.below(&place)));
        }
        let Some(default) = self.region_named(&self.default_region) else {
            let what = format!("there is no region `{}`", self.default_region);
            let remedy = did_you_mean(
                &self.default_region,
                self.region.iter().map(|region| &region.name),
            );
            problems.push(Problem::error("default_region", what, remedy));
            return None;
        };
        Some(Regions {
            regions,
            networks: networks.networks,
            default,
        })
    }

    fn region(&self, at: usize, region: &RegionConfig, problems: &mut Vec<Problem>) -> Region {
        let mut sites = Vec::new();
        for (place, name) in region.sites.iter().enumerate() {
            match self
                .site
                .iter()
                .position(|site| site.name.eq_ignore_ascii_case(name))
            {
                Some(site) => sites.push(SiteId(id(site))),
                None => {
                    let what = format!("there is no site `{name}`");
                    let remedy = did_you_mean(name, self.site.iter().map(|site| &site.name));
                    problems.push(Problem::error(format!("sites[{place}]"), what, remedy));
                }
            }
        }
        let mut next = Vec::new();
        for (place, name) in region.next.iter().enumerate() {
            match self.region_named(name) {
                Some(other) if usize::from(other.0) != at => next.push(other),
                Some(_) => {
                    let what = "a region comes after itself";
                    problems.push(Problem::error(
                        format!("next[{place}]"),
                        what,
                        "Name other regions",
                    ));
                }
                None => {
                    let what = format!("there is no region `{name}`");
                    let remedy = did_you_mean(name, self.region.iter().map(|region| &region.name));
                    problems.push(Problem::error(format!("next[{place}]"), what, remedy));
                }
            }
        }
        let all = (0..self.region.len()).map(|other| RegionId(id(other)));
        let rest: Vec<_> = all
            .filter(|other| usize::from(other.0) != at && !next.contains(other))
            .collect();
        next.extend(rest);
        Region {
            name: region.name.clone(),
            sites,
            next,
        }
    }

    fn region_named(&self, name: &str) -> Option<RegionId> {
        let mut regions = self.region.iter();
        let at = regions.position(|region| region.name.eq_ignore_ascii_case(name))?;
        Some(RegionId(id(at)))
    }

    fn zone(&self, serial: u32, problems: &mut Vec<Problem>) -> Option<Zone> {
        let settings = ZoneSettings {
            name: self.zone.clone(),
            hostmaster: self.hostmaster.clone(),
            serial,
            ttl_s: self.ttl_s,
            zone_ttl_s: self.zone_ttl_s,
            name_servers: self
                .nameserver
                .iter()
                .map(|each| (each.name.clone(), each.addresses.clone()))
                .collect(),
        };
        let sites = (0_u16..)
            .zip(&self.site)
            .map(|(at, site)| (SiteId(at), site.name.as_str()));
        let regions = (0_u16..)
            .zip(&self.region)
            .map(|(at, region)| (RegionId(at), region.name.as_str()));
        match Zone::new(&settings, sites, regions) {
            Ok(zone) => Some(zone),
            Err(error) => {
                let remedy = match &error {
                    InvalidZone::Name(_) => {
                        "Use letters, digits and hyphens; a site's or region's name has no dots"
                    }
                    InvalidZone::Taken(_) => "Give each site, region and name server a name of its own",
                };
                problems.push(Problem::error(self.place_of(&error), error.to_string(), remedy));
                None
            }
        }
    }

    /// Where the text of the error stands.
    fn place_of(&self, error: &InvalidZone) -> String {
        let InvalidZone::Name(bad) = error else {
            return "zone".to_owned();
        };
        let site = self.site.iter().position(|site| site.name == *bad);
        let region = self.region.iter().position(|region| region.name == *bad);
        let server = self.nameserver.iter().position(|server| server.name == *bad);
        match (site, region, server) {
            _ if self.zone == *bad => "zone".to_owned(),
            (Some(at), ..) => format!("site[{at}].name"),
            (_, Some(at), _) => format!("region[{at}].name"),
            (.., Some(at)) => format!("nameserver[{at}].name"),
            _ => "hostmaster".to_owned(),
        }
    }
}

impl SiteConfig {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.addresses.is_empty() {
            let remedy = "List the addresses that clients reach it at";
            problems.push(Problem::error("addresses", "the site has no address", remedy));
        }
        if self.weight == 0 {
            let remedy = "Give at least 1; to take a site out, set drain = true";
            problems.push(Problem::error("weight", "a weight of 0 is no share", remedy));
        }
        if let Some(bad) = self.health.as_ref().filter(|url| HealthUrl::parse(url).is_none()) {
            let what = format!("`{bad}` is no URL that can be asked");
            let remedy = "Write http://host:port/readyz; https is not supported";
            problems.push(Problem::error("health", what, remedy));
        }
        problems
    }
}

/// Collects the networks of all regions.
struct NetworkReader<'a> {
    config: &'a Config,
    networks: Networks,
    count: usize,
}

impl<'a> NetworkReader<'a> {
    fn new(config: &'a Config) -> Self {
        Self {
            config,
            networks: Networks::default(),
            count: 0,
        }
    }

    fn read(&mut self, at: usize, region: &RegionConfig, problems: &mut Vec<Problem>) {
        let id = RegionId(id(at));
        for (place, text) in region.networks.iter().enumerate() {
            if let Err((what, remedy)) = self.add(text, id) {
                problems.push(Problem::error(format!("networks[{place}]"), what, remedy));
            }
        }
        if let Some(path) = &region.networks_file
            && let Err((what, remedy)) = self.read_file(path, id)
        {
            problems.push(Problem::error("networks_file", what, remedy));
        }
    }

    /// Stops at the first line that is wrong: a file of another kind would have thousands.
    fn read_file(&mut self, path: &Path, region: RegionId) -> Result<(), (String, String)> {
        let unreadable = |error: std::io::Error| {
            let what = format!("{} cannot be read: {error}", path.display());
            (what, "Give a text file with one network in each line".to_owned())
        };
        let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
        for number in 1.. {
            let mut line = String::new();
            let mut rest = std::io::Read::take(&mut file, LINE_LEN_MAX);
            if rest.read_line(&mut line).map_err(unreadable)? == 0 {
                break;
            }
            let text = line.split('#').next().unwrap_or_default().trim();
            if !text.is_empty() {
                let place = format!("{}:{number}", path.display());
                self.add(text, region)
                    .map_err(|(what, remedy)| (format!("{place}: {what}"), remedy))?;
            }
        }
        Ok(())
    }

    fn add(&mut self, text: &str, region: RegionId) -> Result<(), (String, String)> {
        let network = text.parse::<IpNet>().map_err(|_| {
            let what = format!("`{text}` is no network");
            (what, "Write 192.0.2.0/24 or 2001:db8::/32".to_owned())
        })?;
        if network.trunc() != network {
            let what = format!("`{text}` has bits beyond its prefix");
            return Err((what, format!("Write {}", network.trunc())));
        }
        self.count += 1;
        if self.count > NETWORKS_MAX {
            let what = format!("more than {NETWORKS_MAX} networks");
            return Err((what, "Join neighbouring networks".to_owned()));
        }
        self.networks.insert(network, region).map_err(|other| {
            let other = self.config.region.get(usize::from(other.0));
            let other = other.map_or("", |other| other.name.as_str());
            let what = format!("{network} is a network of `{other}` already");
            (what, "Take it out of one of them".to_owned())
        })
    }
}

/// Says the nearest name there is, or all of them.
fn did_you_mean<'a>(wrong: &str, known: impl Iterator<Item = &'a String>) -> String {
    let known: HashSet<&str> = known.map(String::as_str).collect();
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    match nearest(wrong, &known) {
        Some(name) => format!("Did you mean `{name}`?"),
        None => format!("Known here: {}", known.join(", ")),
    }
}

/// Places in lists are below `SITES_MAX`, or of regions, which each need a name; what is beyond is refused by `check`.
fn id(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}
