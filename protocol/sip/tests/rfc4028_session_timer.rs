//! RFC 4028: session timers.

use crate::support::agents::{ALICE, BOB, World, invite_to_bob, sdp, session_timer, status};
use offhook_sip::Header;
use offhook_sip::user_agent::{Extensions, Notice, Reply, SessionTimer, SessionTimerMode};
use offhook_sip_message::header::{MinSe, Refresher, SessionExpires};
use offhook_sip_message::{HeaderName, Message, Method};
use std::time::Duration;

const OFF: SessionTimerMode = SessionTimerMode::Off;
const ACCEPT: SessionTimerMode = SessionTimerMode::Accept;
const REQUIRE: SessionTimerMode = SessionTimerMode::Require;

fn with(session_timer: SessionTimer) -> Extensions {
    Extensions {
        session_timer,
        ..Extensions::default()
    }
}

fn world(alices: SessionTimerMode, bobs: SessionTimerMode) -> World {
    World::extended([with(session_timer(alices)), with(session_timer(bobs))])
}

/// Without UPDATE in Allow, so that refreshes are re-INVITEs.
fn hide_update(message: &Message) -> String {
    let text = String::from_utf8(message.bytes().to_vec()).unwrap();
    text.lines()
        .filter(|line| !line.starts_with("Allow:"))
        .map(|line| format!("{line}\r\n"))
        .collect::<String>()
        .trim_end()
        .to_owned()
        + "\r\n\r\n"
}

fn granted(message: &Message) -> Option<(u32, Option<Refresher>)> {
    let expires = message.get::<SessionExpires>()?.unwrap();
    Some((expires.seconds, expires.refresher))
}

#[test]
fn rfc4028_9_table_2_who_refreshes() {
    for (alices, bobs, expected) in [
        (REQUIRE, ACCEPT, Some((1800, Some(Refresher::Uac)))),
        (REQUIRE, REQUIRE, Some((1800, Some(Refresher::Uac)))),
        (ACCEPT, REQUIRE, Some((1800, Some(Refresher::Uac)))),
        (OFF, REQUIRE, Some((1800, Some(Refresher::Uas)))),
        (ACCEPT, ACCEPT, None),
        (REQUIRE, OFF, None),
    ] {
        let mut world = world(alices, bobs);
        let (leg, incoming) = world.called();
        world.respond(BOB, incoming, Reply::new(status(200)));
        let answer = world.last("200 INVITE");
        assert_eq!(granted(answer), expected, "{alices:?} {bobs:?}");
        let uac = expected.is_some_and(|(_, refresher)| refresher == Some(Refresher::Uac));
        assert_eq!(answer.lists(HeaderName::Require, "timer"), uac);
        world.bye(ALICE, leg);
        world.expect_nothing_left();
    }
}

#[test]
fn rfc4028_9_the_callee_may_shorten_the_interval_but_not_below_min_se() {
    for (bobs_interval, min_se, expected) in [(600, None, 600), (100, Some("300"), 300)] {
        let bobs = SessionTimer {
            interval: Duration::from_secs(bobs_interval),
            ..session_timer(ACCEPT)
        };
        let mut world = World::extended([with(session_timer(REQUIRE)), with(bobs)]);
        let mut invite = invite_to_bob();
        invite
            .headers
            .extend(min_se.map(|min| Header::new("Min-SE", min).unwrap()));
        let leg = world.call_with(invite);
        let (_, incoming) = world.incoming(BOB);
        world.respond(BOB, incoming, Reply::new(status(200)));
        assert_eq!(granted(world.last("200 INVITE")).unwrap().0, expected);
        world.bye(ALICE, leg);
        world.expect_nothing_left();
    }
}

#[test]
fn rfc4028_7_4_the_refresher_sends_update_at_half_time_and_the_call_stays() {
    let mut world = world(REQUIRE, ACCEPT);
    let (leg, _) = world.in_call();
    world.run(3 * 3_600_000);
    let updates = world.flow().iter().filter(|line| *line == "9>1 UPDATE").count();
    assert_eq!(
        updates, 12,
        "every 900 s for three hours, less what the call took to start"
    );
    assert_eq!(granted(world.last("UPDATE")), Some((1800, Some(Refresher::Uac))));
    assert!(world.last("UPDATE").body().is_empty());
    assert_eq!(world.story(ALICE), [""; 0]);
    assert_eq!(world.story(BOB), [""; 0]);
    world.bye(ALICE, leg);
    world.expect_nothing_left();
}

