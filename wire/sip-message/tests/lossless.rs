//! Properties: any message survives reading and printing, edits leave the rest alone, no bytes make anything panic.

use offhook_sip_message::framing::{Frame, Framer};
use offhook_sip_message::header::{
    Authorization, CSeq, CallId, Contact, ContentType, From, Header, PAssertedIdentity, RAck, Reason,
    RecordRoute, ReferTo, Replaces, RetryAfter, Route, SessionExpires, To, Via, WwwAuthenticate,
};
use offhook_sip_message::{Edit, HeaderName, HeaderValue, Message, StatusCode, Uri, respond, validate};
use proptest::prelude::*;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "Via", "v", "ROUTE", "Route", "f", "To", "Call-ID", "CSeq", "Contact", "m", "X-A", "Subject"
        ])
        .prop_map(str::to_owned),
        "[A-Za-z0-9!%*_+`'~.-]{1,20}",
    ]
    // A Content-Length of its own would cut the body.
    .prop_filter("lengths are added by the test", |name| {
        !name.eq_ignore_ascii_case("l") && !name.eq_ignore_ascii_case("content-length")
    })
}

/// Any bytes but line breaks, with a fold here and there.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("no line breaks", |b| *b != b'\r' && *b != b'\n');
    prop::collection::vec(prop_oneof![20 => byte.prop_map(|b| vec![b]), 1 => Just(b"\r\n ".to_vec()), 2 => Just(b", ".to_vec())], 0..40)
        .prop_map(|parts| parts.concat())
}

type Lines = Vec<(String, Vec<u8>)>;

fn message() -> impl Strategy<Value = (Lines, Vec<u8>)> {
    (
        prop::collection::vec((name(), value()), 0..40),
        prop::collection::vec(any::<u8>(), 0..200),
    )
        .prop_map(|(lines, body)| {
            let mut raw = b"INVITE sip:bob@example.com SIP/2.0\r\n".to_vec();
            for (name, value) in &lines {
                raw.extend_from_slice(name.as_bytes());
                raw.extend_from_slice(b" : ");
                raw.extend_from_slice(value);
                raw.extend_from_slice(b"\r\n");
            }
            raw.extend_from_slice(b"\r\n");
            raw.extend_from_slice(&body);
            (lines, raw)
        })
}

/// Asks a message for everything it can say.
fn exercise(message: &Message) {
    let _ = validate(message);
    let _ = message.request_uri();
    macro_rules! read {
        ($($header:ty),*) => {$(
            for header in message.all::<$header>().flatten() {
                let mut out = Vec::new();
                header.write(&mut out);
                assert!(<$header>::parse(&out).is_ok(), "{} does not read back {:?}", <$header>::NAME, String::from_utf8_lossy(&out));
            }
        )*};
    }
    read!(
        Via<'_>,
        From<'_>,
        To<'_>,
        Contact<'_>,
        CallId<'_>,
        CSeq,
        Route<'_>,
        RecordRoute<'_>,
        ContentType<'_>
    );
    read!(
        RAck,
        Reason<'_>,
        ReferTo<'_>,
        Replaces<'_>,
        RetryAfter,
        SessionExpires,
        PAssertedIdentity<'_>,
        WwwAuthenticate<'_>,
        Authorization<'_>
    );
    for line in message.headers() {
        for value in message.values(line.name) {
            let _ = Uri::parse(value);
        }
    }
    let mut edit = Edit::new(message);
    edit.pop_values(HeaderName::Via, 1);
    edit.pop_values(HeaderName::Route, 2);
    edit.stamp_via(([192, 0, 2, 1], 5060).into());
    edit.replace(HeaderName::CSeq, &HeaderValue::number(7u32));
    edit.body(None, b"x");
    let _ = edit.finish_message();
    let _ = respond(message, StatusCode::BAD_REQUEST, None).build();
}

