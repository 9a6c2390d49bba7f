//! What each number does, packet by packet.

use crate::support::{CALLER_RTP, World, address};
use offhook_audio::dtmf::{DtmfDetector, dominant_frequency};
use offhook_audio::{OpusDecoder, SAMPLE_RATE_HZ};
use offhook_offer_answer::{Codec, Direction};
use offhook_rtp::RtpPacket;
use offhook_rtp::telephone_event::{TelephoneEvent, event_of_digit};
use offhook_sip_message::Method;

fn g711() -> World {
    World::new(vec![Codec::Pcmu, Codec::Pcma])
}

fn frequency(samples: &[i16]) -> f32 {
    dominant_frequency(samples, SAMPLE_RATE_HZ).unwrap_or(0.0).round()
}

fn digits(samples: &[i16]) -> String {
    let mut found = String::new();
    DtmfDetector::default().push(samples, |digit| found.push(digit));
    found
}

#[test]
fn tone_is_heard_after_the_answer_in_each_codec() {
    for codec in [Codec::Pcmu, Codec::Pcma] {
        let mut world = World::new(vec![codec]);
        let leg = world.dial("+9197");
        world.run(400);
        assert_eq!(world.story, ["180"]);
        assert!(world.heard.is_empty(), "no media before the answer");
        world.run(1200);
        assert_eq!(world.story, ["180", "answered sdp"]);
        let arrivals: Vec<u64> = world.heard.iter().map(|(at, _)| *at).collect();
        assert!(
            arrivals.windows(2).all(|pair| pair[1] - pair[0] == 20),
            "{arrivals:?}"
        );
        let first = RtpPacket::parse(&world.heard[0].1).unwrap().fields();
        let second = RtpPacket::parse(&world.heard[1].1).unwrap().fields();
        assert!(first.marker && !second.marker);
        assert_eq!(first.payload_type, codec.payload_type_offered());
        assert_eq!(second.sequence, first.sequence.wrapping_add(1));
        assert_eq!(second.timestamp, first.timestamp.wrapping_add(160));
        assert_eq!(frequency(&world.take_audio()), 440.0);
        world.bye(leg);
        world.run(100);
        assert!(world.heard.is_empty(), "no media after the end");
        assert_eq!(world.summaries[0].ending, "caller hung up");
        assert_eq!(world.summaries[0].codec, Some(codec.encoding_name()));
        world.expect_nothing_left();
    }
}

#[test]
fn tone_in_opus() {
    let mut world = World::new(vec![Codec::Opus]);
    world.dial("9197");
    world.run(2000);
    let mut decoder = OpusDecoder::new().unwrap();
    let mut samples = vec![];
    for (_, bytes) in &world.heard {
        let packet = RtpPacket::parse(bytes).unwrap();
        assert_eq!(packet.fields().payload_type, 111);
        let mut frame = [0; 960];
        let len = decoder.decode(packet.payload(), &mut frame).unwrap();
        samples.extend_from_slice(&frame[..len]);
    }
    assert_eq!(frequency(&samples[4000..]), 440.0);
    let stamps: Vec<u32> = world
        .heard
        .iter()
        .map(|(_, bytes)| RtpPacket::parse(bytes).unwrap().fields().timestamp)
        .collect();
    assert!(stamps.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == 960));
}

#[test]
fn echo_sends_back_what_it_hears_in_any_codec() {
    for (codec, payload) in [
        (Codec::Pcmu, &b"0123456789"[..]),
        (Codec::Opus, b"opus is not looked into"),
    ] {
        let mut world = World::new(vec![codec]);
        world.dial("9196");
        world.run(600);
        world.speak(codec.payload_type_offered(), 0, payload);
        world.speak(codec.payload_type_offered(), 2, payload);
        world.speak(99, 3, b"a payload type that was not agreed on");
        let heard: Vec<_> = world
            .heard
            .iter()
            .map(|(_, bytes)| RtpPacket::parse(bytes).unwrap())
            .collect();
        assert_eq!(heard.len(), 2);
        assert!(heard.iter().all(|packet| packet.payload() == payload));
        let sequences: Vec<u16> = heard.iter().map(|packet| packet.fields().sequence).collect();
        assert_eq!(sequences, [100, 102], "a gap stays a gap");
        assert_ne!(heard[0].fields().ssrc.0, 0x1234);
    }
}

