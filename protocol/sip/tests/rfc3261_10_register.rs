//! RFC 3261 §10.2: registrations at somebody else's registrar, whom the test (bob) plays.

use crate::support::agents::{ADDRESSES, ALICE, BOB, World, credentials, name_addr, status, uri};
use offhook_sip::user_agent::{
    Notice, OutgoingRegistration, RegistrationId, RegistrationState, Reply, RetryReason,
};
use offhook_sip::{Flow, Header};
use offhook_sip_message::header::{Authorization, CSeq, CallId, Contact, Expires};
use offhook_sip_message::{HeaderName, Message, Method};
use std::time::Duration;

fn world() -> World {
    World::with_registrar()
}

fn plan() -> OutgoingRegistration {
    OutgoingRegistration {
        registrar: uri("sip:192.0.2.1"),
        destination: Flow::udp(ADDRESSES[BOB].parse().unwrap()),
        route: None,
        account: name_addr("sip:alice@192.0.2.1"),
        contact: uri("sip:alice-7@192.0.2.9:5060"),
        credentials: Some(credentials()),
        expires: Duration::from_secs(3600),
        headers: Vec::new(),
    }
}

fn register(world: &mut World) -> RegistrationId {
    let id = world.agents[ALICE].ua.register(world.now(), plan()).unwrap();
    world.run(10);
    id
}

/// Answers the REGISTER that came last.
fn answer(world: &mut World, code: u16, headers: &[(&str, &str)]) {
    let (incoming, _) = world.incoming_request(BOB);
    let mut reply = Reply::new(status(code));
    for (name, value) in headers {
        reply.headers.push(Header::new(name, value).unwrap());
    }
    world.respond(BOB, incoming, reply);
    world.run(10);
}

fn state(world: &World, id: RegistrationId) -> RegistrationState {
    world.agents[ALICE].ua.registration(id).unwrap()
}

/// Those that were sent, repetitions left out.
fn registers(world: &World) -> Vec<&Message> {
    let mut sent: Vec<_> = world.wire.iter().map(|(.., message)| message).collect();
    sent.retain(|message| message.method() == Some(&Method::Register));
    sent.dedup_by_key(|message| message.require::<CSeq>().unwrap().number);
    sent
}

const CHALLENGE: &str = "Digest realm=\"r\", nonce=\"n1\", qop=\"auth\", algorithm=MD5";

#[test]
fn rfc3261_10_2_the_binding_is_made_refreshed_and_removed() {
    let mut world = world();
    let id = register(&mut world);
    assert_eq!(state(&world, id), RegistrationState::Registering);
    let first = world.last("REGISTER");
    assert_eq!(first.require::<Expires>().unwrap(), Expires(3600));
    let contact = first.require::<Contact<'_>>().unwrap();
    assert_eq!(
        contact.address().unwrap().uri.as_bytes(),
        b"sip:alice-7@192.0.2.9:5060"
    );
    answer(&mut world, 200, &[("Expires", "600")]);
    let RegistrationState::Registered { until } = state(&world, id) else {
        panic!("{:?}", state(&world, id));
    };
    let lifetime = until.duration_since(world.now());
    assert!((599..=600).contains(&lifetime.as_secs()), "{lifetime:?}");
    // Between 70 and 90 % of the lifetime.
    world.run(415_000);
    assert_eq!(registers(&world).len(), 1);
    world.run(130_000);
    assert_eq!(registers(&world).len(), 2);
    let [before, after] = [0, 1].map(|at| registers(&world)[at].clone());
    assert_eq!(
        before.require::<CallId<'_>>().unwrap().0,
        after.require::<CallId<'_>>().unwrap().0
    );
    assert_eq!(before.first(HeaderName::From), after.first(HeaderName::From));
    assert_eq!(
        after.require::<CSeq>().unwrap().number,
        before.require::<CSeq>().unwrap().number + 1
    );
    answer(&mut world, 200, &[("Expires", "600")]);
    world.agents[ALICE].ua.unregister(world.now(), id).unwrap();
    world.run(10);
    assert_eq!(world.last("REGISTER").require::<Expires>().unwrap(), Expires(0));
    answer(&mut world, 200, &[]);
    assert_eq!(world.agents[ALICE].ua.registration(id), None);
    assert!(matches!(
        world.agents[ALICE].notices.last(),
        Some(Notice::Registration {
            state: RegistrationState::Unregistered,
            ..
        })
    ));
    world.expect_nothing_left();
}

