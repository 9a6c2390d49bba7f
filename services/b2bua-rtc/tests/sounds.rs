//! What those hear who wait: music on hold, announcements, and how they give way to people.

mod support;

use offhook_audio::AudioCodec;
use offhook_media_control::{Command, CommandErrorKind, Event, LegName, PlayEnd, Reply, Sound};
use std::time::Duration;
use support::{Heard, Voice, World, frequency_of, session_id, tone};

const FRAME: Duration = Duration::from_millis(20);
const HOLD_HZ: f32 = 600.0;
const AWAY_HZ: f32 = 900.0;
const SHORT_HZ: f32 = 1_200.0;
const CLIENT_HZ: f32 = 500.0;

/// The client speaks for so many frames in this codec.
fn client_speaks(world: &mut World, codec: AudioCodec, voice: &mut Voice, frames: usize) {
    let ticks = if codec == AudioCodec::Opus { 960 } else { 160 };
    for payload in tone(codec, CLIENT_HZ, frames) {
        let packet = voice.packet(&payload, ticks);
        world.client_sends(&packet);
        world.run_for(FRAME);
    }
}

fn hold(world: &mut World, held: bool) {
    let session = session_id();
    assert_eq!(
        world.command(&Command::Hold { session, held }),
        Ok(Reply::Done {})
    );
}

fn play(world: &mut World, sound: Sound, repeat: bool, yields: bool) -> Result<Reply, CommandErrorKind> {
    let command = Command::Play {
        session: session_id(),
        to: LegName::Carrier,
        sound,
        repeat,
        yields,
    };
    world.command(&command).map_err(|error| error.kind)
}

fn ends(world: &World) -> Vec<PlayEnd> {
    let end = |event: &Event| match event {
        Event::PlayEnded {
            to: LegName::Carrier,
            end,
            ..
        } => Some(*end),
        _ => None,
    };
    world.events.iter().filter_map(end).collect()
}

fn assert_hears(heard: &[Heard], hz: f32) {
    let frequency = frequency_of(AudioCodec::Pcmu, heard);
    assert!((frequency - hz).abs() < 15.0, "{frequency} Hz is not {hz}");
}

/// One stream: the numbers go on, and the time line too.
fn assert_continuous(heard: &[Heard]) {
    for pair in heard.windows(2) {
        let (before, after) = (&pair[0].fields, &pair[1].fields);
        assert_eq!(after.ssrc, before.ssrc);
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        let ticks = after.timestamp.wrapping_sub(before.timestamp);
        assert!((160..=800).contains(&ticks), "{ticks} ticks");
        assert_eq!((after.payload_type, pair[1].payload.len()), (0, 160));
    }
}

#[test]
fn a_party_on_hold_hears_what_the_operator_chose_whatever_the_client_sends() {
    for (offered, codec) in [("0", AudioCodec::Pcmu), ("111", AudioCodec::Opus)] {
        let mut world = World::connected(offered, "0");
        let payload_type = if codec == AudioCodec::Opus { 111 } else { 0 };
        let mut client = Voice::new(payload_type, 11);
        client_speaks(&mut world, codec, &mut client, 25);
        hold(&mut world, true);
        let held_from = world.carrier_heard.len();
        client_speaks(&mut world, codec, &mut client, 100);
        let held_until = world.carrier_heard.len();
        assert!(
            (99..=101).contains(&(held_until - held_from)),
            "at once, 20 ms after 20 ms"
        );
        assert_hears(&world.carrier_heard[held_from..held_until], HOLD_HZ);
        hold(&mut world, false);
        client_speaks(&mut world, codec, &mut client, 50);
        assert_hears(&world.carrier_heard[held_until + 10..], CLIENT_HZ);
        assert_continuous(&world.carrier_heard);
        assert_eq!(ends(&world), [], "ended by signalling");
    }
}

#[test]
fn an_announcement_for_an_absent_client_waits_for_silence_and_ends_with_its_first_packet() {
    let mut world = World::connected("0", "0");
    let mut client = Voice::new(0, 11);
    client_speaks(&mut world, AudioCodec::Pcmu, &mut client, 10);
    assert_eq!(play(&mut world, Sound::Away, true, true), Ok(Reply::Done {}));
    let from = world.carrier_heard.len();
    world.run_for(Duration::from_secs(3));
    let silent_until = world.carrier_heard[from].at;
    assert!(silent_until - world.carrier_heard[from - 1].at <= Duration::from_millis(100));
    assert_hears(&world.carrier_heard[from..], AWAY_HZ);
    assert_eq!(ends(&world), []);
    let played_until = world.carrier_heard.len();
    client_speaks(&mut world, AudioCodec::Pcmu, &mut client, 1);
    assert_eq!(ends(&world), [PlayEnd::MediaReturned]);
    client_speaks(&mut world, AudioCodec::Pcmu, &mut client, 50);
    assert_hears(&world.carrier_heard[played_until..], CLIENT_HZ);
    assert_continuous(&world.carrier_heard);
}

