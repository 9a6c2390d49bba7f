//! The cores of the VSP and of the SIP proxy: all that their sockets may bring, at calls that are under way.

use crate::words::{Words, split};
use bytes::Bytes;
use offhook_sim::actor::Gateway;
use offhook_sip_message::UriBuf;
use offhook_sip_proxy::dial_plan::{Assignment, CarrierId, DialPlan, Number, Prefix, UserName};
use offhook_sip_proxy::proxy::{self, Proxy};
use offhook_vsp::auth::Verdict;
use offhook_vsp::{
    ConnectionId, Departure, FarTransfers, Output, Peer, Server, Settings, SipSettings, TransferSettings,
    User,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const VSP: SocketAddr = at(5070);
const PROXY: SocketAddr = at(5060);
const CARRIER: SocketAddr = at(5080);
const STRANGER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 9), 5060));
/// Parts of one input.
const PARTS_MAX: usize = 24;
/// Most timer runs after the input; what is still there then would never leave.
const WAKES_MAX: usize = 4_000;

/// Frames of a client that has logged in, and datagrams of the proxy.
pub(crate) const VSP_SEEDS: &[&[u8]] = &[
    b"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"telnyx_rtc.invite\",\"params\":{\"sdp\":\"v=0\",\"dialogParams\":{\"callID\":\"c1\",\"destination_number\":\"100\"}}}----SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch={branch}\r\nFrom: <sip:a@b>;tag={from}\r\nTo: <sip:c@d>;tag=b\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\nContact: <sip:c@127.0.0.1:5080>\r\nAllow: INVITE, BYE, REFER, UPDATE\r\nContent-Type: application/sdp\r\nContent-Length: 3\r\n\r\nv=0----{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"telnyx_rtc.modify\",\"params\":{\"action\":\"hold\",\"dialogParams\":{\"callID\":\"c1\"}}}----{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"telnyx_rtc.modify\",\"params\":{\"action\":\"transfer\",\"destination\":\"200\",\"dialogParams\":{\"callID\":\"c1\"}}}----REFER sip:vsp@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKr\r\nFrom: <sip:c@d>;tag=b\r\nTo: <sip:a@b>;tag={from}\r\nCall-ID: {call}\r\nCSeq: 5 REFER\r\nContact: <sip:c@127.0.0.1:5080>\r\nRefer-To: <sip:300@127.0.0.1>\r\nContent-Length: 0\r\n\r\n----{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"telnyx_rtc.bye\",\"params\":{\"dialogParams\":{\"callID\":\"c1\"}}}",
    b"INVITE sip:alice@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKi1\r\nMax-Forwards: 70\r\nFrom: <sip:c@d>;tag=b\r\nTo: <sip:alice@d>\r\nCall-ID: in1\r\nCSeq: 1 INVITE\r\nContact: <sip:c@127.0.0.1:5080>\r\nX-A: 1\r\nContent-Type: application/sdp\r\nContent-Length: 3\r\n\r\nv=0----{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"telnyx_rtc.answer\",\"params\":{\"sdp\":\"v=0\",\"dialogParams\":{\"callID\":\"{id}\"}}}----ACK sip:vsp@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKi3\r\nFrom: <sip:c@d>;tag=b\r\nTo: <sip:alice@d>;tag={tag}\r\nCall-ID: in1\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n----{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"telnyx_rtc.info\",\"params\":{\"dtmf\":\"1#\",\"dialogParams\":{\"callID\":\"{id}\"}}}----BYE sip:vsp@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKi5\r\nFrom: <sip:c@d>;tag=b\r\nTo: <sip:alice@d>;tag={tag}\r\nCall-ID: in1\r\nCSeq: 9 BYE\r\nContent-Length: 0\r\n\r\n",
];

