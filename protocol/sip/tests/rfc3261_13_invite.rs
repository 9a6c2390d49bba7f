//! RFC 3261 §13: a call from INVITE to ACK.

use crate::support::agents::{ALICE, BOB, World, invite_to_bob, name, sdp, status, uri};
use crate::support::response_builder;
use offhook_sip::Header;
use offhook_sip::user_agent::{ActionError, Reply};
use offhook_sip_message::header::{CSeq, To};
use offhook_sip_message::{HeaderName, Message, StatusCode, Token, respond};

#[test]
fn a_call_is_answered() {
    let mut world = World::new();
    let (leg, incoming) = world.called();
    world.respond(BOB, incoming, Reply::new(StatusCode::RINGING));
    let early = Reply {
        body: sdp("early answer"),
        ..Reply::new(StatusCode::SESSION_PROGRESS)
    };
    world.respond(BOB, incoming, early);
    let answer = Reply {
        body: sdp("answer"),
        ..Reply::new(StatusCode::OK)
    };
    world.respond(BOB, incoming, answer);
    world.run(10);
    assert_eq!(world.story(BOB), ["call offer", "ack"]);
    assert_eq!(
        world.story(ALICE),
        ["180 INVITE", "183 INVITE early answer", "answered answer"]
    );
    let flow = [
        "9>1 INVITE",
        "1>9 100 INVITE",
        "1>9 180 INVITE",
        "1>9 183 INVITE",
        "1>9 200 INVITE",
        "9>1 ACK",
    ];
    assert_eq!(world.flow(), flow);
    assert_eq!(
        world.agents[ALICE].observed,
        [
            "> INVITE",
            "< 100 INVITE",
            "< 180 INVITE",
            "< 183 INVITE",
            "< 200 INVITE",
            "> ACK"
        ]
    );
    assert_eq!(
        world.agents[BOB].observed,
        [
            "< INVITE",
            "> 100 INVITE",
            "> 180 INVITE",
            "> 183 INVITE",
            "> 200 INVITE",
            "< ACK"
        ]
    );
    world.bye(ALICE, leg);
    world.expect_nothing_left();
}

#[test]
fn the_invite_bears_what_a_callee_needs() {
    let mut world = World::new();
    world.call();
    let invite = world.last("INVITE");
    for (name, expected) in [
        (HeaderName::MaxForwards, "70"),
        (HeaderName::Contact, "<sip:192.0.2.9:5060>"),
        (
            HeaderName::Allow,
            "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, MESSAGE",
        ),
        (HeaderName::ContentType, "application/sdp"),
        (HeaderName::UserAgent, "test/1"),
        (HeaderName::custom("X-Once"), "1"),
        (HeaderName::custom("X-Offhook-Call-Id"), "c-1"),
        (HeaderName::ContentLength, "5"),
    ] {
        assert_eq!(
            invite.first(name).map(String::from_utf8_lossy).as_deref(),
            Some(expected),
            "{name}"
        );
    }
    assert_eq!(invite.body(), b"offer");
    assert_eq!(offhook_sip_message::validate(invite), Ok(()));
}

