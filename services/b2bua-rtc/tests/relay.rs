//! Legs that agree on a codec: packets are passed on, renumbered.

mod support;

use offhook_audio::AudioCodec;
use offhook_b2bua_rtc::Lane;
use offhook_media_control::{CodecName, Command, Event, LegName};
use offhook_rtp::Ssrc;
use offhook_rtp::rtcp::{Compound, CompoundWriter, Packet};
use std::time::Duration;
use support::{Voice, World, carrier_address, frequency_of, sdp, session_id, tone};

const FRAME: Duration = Duration::from_millis(20);

/// Lets both sides speak for `frames` of 20 ms.
fn talk(world: &mut World, client: &mut Voice, carrier: &mut Voice, frames: usize) {
    let up = tone(AudioCodec::Pcmu, 500.0, frames);
    let down = tone(AudioCodec::Pcmu, 1_200.0, frames);
    for (up, down) in up.iter().zip(&down) {
        let packet = client.packet(up, 160);
        world.client_sends(&packet);
        let packet = carrier.packet(down, 160);
        world.carrier_sends(&packet);
        world.run_for(FRAME);
    }
}

#[test]
fn pcmu_passes_unchanged_both_ways() {
    let mut world = World::connected("111 0 8 126", "0 101");
    world.client_heard.clear();
    world.carrier_heard.clear();
    let (mut client, mut carrier) = (Voice::new(0, 11), Voice::new(0, 22));
    talk(&mut world, &mut client, &mut carrier, 50);
    let relayed: Vec<_> = world.client_heard.iter().map(|packet| &packet.payload).collect();
    let sent = tone(AudioCodec::Pcmu, 1_200.0, 50);
    assert!(
        relayed == sent.iter().collect::<Vec<_>>(),
        "{} packets, not bit for bit",
        relayed.len()
    );
    assert!((frequency_of(AudioCodec::Pcmu, &world.carrier_heard) - 500.0).abs() < 10.0);
    for heard in [&world.client_heard, &world.carrier_heard] {
        assert_eq!(heard.len(), 50);
        for pair in heard.windows(2) {
            assert_eq!(pair[1].fields.sequence, pair[0].fields.sequence.wrapping_add(1));
            assert_eq!(
                pair[1].fields.timestamp,
                pair[0].fields.timestamp.wrapping_add(160)
            );
            assert_eq!(pair[1].fields.ssrc, pair[0].fields.ssrc);
        }
    }
    for (from, codec) in [
        (LegName::Client, CodecName::Pcmu),
        (LegName::Carrier, CodecName::Pcmu),
    ] {
        let started = Event::MediaStarted {
            session: session_id(),
            from,
            codec,
        };
        assert_eq!(world.count(|event| *event == started), 1);
    }
}

#[test]
fn g711_laws_are_converted_without_a_transcoder() {
    // The browser speaks A-law only, the carrier µ-law only.
    let mut world = World::connected("8", "0");
    world.carrier_heard.clear();
    let mut voice = Voice::new(8, 11);
    for payload in tone(AudioCodec::Pcma, 700.0, 50) {
        let packet = voice.packet(&payload, 160);
        world.client_sends(&packet);
        world.run_for(FRAME);
    }
    let heard: Vec<_> = world
        .carrier_heard
        .iter()
        .filter(|packet| packet.fields.payload_type == 0)
        .cloned()
        .collect();
    assert_eq!(heard.len(), 50);
    assert!((frequency_of(AudioCodec::Pcmu, &heard) - 700.0).abs() < 10.0);
    assert_eq!(world.session.transcoded_frames(), 0);
}

#[test]
fn strangers_are_dropped_and_counted() {
    let mut world = World::connected("0", "0");
    let mut stranger = Voice::new(0, 99);
    let before = world.client_heard.len();
    let packet = stranger.packet(&[0; 160], 160);
    world.carrier_sends_from("203.0.113.66:7000".parse().unwrap(), &packet);
    assert_eq!(world.session.drops().stranger, 1);
    assert!(!world.has(|event| matches!(event, Event::MediaStarted { .. })));
    // Media for the WebRTC leg from an address that never passed a check, and plain RTP from the right one.
    let lane = Lane::WebRtc {
        local: support::gateway(),
    };
    world.feed(LegName::Client, lane, carrier_address(), &mut packet.clone());
    assert_eq!(world.session.drops().stranger, 2);
    world.feed(
        LegName::Client,
        lane,
        support::client_address(),
        &mut packet.clone(),
    );
    assert_eq!(
        world.session.drops().bad_tag,
        1,
        "plain RTP is never taken on the WebRTC side"
    );
    assert_eq!(world.client_heard.len(), before);
}

#[test]
fn a_peer_behind_nat_is_latched_by_its_address_and_nobody_after_it() {
    let mut world = World::connected("0", "0");
    let nat = "203.0.113.5:61000".parse().unwrap();
    let (mut carrier, mut client) = (Voice::new(0, 1), Voice::new(0, 2));
    let packet = carrier.packet(&[1; 160], 160);
    world.carrier_sends_from(nat, &packet);
    assert!(world.has(|event| matches!(
        event,
        Event::MediaStarted {
            from: LegName::Carrier,
            ..
        }
    )));
    world.carrier_sends_from("203.0.113.5:61001".parse().unwrap(), &packet);
    assert_eq!(
        world.session.drops().stranger,
        1,
        "the same host, but another port"
    );
    let packet = client.packet(&[2; 160], 160);
    let (path, mut bytes) = world.client.send_rtp(&packet).unwrap();
    let lane = Lane::WebRtc {
        local: support::gateway(),
    };
    world.session.handle_datagram(
        world.now,
        LegName::Client,
        lane,
        path.local,
        &mut bytes,
        &mut world.out,
    );
    let (transmit, _) = world.out.transmits().next().unwrap();
    assert_eq!(transmit.destination, nat, "packets go back where they came from");
}

