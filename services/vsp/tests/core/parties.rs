//! Whom the parties of a call are told that they talk with (RFC 3325, RFC 5876 §4), and C13.

use crate::world::{CARRIER_ANSWER, CARRIER_SIDE_OFFER, World, header, settings, vsp_address};
use offhook_sip::user_agent::{Body, Event, LegId, OutgoingRequest, Output};
use offhook_sip::{Flow, Header};
use offhook_sip_message::{Method, StatusCode};
use offhook_vsp::ConnectionId;
use serde_json::{Value, json};
use std::time::Duration;

const CAROL: &str = "\"Carol\" <sip:+4930999888@carrier.example>";
/// Spelled as by somebody who wants a Via of his own.
const ODD: &str = "\"O\\\"dd\" <sip:+49%0d%0aVia%3a@carrier.example>";

/// The far end says within a call who it is; gives the status of our answer.
fn says(world: &mut World, leg: LegId, method: Method, headers: &[(&str, &str)]) -> u16 {
    let request = OutgoingRequest {
        body: (method == Method::Invite).then(|| Body::sdp(CARRIER_SIDE_OFFER.to_owned())),
        method,
        headers: headers
            .iter()
            .map(|(name, value)| Header::new(name, value).unwrap())
            .collect(),
    };
    world.far_events.clear();
    world.far_end.request(world.now, leg, request).unwrap();
    world.settle();
    match world.far_event() {
        Event::Response { response, .. } => response.status().map_or(0, StatusCode::code),
        other => panic!("a response, not {other:?}"),
    }
}

fn shown(world: &mut World, client: ConnectionId) -> (Value, Value) {
    let display = world.expect(client, "display");
    (display["display_name"].clone(), display["display_number"].clone())
}

/// Alice talks with somebody who has called her.
fn called(world: &mut World, from: &str, headers: &[(&str, &str)]) -> (ConnectionId, LegId) {
    let (client, _) = world.log_in("alice");
    let leg = world.far_call_from("alice", from, headers);
    let call = world.expect(client, "invite")["callID"].clone();
    world.answer(client, &call);
    world.frame(client);
    world.far_events.clear();
    let params = json!({"action": "transfer", "destination": "9199", "dialogParams": {"callID": call}});
    world.request(client, "telnyx_rtc.modify", params);
    (client, leg)
}

/// Who the far end was told by UPDATE that it talks with, by leg.
fn told(world: &mut World) -> Vec<(LegId, String)> {
    let updates = world.far_events.drain(..).filter_map(|event| match event {
        Event::IncomingRequest {
            leg: Some(leg),
            request,
            ..
        } if request.method() == Some(&Method::Update) => {
            assert!(request.body().is_empty());
            Some((leg, header(&request, "P-Asserted-Identity").expect("a name")))
        }
        _ => None,
    });
    updates.collect()
}

/// The newcomer of a blind transfer answers: its leg.
fn joins(world: &mut World) -> LegId {
    world
        .far_events
        .retain(|event| matches!(event, Event::IncomingInvite { .. }));
    let (second, incoming, _) = world.far_invite();
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    second
}

#[test]
fn after_a_blind_transfer_both_far_parties_learn_whom_they_talk_with() {
    let mut world = World::without_refer();
    let (_, first) = called(&mut world, CAROL, &[]);
    let second = joins(&mut world);
    assert_eq!(
        told(&mut world),
        [
            (first, "<sip:9199@voice.example.com>".to_owned()),
            (second, "\"Carol\" <sip:+4930999888@voice.example.com>".to_owned()),
        ]
    );
}

#[test]
fn after_an_attended_transfer_both_far_parties_learn_whom_they_talk_with() {
    let mut world = World::without_refer();
    let (client, _) = world.log_in("alice");
    let first = world.call(client, "call-1", "9196");
    let second = world.call(client, "call-2", "9197");
    world.modify(client, json!({"action": "replace", "replaceCallID": "call-2"}));
    let (_, incoming, _) = world.far_asked();
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    assert_eq!(
        told(&mut world),
        [
            (first, "<sip:9197@voice.example.com>".to_owned()),
            (second, "<sip:9196@voice.example.com>".to_owned()),
        ]
    );
}

