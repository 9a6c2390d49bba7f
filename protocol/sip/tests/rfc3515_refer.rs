//! RFC 3515: REFER within a call, RFC 4488, RFC 3892; RFC 3891: Replaces.

use crate::support::agents::{
    ALICE, BOB, World, all_extensions, anew, invite_to_bob, name_addr, reply, status, uri,
};
use offhook_sip::Header;
use offhook_sip::user_agent::{
    ActionError, LegId, Notice, OutgoingRefer, Referral, ReferralId, ReplacedDialog, Reply,
};
use offhook_sip_message::{HeaderName, StatusCode};

fn world() -> World {
    World::extended([all_extensions(), all_extensions()])
}

fn to_carol() -> OutgoingRefer {
    OutgoingRefer {
        to: uri("sip:carol@192.0.2.7"),
        replaces: None,
        referred_by: Some(name_addr("sip:alice@192.0.2.9")),
        headers: Vec::new(),
    }
}

fn refer(world: &mut World, leg: LegId, refer: OutgoingRefer) {
    world.agents[ALICE].ua.refer(world.now(), leg, refer).unwrap();
    world.run(10);
}

/// A call in which Alice has asked Bob to call Carol; her leg and his.
fn referred() -> (World, LegId, LegId) {
    let mut world = world();
    let (alices, bobs) = world.in_call();
    refer(&mut world, alices, to_carol());
    (world, alices, bobs)
}

fn asked(world: &World) -> (ReferralId, &Referral) {
    let found = world.agents[BOB]
        .notices
        .iter()
        .rev()
        .find_map(|notice| match notice {
            Notice::ReferRequested { referral, to, .. } => Some((*referral, &**to)),
            _ => None,
        });
    found.expect("a REFER was reported")
}

/// Bob follows the REFER that he was sent last.
fn accept(world: &mut World, bobs: LegId) {
    let (referral, _) = asked(world);
    world.agents[BOB]
        .ua
        .accept_refer(world.now(), bobs, referral)
        .unwrap();
}

fn progress(world: &World) -> Vec<(u16, bool)> {
    let told = world.agents[ALICE]
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::ReferProgress { status, finished, .. } => Some((status.code(), *finished)),
            _ => None,
        });
    told.collect()
}

#[test]
fn rfc3515_2_4_a_transfer_is_accepted_and_its_course_told() {
    let (mut world, alices, bobs) = referred();
    let (referral, to) = asked(&world);
    assert_eq!(to.target, uri("sip:carol@192.0.2.7"));
    assert_eq!(to.replaces, None);
    assert_eq!(
        to.referred_by.as_ref().map(|by| by.as_bytes()),
        Some(&b"<sip:alice@192.0.2.9>"[..])
    );
    accept(&mut world, bobs);
    world.run(10);
    for code in [180, 200] {
        let now = world.now();
        let ua = &mut world.agents[BOB].ua;
        ua.refer_progress(now, bobs, referral, status(code)).unwrap();
        world.run(10);
    }
    assert_eq!(world.story(ALICE), ["response 202 REFER"]);
    assert_eq!(progress(&world), [(100, false), (180, false), (200, true)]);
    assert!(
        world
            .last("NOTIFY")
            .first(HeaderName::SubscriptionState)
            .unwrap()
            .starts_with(b"terminated")
    );
    let over = world.agents[BOB]
        .ua
        .refer_progress(world.now(), bobs, referral, status(200));
    assert_eq!(over, Err(ActionError::Gone));
    world.bye(ALICE, alices);
    world.expect_nothing_left();
}

/// RFC 3261 §25.1: a user part may hold what begins the headers elsewhere.
#[test]
fn rfc3261_19_1_1_a_question_mark_in_the_user_part_stays_in_it() {
    let mut world = world();
    let (alices, bobs) = world.in_call();
    let whom = uri("sip:conf?room=5@192.0.2.7;transport=udp");
    refer(
        &mut world,
        alices,
        OutgoingRefer {
            to: whom.clone(),
            replaces: Some(ReplacedDialog {
                call_id: "c".into(),
                to_tag: "t".into(),
                from_tag: "f".into(),
                early_only: false,
            }),
            ..to_carol()
        },
    );
    let (_, to) = asked(&world);
    assert_eq!(to.target, whom);
    assert!(to.replaces.is_some());
    accept(&mut world, bobs);
    world.bye(ALICE, alices);
    world.expect_nothing_left();
}

#[test]
fn rfc3515_2_4_2_a_transfer_is_declined() {
    let (mut world, alices, bobs) = referred();
    let (referral, _) = asked(&world);
    let now = world.now();
    world.agents[BOB]
        .ua
        .decline_refer(now, bobs, referral, StatusCode::DECLINE)
        .unwrap();
    world.run(10);
    assert_eq!(world.story(ALICE), ["response 603 REFER"]);
    assert_eq!(progress(&world), []);
    world.run(200_000);
    assert_eq!(progress(&world), []);
    world.bye(ALICE, alices);
    world.expect_nothing_left();
}

