//! RFC 6026: the Accepted states, timers L and M.

use crate::support::{Driver, answer, message, own_request, peer_request};
use offhook_sip_message::Message;

fn ack_2xx(branch: &str) -> Message {
    message(&format!(
        "ACK sip:alice@192.0.2.9 SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch={branch}
         From: <sip:bob@192.0.2.1>;tag=b1
         To: <sip:alice@192.0.2.9>;tag=t1
         Call-ID: call-2
         CSeq: 9 ACK"
    ))
}

#[test]
fn every_2xx_reaches_the_user_until_timer_m() {
    let invite = own_request("INVITE", "z9hG4bKi1");
    let mut driver = Driver::new();
    driver.send(&invite, None);
    driver.receive(&answer(&invite, 200));
    driver.advance(500);
    driver.receive(&answer(&invite, 200));
    driver.receive(&answer(&invite, 486));
    driver.receive(&answer(&invite, 180));
    assert_eq!(driver.story(), ["0 response 200", "500 response 200"]);
    assert_eq!(driver.sent_at("ACK"), [0; 0], "the user acknowledges a 2xx");
    driver.advance(31_499);
    assert!(!driver.is_empty());
    driver.advance(1);
    assert!(driver.is_empty());
    // Stray 2xx are not forwarded any more.
    driver.receive(&answer(&invite, 200));
    assert_eq!(driver.story()[2..], ["32000 terminated"]);
    assert_eq!(driver.layer.counts().stray_responses_total, 1);
}

#[test]
fn a_2xx_leaves_the_server_transaction_in_accepted_until_timer_l() {
    let invite = peer_request("INVITE", "z9hG4bKs1");
    let mut driver = Driver::new();
    let id = driver.receive_new(&invite);
    driver.respond(id, 200);
    driver.advance(500);
    driver.receive(&invite);
    assert_eq!(driver.sent_at("SIP/2.0 200"), [0], "the user repeats its 2xx");
    driver.respond(id, 200);
    assert_eq!(driver.sent_at("SIP/2.0 200"), [0, 500]);
    driver.receive(&ack_2xx("z9hG4bKs1"));
    driver.receive(&ack_2xx("z9hG4bKack"));
    driver.advance(31_500);
    assert!(driver.is_empty());
    assert_eq!(
        driver.story(),
        [
            "0 request INVITE",
            "500 ack 2xx",
            "500 ack 2xx",
            "32000 terminated"
        ]
    );
}

#[test]
fn a_2xx_of_another_fork_after_a_rejection_reaches_the_user() {
    let invite = own_request("INVITE", "z9hG4bKi1");
    let mut driver = Driver::new();
    driver.send(&invite, None);
    driver.receive(&answer(&invite, 486));
    driver.receive(&answer(&invite, 200));
    assert_eq!(driver.story(), ["0 response 486", "0 response 200"]);
}
