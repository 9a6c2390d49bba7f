//! A caller for the carrier: a user agent, an RTP stream by hand, and a virtual clock.

use bytes::Bytes;
use offhook_audio::g711::{self, Law};
use offhook_call_trace::CallId;
use offhook_demo_carrier::server::{CallSummary, Output, Server, Settings};
use offhook_offer_answer::{Codec, RtpLegNegotiation, RtpLocal};
use offhook_rtp::{RtpFields, RtpPacket, Ssrc};
use offhook_sip::user_agent::{
    self, Body, Event, LegId, NameAddr, OutgoingInvite, OutgoingRequest, UserAgent,
};
use offhook_sip::{Flow, Header};
use offhook_sip_message::{HeaderValue, Method, UriBuf};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(crate) const CARRIER: &str = "192.0.2.80:5080";
pub(crate) const CALLER: &str = "192.0.2.70:5070";
pub(crate) const CALLER_RTP: &str = "192.0.2.71:30000";
const CARRIER_RTP: &str = "192.0.2.80:40000";

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn user_agent(address: SocketAddr) -> UserAgent {
    let config = user_agent::Config {
        timing: Default::default(),
        sent_by: address.to_string(),
        contact: uri(&format!("sip:{address}")),
        product: String::new(),
        allow: vec![],
        accept: vec!["application/sdp".into()],
        legs_max: 10,
    };
    UserAgent::new(config, StdRng::seed_from_u64(2)).unwrap()
}

pub(crate) fn uri(text: &str) -> UriBuf {
    UriBuf::new(text.to_owned()).unwrap()
}

pub(crate) fn negotiation(rtp: SocketAddr, codecs: Vec<Codec>) -> RtpLegNegotiation {
    RtpLegNegotiation::new(RtpLocal {
        session_id: 1,
        address: rtp,
        rtcp_port: None,
        codecs,
        opus: Default::default(),
        packet_ms: 20,
        max_bitrate_bps: None,
    })
}

pub(crate) fn invite_to(number: &str, carrier: SocketAddr, offer: Option<String>) -> OutgoingInvite {
    let address = |text: &str| NameAddr {
        display_name: String::new(),
        uri: uri(text),
    };
    OutgoingInvite {
        request_uri: uri(&format!("sip:{number}@{carrier}")),
        destination: Flow::udp(carrier),
        from: address("sip:caller@example.com"),
        to: address(&format!("sip:{number}@example.com")),
        headers: vec![],
        sticky_headers: vec![Header::new("X-Offhook-Call-Id", "call-7").unwrap()],
        body: offer.map(Body::sdp),
        credentials: None,
        give_up_after: None,
    }
}

/// A carrier and a caller.
pub(crate) struct World {
    pub(crate) carrier: Server,
    pub(crate) caller: UserAgent,
    pub(crate) negotiation: RtpLegNegotiation,
    start: Instant,
    now: Instant,
    carrier_leg: Option<LegId>,
    /// What the caller was told: `180`, `183 sdp`, `answered sdp`, `failed 486`, `terminated`.
    pub(crate) story: Vec<String>,
    /// RTP at the caller, with the milliseconds of its arrival.
    pub(crate) heard: Vec<(u64, Vec<u8>)>,
    pub(crate) trace: Vec<String>,
    pub(crate) summaries: Vec<CallSummary>,
    pub(crate) open_ports: i32,
    /// The next ports fail.
    pub(crate) no_ports: bool,
}

