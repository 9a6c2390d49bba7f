//! The admin port over a real socket.
#![cfg(test)]

use offhook_call_trace::{CallId, Hop, Protocol, TraceEvent};
use offhook_process::{
    Context, NodeName, Secret, Shutdown, ShutdownTrigger, TraceLimits,
    admin::{Admin, AdminConfig, AdminError, CONNECTIONS_MAX, Pages},
};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn start(token: Option<&str>) -> (SocketAddr, Context, ShutdownTrigger) {
    let context = Context::new(NodeName::default(), TraceLimits::default());
    let config = AdminConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        token: token.map(Secret::new),
    };
    let admin = Admin::bind(&config, context.clone(), Pages::default())
        .await
        .unwrap();
    let address = admin.local_address();
    let (trigger, shutdown) = Shutdown::new();
    tokio::spawn(admin.serve(shutdown));
    (address, context, trigger)
}

/// Status and body of the answer to one request.
async fn ask(address: SocketAddr, method: &str, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

async fn get_json(address: SocketAddr, path: &str) -> (u16, serde_json::Value) {
    let (status, body) = ask(address, "GET", path, "").await;
    (
        status,
        serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}")),
    )
}

#[tokio::test]
async fn health_is_not_readiness() {
    let (address, context, _trigger) = start(None).await;
    assert_eq!(
        ask(address, "GET", "/healthz", "").await,
        (200, "ok\n".to_owned())
    );
    assert_eq!(get_json(address, "/readyz").await.0, 503);

    let vsp = context.readiness.register("vsp");
    let (status, body) = get_json(address, "/readyz").await;
    assert_eq!(
        (status, &body["roles"][0]["state"], &body["roles"][0]["reason"]),
        (503, &"starting".into(), &"starting".into())
    );
    vsp.ready([("http", "127.0.0.1:8080".parse().unwrap())]);
    let (status, body) = get_json(address, "/readyz").await;
    assert_eq!(
        (
            status,
            &body["ready"],
            &body["roles"][0]["addresses"][0]["address"]
        ),
        (200, &true.into(), &"127.0.0.1:8080".into())
    );
}

#[tokio::test]
async fn traces_are_listed_and_read() {
    let (address, context, _trigger) = start(None).await;
    let id = CallId::new("call-1").unwrap();
    let event =
        TraceEvent::message(Hop::Vsp, Hop::Client, Hop::Vsp, Protocol::JsonRpc, "invite").with_detail("{}");
    context.traces.describe(&id, "alice", "9196");
    context.traces.record(&id, event);
    context.traces.alias(&id, "a@b");

    let (status, list) = get_json(address, "/calls?limit=5").await;
    assert_eq!(
        (status, &list["calls"][0]["call_id"], &list["calls"][0]["to"]),
        (200, &"call-1".into(), &"9196".into())
    );
    for path in ["/calls/call-1", "/calls/a%40b"] {
        let (status, call) = get_json(address, path).await;
        assert_eq!(
            (status, &call["events"][0]["name"], &call["events"][0]["from"]),
            (200, &"invite".into(), &"client".into())
        );
    }
    let (status, missing) = get_json(address, "/calls/nothing").await;
    assert_eq!(status, 404);
    assert!(missing["error"].as_str().unwrap().contains("/calls"));
}

#[tokio::test]
async fn metrics_end_as_openmetrics_wants() {
    let (address, context, _trigger) = start(None).await;
    let calls = prometheus_client::metrics::counter::Counter::<u64>::default();
    context.register(|registry| registry.register("calls", "Calls", calls.clone()));
    calls.inc();
    let (status, body) = ask(address, "GET", "/metrics", "").await;
    assert_eq!(status, 200);
    assert!(
        body.contains("offhook_calls_total 1\n") && body.ends_with("# EOF\n"),
        "{body}"
    );
}

#[tokio::test]
async fn only_get_and_only_known_pages() {
    let (address, _context, _trigger) = start(None).await;
    assert_eq!(
        ask(address, "POST", "/calls", "Content-Length: 0\r\n").await.0,
        405
    );
    assert_eq!(get_json(address, "/secret").await.0, 404);
    assert!(get_json(address, "/").await.1["/calls"].is_string());
}

