//! RFC 3261 §17.2.1: the INVITE server transaction.

use crate::support::{Driver, answer, message, peer_request};
use offhook_sip::transaction::RespondError;
use offhook_sip_message::Message;

fn invite() -> Message {
    peer_request("INVITE", "z9hG4bKs1")
}

fn ack_of(response: &str) -> Message {
    message(&format!(
        "ACK sip:alice@192.0.2.9 SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKs1
         From: <sip:bob@192.0.2.1>;tag=b1
         To: <sip:alice@192.0.2.9>;tag={response}
         Call-ID: call-2
         CSeq: 9 ACK"
    ))
}

#[test]
fn trying_goes_out_at_once_and_answers_repeated_invites() {
    let mut driver = Driver::new();
    let id = driver.receive_new(&invite());
    assert_eq!(driver.sent_at("SIP/2.0 100 Trying"), [0]);
    driver.advance(500);
    driver.receive(&invite());
    assert_eq!(driver.sent_at("SIP/2.0 100 Trying"), [0, 500]);
    driver.respond(id, 180);
    driver.advance(1000);
    driver.receive(&invite());
    assert_eq!(driver.sent_at("SIP/2.0 180"), [500, 1500]);
    assert_eq!(driver.story(), ["0 request INVITE"]);
}

#[test]
fn timer_g_repeats_a_rejection_and_timer_h_gives_up() {
    let mut driver = Driver::new();
    let id = driver.receive_new(&invite());
    driver.respond(id, 486);
    driver.advance(60_000);
    let expected = [0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500];
    assert_eq!(driver.sent_at("SIP/2.0 486"), expected);
    assert_eq!(
        driver.story(),
        ["0 request INVITE", "32000 ack missing", "32000 terminated"]
    );
    assert!(driver.is_empty());
}

#[test]
fn a_repeated_invite_gets_the_rejection_again() {
    let mut driver = Driver::new();
    let id = driver.receive_new(&invite());
    driver.respond(id, 486);
    driver.advance(100);
    driver.receive(&invite());
    assert_eq!(driver.sent_at("SIP/2.0 486"), [0, 100]);
}

#[test]
fn the_ack_ends_repetition_and_timer_i_absorbs_more_of_them() {
    let mut driver = Driver::new();
    let id = driver.receive_new(&invite());
    driver.respond(id, 486);
    driver.advance(600);
    driver.receive(&ack_of("t1"));
    driver.receive(&ack_of("t1"));
    driver.receive(&invite());
    driver.advance(4999);
    assert_eq!(driver.sent_at("SIP/2.0 486"), [0, 500]);
    assert!(!driver.is_empty());
    driver.advance(1);
    assert!(driver.is_empty());
    assert_eq!(
        driver.story(),
        ["0 request INVITE", "600 ack completes", "5600 terminated"]
    );
}

#[test]
fn one_final_answer_is_all() {
    let mut driver = Driver::new();
    let id = driver.receive_new(&invite());
    driver.respond(id, 486);
    let now = driver.now();
    for status in [180, 200, 486] {
        let outcome = driver.layer.respond(now, id, answer(&invite(), status));
        assert_eq!(outcome, Err(RespondError::NotAllowed), "{status}");
    }
    driver.advance(60_000);
    let now = driver.now();
    assert_eq!(
        driver.layer.respond(now, id, answer(&invite(), 200)),
        Err(RespondError::Gone)
    );
}

#[test]
fn an_invite_waits_for_its_answer_without_end() {
    let mut driver = Driver::new();
    driver.receive_new(&invite());
    driver.advance(600_000);
    assert_eq!(driver.story(), ["0 request INVITE"]);
    assert!(!driver.is_empty());
}
