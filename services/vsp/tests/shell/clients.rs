//! WebSocket clients: M1, M29's half that is ours, frame limits, TLS, clients that misbehave.

use crate::vsp::{self, Client, SOON, eventually, metric};
use futures_util::SinkExt;
use offhook_vsp::config::{AuthConfig, TlsConfig};
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn m01_any_path_and_query_without_sub_protocol() {
    let vsp = vsp::start().await;
    for target in [
        "/",
        "/?voice_sdk_id=vsdk-7c1b%2Fnode-a",
        "/a/b?x=1&canary=true",
        "/rtc?rtc_ip=192.0.2.10&rtc_port=1",
    ] {
        let mut client = Client::connect_to(&format!("ws://{}{target}", vsp.http)).await;
        assert_eq!(
            client.ask("telnyx_rtc.ping", json!({})).await["result"]["message"],
            "PONG",
            "{target}"
        );
    }
}

#[tokio::test]
async fn m29_r13_host_may_be_tls_with_a_path_and_pages_come_from_the_same_place() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut config = vsp::config();
    config.tls = Some(TlsConfig { cert, key });
    let vsp = vsp::start_with(config, AuthConfig::default()).await;

    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(made.cert.der().to_vec())).unwrap();
    let handshake = |roots: &rustls::RootCertStore| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
        let address = vsp.http;
        async move {
            let stream = TcpStream::connect(address).await.unwrap();
            connector
                .connect(ServerName::try_from("localhost").unwrap(), stream)
                .await
        }
    };
    let stranger = handshake(&rustls::RootCertStore::empty()).await;
    assert!(stranger.is_err(), "a certificate that the client does not know");
    let connect = || async { handshake(&roots).await.unwrap() };
    let (mut socket, _) = tokio_tungstenite::client_async("wss://localhost/rtc?x=1", connect().await)
        .await
        .unwrap();
    let login = json!({"jsonrpc": "2.0", "id": "1", "method": "login",
        "params": {"login": "alice", "passwd": "alice-demo"}});
    socket.send(Message::text(login.to_string())).await.unwrap();
    let answer = timeout(SOON, futures_util::StreamExt::next(&mut socket))
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(answer.to_text().unwrap().contains("logged in"), "{answer}");

    let mut page = connect().await;
    page.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    page.read_to_string(&mut text).await.unwrap();
    assert!(
        text.starts_with("HTTP/1.1 200") && text.ends_with("the page"),
        "{text}"
    );

    assert!(
        tokio_tungstenite::connect_async(format!("ws://{}/", vsp.http))
            .await
            .is_err(),
        "not without TLS"
    );
}

#[tokio::test]
async fn frames_of_a_mebibyte_pass_and_longer_ones_end_the_socket() {
    let vsp = vsp::start().await;
    let mut client = Client::connect(&vsp).await;
    let debug = json!({"id": "d", "type": "debug_report_data", "x": "x".repeat(1_000_000)});
    client
        .socket
        .send(Message::text(debug.to_string()))
        .await
        .unwrap();
    assert_eq!(client.next().await["result"], json!({}));

    // The VSP may hang up before all is written.
    let _ = client.socket.send(Message::text("x".repeat(2_000_000))).await;
    loop {
        match client.next_message().await {
            Some(Message::Close(_)) | None => break,
            Some(_) => {}
        }
    }
    eventually("it is counted", || {
        metric(&vsp, "offhook_vsp_frames_rejected_total{reason=\"broken\"}") == 1.0
    })
    .await;
    eventually("it is gone", || metric(&vsp, "offhook_vsp_websockets") == 0.0).await;
}

#[tokio::test]
async fn binary_frames_are_counted_and_ignored_and_half_frames_end_the_socket() {
    let vsp = vsp::start().await;
    let mut client = Client::connect(&vsp).await;
    client.socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(
        client.ask("telnyx_rtc.ping", json!({})).await["result"]["message"],
        "PONG"
    );
    assert_eq!(
        metric(&vsp, "offhook_vsp_frames_rejected_total{reason=\"binary\"}"),
        1.0
    );

    let tokio_tungstenite::MaybeTlsStream::Plain(stream) = client.socket.get_mut() else {
        panic!()
    };
    stream.write_all(&[0x81, 0xfe, 0x10]).await.unwrap();
    stream.shutdown().await.unwrap();
    eventually("it is gone", || metric(&vsp, "offhook_vsp_websockets") == 0.0).await;
}

