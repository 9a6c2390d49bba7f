//! Legs that have no codec in common, or change it.
#![expect(clippy::unwrap_used, reason = "a failure here fails the test that uses it")]

mod support;

use offhook_audio::AudioCodec;
use offhook_media_control::Command;
use std::time::Duration;
use support::{Heard, Voice, World, carrier_address, frequency_of, sdp, session_id, tone};

const FRAME: Duration = Duration::from_millis(20);

fn of_type(heard: &[Heard], payload_type: u8) -> Vec<Heard> {
    heard
        .iter()
        .filter(|packet| packet.fields.payload_type == payload_type)
        .cloned()
        .collect()
}

/// The client speaks Opus and the carrier `codec`, for two seconds.
fn talk(world: &mut World, codec: AudioCodec, carrier_payload_type: u8) {
    let up = tone(AudioCodec::Opus, 440.0, 100);
    let down = tone(codec, 1_000.0, 100);
    let (mut client, mut carrier) = (Voice::new(111, 11), Voice::new(carrier_payload_type, 22));
    for (up, down) in up.iter().zip(&down) {
        let packet = client.packet(up, 960);
        world.client_sends(&packet);
        let packet = carrier.packet(down, 160);
        world.carrier_sends(&packet);
        world.run_for(FRAME);
    }
}

#[test]
fn opus_and_pcmu_are_transcoded_both_ways() {
    // The browser can do nothing but Opus.
    let mut world = World::connected("111", "0");
    world.client_heard.clear();
    world.carrier_heard.clear();
    talk(&mut world, AudioCodec::Pcmu, 0);
    let up = of_type(&world.carrier_heard, 0);
    let down = of_type(&world.client_heard, 111);
    assert!(up.len() >= 98 && down.len() >= 98, "{} {}", up.len(), down.len());
    assert!((frequency_of(AudioCodec::Pcmu, &up[20..]) - 440.0).abs() < 10.0);
    assert!((frequency_of(AudioCodec::Opus, &down[20..]) - 1_000.0).abs() < 10.0);
    for (heard, ticks) in [(&up, 160), (&down, 960)] {
        for pair in heard.windows(2).skip(5) {
            assert_eq!(
                pair[1].fields.timestamp,
                pair[0].fields.timestamp.wrapping_add(ticks)
            );
            assert_eq!(pair[1].fields.sequence, pair[0].fields.sequence.wrapping_add(1));
        }
    }
    assert!(world.session.transcoded_frames() >= 196);
}

#[test]
fn pcma_works_like_pcmu() {
    let mut world = World::connected("111", "8");
    talk(&mut world, AudioCodec::Pcma, 8);
    let up = of_type(&world.carrier_heard, 8);
    assert!((frequency_of(AudioCodec::Pcma, &up[up.len() - 60..]) - 440.0).abs() < 10.0);
}

#[test]
fn opus_at_both_ends_is_passed_on() {
    let mut world = World::connected("111 0 8", "111");
    world.carrier_heard.clear();
    let up = tone(AudioCodec::Opus, 440.0, 50);
    let mut client = Voice::new(111, 11);
    for payload in &up {
        let packet = client.packet(payload, 960);
        world.client_sends(&packet);
        world.run_for(FRAME);
    }
    let heard: Vec<_> = world
        .carrier_heard
        .iter()
        .map(|packet| packet.payload.clone())
        .collect();
    assert!(heard == up, "{} packets", heard.len());
    assert_eq!(world.session.transcoded_frames(), 0);
}

#[test]
fn early_answer_lets_the_client_send_opus_and_receive_the_carriers_codec() {
    let (mut world, offer, answer) = World::offer_from_client("111 0 8 126", true);
    assert!(
        sdp::value(&offer, "m=audio ").starts_with("20002 RTP/AVP 111 0 8"),
        "{offer}"
    );
    let answer = answer.expect("an early answer");
    assert!(
        sdp::value(&answer, "m=audio ").contains("SAVPF 111 0 8"),
        "Opus first, and all that both can do: {answer}"
    );
    world.connect();
    assert_eq!(
        world.carrier_answers(&sdp::carrier(carrier_address(), "0")),
        None,
        "answered already"
    );
    world.client_heard.clear();
    world.carrier_heard.clear();
    talk(&mut world, AudioCodec::Pcmu, 0);
    let down = of_type(&world.client_heard, 0);
    assert!(
        down.len() >= 98,
        "PCMU is passed on to the client: {}",
        down.len()
    );
    let up = of_type(&world.carrier_heard, 0);
    assert!(
        (frequency_of(AudioCodec::Pcmu, &up[20..]) - 440.0).abs() < 10.0,
        "Opus is transcoded to the carrier"
    );
}

