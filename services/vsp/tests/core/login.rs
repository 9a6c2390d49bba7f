//! Login, registration and the requests around them: M6 to M10, and whose session is whose.

use crate::world::{self, World, invite_params};
use offhook_sip::user_agent::Notice;
use offhook_vsp::auth::{Claims, Question, Refusal, Verdict};
use offhook_vsp::{CloseReason, ConnectionId, Rejection};
use serde_json::{Value, json};
use std::time::Duration;

fn login(user: &str, password: &str) -> Value {
    json!({"login": user, "passwd": password, "reconnection": false, "userVariables": {"push_when_active": false},
        "loginParams": {"early_sdp_answer": false}, "User-Agent": {"sdkVersion": "2.27.10", "data": "Mozilla"}})
}

fn claims(subject: &str, expires_s: u64) -> Claims {
    Claims {
        subject: Some(subject.to_owned()),
        expires_s: Some(expires_s),
        ..Claims::default()
    }
}

#[test]
fn m06_password_login_then_client_ready() {
    let mut world = World::new();
    let client = world.open();
    let result = world.ask(client, "login", login("alice", "alice-pw"));
    assert_eq!(result["result"]["message"], "logged in");
    assert!(!result["result"]["sessid"].as_str().unwrap().is_empty());
    assert_eq!(result["result"]["protocol_version"], 1);
    let ready = world.expect(client, "clientReady");
    assert_eq!(ready, json!({"reattached_sessions": []}), "and no state in it");
}

#[test]
fn m07_token_login_and_its_refusals() {
    let now = 1_800_000_000;
    for (verdict, outcome) in [
        (
            Verdict::Token {
                claims: claims("alice", now + 60),
                unix_now_s: now,
            },
            Ok("alice".to_owned()),
        ),
        (
            Verdict::Token {
                claims: claims("alice", now - 1),
                unix_now_s: now,
            },
            Err(Refusal::TokenExpired),
        ),
        (
            Verdict::Token {
                claims: claims("mallory", now + 60),
                unix_now_s: now,
            },
            Err(Refusal::UnknownUser),
        ),
        (
            Verdict::Refused(Refusal::TokenSignature),
            Err(Refusal::TokenSignature),
        ),
    ] {
        let mut world = World::new();
        world.auto_verdict = false;
        let client = world.open();
        let params = json!({"login": "ignored", "passwd": "ignored", "login_token": "a.b.c"});
        let id = world.request(client, "login", params);
        let (token, question) = world.questions.pop().unwrap();
        assert!(
            matches!(question, Question::Token { token } if token.expose() == "a.b.c"),
            "a token wins"
        );
        world.server.handle_verdict(world.now, token, verdict);
        world.settle();
        let answer = world.frame(client);
        assert_eq!(answer["id"], json!(id));
        match &outcome {
            Ok(_) => assert_eq!(answer["result"]["message"], "logged in"),
            Err(_) => assert_eq!(
                answer["error"],
                json!({"code": -32001, "message": "Authentication failure"})
            ),
        }
        assert_eq!(world.logins, [outcome]);
    }
}

#[test]
fn m07_wrong_password_and_unknown_user_look_the_same() {
    let mut world = World::new();
    let client = world.open();
    let wrong = world.ask(client, "login", login("alice", "guess"));
    let unknown = world.ask(client, "login", login("mallory", "guess"));
    assert_eq!(wrong["error"], unknown["error"]);
    assert_eq!(wrong["error"]["code"], -32001);
    assert!(
        world.closed.is_empty(),
        "the socket stays: the SDK would come back at once"
    );
    assert_eq!(
        world.ask(client, "login", login("alice", "alice-pw"))["result"]["message"],
        "logged in"
    );
}

