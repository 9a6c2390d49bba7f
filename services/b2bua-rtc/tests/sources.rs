//! A peer that sends more than one source to its leg (RFC 3550 §8): an announcement beside who answers, early media of
//! branches that ring together, a mixer.

mod support;

use offhook_audio::AudioCodec;
use offhook_b2bua_rtc::Lane;
use offhook_media_control::{Event, LegName};
use offhook_rtp::rtcp::CompoundWriter;
use offhook_rtp::{Ssrc, rtcp::Compound, rtcp::Packet};
use std::time::Duration;
use support::{Heard, Voice, World, carrier_address, frequency_of, tone};

const FRAME: Duration = Duration::from_millis(20);

/// Lets the carrier's sources send PCMU for `frames` of 20 ms, one packet each in turns.
fn send(world: &mut World, voices: &mut [(&mut Voice, f32)], frames: usize) {
    let voices_at_once = voices.len() as u32;
    let mut tones: Vec<_> = voices
        .iter()
        .map(|(_, frequency_hz)| tone(AudioCodec::Pcmu, *frequency_hz, frames).into_iter())
        .collect();
    for _ in 0..frames {
        for ((voice, _), payloads) in voices.iter_mut().zip(&mut tones) {
            let packet = voice.packet(&payloads.next().expect("one for each frame"), 160);
            world.carrier_sends(&packet);
            world.run_for(FRAME / voices_at_once);
        }
    }
}

/// Lets the carrier's first source send at 600 Hz and its second one, beside it, at 1,000 Hz.
fn send_both(world: &mut World, first: &mut Voice, second: &mut Voice, frames: usize) {
    send(world, &mut [(first, 600.0), (second, 1_000.0)], frames);
}

/// A call whose carrier sends one source for `alone` frames and then two of them for `together`, and those two. What the
/// client has heard is from then on.
fn with_second_source(codecs: (&str, &str), alone: usize, together: usize) -> (World, Voice, Voice) {
    let mut world = World::connected(codecs.0, codecs.1);
    let (mut first, mut second) = (Voice::new(0, 22), Voice::new(0, 33));
    send(&mut world, &mut [(&mut first, 600.0)], alone);
    world.client_heard.clear();
    send_both(&mut world, &mut first, &mut second, together);
    (world, first, second)
}

/// One stream: no number missing or twice, each frame after the one before.
fn is_whole(heard: &[Heard], ticks: u32) -> bool {
    heard.windows(2).all(|pair| {
        let (one, next) = (pair[0].fields, pair[1].fields);
        next.sequence == one.sequence.wrapping_add(1) && next.timestamp == one.timestamp.wrapping_add(ticks)
    })
}

#[test]
fn the_newest_source_is_heard_and_the_older_one_beside_it_is_not() {
    let (world, _, _) = with_second_source(("111 0 8 126", "0 101"), 25, 50);
    let heard = &world.client_heard[1..];
    assert_eq!(heard.len(), 50, "one source's packets");
    assert!(is_whole(heard, 160));
    assert_eq!(heard.iter().filter(|packet| packet.fields.marker).count(), 1);
    assert!((frequency_of(AudioCodec::Pcmu, heard) - 1_000.0).abs() < 10.0);
    assert_eq!(world.session.drops().other_source, 49);
}

#[test]
fn two_sources_do_not_tear_what_is_transcoded() {
    let (world, _, _) = with_second_source(("111", "0"), 25, 100);
    let heard = &world.client_heard;
    assert!((98..=102).contains(&heard.len()), "{}", heard.len());
    assert!(is_whole(&heard[5..], 960));
    let frequency = frequency_of(AudioCodec::Opus, &heard[20..]);
    assert!((frequency - 1_000.0).abs() < 10.0, "{frequency}");
}

#[test]
fn the_older_source_is_heard_again_when_the_newer_one_falls_silent() {
    let (mut world, mut callee, _) = with_second_source(("111 0", "0"), 10, 10);
    world.client_heard.clear();
    send(&mut world, &mut [(&mut callee, 600.0)], 50);
    let heard = &world.client_heard;
    assert!((44..=47).contains(&heard.len()), "{} after 100 ms", heard.len());
    assert!(is_whole(heard, 160));
    assert!((frequency_of(AudioCodec::Pcmu, heard) - 600.0).abs() < 10.0);
}

