//! Whole calls over real sockets, the control link between processes, and leaving.

use crate::vsp::{self, Client, SOON, eventually, metric};
use futures_util::{SinkExt, StreamExt};
use offhook_media_control::{Event, Frame, GoneReason, MediaSessionId, SessionSummary};
use offhook_process::RoleState;
use offhook_vsp::config::AuthConfig;
use offhook_vsp::run::{self, CommandRequest, GatewayLink};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_call_from_login_to_hang_up() {
    let vsp = vsp::start().await;
    let mut client = Client::logged_in(&vsp).await;
    client.call("call-1").await;
    let bye = client
        .ask(
            "telnyx_rtc.bye",
            json!({"causeCode": 16, "dialogParams": {"callID": "call-1"}}),
        )
        .await;
    assert_eq!(bye["result"]["message"], "CALL ENDED");
    eventually("the call is over", || metric(&vsp, "offhook_vsp_calls") == 0.0).await;
    assert_eq!(metric(&vsp, "offhook_vsp_calls_started_total"), 1.0);
    assert_eq!(metric(&vsp, "offhook_vsp_call_setup_seconds_count"), 1.0);
    let trace = vsp.context.traces.find("call-1").unwrap();
    assert!(trace.ended.is_some());
    assert_eq!(
        (trace.from.as_deref(), trace.to.as_deref()),
        (Some("+15550100"), Some("9196"))
    );
    assert!(
        trace.aliases.len() >= 2,
        "the client's id and the SIP Call-ID: {:?}",
        trace.aliases
    );
}

#[tokio::test]
async fn many_clients_call_at_once() {
    let vsp = vsp::start().await;
    let mut tasks = Vec::new();
    for n in 0..20 {
        let mut client = Client::logged_in(&vsp).await;
        tasks.push(tokio::spawn(async move {
            let call = format!("call-{n}");
            client.call(&call).await;
            client
                .ask("telnyx_rtc.bye", json!({"dialogParams": {"callID": call}}))
                .await
        }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap()["result"]["message"], "CALL ENDED");
    }
    eventually("nothing is left", || {
        metric(&vsp, "offhook_vsp_calls") == 0.0 && metric(&vsp, "offhook_vsp_sessions") == 0.0
    })
    .await;
}

#[tokio::test]
async fn an_event_of_the_gateway_ends_its_call() {
    let vsp = vsp::start().await;
    let mut client = Client::logged_in(&vsp).await;
    client.call("call-1").await;
    let trace = vsp.context.traces.find("call-1").unwrap();
    let open = trace
        .events
        .iter()
        .find(|event| event.event.name == "open")
        .unwrap();
    let open: serde_json::Value = serde_json::from_str(&open.event.detail).unwrap();
    let session = MediaSessionId(open["params"]["session"].as_str().unwrap().to_owned());
    let gone = Event::Gone {
        session,
        reason: GoneReason::MediaTimeout,
        message: "silence".to_owned(),
        summary: SessionSummary::default(),
    };
    vsp.events.send(gone).await.unwrap();
    assert_eq!(client.expect("bye").await["cause"], "MEDIA_TIMEOUT");
}

#[tokio::test]
async fn leaving_says_goodbye_to_calls_and_clients() {
    let vsp = vsp::start().await;
    let mut client = Client::logged_in(&vsp).await;
    client.call("call-1").await;
    vsp.trigger.drain(Instant::now());
    assert_eq!(client.expect("bye").await["sipCode"], 503);
    match client.next_message().await {
        Some(Message::Close(Some(close))) => assert_eq!(u16::from(close.code), 1012),
        other => panic!("{other:?}"),
    }
    timeout(SOON, vsp.task)
        .await
        .expect("it leaves")
        .unwrap()
        .unwrap();
    assert!(tokio::net::TcpStream::connect(vsp.http).await.is_err());
}

#[tokio::test]
async fn leaving_without_calls_is_quick_and_stopping_quicker() {
    let vsp = vsp::start().await;
    let _client = Client::logged_in(&vsp).await;
    vsp.trigger.drain(Instant::now() + Duration::from_secs(3600));
    timeout(SOON, vsp.task)
        .await
        .expect("nobody has to be waited for")
        .unwrap()
        .unwrap();

    let vsp = vsp::start().await;
    let mut client = Client::logged_in(&vsp).await;
    client.call("call-1").await;
    vsp.trigger.stop();
    timeout(SOON, vsp.task).await.expect("it stops").unwrap().unwrap();
}

#[tokio::test]
async fn a_sip_proxy_that_nothing_can_be_sent_to_fails_calls_at_once() {
    let (commands, mut requests) = mpsc::channel::<CommandRequest>(run::COMMANDS_MAX);
    tokio::spawn(async move {
        while let Some((command, reply)) = requests.recv().await {
            let _ = reply.send(vsp::reply_to(&command));
        }
    });
    let (events, event_receiver) = mpsc::channel(run::EVENTS_MAX);
    let mut config = vsp::config();
    config.sip_proxy = "[::1]:5060".parse().unwrap();
    let link = GatewayLink {
        commands,
        events: event_receiver,
    };
    let vsp = vsp::start_parts(config, AuthConfig::default(), Some(link), events).await;
    let mut client = Client::logged_in(&vsp).await;
    let dialog = json!({"callID": "call-1", "destination_number": "9196"});
    let created = client
        .ask("telnyx_rtc.invite", json!({"sdp": "v=0", "dialogParams": dialog}))
        .await;
    assert_eq!(created["result"]["message"], "CALL CREATED");
    assert_eq!(client.expect("bye").await["sipCode"], 503);
}

/// A gateway behind a WebSocket; ends when told to.
async fn remote_gateway(listener: &TcpListener, mut end: mpsc::Receiver<()>) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    loop {
        tokio::select! {
            frame = socket.next() => {
                let Some(Ok(Message::Text(text))) = frame else { return };
                let Ok(Frame::Request(id, command)) = Frame::decode(&text) else { panic!("{text}") };
                let reply = Frame::Response(id, vsp::reply_to(&command)).encode();
                socket.send(Message::text(reply)).await.unwrap();
            }
            _ = end.recv() => return,
        }
    }
}