#[test]
fn rfc3261_10_2_4_a_short_binding_is_refreshed_before_a_registrar_of_whole_seconds_lets_go() {
    for (granted, latest_ms) in [("4", 2_700), ("2", 900), ("1", 450)] {
        let mut world = world();
        register(&mut world);
        answer(&mut world, 200, &[("Expires", granted)]);
        world.run(latest_ms / 2);
        assert_eq!(registers(&world).len(), 1, "{granted} s: too soon");
        world.run(latest_ms - latest_ms / 2);
        assert_eq!(registers(&world).len(), 2, "{granted} s");
    }
}

#[test]
fn rfc3261_22_a_challenge_is_answered_and_wrong_credentials_are_refused() {
    let mut world = world();
    let id = register(&mut world);
    answer(&mut world, 401, &[("WWW-Authenticate", CHALLENGE)]);
    let given: Authorization<'_> = world.last("REGISTER").require().unwrap();
    assert_eq!(given.params.get("nonce").as_deref(), Some(&b"n1"[..]));
    assert_eq!(state(&world, id), RegistrationState::Registering);
    answer(&mut world, 401, &[("WWW-Authenticate", CHALLENGE)]);
    assert_eq!(
        state(&world, id),
        RegistrationState::Refused { status: status(401) }
    );
    world.run(7_200_000);
    assert_eq!(registers(&world).len(), 2, "nothing more is tried");
    world.agents[ALICE]
        .ua
        .refresh_registration(world.now(), id)
        .unwrap();
    world.run(10);
    assert_eq!(registers(&world).len(), 3);
    // What was refused does not count: the password may have been corrected there.
    assert!(world.last("REGISTER").get::<Authorization<'_>>().is_none());
    answer(&mut world, 401, &[("WWW-Authenticate", CHALLENGE)]);
    assert_eq!(registers(&world).len(), 4);
    answer(&mut world, 403, &[]);
    world.agents[ALICE].ua.unregister(world.now(), id).unwrap();
    world.drain();
    assert_eq!(
        world.agents[ALICE].ua.registration(id),
        None,
        "there was no binding"
    );
    world.expect_nothing_left();
}

#[test]
fn rfc7616_3_5_a_stale_nonce_and_a_next_nonce_are_taken() {
    let mut world = world();
    let id = register(&mut world);
    answer(&mut world, 401, &[("WWW-Authenticate", CHALLENGE)]);
    let stale = "Digest realm=\"r\", nonce=\"n2\", qop=\"auth\", stale=true";
    answer(&mut world, 401, &[("WWW-Authenticate", stale)]);
    let info = ("Authentication-Info", "nextnonce=\"n3\", qop=auth");
    answer(&mut world, 200, &[("Expires", "100"), info]);
    world.run(91_000);
    let given: Authorization<'_> = world.last("REGISTER").require().unwrap();
    assert_eq!(given.params.get("nonce").as_deref(), Some(&b"n3"[..]));
    assert_eq!(given.nonce_count(), Some(1));
    answer(&mut world, 200, &[("Expires", "100")]);
    world.agents[ALICE].ua.unregister(world.now(), id).unwrap();
    world.run(10);
    answer(&mut world, 200, &[]);
    world.expect_nothing_left();
}

#[test]
fn rfc3261_10_2_8_a_lifetime_that_is_too_brief_is_raised() {
    let mut world = world();
    let id = register(&mut world);
    answer(&mut world, 423, &[("Min-Expires", "7200")]);
    assert_eq!(
        world.last("REGISTER").require::<Expires>().unwrap(),
        Expires(7200)
    );
    answer(&mut world, 423, &[("Min-Expires", "7200")]);
    assert!(matches!(state(&world, id), RegistrationState::Retrying {
        reason: RetryReason::Status(code), .. } if code == status(423)));
    world.agents[ALICE].ua.unregister(world.now(), id).unwrap();
    world.drain();
    world.expect_nothing_left();
}

#[test]
fn failures_are_tried_again_ever_more_slowly_and_retry_after_is_kept() {
    let mut world = world();
    let id = register(&mut world);
    let mut waits = Vec::new();
    for _ in 0..9 {
        answer(&mut world, 500, &[]);
        let RegistrationState::Retrying { at, bound_until, .. } = state(&world, id) else {
            panic!("{:?}", state(&world, id));
        };
        assert_eq!(bound_until, None);
        let wait = at.duration_since(world.now());
        waits.push(wait.as_secs());
        world.run(wait.as_millis() as u64 + 10);
    }
    for (step, wait) in waits.iter().enumerate() {
        let longest = (30 << step.min(6)).min(1800);
        assert!((longest / 2 - 1..=longest).contains(wait), "{step}: {waits:?}");
    }
    answer(&mut world, 503, &[("Retry-After", "99999")]);
    let RegistrationState::Retrying { at, .. } = state(&world, id) else {
        panic!("{:?}", state(&world, id));
    };
    assert!(at.duration_since(world.now()).as_secs() <= 1800);
    world.agents[ALICE].ua.unregister(world.now(), id).unwrap();
    world.drain();
    world.expect_nothing_left();
}

#[test]
fn a_registrar_that_falls_silent_leaves_the_old_binding_known() {
    let mut world = world();
    let id = register(&mut world);
    answer(&mut world, 200, &[("Expires", "3600")]);
    world.weather.loss = 100;
    world.run(3_000_000);
    // When it refreshes, and how long it waits then, is drawn.
    let retrying = (0..600).find_map(|_| {
        world.run(1_000);
        match state(&world, id) {
            RegistrationState::Retrying {
                reason, bound_until, ..
            } => Some((reason, bound_until)),
            _ => None,
        }
    });
    let (reason, bound_until) = retrying.expect("the refresh finds nobody");
    assert_eq!(reason, RetryReason::TimedOut);
    assert!(bound_until.is_some());
    world.weather.loss = 0;
    world.run(31_000);
    answer(&mut world, 200, &[("Expires", "3600")]);
    assert!(matches!(state(&world, id), RegistrationState::Registered { .. }));
    world.agents[ALICE].ua.unregister(world.now(), id).unwrap();
    world.weather.loss = 100;
    world.run(33_000);
    assert_eq!(world.agents[ALICE].ua.registration(id), None);
    world.expect_nothing_left();
}

#[test]
fn unregistering_while_a_register_is_out_waits_for_its_answer() {
    let mut world = world();
    let id = register(&mut world);
    world.agents[ALICE].ua.unregister(world.now(), id).unwrap();
    world.run(10);
    assert_eq!(registers(&world).len(), 1);
    answer(&mut world, 200, &[("Expires", "3600")]);
    assert_eq!(world.last("REGISTER").require::<Expires>().unwrap(), Expires(0));
    answer(&mut world, 401, &[("WWW-Authenticate", CHALLENGE)]);
    answer(&mut world, 200, &[]);
    assert_eq!(world.agents[ALICE].ua.registration(id), None);
    world.expect_nothing_left();
}

#[test]
fn rfc3261_10_2_4_the_lifetime_is_that_of_our_own_contact() {
    let mut world = world();
    register(&mut world);
    let register = world.last("REGISTER").clone();
    let header =
        |name: HeaderName<'static>| String::from_utf8(register.first(name).unwrap().to_vec()).unwrap();
    let ok = format!(
        "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=r\r\nCall-ID: {}\r\nCSeq: {}\r\nExpires: 9\r\n\
         Contact: <sip:other@192.0.2.77>;expires=5, <sip:alice-7@192.0.2.9:5060>;expires=1200\r\n\
         Content-Length: 0\r\n\r\n",
        header(HeaderName::Via),
        header(HeaderName::From),
        header(HeaderName::To),
        header(HeaderName::CallId),
        header(HeaderName::CSeq),
    );
    world.forge(BOB, ok);
    let found = world.agents[ALICE]
        .notices
        .iter()
        .rev()
        .find_map(|notice| match notice {
            Notice::Registration {
                state: RegistrationState::Registered { until },
                ..
            } => Some(*until),
            _ => None,
        });
    let lifetime = found.unwrap().duration_since(world.now());
    assert!((1199..=1200).contains(&lifetime.as_secs()), "{lifetime:?}");
}