/// Datagrams, each after a letter that says from whom: a VSP, a carrier, a stranger.
pub(crate) const PROXY_SEEDS: &[&[u8]] = &[
    b"VINVITE sip:100@127.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\nFrom: <sip:alice@127.0.0.1>;tag=1\r\nTo: <sip:100@127.0.0.1>\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\nContact: <sip:vsp@127.0.0.1:5070>\r\nP-Asserted-Identity: <sip:alice@127.0.0.1>\r\nPrivacy: id\r\nX-Offhook-Call-Id: c\r\nContent-Length: 0\r\n\r\n----CSIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch={branch}\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1;rport=5070\r\nRecord-Route: <sip:127.0.0.1:5060;lr>\r\nFrom: <sip:alice@127.0.0.1>;tag=1\r\nTo: <sip:100@127.0.0.1>;tag=2\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\nContact: <sip:c@127.0.0.1:5080>\r\nContent-Length: 0\r\n\r\n----VACK sip:c@127.0.0.1:5080 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK2\r\nMax-Forwards: 70\r\nRoute: <sip:127.0.0.1:5060;lr>\r\nFrom: <sip:alice@127.0.0.1>;tag=1\r\nTo: <sip:100@127.0.0.1>;tag=2\r\nCall-ID: a\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n----CBYE sip:vsp@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5080;branch=z9hG4bK3\r\nMax-Forwards: 70\r\nRoute: <sip:127.0.0.1:5060;lr>\r\nFrom: <sip:100@127.0.0.1>;tag=2\r\nTo: <sip:alice@127.0.0.1>;tag=1\r\nCall-ID: a\r\nCSeq: 7 BYE\r\nContent-Length: 0\r\n\r\n",
    b"CINVITE sip:+15550100@127.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5080;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:x@carrier>;tag=1\r\nTo: <sip:+15550100@127.0.0.1>\r\nCall-ID: b\r\nCSeq: 1 INVITE\r\nContact: <sip:c@127.0.0.1:5080>\r\nContent-Length: 0\r\n\r\n----VSIP/2.0 302 Moved\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch={branch}\r\nVia: SIP/2.0/UDP 127.0.0.1:5080;branch=z9hG4bK1\r\nFrom: <sip:x@carrier>;tag=1\r\nTo: <sip:+15550100@127.0.0.1>;tag=2\r\nCall-ID: b\r\nCSeq: 1 INVITE\r\nContact: <sip:100@127.0.0.1>\r\nContent-Length: 0\r\n\r\n----CCANCEL sip:+15550100@127.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5080;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:x@carrier>;tag=1\r\nTo: <sip:+15550100@127.0.0.1>\r\nCall-ID: b\r\nCSeq: 1 CANCEL\r\nContent-Length: 0\r\n\r\n",
    b"SREGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:alice@127.0.0.1>;tag=1\r\nTo: <sip:alice@127.0.0.1>\r\nCall-ID: r\r\nCSeq: 1 REGISTER\r\nContact: <sip:alice@192.0.2.9>;expires=60\r\nAuthorization: Digest username=\"alice\", realm=\"127.0.0.1\", nonce=\"x\", uri=\"sip:127.0.0.1\", response=\"0\"\r\nContent-Length: 0\r\n\r\n----SOPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK2\r\nMax-Forwards: 0\r\nFrom: <sip:s@x>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: o\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
];

static START: OnceLock<Instant> = OnceLock::new();

const fn at(port: u16) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

/// The VSP with its gateway.
struct Vsp {
    server: Server,
    gateway: Gateway,
    words: Words,
    now: Instant,
}

const CLIENT: ConnectionId = ConnectionId(1);

pub(crate) fn vsp(input: &[u8]) {
    let mut vsp = Vsp::new();
    let mut rest = input;
    for _ in 0..PARTS_MAX {
        let (part, next) = split(rest);
        let part = vsp.words.filled(part);
        match std::str::from_utf8(&part) {
            Ok(text) if text.starts_with('{') => vsp.server.handle_text(vsp.now, CLIENT, text),
            _ => vsp.server.handle_datagram(vsp.now, PROXY, part),
        }
        vsp.settle();
        vsp.now += Duration::from_millis(10);
        if next.is_empty() {
            break;
        }
        rest = next;
    }
    vsp.leave();
}

impl Vsp {
    fn new() -> Self {
        let sip = SipSettings {
            contact: VSP,
            proxy: PROXY,
            peers: Vec::new(),
            domain: "127.0.0.1".into(),
            session_expires: Some(Duration::from_secs(90)),
        };
        let settings = Settings {
            transfers: TransferSettings {
                from_far_end: FarTransfers::Any,
                ..TransferSettings::default()
            },
            ..Settings::new(sip, [("alice".to_owned(), User::default())].into())
        };
        let mut vsp = Self {
            server: Server::new(settings, StdRng::seed_from_u64(1)),
            gateway: Gateway::default(),
            words: Words::default(),
            now: *START.get_or_init(Instant::now),
        };
        let peer = Peer {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            voice_sdk_id: None,
        };
        vsp.server.handle_opened(vsp.now, CLIENT, peer);
        let login = r#"{"jsonrpc":"2.0","id":1,"method":"login","params":{"login":"alice","passwd":"x"}}"#;
        vsp.server.handle_text(vsp.now, CLIENT, login);
        vsp.settle();
        assert_eq!(vsp.server.counts().sessions, 1, "the client is logged in");
        vsp
    }

