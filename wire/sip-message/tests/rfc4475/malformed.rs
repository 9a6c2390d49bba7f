//! RFC 4475 §3.1.2, §3.2.1, §3.3.8 ff.: messages that must be refused, with the status that fits.

use super::{message, options, parse};
use offhook_sip_message::header::{CSeq, Contact, Expires, Via};
use offhook_sip_message::{Defect, HeaderName, Message, ParseError, StatusCode, respond, validate};

const START: &str = "OPTIONS sip:user@example.com SIP/2.0";

fn parse_error(raw: &[u8]) -> ParseError {
    Message::parse(raw.to_vec().into()).expect_err("the message is broken")
}

/// The defect of a message that can be parsed, which is answered with 400.
fn defect(raw: &[u8]) -> Defect {
    let defect = validate(&parse(raw)).expect_err("the message breaks a rule");
    assert_eq!(defect.status(), StatusCode::BAD_REQUEST);
    defect
}

fn defect_in(header: HeaderName<'static>, value: &str) {
    let name = header.to_string();
    let raw = options(START, &[(&name, value)]);
    match defect(&raw) {
        Defect::Header(error) => assert_eq!(error.header, header),
        other => panic!("{other} instead of {header}"),
    }
}

#[test]
fn s3_1_2_1_stray_separators_after_parameters() {
    defect_in(HeaderName::Via, "SIP/2.0/UDP 192.0.2.15;;,;,,");
    defect_in(HeaderName::Contact, "\"Joe\" <sip:joe@example.org>;;;;");
}

#[test]
fn s3_1_2_2_body_shorter_than_content_length() {
    assert_eq!(
        defect(&options(START, &[("Content-Length", "9999")])),
        Defect::BodyCut {
            declared: 9999,
            present: 0
        }
    );
}

#[test]
fn s3_1_2_3_negative_content_length() {
    defect_in(HeaderName::ContentLength, "-999");
}

#[test]
fn s3_1_2_4_and_5_scalars_out_of_range() {
    defect_in(HeaderName::CSeq, "36893488147419103232 OPTIONS");
    defect_in(HeaderName::CSeq, "2147483648 OPTIONS");
    defect_in(HeaderName::MaxForwards, "300");
    let raw = options(START, &[("Expires", "10000000000000000000000000000000000")]);
    assert!(parse(&raw).require::<Expires>().is_err());
    let response = format!(
        "SIP/2.0 503 Service Unavailable\r\n{}",
        String::from_utf8(options("", &[("CSeq", "9292394834772304023312 OPTIONS")]))
            .unwrap()
            .trim_start()
    );
    assert!(matches!(defect(response.as_bytes()), Defect::Header(_)));
    assert!(parse(response.as_bytes()).require::<CSeq>().is_err());
}

#[test]
fn s3_1_2_6_quote_that_never_closes() {
    defect_in(HeaderName::To, "\"Mr. J. User <sip:j.user@example.com>");
}

#[test]
fn s3_1_2_7_request_uri_in_brackets() {
    assert!(matches!(
        defect(&options("OPTIONS <sip:user@example.com> SIP/2.0", &[])),
        Defect::RequestUri(_)
    ));
}

#[test]
fn s3_1_2_8_to_10_white_space_in_the_request_line() {
    for start in [
        "OPTIONS sip:user@example.com; lr SIP/2.0",
        "OPTIONS  sip:user@example.com  SIP/2.0",
        "OPTIONS sip:user@example.com SIP/2.0  ",
    ] {
        let raw = options(start, &[]);
        assert_eq!(parse_error(&raw), ParseError::StartLine, "{start}");
        assert_eq!(ParseError::StartLine.status(), StatusCode::BAD_REQUEST);
        let salvaged = Message::salvage(raw.into()).expect("its Via, From, To, Call-ID and CSeq are whole");
        let answer = respond(&salvaged, StatusCode::BAD_REQUEST, None).build().unwrap();
        assert_eq!(validate(&answer), Ok(()));
    }
}

#[test]
fn s3_1_2_11_headers_in_the_request_uri() {
    let raw = options(
        "OPTIONS sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0",
        &[],
    );
    assert_eq!(defect(&raw), Defect::RequestUriHeaders);
}

#[test]
fn s3_1_2_13_question_mark_in_a_bare_contact() {
    defect_in(
        HeaderName::Contact,
        "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
    );
}

#[test]
fn s3_1_2_14_spaces_in_an_address() {
    defect_in(HeaderName::To, "\"Watson, Thomas\" < sip:t.watson@example.org >");
}

#[test]
fn s3_1_2_15_unquoted_comma_in_a_display_name() {
    defect_in(
        HeaderName::From,
        "Bell, Alexander <sip:a.g.bell@example.com>;tag=43",
    );
}

