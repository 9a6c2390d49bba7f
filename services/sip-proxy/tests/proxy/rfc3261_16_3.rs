//! RFC 3261 §16.3 and who may use the proxy at all: what is refused, how, and that it is counted.

use crate::world::*;
use offhook_sip_message::{HeaderName, Method};
use offhook_sip_proxy::proxy::Refusal;
use std::net::SocketAddr;
use std::time::Duration;

/// Sends the request as the VSP does, and gives the status of the final answer.
#[track_caller]
fn refusal(request: &str) -> (u16, Vec<Refusal>) {
    let mut world = World::new();
    world.receive(vsp(), request.to_owned());
    let last = world.take_all(vsp()).pop().expect("an answer");
    assert!(world.sent.is_empty(), "nothing goes on: {:?}", world.sent);
    (status_of(&last), world.refused)
}

fn raw_invite(number: &str) -> String {
    text(&invite(number)).replace('\u{fc}', "u")
}

#[test]
fn max_forwards_zero_is_483() {
    let request = raw_invite("123").replace("Max-Forwards: 70", "Max-Forwards: 0");
    assert_eq!(refusal(&request), (483, vec![Refusal::TooManyHops]));
}

#[test]
fn a_loop_is_482() {
    let mut world = World::new();
    let from_carrier = |message: &str, pass: u32| {
        message.replacen(
            "Via: ",
            &format!("Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKpass{pass}\r\nVia: "),
            1,
        )
    };
    world.receive(carrier_a(), from_carrier(&raw_invite("+1555010"), 1));
    let once = text(&world.take(vsp()));
    assert_eq!(status_of(&world.take(carrier_a())), 100);
    // Somebody behind us sends it back as it came: the same call, unchanged, a second time.
    let back = once.replacen("sip:alice@voice.example.com", "sip:+1555010@10.0.0.2:5060", 1);
    world.receive(carrier_a(), from_carrier(&back, 2));
    assert_eq!(
        status_of(&world.take_all(carrier_a()).pop().expect("an answer")),
        482
    );
    assert_eq!(world.refused, [Refusal::Loop]);
    // With another request URI it is a spiral, which is allowed (§6).
    let spiral = once.replacen("sip:alice@voice.example.com", "sip:15550-10@10.0.0.2:5060", 1);
    world.receive(carrier_a(), from_carrier(&spiral, 3));
    assert_eq!(world.take(vsp()).method(), Some(&Method::Invite));
}

#[test]
fn unknown_proxy_require_is_420_and_named() {
    let request = raw_invite("123").replace(
        "X-Custom: value 1",
        "Proxy-Require: foo\r\nProxy-Require: bar, baz",
    );
    let mut world = World::new();
    world.receive(vsp(), request);
    let answer = world.take_all(vsp()).pop().expect("an answer");
    assert_eq!(status_of(&answer), 420);
    assert_eq!(answer.first(HeaderName::Unsupported), Some(&b"foo, bar, baz"[..]));
}

#[test]
fn numbers_that_are_none_are_refused() {
    let long = "1".repeat(1000);
    for (number, status, reason) in [
        ("1%0D%0AVia:x", 404, Refusal::BadNumber),
        (long.as_str(), 400, Refusal::BadNumber),
        ("()", 484, Refusal::BadNumber),
        ("999", 404, Refusal::NoRoute),
    ] {
        assert_eq!(refusal(&raw_invite(number)), (status, vec![reason]), "{number}");
    }
    let no_user = raw_invite("123").replacen("sip:123@", "sip:", 1);
    assert_eq!(refusal(&no_user).0, 484);
    let scheme = raw_invite("123").replacen("sip:123@10.0.0.2:5060", "http://example.com", 1);
    assert_eq!(refusal(&scheme).0, 416);
}

#[test]
fn other_methods_outside_of_calls_are_refused() {
    for (method, status) in [
        (Method::Bye, 481),
        (Method::Update, 481),
        (Method::Prack, 481),
        (Method::Info, 481),
        (Method::Notify, 481),
        (Method::Refer, 405),
        (Method::Register, 405),
        (Method::Message, 405),
        (Method::Subscribe, 405),
        (Method::new(b"FOO").expect("a token"), 501),
    ] {
        let mut world = World::new();
        world.receive_message(vsp(), &new_request(method.clone(), "sip:1@10.0.0.2", "x"));
        let answer = world.take(vsp());
        assert_eq!(status_of(&answer), status, "{method}");
        assert!(answer.has(HeaderName::Allow));
        let reason = if status == 481 {
            Refusal::NoDialog
        } else {
            Refusal::Method
        };
        assert_eq!(world.refused, [reason]);
    }
}