#[test]
fn m08_no_answer_to_a_login_is_minus_32000() {
    let mut world = World::new();
    let mut answers = Vec::new();
    let client = world.open();
    for params in [
        json!({}),
        json!({"login": "alice"}),
        json!({"login_token": ""}),
        json!({"login": 5, "passwd": {}}),
    ] {
        answers.push(world.ask(client, "login", params));
    }
    answers.push(world.ask(
        client,
        "anonymous_login",
        json!({"target_type": "ai_assistant", "target_id": "1"}),
    ));
    let again = world.open();
    answers.push(world.ask(again, "login", json!([])));
    answers.push(world.ask(
        again,
        "login",
        json!({"login": "a", "passwd": "x".repeat(10_000)}),
    ));
    for _ in 0..20 {
        let client = world.open();
        answers.push(world.ask(client, "login", login("alice", "guess")));
    }
    for answer in answers {
        let code = answer["error"]["code"].as_i64().unwrap();
        assert!(code == -32001 || code == -32602, "{answer}");
    }
}

#[test]
fn m09_gateway_state_is_reged() {
    let mut world = World::new();
    let (client, session) = world.log_in("alice");
    let answer = world.ask(client, "telnyx_rtc.gatewayState", json!({}));
    let params = &answer["result"]["params"];
    assert_eq!(params["state"], "REGED");
    assert_eq!(
        (&params["dc"], &params["region"]),
        (&json!("NJ1"), &json!("north-america"))
    );
    assert!(params["call_report_id"].as_str().unwrap().starts_with("cr-"));
    assert_eq!(answer["result"]["sessid"], json!(session));
}

#[test]
fn m10_before_login_only_pings_are_answered() {
    let mut world = World::new();
    let client = world.open();
    let ping = world.ask(client, "telnyx_rtc.ping", json!({}));
    assert_eq!(ping["result"]["message"], "PONG");
    for (method, params) in [
        ("telnyx_rtc.gatewayState", json!({})),
        ("telnyx_rtc.invite", world::invite_params("c", "1")),
        ("telnyx_rtc.bye", json!({"dialogParams": {"callID": "c"}})),
        ("telnyx_rtc.unheard_of", json!({})),
    ] {
        assert_eq!(
            world.ask(client, method, params)["error"]["code"],
            -32000,
            "{method}"
        );
    }
    assert!(world.gateway.commands.is_empty() && world.far_events.is_empty());
    assert_eq!(world.rejections, [Rejection::NotLoggedIn; 4]);
}

#[test]
fn requests_wait_while_the_login_is_checked() {
    let mut world = World::new();
    world.auto_verdict = false;
    let client = world.open();
    world.request(client, "login", login("alice", "alice-pw"));
    let state = world.request(client, "telnyx_rtc.gatewayState", json!({}));
    assert_eq!(world.frames_left(client), 0);
    let (token, question) = world.questions.pop().unwrap();
    world
        .server
        .handle_verdict(world.now, token, world::verdict(question));
    world.settle();
    let frames = world.take_frames(client);
    assert_eq!(frames[0]["result"]["message"], "logged in");
    assert_eq!(frames[1]["method"], "telnyx_rtc.clientReady");
    assert_eq!(
        (&frames[2]["id"], &frames[2]["result"]["params"]["state"]),
        (&json!(state), &json!("REGED"))
    );
}

#[test]
fn a_verdict_for_a_socket_that_is_gone_changes_nothing() {
    let mut world = World::new();
    world.auto_verdict = false;
    let client = world.open();
    world.request(client, "login", login("alice", "alice-pw"));
    world.cut(client);
    let (token, question) = world.questions.pop().unwrap();
    world
        .server
        .handle_verdict(world.now, token, world::verdict(question));
    world.settle();
    assert!(world.server.is_empty());
}

