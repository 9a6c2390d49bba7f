//! The whole gateway on real sockets of the loopback interface.
#![expect(clippy::unwrap_used, reason = "a failure here fails the test that uses it")]

mod support;

use offhook_b2bua_rtc::{CommandRequest, Config, LocalLink, ROLE, run};
use offhook_call_trace::CallId;
use offhook_media_control::{
    Command, CommandError, CommandErrorKind, Event, Frame, GoneReason, LegName, LegQuality, MediaSessionId,
    Reply, RequestId,
};
use offhook_process::{Context, NodeName, Shutdown, ShutdownTrigger, TraceLimits};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use support::client::{Client, Version};
use support::{Voice, sdp};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Long enough for a busy machine; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(20);

struct Gateway {
    context: Context,
    trigger: Option<ShutdownTrigger>,
    task: JoinHandle<()>,
    commands: mpsc::Sender<CommandRequest>,
    events: mpsc::Receiver<Event>,
}

impl Gateway {
    /// A gateway with ports of its own; `extra` is merged into its configuration.
    async fn start(rtp_ports: &str, extra: serde_json::Value) -> Self {
        let mut config = serde_json::json!({"webrtc": "127.0.0.1:0", "rtp_ports": rtp_ports, "workers": 2});
        config
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let config: Config = serde_json::from_value(config).unwrap();
        let context = Context::new(NodeName::new("test").unwrap(), TraceLimits::default());
        let (trigger, shutdown) = Shutdown::new();
        let (commands, command_receiver) = mpsc::channel(64);
        let (event_sender, events) = mpsc::channel(4096);
        let link = LocalLink {
            name: "test".to_owned(),
            commands: command_receiver,
            events: event_sender,
        };
        let running = run(config, context.clone(), shutdown, Some(link));
        let task = tokio::spawn(async move { running.await.unwrap() });
        assert!(context.readiness.wait_for(&[ROLE], PATIENCE).await, "not ready");
        Self {
            context,
            trigger: Some(trigger),
            task,
            commands,
            events,
        }
    }

    fn address(&self, name: &str) -> SocketAddr {
        self.context.readiness.address(ROLE, name).unwrap()
    }

