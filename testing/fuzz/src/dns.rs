//! Questions to the name server: reading, and whatever is sent back.

use offhook_geo_dns::choice::{Region, Regions};
use offhook_geo_dns::fleet::{Fleet, HealthSettings, Site, SiteId};
use offhook_geo_dns::query::{Subnet, read, read_subnet, write_subnet};
use offhook_geo_dns::rate::RateLimit;
use offhook_geo_dns::region::{Networks, RegionId};
use offhook_geo_dns::responder::{Outcome, Responder, Transport, UDP_ANSWER_LEN_MAX};
use offhook_geo_dns::zone::{Zone, ZoneSettings};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// Questions for `rtc.example.com`: A; A with a subnet and a cookie; NS behind a compressed name; a bare subnet option.
pub(crate) const SEEDS: &[&[u8]] = &[
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03rtc\x07example\x03com\x00\x00\x01\x00\x01",
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x03rTc\x07eXample\x03com\x00\x00\x01\x00\x01\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x17\x00\x08\x00\x07\x00\x01\x18\x00\x51\x02\x03\x00\x0a\x00\x08abcdefgh",
    b"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01\x03rtc\x07example\x03com\x00\x00\xff\x00\x01\xc0\x0c\x00\x02\x00\x01\x00\x00\x00\x00\x00\x02\xc0\x0c",
    b"\x00\x02\x28\x00\x2a\x00\x10\x00\x00",
];

pub(crate) fn message(input: &[u8]) {
    subnet(input);
    let mut responder = responder();
    let from = IpAddr::from(Ipv4Addr::new(80, 1, 2, 3));
    for transport in [Transport::Udp, Transport::Tcp] {
        let reply = responder.handle_message(Instant::now(), from, transport, input);
        let Some(bytes) = reply.bytes else {
            assert_eq!(reply.outcome, Outcome::Ignored, "everything else is answered");
            continue;
        };
        assert_eq!(bytes[..2], input[..2], "the id is that of the question");
        assert_eq!(bytes[2] & 0x80, 0x80, "it says that it is an answer");
        if transport == Transport::Udp {
            assert!(bytes.len() <= usize::from(UDP_ANSWER_LEN_MAX), "it fits");
        }
        let again = responder.handle_message(Instant::now(), from, transport, &bytes);
        assert!(again.bytes.is_none(), "nobody answers an answer");
        if let Ok(query) = read(input) {
            let asked = query.question.name().to_ascii();
            assert!(reply.outcome != Outcome::FormatError, "it was read: {asked}");
        }
    }
}

/// What is read as a subnet is written as it was.
fn subnet(input: &[u8]) {
    if let Some(subnet) = read_subnet(input) {
        assert_eq!(write_subnet(&subnet, 0), input);
        if let Subnet::Network(network) = subnet {
            let found = networks().find(&network);
            assert!(found.scope <= 128 && (network.address().is_ipv6() || found.scope <= 32));
        }
    }
}

fn networks() -> Networks {
    let mut networks = Networks::default();
    for (text, region) in [("80.0.0.0/4", 1), ("81.2.0.0/16", 0), ("2a00::/11", 1)] {
        let inserted = networks.insert(text.parse().expect("it is one"), RegionId(region));
        assert!(inserted.is_ok());
    }
    networks
}

fn responder() -> Responder<BuildHasherDefault<DefaultHasher>> {
    let now = Instant::now();
    let site = |name: &str, last: u8| Site {
        name: name.to_owned(),
        addresses: vec![
            [192, 0, 2, last].into(),
            [0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last)].into(),
        ],
        weight: 1,
        is_drained: false,
        is_checked: true,
    };
    let region = |name: &str, sites: &[u16], next| Region {
        name: name.to_owned(),
        sites: sites.iter().copied().map(SiteId).collect(),
        next: vec![RegionId(next)],
    };
    let health = HealthSettings {
        interval: Duration::from_secs(1),
        failures: 1,
        successes: 1,
    };
    let settings = ZoneSettings {
        name: "rtc.example.com".to_owned(),
        hostmaster: None,
        serial: 1,
        ttl_s: 30,
        zone_ttl_s: 3600,
        name_servers: vec![("ns.rtc.example.com".to_owned(), vec![[192, 0, 2, 53].into()])],
    };
    let sites = vec![site("NJ1", 1), site("AMS3", 2), site("FR5", 3)];
    let names = (0..).map(SiteId).zip(["NJ1", "AMS3", "FR5"]);
    let zone = Zone::new(&settings, names, [(RegionId(1), "europe")]);
    Responder {
        zone: zone.expect("its names are sound"),
        regions: Regions {
            regions: vec![region("america", &[0], 1), region("europe", &[1, 2], 0)],
            networks: networks(),
            default: RegionId(0),
        },
        fleet: Fleet::new(sites, health, now),
        limit: RateLimit::new(0, BuildHasherDefault::default(), now),
    }
}