#[test]
fn rfc3550_6_6_who_says_goodbye_makes_room_at_once() {
    let (mut world, mut callee, _) = with_second_source(("111 0", "0"), 10, 10);
    let mut bye = Vec::new();
    CompoundWriter::new(&mut bye)
        .receiver_report(Ssrc(33), &[])
        .cname(Ssrc(33), "announcement")
        .goodbye(Ssrc(33), None);
    let reports = (carrier_address().ip(), carrier_address().port() + 1).into();
    world.feed(LegName::Carrier, Lane::Rtcp, reports, &mut bye);
    world.client_heard.clear();
    send(&mut world, &mut [(&mut callee, 600.0)], 50);
    assert_eq!(world.client_heard.len(), 50);
}

#[test]
fn losses_are_counted_of_the_source_that_is_heard() {
    let (mut world, mut announcement, mut callee) = with_second_source(("111 0", "0"), 10, 0);
    for _ in 0..100 {
        send_both(&mut world, &mut announcement, &mut callee, 9);
        // A packet of each is lost on the way.
        announcement.packet(&[0; 160], 160);
        callee.packet(&[0; 160], 160);
    }
    let quality = world.events.iter().rev().find_map(|event| match event {
        Event::Quality { legs, .. } => legs.iter().find(|leg| leg.leg == LegName::Carrier).cloned(),
        _ => None,
    });
    let quality = quality.unwrap();
    let share = quality.packets_lost as f32 / quality.packets_received as f32;
    assert!((0.09..0.13).contains(&share), "{quality:?}");
    let report = world.carrier_reports.last().unwrap();
    let compound = Compound::parse(report).unwrap();
    let blocks: Vec<_> = compound
        .packets()
        .flat_map(|packet| match packet {
            Packet::SenderReport { reports, .. } | Packet::ReceiverReport { reports, .. } => {
                reports.collect::<Vec<_>>()
            }
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(blocks.len(), 1);
    assert_eq!(blocks[0].ssrc, Ssrc(33));
    assert!(blocks[0].fraction_lost > 20, "{blocks:?}");
}

#[test]
fn digits_count_whatever_source_they_are_of() {
    let mut world = World::connected("111 0 8 126", "0 101");
    let (mut voice, mut keys) = (Voice::new(0, 22), Voice::new(101, 33));
    send(&mut world, &mut [(&mut voice, 600.0)], 10);
    for (duration, end) in [(160, 0), (320, 0), (480, 0x80), (480, 0x80), (480, 0x80)] {
        let [high, low] = u16::to_be_bytes(duration);
        let packet = keys.beside(101, 9_000, &[5, end | 10, high, low]);
        world.carrier_sends(&packet);
        send(&mut world, &mut [(&mut voice, 600.0)], 1);
    }
    let presses = world.count(|event| matches!(event, Event::Dtmf { digit: '5', .. }));
    assert_eq!(presses, 1);
    assert_eq!(world.session.drops().other_source, 0);
    let audio = world
        .client_heard
        .iter()
        .filter(|packet| packet.fields.payload_type == 0);
    assert_eq!(audio.count(), 15);
}

#[test]
fn who_holds_a_key_down_is_not_silent() {
    let (mut world, mut announcement, mut callee) = with_second_source(("111 0 8 126", "0 101"), 10, 10);
    let before = world.session.drops().other_source;
    for duration in (160..8_000).step_by(160) {
        let [high, low] = u16::to_be_bytes(duration);
        let packet = callee.beside(101, 9_000, &[5, 10, high, low]);
        world.carrier_sends(&packet);
        send(&mut world, &mut [(&mut announcement, 600.0)], 1);
    }
    assert_eq!(
        world.session.drops().other_source - before,
        49,
        "all of the announcement"
    );
}

#[test]
fn a_peer_that_renames_its_source_all_the_time_is_still_heard() {
    let mut world = World::connected("111 0", "0");
    world.client_heard.clear();
    for ssrc in 100..300 {
        send(&mut world, &mut [(&mut Voice::new(0, ssrc), 600.0)], 1);
    }
    let heard = world.client_heard.len();
    assert!(heard > 100, "{heard} of 200 packets");
}
