//! What browsers offer, and what we answer (RFC 3264 §6, RFC 8829).

use crate::common::{FINGERPRINT, chromium_offer, web_leg};
use offhook_offer_answer::{
    Codec, Direction, DtlsRole, IceCredentials, OfferAnswerError, WebRtcLegNegotiation,
};
use offhook_sdp::SessionDescription;

fn refusal(offer: &str) -> OfferAnswerError {
    let mut leg = web_leg();
    let error = leg.handle_offer(offer).expect_err("must be refused");
    assert_eq!(leg, web_leg(), "a refused offer leaves no trace");
    error
}

fn without(offer: &str, start: &str) -> String {
    offer
        .split_inclusive("\r\n")
        .filter(|line| !line.starts_with(start))
        .collect()
}

#[test]
fn chromium_is_understood() {
    let mut leg = web_leg();
    assert!(leg.handle_offer(&chromium_offer()).unwrap().first);
    let remote = leg.remote().unwrap();
    assert_eq!(remote.ice.ufrag, "9Xw2");
    assert_eq!(remote.fingerprints[0].to_string(), FINGERPRINT);
    let codecs: Vec<_> = remote
        .codecs
        .iter()
        .map(|found| (found.codec, found.payload_type))
        .collect();
    assert_eq!(codecs, [(Codec::Opus, 111), (Codec::Pcmu, 0), (Codec::Pcma, 8)]);
    assert!(remote.codecs[0].opus.in_band_fec && !remote.codecs[0].opus.stereo);
    assert_eq!(remote.telephone_events.at_8000, Some(126));
    assert_eq!(remote.telephone_events.at_48000, Some(110));
    assert_eq!(
        (remote.direction, remote.mid.as_deref(), remote.ssrc),
        (Direction::SendRecv, Some("0"), Some(123456789))
    );
    assert_eq!(leg.dtls_role(), Some(DtlsRole::Server));
}

#[test]
fn our_answer_is_the_one_that_works_everywhere() {
    let mut leg = web_leg();
    leg.handle_offer(&chromium_offer()).unwrap();
    let expected = "v=0\r\no=- 42 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
        a=ice-lite\r\na=group:BUNDLE 0\r\na=msid-semantic: WMS vsp\r\n\
        m=audio 3478 UDP/TLS/RTP/SAVPF 111 0 8 126 110\r\n\
        a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
        a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
        a=rtpmap:126 telephone-event/8000\r\na=fmtp:126 0-16\r\n\
        a=rtpmap:110 telephone-event/48000\r\na=fmtp:110 0-16\r\na=ptime:20\r\n\
        a=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=setup:passive\r\n\
        a=fingerprint:sha-256 11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11\r\n\
        a=ice-ufrag:srvU\r\na=ice-pwd:srvPasswordsrvPassword22\r\n\
        a=candidate:1 1 udp 2130706431 198.51.100.7 3478 typ host\r\n\
        a=candidate:2 1 udp 2130706175 2001:db8::7 3478 typ host\r\na=end-of-candidates\r\n\
        a=msid:vsp audio\r\na=ssrc:1001 cname:vsp\r\n";
    assert_eq!(leg.answer(&Codec::ALL).unwrap(), expected);
}

#[test]
fn the_order_of_the_answer_is_the_callers_and_only_what_was_offered() {
    let mut leg = web_leg();
    leg.handle_offer(&chromium_offer().replace("111 63 9 0 8 13 110 126", "8 0"))
        .unwrap();
    let answer = leg.answer(&[Codec::Opus, Codec::Pcma, Codec::Pcmu]).unwrap();
    assert!(
        answer.contains("m=audio 3478 UDP/TLS/RTP/SAVPF 8 0\r\n"),
        "{answer}"
    );
    assert_eq!(leg.answer(&[Codec::Opus]), Err(OfferAnswerError::NoCommonCodec));
}

#[test]
fn pcma_alone_without_rtpmap_and_without_events_is_enough() {
    let bare =
        without(&without(&chromium_offer(), "a=rtpmap"), "a=fmtp").replace("111 63 9 0 8 13 110 126", "8");
    let mut leg = web_leg();
    leg.handle_offer(&bare).unwrap();
    assert!(leg.remote().unwrap().telephone_events.is_empty());
    let answer = leg.answer(&Codec::ALL).unwrap();
    assert!(answer.contains(" UDP/TLS/RTP/SAVPF 8\r\n") && answer.contains("a=rtpmap:8 PCMA/8000\r\n"));
}

