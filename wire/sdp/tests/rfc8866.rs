//! Session descriptions as a whole: read, limited, printed (RFC 8866 §5).

use offhook_sdp::{
    ATTRIBUTES_MAX, Bandwidth, BandwidthKind, MEDIA_SECTIONS_MAX, MediaKind, SDP_LEN_MAX, SdpErrorKind,
    SessionDescription, TransportProtocol,
};

const CARRIER: &str = "v=0\r\no=carrier 20518 0 IN IP4 203.0.113.1\r\ns=-\r\ni=a call\r\nc=IN IP4 203.0.113.1\r\n\
    b=AS:64\r\nt=0 0\r\nz=0 0\r\na=sendrecv\r\nm=audio 49170 RTP/AVP 0 101\r\ni=voice\r\nb=TIAS:64000\r\n\
    a=rtpmap:0 PCMU/8000\r\na=silenceSupp:off - - - -\r\na=rtpmap:101 telephone-event/8000\r\n";

fn kind_of(text: &str) -> (usize, SdpErrorKind) {
    let error = SessionDescription::parse(text).expect_err("must be refused");
    (error.line, error.kind)
}

#[test]
fn a_description_comes_apart_into_its_parts() {
    let session = SessionDescription::parse(CARRIER).unwrap();
    assert_eq!(session.origin.username, "carrier");
    assert_eq!(session.origin.session_id, "20518");
    assert_eq!(
        session.connection.as_ref().unwrap().host.to_string(),
        "203.0.113.1"
    );
    assert_eq!(
        session.bandwidths,
        [Bandwidth {
            kind: BandwidthKind::ApplicationSpecific,
            value: 64
        }]
    );
    let [audio] = session.media.as_slice() else {
        panic!("one section")
    };
    assert_eq!(
        (&audio.kind, audio.port, &audio.protocol),
        (&MediaKind::Audio, 49170, &TransportProtocol::RtpAvp)
    );
    assert_eq!(audio.payload_types().collect::<Vec<_>>(), [0, 101]);
    assert_eq!(audio.bandwidths[0].media_bps(), Some(64_000));
    assert_eq!(session.connection_of(audio), session.connection.as_ref());
}

#[test]
fn what_was_read_is_printed_again_with_unknown_lines_in_their_place() {
    assert_eq!(SessionDescription::parse(CARRIER).unwrap().to_string(), CARRIER);
}

#[test]
fn bare_line_feeds_and_blank_lines_read_the_same() {
    let tolerated = CARRIER.replace("\r\n", "\n") + "\n\n";
    assert_eq!(
        SessionDescription::parse(&tolerated).unwrap(),
        SessionDescription::parse(CARRIER).unwrap()
    );
}

#[test]
fn a_missing_name_or_time_is_forgiven_a_missing_origin_is_not() {
    let short = "v=0\r\no=- 1 1 IN IP6 ::1\r\n";
    let printed = SessionDescription::parse(short).unwrap().to_string();
    assert_eq!(printed, "v=0\r\no=- 1 1 IN IP6 ::1\r\ns=-\r\nt=0 0\r\n");
    assert_eq!(kind_of("v=0\r\ns=-\r\n"), (2, SdpErrorKind::NoOrigin));
}

#[test]
fn errors_name_the_line_and_what_should_be_there() {
    let broken = CARRIER.replace("m=audio 49170", "m=audio voice");
    let error = SessionDescription::parse(&broken).unwrap_err();
    assert_eq!(
        error.to_string(),
        "SDP line 10: m= must be <media> <port> <protocol> <format> …"
    );
    assert_eq!(kind_of("INVITE sip:x SIP/2.0"), (1, SdpErrorKind::NotALine));
    assert_eq!(kind_of("v=1\r\n"), (1, SdpErrorKind::NotSdp));
    assert_eq!(kind_of(""), (1, SdpErrorKind::NotSdp));
    assert_eq!(
        kind_of("v=0\r\no=- 1 1 IN IP4 ::1\r\ns=a\rb\r\n"),
        (3, SdpErrorKind::ControlCharacter)
    );
    assert!(matches!(
        kind_of("v=0\r\no=me\r\n"),
        (2, SdpErrorKind::BadLine { letter: 'o', .. })
    ));
    assert!(matches!(
        kind_of("v=0\r\no=- 1 1 IN IP4 1.1.1.1\r\nc=ATM x y\r\n"),
        (3, _)
    ));
}

#[test]
fn user_names_with_blanks_and_huge_session_ids_are_read() {
    let odd = "v=0\r\no=Snom 870 99999999999999999999999999 1 IN IP4 192.0.2.7\r\ns=-\r\nt=0 0\r\n";
    let session = SessionDescription::parse(odd).unwrap();
    assert_eq!(session.origin.username, "Snom 870");
    assert_eq!(session.to_string(), odd);
}

/// Found by fuzzing: a form feed before a multicast suffix was kept, and printed where it ends the line.
#[test]
fn addresses_hold_no_white_space_or_control_characters() {
    for address in ["127.0.0\u{c}/1", "ho\u{b}st", "a\u{7f}b", "a\u{a0}b"] {
        let text = format!("v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nt=0 0\r\n");
        assert_eq!(kind_of(&text).0, 2, "{address:?}");
    }
}

#[test]
fn each_limit_has_its_error() {
    let long = format!("v=0\r\na={}\r\n", "x".repeat(SDP_LEN_MAX));
    assert!(matches!(kind_of(&long), (1, SdpErrorKind::TooLong { .. })));
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n";
    let media = |count: usize| head.to_owned() + &"m=audio 9 RTP/AVP 0\r\n".repeat(count);
    assert_eq!(
        SessionDescription::parse(&media(MEDIA_SECTIONS_MAX))
            .unwrap()
            .media
            .len(),
        MEDIA_SECTIONS_MAX
    );
    assert!(matches!(
        kind_of(&media(MEDIA_SECTIONS_MAX + 1)),
        (19, SdpErrorKind::TooMany { what: "m= lines", .. })
    ));
    let attributes = |count: usize| head.to_owned() + &"a=x\r\n".repeat(count);
    assert!(SessionDescription::parse(&attributes(ATTRIBUTES_MAX)).is_ok());
    assert!(matches!(
        kind_of(&attributes(ATTRIBUTES_MAX + 1)),
        (
            _,
            SdpErrorKind::TooMany {
                max: ATTRIBUTES_MAX,
                ..
            }
        )
    ));
    let others = head.to_owned() + &"q=x\r\n".repeat(65);
    assert!(matches!(kind_of(&others), (67, SdpErrorKind::TooMany { .. })));
    let formats = head.to_owned() + "m=audio 9 RTP/AVP" + &" 0".repeat(129) + "\r\n";
    assert!(matches!(kind_of(&formats), (3, SdpErrorKind::TooMany { .. })));
}

#[test]
fn no_value_of_ours_can_add_a_line() {
    let mut session = SessionDescription::parse(CARRIER).unwrap();
    session.session_name = "x\r\nm=audio 1 RTP/AVP 0".to_owned();
    session.attributes.push_raw("note", "a\nb");
    let printed = session.to_string();
    assert_eq!(SessionDescription::parse(&printed).unwrap().media.len(), 1);
    assert!(printed.contains("a=note:a b\r\n"), "{printed}");
}