#[test]
fn rfc3325_7_who_withholds_its_number_is_named_to_nobody() {
    for (from, headers) in [
        ("\"Anonymous\" <sip:anonymous@anonymous.invalid>", &[][..]),
        (CAROL, &[("P-Asserted-Identity", CAROL), ("Privacy", "user; ID")]),
    ] {
        let mut world = World::without_refer();
        let (_, first) = called(&mut world, from, headers);
        joins(&mut world);
        let legs: Vec<_> = told(&mut world).into_iter().map(|(leg, _)| leg).collect();
        assert_eq!(legs, [first], "the other one is told nothing");
    }
}

#[test]
fn names_from_outside_cannot_break_out_of_their_line() {
    let mut world = World::without_refer();
    called(&mut world, CAROL, &[("P-Asserted-Identity", ODD)]);
    let second = joins(&mut world);
    let (leg, name) = told(&mut world).pop().expect("a name");
    assert_eq!(
        (leg, name.as_str()),
        (second, "\"Odd\" <sip:+49Via%3A@voice.example.com>")
    );
}

#[test]
fn a_far_end_that_never_answers_what_it_is_told_keeps_its_call() {
    let mut world = World::without_refer();
    called(&mut world, CAROL, &[]);
    joins(&mut world);
    assert_eq!(told(&mut world).len(), 2);
    world.advance(Duration::from_secs(60));
    assert_eq!(world.server.counts().connected, 1);
}

#[test]
fn rfc3311_5_1_who_does_not_name_update_gets_none() {
    let mut world = World::without_update();
    called(&mut world, CAROL, &[]);
    joins(&mut world);
    assert_eq!(told(&mut world), []);
}

#[test]
fn c13_a_far_end_that_says_who_it_is_now_is_shown() {
    for (method, session_expires) in [
        (Method::Update, None),
        (Method::Update, Some(Duration::from_secs(1800))),
        (Method::Invite, None),
    ] {
        let mut own = settings();
        own.sip.session_expires = session_expires;
        let mut world = World::with(own);
        let (client, _) = world.log_in("alice");
        let leg = world.call(client, "call-1", "9196");
        for known in ["<sip:9196@carrier.example>", "<sip:+9196@carrier.example>"] {
            assert_eq!(
                says(&mut world, leg, method.clone(), &[("P-Asserted-Identity", known)]),
                200
            );
            assert_eq!(world.frames_left(client), 0, "nothing new: {known}");
        }
        for _ in 0..2 {
            assert_eq!(
                says(&mut world, leg, method.clone(), &[("P-Asserted-Identity", CAROL)]),
                200
            );
        }
        assert_eq!(shown(&mut world, client), (json!("Carol"), json!("+4930999888")));
        assert_eq!(world.frames_left(client), 0, "once");
        let withheld = [("P-Asserted-Identity", CAROL), ("Privacy", "id")];
        says(&mut world, leg, method, &withheld);
        assert_eq!(shown(&mut world, client), (json!(""), json!("anonymous")));
    }
}

#[test]
fn strangers_name_nobody() {
    let mut world = World::new();
    let (client, _, leg) = world.talking();
    let request = OutgoingRequest {
        method: Method::Update,
        headers: vec![Header::new("P-Asserted-Identity", CAROL).unwrap()],
        body: None,
    };
    let now = world.now;
    world.far_end.request(now, leg, request).unwrap();
    while let Some(output) = world.far_end.poll_output() {
        if let Output::Transmit(transmit) = output {
            assert_eq!(transmit.flow, Flow::udp(vsp_address()));
            let stranger = "192.0.2.66:5060".parse().unwrap();
            world.server.handle_datagram(now, stranger, transmit.bytes);
        }
    }
    world.settle();
    assert_eq!(world.frames_left(client), 0);
}

#[test]
fn a_client_that_was_away_is_shown_its_new_far_end_when_it_is_back() {
    let mut world = World::new();
    let (old, session, leg) = world.talking();
    world.cut(old);
    says(&mut world, leg, Method::Update, &[("P-Asserted-Identity", CAROL)]);
    let (client, _) = world.come_back(&session);
    assert_eq!(world.frame(client)["params"]["display_name"], "Carol");
    world.cut(client);
    let (client, _) = world.come_back(&session);
    assert_eq!(shown(&mut world, client).0, "Carol", "it was not acknowledged");
    world.cut(client);
    let (client, _) = world.come_back(&session);
    assert_eq!(world.frames_left(client), 0, "it knows");
}
