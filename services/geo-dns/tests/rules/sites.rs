//! R12 and R18: which site a network is given, and how sites come and go.

use crate::support::{NAME, WORLD, World, data, question};
use hickory_proto::rr::RecordType;
use offhook_geo_dns::responder::{Outcome, Transport};

#[test]
fn r12_source_network_and_expected_site() {
    const EUROPE: &[&str] = &["AMS3", "FR5"];
    // Resolver, subnet of its client, expected.
    let table: &[(&str, Option<&str>, &[&str])] = &[
        // By the resolver's own address.
        ("198.51.100.9", None, &["NJ1"]),
        ("80.1.2.3", None, EUROPE),
        ("88.1.2.3", None, EUROPE),
        ("95.255.255.255", None, EUROPE),
        ("96.0.0.0", None, &["NJ1"]),
        ("1.1.1.1", None, &["CN1"]),
        ("81.2.3.4", None, &["CN1"]),
        ("2a00:1::1", None, EUROPE),
        ("2a1f:ffff::1", None, EUROPE),
        ("2400:1::1", None, &["CN1"]),
        ("2600::1", None, &["NJ1"]),
        ("::ffff:1.1.1.1", None, &["CN1"]),
        // By that of its client, wherever the resolver is.
        ("198.51.100.9", Some("80.1.2.0/24"), EUROPE),
        ("198.51.100.9", Some("1.2.3.0/24"), &["CN1"]),
        ("198.51.100.9", Some("81.2.3.0/24"), &["CN1"]),
        ("80.1.2.3", Some("203.0.113.0/24"), &["NJ1"]),
        ("80.1.2.3", Some("2400:1::/48"), &["CN1"]),
        ("1.1.1.1", Some("2a00:1::/32"), EUROPE),
        ("1.1.1.1", Some("198.51.100.0/24"), &["NJ1"]),
        // A client that tells nothing gets what is near its resolver.
        ("80.1.2.3", Some("0.0.0.0/0"), EUROPE),
        ("1.1.1.1", Some("::/0"), &["CN1"]),
    ];
    let mut world = World::new();
    for (from, subnet, expected) in table {
        let site = world.site_for(from, *subnet);
        assert!(expected.contains(&site.as_str()), "{from} {subnet:?}: {site}");
    }
}

#[test]
fn r18_one_name_has_the_addresses_of_the_nearest_site() {
    let mut world = World::new();
    for (from, v4, v6) in [
        ("198.51.100.1", "192.0.2.1", "2001:db8::1"),
        ("1.1.1.1", "192.0.2.4", "2001:db8::4"),
    ] {
        let reply = world.ask_from(from, &question(NAME, RecordType::A));
        assert_eq!(data(&reply.answers), [v4]);
        assert!(reply.answers.iter().all(|record| record.ttl == 20));
        let reply = world.ask_from(from, &question(NAME, RecordType::AAAA));
        assert_eq!(data(&reply.answers), [v6]);
    }
}

#[test]
fn r18_an_unhealthy_site_is_withdrawn_within_its_ttl_and_comes_back() {
    let mut world = World::new();
    world.round(&[]);
    assert_eq!(world.site_for("1.1.1.1", None), "CN1");
    let died = world.now;
    while world.site_for("1.1.1.1", None) == "CN1" {
        world.round(&["CN1"]);
    }
    assert!((world.now - died).as_secs() < 20, "the TTL");
    let next = world.site_for("1.1.1.1", None);
    assert!(
        ["AMS3", "FR5"].contains(&next.as_str()),
        "the next region: {next}"
    );
    world.round(&[]);
    world.round(&[]);
    assert_eq!(world.site_for("1.1.1.1", None), "CN1");
}

#[test]
fn r18_of_two_sites_the_other_one_takes_all() {
    let mut world = World::new();
    for gone in ["AMS3", "FR5"] {
        let drained = world.site(gone);
        world.responder.fleet.set_drained(drained, true);
        for third in 0..64 {
            assert_ne!(world.site_for(&format!("80.1.{third}.1"), None), gone);
        }
        world.responder.fleet.set_drained(drained, false);
    }
}

#[test]
fn when_all_fail_all_count_and_not_none() {
    let mut world = World::new();
    world.round(&["NJ1", "AMS3", "FR5", "CN1"]);
    assert_eq!(world.site_for("1.1.1.1", None), "CN1");
    assert_eq!(world.site_for("198.51.100.1", None), "NJ1");
}

#[test]
fn sites_and_regions_have_names_of_their_own() {
    let mut world = World::new();
    let mut a = |name: &str| data(&world.ask(&question(name, RecordType::A)).answers);
    assert_eq!(a("cn1.rtc.example.com."), ["192.0.2.4"]);
    assert_eq!(a("asia-pacific.rtc.example.com."), ["192.0.2.4"]);
    assert!(["192.0.2.2", "192.0.2.3"].contains(&a("europe.rtc.example.com.")[0].as_str()));
    // Who names a site wants that one; who names a region wants to be served.
    world.round(&["CN1"]);
    let mut a = |name: &str| data(&world.ask(&question(name, RecordType::A)).answers);
    assert_eq!(a("cn1.rtc.example.com."), ["192.0.2.4"]);
    assert_ne!(a("asia-pacific.rtc.example.com."), ["192.0.2.4"]);
}

#[test]
fn a_network_that_asks_too_much_is_sent_to_tcp() {
    let mut world = World::of(&WORLD.replace("answers_per_second = 0", "answers_per_second = 5"));
    let bytes = question(NAME, RecordType::A).to_vec().unwrap();
    let mut outcomes = Vec::new();
    for _ in 0..9 {
        let reply = world.send("198.51.100.1", Transport::Udp, &bytes);
        let len = reply.bytes.as_ref().map_or(0, Vec::len);
        assert!(
            reply.outcome == Outcome::Answered || len <= bytes.len(),
            "it may not amplify"
        );
        outcomes.push(reply.outcome);
    }
    assert_eq!(outcomes[..5], [Outcome::Answered; 5]);
    assert_eq!(
        outcomes[5..],
        [
            Outcome::Slipped,
            Outcome::Limited,
            Outcome::Slipped,
            Outcome::Limited
        ]
    );
    let tcp = world.send("198.51.100.1", Transport::Tcp, &bytes);
    assert_eq!(tcp.outcome, Outcome::Answered);
    let elsewhere = world.send("1.1.1.1", Transport::Udp, &bytes);
    assert_eq!(elsewhere.outcome, Outcome::Answered);
}
