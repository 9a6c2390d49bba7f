//! Calls from the browser to a carrier, one by one, each through every hop.

use offhook_call_trace::Hop;
use offhook_sim::actor::{ClientState, Plan};
use offhook_sim::{ALICE, SECOND_CARRIER_PREFIX, Totals, Weather, World};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// Longer than the slowest timer of a call that is over (64 × T1, twice, and the reattach grace).
const AFTERMATH: Duration = Duration::from_secs(200);

fn world_with_alice(early: bool) -> World {
    let mut world = World::new(Weather::FAIR, 1);
    let alice = world.add_client(ALICE, early);
    world.connect(alice);
    world.run_for(SECOND);
    assert_eq!(world.client(alice).state(), ClientState::Ready);
    world
}

fn states(world: &mut World, call: &str) -> Vec<&'static str> {
    world
        .client(0)
        .call(call)
        .expect("the call was placed")
        .states
        .clone()
}

/// D2 of the requirements, as the VSP and the proxy saw it.
#[test]
fn r29_the_outbound_order_holds() {
    let mut world = world_with_alice(false);
    world.client(0).dial("c1", &Plan::Answer.number());
    world.run_for(3 * SECOND);
    world.client(0).hang_up("c1");
    world.run_for(SECOND);
    let calls = world.traced_calls();
    let [call] = calls.as_slice() else {
        panic!("one call, one id: {calls:?}")
    };
    let proxy: Vec<String> = world
        .seen_by(call, Hop::SipProxy)
        .into_iter()
        .map(|(from, to, name)| format!("{from:?} → {to:?} {name}"))
        .collect();
    assert_eq!(
        proxy,
        [
            "Vsp → SipProxy INVITE",
            "SipProxy → Vsp 100 INVITE",
            "SipProxy → Carrier INVITE",
            "Carrier → SipProxy 100 INVITE",
            "Carrier → SipProxy 180 INVITE",
            "SipProxy → Vsp 180 INVITE",
            "Carrier → SipProxy 200 INVITE",
            "SipProxy → Vsp 200 INVITE",
            "Vsp → SipProxy ACK",
            "SipProxy → Carrier ACK",
            "Vsp → SipProxy BYE",
            "SipProxy → Carrier BYE",
            "Carrier → SipProxy 200 BYE",
            "SipProxy → Vsp 200 BYE",
        ]
    );
    let client: Vec<String> = world
        .seen_by(call, Hop::Vsp)
        .into_iter()
        .filter(|(from, to, _)| *from == Hop::Client || *to == Hop::Client)
        .filter(|(_, _, name)| !name.starts_with("ack"))
        .map(|(from, _, name)| format!("{from:?} {name}"))
        .collect();
    let expected = [
        "Client invite",
        "Vsp result invite",
        "Vsp ringing",
        "Vsp answer",
        "Client bye",
        "Vsp result bye",
    ];
    assert_eq!(client, expected);
    assert_eq!(
        states(&mut world, "c1"),
        ["requesting", "trying", "ringing", "active", "hangup"]
    );
}

#[test]
fn early_media_comes_before_the_answer() {
    let mut world = world_with_alice(false);
    world.client(0).dial("c1", &Plan::EarlyMedia.number());
    world.run_for(3 * SECOND);
    let states = states(&mut world, "c1");
    let at = |state| {
        states
            .iter()
            .position(|seen| *seen == state)
            .unwrap_or_else(|| panic!("{state} in {states:?}"))
    };
    assert!(at("trying") < at("early") && at("early") < at("active"));
}

#[test]
fn an_early_answer_is_there_before_the_far_end_rings() {
    let mut world = world_with_alice(true);
    world.client(0).dial("c1", &Plan::NeverAnswer.number());
    world.run_for(SECOND);
    let states = states(&mut world, "c1");
    let at = |state| {
        states
            .iter()
            .position(|seen| *seen == state)
            .unwrap_or_else(|| panic!("{state} in {states:?}"))
    };
    assert!(at("early") < at("ringing"), "{states:?}");
}

/// Status of the carrier → cause, causeCode and sipCode at the client, and nothing left behind.
#[test]
fn refusals_reach_the_client_with_their_cause() {
    for (plan, cause, code, sip_code) in [
        (Plan::Busy, "USER_BUSY", 17, 486),
        (Plan::Decline, "CALL_REJECTED", 21, 603),
        (Plan::NotFound, "UNALLOCATED_NUMBER", 1, 404),
    ] {
        let mut world = world_with_alice(false);
        world.client(0).dial("c1", &plan.number());
        world.run_for(3 * SECOND);
        let view = world.client(0).call("c1").expect("placed").clone();
        let ending = view
            .ending
            .unwrap_or_else(|| panic!("{plan:?} ends the call: {:?}", view.states));
        assert_eq!(
            (ending.cause.as_str(), ending.cause_code, ending.sip_code),
            (cause, code, Some(sip_code)),
            "{plan:?}"
        );
        world.run_for(AFTERMATH);
        assert_eq!(world.totals(), Totals::default(), "{plan:?}");
    }
}

