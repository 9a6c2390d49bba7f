//! RFC 3261 §17.1.1: the INVITE client transaction.

use crate::support::{Driver, answer, own_request, response_builder, tcp_flow};
use offhook_sip::transaction::{Config, NothingToCancel, SendError, SendOptions};
use offhook_sip_message::header::{CSeq, MaxForwards, To, Via};
use offhook_sip_message::{HeaderName, Method};

fn invite() -> offhook_sip_message::Message {
    own_request("INVITE", "z9hG4bKi1")
}

#[test]
fn timer_a_doubles_and_timer_b_gives_up() {
    let mut driver = Driver::new();
    driver.send(&invite(), None);
    driver.advance(60_000);
    assert_eq!(driver.sent_at("INVITE"), [0, 500, 1500, 3500, 7500, 15500, 31500]);
    assert_eq!(driver.story(), ["32000 timed out", "32000 terminated"]);
    assert!(driver.is_empty());
    let fresh: Vec<bool> = driver.sent.iter().map(|(_, transmit)| transmit.fresh).collect();
    assert_eq!(fresh, [true, false, false, false, false, false, false]);
}

#[test]
fn a_reliable_transport_never_repeats() {
    let mut driver = Driver::new();
    driver.send_to(tcp_flow(), &invite(), None);
    driver.advance(60_000);
    assert_eq!(driver.sent_at("INVITE"), [0]);
    assert_eq!(driver.story(), ["32000 timed out", "32000 terminated"]);
}

#[test]
fn a_provisional_response_stops_repetition_and_time_out() {
    let mut driver = Driver::new();
    driver.send(&invite(), None);
    driver.advance(600);
    driver.receive(&answer(&invite(), 100));
    driver.receive(&answer(&invite(), 180));
    driver.receive(&answer(&invite(), 180));
    driver.advance(600_000);
    assert_eq!(driver.sent_at("INVITE"), [0, 500]);
    assert_eq!(
        driver.story(),
        ["600 response 100", "600 response 180", "600 response 180"]
    );
}

#[test]
fn a_rejection_is_acknowledged_each_time_and_delivered_once() {
    let mut driver = Driver::new();
    driver.send(&invite(), None);
    driver.receive(&answer(&invite(), 486));
    driver.advance(1000);
    driver.receive(&answer(&invite(), 486));
    assert_eq!(driver.sent_at("ACK"), [0, 1000]);
    assert_eq!(driver.story(), ["0 response 486"]);
    // Timer D: 32 s after the first.
    driver.advance(30_999);
    assert!(!driver.is_empty());
    driver.advance(1);
    assert!(driver.is_empty());
    assert_eq!(driver.story(), ["0 response 486", "32000 terminated"]);
}

#[test]
fn over_a_reliable_transport_a_rejection_ends_it_at_once() {
    let mut driver = Driver::new();
    driver.send_to(tcp_flow(), &invite(), None);
    driver.receive_from(tcp_flow(), &answer(&invite(), 503));
    assert_eq!(driver.sent_at("ACK"), [0]);
    assert!(driver.is_empty());
}