#[test]
fn firefox_leaves_fingerprint_and_direction_to_the_session() {
    let line = format!("a=fingerprint:{FINGERPRINT}\r\n");
    let offer = without(&without(&chromium_offer(), "a=fingerprint"), "a=sendrecv")
        .replace(
            "t=0 0\r\n",
            &format!("t=0 0\r\n{line}a=ice-options:trickle\r\na=recvonly\r\n"),
        )
        .replace("UDP/TLS/RTP/SAVPF 111", "UDP/TLS/RTP/SAVPF 109")
        .replace(":111 ", ":109 ");
    let mut leg = web_leg();
    leg.handle_offer(&offer).unwrap();
    assert_eq!(leg.remote().unwrap().direction, Direction::RecvOnly);
    let answer = leg.answer(&Codec::ALL).unwrap();
    assert!(
        answer.contains("a=rtpmap:109 opus/48000/2\r\n") && answer.contains("a=sendonly\r\n"),
        "{answer}"
    );
}

#[test]
fn further_sections_are_rejected_in_place_and_bundled_only_once() {
    let video =
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\na=rtpmap:96 VP8/90000\r\n";
    let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:d\r\n";
    let offer = chromium_offer()
        .replace("BUNDLE 0", "BUNDLE v 0 d")
        .replace("m=audio", &format!("{video}m=audio"))
        + data;
    let mut leg = web_leg();
    leg.handle_offer(&offer).unwrap();
    let answer = SessionDescription::parse(&leg.answer(&Codec::ALL).unwrap()).unwrap();
    let ports: Vec<u16> = answer.media.iter().map(|section| section.port).collect();
    assert_eq!(ports, [0, 3478, 0]);
    let text = answer.to_string();
    assert!(
        text.contains("m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\na=inactive\r\n"),
        "{text}"
    );
    assert!(
        text.contains("m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:d\r\n"),
        "{text}"
    );
    assert!(text.contains("a=group:BUNDLE 0\r\n"), "{text}");
}

#[test]
fn audio_that_shares_the_transport_of_video_before_it_is_taken() {
    let video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\n";
    let bundled = chromium_offer()
        .replace("m=audio 51234", &format!("{video}m=audio 0"))
        .replace("a=mid:0\r\n", "a=mid:0\r\na=bundle-only\r\n");
    let mut leg = web_leg();
    leg.handle_offer(&bundled).unwrap();
    let answer = SessionDescription::parse(&leg.answer(&Codec::ALL).unwrap()).unwrap();
    assert_eq!((answer.media[0].port, answer.media[1].port), (0, 3478));
}

#[test]
fn codecs_that_the_gateway_is_not_to_use_are_not_taken() {
    let mut state = web_leg().export().clone();
    state.local.codecs = vec![Codec::Pcma];
    let mut leg = WebRtcLegNegotiation::import(state);
    leg.handle_offer(&chromium_offer()).unwrap();
    assert_eq!(leg.remote().unwrap().codecs.len(), 1);
    assert!(
        leg.answer(&Codec::ALL)
            .unwrap()
            .contains(" UDP/TLS/RTP/SAVPF 8 126 110\r\n")
    );
}

