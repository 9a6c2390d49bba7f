//! RFC 3261 §16.7, §16.8, §16.9: which responses go on, and when the next carrier is tried.

use crate::world::*;
use offhook_sip_message::header::Reason;
use offhook_sip_message::{HeaderName, Method};
use std::time::Duration;

const RING: Duration = Duration::from_secs(185);

#[test]
fn ringing_goes_on_and_100_does_not() {
    let mut world = World::new();
    let (_, at_carrier) = world.call("123", carrier_a());
    world.receive_message(carrier_a(), &answer(&at_carrier, 100));
    assert!(world.sent.is_empty());
    for status in [180, 183] {
        world.receive_message(carrier_a(), &answer(&at_carrier, status));
        let response = world.take(vsp());
        assert_eq!(status_of(&response), status);
        assert_eq!(response.values(HeaderName::Via).count(), 1, "ours is gone");
    }
    world.receive_message(carrier_a(), &answer(&at_carrier, 200));
    assert_eq!(status_of(&world.take(vsp())), 200);
    world.receive_message(carrier_a(), &answer(&at_carrier, 200));
    assert_eq!(status_of(&world.take(vsp())), 200, "a repeated 2xx goes on too");
}

#[test]
fn refusals_of_the_callee_go_on_as_they_are() {
    for status in [302, 404, 480, 486, 600, 603] {
        let mut world = World::new();
        let (_, at_carrier) = world.call("123", carrier_a());
        let reason = [(HeaderName::Reason, "Q.850;cause=17")];
        world.receive_message(carrier_a(), &answer_with(&at_carrier, status, &reason));
        assert_eq!(world.take(carrier_a()).method(), Some(&Method::Ack));
        let refusal = world.take(vsp());
        assert_eq!(status_of(&refusal), status);
        assert_eq!(refusal.first(HeaderName::Reason), Some(&b"Q.850;cause=17"[..]));
        assert!(world.sent.is_empty(), "no other carrier is asked");
        world.assert_empty();
    }
}

#[test]
fn after_5xx_and_408_the_next_carrier_is_tried() {
    for status in [500, 502, 503, 504, 408] {
        let mut world = World::new();
        let (sent, at_a) = world.call("123", carrier_a());
        world.receive_message(carrier_a(), &answer(&at_a, status));
        assert_eq!(world.take(carrier_a()).method(), Some(&Method::Ack));
        let at_b = world.take(carrier_b());
        assert!(world.take_all(vsp()).is_empty(), "the caller hears nothing of it");
        assert_eq!(world.failed, [(0, format!("it answered {status}"), Some(1))]);
        assert_eq!(cseq(&at_b), cseq(&sent));
        assert_eq!(at_b.body(), sent.body());
        assert_ne!(
            at_a.first(HeaderName::Via),
            at_b.first(HeaderName::Via),
            "a branch of its own"
        );
        world.receive_message(carrier_b(), &answer(&at_b, 200));
        assert_eq!(status_of(&world.take(vsp())), 200);
    }
}

#[test]
fn a_silent_carrier_is_left_after_its_time() {
    let mut world = World::new();
    world.call("123", carrier_a());
    world.pass(Duration::from_millis(1_999));
    assert!(world.take_all(carrier_b()).is_empty());
    assert_eq!(
        world.take_all(carrier_a()).len(),
        2,
        "timer A has repeated at 0.5 and 1.5 s"
    );
    world.pass(Duration::from_millis(1));
    let at_b = world.take(carrier_b());
    assert_eq!(world.failed, [(0, "it did not answer".to_owned(), Some(1))]);
    world.receive_message(carrier_b(), &answer(&at_b, 180));
    world.pass(Duration::from_secs(20));
    world.receive_message(carrier_b(), &answer(&at_b, 200));
    let statuses: Vec<u16> = world.take_all(vsp()).iter().map(status_of).collect();
    assert_eq!(statuses, [180, 200]);
}

#[test]
fn a_carrier_that_says_100_has_all_the_time() {
    let mut world = World::new();
    let (_, at_carrier) = world.call("123", carrier_a());
    world.receive_message(carrier_a(), &answer(&at_carrier, 100));
    world.pass(Duration::from_secs(60));
    assert!(world.sent.is_empty() && world.failed.is_empty());
}

