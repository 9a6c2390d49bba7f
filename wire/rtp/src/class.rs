//! Tells STUN, DTLS, RTP and RTCP apart on one port (RFC 7983 §7, RFC 5761 §4).

/// What a datagram on a WebRTC port is, by its first two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketClass {
    /// First byte 0..=3.
    Stun,
    /// First byte 20..=63.
    Dtls,
    /// First byte 128..=191, second not an RTCP type.
    Rtp,
    /// First byte 128..=191, second 192..=223.
    Rtcp,
    /// Anything else, ZRTP and TURN channels among it: dropped.
    Unknown,
}

/// Sorts a datagram; reads two bytes and checks nothing else.
#[inline]
pub fn classify(datagram: &[u8]) -> PacketClass {
    match *datagram {
        [0..=3, ..] => PacketClass::Stun,
        [20..=63, ..] => PacketClass::Dtls,
        [128..=191, 192..=223, ..] => PacketClass::Rtcp,
        [128..=191, _, ..] => PacketClass::Rtp,
        _ => PacketClass::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_first_bytes_has_the_class_of_the_rfcs() {
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                let expected = match (first, second) {
                    (0..=3, _) => PacketClass::Stun,
                    (20..=63, _) => PacketClass::Dtls,
                    (128..=191, 192..=223) => PacketClass::Rtcp,
                    (128..=191, _) => PacketClass::Rtp,
                    _ => PacketClass::Unknown,
                };
                assert_eq!(classify(&[first, second, 0, 0]), expected);
            }
        }
    }

    #[test]
    fn short_datagrams_are_not_media() {
        assert_eq!(classify(&[]), PacketClass::Unknown);
        assert_eq!(classify(&[0x80]), PacketClass::Unknown);
    }
}
