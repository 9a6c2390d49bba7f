//! RFC 3261 §16.6: what a forwarded request looks like; §16.4 and §16.12: where requests within a call go.

use crate::world::*;
use offhook_sip_message::header::{Contact, Header, RecordRoute};
use offhook_sip_message::{HeaderName, Method, UriBuf};
use offhook_sip_proxy::proxy::Refusal;

#[test]
fn the_invite_goes_on_with_all_that_it_was() {
    let mut world = World::new();
    let (sent, received) = world.call("123", carrier_a());
    let uri = received
        .request_uri()
        .and_then(Result::ok)
        .map(|uri| uri.to_string());
    assert_eq!(uri.as_deref(), Some("sip:123@192.0.2.1:5060"));
    assert_eq!(received.first(HeaderName::MaxForwards), Some(&b"69"[..]));
    let vias: Vec<String> = received
        .values(HeaderName::Via)
        .map(|via| String::from_utf8_lossy(via).into_owned())
        .collect();
    assert!(
        vias[0].starts_with("SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK"),
        "{vias:?}"
    );
    assert!(
        vias[1].contains("branch=z9hG4bKvsp-123") && vias[1].contains("rport=5070"),
        "{vias:?}"
    );
    let route: RecordRoute<'_> = received.require().unwrap();
    assert!(route.uri.is_loose_router());
    assert_eq!(route.uri.params().get("call"), Some(CALL.as_bytes()));
    assert_eq!(received.first(CALL_ID), Some(CALL.as_bytes()));
    for name in [
        HeaderName::From,
        HeaderName::To,
        HeaderName::CallId,
        HeaderName::CSeq,
        HeaderName::custom("X-Custom"),
    ] {
        assert_eq!(received.first(name), sent.first(name), "{name}");
    }
    assert_eq!(received.body(), sent.body());
}

#[test]
fn carriers_get_the_number_in_their_form() {
    let mut settings = settings();
    settings.carriers[0].strip = 1;
    settings.carriers[0].prepend = "+49".to_owned();
    settings.carriers[0].target = UriBuf::new("sip:sip.carrier.example;user=phone").unwrap();
    let mut world = World::with(settings);
    let (_, received) = world.call("1-23", carrier_a());
    let uri = received
        .request_uri()
        .and_then(Result::ok)
        .map(|uri| uri.to_string());
    assert_eq!(uri.as_deref(), Some("sip:+4923@sip.carrier.example;user=phone"));
}

#[test]
fn without_a_call_id_the_proxy_makes_one() {
    let mut world = World::new();
    let request = text(&invite("123")).replace("X-Offhook-Call-Id: 3f2a-call\r\n", "");
    world.receive(vsp(), request);
    let minted = world
        .take(carrier_a())
        .first(CALL_ID)
        .map(<[u8]>::to_vec)
        .expect("an id");
    assert_eq!(minted.len(), 36, "a UUID");
}

#[test]
fn requests_of_the_caller_go_to_the_callees_contact() {
    let mut world = World::new();
    let (_, ok) = world.answered_call();
    world.receive_message(vsp(), &in_dialog(&ok, Method::Info, None));
    let info = world.take(gateway());
    assert!(!info.has(HeaderName::Route), "our own Route is gone");
    assert!(!info.has(HeaderName::RecordRoute));
    assert_eq!(
        info.first(CALL_ID),
        Some(CALL.as_bytes()),
        "the id travels in every request"
    );
    let uri = info.request_uri().and_then(Result::ok).map(|uri| uri.to_string());
    assert_eq!(uri.as_deref(), Some("sip:gw@192.0.2.77:5999"));
    world.receive_message(gateway(), &answer(&info, 200));
    assert_eq!(status_of(&world.take(vsp())), 200);
}

