//! Whatever bytes come: no panic, nothing that stays, and calls of others go on.

use crate::support::agents::{ADDRESSES, ALICE, BOB, Weather, World, invite_to_bob};
use crate::support::flow;
use offhook_sip::transaction::{Config, TransactionLayer};
use offhook_sip::user_agent::Reply;
use offhook_sip_message::StatusCode;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// One change to a message: at a place (in thousandths of its length), of a kind, with a byte.
type Change = (usize, u8, u8);

/// All messages of a call that rings, is answered and ended.
fn messages_of_a_call() -> Vec<Vec<u8>> {
    let mut world = World::with(9, Weather::default());
    let (leg, incoming) = world.called();
    world.respond(BOB, incoming, Reply::new(StatusCode::RINGING));
    world.respond(BOB, incoming, Reply::new(StatusCode::OK));
    world.run(10);
    world.bye(ALICE, leg);
    let second = world.call();
    world.cancel(ALICE, second);
    world.run(10);
    world
        .wire
        .iter()
        .map(|(.., message)| message.bytes().to_vec())
        .collect()
}

fn apply(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for (place, kind, byte) in changes {
        let at = place * bytes.len() / 1000;
        match kind % 6 {
            0 => bytes.insert(at.min(bytes.len()), *byte),
            1 if at < bytes.len() => bytes[at] = *byte,
            2 if at < bytes.len() => {
                bytes.remove(at);
            }
            3 => bytes.truncate(at.max(1)),
            // A header line twice, or one less.
            4 | 5 => {
                let mut lines: Vec<Vec<u8>> = bytes
                    .split_inclusive(|b| *b == b'\n')
                    .map(<[u8]>::to_vec)
                    .collect();
                let line = place * lines.len() / 1000;
                if line < lines.len() && kind % 6 == 4 {
                    lines.insert(line, lines[line].clone());
                } else if line < lines.len() && lines.len() > 1 {
                    lines.remove(line);
                }
                bytes = lines.concat();
            }
            _ => {}
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn changed_messages_neither_panic_nor_leave_anything(
        picks in prop::collection::vec(
            (0usize..1000, prop::collection::vec((0usize..1000, any::<u8>(), any::<u8>()), 0..4)),
            1..12,
        ),
    ) {
        let templates = messages_of_a_call();
        // The same seed: tags and branches fit a call that is really there.
        let mut world = World::with(9, Weather::default());
        let leg = world.agents[ALICE].ua.invite(world.now(), invite_to_bob()).unwrap();
        world.run(10);
        let [alice, bob] = ADDRESSES.map(|address| address.parse().unwrap());
        for (pick, changes) in picks {
            let bytes = apply(templates[pick * templates.len() / 1000].clone(), &changes);
            for (from, to, agent) in [(alice, bob, BOB), (bob, alice, ALICE)] {
                prop_assert_ne!(from, to);
                let now = world.now();
                world.agents[agent].ua.handle_datagram(now, offhook_sip::Flow::udp(from), bytes.clone().into());
                world.run(50);
            }
        }
        let now = world.now();
        // Refused when a changed message has ended the call.
        let _over = world.agents[ALICE].ua.hang_up(now, leg, StatusCode::OK, Vec::new()).err();
        world.expect_nothing_left();
    }

    #[test]
    fn noise_is_counted_and_dropped(noise in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut layer = TransactionLayer::new(Config::default(), StdRng::seed_from_u64(1));
        let now = World::new().now();
        layer.handle_datagram(now, flow(), noise.into());
        let counts = layer.counts();
        prop_assert_eq!(counts.server_transactions + counts.client_transactions, 0);
        prop_assert_eq!(counts.unparsable_total, 1);
    }
}
