//! The samples of RFC 5769, then what a lite agent and a plain server answer, read by another implementation.

use std::net::SocketAddr;

use is::stun::StunMessage;
use proptest::prelude::*;

use super::*;

/// RFC 5769 §2.1: a check with USERNAME, PRIORITY, ICE-CONTROLLED, MESSAGE-INTEGRITY and FINGERPRINT.
const SAMPLE_REQUEST: &[u8] = b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\
    \x00\x06\x00\x09\x65\x76\x74\x6a\x3a\x68\x36\x76\x59\x20\x20\x20\x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\
    \x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\x80\x28\x00\x04\xe5\x7a\x3b\xcf";
const SAMPLE_PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

fn request(bytes: &[u8]) -> BindingRequest<'_> {
    match Message::parse(bytes) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// A message with these attributes and a right FINGERPRINT.
fn message(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = [&kind.to_be_bytes()[..], &[0, 0], &MAGIC_COOKIE, &[7; 12]].concat();
    for (attribute, value) in attributes {
        bytes.extend(attribute.to_be_bytes());
        bytes.extend((value.len() as u16).to_be_bytes());
        bytes.extend(*value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let len = (bytes.len() + 8 - HEADER_LEN) as u16;
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    let value = fingerprint(&bytes);
    bytes.extend([0x80, 0x28, 0, 4]);
    bytes.extend(value);
    bytes
}

#[test]
fn rfc5769_2_1_sample_request() {
    let request = request(SAMPLE_REQUEST);
    assert_eq!(request.username, Some("evtj:h6vY"));
    assert_eq!(request.priority, 0x6e00_01ff);
    assert!(request.claims_controlled && request.has_fingerprint && !request.use_candidate);
    assert!(request.is_authentic(SAMPLE_PASSWORD));
    assert!(!request.is_authentic("VOkJxbRl1RmTxUk/WvJxBT"));
    assert_eq!(local_ufrag(SAMPLE_REQUEST), Some("evtj"));
}

#[test]
fn every_changed_byte_breaks_fingerprint_or_framing() {
    for at in 0..SAMPLE_REQUEST.len() {
        let mut bytes = SAMPLE_REQUEST.to_vec();
        bytes[at] ^= 0x40;
        assert_eq!(local_ufrag(&bytes), None, "byte {at}");
        assert_eq!(local_ufrag(&SAMPLE_REQUEST[..at]), None, "length {at}");
    }
}

fn hmac(password: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(password).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[test]
fn success_and_errors_are_understood_by_another_implementation() {
    let request = request(SAMPLE_REQUEST);
    for source in ["192.0.2.1:32853", "[2001:db8:1234:5678:11:2233:4455:6677]:32853"] {
        let source: SocketAddr = source.parse().unwrap();
        let bytes = request.accept(source, SAMPLE_PASSWORD);
        let read = StunMessage::parse(&bytes).unwrap();
        assert!(read.is_successful_binding_response() && read.verify(SAMPLE_PASSWORD.as_bytes(), hmac));
        assert_eq!(read.mapped_address(), Some(source));
    }
    for (code, number) in [
        (ErrorCode::BadRequest, 400),
        (ErrorCode::Unauthenticated, 401),
        (ErrorCode::RoleConflict, 487),
    ] {
        let bytes = request.refuse(code, Some(SAMPLE_PASSWORD));
        let read = StunMessage::parse(&bytes).unwrap();
        assert!(read.is_failed_binding_response() && read.verify(SAMPLE_PASSWORD.as_bytes(), hmac));
        assert_eq!(read.error_code().unwrap().0, number);
    }
}

#[test]
fn an_ipv4_peer_of_a_dual_stack_socket_sees_its_ipv4_address() {
    let bytes = request(SAMPLE_REQUEST).accept("[::ffff:192.0.2.1]:9".parse().unwrap(), SAMPLE_PASSWORD);
    let read = StunMessage::parse(&bytes).unwrap();
    assert_eq!(read.mapped_address(), Some("192.0.2.1:9".parse().unwrap()));
}

#[test]
fn attributes_that_must_be_understood_are_named_in_a_420() {
    let bytes = message(
        BINDING_REQUEST,
        &[
            (0x0006, b"abcd:x"),
            (0x7777, b""),
            (0xc057, &[0; 4]),
            (0x0033, b"?"),
        ],
    );
    let request = request(&bytes);
    assert_eq!(request.unknown[..], [0x7777, 0x0033]);
    let refused = request.refuse(ErrorCode::UnknownAttribute, None);
    assert!(
        refused
            .windows(8)
            .any(|window| window == [0, 0x0a, 0, 4, 0x77, 0x77, 0, 0x33])
    );
}

#[test]
fn what_follows_the_integrity_is_ignored() {
    let bytes = message(
        BINDING_REQUEST,
        &[
            (0x0006, b"abcd:x"),
            (0x0008, &[0; 20]),
            (0x0025, b""),
            (0x7777, b""),
        ],
    );
    let request = request(&bytes);
    assert!(request.has_integrity() && !request.use_candidate && request.unknown.is_empty());
}

#[test]
fn usernames_of_the_wrong_form_find_no_leg() {
    let check = |username: &[u8]| message(BINDING_REQUEST, &[(0x0006, username), (0x0008, &[0; 20])]);
    assert_eq!(local_ufrag(&check(b"abcd:x")), Some("abcd"));
    for wrong in [
        &b"abcd"[..],
        b"abc:x",
        b"abcd:",
        b":x",
        b"ab d:x",
        b"abcd:x:y",
        b"abcd:\xff",
        &[b'a'; 600],
    ] {
        assert_eq!(local_ufrag(&check(wrong)), None, "{wrong:?}");
    }
    assert_eq!(
        local_ufrag(&message(BINDING_REQUEST, &[(0x0006, b"abcd:x")])),
        None,
        "no integrity"
    );
    assert_eq!(
        local_ufrag(&message(0x0101, &[(0x0006, b"abcd:x"), (0x0008, &[0; 20])])),
        None
    );
}

/// Reads the XOR-MAPPED-ADDRESS that is the first attribute of a response.
fn mapped_address(response: &[u8]) -> SocketAddr {
    let port = u16::from_be_bytes([response[26], response[27]]) ^ 0x2112;
    let unmasked =
        |len: usize| -> Vec<u8> { (0..len).map(|at| response[28 + at] ^ response[4 + at]).collect() };
    match response[20..26] {
        [0, 0x20, 0, 8, 0, 1] => (<[u8; 4]>::try_from(unmasked(4)).unwrap(), port).into(),
        [0, 0x20, 0, 20, 0, 2] => (<[u8; 16]>::try_from(unmasked(16)).unwrap(), port).into(),
        _ => panic!("{response:?}"),
    }
}

#[test]
fn a_plain_request_is_told_its_address() {
    let source: SocketAddr = "203.0.113.7:40000".parse().unwrap();
    let mut out = [0; PLAIN_RESPONSE_LEN_MAX];
    // As a browser sends it to a stun: server: nothing but the header.
    let bare = [&[0, 1, 0, 0][..], &MAGIC_COOKIE, &[9; 12]].concat();
    let len = answer_plain_request(&bare, source, &mut out).unwrap();
    assert_eq!(len, 32, "no larger than it has to be");
    assert_eq!(out[..4], [1, 1, 0, 12]);
    assert_eq!((&out[8..20], mapped_address(&out)), (&[9; 12][..], source));

    let source: SocketAddr = "[2001:db8::7]:40000".parse().unwrap();
    let len =
        answer_plain_request(&message(BINDING_REQUEST, &[(0x8022, b"agent")]), source, &mut out).unwrap();
    assert_eq!(len, PLAIN_RESPONSE_LEN_MAX);
    assert_eq!(out[..4], [1, 1, 0, 32]);
    assert_eq!(mapped_address(&out), source);
    assert_eq!(out[48..], fingerprint(&out[..44]));

    for other in [
        SAMPLE_REQUEST,
        &message(BINDING_INDICATION, &[]),
        &message(0x0101, &[]),
        &bare[..19],
        b"",
    ] {
        assert_eq!(answer_plain_request(other, source, &mut out), None);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 20..120), kind in 0u8..2) {
        let len = (bytes.len() - 20) as u16 & !3;
        bytes.truncate(20 + usize::from(len));
        bytes[..2].copy_from_slice(&[0, kind]);
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        bytes[4..8].copy_from_slice(&MAGIC_COOKIE);
        if let Ok(Message::Request(request)) = Message::parse(&bytes) {
            prop_assert!(!request.is_authentic("password"));
        }
    }
}
