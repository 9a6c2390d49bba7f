//! Users who are accounts at another registrar: C6, and where their calls go.

use crate::world::{World, header, invite_params, proxy_address, settings};
use offhook_sip::user_agent::{Event, IncomingId};
use offhook_sip_message::{Message, Method};
use offhook_vsp::auth::Credential;
use offhook_vsp::{ConnectionId, Registrar};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

fn world() -> World {
    let mut own = settings();
    own.users.get_mut("alice").unwrap().register = Some(Registrar {
        domain: "pbx.example.net".to_owned(),
        address: Some(proxy_address()),
        username: "1001".to_owned(),
        password: Credential::new("secret".to_owned()).unwrap(),
        expires: Duration::from_secs(600),
    });
    World::with(own)
}

fn register(world: &mut World) -> (IncomingId, Message) {
    while let Some(event) = world.far_events.pop_front() {
        if let Event::IncomingRequest {
            incoming, request, ..
        } = event
            && request.method() == Some(&Method::Register)
        {
            return (incoming, request);
        }
    }
    panic!("a REGISTER at the far end")
}

fn accept(world: &mut World) {
    let (incoming, _) = register(world);
    world.far_respond_with(incoming, 200, None, &[("Expires", "600")]);
}

fn state(answer: &Value) -> &str {
    answer["result"]["params"]["state"].as_str().unwrap()
}

fn ask_state(world: &mut World, client: ConnectionId) -> String {
    let answer = world.ask(client, "telnyx_rtc.gatewayState", json!({}));
    state(&answer).to_owned()
}

#[test]
fn c06_a_client_hears_when_its_user_is_registered() {
    let mut world = world();
    let (client, _) = world.log_in("alice");
    let id = world.request(client, "telnyx_rtc.gatewayState", json!({}));
    assert_eq!(world.frames_left(client), 0, "the registrar is given a moment");
    let (incoming, request) = register(&mut world);
    assert!(String::from_utf8_lossy(request.bytes()).starts_with("REGISTER sip:pbx.example.net SIP/2.0"));
    assert!(
        header(&request, "To")
            .unwrap()
            .contains("sip:1001@pbx.example.net")
    );
    assert!(
        header(&request, "Contact")
            .unwrap()
            .contains("sip:alice@127.0.0.1:5070")
    );
    world.far_respond_with(incoming, 200, None, &[("Expires", "600")]);
    let answer = world.frame(client);
    assert_eq!((&answer["id"], state(&answer)), (&json!(id), "REGED"));
    world.advance_alive(client, Duration::from_secs(600));
    register(&mut world);
}

#[test]
fn c06_a_slow_registrar_means_ask_again() {
    let mut world = world();
    let (client, _) = world.log_in("alice");
    world.request(client, "telnyx_rtc.gatewayState", json!({}));
    world.advance(Duration::from_millis(2_400));
    assert_eq!(world.frames_left(client), 0);
    world.advance(Duration::from_millis(100));
    let answer = world.frame(client);
    assert_eq!(state(&answer), "NOREG");
    accept(&mut world);
    told_unasked(&mut world, client);
    assert_eq!(ask_state(&mut world, client), "REGED");
}

/// Told otherwise in a message, releases 2.5 and 2.6 ask without end.
#[test]
fn c06_who_is_told_in_messages_hears_good_news_alone() {
    let mut world = world();
    let (client, _) = world.log_in_nameless("alice");
    let params = json!({"method": "telnyx_rtc.gatewayState", "jsonrpc": "2.0", "params": {}});
    world.request(client, "telnyx_rtc.gatewayState", params);
    world.advance(Duration::from_millis(2_500));
    assert_eq!(state(&world.frame(client)), "NOREG");
    assert_eq!(world.frames_left(client), 0);
    accept(&mut world);
    assert_eq!(world.expect(client, "gatewayState"), json!({"state": "REGED"}));
    assert_eq!(world.frames_left(client), 0);
}

#[test]
fn c06_a_registrar_that_refuses_or_is_down_is_told() {
    for status in [403, 503] {
        let mut world = world();
        let (client, _) = world.log_in("alice");
        let (incoming, _) = register(&mut world);
        world.far_respond(incoming, status, None);
        let told = if status == 403 { "FAILED" } else { "FAIL_WAIT" };
        assert_eq!(ask_state(&mut world, client), told);
        let (bob, _) = world.log_in("bob");
        assert_eq!(ask_state(&mut world, bob), "REGED", "whose user is ours");
    }
}

/// Good news comes without a question.
fn told_unasked(world: &mut World, client: ConnectionId) {
    let told = world.frame(client);
    assert_eq!(state(&told), "REGED");
    assert!(told["id"].is_u64(), "{told}");
    assert_eq!(world.frames_left(client), 0);
}

