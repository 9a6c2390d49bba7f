//! Calls that SIP phones place: proven by digest (RFC 3261 §22.3), with a number of the user, to carriers and to users.

use crate::phones::{credentials, desk, expires, pocket, registered, sign_in};
use crate::world::*;
use offhook_sip::digest::Authenticator;
use offhook_sip_message::{HeaderName, Message, MessageBuilder, Method, Uri};
use offhook_sip_proxy::proxy::{PhoneUser, Refusal, Settings};
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) const DIALLED: &str = "sip:123@voice.example.com";

pub(crate) fn world() -> World {
    world_of(|_| {})
}

/// Alice has two numbers and a phone.
fn world_of(change: impl FnOnce(&mut PhoneUser)) -> World {
    let mut settings = with_phones(settings());
    change(settings.phones.get_mut(&user("alice")).expect("she has phones"));
    let mut world = World::with(settings);
    registered(&mut world, desk());
    world
}

/// Alice has two numbers and may have phones, bob is another user.
pub(crate) fn with_phones(mut settings: Settings) -> Settings {
    settings.dial_plan.add_user(user("alice"));
    settings.dial_plan.add_user(user("bob"));
    let phone_user = PhoneUser {
        numbers: vec!["+1555010".to_owned(), "+1555011".to_owned()],
        ..PhoneUser::from(credentials("right"))
    };
    settings.phones.insert(user("alice"), phone_user);
    settings
}

