//! Handshakes over good and bad networks: everyone connects, and nobody stays silent.

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use offhook_webrtc::{
    Certificate, DropReason, DtlsRole, FailureReason, Fingerprint, HashFunction, LegEvent, Received,
    RemoteParameters,
};
use support::client::Version;
use support::{BAD, PERFECT, World, client_address, is_dtls};

const VERSIONS: [Version; 3] = [Version::Dtls12, Version::Dtls13, Version::Either];
const ROLES: [DtlsRole; 2] = [DtlsRole::Passive, DtlsRole::Active];

#[test]
fn connects_in_every_version_and_role_with_media_both_ways() {
    for version in VERSIONS {
        for role in ROLES {
            let mut world = World::new(1, PERFECT, version, role);
            let start = world.now;
            world.connect();
            assert!(
                world.now - start < Duration::from_millis(400),
                "{version:?} {role:?} {:?}",
                world.now - start
            );
            assert_eq!(world.exchange_media(10), (10, 10), "{version:?} {role:?}");
            let profile = world.client.profile().unwrap();
            assert!(world.has(|event| *event == LegEvent::DtlsConnected { profile }));
            assert_eq!(world.leg.counters().strangers, 0);
        }
    }
}

#[test]
fn a_hundred_handshakes_over_a_bad_network_all_connect_and_none_stays_silent() {
    for seed in 0..100 {
        let version = VERSIONS[seed as usize % 3];
        let role = ROLES[seed as usize / 3 % 2];
        let mut world = World::new(seed, BAD, version, role);
        let connected = world.run_until(Duration::from_secs(15), World::is_connected);
        assert!(
            connected,
            "seed {seed} {version:?} {role:?}: {:?} {:?}",
            world.events, world.leg
        );
        let (at_leg, at_client) = world.exchange_media(50);
        assert!(
            at_leg > 25 && at_client > 25,
            "seed {seed} {version:?} {role:?}: {at_leg}, {at_client}"
        );
    }
}

/// The leg's last flight is lost for a while after it is done itself: the client sends its own again, and the leg has to
/// answer it again, or the client would never be done and the call would be silent.
#[test]
fn a_flight_that_arrives_again_after_the_handshake_is_answered_again() {
    for version in VERSIONS {
        for role in ROLES {
            let mut world = World::new(3, PERFECT, version, role);
            let dropping = Rc::new(Cell::new(false));
            let dropped = Rc::new(Cell::new(0));
            let (is_on, count) = (Rc::clone(&dropping), Rc::clone(&dropped));
            // The last flight leaves in the same drain as the leg's event, so the switch is thrown before it: the leg's
            // handshake datagrams of epoch 1 and up (1.2: content type 20 or epoch 1; 1.3: unified header).
            world.filter = Some(Box::new(move |to_leg, bytes| {
                let is_protected = bytes.iter().take(1).any(|first| *first >= 32 || *first == 20)
                    || bytes.get(4) == Some(&1);
                let is_hit = is_on.get() && !to_leg && is_dtls(bytes) && is_protected;
                count.set(count.get() + u32::from(is_hit));
                is_hit
            }));
            dropping.set(role == DtlsRole::Passive && version == Version::Dtls12);
            let is_done = |world: &World| world.has(|event| matches!(event, LegEvent::DtlsConnected { .. }));
            assert!(
                world.run_until(Duration::from_secs(5), is_done),
                "{version:?} {role:?}"
            );
            dropping.set(true);
            world.run_for(Duration::from_millis(900));
            dropping.set(false);
            assert!(
                world.run_until(Duration::from_secs(10), World::is_connected),
                "{version:?} {role:?}"
            );
            if version == Version::Dtls12 && role == DtlsRole::Passive {
                assert!(
                    dropped.get() >= 2,
                    "the flight was sent again while it was lost: {}",
                    dropped.get()
                );
            }
            assert_eq!(world.exchange_media(5), (5, 5));
        }
    }
}