#[test]
fn echo_answers_where_packets_come_from_and_ignores_strangers() {
    let mut world = g711();
    let leg = world.dial("9196");
    world.run(600);
    world.speak(0, 0, b"mine");
    world.speak_from(address("192.0.2.66:6666"), 0, 1, 160, b"a stranger's");
    assert_eq!(world.heard.len(), 1);
    world.bye(leg);
    assert_eq!((world.summaries[0].received, world.summaries[0].sent), (1, 1));
    world.expect_nothing_left();
}

#[test]
fn the_announcement_plays_before_the_answer_and_hangs_up_in_the_end() {
    let mut world = g711();
    world.dial("9198");
    world.run(2900);
    assert_eq!(world.story, ["183 sdp"]);
    let early = world.take_audio();
    assert!(early.len() > 2700 * 8, "{} samples of early media", early.len());
    assert_eq!(frequency(&early[..2000]), 523.0);
    world.run(200);
    assert_eq!(world.story, ["183 sdp", "answered sdp"]);
    world.run(9800);
    assert_eq!(world.story.len(), 2);
    world.run(200);
    assert_eq!(world.story[2], "terminated by carrier");
    assert_eq!(world.summaries[0].ending, "carrier hung up");
    world.expect_nothing_left();
}

#[test]
fn refusals() {
    for (number, status) in [
        ("9101", "486"),
        ("9102", "603"),
        ("9104", "404"),
        ("5551234", "404"),
    ] {
        let mut world = g711();
        world.dial(number);
        assert_eq!(world.story, [format!("failed {status}")], "{number}");
        world.expect_nothing_left();
    }
}

#[test]
fn no_answer_rings_until_it_is_cancelled() {
    let mut world = g711();
    let leg = world.dial("9103");
    world.run(100_000);
    assert_eq!(world.story, ["180"]);
    world.caller.cancel(world.now(), leg, vec![]).unwrap();
    world.drain();
    assert_eq!(world.story, ["180", "failed 487"]);
    assert_eq!(world.summaries[0].ending, "cancelled by the caller");
    world.expect_nothing_left();
}

#[test]
fn a_call_that_is_cancelled_while_ringing_frees_its_port() {
    let mut world = g711();
    let leg = world.dial("9196");
    assert_eq!(world.open_ports, 1);
    world.caller.cancel(world.now(), leg, vec![]).unwrap();
    world.drain();
    assert_eq!(world.open_ports, 0);
    world.expect_nothing_left();
}

#[test]
fn digits_are_read_back() {
    let mut world = g711();
    let leg = world.dial("9199");
    world.run(1000);
    let prompt = world.take_audio();
    assert_eq!(frequency(&prompt[..1600]), 1000.0);
    // By telephone-event, each press with repeated packets.
    let event_type = world
        .negotiation
        .remote()
        .unwrap()
        .telephone_events
        .at_8000
        .unwrap();
    for (press, digit) in ['4', '2'].into_iter().enumerate() {
        for (index, end) in [false, false, true, true, true].into_iter().enumerate() {
            let event = TelephoneEvent {
                event: event_of_digit(digit).unwrap(),
                end,
                volume: 10,
                duration: 160 * (index as u16 + 1),
            };
            let timestamp = press as u32 * 8000;
            world.speak_from(
                address(CALLER_RTP),
                event_type,
                (press * 5 + index) as u16,
                timestamp,
                &event.to_payload(),
            );
        }
    }
    // By SIP INFO.
    world.request(
        leg,
        Method::Info,
        Some(("application/dtmf-relay", "Signal=*\r\nDuration=160\r\n")),
    );
    world.run(500);
    assert_eq!(digits(&world.take_audio()), "", "nothing before #");
    world.request(
        leg,
        Method::Info,
        Some(("application/dtmf-relay", "Signal=#\r\nDuration=160\r\n")),
    );
    world.run(2000);
    assert_eq!(digits(&world.take_audio()), "42*");
    world.bye(leg);
    world.expect_nothing_left();
}

