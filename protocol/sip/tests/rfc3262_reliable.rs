//! RFC 3262: reliable provisional responses and PRACK.

use crate::support::agents::{ALICE, BOB, World, count, invite_to_bob, reply, sdp, text};
use offhook_sip::Header;
use offhook_sip::user_agent::{Extensions, OutgoingInvite, ReliableProvisionals};
use offhook_sip_message::header::{RAck, RSeq};
use offhook_sip_message::{HeaderName, Method};

fn with(reliable_provisionals: ReliableProvisionals) -> Extensions {
    Extensions {
        reliable_provisionals,
        ..Extensions::default()
    }
}

fn world() -> World {
    let extensions = with(ReliableProvisionals::WhenSupported);
    World::extended([extensions.clone(), extensions])
}

#[test]
fn rfc3262_3_provisionals_are_numbered_and_acknowledged_in_order() {
    let mut world = world();
    let (leg, incoming) = world.called();
    for (code, body) in [(180, None), (183, Some("early")), (180, None)] {
        let now = world.now();
        world.agents[BOB]
            .ua
            .respond(now, incoming, reply(code, body))
            .unwrap();
    }
    world.run(50);
    let flow = world.flow();
    assert_eq!(
        flow[2..],
        [
            "1>9 180 INVITE",
            "9>1 PRACK",
            "1>9 200 PRACK",
            "1>9 183 INVITE",
            "9>1 PRACK",
            "1>9 200 PRACK",
            "1>9 180 INVITE",
            "9>1 PRACK",
            "1>9 200 PRACK",
        ]
    );
    let RSeq(last) = world.last("180 INVITE").require().unwrap();
    let RSeq(before) = world.last("183 INVITE").require().unwrap();
    assert_eq!(last, before + 1);
    let rack: RAck = world.last("PRACK").require().unwrap();
    assert_eq!((rack.response, rack.cseq.method), (last, Method::Invite));
    assert_eq!(
        world.story(ALICE),
        ["180 INVITE", "183 INVITE early", "180 INVITE"]
    );
    world.respond(BOB, incoming, reply(200, None));
    world.run(10);
    world.bye(ALICE, leg);
    world.expect_nothing_left();
}

#[test]
fn rfc3262_3_an_unacknowledged_provisional_is_repeated_then_the_invite_gets_504() {
    let mut world = world();
    let (_, incoming) = world.called();
    world.weather.loss = 100;
    world.respond(BOB, incoming, reply(180, None));
    world.run(31_900);
    // T1 doubled each time: at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s.
    assert_eq!(count(&world, "1>9 180 INVITE"), 7);
    world.weather.loss = 0;
    world.run(200);
    assert_eq!(world.story(BOB).last().unwrap(), "terminated lost");
    assert_eq!(world.story(ALICE), ["failed 504"]);
    world.expect_nothing_left();
}

#[test]
fn rfc3262_4_a_repeated_provisional_is_not_reported_twice() {
    let mut world = world();
    let (leg, incoming) = world.called();
    world.respond(BOB, incoming, reply(183, Some("early")));
    let again = text(world.last("183 INVITE"));
    let RSeq(rseq) = world.last("183 INVITE").require().unwrap();
    let pracks = count(&world, "9>1 PRACK");
    world.forge(BOB, again.clone());
    // One that comes before its turn waits until it is repeated.
    world.forge(
        BOB,
        again.replace(&format!("RSeq: {rseq}"), &format!("RSeq: {}", rseq + 2)),
    );
    assert_eq!(count(&world, "9>1 PRACK"), pracks);
    assert_eq!(world.story(ALICE), ["183 INVITE early"]);
    world.cancel(ALICE, leg);
    world.expect_nothing_left();
}

