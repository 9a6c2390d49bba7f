//! The agent alone, with checks made by another implementation's STUN writer.

use std::net::SocketAddr;

use hmac::{Hmac, KeyInit, Mac};
use is::stun::{Class, StunMessage, TransId};
use rand::SeedableRng;
use sha1::Sha1;

use super::*;
use crate::stun::is_ice_text;

const LIMITS: Limits = Limits {
    ice_timeout: Duration::from_secs(30),
    consent_timeout: Duration::from_secs(30),
};
const SECOND: Duration = Duration::from_secs(1);

#[expect(
    clippy::disallowed_methods,
    reason = "only an origin; differences alone matter"
)]
fn origin() -> Instant {
    Instant::now()
}

fn agent(seed: u64) -> LiteAgent {
    LiteAgent::new(LIMITS, IceCredentials::generate(&mut StdRng::seed_from_u64(seed)))
}

fn path(index: u16) -> Path {
    let local: SocketAddr = "198.51.100.1:3478".parse().unwrap();
    Path {
        local,
        remote: SocketAddr::from(([192, 0, 2, 1], 1_000 + index)),
    }
}

fn hmac(password: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(password).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// A check as a controlling (or confused, controlled) peer sends it.
fn check(credentials: &IceCredentials, controlling: bool, priority: u32, nominate: bool) -> Vec<u8> {
    let username = format!("{}:peer", credentials.ufrag);
    let message = StunMessage::binding_request(&username, TransId::new(), controlling, 1, priority, nominate);
    let mut bytes = [0; 512];
    let len = message
        .to_bytes(Some(credentials.pwd.as_bytes()), &mut bytes, hmac)
        .unwrap();
    bytes[..len].to_vec()
}

/// Gives the agent a message and returns what came of it, the answer's class and error code among it.
fn give(
    agent: &mut LiteAgent,
    now: Instant,
    path: Path,
    bytes: &[u8],
) -> (Verdict, Option<(Class, u16)>, Changes) {
    let mut changes = Changes::new();
    let (verdict, answer) = agent.handle_message(now, path, bytes, &mut changes);
    let answer = answer.map(|bytes| {
        // The reader refuses unsigned messages, as 400 and 401 are: their two fields are read by hand.
        match StunMessage::parse(&bytes) {
            Ok(message) => (message.class(), message.error_code().map_or(0, |(code, _)| code)),
            Err(_) => (Class::Failure, u16::from(bytes[26]) * 100 + u16::from(bytes[27])),
        }
    });
    (verdict, answer, changes)
}

fn nominate(agent: &mut LiteAgent, now: Instant, path: Path, priority: u32) -> Changes {
    let bytes = check(agent.credentials(), true, priority, true);
    let (verdict, answer, changes) = give(agent, now, path, &bytes);
    assert_eq!((verdict, answer), (Verdict::Taken, Some((Class::Success, 0))));
    changes
}

#[test]
fn credentials_are_long_random_and_of_ice_characters() {
    let (one, other) = (agent(1), agent(2));
    for credentials in [one.credentials(), other.credentials()] {
        assert!(is_ice_text(&credentials.ufrag, 16..=16) && is_ice_text(&credentials.pwd, 32..=32));
    }
    assert_ne!(one.credentials(), other.credentials());
    assert_eq!(one.credentials(), agent(1).credentials());
    assert!(!format!("{one:?}").contains(&one.credentials().pwd));
}

#[test]
fn a_check_is_answered_and_a_nomination_connects() {
    let (mut agent, now) = (agent(1), origin());
    let bytes = check(agent.credentials(), true, 100, false);
    let (verdict, answer, changes) = give(&mut agent, now, path(0), &bytes);
    assert_eq!((verdict, answer), (Verdict::Taken, Some((Class::Success, 0))));
    assert_eq!(changes[..], [Change::PathAdded(path(0))]);
    assert!(agent.knows(path(0)) && !agent.knows(path(1)) && agent.sending_path().is_none());
    assert_eq!(
        nominate(&mut agent, now, path(0), 100)[..],
        [Change::Connected(path(0))]
    );
    assert_eq!(agent.sending_path(), Some(path(0)));
    assert!(nominate(&mut agent, now, path(0), 100).is_empty());
}

#[test]
fn wrong_or_missing_credentials_are_refused_and_leave_no_trace() {
    let (mut agent, now) = (agent(1), origin());
    let ours = agent.credentials().clone();
    let wrong_pwd = IceCredentials {
        ufrag: ours.ufrag.clone(),
        pwd: "x".repeat(32),
    };
    let wrong_ufrag = IceCredentials {
        ufrag: "someone".into(),
        pwd: ours.pwd.clone(),
    };
    for wrong in [wrong_pwd, wrong_ufrag] {
        let (verdict, answer, changes) = give(&mut agent, now, path(0), &check(&wrong, true, 1, true));
        assert_eq!(
            (verdict, answer),
            (Verdict::BadIntegrity, Some((Class::Failure, 401)))
        );
        assert!(changes.is_empty());
    }
    let bare = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[9; 12]].concat();
    let (verdict, answer, _) = give(&mut agent, now, path(0), &bare);
    assert_eq!(
        (verdict, answer),
        (Verdict::BadIntegrity, Some((Class::Failure, 400)))
    );
    assert_eq!((agent.checks(), agent.knows(path(0))), (0, false));
}