#[test]
fn hold_stops_the_tone_and_resume_starts_it_again() {
    let mut world = g711();
    let leg = world.dial("9197");
    world.run(1000);
    let hold = world.negotiation.offer(Direction::SendOnly);
    world.request(leg, Method::Invite, Some(("application/sdp", &hold)));
    assert_eq!(world.story.last().map(String::as_str), Some("response 200"));
    assert_eq!(world.negotiation.remote().unwrap().direction, Direction::RecvOnly);
    world.heard.clear();
    world.run(1000);
    assert!(world.heard.is_empty());
    let resume = world.negotiation.offer(Direction::SendRecv);
    world.request(leg, Method::Update, Some(("application/sdp", &resume)));
    world.run(500);
    let first = RtpPacket::parse(&world.heard[0].1).unwrap().fields();
    assert!(first.marker, "a new talkspurt");
    assert_eq!(frequency(&world.take_audio()), 440.0);
    world.bye(leg);
    world.expect_nothing_left();
}

#[test]
fn a_call_without_an_offer_gets_one_and_its_answer_counts() {
    let mut world = g711();
    let leg = world.dial_with("9197", None);
    world.run(600);
    assert_eq!(world.story, ["180", "answered sdp"]);
    assert!(world.heard.is_empty());
    let answer = "v=0\r\no=- 1 1 IN IP4 192.0.2.71\r\ns=-\r\nc=IN IP4 192.0.2.71\r\nt=0 0\r\nm=audio 30000 RTP/AVP 8\r\n";
    let body = offhook_sip::user_agent::Body::sdp(answer);
    world.caller.ack(world.now(), leg, Some(body)).unwrap();
    world.drain();
    world.run(500);
    assert_eq!(
        RtpPacket::parse(&world.heard[0].1).unwrap().fields().payload_type,
        8
    );
    assert_eq!(frequency(&world.take_audio()), 440.0);
}

#[test]
fn unusable_offers_are_refused_and_leave_nothing() {
    for (offer, status) in [
        ("nonsense", "400"),
        (
            "v=0\r\no=- 1 1 IN IP4 192.0.2.71\r\ns=-\r\nc=IN IP4 192.0.2.71\r\nt=0 0\r\nm=video 30000 RTP/AVP 96\r\n",
            "488",
        ),
        (
            "v=0\r\no=- 1 1 IN IP4 192.0.2.71\r\ns=-\r\nc=IN IP4 192.0.2.71\r\nt=0 0\r\nm=audio 30000 RTP/AVP 18\r\n",
            "488",
        ),
    ] {
        let mut world = g711();
        world.dial_with("9196", Some(offer.to_owned()));
        assert_eq!(world.story, [format!("failed {status}")], "{offer}");
        world.expect_nothing_left();
    }
}

#[test]
fn without_a_port_or_room_the_call_is_refused_with_503() {
    let mut world = g711();
    world.no_ports = true;
    world.dial("9196");
    assert_eq!(world.story, ["failed 503"]);
    world.no_ports = false;
    for _ in 0..3 {
        world.dial("9103");
    }
    world.story.clear();
    world.dial("9103");
    assert_eq!(world.story, ["failed 503"]);
    assert_eq!(world.carrier.counts().calls, 3);
}

#[test]
fn draining_takes_no_calls_and_ends_the_rest() {
    let mut world = g711();
    world.dial("9197");
    world.run(1000);
    world.carrier.drain();
    world.dial("9197");
    assert_eq!(world.story.last().map(String::as_str), Some("failed 503"));
    assert!(!world.carrier.is_quiet());
    world.carrier.end_calls(world.now());
    world.drain();
    assert_eq!(
        world.story.last().map(String::as_str),
        Some("terminated by carrier")
    );
    assert!(world.carrier.is_quiet());
    world.expect_nothing_left();
}

#[test]
fn the_trace_has_every_message_in_order() {
    let mut world = g711();
    let leg = world.dial("9196");
    world.run(600);
    world.speak(0, 0, b"hello");
    world.bye(leg);
    assert_eq!(
        world.trace,
        [
            "INVITE",
            "100 INVITE",
            "180 INVITE",
            "200 INVITE",
            "ACK",
            "media-started gateway PCMU",
            "BYE",
            "200 BYE"
        ]
    );
}