#[tokio::test]
async fn a_token_guards_all_but_the_probes() {
    let (address, _context, _trigger) = start(Some("t0ken")).await;
    assert_eq!(ask(address, "GET", "/healthz", "").await.0, 200);
    for wrong in [
        "",
        "Authorization: Bearer t0ke\r\n",
        "Authorization: Bearer t0kent0ken\r\n",
        "Authorization: Basic t0ken\r\n",
    ] {
        assert_eq!(ask(address, "GET", "/calls", wrong).await.0, 401, "{wrong:?}");
    }
    assert_eq!(
        ask(address, "GET", "/calls", "Authorization: Bearer t0ken\r\n")
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn the_network_is_refused_without_a_token() {
    let context = Context::new(NodeName::default(), TraceLimits::default());
    let config = AdminConfig {
        listen: "0.0.0.0:0".parse().unwrap(),
        token: None,
    };
    let error = Admin::bind(&config, context, Pages::default()).await.unwrap_err();
    assert!(matches!(error, AdminError::OpenToAll(_)), "{error}");
}

#[tokio::test]
async fn stopping_ends_the_server() {
    let (address, _context, trigger) = start(None).await;
    assert_eq!(ask(address, "GET", "/healthz", "").await.0, 200);
    drop(trigger);
    // The listener closes with the task; until then connections may still be taken.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_holds_connections_open_keeps_nobody_out() {
    let (address, _context, _trigger) = start(None).await;
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    assert_eq!(ask(address, "GET", "/healthz", "").await.0, 200, "a probe");
    let mut oldest = idle.remove(0);
    assert_eq!(oldest.read(&mut [0; 1]).await.unwrap(), 0, "it made room");
    // All others are still served.
    for mut stream in idle {
        let request = "GET /healthz HTTP/1.0\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("ok\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_name_made_to_lead_here_reads_nothing() {
    let asked = async |address: SocketAddr, path: &str, host: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    let (open, _context, _trigger) = start(None).await;
    for host in [
        "evil.example",
        "evil.example:9090",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
    ] {
        assert_eq!(asked(open, "/calls", host).await, 421, "{host}");
        assert_eq!(asked(open, "/readyz", host).await, 503, "probes ask by any name");
    }
    for host in [
        "127.0.0.1:9090",
        "localhost",
        "LOCALHOST:9090",
        "[::1]:9090",
        "192.0.2.1",
    ] {
        assert_eq!(asked(open, "/calls", host).await, 200, "{host}");
    }
    let (guarded, _context, _trigger) = start(Some("t0ken")).await;
    assert_eq!(
        asked(guarded, "/calls", "evil.example").await,
        401,
        "the token guards it"
    );
}

#[test]
fn what_would_not_start_is_said_before() {
    let places = |listen: &str, token: Option<&str>| {
        let config = AdminConfig {
            listen: listen.parse().unwrap(),
            token: token.map(Secret::new),
        };
        let problems = config.check().into_iter();
        problems.map(|problem| problem.path).collect::<Vec<_>>()
    };
    assert_eq!(places("0.0.0.0:9090", None), ["listen"]);
    assert_eq!(places("0.0.0.0:9090", Some("")), ["token"]);
    assert!(places("0.0.0.0:9090", Some("t0ken")).is_empty());
    assert!(places("127.0.0.1:9090", None).is_empty());
}

#[tokio::test]
async fn roles_add_pages_and_web_pages_change_nothing() {
    let context = Context::new(NodeName::default(), TraceLimits::default());
    let config = AdminConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        token: None,
    };
    let pages = Pages {
        routes: axum::Router::new().route("/do", axum::routing::post(async || "done")),
        index: vec![("POST /do", "does it")],
    };
    let admin = Admin::bind(&config, context, pages).await.unwrap();
    let address = admin.local_address();
    let (_trigger, shutdown) = Shutdown::new();
    tokio::spawn(admin.serve(shutdown));

    assert_eq!(get_json(address, "/").await.1["POST /do"], "does it");
    let post = |headers: &'static str| ask(address, "POST", "/do", headers);
    assert_eq!(
        post("Content-Length: 0\r\n").await,
        (200, "done".to_owned()),
        "a program"
    );
    let page = post("Content-Length: 0\r\nOrigin: https://evil.example\r\n").await;
    assert_eq!(page.0, 403, "{}", page.1);
}
