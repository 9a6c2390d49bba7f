//! Calls of carriers to numbers of ours: who is tried, in which order, and what the caller hears (R30).

use crate::world::*;
use offhook_sip_message::{HeaderName, Method};
use offhook_sip_proxy::dial_plan::{Assignment, Destination, Prefix, Rewrite, Unanswered};
use offhook_sip_proxy::proxy::{CalledNumber, Refusal};
use std::time::Duration;

/// +1700 is for alice, then bob, then the number 2800 behind carrier b.
fn hunting(next_on: &[Unanswered]) -> World {
    let mut settings = settings();
    let assignment = Assignment {
        destinations: vec![
            Destination::User(user("alice")),
            Destination::User(user("bob")),
            Destination::Number(number("2800")),
        ],
        ring_timeout: Some(Duration::from_secs(20)),
        next_on: next_on.to_vec(),
    };
    settings.dial_plan.add_number(&number("+1700"), assignment);
    World::with(settings)
}

#[test]
fn the_called_number_travels_in_to_and_p_called_party_id() {
    let mut world = World::new();
    let at_vsp = world.call_in("1555010");
    assert_eq!(uri_of(&at_vsp), "sip:alice@voice.example.com");
    assert_eq!(value(&at_vsp, "To"), "<sip:1555010@10.0.0.2:5060>");
    assert_eq!(
        value(&at_vsp, "P-Called-Party-ID"),
        "<sip:1555010@voice.example.com>"
    );
}

#[test]
fn an_unknown_number_is_404_and_a_word_is_none() {
    for (called, reason) in [("+4999", Refusal::NoRoute), ("alice", Refusal::BadNumber)] {
        let mut world = World::new();
        world.receive_message(carrier_a(), &carrier_invite(called, &[]));
        assert_eq!(
            (world.last_status(carrier_a()), world.refused),
            (404, vec![reason])
        );
    }
}

#[test]
fn each_carrier_has_its_own_way_to_write_numbers() {
    let mut settings = settings();
    let prefix = |text| Prefix::new(text).expect("digits");
    settings.carriers[0].inbound = vec![
        Rewrite {
            prefix: prefix("00"),
            replace: prefix("+"),
        },
        Rewrite {
            prefix: prefix(""),
            replace: prefix("+1"),
        },
    ];
    for called in ["001555010", "555010"] {
        let mut world = World::with(settings.clone());
        assert_eq!(
            uri_of(&world.call_in(called)),
            "sip:alice@voice.example.com",
            "{called}"
        );
    }
    settings.carriers[0].called_number = CalledNumber::To;
    let mut world = World::with(settings);
    let invite = text(&carrier_invite("555010", &[]));
    let account = invite.replacen("INVITE sip:555010@", "INVITE sip:our-account@", 1);
    world.receive(carrier_a(), account);
    assert_eq!(uri_of(&world.take(vsp())), "sip:alice@voice.example.com");
}

#[test]
fn busy_and_offline_lead_to_the_next_and_the_last_answer_comes_from_a_carrier() {
    let mut world = hunting(&Unanswered::DEFAULT);
    let alice = world.call_in("+1700");
    assert_eq!(uri_of(&alice), "sip:alice@voice.example.com");
    world.receive_message(vsp(), &answer(&alice, 180));
    assert_eq!(world.last_status(carrier_a()), 180);
    world.receive_message(vsp(), &answer(&alice, 486));
    let sent = world.take_all(vsp());
    assert_eq!(sent[0].method(), Some(&Method::Ack));
    let bob = &sent[1];
    assert_eq!(uri_of(bob), "sip:bob@voice.example.com");
    assert_eq!(
        cseq(bob),
        cseq(&alice) + 1,
        "or the user agent takes it for a merged request"
    );
    world.receive_message(vsp(), &answer(bob, 480));
    world.take_all(vsp());
    let outside = world.take(carrier_b());
    assert_eq!(uri_of(&outside), "sip:2800@192.0.2.2:5080");
    assert_eq!(value(&outside, "P-Called-Party-ID"), "");
    assert!(world.take_all(carrier_a()).is_empty(), "nothing final so far");
    world.receive_message(carrier_b(), &answer(&outside, 200));
    let ok = world.take(carrier_a());
    assert_eq!((status_of(&ok), cseq(&ok)), (200, 1));
    assert_eq!(world.proxy.counts().hunted_total, 2);
}

