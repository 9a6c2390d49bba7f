//! Each line of `transcripts/` is a frame of the dialect: what clients send is read, what servers send is written.
#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use offhook_rpc_message::validate::CustomHeader;
use offhook_rpc_message::{
    ByeMessage, CallIds, ClientCallId, ClientFrame, ClientMethod, ErrorCode, FrameId, GatewayState,
    GatewayStatus, HoldState, Info, ModifyAction, Party, ResultBody, RpcError, ServerMessage, SessionId,
    SpeedTest, VoiceSdkId, decode,
};
use serde_json::{Value, json};

const CLIENT: &str = include_str!("transcripts/client.jsonl");
const SERVER: &str = include_str!("transcripts/server.jsonl");

fn line(id: &str) -> ClientFrame {
    let id = format!("\"id\":\"{id}\"");
    decode(CLIENT.lines().find(|line| line.contains(&id)).unwrap()).unwrap()
}

fn method(id: &str) -> ClientMethod {
    match line(id) {
        ClientFrame::Request { id: frame, method } => {
            assert_eq!(frame.as_json(), format!("\"{id}\""));
            method
        }
        other => panic!("{other:?}"),
    }
}

fn call(id: &str) -> ClientCallId {
    ClientCallId::new(id).unwrap()
}

#[test]
fn every_frame_of_a_client_is_read() {
    for text in CLIENT.lines() {
        assert!(decode(text).is_ok(), "{text}: {:?}", decode(text));
    }
}

#[test]
fn logins_of_old_and_new_sdks() {
    let ClientMethod::Login(login) = method("c-01") else {
        panic!()
    };
    assert_eq!(
        (login.user.as_deref(), login.password.as_deref()),
        (Some("carla"), Some("not-a-real-one"))
    );
    assert_eq!((login.token.as_deref(), login.session.as_deref()), (None, None));
    assert!(!login.reconnection && !login.early_sdp_answer);
    assert_eq!(login.user_agent.as_deref(), Some("2.27.10"));
    assert!(!format!("{login:?}").contains("not-a-real-one"));

    let ClientMethod::Login(login) = method("c-02") else {
        panic!()
    };
    assert_eq!(
        (login.token.as_deref(), login.session.as_deref()),
        (Some("h.p.s"), Some("s-1"))
    );
    assert!(login.reconnection && login.early_sdp_answer);
    assert_eq!(login.user_agent.as_deref(), Some("ReactNative-0.3"));

    let ClientMethod::AnonymousLogin(login) = method("c-03") else {
        panic!()
    };
    assert_eq!(login.target_type.as_deref(), Some("ai_assistant"));
}

#[test]
fn invites_with_all_their_options() {
    let ClientMethod::Invite(invite) = method("c-07") else {
        panic!()
    };
    assert_eq!(
        (&invite.call, invite.sdp.as_str(), invite.trickle),
        (&call("k-1"), "v=0\r\n", true)
    );
    assert_eq!(invite.dialog.destination_number.as_deref(), Some("+4930111222"));
    assert_eq!(invite.dialog.caller_id_number.as_deref(), Some("+4930333444"));
    assert_eq!(invite.dialog.client_state.as_deref(), Some("e30="));
    let headers: Vec<_> = invite
        .dialog
        .custom_headers
        .iter()
        .map(|h| (h.name.as_str(), h.value.as_str()))
        .collect();
    assert_eq!(headers, [("X-Ticket", "17"), ("X-Number", "5")]);

    let ClientMethod::Invite(mobile) = method("c-08") else {
        panic!()
    };
    assert_eq!((&mobile.call, mobile.trickle), (&call("k-2"), true));
    assert_eq!(mobile.dialog.destination_number.as_deref(), Some("123"));
    assert_eq!(mobile.dialog.custom_headers[0].name, "X-Map");
}

#[test]
fn requests_of_a_call_find_it_wherever_its_id_stands() {
    for (id, name, of) in [
        ("c-09", "answer", "k-3"),
        ("c-10", "attach", "k-3"),
        ("c-11", "modify", "k-1"),
        ("c-13", "modify", "k-1"),
        ("c-16", "bye", "k-1"),
        ("c-17", "bye", "k-1"),
        ("c-18", "info", "k-1"),
        ("c-20", "candidate", "k-1"),
        ("c-21", "endOfCandidates", "k-1"),
        ("c-32", "ringing_ack", "k-3"),
    ] {
        let method = method(id);
        assert_eq!((method.name(), method.call()), (name, Some(&call(of))), "{id}");
    }
}

