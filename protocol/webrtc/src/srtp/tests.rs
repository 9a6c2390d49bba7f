//! Published vectors of the transforms, then both directions of each profile against each other and against attack.

use offhook_rtp::{RtpFields, Ssrc};

use super::cipher::{RtpPosition, Transform};
use super::keys::Label;
use super::*;

const PROFILES: [SrtpProfile; 3] = [
    SrtpProfile::AeadAes128Gcm,
    SrtpProfile::AeadAes256Gcm,
    SrtpProfile::AesCm128HmacSha1_80,
];

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// The bytes with room behind them, and their length.
fn roomy(bytes: &[u8]) -> (Vec<u8>, usize) {
    let mut buffer = bytes.to_vec();
    buffer.resize(bytes.len() + GROWTH_MAX, 0);
    (buffer, bytes.len())
}

fn rfc3711_master() -> MasterKey {
    let (key, salt) = (
        hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
        hex("0EC675AD498AFEEBB6960B3AABE6"),
    );
    MasterKey::new(SrtpProfile::AesCm128HmacSha1_80, &key, &salt).unwrap()
}

#[test]
fn rfc3711_b_3_key_derivation() {
    let master = rfc3711_master();
    assert_eq!(
        master.derive::<16>(Label::RtpEncryption)[..],
        hex("C61E7A93744F39EE10734AFE3FF7A087")
    );
    assert_eq!(
        master.derive::<14>(Label::RtpSalt)[..],
        hex("30CBBC08863D8C85D49DB34A9AE1")
    );
    let authentication = "CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE
                          E049646C43D9327AD175578EF7227098 6371C10C9A369AC2F94A8C5FBCDDDC25
                          6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2";
    assert_eq!(
        master.derive::<94>(Label::RtpAuthentication)[..],
        hex(authentication)
    );
}

#[test]
fn rfc3711_b_2_counter_mode_keystream() {
    let salt = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD");
    let transform = Transform::from_session_keys(
        SrtpProfile::AesCm128HmacSha1_80,
        &hex("2B7E151628AED2A6ABF7158809CF4F3C"),
        &[0; 20],
        salt[..].try_into().unwrap(),
    );
    let header_len = 12;
    let (mut buffer, len) = roomy(&vec![0; header_len + 0xff02 * 16]);
    let at = RtpPosition {
        ssrc: Ssrc(0),
        index: 0,
        header_len,
    };
    transform.seal_rtp(&mut buffer, len, at).unwrap();
    let keystream = &buffer[header_len..];
    let first =
        "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0";
    assert_eq!(keystream[..48], hex(first));
    let last =
        "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE 6A2CC3787889374FBEB4C81B17BA6C44";
    assert_eq!(keystream[0xfeff * 16..0xff02 * 16], hex(last));
}

#[test]
fn whole_packets_of_the_reference_implementations_counter_mode() {
    let mut outbound = Outbound::new(rfc3711_master());
    let (mut rtp, len) = roomy(&hex("800f1234decafbadcafebabe abababababababababababababababab"));
    let len = outbound.protect_rtp(&mut rtp, len).unwrap();
    let expected = "800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb";
    assert_eq!(rtp[..len], hex(expected));

    let (mut rtcp, len) = roomy(&hex("81c8000bcafebabe abababababababababababababababab"));
    let len = outbound.protect_rtcp(&mut rtcp, len).unwrap();
    let expected = "81c8000bcafebabe 7128035be487b9bdbef89041f977a5a8 80000001 993e08cd54d6c1230798";
    assert_eq!(rtcp[..len], hex(expected));
}

fn rfc7714(profile: SrtpProfile) -> Transform {
    let key: Vec<u8> = (0..profile.key_len() as u8).collect();
    let mut salt = [0; 14];
    salt[..12].copy_from_slice(b"Quid pro quo");
    Transform::from_session_keys(profile, &key, &[0; 20], &salt)
}

#[test]
fn rfc7714_16_srtp_vectors() {
    let plain = hex(
        "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e697320646976697361206
                     96e20706172746573207472657300",
    )[..50]
        .to_vec();
    let header = "8040f17b 8041f8d3 5501a0b2";
    for (profile, sealed) in [
        (
            SrtpProfile::AeadAes128Gcm,
            "f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf 8833
             899d 7f27beb1 6a9152cf 765ee439 0cce",
        ),
        (
            SrtpProfile::AeadAes256Gcm,
            "32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b
             7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
        ),
    ] {
        let at = RtpPosition {
            ssrc: Ssrc(0x5501_a0b2),
            index: 0xf17b,
            header_len: 12,
        };
        let (mut buffer, len) = roomy(&plain);
        let len = rfc7714(profile).seal_rtp(&mut buffer, len, at).unwrap();
        assert_eq!(buffer[..len], [hex(header), hex(sealed)].concat(), "{profile}");
        let len = rfc7714(profile).open_rtp(&mut buffer[..len], at).unwrap();
        assert_eq!(buffer[..len], plain);
    }
}