#[test]
fn a_peer_that_believes_to_be_controlled_is_told_487_and_selects_nothing() {
    let (mut agent, now) = (agent(1), origin());
    let bytes = check(agent.credentials(), false, 1, false);
    let (verdict, answer, changes) = give(&mut agent, now, path(0), &bytes);
    assert_eq!((verdict, answer), (Verdict::Taken, Some((Class::Failure, 487))));
    assert!(changes.is_empty());
}

#[test]
fn responses_and_other_methods_are_not_answered() {
    let (mut agent, now) = (agent(1), origin());
    for kind in [[1, 1], [1, 0x11], [0, 3]] {
        let bytes = [&kind[..], &[0, 0, 0x21, 0x12, 0xa4, 0x42], &[9; 12]].concat();
        assert_eq!(give(&mut agent, now, path(0), &bytes).0, Verdict::BadMessage);
        assert_eq!(give(&mut agent, now, path(0), &bytes).1, None);
    }
    let indication = [&[0, 0x11, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[9; 12]].concat();
    let (verdict, answer, _) = give(&mut agent, now, path(0), &indication);
    assert_eq!((verdict, answer), (Verdict::Taken, None));
}

#[test]
fn five_hundred_addresses_take_room_for_eight_and_the_selected_one_stays() {
    let (mut agent, now) = (agent(1), origin());
    nominate(&mut agent, now, path(0), 100);
    let mut known = 1;
    for index in 1..500u16 {
        let bytes = check(agent.credentials(), true, 1, false);
        let (_, _, changes) = give(
            &mut agent,
            now + SECOND / 1_000 * u32::from(index),
            path(index),
            &bytes,
        );
        for change in &changes {
            known = match change {
                Change::PathAdded(_) => known + 1,
                Change::PathRemoved(_) => known - 1,
                other => panic!("{other:?}"),
            };
            assert!(known <= PATHS_MAX);
        }
    }
    assert_eq!(
        (agent.paths.len(), agent.sending_path()),
        (PATHS_MAX, Some(path(0)))
    );
}

#[test]
fn aggressive_nomination_settles_on_the_highest_priority() {
    let (mut agent, now) = (agent(1), origin());
    nominate(&mut agent, now, path(0), 10);
    assert!(nominate(&mut agent, now, path(1), 20).contains(&Change::Selected(path(1))));
    for _ in 0..10 {
        for (index, priority) in [(0, 10), (1, 20)] {
            let changes = nominate(&mut agent, now, path(index), priority);
            assert!(changes.is_empty(), "{changes:?}");
        }
    }
    assert_eq!(agent.sending_path(), Some(path(1)));
}

#[test]
fn a_peer_that_moves_to_a_worse_network_is_followed_at_its_second_nomination() {
    let (mut agent, now) = (agent(1), origin());
    nominate(&mut agent, now, path(0), 20);
    assert_eq!(
        nominate(&mut agent, now, path(1), 10)[..],
        [Change::PathAdded(path(1))]
    );
    assert_eq!(
        nominate(&mut agent, now, path(1), 10)[..],
        [Change::Selected(path(1))]
    );
}

#[test]
fn rfc8445_9_the_first_nomination_after_a_restart_counts_whatever_its_priority() {
    let (mut agent, now) = (agent(1), origin());
    nominate(&mut agent, now, path(0), 20);
    agent.restart(IceCredentials::generate(&mut StdRng::seed_from_u64(9)));
    assert!(nominate(&mut agent, now, path(1), 10).contains(&Change::Selected(path(1))));
    assert_eq!(
        nominate(&mut agent, now, path(2), 5)[..],
        [Change::PathAdded(path(2))],
        "from then on as ever"
    );
}

#[test]
fn a_nomination_brings_back_a_peer_that_was_lost_whatever_its_priority() {
    let (mut agent, start) = (agent(1), origin());
    nominate(&mut agent, start, path(0), 20);
    let mut changes = Changes::new();
    agent.handle_timeout(start + LIMITS.consent_timeout, &mut changes);
    let back = nominate(&mut agent, start + SECOND * 31, path(1), 10);
    assert_eq!(
        back[..],
        [
            Change::PathAdded(path(1)),
            Change::Selected(path(1)),
            Change::ConsentRegained
        ]
    );
    assert_eq!(agent.sending_path(), Some(path(1)));
}

#[test]
fn time_is_up_only_when_the_peer_is_known() {
    let (mut agent, now) = (agent(1), origin());
    assert_eq!(agent.poll_timeout(), None);
    agent.expect_peer(now);
    agent.expect_peer(now + SECOND);
    assert_eq!(agent.poll_timeout(), Some(now + LIMITS.ice_timeout));
    let mut changes = Changes::new();
    agent.handle_timeout(now + LIMITS.ice_timeout - SECOND, &mut changes);
    assert!(changes.is_empty());
    agent.handle_timeout(now + LIMITS.ice_timeout, &mut changes);
    assert_eq!(changes[..], [Change::TimedOut(LIMITS.ice_timeout)]);
    assert_eq!(agent.poll_timeout(), None);
}

#[test]
fn rfc7675_consent_ends_with_silence_and_comes_back_with_a_check() {
    let (mut agent, start) = (agent(1), origin());
    agent.expect_peer(start);
    nominate(&mut agent, start, path(0), 1);
    nominate(&mut agent, start + SECOND * 20, path(0), 1);
    let mut changes = Changes::new();
    let lost = agent.poll_timeout().unwrap();
    assert_eq!(lost, start + SECOND * 50);
    agent.handle_timeout(lost - SECOND / 1_000, &mut changes);
    assert!(changes.is_empty() && agent.sending_path().is_some());
    agent.handle_timeout(lost, &mut changes);
    assert_eq!(changes[..], [Change::ConsentLost]);
    assert_eq!(
        (agent.sending_path(), agent.selected_path()),
        (None, Some(path(0)))
    );
    assert_eq!(agent.poll_timeout(), None);
    let bytes = check(agent.credentials(), true, 1, false);
    assert_eq!(
        give(&mut agent, lost + SECOND, path(0), &bytes).2[..],
        [Change::ConsentRegained]
    );
    assert_eq!(agent.sending_path(), Some(path(0)));
}

#[test]
fn other_addresses_are_forgotten_when_they_fall_silent() {
    let (mut agent, start) = (agent(1), origin());
    nominate(&mut agent, start, path(0), 9);
    nominate(&mut agent, start, path(1), 1);
    nominate(&mut agent, start + SECOND * 10, path(0), 9);
    assert_eq!(agent.poll_timeout(), Some(start + SECOND * 30));
    let mut changes = Changes::new();
    agent.handle_timeout(start + SECOND * 30, &mut changes);
    assert_eq!(changes[..], [Change::PathRemoved(path(1))]);
    assert!(agent.knows(path(0)) && !agent.knows(path(1)));
}

#[test]
fn old_credentials_answer_until_the_peer_nominates_under_the_new() {
    let (mut agent, now) = (agent(1), origin());
    let old = agent.credentials().clone();
    nominate(&mut agent, now, path(0), 1);
    let mut rng = StdRng::seed_from_u64(9);
    agent.restart(IceCredentials::generate(&mut rng));
    agent.restart(IceCredentials::generate(&mut rng));
    assert_eq!(
        agent.previous_credentials(),
        Some(&old),
        "what the peer still uses"
    );
    assert_eq!(
        give(&mut agent, now, path(0), &check(&old, true, 1, true)).1,
        Some((Class::Success, 0))
    );
    assert_eq!(agent.sending_path(), Some(path(0)), "media goes on");
    assert!(nominate(&mut agent, now, path(1), 5).contains(&Change::Selected(path(1))));
    assert_eq!(agent.previous_credentials(), None);
    assert_eq!(
        give(&mut agent, now, path(0), &check(&old, true, 1, true)).1,
        Some((Class::Failure, 401))
    );
}
