//! RFC 3261 §16.10 and §9: CANCEL goes hop by hop.

use crate::world::*;
use offhook_sip_message::{HeaderName, Message, Method};
use std::time::Duration;

/// The CANCEL of the VSP's INVITE.
fn cancel(invite: &Message, extra: &str) -> String {
    let line =
        |name: HeaderName<'_>| String::from_utf8_lossy(invite.first(name).unwrap_or_default()).into_owned();
    let uri = invite
        .request_uri()
        .and_then(Result::ok)
        .map(|uri| uri.to_string())
        .unwrap_or_default();
    format!(
        "CANCEL {uri} SIP/2.0\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 10 CANCEL\r\nMax-Forwards: 70\r\n{extra}\r\n",
        line(HeaderName::Via),
        line(HeaderName::From),
        line(HeaderName::To),
        line(HeaderName::CallId),
    )
}

fn statuses(world: &mut World) -> Vec<(u16, String)> {
    let name = |message: &Message| {
        let cseq: offhook_sip_message::header::CSeq = message.require().expect("a CSeq");
        (status_of(message), cseq.method.to_string())
    };
    world.take_all(vsp()).iter().map(name).collect()
}

#[test]
fn a_ringing_call_is_cancelled_at_the_carrier() {
    let mut world = World::new();
    let (invite, at_carrier) = world.call("123", carrier_a());
    world.receive_message(carrier_a(), &answer(&at_carrier, 180));
    world.take_all(vsp());
    world.receive(vsp(), cancel(&invite, "Reason: SIP;cause=487;text=\"gone\"\r\n"));
    assert_eq!(statuses(&mut world), [(200, "CANCEL".to_owned())]);
    let cancelled = world.take(carrier_a());
    assert_eq!(cancelled.method(), Some(&Method::Cancel));
    assert_eq!(
        cancelled.first(HeaderName::Reason),
        Some(&b"SIP;cause=487;text=\"gone\""[..])
    );
    let top = |message: &Message| message.values(HeaderName::Via).next().map(<[u8]>::to_vec);
    assert_eq!(top(&cancelled), top(&at_carrier));
    world.receive_message(carrier_a(), &answer(&cancelled, 200));
    world.receive_message(carrier_a(), &answer(&at_carrier, 487));
    assert_eq!(world.take(carrier_a()).method(), Some(&Method::Ack));
    assert_eq!(statuses(&mut world), [(487, "INVITE".to_owned())]);
    world.assert_empty();
}

#[test]
fn before_any_answer_the_cancel_waits_and_no_other_carrier_is_asked() {
    let mut world = World::new();
    let (invite, at_carrier) = world.call("123", carrier_a());
    world.receive(vsp(), cancel(&invite, ""));
    assert!(world.take_all(carrier_a()).is_empty(), "§9.1");
    world.receive_message(carrier_a(), &answer(&at_carrier, 100));
    let cancelled = world.take(carrier_a());
    assert_eq!(cancelled.method(), Some(&Method::Cancel));
    world.receive_message(carrier_a(), &answer(&at_carrier, 503));
    world.take_all(carrier_a());
    assert!(
        world.take_all(carrier_b()).is_empty(),
        "a cancelled call does not fail over"
    );
    let last = world.take_all(vsp()).pop().expect("a final answer");
    assert_eq!(
        status_of(&last),
        487,
        "not the carrier's 503: the caller has cancelled"
    );
    world.receive_message(carrier_a(), &answer(&cancelled, 200));
    world.assert_empty();
}

#[test]
fn a_silent_carrier_does_not_keep_the_caller_waiting() {
    let mut world = World::new();
    let (invite, _) = world.call("123", carrier_a());
    world.receive(vsp(), cancel(&invite, ""));
    world.take_all(vsp());
    world.pass(Duration::from_secs(2));
    assert_eq!(statuses(&mut world), [(487, "INVITE".to_owned())]);
    assert!(world.take_all(carrier_b()).is_empty());
    world.assert_empty();
}

#[test]
fn during_failover_the_carrier_that_is_asked_now_is_cancelled() {
    let mut world = World::new();
    let (invite, at_a) = world.call("123", carrier_a());
    world.receive_message(carrier_a(), &answer(&at_a, 503));
    world.take_all(carrier_a());
    let at_b = world.take(carrier_b());
    world.receive_message(carrier_b(), &answer(&at_b, 180));
    world.receive(vsp(), cancel(&invite, ""));
    assert!(world.take_all(carrier_a()).is_empty());
    let cancelled = world.take(carrier_b());
    assert_eq!(cancelled.method(), Some(&Method::Cancel));
    world.receive_message(carrier_b(), &answer(&cancelled, 200));
    world.receive_message(carrier_b(), &answer(&at_b, 487));
    assert_eq!(statuses(&mut world).last(), Some(&(487, "INVITE".to_owned())));
    world.assert_empty();
}

#[test]
fn an_answer_that_crosses_the_cancel_reaches_the_caller() {
    let mut world = World::new();
    let (invite, at_carrier) = world.call("123", carrier_a());
    world.receive_message(carrier_a(), &answer(&at_carrier, 180));
    world.receive(vsp(), cancel(&invite, ""));
    world.take_all(vsp());
    world.receive_message(carrier_a(), &answer(&at_carrier, 200));
    assert_eq!(
        statuses(&mut world),
        [(200, "INVITE".to_owned())],
        "the caller ends it with BYE"
    );
}

#[test]
fn a_cancel_of_nothing_is_481() {
    let mut world = World::new();
    world.receive(vsp(), cancel(&invite("123"), ""));
    assert_eq!(statuses(&mut world), [(481, "CANCEL".to_owned())]);
}

#[test]
fn a_challenge_that_crosses_the_cancel_is_not_answered() {
    let mut world = World::new();
    let (invite, at_carrier) = world.call("123", carrier_a());
    world.receive_message(carrier_a(), &answer(&at_carrier, 100));
    world.receive(vsp(), cancel(&invite, ""));
    let cancelled = world.take(carrier_a());
    world.receive_message(carrier_a(), &answer(&at_carrier, 407));
    assert_eq!(world.take(carrier_a()).method(), Some(&Method::Ack));
    assert_eq!(statuses(&mut world).last(), Some(&(487, "INVITE".to_owned())));
    world.receive_message(carrier_a(), &answer(&cancelled, 200));
    world.assert_empty();
}
