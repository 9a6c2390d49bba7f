//! Whose packets an RTP leg takes: each rule of latching, against the peer that it is for and against strangers.

mod support;

use offhook_b2bua_rtc::Lane;
use offhook_media_control::{Command, CommandErrorKind, Event, Latching, LegName, Reply};
use std::net::SocketAddr;
use std::time::Duration;
use support::{Voice, World, carrier_address, sdp, session_id};

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Behind NAT: another address than the one in the SDP.
fn outside() -> SocketAddr {
    address("198.51.100.200:40001")
}

fn other_port() -> SocketAddr {
    SocketAddr::new(carrier_address().ip(), 61_000)
}

fn set(world: &mut World, latching: Latching) {
    let command = Command::Latch {
        session: session_id(),
        leg: LegName::Carrier,
        latching: Some(latching),
    };
    assert_eq!(world.command(&command), Ok(Reply::Done {}));
}

fn ruled(latching: Latching) -> World {
    let mut world = World::connected("0", "0");
    set(&mut world, latching);
    world
}

/// Sends `count` packets of a voice; gives how many of them the client got.
fn heard_of(world: &mut World, source: SocketAddr, voice: &mut Voice, count: usize) -> usize {
    let before = world.client_heard.len();
    for _ in 0..count {
        let packet = voice.packet(&[0x5A; 160], 160);
        world.carrier_sends_from(source, &packet);
    }
    let new = &world.client_heard[before..];
    new.iter().filter(|packet| packet.payload == [0x5A; 160]).count()
}

/// Where the gateway sends to now.
fn destination(world: &mut World, client: &mut Voice) -> SocketAddr {
    let packet = client.packet(&[2; 160], 160);
    let (path, mut bytes) = world.client.send_rtp(&packet).expect("connected");
    let lane = Lane::WebRtc {
        local: support::gateway(),
    };
    let now = world.now;
    world
        .session
        .handle_datagram(now, LegName::Client, lane, path.local, &mut bytes, &mut world.out);
    let destination = world
        .out
        .transmits()
        .next()
        .expect("a packet for the carrier")
        .0
        .destination;
    world.out.clear();
    destination
}

/// Sends early packets of which the first byte tells the place.
fn come_early(world: &mut World, source: SocketAddr, count: u8) {
    let mut voice = Voice::new(0, 1);
    for place in 0..count {
        world.run_for(Duration::from_millis(20));
        let packet = voice.packet(&[place; 160], 160);
        world.carrier_sends_from(source, &packet);
    }
}

/// An offerer has to be ready for media before the answer comes.
#[test]
fn rfc3264_5_1_media_that_overtakes_the_answer_is_heard() {
    for (count, heard) in [(1, vec![0]), (3, vec![0, 1, 2]), (9, vec![4, 5, 6, 7, 8])] {
        let (mut world, ..) = World::offer_from_client("0", true);
        world.connect();
        come_early(&mut world, carrier_address(), count);
        world.client_heard.clear();
        world.carrier_answers(&sdp::carrier(carrier_address(), "0"));
        world.run_for(Duration::from_millis(1));
        let payloads = world.client_heard.iter().map(|packet| &packet.payload);
        let places: Vec<u8> = payloads
            .filter(|payload| ***payload == [payload[0]; 160])
            .map(|payload| payload[0])
            .collect();
        assert_eq!(places, heard);
        assert_eq!(world.session.drops().stranger, 0);
        assert_eq!(
            world.session.drops().not_ready,
            u64::from(count.saturating_sub(5))
        );
    }
}

#[test]
fn what_strangers_send_before_the_answer_is_dropped_with_it() {
    let (mut world, ..) = World::offer_from_client("0", true);
    world.connect();
    come_early(&mut world, outside(), 3);
    world.carrier_answers(&sdp::carrier(carrier_address(), "0"));
    world.run_for(Duration::from_millis(1));
    assert_eq!(world.session.drops().stranger, 3);
    assert_eq!(destination(&mut world, &mut Voice::new(0, 2)), carrier_address());
}

#[test]
fn media_that_waited_for_too_long_is_not_heard() {
    let (mut world, ..) = World::offer_from_client("0", true);
    world.connect();
    come_early(&mut world, carrier_address(), 2);
    world.run_for(Duration::from_millis(200));
    world.client_heard.clear();
    world.carrier_answers(&sdp::carrier(carrier_address(), "0"));
    world.run_for(Duration::from_millis(40));
    let heard = |packet: &support::Heard| packet.payload == [packet.payload[0]; 160];
    assert!(!world.client_heard.iter().any(heard));
}

#[test]
fn off_takes_the_signalled_address_alone() {
    let mut world = ruled(Latching::Off);
    let mut voice = Voice::new(0, 1);
    assert_eq!(heard_of(&mut world, other_port(), &mut voice, 3), 0);
    assert_eq!(heard_of(&mut world, outside(), &mut voice, 3), 0);
    assert_eq!(world.session.drops().stranger, 6, "each of them is counted");
    assert_eq!(heard_of(&mut world, carrier_address(), &mut voice, 3), 3);
}

