//! A proxy on a virtual clock, with a VSP and two carriers that the test plays itself.

use bytes::Bytes;
use offhook_sip_message::header::{CSeq, Header, RecordRoute};
use offhook_sip_message::{
    HeaderName, HeaderValue, Message, MessageBuilder, Method, StatusCode, Token, Uri, UriBuf, respond,
};
use offhook_sip_proxy::dial_plan::{Assignment, CarrierId, DialPlan, Number, Prefix, UserName};
use offhook_sip_proxy::proxy::{Carrier, Output, Proxy, Refusal, Settings, Traced};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(crate) const CALL_ID: HeaderName<'static> = HeaderName::custom("X-Offhook-Call-Id");
pub(crate) const CALL: &str = "3f2a-call";

pub(crate) fn vsp() -> SocketAddr {
    ([10, 0, 0, 1], 5070).into()
}
pub(crate) fn proxy_address() -> SocketAddr {
    ([10, 0, 0, 2], 5060).into()
}
pub(crate) fn carrier_a() -> SocketAddr {
    ([192, 0, 2, 1], 5060).into()
}
pub(crate) fn carrier_b() -> SocketAddr {
    ([192, 0, 2, 2], 5080).into()
}

/// Contact of the carriers' answers.
pub(crate) fn gateway() -> SocketAddr {
    ([192, 0, 2, 77], 5999).into()
}

/// Numbers starting with 1 go to carrier a, then b; those with 2 to b alone; +1555010 belongs to alice.
pub(crate) fn settings() -> Settings {
    let carrier = |name: &str, address: SocketAddr| Carrier {
        places: vec![address.into()],
        ..Carrier::new(
            name,
            UriBuf::new(format!("sip:{address}")).expect("an address is a host"),
        )
    };
    let mut dial_plan = DialPlan::new();
    let prefix = |text| Prefix::new(text).expect("digits");
    dial_plan.add_route(prefix("1"), vec![CarrierId(0), CarrierId(1)]);
    dial_plan.add_route(prefix("2"), vec![CarrierId(1)]);
    dial_plan.add_number(&number("+1555010"), Assignment::to_user(user("alice")));
    Settings {
        domain: Some("voice.example.com".to_owned()),
        vsps: vec![vsp()],
        carriers: vec![carrier("a", carrier_a()), carrier("b", carrier_b())],
        dial_plan,
        requests_max: 100,
        ..Settings::new(proxy_address())
    }
}

pub(crate) fn number(text: &str) -> Number {
    Number::new(text.as_bytes()).expect("tests give numbers")
}

pub(crate) fn user(name: &str) -> UserName {
    UserName::new(name).expect("tests give names")
}

