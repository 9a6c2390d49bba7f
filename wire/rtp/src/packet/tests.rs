//! Packets by hand, then any bytes.

use proptest::prelude::*;

use super::*;

const FIELDS: RtpFields = RtpFields {
    marker: true,
    payload_type: 111,
    sequence: 0xfffe,
    timestamp: 0x0102_0304,
    ssrc: Ssrc(0xdead_beef),
};

/// A packet with CSRCs, a one-byte extension and padding around `payload`.
fn decorated(payload: &[u8]) -> Vec<u8> {
    let mut bytes = FIELDS.to_header().to_vec();
    bytes[0] |= PADDING_BIT | EXTENSION_BIT | 2;
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 2]);
    bytes.extend([0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0]);
    bytes.extend(payload);
    bytes.extend([0, 0, 3]);
    bytes
}

#[test]
fn reads_csrc_extension_and_padding() {
    let bytes = decorated(b"voice");
    let packet = RtpPacket::parse(&bytes).unwrap();
    assert_eq!(packet.fields(), FIELDS);
    assert_eq!(packet.payload(), b"voice");
}

#[test]
fn skips_a_two_byte_extension() {
    let mut bytes = FIELDS.to_header().to_vec();
    bytes[0] |= EXTENSION_BIT;
    bytes.extend([0x10, 0x00, 0, 2, 1, 4, 1, 2, 3, 4, 0, 0, b'x']);
    assert_eq!(RtpPacket::parse(&bytes).unwrap().payload(), b"x");
}

#[test]
fn refuses_what_does_not_fit() {
    let whole = decorated(b"");
    for len in 0..28 {
        let refused = RtpPacket::parse(&whole[..len]).unwrap_err();
        assert!(matches!(refused, RtpError::TooShort { .. }), "{len}: {refused}");
    }
    let mut version = whole.clone();
    version[0] = 0x40;
    assert_eq!(
        RtpPacket::parse(&version).unwrap_err(),
        RtpError::Version { version: 1 }
    );
    for padding in [0, 4, 255] {
        let mut bytes = whole.clone();
        *bytes.last_mut().unwrap() = padding;
        assert_eq!(
            RtpPacket::parse(&bytes).unwrap_err(),
            RtpError::Padding { padding, payload: 3 }
        );
    }
    let none = &whole[..28];
    assert_eq!(
        RtpPacket::parse(none).unwrap_err(),
        RtpError::Padding {
            padding: 0,
            payload: 0
        }
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..64), force in any::<bool>()) {
        if let (true, Some(first)) = (force, bytes.first_mut()) {
            *first = (*first & 0x3f) | VERSION_BITS;
        }
        if let Ok(packet) = RtpPacket::parse(&bytes) {
            let (fields, payload) = (packet.fields(), packet.payload());
            let plain = [&fields.to_header()[..], payload].concat();
            let again = RtpPacket::parse(&plain).unwrap();
            prop_assert_eq!((again.fields(), again.payload()), (fields, payload));
        }
    }
}
