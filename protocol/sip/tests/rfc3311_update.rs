//! RFC 3311: UPDATE, and what may cross what.

use crate::support::agents::{
    ALICE, BOB, World, all_extensions, invite_to_bob, reply, request, sdp, session_timer, text,
};
use offhook_sip::user_agent::{ActionError, Extensions, ReliableProvisionals, Reply, SessionTimerMode};
use offhook_sip_message::{HeaderName, Method, StatusCode};

fn reliable() -> Extensions {
    Extensions {
        reliable_provisionals: ReliableProvisionals::WhenSupported,
        ..Extensions::default()
    }
}

#[test]
fn rfc3311_5_1_an_offer_goes_in_an_early_dialog_once_the_first_is_answered_reliably() {
    for agent in [ALICE, BOB] {
        let mut world = World::extended([reliable(), reliable()]);
        let alices = world.call();
        let (bobs, incoming) = world.incoming(BOB);
        world.respond(BOB, incoming, reply(183, Some("early")));
        let leg = if agent == ALICE { alices } else { bobs };
        world.request(agent, leg, Method::Update, sdp("u"));
        world.run(10);
        let other = 1 - agent;
        let (theirs, asked) = world.incoming_request(other);
        assert_eq!(asked.body(), b"u");
        world.respond(other, theirs, reply(200, Some("u2")));
        assert_eq!(world.story(agent).last().unwrap(), "response 200 UPDATE");
        world.respond(BOB, incoming, Reply::new(StatusCode::OK));
        world.run(10);
        assert!(
            world.story(ALICE).contains(&"answered".to_owned()),
            "{:?}",
            world.story(ALICE)
        );
        world.bye(ALICE, alices);
        world.expect_nothing_left();
    }
}

#[test]
fn rfc3311_5_1_no_offer_before_the_first_is_answered() {
    let mut world = World::new();
    let alices = world.call();
    let (bobs, incoming) = world.incoming(BOB);
    let info = world.agents[BOB]
        .ua
        .request(world.now(), bobs, request(Method::Info, None));
    assert!(
        matches!(info, Err(ActionError::State(_))),
        "the caller knows no tag yet"
    );
    world.respond(BOB, incoming, reply(183, Some("early")));
    for (agent, leg) in [(ALICE, alices), (BOB, bobs)] {
        let now = world.now();
        let offer = request(Method::Update, sdp("u"));
        let refused = world.agents[agent].ua.request(now, leg, offer);
        assert!(matches!(refused, Err(ActionError::State(_))), "{refused:?}");
    }
    // Without an offer it may go.
    world.request(ALICE, alices, Method::Update, None);
    world.run(10);
    let (theirs, _) = world.incoming_request(BOB);
    world.respond(BOB, theirs, Reply::new(StatusCode::OK));
    assert_eq!(world.story(ALICE).last().unwrap(), "response 200 UPDATE");
    world.cancel(ALICE, alices);
    world.expect_nothing_left();
}

#[test]
fn rfc3311_5_2_an_offer_into_an_open_offer_gets_491_from_the_offerer_and_500_from_the_other() {
    let mut world = World::new();
    let (alices, incoming) = world.called();
    world.respond(BOB, incoming, reply(180, None));
    world.request(ALICE, alices, Method::Update, None);
    world.run(10);
    let update = text(world.last("UPDATE"));
    let offer = update
        .replace("branch=z9hG4bK", "branch=z9hG4bKx")
        .replace("CSeq: 2 UPDATE", "CSeq: 3 UPDATE")
        .replace(
            "Content-Length: 0\r\n\r\n",
            "Content-Type: application/sdp\r\nContent-Length: 1\r\n\r\no",
        );
    world.forge(ALICE, offer.clone());
    assert!(world.last("500 UPDATE").has(HeaderName::RetryAfter));
    // The other way round: the caller has an offer out.
    let header = |name: &str| {
        let line = update.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once(": ").unwrap().1.to_owned()
    };
    let back = format!(
        "UPDATE sip:192.0.2.9:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKback\r\n\
         From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 UPDATE\r\nContact: <sip:192.0.2.1:5060>\r\n\
         Content-Type: application/sdp\r\nContent-Length: 1\r\n\r\no",
        header("To"),
        header("From"),
        header("Call-ID"),
    );
    world.forge(BOB, back);
    assert_eq!(
        world.last("491 UPDATE").status(),
        Some(StatusCode::REQUEST_PENDING)
    );
    world.cancel(ALICE, alices);
    world.expect_nothing_left();
}

#[test]
fn rfc3311_5_3_of_updates_that_cross_one_is_tried_again_and_the_other_one_made_anew() {
    let mut world = World::new();
    let (alices, bobs) = world.in_call();
    for (agent, leg, body) in [(ALICE, alices, "a"), (BOB, bobs, "b")] {
        world.request(agent, leg, Method::Update, sdp(body));
    }
    world.run(10);
    let refused = world
        .flow()
        .iter()
        .filter(|line| line.ends_with("491 UPDATE"))
        .count();
    assert_eq!(refused, 2);
    world.run(2020);
    assert_eq!(world.story(ALICE), ["UPDATE b"]);
    let (incoming, _) = world.incoming_request(ALICE);
    world.respond(ALICE, incoming, reply(200, Some("b2")));
    world.run(2100);
    assert_eq!(
        world.story(ALICE),
        ["UPDATE b", "response 491 UPDATE"],
        "a is out of date"
    );
    assert_eq!(world.story(BOB), ["response 200 UPDATE"]);
    world.bye(ALICE, alices);
    world.expect_nothing_left();
}

#[test]
fn an_update_without_an_offer_is_the_session_timers_business() {
    let timers = Extensions {
        session_timer: session_timer(SessionTimerMode::Accept),
        ..Extensions::default()
    };
    let mut world = World::extended([timers.clone(), timers]);
    let (alices, _) = world.in_call();
    world.request(ALICE, alices, Method::Update, None);
    world.run(10);
    assert_eq!(world.story(BOB), [""; 0]);
    assert_eq!(world.story(ALICE), ["response 200 UPDATE"]);
    world.bye(ALICE, alices);
    world.expect_nothing_left();
}

#[test]
fn without_extensions_nothing_is_announced() {
    let mut world = World::new();
    let leg = world.call_with(invite_to_bob());
    assert!(!world.last("INVITE").has(HeaderName::Supported));
    assert!(!world.last("INVITE").has(HeaderName::SessionExpires));
    world.cancel(ALICE, leg);
    world.expect_nothing_left();
    let mut world = World::extended([all_extensions(), all_extensions()]);
    let leg = world.call();
    for tag in ["timer", "100rel", "replaces", "norefersub"] {
        assert!(world.last("INVITE").lists(HeaderName::Supported, tag), "{tag}");
    }
    world.cancel(ALICE, leg);
    world.expect_nothing_left();
}