#[test]
fn each_missing_part_has_its_own_error() {
    let offer = chromium_offer();
    use OfferAnswerError as E;
    assert_eq!(refusal(&offer.replace("m=audio", "m=video")), E::NoAudio);
    assert_eq!(refusal(&offer.replace("m=audio 51234", "m=audio 0")), E::NoAudio);
    assert_eq!(
        refusal(&without(&offer, "a=ice-ufrag")),
        E::MissingIceCredentials { name: "ice-ufrag" }
    );
    assert_eq!(
        refusal(&without(&offer, "a=ice-pwd")),
        E::MissingIceCredentials { name: "ice-pwd" }
    );
    assert_eq!(refusal(&without(&offer, "a=fingerprint")), E::MissingFingerprint);
    assert_eq!(refusal(&without(&offer, "a=rtcp-mux")), E::MissingRtcpMux);
    assert_eq!(
        refusal(&offer.replace("111 63 9 0 8 13 110 126", "63 9")),
        E::NoCommonCodec
    );
    assert!(matches!(
        refusal(&offer.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP")),
        E::UnsupportedTransport { .. }
    ));
    assert!(matches!(
        refusal(&offer.replace("sha-256 AB:", "sha-256 AB")),
        E::Sdp(_)
    ));
    let weak = offer.replace(FINGERPRINT, &format!("md5 {}", vec!["00"; 16].join(":")));
    assert_eq!(
        refusal(&weak),
        E::UnsupportedFingerprint {
            hash: "md5".to_owned()
        }
    );
    assert!(matches!(refusal("hello"), E::Sdp(_)));
}

#[test]
fn bandwidth_times_and_opus_parameters_are_read() {
    let offer = chromium_offer()
        .replace(
            "c=IN IP4 203.0.113.9\r\n",
            "c=IN IP4 203.0.113.9\r\nb=AS:40\r\nb=TIAS:24800\r\na=ptime:40\r\na=maxptime:60\r\n",
        )
        .replace(
            "minptime=10;useinbandfec=1",
            "maxplaybackrate=8000;stereo=1;cbr=1;maxaveragebitrate=20000;useinbandfec=0",
        );
    let mut leg = web_leg();
    leg.handle_offer(&offer).unwrap();
    let remote = leg.remote().unwrap();
    assert_eq!(
        remote.max_bitrate_bps,
        Some(20_000),
        "24,800 less 50 RTP headers a second"
    );
    assert_eq!((remote.packet_ms, remote.max_packet_ms), (Some(40), Some(60)));
    let opus = remote.codecs[0].opus;
    assert_eq!(
        (opus.max_playback_rate_hz, opus.max_average_bitrate_bps),
        (8_000, Some(20_000))
    );
    assert!(opus.stereo && opus.constant_bitrate && !opus.in_band_fec);
}

#[test]
fn a_cap_of_ours_is_written_as_bandwidth_and_for_opus() {
    let mut state = web_leg().export().clone();
    state.local.max_bitrate_bps = Some(24_000);
    let mut leg = WebRtcLegNegotiation::import(state);
    leg.handle_offer(&chromium_offer()).unwrap();
    let answer = leg.answer(&Codec::ALL).unwrap();
    assert!(answer.contains("b=AS:24\r\nb=TIAS:24000\r\n"), "{answer}");
    assert!(
        answer.contains("a=fmtp:111 minptime=10;useinbandfec=1;maxaveragebitrate=24000\r\n"),
        "{answer}"
    );
}

#[test]
fn an_ice_restart_keeps_role_and_counts_the_version() {
    let mut leg = web_leg();
    leg.handle_offer(&chromium_offer()).unwrap();
    leg.answer(&Codec::ALL).unwrap();
    let restart = chromium_offer().replace("9Xw2", "NEW1").replace("Zt1b", "Yt1b");
    let change = leg.handle_offer(&restart).unwrap();
    assert!(
        change.ice_restart && !change.first && !change.fingerprint && !change.codecs && !change.direction
    );
    leg.set_local_ice(IceCredentials {
        ufrag: "srv2".to_owned(),
        pwd: "anotherPasswordOfTheGateway".to_owned(),
    });
    let answer = leg.answer(&Codec::ALL).unwrap();
    assert!(
        answer.contains("o=- 42 2 IN") && answer.contains("a=setup:passive\r\n"),
        "{answer}"
    );
    assert!(answer.contains("a=ice-ufrag:srv2\r\n"), "{answer}");
}

#[test]
fn the_dtls_role_follows_the_offer_once_and_stays() {
    let mut leg = web_leg();
    leg.handle_offer(&chromium_offer().replace("setup:actpass", "setup:passive"))
        .unwrap();
    assert_eq!(leg.dtls_role(), Some(DtlsRole::Client));
    assert!(leg.answer(&Codec::ALL).unwrap().contains("a=setup:active\r\n"));
    leg.handle_offer(&chromium_offer()).unwrap();
    assert_eq!(
        leg.dtls_role(),
        Some(DtlsRole::Client),
        "actpass on a running association keeps it"
    );
    let before = leg.clone();
    let swapped = leg.handle_offer(&chromium_offer().replace("setup:actpass", "setup:active"));
    assert_eq!(
        swapped,
        Err(OfferAnswerError::DtlsRoleChanged { setup: "active" })
    );
    assert_eq!(leg, before);
    let renewed = chromium_offer()
        .replace("setup:actpass", "setup:active")
        .replace("AB:CD:", "00:CD:");
    assert!(leg.handle_offer(&renewed).unwrap().fingerprint);
    assert_eq!(
        leg.dtls_role(),
        Some(DtlsRole::Server),
        "a new certificate is a new association"
    );
}

#[test]
fn hold_and_codec_changes_are_told() {
    let mut leg = web_leg();
    leg.handle_offer(&chromium_offer()).unwrap();
    let held = leg
        .handle_offer(&chromium_offer().replace("a=sendrecv", "a=sendonly"))
        .unwrap();
    assert!(held.direction && !held.codecs);
    let narrowed = leg
        .handle_offer(&chromium_offer().replace("111 63 9 0 8 13 110 126", "0"))
        .unwrap();
    assert!(narrowed.codecs && narrowed.direction);
}

#[test]
fn the_state_moves_to_another_node_as_a_value() {
    let mut leg = web_leg();
    leg.handle_offer(&chromium_offer()).unwrap();
    let mut moved = WebRtcLegNegotiation::import(leg.export().clone());
    assert_eq!(moved.answer(&Codec::ALL), leg.answer(&Codec::ALL));
    let shown = format!("{:?}", moved.export().local);
    assert!(!shown.contains("srvPassword"), "passwords stay out of logs");
}