#[test]
fn checks_and_dtls_may_come_before_the_answer_and_media_waits_for_it() {
    let mut world = World::strangers(4, PERFECT, Version::Dtls12, DtlsRole::Passive);
    world.tell_client();
    assert!(world.run_until(Duration::from_secs(5), |world| world.client.is_connected()));
    assert!(world.has(|event| matches!(event, LegEvent::IceConnected(_))));
    assert!(!world.leg.is_connected());
    assert_eq!(
        world.exchange_media(5),
        (0, 0),
        "no media before the fingerprint is known"
    );
    assert!(world.leg.counters().not_ready >= 5);
    world.run_for(Duration::from_secs(100));
    world.tell_leg(DtlsRole::Passive);
    assert!(world.leg.is_connected());
    assert_eq!(world.exchange_media(5), (5, 5));
}

fn fingerprint(hash: HashFunction, world: &World) -> Fingerprint {
    Fingerprint::of(hash, world.client.certificate())
}

#[test]
fn a_certificate_that_the_sdp_did_not_name_is_the_end_and_no_media_ever() {
    let other = Certificate::generate().unwrap();
    for role in ROLES {
        for version in VERSIONS {
            let mut world = World::strangers(5, PERFECT, version, role);
            world.tell_client();
            let ice = world.client.credentials();
            let fingerprints = vec![
                fingerprint(HashFunction::Sha1, &world),
                other.fingerprint().clone(),
            ];
            let now = world.now;
            world.leg.set_remote(
                now,
                RemoteParameters {
                    ice,
                    fingerprints,
                    dtls_role: role,
                },
            );
            world.run_for(Duration::from_secs(5));
            let failures: Vec<_> = world
                .events
                .iter()
                .filter(|event| matches!(event, LegEvent::Failed(_)))
                .cloned()
                .collect();
            let [LegEvent::Failed(reason @ FailureReason::FingerprintMismatch { actual, .. })] =
                &failures[..]
            else {
                panic!("{:?}", world.events)
            };
            assert_eq!(*actual, world.client.fingerprint().to_string());
            assert!(
                reason.to_string().contains(&other.fingerprint().to_string()),
                "{reason}"
            );
            assert_eq!(world.exchange_media(5), (0, 0));
            assert!(!world.has(|event| matches!(event, LegEvent::DtlsConnected { .. })));
        }
    }
}

#[test]
fn one_of_several_fingerprints_and_any_known_hash_will_do() {
    let other = Certificate::generate().unwrap();
    for hash in [
        HashFunction::Sha1,
        HashFunction::Sha256,
        HashFunction::Sha384,
        HashFunction::Sha512,
    ] {
        let mut world = World::strangers(6, PERFECT, Version::Either, DtlsRole::Passive);
        world.tell_client();
        let named = fingerprint(hash, &world);
        let fingerprints = match hash {
            HashFunction::Sha256 => vec![other.fingerprint().clone(), named],
            _ => vec![named],
        };
        let (now, ice) = (world.now, world.client.credentials());
        world.leg.set_remote(
            now,
            RemoteParameters {
                ice,
                fingerprints,
                dtls_role: DtlsRole::Passive,
            },
        );
        world.connect();
    }
}

#[test]
fn dtls_and_media_of_strangers_are_dropped() {
    let mut world = World::new(7, PERFECT, Version::Dtls12, DtlsRole::Passive);
    let hello = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let stranger = client_address(9);
    assert_eq!(
        world.deliver(stranger, &hello),
        Received::Dropped(DropReason::Stranger)
    );
    world.connect();
    assert_eq!(
        world.deliver(stranger, &hello),
        Received::Dropped(DropReason::Stranger)
    );
    let (_, sealed) = world.client.send_rtp(&support::rtp(1)).unwrap();
    assert_eq!(
        world.deliver(stranger, &sealed),
        Received::Dropped(DropReason::Stranger)
    );
    assert_eq!(world.leg.counters().strangers, 3);
    let mut changed = sealed.clone();
    changed[20] ^= 1;
    assert_eq!(
        world.deliver(client_address(0), &changed),
        Received::Dropped(DropReason::BadTag)
    );
    assert!(matches!(
        world.deliver(client_address(0), &sealed),
        Received::Rtp { .. }
    ));
    assert_eq!(
        world.deliver(client_address(0), &sealed),
        Received::Dropped(DropReason::Replayed)
    );
}

