//! R19: the sample configuration has the four sites in their three regions.

use crate::support::World;
use serde::Deserialize;

const EXAMPLE: &str = include_str!("../../../../offhook.example.toml");

#[derive(Deserialize)]
struct Example {
    geo_dns: toml::Table,
}

fn sample() -> World {
    let mut example: Example = toml::from_str(EXAMPLE).unwrap();
    for region in example.geo_dns["region"].as_array_mut().unwrap() {
        // It belongs to the operator's machine.
        region.as_table_mut().unwrap().remove("networks_file");
    }
    World::of(&toml::to_string(&example.geo_dns).unwrap())
}

#[test]
fn r19_four_sites_in_three_regions() {
    let world = sample();
    let sites: Vec<&str> = world
        .responder
        .fleet
        .sites()
        .map(|(_, site, _)| site.name.as_str())
        .collect();
    assert_eq!(sites, ["NJ1", "AMS3", "FR5", "CN1"]);
    let regions = world.responder.regions.regions.iter();
    let regions: Vec<(&str, Vec<&str>)> = regions
        .map(|region| {
            let sites = region.sites.iter().map(|site| sites[usize::from(site.0)]);
            (region.name.as_str(), sites.collect())
        })
        .collect();
    assert_eq!(
        regions,
        [
            ("north-america", vec!["NJ1"]),
            ("europe", vec!["AMS3", "FR5"]),
            ("asia-pacific", vec!["CN1"])
        ]
    );
}

#[test]
fn r19_resolvers_that_everybody_knows_are_where_they_are() {
    let mut world = sample();
    for (subnet, expected) in [
        ("12.0.0.0/24", &["NJ1"][..]),        // AT&T
        ("2600:1700::/32", &["NJ1"]),         // AT&T
        ("91.0.0.0/24", &["AMS3", "FR5"]),    // Deutsche Telekom
        ("2a01:c000::/24", &["AMS3", "FR5"]), // Orange
        ("210.130.0.0/24", &["CN1"]),         // IIJ, Tokyo
        ("49.32.0.0/24", &["CN1"]),           // Reliance Jio, India
        ("2405:200::/32", &["CN1"]),          // Reliance Jio, India
    ] {
        let site = world.site_for("192.0.2.99", Some(subnet));
        assert!(expected.contains(&site.as_str()), "{subnet}: {site}");
    }
}

#[test]
fn r19_europe_is_shared() {
    let mut world = sample();
    let mut of = |site: &str| {
        (0..=255)
            .filter(|at| world.site_for(&format!("91.{at}.0.1"), None) == site)
            .count()
    };
    let (ams3, fr5) = (of("AMS3"), of("FR5"));
    assert_eq!(ams3 + fr5, 256);
    assert!(ams3.abs_diff(fr5) < 64, "{ams3} and {fr5}");
}
