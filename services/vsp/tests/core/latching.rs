//! The proxy says whose media packets are to be taken from a carrier; the gateway hears it before that carrier's SDP.

use crate::world::{CARRIER_ANSWER, World};
use offhook_media_control::{Command, Latching, LegName};

const HEADER: &str = "X-Offhook-Latching";

/// What the gateway was told about the carrier's side: rules, and `None` for each of its SDPs.
fn told(world: &World) -> Vec<Option<Option<Latching>>> {
    let relevant = |command: &Command| match command {
        Command::Latch {
            leg: LegName::Carrier,
            latching,
            ..
        } => Some(Some(*latching)),
        Command::Answer {
            from: LegName::Carrier,
            ..
        } => Some(None),
        _ => None,
    };
    world.gateway.commands.iter().filter_map(relevant).collect()
}

#[test]
fn the_rule_of_the_carrier_that_answers_counts() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.invite(client, "call-1", "9196");
    let (_, incoming, _) = world.far_invite();
    world.far_respond_with(incoming, 183, Some(CARRIER_ANSWER), &[(HEADER, "any")]);
    let any = Some(Some(Latching::Any));
    assert_eq!(told(&world), [any, None]);
    // The next carrier has no rule of its own.
    world.far_respond(incoming, 183, Some(CARRIER_ANSWER));
    assert_eq!(told(&world)[2..], [Some(None), None]);
    world.far_respond_with(incoming, 200, Some(CARRIER_ANSWER), &[(HEADER, "same-address")]);
    assert_eq!(told(&world)[4..], [Some(Some(Latching::SameAddress)), None]);
}

#[test]
fn an_answer_without_sdp_gives_a_carrier_behind_nat_its_time_anew() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.invite(client, "call-1", "9196");
    let (_, incoming, _) = world.far_invite();
    world.far_respond_with(incoming, 183, Some(CARRIER_ANSWER), &[(HEADER, "any")]);
    world.far_respond_with(incoming, 200, None, &[(HEADER, "any")]);
    let any = Some(Some(Latching::Any));
    assert_eq!(told(&world), [any, None, any]);
}

#[test]
fn without_a_rule_or_with_one_that_nobody_knows_the_gateway_is_told_nothing() {
    for header in ["", "everybody"] {
        let mut world = World::new();
        let (client, _) = world.log_in("alice");
        world.invite(client, "call-1", "9196");
        let (_, incoming, _) = world.far_invite();
        world.far_respond_with(incoming, 200, Some(CARRIER_ANSWER), &[(HEADER, header)]);
        assert_eq!(told(&world), [None]);
    }
}

#[test]
fn a_carrier_that_calls_has_its_rule_from_the_start() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    world.far_call("alice", &[(HEADER, "off")]);
    world.expect(client, "invite");
    assert_eq!(told(&world), [Some(Some(Latching::Off))]);
    assert!(matches!(world.gateway.commands[0], Command::Open { .. }));
}
