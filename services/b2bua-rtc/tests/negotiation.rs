//! Descriptions through a session: what is refused, re-offers, renewal, failures.

mod support;

use offhook_b2bua_rtc::Lane;
use offhook_b2bua_rtc::params::{LegKind, OpenRequest};
use offhook_b2bua_rtc::session::{MediaSession, Output};
use offhook_media_control::{
    Command, CommandErrorKind, Direction, Event, GoneReason, LegName, Reply, SDP_LEN_MAX,
};
use offhook_webrtc::Path;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::sync::Arc;
use std::time::Duration;
use support::client::{Client, Version};
use support::{
    CARRIER_PORT, CLIENT_PORT, Voice, World, carrier_address, client_address, origin, params, request, sdp,
    session_id,
};

fn open(request: OpenRequest) -> Result<Reply, CommandErrorKind> {
    let mut rng = StdRng::seed_from_u64(1);
    let ports = [Some(CLIENT_PORT), Some(CARRIER_PORT)];
    MediaSession::open(origin(), Arc::new(params()), request, ports, &mut rng)
        .map(|(_, reply)| reply)
        .map_err(|error| error.kind)
}

fn browser() -> Client {
    Client::new(origin(), Version::Dtls12, true, client_address())
}

#[test]
fn offers_that_cannot_be_used_are_refused_with_the_reason() {
    let client = browser();
    let good = sdp::browser(&client, "111 0");
    assert!(open(request(LegName::Client, &good)).is_ok());
    let cases = [
        (String::new(), CommandErrorKind::BadSdp),
        ("v=0\r\n".to_owned(), CommandErrorKind::BadSdp),
        (good.replace("m=audio", "m=video"), CommandErrorKind::BadSdp),
        (
            good.replace("a=fingerprint", "a=x-fingerprint"),
            CommandErrorKind::BadSdp,
        ),
        (good.replace("a=ice-pwd", "a=x-ice-pwd"), CommandErrorKind::BadSdp),
        (good.replace("a=rtcp-mux\r\n", ""), CommandErrorKind::BadSdp),
        (
            good.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
            CommandErrorKind::BadSdp,
        ),
        (sdp::browser(&client, "13"), CommandErrorKind::NoCommonCodec),
        ("a".repeat(SDP_LEN_MAX + 1), CommandErrorKind::BadSdp),
    ];
    for (sdp, kind) in cases {
        let start: String = sdp.chars().take(60).collect();
        assert_eq!(open(request(LegName::Client, &sdp)), Err(kind), "{start:?}");
    }
}

#[test]
fn five_hundred_candidates_are_no_harm() {
    let candidates = "a=candidate:1 1 udp 2113937151 192.0.2.1 40000 typ host\r\n".repeat(500);
    let offer = sdp::browser(&browser(), "111").replace("a=ice-ufrag", &format!("{candidates}a=ice-ufrag"));
    assert!(open(request(LegName::Client, &offer)).is_ok());
}

#[test]
fn a_session_between_two_rtp_legs_needs_two_ports() {
    let plain = OpenRequest {
        client: LegKind::Rtp,
        comfort: false,
        ..request(LegName::Client, &sdp::carrier(client_address(), "0"))
    };
    let Ok(Reply::Opened { offer, .. }) = open(plain.clone()) else {
        panic!("refused")
    };
    assert_eq!(sdp::port(&offer), CARRIER_PORT.port);
    let mut rng = StdRng::seed_from_u64(1);
    let refused = MediaSession::open(
        origin(),
        Arc::new(params()),
        plain,
        [Some(CLIENT_PORT), None],
        &mut rng,
    );
    assert_eq!(
        refused.err().map(|error| error.kind),
        Some(CommandErrorKind::Busy)
    );
}