#[test]
fn rfc7714_17_srtcp_vectors() {
    let plain = hex(
        "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
                     deadbeef deadbeef deadbeef deadbeef deadbeef",
    );
    for (profile, sealed) in [
        (
            SrtpProfile::AeadAes128Gcm,
            "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda
             4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
        ),
        (
            SrtpProfile::AeadAes256Gcm,
            "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1 110555be
             8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4",
        ),
    ] {
        let (mut buffer, len) = roomy(&plain);
        let ssrc = Ssrc(0x4d61_7273);
        let len = rfc7714(profile).seal_rtcp(&mut buffer, len, ssrc, 0x5d4).unwrap();
        assert_eq!(buffer[..len], hex(sealed), "{profile}");
        assert_eq!(rfc7714(profile).rtcp_index(&buffer[..len]), Some(0x5d4));
        let len = rfc7714(profile)
            .open_rtcp(&mut buffer[..len], ssrc, 0x5d4)
            .unwrap();
        assert_eq!(buffer[..len], plain);
    }
}

/// Two sides that share keys.
fn pair(profile: SrtpProfile) -> (Session, Session) {
    let material: Vec<u8> = (1..=2 * (profile.key_len() + profile.salt_len()) as u8).collect();
    let client = Session::from_dtls(profile, &material, true).unwrap();
    (client, Session::from_dtls(profile, &material, false).unwrap())
}

fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let fields = RtpFields {
        marker: false,
        payload_type: 111,
        sequence,
        timestamp: 5,
        ssrc: Ssrc(ssrc),
    };
    [&fields.to_header()[..], b"twenty milliseconds of voice"].concat()
}

fn protect(session: &mut Session, plain: &[u8]) -> Vec<u8> {
    let (mut buffer, len) = roomy(plain);
    let len = session.outbound.protect_rtp(&mut buffer, len).unwrap();
    buffer.truncate(len);
    buffer
}

fn unprotect(session: &mut Session, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut packet = packet.to_vec();
    let len = session.inbound.unprotect_rtp(&mut packet)?;
    packet.truncate(len);
    Ok(packet)
}

#[test]
fn both_directions_carry_rtp_across_many_wraps() {
    for profile in PROFILES {
        let (mut client, mut server) = pair(profile);
        let mut sequence = 65_000u16;
        for step in 0..300u32 {
            let plain = rtp(1, sequence);
            let sealed = protect(&mut client, &plain);
            assert_ne!(sealed[12..40], plain[12..40]);
            assert_eq!(
                unprotect(&mut server, &sealed),
                Ok(plain.clone()),
                "{profile} {step}"
            );
            let back = protect(&mut server, &plain);
            assert_eq!(unprotect(&mut client, &back), Ok(plain), "{profile} {step}");
            sequence = sequence.wrapping_add(997);
        }
    }
}

#[test]
fn rtcp_travels_both_ways_and_once() {
    let report = hex("81c9 0007 00000001 00000002 00000000 00000000 00000000 00000000 00000000");
    for profile in PROFILES {
        let (mut client, mut server) = pair(profile);
        for _ in 0..3 {
            let (mut buffer, len) = roomy(&report);
            let len = client.outbound.protect_rtcp(&mut buffer, len).unwrap();
            assert_ne!(buffer[8..32], report[8..32]);
            let sealed = buffer[..len].to_vec();
            let opened = server.inbound.unprotect_rtcp(&mut buffer[..len]).unwrap();
            assert_eq!(buffer[..opened], report);
            assert_eq!(
                server.inbound.unprotect_rtcp(&mut sealed.clone()),
                Err(SrtpError::Replayed)
            );
        }
    }
}

#[test]
fn a_packet_is_taken_once_and_only_unchanged() {
    for profile in PROFILES {
        let (mut client, mut server) = pair(profile);
        let sealed = protect(&mut client, &rtp(1, 10));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(unprotect(&mut server, &changed).is_err(), "{profile} byte {at}");
        }
        for len in 0..sealed.len() {
            assert!(
                unprotect(&mut server, &sealed[..len]).is_err(),
                "{profile} length {len}"
            );
        }
        assert!(
            unprotect(&mut server, &sealed).is_ok(),
            "what was refused has changed no state"
        );
        assert_eq!(unprotect(&mut server, &sealed), Err(SrtpError::Replayed));
        let mut unencrypted = rtp(1, 11);
        unencrypted.extend([0; 16]);
        assert_eq!(unprotect(&mut server, &unencrypted), Err(SrtpError::BadTag));
    }
}

