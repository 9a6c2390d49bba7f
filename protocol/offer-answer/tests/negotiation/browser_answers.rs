//! Our offers towards a browser, and its answers (inbound call, attach).

use crate::common::{browser_answer, chromium_offer, web_leg};
use offhook_offer_answer::{Codec, Direction, DtlsRole, OfferAnswerError};
use offhook_sdp::SessionDescription;

const OPUS: &str = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n";

#[test]
fn our_offer_has_everything_and_lets_the_browser_choose_the_role() {
    let offer = web_leg().offer(Direction::SendRecv);
    let session = SessionDescription::parse(&offer).unwrap();
    assert_eq!(
        session.media[0].payload_types().collect::<Vec<_>>(),
        [111, 0, 8, 101, 110]
    );
    for line in [
        "a=ice-lite",
        "a=group:BUNDLE 0",
        "a=mid:0",
        "a=setup:actpass",
        "a=rtcp-mux",
        "a=sendrecv",
        "a=rtpmap:101 telephone-event/8000",
        "a=rtpmap:110 telephone-event/48000",
        "a=end-of-candidates",
        "a=msid:vsp audio",
        "a=ssrc:1001 cname:vsp",
    ] {
        assert!(offer.contains(&format!("{line}\r\n")), "{line} in {offer}");
    }
}

#[test]
fn the_answer_settles_codec_and_role() {
    let mut leg = web_leg();
    leg.offer(Direction::SendRecv);
    leg.handle_answer(&browser_answer("111 0", OPUS)).unwrap();
    let remote = leg.remote().unwrap();
    let codecs: Vec<_> = remote.codecs.iter().map(|found| found.codec).collect();
    assert_eq!(codecs, [Codec::Opus, Codec::Pcmu]);
    assert_eq!(leg.dtls_role(), Some(DtlsRole::Server));
    let again = leg.offer(Direction::SendRecv);
    assert!(
        again.contains("a=setup:passive\r\n") && again.contains("o=- 42 2 IN"),
        "{again}"
    );
}

#[test]
fn rfc3264_6_1_other_numbers_in_the_answer_are_for_sending_to_it() {
    let mut leg = web_leg();
    leg.offer(Direction::SendRecv);
    let lines = "a=rtpmap:96 opus/48000/2\r\na=rtpmap:97 telephone-event/8000\r\n";
    leg.handle_answer(&browser_answer("96 97", lines)).unwrap();
    let remote = leg.remote().unwrap();
    assert_eq!(
        (
            remote.codecs[0].payload_type,
            remote.codecs[0].receive_payload_type
        ),
        (96, 111)
    );
    assert_eq!(remote.telephone_events.for_codec(Codec::Opus), Some((97, 8_000)));
    assert_eq!(
        remote.telephone_events.clock_rate_hz(101),
        Some(8_000),
        "what we offered is what comes"
    );
    assert_eq!(remote.telephone_events.clock_rate_hz(110), None);
}

#[test]
fn answers_that_do_not_fit_are_refused() {
    let mut leg = web_leg();
    let good = browser_answer("111", OPUS);
    assert!(matches!(
        leg.handle_answer(&good),
        Err(OfferAnswerError::WrongState { .. })
    ));
    leg.offer(Direction::SendRecv);
    let before = leg.clone();
    let mismatch = |text: String, leg: &mut offhook_offer_answer::WebRtcLegNegotiation| {
        matches!(
            leg.handle_answer(&text),
            Err(OfferAnswerError::AnswerMismatch { .. })
        )
    };
    assert!(mismatch(good.replace("mid:0", "mid:other"), &mut leg));
    assert!(mismatch(good.replace("setup:active", "setup:actpass"), &mut leg));
    assert_eq!(
        leg.handle_answer(&browser_answer("9", "")),
        Err(OfferAnswerError::NoCommonCodec)
    );
    assert_eq!(
        leg.handle_answer(&good.replace("m=audio 9", "m=audio 0")),
        Err(OfferAnswerError::NoAudio)
    );
    assert_eq!(leg, before, "a refused answer leaves no trace");
    leg.handle_answer(&good).unwrap();
    leg.handle_answer(&good).unwrap();
    assert!(matches!(
        leg.answer(&Codec::ALL),
        Err(OfferAnswerError::WrongState { .. })
    ));
}

#[test]
fn rfc3264_8_our_later_offer_keeps_the_peers_sections_and_numbers() {
    let video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\n";
    let offer = chromium_offer()
        .replace("m=audio", &format!("{video}m=audio"))
        .replace("mid:0", "mid:a");
    let mut leg = web_leg();
    leg.handle_offer(&offer).unwrap();
    leg.answer(&Codec::ALL).unwrap();
    let ours = SessionDescription::parse(&leg.offer(Direction::SendRecv)).unwrap();
    assert_eq!(ours.media.len(), 2);
    assert_eq!(ours.media[0].port, 0);
    assert_eq!(
        ours.media[1].payload_types().collect::<Vec<_>>(),
        [111, 0, 8, 126, 110]
    );
    assert!(ours.to_string().contains("a=mid:a\r\n"));
}

#[test]
fn a_number_that_the_peer_uses_for_something_else_is_not_offered_again() {
    let mut leg = web_leg();
    let offer = chromium_offer()
        .replace("111 63 9 0 8 13 110 126", "0 111")
        .replace("a=rtpmap:111 opus/48000/2", "a=rtpmap:111 telephone-event/8000");
    leg.handle_offer(&offer).unwrap();
    leg.answer(&Codec::ALL).unwrap();
    let ours = leg.offer(Direction::SendRecv);
    assert!(ours.contains("a=rtpmap:96 opus/48000/2\r\n"), "{ours}");
    assert!(ours.contains("a=rtpmap:111 telephone-event/8000\r\n"), "{ours}");
}
