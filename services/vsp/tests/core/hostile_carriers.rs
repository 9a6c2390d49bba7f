//! Carriers that break the rules: what the client sees of it, and that nothing stays behind. The rules themselves are
//! tested in `protocol/sip`.

use crate::world::{CARRIER_ANSWER, World};
use serde_json::json;
use std::time::Duration;

fn line<'a>(message: &'a str, name: &str) -> &'a str {
    let found = message.lines().find_map(|line| line.strip_prefix(name));
    found.expect("a header").trim()
}

fn nothing_left(world: &mut World, client: offhook_vsp::ConnectionId) {
    world.advance_alive(client, Duration::from_secs(70));
    let counts = world.server.counts();
    assert_eq!((counts.calls, counts.commands), (0, 0), "{counts:?}");
    assert_eq!((counts.sip.legs, counts.sip.dialogs), (0, 0), "{counts:?}");
}

#[test]
fn one_that_answers_twice_has_the_second_answer_ended() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.call(client, "call-1", "9196");
    let first = world.far_said("SIP/2.0 200").to_owned();
    let tag = line(&first, "To:").rsplit_once("tag=").unwrap().1.to_owned();
    let second = first.replace(&tag, "somebody-else");
    for _ in 0..3 {
        world.forge(&second);
    }
    assert_eq!(world.vsp_said("ACK ", "tag=somebody-else"), 3, "each copy");
    assert!(world.vsp_said("BYE ", "tag=somebody-else") >= 1);
    assert_eq!(world.vsp_said("BYE ", &tag), 0, "the first answer stands");
    assert_eq!((world.frames_left(client), world.server.counts().calls), (0, 1));
    world.far_bye(leg, None);
    world.expect(client, "bye");
    nothing_left(&mut world, client);
}

#[test]
fn one_that_re_invites_while_its_call_is_being_cancelled() {
    for answers in [false, true] {
        let mut world = World::new();
        let (client, _) = world.log_in("alice");
        world.invite(client, "call-1", "9196");
        let (_, incoming, _) = world.far_invite();
        world.far_respond(incoming, 180, None);
        world.expect(client, "ringing");
        // The CANCEL is lost at first.
        world.network_up = false;
        let bye = world.ask(
            client,
            "telnyx_rtc.bye",
            json!({"dialogParams": {"callID": "call-1"}}),
        );
        assert_eq!(bye["result"]["message"], "CALL ENDED");
        if answers {
            world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
            assert_eq!(world.vsp_said("ACK ", ""), 1);
            assert!(world.vsp_said("BYE ", "") >= 1, "the answer came too late");
        }
        let ringing = world.far_said("SIP/2.0 180").to_owned();
        let sdp = "v=0\r\n";
        world.forge(&format!(
            "INVITE sip:vsp@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKhostile\r\n\
             Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 7 INVITE\r\n\
             Contact: <sip:far@127.0.0.1:5060>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            line(&ringing, "To:"),
            line(&ringing, "From:"),
            line(&ringing, "Call-ID:"),
            sdp.len(),
        ));
        let status = if answers { "SIP/2.0 481" } else { "SIP/2.0 491" };
        assert!(
            world.vsp_said(status, "CSeq: 7 INVITE") >= 1,
            "{:?}",
            world.wire.last()
        );
        world.network_up = true;
        nothing_left(&mut world, client);
        assert_eq!(world.tags().iter().filter(|tag| *tag == "reoffer").count(), 0);
    }
}

#[test]
fn one_that_hangs_up_before_its_answer_is_applied() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.invite(client, "call-1", "9196");
    let (leg, incoming, _) = world.far_invite();
    world.gateway.hold_replies = true;
    world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
    world.far_bye(leg, Some("Q.850;cause=16"));
    let bye = world.expect(client, "bye");
    assert_eq!(bye["cause"], "NORMAL_CLEARING");
    world.release_replies();
    assert_eq!(world.frames_left(client), 0, "no answer after the bye");
    nothing_left(&mut world, client);
}

#[test]
fn rfc3261_13_3_1_4_one_that_never_acknowledges_gets_the_200_again_and_then_bye() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let call = world.called(client);
    world.network_up = false;
    world.answer(client, &call);
    assert_eq!(world.frame(client)["result"]["message"], "CALL ANSWERED");
    let mut sent = Vec::new();
    let start = world.now;
    for tenth in 0..330 {
        world.advance(Duration::from_millis(100));
        if tenth % 50 == 0 {
            world.text(
                client,
                r#"{"jsonrpc":"2.0","method":"ai_conversation","params":{}}"#,
            );
        }
        let so_far = world.vsp_said("SIP/2.0 200", "INVITE");
        if sent.len() + 1 < so_far {
            sent.push((world.now - start).as_millis());
        }
    }
    assert_eq!(
        sent,
        [
            500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500
        ]
    );
    assert_eq!(world.find_bye(client)["callID"], call);
    assert!(world.vsp_said("BYE ", "") >= 1);
    world.network_up = true;
    world.advance_alive(client, Duration::from_secs(5));
    assert!(
        world.far_said("SIP/2.0 481").contains(" BYE"),
        "who never had our answer has no call to end"
    );
    nothing_left(&mut world, client);
}
