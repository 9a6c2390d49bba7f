//! Clients that come back without their media: C15, C16, C17, and when the media is left alone.

use crate::world::{BROWSER_ANSWER, World};
use offhook_media_control::{Command, CommandErrorKind, Direction, Event, LegName, PlayEnd, Sound};
use offhook_vsp::ConnectionId;
use serde_json::{Value, json};
use std::time::Duration;

/// A page that was loaded anew in a call, which it has been offered.
fn reloaded(world: &mut World) -> ConnectionId {
    let (old, session, _) = world.talking();
    world.leave_page(old);
    let (client, _) = world.come_back(&session);
    world.expect(client, "attach");
    client
}

fn attach_answer(world: &mut World, client: ConnectionId, call: &str) -> Value {
    let params = json!({"sdp": BROWSER_ANSWER, "dialogParams": {"callID": call, "attach": true, "recoveredCallId": call}});
    world.ask(client, "telnyx_rtc.attach", params)
}

fn silence(world: &mut World) {
    let session = world.media_session();
    world.event(Event::MediaStopped {
        session,
        from: LegName::Client,
    });
}

fn renewed(world: &World) -> bool {
    world.gateway.commands.iter().any(|command| {
        matches!(
            command,
            Command::MakeOffer {
                to: LegName::Client,
                renew: true,
                direction: Direction::SendRecv,
                ..
            }
        )
    })
}

#[test]
fn c15_media_that_is_gone_is_started_anew() {
    let mut world = World::new();
    let (old, session, _) = world.talking();
    world.cut(old);
    silence(&mut world);
    let (client, calls) = world.come_back(&session);
    assert_eq!(calls, json!(["call-1"]));
    assert!(renewed(&world));
    let attach = world.expect(client, "attach");
    assert_eq!(
        (&attach["callID"], &attach["sdp"]),
        (&json!("call-1"), &json!("v=0\r\no=offer SendRecv\r\n"))
    );
    assert_eq!(
        (&attach["caller_id_number"], &attach["callee_id_number"]),
        (&json!("+15550100"), &json!("9196"))
    );
    assert!(attach["telnyx_session_id"].is_string());
    let result = attach_answer(&mut world, client, "call-1");
    assert_eq!(
        result["result"],
        json!({"callID": "call-1", "message": "CALL ATTACHED", "sessid": session})
    );
    assert!(matches!(world.gateway.commands.last(),
        Some(Command::Answer { from: LegName::Client, sdp, is_final: true, .. }) if sdp == BROWSER_ANSWER));
    let again = attach_answer(&mut world, client, "call-1");
    assert_eq!(again["error"]["code"], -32002, "one answer to one offer");
    world.advance_alive(client, Duration::from_secs(60));
    assert_eq!(world.server.counts().calls, 1);
    assert!(world.far_events.is_empty(), "the far end has noticed nothing");
}

#[test]
fn media_that_goes_on_is_left_alone() {
    let mut world = World::new();
    let (mut client, session, _) = world.talking();
    for _ in 0..10 {
        world.cut(client);
        (client, _) = world.come_back(&session);
        assert_eq!(world.frames_left(client), 0);
    }
    assert!(!renewed(&world));
    world.advance_alive(client, Duration::from_secs(40));
    silence(&mut world);
    assert!(!renewed(&world), "later on the SDK restarts ICE by itself");
}

/// What the far end is played because of the client's absence.
fn played(world: &World) -> usize {
    let away = |command: &&Command| {
        matches!(
            command,
            Command::Play {
                to: LegName::Carrier,
                sound: Sound::Away,
                repeat: true,
                yields: true,
                ..
            }
        )
    };
    world.gateway.commands.iter().filter(away).count()
}

#[test]
fn the_far_end_hears_of_an_absence_only_when_socket_and_media_are_gone() {
    let mut world = World::new();
    let (old, session, _) = world.talking();
    silence(&mut world);
    assert_eq!(played(&world), 0, "it is there, and mends its media by itself");
    world.cut(old);
    assert_eq!(played(&world), 1);
    let (client, _) = world.come_back(&session);
    world.cut(client);
    assert_eq!(played(&world), 1, "it is played already");
    let media = world.media_session();
    world.event(Event::PlayEnded {
        session: media.clone(),
        to: LegName::Carrier,
        end: PlayEnd::MediaReturned,
    });
    world.event(Event::Connected { session: media });
    silence(&mut world);
    assert_eq!(played(&world), 2, "gone again");
}

#[test]
fn a_roaming_client_whose_media_goes_on_is_not_talked_over() {
    let mut world = World::new();
    let (old, _, _) = world.talking();
    world.cut(old);
    world.advance(Duration::from_secs(5));
    assert_eq!(played(&world), 0);
    silence(&mut world);
    assert_eq!(played(&world), 1);
}

#[test]
fn c15_a_client_that_comes_from_another_network_gets_an_offer() {
    let mut world = World::new();
    let (old, session, _) = world.talking();
    world.cut(old);
    let client = world.open_from("198.51.100.77", None);
    world.come_back_on(client, &session);
    world.expect(client, "attach");
    attach_answer(&mut world, client, "call-1");
}

#[test]
fn c15_a_page_that_crashed_is_noticed_when_its_media_falls_silent() {
    let mut world = World::new();
    let (old, session, _) = world.talking();
    world.cut(old);
    let (client, _) = world.come_back(&session);
    world.advance(Duration::from_secs(5));
    silence(&mut world);
    world.expect(client, "attach");
}

