//! Opus parameters (RFC 7587 §6.1): what one side wants reaches the encoder of the other one, which is ours only where we
//! transcode. R39.
#![expect(clippy::unwrap_used, reason = "a failure here fails the test that uses it")]

mod support;

use offhook_audio::{AudioCodec, FRAME_SAMPLES, OpusDecoder, level};
use offhook_b2bua_rtc::params::{AudioParams, SessionParams};
use offhook_media_control::{Command, Direction, LegName, Reply};
use std::time::Duration;
use support::{Heard, Voice, World, carrier_address, params, sdp, session_id, tone};

const FRAME: Duration = Duration::from_millis(20);
/// What we ask for where our decoder listens.
const OURS: &str = "minptime=10;useinbandfec=1";

/// The parameters of Opus in a description.
fn opus_of(description: &str) -> &str {
    sdp::value(description, "a=fmtp:111 ")
}

/// A carrier's answer in which Opus has these parameters.
fn carrier(codecs: &str, parameters: &str) -> String {
    format!(
        "{}a=fmtp:111 {parameters}\r\n",
        sdp::carrier(carrier_address(), codecs)
    )
}

#[test]
fn r39_what_the_client_wants_is_what_an_opus_carrier_is_asked_for() {
    for (wanted, asked) in [
        ("useinbandfec=1", OURS),
        ("minptime=10", "minptime=10"),
        (
            "stereo=1;maxplaybackrate=16000;useinbandfec=1",
            "minptime=10;useinbandfec=1;stereo=1;maxplaybackrate=16000",
        ),
        (
            "cbr=1;maxaveragebitrate=20000;usedtx=1",
            "minptime=10;maxaveragebitrate=20000;cbr=1",
        ),
    ] {
        let edit = |offer: String| format!("{offer}a=fmtp:111 {wanted}\r\n");
        let (_, offer, _) = World::offer_edited("111 0 8", false, edit);
        assert_eq!(opus_of(&offer), asked, "{wanted}");
    }
}

#[test]
fn r43_a_cap_of_the_clients_media_section_caps_an_opus_carrier_too() {
    let edit = |offer: String| {
        offer.replace("a=rtcp:9", "b=TIAS:24800\r\na=rtcp:9") + "a=fmtp:111 maxaveragebitrate=40000\r\n"
    };
    let (_, offer, _) = World::offer_edited("111 0", false, edit);
    assert_eq!(
        opus_of(&offer),
        "minptime=10;maxaveragebitrate=20000",
        "headers taken off"
    );
}

#[test]
fn r39_what_an_opus_carrier_wants_is_what_the_client_is_asked_for() {
    let (mut world, _, _) = World::offer_from_client("111 0 8", false);
    let answer = world
        .carrier_answers(&carrier("111", "stereo=1;maxplaybackrate=8000;cbr=1"))
        .unwrap();
    assert_eq!(
        opus_of(&answer),
        "minptime=10;stereo=1;maxplaybackrate=8000;cbr=1"
    );
    // A further offer of the client's is answered in the same way, one of ours says it too.
    world.tell_client(&answer);
    world.connect();
    let again = Command::Reoffer {
        session: session_id(),
        from: LegName::Client,
        sdp: sdp::browser(&world.client, "111 0 8"),
    };
    let Reply::Reoffered { answer, .. } = world.command(&again).unwrap() else {
        panic!("no answer")
    };
    assert_eq!(
        opus_of(&answer),
        "minptime=10;stereo=1;maxplaybackrate=8000;cbr=1"
    );
    let ours = Command::MakeOffer {
        session: session_id(),
        to: LegName::Client,
        direction: Direction::SendRecv,
        renew: false,
    };
    let Reply::Offered { offer } = world.command(&ours).unwrap() else {
        panic!("no offer")
    };
    assert_eq!(opus_of(&offer), "minptime=10;stereo=1;maxplaybackrate=8000;cbr=1");
}

#[test]
fn beside_a_carrier_without_opus_the_client_is_asked_for_what_our_decoder_wants() {
    let (mut world, _, early) = World::offer_from_client("111 0 8", true);
    assert_eq!(
        opus_of(&early.unwrap()),
        OURS,
        "nobody else has said anything yet"
    );
    let (mut late, _, _) = World::offer_from_client("111 0 8", false);
    let answer = late.carrier_answers(&sdp::carrier(carrier_address(), "0"));
    assert_eq!(opus_of(&answer.unwrap()), OURS);
    assert_eq!(world.carrier_answers(&carrier("111", "cbr=1")), None);
}

