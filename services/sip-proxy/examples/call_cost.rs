//! What the core costs per call, without sockets: `cargo run --release -p offhook-sip-proxy --example call_cost [CALLS [trace]]`.
//!
//! INVITE, 100, 180, 200, ACK, BYE, 200 at 500 calls per second of virtual time, so that what is remembered for repetitions
//! (64 × T1) weighs as it does in service.

use bytes::Bytes;
use offhook_sip_message::{Message, Method, StatusCode, Token, UriBuf, respond};
use offhook_sip_proxy::dial_plan::{CarrierId, DialPlan, Prefix};
use offhook_sip_proxy::proxy::{Carrier, Output, Proxy, Settings};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const CALL_EVERY: Duration = Duration::from_millis(2);
const SDP: &str = "v=0\r\no=a 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 101\r\n\
    a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\n";

fn main() {
    let calls: u32 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(50_000);
    let mut world = World::new();
    let start = Instant::now();
    for id in 0..calls {
        world.call(id);
    }
    let spent = start.elapsed();
    let counts = world.proxy.counts();
    assert_eq!(counts.answered_total, u64::from(calls), "each call was answered");
    assert_eq!(counts.dialogs, 0, "and ended");
    print_line(&format!(
        "{:.2} us per call, the test's own work included ({:.2} us)",
        spent.as_secs_f64() * 1e6 / f64::from(calls),
        world.own_work.as_secs_f64() * 1e6 / f64::from(calls)
    ));
}

fn print_line(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}

struct World {
    proxy: Proxy,
    now: Instant,
    vsp: SocketAddr,
    carrier: SocketAddr,
    sent: Vec<(SocketAddr, Bytes)>,
    own_work: Duration,
}

impl World {
    fn new() -> Self {
        let (vsp, carrier): (SocketAddr, SocketAddr) =
            (([127, 0, 0, 1], 5080).into(), ([127, 0, 0, 1], 5090).into());
        let mut dial_plan = DialPlan::new();
        dial_plan.add_route(Prefix::new("").expect("empty fits all"), vec![CarrierId(0)]);
        let target = UriBuf::new(format!("sip:{carrier}")).expect("an address is a host");
        let settings = Settings {
            vsps: vec![vsp],
            carriers: vec![Carrier {
                places: vec![carrier.into()],
                ..Carrier::new("a", target)
            }],
            dial_plan,
            trace: std::env::args().nth(2).is_some(),
            ..Settings::new(([127, 0, 0, 1], 5060).into())
        };
        Self {
            proxy: Proxy::new(settings, StdRng::seed_from_u64(1)),
            now: Instant::now(),
            vsp,
            carrier,
            sent: Vec::new(),
            own_work: Duration::ZERO,
        }
    }

    fn call(&mut self, id: u32) {
        self.now += CALL_EVERY;
        self.proxy.handle_timeout(self.now);
        self.drain();
        self.sent.clear();
        let invite = self.request("INVITE", id, 1, "", SDP);
        self.receive(self.vsp, invite);
        let invite = self.parsed(self.carrier);
        let mut ok = None;
        for status in [StatusCode::TRYING, StatusCode::RINGING, StatusCode::OK] {
            let answer = self.answer(&invite, status);
            self.receive(self.carrier, answer);
            ok = Some(self.parsed(self.vsp));
        }
        let route = ok.map(|ok| self.route(&ok)).unwrap_or_default();
        let ack = self.request("ACK", id, 1, &route, "");
        self.receive(self.vsp, ack);
        let bye = self.request("BYE", id, 2, &route, "");
        self.receive(self.vsp, bye);
        let bye = self.parsed(self.carrier);
        assert_eq!(bye.method(), Some(&Method::Bye));
        let done = self.answer(&bye, StatusCode::OK);
        self.receive(self.carrier, done);
    }

    fn receive(&mut self, from: SocketAddr, bytes: Bytes) {
        self.proxy.handle_datagram(self.now, from, bytes);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.proxy.poll_output() {
            if let Output::Transmit { to, bytes } = output {
                self.sent.push((to, bytes));
            }
        }
    }

    /// The last message that was sent to `to`.
    fn parsed(&mut self, to: SocketAddr) -> Message {
        let start = Instant::now();
        let sent = self.sent.iter().rev().find(|(address, _)| *address == to);
        let bytes = sent.map(|(_, bytes)| bytes.clone()).unwrap_or_default();
        let message = Message::parse(bytes).expect("the proxy sends messages");
        self.own_work += start.elapsed();
        message
    }

    fn answer(&mut self, request: &Message, status: StatusCode) -> Bytes {
        let start = Instant::now();
        let tag = Token::new(b"callee").ok();
        let builder = respond(request, status, tag)
            .copy(request, offhook_sip_message::HeaderName::RecordRoute)
            .text(
                offhook_sip_message::HeaderName::Contact,
                format!("<sip:{};transport=UDP>", self.carrier),
            );
        let answer = builder.build().expect("a message").bytes().clone();
        self.own_work += start.elapsed();
        answer
    }

    fn route(&mut self, ok: &Message) -> String {
        let start = Instant::now();
        let value = ok.first(offhook_sip_message::HeaderName::RecordRoute);
        let route = format!(
            "Route: {}\r\n",
            String::from_utf8_lossy(value.unwrap_or_default())
        );
        self.own_work += start.elapsed();
        route
    }

    fn request(&mut self, method: &str, id: u32, cseq: u32, route: &str, body: &str) -> Bytes {
        let start = Instant::now();
        let tag = if cseq == 1 && method == "INVITE" {
            ""
        } else {
            ";tag=callee"
        };
        let host = if route.is_empty() {
            "127.0.0.1:5060"
        } else {
            "127.0.0.1:5090"
        };
        let content_type = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = format!(
            "{method} sip:1001@{host};transport=UDP SIP/2.0\r\n\
             Via: SIP/2.0/UDP 127.0.0.1:5080;branch=z9hG4bK-{method}-{id}\r\n{route}\
             From: \"A\" <sip:a@127.0.0.1:5080>;tag=17a{id}\r\nTo: <sip:1001@127.0.0.1:5060>{tag}\r\n\
             Call-ID: {id}-1234@127.0.0.1\r\nCSeq: {cseq} {method}\r\nContact: <sip:a@127.0.0.1:5080;transport=UDP>\r\n\
             Max-Forwards: 70\r\nUser-Agent: bench\r\n{content_type}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.own_work += start.elapsed();
        text.into()
    }
}
