//! A VSP learns from us, and from nobody else, whose media packets are to be taken from a carrier.

use crate::world::*;
use offhook_sip_message::{HeaderName, Message};
use offhook_sip_proxy::proxy::Latching;

const LATCHING: HeaderName<'static> = HeaderName::custom("X-Offhook-Latching");

fn world(latching: Option<Latching>) -> World {
    let mut settings = settings();
    settings.carriers[0].latching = latching;
    World::with(settings)
}

fn seen(message: &Message) -> String {
    value(message, "X-Offhook-Latching")
}

#[test]
fn responses_of_a_carrier_and_its_calls_carry_its_rule() {
    for (latching, told) in [
        (Some(Latching::Any), "any"),
        (Some(Latching::Off), "off"),
        (None, ""),
    ] {
        let mut world = world(latching);
        let (_, request) = world.call("123", carrier_a());
        assert_eq!(seen(&request), "", "the carrier does not learn it");
        for status in [183, 200] {
            world.receive_message(carrier_a(), &answer(&request, status));
            assert_eq!(seen(&world.take(vsp())), told, "{status}");
        }
        let invited = world.call_in("+1555010");
        assert_eq!(seen(&invited), told);
    }
}

#[test]
fn a_carrier_cannot_say_so_itself() {
    let mut world = world(None);
    let (_, request) = world.call("123", carrier_a());
    world.receive_message(carrier_a(), &answer_with(&request, 200, &[(LATCHING, "any")]));
    assert_eq!(seen(&world.take(vsp())), "");
    let invite = carrier_invite("+1555010", &[(LATCHING, "any")]);
    world.receive_message(carrier_a(), &invite);
    assert_eq!(seen(&world.take(vsp())), "");
}

#[test]
fn what_a_carrier_says_itself_does_not_hide_its_rule() {
    let mut world = world(Some(Latching::Off));
    let invite = carrier_invite("+1555010", &[(LATCHING, "any")]);
    world.receive_message(carrier_a(), &invite);
    assert_eq!(seen(&world.take(vsp())), "off");
}