#[test]
fn a_wrong_fingerprint_ends_the_session_with_the_reason() {
    let client = browser();
    let wrong = format!("sha-256 {}", ["AB"; 32].join(":"));
    let offer = sdp::browser_with(&client, "0", &wrong, "actpass");
    let mut rng = StdRng::seed_from_u64(3);
    let opened = OpenRequest {
        early_answer: true,
        ..request(LegName::Client, &offer)
    };
    let (mut world, _, _) = World::offer_from_client("0", true);
    let (session, reply) = MediaSession::open(
        origin(),
        Arc::new(params()),
        opened,
        [None, Some(CARRIER_PORT)],
        &mut rng,
    )
    .unwrap();
    world.session = session;
    world.client = client;
    let Reply::Opened { answer, .. } = reply else {
        panic!("{reply:?}")
    };
    world.tell_client(&answer.unwrap());
    world.run_for(Duration::from_secs(5));
    let gone = world.events.iter().find_map(|event| match event {
        Event::Gone { reason, message, .. } => Some((*reason, message.clone())),
        _ => None,
    });
    let (reason, message) = gone.expect("the session ends");
    assert_eq!(reason, GoneReason::DtlsFailed);
    assert!(
        message.contains("fingerprint") && message.contains("AB:AB"),
        "{message}"
    );
    assert!(world.outputs.contains(&Output::Ended));
    assert!(!world.has(|event| matches!(event, Event::Connected { .. })));
}

#[test]
fn a_client_that_never_checks_ends_the_session() {
    let (mut world, _, _) = World::offer_from_client("0", false);
    // Ringing for a minute is no failure: the client has no answer yet.
    world.client.set_remote(
        &support::credentials("none", "nonenonenonenonenonenone"),
        carrier_address(),
    );
    world.run_for(Duration::from_secs(60));
    assert!(!world.has(|event| matches!(event, Event::Gone { .. })));
    world.carrier_answers(&sdp::carrier(carrier_address(), "0"));
    world.run_for(Duration::from_secs(40));
    assert_eq!(
        world.count(|event| matches!(
            event,
            Event::Gone {
                reason: GoneReason::IceFailed,
                ..
            }
        )),
        1
    );
}

#[test]
fn silence_for_too_long_ends_the_session() {
    let mut world = World::connected("0", "0");
    world.run_for(Duration::from_secs(310));
    assert_eq!(
        world.count(|event| matches!(
            event,
            Event::Gone {
                reason: GoneReason::MediaTimeout,
                ..
            }
        )),
        1
    );
}

#[test]
fn an_ice_restart_keeps_the_audio() {
    let mut world = World::connected("0", "0");
    let mut client = Voice::new(0, 11);
    world.client.restart_ice();
    let offer = sdp::browser(&world.client, "0").replace("actpass", "active");
    let before = world.outputs.len();
    let command = Command::Reoffer {
        session: session_id(),
        from: LegName::Client,
        sdp: offer,
    };
    let Ok(Reply::Reoffered { answer, direction }) = world.command(&command) else {
        panic!("refused")
    };
    assert_eq!(direction, Direction::SendRecv);
    let ufrag = sdp::value(&answer, "a=ice-ufrag:").to_owned();
    assert!(
        world.outputs[before..].contains(&Output::UfragAdded(ufrag)),
        "its checks find the session"
    );
    world.tell_client(&answer);
    world.run_for(Duration::from_secs(2));
    world.carrier_heard.clear();
    for _ in 0..20 {
        let packet = client.packet(&[0x55; 160], 160);
        world.client_sends(&packet);
        world.run_for(Duration::from_millis(20));
    }
    let heard = world
        .carrier_heard
        .iter()
        .filter(|packet| packet.payload == [0x55; 160])
        .count();
    assert_eq!(heard, 20);
    assert!(!world.has(|event| matches!(event, Event::Gone { .. })));
}

#[test]
fn a_carrier_that_holds_is_answered_and_gets_no_audio() {
    let mut world = World::connected("0", "0");
    let offer = sdp::carrier_with(carrier_address(), "0", "sendonly");
    let command = Command::Reoffer {
        session: session_id(),
        from: LegName::Carrier,
        sdp: offer,
    };
    let Ok(Reply::Reoffered { answer, direction }) = world.command(&command) else {
        panic!("refused")
    };
    assert_eq!(direction, Direction::SendOnly);
    assert!(answer.contains("a=recvonly"), "{answer}");
    world.run_for(Duration::from_millis(100));
    world.carrier_heard.clear();
    world.client_heard.clear();
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.carrier_heard.len(), 0);
    assert!(
        world.client_heard.len() >= 49,
        "the browser keeps hearing comfort noise"
    );
}

