//! Edits change what they name and nothing else.

use offhook_sip_message::header::{Header, Via};
use offhook_sip_message::{Edit, HeaderName, HeaderValue, Message, Uri};

const INVITE: &str = "INVITE sip:bob@example.com SIP/2.0\r\n\
    v: SIP/2.0/UDP a.example.com;branch=z9hG4bKa , SIP/2.0/UDP b.example.com;branch=z9hG4bKb\r\n\
    Via: SIP/2.0/UDP c.example.com;branch=z9hG4bKc\r\n\
    From: \"J\u{fc}rgen\" <sip:j@example.com>;tag=1\r\n\
    Route: <sip:p1.example.com;lr>,\r\n <sip:p2.example.com;lr>\r\n\
    route: <sip:p3.example.com;lr>\r\n\
    X-Folded: one\r\n\ttwo\r\n\
    l: 4\r\n\
    \r\n\
    body";

fn message() -> Message {
    Message::parse(INVITE.into()).expect("the message is whole")
}

fn value(text: &'static str) -> HeaderValue {
    HeaderValue::new(text).expect("the value is plain")
}

fn edited(change: impl FnOnce(&mut Edit<'_>)) -> String {
    let message = message();
    let mut edit = Edit::new(&message);
    change(&mut edit);
    String::from_utf8(edit.finish().to_vec()).expect("the message is ASCII")
}

#[test]
fn no_edit_is_the_same_bytes() {
    assert_eq!(edited(|_| {}), INVITE);
}

#[test]
fn request_uri() {
    let out = edited(|edit| edit.request_uri(&Uri::parse(b"sip:carol@192.0.2.4:5070").unwrap()));
    assert_eq!(out, INVITE.replacen("bob@example.com", "carol@192.0.2.4:5070", 1));
}

#[test]
fn prepended_headers_stand_before_their_kind_the_last_first() {
    let out = edited(|edit| {
        edit.prepend(HeaderName::Via, &value("SIP/2.0/UDP x;branch=z9hG4bKx"));
        edit.prepend(HeaderName::Via, &value("SIP/2.0/UDP y;branch=z9hG4bKy"));
        edit.prepend(HeaderName::RecordRoute, &value("<sip:p;lr>"));
    });
    let added = "Record-Route: <sip:p;lr>\r\nVia: SIP/2.0/UDP y;branch=z9hG4bKy\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKx\r\nv: ";
    assert_eq!(out, INVITE.replacen("v: ", added, 1));
}

#[test]
fn appended_headers_stand_after_their_kind_or_last() {
    let out = edited(|edit| {
        edit.append(HeaderName::Route, &value("<sip:p4;lr>"));
        edit.append(HeaderName::custom("X-New"), &value("1"));
    });
    let expected = INVITE
        .replacen(
            "p3.example.com;lr>\r\n",
            "p3.example.com;lr>\r\nRoute: <sip:p4;lr>\r\n",
            1,
        )
        .replacen("l: 4\r\n", "l: 4\r\nX-New: 1\r\n", 1);
    assert_eq!(out, expected);
}

#[test]
fn replace_keeps_the_place_and_the_name_as_written() {
    let out = edited(|edit| edit.replace(HeaderName::Via, &value("SIP/2.0/UDP z")));
    assert!(
        out.starts_with("INVITE sip:bob@example.com SIP/2.0\r\nv: SIP/2.0/UDP z\r\nFrom: "),
        "{out}"
    );
    assert!(!out.contains("c.example.com"));
    let out = edited(|edit| edit.replace(HeaderName::custom("x-folded"), &value("flat")));
    assert_eq!(out, INVITE.replacen("one\r\n\ttwo", "flat", 1));
}

#[test]
fn pop_takes_values_across_lines_in_order() {
    let pop = |count| edited(|edit| edit.pop_values(HeaderName::Route, count));
    assert_eq!(pop(0), INVITE);
    assert_eq!(pop(1), INVITE.replacen("<sip:p1.example.com;lr>,\r\n ", "", 1));
    assert_eq!(
        pop(2),
        INVITE.replacen(
            "Route: <sip:p1.example.com;lr>,\r\n <sip:p2.example.com;lr>\r\n",
            "",
            1
        )
    );
    let none = INVITE
        .replacen(
            "Route: <sip:p1.example.com;lr>,\r\n <sip:p2.example.com;lr>\r\n",
            "",
            1,
        )
        .replacen("route: <sip:p3.example.com;lr>\r\n", "", 1);
    assert_eq!(pop(3), none);
    assert_eq!(pop(99), none);
    let via = edited(|edit| edit.pop_values(HeaderName::Via, 1));
    assert_eq!(
        via,
        INVITE.replacen("SIP/2.0/UDP a.example.com;branch=z9hG4bKa , ", "", 1)
    );
}

#[test]
fn pop_and_prepend_of_one_header_go_together() {
    let out = edited(|edit| {
        edit.pop_values(HeaderName::Via, 3);
        edit.prepend(HeaderName::Via, &value("SIP/2.0/UDP n"));
    });
    assert!(
        out.starts_with("INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP n\r\nFrom: "),
        "{out}"
    );
}

#[test]
fn replace_first_touches_one_element() {
    let out = edited(|edit| edit.replace_first(HeaderName::Route, &value("<sip:new;lr>")));
    assert_eq!(out, INVITE.replacen("<sip:p1.example.com;lr>", "<sip:new;lr>", 1));
}

#[test]
fn remove_takes_every_line_also_folded_ones() {
    let out = edited(|edit| edit.remove(HeaderName::custom("X-FOLDED")));
    assert_eq!(out, INVITE.replacen("X-Folded: one\r\n\ttwo\r\n", "", 1));
}

#[test]
fn body_comes_with_its_length_and_type() {
    let out = edited(|edit| edit.body(Some(&value("text/plain")), b"longer body"));
    let expected = INVITE.replacen(
        "l: 4\r\n\r\nbody",
        "l: 11\r\nContent-Type: text/plain\r\n\r\nlonger body",
        1,
    );
    assert_eq!(out, expected);
    let out = edited(|edit| edit.body(None, b""));
    assert_eq!(out, INVITE.replacen("l: 4\r\n\r\nbody", "l: 0\r\n\r\n", 1));
}

/// RFC 3261 §18.2.1 and RFC 3581 §4.
#[test]
fn the_source_is_noted_in_the_top_via() {
    let stamped = |via: &str, source: &str| -> (bool, String) {
        let raw = format!("OPTIONS sip:x SIP/2.0\r\nVia: {via}, SIP/2.0/UDP next\r\n\r\n");
        let message = Message::parse(raw.into()).unwrap();
        let mut edit = Edit::new(&message);
        let changed = edit.stamp_via(source.parse().unwrap());
        let message = edit.finish_message().unwrap();
        assert_eq!(
            message.values(HeaderName::Via).last(),
            Some(&b"SIP/2.0/UDP next"[..])
        );
        let top: Via<'_> = message.require().unwrap();
        let text = String::from_utf8(top.to_value().unwrap().as_bytes().to_vec()).unwrap();
        (changed, text)
    };
    let plain = "SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK1";
    assert_eq!(stamped(plain, "192.0.2.1:5062"), (false, plain.to_owned()));
    assert_eq!(
        stamped(plain, "192.0.2.7:9"),
        (true, format!("{plain};received=192.0.2.7"))
    );
    assert_eq!(
        stamped("SIP/2.0/UDP 192.0.2.1;rport;branch=z9hG4bK1", "192.0.2.1:777"),
        (
            true,
            "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;received=192.0.2.1;rport=777".to_owned()
        )
    );
    let forged = "SIP/2.0/UDP h.example.com;received=203.0.113.66;branch=z9hG4bK1";
    assert_eq!(
        stamped(forged, "[2001:db8::1]:5060"),
        (
            true,
            "SIP/2.0/UDP h.example.com;branch=z9hG4bK1;received=2001:db8::1".to_owned()
        )
    );
}

#[test]
fn a_value_with_a_line_break_never_gets_in() {
    for bad in ["a\r\nRoute: <sip:evil>", "a\nb", "a\rb", "a\0b"] {
        let error = HeaderValue::new(bad).unwrap_err();
        assert_eq!(error.at, 1);
    }
    assert_eq!(
        HeaderValue::unfold(b"one \r\n\t two").unwrap().as_bytes(),
        b"one two"
    );
}

#[test]
fn lines_are_removed_by_what_they_are_however_many() {
    let out =
        edited(|edit| edit.remove_lines(|line| line.name == HeaderName::Route || line.raw_name == b"l"));
    let expected = INVITE
        .replacen(
            "Route: <sip:p1.example.com;lr>,\r\n <sip:p2.example.com;lr>\r\n",
            "",
            1,
        )
        .replacen("route: <sip:p3.example.com;lr>\r\n", "", 1)
        .replacen("l: 4\r\n", "", 1);
    assert_eq!(out, expected);
}