#[test]
fn s3_1_2_16_unknown_version() {
    let raw = options("OPTIONS sip:t.watson@example.org SIP/7.0", &[]);
    assert_eq!(parse_error(&raw), ParseError::Version);
    assert_eq!(ParseError::Version.status(), StatusCode::VERSION_NOT_SUPPORTED);
    assert!(Message::salvage(raw.into()).is_some());
}

#[test]
fn s3_1_2_17_and_18_method_in_cseq_differs() {
    assert_eq!(
        defect(&options(START, &[("CSeq", "8 INVITE")])),
        Defect::CSeqMethod
    );
    assert_eq!(
        defect(&options(
            "NEWMETHOD sip:user@example.com SIP/2.0",
            &[("CSeq", "8 INVITE")]
        )),
        Defect::CSeqMethod
    );
}

#[test]
fn s3_1_2_19_status_code_too_large_is_dropped_without_an_answer() {
    let raw = options("SIP/2.0 4294967301 better not break the receiver", &[]);
    assert_eq!(parse_error(&raw), ParseError::StatusCode);
    assert!(Message::salvage(raw.into()).is_none());
}

#[test]
fn s3_2_1_branch_with_nothing_after_the_cookie() {
    let message = parse(&options(
        START,
        &[("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK")],
    ));
    assert!(!message.require::<Via<'_>>().unwrap().has_rfc3261_branch());
}

#[test]
fn s3_3_1_missing_headers() {
    let raw = message(&[
        b"INVITE sip:user@example.com SIP/2.0",
        b"CSeq: 193942 INVITE",
        b"Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj",
    ]);
    match defect(&raw) {
        Defect::Header(error) => assert_eq!(error.to_string(), "header From: missing"),
        other => panic!("{other}"),
    }
}

#[test]
fn s3_3_8_and_9_headers_that_may_be_there_once() {
    for (name, value) in [
        ("CSeq", "59 OPTIONS"),
        ("Call-ID", "other@192.0.2.1"),
        ("From", "<sip:x@y.example>;tag=1"),
        ("t", "<sip:x@y.example>"),
        ("l", "5"),
        ("Max-Forwards", "5"),
    ] {
        let mut raw = options(START, &[]);
        let head_end = raw.len() - 2;
        raw.splice(head_end..head_end, format!("{name}: {value}\r\n").into_bytes());
        assert!(matches!(defect(&raw), Defect::Repeated(_)), "{name}");
    }
}

#[test]
fn a_line_without_colon_or_with_a_stray_line_break_is_refused_as_a_whole() {
    for line in [
        "no colon here",
        ": no name",
        "Two words: x",
        "X-A: a\rb",
        "X-A: a\nVia: SIP/2.0/UDP 192.0.2.66;branch=z9hG4bKfake",
    ] {
        let raw = message(&[
            START.as_bytes(),
            line.as_bytes(),
            b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
        ]);
        let error = parse_error(&raw);
        assert!(
            matches!(
                error,
                ParseError::HeaderLine { .. } | ParseError::BareLineBreak { .. }
            ),
            "{line:?}: {error}"
        );
        let salvaged = Message::salvage(raw.into()).expect("the Via is whole");
        assert!(
            salvaged
                .all::<Via<'_>>()
                .filter_map(Result::ok)
                .any(|via| via.branch() == Some(b"z9hG4bK1")),
            "{line:?}"
        );
    }
}

#[test]
fn contacts_are_checked_one_by_one() {
    let raw = options(START, &[("Contact", "<sip:a@example.com>, <sip:b@exa mple.com>")]);
    assert!(matches!(defect(&raw), Defect::Header(error) if error.header == HeaderName::Contact));
    assert_eq!(parse(&raw).all::<Contact<'_>>().filter(Result::is_ok).count(), 1);
}

#[test]
fn a_request_that_nothing_can_be_added_to_is_too_large() {
    let request = |line: &str, count: usize| {
        format!(
            "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:h>\r\n\
             Call-ID: 1\r\nCSeq: 1 OPTIONS\r\n{}\r\n",
            line.repeat(count)
        )
    };
    assert_eq!(validate(&parse(request("X: 1\r\n", 235).as_bytes())), Ok(()));
    let long = format!("X: {}\r\n", "1".repeat(1000));
    assert_eq!(validate(&parse(request(&long, 60).as_bytes())), Ok(()));
    for large in [request("X: 1\r\n", 236), request(&long, 62)] {
        let defect = validate(&parse(large.as_bytes())).expect_err("there is no room");
        assert_eq!((defect, defect.status().code()), (Defect::NoRoom, 513));
    }
}
