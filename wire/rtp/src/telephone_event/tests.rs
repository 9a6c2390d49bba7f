//! Digits sent, mistreated by a network, and received.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const TIMING: DigitTiming = DigitTiming {
    clock_rate_hz: 8_000,
    frame_ms: 20,
};

/// Everything that a sender sends for these digits, by frame.
fn send(digits: &str, duration_ms: u16) -> Vec<(u32, EventPacket)> {
    let mut sender = DigitSender::new(TIMING);
    sender.push(digits, duration_ms).unwrap();
    let mut sent = Vec::new();
    let mut timestamp = 1_000u32;
    while sender.is_active() {
        if let EventFrame::Event(packet) = sender.next_frame(timestamp) {
            sent.push((timestamp, packet));
        }
        timestamp = timestamp.wrapping_add(160);
    }
    sent
}

fn event(packet: &EventPacket) -> TelephoneEvent {
    TelephoneEvent::parse(&packet.payload).unwrap()
}

/// What a receiver makes of these packets, 20 ms apart, with its timer at the end.
fn receive<'a>(packets: impl IntoIterator<Item = &'a EventPacket>) -> Vec<EventChange> {
    let mut receiver = EventReceiver::new();
    let mut now = crate::origin();
    let mut changes = Vec::new();
    for packet in packets {
        changes.extend(receiver.handle_timeout(now));
        changes.extend(receiver.receive(now, packet.timestamp, event(packet)));
        now += Duration::from_millis(20);
    }
    changes.extend(receiver.handle_timeout(now + LOST_END_TIMEOUT));
    changes
}

fn pressed(changes: &[EventChange]) -> String {
    let digit = |change: &EventChange| match change {
        EventChange::Pressed { event } => digit_of_event(*event),
        EventChange::Released { .. } => None,
    };
    changes.iter().filter_map(digit).collect()
}

#[test]
fn digits_and_events_are_each_others_inverse() {
    for (event, digit) in "0123456789*#ABCD".chars().enumerate() {
        assert_eq!(event_of_digit(digit), Some(event as u8));
        assert_eq!(digit_of_event(event as u8), Some(digit));
    }
    assert_eq!(
        (event_of_digit('c'), event_of_digit('E'), event_of_digit('é')),
        (Some(14), None, None)
    );
    assert_eq!(digit_of_event(16), None);
}

#[test]
fn payload_is_that_of_the_rfc() {
    let payload = [11, 0x8a, 0x03, 0x20];
    let parsed = TelephoneEvent::parse(&payload).unwrap();
    assert_eq!(
        parsed,
        TelephoneEvent {
            event: 11,
            end: true,
            volume: 10,
            duration: 800
        }
    );
    assert_eq!(parsed.to_payload(), payload);
    assert_eq!(TelephoneEvent::parse(&payload[..3]), None);
}

#[test]
fn one_digit_ramps_its_duration_and_ends_three_times() {
    let sent = send("5", 100);
    let packets: Vec<_> = sent.iter().map(|(_, packet)| packet).collect();
    let durations: Vec<_> = packets.iter().map(|packet| event(packet).duration).collect();
    assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800]);
    let ends: Vec<_> = packets.iter().map(|packet| event(packet).end).collect();
    assert_eq!(ends, [false, false, false, false, true, true, true]);
    assert!(
        packets
            .iter()
            .all(|packet| packet.timestamp == 1_000 && event(packet).event == 5)
    );
    assert_eq!(packets.iter().filter(|packet| packet.marker).count(), 1);
    assert!(packets[0].marker);
}

#[test]
fn digits_keep_a_pause_and_a_comma_a_second() {
    let sent = send("1,2", 40);
    let starts: Vec<_> = sent
        .iter()
        .filter(|(_, packet)| packet.marker)
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(starts.len(), 2);
    assert!(starts[1] - starts[0] >= 8_000, "{starts:?}");
    let sent = send("12", 40);
    let last_of_first = sent
        .iter()
        .rfind(|(_, packet)| event(packet).event == 1)
        .unwrap()
        .0;
    let first_of_second = sent
        .iter()
        .find(|(_, packet)| event(packet).event == 2)
        .unwrap()
        .0;
    assert!(first_of_second - last_of_first >= 160 + 480);
}

#[test]
fn a_digit_shorter_than_a_frame_still_sounds() {
    assert_eq!(send("1", 1).len(), 3);
}

