//! Which site a network gets: the nearest that stands, shared by weight among the sites of a region.
//!
//! The choice depends on nothing but the network, the table and how the sites stand: the same question gets the same answer
//! at every server and every time, so that caches agree and a site that goes moves its own clients alone (rendezvous
//! hashing).

use crate::fleet::{Fleet, Site, SiteId, Standing};
use crate::region::{ClientNetwork, Networks, RegionId};
use std::net::IpAddr;

/// Networks that are sent to one of several sites together, bits: small enough that shares come out right, and wide enough
/// that resolvers need not keep an answer for each street.
const SHARE_PREFIX_V4: u8 = 20;
const SHARE_PREFIX_V6: u8 = 40;

/// A part of the world and who serves it.
#[derive(Debug, Clone)]
pub struct Region {
    /// Its name, such as `europe`.
    pub name: String,
    /// Its sites.
    pub sites: Vec<SiteId>,
    /// All other regions, the nearest first.
    pub next: Vec<RegionId>,
}

/// The world.
#[derive(Debug)]
pub struct Regions {
    /// By [`RegionId`].
    pub regions: Vec<Region>,
    /// Whose network is whose.
    pub networks: Networks,
    /// Where those belong whom no network names.
    pub default: RegionId,
}

/// What a network gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The site.
    pub site: SiteId,
    /// Bits of the network's address that the choice depends on.
    pub scope: u8,
}

impl Regions {
    /// The site for a network. None only if no region has any site.
    pub fn choose(&self, client: &ClientNetwork, fleet: &Fleet) -> Option<Choice> {
        let found = self.networks.find(client);
        let region = found.region.unwrap_or(self.default);
        let (site, share) = self.choose_near(region, client, fleet)?;
        let scope = found.scope.max(share);
        Some(Choice { site, scope })
    }

    /// The site for a network of that region, and the bits of the network that the choice depends on besides.
    ///
    /// Where no site at all is available, those count that fail: more likely it is the checks that fail, and an address that
    /// may not answer is no worse than none. Where there are none of these either, even drained ones count.
    pub fn choose_near(
        &self,
        region: RegionId,
        client: &ClientNetwork,
        fleet: &Fleet,
    ) -> Option<(SiteId, u8)> {
        let home = self.regions.get(usize::from(region.0))?;
        let near = || std::iter::once(region).chain(home.next.iter().copied());
        let worst = [Standing::Available, Standing::Failing, Standing::Drained];
        let sites = worst.into_iter().find_map(|worst| {
            let standing = |region| self.standing(region, fleet, worst);
            near().map(standing).find(|sites| !sites.is_empty())
        })?;
        match sites.as_slice() {
            [(only, _)] => Some((*only, 0)),
            several => {
                let network = client.widened(share_prefix(client.address()));
                Some((share(several, &network)?, network.prefix()))
            }
        }
    }

    /// The sites of a region that stand no worse than that.
    fn standing<'a>(
        &'a self,
        region: RegionId,
        fleet: &'a Fleet,
        worst: Standing,
    ) -> Vec<(SiteId, &'a Site)> {
        let region = self.regions.get(usize::from(region.0));
        let sites = region.into_iter().flat_map(|region| region.sites.iter().copied());
        let standing = sites.filter(|site| fleet.standing(*site) <= worst);
        standing.filter_map(|id| Some((id, fleet.site(id)?))).collect()
    }
}

fn share_prefix(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => SHARE_PREFIX_V4,
        IpAddr::V6(_) => SHARE_PREFIX_V6,
    }
}