#[tokio::test]
async fn c33_a_client_that_never_reads_is_dropped() {
    let mut config = vsp::config();
    config.limits.requests_burst = 1_000_000;
    let vsp = vsp::start_with(config, AuthConfig::default()).await;
    let mut client = Client::logged_in(&vsp).await;
    eventually("it is counted", || metric(&vsp, "offhook_vsp_websockets") == 1.0).await;
    let channels = vec!["c".repeat(256); 64];
    let request =
        json!({"id": 1, "method": "telnyx_rtc.subscribe", "params": {"eventChannel": channels}}).to_string();
    let flood = async {
        // Each is answered with as much; nobody reads the answers.
        while client.socket.send(Message::text(request.clone())).await.is_ok() {}
    };
    tokio::select! {
        () = flood => {}
        () = eventually("it is dropped", || metric(&vsp, "offhook_vsp_websockets") == 0.0) => {}
    }
    assert_eq!(
        metric(&vsp, "offhook_vsp_frames_rejected_total{reason=\"slow-client\"}"),
        1.0
    );
}

#[tokio::test]
async fn connections_of_one_address_are_limited() {
    let mut config = vsp::config();
    config.limits.connections_per_address_max = 3;
    let vsp = vsp::start_with(config, AuthConfig::default()).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::connect(&vsp).await);
    }
    let url = format!("ws://{}/", vsp.http);
    assert!(tokio_tungstenite::connect_async(&url).await.is_err());
    clients.pop();
    let back = async {
        let mut looks = tokio::time::interval(vsp::LOOK_INTERVAL);
        while tokio_tungstenite::connect_async(&url).await.is_err() {
            looks.tick().await;
        }
    };
    timeout(SOON, back).await.expect("a place is free again");
}

#[tokio::test]
async fn pages_of_other_origins_are_turned_away_where_origins_are_named() {
    let mut config = vsp::config();
    config.allowed_origins = vec!["https://app.example.com".to_owned()];
    let vsp = vsp::start_with(config, AuthConfig::default()).await;
    for (origin, status) in [
        ("https://app.example.com", 101),
        ("https://evil.example.com", 403),
    ] {
        let mut stream = TcpStream::connect(vsp.http).await.unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&head), format!("HTTP/1.1 {status}"));
    }
}

/// A client with a call, and another one that asks for its session: the first is asked at once whether it lives.
async fn two_for_one_session(vsp: &vsp::Vsp) -> (Client, Client, Value) {
    let mut first = Client::connect(vsp).await;
    let answer = first.log_in("alice", "alice-demo").await;
    let session = answer["result"]["sessid"].clone();
    first.expect("clientReady").await;
    first.call("call-1").await;
    (first, Client::connect(vsp).await, session)
}

fn login_for(session: &Value) -> Value {
    json!({"login": "alice", "passwd": "alice-demo", "sessid": session})
}

#[tokio::test]
async fn a_pong_frame_shows_that_a_client_lives_that_answers_nothing_else() {
    let vsp = vsp::start().await;
    let (mut first, mut second, session) = two_for_one_session(&vsp).await;
    let answers = async {
        first.expect("ping").await;
        let ping = first.next_message().await;
        assert!(matches!(ping, Some(Message::Ping(_))), "{ping:?}");
        // The library answers by itself, as browsers do.
        first.socket.flush().await.unwrap();
    };
    let (answer, ()) = tokio::join!(second.ask("login", login_for(&session)), answers);
    assert_ne!(answer["result"]["sessid"], session);
    eventually("both are there", || metric(&vsp, "offhook_vsp_sessions") == 2.0).await;
}

#[tokio::test]
async fn a_pong_frame_that_nobody_asked_for_shows_nothing() {
    let vsp = vsp::start().await;
    let (mut first, mut second, session) = two_for_one_session(&vsp).await;
    let sends = async {
        for number in 0..1_000_u64 {
            let content = (number << 32).to_be_bytes().to_vec();
            first.socket.send(Message::Pong(content.into())).await.unwrap();
        }
        std::future::pending().await
    };
    let answer = tokio::select! {
        answer = second.ask("login", login_for(&session)) => answer,
        never = sends => never,
    };
    assert_eq!(
        answer["result"]["sessid"], session,
        "who sends no more than that is gone"
    );
}
