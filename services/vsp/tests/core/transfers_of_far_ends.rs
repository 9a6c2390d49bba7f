//! RFC 3515: far ends that send our clients to somebody else.

use crate::world::{CARRIER_ANSWER, World, header, settings};
use offhook_media_control::{Command, Event as MediaEvent, Latching, LegName, Sound};
use offhook_sip::user_agent::{Event, IncomingId, LegId, NameAddr, Notice, OutgoingRefer, ReplacedDialog};
use offhook_sip_message::{Message, Method, UriBuf};
use offhook_vsp::{ConnectionId, FarTransfers, TransferWay};
use serde_json::{Value, json};
use std::time::Duration;

fn world(policy: FarTransfers) -> World {
    let mut own = settings();
    own.transfers.from_far_end = policy;
    own.users.get_mut("bob").unwrap().numbers = vec!["+15550200".to_owned()];
    World::with(own)
}

fn uri(text: &str) -> UriBuf {
    UriBuf::new(text.to_owned()).unwrap()
}

/// The far end sends us to somebody; gives the status of our answer.
fn refer(world: &mut World, leg: LegId, to: &str) -> u16 {
    let refer = OutgoingRefer {
        to: uri(to),
        replaces: None,
        referred_by: Some(NameAddr {
            display_name: String::new(),
            uri: uri("sip:boss@carrier.example"),
        }),
        headers: Vec::new(),
    };
    refer_with(world, leg, refer)
}

fn refer_with(world: &mut World, leg: LegId, refer: OutgoingRefer) -> u16 {
    world.far_end.refer(world.now, leg, refer).unwrap();
    world.settle();
    let position = world
        .far_events
        .iter()
        .position(|event| matches!(event, Event::Response { .. }))
        .expect("an answer to the REFER");
    let Some(Event::Response { response, .. }) = world.far_events.remove(position) else {
        panic!()
    };
    response.status().unwrap().code()
}

fn newcomer(world: &mut World) -> (LegId, IncomingId, Message) {
    world
        .far_events
        .retain(|event| matches!(event, Event::IncomingInvite { .. }));
    world.far_invite()
}

/// What the far end has heard of how its transfer goes.
fn progress(world: &mut World) -> Vec<(u16, bool)> {
    let told = world.far_notices.drain(..).filter_map(|notice| match notice {
        Notice::ReferProgress { status, finished, .. } => Some((status.code(), finished)),
        _ => None,
    });
    told.collect()
}

fn event(state: &str, status: u16) -> Value {
    json!({"kind": "farTransfer", "state": state, "sipCode": status})
}

fn in_call(world: &mut World) -> (ConnectionId, LegId) {
    let (client, _) = world.log_in("alice");
    let leg = world.call(client, "call-1", "9196");
    (client, leg)
}

#[test]
fn the_client_is_connected_with_whom_its_far_end_names() {
    let mut world = world(FarTransfers::Users);
    let (client, old) = in_call(&mut world);
    assert_eq!(
        refer(&mut world, old, "sip:+15550200@carrier.example;user=phone"),
        202
    );
    assert!(matches!(
        world.gateway.commands.last(),
        Some(Command::PrepareReplacement {
            leg: LegName::Carrier,
            ringback: true,
            ..
        })
    ));
    let (new, incoming, invite) = newcomer(&mut world);
    let target = invite.request_uri().unwrap().unwrap();
    assert_eq!(
        target.as_bytes(),
        b"sip:+15550200@voice.example.com",
        "by way of our proxy"
    );
    assert_eq!(
        header(&invite, "Referred-By").as_deref(),
        Some("<sip:boss@carrier.example>")
    );
    assert!(header(&invite, "From").unwrap().contains("+15550100"));
    world.far_respond(incoming, 180, None);
    assert_eq!(world.frame(client)["params"]["eventData"], event("trying", 180));
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    assert!(world.gateway.commands.iter().any(|command| matches!(command,
        Command::Replace { leg: LegName::Carrier, sdp, .. } if sdp == CARRIER_ANSWER)));
    assert_eq!(world.frame(client)["params"]["eventData"], event("done", 200));
    let shown = world.expect(client, "display");
    assert_eq!(
        (&shown["callID"], &shown["display_number"]),
        (&json!("call-1"), &json!("+15550200"))
    );
    assert_eq!(progress(&mut world), [(100, false), (180, false), (200, true)]);
    assert!(world.far_has_left(old) && !world.far_has_left(new));
    assert_eq!(world.transfers, [(TransferWay::FarEnd, 200)]);
    assert_eq!(
        (world.server.counts().calls, world.frames_left(client)),
        (1, 0),
        "no break"
    );
    world.far_bye(new, None);
    assert_eq!(world.expect(client, "bye")["callID"], "call-1");
    world.advance(Duration::from_secs(40));
    assert_eq!(world.server.counts().sip.legs, 0);
}

