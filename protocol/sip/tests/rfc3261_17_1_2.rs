//! RFC 3261 §17.1.2: the client transaction of other requests.

use crate::support::{Driver, answer, own_request, tcp_flow};

fn bye() -> offhook_sip_message::Message {
    own_request("BYE", "z9hG4bKn1")
}

#[test]
fn timer_e_backs_off_to_t2_and_timer_f_gives_up() {
    let mut driver = Driver::new();
    driver.send(&bye(), None);
    driver.advance(60_000);
    let expected = [0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500];
    assert_eq!(driver.sent_at("BYE"), expected);
    assert_eq!(driver.story(), ["32000 timed out", "32000 terminated"]);
    assert!(driver.is_empty());
}

#[test]
fn after_a_provisional_response_it_repeats_at_t2() {
    let mut driver = Driver::new();
    driver.send(&bye(), None);
    driver.advance(600);
    driver.receive(&answer(&bye(), 100));
    driver.advance(12_000);
    assert_eq!(driver.sent_at("BYE"), [0, 500, 1500, 5500, 9500]);
    assert_eq!(driver.story(), ["600 response 100"]);
    driver.advance(60_000);
    assert_eq!(driver.story()[1..], ["32000 timed out", "32000 terminated"]);
}

#[test]
fn a_final_response_is_delivered_once_and_timer_k_absorbs_the_rest() {
    let mut driver = Driver::new();
    driver.send(&bye(), None);
    driver.advance(100);
    driver.receive(&answer(&bye(), 200));
    driver.advance(4999);
    driver.receive(&answer(&bye(), 200));
    assert_eq!(driver.story(), ["100 response 200"]);
    driver.advance(1);
    assert!(driver.is_empty());
    assert_eq!(driver.story(), ["100 response 200", "5100 terminated"]);
    assert_eq!(driver.sent_at("BYE"), [0]);
}

#[test]
fn a_reliable_transport_neither_repeats_nor_absorbs() {
    let mut driver = Driver::new();
    driver.send_to(tcp_flow(), &bye(), None);
    driver.advance(10_000);
    driver.receive_from(tcp_flow(), &answer(&bye(), 404));
    assert_eq!(driver.sent_at("BYE"), [0]);
    assert_eq!(driver.story(), ["10000 response 404", "10000 terminated"]);
    assert!(driver.is_empty());
}

#[test]
fn the_shorter_time_ends_it() {
    let mut driver = Driver::new();
    driver.send(&bye(), Some(1000));
    driver.advance(60_000);
    assert_eq!(driver.sent_at("BYE"), [0, 500]);
    assert_eq!(driver.story(), ["1000 timed out", "1000 terminated"]);
}