impl World {
    pub(crate) fn new(codecs: Vec<Codec>) -> Self {
        // Any start will do: time is virtual from here on.
        let start = Instant::now();
        let settings = Settings {
            address: address(CARRIER),
            codecs: codecs.clone(),
            ring: Duration::from_millis(500),
            calls_max: 3,
            trace: true,
        };
        Self {
            carrier: Server::new(settings, StdRng::seed_from_u64(1)).unwrap(),
            caller: user_agent(address(CALLER)),
            negotiation: negotiation(address(CALLER_RTP), codecs),
            start,
            now: start,
            carrier_leg: None,
            story: vec![],
            heard: vec![],
            trace: vec![],
            summaries: vec![],
            open_ports: 0,
            no_ports: false,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn dial(&mut self, number: &str) -> LegId {
        let offer = self.negotiation.offer(Default::default());
        self.dial_with(number, Some(offer))
    }

    pub(crate) fn dial_with(&mut self, number: &str, offer: Option<String>) -> LegId {
        let leg = self
            .caller
            .invite(self.now, invite_to(number, address(CARRIER), offer))
            .unwrap();
        self.drain();
        leg
    }

    pub(crate) fn request(&mut self, leg: LegId, method: Method, content: Option<(&str, &str)>) {
        let body = content.map(|(kind, text)| Body {
            content_type: HeaderValue::new(kind.to_owned()).unwrap(),
            bytes: text.to_owned().into(),
        });
        let request = OutgoingRequest {
            method,
            headers: vec![],
            body,
        };
        self.caller.request(self.now, leg, request).unwrap();
        self.drain();
    }

    pub(crate) fn bye(&mut self, leg: LegId) {
        self.caller.bye(self.now, leg, vec![]).unwrap();
        self.drain();
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        loop {
            let next = self
                .carrier
                .poll_timeout()
                .into_iter()
                .chain(self.caller.poll_timeout())
                .min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            self.carrier.handle_timeout(self.now);
            self.caller.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Carries everything between the two, without delay.
    pub(crate) fn drain(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(output) = self.caller.poll_output() {
                quiet = false;
                match output {
                    user_agent::Output::Transmit(transmit) => {
                        assert_eq!(transmit.flow.remote, address(CARRIER));
                        self.carrier.handle_sip(self.now, address(CALLER), transmit.bytes);
                    }
                    user_agent::Output::Event(event) => self.hear(event),
                    user_agent::Output::Observed(_) => {}
                }
            }
            while let Some(output) = self.carrier.poll_output() {
                quiet = false;
                self.carry_out(output);
            }
            if quiet {
                return;
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::SendSip { to, bytes } => {
                assert_eq!(to, address(CALLER));
                self.caller
                    .handle_datagram(self.now, Flow::udp(address(CARRIER)), bytes);
            }
            Output::SendRtp { to, bytes, .. } => {
                assert_eq!(to, address(CALLER_RTP));
                self.heard
                    .push((self.now.duration_since(self.start).as_millis() as u64, bytes));
            }
            Output::OpenPort { leg, peer } => {
                assert_eq!(peer, address(CALLER));
                self.carrier_leg = Some(leg);
                let port = if self.no_ports {
                    Err(std::io::ErrorKind::AddrInUse)
                } else {
                    Ok(address(CARRIER_RTP))
                };
                self.open_ports += i32::from(!self.no_ports);
                self.carrier.handle_port(self.now, leg, port);
            }
            Output::ClosePort { leg } => {
                self.open_ports -= i32::from(self.carrier_leg == Some(leg) && !self.no_ports)
            }
            Output::Trace(call_id, event) => {
                assert_eq!(call_id, CallId::new("call-7").unwrap());
                self.trace.push(event.name);
            }
            Output::Ended(summary) => self.summaries.push(summary),
        }
    }

    fn hear(&mut self, event: Event) {
        let sdp = |message: &offhook_sip_message::Message| {
            let body = String::from_utf8(message.body().to_vec()).unwrap();
            (!body.is_empty()).then_some(body)
        };
        let line = match &event {
            Event::Provisional { response, .. } | Event::Answered { response, .. } => {
                let body = sdp(response);
                if let Some(body) = &body {
                    // A late offer is the test's to answer.
                    let taken = self.negotiation.handle_answer(body).map(|_| ());
                    taken.unwrap_or_default();
                }
                let status = match event {
                    Event::Answered { .. } => "answered".to_owned(),
                    _ => response.status().unwrap().to_string(),
                };
                format!("{status}{}", if body.is_some() { " sdp" } else { "" })
            }
            Event::Failed {
                failure: user_agent::Failure::Response(response),
                ..
            } => format!("failed {}", response.status().unwrap()),
            Event::Terminated { ending, .. } => match ending {
                user_agent::Ending::Remote(_) => "terminated by carrier".to_owned(),
                _ => "terminated".to_owned(),
            },
            Event::Response { response, .. } => {
                if let Some(body) = sdp(response) {
                    self.negotiation.handle_answer(&body).unwrap();
                }
                format!("response {}", response.status().unwrap())
            }
            other => format!("{other:?}"),
        };
        self.story.push(line);
    }

    /// Sends an RTP packet from `from` to the carrier.
    pub(crate) fn speak_from(
        &mut self,
        from: SocketAddr,
        payload_type: u8,
        index: u16,
        timestamp: u32,
        payload: &[u8],
    ) {
        let fields = RtpFields {
            marker: false,
            payload_type,
            sequence: 100 + index,
            timestamp,
            ssrc: Ssrc(0x1234),
        };
        let mut bytes = fields.to_header().to_vec();
        bytes.extend_from_slice(payload);
        let leg = self.carrier_leg.unwrap();
        self.carrier.handle_rtp(self.now, leg, from, &bytes);
        self.drain();
    }

    pub(crate) fn speak(&mut self, payload_type: u8, index: u16, payload: &[u8]) {
        let timestamp = u32::from(index) * 160;
        self.speak_from(address(CALLER_RTP), payload_type, index, timestamp, payload);
    }

    /// The audio of the packets heard so far, which then are forgotten.
    pub(crate) fn take_audio(&mut self) -> Vec<i16> {
        decode(
            &std::mem::take(&mut self.heard)
                .into_iter()
                .map(|(_, bytes)| bytes)
                .collect::<Vec<_>>(),
        )
    }

    /// Nothing may stay when all timers are through.
    pub(crate) fn expect_nothing_left(&mut self) {
        self.run(120_000);
        let counts = self.carrier.counts();
        assert_eq!(counts.calls, 0);
        assert_eq!(
            counts.sip.legs + counts.sip.dialogs + counts.sip.requests + counts.sip.timers,
            0
        );
        let transactions = counts.sip.transactions;
        assert_eq!(
            transactions.client_transactions + transactions.server_transactions + transactions.timers,
            0
        );
        assert_eq!(self.open_ports, 0);
        assert_eq!(self.carrier.poll_timeout(), None);
        assert!(self.carrier.is_quiet());
    }
}

/// G.711 audio of RTP packets by their payload types.
pub(crate) fn decode(packets: &[Vec<u8>]) -> Vec<i16> {
    let mut samples = vec![];
    for bytes in packets {
        let packet = RtpPacket::parse(bytes).unwrap();
        let law = match packet.fields().payload_type {
            0 => Law::Mu,
            8 => Law::A,
            other => panic!("payload type {other}"),
        };
        samples.extend(packet.payload().iter().map(|octet| g711::to_linear(law, *octet)));
    }
    samples
}

/// A datagram as the user agents take it.
pub(crate) fn bytes_of(datagram: &[u8]) -> Bytes {
    Bytes::copy_from_slice(datagram)
}
