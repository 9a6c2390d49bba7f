//! The role on real sockets: it comes up, passes a call, counts, drains and leaves.

use offhook_process::{Context, NodeName, Shutdown, TraceLimits};
use offhook_sip_message::header::CSeq;
use offhook_sip_message::{HeaderName, Message, MessageBuilder, Method, StatusCode, Token, UriBuf, respond};
use offhook_sip_proxy::config::{CarrierConfig, Config, PeerAddress, RouteConfig, SipProxyConfig};
use offhook_sip_proxy::{ROLE, SIP_UDP, run};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// Enough for a busy machine; less than `carrier_timeout_ms` where that must not be waited for.
const LIMIT: Duration = Duration::from_secs(30);

async fn socket() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback is there");
    let address = socket.local_addr().expect("it is bound");
    (socket, address)
}

async fn receive(socket: &UdpSocket) -> (Message, SocketAddr) {
    let mut buffer = vec![0; 65_535];
    let received = tokio::time::timeout(LIMIT, socket.recv_from(&mut buffer))
        .await
        .expect("a message in time");
    let (length, from) = received.expect("the socket works");
    (
        Message::parse(buffer[..length].to_vec().into()).expect("a SIP message"),
        from,
    )
}

fn invite(number: &str, vsp: SocketAddr, proxy: SocketAddr) -> Message {
    let uri = UriBuf::new(format!("sip:{number}@{proxy}")).expect("a URI");
    MessageBuilder::request(&Method::Invite, &uri.uri())
        .text(
            HeaderName::Via,
            format!("SIP/2.0/UDP {vsp};branch=z9hG4bK{number};rport"),
        )
        .text(HeaderName::From, "<sip:alice@localhost>;tag=1")
        .text(HeaderName::To, format!("<{uri}>"))
        .text(HeaderName::CallId, number)
        .text(HeaderName::custom("X-Offhook-Call-Id"), "call-1")
        .typed(&CSeq {
            number: 1,
            method: Method::Invite,
        })
        .build()
        .expect("a message")
}

/// One carrier, with a name that has to be looked up, for all numbers.
fn config(vsp: SocketAddr, carrier_port: u16) -> Config {
    Config {
        sip_proxy: SipProxyConfig {
            udp: "127.0.0.1:0".parse().expect("an address"),
            vsp: vec![PeerAddress(vsp)],
            ..SipProxyConfig::default()
        },
        carriers: vec![carrier_config("a", &format!("sip:localhost:{carrier_port}"))],
        routes: vec![RouteConfig {
            prefix: String::new(),
            carriers: vec!["a".to_owned()],
        }],
        ..Config::default()
    }
}

fn carrier_config(name: &str, uri: &str) -> CarrierConfig {
    let text = format!("name = '{name}'\nuri = '{uri}'\n");
    offhook_process::config::parse("carrier", &text).expect("the text is right")
}

#[tokio::test]
async fn a_call_passes_and_the_role_leaves_when_it_is_over() {
    let ((vsp, vsp_address), (carrier, carrier_address)) = (socket().await, socket().await);
    let config = config(vsp_address, carrier_address.port());
    assert_eq!(config.check(), []);
    let context = Context::new(NodeName::default(), TraceLimits::default());
    let (trigger, shutdown) = Shutdown::new();
    let role = tokio::spawn(run(config, context.clone(), shutdown));
    assert!(context.readiness.wait_for(&[ROLE], LIMIT).await);
    let proxy = context.readiness.address(ROLE, SIP_UDP).expect("it is bound");

    // The carrier's name may not be resolved yet: the caller hears 500 until it is.
    let mut attempt = 0;
    let at_carrier = loop {
        attempt += 1;
        let request = invite(&format!("100{attempt}"), vsp_address, proxy);
        vsp.send_to(request.bytes(), proxy).await.expect("loopback works");
        assert_eq!(receive(&vsp).await.0.status(), Some(StatusCode::TRYING));
        tokio::select! {
            (message, _) = receive(&carrier) => break message,
            (refused, _) = receive(&vsp), if attempt < 1000 => {
                assert_eq!(refused.status(), Some(StatusCode::SERVER_INTERNAL_ERROR));
                tokio::task::yield_now().await;
            }
        }
    };
    let busy = respond(&at_carrier, StatusCode::BUSY_HERE, Token::new(b"x").ok())
        .build()
        .expect("a message");
    carrier
        .send_to(busy.bytes(), proxy)
        .await
        .expect("loopback works");
    assert_eq!(receive(&carrier).await.0.method(), Some(&Method::Ack));
    let last = loop {
        let (message, _) = receive(&vsp).await;
        if message.first(HeaderName::CallId) == at_carrier.first(HeaderName::CallId) {
            break message;
        }
    };
    assert_eq!(last.status(), Some(StatusCode::BUSY_HERE));
    let metrics = context.metrics.encode();
    assert!(
        metrics.contains(&format!("offhook_sip_proxy_calls_total {attempt}\n")),
        "{metrics}"
    );
    let trace = context.traces.find("call-1").expect("the call is traced");
    assert!(
        trace
            .events
            .iter()
            .any(|recorded| recorded.event.name == "486 INVITE")
    );

    trigger.drain(Instant::now() + Duration::from_secs(60));
    tokio::time::timeout(LIMIT, role)
        .await
        .expect("no call runs")
        .expect("no panic")
        .expect("no error");
}

/// ICMP says that nobody is there: the next carrier is tried at once, not after `carrier_timeout_ms`.
#[tokio::test]
async fn a_closed_port_fails_over_at_once() {
    let ((vsp, vsp_address), (carrier, carrier_address)) = (socket().await, socket().await);
    let closed = socket().await.1;
    let mut config = config(vsp_address, 0);
    config.sip_proxy.carrier_timeout_ms = 60_000;
    config.carriers = vec![
        carrier_config("dead", &format!("sip:{closed}")),
        carrier_config("b", &format!("sip:{carrier_address}")),
    ];
    config.routes[0].carriers = vec!["dead".to_owned(), "b".to_owned()];
    let context = Context::new(NodeName::default(), TraceLimits::default());
    let (trigger, shutdown) = Shutdown::new();
    let role = tokio::spawn(run(config, context.clone(), shutdown));
    assert!(context.readiness.wait_for(&[ROLE], LIMIT).await);
    let proxy = context.readiness.address(ROLE, SIP_UDP).expect("it is bound");

    let request = invite("1", vsp_address, proxy);
    vsp.send_to(request.bytes(), proxy).await.expect("loopback works");
    assert_eq!(receive(&carrier).await.0.method(), Some(&Method::Invite));
    let failed = "carrier_failures_total{carrier=\"dead\",failure=\"unreachable\"} 1";
    let metrics = context.metrics.encode();
    assert!(metrics.contains(failed), "{metrics}");
    trigger.drain(Instant::now());
    role.await.expect("no panic").expect("no error");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let (_holder, address) = socket().await;
    let config = Config {
        sip_proxy: SipProxyConfig {
            udp: address,
            ..SipProxyConfig::default()
        },
        ..Config::default()
    };
    let context = Context::new(NodeName::default(), TraceLimits::default());
    let (_trigger, shutdown) = Shutdown::new();
    let error = run(config, context, shutdown)
        .await
        .expect_err("the port is taken");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}