#[test]
fn requests_of_the_callee_go_to_the_caller() {
    let mut world = World::new();
    let (at_carrier, _) = world.answered_call();
    world.receive_message(carrier_a(), &carrier_request(&at_carrier, Method::Bye, 500));
    let bye = world.take(vsp());
    assert_eq!((bye.method(), cseq(&bye)), (Some(&Method::Bye), 500));
    assert_eq!(
        bye.first(CALL_ID),
        Some(CALL.as_bytes()),
        "the VSP knows the call by it"
    );
    world.receive_message(vsp(), &answer(&bye, 200));
    assert_eq!(status_of(&world.take(carrier_a())), 200);
    assert_eq!(world.proxy.counts().dialogs, 0);
}

#[test]
fn a_reinvite_is_not_record_routed_and_does_not_fail_over() {
    let mut world = World::new();
    let (_, ok) = world.answered_call();
    world.receive_message(vsp(), &in_dialog(&ok, Method::Invite, None));
    assert_eq!(status_of(&world.take(vsp())), 100);
    let invite = world.take(gateway());
    assert!(!invite.has(HeaderName::RecordRoute));
    world.receive_message(gateway(), &answer(&invite, 500));
    assert_eq!(world.take(gateway()).method(), Some(&Method::Ack));
    assert_eq!(status_of(&world.take(vsp())), 500);
    assert!(world.sent.is_empty() && world.failed.is_empty());
}

#[test]
fn further_routes_are_followed() {
    let mut world = World::new();
    let (_, ok) = world.answered_call();
    let with_route = |route: &str| {
        let own = value(&ok, "Record-Route");
        text(&in_dialog(&ok, Method::Bye, None)).replacen(&own, &format!("{own}, <{route}>"), 1)
    };
    world.receive(vsp(), with_route("sip:198.51.100.9:5090;lr"));
    let loose = world.take(([198, 51, 100, 9], 5090).into());
    assert_eq!(
        loose.first(HeaderName::Route),
        Some(&b"<sip:198.51.100.9:5090;lr>"[..])
    );

    world.receive(
        vsp(),
        with_route("sip:198.51.100.9:5090").replace("dialog-BYE", "strict"),
    );
    let strict = world.take(([198, 51, 100, 9], 5090).into());
    let uri = strict
        .request_uri()
        .and_then(Result::ok)
        .map(|uri| uri.to_string());
    assert_eq!(uri.as_deref(), Some("sip:198.51.100.9:5090"));
    assert_eq!(
        strict.values(HeaderName::Route).collect::<Vec<_>>(),
        [&b"<sip:gw@192.0.2.77:5999>"[..]]
    );
}

#[test]
fn a_strict_router_before_us_is_understood() {
    let mut world = World::new();
    let (_, ok) = world.answered_call();
    let bye = text(&in_dialog(&ok, Method::Bye, None));
    let recorded = value(&ok, "Record-Route");
    let own = recorded.trim_matches(['<', '>']);
    let strict = bye
        .replacen("BYE sip:gw@192.0.2.77:5999", &format!("BYE {own}"), 1)
        .replacen(&format!("<{own}>"), "<sip:gw@192.0.2.77:5999>", 1);
    assert_ne!(bye, strict);
    world.receive(vsp(), strict);
    let received = world.take(gateway());
    let uri = received
        .request_uri()
        .and_then(Result::ok)
        .map(|uri| uri.to_string());
    assert_eq!(uri.as_deref(), Some("sip:gw@192.0.2.77:5999"));
    assert!(!received.has(HeaderName::Route));
    assert_eq!(received.first(CALL_ID), Some(CALL.as_bytes()));
}

#[test]
fn what_does_not_carry_our_route_is_481() {
    let mut world = World::new();
    let (_, ok) = world.answered_call();
    let without = text(&in_dialog(&ok, Method::Bye, None)).replacen(
        "Route: <sip:10.0.0.2:5060",
        "X-No: <sip:10.0.0.2:5060",
        1,
    );
    world.receive(vsp(), without);
    assert_eq!(status_of(&world.take(vsp())), 481);
    let to_us = text(&in_dialog(&ok, Method::Bye, None)).replacen(
        "BYE sip:gw@192.0.2.77:5999",
        "BYE sip:x@10.0.0.2:5060",
        1,
    );
    let to_us = to_us
        .replacen("Route: <sip:10.0.0.2:5060", "X-No: <sip:10.0.0.2:5060", 1)
        .replace("dialog-", "other-");
    world.receive(vsp(), to_us);
    assert_eq!(status_of(&world.take(vsp())), 481);
    assert_eq!(world.refused, [Refusal::NoDialog; 2]);
}

