//! RFC 6891: the OPT record.

use crate::support::{NAME, World, question};
use hickory_proto::op::{Edns, ResponseCode};
use hickory_proto::rr::RecordType;
use offhook_geo_dns::responder::Outcome;

/// An OPT record of that version with that content.
fn opt(version: u8, content: &[u8]) -> Vec<u8> {
    let mut record = vec![0, 0, 41, 4, 208, 0, version, 0, 0];
    record.extend((content.len() as u16).to_be_bytes());
    record.extend(content);
    record
}

/// A question with these records behind it, in the section of that number (1 to 3).
fn with_records(section: usize, records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = question(NAME, RecordType::A).to_vec().unwrap();
    bytes[4 + 2 * section + 1] = records.len() as u8;
    bytes.extend(records.concat());
    bytes
}

#[test]
fn rfc6891_6_1_1_who_sends_opt_gets_opt() {
    let mut world = World::new();
    let mut asked = question("absent.rtc.example.com.", RecordType::A);
    asked.set_edns(Edns::new());
    let reply = world.ask(&asked);
    assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
    let edns = reply.edns.expect("it comes with every answer");
    assert_eq!((edns.version(), edns.max_payload()), (0, 1232));
    assert!(
        edns.options().as_ref().is_empty(),
        "nothing that was not asked for"
    );
}

#[test]
fn rfc6891_6_1_1_one_opt_at_its_place() {
    let mut world = World::new();
    let plain = opt(0, &[]);
    let mut named = plain.clone();
    named.splice(0..1, [1, b'x', 0]);
    for bytes in [
        with_records(3, &[plain.clone(), plain.clone()]),
        with_records(1, std::slice::from_ref(&plain)),
        with_records(3, &[named]),
        with_records(3, &[opt(0, &[0, 8, 0])]),
        with_records(3, &[opt(0, &[0, 10, 0, 9, 1])]),
    ] {
        let expected = (Outcome::FormatError, Some(ResponseCode::FormErr));
        assert_eq!(world.outcome(&bytes), expected, "{bytes:?}");
    }
    let unknown_option = with_records(3, &[opt(0, &[0xFD, 0xE8, 0, 2, 1, 2])]);
    assert_eq!(
        world.outcome(&unknown_option).0,
        Outcome::Answered,
        "unknown options are passed over"
    );
}

#[test]
fn rfc6891_6_1_3_other_versions_are_told_which_one_there_is() {
    let mut world = World::new();
    let bytes = with_records(3, &[opt(1, &[0xFF])]);
    let (outcome, code) = world.outcome(&bytes);
    // 16, which is BADVERS here and BADSIG where there are signatures.
    assert_eq!((outcome, code.map(u16::from)), (Outcome::BadVersion, Some(16)));
}

#[test]
fn rfc6891_6_2_3_payloads_below_512_are_512() {
    let mut world = World::new();
    let mut record = opt(0, &[]);
    record[3..5].copy_from_slice(&[0, 1]);
    assert_eq!(world.outcome(&with_records(3, &[record])).0, Outcome::Answered);
}
