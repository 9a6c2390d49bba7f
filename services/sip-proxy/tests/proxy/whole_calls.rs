//! Many calls of every kind: nothing is left behind, and each message is in the trace once per direction.

use crate::world::*;
use offhook_call_trace::Hop;
use offhook_sip_message::header::Via;
use offhook_sip_message::{HeaderName, Message, Method};
use std::time::Duration;

#[test]
fn the_trace_of_a_call_shows_each_message_once_per_direction() {
    let mut world = World::new();
    let (_, at_carrier) = world.call("123", carrier_a());
    for status in [100, 180, 200, 200] {
        world.receive_message(carrier_a(), &answer(&at_carrier, status));
    }
    let ok = world.take_all(vsp()).pop().expect("the 200");
    world.receive_message(vsp(), &in_dialog(&ok, Method::Ack, None));
    world.receive_message(carrier_a(), &carrier_request(&at_carrier, Method::Bye, 500));
    let bye = world.take(vsp());
    world.receive_message(vsp(), &answer(&bye, 200));
    let trace: Vec<String> = world
        .traced
        .iter()
        .map(|traced| {
            assert_eq!(traced.call.as_str(), CALL);
            let event = traced.event();
            assert_eq!(event.observer, Hop::SipProxy);
            format!("{:?} {:?} {}", event.from, event.to, event.name)
        })
        .collect();
    let expected = [
        "Vsp SipProxy INVITE",
        "SipProxy Vsp 100 INVITE",
        "SipProxy Carrier INVITE",
        "Carrier SipProxy 100 INVITE",
        "Carrier SipProxy 180 INVITE",
        "SipProxy Vsp 180 INVITE",
        "Carrier SipProxy 200 INVITE",
        "SipProxy Vsp 200 INVITE",
        "Vsp SipProxy ACK",
        "SipProxy Carrier ACK",
        "Carrier SipProxy BYE",
        "SipProxy Vsp BYE",
        "Vsp SipProxy 200 BYE",
        "SipProxy Carrier 200 BYE",
    ];
    assert_eq!(trace, expected);
}

#[test]
fn a_refused_call_is_traced_too_and_secrets_are_not() {
    let mut world = World::new();
    let request = text(&invite("999")).replace(
        "X-Custom: value 1",
        "Proxy-Authorization: Digest response=\"abc\"",
    );
    world.receive(vsp(), request);
    let events: Vec<_> = world.traced.iter().map(|traced| traced.event()).collect();
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["INVITE", "404 INVITE"]);
    assert!(!events[0].detail.contains("abc"), "{}", events[0].detail);
}

/// The ACK of the VSP to a rejection.
fn ack_rejection(rejection: &Message) -> String {
    let line = |name: HeaderName<'_>| {
        String::from_utf8_lossy(rejection.first(name).unwrap_or_default()).into_owned()
    };
    let via: Via<'_> = rejection.require().expect("a Via");
    let branch = String::from_utf8_lossy(via.branch().unwrap_or_default()).into_owned();
    format!(
        "ACK sip:1@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5070;branch={branch}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
         CSeq: 10 ACK\r\nMax-Forwards: 70\r\n\r\n",
        line(HeaderName::From),
        line(HeaderName::To),
        line(HeaderName::CallId),
    )
}

#[test]
fn two_hundred_calls_leave_nothing_behind() {
    let mut world = World::new();
    for number in 0..200 {
        world.receive_message(vsp(), &invite_as("123", &format!("call{number}")));
        let mut at_carrier = world.take(carrier_a());
        let mut carrier = carrier_a();
        if number % 3 == 1 {
            world.receive_message(carrier, &answer(&at_carrier, 503));
            carrier = carrier_b();
            at_carrier = world.take(carrier);
        } else if number % 3 == 2 {
            world.pass(Duration::from_secs(2));
            carrier = carrier_b();
            at_carrier = world.take(carrier);
        }
        world.receive_message(carrier, &answer(&at_carrier, 180));
        match number % 4 {
            0 => {
                world.receive_message(carrier, &answer(&at_carrier, 486));
                let busy = world.take_all(vsp()).pop().expect("a 486");
                world.receive(vsp(), ack_rejection(&busy));
            }
            1 => {
                // The caller vanishes; the callee answers with 486 much later.
                world.pass(Duration::from_secs(10));
                world.receive_message(carrier, &answer(&at_carrier, 480));
            }
            kind => {
                world.receive_message(carrier, &answer(&at_carrier, 200));
                let ok = world.take_all(vsp()).pop().expect("a 200");
                assert_eq!(status_of(&ok), 200);
                world.receive_message(vsp(), &in_dialog(&ok, Method::Ack, None));
                if kind == 2 {
                    world.receive_message(vsp(), &in_dialog(&ok, Method::Bye, None));
                    let bye = world.take_all(gateway()).pop().expect("a BYE");
                    world.receive_message(gateway(), &answer(&bye, 200));
                } else {
                    world.receive_message(carrier, &carrier_request(&at_carrier, Method::Bye, 700 + number));
                    let bye = world.take_all(vsp()).pop().expect("a BYE");
                    world.receive_message(vsp(), &answer(&bye, 200));
                }
            }
        }
        world.sent.clear();
    }
    let counts = world.proxy.counts();
    assert_eq!(
        (
            counts.calls_total,
            counts.answered_total,
            counts.dialogs,
            counts.unanswered
        ),
        (200, 100, 0, 0)
    );
    assert!(world.proxy.is_quiet());
    world.assert_empty();
}

#[test]
fn damaged_messages_never_disturb_the_others() {
    let mut world = World::new();
    let (_, at_carrier) = world.call("123", carrier_a());
    let seeds = [
        text(&invite_as("124", "fuzz")),
        text(&answer(&at_carrier, 180)),
        text(&carrier_request(&at_carrier, Method::Bye, 9)),
    ];
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for round in 0..3_000 {
        let mut raw = seeds[round % seeds.len()]
            .replace("fuzz", &format!("fuzz{round}"))
            .into_bytes();
        for _ in 0..1 + random(4) {
            let at = random(raw.len());
            match random(3) {
                0 => raw[at] = random(256) as u8,
                1 => raw.truncate(at.max(1)),
                _ => {
                    raw.drain(at..(at + random(30)).min(raw.len()));
                }
            }
            if raw.is_empty() {
                raw.push(b' ');
            }
        }
        let from = if round % seeds.len() == 0 {
            vsp()
        } else {
            carrier_a()
        };
        let now = world.now;
        world.proxy.handle_datagram(now, from, raw.into());
        while world.proxy.poll_output().is_some() {}
    }
    world.receive_message(carrier_a(), &answer(&at_carrier, 200));
    assert!(
        world
            .take_all(vsp())
            .iter()
            .any(|response| status_of(response) == 200),
        "the call goes on"
    );
}
