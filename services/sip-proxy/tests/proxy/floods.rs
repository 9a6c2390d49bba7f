//! Too much of anything: rates, places, repetitions. Each has a limit, a clear answer and a counter.

use crate::world::*;
use offhook_sip_message::{HeaderName, Method};
use offhook_sip_proxy::proxy::{Refusal, Settings};
use std::time::Duration;

fn limited(change: impl FnOnce(&mut Settings)) -> World {
    let mut settings = settings();
    settings.requests_max = 10_000;
    change(&mut settings);
    World::with(settings)
}

#[test]
fn a_carriers_calls_per_second_are_limited() {
    let mut world = limited(|settings| settings.carriers[0].calls_per_second = 10);
    for id in 0..50 {
        let invite =
            text(&carrier_invite("1555010", &[])).replace("1555010@carrier", &format!("{id}@carrier"));
        world.receive(carrier_a(), invite.replace("in-1555010", &format!("in-{id}")));
    }
    let refused: Vec<_> = world
        .take_all(carrier_a())
        .into_iter()
        .filter(|response| status_of(response) == 503)
        .collect();
    assert_eq!(refused.len(), 40);
    assert!(
        refused
            .iter()
            .all(|response| response.has(HeaderName::RetryAfter))
    );
    assert_eq!(world.refused, vec![Refusal::Rate; 40]);
    assert_eq!(world.take_all(vsp()).len(), 10);
    // Another neighbour is not concerned.
    world.call("123", carrier_a());
    world.pass(Duration::from_secs(1));
    world.sent.clear();
    world.call_in("+1555010");
}

#[test]
fn a_vsps_calls_per_second_are_limited() {
    let mut world = limited(|settings| settings.calls_per_second = 3);
    for id in 0..5 {
        world.receive_message(vsp(), &invite_as("123", &format!("call{id}")));
    }
    assert_eq!(world.take_all(carrier_a()).len(), 3);
    assert_eq!(world.refused, [Refusal::Rate, Refusal::Rate]);
}

#[test]
fn a_carrier_has_so_many_places_for_both_directions() {
    let mut world = limited(|settings| settings.carriers[0].calls_max = 2);
    let (sent, ok) = world.answered_call();
    let inbound = world.call_in("1555010");
    assert_eq!(world.proxy.counts().places, 2);
    // Full: its own call is refused, ours go to the next carrier.
    world.receive_message(carrier_a(), &carrier_invite("+1555010", &[]));
    let refused = world.take_all(carrier_a()).pop().expect("an answer");
    assert_eq!(
        (status_of(&refused), refused.has(HeaderName::RetryAfter)),
        (503, true)
    );
    assert_eq!(world.refused, [Refusal::CarrierFull]);
    world.receive_message(vsp(), &invite_as("124", "second"));
    assert_eq!(world.take(carrier_b()).method(), Some(&Method::Invite));
    assert_eq!(world.failed[0].1, "it has reached its calls_max");
    // A rejected call and an ended one give their places back.
    world.receive_message(vsp(), &answer(&inbound, 486));
    world.receive_message(vsp(), &in_dialog(&ok, Method::Bye, None));
    let bye = world.take_all(gateway()).pop().expect("a BYE");
    world.receive_message(gateway(), &answer(&bye, 200));
    assert_eq!(
        world.proxy.counts().places,
        1,
        "only the one at carrier b is left: {sent:?}"
    );
}

#[test]
fn when_all_carriers_are_full_the_caller_may_try_later() {
    let mut world = limited(|settings| settings.carriers[1].calls_max = 1);
    world.call("201", carrier_b());
    world.receive_message(vsp(), &invite("202"));
    let refused = world.take_all(vsp()).pop().expect("an answer");
    assert_eq!(
        (status_of(&refused), refused.has(HeaderName::RetryAfter)),
        (503, true)
    );
}

#[test]
fn repetitions_cost_one_small_answer_each_and_no_state() {
    let mut world = limited(|_| {});
    let (invite, sent) = world.call("123", carrier_a());
    let before = world.proxy.counts();
    for _ in 0..10_000 {
        world.receive_message(vsp(), &invite);
    }
    let answers = world.take_all(vsp());
    assert_eq!(answers.len(), 10_000);
    assert!(
        answers
            .iter()
            .all(|answer| answer.bytes().len() < invite.bytes().len())
    );
    assert!(world.take_all(carrier_a()).is_empty(), "none goes on");
    let after = world.proxy.counts();
    assert_eq!(
        (after.contexts, after.transactions.server_transactions),
        (before.contexts, before.transactions.server_transactions)
    );
    // The trace holds what happened, not how often it was said.
    assert!(world.traced.len() < 10);
    world.receive_message(carrier_a(), &answer(&sent, 486));
    assert_eq!(world.last_status(vsp()), 486);
}

#[test]
fn transactions_have_a_limit_of_their_own() {
    let mut world = limited(|settings| settings.transactions_max = 5);
    for id in 0..8 {
        world.receive_message(vsp(), &invite_as("123", &format!("call{id}")));
    }
    assert_eq!(world.take_all(carrier_a()).len(), 5);
    assert!(world.proxy.counts().transactions.overload_total >= 3);
    assert_eq!(world.last_status(vsp()), 503);
}
