//! Whose requests within calls go on: those of VSPs, those to VSPs, and those whose Route we have sealed.

use crate::mid_call::METHODS;
use crate::phone_calls::{dial, phone_with_carrier, with_phones, world};
use crate::phones::{desk, pocket, registered};
use crate::world::*;
use offhook_sip_message::{Message, Method};
use offhook_sip_proxy::dial_plan::{Assignment, Destination};
use offhook_sip_proxy::proxy::{Refusal, Sealer, Settings};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

/// A request of `from` with this To tag, for `uri`, by these Routes.
fn request(from: SocketAddr, method: &Method, (uri, routes): (&str, &str), to_tag: &str) -> String {
    let mut branch = DefaultHasher::new();
    (from, uri, routes).hash(&mut branch);
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKmade-up-{method}-{:x}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:alice@voice.example.com>;tag=phone\r\nTo: <{uri}>;tag={to_tag}\r\n\
         Call-ID: call@198.51.100.7:40000\r\nCSeq: 9 {method}\r\nContact: <sip:alice@198.51.100.7:40000>\r\n\
         Route: {routes}\r\nContent-Length: 0\r\n\r\n",
        branch.finish()
    )
}

/// The To tag of a response.
fn tag_of(response: &Message) -> String {
    String::from_utf8_lossy(response.to_tag().expect("a tag")).into_owned()
}

fn with_ack() -> impl Iterator<Item = Method> {
    METHODS.into_iter().chain([Method::Bye, Method::Ack])
}

/// Sends it; it reaches nobody, and only what may be answered is answered.
#[track_caller]
fn refused(world: &mut World, from: SocketAddr, method: &Method, text: String, reason: Refusal) {
    world.receive(from, text);
    let mut answers: Vec<u16> = world.take_all(from).iter().map(status_of).collect();
    answers.retain(|status| *status >= 200);
    let due: &[u16] = match (method, reason) {
        (Method::Ack, _) => &[],
        (_, Refusal::Stranger) => &[403],
        _ => &[481],
    };
    assert_eq!(answers, due, "{method}");
    assert!(world.sent.is_empty(), "{method}: {:?}", world.sent);
    assert_eq!(std::mem::take(&mut world.refused), [reason], "{method}");
}

/// Sends it; it reaches `to`, whose answer comes back.
#[track_caller]
fn passes(world: &mut World, from: SocketAddr, request: &Message, to: SocketAddr) {
    // Some of the requests at hand are as if from carrier a.
    let via = format!("UDP {};", carrier_a());
    world.receive(from, text(request).replacen(&via, &format!("UDP {from};"), 1));
    let sent = world.take(to);
    assert_eq!(sent.method(), request.method());
    if sent.method() != Some(&Method::Ack) {
        world.receive_message(to, &answer(&sent, 200));
        assert_eq!(world.last_status(from), 200);
    }
    assert!(world.refused.is_empty());
}

fn routes_of(message: &Message) -> String {
    value(message, "Record-Route")
}

#[test]
fn a_made_up_route_leads_a_phone_nowhere() {
    let routes = [
        "<sip:10.0.0.2:5060;lr>",
        "<sip:voice.example.com;lr>",
        "<sip:10.0.0.2:5060;lr;sd=1.o.0;sl=00000000000000000000>",
        "<sip:10.0.0.2:5060;lr>, <sip:10.0.0.2:5060;lr>",
        "<sip:10.0.0.2:5060;lr>, <sip:192.0.2.1:5060;lr>",
        "<sip:10.0.0.2:5060;lr>, <sip:192.0.2.1:5060>",
        "<sip:10.0.0.2:5060;lr>, <sip:203.0.113.5:5060;lr>",
    ];
    for method in with_ack() {
        let mut world = world();
        for uri in ["sip:900@192.0.2.1:5060", "sip:900@203.0.113.5:5060"] {
            for route in routes {
                let text = request(desk(), &method, (uri, route), "made-up");
                refused(&mut world, desk(), &method, text, Refusal::Unproven);
            }
        }
        // As after a strict router: the request URI is ours, the last Route the target.
        let text = request(
            desk(),
            &method,
            ("sip:10.0.0.2:5060", "<sip:900@192.0.2.1:5060>"),
            "made-up",
        );
        refused(&mut world, desk(), &method, text, Refusal::Unproven);
    }
}

