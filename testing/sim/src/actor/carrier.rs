//! A carrier: a real SIP user agent that does with a call what the dialled number says.

use super::lines::{Lines, tag_of};
use bytes::Bytes;
use offhook_sip::Flow;
use offhook_sip::user_agent::{
    Body, Config, Counts, Event, Extensions, IncomingId, LegId, Output, Reply, SessionTimer,
    SessionTimerMode, UserAgent,
};
use offhook_sip_message::{Message, Method, StatusCode, UriBuf};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What the carrier does with a call; dialled as the number of [`Plan::number`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Rings 1 s, answers, and waits to be hung up on.
    Answer,
    /// Sends early media (183) for 1 s, then answers.
    EarlyMedia,
    /// Answers at once and hangs up after 5 s.
    HangUp,
    /// 486
    Busy,
    /// 603
    Decline,
    /// 404
    NotFound,
    /// 180 for ever.
    NeverAnswer,
    /// 503
    Unavailable,
    /// Rings until it is told what to do.
    Wait,
}

impl Plan {
    /// All of them.
    pub const ALL: [Plan; 9] = [
        Plan::Answer,
        Plan::EarlyMedia,
        Plan::HangUp,
        Plan::Busy,
        Plan::Decline,
        Plan::NotFound,
        Plan::NeverAnswer,
        Plan::Unavailable,
        Plan::Wait,
    ];

    /// Number to dial for it.
    pub fn number(self) -> String {
        format!(
            "100{}",
            Plan::ALL
                .iter()
                .position(|plan| *plan == self)
                .unwrap_or_default()
        )
    }

    fn of(number: &[u8]) -> Plan {
        let digit = number
            .last()
            .and_then(|byte| char::from(*byte).to_digit(10))
            .unwrap_or_default();
        Plan::ALL.get(digit as usize).copied().unwrap_or(Plan::NotFound)
    }

    fn refusal(self) -> Option<StatusCode> {
        let code = match self {
            Plan::Busy => 486,
            Plan::Decline => 603,
            Plan::NotFound => 404,
            Plan::Unavailable => 503,
            Plan::Answer | Plan::EarlyMedia | Plan::HangUp | Plan::NeverAnswer | Plan::Wait => {
                return None;
            }
        };
        StatusCode::new(code).ok()
    }
}

/// What a carrier gives out.
#[derive(Debug)]
pub enum CarrierOutput {
    /// Send this.
    Datagram(SocketAddr, Bytes),
}

/// One carrier.
#[derive(Debug)]
pub struct Carrier {
    pub(super) agent: UserAgent,
    appointments: BTreeMap<(Instant, u64), Appointment>,
    number: u64,
    config: Config,
    session_timer: SessionTimer,
    rng: StdRng,
    alive: bool,
    pub(super) lines: Lines,
    /// Calls that it answered.
    pub answered_total: u64,
    /// INVITEs that it was shown, with what stood in them.
    pub invites: Vec<Message>,
}

#[derive(Debug)]
enum Appointment {
    Answer(IncomingId),
    HangUp(LegId),
}