pub(crate) struct World {
    pub(crate) proxy: Proxy,
    pub(crate) now: Instant,
    pub(crate) sent: Vec<(SocketAddr, Message)>,
    /// Who was told that the way is open.
    pub(crate) pongs: Vec<SocketAddr>,
    pub(crate) traced: Vec<Traced>,
    pub(crate) refused: Vec<Refusal>,
    pub(crate) failed: Vec<(usize, String, Option<usize>)>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self {
            proxy: Proxy::new(settings, StdRng::seed_from_u64(7)),
            now: Instant::now(),
            sent: Vec::new(),
            pongs: Vec::new(),
            traced: Vec::new(),
            refused: Vec::new(),
            failed: Vec::new(),
        }
    }

    pub(crate) fn receive(&mut self, from: SocketAddr, message: impl Into<Bytes>) {
        self.proxy.handle_datagram(self.now, from, message.into());
        self.drain();
    }

    pub(crate) fn receive_message(&mut self, from: SocketAddr, message: &Message) {
        self.receive(from, message.bytes().clone());
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.proxy.poll_output() {
            match output {
                Output::Transmit { to, bytes } if *bytes == *b"\r\n" => self.pongs.push(to),
                Output::Transmit { to, bytes } => {
                    let message = Message::parse(bytes).expect("the proxy sends whole messages");
                    offhook_sip_message::validate(&message).expect("the proxy sends valid messages");
                    self.sent.push((to, message));
                }
                Output::Trace(traced) => self.traced.push(traced),
                Output::Refused { reason, .. } => self.refused.push(reason),
                Output::CarrierFailed {
                    carrier,
                    failure,
                    next,
                    ..
                } => {
                    self.failed
                        .push((carrier.0, failure.to_string(), next.map(|next| next.0)));
                }
            }
        }
    }

    /// Lets time pass, timer by timer.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.proxy.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.proxy.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Takes the one message that was sent to `to` since the last look.
    #[track_caller]
    pub(crate) fn take(&mut self, to: SocketAddr) -> Message {
        let mut all = self.take_all(to);
        assert_eq!(all.len(), 1, "one message to {to}: {all:?}");
        all.remove(0)
    }

    pub(crate) fn take_all(&mut self, to: SocketAddr) -> Vec<Message> {
        let (taken, kept) = std::mem::take(&mut self.sent)
            .into_iter()
            .partition(|(address, _)| *address == to);
        self.sent = kept;
        let taken: Vec<(SocketAddr, Message)> = taken;
        taken.into_iter().map(|(_, message)| message).collect()
    }

    /// The VSP calls; gives back its INVITE and what `carrier` received.
    #[track_caller]
    pub(crate) fn call(&mut self, number: &str, carrier: SocketAddr) -> (Message, Message) {
        let invite = invite(number);
        self.receive_message(vsp(), &invite);
        assert_eq!(status_of(&self.take(vsp())), 100);
        (invite, self.take(carrier))
    }

    /// Carrier a calls a number of ours; gives back what the VSP received.
    #[track_caller]
    pub(crate) fn call_in(&mut self, number: &str) -> Message {
        self.receive_message(carrier_a(), &carrier_invite(number, &[]));
        assert_eq!(status_of(&self.take(carrier_a())), 100);
        self.take(vsp())
    }

    /// The final answer that `to` received last.
    #[track_caller]
    pub(crate) fn last_status(&mut self, to: SocketAddr) -> u16 {
        status_of(&self.take_all(to).pop().expect("an answer"))
    }

    /// A call to carrier a that is answered and acknowledged: INVITE as the carrier received it, 200 as the VSP did.
    #[track_caller]
    pub(crate) fn answered_call(&mut self) -> (Message, Message) {
        let (_, at_carrier) = self.call("123", carrier_a());
        self.receive_message(carrier_a(), &answer(&at_carrier, 200));
        let ok = self.take(vsp());
        assert_eq!(status_of(&ok), 200);
        self.receive_message(vsp(), &in_dialog(&ok, Method::Ack, None));
        let ack = self.take(gateway());
        assert_eq!(
            (ack.method(), cseq(&ack)),
            (Some(&Method::Ack), cseq(&at_carrier))
        );
        (at_carrier, ok)
    }

    /// Asserts that nothing is held any more, once all timers have run.
    #[track_caller]
    pub(crate) fn assert_empty(&mut self) {
        self.pass(Duration::from_secs(300));
        let counts = self.proxy.counts();
        let layer = counts.transactions;
        assert_eq!(
            (
                counts.contexts,
                counts.unanswered,
                counts.branches,
                counts.dialogs
            ),
            (0, 0, 0, 0)
        );
        assert_eq!(
            (
                layer.client_transactions,
                layer.server_transactions,
                counts.timers
            ),
            (0, 0, 0)
        );
        assert_eq!((counts.shifted_dialogs, counts.places), (0, 0));
        assert_eq!(self.proxy.poll_timeout(), None);
    }
}

pub(crate) fn status_of(message: &Message) -> u16 {
    message.status().map_or(0, StatusCode::code)
}

fn request(method: Method, uri: &Uri<'_>, branch: &str, cseq: u32) -> MessageBuilder {
    MessageBuilder::request(&method, uri)
        .text(
            HeaderName::Via,
            format!("SIP/2.0/UDP {};branch=z9hG4bK{branch};rport", vsp()),
        )
        .text(HeaderName::MaxForwards, "70")
        .typed(&CSeq { number: cseq, method })
}

/// The INVITE of a VSP.
pub(crate) fn invite(number: &str) -> Message {
    invite_as(number, number)
}

/// The same with a Call-ID and a branch of its own.
pub(crate) fn invite_as(number: &str, id: &str) -> Message {
    new_request(Method::Invite, &format!("sip:{number}@{}", proxy_address()), id)
}

/// A request of a VSP outside of any call.
pub(crate) fn new_request(method: Method, uri: &str, id: &str) -> Message {
    let target = Uri::parse(uri.as_bytes()).expect("tests give URIs");
    request(method, &target, &format!("vsp-{id}"), 10)
        .text(
            HeaderName::From,
            "\"J\u{fc}rgen\" <sip:alice@voice.example.com>;tag=vsptag",
        )
        .text(HeaderName::To, format!("<{uri}>"))
        .text(HeaderName::CallId, format!("{id}@vsp"))
        .text(HeaderName::Contact, format!("<sip:alice@{}>", vsp()))
        .text(CALL_ID, CALL)
        .text(HeaderName::custom("X-Custom"), "value 1")
        .body(&HeaderValue::new("application/sdp").expect("plain"), b"v=0\r\n")
        .build()
        .expect("tests build messages")
}