#[test]
fn what_requests_of_a_call_say() {
    let action = |id| match method(id) {
        ClientMethod::Modify(modify) => modify.action,
        other => panic!("{other:?}"),
    };
    assert_eq!(action("c-11"), ModifyAction::Hold);
    assert_eq!(action("c-12"), ModifyAction::Unhold);
    assert_eq!(action("c-13"), ModifyAction::ToggleHold);
    assert_eq!(
        action("c-14"),
        ModifyAction::UpdateMedia {
            sdp: "v=0\r\n".into(),
            trickle: true
        }
    );
    assert_eq!(action("c-15"), ModifyAction::Other("transfer".into()));

    let ClientMethod::Bye(bye) = method("c-16") else {
        panic!()
    };
    assert_eq!(
        (bye.cause.as_deref(), bye.cause_code, bye.sip_code),
        (Some("NORMAL_CLEARING"), Some(16), None)
    );
    let info = |id| match method(id) {
        ClientMethod::Info { info, .. } => info,
        other => panic!("{other:?}"),
    };
    assert_eq!(info("c-18"), Info::Dtmf("12#".into()));
    assert_eq!(info("c-19"), Info::Message { body: "hello".into() });
    assert!(matches!(method("c-20"), ClientMethod::Candidate(c) if c.candidate.starts_with("candidate:1 ")));
}

#[test]
fn the_other_methods() {
    let channels = vec!["conference-liveArray.sales".to_owned()];
    assert_eq!(method("c-05"), ClientMethod::Ping);
    assert_eq!(method("c-06"), ClientMethod::GatewayState);
    assert_eq!(
        method("c-22"),
        ClientMethod::Subscribe {
            channels: channels.clone()
        }
    );
    assert_eq!(method("c-23"), ClientMethod::Unsubscribe { channels });
    assert_eq!(method("c-24"), ClientMethod::Broadcast);
    assert_eq!(method("c-25"), ClientMethod::AiConversation);
    assert_eq!(method("c-30"), ClientMethod::AttachCalls);
    assert_eq!(method("c-31"), ClientMethod::DisablePushNotification);
}

