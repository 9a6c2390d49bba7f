//! Telephone-events (RFC 4733) through a session.
#![expect(clippy::unwrap_used, reason = "a failure here fails the test that uses it")]

mod support;

use offhook_audio::AudioCodec;
use offhook_media_control::{Command, Event, LegName, Reply};
use offhook_rtp::telephone_event::{TelephoneEvent, event_of_digit};
use std::time::Duration;
use support::{Heard, Voice, World, session_id, tone};

const FRAME: Duration = Duration::from_millis(20);

fn dtmf(world: &mut World, to: LegName, digits: &str) -> Reply {
    let command = Command::Dtmf {
        session: session_id(),
        to,
        digits: digits.to_owned(),
        duration_ms: 100,
    };
    world.command(&command).unwrap()
}

/// Digits in what was heard, each with its length in timestamp units: an event is known by its timestamp.
fn presses(heard: &[Heard], payload_type: u8) -> Vec<(u8, u16)> {
    let mut presses: Vec<(u32, u8, u16)> = Vec::new();
    for packet in heard
        .iter()
        .filter(|packet| packet.fields.payload_type == payload_type)
    {
        let event = TelephoneEvent::parse(&packet.payload).unwrap();
        match presses
            .iter_mut()
            .find(|(timestamp, ..)| *timestamp == packet.fields.timestamp)
        {
            Some((_, code, duration)) => {
                assert_eq!(*code, event.event);
                *duration = (*duration).max(event.duration);
            }
            None => presses.push((packet.fields.timestamp, event.event, event.duration)),
        }
    }
    presses
        .into_iter()
        .map(|(_, event, duration)| (event, duration))
        .collect()
}

fn codes(digits: &str) -> Vec<u8> {
    digits
        .chars()
        .map(|digit| event_of_digit(digit).unwrap())
        .collect()
}

#[test]
fn digits_go_to_the_carrier_once_each_in_order_in_place_of_audio() {
    let mut world = World::connected("0 126", "0 101");
    world.run_for(Duration::from_millis(100));
    world.carrier_heard.clear();
    assert_eq!(
        dtmf(&mut world, LegName::Carrier, "15*#A"),
        Reply::DtmfTaken {
            as_telephone_event: true
        }
    );
    let mut client = Voice::new(0, 11);
    for payload in tone(AudioCodec::Pcmu, 500.0, 100) {
        let packet = client.packet(&payload, 160);
        world.client_sends(&packet);
        world.run_for(FRAME);
    }
    let presses = presses(&world.carrier_heard, 101);
    assert_eq!(
        presses.iter().map(|(code, _)| *code).collect::<Vec<_>>(),
        codes("15*#A")
    );
    assert!(
        presses.iter().all(|(_, duration)| *duration == 800),
        "100 ms at 8 kHz: {presses:?}"
    );
    for pair in world.carrier_heard.windows(2) {
        assert_eq!(pair[1].fields.sequence, pair[0].fields.sequence.wrapping_add(1));
    }
    let sounding = |packet: &&Heard| packet.fields.payload_type == 101;
    let first = world.carrier_heard.iter().find(sounding).unwrap().at;
    let during = world
        .carrier_heard
        .iter()
        .filter(|packet| packet.at > first && packet.at < first + Duration::from_millis(100))
        .filter(|packet| packet.fields.payload_type == 0);
    assert_eq!(during.count(), 0, "no audio while a digit sounds");
}

#[test]
fn without_telephone_event_the_gateway_says_so_and_sends_nothing() {
    let mut world = World::connected("0", "0");
    assert_eq!(
        dtmf(&mut world, LegName::Carrier, "1"),
        Reply::DtmfTaken {
            as_telephone_event: false
        }
    );
}

#[test]
fn wrong_digits_are_refused() {
    let mut world = World::connected("0", "0 101");
    for digits in ["12x", &"1".repeat(65)] {
        let command = Command::Dtmf {
            session: session_id(),
            to: LegName::Carrier,
            digits: digits.to_owned(),
            duration_ms: 100,
        };
        assert!(world.command(&command).is_err(), "{digits}");
    }
}