#[test]
fn a_refusing_carrier_is_followed_by_the_next() {
    let mut world = world_with_alice(false);
    let number = Plan::Unavailable.number();
    world.client(0).dial("c1", &number);
    world.run_for(5 * SECOND);
    assert_eq!(
        world.carrier(0).invites.len(),
        1,
        "the first choice was asked once"
    );
    assert_eq!(world.carrier(1).invites.len(), 1, "then the second");
    let ending = world.client(0).ending("c1").expect("both refuse");
    assert_eq!(ending.cause, "NORMAL_TEMPORARY_FAILURE");
    world.run_for(AFTERMATH);
    assert_eq!(world.totals(), Totals::default());
}

#[test]
fn a_dead_carrier_is_followed_by_a_living_one() {
    let mut world = world_with_alice(false);
    world.carrier(1).die();
    world
        .client(0)
        .dial("c1", &format!("{SECOND_CARRIER_PREFIX}{}", Plan::Answer.number()));
    let answered = world.run_until(10 * SECOND, |world| {
        world
            .client(0)
            .call("c1")
            .expect("placed")
            .states
            .contains(&"active")
    });
    assert!(answered, "{:?}", states(&mut world, "c1"));
    assert!(
        world.elapsed() < 6 * SECOND,
        "the configured 2 s of silence are enough, not 32 s: {:?}",
        world.elapsed()
    );
    assert_eq!(world.carrier(0).answered_total, 1);
}

#[test]
fn hanging_up_while_it_rings_cancels() {
    let mut world = world_with_alice(false);
    world.client(0).dial("c1", &Plan::NeverAnswer.number());
    world.run_for(2 * SECOND);
    world.client(0).hang_up("c1");
    world.run_for(SECOND);
    let call = world.traced_calls().remove(0);
    let seen: Vec<String> = world
        .seen_by(&call, Hop::SipProxy)
        .into_iter()
        .map(|(_, _, name)| name)
        .collect();
    for name in ["CANCEL", "200 CANCEL", "487 INVITE", "ACK"] {
        assert!(seen.contains(&name.to_owned()), "{name} in {seen:?}");
    }
    world.run_for(AFTERMATH);
    assert_eq!(world.totals(), Totals::default());
}

/// The CANCEL and the 200 cross: whoever comes second, the call ends on both sides.
#[test]
fn hanging_up_in_the_instant_of_the_answer() {
    for millis in 990..1_020 {
        let mut world = world_with_alice(false);
        world.client(0).dial("c1", &Plan::Answer.number());
        world.run_for(Duration::from_millis(millis));
        world.client(0).hang_up("c1");
        world.run_for(AFTERMATH);
        assert_eq!(world.totals(), Totals::default(), "hung up after {millis} ms");
    }
}

#[test]
fn a_remote_hang_up_ends_the_call() {
    let mut world = world_with_alice(false);
    world.client(0).dial("c1", &Plan::HangUp.number());
    world.run_for(7 * SECOND);
    let ending = world.client(0).ending("c1").expect("the carrier hung up");
    assert_eq!(
        (ending.cause.as_str(), ending.cause_code),
        ("NORMAL_CLEARING", 16)
    );
    world.run_for(AFTERMATH);
    assert_eq!(world.totals(), Totals::default());
}

#[test]
fn nobody_answers_until_the_ring_timeout() {
    let mut world = world_with_alice(false);
    world.client(0).dial("c1", &Plan::NeverAnswer.number());
    world.run_for(70 * SECOND);
    let ending = world.client(0).ending("c1").expect("the ring timeout is 60 s");
    assert_eq!((ending.cause.as_str(), ending.cause_code), ("NO_ANSWER", 19));
    world.run_for(AFTERMATH);
    assert_eq!(world.totals(), Totals::default());
}

#[test]
fn m20_digits_reach_the_gateway_once() {
    let mut world = world_with_alice(false);
    world.client(0).dial("c1", &Plan::Answer.number());
    world.run_for(3 * SECOND);
    world.client(0).send_digits("c1", "12#");
    world.run_for(SECOND);
    assert_eq!(world.gateway().digits, "12#");
}

/// The carrier sees our call id, and the caller's own number whatever the client asked for.
#[test]
fn the_invite_carries_the_call_id() {
    let mut world = world_with_alice(false);
    world.client(0).dial("c1", &Plan::Answer.number());
    world.run_for(3 * SECOND);
    let call = world.traced_calls().remove(0);
    let invite = String::from_utf8_lossy(world.carrier(0).invites[0].bytes()).into_owned();
    assert!(
        invite.contains(&format!("X-Offhook-Call-Id: {call}\r\n")),
        "{invite}"
    );
    assert!(invite.contains("+15550100"), "{invite}");
}