    fn settle(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Media { token, command } => {
                    let reply = self.gateway.handle_command(0, command);
                    self.server.handle_reply(self.now, token, reply);
                }
                Output::Ask { token, .. } => {
                    let verdict = Verdict::Password {
                        user: "alice".to_owned(),
                    };
                    self.server.handle_verdict(self.now, token, verdict);
                }
                Output::Datagram { bytes, .. } => self.words.note_sip(&bytes),
                Output::Text { text, .. } => self.note_call(&text),
                Output::Ping { to, number } => self.server.handle_pong(self.now, to, number),
                Output::Close { .. } | Output::Locate { .. } | Output::Trace(..) | Output::Note(_) => {}
            }
        }
    }

    /// What we send is read by the SDK, so that it has to be right.
    fn note_call(&mut self, text: &str) {
        let frame: serde_json::Value = serde_json::from_str(text).expect("every frame is JSON");
        if let Some(call) = frame["params"]["callID"].as_str() {
            self.words.note("{id}", call);
        }
    }

    /// The client leaves, and every timer runs out: nothing may be left.
    fn leave(mut self) {
        self.server.handle_closed(self.now, CLIENT, Departure::Lost);
        self.settle();
        for _ in 0..WAKES_MAX {
            let Some(due) = self.server.poll_timeout() else {
                break;
            };
            self.now = self.now.max(due);
            self.server.handle_timeout(self.now);
            self.settle();
        }
        let left = self.server.counts();
        assert!(
            self.server.is_empty() && left.commands + left.questions == 0 && left.sip.dialogs == 0,
            "everything ends by its timers: {left:?}"
        );
        assert_eq!(self.gateway.sessions(), 0, "every media session was closed");
    }
}

pub(crate) fn proxy(input: &[u8]) {
    let mut now = *START.get_or_init(Instant::now);
    let mut proxy = Proxy::new(proxy_settings(), StdRng::seed_from_u64(1));
    let mut words = Words::default();
    let mut rest = input;
    for _ in 0..PARTS_MAX {
        let (part, next) = split(rest);
        let (source, datagram) = match part.split_first() {
            Some((b'V', datagram)) => (VSP, datagram),
            Some((b'C', datagram)) => (CARRIER, datagram),
            Some((_, datagram)) => (STRANGER, datagram),
            None => (STRANGER, part),
        };
        proxy.handle_datagram(now, source, words.filled(datagram));
        drain(&mut proxy, &mut words);
        now += Duration::from_millis(10);
        if next.is_empty() {
            break;
        }
        rest = next;
    }
    for _ in 0..WAKES_MAX {
        let Some(due) = proxy.poll_timeout() else {
            break;
        };
        now = now.max(due);
        proxy.handle_timeout(now);
        drain(&mut proxy, &mut words);
    }
    let left = proxy.counts();
    assert_eq!(
        (
            left.contexts,
            left.unanswered,
            left.branches,
            left.dialogs,
            left.phones,
            left.transactions.client_transactions,
            left.transactions.server_transactions
        ),
        (0, 0, 0, 0, 0, 0, 0),
        "everything ends by its timers"
    );
}

fn drain(proxy: &mut Proxy, words: &mut Words) {
    while let Some(output) = proxy.poll_output() {
        if let proxy::Output::Transmit { bytes, .. } = output {
            words.note_sip(&Bytes::copy_from_slice(&bytes));
        }
    }
}

fn proxy_settings() -> proxy::Settings {
    let mut dial_plan = DialPlan::new();
    let alice = UserName::new("alice").expect("a name");
    dial_plan.add_route(Prefix::new("1").expect("digits"), vec![CarrierId(0)]);
    dial_plan.add_number(
        &Number::new(b"+15550100").expect("a number"),
        Assignment::to_user(alice.clone()),
    );
    dial_plan.add_user(alice);
    let target = UriBuf::new(format!("sip:{CARRIER}")).expect("an address makes a URI");
    proxy::Settings {
        vsps: vec![VSP],
        carriers: vec![proxy::Carrier {
            places: vec![CARRIER.into()],
            ..proxy::Carrier::new("a", target)
        }],
        dial_plan,
        ..proxy::Settings::new(PROXY)
    }
}
