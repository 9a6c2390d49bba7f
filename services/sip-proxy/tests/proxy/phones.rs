//! SIP phones of users: registration (RFC 3261 §10.3, RFC 7616), and ringing together with browsers (§16.7).

use crate::world::*;
use offhook_sip::digest::{Authenticator, Credentials};
use offhook_sip_message::{HeaderName, Message, MessageBuilder, Method, Uri};
use offhook_sip_proxy::proxy::Refusal;
use std::net::SocketAddr;
use std::time::Duration;

const REGISTRAR: &str = "sip:voice.example.com";

pub(crate) fn desk() -> SocketAddr {
    ([198, 51, 100, 7], 40_000).into()
}

pub(crate) fn pocket() -> SocketAddr {
    ([198, 51, 100, 8], 40_001).into()
}

pub(crate) fn credentials(password: &str) -> Credentials {
    Credentials {
        username: "alice".to_owned(),
        password: password.to_owned(),
    }
}

pub(crate) fn world() -> World {
    let mut settings = settings();
    settings.dial_plan.add_user(user("alice"));
    settings.phones.insert(user("alice"), credentials("right").into());
    World::with(settings)
}

/// A REGISTER of a phone; `lines` are Contact, Expires and credentials.
pub(crate) fn register(from: SocketAddr, cseq: u32, lines: &[(HeaderName<'static>, String)]) -> Message {
    let uri = Uri::parse(REGISTRAR.as_bytes()).expect("a URI");
    let via = format!("SIP/2.0/UDP {from};branch=z9hG4bKreg{}-{cseq}", from.port());
    let mut builder = MessageBuilder::request(&Method::Register, &uri)
        .text(HeaderName::Via, via)
        .text(HeaderName::MaxForwards, "70")
        .text(HeaderName::From, "<sip:alice@voice.example.com>;tag=phone")
        .text(HeaderName::To, "<sip:alice@voice.example.com>")
        .text(HeaderName::CallId, format!("reg@{from}"))
        .text(HeaderName::CSeq, format!("{cseq} REGISTER"));
    for (name, value) in lines {
        builder = builder.text(*name, value);
    }
    builder.build().expect("a REGISTER")
}

pub(crate) fn contact(of: SocketAddr) -> (HeaderName<'static>, String) {
    (HeaderName::Contact, format!("<sip:alice@{of}>"))
}

pub(crate) fn expires(seconds: u32) -> (HeaderName<'static>, String) {
    (HeaderName::Expires, seconds.to_string())
}

/// Registers as a phone does, challenge and all; gives the last answer.
pub(crate) fn sign_in(
    world: &mut World,
    from: SocketAddr,
    cseq: u32,
    password: &str,
    lines: &[(HeaderName<'static>, String)],
) -> Message {
    world.receive_message(from, &register(from, cseq, lines));
    let challenge = world.take(from);
    assert_eq!(status_of(&challenge), 401);
    let mut authenticator = Authenticator::new(credentials(password));
    authenticator
        .handle_challenge(&challenge, "cnonce")
        .expect("a challenge");
    let mut lines = lines.to_vec();
    for (name, value) in authenticator.headers(&Method::Register, REGISTRAR.as_bytes()) {
        lines.push((name, String::from_utf8_lossy(value.as_bytes()).into_owned()));
    }
    world.receive_message(from, &register(from, cseq + 1, &lines));
    world.take(from)
}

pub(crate) fn registered(world: &mut World, phone: SocketAddr) {
    let answer = sign_in(world, phone, 1, "right", &[contact(phone), expires(600)]);
    assert_eq!(status_of(&answer), 200);
    let listed = answer
        .values(HeaderName::Contact)
        .map(<[u8]>::to_vec)
        .collect::<Vec<_>>();
    let own = format!("<sip:alice@{phone}>;expires=600").into_bytes();
    assert!(listed.contains(&own), "{listed:?}");
}

#[test]
fn a_phone_registers_with_its_password_and_is_forgotten_in_time() {
    let mut world = world();
    registered(&mut world, desk());
    assert_eq!(world.proxy.counts().phones, 1);
    assert!(world.refused.is_empty(), "a challenge is no refusal");
    world.pass(Duration::from_secs(599));
    assert_eq!(world.proxy.counts().phones, 1);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.proxy.counts().phones, 0);
    world.assert_empty();
}

#[test]
fn strangers_wrong_passwords_and_answers_said_twice_get_nowhere() {
    let mut world = world();
    let lines = [contact(desk()), expires(600)];
    let answer = sign_in(&mut world, desk(), 1, "wrong", &lines);
    assert_eq!(
        (status_of(&answer), world.refused.pop()),
        (403, Some(Refusal::Credentials))
    );
    let mut again = register(desk(), 20, &lines);
    world.receive_message(desk(), &again);
    let challenge = world.take(desk());
    let mut authenticator = Authenticator::new(credentials("right"));
    authenticator
        .handle_challenge(&challenge, "cnonce")
        .expect("a challenge");
    let header = authenticator
        .headers(&Method::Register, REGISTRAR.as_bytes())
        .remove(0);
    let mut lines = lines.to_vec();
    lines.push((
        header.0,
        String::from_utf8_lossy(header.1.as_bytes()).into_owned(),
    ));
    for (cseq, status) in [(21, 200), (22, 401)] {
        again = register(desk(), cseq, &lines);
        world.receive_message(desk(), &again);
        assert_eq!(status_of(&world.take(desk())), status, "an answer is good once");
    }
    world.receive_message(pocket(), &invite("+123"));
    assert_eq!(
        world.refused.pop(),
        Some(Refusal::Stranger),
        "who is no phone may only register"
    );
}

#[test]
fn a_phone_may_go_and_come_for_no_less_than_a_minute() {
    let mut world = world();
    registered(&mut world, desk());
    registered(&mut world, pocket());
    let brief = sign_in(&mut world, desk(), 10, "right", &[contact(desk()), expires(10)]);
    assert_eq!(
        (status_of(&brief), value(&brief, "Min-Expires")),
        (423, "60".to_owned())
    );
    let gone = sign_in(&mut world, desk(), 20, "right", &[contact(desk()), expires(0)]);
    assert_eq!((status_of(&gone), world.proxy.counts().phones), (200, 1));
    let all = [(HeaderName::Contact, "*".to_owned()), expires(0)];
    let gone = sign_in(&mut world, pocket(), 30, "right", &all);
    assert_eq!((status_of(&gone), world.proxy.counts().phones), (200, 0));
    world.assert_empty();
}

#[test]
fn a_user_has_so_many_phones_and_no_more() {
    let mut world = world();
    for at in 0..9_u16 {
        let phone = SocketAddr::new(desk().ip(), 41_000 + at);
        let answer = sign_in(&mut world, phone, 1, "right", &[contact(phone), expires(600)]);
        assert_eq!(status_of(&answer), if at < 8 { 200 } else { 403 });
    }
    assert_eq!(world.proxy.counts().phones, 8);
}

#[test]
fn without_a_password_for_phones_nobody_registers() {
    let mut world = World::new();
    world.receive_message(desk(), &register(desk(), 1, &[contact(desk())]));
    assert_eq!(world.last_status(desk()), 403);
}

/// Carrier a calls alice: what the VSP and the phones receive.
fn ring(world: &mut World, phones: &[SocketAddr]) -> (Message, Vec<Message>) {
    world.receive_message(carrier_a(), &carrier_invite("1555010", &[]));
    assert_eq!(status_of(&world.take(carrier_a())), 100);
    let at_vsp = world.take(vsp());
    let at_phones = phones.iter().map(|phone| world.take(*phone)).collect();
    (at_vsp, at_phones)
}

#[test]
fn browsers_and_phones_ring_together_and_the_first_answer_wins() {
    let mut world = world();
    registered(&mut world, desk());
    registered(&mut world, pocket());
    let (at_vsp, phones) = ring(&mut world, &[desk(), pocket()]);
    assert_eq!(uri_of(&phones[0]), format!("sip:alice@{}", desk()));
    assert_eq!(
        value(&phones[0], "X-Offhook-Call-Id"),
        value(&at_vsp, "X-Offhook-Call-Id")
    );
    for (from, message) in [(vsp(), &at_vsp), (desk(), &phones[0])] {
        world.receive_message(from, &answer(message, 180));
    }
    assert_eq!(world.take_all(carrier_a()).len(), 2);
    world.receive_message(desk(), &answer(&phones[0], 200));
    assert_eq!(world.last_status(carrier_a()), 200);
    let cancel = world.take(vsp());
    assert_eq!(cancel.method(), Some(&Method::Cancel));
    assert_eq!(
        value(&cancel, "Reason"),
        "SIP;cause=200;text=\"Call completed elsewhere\""
    );
    // The other phone has not said a word yet: its CANCEL waits until it has (§9.1).
    assert!(world.take_all(pocket()).is_empty());
    world.receive_message(pocket(), &answer(&phones[1], 180));
    assert_eq!(world.take(pocket()).method(), Some(&Method::Cancel));
}

#[test]
fn one_rejection_is_not_the_rejection_of_all_and_the_best_answer_counts() {
    let mut world = world();
    registered(&mut world, desk());
    let (at_vsp, phones) = ring(&mut world, &[desk()]);
    world.receive_message(desk(), &answer(&phones[0], 486));
    world.take(desk());
    assert!(world.take_all(carrier_a()).is_empty(), "the browser rings on");
    world.receive_message(vsp(), &answer(&at_vsp, 480));
    assert_eq!(world.last_status(carrier_a()), 486, "busy says more than absent");
    world.take_all(vsp());
    world.pass(Duration::from_secs(600));
    world.assert_empty();
}

#[test]
fn without_a_browser_the_phone_rings_alone() {
    let mut world = world();
    registered(&mut world, desk());
    let (at_vsp, phones) = ring(&mut world, &[desk()]);
    world.receive_message(vsp(), &answer(&at_vsp, 480));
    world.take_all(vsp());
    assert!(world.take_all(carrier_a()).is_empty());
    world.receive_message(desk(), &answer(&phones[0], 200));
    assert_eq!(world.last_status(carrier_a()), 200);
}

#[test]
fn a_rejection_for_all_ends_it_everywhere() {
    let mut world = world();
    registered(&mut world, desk());
    let (at_vsp, phones) = ring(&mut world, &[desk()]);
    world.receive_message(vsp(), &answer(&at_vsp, 180));
    world.receive_message(desk(), &answer(&phones[0], 603));
    let cancel = world.take(vsp());
    assert_eq!(cancel.method(), Some(&Method::Cancel));
    world.receive_message(vsp(), &answer(&at_vsp, 487));
    assert_eq!(world.last_status(carrier_a()), 603);
}

#[test]
fn a_phone_ends_the_call_that_it_has_answered() {
    let mut world = world();
    registered(&mut world, desk());
    let (at_vsp, phones) = ring(&mut world, &[desk()]);
    world.receive_message(desk(), &answer(&phones[0], 200));
    world.receive_message(vsp(), &answer(&at_vsp, 487));
    world.take_all(vsp());
    world.take_all(carrier_a());
    world.receive_message(desk(), &carrier_request(&phones[0], Method::Bye, 2));
    assert_eq!(
        world.take(vsp()).method(),
        Some(&Method::Bye),
        "whoever the caller is"
    );
}

#[test]
fn whoever_guesses_passwords_is_heard_no_more_for_a_while() {
    let mut world = world();
    let lines = [contact(desk()), expires(600)];
    for attempt in 0..20 {
        let answer = sign_in(&mut world, desk(), 10 * attempt, "wrong", &lines);
        assert_eq!(status_of(&answer), 403);
        world.pass(Duration::from_secs(1));
    }
    for password in ["wrong", "right"] {
        let answer = sign_in(
            &mut world,
            desk(),
            1_000 + password.len() as u32,
            password,
            &lines,
        );
        assert_eq!(status_of(&answer), 503, "not looked at");
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(world.refused.last(), Some(&Refusal::Rate));
    registered(&mut world, pocket());
    world.pass(Duration::from_secs(60));
    let answer = sign_in(&mut world, desk(), 2_000, "right", &lines);
    assert_eq!(status_of(&answer), 200, "the phone comes again by itself");
}

#[test]
fn rfc3581_a_phone_behind_nat_is_answered_where_it_is_even_if_it_does_not_ask_for_that() {
    let mut world = world();
    // It believes to be somewhere else: so say Via and Contact.
    let inside = SocketAddr::from(([192, 168, 1, 5], 5060));
    let lines = [contact(inside), expires(600)];
    world.receive_message(desk(), &register(inside, 1, &lines));
    assert_eq!(status_of(&world.take(desk())), 401);
    assert!(world.take_all(inside).is_empty());
}

#[test]
fn rfc5626_3_5_1_a_phone_that_asks_whether_the_way_is_open_is_answered() {
    let mut world = world();
    world.receive(desk(), &b"\r\n\r\n"[..]);
    assert_eq!(world.pongs, [], "strangers are not");
    registered(&mut world, desk());
    world.receive(desk(), &b"\r\n\r\n"[..]);
    assert_eq!(world.pongs, [desk()]);
    let options = new_request(Method::Options, "sip:voice.example.com", "ping");
    world.receive_message(desk(), &options);
    assert_eq!(world.last_status(desk()), 200);
}

#[test]
fn a_flood_of_one_address_is_not_heard_and_keeps_nobody_else_out() {
    let mut world = world();
    registered(&mut world, pocket());
    for cseq in 1..=400 {
        world.receive_message(desk(), &register(desk(), cseq, &[contact(desk())]));
    }
    let challenged = world.take_all(desk());
    let challenged = challenged
        .iter()
        .filter(|answer| status_of(answer) == 401)
        .count();
    assert_eq!(challenged, 50);
    let other = SocketAddr::from(([198, 51, 100, 9], 40_002));
    registered(&mut world, other);

    // A phone that has registered gets no further.
    for cseq in 10..=400 {
        world.receive_message(pocket(), &register(pocket(), cseq, &[contact(pocket())]));
    }
    let refused = world.refused.iter().filter(|reason| **reason == Refusal::Rate);
    assert!(refused.count() > 300, "{:?}", world.refused.len());
    world.take_all(pocket());
    world.pass(Duration::from_secs(1));
    let answer = sign_in(
        &mut world,
        desk(),
        1_000,
        "right",
        &[contact(desk()), expires(600)],
    );
    assert_eq!(status_of(&answer), 200, "the next second is a new one");
}

#[test]
fn rfc3261_10_3_contacts_are_compared_as_uris_and_a_register_counts_whole_or_not_at_all() {
    let mut world = world();
    let as_text = |text: &str| (HeaderName::Contact, text.to_owned());
    for (cseq, text) in [
        (1, "<sip:alice@PHONE.example.com;ob;line=1>"),
        (10, "<sip:%61lice@phone.example.com;line=1>"),
    ] {
        let answer = sign_in(&mut world, desk(), cseq, "right", &[as_text(text), expires(600)]);
        assert_eq!((status_of(&answer), world.proxy.counts().phones), (200, 1));
    }
    let nine: Vec<String> = (0..9).map(|at| format!("<sip:alice@{at}.example.com>")).collect();
    let all = as_text(&nine.join(", "));
    let answer = sign_in(&mut world, desk(), 20, "right", &[all, expires(600)]);
    assert_eq!((status_of(&answer), world.proxy.counts().phones), (403, 1));
    // Whoever leaves makes room, wherever it stands in the line.
    let mut swap = nine[..8].to_vec();
    swap.push("<sip:alice@phone.example.com;line=1>;expires=0".to_owned());
    let answer = sign_in(
        &mut world,
        desk(),
        30,
        "right",
        &[as_text(&swap.join(", ")), expires(600)],
    );
    assert_eq!((status_of(&answer), world.proxy.counts().phones), (200, 8));
}
