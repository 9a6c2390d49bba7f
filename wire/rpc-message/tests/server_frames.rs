//! Each line of `transcripts/server_*.jsonl` is a frame as SDKs read it; ours are written exactly so.
#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use offhook_rpc_message::validate::CustomHeader;
use offhook_rpc_message::{
    ByeMessage, CallIds, ClientCallId, ClientFrame, ErrorCode, FrameId, GatewayState, GatewayStatus,
    HoldState, Party, ResultBody, RpcError, ServerMessage, SessionId, VoiceSdkId, decode,
};
use serde_json::{Value, json};

const RESULTS: &str = include_str!("transcripts/server_results.jsonl");
const ERRORS: &str = include_str!("transcripts/server_errors.jsonl");
const MESSAGES: &str = include_str!("transcripts/server_messages.jsonl");

const SDP: &str = "v=0\r\n";

fn call(id: &str) -> ClientCallId {
    ClientCallId::new(id).unwrap()
}

fn voice() -> VoiceSdkId {
    VoiceSdkId("v-1".into())
}

fn frame_id(json: &str) -> FrameId {
    match decode(&format!("{{\"id\":{json},\"method\":\"telnyx_rtc.ping\"}}")).unwrap() {
        ClientFrame::Request { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

fn gateway(state: GatewayState, call_report_id: Option<&str>) -> ResultBody {
    ResultBody::Gateway(GatewayStatus {
        state,
        call_report_id: call_report_id.map(str::to_owned),
        dc: "fra1".into(),
        region: "eu".into(),
    })
}

fn results() -> Vec<(&'static str, ResultBody)> {
    let channels = || vec!["conference-liveArray.sales".to_owned()];
    let hold = ResultBody::Hold {
        call: call("k-1"),
        action: "hold",
        state: HoldState::Held,
    };
    let updated = ResultBody::UpdatedMedia {
        call: call("k-1"),
        sdp: SDP.into(),
        state: HoldState::Active,
    };
    let ended = ResultBody::CallEnded {
        call: call("k-1"),
        cause: "NORMAL_CLEARING".into(),
        cause_code: 16,
    };
    vec![
        ("c-01", ResultBody::LoggedIn { protocol_version: 1 }),
        ("c-06", gateway(GatewayState::Reged, Some("cr-1"))),
        ("c-06", gateway(GatewayState::NoReg, None)),
        ("c-04", ResultBody::Pong),
        ("before login", ResultBody::Pong),
        ("c-07", ResultBody::CallCreated(call("k-1"))),
        ("c-09", ResultBody::CallAnswered(call("k-3"))),
        ("c-11", hold),
        ("c-14", updated),
        ("c-16", ended),
        ("c-18", ResultBody::Sent),
        ("c-20", ResultBody::Call(call("k-1"))),
        ("c-22", ResultBody::NotSubscribed { channels: channels() }),
        ("c-23", ResultBody::NotUnsubscribed { channels: channels() }),
        ("c-24", ResultBody::Broadcast),
        ("c-10", ResultBody::CallAttached(call("k-1"))),
        ("c-26", ResultBody::Empty),
        ("c-31", ResultBody::PushDisabled),
    ]
}

fn party(name: &str, number: &str) -> Party {
    Party {
        name: name.into(),
        number: number.into(),
    }
}

fn ids() -> CallIds {
    CallIds {
        control: "cc-1".into(),
        session: "ts-1".into(),
        leg: "tl-1".into(),
    }
}

fn header(name: &str, value: &str) -> Vec<CustomHeader> {
    vec![CustomHeader::new(name, value).unwrap()]
}

fn answer(sdp: Option<&str>, headers: Vec<CustomHeader>) -> ServerMessage {
    ServerMessage::Answer {
        call: call("k-1"),
        sdp: sdp.map(str::to_owned),
        ids: ids(),
        headers,
    }
}

fn bye(
    cause: &str,
    cause_code: u16,
    sip: Option<(u16, &str, &str)>,
    headers: Vec<CustomHeader>,
) -> ServerMessage {
    ServerMessage::Bye(ByeMessage {
        call: call("k-1"),
        cause: cause.into(),
        cause_code,
        sip_code: sip.map(|(code, ..)| code),
        sip_reason: sip.map(|(_, reason, _)| reason.into()),
        sip_call_id: sip.map(|(.., id)| id.into()),
        client_state: None,
        headers,
    })
}

/// Those of an outbound call.
fn outbound() -> Vec<(u64, ServerMessage)> {
    let ringing = ServerMessage::Ringing {
        call: call("k-1"),
        caller: party("Carla", "+4930333444"),
        callee: party("Outbound Call", "+4930111222"),
        ids: ids(),
        headers: vec![],
    };
    let busy = Some((486, "Busy Here", "z@198.51.100.7"));
    vec![
        (
            1,
            ServerMessage::ClientReady {
                reattached: Some(vec![]),
            },
        ),
        (
            2,
            ServerMessage::ClientReady {
                reattached: Some(vec![call("k-1"), call("k-2")]),
            },
        ),
        (3, ServerMessage::ClientReady { reattached: None }),
        (41, ServerMessage::Ping { serno: 1_760_000_123 }),
        (43, ringing),
        (
            44,
            ServerMessage::Media {
                call: call("k-1"),
                sdp: SDP.into(),
                headers: vec![],
            },
        ),
        (45, answer(None, header("X-Agent", "7"))),
        (45, answer(Some(SDP), vec![])),
        (46, bye("USER_BUSY", 17, busy, header("X-Agent", "7"))),
        (47, bye("NORMAL_CLEARING", 16, None, vec![])),
    ]
}

/// Those of an inbound call, and the rest.
fn inbound() -> Vec<(u64, ServerMessage)> {
    let invite = ServerMessage::Invite {
        call: call("k-3"),
        sdp: SDP.into(),
        caller: party("Bob", "+4940555666"),
        callee: party("Carla", "carla"),
        ids: ids(),
        client_state: Some("e30=".into()),
        headers: header("X-Queue", "support"),
    };
    let attach = ServerMessage::Attach {
        call: call("k-1"),
        sdp: SDP.into(),
        caller: party("Carla", "+4930333444"),
        callee: party("Outbound Call", "+4930111222"),
        ids: ids(),
        client_state: None,
    };
    let data = json!({"kind": "recording-started"});
    vec![
        (50, invite),
        (
            60,
            ServerMessage::Info {
                call: call("k-1"),
                dtmf: Some("5".into()),
            },
        ),
        (
            62,
            ServerMessage::Display {
                call: call("k-1"),
                party: party("Dora", "+4940777"),
            },
        ),
        (
            63,
            ServerMessage::Event {
                channel: "k-1".into(),
                data,
            },
        ),
        (
            64,
            ServerMessage::GatewayState {
                state: GatewayState::Reged,
            },
        ),
        (65, ServerMessage::Punt {}),
        (70, attach),
    ]
}

fn assert_same(written: Vec<String>, transcript: &str) {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let expected: Vec<_> = transcript.lines().map(value).collect();
    let written: Vec<_> = written.iter().map(|text| value(text)).collect();
    assert_eq!(written, expected);
}

#[test]
fn results_are_shaped_as_the_sdks_read_them() {
    let session = SessionId("s-1".into());
    let encode = |(id, body): (&str, ResultBody)| match id {
        "before login" => body.encode(&frame_id("\"c-04\""), None, &voice()),
        id => body.encode(&frame_id(&format!("\"{id}\"")), Some(&session), &voice()),
    };
    assert_same(results().into_iter().map(encode).collect(), RESULTS);
    for line in RESULTS.lines() {
        let result = serde_json::from_str::<Value>(line).unwrap()["result"].take();
        assert!(result.is_object() && result.get("result").is_none(), "{line}");
    }
}

#[test]
fn errors_are_shaped_as_the_sdks_read_them() {
    let refused = RpcError::new(ErrorCode::AuthenticationFailed, "Authentication failure");
    let unknown = RpcError::new(ErrorCode::MethodNotFound, "there is no method \"fly\"");
    let written = vec![
        refused.encode(&frame_id("\"c-01\""), &voice()),
        unknown.encode(&frame_id("{\"odd\":[1,2.5]}"), &voice()),
    ];
    assert_same(written, ERRORS);
}

#[test]
fn messages_are_shaped_as_the_sdks_read_them() {
    let messages = outbound().into_iter().chain(inbound());
    assert_same(
        messages
            .map(|(id, message)| message.encode(id, &voice()))
            .collect(),
        MESSAGES,
    );
    let ready = MESSAGES.lines().filter(|line| line.contains("clientReady"));
    assert!(ready.into_iter().all(|line| !line.contains("\"state\"")));
}
