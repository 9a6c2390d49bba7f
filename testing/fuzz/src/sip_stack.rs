//! The SIP state machines: a user agent with a call of its own under way is fed hostile datagrams.

use crate::words::split;
use bytes::Bytes;
use offhook_sip::Flow;
use offhook_sip::user_agent::{Config, Event, NameAddr, OutgoingInvite, Output, Reply, UserAgent};
use offhook_sip_message::{Method, StatusCode, UriBuf};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Most timer runs after the input: an hour of the slowest timers; what is still there then would never leave.
const WAKES_MAX: usize = 2_000;

/// Datagrams are separated by a line `----` in the input.
pub(crate) fn user_agent(input: &[u8]) {
    let start = *START.get_or_init(Instant::now);
    let peer = Flow::udp(SocketAddr::from((Ipv4Addr::LOCALHOST, 5060)));
    let mut agent =
        UserAgent::new(config(), StdRng::seed_from_u64(1)).expect("a configuration that can be written");
    let _ = agent.invite(start, invite(peer));
    let mut now = start;
    drain(&mut agent, now);
    let mut rest = input;
    while !rest.is_empty() {
        let (datagram, next) = split(rest);
        rest = next;
        agent.handle_datagram(now, peer, Bytes::copy_from_slice(datagram));
        drain(&mut agent, now);
        now += Duration::from_millis(10);
    }
    for _ in 0..WAKES_MAX {
        let Some(due) = agent.poll_timeout() else { break };
        now = now.max(due);
        agent.handle_timeout(now);
        drain(&mut agent, now);
    }
    let left = agent.counts().transactions;
    assert_eq!(
        (left.client_transactions, left.server_transactions),
        (0, 0),
        "every transaction ends by its timers"
    );
}

static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();

/// Answers what waits for an answer, ends what was answered.
fn drain(agent: &mut UserAgent, now: Instant) {
    while let Some(output) = agent.poll_output() {
        match output {
            Output::Event(
                Event::IncomingInvite { incoming, .. } | Event::IncomingRequest { incoming, .. },
            ) => {
                let _ = agent.respond(now, incoming, Reply::new(StatusCode::OK));
            }
            Output::Event(Event::Answered { leg, .. } | Event::AckReceived { leg, .. }) => {
                let _ = agent.bye(now, leg, Vec::new());
            }
            Output::Event(_) | Output::Transmit(_) | Output::Observed(_) => {}
        }
    }
}

fn uri(text: &'static str) -> UriBuf {
    UriBuf::new(text).expect("well formed")
}

pub(crate) fn config() -> Config {
    Config {
        timing: offhook_sip::Timing::default(),
        sent_by: "127.0.0.1:5070".into(),
        contact: uri("sip:offhook@127.0.0.1:5070"),
        product: "fuzz".into(),
        allow: vec![Method::Info, Method::Update],
        accept: vec!["application/sdp".into()],
        legs_max: 16,
    }
}

pub(crate) fn invite(peer: Flow) -> OutgoingInvite {
    let name = |uri| NameAddr {
        display_name: String::new(),
        uri,
    };
    OutgoingInvite {
        request_uri: uri("sip:bob@127.0.0.1"),
        destination: peer,
        from: name(uri("sip:alice@127.0.0.1")),
        to: name(uri("sip:bob@127.0.0.1")),
        headers: Vec::new(),
        sticky_headers: Vec::new(),
        body: None,
        credentials: None,
        give_up_after: None,
    }
}
