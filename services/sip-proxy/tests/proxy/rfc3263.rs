//! Carriers with several servers: which one is tried first, and which follow.

use crate::world::{
    World, answer, carrier_a, carrier_b, carrier_request, gateway, in_dialog, invite_as, settings, status_of,
    uri_of, vsp,
};
use offhook_sip::locate::Place;
use offhook_sip_message::{Message, Method};
use offhook_sip_proxy::dial_plan::CarrierId;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

fn server(last: u8) -> SocketAddr {
    ([198, 51, 100, last], 5060).into()
}

fn place(priority: u16, weight: u16, addresses: &[SocketAddr]) -> Place {
    Place {
        priority,
        weight,
        addresses: addresses.to_vec(),
    }
}

/// Carrier a has three servers, the last of which is for emergencies; carrier b has one.
fn world() -> World {
    let mut settings = settings();
    settings.carriers[0].places = vec![place(20, 1, &[server(3)]), place(10, 1, &[server(1), server(2)])];
    World::with(settings)
}

/// The VSP calls; where the call went, and what was received there.
fn call(world: &mut World) -> (SocketAddr, Message) {
    let id = format!("call-{}", world.proxy.counts().calls_total);
    world.receive_message(vsp(), &invite_as("123", &id));
    assert_eq!(status_of(&world.take(vsp())), 100);
    next(world)
}

fn next(world: &mut World) -> (SocketAddr, Message) {
    let invites: Vec<_> = std::mem::take(&mut world.sent)
        .into_iter()
        .filter(|(to, message)| *to != vsp() && message.method() == Some(&Method::Invite))
        .collect();
    assert_eq!(invites.len(), 1, "{invites:?}");
    invites.into_iter().next().expect("one")
}

#[test]
fn rfc3263_4_3_the_servers_of_a_carrier_are_tried_in_order_then_the_next_carrier() {
    let mut world = world();
    let (first, at_first) = call(&mut world);
    assert_eq!(first, server(1));
    world.receive_message(first, &answer(&at_first, 503));
    let (second, at_second) = next(&mut world);
    assert_eq!(second, server(2));
    let now = world.now;
    world.proxy.handle_transport_error(now, second);
    world.drain();
    assert_eq!(uri_of(&at_second), uri_of(&at_first));
    let (third, _) = next(&mut world);
    assert_eq!(third, server(3), "the lower priority");
    world.pass(Duration::from_secs(2));
    let invites = std::mem::take(&mut world.sent);
    let (last, at_last) = invites.last().expect("the next carrier is tried");
    assert_eq!(*last, carrier_b());
    let at_last = at_last.clone();
    let told: Vec<_> = world
        .failed
        .iter()
        .map(|(carrier, _, next)| (*carrier, *next))
        .collect();
    assert_eq!(told, [(0, Some(0)), (0, Some(0)), (0, Some(1))]);
    world.receive_message(carrier_b(), &answer(&at_last, 486));
    assert_eq!(world.last_status(vsp()), 486);
}

#[test]
fn rfc3263_4_3_what_the_carrier_has_said_itself_is_not_asked_of_its_other_servers() {
    let mut world = world();
    let (first, at_first) = call(&mut world);
    world.receive_message(first, &answer(&at_first, 500));
    let (next_one, at_next) = next(&mut world);
    assert_eq!(next_one, carrier_b());
    world.receive_message(carrier_b(), &answer(&at_next, 404));
    assert_eq!(world.last_status(vsp()), 404);
}

#[test]
fn a_server_that_did_not_answer_rests_and_comes_back() {
    let mut world = world();
    let (first, _) = call(&mut world);
    assert_eq!(first, server(1));
    world.pass(Duration::from_secs(2));
    world.sent.clear();
    assert_eq!(
        call(&mut world).0,
        server(2),
        "no call waits for the dead one again"
    );
    world.pass(Duration::from_secs(31));
    world.sent.clear();
    assert_eq!(call(&mut world).0, server(1));
}

#[test]
fn rfc2782_calls_are_spread_by_weight() {
    let mut world = world();
    let places = vec![place(1, 30, &[server(1)]), place(1, 10, &[server(2)])];
    let now = world.now;
    world.proxy.set_carrier_places(now, CarrierId(0), places);
    let mut calls: HashMap<SocketAddr, u32> = HashMap::new();
    for _ in 0..80 {
        let (to, request) = call(&mut world);
        *calls.entry(to).or_default() += 1;
        world.receive_message(to, &answer(&request, 486));
        world.pass(Duration::from_secs(40)); // The caller does not acknowledge: repetitions have an end.
        world.sent.clear();
    }
    let heavy = calls[&server(1)];
    assert!(
        (48..72).contains(&heavy),
        "{heavy} of 80, for a share of three in four"
    );
}

#[test]
fn a_carrier_that_moves_takes_new_calls_there_and_keeps_those_that_run() {
    let mut world = World::new();
    let (at_carrier, ok) = world.answered_call();
    let now = world.now;
    world
        .proxy
        .set_carrier_places(now, CarrierId(0), vec![server(9).into()]);
    assert_eq!(call(&mut world).0, server(9));
    let bye = in_dialog(&ok, Method::Bye, None);
    world.receive_message(vsp(), &bye);
    assert_eq!(world.take(gateway()).method(), Some(&Method::Bye));
    let bye = carrier_request(&at_carrier, Method::Bye, 1);
    world.receive_message(carrier_a(), &bye);
    assert_eq!(
        world.take(vsp()).method(),
        Some(&Method::Bye),
        "the former address is still the carrier's"
    );
    for _ in 0..2 {
        world.pass(Duration::from_secs(3_700));
        let (now, next) = (world.now, server(10));
        world
            .proxy
            .set_carrier_places(now, CarrierId(0), vec![next.into()]);
    }
    world.sent.clear();
    world.receive_message(carrier_a(), &bye);
    assert!(world.take_all(vsp()).is_empty(), "but not for ever");
}
