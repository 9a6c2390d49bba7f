//! Typed headers: what they read, what they refuse, what they print.

use offhook_sip_message::header::{
    Algorithm, Authorization, CSeq, Contact, Header, NameAddr, PAssertedIdentity, ProxyAuthenticate, RAck,
    Reason, Refresher, Replaces, RetryAfter, SessionExpires, To, Transport, Via, unfold,
};
use offhook_sip_message::{
    BuildError, HeaderName, HeaderValue, Host, Message, MessageBuilder, Method, ParamWriter, StatusCode,
    Token, Uri, respond,
};

fn printed<'a>(header: &impl Header<'a>) -> String {
    String::from_utf8_lossy(header.to_value().expect("it was read").as_bytes()).into_owned()
}

#[test]
fn via_in_every_shape() {
    let via =
        Via::parse(b"SIP/2.0/TLS [2001:db8::1]:5071;branch=z9hG4bKx;rport;maddr=10.0.0.1;ttl=1").unwrap();
    assert_eq!((via.transport, via.port), (Transport::Tls, Some(5071)));
    assert!(via.wants_rport() && via.rport().is_none());
    assert_eq!(via.maddr(), Some(Host::V4("10.0.0.1".parse().unwrap())));
    assert_eq!(
        printed(&via),
        "SIP/2.0/TLS [2001:db8::1]:5071;branch=z9hG4bKx;rport;maddr=10.0.0.1;ttl=1"
    );

    let noted = Via::parse(b"SIP/2.0/UDP h.example;received=192.0.2.9;rport=6000").unwrap();
    assert_eq!(
        (noted.received(), noted.rport()),
        (Some("192.0.2.9".parse().unwrap()), Some(6000))
    );
    let plain = Via::parse(b"SIP/2.0/UDP h.example").unwrap();
    assert_eq!(
        (plain.host, plain.port_or_default()),
        (Host::Name(b"h.example"), 5060)
    );
    for bad in [
        "",
        "SIP/2.0/UDP",
        "SIP/3.0/UDP h",
        "XIP/2.0/UDP h",
        "SIP/2.0/UDP h:x",
        "SIP/2.0/UDP h;branch=",
        "SIP/2.0/UDP h;a=\"b",
    ] {
        assert!(Via::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn display_names_survive_in_any_encoding() {
    let latin1 = b"INVITE sip:x SIP/2.0\r\nTo: \"J\xfcrgen \\\"J\\\"\" <sip:j@h>\r\n\r\n";
    let message = Message::parse(latin1.to_vec().into()).unwrap();
    let to: To<'_> = message.require().unwrap();
    assert_eq!(to.display_text().as_ref(), b"J\xfcrgen \"J\"");
    assert_eq!(
        to.to_value().unwrap().as_bytes(),
        b"\"J\xfcrgen \\\"J\\\"\" <sip:j@h>"
    );
}

#[test]
fn lists_keep_commas_in_quotes_and_brackets_together() {
    let raw =
        b"INVITE sip:x SIP/2.0\r\nP-Asserted-Identity: \"Cullen, J\" <sip:c,d@h>, tel:+14085264000\r\n\r\n";
    let message = Message::parse(raw.to_vec().into()).unwrap();
    let found: Vec<PAssertedIdentity<'_>> = message.all().collect::<Result<_, _>>().unwrap();
    assert_eq!(found[0].uri.user(), Some(&b"c,d"[..]));
    assert_eq!(found[1].uri.user(), Some(&b"+14085264000"[..]));
}

#[test]
fn option_tags_are_found_across_lines_and_cases() {
    let raw = b"INVITE sip:x SIP/2.0\r\nk: timer , path\r\nSupported: 100REL\r\n\r\n";
    let message = Message::parse(raw.to_vec().into()).unwrap();
    for tag in ["timer", "path", "100rel"] {
        assert!(message.lists(HeaderName::Supported, tag), "{tag}");
    }
    assert!(!message.lists(HeaderName::Supported, "tim"));
    assert!(!message.lists(HeaderName::Require, "timer"));
}

#[test]
fn digest_challenges_and_credentials() {
    let value = b"Digest realm=\"a, \\\"b\\\"\", qop=\"auth, auth-int\",\r\n nonce=\"f8\", stale=TRUE, algorithm=sha-256";
    let challenge = ProxyAuthenticate::parse(value).unwrap().0;
    assert!(challenge.is_digest() && challenge.is_stale());
    assert_eq!(challenge.realm().unwrap().as_ref(), b"a, \"b\"");
    assert_eq!(challenge.algorithm(), Some(Algorithm::Sha256));
    assert!(challenge.offers_qop("auth") && challenge.offers_qop("auth-int") && !challenge.offers_qop("x"));
    let unknown = ProxyAuthenticate::parse(b"Digest realm=x, algorithm=AKAv1")
        .unwrap()
        .0;
    assert_eq!(unknown.algorithm(), None);
    assert!(!unknown.has_qop());

    let text = HeaderValue::digest(&[("username", b"a\"b"), ("nc", b"0000001f"), ("qop", b"auth")]).unwrap();
    assert_eq!(
        text.as_bytes(),
        b"Digest username=\"a\\\"b\", nc=0000001f, qop=auth"
    );
    let credentials = Authorization::parse(text.as_bytes()).unwrap();
    assert_eq!(credentials.nonce_count(), Some(31));
    assert_eq!(credentials.params.get("username").unwrap().as_ref(), b"a\"b");
    assert!(HeaderValue::digest(&[("username", b"a\r\nb")]).is_err());
}

#[test]
fn small_headers_read_and_print() {
    assert_eq!(
        CSeq::parse(b"2147483647 \t INVITE").unwrap(),
        CSeq {
            number: 2_147_483_647,
            method: Method::Invite
        }
    );
    for bad in ["", "1", "INVITE", "-1 INVITE", "2147483648 INVITE", "1 IN VITE"] {
        assert!(CSeq::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    let rack = RAck::parse(b"776656 1 INVITE").unwrap();
    assert_eq!(
        (rack.response, printed(&rack)),
        (776_656, "776656 1 INVITE".to_owned())
    );
    let reason = Reason::parse(b"Q.850 ;cause=16 ;text=\"Normal; clearing\"").unwrap();
    assert_eq!(
        (reason.cause(), reason.text().unwrap().as_ref()),
        (Some(16), &b"Normal; clearing"[..])
    );
    let timer = SessionExpires::parse(b"1800;refresher=UAS").unwrap();
    assert_eq!((timer.seconds, timer.refresher), (1800, Some(Refresher::Uas)));
    assert_eq!(printed(&timer), "1800;refresher=uas");
    assert_eq!(
        RetryAfter::parse(b"120 (I'm in a meeting);duration=60")
            .unwrap()
            .seconds,
        120
    );
    let replaces = Replaces::parse(b"98732@x;from-tag=r33th4x0r;to-tag=ff87ff;early-only").unwrap();
    assert_eq!(
        (replaces.call_id, replaces.from_tag(), replaces.early_only()),
        (&b"98732@x"[..], Some(&b"r33th4x0r"[..]), true)
    );
    assert!(Replaces::parse(b"98732@x;to-tag=1").is_err());
    assert!(Contact::parse(b"*").unwrap().address().is_none());
    assert_eq!(
        Contact::parse(b"<sip:a@b>;expires=60").unwrap().expires(),
        Some(60)
    );
}

#[test]
fn folds_become_one_space() {
    assert_eq!(unfold(b"a  \r\n \t b\r\n c").as_ref(), b"a b c");
    assert_eq!(unfold(b"as it is").as_ref(), b"as it is");
}

#[test]
fn a_request_is_built_and_read_back() {
    let params = ParamWriter::new().pair("branch", "z9hG4bK1").flag("rport");
    let via = Via {
        transport: Transport::Udp,
        host: Host::Name(b"h.example"),
        port: Some(5070),
        params: params.params(),
    };
    let target = Uri::parse(b"sip:9196@127.0.0.1:5080").unwrap();
    let tag = ParamWriter::new().pair("tag", "a b");
    let message = MessageBuilder::request(&Method::Invite, &target)
        .typed(&via)
        .typed(&To(NameAddr {
            display: b"",
            uri: target,
            params: tag.params(),
        }))
        .typed(&CSeq {
            number: 1,
            method: Method::Invite,
        })
        .text(HeaderName::custom("X-My"), "v\u{e4}lue")
        .body(&HeaderValue::new("application/sdp").unwrap(), b"v=0\r\n")
        .build()
        .unwrap();
    let expected = "INVITE sip:9196@127.0.0.1:5080 SIP/2.0\r\nVia: SIP/2.0/UDP h.example:5070;branch=z9hG4bK1;rport\r\n\
        To: <sip:9196@127.0.0.1:5080>;tag=\"a b\"\r\nCSeq: 1 INVITE\r\nX-My: v\u{e4}lue\r\nContent-Type: application/sdp\r\n\
        Content-Length: 5\r\n\r\nv=0\r\n";
    assert_eq!(message.bytes(), expected.as_bytes());
}

#[test]
fn injection_is_refused_by_the_builder() {
    let target = Uri::parse(b"sip:a@b").unwrap();
    let evil = b"x\r\nRoute: <sip:evil>";
    let by_text = MessageBuilder::request(&Method::Bye, &target)
        .text(HeaderName::Subject, evil)
        .build();
    assert!(matches!(by_text, Err(BuildError::Value(error)) if error.at == 1));
    let params = ParamWriter::new().pair("branch", evil);
    let via = Via {
        transport: Transport::Udp,
        host: Host::Name(b"h"),
        port: None,
        params: params.params(),
    };
    assert!(matches!(
        MessageBuilder::request(&Method::Bye, &target).typed(&via).build(),
        Err(BuildError::Value(_))
    ));
}

/// RFC 3261 §8.2.6.
#[test]
fn a_response_copies_what_it_must_byte_for_byte() {
    let raw = b"INVITE sip:x SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1,SIP/2.0/UDP b\r\nF: <sip:a@b>;tag=1\r\nVia: SIP/2.0/UDP c\r\n\
        t: \"B\" <sip:b@c>\r\ni: id@x\r\nCSEQ: 7 INVITE\r\nTimestamp: 54\r\nSubject: no\r\n\r\n";
    let request = Message::parse(raw.to_vec().into()).unwrap();
    let tag = Token::new(b"mine").ok();
    let trying = respond(&request, StatusCode::TRYING, tag).build().unwrap();
    let expected = "SIP/2.0 100 Trying\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1,SIP/2.0/UDP b\r\nVia: SIP/2.0/UDP c\r\nF: <sip:a@b>;tag=1\r\n\
        t: \"B\" <sip:b@c>\r\ni: id@x\r\nCSEQ: 7 INVITE\r\nTimestamp: 54\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(trying.bytes(), expected.as_bytes());
    let busy = respond(&request, StatusCode::BUSY_HERE, tag).build().unwrap();
    assert_eq!(busy.first(HeaderName::To), Some(&b"\"B\" <sip:b@c>;tag=mine"[..]));
    assert!(!busy.has(HeaderName::Timestamp));
    let again = respond(&busy, StatusCode::BUSY_HERE, Token::new(b"other").ok())
        .build()
        .unwrap();
    assert_eq!(
        again.require::<To<'_>>().unwrap().tag(),
        Some(&b"mine"[..]),
        "a tag that is there stays"
    );
}