#[test]
fn the_carrier_hears_no_pause_when_the_client_leg_is_renewed() {
    let mut world = World::connected("0", "0");
    let mut client = Voice::new(0, 11);
    for _ in 0..20 {
        let packet = client.packet(&[0x33; 160], 160);
        world.client_sends(&packet);
        world.run_for(Duration::from_millis(20));
    }
    world.renew_client();
    world.run_for(Duration::from_millis(500));
    let heard = &world.carrier_heard[10..];
    assert!(heard.len() >= 10 + 24, "{}", heard.len());
    for pair in heard.windows(2) {
        assert!(pair[1].at - pair[0].at <= Duration::from_millis(21));
    }
}

/// The client's leg is started anew for a page that was reloaded: another browser, as it were.
fn renew(world: &mut World) {
    let offer = world.renew_client();
    world.client = Client::new(world.now, Version::Dtls12, true, client_address());
    world.events.clear();
    let answer = sdp::browser(&world.client, "0").replace("actpass", "active");
    let command = Command::Answer {
        session: session_id(),
        from: LegName::Client,
        sdp: answer,
        is_final: true,
    };
    world.command(&command).expect("the answer is taken");
    world.tell_client(&offer);
}

#[test]
fn a_renewed_client_leg_connects_anew_and_the_stream_goes_on() {
    let mut world = World::connected("0", "0");
    world.run_for(Duration::from_secs(1));
    let last = world.client_heard.last().unwrap().fields;
    renew(&mut world);
    assert!(world.outputs.contains(&Output::LegRenewed(LegName::Client)));
    world.client_heard.clear();
    world.connect();
    world.run_for(Duration::from_millis(100));
    let next = world.client_heard[0].fields;
    assert_eq!(next.ssrc, last.ssrc);
    assert_eq!(next.sequence, last.sequence.wrapping_add(1));
}

/// Who forges the sender of a check of its own session takes nobody's address for longer than until that one's next check.
#[test]
fn an_address_that_another_session_has_claimed_is_the_clients_again_after_its_next_check() {
    let mut world = World::connected("0", "0");
    let (local, remote) = (support::gateway(), client_address());
    let added = Output::AddressAdded(LegName::Client, Path { local, remote });
    world.outputs.clear();
    world
        .session
        .forget_address(LegName::Client, Path { local, remote });
    let mut client = Voice::new(0, 11);
    let packet = client.packet(&[0x66; 160], 160);
    world.client_sends(&packet);
    assert_eq!(world.session.drops().stranger, 1);
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.outputs, [added]);
    world.client_sends(&client.packet(&[0x67; 160], 160));
    let heard = world.carrier_heard.last().map(|packet| packet.payload[0]);
    assert_eq!(heard, Some(0x67));
}

/// A client that offers again from another peer connection: new ICE, another certificate.
#[test]
fn rfc8842_5_4_another_certificate_gets_another_dtls_association() {
    let mut world = World::connected("0", "0");
    let mut carrier = Voice::new(0, 22);
    world.events.clear();
    world.client = Client::other(world.now, Version::Dtls12, true, client_address());
    let command = Command::Reoffer {
        session: session_id(),
        from: LegName::Client,
        sdp: sdp::browser(&world.client, "0"),
    };
    let Ok(Reply::Reoffered { answer, .. }) = world.command(&command) else {
        panic!("refused")
    };
    assert_eq!(sdp::value(&answer, "a=setup:"), "passive");
    world.tell_client(&answer);
    world.connect();
    world.client_heard.clear();
    for _ in 0..20 {
        let packet = carrier.packet(&[0x44; 160], 160);
        world.carrier_sends(&packet);
        world.run_for(Duration::from_millis(20));
    }
    let heard = world.client_heard.iter();
    assert_eq!(heard.filter(|packet| packet.payload == [0x44; 160]).count(), 20);
    assert!(!world.has(|event| matches!(event, Event::Gone { .. })));
}

/// Lets the client vanish: its ICE checks stop.
fn lose_client(world: &mut World, time: Duration) {
    let rest = std::mem::replace(&mut world.client, browser());
    world.run_for(time);
    drop(rest);
}

