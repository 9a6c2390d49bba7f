//! RFC 6891: the OPT record.

use crate::support::{NAME, World, question};
use hickory_proto::op::{Edns, Message, ResponseCode};
use hickory_proto::rr::RecordType;
use offhook_geo_dns::query::RECORDS_MAX;
use offhook_geo_dns::responder::{Outcome, Transport};

/// An OPT record of that version with that content.
fn opt(version: u8, content: &[u8]) -> Vec<u8> {
    let mut record = vec![0, 0, 41, 4, 208, 0, version, 0, 0];
    record.extend((content.len() as u16).to_be_bytes());
    record.extend(content);
    record
}

/// The flag of that record that asks for signatures.
const DNSSEC_OK: u8 = 0x80;

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
fn rfc3225_3_the_do_bit_comes_back_and_the_other_flags_do_not() {
    let mut world = World::new();
    for (sent, expected) in [(DNSSEC_OK, true), (0xFF, true), (0x7F, false)] {
        let mut record = opt(0, &[]);
        record[7] = sent;
        let reply = world.send("198.51.100.1", Transport::Udp, &with_records(3, &[record]));
        let reply = Message::from_vec(&reply.bytes.unwrap()).unwrap();
        let flags = *reply.edns.expect("OPT comes back").flags();
        assert_eq!((flags.dnssec_ok, flags.z), (expected, 0), "{sent:#x}");
    }
}

#[test]
fn a_question_has_few_records_behind_it() {
    let mut world = World::new();
    let signature = [&[0, 0, 250, 0, 255, 0, 0, 0, 0][..], &[0, 0]].concat();
    let few = vec![opt(0, &[]), signature.clone()];
    assert_eq!(world.outcome(&with_records(3, &few)).0, Outcome::Answered);
    let many = vec![signature; RECORDS_MAX + 1];
    let refused = (Outcome::FormatError, Some(ResponseCode::FormErr));
    assert_eq!(world.outcome(&with_records(3, &many)), refused);
}

#[test]
fn rfc6891_6_2_3_payloads_below_512_are_512() {
    let mut world = World::new();
    let mut record = opt(0, &[]);
    record[3..5].copy_from_slice(&[0, 1]);
    assert_eq!(world.outcome(&with_records(3, &[record])).0, Outcome::Answered);
}