#[test]
fn a_carrier_that_cannot_be_reached_is_left_at_once() {
    let mut world = World::new();
    world.call("123", carrier_a());
    let now = world.now;
    world.proxy.handle_transport_error(now, carrier_a());
    world.drain();
    assert_eq!(world.take(carrier_b()).method(), Some(&Method::Invite));
    assert_eq!(world.failed, [(0, "it could not be reached".to_owned(), Some(1))]);

    let mut settings = settings();
    settings.carriers[0].places.clear();
    let mut world = World::with(settings);
    world.call("123", carrier_b());
    assert_eq!(
        world.failed,
        [(0, "its host name has no address".to_owned(), Some(1))]
    );
}

/// What the caller gets when carrier a fails with the first and b with the second; 0 is silence.
#[track_caller]
fn best_of(first: u16, second: u16) -> (u16, Option<u16>) {
    let mut world = World::new();
    let (_, at_a) = world.call("123", carrier_a());
    let fail = |world: &mut World, carrier, request, status| match status {
        0 => world.pass(Duration::from_secs(2)),
        status => world.receive_message(carrier, &answer(request, status)),
    };
    fail(&mut world, carrier_a(), &at_a, first);
    let at_b = world.take(carrier_b());
    fail(&mut world, carrier_b(), &at_b, second);
    let last = world.take_all(vsp()).pop().expect("a final answer");
    let reason = last
        .require::<Reason<'_>>()
        .ok()
        .and_then(|reason| reason.cause());
    let status = status_of(&last);
    world.receive(vsp(), in_dialog_ack(&last));
    world.assert_empty();
    (status, reason)
}

/// The ACK to a rejection, which bears the INVITE's branch.
fn in_dialog_ack(rejection: &offhook_sip_message::Message) -> String {
    format!(
        "ACK sip:123@10.0.0.2:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKvsp-123\r\n\
         From: <sip:a@b>;tag=vsptag\r\nTo: {}\r\nCall-ID: 123@vsp\r\nCSeq: 10 ACK\r\nMax-Forwards: 70\r\n\r\n",
        String::from_utf8_lossy(rejection.first(HeaderName::To).unwrap_or_default())
    )
}

#[test]
fn the_best_answer_goes_on() {
    assert_eq!(best_of(500, 486), (486, None), "the callee's own answer");
    assert_eq!(best_of(503, 603), (603, None));
    assert_eq!(best_of(503, 502), (502, None), "503 after all others");
    assert_eq!(best_of(502, 503), (502, None));
    assert_eq!(best_of(500, 408), (408, None), "the lower class");
    assert_eq!(best_of(408, 500), (408, None));
    assert_eq!(best_of(0, 500), (408, None), "silence counts as 408");
    assert_eq!(best_of(0, 0), (408, None));
    assert_eq!(
        best_of(503, 503),
        (500, Some(503)),
        "a 503 of carriers is not ours (§16.7 step 6)"
    );
}

#[test]
fn only_one_carrier_and_it_is_dead() {
    let mut world = World::new();
    world.call("2", carrier_b());
    world.pass(Duration::from_secs(2));
    assert_eq!(status_of(&world.take(vsp())), 408);
    assert_eq!(world.failed, [(1, "it did not answer".to_owned(), None)]);
}

#[test]
fn timer_c_ends_what_rings_forever() {
    let mut world = World::new();
    let (_, at_carrier) = world.call("123", carrier_a());
    world.receive_message(carrier_a(), &answer(&at_carrier, 180));
    world.pass(RING - Duration::from_secs(1));
    // Another sign of life winds it up again.
    world.receive_message(carrier_a(), &answer(&at_carrier, 180));
    world.pass(RING - Duration::from_secs(1));
    assert!(world.take_all(carrier_a()).is_empty());
    world.take_all(vsp());
    world.pass(Duration::from_secs(1));
    let cancel = world.take(carrier_a());
    assert_eq!(
        (cancel.method(), top_branch(&cancel)),
        (Some(&Method::Cancel), top_branch(&at_carrier))
    );
    world.receive_message(carrier_a(), &answer(&cancel, 200));
    assert!(world.take_all(vsp()).is_empty());
    world.receive_message(carrier_a(), &answer(&at_carrier, 487));
    assert_eq!(status_of(&world.take(vsp())), 408, "the caller has not cancelled");
    world.assert_empty();
}

#[test]
fn timer_c_and_a_carrier_that_does_not_even_obey_the_cancel() {
    let mut world = World::new();
    let (_, at_carrier) = world.call("123", carrier_a());
    world.receive_message(carrier_a(), &answer(&at_carrier, 180));
    world.pass(RING);
    world.take_all(vsp());
    world.pass(Duration::from_secs(32));
    assert_eq!(status_of(&world.take_all(vsp())[0]), 408);
    world.assert_empty();
}