#[test]
fn same_address_takes_another_port_but_no_other_address() {
    let mut world = ruled(Latching::SameAddress);
    let mut voice = Voice::new(0, 1);
    assert_eq!(heard_of(&mut world, outside(), &mut voice, 5), 0);
    assert_eq!(heard_of(&mut world, other_port(), &mut voice, 3), 3);
    assert_eq!(destination(&mut world, &mut Voice::new(0, 2)), other_port());
}

#[test]
fn any_takes_who_sends_two_packets_in_a_row_and_answers_there() {
    let mut world = ruled(Latching::Any);
    let (mut voice, mut client) = (Voice::new(0, 1), Voice::new(0, 2));
    assert_eq!(destination(&mut world, &mut client), carrier_address());
    assert_eq!(
        heard_of(&mut world, outside(), &mut voice, 5),
        4,
        "the second and all after it"
    );
    assert_eq!(destination(&mut world, &mut client), outside());
    let mut stranger = Voice::new(0, 99);
    assert_eq!(
        heard_of(&mut world, address("192.0.2.77:5000"), &mut stranger, 5),
        0
    );
    assert_eq!(world.session.drops().stranger, 5);
}

#[test]
fn the_signalled_address_wins_over_a_guess_while_the_window_is_open_and_only_then() {
    for (wait, wins) in [(Duration::from_secs(1), true), (Duration::from_secs(11), false)] {
        let mut world = ruled(Latching::Any);
        let (mut stranger, mut voice) = (Voice::new(0, 99), Voice::new(0, 1));
        assert_eq!(heard_of(&mut world, outside(), &mut stranger, 3), 2);
        world.run_for(wait);
        assert_eq!(heard_of(&mut world, carrier_address(), &mut voice, 3) == 3, wins);
        assert_eq!(
            heard_of(&mut world, outside(), &mut stranger, 3) == 3,
            !wins,
            "never two at once"
        );
    }
}

#[test]
fn any_is_for_a_short_while_after_the_description() {
    let mut world = ruled(Latching::Any);
    world.run_for(Duration::from_secs(11));
    let mut voice = Voice::new(0, 1);
    assert_eq!(heard_of(&mut world, outside(), &mut voice, 5), 0);
    assert_eq!(world.session.drops().stranger, 5);
    world.carrier_answers(&sdp::carrier(carrier_address(), "0"));
    assert_eq!(
        heard_of(&mut world, outside(), &mut voice, 5),
        4,
        "a new description opens it anew"
    );
}

#[test]
fn what_is_no_media_of_the_call_latches_nobody() {
    let mut world = ruled(Latching::Any);
    let mut wrong = Voice::new(96, 9);
    assert_eq!(heard_of(&mut world, outside(), &mut wrong, 3), 0);
    // Two streams that take turns, and one that repeats itself.
    let (mut first, mut second) = (Voice::new(0, 1), Voice::new(0, 2));
    for _ in 0..3 {
        assert_eq!(heard_of(&mut world, outside(), &mut first, 1), 0);
        assert_eq!(heard_of(&mut world, outside(), &mut second, 1), 0);
    }
    let repeated = first.packet(&[0x5A; 160], 160);
    for _ in 0..4 {
        world.carrier_sends_from(outside(), &repeated);
    }
    assert!(!world.has(|event| matches!(event, Event::MediaStarted { .. })));
    let mut voice = Voice::new(0, 3);
    assert_eq!(heard_of(&mut world, carrier_address(), &mut voice, 1), 1);
}

#[test]
fn nobody_is_latched_again_without_signalling_unless_ports_may_change() {
    for changes in [false, true] {
        let mut world = World::with_port_changes(changes);
        let mut voice = Voice::new(0, 1);
        assert_eq!(heard_of(&mut world, carrier_address(), &mut voice, 3), 3);
        assert_eq!(
            heard_of(&mut world, other_port(), &mut voice, 4),
            0,
            "while the first one is heard"
        );
        world.run_for(Duration::from_secs(1));
        let taken = heard_of(&mut world, other_port(), &mut voice, 4);
        assert_eq!(taken, if changes { 3 } else { 0 });
        world.run_for(Duration::from_secs(1));
        assert_eq!(
            heard_of(&mut world, outside(), &mut voice, 4),
            0,
            "another address never"
        );
    }
}

#[test]
fn a_description_with_another_address_forgets_who_was_latched() {
    let mut world = ruled(Latching::Any);
    let mut voice = Voice::new(0, 1);
    assert_eq!(heard_of(&mut world, outside(), &mut voice, 3), 2);
    let elsewhere = address("203.0.113.99:9000");
    world.carrier_answers(&sdp::carrier(elsewhere, "0"));
    assert_eq!(destination(&mut world, &mut Voice::new(0, 2)), elsewhere);
    assert_eq!(heard_of(&mut world, elsewhere, &mut voice, 3), 3);
    assert_eq!(heard_of(&mut world, outside(), &mut voice, 3), 0);
}

#[test]
fn a_webrtc_leg_has_rules_of_its_own() {
    let mut world = World::connected("0", "0");
    let command = Command::Latch {
        session: session_id(),
        leg: LegName::Client,
        latching: Some(Latching::Any),
    };
    assert_eq!(
        world.command(&command).unwrap_err().kind,
        CommandErrorKind::WrongState
    );
}
