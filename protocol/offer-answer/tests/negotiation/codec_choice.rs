//! Which codec each direction of a call uses (R38, R39, R43, R45).

use crate::common::{carrier, chromium_offer, rtp_leg, web_leg};
use offhook_offer_answer::{
    Bridge, Codec, Direction, NegotiatedCodec, OfferAnswerError, OpusParams, OpusSending, Prefer,
    answer_order,
};

fn codec(codec: Codec, payload_type: u8) -> NegotiatedCodec {
    NegotiatedCodec {
        codec,
        payload_type,
        receive_payload_type: payload_type,
        opus: OpusParams::UNSTATED,
    }
}

fn browser() -> Vec<NegotiatedCodec> {
    vec![
        codec(Codec::Opus, 111),
        codec(Codec::Pcmu, 0),
        codec(Codec::Pcma, 8),
    ]
}

fn sent(bridge: &Bridge, from_client: u8, from_carrier: u8) -> (Codec, Codec) {
    let to_carrier = bridge.route_to_carrier(from_client).expect("a route").sent.codec;
    (
        to_carrier,
        bridge.route_to_client(from_carrier).expect("a route").sent.codec,
    )
}

#[test]
fn r45_the_first_common_codec_in_the_order_opus_pcmu_pcma_is_offered_first() {
    let mut web = web_leg();
    web.handle_offer(&chromium_offer()).unwrap();
    let mut formats = vec!["111 ", "0 ", "8 "];
    for expected in Codec::ALL {
        let offer = chromium_offer().replace("111 63 9 0 8 13 110 126", formats.concat().trim());
        web.handle_offer(&offer).unwrap();
        assert_eq!(web.remote().unwrap().codecs[0].codec, expected);
        formats.remove(0);
    }
}

#[test]
fn an_opus_carrier_is_relayed_both_ways_with_its_own_numbers() {
    let bridge = Bridge::choose(&browser(), &[codec(Codec::Opus, 96)], Prefer::Relay).unwrap();
    let route = bridge.route_to_carrier(111).unwrap();
    assert!(route.is_relay());
    assert_eq!(route.sent.payload_type, 96);
    assert_eq!(bridge.route_to_client(96).unwrap().sent.payload_type, 111);
}

#[test]
fn towards_the_browser_a_g711_carrier_is_relayed_and_only_the_other_way_is_transcoded() {
    let bridge = Bridge::choose(&browser(), &[codec(Codec::Pcma, 8)], Prefer::Relay).unwrap();
    assert_eq!(sent(&bridge, 111, 8), (Codec::Pcma, Codec::Pcma));
    assert!(!bridge.route_to_carrier(111).unwrap().is_relay());
    assert!(
        bridge.route_to_carrier(8).unwrap().is_relay(),
        "should the browser switch to PCMA, it is relayed too"
    );
}

#[test]
fn prefer_opus_spends_a_transcode_for_loss_concealment() {
    let bridge = Bridge::choose(&browser(), &[codec(Codec::Pcmu, 0)], Prefer::Opus).unwrap();
    assert_eq!(sent(&bridge, 111, 0), (Codec::Pcmu, Codec::Opus));
    let opus = Bridge::choose(
        &browser(),
        &[codec(Codec::Pcmu, 0), codec(Codec::Opus, 96)],
        Prefer::Opus,
    )
    .unwrap();
    assert_eq!(sent(&opus, 111, 96), (Codec::Opus, Codec::Opus));
}

#[test]
fn unlike_laws_are_converted() {
    let bridge = Bridge::choose(&[codec(Codec::Pcma, 8)], &[codec(Codec::Pcmu, 0)], Prefer::Relay).unwrap();
    assert_eq!(sent(&bridge, 8, 0), (Codec::Pcmu, Codec::Pcma));
    assert_eq!(
        bridge.route_to_carrier(111),
        None,
        "a payload type that was not negotiated has no route"
    );
}

#[test]
fn nothing_in_common_with_us_is_an_error() {
    assert_eq!(
        Bridge::choose(&[], &browser(), Prefer::Relay),
        Err(OfferAnswerError::NoCommonCodec)
    );
}

#[test]
fn received_numbers_are_ours_first_and_the_peers_too() {
    let answered = NegotiatedCodec {
        receive_payload_type: 111,
        ..codec(Codec::Opus, 96)
    };
    let bridge = Bridge::choose(&browser(), &[answered], Prefer::Relay).unwrap();
    assert_eq!(bridge.route_to_client(111), bridge.route_to_client(96));
    assert_eq!(bridge.route_to_carrier(111).unwrap().sent.payload_type, 96);
}

#[test]
fn a_late_answer_puts_the_carriers_codec_first_where_relaying_is_preferred() {
    let carrier = [codec(Codec::Pcma, 8)];
    assert_eq!(
        answer_order(&carrier, Prefer::Relay),
        [Codec::Pcma, Codec::Opus, Codec::Pcmu]
    );
    assert_eq!(answer_order(&carrier, Prefer::Opus), Codec::ALL);
    assert_eq!(
        answer_order(&[], Prefer::Relay),
        Codec::ALL,
        "an early answer lists all, Opus first"
    );
}

#[test]
fn both_legs_of_a_call_meet() {
    let mut web = web_leg();
    web.handle_offer(&chromium_offer()).unwrap();
    let mut rtp = rtp_leg(&Codec::ALL);
    rtp.offer(Direction::SendRecv);
    rtp.handle_answer(&carrier(
        "m=audio 6000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000",
    ))
    .unwrap();
    let bridge = Bridge::choose(
        &web.remote().unwrap().codecs,
        &rtp.remote().unwrap().codecs,
        Prefer::Relay,
    )
    .unwrap();
    assert_eq!(sent(&bridge, 111, 0), (Codec::Pcmu, Codec::Pcmu));
    assert_eq!(
        web.remote().unwrap().telephone_events.for_codec(Codec::Opus),
        Some((110, 48_000))
    );
    assert_eq!(
        web.remote().unwrap().telephone_events.for_codec(Codec::Pcmu),
        Some((126, 8_000))
    );
}

#[test]
fn r39_r43_the_encoder_follows_fec_cbr_and_every_cap() {
    let peer = OpusParams {
        in_band_fec: true,
        max_average_bitrate_bps: Some(18_000),
        ..OpusParams::UNSTATED
    };
    let sending = OpusSending::for_peer(&peer, 24_000, None);
    assert_eq!(
        sending,
        OpusSending {
            bitrate_bps: 18_000,
            in_band_fec: true,
            constant_bitrate: false
        }
    );
    assert_eq!(
        OpusSending::for_peer(&peer, 24_000, Some(12_000)).bitrate_bps,
        12_000
    );
    assert_eq!(
        OpusSending::for_peer(&peer, 24_000, Some(0)).bitrate_bps,
        6_000,
        "less is no speech"
    );
    let cbr = OpusParams {
        constant_bitrate: true,
        ..OpusParams::UNSTATED
    };
    assert_eq!(OpusSending::for_peer(&cbr, 16_000, None).bitrate_bps, 16_000);
    assert!(OpusSending::for_peer(&cbr, 16_000, None).constant_bitrate);
}
