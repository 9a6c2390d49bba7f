//! RFC 3261 §8.1.3.4, §16.7 step 4: 302 of carriers, followed only where configured and only to carriers.

use crate::world::*;
use offhook_sip_message::{HeaderName, Method};

fn following() -> World {
    let mut settings = settings();
    settings.carriers[0].follow_redirects = true;
    settings.carriers[1].follow_redirects = true;
    World::with(settings)
}

fn to(contacts: &str) -> [(HeaderName<'static>, &str); 1] {
    [(HeaderName::Contact, contacts)]
}

/// A redirect without the Contact that other answers have.
fn redirect(request: &offhook_sip_message::Message, contacts: &str) -> String {
    text(&answer_with(request, 302, &to(contacts))).replace("Contact: <sip:gw@192.0.2.77:5999>\r\n", "")
}

#[test]
fn by_default_the_caller_gets_the_302() {
    let mut world = World::new();
    let (_, sent) = world.call("123", carrier_a());
    world.receive(carrier_a(), redirect(&sent, "<sip:999@192.0.2.2:5080>"));
    let response = world.take(vsp());
    assert_eq!(
        (status_of(&response), value(&response, "Contact")),
        (302, "<sip:999@192.0.2.2:5080>".into())
    );
    assert!(world.take_all(carrier_b()).is_empty());
}

#[test]
fn a_302_to_another_carrier_is_followed_best_first() {
    let mut world = following();
    let (_, sent) = world.call("123", carrier_a());
    let contacts =
        "<sip:1@203.0.113.66>, <sip:998@192.0.2.1>;q=0.2, <sip:999@192.0.2.2:5080;x=y?Subject=z>;q=0.9";
    world.receive(carrier_a(), redirect(&sent, contacts));
    let at_b = world.take(carrier_b());
    assert_eq!(uri_of(&at_b), "sip:999@192.0.2.2:5080");
    assert_eq!(value(&at_b, "Subject"), "");
    world.receive_message(carrier_b(), &answer(&at_b, 503));
    let again = world.take_all(carrier_a()).pop().expect("the second Contact");
    assert_eq!(
        (uri_of(&again), cseq(&again)),
        ("sip:998@192.0.2.1".into(), cseq(&sent) + 1)
    );
    world.receive_message(carrier_a(), &answer(&again, 200));
    let ok = world.take(vsp());
    assert_eq!((status_of(&ok), cseq(&ok)), (200, 10));
    assert_eq!(world.proxy.counts().redirects_total, 1);
}

#[test]
fn a_302_to_anybody_else_is_passed_on() {
    let mut world = following();
    let (_, sent) = world.call("123", carrier_a());
    let contacts = "<sip:1@203.0.113.66>, <tel:+1900>, <sips:1@192.0.2.2:5080>, <sip:1@192.0.2.2:9999>";
    world.receive(carrier_a(), redirect(&sent, contacts));
    assert_eq!(world.last_status(vsp()), 302);
    assert!(world.take_all(carrier_b()).is_empty());
}

#[test]
fn carriers_that_point_at_each_other_end() {
    let mut world = following();
    let (_, mut sent) = world.call("123", carrier_a());
    let mut at = carrier_a();
    let mut hops = 0;
    let last = loop {
        assert!(hops < 10, "it ends");
        let other = if at == carrier_a() {
            carrier_b()
        } else {
            carrier_a()
        };
        world.receive(at, redirect(&sent, &format!("<sip:1{hops}@{other}>")));
        let next = world.take_all(other).pop();
        match next.filter(|next| next.method() == Some(&Method::Invite)) {
            Some(next) => (sent, at, hops) = (next, other, hops + 1),
            None => break world.last_status(vsp()),
        }
    };
    assert_eq!((hops, last), (5, 302));
    // The same address twice is not even tried a second time.
    let mut world = following();
    let (_, sent) = world.call("123", carrier_a());
    world.receive(carrier_a(), redirect(&sent, "<sip:123@192.0.2.1:5060>"));
    assert_eq!(world.last_status(vsp()), 302);
}
