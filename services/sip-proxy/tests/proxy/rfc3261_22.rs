//! RFC 3261 §22 and RFC 8760: a carrier's challenge is answered by the proxy, and the caller notices nothing.

use crate::world::*;
use offhook_sip::digest::{self, Credentials};
use offhook_sip_message::header::{Algorithm, Authorization, ProxyAuthorization, RAck};
use offhook_sip_message::{HeaderName, Message, Method};
use offhook_sip_proxy::proxy::Settings;
use std::net::IpAddr;
use std::time::Duration;

fn world() -> World {
    World::with(with_trunk(&[]))
}

/// The same, with carrier a's Contact at an address that is known as its own.
fn world_of_one_carrier() -> World {
    World::with(with_trunk(&[gateway().ip()]))
}

fn with_trunk(sources: &[IpAddr]) -> Settings {
    let mut settings = settings();
    let credentials = Credentials {
        username: "trunk".to_owned(),
        password: "s3cret".to_owned(),
    };
    settings.carriers[0].credentials = Some(credentials);
    settings.carriers[0].sources = sources.to_vec();
    settings
}

fn challenge(request: &Message, status: u16, algorithm: Algorithm, nonce: &str, stale: bool) -> Message {
    let name = if status == 401 {
        HeaderName::WwwAuthenticate
    } else {
        HeaderName::ProxyAuthenticate
    };
    let value = digest::challenge("carrier a", nonce, algorithm, stale).expect("plain text");
    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
    answer_with(request, status, &[(name, &value)])
}

/// Checks the credentials of a request and gives `nc`.
#[track_caller]
fn verified(request: &Message, nonce: &str) -> u32 {
    let method = request.method().expect("a request");
    let password = |user: &[u8]| (user == b"trunk").then(|| "s3cret".to_owned());
    let count = match request.get::<ProxyAuthorization<'_>>() {
        Some(credentials) => {
            digest::verify(&credentials.expect("whole"), method, "carrier a", nonce, password)
        }
        None => {
            let credentials: Authorization<'_> = request.require().expect("credentials");
            digest::verify(&credentials, method, "carrier a", nonce, password)
        }
    };
    count.expect("right credentials").expect("qop is used")
}

#[test]
fn a_challenge_is_answered_with_the_next_cseq_and_a_new_branch() {
    for (status, algorithm) in [
        (401, Algorithm::Md5),
        (407, Algorithm::Sha256),
        (407, Algorithm::Sha512_256),
    ] {
        let mut world = world();
        let (sent, first) = world.call("123", carrier_a());
        world.receive_message(carrier_a(), &challenge(&first, status, algorithm, "n1", false));
        let mut received = world.take_all(carrier_a());
        let second = received.pop().expect("a second INVITE");
        assert_eq!(received[0].method(), Some(&Method::Ack));
        assert_eq!(cseq(&received[0]), 10, "the ACK belongs to the first");
        assert!(world.take_all(vsp()).is_empty(), "the caller hears nothing of it");
        assert_eq!((cseq(&first), cseq(&second)), (10, 11));
        assert_ne!(first.first(HeaderName::Via), second.first(HeaderName::Via));
        assert_eq!(verified(&second, "n1"), 1);
        assert_eq!(second.first(HeaderName::From), sent.first(HeaderName::From));

        world.receive_message(carrier_a(), &answer(&second, 180));
        let ringing = world.take(vsp());
        assert_eq!(
            (status_of(&ringing), cseq(&ringing)),
            (180, 10),
            "the caller's own CSeq"
        );
        world.receive_message(carrier_a(), &answer(&second, 200));
        assert_eq!(cseq(&world.take(vsp())), 10);
        assert_eq!(world.proxy.counts().challenges_total, 1);
    }
}

/// A call whose INVITE was challenged: at the carrier it counts one higher.
fn challenged_call(world: &mut World) -> (Message, Message) {
    let (_, first) = world.call("123", carrier_a());
    world.receive_message(carrier_a(), &challenge(&first, 407, Algorithm::Md5, "n1", false));
    let at_carrier = world.take_all(carrier_a()).pop().expect("a second INVITE");
    world.receive_message(carrier_a(), &answer(&at_carrier, 200));
    let ok = world.take(vsp());
    world.receive_message(vsp(), &in_dialog(&ok, Method::Ack, None));
    let ack = world.take(gateway());
    assert_eq!(
        (ack.method(), cseq(&ack)),
        (Some(&Method::Ack), 11),
        "the ACK bears the INVITE's CSeq"
    );
    (at_carrier, ok)
}