/// A gateway with the bit rate that has room for error correction.
fn with_room() -> SessionParams {
    SessionParams {
        audio: AudioParams {
            opus_bitrate_bps: 28_000,
            ..params().audio
        },
        ..params()
    }
}

/// What a client gets as Opus whose offer has these parameters, from a carrier that speaks PCMU.
fn client_hears(parameters: &str) -> Vec<Heard> {
    let edit = |offer: String| format!("{offer}a=fmtp:111 {parameters}\r\n");
    let (mut world, _, _) = World::offer_at(with_room(), "111", false, edit);
    let answer = world.carrier_answers(&sdp::carrier(carrier_address(), "0"));
    world.tell_client(&answer.unwrap());
    world.connect();
    world.client_heard.clear();
    let mut voice = Voice::new(0, 22);
    for payload in tone(AudioCodec::Pcmu, 440.0, 60) {
        let packet = voice.packet(&payload, 160);
        world.carrier_sends(&packet);
        world.run_for(FRAME);
    }
    world.client_heard
}

/// What a carrier gets as Opus whose answer has these parameters, from a client that speaks PCMU.
fn carrier_hears(parameters: &str) -> Vec<Heard> {
    let (mut world, _, _) = World::offer_at(with_room(), "0", false, |offer| offer);
    let answer = world.carrier_answers(&carrier("111", parameters));
    world.tell_client(&answer.unwrap());
    world.connect();
    world.carrier_heard.clear();
    let mut voice = Voice::new(0, 11);
    for payload in tone(AudioCodec::Pcmu, 440.0, 60) {
        let packet = voice.packet(&payload, 160);
        world.client_sends(&packet);
        world.run_for(FRAME);
    }
    world.carrier_heard
}

/// The packet's first byte (RFC 6716 §3.1): configuration, and whether it is stereo.
fn toc(packet: &Heard) -> (u8, bool) {
    (packet.payload[0] >> 3, packet.payload[0] & 4 != 0)
}

/// Level of what a decoder makes of the packet before `next` from `next` alone, after `before`, dBov.
fn recovered(before: &[Heard], next: &Heard) -> f32 {
    let mut decoder = OpusDecoder::new().unwrap();
    let mut samples = [0; FRAME_SAMPLES];
    for packet in before {
        decoder.decode(&packet.payload, &mut samples).unwrap();
    }
    // Losses enough for concealment to have faded out: only what `next` carries can be loud.
    for _ in 0..20 {
        decoder.conceal(&mut samples).unwrap();
    }
    decoder.recover(&next.payload, &mut samples).unwrap();
    level::dbov(&samples)
}

#[test]
fn r39_error_correction_is_in_what_we_encode_where_it_is_asked_for_and_only_there() {
    type Hears = fn(&str) -> Vec<Heard>;
    // A steady tone is a voice to the encoder for half a second only; a voice's packets alone are repeated.
    for hears in [client_hears as Hears, carrier_hears as Hears] {
        let with = hears("useinbandfec=1");
        let without = hears("minptime=10");
        assert!(
            with.len() > 50 && without.len() > 50,
            "{} {}",
            with.len(),
            without.len()
        );
        let loud = recovered(&with[..15], &with[20]);
        let faded = recovered(&without[..15], &without[20]);
        assert!(
            loud > -45.0 && faded < -60.0,
            "{loud} dBov come back with it, {faded} without"
        );
    }
}

#[test]
fn r39_we_encode_mono_and_no_wider_than_any_maxplaybackrate() {
    for parameters in ["stereo=1", "maxplaybackrate=8000", "maxplaybackrate=48000"] {
        for packet in client_hears(parameters).iter().chain(&carrier_hears(parameters)) {
            let (configuration, stereo) = toc(packet);
            assert!(configuration < 4, "narrow band: {configuration}");
            assert!(!stereo);
        }
    }
}

#[test]
fn r39_a_constant_bit_rate_is_sent_where_it_is_asked_for() {
    for (parameters, constant) in [("cbr=1", true), ("cbr=0", false)] {
        let heard = client_hears(parameters);
        let lengths: std::collections::BTreeSet<_> =
            heard[10..].iter().map(|packet| packet.payload.len()).collect();
        assert_eq!(lengths.len() == 1, constant, "{parameters}: {lengths:?}");
    }
}