#[test]
fn login_again_on_the_same_socket_disturbs_nothing() {
    let mut world = World::new();
    let (client, session) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    let mut params = login("alice", "alice-pw");
    params["reconnection"] = json!(true);
    params["sessid"] = json!(session);
    let result = world.ask(client, "login", params);
    assert_eq!(result["result"]["sessid"], json!(session));
    assert_eq!(
        world.frames_left(client),
        0,
        "no clientReady: it would destroy the call"
    );
    assert_eq!(world.server.counts().calls, 1);

    let refused = world.ask(client, "login", login("alice", "guess"));
    assert_eq!(refused["error"]["code"], -32001);
    let state = world.ask(client, "telnyx_rtc.gatewayState", json!({}));
    assert_eq!(
        state["result"]["sessid"],
        json!(session),
        "a refused login leaves the session"
    );
}

#[test]
fn another_user_on_the_same_socket_gets_a_session_of_its_own() {
    let mut world = World::new();
    let (client, session) = world.log_in("alice");
    world.call(client, "call-1", "9196");
    let mut params = login("bob", "bob-pw");
    params["sessid"] = json!(session);
    world.request(client, "login", params);
    let frames = world.take_frames(client);
    assert_eq!(
        frames[0]["method"], "telnyx_rtc.bye",
        "alice's call ends: {frames:?}"
    );
    assert_ne!(frames[1]["result"]["sessid"], json!(session));
    assert_eq!(frames[2]["params"], json!({"reattached_sessions": []}));
}

#[test]
fn failures_of_an_address_make_it_wait() {
    let mut world = World::new();
    for _ in 0..2 {
        let client = world.open();
        for _ in 0..5 {
            world.ask(client, "login", login("alice", "guess"));
        }
        assert_eq!(world.closed[&client], CloseReason::Abuse);
    }
    let client = world.open();
    let answer = world.ask(client, "login", login("alice", "alice-pw"));
    assert_eq!(answer["error"]["code"], -32001);
    assert_eq!(
        world.logins.last(),
        Some(&Err(Refusal::Throttled)),
        "the right password too, and unchecked"
    );
    world.advance(Duration::from_secs(7));
    assert_eq!(
        world.ask(client, "login", login("alice", "alice-pw"))["result"]["message"],
        "logged in"
    );
}

#[test]
fn a_full_server_says_so() {
    let mut settings = world::settings();
    settings.limits.sessions_max = 1;
    let mut world = World::with(settings);
    world.log_in("alice");
    let client = world.open();
    let answer = world.ask(client, "login", login("bob", "bob-pw"));
    assert_eq!(answer["error"]["code"], -32002);
}

/// Whoever guesses on many sockets at once is known to guess only when all have been checked.
#[test]
fn c07_guesses_at_once_make_their_address_wait_as_long_as_guesses_in_a_row() {
    let mut world = World::new();
    world.auto_verdict = false;
    for _ in 0..40 {
        let socket = world.open();
        world.request(socket, "login", login("alice", "guess"));
    }
    assert_eq!(world.questions.len(), 40, "none has failed yet");
    for (token, question) in std::mem::take(&mut world.questions) {
        let now = world.now;
        world.server.handle_verdict(now, token, world::verdict(question));
    }
    world.settle();
    world.advance(Duration::from_secs(10));
    let socket = world.open();
    world.request(socket, "login", login("alice", "guess"));
    assert!(world.questions.is_empty(), "one forgiven is not enough");
    assert_eq!(world.logins.last(), Some(&Err(Refusal::Throttled)));
    world.advance(Duration::from_secs(31 * 6));
    let socket = world.open();
    world.request(socket, "login", login("alice", "guess"));
    assert_eq!(world.questions.len(), 1);
}