#[test]
fn rfc4488_4_without_subscription_there_are_no_notifies() {
    let mut world = world();
    let (alices, bobs) = world.in_call();
    let mut silent = to_carol();
    silent.headers.push(Header::new("Refer-Sub", "false").unwrap());
    refer(&mut world, alices, silent);
    accept(&mut world, bobs);
    world.run(10);
    assert_eq!(progress(&world), [(202, true)]);
    assert!(!world.flow().iter().any(|line| line.ends_with("NOTIFY")));
    world.bye(ALICE, alices);
    world.expect_nothing_left();
}

#[test]
fn a_transfer_whose_outcome_nobody_tells_ends_after_three_minutes() {
    let (mut world, alices, bobs) = referred();
    accept(&mut world, bobs);
    world.run(181_000);
    assert_eq!(progress(&world), [(100, false), (408, true)]);
    world.bye(ALICE, alices);
    world.expect_nothing_left();
}

#[test]
fn rfc3515_2_4_2_a_refer_that_nobody_should_follow_is_refused() {
    let (mut world, _, bobs) = referred();
    let refer = world.last("REFER").clone();
    for (number, (from, to, status)) in [
        ("Refer-To:", "X-Refer-To:", 400),
        ("Referred-By:", "Refer-To: <sip:x@192.0.2.7>\r\nReferred-By:", 400),
        ("carol@192.0.2.7", "carol@192.0.2.7;method=BYE", 501),
        ("carol@192.0.2.7", "carol@192.0.2.7?Replaces=nonsense", 400),
        ("sip:carol@192.0.2.7", "https://192.0.2.7/carol", 416),
        ("sip:carol@192.0.2.7", "mailto:carol@192.0.2.7", 416),
        (
            "carol@192.0.2.7",
            "carol@192.0.2.7?Route=%3Csip%3Ax@192.0.2.66%3E",
            400,
        ),
        (
            "carol@192.0.2.7",
            "carol@192.0.2.7?X-A=1&froM=sip%3Aceo@192.0.2.7",
            400,
        ),
        ("carol@192.0.2.7", "carol@192.0.2.7?X-A=1%0d%0aVia:%20x", 400),
    ]
    .into_iter()
    .enumerate()
    {
        let forged = anew(&refer, 10 + number as u32).replace(from, to);
        world.forge(ALICE, forged);
        let answer = world.flow().into_iter().rfind(|line| line.starts_with("1>9"));
        assert_eq!(answer, Some(format!("1>9 {status} REFER")), "{to}");
    }
    world.bye(BOB, bobs);
    world.expect_nothing_left();
}

#[test]
fn refers_in_a_loop_are_stopped() {
    let mut world = world();
    let (alices, bobs) = world.in_call();
    let mut statuses = Vec::new();
    for _ in 0..17 {
        refer(&mut world, alices, to_carol());
        let notices = std::mem::take(&mut world.agents[BOB].notices);
        for notice in notices {
            let Notice::ReferRequested { referral, .. } = notice else {
                panic!("{notice:?}");
            };
            let now = world.now();
            let ua = &mut world.agents[BOB].ua;
            ua.decline_refer(now, bobs, referral, StatusCode::DECLINE)
                .unwrap();
            world.run(10);
        }
        statuses.push(world.story(ALICE).pop().unwrap());
    }
    assert_eq!(statuses[15], "response 603 REFER");
    assert_eq!(statuses[16], "response 482 REFER");
    world.bye(ALICE, alices);
    world.expect_nothing_left();
}

#[test]
fn a_third_refer_at_a_time_is_refused_on_both_sides() {
    let (mut world, alices, bobs) = referred();
    refer(&mut world, alices, to_carol());
    let third = world.agents[ALICE].ua.refer(world.now(), alices, to_carol());
    assert!(matches!(third, Err(ActionError::State(_))), "{third:?}");
    let third = anew(world.last("REFER"), 10);
    world.forge(ALICE, third);
    assert!(world.last("500 REFER").has(HeaderName::RetryAfter));
    world.bye(BOB, bobs);
    world.expect_nothing_left();
}

