//! Each line of `transcripts/client.jsonl` is a frame that a client sends; all of them are read.
#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use offhook_rpc_message::{ClientCallId, ClientFrame, ClientMethod, Info, ModifyAction, SpeedTest, decode};

const CLIENT: &str = include_str!("transcripts/client.jsonl");

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
    assert_eq!(login.user_agent.as_deref(), Some("2.27.10"));

    let ClientMethod::Login(login) = method("c-33") else {
        panic!()
    };
    assert_eq!((login.user_agent, login.session), (None, Some("s-1".to_owned())));
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
    assert_eq!(
        action("c-15"),
        ModifyAction::Transfer {
            destination: "9".into()
        }
    );

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
    assert_eq!(method("c-06"), ClientMethod::GatewayState { in_message: false });
    assert_eq!(method("c-34"), ClientMethod::GatewayState { in_message: true });
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