    async fn ask(&self, command: Command) -> Result<Reply, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send((command, reply)).await.unwrap();
        tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap()
    }

    /// The first event that `pick` takes.
    async fn event<T>(&mut self, pick: impl Fn(Event) -> Option<T>) -> T {
        loop {
            let event = tokio::time::timeout(PATIENCE, self.events.recv())
                .await
                .expect("no event")
                .unwrap();
            if let Some(found) = pick(event) {
                return found;
            }
        }
    }

    /// A value of the metrics page.
    fn metric(&self, name: &str) -> u64 {
        let text = self.context.metrics.encode();
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("offhook_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .rsplit(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Looks until the metric has this value: figures are published twice a second.
    async fn wait_for_metric(&self, name: &str, value: u64) {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        let reached = async {
            while self.metric(name) != value {
                looks.tick().await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, reached).await.is_ok();
        assert!(in_time, "{name} stays at {}", self.metric(name));
    }

    async fn stop(mut self) {
        drop(self.trigger.take());
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("does not stop")
            .unwrap();
    }
}

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

    /// Runs for `time`, or until connected if `until_connected`.
    async fn run(&mut self, time: Duration, until_connected: bool) {
        let end = Instant::now() + time;
        let mut buffer = [0; 1500];
        while Instant::now() < end && !(until_connected && self.client.is_connected()) {
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
    carry_calls("41000-41049", "epoll").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_with_io_uring_where_the_kernel_allows_it() {
    carry_calls("41050-41099", "io_uring").await;
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
    browser.run(PATIENCE, true).await;
    assert!(browser.client.is_connected(), "{name} does not connect");
    // What it still has to send goes out: the gateway may be waiting for the last check.
    browser.run(Duration::from_millis(100), false).await;
    let connected = MediaSessionId(name.clone());
    gateway
        .event(|event| matches!(event, Event::Connected { session } if session == connected).then_some(()))
        .await;
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
        browser.run(Duration::from_millis(20), false).await;
    }
    browser.run(Duration::from_millis(100), false).await;
    assert!(browser.heard >= 10, "{name}: the browser heard {}", browser.heard);
    let mut heard = 0;
    let mut buffer = [0; 1500];
    while let Ok((len, _)) = carrier.try_recv_from(&mut buffer) {
        heard += usize::from(len == 172 && buffer[12] == 0x11);
    }
    assert_eq!(heard, 10, "{name}: the carrier");
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
    let gateway = Gateway::start("41100-41119", serde_json::json!({"sessions_max": 5000})).await;
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
    let gateway = Gateway::start("45000-46999", serde_json::json!({})).await;
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
    let mut gateway = Gateway::start("42000-42099", serde_json::json!({})).await;
    let browser = Browser::new().await;
    gateway
        .ask(open("s", &sdp::browser(&browser.client, "0")))
        .await
        .unwrap();
    gateway
        .trigger
        .as_ref()
        .unwrap()
        .drain(Instant::now() + Duration::from_millis(300));
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
    let extra = serde_json::json!({"control": {"listen": "127.0.0.1:0", "grace_s": 2}});
    let gateway = Gateway::start("42100-42199", extra).await;
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
    let gateway = Gateway::start("42200-42299", extra).await;
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

/// Asks over `ng`; the response as text.
async fn ng(socket: &UdpSocket, cookie: &str, fields: &[(&str, &str)]) -> String {
    let mut message = format!("{cookie} d");
    for (key, value) in fields {
        message.push_str(&format!("{}:{key}{}:{value}", key.len(), value.len()));
    }
    message.push('e');
    socket.send(message.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let len = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer))
        .await
        .expect("no response")
        .unwrap();
    let text = String::from_utf8(buffer[..len].to_vec()).unwrap();
    text.strip_prefix(cookie)
        .expect("the cookie comes back")
        .to_owned()
}

/// Offers for the call `c@x`.
async fn ng_offer(socket: &UdpSocket, cookie: &str, sdp: &str) -> String {
    let call = [("call-id", "c@x"), ("from-tag", "f")];
    ng(
        socket,
        cookie,
        &[&[("command", "offer"), ("sdp", sdp)], &call[..]].concat(),
    )
    .await
}

/// The SDP of an ng response: it is the last entry but for nothing that follows.
fn sdp_of(response: &str) -> &str {
    &response[response
        .find("v=0")
        .unwrap_or_else(|| panic!("no SDP in {response}"))..response.len() - 1]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ng_carries_a_plain_call() {
    let gateway = Gateway::start("42300-42399", serde_json::json!({"ng": "127.0.0.1:0"})).await;
    let control = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    control.connect(gateway.address("ng")).await.unwrap();
    assert_eq!(
        ng(&control, "k0", &[("command", "ping")]).await,
        " d6:result4:ponge"
    );
    let a = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let b = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let offer = sdp::carrier(a.local_addr().unwrap(), "0");
    let response = ng_offer(&control, "k1", &offer).await;
    assert_eq!(
        ng_offer(&control, "k1", &offer).await,
        response,
        "a repeated request gets the same response"
    );
    let to_b = SocketAddr::new([127, 0, 0, 1].into(), sdp::port(sdp_of(&response)));
    let answer = sdp::carrier(b.local_addr().unwrap(), "0");
    let fields = [
        ("command", "answer"),
        ("call-id", "c@x"),
        ("from-tag", "f"),
        ("sdp", &answer),
        ("to-tag", "t"),
    ];
    let response = ng(&control, "k2", &fields).await;
    let to_a = SocketAddr::new([127, 0, 0, 1].into(), sdp::port(sdp_of(&response)));
    let (mut voice_a, mut voice_b) = (Voice::new(0, 1), Voice::new(0, 2));
    let mut buffer = [0; 1500];
    for _ in 0..5 {
        a.send_to(&voice_a.packet(&[7; 160], 160), to_a).await.unwrap();
        let (len, source) = tokio::time::timeout(PATIENCE, b.recv_from(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((len, buffer[12], source), (172, 7, to_b));
        b.send_to(&voice_b.packet(&[9; 160], 160), to_b).await.unwrap();
        let (len, source) = tokio::time::timeout(PATIENCE, a.recv_from(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((len, buffer[12], source), (172, 9, to_a));
    }
    let held = sdp::carrier_with(a.local_addr().unwrap(), "0", "sendonly");
    let response = ng_offer(&control, "k7", &held).await;
    assert!(response.contains("a=sendonly"), "who holds says so: {response}");
    let delete = [("command", "delete"), ("call-id", "c@x"), ("from-tag", "f")];
    assert_eq!(ng(&control, "k3", &delete).await, " d6:result2:oke");
    assert!(ng(&control, "k4", &delete).await.contains("error"), "it is gone");
    for (cookie, message) in [("k5", "x"), ("k6", "d7:command5:startee")] {
        control
            .send(format!("{cookie} {message}").as_bytes())
            .await
            .unwrap();
        let len = tokio::time::timeout(PATIENCE, control.recv(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert!(String::from_utf8_lossy(&buffer[..len]).contains("error-reason"));
    }
    gateway.wait_for_metric("media_rtp_ports_in_use", 0).await;
    gateway.stop().await;
}
