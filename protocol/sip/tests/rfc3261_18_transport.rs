//! RFC 3261 §18.2 and RFC 3581: where responses go, and what is noted in Via.

use crate::support::{Driver, message, peer_request};
use offhook_sip::Flow;
use offhook_sip::transaction::Event;
use offhook_sip_message::Message;
use offhook_sip_message::header::Via;

fn options(via: &str) -> Message {
    message(&format!(
        "OPTIONS sip:alice@192.0.2.9 SIP/2.0
         Via: {via}
         From: <sip:bob@192.0.2.1>;tag=b1
         To: <sip:alice@192.0.2.9>
         Call-ID: call-2
         CSeq: 9 OPTIONS"
    ))
}

fn response_goes_to(via: &str, source: &str) -> String {
    let mut driver = Driver::new();
    driver.receive_from(Flow::udp(source.parse().unwrap()), &options(via));
    let Some((_, Event::Request { transaction, .. })) = driver.events.first() else {
        panic!("no request")
    };
    let id = *transaction;
    driver.respond(id, 200);
    driver.sent.last().unwrap().1.flow.remote.to_string()
}

#[test]
fn responses_find_their_way() {
    let source = "198.51.100.7:33000";
    assert_eq!(
        response_goes_to("SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK1", source),
        "198.51.100.7:5070"
    );
    assert_eq!(
        response_goes_to("SIP/2.0/UDP 10.0.0.1:5070;rport;branch=z9hG4bK1", source),
        source
    );
    assert_eq!(
        response_goes_to("SIP/2.0/UDP pc;branch=z9hG4bK1", source),
        "198.51.100.7:5060"
    );
    assert_eq!(
        response_goes_to("SIP/2.0/UDP pc;maddr=192.0.2.8;branch=z9hG4bK1", source),
        "192.0.2.8:5060"
    );
}

#[test]
fn the_source_is_noted_where_it_differs_and_forged_notes_are_replaced() {
    let mut driver = Driver::new();
    let source = Flow::udp("198.51.100.7:33000".parse().unwrap());
    let forged = "SIP/2.0/UDP 10.0.0.1:5070;rport=1;received=203.0.113.5;branch=z9hG4bK1";
    driver.receive_from(source, &options(forged));
    let Some((_, Event::Request { request, .. })) = driver.events.first() else {
        panic!("no request")
    };
    let via: Via<'_> = request.require().unwrap();
    assert_eq!(via.received(), Some("198.51.100.7".parse().unwrap()));
    assert_eq!(via.rport(), Some(33000));
}

#[test]
fn the_same_source_is_not_noted() {
    let mut driver = Driver::new();
    let request = peer_request("OPTIONS", "z9hG4bK1");
    driver.receive(&request);
    let Some((_, Event::Request { request: got, .. })) = driver.events.first() else {
        panic!("no request")
    };
    assert_eq!(got.bytes(), request.bytes());
}