#[test]
fn options_is_answered() {
    for peer in [vsp(), carrier_a()] {
        let mut world = World::new();
        world.receive_message(peer, &new_request(Method::Options, "sip:10.0.0.2", "x"));
        let answer = world.sent.pop().expect("an answer").1;
        assert_eq!(status_of(&answer), 200);
        assert!(answer.lists(HeaderName::Allow, "INVITE"));
    }
}

#[test]
fn strangers_get_403_but_only_some_of_them() {
    let stranger: SocketAddr = ([203, 0, 113, 66], 5060).into();
    let mut world = World::new();
    for id in 0..100 {
        world.receive_message(stranger, &invite_as("123", &id.to_string()));
    }
    let answers = world.take_all(stranger);
    assert!(answers.iter().all(|answer| status_of(answer) == 403));
    assert_eq!(answers.len(), 10);
    assert_eq!(world.refused, vec![Refusal::Stranger; 100]);
    assert!(world.sent.is_empty());
    assert_eq!(
        world.proxy.counts().transactions.server_transactions,
        0,
        "no state for strangers"
    );
    world.pass(Duration::from_secs(1));
    world.receive_message(stranger, &invite("123"));
    assert_eq!(world.take_all(stranger).len(), 1);
}

#[test]
fn malformed_messages_get_400_or_silence() {
    let mut world = World::new();
    world.receive(
        vsp(),
        raw_invite("123").replace("CSeq: 10 INVITE", "CSeq: 10 BYE"),
    );
    assert_eq!(status_of(&world.take(vsp())), 400);
    world.receive(
        vsp(),
        raw_invite("123").replace("Content-Length: 5", "Content-Length: -1"),
    );
    assert_eq!(status_of(&world.take(vsp())), 400);
    world.receive(
        vsp(),
        raw_invite("123").replace("SIP/2.0\r\nVia", "SIP/9.0\r\nVia"),
    );
    assert_eq!(status_of(&world.take(vsp())), 505);
    world.receive(vsp(), &b"\x00\xff\xfenonsense"[..]);
    world.receive(vsp(), "");
    world.receive(vsp(), "\r\n\r\n");
    assert!(world.sent.is_empty());
    assert_eq!(world.refused, vec![Refusal::Malformed; 4]);
    let counts = world.proxy.counts();
    assert_eq!((counts.contexts, counts.transactions.server_transactions), (0, 0));
}

#[test]
fn a_preloaded_route_to_elsewhere_is_403() {
    let request = raw_invite("123").replace("X-Custom: value 1", "Route: <sip:198.51.100.1;lr>");
    assert_eq!(refusal(&request), (403, vec![Refusal::NoRoute]));
}

#[test]
fn over_the_limit_and_when_leaving_calls_get_503_with_retry_after() {
    let mut settings = settings();
    settings.requests_max = 1;
    let mut world = World::with(settings);
    world.call("123", carrier_a());
    world.receive_message(vsp(), &invite("124"));
    let refused = world.take_all(vsp()).pop().expect("an answer");
    assert_eq!(status_of(&refused), 503);
    assert!(refused.has(HeaderName::RetryAfter));
    assert_eq!(world.refused, [Refusal::Overload]);

    let mut world = World::new();
    let (_, ok) = world.answered_call();
    world.proxy.drain();
    world.receive_message(vsp(), &invite("124"));
    assert_eq!(status_of(&world.take_all(vsp()).pop().expect("an answer")), 503);
    assert!(!world.proxy.is_quiet(), "the old call still runs");
    world.receive_message(vsp(), &in_dialog(&ok, Method::Bye, None));
    let bye = world.sent.pop().expect("BYE goes on").1;
    world.receive_message(gateway(), &answer(&bye, 200));
    assert_eq!(status_of(&world.take(vsp())), 200);
    assert!(world.proxy.is_quiet());
}

#[test]
fn a_request_too_large_to_be_passed_on_is_513_and_no_carriers_fault() {
    let long = format!("X-Custom: {}\r\n", "1".repeat(62_000));
    let many = "X-Custom: 1\r\n".repeat(240);
    for lines in [long, many] {
        let request = raw_invite("123").replace("X-Custom: value 1\r\n", &lines);
        assert_eq!(refusal(&request), (513, vec![Refusal::Malformed]));
    }
}

#[test]
fn an_unknown_extension_within_a_call_is_420_but_ignored_in_ack() {
    let mut world = World::new();
    let (_, ok) = world.answered_call();
    let wants = Some((HeaderName::ProxyRequire, "foo"));
    world.receive_message(vsp(), &in_dialog(&ok, Method::Update, wants));
    let refused = world.take(vsp());
    assert_eq!(
        (status_of(&refused), value(&refused, "Unsupported")),
        (420, "foo".to_owned())
    );
    world.receive_message(vsp(), &in_dialog(&ok, Method::Ack, wants));
    assert_eq!(world.take(gateway()).method(), Some(&Method::Ack));
}