#[test]
fn the_shift_lasts_for_the_whole_call_also_through_a_restart() {
    let mut world = world();
    let (at_carrier, ok) = challenged_call(&mut world);
    let prack = in_dialog(&ok, Method::Prack, Some((HeaderName::RAck, "1 10 INVITE")));
    world.receive_message(vsp(), &prack);
    let prack = world.take(gateway());
    assert_eq!(cseq(&prack), 12);
    assert_eq!(prack.require::<RAck>().map(|rack| rack.cseq.number), Ok(11));
    world.receive_message(gateway(), &answer(&prack, 200));
    assert_eq!(cseq(&world.take(vsp())), 11);
    // The other side counts by itself.
    world.receive_message(carrier_a(), &carrier_request(&at_carrier, Method::Info, 500));
    let info = world.take(vsp());
    assert_eq!(cseq(&info), 500);
    // Another proxy process takes over: what it has to know stands in the Route.
    let mut restarted = self::world();
    restarted.receive_message(vsp(), &in_dialog(&ok, Method::Bye, None));
    let bye = restarted.take(gateway());
    assert_eq!(cseq(&bye), 12);
    restarted.receive_message(gateway(), &answer(&bye, 200));
    assert_eq!(cseq(&restarted.take(vsp())), 11);
}

#[test]
fn cancel_and_ack_match_the_invite_with_credentials() {
    let mut world = world();
    let (_, first) = world.call("123", carrier_a());
    world.receive_message(carrier_a(), &challenge(&first, 407, Algorithm::Md5, "n1", false));
    let second = world.take_all(carrier_a()).pop().expect("a second INVITE");
    world.receive_message(carrier_a(), &answer(&second, 180));
    let via = String::from_utf8_lossy(first.values(HeaderName::Via).nth(1).expect("the VSP's")).into_owned();
    world.receive(
        vsp(),
        format!(
            "CANCEL sip:123@10.0.0.2:5060 SIP/2.0\r\nVia: {via}\r\nFrom: <sip:a@b>;tag=vsptag\r\nTo: <sip:123@10.0.0.2:5060>\r\n\
             Call-ID: 123@vsp\r\nCSeq: 10 CANCEL\r\nMax-Forwards: 70\r\n\r\n"
        ),
    );
    let cancel = world.take(carrier_a());
    assert_eq!((cancel.method(), cseq(&cancel)), (Some(&Method::Cancel), 11));
    world.receive_message(carrier_a(), &answer(&cancel, 200));
    world.receive_message(carrier_a(), &answer(&second, 487));
    let ack = world.take(carrier_a());
    assert_eq!((ack.method(), cseq(&ack)), (Some(&Method::Ack), 11));
    assert_eq!(
        status_of(&world.take_all(vsp()).pop().expect("a final answer")),
        487
    );
    world.assert_empty();
}

#[test]
fn the_nonce_is_used_again_and_counted_and_a_stale_one_is_replaced() {
    let mut world = world();
    challenged_call(&mut world);
    world.receive_message(vsp(), &invite("124"));
    let second_call = world.take(carrier_a());
    assert_eq!(verified(&second_call, "n1"), 2, "no second round trip");
    world.receive_message(
        carrier_a(),
        &challenge(&second_call, 407, Algorithm::Md5, "n2", true),
    );
    let retried = world.take_all(carrier_a()).pop().expect("a retry");
    assert_eq!((verified(&retried, "n2"), cseq(&retried)), (1, 11));
    assert_eq!(retried.headers_named(HeaderName::ProxyAuthorization).count(), 1);
}