#[test]
fn a_made_up_route_leads_no_carrier_to_another_or_to_a_phone() {
    for method in with_ack() {
        let mut world = world();
        for uri in [
            format!("sip:900@{}", carrier_a()),
            format!("sip:alice@{}", desk()),
            "sip:900@203.0.113.5:5060".to_owned(),
        ] {
            let text = request(carrier_b(), &method, (&uri, "<sip:10.0.0.2:5060;lr>"), "made-up");
            refused(&mut world, carrier_b(), &method, text, Refusal::Unproven);
        }
    }
}

#[test]
fn strangers_send_nothing_within_calls_also_with_a_sealed_route() {
    for method in with_ack() {
        let mut world = world();
        let (_, ok) = phone_with_carrier(&mut world);
        let tag = tag_of(&ok);
        for uri in [format!("sip:gw@{}", gateway()), format!("sip:bob@{}", vsp())] {
            let text = request(pocket(), &method, (&uri, &routes_of(&ok)), &tag);
            refused(&mut world, pocket(), &method, text, Refusal::Stranger);
        }
    }
}

#[test]
fn each_method_passes_between_phone_and_carrier_whoever_called() {
    for method in with_ack() {
        let mut world = world();
        let (at_carrier, ok) = phone_with_carrier(&mut world);
        passes(
            &mut world,
            desk(),
            &in_dialog(&ok, method.clone(), None),
            gateway(),
        );
        let back = carrier_request_to(&at_carrier, method.clone(), 50, &desk().to_string());
        passes(&mut world, carrier_a(), &back, desk());

        let mut world = self::world();
        world.receive_message(carrier_a(), &carrier_invite("1555010", &[]));
        world.take_all(vsp());
        let at_phone = world.take(desk());
        world.receive_message(desk(), &answer(&at_phone, 200));
        let ok = world.take_all(carrier_a()).pop().expect("the 200");
        world.take_all(vsp());
        // The carrier's request goes to the phone's registration, whatever its Contact says.
        passes(
            &mut world,
            carrier_a(),
            &in_dialog(&ok, method.clone(), None),
            desk(),
        );
        let caller = carrier_request_to(&at_phone, method.clone(), 50, &gateway().to_string());
        passes(&mut world, desk(), &caller, gateway());
    }
}

#[test]
fn each_method_passes_between_phone_and_browser() {
    for method in with_ack() {
        let mut world = world();
        dial(&mut world, "sip:bob@voice.example.com", &[]);
        let at_vsp = world.take(vsp());
        let contact = format!("<sip:bob@{}>", vsp());
        let ok = text(&answer(&at_vsp, 200)).replace("<sip:gw@192.0.2.77:5999>", &contact);
        world.receive(vsp(), ok);
        let ok = world.take_all(desk()).pop().expect("the 200");
        passes(&mut world, desk(), &in_dialog(&ok, method.clone(), None), vsp());
        let back = carrier_request_to(&at_vsp, method.clone(), 50, &desk().to_string());
        passes(&mut world, vsp(), &back, desk());
        // What proves this call leads to no carrier.
        let tag = tag_of(&ok);
        for carrier in [carrier_a(), carrier_b()] {
            let text = request(
                desk(),
                &method,
                (&format!("sip:900@{carrier}"), &routes_of(&ok)),
                &tag,
            );
            refused(&mut world, desk(), &method, text, Refusal::Unproven);
        }
    }
}

