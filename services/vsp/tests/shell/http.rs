//! Report uploads, pages, and what is neither.

use crate::vsp::{self, Client, SOON};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

async fn http(vsp: &vsp::Vsp, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(vsp.http).await.unwrap();
    let head = format!(
        "{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // It may hang up before it has read all.
    let _ = stream.write_all(body).await;
    let mut text = String::new();
    let _ = timeout(SOON, stream.read_to_string(&mut text)).await.unwrap();
    text
}

async fn report_id(client: &mut Client) -> String {
    let state = client.ask("telnyx_rtc.gatewayState", json!({})).await;
    state["result"]["params"]["call_report_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_report_stands_in_the_trace_of_its_call() {
    let vsp = vsp::start().await;
    let mut client = Client::logged_in(&vsp).await;
    let id = report_id(&mut client).await;
    client.call("browser-call-1").await;
    let body = json!({"summary": {"callId": "browser-call-1", "durationSeconds": 61.4}, "stats": [{"n": 1}, {"n": 2}],
        "logs": [{"message": "a=ice-pwd:secret"}]});
    let head = format!("POST /call_report HTTP/1.1\r\nx-call-report-id: {id}\r\nx-call-id: browser-call-1");
    let answer = http(&vsp, &head, body.to_string().as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(answer.contains("access-control-allow-origin: *"));
    let trace = vsp.context.traces.find("browser-call-1").unwrap();
    let report = trace
        .events
        .iter()
        .find(|event| event.event.name == "call-report")
        .unwrap();
    let detail: Value = serde_json::from_str(&report.event.detail).unwrap();
    assert_eq!(
        detail,
        json!({"summary": {"callId": "browser-call-1", "durationSeconds": 61.4}, "last_interval": {"n": 2}})
    );
}

#[tokio::test]
async fn reports_that_nobody_was_asked_for_and_too_long_ones_are_refused() {
    let vsp = vsp::start().await;
    let mut client = Client::logged_in(&vsp).await;
    let id = report_id(&mut client).await;
    let good = format!("POST /call_report HTTP/1.1\r\nx-call-id: c\r\nx-call-report-id: {id}");
    let long = [b"{\"x\":\"".as_slice(), &vec![b'x'; 2_000_000], b"\"}"].concat();
    for (head, body, status) in [
        ("POST /call_report HTTP/1.1", &b"{}"[..], 403),
        (
            "POST /call_report HTTP/1.1\r\nx-call-id: c\r\nx-call-report-id: cr-guess",
            b"{}",
            403,
        ),
        (&good, b"not json", 400),
        (&good, &long, 204),
        (&good, &vec![b'x'; 3_000_000], 413),
        ("GET /call_report HTTP/1.1", b"", 405),
    ] {
        let answer = http(&vsp, head, body).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{status}: {}",
            &answer[..answer.len().min(40)]
        );
    }
}

#[tokio::test]
async fn browsers_may_ask_first() {
    let vsp = vsp::start().await;
    let head = "OPTIONS /call_report HTTP/1.1\r\nOrigin: https://app.example.com\r\n\
        Access-Control-Request-Headers: content-type,x-call-id,x-call-report-id,x-voice-sdk-id";
    let answer = http(&vsp, head, b"").await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(
        answer
            .contains("access-control-allow-headers: content-type,x-call-id,x-call-report-id,x-voice-sdk-id")
    );
    assert!(answer.contains("access-control-allow-methods: POST"));
}

#[tokio::test]
async fn what_is_no_websocket_is_a_page_or_an_error() {
    let vsp = vsp::start().await;
    assert!(
        http(&vsp, "GET /index.html HTTP/1.1", b"")
            .await
            .ends_with("the page")
    );
    let upgrade = "GET / HTTP/1.1\r\nUpgrade: websocket";
    let half = http(&vsp, upgrade, b"").await;
    assert!(half.starts_with("HTTP/1.1 4"), "{half}");
    let old = "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==";
    assert!(http(&vsp, old, b"").await.starts_with("HTTP/1.1 4"));
    // RFC 6455 §4.2.1: 16 bytes.
    for key in [
        "",
        "AAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAA",
        "no base64 at all, is it?",
    ] {
        let keyless = format!(
            "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}"
        );
        let answer = http(&vsp, &keyless, b"").await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{key:?}: {answer}");
    }
    assert!(
        http(&vsp, "\0\0 / HTTP/1.1", b"")
            .await
            .starts_with("HTTP/1.1 400")
    );
}

/// What is refused as a WebSocket is a connection all the same, as long as it is open.
#[tokio::test]
async fn a_refused_upgrade_frees_no_place() {
    let mut config = vsp::config();
    config.limits.connections_per_address_max = 1;
    let vsp = vsp::start_with(config, Default::default()).await;
    let mut first = TcpStream::connect(vsp.http).await.unwrap();
    first
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 12];
    first.read_exact(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 4"));
    let mut second = TcpStream::connect(vsp.http).await.unwrap();
    // It may be closed before it has read anything.
    let _ = second
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    let mut text = String::new();
    let _ = timeout(SOON, second.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "", "the one place is taken");
    drop(first);
}

#[tokio::test]
async fn c25_recordings_are_kept_where_the_operator_wants_them() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = vsp::config();
    config.recordings_dir = Some(directory.path().join("recordings"));
    config.recordings_max_mib = 1;
    let vsp = vsp::start_with(config, Default::default()).await;
    let mut client = Client::logged_in(&vsp).await;
    let id = report_id(&mut client).await;
    let head = format!("POST /call_recording HTTP/1.1\r\nx-call-id: ../../etc/x\r\nx-call-report-id: {id}");
    let body = json!({"segment": "final", "track": "local", "packets": []}).to_string();
    assert!(
        http(&vsp, &head, body.as_bytes())
            .await
            .starts_with("HTTP/1.1 204")
    );
    let preflight = http(&vsp, "OPTIONS /call_recording HTTP/1.1", b"").await;
    assert!(preflight.starts_with("HTTP/1.1 204") && preflight.contains("access-control-allow-headers"));
    let stranger = "POST /call_recording HTTP/1.1\r\nx-call-id: c\r\nx-call-report-id: cr-guess";
    assert!(
        http(&vsp, stranger, body.as_bytes())
            .await
            .starts_with("HTTP/1.1 403")
    );
    let long = [b"{".as_slice(), &vec![b' '; 1024 * 1024]].concat();
    assert!(
        http(&vsp, &head, &long).await.starts_with("HTTP/1.1 507"),
        "the directory is full"
    );
    let kept: Vec<_> = std::fs::read_dir(directory.path().join("recordings"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(std::fs::read_to_string(&kept[0]).unwrap(), body);
}

#[tokio::test]
async fn c25_without_a_directory_recordings_are_refused() {
    let vsp = vsp::start().await;
    let answer = http(&vsp, "POST /call_recording HTTP/1.1", b"{}").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}
