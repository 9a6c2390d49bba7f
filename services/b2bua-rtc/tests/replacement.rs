//! Another party takes the place of a leg: transfers that the carrier does not make.

mod support;

use offhook_audio::AudioCodec;
use offhook_b2bua_rtc::Lane;
use offhook_b2bua_rtc::session::Output;
use offhook_media_control::{Command, CommandErrorKind, LegName};
use std::net::SocketAddr;
use std::time::Duration;
use support::{Voice, World, frequency_of, sdp, session_id, tone};

const FRAME: Duration = Duration::from_millis(20);

fn newcomer_address() -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 9], 7100))
}

fn newcomer(codecs: &str) -> String {
    sdp::carrier(newcomer_address(), codecs)
}

/// Each of these speaks for a second, with a tone of its own: client 500 Hz, carrier 1200 Hz, newcomer 800 Hz, the
/// latter as `newcomer` if it has the leg of that name.
fn all_talk(world: &mut World, newcomer: Option<LegName>) {
    world.client_heard.clear();
    world.carrier_heard.clear();
    world.newcomer_heard.clear();
    let (mut client, mut carrier, mut third) = (Voice::new(0, 11), Voice::new(0, 22), Voice::new(0, 33));
    let [up, down, new] = [500.0, 1_200.0, 800.0].map(|hz| tone(AudioCodec::Pcmu, hz, 50));
    for ((up, down), new) in up.iter().zip(&down).zip(&new) {
        if newcomer != Some(LegName::Client) {
            let packet = client.packet(up, 160);
            world.client_sends(&packet);
        }
        if newcomer != Some(LegName::Carrier) {
            let packet = carrier.packet(down, 160);
            world.carrier_sends(&packet);
        }
        if let Some(leg) = newcomer {
            let mut packet = third.packet(new, 160);
            world.feed(leg, Lane::Rtp, newcomer_address(), &mut packet);
        }
        world.run_for(FRAME);
    }
}

fn hears(heard: &[support::Heard]) -> f32 {
    frequency_of(AudioCodec::Pcmu, heard)
}

#[test]
fn a_far_party_takes_the_clients_place() {
    let mut world = World::connected("0", "0");
    let offer = world.prepare(LegName::Client, true).unwrap();
    assert!(offer.contains("m=audio 20004 RTP/AVP "), "{offer}");
    all_talk(&mut world, None);
    assert!(
        (hears(&world.carrier_heard) - 500.0).abs() > 50.0,
        "ringback, not the client"
    );
    assert!((hears(&world.client_heard) - 1_200.0).abs() < 10.0);
    world.replace(LegName::Client, &newcomer("0")).unwrap();
    assert!(world.outputs.contains(&Output::LegRenewed(LegName::Client)));
    assert!(!world.session.has_webrtc());
    all_talk(&mut world, Some(LegName::Client));
    assert!((hears(&world.carrier_heard) - 800.0).abs() < 10.0);
    assert!((hears(&world.newcomer_heard) - 1_200.0).abs() < 10.0);
    assert_eq!((world.newcomer_heard.len(), world.client_heard.len()), (50, 0));
}

#[test]
fn another_far_party_takes_the_carriers_place_and_speaks_another_codec() {
    let mut world = World::connected("0", "0");
    world.prepare(LegName::Carrier, false).unwrap();
    all_talk(&mut world, None);
    assert!(
        (hears(&world.carrier_heard) - 500.0).abs() < 10.0,
        "until then all goes on"
    );
    world.replace(LegName::Carrier, &newcomer("8")).unwrap();
    world.client_heard.clear();
    let mut third = Voice::new(8, 33);
    for payload in tone(AudioCodec::Pcma, 800.0, 50) {
        let mut packet = third.packet(&payload, 160);
        world.feed(LegName::Carrier, Lane::Rtp, newcomer_address(), &mut packet);
        world.run_for(FRAME);
    }
    let audio: Vec<_> = world
        .client_heard
        .iter()
        .filter(|packet| packet.fields.payload_type == 0)
        .cloned()
        .collect();
    assert!((hears(&audio) - 800.0).abs() < 10.0);
    assert!(world.client.is_connected(), "the browser's leg is untouched");
}

#[test]
fn a_new_party_that_does_not_come_leaves_all_as_it_was() {
    let mut world = World::connected("0", "0");
    world.prepare(LegName::Client, true).unwrap();
    let error = world.replace(LegName::Carrier, &newcomer("0")).unwrap_err();
    assert_eq!(
        error.kind,
        CommandErrorKind::WrongState,
        "another leg was readied"
    );
    let error = world.replace(LegName::Client, "v=0").unwrap_err();
    assert_eq!(error.kind, CommandErrorKind::BadSdp, "it may answer better");
    world.session.drop_replacement(world.now);
    all_talk(&mut world, None);
    assert!((hears(&world.carrier_heard) - 500.0).abs() < 10.0);
    let error = world.replace(LegName::Client, &newcomer("0")).unwrap_err();
    assert_eq!(error.kind, CommandErrorKind::WrongState);
    world.prepare(LegName::Client, true).unwrap();
}

#[test]
fn one_leg_is_replaced_at_a_time_and_only_of_a_session_that_is_up() {
    let mut world = World::connected("0", "0");
    world.prepare(LegName::Client, true).unwrap();
    let error = world.prepare(LegName::Carrier, true).unwrap_err();
    assert_eq!(error.kind, CommandErrorKind::WrongState);
    let (mut unanswered, ..) = World::offer_from_client("0", false);
    let error = unanswered.prepare(LegName::Client, true).unwrap_err();
    assert_eq!(error.kind, CommandErrorKind::WrongState);
}

#[test]
fn a_held_party_hears_its_new_one() {
    let mut world = World::connected("0", "0");
    let hold = Command::Hold {
        session: session_id(),
        held: true,
    };
    world.command(&hold).unwrap();
    world.prepare(LegName::Client, false).unwrap();
    world.replace(LegName::Client, &newcomer("0")).unwrap();
    all_talk(&mut world, Some(LegName::Client));
    assert!((hears(&world.carrier_heard) - 800.0).abs() < 10.0);
}