/// An INVITE of a phone at `via`; `lines` are what else it says.
fn invite_to(uri: &str, via: SocketAddr, cseq: u32, lines: &[(HeaderName<'static>, String)]) -> Message {
    let target = Uri::parse(uri.as_bytes()).expect("a URI");
    let mut builder = MessageBuilder::request(&Method::Invite, &target)
        .text(
            HeaderName::Via,
            format!("SIP/2.0/UDP {via};branch=z9hG4bKcall{}-{cseq}", via.port()),
        )
        .text(HeaderName::MaxForwards, "70")
        .text(HeaderName::To, format!("<{uri}>"))
        .text(HeaderName::CallId, format!("call@{via}"))
        .text(HeaderName::CSeq, format!("{cseq} INVITE"))
        .text(HeaderName::Contact, format!("<sip:alice@{via}>"));
    let own_from = lines.iter().any(|(name, _)| *name == HeaderName::From);
    if !own_from {
        builder = builder.text(HeaderName::From, "<sip:alice@voice.example.com>;tag=phone");
    }
    for (name, value) in lines {
        builder = builder.text(*name, value);
    }
    builder.build().expect("an INVITE")
}

/// What answers a challenge.
fn proof(challenge: &Message, password: &str, uri: &str) -> (HeaderName<'static>, String) {
    let mut authenticator = Authenticator::new(credentials(password));
    authenticator
        .handle_challenge(challenge, "cnonce")
        .expect("a challenge");
    let (name, value) = authenticator.headers(&Method::Invite, uri.as_bytes()).remove(0);
    (name, String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// A phone calls, is challenged, and calls again with its proof. It is at `from` and believes to be at `via`.
fn dial_from(
    world: &mut World,
    (from, via): (SocketAddr, SocketAddr),
    uri: &str,
    password: &str,
    lines: &[(HeaderName<'static>, String)],
) -> Message {
    world.receive_message(from, &invite_to(uri, via, 1, lines));
    let challenge = world.take_all(from).pop().expect("an answer");
    assert_eq!(status_of(&challenge), 407);
    let proof = proof(&challenge, password, uri);
    let all = [lines, &[proof]].concat();
    let invite = invite_to(uri, via, 2, &all);
    world.receive_message(from, &invite);
    invite
}

pub(crate) fn dial(world: &mut World, uri: &str, lines: &[(HeaderName<'static>, String)]) {
    dial_from(world, (desk(), desk()), uri, "right", lines);
}

/// Alice's phone has called a carrier: INVITE as the carrier received it, 200 as the phone did.
pub(crate) fn phone_with_carrier(world: &mut World) -> (Message, Message) {
    dial(world, DIALLED, &[]);
    let at_carrier = world.take(carrier_a());
    world.receive_message(carrier_a(), &answer(&at_carrier, 200));
    let ok = world.take_all(desk()).pop().expect("the 200");
    world.receive_message(desk(), &in_dialog(&ok, Method::Ack, None));
    assert_eq!(world.take(gateway()).method(), Some(&Method::Ack));
    (at_carrier, ok)
}

fn from(text: &str) -> (HeaderName<'static>, String) {
    (HeaderName::From, format!("{text};tag=phone"))
}

#[test]
fn rfc3261_22_3_a_phone_proves_who_it_is_and_its_call_goes_to_the_carrier() {
    let mut world = world();
    dial(&mut world, DIALLED, &[]);
    let at_carrier = world.take(carrier_a());
    assert_eq!(
        value(&at_carrier, "From"),
        "<sip:+1555010@voice.example.com>;tag=phone"
    );
    assert_eq!(value(&at_carrier, "Proxy-Authorization"), "");
    assert!(!value(&at_carrier, "X-Offhook-Call-Id").is_empty());
    assert!(world.refused.is_empty(), "a challenge is no refusal");
    world.receive_message(carrier_a(), &answer(&at_carrier, 180));
    world.receive_message(carrier_a(), &answer(&at_carrier, 200));
    let answers = world.take_all(desk());
    let statuses: Vec<u16> = answers.iter().map(status_of).collect();
    assert_eq!(statuses, [100, 180, 200]);
    let ok = answers.last().expect("the 200");
    assert_eq!(
        value(ok, "From"),
        "<sip:alice@voice.example.com>;tag=phone",
        "as the phone has written it"
    );
    world.receive_message(desk(), &in_dialog(ok, Method::Ack, None));
    assert_eq!(world.take(gateway()).method(), Some(&Method::Ack));
    world.receive_message(desk(), &in_dialog(ok, Method::Bye, None));
    assert_eq!(world.take(gateway()).method(), Some(&Method::Bye));
}

#[test]
fn a_nonce_is_good_for_one_call_and_the_next_is_told_that_it_is_stale() {
    let mut world = world();
    world.receive_message(desk(), &invite_to(DIALLED, desk(), 1, &[]));
    let challenge = world.take_all(desk()).pop().expect("an answer");
    let given = proof(&challenge, "right", DIALLED);
    world.receive_message(
        desk(),
        &invite_to(DIALLED, desk(), 2, std::slice::from_ref(&given)),
    );
    world.take(carrier_a());
    world.take_all(desk());
    world.receive_message(desk(), &invite_to(DIALLED, desk(), 3, &[given]));
    let again = world.take_all(desk()).pop().expect("an answer");
    assert_eq!(status_of(&again), 407);
    assert!(value(&again, "Proxy-Authenticate").contains("stale=true"));
    let given = proof(&again, "right", DIALLED);
    world.receive_message(desk(), &invite_to(DIALLED, desk(), 4, &[given]));
    assert_eq!(world.take(carrier_a()).method(), Some(&Method::Invite));
}

#[test]
fn wrong_passwords_and_phones_that_are_not_registered_call_nobody() {
    let mut world = world();
    dial_from(&mut world, (desk(), desk()), DIALLED, "wrong", &[]);
    assert_eq!(world.last_status(desk()), 403);
    assert_eq!(world.refused.pop(), Some(Refusal::Credentials));
    world.receive_message(pocket(), &invite_to(DIALLED, pocket(), 1, &[]));
    assert_eq!(world.last_status(pocket()), 403);
    assert_eq!(world.refused.pop(), Some(Refusal::Stranger));
    assert!(world.sent.is_empty());
}

#[test]
fn hostile_credentials_are_challenged_or_refused_and_nothing_more() {
    let mut world = world();
    let hostile = [
        "Digest",
        "Digest realm=\"voice.example.com\"",
        "Basic YWxpY2U6cmlnaHQ=",
        "Digest realm=\"elsewhere\", username=\"alice\", nonce=\"x\", uri=\"x\", response=\"x\"",
        "Digest realm=\"voice.example.com\", username=\"\", nonce=\"\", uri=\"\", response=\"\"",
    ];
    for (at, text) in hostile.into_iter().enumerate() {
        let line = (HeaderName::ProxyAuthorization, text.to_owned());
        let at = 10 + at as u32;
        world.receive_message(desk(), &invite_to(DIALLED, desk(), at, &[line]));
        assert_eq!(world.last_status(desk()), 407, "{text}");
    }
    // With a nonce of ours.
    for (at, rest) in [
        "",
        ", username=\"alice\", uri=\"x\", response=\"x\", qop=auth-int",
    ]
    .into_iter()
    .enumerate()
    {
        let at = 100 + 2 * at as u32;
        world.receive_message(desk(), &invite_to(DIALLED, desk(), at, &[]));
        let challenge = value(
            &world.take_all(desk()).pop().expect("an answer"),
            "Proxy-Authenticate",
        );
        let nonce = challenge
            .split("nonce=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let nonce = nonce.expect("a nonce");
        let text = format!("Digest realm=\"voice.example.com\", nonce=\"{nonce}\"{rest}");
        let line = (HeaderName::ProxyAuthorization, text);
        world.receive_message(desk(), &invite_to(DIALLED, desk(), at + 1, &[line]));
        assert_eq!(world.last_status(desk()), 403);
    }
    assert!(world.sent.is_empty(), "{:?}", world.sent);
}

#[test]
fn a_phone_shows_a_number_of_its_user_whatever_it_says() {
    let shown = |world: &mut World, lines: &[(HeaderName<'static>, String)]| {
        dial(world, DIALLED, lines);
        let at_carrier = world.take(carrier_a());
        world.receive_message(carrier_a(), &answer(&at_carrier, 486));
        world.take_all(desk());
        value(&at_carrier, "From")
    };
    let own = from("\"Front desk\" <sip:+1555011@voice.example.com>");
    assert_eq!(
        shown(&mut world(), &[own]),
        "\"Front desk\" <sip:+1555011@voice.example.com>;tag=phone"
    );
    let foreign = from("<sip:+49110@voice.example.com>");
    assert_eq!(
        shown(&mut world(), &[foreign]),
        "<sip:+1555010@voice.example.com>;tag=phone"
    );
    let mut named = world_of(|user| {
        user.caller_id = Some("+1555011".to_owned());
        user.display_name = Some("A \"quoted\" one".to_owned());
    });
    assert_eq!(
        shown(&mut named, &[]),
        "\"A \\\"quoted\\\" one\" <sip:+1555011@voice.example.com>;tag=phone"
    );
    let mut hidden = world_of(|user| user.hide_caller = true);
    assert!(shown(&mut hidden, &[]).contains("anonymous.invalid"));
}

#[test]
fn rfc3325_what_a_phone_asserts_itself_counts_nothing() {
    let mut settings = settings();
    settings.carriers[0].trusted = true;
    settings.dial_plan.add_user(user("alice"));
    let phone_user = PhoneUser {
        numbers: vec!["+1555010".to_owned()],
        ..PhoneUser::from(credentials("right"))
    };
    settings.phones.insert(user("alice"), phone_user);
    let mut world = World::with(settings);
    registered(&mut world, desk());
    let forged = "<sip:+49110@voice.example.com>".to_owned();
    let lines = [
        (HeaderName::PAssertedIdentity, forged.clone()),
        (HeaderName::custom("Remote-Party-ID"), forged),
        (HeaderName::custom("X-Offhook-Call-Id"), "mine".to_owned()),
    ];
    dial(&mut world, DIALLED, &lines);
    let at_carrier = world.take(carrier_a());
    assert_eq!(
        value(&at_carrier, "P-Asserted-Identity"),
        "<sip:+1555010@voice.example.com>"
    );
    assert_eq!(value(&at_carrier, "Remote-Party-ID"), "");
    assert_ne!(value(&at_carrier, "X-Offhook-Call-Id"), "mine");
    world.receive_message(carrier_a(), &answer(&at_carrier, 503));
    let untrusted = world.take(carrier_b());
    assert_eq!(value(&untrusted, "P-Asserted-Identity"), "");
}

#[test]
fn a_phone_calls_users_by_name_and_number_but_not_itself_or_elsewhere() {
    for uri in ["sip:bob@voice.example.com", "sip:+1555010@voice.example.com"] {
        let mut world = world();
        dial(&mut world, uri, &[]);
        let at_vsp = world.take(vsp());
        assert!(value(&at_vsp, "From").contains("+1555010"), "{uri}");
        let ringing: Vec<_> = world
            .take_all(desk())
            .iter()
            .filter(|m| m.method().is_some())
            .cloned()
            .collect();
        assert!(ringing.is_empty(), "it does not call itself: {ringing:?}");
    }
    let mut world = world();
    dial(&mut world, "sip:bob@elsewhere.example", &[]);
    assert_eq!(world.last_status(desk()), 404);
}

#[test]
fn phones_of_a_user_begin_so_many_calls_per_second() {
    let mut world = world();
    let mut statuses = Vec::new();
    for call in 0..6 {
        let uri = format!("sip:1230{call}@voice.example.com");
        world.receive_message(desk(), &invite_to(&uri, desk(), 10 * call + 1, &[]));
        let challenge = world.take_all(desk()).pop().expect("an answer");
        let given = proof(&challenge, "right", &uri);
        world.receive_message(desk(), &invite_to(&uri, desk(), 10 * call + 2, &[given]));
        statuses.push(world.last_status(desk()));
    }
    assert_eq!(statuses, [100, 100, 100, 100, 100, 503]);
}

/// Where the phone believes to be, behind its NAT.
fn inside() -> SocketAddr {
    ([192, 168, 1, 5], 5060).into()
}

/// A phone behind NAT that has registered from `desk`.
fn behind_nat() -> World {
    let mut world = world();
    let lines = [(HeaderName::Contact, "*".to_owned()), expires(0)];
    sign_in(&mut world, desk(), 50, "right", &lines);
    move_to(&mut world, desk(), 60);
    world
}

/// The phone registers from another address, as after its NAT has given it a new one.
fn move_to(world: &mut World, outside: SocketAddr, cseq: u32) {
    let lines = [
        (HeaderName::Contact, format!("<sip:alice@{}>", inside())),
        expires(600),
    ];
    assert_eq!(status_of(&sign_in(world, outside, cseq, "right", &lines)), 200);
}

#[test]
fn requests_of_a_call_reach_a_caller_behind_nat_also_when_it_has_moved() {
    let mut world = behind_nat();
    dial_from(&mut world, (desk(), inside()), DIALLED, "right", &[]);
    let at_carrier = world.take(carrier_a());
    world.receive_message(carrier_a(), &answer(&at_carrier, 200));
    assert_eq!(world.last_status(desk()), 200, "answers go to where it is");
    let to_inside =
        |method: Method, cseq| carrier_request_to(&at_carrier, method, cseq, &inside().to_string());
    world.receive_message(carrier_a(), &to_inside(Method::Info, 1));
    let info = world.take(desk());
    assert_eq!(uri_of(&info), format!("sip:alice@{}", inside()));
    move_to(&mut world, pocket(), 70);
    world.receive_message(carrier_a(), &to_inside(Method::Bye, 2));
    assert_eq!(world.take(pocket()).method(), Some(&Method::Bye));
}

#[test]
fn requests_of_a_call_reach_a_called_phone_behind_nat() {
    let mut world = behind_nat();
    world.receive_message(carrier_a(), &carrier_invite("1555010", &[]));
    world.take_all(carrier_a());
    world.take_all(vsp());
    let at_phone = world.take(desk());
    assert_eq!(uri_of(&at_phone), format!("sip:alice@{}", inside()));
    let ok =
        text(&answer(&at_phone, 200)).replace("sip:gw@192.0.2.77:5999", &format!("sip:alice@{}", inside()));
    world.receive(desk(), ok);
    let ok = world.take_all(carrier_a()).pop().expect("the 200");
    world.receive_message(carrier_a(), &in_dialog(&ok, Method::Ack, None));
    world.receive_message(carrier_a(), &in_dialog(&ok, Method::Bye, None));
    let methods: Vec<_> = world
        .take_all(desk())
        .iter()
        .map(|m| m.method().cloned())
        .collect();
    assert_eq!(methods, [Some(Method::Ack), Some(Method::Bye)]);
}

#[test]
fn a_route_that_names_a_phone_leads_to_registered_ones_only() {
    let mut world = world();
    dial(&mut world, DIALLED, &[]);
    let at_carrier = world.take(carrier_a());
    world.receive_message(carrier_a(), &answer(&at_carrier, 200));
    world.take_all(desk());
    let lines = [(HeaderName::Contact, "*".to_owned()), expires(0)];
    sign_in(&mut world, desk(), 90, "right", &lines);
    let bye = carrier_request_to(&at_carrier, Method::Bye, 1, &desk().to_string());
    world.receive_message(carrier_a(), &bye);
    assert_eq!(
        world.take(desk()).method(),
        Some(&Method::Bye),
        "its Contact still says where it is"
    );
}

#[test]
fn media_of_a_phone_behind_nat_is_taken_from_where_it_comes() {
    let mut world = behind_nat();
    dial_from(
        &mut world,
        (desk(), inside()),
        "sip:bob@voice.example.com",
        "right",
        &[],
    );
    assert_eq!(value(&world.take(vsp()), "X-Offhook-Latching"), "any");
    let mut world = self::world();
    dial(&mut world, "sip:bob@voice.example.com", &[]);
    assert_eq!(value(&world.take(vsp()), "X-Offhook-Latching"), "");
    world.pass(Duration::from_secs(1));
}
