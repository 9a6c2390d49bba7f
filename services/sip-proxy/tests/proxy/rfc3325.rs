//! RFC 3323, RFC 3325: who learns who calls, and which headers from outside are not believed.

use crate::world::*;
use offhook_sip_message::{HeaderName, Message, Method};

const IDENTITY: &str = "P-Asserted-Identity: <sip:+1555010@h>\r\nP-Preferred-Identity: <sip:x@h>\r\n\
    Remote-Party-ID: <sip:+1555010@h>\r\nX-Offhook-Secret: s\r\nX-Custom: value 1";

/// What carrier a gets of a call with these headers.
fn at_carrier(trusted: bool, privacy: &str) -> (World, Message) {
    let mut settings = settings();
    settings.carriers[0].trusted = trusted;
    let mut world = World::with(settings);
    let request = text(&invite("123")).replace("X-Custom: value 1", &format!("{privacy}{IDENTITY}"));
    world.receive(vsp(), request);
    world.take(vsp());
    let sent = world.take(carrier_a());
    (world, sent)
}

#[test]
fn asserted_identity_goes_to_trusted_carriers_only() {
    let (_, sent) = at_carrier(true, "");
    assert_eq!(value(&sent, "P-Asserted-Identity"), "<sip:+1555010@h>");
    assert_eq!(value(&sent, "Remote-Party-ID"), "<sip:+1555010@h>");
    let (_, sent) = at_carrier(false, "");
    assert_eq!(value(&sent, "P-Asserted-Identity"), "");
    assert_eq!(value(&sent, "Remote-Party-ID"), "");
    assert!(value(&sent, "From").contains("alice"), "nobody asked for privacy");
    // RFC 3325 §9.3: the caller wants to be named.
    let (_, sent) = at_carrier(false, "Privacy: none\r\n");
    assert_eq!(value(&sent, "P-Asserted-Identity"), "<sip:+1555010@h>");
}

#[test]
fn own_headers_stay_with_us_and_custom_ones_pass() {
    for trusted in [true, false] {
        let (_, sent) = at_carrier(trusted, "");
        assert_eq!(value(&sent, "P-Preferred-Identity"), "");
        assert_eq!(value(&sent, "X-Offhook-Secret"), "");
        assert_eq!(value(&sent, "X-Offhook-Call-Id"), CALL);
        assert_eq!(value(&sent, "X-Custom"), "value 1");
    }
}

#[test]
fn an_anonymous_caller_is_named_to_trusted_carriers_only() {
    for privacy in ["id", "user;critical", "session ; header", "ID"] {
        let privacy = format!("Privacy: {privacy}\r\n");
        let (_, sent) = at_carrier(false, &privacy);
        let from = "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=vsptag";
        assert_eq!(value(&sent, "From"), from);
        assert!(!text(&sent).contains("1555010"));
        let (_, sent) = at_carrier(true, &privacy);
        assert!(
            value(&sent, "From").contains("alice"),
            "it has the Privacy header to act on"
        );
        assert_eq!(value(&sent, "P-Asserted-Identity"), "<sip:+1555010@h>");
    }
}

#[test]
fn anonymity_lasts_for_the_whole_call_and_the_caller_sees_its_own_from() {
    let (mut world, sent) = at_carrier(false, "Privacy: id\r\n");
    world.receive_message(carrier_a(), &answer(&sent, 200));
    let ok = world.take(vsp());
    assert!(value(&ok, "From").contains("alice"));
    for method in [Method::Ack, Method::Invite, Method::Bye] {
        world.receive_message(vsp(), &in_dialog(&ok, method.clone(), None));
        let sent = world.take_all(gateway()).pop().expect("it goes on");
        assert!(value(&sent, "From").starts_with("\"Anonymous\""), "{method}");
        assert!(!text(&sent).contains("J\u{fc}rgen"), "{method}");
        if method != Method::Ack {
            world.receive_message(gateway(), &answer(&sent, 200));
            assert!(value(&world.take_all(vsp()).pop().expect("200"), "From").contains("alice"));
        }
    }
    // The callee's own requests carry the callee's own From.
    world.receive_message(carrier_a(), &carrier_request(&sent, Method::Info, 7));
    assert!(value(&world.take(vsp()), "From").contains("sip:123@"));
}

#[test]
fn trust_is_remembered_where_the_carriers_gateway_is_unknown() {
    for (trusted, seen) in [(true, "<sip:a@h>"), (false, "")] {
        let (mut world, sent) = at_carrier(trusted, "");
        world.receive_message(carrier_a(), &answer(&sent, 200));
        let ok = world.take(vsp());
        let identity = Some((HeaderName::PAssertedIdentity, "<sip:a@h>"));
        world.receive_message(vsp(), &in_dialog(&ok, Method::Update, identity));
        assert_eq!(value(&world.take(gateway()), "P-Asserted-Identity"), seen);
    }
}