/// Lets time pass, while the registrar answers each REGISTER with 503.
fn fail(world: &mut World, client: ConnectionId, time: Duration) {
    let end = world.now + time;
    while world.now < end {
        world.advance_alive(client, Duration::from_secs(5));
        while let Some(event) = world.far_events.pop_front() {
            if let Event::IncomingRequest { incoming, .. } = event {
                world.far_respond(incoming, 503, None);
            }
        }
        while world.frames_left(client) > 0 {
            world.frame(client); // Pings.
        }
    }
}

#[test]
fn c06_a_registrar_that_fails_is_told_when_the_binding_is_over_and_good_news_comes_unasked() {
    let mut world = world();
    let (client, _) = world.log_in("alice");
    accept(&mut world);
    fail(&mut world, client, Duration::from_secs(595));
    assert_eq!(
        ask_state(&mut world, client),
        "REGED",
        "the binding still brings calls"
    );
    fail(&mut world, client, Duration::from_secs(10));
    assert_eq!(ask_state(&mut world, client), "FAIL_WAIT");
    while world.far_events.is_empty() {
        world.advance_alive(client, Duration::from_secs(5));
        while world.frames_left(client) > 0 {
            world.frame(client);
        }
    }
    accept(&mut world);
    told_unasked(&mut world, client);
}

#[test]
fn c06_a_registrar_that_does_not_answer_is_told_when_the_binding_is_over() {
    let mut world = world();
    let (client, _) = world.log_in("alice");
    let (incoming, _) = register(&mut world);
    world.far_respond_with(incoming, 200, None, &[("Expires", "20")]);
    // Refreshed after 14 to 18 s, over at 20 s, given up at 46 to 50 s.
    world.advance_alive(client, Duration::from_secs(21));
    let id = world.request(client, "telnyx_rtc.gatewayState", json!({}));
    world.advance(Duration::from_millis(2_500));
    let answers = std::iter::from_fn(|| (world.frames_left(client) > 0).then(|| world.frame(client)));
    let answer = answers.into_iter().find(|frame| frame["id"] == json!(id));
    assert_eq!(answer.as_ref().map(state), Some("NOREG"));
}

#[test]
fn a_client_that_comes_makes_a_registrar_be_asked_again_that_refused_a_while_ago() {
    let mut world = world();
    let (client, _) = world.log_in("alice");
    let (incoming, _) = register(&mut world);
    world.far_respond(incoming, 403, None);
    world.log_in("alice");
    assert!(world.far_events.is_empty(), "many wrong passwords lock accounts");
    assert_eq!(ask_state(&mut world, client), "FAILED");
    world.advance_alive(client, Duration::from_secs(30));
    let (second, _) = world.log_in("alice");
    accept(&mut world);
    assert_eq!(ask_state(&mut world, second), "REGED");
}

#[test]
fn calls_of_the_account_go_to_its_registrar_with_its_credentials() {
    let mut world = world();
    let (client, _) = world.log_in("alice");
    accept(&mut world);
    world.request(client, "telnyx_rtc.invite", invite_params("call-1", "2002"));
    world.frame(client);
    let (_, incoming, invite) = world.far_invite();
    assert!(String::from_utf8_lossy(invite.bytes()).starts_with("INVITE sip:2002@pbx.example.net SIP/2.0"));
    assert!(
        header(&invite, "From")
            .unwrap()
            .contains("sip:1001@pbx.example.net")
    );
    assert_eq!(
        (
            header(&invite, "P-Asserted-Identity"),
            header(&invite, "X-Offhook-Call-Id")
        ),
        (None, None)
    );
    let challenge = "Digest realm=\"pbx\", nonce=\"n\", algorithm=MD5, qop=\"auth\"";
    world.far_respond_with(incoming, 401, None, &[("WWW-Authenticate", challenge)]);
    world
        .far_events
        .retain(|event| matches!(event, Event::IncomingInvite { .. }));
    let (.., invite) = world.far_invite();
    assert!(
        header(&invite, "Authorization")
            .unwrap()
            .contains("username=\"1001\"")
    );
    world.far_events.clear();

    world.far_call("alice", &[]);
    assert_eq!(world.expect(client, "invite")["callee_id_number"], "alice");
    let secret = world
        .traces
        .iter()
        .any(|(_, event)| format!("{event:?}").contains("secret"));
    assert!(!secret);
}

