//! The role on real sockets: UDP and TCP, real health checks, drain, limits.

#![cfg(test)]

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use offhook_geo_dns::Config;
use offhook_geo_dns::fleet::Fleet;
use offhook_geo_dns::run::{DNS_TCP, DNS_UDP, Error, ROLE, operator, run};
use offhook_process::admin::{Admin, AdminConfig, Pages};
use offhook_process::operator::Requests;
use offhook_process::{Context, NodeName, Shutdown, ShutdownTrigger, TraceLimits};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

const LIMIT: Duration = Duration::from_secs(60);
const READY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const BROKEN: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
const DRAINING: &str =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 32\r\n\r\n{\"roles\":[{\"state\":\"draining\"}]}\n";
/// Tests ask as fast as they can.
const UNLIMITED: &str = "limits = { answers_per_second = 0 }";
const ANSWERS: [&str; 3] = [READY, BROKEN, DRAINING];

/// A site's `/readyz`, which says what it is told to.
struct Site {
    says: Arc<AtomicUsize>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Site {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let says = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&says);
        let server = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let answer = ANSWERS[told.load(Ordering::Relaxed)];
                let mut request = [0; 1024];
                // A check that gives up half way is no matter of this site.
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self {
            says,
            address,
            server,
        }
    }

    fn say(&self, answer: &str) {
        let at = ANSWERS.iter().position(|each| *each == answer).unwrap();
        self.says.store(at, Ordering::Relaxed);
    }
}

struct Server {
    context: Context,
    trigger: ShutdownTrigger,
    role: JoinHandle<Result<(), Error>>,
    udp: SocketAddr,
    tcp: SocketAddr,
}

impl Server {
    async fn start(near: &Site, far: &Site, more: &str) -> Self {
        Self::start_with(near, far, more, operator::channel().1).await
    }

    async fn start_with(near: &Site, far: &Site, more: &str, operator: Requests<Fleet>) -> Self {
        let text = format!(
            "listen = '127.0.0.1:0'\nzone = 'rtc.example.com'\ndefault_region = 'home'\n{more}\n\
             health = {{ interval_ms = 20, timeout_ms = 5000, failures = 2, successes = 2 }}\n\
             [[site]]\nname = 'NEAR'\naddresses = ['192.0.2.1']\nhealth = 'http://{}/readyz'\n\
             [[site]]\nname = 'FAR'\naddresses = ['192.0.2.2']\nhealth = 'http://{}/readyz'\n\
             [[region]]\nname = 'home'\nsites = ['NEAR']\n[[region]]\nname = 'away'\nsites = ['FAR']\nnetworks = ['80.0.0.0/4']\n",
            near.address, far.address
        );
        let config: Config = toml::from_str(&text).unwrap();
        let context = Context::new(NodeName::default(), TraceLimits::default());
        let (trigger, shutdown) = Shutdown::new();
        let role = tokio::spawn(run(config, context.clone(), shutdown, operator));
        assert!(context.readiness.wait_for(&[ROLE], LIMIT).await);
        let address = |name| context.readiness.address(ROLE, name).unwrap();
        Self {
            udp: address(DNS_UDP),
            tcp: address(DNS_TCP),
            context,
            trigger,
            role,
        }
    }

    /// The address of the site that is answered over UDP.
    async fn site(&self) -> String {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(&question(), self.udp).await.unwrap();
        let mut reply = [0; 1500];
        let received = tokio::time::timeout(LIMIT, socket.recv_from(&mut reply)).await;
        let (len, from) = received.expect("it is answered").unwrap();
        assert_eq!(from, self.udp);
        address(&reply[..len])
    }

    /// Asks until that site is answered.
    async fn until(&self, expected: &str) {
        let deadline = Instant::now() + LIMIT;
        while self.site().await != expected {
            assert!(Instant::now() < deadline, "{expected} is never answered");
        }
    }

    /// The value of a line of the metrics.
    fn metric(&self, name: &str) -> String {
        let text = self.context.metrics.encode();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
    }

    async fn leave(self) {
        self.trigger.drain(Instant::now());
        tokio::time::timeout(LIMIT, self.role)
            .await
            .expect("it leaves")
            .unwrap()
            .unwrap();
    }
}

fn question() -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    let name = Name::from_ascii("rtc.example.com.").unwrap();
    message.add_query(Query::query(name, RecordType::A));
    message.to_vec().unwrap()
}