#[test]
fn ringback_plays_until_the_carriers_media_comes() {
    let (mut world, _, _) = World::offer_from_client("111 0", true);
    world.connect();
    world
        .command(&Command::Ringing {
            session: session_id(),
        })
        .unwrap();
    world.client_heard.clear();
    world.run_for(Duration::from_millis(1_000));
    let ringing = world.client_heard.clone();
    assert!((48..=51).contains(&ringing.len()), "{}", ringing.len());
    let frequency = frequency_of(AudioCodec::Opus, &of_type(&ringing, 111)[10..]);
    assert!(
        (430.0..=490.0).contains(&frequency),
        "{frequency} Hz is not 440 + 480"
    );
    // Early media: a 183 with PCMU, then packets.
    world.carrier_answers(&sdp::carrier(carrier_address(), "0"));
    world.client_heard.clear();
    let mut carrier = Voice::new(0, 22);
    for payload in tone(AudioCodec::Pcmu, 1_000.0, 50) {
        let packet = carrier.packet(&payload, 160);
        world.carrier_sends(&packet);
        world.run_for(FRAME);
    }
    let after = of_type(&world.client_heard, 0);
    assert!((frequency_of(AudioCodec::Pcmu, &after) - 1_000.0).abs() < 10.0);
    assert_eq!(world.client_heard.len(), after.len(), "no more ringback");
    let (last, first) = (ringing.last().unwrap(), &after[0]);
    assert_eq!(
        first.fields.sequence,
        last.fields.sequence.wrapping_add(1),
        "one continuous stream"
    );
    assert_eq!(first.fields.ssrc, last.fields.ssrc);
}

#[test]
fn the_answer_after_early_media_may_change_address_and_codec() {
    let (mut world, _, _) = World::offer_from_client("111 0 8", true);
    world.connect();
    world.carrier_answers(&sdp::carrier(carrier_address(), "0"));
    let mut early = Voice::new(0, 22);
    for payload in tone(AudioCodec::Pcmu, 1_000.0, 25) {
        let packet = early.packet(&payload, 160);
        world.carrier_sends(&packet);
        world.run_for(FRAME);
    }
    let elsewhere = "203.0.113.77:9000".parse().unwrap();
    world.carrier_answers(&sdp::carrier(elsewhere, "8"));
    world.client_heard.clear();
    let packet = early.packet(&[0; 160], 160);
    world.carrier_sends(&packet);
    assert_eq!(
        world.session.drops().stranger,
        1,
        "the old address is a stranger now"
    );
    let mut voice = Voice::new(8, 33);
    for payload in tone(AudioCodec::Pcma, 600.0, 50) {
        let packet = voice.packet(&payload, 160);
        world.carrier_sends_from(elsewhere, &packet);
        world.run_for(FRAME);
    }
    let heard = of_type(&world.client_heard, 8);
    assert!((frequency_of(AudioCodec::Pcma, &heard) - 600.0).abs() < 10.0);
}

#[test]
fn losses_and_reordering_are_played_over() {
    let mut world = World::connected("111", "0");
    world.client_heard.clear();
    let down = tone(AudioCodec::Pcmu, 1_000.0, 100);
    let mut carrier = Voice::new(0, 22);
    let mut delayed = None;
    for (n, payload) in down.iter().enumerate() {
        let packet = carrier.packet(payload, 160);
        match n % 10 {
            3 => {}
            6 => delayed = Some(packet),
            _ => {
                world.carrier_sends(&packet);
                if let Some(late) = delayed.take() {
                    world.carrier_sends(&late);
                }
            }
        }
        world.run_for(FRAME);
    }
    let heard = of_type(&world.client_heard, 111);
    assert!(heard.len() >= 98, "no gap is heard: {}", heard.len());
    assert!((frequency_of(AudioCodec::Opus, &heard[20..]) - 1_000.0).abs() < 15.0);
}

/// Bit rate of the Opus frames that a client gets whose offer `edit` has changed, bit/s.
fn opus_rate(edit: impl FnOnce(String) -> String) -> usize {
    let (mut world, _, _) = World::offer_edited("111", false, edit);
    let answer = world.carrier_answers(&sdp::carrier(carrier_address(), "0"));
    world.tell_client(&answer.unwrap());
    world.connect();
    world.client_heard.clear();
    talk(&mut world, AudioCodec::Pcmu, 0);
    let heard = of_type(&world.client_heard, 111);
    let bytes: usize = heard.iter().map(|packet| packet.payload.len()).sum();
    bytes * 8 * 50 / heard.len()
}

#[test]
fn the_bandwidth_that_the_client_asks_for_caps_the_encoder() {
    let free = opus_rate(|offer| offer);
    let by_codec = opus_rate(|offer| format!("{offer}a=fmtp:111 maxaveragebitrate=8000\r\n"));
    let by_media = opus_rate(|offer| offer.replace("a=rtcp:9", "b=TIAS:8000\r\na=rtcp:9"));
    assert!(
        by_codec <= 9_000 && by_media <= 9_000,
        "{by_codec} {by_media} bit/s"
    );
    assert!(free > 10_000, "{free} bit/s without a cap");
}
