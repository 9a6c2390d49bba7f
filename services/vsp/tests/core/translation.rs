//! R6: each message of a client becomes its SIP message, and each SIP message its message for the client.

use crate::world::{CARRIER_ANSWER, World, invite_params};
use Given::{Calling, LoggedIn, RungAt, Talking};
use offhook_call_trace::{Hop, Protocol};
use offhook_sip::user_agent::LegId;
use offhook_sip_message::Method;
use offhook_vsp::ConnectionId;
use serde_json::{Value, json};

/// What the world is like before the message.
#[derive(Clone, Copy)]
enum Given {
    /// The client has logged in.
    LoggedIn,
    /// The client has sent its invite, and the far end has it.
    Calling,
    /// A call of the far end rings at the client.
    RungAt,
    /// A call of the client is up.
    Talking,
}

/// Who talks to whom in a row.
struct Scene {
    world: World,
    client: ConnectionId,
    /// The far end's side, where it has one.
    leg: Option<LegId>,
    incoming: Option<offhook_sip::user_agent::IncomingId>,
    /// The call's id at the client.
    call: Value,
}

impl Scene {
    fn new(given: Given) -> Self {
        let mut world = World::new();
        world.gateway.telephone_event = false;
        let (client, _) = world.log_in("alice");
        let mut scene = Scene {
            world,
            client,
            leg: None,
            incoming: None,
            call: json!("call-1"),
        };
        match given {
            Given::LoggedIn => {}
            Given::Calling => {
                scene.world.invite(client, "call-1", "9196");
                let (leg, incoming, _) = scene.world.far_invite();
                (scene.leg, scene.incoming) = (Some(leg), Some(incoming));
            }
            Given::RungAt => {
                scene.leg = Some(scene.world.far_call("alice", &[]));
                scene.call = scene.world.expect(client, "invite")["callID"].clone();
            }
            Given::Talking => scene.leg = Some(scene.world.call(client, "call-1", "9196")),
        }
        scene.world.traces.clear();
        scene
    }

    /// A request of the client about its call.
    fn say(&mut self, method: &str, mut params: Value) {
        params["dialogParams"] = json!({"callID": self.call});
        self.world
            .request(self.client, &format!("telnyx_rtc.{method}"), params);
    }

    fn far_responds(&mut self, status: u16, sdp: Option<&str>) {
        self.world.far_respond(self.incoming.unwrap(), status, sdp);
    }

    fn far_asks(&mut self, method: Method, kind: &str, body: &str) {
        self.world
            .far_request(self.leg.unwrap(), method, Some((kind, body)));
    }

    /// The messages between client and VSP, and between VSP and proxy, that followed.
    fn messages(&self) -> Vec<String> {
        let word = |hop: Hop| match hop {
            Hop::Client => "client",
            Hop::Vsp => "vsp",
            Hop::SipProxy => "sip",
            Hop::Carrier | Hop::B2buaRtc => "other",
        };
        self.world
            .traces
            .iter()
            .map(|(_, event)| event)
            .filter(|event| matches!(event.protocol, Protocol::JsonRpc | Protocol::Sip))
            .map(|event| format!("{}>{} {}", word(event.from), word(event.to), event.name))
            .collect()
    }
}

/// Asserts that `steps` follow each other in what happens; others may lie between.
fn expect(what: &str, given: Given, act: fn(&mut Scene), steps: [&str; 2]) {
    let mut scene = Scene::new(given);
    act(&mut scene);
    let messages = scene.messages();
    let first = messages.iter().position(|message| message == steps[0]);
    let second = first.and_then(|first| messages[first..].iter().position(|message| message == steps[1]));
    assert!(second.is_some(), "{what}: {steps:?} in {messages:?}");
}

/// What happens, in which situation, how, and the two messages that follow each other.
type Row = (&'static str, Given, fn(&mut Scene), [&'static str; 2]);

