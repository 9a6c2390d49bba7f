//! What happens to a connected leg: ICE restarts, a peer that moves, silence, another node that takes over.

mod support;

use std::time::Duration;

use offhook_webrtc::{DropReason, DtlsRole, FailureReason, LegEvent, Path, Received, WebRtcLeg, stun};
use rand::SeedableRng;
use rand::rngs::StdRng;
use support::client::Version;
use support::{BAD, PERFECT, World, client_address, config, leg_address};

fn connected(seed: u64) -> World {
    let mut world = World::new(seed, PERFECT, Version::Either, DtlsRole::Passive);
    world.connect();
    world.events.clear();
    world
}

#[test]
fn an_ice_restart_keeps_dtls_and_the_media_flowing() {
    let mut world = connected(1);
    let before = world.leg.local_credentials().clone();
    let mut rng = StdRng::seed_from_u64(99);
    let after = world.leg.restart_ice(&mut rng).clone();
    assert_ne!(before, after);
    assert_eq!(world.leg.previous_credentials(), Some(&before));
    assert_eq!(world.exchange_media(5), (5, 5), "before the peer has heard of it");
    world.client.restart_ice();
    world.tell_client();
    world.tell_leg(DtlsRole::Passive);
    assert_eq!(world.exchange_media(50), (50, 50), "while and after it is done");
    assert_eq!(
        world.leg.previous_credentials(),
        None,
        "the peer has nominated under the new credentials"
    );
    assert!(!world.has(|event| matches!(event, LegEvent::DtlsConnected { .. } | LegEvent::Failed(_))));
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.exchange_media(5), (5, 5));
}

#[test]
fn a_peer_that_moves_is_followed_and_its_old_address_is_forgotten() {
    let mut world = connected(2);
    let path = |index| Path {
        local: leg_address(),
        remote: client_address(index),
    };
    world.client.roam(client_address(0), client_address(1));
    assert!(
        world.run_until(Duration::from_secs(10), |world| world.leg.selected_path()
            == Some(path(1)))
    );
    assert!(world.has(|event| *event == LegEvent::SelectedAddressChanged(path(1))));
    assert!(world.has(|event| *event == LegEvent::AddressAdded(path(1))));
    assert_eq!(world.exchange_media(10), (10, 10));
    world.run_for(Duration::from_secs(40));
    assert!(world.has(|event| *event == LegEvent::AddressRemoved(path(0))));
    assert_eq!(world.exchange_media(10), (10, 10));
    assert!(!world.has(|event| *event == LegEvent::ConsentLost));
}

#[test]
fn an_hour_of_consent_over_a_bad_network_is_never_lost() {
    let mut world = World::new(3, BAD, Version::Either, DtlsRole::Passive);
    world.connect();
    world.run_for(Duration::from_secs(3_600));
    assert!(
        !world.has(|event| *event == LegEvent::ConsentLost),
        "{:?}",
        world.events
    );
    let (at_leg, at_client) = world.exchange_media(50);
    assert!(at_leg > 25 && at_client > 25);
}

#[test]
fn silence_ends_consent_and_a_check_brings_it_back() {
    let mut world = connected(4);
    world.filter = Some(Box::new(|_, _| true));
    world.run_for(Duration::from_secs(35));
    assert_eq!(world.events, [LegEvent::ConsentLost]);
    assert!(!world.leg.is_connected());
    let (mut buffer, len) = support::roomy(&support::rtp(1));
    assert!(world.leg.send_rtp(&mut buffer, len).is_err());
    world.filter = None;
    world.client.restart_ice();
    world.tell_client();
    assert!(world.run_until(Duration::from_secs(10), |world| world.leg.is_connected()));
    assert!(world.has(|event| *event == LegEvent::ConsentRegained));
    assert_eq!(world.exchange_media(5), (5, 5));
}

#[test]
fn a_peer_that_never_checks_times_out_with_a_reason() {
    let mut world = World::new(5, PERFECT, Version::Either, DtlsRole::Passive);
    world.filter = Some(Box::new(|_, _| true));
    world.run_for(Duration::from_secs(31));
    let reason = FailureReason::IceTimeout {
        waited: config().ice_timeout,
        checks: 0,
    };
    assert_eq!(world.events, [LegEvent::Failed(reason)]);
    assert_eq!(world.leg.poll_timeout(), None);
}

#[test]
fn another_node_carries_on_with_the_exported_state() {
    let mut world = connected(6);
    assert_eq!(world.exchange_media(10), (10, 10));
    let state = world.leg.export().unwrap();
    let pwd = state.local.pwd.clone();
    assert!(!format!("{state:?}").contains(&pwd), "no secret in Debug");
    world.leg = WebRtcLeg::import(world.now, &config(), &state);
    assert_eq!(world.exchange_media(10), (10, 10));
    world.run_for(Duration::from_secs(120));
    assert!(
        !world.has(|event| *event == LegEvent::ConsentLost),
        "checks are still answered"
    );
    assert_eq!(world.exchange_media(10), (10, 10));
    assert!(world.leg.export().is_some());
}

#[test]
fn nothing_is_exported_before_media_can_flow() {
    let world = World::new(7, PERFECT, Version::Either, DtlsRole::Passive);
    assert!(world.leg.export().is_none());
}

#[test]
fn checks_with_wrong_integrity_are_counted_answered_once_each_and_change_nothing() {
    let mut world = connected(8);
    let mut check = Vec::new();
    let username = format!("{}:x", world.leg.local_credentials().ufrag);
    check.extend([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
    check.extend([3; 12]);
    check.extend([0, 6, 0, username.len() as u8]);
    check.extend(username.as_bytes());
    check.resize(check.len().next_multiple_of(4), 0);
    check.extend([0, 0x25, 0, 0, 0, 8, 0, 20]);
    check.extend([0; 20]);
    check[3] = (check.len() - 20) as u8;
    assert_eq!(
        stun::local_ufrag(&check),
        None,
        "without FINGERPRINT it finds no leg either"
    );
    for _ in 0..10 {
        assert_eq!(
            world.deliver(client_address(5), &check),
            Received::Dropped(DropReason::BadIntegrity)
        );
    }
    assert_eq!(world.leg.counters().bad_integrity, 10);
    assert_eq!(world.leg.selected_path().unwrap().remote, client_address(0));
    assert_eq!(
        world.deliver(client_address(5), &[0; 19]),
        Received::Dropped(DropReason::BadStun)
    );
    assert_eq!(
        world.deliver(client_address(5), &[77; 40]),
        Received::Dropped(DropReason::UnknownClass)
    );
    assert!(world.events.is_empty());
    assert_eq!(world.exchange_media(5), (5, 5));
}
