//! RTP legs: what carriers offer and answer, and what we write (RFC 3264, RFC 3551).

use crate::common::{carrier, rtp_leg};
use offhook_offer_answer::{Codec, Direction, OfferAnswerError, RtpLegNegotiation};

fn answered(section: &str) -> RtpLegNegotiation {
    let mut leg = rtp_leg(&Codec::ALL);
    leg.offer(Direction::SendRecv);
    leg.handle_answer(&carrier(section)).expect("a good answer");
    leg
}

fn refused(section: &str) -> OfferAnswerError {
    let mut leg = rtp_leg(&Codec::ALL);
    leg.offer(Direction::SendRecv);
    leg.handle_answer(&carrier(section)).expect_err("must be refused")
}

#[test]
fn our_offer_lists_the_configured_codecs_and_telephone_event() {
    let expected = "v=0\r\no=- 43 1 IN IP4 198.51.100.8\r\ns=-\r\nc=IN IP4 198.51.100.8\r\nt=0 0\r\n\
        m=audio 20000 RTP/AVP 111 0 8 101\r\na=rtpmap:111 opus/48000/2\r\n\
        a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=rtcp:20001\r\na=sendrecv\r\n";
    assert_eq!(rtp_leg(&Codec::ALL).offer(Direction::SendRecv), expected);
    let narrow = rtp_leg(&[Codec::Pcma]).offer(Direction::SendOnly);
    assert!(
        narrow.contains("RTP/AVP 8 101\r\n") && narrow.ends_with("a=sendonly\r\n"),
        "{narrow}"
    );
}

#[test]
fn a_plain_answer_is_read() {
    let leg = answered("m=audio 6000 RTP/AVP 0\r\na=sendrecv");
    let remote = leg.remote().unwrap();
    assert_eq!(remote.rtp, Some("203.0.113.1:6000".parse().unwrap()));
    assert_eq!(remote.rtcp, Some("203.0.113.1:6001".parse().unwrap()));
    assert_eq!(remote.codecs[0].codec, Codec::Pcmu);
    assert!(remote.telephone_events.is_empty() && remote.direction.receives() && !remote.rtcp_mux);
}

#[test]
fn several_codecs_dynamic_numbers_and_other_event_numbers_are_read_in_the_carriers_order() {
    let leg = answered(
        "m=audio 6000 RTP/AVP 8 96 97\r\na=rtpmap:96 OPUS/48000/2\r\na=rtpmap:97 telephone-event/8000\r\na=ptime:30",
    );
    let remote = leg.remote().unwrap();
    let codecs: Vec<_> = remote
        .codecs
        .iter()
        .map(|found| (found.codec, found.payload_type, found.receive_payload_type))
        .collect();
    assert_eq!(codecs, [(Codec::Pcma, 8, 8), (Codec::Opus, 96, 111)]);
    assert_eq!(remote.telephone_events.for_codec(Codec::Pcma), Some((97, 8_000)));
    assert_eq!(remote.packet_ms, Some(30));
}

#[test]
fn section_connection_rtcp_and_ipv6_are_honoured() {
    let leg = answered("m=audio 6000 RTP/AVP 0\r\nc=IN IP6 2001:db8::9\r\na=rtcp:7000 IN IP6 2001:db8::a");
    let remote = leg.remote().unwrap();
    assert_eq!(remote.rtp, Some("[2001:db8::9]:6000".parse().unwrap()));
    assert_eq!(remote.rtcp, Some("[2001:db8::a]:7000".parse().unwrap()));
    let last_port = answered("m=audio 65535 RTP/AVP 0");
    assert_eq!(last_port.remote().unwrap().rtcp, None);
}

#[test]
fn rtcp_mux_is_agreed_only_where_we_share_the_port() {
    let mut state = rtp_leg(&[Codec::Pcmu]).export().clone();
    state.local.rtcp_port = Some(20_000);
    let mut leg = RtpLegNegotiation::import(state);
    assert!(
        leg.offer(Direction::SendRecv)
            .contains("a=rtcp:20000\r\na=rtcp-mux\r\n")
    );
    leg.handle_answer(&carrier("m=audio 6000 RTP/AVP 0\r\na=rtcp-mux"))
        .unwrap();
    assert_eq!(
        leg.remote().unwrap().rtcp,
        Some("203.0.113.1:6000".parse().unwrap())
    );
    assert!(
        !answered("m=audio 6000 RTP/AVP 0\r\na=rtcp-mux")
            .remote()
            .unwrap()
            .rtcp_mux
    );
}