fn address(reply: &[u8]) -> String {
    let reply = Message::from_vec(reply).unwrap();
    match &reply.answers[0].data {
        RData::A(a) => a.0.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn ask_over(stream: &mut TcpStream) -> std::io::Result<String> {
    let question = question();
    stream.write_u16(question.len() as u16).await?;
    stream.write_all(&question).await?;
    let len = stream.read_u16().await?;
    let mut reply = vec![0; usize::from(len)];
    stream.read_exact(&mut reply).await?;
    Ok(address(&reply))
}

#[tokio::test]
async fn a_site_that_dies_is_withdrawn_and_comes_back() {
    let (near, far) = (Site::start().await, Site::start().await);
    let server = Server::start(&near, &far, UNLIMITED).await;
    assert_eq!(server.site().await, "192.0.2.1");
    assert_eq!(server.metric("offhook_geo_dns_sites_available"), "2");
    near.say(BROKEN);
    server.until("192.0.2.2").await;
    assert_eq!(
        server.metric("offhook_geo_dns_site_available{site=\"NEAR\"}"),
        "0"
    );
    near.say(READY);
    server.until("192.0.2.1").await;
    near.say(DRAINING);
    server.until("192.0.2.2").await;
    far.server.abort();
    assert!(far.server.await.unwrap_err().is_cancelled());
    near.say(BROKEN);
    server.until("192.0.2.1").await;
    assert_eq!(
        server.metric("offhook_geo_dns_sites_available"),
        "0",
        "better one than none"
    );
    server.leave().await;
}

#[tokio::test]
async fn the_first_answer_knows_already_who_is_dead() {
    let (near, far) = (Site::start().await, Site::start().await);
    near.say(BROKEN);
    let server = Server::start(&near, &far, UNLIMITED).await;
    assert_eq!(server.site().await, "192.0.2.2");
    server.leave().await;
}

#[tokio::test]
async fn rfc7766_6_2_many_questions_on_one_connection() {
    let (near, far) = (Site::start().await, Site::start().await);
    let server = Server::start(&near, &far, UNLIMITED).await;
    assert_eq!(server.udp, server.tcp, "one port");
    let mut stream = TcpStream::connect(server.tcp).await.unwrap();
    for _ in 0..3 {
        assert_eq!(ask_over(&mut stream).await.unwrap(), "192.0.2.1");
    }
    // In pieces, and the next one with the end of the last.
    let framed = [&(question().len() as u16).to_be_bytes()[..], &question()].concat();
    let twice = [framed.clone(), framed].concat();
    for piece in twice.chunks(7) {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
    }
    for _ in 0..2 {
        let len = stream.read_u16().await.unwrap();
        let mut reply = vec![0; usize::from(len)];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(address(&reply), "192.0.2.1");
    }
    let answered = "offhook_geo_dns_queries_total{transport=\"tcp\",outcome=\"answered\"}";
    assert_eq!(server.metric(answered), "5");
    server.leave().await;
    assert_eq!(
        stream.read(&mut [0; 1]).await.unwrap(),
        0,
        "it is closed with the role"
    );
}

#[tokio::test]
async fn connections_that_send_no_question_are_closed() {
    let (near, far) = (Site::start().await, Site::start().await);
    let server = Server::start(&near, &far, UNLIMITED).await;
    for sent in [&b"\xFF\xFF"[..], b"\0\x03abc", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.tcp).await.unwrap();
        stream.write_all(sent).await.unwrap();
        // An end or a reset: it had more to read.
        assert!(
            matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_)),
            "{sent:?}"
        );
    }
    assert_eq!(server.site().await, "192.0.2.1");
    server.leave().await;
}

#[tokio::test]
async fn connections_are_bounded_for_each_address_and_in_all() {
    let (near, far) = (Site::start().await, Site::start().await);
    let limits =
        "limits = { tcp_connections_max = 3, tcp_connections_per_address_max = 2, tcp_idle_s = 3600 }";
    let server = Server::start(&near, &far, limits).await;
    let connect = async |from: &str| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(from.parse().unwrap()).unwrap();
        socket.connect(server.tcp).await.unwrap()
    };
    let mut first = connect("127.0.0.1:0").await;
    let mut second = connect("127.0.0.1:0").await;
    for stream in [&mut first, &mut second] {
        assert!(ask_over(stream).await.is_ok());
    }
    assert!(
        ask_over(&mut connect("127.0.0.1:0").await).await.is_err(),
        "the third of one address"
    );
    let mut third = connect("127.0.0.2:0").await;
    assert!(ask_over(&mut third).await.is_ok());
    assert!(
        ask_over(&mut connect("127.0.0.3:0").await).await.is_err(),
        "the fourth in all"
    );
    assert_eq!(server.metric("offhook_geo_dns_tcp_refused_total"), "2");
    drop(third);
    let deadline = Instant::now() + LIMIT;
    while ask_over(&mut connect("127.0.0.3:0").await).await.is_err() {
        assert!(Instant::now() < deadline, "a place becomes free again");
    }
    server.leave().await;
}