/// What the client says, and what the far end gets.
const FROM_THE_CLIENT: [Row; 12] = [
    (
        "a call begins",
        LoggedIn,
        |scene| {
            let client = scene.client;
            scene
                .world
                .request(client, "telnyx_rtc.invite", invite_params("call-1", "9196"));
        },
        ["client>vsp invite", "vsp>sip INVITE"],
    ),
    (
        "given up before the answer",
        Calling,
        |scene| {
            scene.far_responds(180, None);
            scene.say("bye", json!({"cause": "USER_BUSY"}));
        },
        ["client>vsp bye", "vsp>sip CANCEL"],
    ),
    (
        "it rings here",
        RungAt,
        |scene| scene.say("ringing_ack", json!({})),
        ["client>vsp ringing_ack", "vsp>client result ringing_ack"],
    ),
    (
        "answered",
        RungAt,
        |scene| scene.say("answer", json!({"sdp": "v=0\r\n"})),
        ["client>vsp answer", "vsp>sip 200 INVITE"],
    ),
    (
        "rejected",
        RungAt,
        |scene| scene.say("bye", json!({"cause": "USER_BUSY"})),
        ["client>vsp bye", "vsp>sip 487 INVITE"],
    ),
    (
        "hung up",
        Talking,
        |scene| scene.say("bye", json!({"cause": "NORMAL_CLEARING"})),
        ["client>vsp bye", "vsp>sip BYE"],
    ),
    (
        "held",
        Talking,
        |scene| scene.say("modify", json!({"action": "hold"})),
        ["client>vsp modify", "vsp>sip INVITE"],
    ),
    (
        "hold toggled",
        Talking,
        |scene| scene.say("modify", json!({"action": "toggleHold"})),
        ["client>vsp modify", "vsp>sip INVITE"],
    ),
    (
        "transferred",
        Talking,
        |scene| {
            scene.say(
                "modify",
                json!({"action": "transfer", "destination": "+15550199"}),
            )
        },
        ["client>vsp modify", "vsp>sip REFER"],
    ),
    (
        "a digit",
        Talking,
        |scene| scene.say("info", json!({"dtmf": "1"})),
        ["client>vsp info", "vsp>sip INFO"],
    ),
    (
        "a text",
        Talking,
        |scene| scene.say("info", json!({"msg": {"from": "a", "to": "b", "body": "hello"}})),
        ["client>vsp info", "vsp>sip MESSAGE"],
    ),
    (
        "another network: nothing for the far end to know",
        Talking,
        |scene| {
            scene.say("modify", json!({"action": "updateMedia", "sdp": "v=0\r\n"}));
            assert!(
                !scene
                    .messages()
                    .iter()
                    .any(|message| message.starts_with("vsp>sip"))
            );
        },
        ["client>vsp modify", "vsp>client result modify"],
    ),
];

#[test]
fn r6_from_the_client_to_sip() {
    for (what, given, act, steps) in FROM_THE_CLIENT {
        expect(what, given, act, steps);
    }
}

/// What comes over SIP, and what the client is told.
const FROM_SIP: [Row; 12] = [
    (
        "it rings there",
        Calling,
        |scene| scene.far_responds(180, None),
        ["sip>vsp 180 INVITE", "vsp>client ringing"],
    ),
    (
        "early media",
        Calling,
        |scene| scene.far_responds(183, Some(CARRIER_ANSWER)),
        ["sip>vsp 183 INVITE", "vsp>client media"],
    ),
    (
        "answered",
        Calling,
        |scene| scene.far_responds(200, Some(CARRIER_ANSWER)),
        ["sip>vsp 200 INVITE", "vsp>client answer"],
    ),
    (
        "busy",
        Calling,
        |scene| scene.far_responds(486, None),
        ["sip>vsp 486 INVITE", "vsp>client bye"],
    ),
    (
        "no such number",
        Calling,
        |scene| scene.far_responds(404, None),
        ["sip>vsp 404 INVITE", "vsp>client bye"],
    ),
    (
        "a call for the client",
        LoggedIn,
        |scene| {
            scene.world.far_call("alice", &[]);
        },
        ["sip>vsp INVITE", "vsp>client invite"],
    ),
    (
        "the caller gives up",
        RungAt,
        |scene| {
            scene
                .world
                .far_end
                .cancel(scene.world.now, scene.leg.unwrap(), Vec::new())
                .unwrap();
            scene.world.settle();
        },
        ["sip>vsp CANCEL", "vsp>client bye"],
    ),
    (
        "hung up",
        Talking,
        |scene| scene.world.far_bye(scene.leg.unwrap(), None),
        ["sip>vsp BYE", "vsp>client bye"],
    ),
    (
        "the far end holds",
        Talking,
        |scene| scene.far_asks(Method::Invite, "application/sdp", "v=0\r\na=sendonly\r\n"),
        ["sip>vsp INVITE", "vsp>client event"],
    ),
    (
        "a digit",
        Talking,
        |scene| {
            scene.far_asks(
                Method::Info,
                "application/dtmf-relay",
                "Signal=7\r\nDuration=160\r\n",
            )
        },
        ["sip>vsp INFO", "vsp>client info"],
    ),
    (
        "a text",
        Talking,
        |scene| scene.far_asks(Method::Message, "text/plain", "hello"),
        ["sip>vsp MESSAGE", "vsp>client info"],
    ),
    (
        "the far end does not take the hold",
        Talking,
        |scene| {
            scene.say("modify", json!({"action": "hold"}));
            while let Some(event) = scene.world.far_events.pop_front() {
                if let offhook_sip::user_agent::Event::IncomingRequest { incoming, .. } = event {
                    scene.world.far_respond(incoming, 488, None);
                }
            }
        },
        ["sip>vsp 488 INVITE", "vsp>client error modify"],
    ),
];

#[test]
fn r6_from_sip_to_the_client() {
    for (what, given, act, steps) in FROM_SIP {
        expect(what, given, act, steps);
    }
}
