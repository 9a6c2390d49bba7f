//! RFC 7871: the client subnet, and for whom an answer may be kept.

use crate::support::{NAME, World, data, question, with_option, with_subnet};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use offhook_geo_dns::responder::Outcome;

/// The reply to a question about `name` for a client in `subnet`, and the scope in it.
fn scope(world: &mut World, name: &str, kind: RecordType, subnet: &str) -> (Message, u8) {
    let mut asked = question(name, kind);
    with_subnet(&mut asked, subnet);
    let reply = world.ask(&asked);
    let edns = reply.edns.as_ref().expect("OPT comes back");
    let Some(EdnsOption::Subnet(echoed)) = edns.option(EdnsCode::Subnet) else {
        panic!("the subnet comes back: {edns:?}");
    };
    let network = format!("{}/{}", echoed.addr(), echoed.source_prefix());
    assert_eq!(network, subnet, "family, address and prefix as they were asked");
    let scope = echoed.scope_prefix();
    (reply, scope)
}

#[test]
fn rfc7871_7_2_1_the_scope_says_for_whom_the_answer_is() {
    let mut world = World::new();
    for (subnet, expected) in [
        // One site: as many bits as it takes to tell its networks from others'.
        ("198.51.100.0/24", 24),
        ("1.2.3.0/24", 8),
        ("81.2.3.0/24", 16),
        ("2400:1::/48", 12),
        // Two sites share: what goes to the same one.
        ("88.1.2.0/24", 20),
        ("88.0.0.0/8", 8),
        ("2a00:1::/48", 40),
        // Fewer bits than it takes: the scope says how many would do.
        ("81.0.0.0/8", 15),
    ] {
        let (reply, scope) = scope(&mut world, NAME, RecordType::A, subnet);
        assert_eq!(scope, expected, "{subnet}");
        assert_eq!(reply.answers.len(), 1);
    }
}

#[test]
fn rfc7871_7_2_1_what_is_the_same_for_all_has_scope_0() {
    let mut world = World::new();
    for (name, kind) in [
        (NAME, RecordType::NS),
        (NAME, RecordType::SOA),
        (NAME, RecordType::ANY),
        ("cn1.rtc.example.com.", RecordType::A),
        ("ns1.rtc.example.com.", RecordType::A),
        // RFC 7871 §7.4: negative answers are kept for everybody.
        (NAME, RecordType::MX),
        ("absent.rtc.example.com.", RecordType::A),
        ("example.org.", RecordType::A),
    ] {
        let (_, scope) = scope(&mut world, name, kind, "80.1.2.0/24");
        assert_eq!(scope, 0, "{name} {kind}");
    }
}

#[test]
fn rfc7871_7_1_2_who_withholds_the_subnet_gets_scope_0() {
    let mut world = World::new();
    let (reply, scope) = scope(&mut world, NAME, RecordType::A, "0.0.0.0/0");
    assert_eq!(
        (scope, data(&reply.answers)),
        (0, vec!["192.0.2.1".to_owned()]),
        "by the resolver's place"
    );
    // The way of `dig +subnet=0`, which hickory's own reader does not take.
    let mut asked = question(NAME, RecordType::A);
    with_option(&mut asked, EdnsOption::Unknown(8, vec![0, 0, 0, 0]));
    let reply = world.send(
        "1.1.1.1",
        offhook_geo_dns::responder::Transport::Udp,
        &asked.to_vec().unwrap(),
    );
    let bytes = reply.bytes.unwrap();
    assert!(
        bytes.ends_with(&[0, 8, 0, 4, 0, 0, 0, 0]),
        "it comes back as it was"
    );
    assert_eq!(
        world.responder.fleet.site(reply.site.unwrap()).unwrap().name,
        "CN1"
    );
}

#[test]
fn rfc7871_6_broken_subnets_get_a_format_error() {
    let mut world = World::new();
    for value in [
        &[0, 1, 24, 0, 80, 1][..],
        &[0, 1, 24, 0, 80, 1, 2, 3],
        &[0, 1, 20, 0, 80, 1, 0xFF],
        &[0, 1, 33, 0, 80, 1, 2, 3, 0],
        &[0, 1, 24, 16, 80, 1, 2],
        &[0, 9, 8, 0, 80],
        &[0, 1],
    ] {
        let mut asked = question(NAME, RecordType::A);
        with_option(&mut asked, EdnsOption::Unknown(8, value.to_vec()));
        let expected = (Outcome::FormatError, Some(ResponseCode::FormErr));
        assert_eq!(world.outcome(&asked.to_vec().unwrap()), expected, "{value:?}");
    }
}

#[test]
fn rfc7871_11_3_caches_that_trust_the_scope_give_the_right_site() {
    let mut world = World::new();
    for base in ["80.1.2.0/24", "81.2.3.0/24", "81.3.0.0/24", "9.0.0.0/24"] {
        let (reply, scope) = scope(&mut world, NAME, RecordType::A, base);
        let network: ipnet::Ipv4Net = base.parse().unwrap();
        let kept = ipnet::Ipv4Net::new(network.addr(), scope).unwrap().trunc();
        for at in [0_u64, 1, 7, 100, 65_535, 1 << 20] {
            let host = u64::from(kept.network().to_bits()) + at % (1_u64 << (32 - scope));
            let other = std::net::Ipv4Addr::from_bits(host as u32);
            let other = format!("{}/32", other);
            let (again, _) = self::scope(&mut world, NAME, RecordType::A, &other);
            assert_eq!(
                data(&again.answers),
                data(&reply.answers),
                "{base} and {other}, scope {scope}"
            );
        }
    }
}
