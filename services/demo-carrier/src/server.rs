//! The carrier without I/O: a user agent, its calls, and their RTP.

use crate::call::{Call, Phase, PortResult, digit_of_info};
use crate::scenario::Scenario;
use bytes::Bytes;
use offhook_call_trace::{CALL_ID_HEADER, CallId, TraceEvent};
use offhook_offer_answer::Codec;
use offhook_sip::user_agent::{self, Ending, Event, IncomingId, LegId, Reply, UserAgent};
use offhook_sip::{Flow, Header, text_of};
use offhook_sip_message::{Host, Message, Method, StatusCode, UriBuilder};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

mod media;
mod trace;

pub use crate::call::CallSummary;
use media::body_text;

/// Length of the packets that are played.
const TICK: Duration = Duration::from_millis(20);

/// How far behind the clock may be before the missed packets are left out.
const TICK_LAG_MAX: Duration = Duration::from_millis(200);

/// From the start of the announcement to the answer.
const ANNOUNCEMENT: Duration = Duration::from_secs(3);

/// From the answer to our hanging up on the announcement number.
const ANNOUNCEMENT_AFTER_ANSWER: Duration = Duration::from_secs(10);

/// Longest call: nobody tries longer, and forgotten ones shall not add up.
const CALL_MAX: Duration = Duration::from_secs(3600);

/// Ended calls whose id is still known, for the trace of their last messages.
const ENDED_MAX: usize = 256;

/// How the carrier is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our SIP address as others reach us.
    pub address: SocketAddr,
    /// Codecs that are accepted, most preferred first.
    pub codecs: Vec<Codec>,
    /// How long it rings before it answers.
    pub ring: Duration,
    /// Most calls at a time.
    pub calls_max: usize,
    /// Whether to give out trace events.
    pub trace: bool,
}

/// What the shell has to do.
#[derive(Debug)]
pub enum Output {
    /// Send a SIP message.
    SendSip {
        /// Where to.
        to: SocketAddr,
        /// The message.
        bytes: Bytes,
    },
    /// Send an RTP packet from the call's port.
    SendRtp {
        /// The call.
        leg: LegId,
        /// Where to.
        to: SocketAddr,
        /// The packet.
        bytes: Vec<u8>,
    },
    /// Open a port for RTP and tell [`Server::handle_port`].
    OpenPort {
        /// The call.
        leg: LegId,
        /// Who has to reach it.
        peer: SocketAddr,
    },
    /// Close the call's port, if there is one.
    ClosePort {
        /// The call.
        leg: LegId,
    },
    /// For the call's trace.
    Trace(CallId, TraceEvent),
    /// A call is over.
    Ended(CallSummary),
}

/// What is held now; all zero when every call is over and its last timer through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Calls.
    pub calls: usize,
    /// Calls that were taken since the start.
    pub calls_total: u64,
    /// What the user agent holds.
    pub sip: user_agent::Counts,
}

/// The carrier.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    user_agent: UserAgent,
    calls: HashMap<LegId, Call>,
    /// The last calls that ended, oldest first.
    ended: VecDeque<(LegId, CallId)>,
    next_tick: Option<Instant>,
    draining: bool,
    calls_total: u64,
    rng: StdRng,
    outputs: VecDeque<Output>,
}

impl Server {
    /// A carrier without calls. `rng` is for tags and SSRCs.
    ///
    /// # Errors
    /// If `address` cannot stand in a SIP message, which no socket address does.
    pub fn new(settings: Settings, mut rng: StdRng) -> Result<Self, user_agent::InvalidConfig> {
        let contact = UriBuilder::sip(
            Some(b"demo"),
            Host::from(settings.address.ip()),
            Some(settings.address.port()),
        );
        let config = user_agent::Config {
            timing: Default::default(),
            sent_by: settings.address.to_string(),
            contact: contact.build().map_err(|_| user_agent::InvalidConfig::SentBy)?,
            product: format!("offhook-demo-carrier/{}", env!("CARGO_PKG_VERSION")),
            allow: vec![Method::Info, Method::Update],
            accept: ["application/sdp", "application/dtmf-relay", "application/dtmf"]
                .map(str::to_owned)
                .to_vec(),
            legs_max: settings.calls_max,
        };
        let user_agent = UserAgent::new(config, StdRng::from_rng(&mut rng))?;
        Ok(Self {
            settings,
            user_agent,
            calls: HashMap::new(),
            ended: VecDeque::new(),
            next_tick: None,
            draining: false,
            calls_total: 0,
            rng,
            outputs: VecDeque::new(),
        })
    }