#[test]
fn a_notify_that_nobody_waits_for_gets_481_and_another_event_489() {
    let (mut world, alices, bobs) = referred();
    accept(&mut world, bobs);
    world.run(10);
    let notify = world.last("NOTIFY").clone();
    let about = |event: &str, cseq| {
        let text = anew(&notify, cseq);
        let line = text.lines().find(|line| line.starts_with("Event: ")).unwrap();
        text.replace(line, event)
    };
    world.forge(BOB, about("Event: refer;id=77", 8));
    world.forge(BOB, about("Event: presence", 9));
    assert_eq!(
        world.last("481 NOTIFY").status(),
        Some(StatusCode::CALL_DOES_NOT_EXIST)
    );
    assert_eq!(world.last("489 NOTIFY").status(), Some(StatusCode::BAD_EVENT));
    assert_eq!(progress(&world), [(100, false)]);
    world.bye(ALICE, alices);
    world.expect_nothing_left();
}

#[test]
fn rfc3891_the_replaces_of_a_refer_comes_back_in_the_invite_and_finds_its_call() {
    let mut world = world();
    let (alices, bobs) = world.in_call();
    let replaced = ReplacedDialog::of_dialog(world.agents[ALICE].ua.dialog(alices).unwrap());
    let attended = OutgoingRefer {
        replaces: Some(replaced.clone()),
        ..to_carol()
    };
    refer(&mut world, alices, attended);
    assert_eq!(asked(&world).1.replaces, Some(replaced.clone()));
    assert_eq!(asked(&world).1.target, uri("sip:carol@192.0.2.7"));
    let mut invite = invite_to_bob();
    invite.headers.push(replaced.header().unwrap());
    world.call_with(invite);
    let (new, incoming) = world.incoming(BOB);
    assert_eq!(world.agents[BOB].ua.replaced_by(new), Some(bobs));
    world.respond(BOB, incoming, reply(200, Some("answer")));
    world.run(10);
    assert!(world.story(BOB).contains(&"terminated local".to_owned()));
    assert_eq!(world.agents[BOB].ua.dialog(bobs), None);
    assert_eq!(world.agents[BOB].ua.replaced_by(new), None);
    world.bye(BOB, new);
    world.expect_nothing_left();
}

#[test]
fn rfc3891_3_what_cannot_be_replaced() {
    for (change, expected) in [
        ("none", "failed 481"),
        ("early", "failed 486"),
        ("twice", "failed 400"),
        ("broken", "failed 400"),
    ] {
        let mut world = world();
        let (alices, _) = world.in_call();
        let mut replaced = ReplacedDialog::of_dialog(world.agents[ALICE].ua.dialog(alices).unwrap());
        match change {
            "none" => replaced.to_tag = "other".into(),
            "early" => replaced.early_only = true,
            _ => {}
        }
        let mut invite = invite_to_bob();
        invite.headers.push(replaced.header().unwrap());
        match change {
            "twice" => invite.headers.push(replaced.header().unwrap()),
            "broken" => invite.headers = vec![Header::new("Replaces", "x;to-tag=1").unwrap()],
            _ => {}
        }
        world.call_with(invite);
        assert_eq!(world.story(ALICE), [expected], "{change}");
        world.bye(ALICE, alices);
        world.expect_nothing_left();
    }
}

#[test]
fn rfc3891_3_an_early_call_can_be_replaced_only_where_it_was_placed() {
    let mut world = world();
    let alices = world.call();
    let (bobs, incoming) = world.incoming(BOB);
    world.respond(BOB, incoming, Reply::new(status(180)));
    // Bob takes the call of alice's that still rings at his own phone: alice is its caller.
    let replaced = ReplacedDialog::of_dialog(world.agents[BOB].ua.dialog(bobs).unwrap());
    let mut invite = invite_to_bob();
    invite.destination = offhook_sip::Flow::udp(crate::support::agents::ADDRESSES[ALICE].parse().unwrap());
    invite.headers.push(replaced.header().unwrap());
    world.agents[BOB].ua.invite(world.now(), invite).unwrap();
    world.run(10);
    let (new, picked) = world.incoming(ALICE);
    assert_eq!(world.agents[ALICE].ua.replaced_by(new), Some(alices));
    world.respond(ALICE, picked, Reply::new(status(200)));
    world.run(10);
    assert!(
        world.story(ALICE).contains(&"failed 487".to_owned()),
        "{:?}",
        world.story(ALICE)
    );
    assert!(world.story(BOB).contains(&"cancelled".to_owned()));
    world.bye(ALICE, new);
    world.expect_nothing_left();

    let mut world = self::world();
    let (alices, incoming) = world.called();
    world.respond(BOB, incoming, Reply::new(status(180)));
    let replaced = ReplacedDialog::of_dialog(world.agents[ALICE].ua.dialog(alices).unwrap());
    let mut invite = invite_to_bob();
    invite.headers.push(replaced.header().unwrap());
    world.call_with(invite);
    assert_eq!(world.story(ALICE).last().unwrap(), "failed 481");
    world.cancel(ALICE, alices);
    world.expect_nothing_left();
}