#[test]
fn a_client_whose_media_flows_is_not_talked_over() {
    let mut world = World::connected("111", "0");
    let mut client = Voice::new(111, 11);
    client_speaks(&mut world, AudioCodec::Opus, &mut client, 25);
    let from = world.carrier_heard.len();
    play(&mut world, Sound::Away, true, true).unwrap();
    client_speaks(&mut world, AudioCodec::Opus, &mut client, 100);
    assert_hears(&world.carrier_heard[from..], CLIENT_HZ);
    assert_eq!(ends(&world), [PlayEnd::MediaReturned]);
}

#[test]
fn a_sound_that_does_not_yield_is_heard_once_in_place_of_the_client() {
    let mut world = World::connected("0", "0");
    let mut client = Voice::new(0, 11);
    client_speaks(&mut world, AudioCodec::Pcmu, &mut client, 10);
    let from = world.carrier_heard.len();
    play(&mut world, Sound::Named("short".into()), false, false).unwrap();
    client_speaks(&mut world, AudioCodec::Pcmu, &mut client, 12);
    assert_hears(&world.carrier_heard[from..], SHORT_HZ);
    assert_eq!(ends(&world), []);
    client_speaks(&mut world, AudioCodec::Pcmu, &mut client, 50);
    assert_eq!(ends(&world), [PlayEnd::Finished]);
    assert_hears(&world.carrier_heard[from + 16..], CLIENT_HZ);
    assert_continuous(&world.carrier_heard);
}

#[test]
fn a_sound_plays_over_and_over_until_it_is_stopped() {
    let mut world = World::connected("0", "0");
    play(&mut world, Sound::Named("short".into()), true, false).unwrap();
    let from = world.carrier_heard.len();
    world.run_for(Duration::from_secs(2));
    assert_hears(&world.carrier_heard[from..], SHORT_HZ);
    let stop = Command::StopPlaying {
        session: session_id(),
        to: LegName::Carrier,
    };
    for _ in 0..2 {
        assert_eq!(
            world.command(&stop),
            Ok(Reply::Done {}),
            "nothing plays any more: no harm"
        );
    }
    let stopped = world.carrier_heard.len();
    world.run_for(Duration::from_secs(1));
    let noise = &world.carrier_heard[stopped..];
    assert!((49..=51).contains(&noise.len()), "low noise goes on");
    assert!(offhook_audio::level::dbov(&decoded(noise)) < -50.0);
    assert_eq!(ends(&world), []);
}

fn decoded(heard: &[Heard]) -> Vec<i16> {
    let octets = heard.iter().flat_map(|packet| &packet.payload);
    octets
        .map(|octet| offhook_audio::g711::to_linear(offhook_audio::g711::Law::Mu, *octet))
        .collect()
}

#[test]
fn ringback_keeps_its_cadence_however_often_the_carrier_says_that_it_rings() {
    let (mut world, _, _) = World::offer_from_client("0", true);
    world.connect();
    let ringing = Command::Ringing {
        session: session_id(),
    };
    world.client_heard.clear();
    for _ in 0..4 {
        world.command(&ringing).unwrap();
        world.run_for(Duration::from_millis(600));
    }
    // Two seconds of tone, four of silence.
    let level = |heard: &[Heard]| offhook_audio::level::dbov(&decoded(heard));
    let heard = &world.client_heard;
    assert!(level(&heard[10..90]) > -30.0);
    assert!(level(&heard[105..115]) < -60.0, "{}", level(&heard[105..115]));
}

#[test]
fn a_sound_that_nobody_configured_is_refused_by_name() {
    let mut world = World::connected("0", "0");
    let refused = play(&mut world, Sound::Named("jazz".into()), true, false);
    assert_eq!(refused, Err(CommandErrorKind::UnknownSound));
}

#[test]
fn digits_of_the_client_interrupt_a_sound() {
    let mut world = World::connected("0 126", "0 101");
    play(&mut world, Sound::Hold, true, false).unwrap();
    let digits = Command::Dtmf {
        session: session_id(),
        to: LegName::Carrier,
        digits: "5".into(),
        duration_ms: 100,
    };
    world.command(&digits).unwrap();
    world.run_for(Duration::from_secs(1));
    let events = world
        .carrier_heard
        .iter()
        .filter(|packet| packet.fields.payload_type == 101);
    assert!(events.count() >= 5);
    let audio: Vec<Heard> = world
        .carrier_heard
        .iter()
        .filter(|packet| packet.fields.payload_type == 0)
        .cloned()
        .collect();
    assert_hears(&audio[audio.len() - 20..], HOLD_HZ);
}
