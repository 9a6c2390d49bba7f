//! Typed attributes: read on demand, written as they are read.

use std::fmt::Debug;

use offhook_sdp::attribute::*;
use offhook_sdp::{Attributes, Host, SdpErrorKind, SessionDescription};

/// Reads a value, writes it back, and gives what was read.
fn round_trip<T: TypedAttribute + Debug>(value: &str) -> T {
    let read = T::parse(value).unwrap_or_else(|| panic!("a={}:{value} must read", T::NAME));
    assert_eq!(read.to_string(), value);
    read
}

fn refuse<T: TypedAttribute + Debug>(values: &[&str]) {
    for value in values {
        assert!(T::parse(value).is_none(), "a={}:{value} must be refused", T::NAME);
    }
}

#[test]
fn rfc8866_6_6_rtpmap() {
    let opus: RtpMap = round_trip("111 opus/48000/2");
    assert_eq!(
        (opus.payload_type, opus.clock_rate_hz, opus.channels),
        (111, 48_000, Some(2))
    );
    assert_eq!(round_trip::<RtpMap>("0 PCMU/8000").channels, None);
    refuse::<RtpMap>(&[
        "",
        "111",
        "128 opus/48000/2",
        "0 PCMU",
        "0 PCMU/0",
        "0 /8000",
        "x PCMU/8000",
        "0 L16/8000/x",
    ]);
}

#[test]
fn rfc8866_6_15_fmtp() {
    let opus: Fmtp = round_trip("111 minptime=10;useinbandfec=1");
    assert!(opus.enabled("UseInbandFEC"));
    assert_eq!(opus.number::<u16>("minptime"), Some(10));
    assert_eq!(opus.get("stereo"), None);
    let events: Fmtp = round_trip("101 0-16");
    assert_eq!(events.parameters[0].value, None);
    assert_eq!(
        Fmtp::parse("111  a=1 ; b ;; c = 2").unwrap().to_string(),
        "111 a=1;b;c=2"
    );
    refuse::<Fmtp>(&["", "111", "200 a=1"]);
}

#[test]
fn rfc8839_candidates_of_every_kind() {
    let host: Candidate = round_trip("1 1 udp 2130706431 198.51.100.7 20040 typ host");
    assert_eq!(host.address().unwrap().to_string(), "198.51.100.7:20040");
    let reflexive: Candidate = round_trip(
        "842163049 1 udp 1677729535 203.0.113.9 51234 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag 9Xw2",
    );
    assert_eq!(reflexive.kind, CandidateKind::ServerReflexive);
    assert!(
        reflexive
            .extensions
            .contains(&("ufrag".to_owned(), "9Xw2".to_owned()))
    );
    assert!(reflexive.related.is_some());
    let hidden = round_trip::<Candidate>(
        "1 1 udp 2113937151 6f0d8c.local 51234 typ host generation 0 network-cost 999",
    );
    assert!(hidden.address().is_none());
    let tcp: Candidate = round_trip("3 1 tcp 1518280447 192.0.2.5 9 typ host tcptype active");
    assert_eq!(
        (tcp.transport, tcp.tcp_type),
        (CandidateTransport::Tcp, Some(TcpType::Active))
    );
    assert_eq!(
        round_trip::<Candidate>("7 2 udp 1 2001:db8::1 9 typ relay").component,
        2
    );
    refuse::<Candidate>(&[
        "",
        "1 1 udp 2130706431 198.51.100.7 20040",
        "1 1 udp 99999999999 198.51.100.7 20040 typ host",
        "1 0 udp 1 198.51.100.7 20040 typ host",
        "1 1 udp 1 198.51.100.7 70000 typ host",
        "1 1 udp 1 198.51.100.7 20040 typ magic",
        "1 1 udp 1 198.51.100.7 20040 typ srflx raddr 1.1.1.1 rport x",
    ]);
}

#[test]
fn rfc8445_5_1_2_our_host_candidates_are_ordered_by_priority() {
    let first = Candidate::host(0, "198.51.100.7:3478".parse().unwrap());
    assert_eq!(first.to_string(), "1 1 udp 2130706431 198.51.100.7 3478 typ host");
    let second = Candidate::host(1, "[2001:db8::7]:3478".parse().unwrap());
    assert!(second.priority < first.priority && second.foundation != first.foundation);
}

