//! RFC 3261 §8.1.3.4: what a 3xx names instead.

use crate::support::agents::{ALICE, BOB, World, status};
use crate::support::message;
use offhook_sip::user_agent::{Event, Failure, Reply};
use offhook_sip_message::Message;

fn redirected(code: u16, contacts: &str) -> Vec<(String, u16)> {
    let response: Message = message(&format!(
        "SIP/2.0 {code} Elsewhere
         Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1
         From: <sip:alice@192.0.2.9>;tag=a
         To: <sip:bob@192.0.2.1>;tag=b
         Call-ID: c
         CSeq: 1 INVITE
         {contacts}
         Content-Length: 0"
    ));
    let targets = Failure::Response(response).redirect_targets();
    targets
        .into_iter()
        .map(|target| (target.uri.to_string(), target.q))
        .collect()
}

#[test]
fn the_best_comes_first_and_equals_stay_in_order() {
    let targets = redirected(
        302,
        "Contact: <sip:a@192.0.2.3>;q=0.2, \"B\" <sip:b@192.0.2.3>
         Contact: <tel:+15550100>;q=0.75, <sip:a@192.0.2.3>;q=0.9, *, <sip:c@192.0.2.3>;q=1.0",
    );
    let expected = [
        ("sip:b@192.0.2.3", 1000),
        ("sip:c@192.0.2.3", 1000),
        ("tel:+15550100", 750),
        ("sip:a@192.0.2.3", 200),
    ];
    assert_eq!(targets, expected.map(|(uri, q)| (uri.to_owned(), q)));
}

#[test]
fn only_300_to_302_redirect_and_no_more_than_eight_targets_are_given() {
    for code in [305, 380, 404, 600] {
        assert_eq!(redirected(code, "Contact: <sip:a@192.0.2.3>"), []);
    }
    assert_eq!(redirected(302, "X-Nothing: 1"), []);
    let many: Vec<_> = (0..100).map(|i| format!("<sip:{i}@192.0.2.3>")).collect();
    assert_eq!(redirected(300, &format!("Contact: {}", many.join(", "))).len(), 8);
}

#[test]
fn the_user_agent_follows_none_itself() {
    let mut world = World::new();
    world.call();
    let (_, incoming) = world.incoming(BOB);
    world.respond(BOB, incoming, Reply::new(status(302)));
    assert!(matches!(&world.agents[ALICE].events[..],
        [Event::Failed { failure, .. }] if failure.redirect_targets().is_empty()));
    world.expect_nothing_left();
}