/// The INVITE of carrier a to a number of ours, with further headers.
pub(crate) fn carrier_invite(number: &str, headers: &[(HeaderName<'static>, &str)]) -> Message {
    let uri = format!("sip:{number}@{}", proxy_address());
    let target = Uri::parse(uri.as_bytes()).expect("tests give URIs");
    let mut builder = MessageBuilder::request(&Method::Invite, &target)
        .text(
            HeaderName::Via,
            format!("SIP/2.0/UDP {};branch=z9hG4bKin-{number}", carrier_a()),
        )
        .text(HeaderName::MaxForwards, "70")
        .text(
            HeaderName::From,
            "\"Ann\" <sip:+4930@carrier.example>;tag=callertag",
        )
        .text(HeaderName::To, format!("<{uri}>"))
        .text(HeaderName::CallId, format!("{number}@carrier"))
        .text(HeaderName::CSeq, "1 INVITE")
        .text(HeaderName::Contact, format!("<sip:gw@{}>", gateway()));
    for (name, value) in headers {
        builder = builder.text(*name, value);
    }
    builder.build().expect("tests build messages")
}

/// The value of a header as text; empty if it is not there.
pub(crate) fn value(message: &Message, name: &'static str) -> String {
    let name = HeaderName::new(name.as_bytes()).expect("tests give names");
    String::from_utf8_lossy(message.first(name).unwrap_or_default()).into_owned()
}

pub(crate) fn uri_of(message: &Message) -> String {
    let uri = message.request_uri().and_then(Result::ok);
    uri.map(|uri| uri.to_string()).unwrap_or_default()
}

/// A carrier's answer to a request that it received.
pub(crate) fn answer(request: &Message, status: u16) -> Message {
    answer_with(request, status, &[])
}

/// The same with further headers.
pub(crate) fn answer_with(
    request: &Message,
    status: u16,
    headers: &[(HeaderName<'static>, &str)],
) -> Message {
    let status = StatusCode::new(status).expect("tests give status codes");
    let mut builder = respond(request, status, Token::new(b"carriertag").ok())
        .copy(request, HeaderName::RecordRoute)
        .text(HeaderName::Contact, "<sip:gw@192.0.2.77:5999>");
    for (name, value) in headers {
        builder = builder.text(*name, value);
    }
    builder.build().expect("tests build messages")
}

/// A request of the VSP in the dialog of this 200.
pub(crate) fn in_dialog(ok: &Message, method: Method, extra: Option<(HeaderName<'static>, &str)>) -> Message {
    let CSeq { number, .. } = ok.require().expect("a CSeq");
    let cseq = if method == Method::Ack { number } else { number + 1 };
    let contact: offhook_sip_message::header::Contact<'_> = ok.require().expect("a Contact");
    let target = contact.address().expect("an address").uri;
    let call = String::from_utf8_lossy(ok.first(HeaderName::CallId).unwrap_or_default()).replace('@', "-");
    let mut builder = request(
        method.clone(),
        &target,
        &format!("dialog-{method}-{cseq}-{call}"),
        cseq,
    )
    .copy(ok, HeaderName::From)
    .copy(ok, HeaderName::To)
    .copy(ok, HeaderName::CallId)
    .text(HeaderName::Contact, format!("<sip:alice@{}>", vsp()));
    let mut routes: Vec<RecordRoute<'_>> = ok.all().map(|route| route.expect("a route")).collect();
    routes.reverse();
    for route in routes {
        builder = builder.header(HeaderName::Route, &route.to_value().expect("plain"));
    }
    if let Some((name, value)) = extra {
        builder = builder.text(name, value);
    }
    builder.build().expect("tests build messages")
}

/// A request of the carrier in the dialog of the INVITE that it received from a VSP.
pub(crate) fn carrier_request(invite: &Message, method: Method, cseq: u32) -> Message {
    carrier_request_to(invite, method, cseq, &vsp().to_string())
}

/// The same, to a caller that is at `host`.
pub(crate) fn carrier_request_to(invite: &Message, method: Method, cseq: u32, host: &str) -> Message {
    let text = |header: Option<&[u8]>| String::from_utf8_lossy(header.unwrap_or_default()).into_owned();
    let target = format!("sip:alice@{host}");
    let target = Uri::parse(target.as_bytes()).expect("an address is a host");
    let mut builder = MessageBuilder::request(&method, &target)
        .text(
            HeaderName::Via,
            format!("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKcarrier{cseq}"),
        )
        .text(HeaderName::MaxForwards, "70")
        .typed(&CSeq { number: cseq, method })
        .text(
            HeaderName::From,
            format!("{};tag=carriertag", text(invite.first(HeaderName::To))),
        )
        .text(HeaderName::To, text(invite.first(HeaderName::From)))
        .copy(invite, HeaderName::CallId);
    for route in invite.values(HeaderName::RecordRoute) {
        builder = builder.text(HeaderName::Route, route);
    }
    builder.build().expect("tests build messages")
}

pub(crate) fn cseq(message: &Message) -> u32 {
    message.require::<CSeq>().expect("a CSeq").number
}

pub(crate) fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.bytes()).into_owned()
}