#[test]
fn a_183_may_be_followed_by_a_different_200() {
    let mut leg = answered("m=audio 6000 RTP/AVP 0");
    let change = leg.handle_answer(&carrier("m=audio 7000 RTP/AVP 8")).unwrap();
    assert!(change.address && change.codecs && !change.first && !change.direction);
    let same = leg.handle_answer(&carrier("m=audio 7000 RTP/AVP 8")).unwrap();
    assert_eq!(same, Default::default());
}

#[test]
fn answers_that_cannot_be_met_are_refused_precisely() {
    use OfferAnswerError as E;
    assert_eq!(refused("m=audio 0 RTP/AVP 0"), E::NoAudio);
    assert_eq!(
        refused("m=audio 6000 RTP/AVP 18\r\na=rtpmap:18 G729/8000"),
        E::NoCommonCodec
    );
    assert_eq!(
        refused("m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 G726-32/8000"),
        E::NoCommonCodec
    );
    assert!(matches!(
        refused("m=audio 6000 RTP/SAVP 0\r\na=crypto:1 X inline:y"),
        E::UnsupportedTransport { .. }
    ));
    assert_eq!(
        refused("m=audio 6000 RTP/AVP 0\r\nc=IN IP4 media.example.com"),
        E::AddressNotNumeric {
            host: "media.example.com".to_owned()
        }
    );
    assert!(E::NoCommonCodec.is_not_acceptable() && !E::MissingConnection.is_not_acceptable());
    let mut leg = rtp_leg(&Codec::ALL);
    assert!(matches!(
        leg.handle_answer(&carrier("m=audio 6000 RTP/AVP 0")),
        Err(E::WrongState { .. })
    ));
    assert!(matches!(
        leg.answer(&Codec::ALL, Direction::SendRecv),
        Err(E::WrongState { .. })
    ));
    let no_connection = "v=0\r\no=- 1 1 IN IP4 1.1.1.1\r\ns=-\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n";
    assert_eq!(leg.handle_offer(no_connection), Err(E::MissingConnection));
    assert_eq!(leg, rtp_leg(&Codec::ALL));
}

#[test]
fn an_offer_is_answered_in_our_order_with_its_numbers() {
    let mut leg = rtp_leg(&Codec::ALL);
    let offer = carrier(
        "m=audio 6000 RTP/AVP 8 0 98 99 13\r\na=rtpmap:98 opus/48000/2\r\na=fmtp:98 stereo=1\r\n\
         a=rtpmap:99 telephone-event/8000\r\nm=video 6002 RTP/AVP 31",
    );
    assert!(leg.handle_offer(&offer).unwrap().first);
    let codecs: Vec<_> = leg
        .remote()
        .unwrap()
        .codecs
        .iter()
        .map(|found| found.codec)
        .collect();
    assert_eq!(codecs, Codec::ALL);
    let answer = leg
        .answer(&[Codec::Pcmu, Codec::Pcma], Direction::SendRecv)
        .unwrap();
    assert!(answer.contains("m=audio 20000 RTP/AVP 0 8 99\r\n"), "{answer}");
    assert!(answer.contains("m=video 0 RTP/AVP 31\r\n"), "{answer}");
}

#[test]
fn hold_in_each_of_its_forms() {
    for (section, answer_direction) in [
        ("m=audio 6000 RTP/AVP 0\r\na=sendonly", "recvonly"),
        ("m=audio 6000 RTP/AVP 0\r\na=inactive", "inactive"),
        ("m=audio 0 RTP/AVP 0\r\na=bundle-only", "recvonly"),
        ("m=audio 6000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0", "recvonly"),
        (
            "m=audio 6000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\na=inactive",
            "inactive",
        ),
    ] {
        let mut leg = answered("m=audio 6000 RTP/AVP 0");
        let change = leg.handle_offer(&carrier(section)).unwrap();
        let listens = |leg: &RtpLegNegotiation| leg.remote().unwrap().direction.receives();
        assert!(change.direction && !listens(&leg), "{section}");
        let answer = leg.answer(&Codec::ALL, Direction::SendRecv).unwrap();
        assert!(
            answer.ends_with(&format!("a={answer_direction}\r\n")),
            "{section}: {answer}"
        );
        let resumed = leg.handle_offer(&carrier("m=audio 6000 RTP/AVP 0")).unwrap();
        assert!(resumed.direction && listens(&leg), "{section}");
    }
}

#[test]
fn our_own_hold_narrows_our_answer() {
    let mut leg = answered("m=audio 6000 RTP/AVP 0");
    leg.handle_offer(&carrier("m=audio 6000 RTP/AVP 0\r\na=sendrecv"))
        .unwrap();
    assert!(
        leg.answer(&Codec::ALL, Direction::SendOnly)
            .unwrap()
            .ends_with("a=sendonly\r\n")
    );
    assert_eq!(leg.export().direction, Direction::SendOnly);
}