    /// Takes a SIP datagram.
    pub fn handle_sip(&mut self, now: Instant, from: SocketAddr, datagram: Bytes) {
        self.user_agent.handle_datagram(now, Flow::udp(from), datagram);
        self.settle(now);
    }

    /// A SIP datagram to `to` could not be sent.
    pub fn handle_transport_error(&mut self, now: Instant, to: SocketAddr) {
        self.user_agent.handle_transport_error(now, Flow::udp(to));
        self.settle(now);
    }

    /// Takes a datagram that came to a call's RTP port.
    pub fn handle_rtp(&mut self, now: Instant, leg: LegId, from: SocketAddr, datagram: &[u8]) {
        let Some(call) = self.calls.get_mut(&leg) else {
            return;
        };
        let Some(stream) = &mut call.stream else { return };
        let received = stream.receive(now, from, datagram);
        if received.first {
            let name = format!("media-started gateway {}", stream.codec_name());
            self.trace_media(leg, name);
        }
        if let Some(packet) = received.echo {
            self.send_rtp(leg, packet);
        }
        if let Some(digit) = received.digit {
            self.handle_digit(leg, digit);
        }
    }

    /// The port that [`Output::OpenPort`] asked for, as the peer reaches it.
    pub fn handle_port(&mut self, now: Instant, leg: LegId, port: PortResult) {
        self.start_media(now, leg, port);
        self.settle(now);
    }