/// Weighted rendezvous hashing: each site draws a number for the network, and the best one wins.
fn share(sites: &[(SiteId, &Site)], network: &ClientNetwork) -> Option<SiteId> {
    let score = |site: &Site| {
        // 53 bits, all that a float can tell apart; never 0 nor 1.
        let drawn = ((draw(&site.name, network) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        f64::from(site.weight) / -drawn.ln()
    };
    let best = sites.iter().max_by(|a, b| score(a.1).total_cmp(&score(b.1)));
    best.map(|(id, _)| *id)
}

/// A number that looks drawn, the same for the same site and network on every machine and in every version.
fn draw(site: &str, network: &ClientNetwork) -> u64 {
    let octets = match network.address() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    let bytes = octets.iter().chain(site.as_bytes());
    // FNV-1a, and a finalizer, for FNV leaves its upper bits nearly alone.
    let mut hash = bytes.fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    hash = (hash ^ hash >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ hash >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Check, CheckFailure, HealthSettings};
    use std::collections::HashMap;
    use std::net::Ipv4Addr;
    use std::time::{Duration, Instant};

    const NJ1: SiteId = SiteId(0);
    const AMS3: SiteId = SiteId(1);
    const FR5: SiteId = SiteId(2);
    const NA: RegionId = RegionId(0);
    const EU: RegionId = RegionId(1);

    /// NJ1 in America, AMS3 and FR5 (weights 3 and 1) in Europe.
    fn world() -> (Regions, Fleet) {
        let site = |name: &str, weight| Site {
            name: name.to_owned(),
            addresses: vec!["192.0.2.1".parse().unwrap()],
            weight,
            is_drained: false,
            is_checked: true,
        };
        let settings = HealthSettings {
            interval: Duration::from_secs(1),
            failures: 1,
            successes: 1,
        };
        let sites = vec![site("NJ1", 1), site("AMS3", 3), site("FR5", 1)];
        let mut networks = Networks::default();
        networks.insert("80.0.0.0/8".parse().unwrap(), EU).unwrap();
        let region = |name: &str, sites: &[SiteId], next| Region {
            name: name.to_owned(),
            sites: sites.to_vec(),
            next: vec![next],
        };
        let regions = Regions {
            regions: vec![region("america", &[NJ1], EU), region("europe", &[AMS3, FR5], NA)],
            networks,
            default: NA,
        };
        (regions, Fleet::new(sites, settings, Instant::now()))
    }

    fn check(fleet: &mut Fleet, site: SiteId, check: Check) {
        let now = fleet.poll_timeout().unwrap_or_else(Instant::now);
        fleet.handle_timeout(now + Duration::from_secs(1));
        fleet.handle_check(now, site, check);
    }

    fn fail(fleet: &mut Fleet, site: SiteId) {
        check(fleet, site, Check::Failed(CheckFailure::Timeout));
    }

    fn host(bits: u32) -> ClientNetwork {
        ClientNetwork::host(Ipv4Addr::from_bits(bits).into())
    }

    /// Sites of so many networks of Europe.
    fn spread(regions: &Regions, fleet: &Fleet) -> HashMap<u32, SiteId> {
        let networks = (0..4096_u32).map(|at| 0x5000_0000 + (at << 12));
        networks
            .map(|bits| (bits, regions.choose(&host(bits), fleet).unwrap().site))
            .collect()
    }

    #[test]
    fn sites_of_a_region_share_by_weight() {
        let (regions, fleet) = world();
        let spread = spread(&regions, &fleet);
        let ams3 = spread.values().filter(|site| **site == AMS3).count();
        assert_eq!(spread.len(), 4096);
        assert!(spread.values().all(|site| [AMS3, FR5].contains(site)));
        assert!((2950..3200).contains(&ams3), "three of four: {ams3}");
    }

    #[test]
    fn rfc7871_7_2_1_all_of_the_scope_share_a_site() {
        let (regions, fleet) = world();
        let choice = regions.choose(&host(0x5001_2345), &fleet).unwrap();
        assert_eq!(choice.scope, 20, "they are shared by so many bits");
        for low in [0, 1, 0x345, 0xFFF] {
            assert_eq!(regions.choose(&host(0x5001_2000 + low), &fleet), Some(choice));
        }
        assert_eq!(
            regions.choose(&host(0x0101_0101), &fleet).unwrap().scope,
            2,
            "NJ1 is alone"
        );
        let wide = ClientNetwork::new("80.0.0.0".parse().unwrap(), 12);
        assert_eq!(
            regions.choose(&wide, &fleet).unwrap().scope,
            12,
            "no finer than it was asked"
        );
    }

    #[test]
    fn a_site_that_goes_moves_its_own_clients_alone() {
        let (regions, mut fleet) = world();
        let before = spread(&regions, &fleet);
        fail(&mut fleet, FR5);
        let after = spread(&regions, &fleet);
        assert!(after.values().all(|site| *site == AMS3));
        check(&mut fleet, FR5, Check::Ready);
        assert_eq!(spread(&regions, &fleet), before, "and they come back with it");
    }

    #[test]
    fn the_next_region_answers_for_one_without_sites() {
        let (regions, mut fleet) = world();
        fail(&mut fleet, AMS3);
        fleet.set_drained(FR5, true);
        assert_eq!(regions.choose(&host(0x5000_0001), &fleet).unwrap().site, NJ1);
        fail(&mut fleet, NJ1);
        // All fail: the checks are doubted, not the sites. FR5 is drained for a reason.
        assert_eq!(regions.choose(&host(0x5000_0001), &fleet).unwrap().site, AMS3);
        assert_eq!(regions.choose(&host(0x0101_0101), &fleet).unwrap().site, NJ1);
        for site in [NJ1, AMS3] {
            fleet.set_drained(site, true);
        }
        let all = spread(&regions, &fleet);
        assert!(
            all.values().any(|site| *site == FR5),
            "better one that is drained than none"
        );
    }

    #[test]
    fn what_is_drawn_never_changes() {
        let network = ClientNetwork::new("80.1.16.0".parse().unwrap(), 20);
        // Servers of different versions stand side by side while one is replaced.
        assert_eq!(draw("AMS3", &network), 0xAE12_F1AD_5D4A_FAAA);
    }
}