impl Carrier {
    /// A carrier at `address`, which wants its sessions refreshed (RFC 4028) or does not know of that.
    pub fn new(address: SocketAddr, timer: SessionTimerMode, seed: u64) -> Self {
        let contact = UriBuf::new(format!("sip:carrier@{address}")).expect("an address makes a URI");
        let config = Config {
            timing: offhook_sip::Timing::default(),
            sent_by: address.to_string(),
            contact,
            product: "simulated carrier".into(),
            allow: vec![Method::Info],
            accept: vec!["application/sdp".into(), "application/dtmf-relay".into()],
            legs_max: 10_000,
        };
        let session_timer = SessionTimer {
            mode: timer,
            ..SessionTimer::default()
        };
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            agent: Self::agent(&config, session_timer, &mut rng),
            appointments: BTreeMap::new(),
            number: 0,
            config,
            session_timer,
            rng,
            alive: true,
            lines: Lines::default(),
            answered_total: 0,
            invites: Vec::new(),
        }
    }

    /// It dies: its calls are forgotten, it hears nothing and says nothing.
    pub fn die(&mut self) {
        self.alive = false;
        self.appointments.clear();
        self.lines = Lines::default();
        self.agent = Self::agent(&self.config, self.session_timer, &mut self.rng);
    }

    /// It is back, without a call.
    pub fn revive(&mut self) {
        self.alive = true;
    }

    /// Whether it hears and speaks.
    pub fn is_alive(&self) -> bool {
        self.alive
    }

    fn agent(config: &Config, session_timer: SessionTimer, rng: &mut StdRng) -> UserAgent {
        let extensions = Extensions {
            session_timer,
            transfers: true,
            ..Extensions::default()
        };
        UserAgent::with_extensions(config.clone(), extensions, StdRng::from_rng(rng))
            .expect("a configuration that can be written")
    }

    /// A datagram came.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: Bytes) {
        if self.alive {
            self.agent.handle_datagram(now, Flow::udp(from), bytes);
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(entry) = self.appointments.first_entry()
            && entry.key().0 <= now
        {
            match entry.remove() {
                Appointment::Answer(incoming) => self.answer(now, incoming),
                Appointment::HangUp(leg) => {
                    let _ = self.agent.bye(now, leg, Vec::new());
                }
            }
        }
        self.agent.handle_timeout(now);
    }

    /// When something is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let appointment = self.appointments.first_key_value().map(|((at, _), _)| *at);
        [appointment, self.agent.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next output.
    pub fn poll_output(&mut self, now: Instant) -> Option<CarrierOutput> {
        loop {
            while let Some(notice) = self.agent.poll_notice() {
                self.on_notice(notice);
            }
            match self.agent.poll_output()? {
                Output::Transmit(transmit) if self.alive => {
                    return Some(CarrierOutput::Datagram(transmit.flow.remote, transmit.bytes));
                }
                Output::Event(event) => self.on_event(now, event),
                Output::Transmit(_) | Output::Observed(_) => {}
            }
        }
    }

    /// What its user agent holds.
    pub fn counts(&self) -> Counts {
        self.agent.counts()
    }

    fn on_event(&mut self, now: Instant, event: Event) {
        self.follow_line(&event);
        match event {
            Event::IncomingInvite {
                leg,
                incoming,
                request,
                ..
            } => self.on_invite(now, leg, incoming, request),
            Event::IncomingRequest {
                incoming, request, ..
            } => {
                let mut reply = Reply::new(StatusCode::OK);
                if request.method() == Some(&Method::Invite) {
                    reply = reply.with_body(Body::sdp("answer of the carrier to a re-INVITE"));
                }
                let _ = self.agent.respond(now, incoming, reply);
            }
            _ => {}
        }
    }

    fn on_invite(&mut self, now: Instant, leg: LegId, incoming: IncomingId, request: Message) {
        let uri = request.request_uri().and_then(Result::ok);
        let plan = Plan::of(uri.and_then(|uri| uri.user()).unwrap_or_default());
        self.invites.push(request.clone());
        if let Some(status) = plan.refusal() {
            let _ = self.agent.respond(now, incoming, Reply::new(status));
            return;
        }
        let provisional = match plan {
            Plan::EarlyMedia => {
                Reply::new(StatusCode::SESSION_PROGRESS).with_body(Body::sdp("early answer of the carrier"))
            }
            _ => Reply::new(StatusCode::RINGING),
        };
        let _ = self.agent.respond(now, incoming, provisional);
        match plan {
            Plan::HangUp => {
                self.answer(now, incoming);
                self.appoint(now + Duration::from_secs(5), Appointment::HangUp(leg));
            }
            Plan::NeverAnswer => {}
            Plan::Wait => self.lines.rings(tag_of(&request), leg, incoming),
            _ => self.appoint(now + Duration::from_secs(1), Appointment::Answer(incoming)),
        }
    }

    fn answer(&mut self, now: Instant, incoming: IncomingId) {
        let reply = Reply::new(StatusCode::OK).with_body(Body::sdp("answer of the carrier"));
        if self.agent.respond(now, incoming, reply).is_ok() {
            self.answered_total += 1;
        }
    }

    fn appoint(&mut self, at: Instant, what: Appointment) {
        self.number += 1;
        self.appointments.insert((at, self.number), what);
    }
}