#[test]
fn rtcp_changed_or_cut_is_refused() {
    let report = hex("81c9 0007 00000001 00000002 00000000 00000000 00000000 00000000 00000000");
    for profile in PROFILES {
        let (mut client, mut server) = pair(profile);
        let (mut buffer, len) = roomy(&report);
        let len = client.outbound.protect_rtcp(&mut buffer, len).unwrap();
        for at in 0..len {
            let mut changed = buffer[..len].to_vec();
            changed[at] ^= 0x80;
            assert!(
                server.inbound.unprotect_rtcp(&mut changed).is_err(),
                "{profile} byte {at}"
            );
            assert!(server.inbound.unprotect_rtcp(&mut buffer[..at].to_vec()).is_err());
        }
        assert!(server.inbound.unprotect_rtcp(&mut buffer[..len]).is_ok());
    }
}

#[test]
fn a_flood_of_foreign_sources_takes_no_memory_and_known_sources_go_on() {
    let (mut client, mut server) = pair(SrtpProfile::AeadAes128Gcm);
    let first = protect(&mut client, &rtp(1, 10));
    assert!(unprotect(&mut server, &first).is_ok());
    for ssrc in 1_000..2_000 {
        let mut forged = rtp(ssrc, 1);
        forged.extend([0; 16]);
        assert_eq!(unprotect(&mut server, &forged), Err(SrtpError::BadTag));
    }
    assert_eq!(server.export().inbound.len(), 1);
    for ssrc in 2..=SOURCES_MAX as u32 {
        let sealed = protect(&mut client, &rtp(ssrc, 10));
        assert!(unprotect(&mut server, &sealed).is_ok());
    }
    let (mut buffer, len) = roomy(&rtp(99, 1));
    assert_eq!(
        client.outbound.protect_rtp(&mut buffer, len),
        Err(SrtpError::TooManySources)
    );
    let again = protect(&mut client, &rtp(1, 11));
    assert!(unprotect(&mut server, &again).is_ok());
}

#[test]
fn an_index_is_never_used_twice_to_protect() {
    let (mut client, _) = pair(SrtpProfile::AeadAes256Gcm);
    protect(&mut client, &rtp(1, 10));
    protect(&mut client, &rtp(1, 12));
    protect(&mut client, &rtp(1, 11));
    for sequence in [10, 11, 12] {
        let (mut buffer, len) = roomy(&rtp(1, sequence));
        assert_eq!(
            client.outbound.protect_rtp(&mut buffer, len),
            Err(SrtpError::Repeated)
        );
    }
}

#[test]
fn buffers_without_room_and_what_is_not_rtp_are_refused() {
    let (mut client, _) = pair(SrtpProfile::AesCm128HmacSha1_80);
    let (mut buffer, len) = roomy(&rtp(1, 10));
    buffer.pop();
    assert_eq!(
        client.outbound.protect_rtp(&mut buffer, len),
        Err(SrtpError::NoRoom)
    );
    assert_eq!(
        client.outbound.protect_rtp(&mut buffer, usize::MAX),
        Err(SrtpError::NoRoom)
    );
    assert_eq!(
        client.outbound.protect_rtp(&mut [0; 60], 20),
        Err(SrtpError::Malformed)
    );
    assert_eq!(
        client.outbound.protect_rtcp(&mut [0x80; 60], 7),
        Err(SrtpError::Malformed)
    );
}

#[test]
fn exported_state_goes_on_where_it_was_with_rollover_and_replay() {
    for profile in PROFILES {
        let (mut client, mut server) = pair(profile);
        let mut last = Vec::new();
        for sequence in [65_530, 65_535, 4] {
            last = protect(&mut client, &rtp(1, sequence));
            assert!(unprotect(&mut server, &last).is_ok());
        }
        let (mut client, mut server) = (
            Session::import(&client.export()),
            Session::import(&server.export()),
        );
        assert_eq!(unprotect(&mut server, &last), Err(SrtpError::Replayed));
        let next = protect(&mut client, &rtp(1, 5));
        assert_eq!(unprotect(&mut server, &next), Ok(rtp(1, 5)), "{profile}");
        let back = protect(&mut server, &rtp(2, 1));
        assert_eq!(unprotect(&mut client, &back), Ok(rtp(2, 1)), "{profile}");
    }
}

#[test]
fn keys_are_checked_for_length_and_never_shown() {
    let profile = SrtpProfile::AesCm128HmacSha1_80;
    assert_eq!(
        MasterKey::new(profile, &[7; 16], &[7; 13]).unwrap_err(),
        KeyError {
            profile,
            expected: 30,
            actual: 29
        }
    );
    assert!(MasterKey::new(profile, &[7; 3], &[]).is_err());
    assert!(Session::from_dtls(profile, &[7; 61], true).is_err());
    let key = MasterKey::new(profile, &[0xa5; 16], &[0xa5; 14]).unwrap();
    assert_eq!((key.key(), key.salt()), (&[0xa5; 16][..], &[0xa5; 14][..]));
    let shown = format!("{:?} {:?}", key, Session::new(key.clone(), key.clone()).export());
    assert!(
        !shown.contains("165") && !shown.to_lowercase().contains("a5"),
        "{shown}"
    );
}
