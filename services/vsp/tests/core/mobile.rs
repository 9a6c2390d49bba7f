//! The SDKs for phones (C31): what they write otherwise than the one for browsers, played from transcripts.
//!
//! A transcript has one step per line: `C {frame}` is sent by the client, `S {frame}` is expected next with at least these
//! fields, `F …` is what the far end does. `$session`, `$call` and `$ping` stand for what the server has said before.

use crate::world::{BROWSER_ANSWER, CARRIER_ANSWER, World};
use offhook_sip::user_agent::{IncomingId, LegId};
use offhook_vsp::ConnectionId;
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;

const OFFER: &str = "v=0\\r\\no=phone offer\\r\\n";

/// One client that follows its transcript.
struct Player {
    world: World,
    client: ConnectionId,
    /// What stands for what.
    known: HashMap<&'static str, String>,
    /// The far end's open INVITE.
    invited: Option<(LegId, IncomingId)>,
    leg: Option<LegId>,
}

fn play(transcript: &str) {
    let mut world = World::new();
    let client = world.open();
    let mut player = Player {
        world,
        client,
        known: HashMap::from([
            ("$offer", OFFER.to_owned()),
            ("$browser_answer", BROWSER_ANSWER.replace("\r\n", "\\r\\n")),
        ]),
        invited: None,
        leg: None,
    };
    for (at, line) in transcript.lines().enumerate() {
        let step = line.split_once(' ').filter(|_| !line.starts_with('#'));
        let Some((who, what)) = step else { continue };
        let what = player.filled_in(what);
        match who {
            "C" => player.world.text(player.client, &what),
            "S" => player.expect(at + 1, &what),
            "F" => player.far_end(&what),
            other => panic!("line {}: nobody is called {other:?}", at + 1),
        }
    }
    let left = player.world.take_frames(player.client);
    assert!(
        left.is_empty(),
        "frames that the transcript does not have: {left:?}"
    );
    assert!(
        player.world.rejections.is_empty(),
        "{:?}",
        player.world.rejections
    );
    assert_eq!(player.world.server.counts().calls, 0);
}

impl Player {
    fn filled_in(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.known {
            text = text.replace(name, value);
        }
        text
    }

    fn expect(&mut self, line: usize, expected: &str) {
        let frame = self.world.frame(self.client);
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert!(
            contains(&frame, &expected),
            "line {line}: {frame} has not all of {expected}"
        );
        let text = |value: &Value| value.as_str().map(str::to_owned);
        if let Some(session) = text(&frame["result"]["sessid"]) {
            self.known.insert("$session", session);
        }
        match frame["method"].as_str() {
            Some("telnyx_rtc.invite") => {
                self.known
                    .extend(text(&frame["params"]["callID"]).map(|call| ("$call", call)));
            }
            Some("telnyx_rtc.ping") => {
                self.known.insert("\"$ping\"", frame.to_string());
            }
            _ => {}
        }
    }

    fn far_end(&mut self, what: &str) {
        let world = &mut self.world;
        match what {
            "is called" => {
                let (leg, incoming, _) = world.far_invite();
                self.invited = Some((leg, incoming));
            }
            "rings" => world.far_respond(self.invited.unwrap().1, 180, None),
            "answers" => {
                let (leg, incoming) = self.invited.take().unwrap();
                world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
                self.leg = Some(leg);
                world.far_events.clear();
            }
            "calls" => self.leg = Some(world.far_call("alice", &[])),
            "hears 180" => assert_eq!(world.far_statuses(), [180]),
            "hears 200" => assert_eq!(world.far_statuses(), [200]),
            "hangs up" => world.far_bye(self.leg.take().unwrap(), None),
            "has its hold accepted" => {
                let offhook_sip::user_agent::Event::IncomingRequest { incoming, .. } = world.far_event()
                else {
                    panic!("a re-INVITE at the far end")
                };
                world.far_respond(incoming, 200, Some(CARRIER_ANSWER));
            }
            "is told BYE" => {
                let event = world.far_event();
                assert!(
                    matches!(event, offhook_sip::user_agent::Event::Terminated { .. }),
                    "{event:?}"
                );
            }
            "waits 15 s" => world.advance(Duration::from_secs(15)),
            other => panic!("the far end does not know how to {other:?}"),
        }
    }
}

/// Whether `frame` has all that `expected` has. `"*"` stands for any text that is not empty.
fn contains(frame: &Value, expected: &Value) -> bool {
    match (frame, expected) {
        (Value::Object(frame), Value::Object(expected)) => expected
            .iter()
            .all(|(key, value)| frame.get(key).is_some_and(|got| contains(got, value))),
        (Value::String(text), Value::String(any)) if any == "*" => !text.is_empty(),
        (frame, expected) => frame == expected,
    }
}

#[test]
fn c31_android() {
    play(include_str!("transcripts/android.txt"));
}

#[test]
fn c31_ios() {
    play(include_str!("transcripts/ios.txt"));
}

#[test]
fn c31_flutter() {
    play(include_str!("transcripts/flutter.txt"));
}

#[test]
fn c31_react_native() {
    play(include_str!("transcripts/react_native.txt"));
}
