//! The user agent with all its extensions on: session timers, reliable provisional responses, REFER, Replaces, UPDATE.
//!
//! Inputs are datagrams divided by `----`; see [`Words`] for what stands in them for words of ours.

use crate::words::{Words, split};
use offhook_sip::Flow;
use offhook_sip::user_agent::{
    Body, Event, Extensions, LegId, Notice, OutgoingRequest, Output, ReliableProvisionals, Reply,
    SessionTimer, SessionTimerMode, UserAgent,
};
use offhook_sip_message::{Method, StatusCode};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Most timer runs after the input; what is still there then would never leave.
const WAKES_MAX: usize = 4_000;
/// Datagrams of one input.
const DATAGRAMS_MAX: usize = 24;

/// Calls placed and taken, with what belongs to the extensions.
pub(crate) const SEEDS: &[&[u8]] = &[
    b"SIP/2.0 183 Progress\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch={branch}\r\nFrom: <sip:alice@127.0.0.1>;tag={from}\r\nTo: <sip:bob@127.0.0.1>;tag=b\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\nRequire: 100rel\r\nRSeq: 1\r\nContact: <sip:bob@127.0.0.1>\r\nContent-Length: 0\r\n\r\n----SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch={branch}\r\nFrom: <sip:alice@127.0.0.1>;tag={from}\r\nTo: <sip:bob@127.0.0.1>;tag=b\r\nCall-ID: {call}\r\nCSeq: 2 PRACK\r\nContent-Length: 0\r\n\r\n",
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch={branch}\r\nFrom: <sip:alice@127.0.0.1>;tag={from}\r\nTo: <sip:bob@127.0.0.1>;tag=b\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\nContact: <sip:bob@127.0.0.1>\r\nSupported: timer, replaces\r\nAllow: INVITE, ACK, BYE, UPDATE, REFER, NOTIFY\r\nSession-Expires: 120;refresher=uas\r\nContent-Length: 0\r\n\r\n----REFER sip:offhook@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKr1\r\nFrom: <sip:bob@127.0.0.1>;tag=b\r\nTo: <sip:alice@127.0.0.1>;tag={from}\r\nCall-ID: {call}\r\nCSeq: 5 REFER\r\nContact: <sip:bob@127.0.0.1>\r\nRefer-To: <sip:carol@127.0.0.1?Replaces=x%3Bto-tag%3Da%3Bfrom-tag%3Db>\r\nRefer-Sub: true\r\nContent-Length: 0\r\n\r\n----UPDATE sip:offhook@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKr2\r\nFrom: <sip:bob@127.0.0.1>;tag=b\r\nTo: <sip:alice@127.0.0.1>;tag={from}\r\nCall-ID: {call}\r\nCSeq: 6 UPDATE\r\nContact: <sip:bob@127.0.0.1>\r\nSession-Expires: 90;refresher=uac\r\nMin-SE: 90\r\nContent-Length: 0\r\n\r\n----NOTIFY sip:offhook@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKr3\r\nFrom: <sip:bob@127.0.0.1>;tag=b\r\nTo: <sip:alice@127.0.0.1>;tag={from}\r\nCall-ID: {call}\r\nCSeq: 7 NOTIFY\r\nContact: <sip:bob@127.0.0.1>\r\nEvent: refer;id=2\r\nSubscription-State: terminated;reason=noresource\r\nContent-Type: message/sipfrag\r\nContent-Length: 14\r\n\r\nSIP/2.0 200 OK",
    b"INVITE sip:offhook@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKi1\r\nMax-Forwards: 70\r\nFrom: <sip:bob@127.0.0.1>;tag=b\r\nTo: <sip:offhook@127.0.0.1>\r\nCall-ID: in1\r\nCSeq: 1 INVITE\r\nContact: <sip:bob@127.0.0.1>\r\nRequire: 100rel\r\nSupported: timer, 100rel, replaces\r\nSession-Expires: 300;refresher=uac\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, REFER\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n----PRACK sip:offhook@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKi2\r\nFrom: <sip:bob@127.0.0.1>;tag=b\r\nTo: <sip:offhook@127.0.0.1>;tag={tag}\r\nCall-ID: in1\r\nCSeq: 2 PRACK\r\nRAck: {rseq} 1 INVITE\r\nContent-Length: 0\r\n\r\n----ACK sip:offhook@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKi3\r\nFrom: <sip:bob@127.0.0.1>;tag=b\r\nTo: <sip:offhook@127.0.0.1>;tag={tag}\r\nCall-ID: in1\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n----INVITE sip:offhook@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKi4\r\nFrom: <sip:carol@127.0.0.1>;tag=c\r\nTo: <sip:offhook@127.0.0.1>\r\nCall-ID: in2\r\nCSeq: 1 INVITE\r\nContact: <sip:carol@127.0.0.1>\r\nRequire: replaces\r\nReplaces: in1;to-tag={tag};from-tag=b\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n----BYE sip:offhook@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKi5\r\nFrom: <sip:bob@127.0.0.1>;tag=b\r\nTo: <sip:offhook@127.0.0.1>;tag={tag}\r\nCall-ID: in1\r\nCSeq: 9 BYE\r\nContent-Length: 0\r\n\r\n",
];