proptest! {
    #[test]
    fn parse_then_print_is_the_same_bytes((lines, raw) in message()) {
        let message = Message::parse(raw.clone().into()).unwrap();
        prop_assert_eq!(message.bytes(), &raw);
        prop_assert_eq!(message.headers().count(), lines.len());
        for (line, (name, value)) in message.headers().zip(&lines) {
            prop_assert_eq!(line.raw_name, name.as_bytes());
            let trimmed: &[u8] = line.value;
            prop_assert!(value.windows(trimmed.len().max(1)).any(|w| w == trimmed) || trimmed.is_empty());
        }
        exercise(&message);
    }

    #[test]
    fn edits_leave_all_other_headers_byte_identical(
        (_, raw) in message(),
        actions in prop::collection::vec((0u8..6, name()), 1..6),
    ) {
        let message = Message::parse(raw.into()).unwrap();
        let new_value = HeaderValue::new("new").unwrap();
        let mut edit = Edit::new(&message);
        let mut touched = Vec::new();
        for (action, name) in &actions {
            let name = HeaderName::new(name.as_bytes()).unwrap();
            touched.push(name);
            match action {
                0 => edit.prepend(name, &new_value),
                1 => edit.append(name, &new_value),
                2 => edit.replace(name, &new_value),
                3 => edit.remove(name),
                4 => edit.pop_values(name, 1),
                _ => edit.replace_first(name, &new_value),
            }
        }
        let edited = edit.finish_message().unwrap();
        let untouched = |message: &Message| -> Vec<(Vec<u8>, Vec<u8>)> {
            message
                .headers()
                .filter(|line| !touched.contains(&line.name))
                .map(|line| (line.raw_name.to_vec(), line.value.to_vec()))
                .collect()
        };
        prop_assert_eq!(untouched(&message), untouched(&edited));
        prop_assert_eq!(message.body(), edited.body());
    }

    #[test]
    fn framing_does_not_depend_on_how_the_stream_is_cut(
        bodies in prop::collection::vec("[a-z\r\n]{0,30}", 1..6),
        cut in 1usize..40,
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for body in &bodies {
            let message = format!("INVITE sip:x SIP/2.0\r\nl: {}\r\n\r\n{body}", body.len()).into_bytes();
            stream.extend_from_slice(b"\r\n\r\n");
            stream.extend_from_slice(&message);
            expected.push(Frame::Ping);
            expected.push(Frame::Message(message.into()));
        }
        let mut framer = Framer::new();
        let mut found = Vec::new();
        for chunk in stream.chunks(cut) {
            framer.feed(chunk);
            while let Some(frame) = framer.poll().unwrap() {
                found.push(frame);
            }
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_bytes_are_read_or_refused(raw in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(message) = Message::parse(raw.clone().into()) {
            exercise(&message);
        }
        if let Some(message) = Message::salvage(raw.into()) {
            exercise(&message);
        }
    }
}

const SEED: &[u8] = b"INVITE sip:bob:pw@[2001:db8::1]:5060;transport=udp;lr?a=b&c=%41 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport=5;received=::1, SIP/2.0/TCP h;branch=2\r\n\
    f: \"A \\\" B\" <sip:a@b.c;x=y>;tag=1;q=\"u;v\"\r\n\
    To: sip:c@d.e;tag=2\r\nCall-ID: x@y\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n\
    Route: <sip:p1;lr>,\r\n <sip:p2;lr>\r\nContact: *, \"q\" <tel:+1-555;phone-context=+1>;expires=5\r\n\
    RAck: 1 2 INVITE\r\nReason: Q.850;cause=16;text=\"ok\"\r\nReplaces: a;to-tag=b;from-tag=c;early-only\r\n\
    Retry-After: 5 (busy);duration=3\r\nSession-Expires: 90;refresher=uac\r\nRefer-To: <sip:x?Replaces=1>\r\n\
    WWW-Authenticate: Digest realm=\"r, s\", nonce=\"n\", algorithm=SHA-256, qop=\"auth,auth-int\"\r\n\
    Authorization: Digest username=\"u\", nc=00000001\r\nContent-Type: application/sdp;a=b\r\nl: 4\r\n\r\nv=0\n";

/// A message with random damage is the input that finds what random bytes do not reach.
#[test]
fn damaged_messages_never_panic() {
    let interesting = b"\r\n\t :;,<>\"\\@?=&%[]()*/0189aZ\0\xff-+";
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut parsed = 0u32;
    for _ in 0..30_000 {
        let mut raw = SEED.to_vec();
        for _ in 0..1 + random(6) {
            let at = random(raw.len());
            match random(5) {
                0 => raw[at] = interesting[random(interesting.len())],
                1 => raw[at] = random(256) as u8,
                2 => {
                    raw.remove(at);
                }
                3 => raw.insert(at, interesting[random(interesting.len())]),
                _ => {
                    let end = (at + random(40)).min(raw.len());
                    raw.drain(at..end);
                }
            }
        }
        match Message::parse(raw.clone().into()) {
            Ok(message) => {
                parsed += 1;
                exercise(&message);
            }
            Err(_) => {
                if let Some(message) = Message::salvage(raw.into()) {
                    exercise(&message);
                }
            }
        }
    }
    assert!(
        parsed > 5_000,
        "the damage is so heavy that little is tested: {parsed}"
    );
}