#[test]
fn c15_a_held_call_stays_held() {
    let mut world = World::new();
    let (old, session, _) = world.talking();
    world.hold(old, "call-1");
    world.take_frames(old);
    world.leave_page(old);
    let (client, _) = world.come_back(&session);
    world.expect(client, "attach");
    attach_answer(&mut world, client, "call-1");
    let hold = world.ask(
        client,
        "telnyx_rtc.modify",
        json!({"action": "hold", "dialogParams": {"callID": "call-1"}}),
    );
    assert_eq!(hold["result"]["holdState"], "held");
    assert!(world.far_events.is_empty());
}

#[test]
fn c16_a_page_that_was_loaded_anew_gets_its_active_call_and_no_other() {
    let mut world = World::new();
    let (old, session) = world.log_in("alice");
    world.call(old, "a-held", "1");
    world.hold(old, "a-held");
    world.take_frames(old);
    world.call(old, "b-active", "2");
    world.invite(old, "c-ringing", "3");
    world.leave_page(old);
    assert_eq!(world.server.counts().calls, 3, "the page may come back");
    let (client, calls) = world.come_back(&session);
    assert_eq!(calls, json!(["b-active"]));
    let frames = world.take_frames(client);
    let about = |method: &str| -> Vec<_> {
        frames
            .iter()
            .filter(|frame| frame["method"] == method)
            .map(|frame| frame["params"]["callID"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(about("telnyx_rtc.attach"), ["b-active"]);
    assert_eq!(about("telnyx_rtc.bye").len(), 2);
    assert_eq!(world.server.counts().calls, 1);
}

#[test]
fn c17_a_call_that_rings_rings_again_in_a_page_that_was_loaded_anew() {
    let mut world = World::new();
    let (old, session) = world.log_in("alice");
    let call = world.called(old);
    world.leave_page(old);
    let (client, calls) = world.come_back(&session);
    assert_eq!(calls, json!([call]));
    assert_eq!(world.expect(client, "invite")["callID"], call);
    world.answer(client, &call);
    assert_eq!(world.frame(client)["result"]["message"], "CALL ANSWERED");
    assert_eq!(world.far_statuses(), [180, 200]);
}

#[test]
fn c15_an_attach_that_nobody_answers_ends_the_call_after_a_while() {
    let mut world = World::new();
    let client = reloaded(&mut world);
    world.advance_alive(client, Duration::from_secs(40));
    assert_eq!(world.server.counts().calls, 1);
    world.advance_alive(client, Duration::from_secs(10));
    assert_eq!(world.find_bye(client)["cause"], "RECOVERY_ON_TIMER_EXPIRE");
}

/// Its network may go again before it could answer: then it has the whole grace time, and is asked anew.
#[test]
fn c15_an_attach_does_not_expire_while_its_client_is_away() {
    let mut world = World::new();
    let (old, session, _) = world.talking();
    world.leave_page(old);
    let (client, _) = world.come_back(&session);
    world.expect(client, "attach");
    world.advance_alive(client, Duration::from_secs(10));
    world.cut(client);
    world.advance(Duration::from_secs(50));
    assert_eq!(world.server.counts().calls, 1, "within the grace time");
    let (client, _) = world.come_back(&session);
    world.expect(client, "attach");
    attach_answer(&mut world, client, "call-1");
    world.advance_alive(client, Duration::from_secs(60));
    assert_eq!(world.server.counts().calls, 1);
}

#[test]
fn c15_an_attach_answer_that_the_gateway_refuses_ends_the_call() {
    let mut world = World::new();
    let client = reloaded(&mut world);
    world.gateway.refuse.insert("answer", CommandErrorKind::BadSdp);
    assert_eq!(
        attach_answer(&mut world, client, "call-1")["error"]["code"],
        -32002
    );
    assert_eq!(world.expect(client, "bye")["sipCode"], 488);
    let unasked = world.ask(
        client,
        "telnyx_rtc.attach",
        json!({"sdp": "v=0", "dialogParams": {"callID": "call-1"}}),
    );
    assert_eq!(unasked["error"]["code"], -32002);
}

#[test]
fn c14_candidates_that_come_before_the_answer_wait_for_it() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let call = world.called(client);
    let line = "candidate:1 1 udp 1 203.0.113.9 5 typ host ufrag 9Xw2";
    let candidate = json!({"candidate": line, "dialogParams": {"callID": call}});
    let result = world.ask(client, "telnyx_rtc.candidate", candidate);
    assert_eq!(result["result"]["callID"], call);
    assert!(!world.tags().contains(&"candidate".to_owned()));
    world.answer(client, &call);
    world.frame(client);
    for _ in 0..2 {
        world.ask(
            client,
            "telnyx_rtc.endOfCandidates",
            json!({"dialogParams": {"callID": call}}),
        );
    }
    let tags = world.tags();
    assert_eq!(
        tags[1..],
        ["answer", "candidate", "candidate", "candidate"],
        "the end may be told twice"
    );
}

#[test]
fn c19_an_ice_restart_of_a_client_that_was_called_and_of_one_that_holds() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let call = world.called(client);
    world.answer(client, &call);
    world.frame(client);
    let restart = json!({"action": "updateMedia", "callID": call, "sdp": "v=0 restart", "dialogParams": {"callID": call}});
    let result = world.ask(client, "telnyx_rtc.modify", restart.clone());
    assert_eq!(
        (&result["result"]["sdp"], &result["result"]["holdState"]),
        (&json!("v=0\r\no=answer to Client\r\n"), &json!("active"))
    );
    world.hold(client, call.as_str().unwrap());
    assert_eq!(world.frame(client)["result"]["holdState"], "held");
    let result = world.ask(client, "telnyx_rtc.modify", restart);
    assert_eq!(result["result"]["holdState"], "held");
}
