//! Calls between users: the INVITE of one VSP session goes back to the VSP that serves the other.

use crate::world::*;
use offhook_sip_message::header::Via;
use offhook_sip_message::{HeaderName, Method};
use offhook_sip_proxy::dial_plan::Assignment;

fn with_bob() -> World {
    let mut settings = settings();
    settings.dial_plan.add_user(user("bob"));
    settings.dial_plan.add_user(user("1001"));
    settings
        .dial_plan
        .add_number(&number("+1700"), Assignment::to_user(user("bob")));
    World::with(settings)
}

#[test]
fn users_are_called_by_name_and_by_number() {
    for (dialled, uri, called) in [
        ("bob", "sip:bob@voice.example.com", ""),
        (
            "+1700",
            "sip:bob@voice.example.com",
            "<sip:+1700@voice.example.com>",
        ),
        // A user's name counts before a route for such numbers.
        ("1001", "sip:1001@voice.example.com", ""),
        // Known to the VSPs alone, by token.
        ("carol", "sip:carol@voice.example.com", ""),
    ] {
        let mut world = with_bob();
        let (_, at_vsp) = {
            world.receive_message(vsp(), &invite(dialled));
            let mut sent = world.take_all(vsp());
            let at_vsp = sent.pop().expect("the INVITE");
            assert_eq!(status_of(&sent[0]), 100);
            (sent, at_vsp)
        };
        assert_eq!(uri_of(&at_vsp), uri, "{dialled}");
        assert_eq!(value(&at_vsp, "P-Called-Party-ID"), called);
        assert_eq!(value(&at_vsp, "X-Offhook-Call-Id"), CALL, "one call, one trace");
        assert_eq!(value(&at_vsp, "X-Custom"), "value 1");
    }
}

/// One user agent holds both sides: same Call-ID and From tag, but a branch of ours on top.
#[test]
fn the_call_is_a_spiral_at_the_vsp_and_no_loop() {
    let mut world = with_bob();
    let sent = invite("bob");
    world.receive_message(vsp(), &sent);
    let at_vsp = world.take_all(vsp()).pop().expect("the INVITE");
    let branch = |message| {
        let via: Via<'_> = offhook_sip_message::Message::require(message).expect("a Via");
        via.branch().expect("a branch").to_vec()
    };
    assert_ne!(branch(&at_vsp), branch(&sent));
    assert_eq!(value(&at_vsp, "Call-ID"), value(&sent, "Call-ID"));
    let ok = text(&answer(&at_vsp, 200)).replace("192.0.2.77:5999", "10.0.0.1:5070");
    world.receive(vsp(), ok);
    let ok = world.take(vsp());
    assert_eq!(status_of(&ok), 200);
    world.receive_message(vsp(), &in_dialog(&ok, Method::Ack, None));
    assert_eq!(world.take(vsp()).method(), Some(&Method::Ack));
    world.receive_message(vsp(), &in_dialog(&ok, Method::Bye, None));
    let bye = world.take(vsp());
    assert_eq!(
        (bye.method(), value(&bye, "To").contains("carriertag")),
        (Some(&Method::Bye), true)
    );
    world.receive_message(vsp(), &answer(&bye, 200));
    assert_eq!(world.last_status(vsp()), 200);
    assert!(world.refused.is_empty());
    world.assert_empty();
}

#[test]
fn who_has_no_session_is_480_for_the_caller() {
    let mut world = with_bob();
    world.receive_message(vsp(), &invite("bob"));
    let at_vsp = world.take_all(vsp()).pop().expect("the INVITE");
    world.receive_message(vsp(), &answer(&at_vsp, 480));
    assert_eq!(world.last_status(vsp()), 480);
    assert!(world.failed.is_empty(), "no carrier failed");
}

#[test]
fn nothing_is_hidden_between_vsps() {
    let mut world = with_bob();
    let invite = text(&invite("bob")).replace(
        "X-Custom: value 1",
        "Privacy: id\r\nP-Asserted-Identity: <sip:+1555010@h>\r\nX-Offhook-Note: x",
    );
    world.receive(vsp(), invite);
    let at_vsp = world.take_all(vsp()).pop().expect("the INVITE");
    assert_eq!(value(&at_vsp, "P-Asserted-Identity"), "<sip:+1555010@h>");
    assert_eq!(value(&at_vsp, "X-Offhook-Note"), "x");
    assert!(at_vsp.has(HeaderName::Privacy));
    assert!(value(&at_vsp, "From").contains("alice"));
}