#[tokio::test]
async fn a_gateway_in_another_process_may_be_lost_and_found_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = vsp::config();
    config.control = Some(format!("ws://{}/control", listener.local_addr().unwrap()));
    assert!(config.check().is_empty());
    let (events, _) = mpsc::channel(1);
    config.sip_proxy = vsp::far_end().await;
    let vsp = vsp::start_parts(config, AuthConfig::default(), None, events).await;
    let not_ready = || {
        let roles = vsp.context.readiness.roles();
        roles
            .iter()
            .any(|role| matches!(role.state, RoleState::NotReady(_)))
    };
    assert!(not_ready());
    let mut client = Client::logged_in(&vsp).await;

    for round in ["first", "second"] {
        let (end, ended) = mpsc::channel(1);
        let serve = remote_gateway(&listener, ended);
        let talk = async {
            assert!(vsp.context.readiness.wait_for(&["vsp"], SOON).await, "{round}");
            client.call(round).await;
            end.send(()).await.unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = serve => {}
            () = talk => {}
        }
        let bye = client.expect("bye").await;
        assert_eq!(
            (&bye["callID"], &bye["sipReason"]),
            (&json!(round), &json!("Media gateway lost"))
        );
        eventually("the loss shows", not_ready).await;
    }
    let dialog = json!({"callID": "none", "destination_number": "9196"});
    let created = client
        .ask("telnyx_rtc.invite", json!({"sdp": "v=0", "dialogParams": dialog}))
        .await;
    assert_eq!(created["result"]["message"], "CALL CREATED");
    assert_eq!(
        client.expect("bye").await["sipCode"],
        503,
        "and the session lives on"
    );
}

#[tokio::test]
async fn a_vsp_that_could_not_work_does_not_start() {
    let start = |config| {
        let parts = run::Parts {
            config,
            auth: AuthConfig::default(),
            users: vsp::users(),
            gateway: None,
            pages: axum::Router::new(),
            operator: run::operator::channel().1,
        };
        let context = offhook_process::Context::new(Default::default(), Default::default());
        let (trigger, shutdown) = offhook_process::Shutdown::new();
        async move {
            let result = run::run(parts, context, shutdown).await;
            drop(trigger);
            result.unwrap_err().to_string()
        }
    };
    assert!(start(vsp::config()).await.contains("no media gateway"));
    let mut open = vsp::config();
    open.listen = "0.0.0.0:0".parse().unwrap();
    open.control = Some("ws://127.0.0.1:1/control".to_owned());
    assert!(start(open).await.contains("without TLS"));
}
