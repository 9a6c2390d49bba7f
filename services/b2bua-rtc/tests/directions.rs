//! Who may send: the four directions of an SDP, stated by the carrier or by our hold, and the packets that flow then.

mod support;

use offhook_audio::AudioCodec;
use offhook_media_control::{Command, Direction, LegName, Reply};
use std::time::Duration;
use support::{Voice, World, carrier_address, sdp, session_id, tone};

const FRAME: Duration = Duration::from_millis(20);
const FRAMES: usize = 25;
/// What waits in jitter buffers is over by then.
const SETTLED: Duration = Duration::from_millis(500);

/// What came through while both sides spoke, in packets.
#[derive(Debug, PartialEq, Eq)]
struct Heard {
    /// All that reached the carrier.
    at_carrier: usize,
    /// Of these, the client's own.
    of_client: usize,
    /// The carrier's that reached the client.
    of_carrier: usize,
}

/// A call and who speaks in it.
struct Talk {
    world: World,
    codec: AudioCodec,
    client: Voice,
    carrier: Voice,
}

impl Talk {
    /// With PCMU at the carrier.
    fn new(codec: AudioCodec) -> Self {
        let payload_type = if codec == AudioCodec::Opus { 111 } else { 0 };
        Self {
            world: World::connected(&payload_type.to_string(), "0"),
            codec,
            client: Voice::new(payload_type, 11),
            carrier: Voice::new(0, 22),
        }
    }

    /// Both speak for a while; gives what came through.
    fn heard(&mut self) -> Heard {
        let world = &mut self.world;
        world.run_for(SETTLED);
        world.client_heard.clear();
        world.carrier_heard.clear();
        let ticks = if self.codec == AudioCodec::Opus { 960 } else { 160 };
        let up = tone(self.codec, 500.0, FRAMES);
        let down = vec![0x44; 160];
        for payload in &up {
            let packet = self.client.packet(payload, ticks);
            world.client_sends(&packet);
            let packet = self.carrier.packet(&down, 160);
            world.carrier_sends(&packet);
            world.run_for(FRAME);
        }
        Heard {
            at_carrier: world.carrier_heard.len(),
            of_client: count(&world.carrier_heard, &up),
            of_carrier: count(&world.client_heard, &[down]),
        }
    }
}

/// The carrier makes a new offer; gives the direction of our answer.
fn carrier_offers(world: &mut World, direction: &str) -> String {
    let command = Command::Reoffer {
        session: session_id(),
        from: LegName::Carrier,
        sdp: sdp::carrier_with(carrier_address(), "0", direction),
    };
    let Ok(Reply::Reoffered { answer, .. }) = world.command(&command) else {
        panic!("{direction} is refused")
    };
    direction_of(&answer)
}

/// Our hold or its end, as signalling makes it; gives what our offer said.
fn we_hold(world: &mut World, held: bool, answered: &str) -> String {
    let command = Command::MakeOffer {
        session: session_id(),
        to: LegName::Carrier,
        direction: if held {
            Direction::SendOnly
        } else {
            Direction::SendRecv
        },
        renew: false,
    };
    let Ok(Reply::Offered { offer }) = world.command(&command) else {
        panic!("no offer")
    };
    world.carrier_answers(&sdp::carrier_with(carrier_address(), "0", answered));
    let session = session_id();
    assert_eq!(
        world.command(&Command::Hold { session, held }),
        Ok(Reply::Done {})
    );
    direction_of(&offer)
}

fn direction_of(sdp: &str) -> String {
    ["sendrecv", "sendonly", "recvonly", "inactive"]
        .into_iter()
        .find(|direction| sdp.contains(&format!("a={direction}\r\n")))
        .unwrap_or_default()
        .to_owned()
}

fn count(heard: &[support::Heard], said: &[Vec<u8>]) -> usize {
    heard
        .iter()
        .filter(|packet| said.contains(&packet.payload))
        .count()
}

