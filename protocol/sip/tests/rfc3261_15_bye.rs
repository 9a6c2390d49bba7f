//! RFC 3261 §15: BYE.

use crate::support::agents::{ALICE, BOB, World, text};
use offhook_sip::Header;
use offhook_sip::user_agent::{ActionError, Ending, Event, Reply};
use offhook_sip_message::{HeaderName, Method, StatusCode};

#[test]
fn either_side_ends_the_call() {
    for agent in [ALICE, BOB] {
        let mut world = World::new();
        let (alices, bobs) = world.in_call();
        let leg = if agent == ALICE { alices } else { bobs };
        let reason = vec![Header::new("Reason", "Q.850;cause=16;text=\"bye\"").unwrap()];
        world.agents[agent].ua.bye(world.now(), leg, reason).unwrap();
        world.run(10);
        assert_eq!(world.story(agent), ["terminated local"]);
        assert_eq!(world.story(1 - agent), ["terminated remote"]);
        let Some(Event::Terminated {
            ending: Ending::Remote(bye),
            ..
        }) = world.agents[1 - agent].events.last()
        else {
            panic!("no BYE");
        };
        assert_eq!(
            bye.first(HeaderName::Reason),
            Some(&b"Q.850;cause=16;text=\"bye\""[..])
        );
        assert_eq!(world.flow().len(), 2);
        world.expect_nothing_left();
    }
}

#[test]
fn byes_that_cross_are_both_answered() {
    let mut world = World::new();
    let (alices, bobs) = world.in_call();
    world.bye(ALICE, alices);
    world.bye(BOB, bobs);
    world.run(10);
    assert_eq!(world.flow(), ["9>1 BYE", "1>9 BYE", "1>9 200 BYE", "9>1 200 BYE"]);
    assert_eq!(world.story(ALICE), ["terminated local"]);
    assert_eq!(world.story(BOB), ["terminated local"]);
    world.expect_nothing_left();
}

#[test]
fn the_callee_waits_for_the_ack_before_its_bye() {
    let mut world = World::new();
    world.call();
    let (bobs, incoming) = world.incoming(BOB);
    world.agents[BOB]
        .ua
        .respond(world.now(), incoming, Reply::new(StatusCode::OK))
        .unwrap();
    world.bye(BOB, bobs);
    assert_eq!(
        world.agents[BOB].ua.bye(world.now(), bobs, Vec::new()),
        Err(ActionError::Gone)
    );
    world.run(20);
    assert_eq!(
        world.flow()[2..],
        ["1>9 200 INVITE", "9>1 ACK", "1>9 BYE", "9>1 200 BYE"]
    );
    assert_eq!(world.story(ALICE), ["answered", "terminated remote"]);
    world.expect_nothing_left();
}

#[test]
fn without_an_ack_the_callees_bye_goes_when_the_transaction_is_over() {
    let mut world = World::new();
    let leg = world.call();
    let (bobs, incoming) = world.incoming(BOB);
    world.weather.loss = 100;
    world.agents[BOB]
        .ua
        .respond(world.now(), incoming, Reply::new(StatusCode::OK))
        .unwrap();
    world.bye(BOB, bobs);
    world.run(31_999);
    assert!(!world.flow().contains(&"1>9 BYE".to_owned()));
    world.run(1);
    assert!(world.flow().contains(&"1>9 BYE".to_owned()));
    world.cancel(ALICE, leg);
    world.expect_nothing_left();
}

#[test]
fn a_caller_may_end_with_bye_what_is_not_answered() {
    let mut world = World::new();
    let (_, incoming) = world.called();
    world.respond(BOB, incoming, Reply::new(StatusCode::RINGING));
    // Our own user agent would send CANCEL; others send BYE on the early dialog.
    let text = text(world.last("INVITE"));
    let to = String::from_utf8(world.last("180 INVITE").first(HeaderName::To).unwrap().to_vec()).unwrap();
    let text = text
        .replace("INVITE sip", "BYE sip")
        .replace("CSeq: 1 INVITE", "CSeq: 2 BYE")
        .replace("branch=z9hG4bK", "branch=z9hG4bKbye")
        .replace("To: <sip:bob@192.0.2.1>", &format!("To: {to}"));
    world.forge(ALICE, text);
    assert_eq!(world.story(BOB), ["call offer", "terminated remote"]);
    assert_eq!(world.story(ALICE), ["180 INVITE", "failed 487"]);
    world.expect_nothing_left();
}

#[test]
fn a_bye_ends_what_the_other_side_still_waits_for() {
    let mut world = World::new();
    let (alices, _) = world.in_call();
    world.request(ALICE, alices, Method::Info, None);
    world.run(10);
    world.bye(ALICE, alices);
    world.run(10);
    let mut flow = world.flow();
    flow.sort_unstable();
    assert_eq!(flow, ["1>9 200 BYE", "1>9 487 INFO", "9>1 BYE", "9>1 INFO"]);
    assert_eq!(
        world.story(ALICE),
        ["terminated local"],
        "nothing is told about a call that is over"
    );
    world.expect_nothing_left();
}

#[test]
fn hang_up_does_what_the_state_asks_for() {
    let mut world = World::new();
    let leg = world.call();
    world.agents[ALICE]
        .ua
        .hang_up(world.now(), leg, StatusCode::DECLINE, Vec::new())
        .unwrap();
    world.run(20);
    assert_eq!(world.story(ALICE), ["failed 487"]);

    world.call();
    let (bobs, _) = world.incoming(BOB);
    world.agents[BOB]
        .ua
        .hang_up(world.now(), bobs, StatusCode::DECLINE, Vec::new())
        .unwrap();
    world.run(20);
    assert_eq!(world.story(ALICE)[1..], ["failed 603"]);

    let (alices, _) = world.in_call();
    world.agents[ALICE]
        .ua
        .hang_up(world.now(), alices, StatusCode::DECLINE, Vec::new())
        .unwrap();
    world.run(20);
    assert_eq!(world.story(BOB), ["terminated remote"]);
    assert_eq!(
        world.agents[ALICE]
            .ua
            .hang_up(world.now(), alices, StatusCode::OK, Vec::new()),
        Err(ActionError::Gone)
    );
    world.expect_nothing_left();
}

#[test]
fn a_bye_that_nobody_answers_leaves_nothing_behind() {
    let mut world = World::new();
    let (alices, bobs) = world.in_call();
    world.weather.loss = 100;
    world.bye(ALICE, alices);
    world.bye(BOB, bobs);
    world.expect_nothing_left();
}
