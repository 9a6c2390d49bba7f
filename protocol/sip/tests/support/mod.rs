//! Drivers on a virtual clock: one transaction layer, or two user agents on a network.

pub(crate) mod agents;

use bytes::Bytes;
use offhook_sip::transaction::{
    ClientTransactionId, Config, Event, Output, SendOptions, ServerTransactionId, TransactionLayer, Transmit,
};
use offhook_sip::{ConnectionId, Flow, Transport};
use offhook_sip_message::{Message, MessageBuilder, StatusCode, Token, respond};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};

#[expect(
    clippy::disallowed_methods,
    reason = "there is no other way to make an Instant; time is virtual from here on"
)]
fn epoch() -> Instant {
    Instant::now()
}

pub(crate) fn flow() -> Flow {
    Flow::udp("192.0.2.1:5060".parse().unwrap())
}

pub(crate) fn tcp_flow() -> Flow {
    Flow {
        transport: Transport::Tcp,
        remote: "192.0.2.1:5060".parse().unwrap(),
        connection: Some(ConnectionId(1)),
    }
}

/// A message from lines; the empty line at the end is added.
pub(crate) fn message(lines: &str) -> Message {
    Message::parse(raw(lines)).unwrap()
}

pub(crate) fn raw(lines: &str) -> Bytes {
    let mut text: String = lines
        .trim()
        .lines()
        .map(|line| format!("{}\r\n", line.trim()))
        .collect();
    text.push_str("\r\n");
    text.into()
}

/// A request of ours with this branch.
pub(crate) fn own_request(method: &str, branch: &str) -> Message {
    message(&format!(
        "{method} sip:bob@192.0.2.1 SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.9:5060;branch={branch}
         Max-Forwards: 70
         Route: <sip:192.0.2.1;lr>
         From: <sip:alice@192.0.2.9>;tag=a1
         To: <sip:bob@192.0.2.1>
         Call-ID: call-1
         CSeq: 7 {method}
         Contact: <sip:alice@192.0.2.9>
         Content-Length: 0"
    ))
}

/// A request of the peer at `flow()`.
pub(crate) fn peer_request(method: &str, branch: &str) -> Message {
    message(&format!(
        "{method} sip:alice@192.0.2.9 SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch={branch}
         Max-Forwards: 70
         From: <sip:bob@192.0.2.1>;tag=b1
         To: <sip:alice@192.0.2.9>
         Call-ID: call-2
         CSeq: 9 {method}
         Contact: <sip:bob@192.0.2.1>
         Content-Length: 0"
    ))
}

pub(crate) fn answer(request: &Message, status: u16) -> Message {
    response_builder(request, status).build().unwrap()
}

pub(crate) fn response_builder(request: &Message, status: u16) -> MessageBuilder {
    let tag = Token::new(b"t1").unwrap();
    respond(request, StatusCode::new(status).unwrap(), Some(tag))
}

/// A transaction layer and everything it said, with the time in milliseconds.
pub(crate) struct Driver {
    pub(crate) layer: TransactionLayer,
    start: Instant,
    now: Instant,
    pub(crate) sent: Vec<(u64, Transmit)>,
    pub(crate) events: Vec<(u64, Event)>,
}

impl Driver {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        let start = epoch();
        Self {
            layer: TransactionLayer::new(config, StdRng::seed_from_u64(1)),
            start,
            now: start,
            sent: Vec::new(),
            events: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn send(&mut self, request: &Message, give_up_after_ms: Option<u64>) -> ClientTransactionId {
        self.send_to(flow(), request, give_up_after_ms)
    }

    pub(crate) fn send_to(
        &mut self,
        flow: Flow,
        request: &Message,
        give_up_after_ms: Option<u64>,
    ) -> ClientTransactionId {
        let options = SendOptions {
            give_up_after: give_up_after_ms.map(Duration::from_millis),
        };
        let id = self
            .layer
            .send_request(self.now, flow, request.clone(), options)
            .unwrap();
        self.drain();
        id
    }

    pub(crate) fn receive(&mut self, message: &Message) {
        self.receive_from(flow(), message);
    }

    pub(crate) fn receive_from(&mut self, source: Flow, message: &Message) {
        self.layer
            .handle_datagram(self.now, source, message.bytes().clone());
        self.drain();
    }

    /// Receives a request and gives its server transaction.
    pub(crate) fn receive_new(&mut self, request: &Message) -> ServerTransactionId {
        self.receive(request);
        self.events
            .iter()
            .rev()
            .find_map(|(_, event)| match event {
                Event::Request { transaction, .. } => Some(*transaction),
                _ => None,
            })
            .expect("the request was delivered")
    }

    pub(crate) fn respond(&mut self, id: ServerTransactionId, status: u16) {
        let request = self.layer.request(id).unwrap().clone();
        self.layer
            .respond(self.now, id, answer(&request, status))
            .unwrap();
        self.drain();
    }

    /// Lets `ms` pass, timer by timer.
    pub(crate) fn advance(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(next) = self.layer.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.layer.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    pub(crate) fn drain(&mut self) {
        let at = self.now.duration_since(self.start).as_millis() as u64;
        while let Some(output) = self.layer.poll_output() {
            match output {
                Output::Transmit(transmit) => self.sent.push((at, transmit)),
                Output::Event(event) => self.events.push((at, event)),
            }
        }
    }

    /// When messages starting with `start` went out.
    pub(crate) fn sent_at(&self, start: &str) -> Vec<u64> {
        let matches = |transmit: &Transmit| transmit.bytes.starts_with(start.as_bytes());
        self.sent
            .iter()
            .filter(|(_, transmit)| matches(transmit))
            .map(|(at, _)| *at)
            .collect()
    }

    /// The last message that went out.
    pub(crate) fn last_sent(&self) -> Message {
        Message::parse(self.sent.last().expect("something was sent").1.bytes.clone()).unwrap()
    }

    /// The events in short, with their times: `0 request INVITE`, `500 response 180`, `32000 timed out`.
    pub(crate) fn story(&self) -> Vec<String> {
        self.events
            .iter()
            .map(|(at, event)| format!("{at} {}", tell(event)))
            .collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        let counts = self.layer.counts();
        counts.client_transactions + counts.server_transactions + counts.timers == 0
    }
}

fn tell(event: &Event) -> String {
    match event {
        Event::Request { request, .. } => format!("request {}", request.method().unwrap()),
        Event::Cancel { .. } => "cancel".into(),
        Event::Ack { completed, .. } => {
            format!("ack {}", if completed.is_some() { "completes" } else { "2xx" })
        }
        Event::Response { response, .. } => format!("response {}", response.status().unwrap()),
        Event::CancelAnswered { response, .. } => format!("cancel answered {}", response.status().unwrap()),
        Event::TimedOut { .. } => "timed out".into(),
        Event::AckMissing { .. } => "ack missing".into(),
        Event::TransportFailed { .. } => "transport failed".into(),
        Event::Terminated { .. } => "terminated".into(),
    }
}