#[test]
fn the_second_users_dialog_works_in_both_directions() {
    let mut world = hunting(&Unanswered::DEFAULT);
    let alice = world.call_in("+1700");
    world.receive_message(vsp(), &answer(&alice, 486));
    let bob = world.take_all(vsp()).pop().expect("bob is called");
    let ok = text(&answer(&bob, 200)).replace("192.0.2.77:5999", "10.0.0.1:5070");
    world.receive(vsp(), ok);
    let ok = world.take(carrier_a());
    assert_eq!((status_of(&ok), cseq(&ok)), (200, 1));
    // The caller counts from 1, bob from 2.
    world.receive_message(carrier_a(), &in_dialog(&ok, Method::Ack, None));
    assert_eq!(cseq(&world.take(vsp())), 2);
    world.receive_message(carrier_a(), &in_dialog(&ok, Method::Bye, None));
    let bye = world.take(vsp());
    assert_eq!(cseq(&bye), 3);
    world.receive_message(vsp(), &answer(&bye, 200));
    let done = world.take(carrier_a());
    assert_eq!((status_of(&done), cseq(&done)), (200, 2));
    world.assert_empty();
}

#[test]
fn no_answer_leads_to_the_next_after_ring_timeout() {
    let mut world = hunting(&[Unanswered::NoAnswer]);
    let alice = world.call_in("+1700");
    world.receive_message(vsp(), &answer(&alice, 180));
    world.take_all(carrier_a());
    world.pass(Duration::from_secs(10));
    // A further 180 does not wind the timer up again.
    world.receive_message(vsp(), &answer(&alice, 180));
    world.take_all(carrier_a());
    world.pass(Duration::from_secs(10));
    let cancel = world.take(vsp());
    assert_eq!(
        (cancel.method(), uri_of(&cancel)),
        (Some(&Method::Cancel), uri_of(&alice))
    );
    world.receive_message(vsp(), &answer(&cancel, 200));
    world.receive_message(vsp(), &answer(&alice, 487));
    let bob = world.take_all(vsp()).pop().expect("bob is called");
    assert_eq!(uri_of(&bob), "sip:bob@voice.example.com");
    assert!(
        world.take_all(carrier_a()).is_empty(),
        "the caller hears nothing of it"
    );
    world.receive_message(vsp(), &answer(&bob, 603));
    assert_eq!(world.last_status(carrier_a()), 603);
    world.assert_empty();
}

#[test]
fn who_does_not_even_answer_the_cancel_is_left_behind() {
    let mut world = hunting(&[Unanswered::NoAnswer]);
    let alice = world.call_in("+1700");
    world.receive_message(vsp(), &answer(&alice, 180));
    world.pass(Duration::from_secs(22));
    let bob = world.take_all(vsp()).pop().expect("bob is called");
    assert_eq!(uri_of(&bob), "sip:bob@voice.example.com");
    // A late pick-up by alice still counts while bob rings; bob is cancelled.
    world.receive_message(vsp(), &answer(&bob, 180));
    world.take_all(carrier_a());
    world.receive_message(vsp(), &answer(&alice, 200));
    assert_eq!(world.last_status(carrier_a()), 200);
    let cancel = world.take_all(vsp()).pop().expect("bob is cancelled");
    assert_eq!(
        (cancel.method(), uri_of(&cancel)),
        (Some(&Method::Cancel), uri_of(&bob))
    );
}