#[test]
fn r42_rfc3264_6_1_each_direction_of_the_carrier_in_packets() {
    let mut talk = Talk::new(AudioCodec::Pcmu);
    for (offered, answered, listens) in [
        ("sendonly", "recvonly", false),
        ("recvonly", "sendonly", true),
        ("inactive", "inactive", false),
        ("sendrecv", "sendrecv", true),
    ] {
        assert_eq!(carrier_offers(&mut talk.world, offered), answered);
        let heard = talk.heard();
        let of_client = if listens { FRAMES } else { 0 };
        assert_eq!(
            (heard.at_carrier, heard.of_client),
            (of_client, of_client),
            "{offered}"
        );
    }
}

#[test]
fn r42_a_transcoded_call_is_as_silent_towards_a_carrier_that_does_not_listen() {
    let mut talk = Talk::new(AudioCodec::Opus);
    for (offered, listens) in [("sendonly", false), ("sendrecv", true), ("inactive", false)] {
        carrier_offers(&mut talk.world, offered);
        let heard = talk.heard();
        assert_eq!(heard.at_carrier >= FRAMES - 1, listens, "{offered}: {heard:?}");
        assert_eq!(heard.at_carrier == 0, !listens, "{offered}: {heard:?}");
    }
}

#[test]
fn r42_on_hold_neither_hears_the_other_even_if_the_carrier_goes_on_sending() {
    let mut talk = Talk::new(AudioCodec::Pcmu);
    let both = Heard {
        at_carrier: FRAMES,
        of_client: FRAMES,
        of_carrier: FRAMES,
    };
    assert_eq!(talk.heard(), both);
    assert_eq!(we_hold(&mut talk.world, true, "recvonly"), "sendonly");
    let held = Heard {
        at_carrier: FRAMES,
        of_client: 0,
        of_carrier: 0,
    };
    assert_eq!(talk.heard(), held, "music, and no voice");
    assert_eq!(we_hold(&mut talk.world, false, "sendrecv"), "sendrecv");
    assert_eq!(talk.heard(), both);
}

#[test]
fn rfc6337_5_3_who_is_held_stays_so_whatever_it_offers() {
    let mut talk = Talk::new(AudioCodec::Pcmu);
    we_hold(&mut talk.world, true, "recvonly");
    for (offered, answered, at_carrier) in [
        ("sendrecv", "sendonly", FRAMES),
        ("sendonly", "inactive", 0),
        ("inactive", "inactive", 0),
        ("recvonly", "sendonly", FRAMES),
    ] {
        assert_eq!(carrier_offers(&mut talk.world, offered), answered, "to {offered}");
        let expected = Heard {
            at_carrier,
            of_client: 0,
            of_carrier: 0,
        };
        assert_eq!(talk.heard(), expected, "{offered}");
    }
    carrier_offers(&mut talk.world, "sendonly");
    assert_eq!(we_hold(&mut talk.world, false, "sendonly"), "sendrecv");
    let heard = talk.heard();
    assert_eq!(
        (heard.at_carrier, heard.of_carrier),
        (0, FRAMES),
        "it still holds us"
    );
    assert_eq!(carrier_offers(&mut talk.world, "sendrecv"), "sendrecv");
    assert_eq!(talk.heard().of_client, FRAMES);
}

#[test]
fn rfc3264_6_1_a_caller_hears_nothing_before_it_is_answered() {
    let mut world = World::offer_from_carrier("0");
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.carrier_heard.len(), 0, "somebody else may answer this call");
    let answer = Command::Answer {
        session: session_id(),
        from: LegName::Client,
        sdp: support::sdp::browser(&world.client, "0").replace("actpass", "active"),
        is_final: true,
    };
    assert!(matches!(
        world.command(&answer),
        Ok(Reply::Answered { answer: Some(_) })
    ));
    world.run_for(Duration::from_secs(1));
    assert!(world.carrier_heard.len() >= 40, "{}", world.carrier_heard.len());
}