#[test]
fn responses_that_make_a_dialog_bear_tag_contact_and_record_route() {
    let mut world = World::new();
    let (_, incoming) = world.called();
    world.respond(BOB, incoming, Reply::new(StatusCode::RINGING));
    let ringing = world.last("180 INVITE");
    let tag = ringing.require::<To<'_>>().unwrap().tag().map(<[u8]>::to_vec);
    assert!(tag.is_some());
    assert_eq!(
        ringing.first(HeaderName::Contact),
        Some(&b"<sip:192.0.2.1:5060>"[..])
    );
    world.respond(BOB, incoming, Reply::new(StatusCode::OK));
    let ok = world.last("200 INVITE");
    assert_eq!(ok.require::<To<'_>>().unwrap().tag().map(<[u8]>::to_vec), tag);
    assert!(ok.has(HeaderName::Allow));
    assert_eq!(world.last("100 INVITE").require::<To<'_>>().unwrap().tag(), None);
}

#[test]
fn sticky_headers_are_in_every_message_of_the_call() {
    let mut world = World::new();
    let leg = world.call();
    let (bobs_leg, incoming) = world.incoming(BOB);
    let header = vec![Header::new("X-Offhook-Call-Id", "c-2").unwrap()];
    world.agents[BOB].ua.set_sticky_headers(bobs_leg, header).unwrap();
    world.respond(BOB, incoming, Reply::new(StatusCode::OK));
    world.run(10);
    world.bye(ALICE, leg);
    world.run(10);
    let call_id = |name: &str| {
        world
            .last(name)
            .first(HeaderName::custom("X-Offhook-Call-Id"))
            .map(<[u8]>::to_vec)
    };
    assert_eq!(call_id("200 INVITE"), Some(b"c-2".to_vec()));
    for name in ["ACK", "BYE"] {
        assert_eq!(call_id(name), Some(b"c-1".to_vec()), "{name}");
    }
    assert_eq!(world.last("BYE").first(HeaderName::custom("X-Once")), None);
}

#[test]
fn a_rejection_ends_the_call_on_both_sides() {
    let mut world = World::new();
    let leg = world.call();
    let (bobs_leg, incoming) = world.incoming(BOB);
    let reply = Reply {
        reason: Some(crate::support::agents::value("Not today")),
        ..Reply::new(StatusCode::BUSY_HERE)
    };
    world.respond(BOB, incoming, reply);
    assert_eq!(world.story(ALICE), ["failed 486"]);
    assert!(
        world
            .last("486 INVITE")
            .bytes()
            .starts_with(b"SIP/2.0 486 Not today\r\n")
    );
    assert!(
        world
            .last("486 INVITE")
            .require::<To<'_>>()
            .unwrap()
            .tag()
            .is_some()
    );
    let now = world.now();
    assert_eq!(
        world.agents[ALICE].ua.bye(now, leg, Vec::new()),
        Err(ActionError::Gone)
    );
    assert_eq!(
        world.agents[BOB].ua.bye(now, bobs_leg, Vec::new()),
        Err(ActionError::Gone)
    );
    world.expect_nothing_left();
}

#[test]
fn silence_ends_the_call_and_a_short_time_sooner() {
    for (give_up_after, expected) in [(None, 32_000), (Some(3000), 3000)] {
        let mut world = World::new();
        world.weather.loss = 100;
        let mut invite = invite_to_bob();
        invite.give_up_after = give_up_after.map(std::time::Duration::from_millis);
        world.call_with(invite);
        world.run(expected - 11);
        assert_eq!(world.story(ALICE), [""; 0]);
        world.run(1);
        assert_eq!(world.story(ALICE), ["failed timed out"]);
        world.expect_nothing_left();
    }
}

#[test]
fn a_2xx_is_repeated_until_its_ack_comes() {
    let mut world = World::new();
    let (_, incoming) = world.called();
    world.weather.loss = 100;
    world.respond(BOB, incoming, Reply::new(StatusCode::OK));
    let start = world.elapsed_ms() - 10;
    world.run(10_000);
    let at: Vec<u64> = world
        .wire
        .iter()
        .filter(|w| name(&w.3) == "200 INVITE")
        .map(|w| w.0 - start)
        .collect();
    assert_eq!(at, [0, 500, 1500, 3500, 7500]);
    world.weather.loss = 0;
    world.run(4100);
    assert_eq!(world.story(BOB), ["call offer", "ack"]);
    let sent = world.wire.len();
    world.run(20_000);
    assert_eq!(world.wire.len(), sent, "nothing is repeated after the ACK");
    assert_eq!(
        world.agents[BOB]
            .observed
            .iter()
            .filter(|seen| *seen == "> 200 INVITE")
            .count(),
        1
    );
}

#[test]
fn without_an_ack_the_call_is_ended_with_bye() {
    let mut world = World::new();
    let (_, incoming) = world.called();
    world.weather.loss = 100;
    world.respond(BOB, incoming, Reply::new(StatusCode::OK));
    world.run(32_000);
    assert_eq!(world.story(BOB), ["call offer", "terminated ack missing"]);
    assert_eq!(name(world.last("BYE")), "BYE");
    world.expect_nothing_left();
}

#[test]
fn a_repeated_2xx_is_acknowledged_again() {
    let mut world = World::new();
    let (_, incoming) = world.called();
    world.agents[BOB]
        .ua
        .respond(world.now(), incoming, Reply::new(StatusCode::OK))
        .unwrap();
    world.run(1);
    // The ACK is on its way and lost.
    world.weather.loss = 100;
    world.run(1);
    world.weather.loss = 0;
    world.run(1000);
    let acks: Vec<&Message> = world
        .wire
        .iter()
        .map(|w| &w.3)
        .filter(|m| name(m) == "ACK")
        .collect();
    assert!(!acks.is_empty());
    assert!(acks.iter().all(|ack| ack.bytes() == acks[0].bytes()));
    assert_eq!(world.story(BOB), ["call offer", "ack"]);
    assert_eq!(world.story(ALICE), ["answered"]);
}

#[test]
fn an_invite_without_offer_gets_the_answer_in_the_ack() {
    let mut world = World::new();
    let mut invite = invite_to_bob();
    invite.body = None;
    let leg = world.call_with(invite);
    let (_, incoming) = world.incoming(BOB);
    let offer = Reply {
        body: sdp("late offer"),
        ..Reply::new(StatusCode::OK)
    };
    world.respond(BOB, incoming, offer);
    world.run(700);
    assert_eq!(world.story(ALICE), ["answered late offer"]);
    assert!(
        !world.flow().contains(&"9>1 ACK".to_owned()),
        "the owner has not answered yet"
    );
    let now = world.now();
    world.agents[ALICE].ua.ack(now, leg, sdp("answer")).unwrap();
    assert!(world.agents[ALICE].ua.ack(now, leg, None).is_err());
    world.run(10);
    assert_eq!(world.story(BOB), ["call", "ack answer"]);
    world.bye(ALICE, leg);
    world.expect_nothing_left();
}

#[test]
fn hanging_up_before_the_late_answer_still_acknowledges() {
    let mut world = World::new();
    let mut invite = invite_to_bob();
    invite.body = None;
    let leg = world.call_with(invite);
    let (_, incoming) = world.incoming(BOB);
    world.respond(BOB, incoming, Reply::new(StatusCode::OK));
    world.bye(ALICE, leg);
    world.run(20);
    assert_eq!(world.flow()[3..], ["9>1 ACK", "9>1 BYE", "1>9 200 BYE"]);
    world.expect_nothing_left();
}

#[test]
fn a_second_fork_that_answers_is_acknowledged_and_ended() {
    let mut world = World::new();
    let leg = world.call();
    let invite = world.last("INVITE").clone();
    let fork = |code: u16, tag: &'static str| {
        respond(&invite, status(code), Some(Token::new(tag.as_bytes()).unwrap()))
            .text(HeaderName::Contact, format!("<sip:{tag}@192.0.2.77>"))
            .build()
            .unwrap()
    };
    let bob = crate::support::agents::ADDRESSES[BOB].parse().unwrap();
    let alice = crate::support::agents::ADDRESSES[ALICE].parse().unwrap();
    for response in [
        fork(180, "one"),
        fork(180, "two"),
        fork(200, "one"),
        fork(200, "two"),
        fork(200, "two"),
    ] {
        world.send(bob, alice, response.bytes().clone());
        world.run(5);
    }
    assert_eq!(world.story(ALICE), ["180 INVITE", "180 INVITE", "answered"]);
    let to_forks: Vec<(String, String)> = world
        .wire
        .iter()
        .filter(|(_, _, to, _)| to.ip().to_string() == "192.0.2.77")
        .map(|(.., message)| {
            let to: To<'_> = message.require().unwrap();
            (
                name(message),
                String::from_utf8_lossy(to.tag().unwrap()).into_owned(),
            )
        })
        .collect();
    let expected = [("ACK", "one"), ("ACK", "two"), ("BYE", "two"), ("ACK", "two")];
    assert_eq!(
        to_forks,
        expected.map(|(name, tag)| (name.to_owned(), tag.to_owned()))
    );
    assert_eq!(world.agents[ALICE].ua.dialog(leg).unwrap().id.remote_tag, "one");
    world.bye(ALICE, leg);
    world.incoming(BOB);
    let (_, incoming) = world.incoming(BOB);
    world.respond(BOB, incoming, Reply::new(StatusCode::BUSY_HERE));
    world.expect_nothing_left();
}

#[test]
fn an_answer_that_makes_no_dialog_fails_the_call() {
    let mut world = World::new();
    world.call();
    let invite = world.last("INVITE").clone();
    let routes = (0..40).fold(response_builder(&invite, 200), |builder, i| {
        builder.text(HeaderName::RecordRoute, format!("<sip:p{i}.example.com;lr>"))
    });
    let bob = crate::support::agents::ADDRESSES[BOB].parse().unwrap();
    let alice = crate::support::agents::ADDRESSES[ALICE].parse().unwrap();
    world.send(bob, alice, routes.build().unwrap().bytes().clone());
    world.run(5);
    assert_eq!(world.story(ALICE), ["failed 200"]);
}

#[test]
fn calls_are_limited_in_both_directions() {
    let mut world = World::new();
    for _ in 0..3 {
        world.call();
    }
    let refused = world.agents[ALICE].ua.invite(world.now(), invite_to_bob());
    assert_eq!(refused, Err(ActionError::Full));
    let back = offhook_sip::user_agent::OutgoingInvite {
        destination: offhook_sip::Flow::udp(crate::support::agents::ADDRESSES[ALICE].parse().unwrap()),
        request_uri: uri("sip:alice@192.0.2.9"),
        ..invite_to_bob()
    };
    // Bob is full too: three calls came in.
    assert_eq!(
        world.agents[BOB].ua.invite(world.now(), back),
        Err(ActionError::Full)
    );
}

#[test]
fn cseq_and_tag_of_the_ack_are_those_of_the_invite() {
    let mut world = World::new();
    let (_, incoming) = world.called();
    world.respond(BOB, incoming, Reply::new(StatusCode::OK));
    world.run(5);
    let (invite, ack) = (world.last("INVITE"), world.last("ACK"));
    assert_eq!(
        ack.require::<CSeq>().unwrap().number,
        invite.require::<CSeq>().unwrap().number
    );
    assert_eq!(
        ack.request_uri().unwrap().unwrap().as_bytes(),
        b"sip:192.0.2.1:5060"
    );
    assert_ne!(
        ack.first(HeaderName::Via),
        invite.first(HeaderName::Via),
        "an ACK to a 2xx is its own transaction"
    );
}
