//! What is wrong or doubtful, and how to mend it.

use super::Config;
use crate::fleet::SITES_MAX;
use crate::zone::domain;
use offhook_process::Problem;

impl Config {
    /// Everything that is wrong or doubtful, with its place below `geo_dns`.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = self.settings(0).err().unwrap_or_default();
        problems.extend(self.check_numbers());
        problems.extend(self.check_health());
        problems.extend(self.check_name_servers());
        problems.extend(self.check_world());
        problems
    }

    fn check_numbers(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.listen.0.is_empty() {
            let remedy = "Write \"0.0.0.0:53\"";
            problems.push(Problem::error("listen", "the server listens nowhere", remedy));
        }
        let limits = &self.limits;
        for (place, is_zero) in [
            ("health.interval_ms", self.health.interval_ms == 0),
            ("health.timeout_ms", self.health.timeout_ms == 0),
            ("health.failures", self.health.failures == 0),
            ("health.successes", self.health.successes == 0),
            ("limits.tcp_connections_max", limits.tcp_connections_max == 0),
            (
                "limits.tcp_connections_per_address_max",
                limits.tcp_connections_per_address_max == 0,
            ),
            ("limits.tcp_idle_s", limits.tcp_idle_s == 0),
        ] {
            if is_zero {
                problems.push(Problem::error(place, "0 is not possible", "Give at least 1"));
            }
        }
        for (place, ttl_s) in [("ttl_s", self.ttl_s), ("zone_ttl_s", self.zone_ttl_s)] {
            // RFC 2181 §8.
            if ttl_s > i32::MAX as u32 {
                problems.push(Problem::error(
                    place,
                    "longer than a lifetime can be",
                    "Give less than 2147483648",
                ));
            }
        }
        problems
    }

    fn check_health(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let detection_ms = self.health.detection_ms();
        let is_checked = self.site.iter().any(|site| site.health.is_some());
        if is_checked && detection_ms > u64::from(self.ttl_s) * 1_000 {
            let what = format!(
                "a dead site is answered for up to {detection_ms} ms, longer than ttl_s ({} s)",
                self.ttl_s
            );
            let remedy = "Ask more often: keep interval_ms * failures + timeout_ms below ttl_s";
            problems.push(Problem::warning("health", what, remedy));
        }
        for (at, site) in self.site.iter().enumerate() {
            if site.health.is_none() {
                let what = format!("`{}` is answered even when it is dead", site.name);
                let remedy = "Set health to the /readyz of its admin port";
                problems.push(Problem::warning(format!("site[{at}].health"), what, remedy));
            }
        }
        problems
    }

    fn check_name_servers(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.nameserver.is_empty() {
            let what = "the zone names no name server, so that resolvers may refuse it";
            let remedy = "Add [[geo_dns.nameserver]] with the names that the parent zone delegates to";
            problems.push(Problem::warning("nameserver", what, remedy));
        } else if self.nameserver.len() == 1 {
            let what = "with a single name server the zone is gone when that one is";
            problems.push(Problem::warning(
                "nameserver",
                what,
                "Run a second one elsewhere (RFC 2182)",
            ));
        }
        let Ok(zone) = domain(&self.zone) else {
            return problems;
        };
        for (at, server) in self.nameserver.iter().enumerate() {
            let Ok(name) = domain(&server.name) else { continue };
            let place = format!("nameserver[{at}].addresses");
            match (zone.zone_of(&name), server.addresses.is_empty()) {
                (true, true) => {
                    let what = format!(
                        "nobody can know where {} is: its name is in this very zone",
                        server.name
                    );
                    problems.push(Problem::error(place, what, "List its addresses"));
                }
                (false, false) => {
                    let what = format!(
                        "{} is not in this zone: its addresses are another server's to say",
                        server.name
                    );
                    problems.push(Problem::warning(place, what, "Take them out"));
                }
                _ => {}
            }
        }
        problems
    }

    fn check_world(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.region.len() > SITES_MAX {
            let what = format!("{} regions; {SITES_MAX} are possible", self.region.len());
            problems.push(Problem::error(
                "region",
                what,
                "Join regions that have the same sites",
            ));
        }
        for (at, region) in self.region.iter().enumerate() {
            if region.sites.is_empty() {
                let what = format!(
                    "`{}` has no site: the next region always answers for it",
                    region.name
                );
                problems.push(Problem::warning(
                    format!("region[{at}].sites"),
                    what,
                    "Name its sites",
                ));
            }
            let is_default = region.name.eq_ignore_ascii_case(&self.default_region);
            if !is_default && region.networks.is_empty() && region.networks_file.is_none() {
                let what = format!("nobody belongs to `{}`: it has no networks", region.name);
                problems.push(Problem::warning(
                    format!("region[{at}].networks"),
                    what,
                    "List them, or name a networks_file",
                ));
            }
        }
        for (at, site) in self.site.iter().enumerate() {
            let names_it = |name: &String| name.eq_ignore_ascii_case(&site.name);
            if !self.region.iter().any(|region| region.sites.iter().any(names_it)) {
                let what = format!("`{}` is in no region", site.name);
                problems.push(Problem::warning(
                    format!("site[{at}].name"),
                    what,
                    "Name it in the sites of a region",
                ));
            }
            for (family, has_it) in [
                ("IPv4", std::net::IpAddr::is_ipv4 as fn(&_) -> bool),
                ("IPv6", std::net::IpAddr::is_ipv6),
            ] {
                let others = self.site.iter().any(|other| other.addresses.iter().any(has_it));
                if others && !site.addresses.is_empty() && !site.addresses.iter().any(has_it) {
                    let what = format!(
                        "`{}` has no {family} address and others have: resolvers keep its \"none\" for everybody",
                        site.name
                    );
                    let remedy = "Give all sites addresses of both families, or of one";
                    problems.push(Problem::warning(format!("site[{at}].addresses"), what, remedy));
                }
            }
        }
        problems
    }
}
