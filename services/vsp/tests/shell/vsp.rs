//! A VSP on loopback with a gateway that replies at once and a far end that answers every call.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use offhook_media_control::{Command, CommandError, Event, Reply, SessionSummary};
use offhook_process::{Context, NodeName, Shutdown, ShutdownTrigger, TraceLimits};
use offhook_sip::user_agent::{self, Body, UserAgent};
use offhook_sip::{Flow, Timing};
use offhook_sip_message::{StatusCode, UriBuf};
use offhook_vsp::config::{AuthConfig, Config, UserConfig};
use offhook_vsp::run::{self, CommandRequest, GatewayLink, Parts};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longer than anything takes, shorter than a person waits.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// How often it is looked whether what was expected has come.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(5);

pub(crate) struct Vsp {
    pub(crate) context: Context,
    pub(crate) http: SocketAddr,
    pub(crate) trigger: ShutdownTrigger,
    pub(crate) task: JoinHandle<Result<(), run::Error>>,
    /// To the VSP, from its gateway.
    pub(crate) events: mpsc::Sender<Event>,
}

pub(crate) fn config() -> Config {
    let any = "127.0.0.1:0".parse().unwrap();
    Config {
        listen: any,
        sip: any,
        ..Config::default()
    }
}

pub(crate) fn users() -> Vec<UserConfig> {
    serde_json::from_value(json!([{"name": "alice", "password": "alice-demo", "numbers": ["+15550100"]}]))
        .unwrap()
}

pub(crate) async fn start() -> Vsp {
    start_with(config(), AuthConfig::default()).await
}

pub(crate) async fn start_with(mut config: Config, auth: AuthConfig) -> Vsp {
    config.sip_proxy = far_end().await;
    let (commands, command_receiver) = mpsc::channel(run::COMMANDS_MAX);
    let (events, event_receiver) = mpsc::channel(run::EVENTS_MAX);
    tokio::spawn(gateway(command_receiver));
    let link = GatewayLink {
        commands,
        events: event_receiver,
    };
    start_parts(config, auth, Some(link), events).await
}

pub(crate) async fn start_parts(
    config: Config,
    auth: AuthConfig,
    gateway: Option<GatewayLink>,
    events: mpsc::Sender<Event>,
) -> Vsp {
    let context = Context::new(NodeName::default(), TraceLimits::default());
    let (trigger, shutdown) = Shutdown::new();
    let (_, operator) = run::operator::channel();
    let pages = axum::Router::new().fallback(|| async { "the page" });
    let parts = Parts {
        config,
        auth,
        users: users(),
        gateway,
        pages,
        operator,
    };
    let task = tokio::spawn(run::run(parts, context.clone(), shutdown));
    let http = timeout(SOON, async {
        loop {
            match context.readiness.address(run::ROLE, "http") {
                Some(address) => return address,
                None if task.is_finished() => panic!("the VSP has ended"),
                None => tokio::task::yield_now().await,
            }
        }
    });
    Vsp {
        http: http.await.expect("the VSP binds"),
        context,
        trigger,
        task,
        events,
    }
}

/// Replies to commands as a gateway would.
async fn gateway(mut commands: mpsc::Receiver<CommandRequest>) {
    while let Some((command, reply)) = commands.recv().await {
        let _ = reply.send(reply_to(&command));
    }
}

pub(crate) fn reply_to(command: &Command) -> Result<Reply, CommandError> {
    Ok(match command {
        Command::Open { early_answer, .. } => Reply::Opened {
            offer: "v=0 offer".to_owned(),
            answer: early_answer.then(|| "v=0 answer".to_owned()),
        },
        Command::Answer { .. } => Reply::Answered {
            answer: Some("v=0 answer".to_owned()),
        },
        Command::Reoffer { .. } => {
            let direction = offhook_media_control::Direction::SendRecv;
            Reply::Reoffered {
                answer: "v=0 answer".to_owned(),
                direction,
            }
        }
        Command::MakeOffer { .. } | Command::PrepareReplacement { .. } => Reply::Offered {
            offer: "v=0 offer".to_owned(),
        },
        Command::Dtmf { .. } => Reply::DtmfTaken {
            as_telephone_event: true,
        },
        Command::Close { .. } => Reply::Closed {
            summary: SessionSummary::default(),
        },
        Command::Candidate { .. }
        | Command::Replace { .. }
        | Command::DropReplacement { .. }
        | Command::Ringing { .. }
        | Command::Hold { .. }
        | Command::Play { .. }
        | Command::StopPlaying { .. }
        | Command::Latch { .. }
        | Command::Ping {} => Reply::Done {},
    })
}