#[test]
fn wrong_credentials_are_never_shown_to_the_caller() {
    let mut world = world();
    let (_, first) = world.call("123", carrier_a());
    world.receive_message(carrier_a(), &challenge(&first, 407, Algorithm::Md5, "n1", false));
    let second = world.take_all(carrier_a()).pop().expect("a retry");
    world.receive_message(carrier_a(), &challenge(&second, 407, Algorithm::Md5, "n2", false));
    let at_b = world.take(carrier_b());
    assert!(
        !at_b.has(HeaderName::ProxyAuthorization),
        "a's credentials are not b's business"
    );
    assert_eq!(cseq(&at_b), 10);
    let (carrier, why, next) = world.failed.remove(0);
    assert_eq!((carrier, next), (0, Some(1)));
    assert!(why.contains("user name or password"), "{why}");
    // b has no credentials: the caller learns that it is not its own fault.
    world.receive_message(carrier_b(), &challenge(&at_b, 401, Algorithm::Md5, "n1", false));
    let refusal = world.take(vsp());
    assert_eq!(status_of(&refusal), 502);
    assert!(!refusal.has(HeaderName::WwwAuthenticate));
    assert!(world.failed[0].1.contains("username"), "{:?}", world.failed);
}

/// An answered call whose carrier has challenged an UPDATE within it; our proxy has been restarted in between.
fn challenged_within() -> (World, Message) {
    let mut world = world();
    let (_, ok) = world.answered_call();
    let mut world = world_of_one_carrier();
    world.receive_message(vsp(), &in_dialog(&ok, Method::Update, None));
    let update = world.take(gateway());
    assert_eq!(cseq(&update), 11);
    world.receive_message(
        gateway(),
        &challenge(&update, 407, Algorithm::Sha256, "n1", false),
    );
    let retried = world.take(gateway());
    assert_eq!((cseq(&retried), verified(&retried, "n1")), (12, 1));
    world.receive_message(gateway(), &answer(&retried, 200));
    assert_eq!(cseq(&world.take(vsp())), 11);
    (world, ok)
}

#[test]
fn a_challenge_before_the_answer_shifts_what_follows_too() {
    let mut world = world_of_one_carrier();
    let (_, at_carrier) = world.call("123", carrier_a());
    let reliable = [(HeaderName::Require, "100rel"), (HeaderName::RSeq, "1")];
    world.receive_message(carrier_a(), &answer_with(&at_carrier, 183, &reliable));
    let early = world.take(vsp());
    let rack = Some((HeaderName::RAck, "1 10 INVITE"));
    world.receive_message(vsp(), &in_dialog(&early, Method::Prack, rack));
    let prack = world.take(gateway());
    world.receive_message(gateway(), &challenge(&prack, 407, Algorithm::Sha256, "n1", false));
    let retried = world.take(gateway());
    assert_eq!(cseq(&retried), 12);
    let rack = retried.require::<RAck>().map(|rack| rack.cseq.number);
    assert_eq!(rack, Ok(10), "the INVITE was not challenged");
    world.receive_message(gateway(), &answer(&retried, 200));
    world.receive_message(carrier_a(), &answer(&at_carrier, 200));
    let ok = world.take_all(vsp()).pop().expect("the 200");
    world.receive_message(vsp(), &in_dialog(&ok, Method::Ack, None));
    assert_eq!(cseq(&world.take(gateway())), 10, "that of the INVITE");
    let bye = text(&in_dialog(&ok, Method::Bye, None)).replace("CSeq: 11 ", "CSeq: 12 ");
    world.receive(vsp(), bye);
    assert_eq!(cseq(&world.take(gateway())), 13);
}

#[test]
fn a_shift_is_forgotten_with_a_call_whose_bye_never_comes() {
    let (mut world, _) = challenged_within();
    assert_eq!(world.proxy.counts().shifted_dialogs, 1);
    world.pass(Duration::from_secs(24 * 3600));
    world.assert_empty();
}

#[test]
fn a_challenge_within_a_call_shifts_what_follows() {
    let (mut world, ok) = challenged_within();
    world.receive_message(vsp(), &in_dialog(&ok, Method::Bye, None));
    let bye = world.take(gateway());
    assert_eq!(
        (cseq(&bye), verified(&bye, "n1")),
        (12, 2),
        "one higher from now on, and known to the carrier"
    );
    world.receive_message(gateway(), &answer(&bye, 200));
    world.take_all(vsp());
    world.pass(Duration::from_secs(1));
    world.assert_empty();
}