#[test]
fn c07_an_expired_token_asks_for_one_login_and_ends_no_call() {
    let mut world = World::new();
    world.auto_verdict = false;
    let client = world.open();
    let log_in = |world: &mut World, seconds: u64| {
        let id = world.request(
            client,
            "login",
            json!({"login_token": "a.b.c", "reconnection": false}),
        );
        let (token, _) = world.questions.pop().expect("a question");
        let verdict = Verdict::Token {
            claims: claims("alice", 1_000 + seconds),
            unix_now_s: 1_000,
        };
        world.server.handle_verdict(world.now, token, verdict);
        world.settle();
        let answer = world.frame(client);
        assert_eq!(answer["id"], json!(id));
        assert_eq!(answer["result"]["message"], "logged in");
    };
    log_in(&mut world, 60);
    world.expect(client, "clientReady");
    world.call(client, "call-1", "9196");
    world.advance_alive(client, Duration::from_secs(60));
    world.take_frames(client);
    let about = json!({"dialogParams": {"callID": "call-1"}, "dtmf": "1"});
    assert_eq!(
        world.ask(client, "telnyx_rtc.info", about)["result"]["message"],
        "SENT",
        "a call that is up goes on"
    );
    assert_eq!(
        world.ask(client, "telnyx_rtc.ping", json!({}))["result"]["message"],
        "PONG"
    );
    let refused = world.ask(client, "telnyx_rtc.invite", invite_params("call-2", "9196"));
    assert_eq!(refused["error"]["code"], -32000);
    world.far_call("alice", &[]);
    assert_eq!(world.far_statuses(), [480], "nor is it called");
    log_in(&mut world, 600);
    assert_eq!(
        world.frames_left(client),
        0,
        "no clientReady: it would end the call"
    );
    let answer = world.ask(client, "telnyx_rtc.gatewayState", json!({}));
    assert_eq!(answer["result"]["params"]["state"], "REGED");
    assert_eq!(world.server.counts().calls, 1);
}

/// A world that has a target for clients without a name, and one that has asked for it.
fn anonymous() -> (World, ConnectionId) {
    let mut own = crate::world::settings();
    own.anonymous_targets = vec![offhook_vsp::AnonymousTarget {
        kind: "ai_assistant".to_owned(),
        id: "desk".to_owned(),
        destination: offhook_rpc_message::validate::Destination::new("9196").unwrap(),
        caller: "website".to_owned(),
    }];
    let mut world = World::with(own);
    let client = world.open();
    let login = |id: &str| json!({"target_type": "ai_assistant", "target_id": id, "target_version_id": null, "target_params": {}});
    assert_eq!(
        world.ask(client, "anonymous_login", login("other"))["error"]["code"],
        -32001
    );
    let result = world.ask(client, "anonymous_login", login("desk"));
    assert_eq!(result["result"]["message"], "logged in");
    world.expect(client, "clientReady");
    (world, client)
}

/// Neither does somebody else call on its behalf: the operator would pay for that.
#[test]
fn c01_clients_without_a_name_have_their_far_end_sent_to_nobody_else() {
    let (mut world, client) = anonymous();
    world.call(client, "call-1", "");
    for (destination, member) in [("+1900555", "error"), ("9196", "result")] {
        world.far_notices.clear();
        let asked = world.modify(client, json!({"action": "transfer", "destination": destination}));
        let is_asked = !world.far_notices.is_empty();
        assert_eq!(is_asked, member == "result", "{destination}");
        if let Some(Notice::ReferRequested { leg, referral, .. }) = world.far_notices.pop() {
            world.far_end.accept_refer(world.now, leg, referral).unwrap();
            world.settle();
        }
        let answer = world.frame(client);
        assert_eq!(answer["id"], json!(asked));
        assert!(answer[member].is_object(), "{answer}");
    }
    assert_eq!(world.server.counts().sip.legs, 1, "nobody is called");
}

#[test]
fn c01_clients_without_a_name_reach_their_target_and_nothing_else() {
    let (mut world, client) = anonymous();
    world.invite(client, "call-1", "");
    let (_, _, invite) = world.far_invite();
    assert!(String::from_utf8_lossy(invite.bytes()).starts_with("INVITE sip:9196@voice.example.com SIP/2.0"));
    assert!(
        crate::world::header(&invite, "From")
            .unwrap()
            .contains("sip:website@")
    );
    world.invite(client, "call-2", "+1900555");
    assert_eq!(world.expect(client, "bye")["sipCode"], 403);
    assert!(world.far_events.is_empty());
}
