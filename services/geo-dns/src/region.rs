//! Whose network is it: prefixes to regions, the longest that fits counts (IPv4 and IPv6).
//!
//! A binary trie for each family. One walk gives the region and how much of the address has decided it, which is the scope
//! of the answer (RFC 7871 §7.2.1).

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most networks of a configuration: every network of the Internet's routing table fits.
pub const NETWORKS_MAX: usize = 2_000_000;

/// A region, by its place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegionId(pub u16);

/// Where a question comes from, as far as that is known: bits beyond `prefix` are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientNetwork {
    address: IpAddr,
    prefix: u8,
}

impl ClientNetwork {
    /// The network of `address` with that many bits; more than the family has are all of them.
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        let prefix = prefix.min(width(address));
        let kept = bits(address) & mask(prefix);
        let address = match address {
            // The upper half of the bits, which is where an IPv4 address is.
            IpAddr::V4(_) => Ipv4Addr::from_bits((kept >> 96) as u32).into(),
            IpAddr::V6(_) => Ipv6Addr::from_bits(kept).into(),
        };
        Self { address, prefix }
    }

    /// A single address. An IPv4 address in IPv6's clothes is one.
    pub fn host(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self::new(address, width(address))
    }

    /// Its first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Bits that are known.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The wider network of at most so many bits.
    pub fn widened(&self, prefix: u8) -> Self {
        Self::new(self.address, prefix.min(self.prefix))
    }
}

/// What the table says about a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its region; none if no network of the table holds it.
    pub region: Option<RegionId>,
    /// Bits that decided. All networks that share them get the same; more than the client's own bits if these did not
    /// suffice to tell.
    pub scope: u8,
}

/// The table.
#[derive(Debug, Default)]
pub struct Networks {
    v4: Trie,
    v6: Trie,
}

impl Networks {
    /// Adds a network. Fails with the region that has this very network already.
    pub fn insert(&mut self, network: IpNet, region: RegionId) -> Result<(), RegionId> {
        let trie = match network {
            IpNet::V4(_) => &mut self.v4,
            IpNet::V6(_) => &mut self.v6,
        };
        trie.insert(bits(network.addr()), network.prefix_len(), region)
    }

    /// Looks a network up.
    pub fn find(&self, client: &ClientNetwork) -> Found {
        let trie = match client.address {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        };
        trie.find(bits(client.address), client.prefix)
    }
}

#[derive(Debug)]
struct Trie {
    /// The first one is the root.
    nodes: Vec<Node>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Node {
    /// Places of the nodes one bit further; 0 for none, since nothing leads to the root.
    children: [u32; 2],
    region: Option<RegionId>,
}

impl Default for Trie {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }
}

impl Trie {
    fn insert(&mut self, bits: u128, prefix: u8, region: RegionId) -> Result<(), RegionId> {
        let mut at = 0;
        for depth in 0..prefix {
            let side = bit(bits, depth);
            let mut child = self.nodes[at].children[side] as usize;
            if child == 0 {
                child = self.nodes.len();
                self.nodes[at].children[side] = child as u32;
                self.nodes.push(Node::default());
            }
            at = child;
        }
        match self.nodes[at].region {
            Some(other) => Err(other),
            None => {
                self.nodes[at].region = Some(region);
                Ok(())
            }
        }
    }

    fn find(&self, bits: u128, prefix: u8) -> Found {
        let (mut at, mut depth, mut region) = (0, 0, None);
        loop {
            let node = &self.nodes[at];
            if depth <= prefix {
                region = node.region.or(region);
            }
            let is_leaf = node.children == [0, 0];
            // Past the client's bits the walk goes on along zeros, to see how many bits would have been needed.
            match node.children[bit(bits, depth.min(127))] as usize {
                _ if is_leaf => return Found { region, scope: depth },
                // Here it parts from networks that have their own word to say.
                0 => {
                    let scope = depth + 1;
                    return Found { region, scope };
                }
                child => at = child,
            }
            depth += 1;
        }
    }
}

/// Bits of an address's family.
pub fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address with its first bit as the highest, whatever its family.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(prefix: u8) -> u128 {
    match prefix {
        0 => 0,
        prefix => u128::MAX << (128 - u32::from(prefix.min(128))),
    }
}