#[test]
fn held_audio_does_not_reach_the_carrier() {
    let mut world = World::connected("0", "0");
    let (mut client, mut carrier) = (Voice::new(0, 11), Voice::new(0, 22));
    talk(&mut world, &mut client, &mut carrier, 10);
    world
        .command(&Command::Hold {
            session: session_id(),
            held: true,
        })
        .unwrap();
    world.carrier_heard.clear();
    talk(&mut world, &mut client, &mut carrier, 50);
    assert!(
        (49..=51).contains(&world.carrier_heard.len()),
        "{}",
        world.carrier_heard.len()
    );
    let loud = world
        .carrier_heard
        .iter()
        .any(|packet| tone(AudioCodec::Pcmu, 500.0, 50).contains(&packet.payload));
    assert!(!loud, "none of it is the client's");
    world
        .command(&Command::Hold {
            session: session_id(),
            held: false,
        })
        .unwrap();
    world.carrier_heard.clear();
    talk(&mut world, &mut client, &mut carrier, 10);
    assert_eq!(world.carrier_heard.len(), 10);
    assert_eq!(
        world.carrier_heard[5].payload,
        tone(AudioCodec::Pcmu, 500.0, 10)[5]
    );
}

#[test]
fn audio_flows_to_the_browser_while_the_carrier_is_silent() {
    let mut world = World::connected("111 0", "0");
    world.client_heard.clear();
    world.run_for(Duration::from_secs(60));
    let heard = world.client_heard.len();
    assert!((2_990..=3_001).contains(&heard), "{heard} packets in 60 s");
    let widest = world
        .client_heard
        .windows(2)
        .map(|pair| pair[1].at - pair[0].at)
        .max()
        .unwrap();
    assert!(widest <= Duration::from_millis(21), "{widest:?}");
}

#[test]
fn reports_go_out_about_every_five_seconds_and_come_in() {
    let mut world = World::connected("0", "0");
    let (mut client, mut carrier) = (Voice::new(0, 11), Voice::new(0, 22));
    talk(&mut world, &mut client, &mut carrier, 1_000);
    let reports = world.carrier_reports.len();
    assert!((3..=5).contains(&reports), "{reports} reports in 20 s");
    let report = Compound::parse(&world.carrier_reports[1]).unwrap();
    let Some(Packet::SenderReport { info, reports, .. }) = report.packets().next() else {
        panic!("no sender report");
    };
    assert!(info.packets > 100);
    assert_eq!(
        reports.map(|block| block.ssrc.0).collect::<Vec<_>>(),
        [22],
        "it reports on the carrier's stream"
    );
    assert!(
        world.has(|event| matches!(event, Event::Quality { legs, .. } if legs[1].packets_received > 100))
    );
}

#[test]
fn rfc3550_6_4_who_sends_nothing_any_longer_makes_receiver_reports() {
    let mut world = World::connected("0", "0");
    let (mut client, mut carrier) = (Voice::new(0, 11), Voice::new(0, 22));
    talk(&mut world, &mut client, &mut carrier, 10);
    let hold = Command::Reoffer {
        session: session_id(),
        from: LegName::Carrier,
        sdp: sdp::carrier_with(carrier_address(), "0", "sendonly"),
    };
    world.command(&hold).unwrap();
    world.run_for(Duration::from_secs(25));
    let last = world.carrier_reports.last().unwrap();
    let report = Compound::parse(last).unwrap().packets().next();
    assert!(
        matches!(report, Some(Packet::ReceiverReport { .. })),
        "{report:?}"
    );
}

#[test]
fn reports_alone_are_no_media() {
    let mut world = World::connected("0", "0");
    let (mut client, mut carrier) = (Voice::new(0, 11), Voice::new(0, 22));
    talk(&mut world, &mut client, &mut carrier, 10);
    let mut report = Vec::new();
    CompoundWriter::new(&mut report).receiver_report(Ssrc(22), &[]);
    for _ in 0..8 {
        world.run_for(Duration::from_secs(1));
        world.feed(
            LegName::Carrier,
            Lane::Rtcp,
            carrier_address(),
            &mut report.clone(),
        );
    }
    let stopped = Event::MediaStopped {
        session: session_id(),
        from: LegName::Carrier,
    };
    assert_eq!(world.count(|event| *event == stopped), 1);
}

#[test]
fn a_leg_that_falls_silent_is_reported_once() {
    let mut world = World::connected("0", "0");
    let (mut client, mut carrier) = (Voice::new(0, 11), Voice::new(0, 22));
    talk(&mut world, &mut client, &mut carrier, 10);
    world.run_for(Duration::from_secs(20));
    let stopped = Event::MediaStopped {
        session: session_id(),
        from: LegName::Carrier,
    };
    assert_eq!(world.count(|event| *event == stopped), 1);
    talk(&mut world, &mut client, &mut carrier, 1);
    assert_eq!(
        world.count(|event| matches!(
            event,
            Event::MediaStarted {
                from: LegName::Carrier,
                ..
            }
        )),
        2
    );
}