#[test]
fn frames_that_are_no_requests() {
    for (id, kind) in [
        ("c-26", "debug_report_start"),
        ("c-27", "debug_report_data"),
        ("c-28", "debug_report_stop"),
    ] {
        assert!(
            matches!(line(id), ClientFrame::Debug(report) if report.kind == kind),
            "{id}"
        );
    }
    let read = |text: &str| decode(text).unwrap();
    let ack = read(r#"{"jsonrpc":"2.0","id":43,"result":{"method":"telnyx_rtc.ringing"}}"#);
    assert_eq!(
        ack,
        ClientFrame::Ack {
            id: Some(43),
            method: Some("ringing".into())
        }
    );
    assert_eq!(
        line("c-29"),
        ClientFrame::Ack {
            id: None,
            method: None
        }
    );
    let notification = r#"{"method":"ai_conversation","params":{}}"#;
    assert_eq!(
        read(notification),
        ClientFrame::Notification(ClientMethod::AiConversation)
    );
    assert_eq!(
        read("#SPU 2048"),
        ClientFrame::SpeedTest(SpeedTest::Start { bytes: 2048 })
    );
    assert_eq!(read("#SPB ..."), ClientFrame::SpeedTest(SpeedTest::Filler));
    assert_eq!(read("#SPE"), ClientFrame::SpeedTest(SpeedTest::End));
}

fn frame_id(json: &str) -> FrameId {
    match decode(&format!("{{\"id\":{json},\"method\":\"telnyx_rtc.ping\"}}")).unwrap() {
        ClientFrame::Request { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

/// The frames of `transcripts/server.jsonl`, in its order.
fn server_frames() -> Vec<String> {
    let voice = VoiceSdkId("v-1".into());
    let session = SessionId("s-1".into());
    let k1 = || call("k-1");
    let party = |name: &str, number: &str| Party {
        name: name.into(),
        number: number.into(),
    };
    let caller = || party("Carla", "+4930333444");
    let callee = || party("Outbound Call", "+4930111222");
    let ids = || CallIds {
        control: "cc-1".into(),
        session: "ts-1".into(),
        leg: "tl-1".into(),
    };
    let agent = || vec![CustomHeader::new("X-Agent", "7").unwrap()];
    let sdp = || "v=0\r\n".to_owned();
    let result =
        |id: &str, body: ResultBody| body.encode(&frame_id(&format!("\"{id}\"")), Some(&session), &voice);
    let message = |id: u64, message: ServerMessage| message.encode(id, &voice);
    let gateway = |state, id: Option<&str>| {
        let call_report_id = id.map(str::to_owned);
        ResultBody::Gateway(GatewayStatus {
            state,
            call_report_id,
            dc: "fra1".into(),
            region: "eu".into(),
        })
    };
    let bye = |cause: &str, cause_code, sip: Option<(u16, &str, &str)>, headers| {
        ServerMessage::Bye(ByeMessage {
            call: k1(),
            cause: cause.into(),
            cause_code,
            sip_code: sip.map(|(code, ..)| code),
            sip_reason: sip.map(|(_, reason, _)| reason.into()),
            sip_call_id: sip.map(|(.., id)| id.into()),
            headers,
        })
    };
    let answer = |sdp, headers| ServerMessage::Answer {
        call: k1(),
        sdp,
        ids: ids(),
        headers,
    };
    let refused = RpcError::new(ErrorCode::AuthenticationFailed, "Authentication failure");
    let unknown = RpcError::new(ErrorCode::MethodNotFound, "there is no method \"fly\"");
    let channels = || vec!["conference-liveArray.sales".to_owned()];
    vec![
        result("c-01", ResultBody::LoggedIn { protocol_version: 1 }),
        refused.encode(&frame_id("\"c-01\""), &voice),
        message(
            1,
            ServerMessage::ClientReady {
                reattached: Some(vec![]),
            },
        ),
        message(
            2,
            ServerMessage::ClientReady {
                reattached: Some(vec![k1(), call("k-2")]),
            },
        ),
        message(3, ServerMessage::ClientReady { reattached: None }),
        result("c-06", gateway(GatewayState::Reged, Some("cr-1"))),
        result("c-06", gateway(GatewayState::NoReg, None)),
        result("c-04", ResultBody::Pong),
        ResultBody::Pong.encode(&frame_id("\"c-04\""), None, &voice),
        message(41, ServerMessage::Ping { serno: 1_760_000_123 }),
        result("c-07", ResultBody::CallCreated(k1())),
        message(
            43,
            ServerMessage::Ringing {
                call: k1(),
                caller: caller(),
                callee: callee(),
                ids: ids(),
                headers: vec![],
            },
        ),
        message(
            44,
            ServerMessage::Media {
                call: k1(),
                sdp: sdp(),
                headers: vec![],
            },
        ),
        message(45, answer(None, agent())),
        message(45, answer(Some(sdp()), vec![])),
        message(
            46,
            bye(
                "USER_BUSY",
                17,
                Some((486, "Busy Here", "z@198.51.100.7")),
                agent(),
            ),
        ),
        message(47, bye("NORMAL_CLEARING", 16, None, vec![])),
        message(
            50,
            ServerMessage::Invite {
                call: call("k-3"),
                sdp: sdp(),
                caller: party("Bob", "+4940555666"),
                callee: party("Carla", "carla"),
                ids: ids(),
                client_state: Some("e30=".into()),
                headers: vec![CustomHeader::new("X-Queue", "support").unwrap()],
            },
        ),
        result("c-09", ResultBody::CallAnswered(call("k-3"))),
        result(
            "c-11",
            ResultBody::Hold {
                call: k1(),
                action: "hold",
                state: HoldState::Held,
            },
        ),
        result(
            "c-14",
            ResultBody::UpdatedMedia {
                call: k1(),
                sdp: sdp(),
                state: HoldState::Active,
            },
        ),
        result(
            "c-16",
            ResultBody::CallEnded {
                call: k1(),
                cause: "NORMAL_CLEARING".into(),
                cause_code: 16,
            },
        ),
        result("c-18", ResultBody::Sent),
        message(
            60,
            ServerMessage::Info {
                call: k1(),
                dtmf: Some("5".into()),
            },
        ),
        result("c-20", ResultBody::Call(k1())),
        message(
            62,
            ServerMessage::Display {
                call: k1(),
                party: party("Dora", "+4940777"),
            },
        ),
        message(
            63,
            ServerMessage::Event {
                channel: "k-1".into(),
                data: json!({"kind": "recording-started"}),
            },
        ),
        result("c-22", ResultBody::NotSubscribed { channels: channels() }),
        result("c-23", ResultBody::NotUnsubscribed { channels: channels() }),
        result("c-24", ResultBody::Broadcast),
        message(65, ServerMessage::Punt {}),
        message(
            70,
            ServerMessage::Attach {
                call: k1(),
                sdp: sdp(),
                caller: caller(),
                callee: callee(),
                ids: ids(),
            },
        ),
        result("c-10", ResultBody::CallAttached(k1())),
        result("c-26", ResultBody::Empty),
        result("c-31", ResultBody::PushDisabled),
        unknown.encode(&frame_id("{\"odd\":[1,2.5]}"), &voice),
    ]
}

#[test]
fn every_frame_of_a_server_is_shaped_as_the_sdks_read_it() {
    let written = server_frames();
    let expected: Vec<&str> = SERVER.lines().collect();
    assert_eq!(written.len(), expected.len());
    for (written, expected) in written.iter().zip(expected) {
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(written), value(expected));
    }
}

#[test]
fn results_are_objects_without_a_member_result_and_client_ready_has_no_state() {
    for text in server_frames() {
        let frame: Value = serde_json::from_str(&text).unwrap();
        if let Some(result) = frame.get("result") {
            assert!(result.is_object() && result.get("result").is_none(), "{text}");
        }
        if frame["method"] == "telnyx_rtc.clientReady" {
            assert!(frame["params"].get("state").is_none());
        }
    }
}
