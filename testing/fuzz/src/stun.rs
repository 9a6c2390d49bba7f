//! STUN on the media port.

use offhook_webrtc::stun;
use std::net::{Ipv4Addr, SocketAddr};

pub(crate) const SEEDS: &[&[u8]] = &[
    b"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl",
    b"\x00\x01\x00\x2c\x21\x12\xa4\x42abcdefghijkl\x00\x06\x00\x09ours:them\x00\x00\x00\x00\x24\x00\x04\x6e\x00\x01\xff\x00\x08\x00\x14aaaaaaaaaaaaaaaaaaaa\x80\x28\x00\x04\x00\x00\x00\x00",
    b"\x01\x01\x00\x0c\x21\x12\xa4\x42abcdefghijkl\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43",
];

pub(crate) fn datagram(input: &[u8]) {
    if let Some(ufrag) = stun::local_ufrag(input) {
        assert!(!ufrag.is_empty() && !ufrag.contains(':'));
    }
    let mut out = [0; stun::PLAIN_RESPONSE_LEN_MAX];
    let source = SocketAddr::from((Ipv4Addr::LOCALHOST, 4000));
    if let Some(len) = stun::answer_plain_request(input, source, &mut out) {
        assert!(len <= 2 * input.len(), "an answer may not amplify");
        assert_eq!(&out[4..20], &input[4..20], "cookie and transaction id are echoed");
    }
}