#[test]
fn rfc3262_3_a_2xx_waits_until_the_sdp_before_it_is_acknowledged() {
    let mut world = world();
    let (leg, incoming) = world.called();
    world.weather.loss = 100;
    world.respond(BOB, incoming, reply(183, Some("early")));
    world.respond(BOB, incoming, reply(200, None));
    assert_eq!(count(&world, "1>9 200 INVITE"), 0);
    world.weather.loss = 0;
    world.run(1000);
    assert_eq!(world.story(ALICE), ["183 INVITE early", "answered"]);
    world.bye(ALICE, leg);
    world.expect_nothing_left();
}

#[test]
fn rfc3262_3_a_prack_for_nothing_gets_481() {
    let mut world = world();
    let (leg, incoming) = world.called();
    world.respond(BOB, incoming, reply(180, None));
    let text = text(world.last("PRACK"));
    let late = text
        .replace("branch=z9hG4bK", "branch=z9hG4bKx")
        .replace("CSeq: 2", "CSeq: 3");
    world.forge(ALICE, late.clone());
    assert_eq!(count(&world, "1>9 481 PRACK"), 1);
    world.forge(
        ALICE,
        late.replace("z9hG4bKx", "z9hG4bKy").replace("RAck: ", "RAck: x"),
    );
    world.forge(
        ALICE,
        late.replace("z9hG4bKx", "z9hG4bKz")
            .replace("CSeq: 3", "CSeq: 5")
            .replace("RAck: ", "RAck: x"),
    );
    assert_eq!(count(&world, "1>9 400 PRACK"), 1);
    world.cancel(ALICE, leg);
    world.expect_nothing_left();
}

#[test]
fn rfc3262_3_who_cannot_gets_plain_provisionals_and_who_requires_it_is_refused_where_we_cannot() {
    let mut world = World::extended([Extensions::default(), with(ReliableProvisionals::WhenSupported)]);
    let (leg, incoming) = world.called();
    world.respond(BOB, incoming, reply(180, None));
    assert!(!world.last("180 INVITE").has(HeaderName::RSeq));
    assert_eq!(count(&world, "9>1 PRACK"), 0);
    world.cancel(ALICE, leg);
    world.expect_nothing_left();

    let required = |mut invite: OutgoingInvite| {
        invite.headers.push(Header::new("Require", "100rel").unwrap());
        invite
    };
    let mut world = World::new();
    world.call_with(required(invite_to_bob()));
    assert!(world.last("420 INVITE").lists(HeaderName::Unsupported, "100rel"));
    world.expect_nothing_left();

    let mut world = World::extended([Extensions::default(), with(ReliableProvisionals::WhenRequired)]);
    let leg = world.call_with(required(invite_to_bob()));
    let (_, incoming) = world.incoming(BOB);
    world.respond(BOB, incoming, reply(180, None));
    assert!(world.last("180 INVITE").has(HeaderName::RSeq));
    assert_eq!(count(&world, "1>9 200 PRACK"), 1);
    world.cancel(ALICE, leg);
    world.expect_nothing_left();
}

#[test]
fn rfc3262_5_an_offer_in_the_provisional_is_answered_in_the_prack() {
    let mut world = world();
    let invite = OutgoingInvite {
        body: None,
        ..invite_to_bob()
    };
    let leg = world.call_with(invite);
    let (_, incoming) = world.incoming(BOB);
    world.respond(BOB, incoming, reply(183, Some("their offer")));
    assert_eq!(count(&world, "9>1 PRACK"), 0, "the owner has to answer first");
    world.agents[ALICE]
        .ua
        .ack(world.now(), leg, sdp("our answer"))
        .unwrap();
    world.run(10);
    assert_eq!(world.last("PRACK").body(), b"our answer");
    assert_eq!(world.story(BOB)[1..], ["ack our answer"]);
    world.respond(BOB, incoming, reply(200, None));
    world.run(10);
    assert_eq!(world.story(BOB).last().unwrap(), "ack", "the ACK goes by itself");
    world.bye(ALICE, leg);
    world.expect_nothing_left();
}
