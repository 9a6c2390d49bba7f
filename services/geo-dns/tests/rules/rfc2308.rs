//! RFC 2308: how "nothing" is said, so that it can be kept.

use crate::support::{NAME, World, question};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};

/// No records, but the SOA that says how long that may be kept.
fn assert_negative(reply: &Message, code: ResponseCode) {
    assert_eq!(reply.metadata.response_code, code);
    assert!(reply.metadata.authoritative && reply.answers.is_empty());
    let [soa] = reply.authorities.as_slice() else {
        panic!("one SOA: {:?}", reply.authorities);
    };
    assert!(matches!(soa.data, RData::SOA(_)));
    assert_eq!(soa.name.to_ascii(), NAME);
    assert_eq!(
        soa.ttl, 20,
        "RFC 2308 §3: the lesser of its own 600 and its minimum"
    );
}

#[test]
fn rfc2308_2_1_a_name_that_is_not_there() {
    let mut world = World::new();
    for name in [
        "nj2.rtc.example.com.",
        "x.nj1.rtc.example.com.",
        "www.rtc.example.com.",
    ] {
        let reply = world.ask(&question(name, RecordType::A));
        assert_negative(&reply, ResponseCode::NXDomain);
    }
}

#[test]
fn rfc2308_2_2_a_name_without_that_type() {
    let mut world = World::new();
    for (name, kind) in [
        (NAME, RecordType::MX),
        (NAME, RecordType::HTTPS),
        (NAME, RecordType::DS),
        ("nj1.rtc.example.com.", RecordType::NS),
        ("nj1.rtc.example.com.", RecordType::SOA),
        ("ns1.rtc.example.com.", RecordType::TXT),
        ("europe.rtc.example.com.", RecordType::Unknown(65_280)),
    ] {
        assert_negative(&world.ask(&question(name, kind)), ResponseCode::NoError);
    }
}

#[test]
fn rfc2308_2_2_addresses_of_a_family_that_no_site_has() {
    let mut text = crate::support::WORLD.to_owned();
    for last in [1, 2, 3, 4] {
        text = text.replace(&format!(", \"2001:db8::{last}\""), "");
    }
    let mut world = World::of(&text);
    assert_negative(
        &world.ask(&question(NAME, RecordType::AAAA)),
        ResponseCode::NoError,
    );
}