#[test]
fn what_carriers_say_about_themselves_passes_and_what_they_say_in_our_name_does_not() {
    let mut world = World::new();
    let headers = [
        (HeaderName::PAssertedIdentity, "<tel:+4930>"),
        (HeaderName::custom("P-Called-Party-ID"), "<sip:root@h>"),
        (HeaderName::custom("X-Offhook-Call-Id"), "stolen"),
        (HeaderName::custom("x-offhook-admin"), "1"),
        (HeaderName::custom("X-Caller-Name"), "John"),
        (
            HeaderName::RecordRoute,
            "<sip:10.0.0.2:5060;lr;call=stolen;cs=900.0>, <sip:198.51.100.9;lr>",
        ),
    ];
    world.receive_message(carrier_a(), &carrier_invite("1555010", &headers));
    let at_vsp = world.take(vsp());
    assert_eq!(value(&at_vsp, "P-Asserted-Identity"), "<tel:+4930>");
    assert_eq!(
        value(&at_vsp, "P-Called-Party-ID"),
        "<sip:1555010@voice.example.com>"
    );
    assert_eq!(value(&at_vsp, "X-Caller-Name"), "John");
    assert!(value(&at_vsp, "From").contains("Ann"));
    assert!(!text(&at_vsp).contains("stolen"));
    assert!(!text(&at_vsp).to_ascii_lowercase().contains("x-offhook-admin"));
    let routes: Vec<&[u8]> = at_vsp.values(HeaderName::RecordRoute).collect();
    assert_eq!(routes.len(), 2);
    assert_eq!(routes[1], b"<sip:198.51.100.9;lr>");
    // The caller's side hears only what the VSP may say.
    let headers = [
        (HeaderName::PAssertedIdentity, "<sip:alice@h>"),
        (HeaderName::custom("X-Answer"), "yes"),
    ];
    world.receive_message(vsp(), &answer_with(&at_vsp, 200, &headers));
    let ok = world.take_all(carrier_a()).pop().expect("200");
    assert_eq!(value(&ok, "P-Asserted-Identity"), "");
    assert_eq!(value(&ok, "X-Answer"), "yes");
}

#[test]
fn answers_of_carriers_cannot_carry_our_headers_or_lead_calls_past_us() {
    let (mut world, sent) = at_carrier(false, "");
    let ours = value(&sent, "Record-Route");
    let with_headers = |headers: &[(HeaderName<'static>, &str)]| answer_with(&sent, 180, headers);
    // Ours is missing, or stands there with other parameters and a hop of theirs in front.
    let missing = text(&with_headers(&[])).replace(&format!("Record-Route: {ours}\r\n"), "");
    let forged = text(&with_headers(&[(
        HeaderName::custom("X-Offhook-Call-Id"),
        "stolen",
    )]))
    .replace(
        &format!("Record-Route: {ours}"),
        "Record-Route: <sip:192.0.2.50;lr>, <sip:10.0.0.2:5060;lr;call=stolen>",
    );
    for (response, expected) in [
        (missing, vec![ours.as_str()]),
        (forged, vec!["<sip:192.0.2.50;lr>", &ours]),
    ] {
        world.receive(carrier_a(), response);
        let at_vsp = world.take(vsp());
        let routes: Vec<String> = at_vsp
            .values(HeaderName::RecordRoute)
            .map(|route| String::from_utf8_lossy(route).into_owned())
            .collect();
        assert_eq!(routes, expected);
        assert!(!text(&at_vsp).contains("stolen"));
    }
}

#[test]
fn headers_of_ours_are_taken_out_however_many_a_carrier_sends() {
    let mut world = World::new();
    let lines =
        "x-offhook-user: bob\r\nX-Offhook-Latching: any\r\nP-Preferred-Identity: <sip:a@h>\r\n".repeat(70);
    let invite = text(&carrier_invite("+1555010", &[]))
        .replace("\r\nMax-Forwards", &format!("\r\n{lines}Max-Forwards"));
    world.receive(carrier_a(), invite);
    let at_vsp = world.take(vsp());
    let named = at_vsp.headers().filter(|line| {
        line.name == HeaderName::PPreferredIdentity
            || line.raw_name.to_ascii_lowercase().starts_with(b"x-offhook-")
    });
    assert_eq!(named.count(), 1, "the call id alone: {}", text(&at_vsp));
}