    /// Runs what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.user_agent.poll_timeout().is_some_and(|at| at <= now) {
            self.user_agent.handle_timeout(now);
        }
        if let Some(tick) = self.next_tick.filter(|tick| *tick <= now) {
            self.tick(now);
            let next = tick + TICK;
            self.next_tick = Some(if next + TICK_LAG_MAX < now {
                now + TICK
            } else {
                next
            });
        }
        self.settle(now);
    }

    /// When [`Self::handle_timeout`] has to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.user_agent
            .poll_timeout()
            .into_iter()
            .chain(self.next_tick)
            .min()
    }

    /// The next output; drain until `None` after each input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Takes no new calls from here on.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Ends all calls.
    pub fn end_calls(&mut self, now: Instant) {
        let mut legs: Vec<LegId> = self.calls.keys().copied().collect();
        legs.sort_unstable();
        for leg in legs {
            self.hang_up(now, leg, "shutdown");
        }
        self.settle(now);
    }

    /// Whether no call is there and nothing of a call has to be sent any more.
    pub fn is_quiet(&self) -> bool {
        self.calls.is_empty() && self.user_agent.counts().legs == 0
    }

    /// How much is held now.
    pub fn counts(&self) -> Counts {
        Counts {
            calls: self.calls.len(),
            calls_total: self.calls_total,
            sip: self.user_agent.counts(),
        }
    }

    fn settle(&mut self, now: Instant) {
        while let Some(output) = self.user_agent.poll_output() {
            match output {
                user_agent::Output::Transmit(transmit) => self.outputs.push_back(Output::SendSip {
                    to: transmit.flow.remote,
                    bytes: transmit.bytes,
                }),
                user_agent::Output::Observed(seen) => self.trace_sip(&seen),
                user_agent::Output::Event(event) => self.handle_event(now, event),
            }
        }
        if self.calls.is_empty() {
            self.next_tick = None;
        } else {
            self.next_tick.get_or_insert(now + TICK);
        }
    }

    fn handle_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::IncomingInvite {
                leg,
                incoming,
                request,
                source,
            } => self.handle_invite(now, leg, incoming, &request, source),
            Event::IncomingRequest {
                leg,
                incoming,
                request,
                ..
            } => self.handle_request(now, leg, incoming, &request),
            Event::AckReceived { leg, request } => self.handle_ack(leg, &request),
            Event::Cancelled { leg, .. } => self.end(leg, "cancelled by the caller"),
            Event::Terminated { leg, ending } => self.end(
                leg,
                match ending {
                    Ending::Remote(_) => "caller hung up",
                    Ending::Local => "carrier hung up",
                    Ending::Unanswered => "never answered",
                    Ending::AckMissing | Ending::Lost => "caller is gone",
                },
            ),
            // We place no calls and send no requests but BYE.
            Event::Provisional { .. }
            | Event::Answered { .. }
            | Event::Failed { .. }
            | Event::Response { .. }
            | Event::RequestFailed { .. } => {}
        }
    }

    fn handle_invite(
        &mut self,
        now: Instant,
        leg: LegId,
        incoming: IncomingId,
        request: &Message,
        source: Flow,
    ) {
        let call_id = text_of(request, CALL_ID_HEADER).and_then(|text| CallId::new(text).ok());
        if let Some(call_id) = &call_id {
            let header = Header::new(CALL_ID_HEADER, call_id.as_str())
                .into_iter()
                .collect();
            self.user_agent
                .set_sticky_headers(leg, header)
                .unwrap_or_else(|error| {
                    tracing::debug!(%call_id, %error, "the call is over before it began");
                });
        }
        let uri = request.request_uri().and_then(Result::ok);
        let scenario = uri
            .and_then(|uri| uri.user_unescaped())
            .map_or(Scenario::Refuse(StatusCode::NOT_FOUND), |user| {
                Scenario::of_number(&user)
            });
        let call_id_text = call_id.as_ref().map(CallId::as_str);
        tracing::info!(
            call_id = call_id_text,
            scenario = scenario.as_str(),
            "call from {source}"
        );
        self.calls_total += 1;
        let call = |phase| Call::new(scenario, call_id.clone(), phase);
        let status = match scenario {
            _ if self.draining => StatusCode::SERVICE_UNAVAILABLE,
            Scenario::Refuse(status) => status,
            Scenario::NoAnswer => {
                self.calls.insert(leg, call(Phase::Rings));
                return self.respond(now, incoming, Reply::new(StatusCode::RINGING));
            }
            Scenario::Echo | Scenario::Tone | Scenario::Announcement | Scenario::ReadBack => {
                let offer = body_text(request);
                self.calls
                    .insert(leg, call(Phase::AwaitsPort { incoming, offer }));
                let peer = source.remote;
                return self.outputs.push_back(Output::OpenPort { leg, peer });
            }
        };
        self.calls.insert(leg, call(Phase::Rings));
        self.respond(now, incoming, Reply::new(status));
        self.end(leg, "refused");
    }

    fn handle_request(&mut self, now: Instant, leg: Option<LegId>, incoming: IncomingId, request: &Message) {
        let Some(leg) = leg.filter(|leg| self.calls.contains_key(leg)) else {
            return self.respond(now, incoming, Reply::new(StatusCode::CALL_DOES_NOT_EXIST));
        };
        let reply = match request.method() {
            Some(Method::Info) => {
                if let Some(digit) = digit_of_info(request.body()) {
                    self.handle_digit(leg, digit);
                }
                Reply::new(StatusCode::OK)
            }
            Some(Method::Update) if request.body().is_empty() => Reply::new(StatusCode::OK),
            Some(Method::Invite | Method::Update) => self.renegotiate(leg, body_text(request)),
            _ => Reply::new(StatusCode::METHOD_NOT_ALLOWED),
        };
        self.respond(now, incoming, reply);
    }

    fn handle_digit(&mut self, leg: LegId, digit: char) {
        if let Some(call) = self.calls.get_mut(&leg) {
            call.handle_digit(digit);
        }
        self.trace_media(leg, format!("digit {digit}"));
    }

    fn refuse(&mut self, now: Instant, leg: LegId, incoming: IncomingId, status: StatusCode) {
        self.respond(now, incoming, Reply::new(status));
        self.end(leg, "refused");
    }

    fn respond(&mut self, now: Instant, incoming: IncomingId, reply: Reply) {
        if let Err(error) = self.user_agent.respond(now, incoming, reply) {
            tracing::debug!(%error, "a request was over before its answer");
        }
    }

    fn hang_up(&mut self, now: Instant, leg: LegId, ending: &'static str) {
        if let Err(error) = self
            .user_agent
            .hang_up(now, leg, StatusCode::SERVICE_UNAVAILABLE, Vec::new())
        {
            tracing::debug!(%error, "a call was over before it was hung up");
        }
        self.end(leg, ending);
    }

    fn end(&mut self, leg: LegId, ending: &'static str) {
        let Some(call) = self.calls.remove(&leg) else {
            return;
        };
        self.outputs.push_back(Output::ClosePort { leg });
        self.outputs
            .push_back(Output::Ended(CallSummary::new(&call, ending)));
        if let Some(call_id) = call.call_id {
            if self.ended.len() == ENDED_MAX {
                self.ended.pop_front();
            }
            self.ended.push_back((leg, call_id));
        }
    }

    fn send_rtp(&mut self, leg: LegId, packet: crate::stream::Packet) {
        self.outputs.push_back(Output::SendRtp {
            leg,
            to: packet.to,
            bytes: packet.bytes,
        });
    }
}