#[test]
fn a_seal_is_good_for_its_call_and_as_it_was_written() {
    let mut world = world();
    let (_, ok) = phone_with_carrier(&mut world);
    let tag = tag_of(&ok);
    let (method, uri) = (Method::Info, format!("sip:gw@{}", gateway()));
    let sealed = routes_of(&ok);
    let genuine = request(desk(), &method, (&uri, &sealed), &tag);
    let other_call = genuine.replace(": call@", ": other@").replace("made-up", "other");
    refused(&mut world, desk(), &method, other_call, Refusal::Unproven);
    let changes = [
        (";lr;", ";lr;cs=1.00000000;"),
        (";lr;", ";lr;id=t;"),
        (";sd=", ";sd=1"),
    ];
    for (from, to) in changes {
        assert!(sealed.contains(from), "{sealed}");
        let changed = request(desk(), &method, (&uri, &sealed.replace(from, to)), &tag);
        refused(&mut world, desk(), &method, changed, Refusal::Unproven);
    }
    world.receive(desk(), genuine);
    assert_eq!(world.take(gateway()).method(), Some(&method));
}

#[test]
fn a_call_from_carrier_to_carrier_goes_on_between_them_alone() {
    let mut settings = with_phones(settings());
    let forwarded = Assignment {
        destinations: vec![Destination::Number(number("2800"))],
        ring_timeout: None,
        next_on: Vec::new(),
    };
    settings.dial_plan.add_number(&number("+1800"), forwarded);
    let mut world = World::with(settings);
    registered(&mut world, desk());
    world.receive_message(carrier_a(), &carrier_invite("1800", &[]));
    let at_b = world.take(carrier_b());
    world.receive_message(carrier_b(), &answer(&at_b, 200));
    let ok = world.take_all(carrier_a()).pop().expect("the 200");
    passes(
        &mut world,
        carrier_a(),
        &in_dialog(&ok, Method::Info, None),
        gateway(),
    );
    let bye = carrier_request_to(&at_b, Method::Bye, 50, &carrier_a().to_string());
    passes(&mut world, carrier_b(), &bye, carrier_a());
    // Not its call, though the Route is right.
    let phone = in_dialog(&ok, Method::Invite, None);
    refused(
        &mut world,
        desk(),
        &Method::Invite,
        text(&phone),
        Refusal::Unproven,
    );
}

/// A proxy that has started anew, with the phone back where it was.
fn restarted(secret: Option<&[u8]>) -> World {
    let mut world = World::with(Settings {
        sealer: secret.map(Sealer::new),
        ..with_phones(settings())
    });
    registered(&mut world, desk());
    world
}

#[test]
fn calls_of_phones_outlive_a_restart_where_the_secret_does() {
    let secret = Some(&b"a secret of the configuration"[..]);
    for (before, after, known) in [
        (secret, secret, true),
        (secret, Some(b"another secret"), false),
        (secret, None, false),
    ] {
        let mut world = restarted(before);
        let (at_carrier, ok) = phone_with_carrier(&mut world);
        let mut world = restarted(after);
        let by_phone = in_dialog(&ok, Method::Bye, None);
        let by_carrier = carrier_request_to(&at_carrier, Method::Bye, 50, &desk().to_string());
        if known {
            passes(&mut world, desk(), &by_phone, gateway());
            passes(&mut world, carrier_a(), &by_carrier, desk());
        } else {
            let bye = Method::Bye;
            refused(&mut world, desk(), &bye, text(&by_phone), Refusal::Unproven);
            refused(
                &mut world,
                carrier_a(),
                &bye,
                text(&by_carrier),
                Refusal::Unproven,
            );
        }
    }
}

#[test]
fn calls_of_browsers_outlive_a_restart_without_a_secret() {
    let mut world = World::new();
    let (at_carrier, ok) = world.answered_call();
    let mut world = World::with(Settings {
        sealer: Some(Sealer::new(b"drawn anew")),
        ..settings()
    });
    passes(&mut world, vsp(), &in_dialog(&ok, Method::Info, None), gateway());
    passes(
        &mut world,
        carrier_a(),
        &carrier_request(&at_carrier, Method::Bye, 50),
        vsp(),
    );
}