static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();

/// The agent, and what it has said last.
struct Peer {
    agent: UserAgent,
    now: Instant,
    words: Words,
    legs: Vec<LegId>,
    /// Chooses between ways to go on.
    turn: usize,
}

/// Runs one input.
pub(crate) fn user_agent(input: &[u8]) {
    let flow = Flow::udp(SocketAddr::from((Ipv4Addr::LOCALHOST, 5060)));
    let mut peer = Peer::new(input.len());
    let now = peer.now;
    if let Ok(leg) = peer.agent.invite(now, super::sip_stack::invite(flow)) {
        peer.legs.push(leg);
    }
    peer.drain();
    let mut rest = input;
    for _ in 0..DATAGRAMS_MAX {
        if rest.is_empty() {
            break;
        }
        let (datagram, next) = split(rest);
        rest = next;
        let datagram = peer.words.filled(datagram);
        peer.agent.handle_datagram(peer.now, flow, datagram);
        peer.drain();
        peer.now += Duration::from_millis(10);
    }
    peer.leave();
}

impl Peer {
    fn new(turn: usize) -> Self {
        let extensions = Extensions {
            session_timer: SessionTimer {
                mode: SessionTimerMode::Require,
                ..SessionTimer::default()
            },
            reliable_provisionals: ReliableProvisionals::WhenRequired,
            transfers: true,
            replaces: true,
        };
        let config = super::sip_stack::config();
        let agent = UserAgent::with_extensions(config, extensions, StdRng::seed_from_u64(1));
        Self {
            agent: agent.expect("a configuration that can be written"),
            now: *START.get_or_init(Instant::now),
            words: Words::default(),
            legs: Vec::new(),
            turn,
        }
    }

    fn drain(&mut self) {
        loop {
            if let Some(notice) = self.agent.poll_notice() {
                self.on_notice(&notice);
            } else if let Some(output) = self.agent.poll_output() {
                match output {
                    Output::Transmit(transmit) => self.words.note_sip(&transmit.bytes),
                    Output::Event(event) => self.on_event(event),
                    Output::Observed(_) => {}
                }
            } else {
                return;
            }
        }
    }

    fn on_notice(&mut self, notice: &Notice) {
        if let Notice::ReferRequested { leg, referral, .. } = notice {
            self.turn += 1;
            let now = self.now;
            if self.turn.is_multiple_of(2) {
                let _ = self
                    .agent
                    .decline_refer(now, *leg, *referral, StatusCode::DECLINE);
            } else {
                let _ = self.agent.accept_refer(now, *leg, *referral);
                let _ = self.agent.refer_progress(now, *leg, *referral, StatusCode::OK);
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        let now = self.now;
        self.turn += 1;
        match event {
            Event::IncomingInvite { leg, incoming, .. } => {
                self.legs.push(leg);
                let ringing = Reply::new(StatusCode::SESSION_PROGRESS).with_body(Body::sdp("v=0\r\n"));
                let _ = self.agent.respond(now, incoming, ringing);
                let answer = Reply::new(StatusCode::OK).with_body(Body::sdp("v=0\r\n"));
                let _ = self.agent.respond(now, incoming, answer);
            }
            Event::IncomingRequest { incoming, .. } => {
                let answer = Reply::new(StatusCode::OK).with_body(Body::sdp("v=0\r\n"));
                let _ = self.agent.respond(now, incoming, answer);
            }
            Event::Answered { leg, .. } | Event::AckReceived { leg, .. } => {
                let method = if self.turn.is_multiple_of(2) {
                    Method::Update
                } else {
                    Method::Invite
                };
                let request = OutgoingRequest {
                    method,
                    headers: Vec::new(),
                    body: Some(Body::sdp("v=0\r\n")),
                };
                let _ = self.agent.ack(now, leg, Some(Body::sdp("v=0\r\n")));
                let _ = self.agent.request(now, leg, request);
            }
            _ => {}
        }
    }

    /// Everything is hung up, and every timer runs out: nothing may be left.
    fn leave(&mut self) {
        for leg in std::mem::take(&mut self.legs) {
            let _ = self
                .agent
                .hang_up(self.now, leg, StatusCode::BUSY_HERE, Vec::new());
            self.drain();
        }
        for _ in 0..WAKES_MAX {
            let Some(due) = self.agent.poll_timeout() else {
                break;
            };
            self.now = self.now.max(due);
            self.agent.handle_timeout(self.now);
            self.drain();
        }
        let left = self.agent.counts();
        assert_eq!(
            (
                left.legs,
                left.dialogs,
                left.transactions.client_transactions,
                left.transactions.server_transactions
            ),
            (0, 0, 0, 0),
            "everything ends by its timers"
        );
    }
}