#[test]
fn an_unknown_host_name_is_502_and_a_carriers_name_is_known() {
    let mut settings = settings();
    settings.carriers[0].target = UriBuf::new("sip:sip.carrier.example").unwrap();
    let mut world = World::with(settings);
    let (_, ok) = world.answered_call();
    let bye = |host: &str, branch: &str| {
        text(&in_dialog(&ok, Method::Bye, None))
            .replacen("192.0.2.77:5999", host, 1)
            .replace("dialog-", branch)
    };
    world.receive(vsp(), bye("nowhere.example", "one-"));
    assert_eq!(status_of(&world.take(vsp())), 502);
    assert_eq!(world.refused, [Refusal::NoAddress]);
    world.receive(vsp(), bye("sip.carrier.example", "two-"));
    assert_eq!(world.take(carrier_a()).method(), Some(&Method::Bye));
}

#[test]
fn the_ack_to_a_2xx_passes_and_that_to_a_rejection_does_not() {
    let mut world = World::new();
    let (_, at_carrier) = world.call("123", carrier_a());
    world.receive_message(carrier_a(), &answer(&at_carrier, 486));
    assert_eq!(world.take(carrier_a()).method(), Some(&Method::Ack), "hop by hop");
    let busy = world.take(vsp());
    let via = invite("123")
        .first(HeaderName::Via)
        .map(|via| String::from_utf8_lossy(via).into_owned())
        .unwrap();
    let ack = text(&in_dialog(&busy, Method::Ack, None));
    let own_via = ack
        .lines()
        .find(|line| line.starts_with("Via: "))
        .unwrap()
        .to_owned();
    world.receive(vsp(), ack.replace(&own_via, &format!("Via: {via}")));
    assert!(world.sent.is_empty(), "{:?}", world.sent);
}

#[test]
fn a_call_from_a_carrier_reaches_the_user_at_the_vsp() {
    let mut world = World::new();
    let from_carrier = text(&invite("+1555010")).replace("10.0.0.1:5070;branch", "192.0.2.1:5060;branch");
    world.receive(carrier_a(), from_carrier);
    assert_eq!(status_of(&world.take(carrier_a())), 100);
    let at_vsp = world.take(vsp());
    let uri = at_vsp
        .request_uri()
        .and_then(Result::ok)
        .map(|uri| uri.to_string());
    assert_eq!(uri.as_deref(), Some("sip:alice@voice.example.com"));
    let minted = at_vsp.first(CALL_ID).map(<[u8]>::to_vec).expect("an id");
    assert_ne!(minted, CALL.as_bytes(), "the carrier's id is none of ours");
    assert_eq!(at_vsp.headers_named(CALL_ID).count(), 1);
    assert!(at_vsp.require::<RecordRoute<'_>>().is_ok());
    world.receive_message(vsp(), &answer(&at_vsp, 180));
    world.receive_message(vsp(), &answer(&at_vsp, 200));
    let statuses: Vec<u16> = world.take_all(carrier_a()).iter().map(status_of).collect();
    assert_eq!(statuses, [180, 200]);
}

#[test]
fn a_user_that_needs_escapes_stays_one_user() {
    let mut settings = settings();
    let assignment = offhook_sip_proxy::dial_plan::Assignment::to_user(user("a@b c"));
    settings.dial_plan.add_number(&number("777"), assignment);
    let mut world = World::with(settings);
    world.receive(
        carrier_a(),
        text(&invite("777")).replace("10.0.0.1:5070;branch", "192.0.2.1:5060;branch"),
    );
    let at_vsp = world.take(vsp());
    let uri = at_vsp
        .request_uri()
        .and_then(Result::ok)
        .map(|uri| uri.to_string());
    assert_eq!(uri.as_deref(), Some("sip:a%40b%20c@voice.example.com"));
    assert!(Contact::parse(b"*").is_ok());
}