#[test]
fn rfc3891_the_call_that_is_to_be_replaced_is_named_in_the_invite() {
    let mut world = world(FarTransfers::Any);
    let (client, old) = in_call(&mut world);
    let consulted = world.call(client, "call-2", "9197");
    let id = world.far_end.dialog(consulted).unwrap().id.clone();
    let replaces = ReplacedDialog {
        call_id: id.call_id,
        to_tag: id.local_tag,
        from_tag: id.remote_tag,
        early_only: false,
    };
    let named = replaces.header().unwrap();
    let refer = OutgoingRefer {
        to: uri("sip:9300@pbx.example"),
        replaces: Some(replaces),
        referred_by: None,
        headers: Vec::new(),
    };
    assert_eq!(refer_with(&mut world, old, refer), 202);
    let (new, _, invite) = newcomer(&mut world);
    assert_eq!(
        header(&invite, "Replaces").as_deref(),
        std::str::from_utf8(named.value().as_bytes()).ok()
    );
    assert_eq!(world.far_end.replaced_by(new), Some(consulted));
}

/// Requests to a party that has left are never answered; what the client asks of the new one must not wait for them.
#[test]
fn what_the_old_far_end_was_asked_does_not_hold_up_the_new_one() {
    for replaced in [false, true] {
        let mut world = world(FarTransfers::Any);
        world.gateway.telephone_event = false;
        let (client, old) = in_call(&mut world);
        let digits = json!({"dtmf": "12", "dialogParams": {"callID": "call-1"}});
        world.ask(client, "telnyx_rtc.info", digits);
        let text = json!({"msg": {"from": "alice", "to": "9196", "body": "Hi"}, "dialogParams": {"callID": "call-1"}});
        let asked = world.request(client, "telnyx_rtc.info", text);
        let (_, _, digit) = world.far_asked();
        assert!(digit.body().starts_with(b"Signal=1\r\n"));
        world.far_events.clear();
        let new = if replaced {
            world.far_successor(old, Some(CARRIER_ANSWER))
        } else {
            assert_eq!(refer(&mut world, old, "sip:9300@pbx.example"), 202);
            let (new, incoming, _) = newcomer(&mut world);
            world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
            new
        };
        let (leg, _, digit) = world.far_asked();
        assert_eq!(leg, new);
        assert!(digit.body().starts_with(b"Signal=2\r\n"));
        let frames = world.take_frames(client);
        let answer = frames.iter().find(|frame| frame["id"] == json!(asked));
        assert_eq!(answer.expect("an answer")["error"]["code"], -32002);
    }
}

#[test]
fn a_transfer_that_fails_leaves_the_client_with_its_far_end() {
    let mut world = world(FarTransfers::Any);
    let (client, old) = in_call(&mut world);
    assert_eq!(refer(&mut world, old, "tel:+4940123"), 202);
    let (_, incoming, _) = newcomer(&mut world);
    world.far_respond(incoming, 486, None);
    assert_eq!(progress(&mut world), [(100, false), (486, true)]);
    assert_eq!(world.frame(client)["params"]["eventData"], event("failed", 486));
    assert_eq!(world.tags().last().map(String::as_str), Some("drop-replacement"));
    assert!(!world.far_has_left(old));
    world.far_bye(old, None);
    assert_eq!(world.expect(client, "bye")["callID"], "call-1");
}

#[test]
fn a_far_end_may_leave_before_the_new_one_has_come() {
    for answered in [true, false] {
        let mut world = world(FarTransfers::Any);
        let (client, old) = in_call(&mut world);
        refer(&mut world, old, "sip:9300@pbx.example");
        let (new, incoming, _) = newcomer(&mut world);
        world.far_bye(old, None);
        assert_eq!(world.frames_left(client), 0, "the call waits for the new one");
        if answered {
            world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
            assert_eq!(world.frame(client)["params"]["eventData"], event("done", 200));
            world.expect(client, "display");
            world.far_bye(new, None);
            world.expect(client, "bye");
        } else {
            world.far_respond(incoming, 486, None);
            assert_eq!(world.frame(client)["params"]["eventData"], event("failed", 486));
            assert_eq!(world.expect(client, "bye")["cause"], "USER_BUSY");
        }
        world.advance(Duration::from_secs(40));
        let counts = world.server.counts();
        assert_eq!((counts.calls, counts.sip.legs), (0, 0));
    }
}

#[test]
fn a_successor_that_leaves_while_it_is_put_into_its_place_ends_the_call() {
    let mut world = world(FarTransfers::Any);
    let (client, old) = in_call(&mut world);
    refer(&mut world, old, "sip:9300@pbx.example");
    let (new, incoming, _) = newcomer(&mut world);
    world.gateway.hold_replies = true;
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    world.far_bye(new, None);
    world.release_replies();
    assert_eq!(world.frame(client)["params"]["eventData"], event("done", 200));
    assert_eq!(world.expect(client, "bye")["cause"], "NORMAL_CLEARING");
    assert!(world.far_has_left(old));
    world.advance(Duration::from_secs(40));
    let counts = world.server.counts();
    assert_eq!((counts.calls, counts.sip.legs), (0, 0));
}

