//! RFC 3261 §12: dialogs.

use crate::support::agents::{ALICE, BOB, World, text, value};
use crate::support::{answer, message, own_request, peer_request, response_builder};
use offhook_sip::dialog::{Dialog, DialogError, DialogState, ROUTES_MAX};
use offhook_sip::user_agent::Reply;
use offhook_sip_message::{HeaderName, Message, Method, StatusCode};

fn routes(dialog: &Dialog) -> Vec<String> {
    dialog
        .route_set
        .iter()
        .map(|route| String::from_utf8_lossy(route.as_bytes()).into_owned())
        .collect()
}

fn lines(message: &Message, name: HeaderName<'static>) -> Vec<String> {
    message
        .values(name)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

fn via() -> offhook_sip_message::HeaderValue {
    value("SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bKd1")
}

#[test]
fn the_callers_dialog_reverses_record_route() {
    let invite = own_request("INVITE", "z9hG4bKi1");
    let ok = response_builder(&invite, 200)
        .text(
            HeaderName::RecordRoute,
            "<sip:p2.example.com;lr>, <sip:p1.example.com;lr>",
        )
        .text(HeaderName::Contact, "<sip:bob@192.0.2.50:5080>")
        .build()
        .unwrap();
    let mut dialog = Dialog::of_caller(&invite, &ok).unwrap();
    assert_eq!(dialog.state, DialogState::Confirmed);
    assert_eq!(
        routes(&dialog),
        ["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"]
    );
    assert_eq!(dialog.local_cseq, 7);
    assert_eq!(dialog.remote_cseq, None);
    assert_eq!(
        (&dialog.id.local_tag[..], &dialog.id.remote_tag[..]),
        (&b"a1"[..], &b"t1"[..])
    );

    let bye = dialog.next_request(&Method::Bye, &via()).build().unwrap();
    assert!(
        bye.bytes()
            .starts_with(b"BYE sip:bob@192.0.2.50:5080 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060")
    );
    assert_eq!(lines(&bye, HeaderName::Route), routes(&dialog));
    assert_eq!(lines(&bye, HeaderName::To), ["<sip:bob@192.0.2.1>;tag=t1"]);
    assert_eq!(lines(&bye, HeaderName::From), ["<sip:alice@192.0.2.9>;tag=a1"]);
    assert_eq!(lines(&bye, HeaderName::CSeq), ["8 BYE"]);
    assert_eq!(dialog.next_hop(), None, "the first route is a name");
}

#[test]
fn the_callees_dialog_keeps_the_order_of_record_route() {
    let invite = peer_request("INVITE", "z9hG4bKs1");
    let text = String::from_utf8(invite.bytes().to_vec()).unwrap().replace(
        "Call-ID",
        "Record-Route: <sip:192.0.2.61:5070;lr>\r\nRecord-Route: <sip:p2.example.com;lr>\r\nCall-ID",
    );
    let invite = Message::parse(text.into_bytes().into()).unwrap();
    let mut dialog = Dialog::of_callee(&invite, "mine").unwrap();
    assert_eq!(dialog.state, DialogState::Early);
    assert_eq!(
        routes(&dialog),
        ["<sip:192.0.2.61:5070;lr>", "<sip:p2.example.com;lr>"]
    );
    assert_eq!(
        dialog.next_hop().unwrap().remote,
        "192.0.2.61:5070".parse().unwrap()
    );
    let bye = dialog.next_request(&Method::Bye, &via()).build().unwrap();
    assert_eq!(lines(&bye, HeaderName::From), ["<sip:alice@192.0.2.9>;tag=mine"]);
    assert_eq!(lines(&bye, HeaderName::To), ["<sip:bob@192.0.2.1>;tag=b1"]);
    assert_eq!(lines(&bye, HeaderName::CSeq), ["1 BYE"]);
}

#[test]
fn a_strict_router_gets_the_request_uri_and_the_target_the_last_route() {
    let invite = own_request("INVITE", "z9hG4bKi1");
    let ok = response_builder(&invite, 200)
        .text(
            HeaderName::RecordRoute,
            "<sip:p2.example.com;lr>, <sip:old.example.com>",
        )
        .text(HeaderName::Contact, "<sip:bob@192.0.2.50>")
        .build()
        .unwrap();
    let mut dialog = Dialog::of_caller(&invite, &ok).unwrap();
    let bye = dialog.next_request(&Method::Bye, &via()).build().unwrap();
    assert!(bye.bytes().starts_with(b"BYE sip:old.example.com SIP/2.0\r\n"));
    assert_eq!(
        lines(&bye, HeaderName::Route),
        ["<sip:p2.example.com;lr>", "<sip:bob@192.0.2.50>"]
    );
}

#[test]
fn without_a_contact_the_request_uri_stays_the_target_and_a_later_one_refreshes_it() {
    let invite = own_request("INVITE", "z9hG4bKi1");
    let mut dialog = Dialog::of_caller(&invite, &answer(&invite, 180)).unwrap();
    assert_eq!(dialog.state, DialogState::Early);
    assert_eq!(dialog.remote_target.as_bytes(), b"sip:bob@192.0.2.1");
    let ok = response_builder(&invite, 200)
        .text(HeaderName::Contact, "<sip:bob@192.0.2.50>")
        .build()
        .unwrap();
    dialog.handle_response(&ok).unwrap();
    assert_eq!(dialog.state, DialogState::Confirmed);
    assert_eq!(dialog.remote_target.as_bytes(), b"sip:bob@192.0.2.50");
}

#[test]
fn cseq_only_goes_up() {
    let invite = peer_request("INVITE", "z9hG4bKs1");
    let mut dialog = Dialog::of_callee(&invite, "mine").unwrap();
    assert_eq!(dialog.handle_cseq(12), Ok(()));
    for number in [12, 9] {
        assert_eq!(
            dialog.handle_cseq(number),
            Err(DialogError::OutOfOrder { number, last: 12 })
        );
    }
}

#[test]
fn what_makes_no_dialog_is_refused() {
    let bare = message(
        "INVITE sip:alice@192.0.2.9 SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKs1
         From: <sip:bob@192.0.2.1>;tag=b1
         To: <sip:alice@192.0.2.9>
         Call-ID: call-2
         CSeq: 9 INVITE",
    );
    assert_eq!(
        Dialog::of_callee(&bare, "mine"),
        Err(DialogError::Header("Contact"))
    );
    let invite = own_request("INVITE", "z9hG4bKi1");
    let many = (0..=ROUTES_MAX).fold(response_builder(&invite, 200), |builder, i| {
        builder.text(HeaderName::RecordRoute, format!("<sip:p{i}.example.com;lr>"))
    });
    assert_eq!(
        Dialog::of_caller(&invite, &many.build().unwrap()),
        Err(DialogError::TooManyRoutes)
    );
    let broken = response_builder(&invite, 200)
        .text(HeaderName::RecordRoute, "nonsense")
        .build()
        .unwrap();
    assert_eq!(
        Dialog::of_caller(&invite, &broken),
        Err(DialogError::Header("Record-Route"))
    );
}

#[test]
fn requests_follow_the_target_that_a_reinvite_brought() {
    let mut world = World::new();
    let (alices, bobs) = world.in_call();
    world.request(
        ALICE,
        alices,
        Method::Invite,
        crate::support::agents::sdp("moved"),
    );
    // The re-INVITE comes from a new contact, as after a change of network.
    world.drain();
    world.run(10);
    let text = text(world.last("INVITE"));
    let moved = text
        .replace("Contact: <sip:192.0.2.9:5060>", "Contact: <sip:192.0.2.99:5060>")
        .replace("CSeq: 2", "CSeq: 3")
        .replace("branch=z9hG4bK", "branch=z9hG4bKmoved");
    let (incoming, _) = world.incoming_request(BOB);
    world.respond(BOB, incoming, Reply::new(StatusCode::OK));
    world.run(10);
    world.forge(ALICE, moved);
    let target = world.agents[BOB].ua.dialog(bobs).unwrap().remote_target.clone();
    assert_eq!(target.as_bytes(), b"sip:192.0.2.99:5060");
}

#[test]
fn a_dialog_is_plain_data() {
    let mut world = World::new();
    let (alices, bobs) = world.in_call();
    let copy = world.agents[ALICE].ua.dialog(alices).unwrap().clone();
    let other = world.agents[BOB].ua.dialog(bobs).unwrap();
    assert_eq!(copy.id.call_id, other.id.call_id);
    assert_eq!(copy.id.local_tag, other.id.remote_tag);
    assert_eq!(copy.id.remote_tag, other.id.local_tag);
}