#[test]
fn only_configured_reasons_lead_on() {
    for (status, next_on, goes_on) in [
        (486, Unanswered::Offline, false),
        (480, Unanswered::Busy, false),
        (487, Unanswered::Busy, false),
        (603, Unanswered::Busy, false),
        (488, Unanswered::Offline, false),
        (487, Unanswered::Rejected, true),
        (603, Unanswered::Rejected, true),
        (404, Unanswered::Offline, true),
    ] {
        let mut world = hunting(&[next_on]);
        let alice = world.call_in("+1700");
        world.receive_message(vsp(), &answer(&alice, status));
        let next = world
            .take_all(vsp())
            .into_iter()
            .any(|sent| sent.method() == Some(&Method::Invite));
        assert_eq!(next, goes_on, "{status} {next_on:?}");
        if !goes_on {
            assert_eq!(world.last_status(carrier_a()), status, "passed as it came");
        }
    }
}

#[test]
fn a_480_after_ringing_is_no_answer() {
    let mut world = hunting(&[Unanswered::NoAnswer]);
    let alice = world.call_in("+1700");
    world.receive_message(vsp(), &answer(&alice, 180));
    world.receive_message(vsp(), &answer(&alice, 480));
    assert_eq!(
        uri_of(&world.take_all(vsp()).pop().expect("bob")),
        "sip:bob@voice.example.com"
    );
}

#[test]
fn when_nobody_takes_the_call_busy_is_told_before_offline() {
    let mut settings = settings();
    let destinations = ["alice", "bob"].map(|name| Destination::User(user(name)));
    let assignment = Assignment {
        destinations: destinations.to_vec(),
        ring_timeout: None,
        next_on: Unanswered::DEFAULT.to_vec(),
    };
    settings.dial_plan.add_number(&number("+1700"), assignment);
    for (first, second) in [(480, 486), (486, 480)] {
        let mut world = World::with(settings.clone());
        let alice = world.call_in("+1700");
        world.receive_message(vsp(), &answer(&alice, first));
        let bob = world.take_all(vsp()).pop().expect("bob");
        world.receive_message(vsp(), &answer(&bob, second));
        assert_eq!(world.last_status(carrier_a()), 486);
    }
}

#[test]
fn the_caller_may_hang_up_while_the_second_rings() {
    let mut world = hunting(&Unanswered::DEFAULT);
    let alice = world.call_in("+1700");
    world.receive_message(vsp(), &answer(&alice, 486));
    let bob = world.take_all(vsp()).pop().expect("bob");
    world.receive_message(vsp(), &answer(&bob, 180));
    world.take_all(carrier_a());
    let cancel = text(&carrier_invite("+1700", &[])).replace("INVITE", "CANCEL");
    world.receive(carrier_a(), cancel);
    assert_eq!(world.last_status(carrier_a()), 200);
    let cancel = world.take(vsp());
    assert_eq!(cancel.method(), Some(&Method::Cancel));
    world.receive_message(vsp(), &answer(&bob, 487));
    assert_eq!(world.last_status(carrier_a()), 487);
    world.take_all(vsp());
    world.assert_empty();
}

#[test]
fn each_vsp_is_asked_for_the_users_session() {
    let mut settings = settings();
    let second: std::net::SocketAddr = ([10, 0, 0, 9], 5070).into();
    settings.vsps.push(second);
    let mut world = World::with(settings);
    let first = world.call_in("1555010");
    world.receive_message(vsp(), &answer(&first, 480));
    let at_second = world.take(second);
    assert_eq!(uri_of(&at_second), uri_of(&first));
    assert_eq!(cseq(&at_second), cseq(&first), "another user agent");
    world.receive_message(second, &answer(&at_second, 200));
    assert_eq!(world.last_status(carrier_a()), 200);
}

#[test]
fn replaces_reaches_the_user() {
    let mut world = World::new();
    let replaces = [(HeaderName::Replaces, "other@call;to-tag=1;from-tag=2")];
    world.receive_message(carrier_a(), &carrier_invite("1555010", &replaces));
    assert_eq!(
        value(&world.take(vsp()), "Replaces"),
        "other@call;to-tag=1;from-tag=2"
    );
}
