//! Requests within calls: each kind passes in both directions, whole and once.

use crate::world::*;
use offhook_sip_message::{HeaderName, Method};
use offhook_sip_proxy::proxy::Refusal;

pub(crate) const METHODS: [Method; 9] = [
    Method::Invite,
    Method::Update,
    Method::Prack,
    Method::Info,
    Method::Refer,
    Method::Notify,
    Method::Message,
    Method::Subscribe,
    Method::Options,
];

#[test]
fn each_method_passes_from_the_caller_to_the_callee_and_back() {
    for method in METHODS {
        let mut world = World::new();
        let (at_carrier, ok) = world.answered_call();
        let extra = Some((
            HeaderName::ReferTo,
            "<sip:5@h?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>",
        ));
        world.receive_message(vsp(), &in_dialog(&ok, method.clone(), extra));
        let sent = world.take(gateway());
        assert_eq!(sent.method(), Some(&method));
        assert_eq!(
            sent.first(HeaderName::ReferTo),
            extra.map(|(_, value)| value.as_bytes())
        );
        world.receive_message(gateway(), &answer(&sent, 202));
        assert_eq!(world.last_status(vsp()), 202, "{method}");

        world.receive_message(carrier_a(), &carrier_request(&at_carrier, method.clone(), 50));
        let sent = world.take(vsp());
        assert_eq!(sent.method(), Some(&method));
        world.receive_message(vsp(), &answer(&sent, 200));
        assert_eq!(world.last_status(carrier_a()), 200, "{method}");
        assert!(world.refused.is_empty());
    }
}

#[test]
fn a_contact_host_that_is_unknown_is_502_for_each_method() {
    for method in METHODS {
        let mut world = World::new();
        let (_, ok) = world.answered_call();
        let request =
            text(&in_dialog(&ok, method.clone(), None)).replace("gw@192.0.2.77:5999", "gw@sbc.example");
        world.receive(vsp(), request);
        assert_eq!(world.last_status(vsp()), 502, "{method}");
        assert_eq!(world.refused, [Refusal::NoAddress]);
    }
}

#[test]
fn the_session_timer_is_the_ends_own_business() {
    let mut world = World::new();
    let (_, ok) = world.answered_call();
    let timer = Some((HeaderName::SessionExpires, "1800;refresher=uac"));
    world.receive_message(vsp(), &in_dialog(&ok, Method::Update, timer));
    let sent = world.take(gateway());
    assert_eq!(value(&sent, "Session-Expires"), "1800;refresher=uac");
    assert_eq!(value(&sent, "Record-Route"), "", "no Record-Route within calls");
}

/// A REFER that leads back to where it came from costs one message for each that is sent, and ends with Max-Forwards.
#[test]
fn a_refer_loop_is_not_amplified() {
    let mut world = World::new();
    let (_, ok) = world.answered_call();
    let mut request = text(&in_dialog(
        &ok,
        Method::Refer,
        Some((HeaderName::ReferTo, "<sip:123@10.0.0.2>")),
    ));
    let mut passes = 0;
    while passes < 10 {
        world.receive(vsp(), request.clone());
        let mut sent = world.take_all(gateway());
        assert!(sent.len() <= 1);
        let Some(sent) = sent.pop() else { break };
        passes += 1;
        // Whoever is behind sends it back as if it were new, through us again.
        let route = format!("Route: {}\r\nVia: ", value(&ok, "Record-Route"));
        request = text(&sent).replacen("Via: ", &route, 1);
    }
    assert!(passes <= 2, "{passes}");
    let (_, refused) = world.sent.pop().expect("an answer");
    assert!(matches!(status_of(&refused), 482 | 483), "{refused:?}");
}