#[test]
fn the_account_leaves_some_time_after_its_last_client() {
    let mut world = world();
    let (client, _) = world.log_in("alice");
    accept(&mut world);
    world.cut(client);
    world.advance(Duration::from_secs(30));
    let (client, _) = world.log_in("alice");
    world.advance_alive(client, Duration::from_secs(60));
    assert!(
        world.far_events.is_empty(),
        "a page that is loaded anew costs no REGISTER"
    );
    world.cut(client);
    world.advance(Duration::from_secs(60));
    let (incoming, request) = register(&mut world);
    assert!(
        String::from_utf8_lossy(request.bytes()).contains("expires=0")
            || header(&request, "Expires").as_deref() == Some("0")
    );
    world.far_respond(incoming, 200, None);
    assert!(world.server.is_empty(), "{:?}", world.server.counts());
}

#[test]
fn draining_takes_the_account_out_at_once() {
    let mut world = world();
    world.log_in("alice");
    accept(&mut world);
    world.drain(Duration::from_secs(5));
    let (incoming, _) = register(&mut world);
    assert!(!world.server.is_empty(), "the registrar has not answered");
    world.far_respond(incoming, 200, None);
    assert!(world.server.is_empty(), "{:?}", world.server.counts());
}

/// The registrar is where DNS says.
fn located_world() -> World {
    let mut own = settings();
    own.users.get_mut("alice").unwrap().register = Some(Registrar {
        domain: "pbx.example.net".to_owned(),
        address: None,
        username: "1001".to_owned(),
        password: Credential::new("secret".to_owned()).unwrap(),
        expires: Duration::from_secs(600),
    });
    World::with(own)
}

fn targets() -> [SocketAddr; 2] {
    [
        "192.0.2.1:5060".parse().unwrap(),
        "192.0.2.2:5070".parse().unwrap(),
    ]
}

#[test]
fn rfc3263_4_the_registrar_is_found_by_dns_while_the_client_waits() {
    let mut world = located_world();
    let (client, _) = world.log_in("alice");
    assert_eq!(world.locations, ["pbx.example.net"]);
    world.request(client, "telnyx_rtc.gatewayState", json!({}));
    world.request(client, "telnyx_rtc.invite", invite_params("early", "2002"));
    world.frame(client);
    let refused = world.expect(client, "bye");
    assert_eq!(refused["sipCode"], 503, "a call that cannot go anywhere yet");
    assert!(world.sent_to.is_empty());
    world.located("pbx.example.net", &targets());
    assert_eq!(world.sent_to, [targets()[0]]);
    accept(&mut world);
    assert_eq!(state(&world.frame(client)), "REGED");

    world.sent_to.clear();
    world.request(client, "telnyx_rtc.invite", invite_params("call-1", "2002"));
    world.far_invite();
    assert_eq!(world.sent_to.first(), Some(&targets()[0]));
}

#[test]
fn rfc3263_4_3_the_next_address_is_tried_at_once_and_dns_is_asked_anew_when_none_answers() {
    let mut world = located_world();
    let (client, _) = world.log_in("alice");
    world.located("pbx.example.net", &targets());
    let refuse = |world: &mut World| {
        let (incoming, _) = register(world);
        world.far_respond(incoming, 503, None);
    };
    refuse(&mut world);
    assert_eq!(
        world.sent_to.last(),
        Some(&targets()[1]),
        "at once, not after the back-off"
    );
    refuse(&mut world);
    let sent = world.sent_to.len();
    assert_eq!(ask_state(&mut world, client), "FAIL_WAIT");
    assert_eq!(world.locations.len(), 1);
    world.advance_alive(client, Duration::from_secs(5));
    assert_eq!(
        world.locations.len(),
        2,
        "nobody answers: there may be others by now"
    );
    world.located("pbx.example.net", &targets());
    assert_eq!(
        world.sent_to.len(),
        sent,
        "those that just refused have their time to come back"
    );

    let moved = "192.0.2.3:5060".parse().unwrap();
    world.located("pbx.example.net", &[moved]);
    assert_eq!(world.sent_to.last(), Some(&moved));
    accept(&mut world);
    told_unasked(&mut world, client);
    assert_eq!(ask_state(&mut world, client), "REGED");
}

#[test]
fn a_domain_that_dns_does_not_know_is_asked_for_again() {
    let mut world = located_world();
    let (client, _) = world.log_in("alice");
    world.located("pbx.example.net", &[]);
    assert_eq!(ask_state(&mut world, client), "FAIL_WAIT");
    world.advance_alive(client, Duration::from_secs(30));
    assert_eq!(world.locations.len(), 2);
    while world.frames_left(client) > 0 {
        world.frame(client); // Pings.
    }
    world.located("pbx.example.net", &targets());
    accept(&mut world);
    told_unasked(&mut world, client);
    assert_eq!(ask_state(&mut world, client), "REGED");
}
