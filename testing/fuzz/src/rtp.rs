//! RTP, RTCP, telephone-event, SRTP.

use offhook_rtp::{RtpPacket, classify, rtcp, telephone_event};
use offhook_webrtc::srtp::{Inbound, MasterKey, SrtpProfile};

pub(crate) const SEEDS: &[&[u8]] = &[
    b"\x80\x00\x00\x01\x00\x00\x00\xa0\x12\x34\x56\x78payload payload payload",
    b"\xb1\x6f\x00\x02\x00\x00\x00\xa0\x12\x34\x56\x78\x00\x00\x00\x09\xbe\xde\x00\x01\x10\x7f\x00\x00xxxx\x00\x00\x00\x04",
    b"\x80\xe5\x00\x03\x00\x00\x00\xa0\x12\x34\x56\x78\x05\x8a\x03\x20",
    b"\x81\xc8\x00\x0c\x12\x34\x56\x78\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x05\xaa\xbb\xcc\xdd\x01\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x05\x00\x00\x00\x06\x81\xca\x00\x03\x12\x34\x56\x78\x01\x05cname\x00",
    b"\x80\xc9\x00\x01\x12\x34\x56\x78\x81\xcb\x00\x01\x12\x34\x56\x78",
];

pub(crate) fn packet(input: &[u8]) {
    let _ = classify(input);
    if let Ok(packet) = RtpPacket::parse(input) {
        let (fields, payload) = (packet.fields(), packet.payload());
        let plain = [&fields.to_header()[..], payload].concat();
        let again = RtpPacket::parse(&plain).expect("what is written reads back");
        assert_eq!((again.payload(), again.fields()), (payload, fields));
        let _ = telephone_event::TelephoneEvent::parse(payload);
    }
    if let Ok(compound) = rtcp::Compound::parse(input) {
        for packet in compound.packets() {
            let _ = format!("{packet:?}");
        }
    }
}

/// Nothing that was not protected with our key may come out, whatever it is.
pub(crate) fn protected(input: &[u8]) {
    for profile in [SrtpProfile::AesCm128HmacSha1_80, SrtpProfile::AeadAes128Gcm] {
        let key = vec![7; profile.key_len()];
        let salt = vec![9; profile.salt_len()];
        let master = MasterKey::new(profile, &key, &salt).expect("lengths as the profile says");
        let mut inbound = Inbound::new(master);
        let mut bytes = input.to_vec();
        assert!(inbound.unprotect_rtp(&mut bytes).is_err());
        let mut bytes = input.to_vec();
        assert!(inbound.unprotect_rtcp(&mut bytes).is_err());
    }
}