#[test]
fn a_client_that_is_lost_and_does_not_come_back_ends_the_session() {
    let mut world = World::connected("0", "0");
    lose_client(&mut world, Duration::from_secs(89));
    assert!(!world.has(|event| matches!(event, Event::Gone { .. })));
    lose_client(&mut world, Duration::from_secs(4));
    assert!(world.has(|event| matches!(
        event,
        Event::Gone {
            reason: GoneReason::IceFailed,
            ..
        }
    )));
}

#[test]
fn a_leg_that_was_renewed_after_its_client_was_lost_lives_on() {
    let mut world = World::connected("0", "0");
    lose_client(&mut world, Duration::from_secs(40));
    renew(&mut world);
    world.connect();
    world.run_for(Duration::from_secs(120));
    assert!(!world.has(|event| matches!(event, Event::Gone { .. })));
    assert!(world.session.poll_timeout().is_some());
}

#[test]
fn a_client_that_says_goodbye_and_does_not_come_back_ends_the_session() {
    let mut world = World::connected("0", "0");
    world.client.close();
    world.run_for(Duration::from_millis(1));
    lose_client(&mut world, Duration::from_secs(62));
    assert!(world.has(|event| matches!(
        event,
        Event::Gone {
            reason: GoneReason::IceFailed,
            ..
        }
    )));
}

#[test]
fn garbage_on_every_port_is_dropped_and_counted() {
    let mut world = World::connected("0", "0");
    let mut rng = StdRng::seed_from_u64(99);
    let before = *world.session.drops();
    for n in 0..5_000u32 {
        let len = rand::RngExt::random_range(&mut rng, 0..200);
        let mut bytes: Vec<u8> = (0..len).map(|_| rand::RngExt::random(&mut rng)).collect();
        // Every class gets its share.
        if let Some(first) = bytes.first_mut() {
            *first = [0, 22, 0x80, 0xff, *first][n as usize % 5];
        }
        let (leg, lane, source) = match n % 3 {
            0 => (
                LegName::Client,
                Lane::WebRtc {
                    local: support::gateway(),
                },
                client_address(),
            ),
            1 => (LegName::Carrier, Lane::Rtp, carrier_address()),
            _ => (LegName::Carrier, Lane::Rtcp, carrier_address()),
        };
        world.feed(leg, lane, source, &mut bytes);
    }
    let drops = world.session.drops();
    assert!(
        drops.malformed > before.malformed
            && drops.bad_stun > before.bad_stun
            && drops.bad_tag > before.bad_tag
    );
    assert!(!world.has(|event| matches!(event, Event::Gone { .. })));
    world.carrier_heard.clear();
    let mut client = Voice::new(0, 11);
    let packet = client.packet(&[0x33; 160], 160);
    world.client_sends(&packet);
    assert_eq!(world.carrier_heard.len(), 1, "the call goes on");
}

#[test]
fn a_call_from_the_carrier_is_offered_to_the_browser() {
    let mut rng = StdRng::seed_from_u64(5);
    let offer = sdp::carrier(carrier_address(), "8 101");
    let (mut world, _, _) = World::offer_from_client("0", true);
    let open = request(LegName::Carrier, &offer);
    let ports = [None, Some(CARRIER_PORT)];
    let (session, reply) = MediaSession::open(origin(), Arc::new(params()), open, ports, &mut rng).unwrap();
    let Reply::Opened { offer, answer: None } = reply else {
        panic!("{reply:?}")
    };
    assert!(
        sdp::value(&offer, "m=audio ").contains("SAVPF 8 111 0"),
        "the carrier's codec first: {offer}"
    );
    assert_eq!(sdp::value(&offer, "a=setup:"), "actpass");
    world.session = session;
    world.events.clear();
    // It rings for a minute before the client answers.
    world.client = Client::new(world.now, Version::Dtls12, true, client_address());
    world.run_for(Duration::from_secs(60));
    let answer = sdp::browser(&world.client, "8 126").replace("actpass", "active");
    let command = Command::Answer {
        session: session_id(),
        from: LegName::Client,
        sdp: answer,
        is_final: true,
    };
    let Ok(Reply::Answered { answer: Some(answer) }) = world.command(&command) else {
        panic!("no answer")
    };
    assert!(
        sdp::value(&answer, "m=audio ").starts_with("20002 RTP/AVP 8"),
        "{answer}"
    );
    world.tell_client(&offer);
    world.connect();
    world.client_heard.clear();
    let mut carrier = Voice::new(8, 22);
    let packet = carrier.packet(&[0x44; 160], 160);
    world.carrier_sends(&packet);
    assert_eq!(
        world.client_heard.last().map(|packet| packet.payload.clone()),
        Some(vec![0x44; 160])
    );
}