/// A SIP user agent that rings and answers at once.
pub(crate) async fn far_end() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let config = user_agent::Config {
        timing: Timing::default(),
        sent_by: address.to_string(),
        contact: UriBuf::new(format!("sip:far@{address}")).unwrap(),
        product: String::new(),
        allow: Vec::new(),
        accept: vec!["application/sdp".to_owned()],
        legs_max: 1000,
    };
    let mut agent = UserAgent::new(config, StdRng::seed_from_u64(1)).unwrap();
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        loop {
            let wait = agent
                .poll_timeout()
                .map_or(SOON, |at| at.saturating_duration_since(Instant::now()));
            if let Ok(received) = timeout(wait, socket.recv_from(&mut buffer)).await {
                let (len, from) = received.unwrap();
                agent.handle_datagram(
                    Instant::now(),
                    Flow::udp(from),
                    Bytes::copy_from_slice(&buffer[..len]),
                );
            }
            agent.handle_timeout(Instant::now());
            while let Some(output) = agent.poll_output() {
                match output {
                    user_agent::Output::Transmit(out) => {
                        drop(socket.send_to(&out.bytes, out.flow.remote).await)
                    }
                    user_agent::Output::Event(user_agent::Event::IncomingInvite { incoming, .. }) => {
                        let now = Instant::now();
                        agent
                            .respond(now, incoming, user_agent::Reply::new(StatusCode::RINGING))
                            .unwrap();
                        let body = Body::sdp("v=0 far answer".to_owned());
                        agent
                            .respond(
                                now,
                                incoming,
                                user_agent::Reply::new(StatusCode::OK).with_body(body),
                            )
                            .unwrap();
                    }
                    _ => {}
                }
            }
        }
    });
    address
}

/// A WebSocket client.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last_id: u64,
}

impl Client {
    pub(crate) async fn connect(vsp: &Vsp) -> Self {
        Self::connect_to(&format!("ws://{}/", vsp.http)).await
    }

    pub(crate) async fn connect_to(url: &str) -> Self {
        let (socket, response) = tokio_tungstenite::connect_async(url).await.unwrap();
        assert!(response.headers().get("sec-websocket-protocol").is_none());
        Self::over(socket)
    }

    pub(crate) fn over(socket: WebSocketStream<MaybeTlsStream<TcpStream>>) -> Self {
        Self { socket, last_id: 0 }
    }

    pub(crate) async fn logged_in(vsp: &Vsp) -> Self {
        let mut client = Self::connect(vsp).await;
        let answer = client.log_in("alice", "alice-demo").await;
        assert_eq!(answer["result"]["message"], "logged in", "{answer}");
        assert_eq!(client.next().await["method"], "telnyx_rtc.clientReady");
        client
    }

    pub(crate) async fn log_in(&mut self, user: &str, password: &str) -> Value {
        self.ask("login", json!({"login": user, "passwd": password}))
            .await
    }

    /// Sends a request and gives the next frame.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let frame = json!({"jsonrpc": "2.0", "id": format!("id-{}", self.last_id), "method": method, "params": params});
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
        self.next().await
    }

    /// The next text frame.
    pub(crate) async fn next(&mut self) -> Value {
        match self.next_message().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
            other => panic!("a text frame, not {other:?}"),
        }
    }

    /// The next frame; `None` when the socket is gone.
    pub(crate) async fn next_message(&mut self) -> Option<Message> {
        let next = timeout(SOON, self.socket.next())
            .await
            .expect("something from the VSP");
        next.and_then(Result::ok)
    }

    /// The next frame with this method.
    pub(crate) async fn expect(&mut self, method: &str) -> Value {
        let frame = self.next().await;
        assert_eq!(frame["method"], json!(format!("telnyx_rtc.{method}")), "{frame}");
        frame["params"].clone()
    }

    /// A call that the far end has answered.
    pub(crate) async fn call(&mut self, call: &str) {
        let dialog = json!({"callID": call, "destination_number": "9196"});
        let created = self
            .ask("telnyx_rtc.invite", json!({"sdp": "v=0", "dialogParams": dialog}))
            .await;
        assert_eq!(created["result"]["message"], "CALL CREATED", "{created}");
        self.expect("ringing").await;
        assert_eq!(self.expect("answer").await["sdp"], "v=0 answer");
    }
}

/// The value of a metric in the text that Prometheus reads; 0 if it is not there yet.
pub(crate) fn metric(vsp: &Vsp, name: &str) -> f64 {
    let text = vsp.context.metrics.encode();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

/// Waits until `holds`.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        while !holds() {
            looks.tick().await;
        }
    };
    assert!(timeout(SOON, wait).await.is_ok(), "{what}");
}