#[test]
fn the_ack_is_made_of_request_and_response() {
    let mut driver = Driver::new();
    driver.send(&invite(), None);
    driver.receive(&answer(&invite(), 404));
    let ack = driver.last_sent();
    assert_eq!(ack.method(), Some(&Method::Ack));
    assert_eq!(
        ack.request_uri().unwrap().unwrap().as_bytes(),
        b"sip:bob@192.0.2.1"
    );
    assert_eq!(ack.values(HeaderName::Via).count(), 1);
    assert_eq!(
        ack.require::<Via<'_>>().unwrap().branch(),
        Some(&b"z9hG4bKi1"[..])
    );
    assert_eq!(ack.require::<To<'_>>().unwrap().tag(), Some(&b"t1"[..]));
    assert_eq!(ack.require::<MaxForwards>().unwrap().0, 70);
    let expected = CSeq {
        number: 7,
        method: Method::Ack,
    };
    assert_eq!(ack.require::<CSeq>().unwrap(), expected);
    for name in [HeaderName::Route, HeaderName::From, HeaderName::CallId] {
        assert_eq!(ack.first(name), invite().first(name), "{name}");
    }
}

#[test]
fn a_shorter_time_gives_up_early_but_cancels_what_rings_late() {
    let mut driver = Driver::new();
    driver.send(&invite(), Some(2000));
    driver.advance(5000);
    assert_eq!(driver.sent_at("INVITE"), [0, 500, 1500]);
    assert_eq!(driver.story(), ["2000 timed out"]);
    driver.receive(&answer(&invite(), 180));
    assert_eq!(driver.sent_at("CANCEL"), [5000]);
    driver.receive(&answer(&own_request("CANCEL", "z9hG4bKi1"), 200));
    driver.receive(&answer(&invite(), 487));
    assert_eq!(driver.sent_at("ACK"), [5000]);
    driver.advance(60_000);
    assert!(driver.is_empty());
    assert_eq!(
        driver.story(),
        ["2000 timed out", "5000 cancel answered 200", "37000 terminated"]
    );
}

#[test]
fn a_2xx_reaches_the_user_even_after_it_gave_up() {
    let mut driver = Driver::new();
    driver.send(&invite(), Some(2000));
    driver.advance(2500);
    driver.receive(&answer(&invite(), 200));
    assert_eq!(driver.story(), ["2000 timed out", "2500 response 200"]);
}

#[test]
fn a_provisional_response_in_time_lifts_the_shorter_time() {
    let mut driver = Driver::new();
    driver.send(&invite(), Some(2000));
    driver.advance(1900);
    driver.receive(&answer(&invite(), 100));
    driver.advance(100_000);
    assert_eq!(driver.story(), ["1900 response 100"]);
}

#[test]
fn stray_responses_and_wrong_branches_are_counted_and_dropped() {
    let mut driver = Driver::new();
    driver.send(&invite(), None);
    driver.receive(&answer(&own_request("INVITE", "z9hG4bKother"), 200));
    driver.receive(&answer(&own_request("BYE", "z9hG4bKi1"), 200));
    let elsewhere = invite();
    let text = String::from_utf8(elsewhere.bytes().to_vec())
        .unwrap()
        .replace("192.0.2.9:5060;", "192.0.2.77:5060;");
    let elsewhere = offhook_sip_message::Message::parse(text.into_bytes().into()).unwrap();
    driver.receive(&answer(&elsewhere, 200));
    assert_eq!(driver.story(), [""; 0]);
    assert_eq!(driver.layer.counts().stray_responses_total, 3);
}

#[test]
fn a_malformed_response_changes_nothing() {
    let mut driver = Driver::new();
    driver.send(&invite(), None);
    let cut = response_builder(&invite(), 200)
        .text(HeaderName::ContentLength, "9999")
        .build()
        .unwrap();
    driver.receive(&cut);
    assert_eq!(driver.story(), [""; 0]);
    assert_eq!(driver.layer.counts().malformed_total, 1);
    driver.advance(500);
    assert_eq!(driver.sent_at("INVITE"), [0, 500]);
}

#[test]
fn what_cannot_start_a_transaction_is_refused() {
    let mut driver = Driver::with(Config {
        transactions_max: 1,
        ..Config::default()
    });
    let now = driver.now();
    let mut send = |message| {
        driver
            .layer
            .send_request(now, crate::support::flow(), message, SendOptions::default())
    };
    assert_eq!(send(own_request("ACK", "z9hG4bKi1")), Err(SendError::NoRequest));
    assert_eq!(send(own_request("INVITE", "old")), Err(SendError::NoRequest));
    assert_eq!(send(answer(&invite(), 200)), Err(SendError::NoRequest));
    assert!(send(invite()).is_ok());
    assert_eq!(send(invite()), Err(SendError::BranchInUse));
    assert_eq!(send(own_request("INVITE", "z9hG4bKi2")), Err(SendError::Full));
}

#[test]
fn a_transport_error_ends_what_waits_there() {
    let mut driver = Driver::new();
    let id = driver.send(&invite(), None);
    driver.layer.handle_transport_error(crate::support::tcp_flow());
    driver.drain();
    assert_eq!(driver.story(), [""; 0]);
    driver.layer.handle_transport_error(crate::support::flow());
    driver.drain();
    assert_eq!(driver.story(), ["0 transport failed", "0 terminated"]);
    assert!(driver.is_empty());
    let now = driver.now();
    assert_eq!(driver.layer.cancel(now, id, &[]), Err(NothingToCancel));
}