#[test]
fn long_tones_go_on_in_segments_and_are_one_press() {
    let sent = send("9", 20_000);
    let packets: Vec<_> = sent.iter().map(|(_, packet)| packet).collect();
    let mut segments: Vec<_> = packets.iter().map(|packet| packet.timestamp).collect();
    segments.dedup();
    assert_eq!(segments, [1_000, 66_535, 132_070]);
    assert_eq!(packets.iter().filter(|packet| packet.marker).count(), 1);
    let changes = receive(packets);
    assert_eq!(
        changes,
        [
            EventChange::Pressed { event: 9 },
            EventChange::Released {
                event: 9,
                duration: 160_000
            }
        ]
    );
}

/// As libwebrtc does it at 48 kHz: the full segment and the first packet of the next one go out together, the latter with
/// the time of that packet.
#[test]
fn a_segment_may_begin_a_packet_after_the_one_that_was_full() {
    let packet = |timestamp, duration, end| {
        let event = TelephoneEvent {
            event: 3,
            end,
            volume: 10,
            duration,
        };
        (timestamp, event)
    };
    let packets = [
        packet(1_000, 960, false),
        packet(1_000, 65_280, false),
        packet(1_000, 65_535, false),
        packet(67_240, 705, false),
        packet(67_240, 1_665, true),
    ];
    let mut receiver = EventReceiver::new();
    let now = crate::origin();
    let changes: Vec<_> = packets
        .into_iter()
        .flat_map(|(timestamp, event)| receiver.receive(now, timestamp, event))
        .collect();
    assert_eq!(
        changes,
        [
            EventChange::Pressed { event: 3 },
            EventChange::Released {
                event: 3,
                duration: 66_240 + 1_665
            }
        ]
    );
}

#[test]
fn the_queue_is_bounded_and_takes_all_or_nothing() {
    let mut sender = DigitSender::new(TIMING);
    assert_eq!(
        sender.push(&"1".repeat(QUEUE_LEN_MAX + 1), 100),
        Err(QueueFull::Full)
    );
    assert_eq!(sender.push("12x", 100), Err(QueueFull::NotADigit('x')));
    assert!(!sender.is_active());
    assert_eq!(sender.push(&"1".repeat(QUEUE_LEN_MAX), 100), Ok(()));
    assert_eq!(sender.push("1", 100), Err(QueueFull::Full));
}

#[test]
fn a_lost_end_is_released_by_time_or_by_the_next_digit() {
    let sent = send("12", 100);
    let without_ends: Vec<_> = sent
        .iter()
        .map(|(_, packet)| packet)
        .filter(|packet| !event(packet).end)
        .collect();
    assert_eq!(
        receive(without_ends),
        [
            EventChange::Pressed { event: 1 },
            EventChange::Released {
                event: 1,
                duration: 640
            },
            EventChange::Pressed { event: 2 },
            EventChange::Released {
                event: 2,
                duration: 640
            },
        ]
    );
}

#[test]
fn the_last_packet_alone_is_a_press() {
    let sent = send("7", 100);
    assert_eq!(
        receive([&sent[6].1]),
        [
            EventChange::Pressed { event: 7 },
            EventChange::Released {
                event: 7,
                duration: 800
            }
        ]
    );
}

proptest! {
    /// Of each digit at least one packet arrives; packets are doubled and moved by up to two places.
    #[test]
    fn each_press_is_heard_once(
        digits in "[0-9*#A-D]{1,8}",
        duration_ms in 40u16..300,
        fates in proptest::collection::vec((any::<bool>(), any::<bool>(), 0usize..3), 400),
    ) {
        let sent = send(&digits, duration_ms);
        let mut arrived: Vec<(usize, EventPacket)> = Vec::new();
        for (index, ((_, packet), (lost, doubled, late))) in sent.iter().zip(&fates).enumerate() {
            let is_first = index == 0 || sent[index - 1].1.timestamp != packet.timestamp;
            if is_first || !lost {
                arrived.push((index + late, *packet));
            }
            if *doubled && !lost {
                arrived.push((index + late + 1, *packet));
            }
        }
        arrived.sort_by_key(|(at, _)| *at);
        let changes = receive(arrived.iter().map(|(_, packet)| packet));
        prop_assert_eq!(pressed(&changes), digits);
        prop_assert_eq!(changes.len() % 2, 0);
    }

    #[test]
    fn any_packets_press_and_release_in_turn(
        packets in proptest::collection::vec((0u32..1_000, 0u8..3, any::<bool>(), any::<u16>()), 0..60),
    ) {
        let mut receiver = EventReceiver::new();
        let now = crate::origin();
        let mut down = None;
        for (timestamp, event, end, duration) in packets {
            for change in receiver.receive(now, timestamp, TelephoneEvent { event, end, volume: 0, duration }) {
                match change {
                    EventChange::Pressed { event } => prop_assert_eq!(down.replace(event), None),
                    EventChange::Released { event, .. } => prop_assert_eq!(down.take(), Some(event)),
                }
            }
        }
    }
}