fn bit(bits: u128, depth: u8) -> usize {
    (bits >> (127 - u32::from(depth)) & 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NA: RegionId = RegionId(0);
    const EU: RegionId = RegionId(1);

    fn table(networks: &[(&str, RegionId)]) -> Networks {
        let mut table = Networks::default();
        for (network, region) in networks {
            table.insert(network.parse().unwrap(), *region).unwrap();
        }
        table
    }

    fn client(text: &str) -> ClientNetwork {
        let network: IpNet = text.parse().unwrap();
        ClientNetwork::new(network.addr(), network.prefix_len())
    }

    fn find(table: &Networks, text: &str) -> (Option<RegionId>, u8) {
        let found = table.find(&client(text));
        (found.region, found.scope)
    }

    #[test]
    fn the_longest_prefix_counts() {
        let table = table(&[
            ("0.0.0.0/0", NA),
            ("80.0.0.0/4", EU),
            ("81.2.0.0/16", NA),
            ("2a00::/11", EU),
        ]);
        assert_eq!(find(&table, "81.1.0.0/24").0, Some(EU));
        assert_eq!(find(&table, "81.2.3.0/24").0, Some(NA));
        assert_eq!(find(&table, "9.9.9.9/32").0, Some(NA));
        assert_eq!(find(&table, "2a10::/32").0, Some(EU));
        assert_eq!(find(&table, "2600::/32").0, None, "families are apart");
    }

    #[test]
    fn rfc7871_7_2_1_the_scope_is_what_decided() {
        let table = table(&[("80.0.0.0/4", EU), ("81.2.0.0/16", NA)]);
        // 81.2.0.0/16 is a hole in 80.0.0.0/4: what is beside it has to say so with as many bits as it takes.
        assert_eq!(find(&table, "81.2.3.0/24"), (Some(NA), 16));
        assert_eq!(find(&table, "81.3.0.0/24"), (Some(EU), 16));
        assert_eq!(find(&table, "88.0.0.0/24"), (Some(EU), 5));
        assert_eq!(
            find(&table, "10.0.0.0/24"),
            (None, 2),
            "it parts from all networks at the second bit"
        );
        assert_eq!(find(&Networks::default(), "10.0.0.0/24"), (None, 0));
    }

    #[test]
    fn rfc7871_7_2_1_too_few_bits_are_answered_with_a_longer_scope() {
        let table = table(&[("80.0.0.0/4", EU), ("81.2.0.0/16", NA)]);
        assert_eq!(
            find(&table, "81.0.0.0/8"),
            (Some(EU), 15),
            "it may hold both: more bits would tell"
        );
        assert_eq!(find(&table, "0.0.0.0/0").0, None);
    }

    #[test]
    fn one_network_has_one_region() {
        let mut table = table(&[("10.0.0.0/8", EU)]);
        assert_eq!(table.insert("10.0.0.0/8".parse().unwrap(), NA), Err(EU));
        assert_eq!(table.insert("10.0.0.0/9".parse().unwrap(), NA), Ok(()));
    }

    #[test]
    fn addresses_lose_the_bits_that_nobody_vouches_for() {
        assert_eq!(client("10.1.2.3/8").address().to_string(), "10.0.0.0");
        assert_eq!(client("2a00:1:2::3/32").address().to_string(), "2a00:1::");
        let mapped = ClientNetwork::host("::ffff:192.0.2.1".parse().unwrap());
        assert_eq!(
            (mapped.address().to_string().as_str(), mapped.prefix()),
            ("192.0.2.1", 32)
        );
        assert_eq!(mapped.widened(16).address().to_string(), "192.0.0.0");
    }

    proptest! {
        /// The promise that caches live by: all networks that share the scope's bits have the same region.
        #[test]
        fn rfc7871_7_2_1_all_of_a_scope_get_the_same(
            networks in prop::collection::vec((any::<u32>(), 0_u8..=32, 0_u16..4), 0..40),
            asked: u32,
            other: u32,
        ) {
            let mut table = Networks::default();
            let mut plain: Vec<(ipnet::Ipv4Net, RegionId)> = Vec::new();
            for (address, prefix, region) in networks {
                let network = ipnet::Ipv4Net::new(address.into(), prefix).unwrap().trunc();
                if table.insert(network.into(), RegionId(region)).is_ok() {
                    plain.push((network, RegionId(region)));
                }
            }
            let longest = |address: Ipv4Addr| {
                let holding = plain.iter().filter(|(network, _)| network.contains(&address));
                holding.max_by_key(|(network, _)| network.prefix_len()).map(|(_, region)| *region)
            };
            let asked = Ipv4Addr::from_bits(asked);
            let found = table.find(&ClientNetwork::host(asked.into()));
            prop_assert_eq!(found.region, longest(asked));
            prop_assert!(found.scope <= 32);
            let keep = mask(found.scope) >> 96;
            let neighbour = (u128::from(asked.to_bits()) & keep) | (u128::from(other) & !keep);
            prop_assert_eq!(longest(Ipv4Addr::from_bits(neighbour as u32)), found.region);
        }
    }
}