#[test]
fn ice_credentials_have_their_lengths_and_stay_out_of_debug_output() {
    assert_eq!(round_trip::<IceUfrag>("9Xw2").0, "9Xw2");
    let password: IcePwd = round_trip("Zt1bZt1bZt1bZt1bZt1bZt");
    assert!(!format!("{password:?}").contains("Zt1b"));
    refuse::<IceUfrag>(&["", "abc", "a b c", &"x".repeat(257)]);
    refuse::<IcePwd>(&["tooshort", "Zt1bZt1bZt1bZt1bZt1b\u{e9}\u{e9}"]);
}

#[test]
fn rfc8122_fingerprints_have_the_length_of_their_hash() {
    let digest: Vec<String> = (0..32).map(|byte| format!("{byte:02X}")).collect();
    let text = format!("sha-256 {}", digest.join(":"));
    let read: Fingerprint = round_trip(&text);
    assert_eq!(
        read,
        Fingerprint::sha256(std::array::from_fn(|index| index as u8))
    );
    assert_eq!(Fingerprint::parse(&text.to_lowercase()).unwrap(), read);
    assert_eq!(
        round_trip::<Fingerprint>("md5 00:11").hash,
        HashFunction::Other("md5".to_owned())
    );
    refuse::<Fingerprint>(&[
        "sha-256 AB:CD",
        "sha-256",
        "sha-256 GG:00",
        "x A",
        &format!("x {}", "00:".repeat(65)),
    ]);
}

#[test]
fn the_small_ones_read_and_write() {
    assert_eq!(round_trip::<Ptime>("20").0, 20);
    assert_eq!(MaxPtime::parse("2.5").unwrap().0, 3);
    assert_eq!(Ptime::parse("100000").unwrap().0, 120);
    refuse::<Ptime>(&["0", "-20", "NaN", "inf0", ""]);
    assert!(round_trip::<Group>("BUNDLE 0 1").is_bundle());
    assert_eq!(round_trip::<Msid>("vsp a0").track.as_deref(), Some("a0"));
    assert_eq!(round_trip::<Ssrc>("1001 cname:vsp"), Ssrc::cname(1001, "vsp"));
    assert_eq!(round_trip::<Ssrc>("7").attribute, "");
    assert_eq!(
        round_trip::<Rtcp>("53020 IN IP6 2001:db8::4").host,
        Some(Host::Ip("2001:db8::4".parse().unwrap()))
    );
    assert_eq!(round_trip::<Rtcp>("53020").host, None);
    assert_eq!(round_trip::<Setup>("actpass"), Setup::ActPass);
    assert_eq!(round_trip::<Mid>("audio").0, "audio");
    refuse::<Rtcp>(&["70000", "9 IN IP4", ""]);
    refuse::<Setup>(&["server", ""]);
    refuse::<Mid>(&["", "a b"]);
}

#[test]
fn directions_mirror_and_narrow() {
    assert_eq!(Direction::SendOnly.mirrored(), Direction::RecvOnly);
    assert_eq!(Direction::SendRecv.and(Direction::RecvOnly), Direction::RecvOnly);
    assert_eq!(Direction::SendOnly.and(Direction::RecvOnly), Direction::Inactive);
    let mut attributes = Attributes::default();
    attributes.push_flag("sendrecv");
    attributes.push_flag("inactive");
    assert_eq!(attributes.direction(), Some(Direction::Inactive));
}

#[test]
fn an_unreadable_attribute_is_an_error_only_when_it_is_asked_for() {
    let text = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 9 RTP/AVP 0\r\na=mid:a b\r\na=ptime:20\r\n";
    let session = SessionDescription::parse(text).unwrap();
    let attributes = &session.media[0].attributes;
    assert_eq!(attributes.first::<Ptime>(), Ok(Some(Ptime(20))));
    let error = attributes.first::<Mid>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "SDP line 4: a=mid must be a name without blanks"
    );
    assert!(matches!(
        error.kind,
        SdpErrorKind::BadAttribute { name: "mid", .. }
    ));
}