#[tokio::test]
async fn both_families_have_the_same_port() {
    // One that is free, as far as anybody can know.
    let port = std::net::UdpSocket::bind("0.0.0.0:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let text = format!(
        "listen = ['0.0.0.0:{port}', '[::]:{port}']\nzone = 'rtc.example.com'\ndefault_region = 'home'\n\
         [[site]]\nname = 'A'\naddresses = ['192.0.2.1']\n[[region]]\nname = 'home'\nsites = ['A']\n"
    );
    let context = Context::new(NodeName::default(), TraceLimits::default());
    let (trigger, shutdown) = Shutdown::new();
    let config = toml::from_str(&text).unwrap();
    let role = tokio::spawn(run(config, context.clone(), shutdown, operator::channel().1));
    assert!(context.readiness.wait_for(&[ROLE], LIMIT).await);
    // 127.0.0.2 is answered from there, though the machine would rather take 127.0.0.1: else the answer is a stranger's.
    for (from, to) in [
        ("127.0.0.1:0", "127.0.0.1"),
        ("127.0.0.1:0", "127.0.0.2"),
        ("[::1]:0", "::1"),
    ] {
        let to = SocketAddr::new(to.parse().unwrap(), port);
        let socket = UdpSocket::bind(from).await.unwrap();
        socket.send_to(&question(), to).await.unwrap();
        let mut reply = [0; 1500];
        let (len, answered_from) = socket.recv_from(&mut reply).await.unwrap();
        assert_eq!(answered_from, to);
        assert_eq!(address(&reply[..len]), "192.0.2.1");
        let mut stream = TcpStream::connect(to).await.unwrap();
        assert_eq!(ask_over(&mut stream).await.unwrap(), "192.0.2.1");
    }
    trigger.drain(Instant::now());
    role.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_taken_port_is_said() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = format!(
        "listen = '{address}'\nzone = 'a.example'\ndefault_region = 'home'\n\
         [[site]]\nname = 'A'\naddresses = ['192.0.2.1']\n[[region]]\nname = 'home'\nsites = ['A']\n"
    );
    let context = Context::new(NodeName::default(), TraceLimits::default());
    let (_trigger, shutdown) = Shutdown::new();
    let (_pages, operator) = operator::channel();
    let error = run(toml::from_str(&text).unwrap(), context, shutdown, operator)
        .await
        .unwrap_err();
    assert!(error.to_string().contains(&format!("udp {address}")), "{error}");
}

/// Asks a page of the admin port: status and JSON.
async fn page(address: SocketAddr, method: &str, path: &str) -> (u16, serde_json::Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn the_operator_takes_a_site_out_and_back_in() {
    let (near, far) = (Site::start().await, Site::start().await);
    let (routes, requests) = operator::channel();
    let server = Server::start_with(&near, &far, UNLIMITED, requests).await;
    let listen = "127.0.0.1:0".parse().unwrap();
    let config = AdminConfig { listen, token: None };
    let pages = Pages::default().merge(routes, operator::INDEX);
    let admin = Admin::bind(&config, server.context.clone(), pages).await.unwrap();
    let address = admin.local_address();
    let (_trigger, shutdown) = Shutdown::new();
    tokio::spawn(admin.serve(shutdown));

    let (_, sites) = page(address, "GET", "/sites").await;
    assert_eq!(sites["sites"][0]["name"], "NEAR");
    assert_eq!(sites["sites"][0]["standing"], "available");
    let (status, site) = page(address, "POST", "/sites/near/drain").await;
    assert_eq!((status, &site["standing"]), (200, &"drained".into()));
    assert_eq!(server.site().await, "192.0.2.2", "from the next question on");
    assert_eq!(page(address, "POST", "/sites/OTHER/drain").await.0, 404);
    let (_, site) = page(address, "POST", "/sites/NEAR/resume").await;
    assert_eq!(site["drained_by_operator"], false);
    assert_eq!(server.site().await, "192.0.2.1");
    server.leave().await;
    assert_eq!(page(address, "GET", "/sites").await.0, 503);
}
