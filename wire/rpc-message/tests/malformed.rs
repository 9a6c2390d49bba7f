//! Frames that are refused: with which code, and never with a panic.
#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use offhook_rpc_message::{ClientFrame, DEPTH_MAX, ErrorCode, FRAME_LEN_MAX, decode};
use proptest::prelude::*;

fn refusal(text: &str) -> (ErrorCode, String) {
    let malformed = decode(text).unwrap_err();
    (malformed.error.code, malformed.id.as_json().to_owned())
}

#[test]
fn each_kind_of_nonsense_has_its_code_and_keeps_its_id() {
    use ErrorCode::{InvalidParams, InvalidRequest, ParseError};
    let deep = format!("{}1{}", "[".repeat(DEPTH_MAX + 1), "]".repeat(DEPTH_MAX + 1));
    let long = "x".repeat(FRAME_LEN_MAX + 1);
    for (text, code, id) in [
        ("", ParseError, "null"),
        ("{\"id\":1,", ParseError, "null"),
        ("{\"id\":1}{", ParseError, "null"),
        ("\u{0}", ParseError, "null"),
        ("true", InvalidRequest, "null"),
        ("[]", InvalidRequest, "null"),
        ("{}", InvalidRequest, "null"),
        (&deep, InvalidRequest, "null"),
        (&long, InvalidRequest, "null"),
        (r#"{"id":"a","method":null}"#, InvalidRequest, "\"a\""),
        (
            r#"{"id":"a","method":"telnyx_rtc.invite"}"#,
            InvalidParams,
            "\"a\"",
        ),
        (
            r#"{"id":"a","method":"telnyx_rtc.invite","params":{"sdp":"v=0"}}"#,
            InvalidParams,
            "\"a\"",
        ),
        (
            r#"{"id":"a","method":"telnyx_rtc.invite","params":{"dialogParams":{"callID":"k"}}}"#,
            InvalidParams,
            "\"a\"",
        ),
        (
            r#"{"id":"a","method":"telnyx_rtc.bye","params":"x"}"#,
            InvalidParams,
            "\"a\"",
        ),
        (
            r#"{"id":7,"method":"telnyx_rtc.bye","params":{"dialogParams":[]}}"#,
            InvalidParams,
            "7",
        ),
        (
            r#"{"id":7,"method":"telnyx_rtc.bye","params":{"callID":""}}"#,
            InvalidParams,
            "7",
        ),
        (
            r#"{"id":7,"method":"telnyx_rtc.bye","params":{"callID":"a\nb"}}"#,
            InvalidParams,
            "7",
        ),
        (
            r#"{"id":7,"method":"telnyx_rtc.modify","params":{"callID":"k","action":"updateMedia"}}"#,
            InvalidParams,
            "7",
        ),
    ] {
        assert_eq!(
            refusal(text),
            (code, id.to_owned()),
            "{}",
            &text[..text.len().min(90)]
        );
    }
}

#[test]
fn brackets_inside_strings_are_no_depth() {
    let text = format!(
        "{{\"id\":1,\"method\":\"telnyx_rtc.ping\",\"x\":\"{}\\\"[[\"}}",
        "[".repeat(1000)
    );
    assert!(matches!(decode(&text), Ok(ClientFrame::Request { .. })));
}

#[test]
fn an_id_and_a_frame_of_exactly_the_longest_pass() {
    let id = "x".repeat(126);
    assert!(decode(&format!("{{\"id\":\"{id}\",\"method\":\"telnyx_rtc.ping\"}}")).is_ok());
    assert!(decode(&format!("{{\"id\":\"{id}x\",\"method\":\"telnyx_rtc.ping\"}}")).is_err());
    let frame = |padding: usize| {
        format!(
            "{{\"id\":1,\"method\":\"telnyx_rtc.ping\",\"x\":\"{}\"}}",
            "x".repeat(padding)
        )
    };
    let fits = FRAME_LEN_MAX - frame(0).len();
    assert!(decode(&frame(fits)).is_ok());
    assert!(decode(&frame(fits + 1)).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = decode(&text);
    }

    #[test]
    fn no_params_make_it_panic(method in "[a-zA-Z_]{0,20}", params in "[\\[\\]{}\":,a-z0-9\\\\ ]{0,100}") {
        let _ = decode(&format!("{{\"id\":1,\"method\":\"telnyx_rtc.{method}\",\"params\":{params}}}"));
    }

    /// The id of a request comes back as it was, whatever it is.
    #[test]
    fn ids_are_echoed(id in prop_oneof!["[1-9][0-9]{0,15}", "\"[a-zA-Z0-9-]{0,40}\"", Just("null".to_owned())]) {
        let frame = decode(&format!("{{\"method\":\"telnyx_rtc.ping\",\"id\":{id}}}")).unwrap();
        let ClientFrame::Request { id: echoed, .. } = frame else { panic!("{frame:?}") };
        let same: serde_json::Value = serde_json::from_str(echoed.as_json()).unwrap();
        prop_assert_eq!(same, serde_json::from_str::<serde_json::Value>(&id).unwrap());
    }
}
