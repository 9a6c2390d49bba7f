//! Carriers that break the rules: whatever they do, each call ends once and nothing stays behind.

use crate::support::agents::{ALICE, BOB, World, all_extensions, anew, count, reply, sdp, status, text};
use offhook_sip::user_agent::{Event, IncomingId, Reply};
use offhook_sip_message::{Message, Method};

/// The tag that bob answered with.
fn bobs_tag(message: &Message) -> String {
    let to = message.require::<offhook_sip_message::header::To<'_>>().unwrap();
    String::from_utf8(to.tag().unwrap().to_vec()).unwrap()
}

/// Bob's 180 as text, and its tag.
fn rings(world: &mut World, incoming: IncomingId) -> (String, String) {
    world.respond(BOB, incoming, Reply::new(status(180)));
    let ringing = world.last("180 INVITE");
    (text(ringing), bobs_tag(ringing))
}

#[test]
fn it_answers_twice_with_the_same_tag_and_other_sdp() {
    let mut world = World::extended([all_extensions(), all_extensions()]);
    let (leg, incoming) = world.called();
    world.respond(BOB, incoming, reply(200, Some("answer")));
    let second = text(world.last("200 INVITE")).replace("\r\n\r\nanswer", "\r\n\r\nforged");
    world.forge(BOB, second);
    assert_eq!(world.story(ALICE), ["answered answer"]);
    assert_eq!(count(&world, "9>1 ACK"), 2, "each 2xx is acknowledged");
    world.bye(ALICE, leg);
    world.expect_nothing_left();
}

#[test]
fn it_answers_twice_with_another_tag_and_gets_that_one_ended() {
    let mut world = World::extended([all_extensions(), all_extensions()]);
    let (leg, incoming) = world.called();
    world.respond(BOB, incoming, reply(200, Some("answer")));
    let tag = bobs_tag(world.last("200 INVITE"));
    let second = text(world.last("200 INVITE")).replace(&tag, "another");
    world.forge(BOB, second);
    assert_eq!(world.story(ALICE), ["answered answer"]);
    assert!(text(world.last("BYE")).contains("tag=another"));
    world.bye(ALICE, leg);
    world.expect_nothing_left();
}

#[test]
fn it_rejects_after_it_answered() {
    let mut world = World::new();
    let (leg, incoming) = world.called();
    world.respond(BOB, incoming, reply(200, Some("answer")));
    let rejection = text(world.last("200 INVITE")).replace("SIP/2.0 200 OK", "SIP/2.0 486 Busy Here");
    world.forge(BOB, rejection);
    assert_eq!(world.story(ALICE), ["answered answer"]);
    world.bye(ALICE, leg);
    world.expect_nothing_left();
}

#[test]
fn it_sends_a_re_invite_while_its_call_is_being_cancelled() {
    let mut world = World::new();
    let (leg, incoming) = world.called();
    world.respond(BOB, incoming, Reply::new(status(180)));
    let ringing = world.last("180 INVITE").clone();
    world.cancel(ALICE, leg);
    let header = |name: &str| {
        let whole = text(&ringing);
        let line = whole.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once(": ").unwrap().1.to_owned()
    };
    let reinvite = format!(
        "INVITE sip:192.0.2.9:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKhostile\r\n\
         From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 INVITE\r\nContact: <sip:192.0.2.1:5060>\r\n\
         Content-Type: application/sdp\r\nContent-Length: 1\r\n\r\no",
        header("To"),
        header("From"),
        header("Call-ID"),
    );
    world.forge(BOB, reinvite);
    world.run(100);
    let refused = world
        .flow()
        .iter()
        .any(|line| line == "9>1 491 INVITE" || line == "9>1 481 INVITE");
    assert!(refused, "{:?}", world.flow());
    assert_eq!(world.story(ALICE), ["180 INVITE", "failed 487"]);
    world.expect_nothing_left();
}