#[test]
fn rfc4028_7_4_without_update_the_last_sdp_is_sent_again_unchanged() {
    let mut world = World::extended([with(session_timer(REQUIRE)), with(session_timer(ACCEPT))]);
    let leg = world.call();
    let (bobs, incoming) = world.incoming(BOB);
    world.weather.loss = 100;
    let answer = Reply {
        body: sdp("answer"),
        ..Reply::new(status(200))
    };
    world.respond(BOB, incoming, answer);
    world.weather.loss = 0;
    let answer = hide_update(world.last("200 INVITE"));
    let answer = answer.trim_end().trim_end_matches("answer").trim_end().to_owned() + "\r\n\r\nanswer";
    world.forge(BOB, answer);
    world.run(900_010);
    assert_eq!(world.last("INVITE").body(), b"offer");
    assert_eq!(world.story(BOB).last().unwrap(), "INVITE offer");
    let (incoming, _) = world.incoming_request(BOB);
    let again = Reply {
        body: sdp("answer"),
        ..Reply::new(status(200))
    };
    world.respond(BOB, incoming, again);
    world.run(10);
    assert!(matches!(&world.agents[ALICE].notices[..],
        [Notice::SessionRefreshed { response, .. }] if response.body() == b"answer"));
    world.bye(BOB, bobs);
    world.run(10);
    assert_eq!(world.story(ALICE).last().unwrap(), "terminated remote");
    assert_eq!(world.agents[ALICE].ua.dialog(leg), None);
    world.expect_nothing_left();
}

#[test]
fn rfc4028_10_a_session_that_nobody_refreshes_ends_with_bye() {
    let mut world = world(REQUIRE, ACCEPT);
    let (alices, bobs) = world.in_call();
    // Alice is gone: bob, who does not refresh, gives up 32 s before the end.
    world.agents[ALICE].ua.release_leg(alices).unwrap();
    world.run(1_700_000);
    assert_eq!(world.story(BOB), [""; 0]);
    world.run(68_000);
    assert_eq!(world.story(BOB), ["terminated lost"]);
    assert!(matches!(&world.agents[BOB].notices[..], [Notice::SessionExpired { leg }] if *leg == bobs));
    assert!(world.last("BYE").has(HeaderName::Reason));
    world.expect_nothing_left();
}

#[test]
fn rfc4028_10_a_refresher_that_gets_no_answer_ends_the_call() {
    let mut world = world(REQUIRE, OFF);
    let (_, bobs) = world.in_call();
    world.weather.loss = 100;
    world.run(900_000 + 33_000);
    assert_eq!(world.story(ALICE), ["terminated lost"]);
    world.bye(BOB, bobs);
    world.expect_nothing_left();
}

#[test]
fn rfc4028_9_too_brief_an_interval_gets_422_and_is_raised() {
    let alices = SessionTimer {
        interval: Duration::from_secs(120),
        ..session_timer(REQUIRE)
    };
    let bobs = SessionTimer {
        min: Duration::from_secs(600),
        ..session_timer(ACCEPT)
    };
    let mut world = World::extended([with(alices), with(bobs)]);
    let leg = world.call();
    assert_eq!(world.last("422 INVITE").require::<MinSe>().unwrap(), MinSe(600));
    assert_eq!(granted(world.last("INVITE")), Some((600, None)));
    assert_eq!(world.last("INVITE").require::<MinSe>().unwrap(), MinSe(600));
    let (_, incoming) = world.incoming(BOB);
    world.respond(BOB, incoming, Reply::new(status(200)));
    assert_eq!(granted(world.last("200 INVITE")).unwrap().0, 600);
    world.bye(ALICE, leg);
    world.expect_nothing_left();
}

#[test]
fn rfc4028_7_4_a_422_without_end_is_given_up() {
    let mut world = World::extended([with(session_timer(REQUIRE)), Extensions::default()]);
    world.call();
    for _ in 0..5 {
        let (_, incoming) = world.incoming(BOB);
        let mut reply = Reply::new(status(422));
        reply.headers.push(Header::new("Min-SE", "4000000000").unwrap());
        world.respond(BOB, incoming, reply);
        world.run(10);
    }
    assert_eq!(world.story(ALICE), ["failed 422"]);
    world.expect_nothing_left();
}

#[test]
fn a_re_invite_of_the_owners_refreshes_too() {
    let mut world = world(REQUIRE, ACCEPT);
    let (leg, _) = world.in_call();
    world.run(800_000);
    world.request(ALICE, leg, Method::Invite, sdp("hold"));
    world.run(10);
    let (incoming, _) = world.incoming_request(BOB);
    world.respond(
        BOB,
        incoming,
        Reply {
            body: sdp("held"),
            ..Reply::new(status(200))
        },
    );
    world.run(899_000);
    assert!(
        !world.flow().contains(&"9>1 UPDATE".to_owned()),
        "{:?}",
        world.flow()
    );
    world.bye(ALICE, leg);
    world.expect_nothing_left();
}