#[test]
fn the_first_answer_wins_also_from_a_carrier_that_was_given_up() {
    let mut world = World::new();
    let (_, at_a) = world.call("123", carrier_a());
    world.pass(Duration::from_secs(2));
    let at_b = world.take(carrier_b());
    world.take_all(carrier_a());
    world.receive_message(carrier_b(), &answer(&at_b, 180));
    world.take_all(vsp());
    world.receive_message(carrier_a(), &answer(&at_a, 200));
    assert_eq!(status_of(&world.take(vsp())), 200);
    let cancel = world.take(carrier_b());
    assert_eq!(cancel.method(), Some(&Method::Cancel));
    world.receive_message(carrier_b(), &answer(&cancel, 200));
    world.receive_message(carrier_b(), &answer(&at_b, 487));
    assert_eq!(world.take(carrier_b()).method(), Some(&Method::Ack));
    assert!(world.take_all(vsp()).is_empty(), "the caller has its answer");
}

#[test]
fn a_late_ringing_of_a_carrier_that_was_given_up_is_cancelled() {
    let mut world = World::new();
    let (_, at_a) = world.call("123", carrier_a());
    world.pass(Duration::from_secs(2));
    world.take_all(carrier_a());
    world.take(carrier_b());
    world.receive_message(carrier_a(), &answer(&at_a, 180));
    assert_eq!(world.take(carrier_a()).method(), Some(&Method::Cancel));
    assert!(world.take_all(vsp()).is_empty());
}

#[test]
fn two_answers_both_reach_a_caller_that_can_take_them() {
    let mut world = World::new();
    let (_, at_a) = world.call("123", carrier_a());
    world.pass(Duration::from_secs(2));
    let at_b = world.take(carrier_b());
    world.receive_message(carrier_b(), &answer(&at_b, 200));
    world.receive_message(carrier_a(), &answer(&at_a, 200));
    let statuses: Vec<u16> = world.take_all(vsp()).iter().map(status_of).collect();
    assert_eq!(
        statuses,
        [200, 200],
        "§16.7 step 5: every 2xx goes on; the caller ends what it does not want"
    );
}

#[test]
fn an_answer_after_the_caller_was_refused_is_ended_by_the_proxy() {
    let mut world = World::new();
    let (_, at_carrier) = world.call("2", carrier_b());
    world.pass(Duration::from_secs(2));
    assert_eq!(status_of(&world.take(vsp())), 408);
    world.take_all(carrier_b());
    let late = answer_with(&at_carrier, 200, &[]);
    world.receive_message(carrier_b(), &late);
    let sent = world.take_all(carrier_b());
    let methods: Vec<&Method> = sent.iter().filter_map(|message| message.method()).collect();
    assert_eq!(methods, [&Method::Ack, &Method::Bye]);
    for message in &sent {
        let uri = message
            .request_uri()
            .and_then(Result::ok)
            .map(|uri| uri.to_string());
        assert_eq!(uri.as_deref(), Some("sip:gw@192.0.2.77:5999"));
        assert_eq!(message.first(HeaderName::To), late.first(HeaderName::To));
        assert_eq!(message.first(HeaderName::CallId), late.first(HeaderName::CallId));
        assert!(!message.has(HeaderName::Route), "we are the first hop ourselves");
    }
    assert_eq!((cseq(&sent[0]), cseq(&sent[1])), (10, 11));
    // The 200 comes again: only the ACK is repeated.
    world.receive_message(carrier_b(), &late);
    assert_eq!(world.take(carrier_b()).method(), Some(&Method::Ack));
    world.receive_message(carrier_b(), &answer(&sent[1], 200));
    assert!(world.take_all(vsp()).iter().all(|again| status_of(again) == 408));
    assert_eq!(world.proxy.counts().late_answers_total, 1);
    world.assert_empty();
}

#[test]
fn silence_after_a_bye_is_not_answered_with_408() {
    let mut world = World::new();
    let (_, ok) = world.answered_call();
    world.receive_message(vsp(), &in_dialog(&ok, Method::Bye, None));
    world.pass(Duration::from_secs(60));
    assert!(world.take_all(vsp()).is_empty(), "RFC 4320 §4.2");
    world.assert_empty();
}

fn top_branch(message: &offhook_sip_message::Message) -> Vec<u8> {
    let via: offhook_sip_message::header::Via<'_> = message.require().expect("a Via");
    via.branch().expect("a branch").to_vec()
}
