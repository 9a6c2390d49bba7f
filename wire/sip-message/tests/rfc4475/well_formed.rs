//! RFC 4475 §3.1.1, §3.2, §3.3, §3.4: messages that must be understood, however odd they look.

use super::{message, options, parse};
use offhook_sip_message::header::{
    Contact, ContentLength, ContentType, From, Header, MaxForwards, Route, To, Transport, Via,
};
use offhook_sip_message::{Edit, HeaderName, HeaderValue, Message, Scheme, StartLine, StatusCode, validate};

fn accepted(raw: &[u8]) -> Message {
    let message = parse(raw);
    assert_eq!(validate(&message), Ok(()), "{}", String::from_utf8_lossy(raw));
    assert_eq!(message.bytes(), raw, "unchanged bytes go out as they came in");
    message
}

#[test]
fn s3_1_1_1_folds_compact_forms_odd_case_and_escapes() {
    let raw = message(&[
        b"INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0",
        b"TO :",
        b" sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n",
        b"from   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>",
        b"  ;",
        b"  tag = 98asjd8",
        b"MaX-fOrWaRdS: 0068",
        b"Call-ID: wsinv.ndaksdj@192.0.2.1",
        b"Content-Length   : 4",
        b"cseq: 0009",
        b"  INVITE",
        b"Via  : SIP  /   2.0",
        b" /UDP",
        b"    192.0.2.2;branch=390skdjuw",
        b"s :",
        b"NewFangledHeader:   newfangled value",
        b" continued newfangled value",
        b"UnknownHeaderWithUnusualValue: ;;,,;;,;",
        b"Content-Type: application/sdp",
        b"Route:",
        b" <sip:services.example.com;lr;unknownwith=value;unknown-no-value>",
        b"v:  SIP  / 2.0  / TCP     spindle.example.com   ;",
        b"  branch  =   z9hG4bK9ikj8  ,",
        b" SIP  /    2.0   / UDP  192.168.255.111   ; branch=",
        b" z9hG4bK30239",
        b"m:\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =",
        b"      newvalue ;",
        b"  secondparam ; q = 0.33",
    ]);
    let raw = [&raw[..], b"v=0\n"].concat();
    let message = accepted(&raw);
    let vias: Vec<Via<'_>> = message.all().collect::<Result<_, _>>().unwrap();
    assert_eq!(vias.len(), 3, "one line with one element, one with two, in order");
    assert_eq!(vias[0].branch(), Some(&b"390skdjuw"[..]));
    assert!(!vias[0].has_rfc3261_branch());
    assert_eq!(vias[1].transport, Transport::Tcp);
    assert_eq!(vias[1].branch(), Some(&b"z9hG4bK9ikj8"[..]));
    assert_eq!(vias[2].branch(), Some(&b"z9hG4bK30239"[..]));
    assert_eq!(
        message.require::<To<'_>>().unwrap().tag(),
        Some(&b"1918181833n"[..])
    );
    let from: From<'_> = message.require().unwrap();
    assert_eq!(from.display_text().as_ref(), b"J Rosenberg \\\"");
    assert_eq!(from.tag(), Some(&b"98asjd8"[..]));
    assert_eq!(message.require::<MaxForwards>().unwrap().0, 68);
    assert_eq!(message.first(HeaderName::Subject), Some(&b""[..]));
    assert_eq!(
        message.first(HeaderName::custom("unknownheaderwithunusualvalue")),
        Some(&b";;,,;;,;"[..])
    );
    assert!(message.require::<Route<'_>>().unwrap().uri.is_loose_router());
    let contact: Contact<'_> = message.require().unwrap();
    assert_eq!(contact.address().unwrap().params.get("q"), Some(&b"0.33"[..]));
    assert_eq!(message.body(), b"v=0\n");
}

#[test]
fn s3_1_1_2_wide_range_of_valid_characters() {
    let start = "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0";
    let raw = options(
        start,
        &[
            ("CSeq", "139122385 !interesting-Method0123456789_*+`.%indeed'~"),
            (
                "To",
                "\"BEL:\\\u{7} NUL:\\\0 DEL:\\\u{7f}\" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>",
            ),
            (
                "From",
                "token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.",
            ),
            ("Call-ID", "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"),
        ],
    );
    let message = accepted(&raw);
    assert_eq!(
        message.method().unwrap().as_bytes(),
        b"!interesting-Method0123456789_*+`.%indeed'~"
    );
    let uri = message.request_uri().unwrap().unwrap();
    assert_eq!(
        uri.user(),
        Some(&b"1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"[..])
    );
    assert_eq!(
        uri.password(),
        Some(&b"&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"[..])
    );
    assert_eq!(
        message.require::<To<'_>>().unwrap().display_text().as_ref(),
        b"BEL:\x07 NUL:\0 DEL:\x7f"
    );
}

#[test]
fn s3_1_1_3_and_4_percent_escapes_and_escaped_nulls() {
    let raw = options(
        "OPTIONS sip:sips%3Auser%40example.com@example.net SIP/2.0",
        &[
            ("To", "sip:%75se%72@example.com"),
            (
                "Contact",
                "<sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>",
            ),
        ],
    );
    let message = accepted(&raw);
    let uri = message.request_uri().unwrap().unwrap();
    assert_eq!(uri.user_unescaped().unwrap().as_ref(), b"sips:user@example.com");
    let to: To<'_> = message.require().unwrap();
    assert_eq!(to.uri.user_unescaped().unwrap().as_ref(), b"user");

    let raw = options(
        "OPTIONS sip:example.com SIP/2.0",
        &[("To", "sip:null-%00-null@example.com")],
    );
    let message = accepted(&raw);
    let to: To<'_> = message.require().unwrap();
    assert_eq!(to.uri.user_unescaped().unwrap().as_ref(), b"null-\0-null");
}

#[test]
fn s3_1_1_5_a_percent_sign_outside_uris_is_no_escape() {
    let raw = options(
        "RE%47IST%45R sip:registrar.example.com SIP/2.0",
        &[
            ("CSeq", "29344 RE%47IST%45R"),
            ("To", "\"%Z%45\" <sip:resource@example.com>"),
            ("C%6Fntact", "<sip:alias2@host2.example.com>"),
        ],
    );
    let message = accepted(&raw);
    assert_eq!(message.method().unwrap().as_bytes(), b"RE%47IST%45R");
    assert!(!message.has(HeaderName::Contact));
    assert_eq!(
        message.require::<To<'_>>().unwrap().display_text().as_ref(),
        b"%Z%45"
    );
}

#[test]
fn s3_1_1_6_no_space_between_display_name_and_bracket() {
    let raw = options(
        "OPTIONS sip:user@example.com SIP/2.0",
        &[("From", "caller<sip:caller@example.com>;tag=323")],
    );
    let message = accepted(&raw);
    assert_eq!(message.require::<From<'_>>().unwrap().display, b"caller");
}

#[test]
fn s3_1_1_7_very_long_values() {
    let name = "amanwithanextremelylongname".repeat(12);
    let uri = format!("sip:{name}@example.com;{}=value", "longparameter".repeat(15));
    let vias: Vec<String> = (0..34)
        .map(|n| {
            format!(
                "SIP/2.0/TCP sip{n}.example.com;branch=z9hG4bK{}",
                "x".repeat(n * 5)
            )
        })
        .collect();
    let raw = options(
        &format!("OPTIONS {uri} SIP/2.0"),
        &[("Via", &vias.join(", ")), ("To", &format!("\"{name}\"<{uri}>"))],
    );
    let message = accepted(&raw);
    assert_eq!(message.all::<Via<'_>>().filter(Result::is_ok).count(), 34);
}

#[test]
fn s3_1_1_8_a_second_message_in_the_datagram_is_dropped() {
    let first = options("OPTIONS sip:j.user@example.com SIP/2.0", &[]);
    let message = parse(
        &[
            first.clone(),
            b"INVITE sip:joe@example.com SIP/2.0\r\n\r\n".to_vec(),
        ]
        .concat(),
    );
    assert_eq!(message.bytes(), &first);
    assert_eq!(message.body(), b"");
}

#[test]
fn s3_1_1_9_semicolons_in_the_user_part() {
    let raw = options("OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0", &[]);
    let message = accepted(&raw);
    let uri = message.request_uri().unwrap().unwrap();
    assert_eq!(uri.user_unescaped().unwrap().as_ref(), b"user;par=u@example.net");
    assert_eq!(uri.params().as_bytes(), b"");
}

#[test]
fn s3_1_1_10_unknown_transports() {
    let raw = options(
        "OPTIONS sip:user@example.com SIP/2.0",
        &[(
            "Via",
            "SIP/2.0/UDP t1.example.org;branch=z9hG4bKkdjuw, SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf, SIP/2.0/UNKNOWN t5.example.com;branch=z9hG4bKz98",
        )],
    );
    let message = accepted(&raw);
    let last = message.all::<Via<'_>>().last().unwrap().unwrap();
    assert_eq!(last.transport, Transport::Other(b"UNKNOWN"));
}

#[test]
fn s3_1_1_11_a_binary_multipart_body_survives_edits() {
    let mut body =
        b"--7a9cbec02ceef655\r\nContent-Type: text/plain\r\n\r\nhi\r\n--7a9cbec02ceef655\r\n\r\n".to_vec();
    body.extend((0..=255u8).cycle().take(700));
    let length = body.len().to_string();
    let mut raw = options(
        "MESSAGE sip:kumiko@example.org SIP/2.0",
        &[
            ("CSeq", "1 MESSAGE"),
            ("Content-Length", &length),
            ("Content-Type", "multipart/mixed;boundary=7a9cbec02ceef655"),
        ],
    );
    raw.extend_from_slice(&body);
    let message = accepted(&raw);
    let kind: ContentType<'_> = message.require().unwrap();
    assert!(kind.is("multipart", "mixed"));
    assert_eq!(kind.params.get("boundary"), Some(&b"7a9cbec02ceef655"[..]));
    let mut edit = Edit::new(&message);
    edit.prepend(
        HeaderName::Via,
        &HeaderValue::new("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx").unwrap(),
    );
    assert_eq!(edit.finish_message().unwrap().body(), body);
}

#[test]
fn s3_1_1_12_and_13_odd_and_empty_reason_phrases() {
    for (reason, line) in [
        (
            &b"= 2**3 * 5**2 \xd0\xbd\xd0\xbe"[..],
            &b"SIP/2.0 200 = 2**3 * 5**2 \xd0\xbd\xd0\xbe"[..],
        ),
        (&b""[..], &b"SIP/2.0 100 "[..]),
    ] {
        let mut raw = line.to_vec();
        raw.extend_from_slice(&options("", &[]));
        let message = accepted(&raw);
        let StartLine::Response { reason: found, .. } = message.start_line() else {
            panic!("a response")
        };
        assert_eq!(found, reason);
    }
}

#[test]
fn s3_3_unknown_schemes_are_read_and_left_to_the_application() {
    for uri in [
        "nobodyKnowsThisScheme:totallyopaquecontent",
        "soap.beep://192.0.2.103:3002",
    ] {
        let message = accepted(&options(&format!("OPTIONS {uri} SIP/2.0"), &[]));
        assert_eq!(message.request_uri().unwrap().unwrap().scheme(), Scheme::Other);
    }
    let message = accepted(&options(
        "OPTIONS sip:user@example.com SIP/2.0",
        &[
            ("To", "isbn:2983792873"),
            ("From", "<http://www.example.com>;tag=3234"),
        ],
    ));
    assert_eq!(
        message.require::<To<'_>>().unwrap().uri.as_bytes(),
        b"isbn:2983792873"
    );
}

#[test]
fn s3_3_11_zero_max_forwards_is_well_formed() {
    let message = accepted(&options(
        "OPTIONS sip:user@example.com SIP/2.0",
        &[("Max-Forwards", "0")],
    ));
    assert_eq!(message.require::<MaxForwards>().unwrap(), MaxForwards(0));
}

#[test]
fn s3_3_13_and_14_contact_parameters_belong_to_header_or_uri_by_the_brackets() {
    let bare = Contact::parse(b"sip:+19725552222@gw1.example.net;unknownparam").unwrap();
    assert!(bare.address().unwrap().params.has("unknownparam"));
    let bracketed = Contact::parse(b"<sip:+19725552222@gw1.example.net;unknownparam>").unwrap();
    assert!(bracketed.address().unwrap().uri.params().has("unknownparam"));
    assert!(!bracketed.address().unwrap().params.has("unknownparam"));
}

#[test]
fn s3_3_15_escaped_headers_in_a_contact_uri() {
    let contact = Contact::parse(b"<sip:user@example.com?Route=%3Csip:sip.example.com%3E>").unwrap();
    assert_eq!(
        contact.address().unwrap().uri.headers(),
        b"Route=%3Csip:sip.example.com%3E"
    );
}

#[test]
fn s3_4_1_messages_of_rfc_2543_are_understood() {
    let raw = message(&[
        b"INVITE sip:UserB@example.com SIP/2.0",
        b"Via: SIP/2.0/UDP iftgw.example.com",
        b"From: <sip:+13035551111@ift.client.example.net;user=phone>",
        b"Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>",
        b"To: sip:+16505552222@ss1.example.net;user=phone",
        b"Call-ID: inv2543.1717@ift.client.example.com",
        b"CSeq: 56 INVITE",
        b"Content-Type: application/sdp",
    ]);
    let raw = [&raw[..], b"v=0\r\n"].concat();
    let message = accepted(&raw);
    assert!(message.get::<ContentLength>().is_none());
    assert_eq!(
        message.body(),
        b"v=0\r\n",
        "without Content-Length the datagram's rest is the body"
    );
    let via: Via<'_> = message.require().unwrap();
    assert_eq!(via.branch(), None);
    assert_eq!(message.status(), None::<StatusCode>);
}