/// A session that the carrier opened without an offer; gives the offer for the browser.
fn opened_without_offer() -> (World, String) {
    let mut rng = StdRng::seed_from_u64(5);
    let (mut world, _, _) = World::offer_from_client("0", true);
    let open = OpenRequest {
        sdp: None,
        ..request(LegName::Carrier, "")
    };
    let ports = [None, Some(CARRIER_PORT)];
    let (session, reply) =
        MediaSession::open(origin(), Arc::new(params()), open, ports, &mut rng).expect("opened");
    let Reply::Opened { offer, answer: None } = reply else {
        panic!("{reply:?}")
    };
    world.session = session;
    world.events.clear();
    world.client = Client::new(world.now, Version::Dtls12, true, client_address());
    (world, offer)
}

#[test]
fn a_carrier_without_offer_gets_ours_once_the_browser_has_answered() {
    let (mut world, offer) = opened_without_offer();
    assert!(
        sdp::value(&offer, "m=audio ").contains("SAVPF 111 0 8"),
        "{offer}"
    );
    let early = world.command(&Command::Reoffer {
        session: session_id(),
        from: LegName::Carrier,
        sdp: sdp::carrier(carrier_address(), "0"),
    });
    assert_eq!(early.unwrap_err().kind, CommandErrorKind::WrongState);
    let answer = |from, sdp| Command::Answer {
        session: session_id(),
        from,
        sdp,
        is_final: true,
    };
    let browser = sdp::browser(&world.client, "8 126").replace("actpass", "active");
    let Ok(Reply::Answered { answer: Some(late) }) = world.command(&answer(LegName::Client, browser)) else {
        panic!("no offer for the carrier")
    };
    assert!(
        sdp::value(&late, "m=audio ").starts_with("20002 RTP/AVP 8"),
        "what the browser can do comes first: {late}"
    );
    world.tell_client(&offer);
    world.connect();
    // The carrier's media comes before its answer: it waits until it is known whose it is.
    let mut carrier = Voice::new(8, 22);
    let packet = carrier.packet(&[0x43; 160], 160);
    world.carrier_sends(&packet);
    let ack = answer(LegName::Carrier, sdp::carrier(carrier_address(), "8"));
    assert_eq!(world.command(&ack), Ok(Reply::Answered { answer: None }));
    world.run_for(Duration::from_millis(1));
    let packet = carrier.packet(&[0x44; 160], 160);
    world.carrier_sends(&packet);
    let heard = world.client_heard.iter().rev().take(2);
    let firsts: Vec<u8> = heard.map(|packet| packet.payload[0]).collect();
    assert_eq!(firsts, [0x44, 0x43]);
    assert_eq!(world.session.drops().stranger, 0);
}

#[test]
fn an_early_answer_to_no_offer_is_refused() {
    let request = OpenRequest {
        sdp: None,
        early_answer: true,
        ..request(LegName::Carrier, "")
    };
    assert_eq!(open(request), Err(CommandErrorKind::WrongState));
}

#[test]
fn rfc3264_6_1_a_browser_that_only_listens_is_answered_sendonly_and_hears() {
    for (offered, answered) in [
        ("recvonly", "sendonly"),
        ("sendonly", "recvonly"),
        ("inactive", "inactive"),
    ] {
        let (mut world, _, answer) = World::offer_edited("0", true, |offer| {
            offer.replace("a=sendrecv", &format!("a={offered}"))
        });
        assert!(
            answer.unwrap().contains(&format!("a={answered}\r\n")),
            "{offered}"
        );
        world.carrier_answers(&sdp::carrier(carrier_address(), "0"));
        world.connect();
        world.client_heard.clear();
        let packet = Voice::new(0, 22).packet(&[0x44; 160], 160);
        world.carrier_sends(&packet);
        assert_eq!(world.client_heard.is_empty(), offered != "recvonly", "{offered}");
    }
}