/// The packets of a press of 80 ms, as a peer sends them; the end three times.
fn press(voice: &mut Voice, payload_type: u8, digit: char, ticks: u16) -> Vec<Vec<u8>> {
    let timestamp = voice.timestamp.wrapping_add(u32::from(ticks));
    let event = event_of_digit(digit).unwrap();
    let durations = [1, 2, 3, 4, 4, 4].map(|frames| frames * ticks);
    durations
        .iter()
        .enumerate()
        .map(|(n, duration)| {
            let event = TelephoneEvent {
                event,
                end: n >= 3,
                volume: 10,
                duration: *duration,
            };
            voice.beside(payload_type, timestamp, &event.to_payload())
        })
        .collect()
}

#[test]
fn a_press_at_the_browser_reaches_the_carrier_and_signalling_once() {
    // The browser's events run at 48 kHz, the carrier's at 8 kHz.
    let mut world = World::connected("111 110", "0 101");
    let mut client = Voice::new(111, 11);
    let packet = client.packet(&tone(AudioCodec::Opus, 440.0, 1)[0], 960);
    world.client_sends(&packet);
    world.run_for(FRAME);
    world.carrier_heard.clear();
    for packet in press(&mut client, 110, '7', 960) {
        world.client_sends(&packet);
        world.run_for(FRAME);
    }
    world.run_for(Duration::from_millis(500));
    assert_eq!(
        presses(&world.carrier_heard, 101),
        [(7, 640)],
        "80 ms in the carrier's clock"
    );
    let digit = Event::Dtmf {
        session: session_id(),
        from: LegName::Client,
        digit: '7',
        duration_ms: 80,
    };
    assert_eq!(world.count(|event| *event == digit), 1);
    assert_eq!(world.count(|event| matches!(event, Event::Dtmf { .. })), 1);
}

#[test]
fn a_packet_that_was_overtaken_by_the_next_press_is_no_press() {
    let mut world = World::connected("0 126", "0 101");
    let mut client = Voice::new(0, 11);
    let first = press(&mut client, 126, '1', 160);
    client.timestamp = client.timestamp.wrapping_add(1_600);
    let second = press(&mut client, 126, '2', 160);
    for packet in first[..5]
        .iter()
        .chain(&second[..2])
        .chain(&first[5..])
        .chain(&second[2..])
    {
        world.client_sends(packet);
        world.run_for(FRAME);
    }
    assert_eq!(presses(&world.carrier_heard, 101), [(1, 640), (2, 640)]);
}

/// Two seconds of a key at 48 kHz are more than one packet can say (RFC 4733 §2.5.1.3): the source makes two segments of
/// them, which fit into one at 8 kHz.
#[test]
fn a_long_press_stays_one_press_in_a_slower_clock() {
    let mut world = World::connected("111 110", "0 101");
    let mut client = Voice::new(111, 11);
    let mut send = |client: &mut Voice, timestamp: u32, duration: u16, end: bool| {
        let event = TelephoneEvent {
            event: 5,
            end,
            volume: 10,
            duration,
        };
        let packet = client.beside(110, timestamp, &event.to_payload());
        world.client_sends(&packet);
        world.run_for(FRAME);
    };
    for frames in 1..=68 {
        send(&mut client, 7_000, frames * 960, false);
    }
    send(&mut client, 7_000, u16::MAX, false);
    let next = 7_000 + 69 * 960;
    for frames in 0..=30 {
        send(&mut client, next, frames * 960 + 705, false);
    }
    for _ in 0..3 {
        send(&mut client, next, 31 * 960, true);
    }
    assert_eq!(presses(&world.carrier_heard, 101), [(5, 16_000)]);
    let presses = world.count(|event| matches!(event, Event::Dtmf { digit: '5', .. }));
    assert_eq!(presses, 1);
}

#[test]
fn a_press_of_the_carrier_is_told_once_even_if_its_end_is_lost() {
    let mut world = World::connected("0", "0 101");
    let mut carrier = Voice::new(0, 22);
    let packet = carrier.packet(&[0; 160], 160);
    world.carrier_sends(&packet);
    for packet in press(&mut carrier, 101, '#', 160).iter().take(3) {
        world.carrier_sends(packet);
        world.run_for(FRAME);
    }
    world.run_for(Duration::from_secs(1));
    let digits: Vec<_> = world
        .events
        .iter()
        .filter(|event| matches!(event, Event::Dtmf { .. }))
        .collect();
    assert_eq!(
        digits,
        [&Event::Dtmf {
            session: session_id(),
            from: LegName::Carrier,
            digit: '#',
            duration_ms: 60
        }]
    );
}
