//! RFC 3261 §17.2.2 and §17.2.3: the server transaction of other requests, and how requests are matched.

use crate::support::{Driver, flow, message, peer_request, tcp_flow};
use offhook_sip::transaction::Config;
use offhook_sip_message::{HeaderName, Message};

fn bye() -> Message {
    peer_request("BYE", "z9hG4bKs1")
}

#[test]
fn a_repeated_request_is_silent_before_and_answered_after_the_answer() {
    let mut driver = Driver::new();
    let id = driver.receive_new(&bye());
    driver.receive(&bye());
    assert_eq!(driver.sent.len(), 0);
    driver.advance(200);
    driver.respond(id, 200);
    driver.advance(300);
    driver.receive(&bye());
    assert_eq!(driver.sent_at("SIP/2.0 200"), [200, 500]);
    // Timer J: 64 × T1 after the answer.
    driver.advance(31_699);
    assert!(!driver.is_empty());
    driver.advance(1);
    assert!(driver.is_empty());
    assert_eq!(driver.story(), ["0 request BYE", "32200 terminated"]);
}

#[test]
fn over_a_reliable_transport_the_answer_ends_it() {
    let mut driver = Driver::new();
    driver.receive_from(tcp_flow(), &bye());
    let Some((_, offhook_sip::transaction::Event::Request { transaction, .. })) = driver.events.first()
    else {
        panic!("no request: {:?}", driver.events);
    };
    let id = *transaction;
    driver.respond(id, 200);
    assert!(driver.is_empty());
}

#[test]
fn what_nobody_answers_is_forgotten_when_its_client_has_given_up() {
    let mut driver = Driver::new();
    driver.receive_new(&bye());
    driver.advance(32_000);
    assert!(driver.is_empty());
    assert_eq!(driver.story(), ["0 request BYE", "32000 terminated"]);
}

#[test]
fn branch_sent_by_and_method_tell_requests_apart() {
    let mut driver = Driver::new();
    driver.receive(&bye());
    driver.receive(&peer_request("INFO", "z9hG4bKs1"));
    driver.receive(&peer_request("BYE", "z9hG4bKs2"));
    assert_eq!(
        driver.story(),
        ["0 request BYE", "0 request INFO", "0 request BYE"]
    );
}

#[test]
fn a_branch_of_rfc2543_is_refused() {
    let mut driver = Driver::new();
    driver.receive(&peer_request("BYE", "1"));
    assert_eq!(driver.sent_at("SIP/2.0 400"), [0]);
    assert_eq!(driver.layer.counts().malformed_total, 1);
    assert!(driver.is_empty());
}

#[test]
fn malformed_requests_are_refused_without_a_transaction() {
    let mut driver = Driver::new();
    let without_call_id = message(
        "BYE sip:alice@192.0.2.9 SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKs1
         From: <sip:bob@192.0.2.1>;tag=b1
         To: <sip:alice@192.0.2.9>;tag=a
         CSeq: 9 BYE",
    );
    driver.receive(&without_call_id);
    assert_eq!(driver.sent_at("SIP/2.0 400"), [0]);
    let nonsense = bytes::Bytes::from_static(b"\x00\xffnonsense");
    driver.layer.handle_datagram(driver.now(), flow(), nonsense);
    driver.drain();
    assert_eq!(driver.sent.len(), 1);
    assert_eq!(driver.layer.counts().unparsable_total, 1);
    assert!(driver.is_empty());
}

#[test]
fn too_many_requests_get_503_with_retry_after() {
    let mut driver = Driver::with(Config {
        transactions_max: 1,
        ..Config::default()
    });
    driver.receive(&bye());
    driver.receive(&peer_request("BYE", "z9hG4bKs2"));
    let refusal = driver.last_sent();
    assert_eq!(refusal.status().unwrap().code(), 503);
    assert!(refusal.has(HeaderName::RetryAfter));
    assert_eq!(driver.layer.counts().overload_total, 1);
    assert_eq!(driver.layer.counts().server_transactions, 1);
}
