//! RFC 4028 §8: a proxy forgets a call whose session has expired.

use crate::world::*;
use offhook_sip_message::{HeaderName, Message, Method};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn with_timer(request: &Message, seconds: &'static str) -> Message {
    answer_with(request, 200, &[(HeaderName::SessionExpires, seconds)])
}

#[test]
fn a_call_without_bye_is_forgotten_when_its_session_expires() {
    let mut world = World::new();
    let (_, sent) = world.call("123", carrier_a());
    world.receive_message(carrier_a(), &with_timer(&sent, "600;refresher=uas"));
    let ok = world.take(vsp());
    world.pass(9 * MINUTE);
    assert_eq!(world.proxy.counts().dialogs, 1);
    // A refresh starts the interval again.
    world.receive_message(vsp(), &in_dialog(&ok, Method::Update, None));
    let update = world.take_all(gateway()).pop().expect("an UPDATE");
    world.receive_message(gateway(), &with_timer(&update, "600"));
    world.pass(9 * MINUTE);
    assert_eq!(world.proxy.counts().dialogs, 1);
    world.pass(MINUTE);
    let counts = world.proxy.counts();
    assert_eq!((counts.dialogs, counts.places, counts.expired_total), (0, 0, 1));
    assert!(world.proxy.is_quiet());
    // The call itself is not cut: its BYE still passes.
    world.sent.clear();
    world.receive_message(vsp(), &in_dialog(&ok, Method::Bye, None));
    assert_eq!(world.take(gateway()).method(), Some(&Method::Bye));
}

#[test]
fn without_a_timer_a_call_is_remembered_for_a_day() {
    let mut world = World::new();
    world.answered_call();
    world.pass(23 * 60 * MINUTE);
    assert_eq!(world.proxy.counts().dialogs, 1);
    world.pass(2 * 60 * MINUTE);
    assert_eq!(world.proxy.counts().dialogs, 0);
    assert_eq!(world.proxy.poll_timeout(), None);
}

#[test]
fn no_session_is_shorter_than_may_be() {
    let mut world = World::new();
    let (_, sent) = world.call("123", carrier_a());
    world.receive_message(carrier_a(), &with_timer(&sent, "1"));
    world.pass(MINUTE);
    assert_eq!(world.proxy.counts().dialogs, 1, "90 s is the least (section 4)");
    world.pass(MINUTE);
    assert_eq!(world.proxy.counts().dialogs, 0);
}

#[test]
fn nonsense_in_session_expires_counts_as_none() {
    for nonsense in ["0", "x", "4294967295"] {
        let mut world = World::new();
        let (_, sent) = world.call("123", carrier_a());
        world.receive_message(carrier_a(), &with_timer(&sent, nonsense));
        world.pass(10 * 60 * MINUTE);
        assert_eq!(world.proxy.counts().dialogs, 1, "{nonsense}");
    }
}