#[test]
fn whom_the_operator_does_not_let_them_name_is_not_called() {
    for (policy, to, status) in [
        (FarTransfers::Off, "sip:+15550200@x.example", 603),
        (FarTransfers::Users, "sip:+1900555@x.example", 403),
        (FarTransfers::Users, "sip:bob@x.example", 202),
        (FarTransfers::Any, "sip:+1900555@x.example", 202),
        (FarTransfers::Any, "sip:alice@x.example", 482),
        (FarTransfers::Any, "sip:15550100@x.example", 482),
        (FarTransfers::Any, "sip:x.example", 484),
        (FarTransfers::Any, "sip:a%0d%0ab@x.example", 484),
        (FarTransfers::Any, "sips:9300@x.example;method=INVITE", 202),
        (FarTransfers::Any, "sip:9300@x.example;method=BYE", 501),
        (FarTransfers::Any, "sip:9300@x.example?Route=%3Csip%3Ax%3E", 400),
        (FarTransfers::Any, "http://x.example/", 416),
    ] {
        let mut world = world(policy);
        let (client, old) = in_call(&mut world);
        assert_eq!(refer(&mut world, old, to), status, "{to}");
        let called = world
            .far_events
            .iter()
            .any(|event| matches!(event, Event::IncomingInvite { .. }));
        assert_eq!((called, world.frames_left(client)), (status == 202, 0), "{to}");
    }
}

#[test]
fn far_ends_that_send_us_in_a_circle_are_stopped() {
    let mut world = world(FarTransfers::Any);
    let (client, mut leg) = in_call(&mut world);
    for _ in 0..4 {
        assert_eq!(refer(&mut world, leg, "sip:9300@pbx.example"), 202);
        let (new, incoming, _) = newcomer(&mut world);
        world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
        leg = new;
    }
    assert_eq!(refer(&mut world, leg, "sip:9300@pbx.example"), 482);
    world.take_frames(client);
    world.far_bye(leg, None);
    assert_eq!(world.expect(client, "bye")["callID"], "call-1");
}

#[test]
fn a_refer_outside_of_any_call_is_refused() {
    let mut world = world(FarTransfers::Any);
    let to = [("Refer-To", "<sip:+1900555@x.example>")];
    assert_eq!(world.far_asks_outside(Method::Refer, &to, None), 403);
    assert!(world.far_events.is_empty());
}

/// The far end has held the client before it hands it over; the new one talks with it.
#[test]
fn what_the_old_far_end_was_to_the_client_ends_with_it() {
    let mut world = world(FarTransfers::Any);
    let (client, old) = in_call(&mut world);
    let hold = Some(("application/sdp", "v=0\r\na=sendonly\r\n"));
    world.far_request(old, Method::Invite, hold);
    world.far_events.clear();
    assert_eq!(refer(&mut world, old, "sip:9300@pbx.example"), 202);
    let (_, incoming, _) = newcomer(&mut world);
    let rule = [("X-Offhook-Latching", "any")];
    world.far_respond_with(incoming, 200, Some(CARRIER_ANSWER), &rule);
    let frames = world.take_frames(client);
    let mut held = frames
        .iter()
        .map(|frame| &frame["params"]["eventData"]["holdState"]);
    assert_eq!(held.rfind(|held| held.is_string()).unwrap(), "active");
    let latched = |command: &Command| {
        matches!(
            command,
            Command::Latch {
                leg: LegName::Carrier,
                latching: Some(Latching::Any),
                ..
            }
        )
    };
    assert!(
        world.gateway.commands.iter().any(latched),
        "its media is recognised by its own rule"
    );
}

/// The gateway plays to the leg that is there; a new one has to be played to anew.
#[test]
fn a_new_far_end_hears_that_it_is_held_and_that_the_client_is_away() {
    for away in [false, true] {
        let mut world = world(FarTransfers::Any);
        let (client, old) = in_call(&mut world);
        if away {
            let session = world.media_session();
            world.event(MediaEvent::MediaStopped {
                session,
                from: LegName::Client,
            });
            world.cut(client);
        } else {
            world.hold(client, "call-1");
        }
        world.far_events.clear();
        assert_eq!(refer(&mut world, old, "sip:9300@pbx.example"), 202);
        let (_, incoming, _) = newcomer(&mut world);
        let before = world.gateway.commands.len();
        world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
        let heard = world.gateway.commands[before..]
            .iter()
            .find_map(|command| match command {
                Command::Play {
                    to: LegName::Carrier,
                    sound,
                    ..
                } => Some(sound.clone()),
                _ => None,
            });
        let expected = if away { Sound::Away } else { Sound::Hold };
        assert_eq!(heard, Some(expected));
    }
}
