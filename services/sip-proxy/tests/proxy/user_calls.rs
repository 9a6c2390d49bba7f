//! A user's calls are counted over browsers and phones, placed and taken, and over the limit the user is busy.

use crate::phone_calls::phone_with_carrier;
use crate::phones::{credentials, desk, registered};
use crate::world::*;
use offhook_sip_message::{HeaderName, Message, Method};
use offhook_sip_proxy::dial_plan::{Assignment, Destination, Unanswered};
use offhook_sip_proxy::proxy::Settings;
use std::time::Duration;

const USER: HeaderName<'static> = HeaderName::custom("X-Offhook-User");

/// Alice has a phone and may have so many calls.
fn limited(calls_max: usize, change: impl FnOnce(&mut Settings)) -> World {
    let mut settings = settings();
    for name in ["alice", "bob"] {
        settings.dial_plan.add_user(user(name));
    }
    settings.phones.insert(user("alice"), credentials("right").into());
    settings.calls_max.insert(user("alice"), calls_max);
    change(&mut settings);
    let mut world = World::with(settings);
    registered(&mut world, desk());
    world
}

fn call_alice(world: &mut World, id: &str) {
    let invite = text(&carrier_invite("1555010", &[])).replace("in-1555010", id);
    world.receive(
        carrier_a(),
        invite.replace("1555010@carrier", &format!("{id}@carrier")),
    );
}

/// The next call from the carrier is refused as busy, and nobody is disturbed.
#[track_caller]
fn assert_busy(world: &mut World, id: &str) {
    call_alice(world, id);
    assert_eq!(world.last_status(carrier_a()), 486);
    assert!(world.sent.is_empty(), "{:?}", world.sent);
}

#[test]
fn a_phone_that_talks_makes_its_user_busy_until_bye() {
    let mut world = limited(1, |_| {});
    let (at_carrier, _) = phone_with_carrier(&mut world);
    assert_busy(&mut world, "second");
    world.receive_message(carrier_a(), &carrier_request(&at_carrier, Method::Bye, 2));
    let bye = world.take(desk());
    world.receive_message(desk(), &answer(&bye, 200));
    world.take_all(carrier_a());
    call_alice(&mut world, "third");
    assert_eq!(world.take(vsp()).method(), Some(&Method::Invite));
    assert_eq!(world.take(desk()).method(), Some(&Method::Invite));
}

#[test]
fn who_hangs_up_is_free_though_nobody_answers_the_bye() {
    let mut world = limited(1, |_| {});
    let (_, ok) = phone_with_carrier(&mut world);
    assert_busy(&mut world, "second");
    world.receive_message(desk(), &in_dialog(&ok, Method::Bye, None));
    world.take(gateway());
    assert_eq!(world.proxy.counts().places, 0);
    call_alice(&mut world, "third");
    world.take(desk());
}

#[test]
fn a_bye_that_belongs_to_no_call_ends_no_other_for_the_count() {
    let mut world = limited(1, |_| {});
    let (_, ok) = phone_with_carrier(&mut world);
    let bye = text(&in_dialog(&ok, Method::Bye, None)).replace("tag=carriertag", "tag=made-up");
    world.receive(desk(), bye);
    let bye = world.take(gateway());
    world.receive_message(gateway(), &answer(&bye, 481));
    assert_eq!(world.last_status(desk()), 481);
    assert_busy(&mut world, "second");
}

#[test]
fn the_end_of_a_second_answer_is_not_the_end_of_the_call() {
    let mut world = limited(1, |_| {});
    call_alice(&mut world, "first");
    let (at_vsp, at_phone) = (world.take(vsp()), world.take(desk()));
    world.receive_message(vsp(), &answer(&at_vsp, 200));
    world.receive(
        desk(),
        text(&answer(&at_phone, 200)).replace("tag=carriertag", "tag=second"),
    );
    let answers = world.take_all(carrier_a());
    let second = answers.last().expect("a second 200");
    assert_eq!(second.to_tag(), Some(&b"second"[..]));
    world.sent.clear();
    world.receive_message(carrier_a(), &in_dialog(second, Method::Bye, None));
    let bye = world.take(desk());
    world.receive_message(desk(), &answer(&bye, 200));
    world.sent.clear();
    assert_busy(&mut world, "second");
    let bye = in_dialog(&answers[answers.len() - 2], Method::Bye, None);
    world.receive(carrier_a(), text(&bye).replace("dialog-BYE", "first-BYE"));
    let bye = world.take(gateway());
    world.receive_message(gateway(), &answer(&bye, 200));
    assert_eq!(world.proxy.counts().places, 0);
}

#[test]
fn a_call_that_rings_counts_once_for_browser_and_phone_and_nothing_stays_of_it() {
    let mut world = limited(2, |_| {});
    call_alice(&mut world, "first");
    let (at_vsp, at_phone) = (world.take(vsp()), world.take(desk()));
    call_alice(&mut world, "second");
    world.take_all(vsp());
    world.take_all(desk());
    world.take_all(carrier_a());
    assert_busy(&mut world, "third");
    world.receive_message(desk(), &answer(&at_phone, 486));
    world.receive_message(vsp(), &answer(&at_vsp, 480));
    world.sent.clear();
    call_alice(&mut world, "fourth");
    assert_eq!(world.take(vsp()).method(), Some(&Method::Invite));
    world.sent.clear();
    world.pass(Duration::from_secs(600));
    world.sent.clear();
    world.assert_empty();
}

#[test]
fn a_browsers_own_call_counts_as_its_vsp_says_and_as_no_carrier_says() {
    let mut world = limited(1, |_| {});
    let named = |message: Message| text(&message).replace("X-Custom: value 1", "X-Offhook-User: alice");
    world.receive(vsp(), named(invite("123")));
    let at_carrier = world.take(carrier_a());
    assert!(!at_carrier.has(USER));
    world.take_all(vsp());
    assert_busy(&mut world, "second");
    world.receive_message(carrier_a(), &answer(&at_carrier, 603));
    world.sent.clear();
    let bob = carrier_invite("2", &[(USER, "alice")]);
    world.receive_message(carrier_a(), &bob);
    world.sent.clear();
    call_alice(&mut world, "third");
    assert_eq!(world.take(vsp()).method(), Some(&Method::Invite));
}

#[test]
fn who_is_busy_is_passed_over_where_the_number_says_so() {
    let team = |next_on: Vec<Unanswered>| Assignment {
        destinations: vec![Destination::User(user("alice")), Destination::User(user("bob"))],
        ring_timeout: None,
        next_on,
    };
    for (next_on, goes_on) in [(vec![Unanswered::Busy], true), (vec![Unanswered::Offline], false)] {
        let mut world = limited(1, |settings| {
            settings
                .dial_plan
                .add_number(&number("+1555020"), team(next_on.clone()));
        });
        call_alice(&mut world, "first");
        world.sent.clear();
        world.receive_message(carrier_a(), &carrier_invite("1555020", &[]));
        let rung: Vec<String> = world.take_all(vsp()).iter().map(uri_of).collect();
        match goes_on {
            true => assert_eq!(rung, ["sip:bob@voice.example.com"]),
            false => assert_eq!((rung.len(), world.last_status(carrier_a())), (0, 486)),
        }
    }
}