#[test]
fn rubbish_from_the_peers_own_address_harms_nothing() {
    for version in VERSIONS {
        let mut world = World::new(8, PERFECT, version, DtlsRole::Passive);
        world.connect();
        for first in 0..=255u8 {
            for len in [1, 13, 14, 20, 60] {
                let bytes: Vec<u8> = (0..len)
                    .map(|at| if at == 0 { first } else { first ^ at })
                    .collect();
                world.deliver(client_address(0), &bytes);
            }
        }
        // An unencrypted fatal alert and an unencrypted close_notify, which anyone could have sent.
        for description in [0, 40] {
            world.deliver(
                client_address(0),
                &[21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, description],
            );
        }
        assert_eq!(world.exchange_media(5), (5, 5), "{version:?} {:?}", world.events);
    }
}

#[test]
fn close_notify_is_understood_both_ways() {
    for version in VERSIONS {
        let mut world = World::new(9, PERFECT, version, DtlsRole::Passive);
        world.connect();
        world.client.close();
        world.run_for(Duration::from_millis(100));
        assert!(
            world.has(|event| *event == LegEvent::RemoteClosed),
            "{version:?} {:?}",
            world.events
        );
        assert_eq!(world.exchange_media(3), (0, 0));

        let mut world = World::new(10, PERFECT, version, DtlsRole::Active);
        world.connect();
        let now = world.now;
        world.leg.close(now);
        world.run_for(Duration::from_millis(100));
        assert!(world.client.is_dtls_closed, "{version:?}");
        assert_eq!(world.leg.poll_timeout(), None);
    }
}

#[test]
fn a_peer_that_never_starts_dtls_times_out_with_a_reason() {
    let mut world = World::new(11, PERFECT, Version::Dtls12, DtlsRole::Passive);
    world.filter = Some(Box::new(|_, bytes| is_dtls(bytes)));
    world.run_for(Duration::from_secs(25));
    let reason = FailureReason::DtlsTimeout {
        waited: support::config().dtls_timeout,
    };
    assert_eq!(world.events.last(), Some(&LegEvent::Failed(reason)));
}

/// The engine alone pauses ever longer between answers; a peer that backs off likewise would miss them all.
#[test]
fn every_repetition_of_the_last_flight_is_answered_but_not_a_flood_of_them() {
    for version in [Version::Dtls12, Version::Dtls13] {
        let mut world = World::new(12, PERFECT, version, DtlsRole::Passive);
        let seen = Rc::new(RefCell::new(Vec::<(bool, Vec<u8>)>::new()));
        let log = Rc::clone(&seen);
        world.filter = Some(Box::new(move |to_leg, bytes| {
            if is_dtls(bytes) {
                log.borrow_mut().push((to_leg, bytes.to_vec()));
            }
            false
        }));
        let is_done = |world: &World| world.has(|event| matches!(event, LegEvent::DtlsConnected { .. }));
        assert!(world.run_until(Duration::from_secs(5), is_done));
        let repeated = seen
            .borrow()
            .iter()
            .rfind(|(to_leg, _)| *to_leg)
            .unwrap()
            .1
            .clone();
        let answers = |world: &mut World| {
            let before = seen.borrow().len();
            assert_eq!(world.deliver(client_address(0), &repeated), Received::Handled);
            seen.borrow()[before..]
                .iter()
                .filter(|(to_leg, _)| !to_leg)
                .count()
        };
        for repetition in 0..10 {
            world.run_for(Duration::from_millis(60));
            assert!(answers(&mut world) > 0, "{version:?} {repetition}");
        }
        assert_eq!(
            (0..100).map(|_| answers(&mut world)).sum::<usize>(),
            0,
            "at one moment"
        );
        let mut ever = 0;
        for _ in 0..500 {
            world.run_for(Duration::from_millis(60));
            ever += answers(&mut world);
        }
        assert!(ever < 60, "{version:?}: {ever}");
        assert_eq!(world.exchange_media(5), (5, 5));
    }
}