#[test]
fn it_hangs_up_before_it_acknowledges() {
    let mut world = World::new();
    let leg = world.call();
    let (bobs, incoming) = world.incoming(BOB);
    world.weather.loss = 100;
    world.respond(BOB, incoming, reply(200, Some("answer")));
    world.weather.loss = 0;
    // The caller that hangs up: a BYE in the dialog of the 2xx, whose ACK never went.
    let invite = world.last("INVITE").clone();
    let tag = bobs_tag(world.last("200 INVITE"));
    let bye = anew(&invite, 2)
        .replace("INVITE sip:bob@192.0.2.1", "BYE sip:bob@192.0.2.1")
        .replace("CSeq: 2 INVITE", "CSeq: 2 BYE")
        .replace(
            "To: <sip:bob@192.0.2.1>",
            &format!("To: <sip:bob@192.0.2.1>;tag={tag}"),
        );
    world.forge(ALICE, bye);
    assert_eq!(world.story(BOB).last().unwrap(), "terminated remote");
    assert_eq!(world.agents[BOB].ua.dialog(bobs), None);
    let repeats = count(&world, "1>9 200 INVITE");
    world.run(5000);
    assert_eq!(
        count(&world, "1>9 200 INVITE"),
        repeats,
        "the 2xx is repeated no longer"
    );
    world.cancel(ALICE, leg);
    world.expect_nothing_left();
}

#[test]
fn it_never_acknowledges_a_call_nor_a_re_invite() {
    for mid_call in [false, true] {
        let mut world = World::new();
        let incoming = if mid_call {
            let (alices, _) = world.in_call();
            world.request(ALICE, alices, Method::Invite, sdp("change"));
            world.run(10);
            world.incoming_request(BOB).0
        } else {
            world.call();
            world.incoming(BOB).1
        };
        let now = world.now();
        world.agents[BOB]
            .ua
            .respond(now, incoming, reply(200, Some("answer")))
            .unwrap();
        for _ in 0..40_000 {
            world.run(1);
            world.drop_in_flight(b"ACK");
        }
        assert_eq!(world.story(BOB).last().unwrap(), "terminated ack missing");
        world.run(1000);
        assert_eq!(world.story(ALICE).last().unwrap(), "terminated remote");
        world.expect_nothing_left();
    }
}

#[test]
fn it_floods_early_dialogs() {
    let mut world = World::extended([all_extensions(), all_extensions()]);
    let (leg, incoming) = world.called();
    let (ringing, tag) = rings(&mut world, incoming);
    for fork in 0..200 {
        world.forge(BOB, ringing.replace(&tag, &format!("fork{fork}")));
    }
    let counts = world.agents[ALICE].ua.counts();
    assert_eq!((counts.legs, counts.dialogs), (1, 16));
    assert!(counts.requests <= 17, "one PRACK a dialog: {counts:?}");
    assert_eq!(world.story(ALICE).len(), 201, "all are reported");
    world.cancel(ALICE, leg);
    world.expect_nothing_left();
}

#[test]
fn it_floods_a_call_with_requests() {
    let mut world = World::new();
    let (alices, bobs) = world.in_call();
    world.request(ALICE, alices, Method::Info, None);
    world.run(10);
    let info = world.last("INFO").clone();
    for number in 0..100 {
        world.forge(ALICE, anew(&info, 10 + number));
    }
    let told = world.agents[BOB].events.iter();
    let told = told
        .filter(|event| matches!(event, Event::IncomingRequest { .. }))
        .count();
    assert_eq!(told, 16);
    assert_eq!(count(&world, "1>9 500 INFO"), 85);
    world.bye(BOB, bobs);
    world.expect_nothing_left();
}

#[test]
fn it_sends_numbers_that_would_overflow() {
    let mut world = World::extended([all_extensions(), all_extensions()]);
    let (leg, incoming) = world.called();
    let (ringing, tag) = rings(&mut world, incoming);
    let line = ringing.lines().find(|line| line.starts_with("RSeq: ")).unwrap();
    for (fork, rseq) in ["4294967295", "4294967296", "0", "-1", "x"]
        .into_iter()
        .enumerate()
    {
        let forged = ringing
            .replace(&tag, &format!("fork{fork}"))
            .replace(line, &format!("RSeq: {rseq}"));
        world.forge(BOB, forged.clone());
        world.forge(BOB, forged.replace("4294967295", "0"));
    }
    world.respond(BOB, incoming, reply(200, Some("answer")));
    world.run(10);
    assert_eq!(world.story(ALICE).last().unwrap(), "answered answer");
    let answer = text(world.last("200 INVITE"));
    let line = answer
        .lines()
        .find(|line| line.starts_with("Session-Expires: "))
        .unwrap();
    world.forge(
        BOB,
        answer.replace(line, "Session-Expires: 4294967295;refresher=uac"),
    );
    world.bye(ALICE, leg);
    world.expect_nothing_left();
}
