//! The whole gateway on real sockets of the loopback interface.
#![expect(clippy::unwrap_used, reason = "a failure here fails the test that uses it")]

mod support;

use offhook_call_trace::CallId;
use offhook_media_control::{
    Command, CommandError, CommandErrorKind, Event, Frame, GoneReason, LegName, LegQuality, MediaSessionId,
    Reply, RequestId,
};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use support::client::{Client, Version};
use support::running::{Gateway, PATIENCE};
use support::{Voice, sdp};
use tokio::net::UdpSocket;

/// How long a gateway that drains is still there to be asked.
const TO_ASK_IN: Duration = Duration::from_secs(5);

fn open(session: &str, sdp: &str) -> Command {
    Command::Open {
        session: MediaSessionId(session.to_owned()),
        call_id: CallId::new(session).unwrap(),
        from: LegName::Client,
        sdp: Some(sdp.to_owned()),
        early_answer: true,
    }
}

fn close(session: &str) -> Command {
    Command::Close {
        session: MediaSessionId(session.to_owned()),
    }
}

/// A browser on a real socket. Runs ICE and DTLS, and counts the RTP that comes.
struct Browser {
    client: Client,
    socket: UdpSocket,
    heard: usize,
}

impl Browser {
    async fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(
            Instant::now(),
            Version::Dtls12,
            true,
            socket.local_addr().unwrap(),
        );
        Self {
            client,
            socket,
            heard: 0,
        }
    }

    fn take_answer(&mut self, answer: &str, gateway: SocketAddr) {
        let credentials = support::credentials(
            sdp::value(answer, "a=ice-ufrag:"),
            sdp::value(answer, "a=ice-pwd:"),
        );
        self.client.set_remote(&credentials, gateway);
    }

    /// Runs for `time`, or until it is as wanted.
    async fn run(&mut self, time: Duration, until: impl Fn(&Self) -> bool) {
        let end = Instant::now() + time;
        let mut buffer = [0; 1500];
        while Instant::now() < end && !until(self) {
            let now = Instant::now();
            self.client.handle_timeout(now);
            while let Some((path, bytes)) = self.client.poll_transmit(now) {
                self.socket.send_to(&bytes, path.remote).await.unwrap();
            }
            let wait = tokio::time::timeout(Duration::from_millis(5), self.socket.recv_from(&mut buffer));
            if let Ok(Ok((len, source))) = wait.await {
                let path = offhook_webrtc::Path {
                    local: self.socket.local_addr().unwrap(),
                    remote: source,
                };
                let media = self
                    .client
                    .handle_datagram(Instant::now(), path, &mut buffer[..len]);
                self.heard += usize::from(media.is_some());
            }
        }
    }

    async fn speak(&mut self, voice: &mut Voice, payload: &[u8]) {
        let packet = voice.packet(payload, 160);
        let (path, bytes) = self.client.send_rtp(&packet).unwrap();
        self.socket.send_to(&bytes, path.remote).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_on_two_workers_carry_audio_both_ways_and_leave_nothing() {
    carry_calls("11000-11049", "epoll").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_with_io_uring_where_the_kernel_allows_it() {
    carry_calls("11050-11099", "io_uring").await;
}

/// A call on real sockets.
struct RealCall {
    name: String,
    browser: Browser,
    carrier: UdpSocket,
    /// Where the carrier sends to.
    gateway_rtp: SocketAddr,
}

async fn carry_calls(rtp_ports: &str, io: &str) {
    const CALLS: usize = 6;
    let mut gateway = Gateway::start(rtp_ports, serde_json::json!({"io": io})).await;
    let mut calls = Vec::new();
    for n in 0..CALLS {
        calls.push(connect_call(&mut gateway, format!("call-{n}")).await);
    }
    for call in &mut calls {
        talk(call).await;
    }
    gateway.wait_for_metric("media_sessions", CALLS as u64).await;
    for call in &calls {
        let Reply::Closed { summary } = gateway.ask(close(&call.name)).await.unwrap() else {
            panic!()
        };
        let whole = |leg: &LegQuality| leg.packets_received >= 10 && leg.packets_lost == 0;
        assert!(summary.legs.iter().all(whole), "{summary:?}");
    }
    gateway.wait_for_metric("media_sessions", 0).await;
    gateway.wait_for_metric("media_rtp_ports_in_use", 0).await;
    assert!(gateway.metric("media_datagrams_out_total") > 120);
    check_trace(&gateway, &calls[0]);
    gateway.stop().await;
}

async fn connect_call(gateway: &mut Gateway, name: String) -> RealCall {
    let webrtc = gateway.address("webrtc");
    let mut browser = Browser::new().await;
    let offer = sdp::browser(&browser.client, "0");
    let Reply::Opened { offer, answer } = gateway.ask(open(&name, &offer)).await.unwrap() else {
        panic!()
    };
    browser.take_answer(&answer.unwrap(), webrtc);
    let carrier = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let answer = Command::Answer {
        session: MediaSessionId(name.clone()),
        from: LegName::Carrier,
        sdp: sdp::carrier(carrier.local_addr().unwrap(), "0"),
        is_final: true,
    };
    assert_eq!(gateway.ask(answer).await, Ok(Reply::Answered { answer: None }));
    browser
        .run(PATIENCE, |browser| browser.client.is_connected())
        .await;
    assert!(browser.client.is_connected(), "{name} does not connect");
    let session_id = MediaSessionId(name.clone());
    let connected = gateway
        .event(|event| matches!(event, Event::Connected { session } if session == session_id).then_some(()));
    // The gateway may be waiting for the last check: the browser goes on meanwhile.
    tokio::select! {
        () = connected => {}
        () = browser.run(PATIENCE, |_| false) => panic!("{name}: no news of the connection"),
    }
    let gateway_rtp = SocketAddr::new(webrtc.ip(), sdp::port(&offer));
    RealCall {
        name,
        browser,
        carrier,
        gateway_rtp,
    }
}

/// Ten packets each way, all of which arrive.
async fn talk(call: &mut RealCall) {
    let RealCall {
        name,
        browser,
        carrier,
        gateway_rtp,
    } = call;
    let (mut up, mut down) = (Voice::new(0, 1), Voice::new(0, 2));
    browser.heard = 0;
    for _ in 0..10 {
        browser.speak(&mut up, &[0x11; 160]).await;
        carrier
            .send_to(&down.packet(&[0x22; 160], 160), *gateway_rtp)
            .await
            .unwrap();
        browser.run(Duration::from_millis(20), |_| false).await;
    }
    browser.run(PATIENCE, |browser| browser.heard >= 10).await;
    assert!(browser.heard >= 10, "{name}: the browser heard {}", browser.heard);
    let mut heard = 0;
    let mut buffer = [0; 1500];
    while heard < 10 {
        let received = tokio::time::timeout(PATIENCE, carrier.recv_from(&mut buffer)).await;
        let (len, _) = received
            .unwrap_or_else(|_| panic!("{name}: the carrier heard {heard}"))
            .unwrap();
        heard += usize::from(len == 172 && buffer[12] == 0x11);
    }
}

fn check_trace(gateway: &Gateway, call: &RealCall) {
    let trace = gateway.context.traces.find(&call.name).unwrap();
    let text = serde_json::to_string(&trace).unwrap();
    for name in [
        "open",
        "reply open",
        "answer",
        "connected",
        "media-started client",
        "close",
    ] {
        assert!(
            text.contains(&format!("\"{name}\"")),
            "{name} is not in the trace: {text}"
        );
    }
    let offer = sdp::browser(&call.browser.client, "0");
    assert!(
        !text.contains(sdp::value(&offer, "a=ice-pwd:")),
        "a secret in the trace"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_sessions_leave_nothing_and_ports_run_out_clearly() {
    let gateway = Gateway::start("11100-11119", serde_json::json!({"sessions_max": 5000})).await;
    let browser = Browser::new().await;
    let offer = sdp::browser(&browser.client, "0");
    for n in 0..10 {
        assert!(gateway.ask(open(&format!("s{n}"), &offer)).await.is_ok(), "{n}");
    }
    gateway.wait_for_metric("media_rtp_ports_in_use", 10).await;
    let refused = gateway.ask(open("one-more", &offer)).await.unwrap_err();
    assert_eq!(refused.kind, CommandErrorKind::Busy);
    let twice = gateway.ask(open("s0", &offer)).await.unwrap_err();
    assert_eq!(twice.kind, CommandErrorKind::SessionExists);
    for n in 0..10 {
        assert!(matches!(
            gateway.ask(close(&format!("s{n}"))).await,
            Ok(Reply::Closed { .. })
        ));
    }
    assert_eq!(
        gateway.ask(close("s0")).await.unwrap_err().kind,
        CommandErrorKind::UnknownSession
    );
    gateway.wait_for_metric("media_rtp_ports_in_use", 0).await;
    gateway.stop().await;

    // Ports rest after a call, and one worker may get all calls: enough for two hundred on each.
    let gateway = Gateway::start("15000-16999", serde_json::json!({})).await;
    for n in 0..200 {
        let name = format!("s{n}");
        assert!(gateway.ask(open(&name, &offer)).await.is_ok(), "{n}");
        gateway.ask(close(&name)).await.unwrap();
    }
    // One that stays, so that the figures are those after the two hundred.
    gateway.ask(open("last", &offer)).await.unwrap();
    gateway.wait_for_metric("media_sessions", 1).await;
    gateway.wait_for_metric("media_rtp_ports_in_use", 1).await;
    gateway.ask(close("last")).await.unwrap();
    gateway.wait_for_metric("media_sessions", 0).await;
    gateway.wait_for_metric("media_rtp_ports_in_use", 0).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_ends_sessions_with_the_reason() {
    let mut gateway = Gateway::start("12000-12099", serde_json::json!({})).await;
    let browser = Browser::new().await;
    gateway
        .ask(open("s", &sdp::browser(&browser.client, "0")))
        .await
        .unwrap();
    gateway
        .trigger
        .as_ref()
        .unwrap()
        .drain(Instant::now() + TO_ASK_IN);
    let refused = gateway
        .ask(open("late", &sdp::browser(&browser.client, "0")))
        .await
        .unwrap_err();
    assert_eq!(refused.kind, CommandErrorKind::Draining);
    let reason = gateway
        .event(|event| match event {
            Event::Gone { reason, .. } => Some(reason),
            _ => None,
        })
        .await;
    assert_eq!(reason, GoneReason::Shutdown);
    tokio::time::timeout(PATIENCE, gateway.task)
        .await
        .unwrap()
        .unwrap();
}

/// One connection of the control link.
struct Link(tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>);

impl Link {
    async fn connect(url: &str) -> Self {
        Self(tokio_tungstenite::connect_async(url).await.unwrap().0)
    }

    async fn send(&mut self, text: String) {
        use futures_util::SinkExt;
        self.0.send(text.into()).await.unwrap();
    }

    /// The next frame; `None` if the gateway has closed the link.
    async fn frame(&mut self) -> Option<Frame> {
        use futures_util::StreamExt;
        loop {
            match tokio::time::timeout(PATIENCE, self.0.next())
                .await
                .expect("nothing comes")?
                .ok()?
            {
                tokio_tungstenite::tungstenite::Message::Text(text) => {
                    return Some(Frame::decode(&text).unwrap());
                }
                tokio_tungstenite::tungstenite::Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    async fn ask(&mut self, id: u64, command: Command) -> Result<Reply, CommandError> {
        self.send(Frame::Request(RequestId(id), command).encode()).await;
        loop {
            if let Some(Frame::Response(answered, result)) = self.frame().await {
                assert_eq!(answered, RequestId(id));
                return result;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_control_link_finds_its_sessions_again_or_they_end() {
    let extra = serde_json::json!({"control": {"listen": "127.0.0.1:0", "grace_s": 6}});
    let gateway = Gateway::start("12100-12199", extra).await;
    let url = format!("ws://{}/control?link=vsp-a", gateway.address("control"));
    let offer = sdp::browser(&Browser::new().await.client, "0");
    let mut link = Link::connect(&url).await;
    assert_eq!(link.ask(1, Command::Ping {}).await, Ok(Reply::Done {}));
    assert!(matches!(
        link.ask(2, open("s", &offer)).await,
        Ok(Reply::Opened { .. })
    ));
    // Another link does not see it.
    let mut other = Link::connect(&url.replace("vsp-a", "vsp-b")).await;
    assert_eq!(
        other.ask(1, close("s")).await.unwrap_err().kind,
        CommandErrorKind::UnknownSession
    );
    // The link is lost, and comes back in time.
    drop(link);
    let mut link = Link::connect(&url).await;
    let ringing = Command::Ringing {
        session: MediaSessionId("s".to_owned()),
    };
    assert_eq!(link.ask(3, ringing).await, Ok(Reply::Done {}));
    // Garbage costs the link, not the session.
    link.send("{\"jsonrpc\":\"2.0\"}".to_owned()).await;
    while link.frame().await.is_some() {}
    gateway.wait_for_metric("media_sessions", 1).await;
    // Nobody returns: the session ends after the grace time.
    gateway.wait_for_metric("media_sessions", 0).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_cannot_open_the_control_link() {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    let extra = serde_json::json!({"control": {"listen": "127.0.0.1:0"}});
    let gateway = Gateway::start("12200-12299", extra).await;
    let mut request = format!("ws://{}/control", gateway.address("control"))
        .into_client_request()
        .unwrap();
    request
        .headers_mut()
        .insert("Origin", "https://elsewhere.example".parse().unwrap());
    let error = tokio_tungstenite::connect_async(request).await.unwrap_err();
    assert!(error.to_string().contains("403"), "{error}");
    gateway.stop().await;
}
