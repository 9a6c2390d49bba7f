//! A carrier's calls that are led from outside: each move of them is asked for, and how they stand can be looked at.
//! A call is named by what stands in its header `X-Sim`.

use super::carrier::Carrier;
use super::gateway::{FOR, HOLDS};
use offhook_sip::user_agent::{
    Body, Event, Failure, IncomingId, LegId, NameAddr, Notice, OutgoingInvite, OutgoingRefer,
    OutgoingRequest, ReferralId, Reply, RequestId,
};
use offhook_sip::{Flow, Header, text_of};
use offhook_sip_message::{Message, Method, StatusCode, UriBuf};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

/// Names a call from end to end.
pub(crate) const TAG: &str = "X-Sim";

/// How a call stands at the carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineState {
    /// It rings, here or at whom the carrier calls.
    Ringing,
    /// Both talk.
    Talking,
    /// Over.
    Over,
}

/// The calls by name.
#[derive(Debug, Default)]
pub(super) struct Lines(BTreeMap<String, Line>);

#[derive(Debug)]
struct Line {
    leg: LegId,
    /// To be answered, if it came here.
    incoming: Option<IncomingId>,
    state: LineState,
    /// We hold the other side.
    holds: bool,
    /// The other side holds us.
    held: bool,
    changing: Option<(RequestId, bool)>,
    referral: Option<ReferralId>,
}

impl Lines {
    pub(super) fn rings(&mut self, tag: String, leg: LegId, incoming: IncomingId) {
        self.0.insert(tag, Line::new(leg, Some(incoming)));
    }

    fn of(&mut self, leg: LegId) -> Option<&mut Line> {
        self.0.values_mut().find(|line| line.leg == leg)
    }
}

impl Line {
    fn new(leg: LegId, incoming: Option<IncomingId>) -> Self {
        Self {
            leg,
            incoming,
            state: LineState::Ringing,
            holds: false,
            held: false,
            changing: None,
            referral: None,
        }
    }
}

impl Carrier {
    /// How the call stands, if it was ever here.
    pub fn line(&self, tag: &str) -> Option<LineState> {
        self.lines.0.get(tag).map(|line| line.state)
    }

    /// Whether the carrier holds the other side, and the other side the carrier.
    pub fn holds(&self, tag: &str) -> (bool, bool) {
        let line = self.lines.0.get(tag);
        line.map_or((false, false), |line| (line.holds, line.held))
    }

    /// Calls a number of ours.
    pub fn call(&mut self, now: Instant, tag: &str, number: &str, proxy: SocketAddr) {
        let invite = OutgoingInvite {
            request_uri: uri(format!("sip:{number}@{proxy}")),
            destination: Flow::udp(proxy),
            from: name("sip:+4930123@carrier.test".to_owned()),
            to: name(format!("sip:{number}@{proxy}")),
            headers: Header::new(TAG, tag).into_iter().collect(),
            sticky_headers: Vec::new(),
            body: Some(Body::sdp(format!("offer of the carrier{FOR}{tag}"))),
            credentials: None,
            give_up_after: None,
        };
        if let Ok(leg) = self.agent.invite(now, invite) {
            self.lines.0.insert(tag.to_owned(), Line::new(leg, None));
        }
    }

    /// Answers a call that rings here.
    pub fn take(&mut self, now: Instant, tag: &str) {
        let reply = Reply::new(StatusCode::OK).with_body(Body::sdp("answer of the carrier"));
        if let Some(line) = self.lines.0.get_mut(tag)
            && let Some(incoming) = line.incoming.take()
            && self.agent.respond(now, incoming, reply).is_ok()
        {
            line.state = LineState::Talking;
            self.answered_total += 1;
        }
    }

    /// Refuses a call that rings here.
    pub fn refuse(&mut self, now: Instant, tag: &str, status: u16) {
        let status = StatusCode::new(status).expect("a status");
        if let Some(line) = self.lines.0.get_mut(tag)
            && let Some(incoming) = line.incoming.take()
        {
            let _ = self.agent.respond(now, incoming, Reply::new(status));
            line.state = LineState::Over;
        }
    }

    /// BYE for a call that is up, CANCEL for one that it has placed, a refusal for one that rings here.
    pub fn end(&mut self, now: Instant, tag: &str) {
        if let Some(line) = self.lines.0.get_mut(tag)
            && line.state != LineState::Over
        {
            let _ = self
                .agent
                .hang_up(now, line.leg, StatusCode::BUSY_HERE, Vec::new());
            line.state = LineState::Over;
            line.incoming = None;
        }
    }

    /// Holds the other side, or takes it back.
    pub fn hold(&mut self, now: Instant, tag: &str, hold: bool) {
        let Some(line) = self.lines.0.get_mut(tag) else {
            return;
        };
        let sdp = match hold {
            true => format!("offer of the carrier, {HOLDS}"),
            false => "offer of the carrier".to_owned(),
        };
        let reinvite = OutgoingRequest {
            method: Method::Invite,
            headers: Vec::new(),
            body: Some(Body::sdp(sdp)),
        };
        if let Ok(request) = self.agent.request(now, line.leg, reinvite) {
            line.changing = Some((request, hold));
        }
    }

    /// Asks the other side to call a number, and names the call to whom is called there.
    pub fn send_to(&mut self, now: Instant, tag: &str, number: &str, proxy: SocketAddr) {
        if let Some(line) = self.lines.0.get(tag) {
            let refer = OutgoingRefer {
                to: uri(format!("sip:{number}@{proxy}")),
                replaces: None,
                referred_by: Some(name(format!("sip:{tag}@carrier.test"))),
                headers: Vec::new(),
            };
            // What fails here shows at the other ends.
            let _ = self.agent.refer(now, line.leg, refer);
        }
    }

    /// The other side wants us to call somebody: we do and are lucky, or we do not.
    pub fn decide_transfer(&mut self, now: Instant, tag: &str, calls: bool) {
        let Some(line) = self.lines.0.get_mut(tag) else {
            return;
        };
        let Some(referral) = line.referral.take() else {
            return;
        };
        let (agent, leg) = (&mut self.agent, line.leg);
        // What fails here shows at the other end.
        if calls {
            let _ = agent.accept_refer(now, leg, referral);
            let _ = agent.refer_progress(now, leg, referral, StatusCode::OK);
        } else {
            let _ = agent.decline_refer(now, leg, referral, StatusCode::DECLINE);
        }
    }

    pub(super) fn on_notice(&mut self, notice: Notice) {
        if let Notice::ReferRequested { leg, referral, .. } = notice
            && let Some(line) = self.lines.of(leg)
        {
            line.referral = Some(referral);
        }
    }

    /// Keeps the states of the lines.
    pub(super) fn follow_line(&mut self, event: &Event) {
        match event {
            Event::Answered { leg, .. } => {
                if let Some(line) = self.lines.of(*leg).filter(|line| line.state != LineState::Over) {
                    line.state = LineState::Talking;
                }
            }
            Event::Failed { leg, .. } | Event::Terminated { leg, .. } | Event::Cancelled { leg, .. } => {
                if let Some(line) = self.lines.of(*leg) {
                    line.state = LineState::Over;
                    line.incoming = None;
                }
            }
            Event::IncomingRequest {
                leg: Some(leg),
                request,
                ..
            } if request.method() == Some(&Method::Invite) => {
                if let Some(line) = self.lines.of(*leg) {
                    line.held = String::from_utf8_lossy(request.body()).contains(HOLDS);
                }
            }
            Event::Response {
                request,
                leg: Some(leg),
                response,
            } => {
                let is_taken = response.status().is_some_and(StatusCode::is_success);
                self.hold_answered(*leg, *request, is_taken);
            }
            Event::RequestFailed {
                request,
                leg: Some(leg),
                failure: Failure::TimedOut | Failure::Transport,
            } => self.hold_answered(*leg, *request, false),
            _ => {}
        }
    }

    fn hold_answered(&mut self, leg: LegId, request: RequestId, is_taken: bool) {
        if let Some(line) = self.lines.of(leg)
            && let Some((_, hold)) = line.changing.take_if(|(asked, _)| *asked == request)
            && is_taken
        {
            line.holds = hold;
        }
    }
}

/// What the call is called from end to end; one that somebody was sent to tells by whom.
pub(super) fn tag_of(request: &Message) -> String {
    let referrer = || text_of(request, "Referred-By")?.split(['@', ':']).nth(1);
    text_of(request, TAG)
        .or_else(referrer)
        .unwrap_or_default()
        .to_owned()
}

fn uri(text: String) -> UriBuf {
    UriBuf::new(text).expect("a number and an address make a URI")
}

fn name(uri_text: String) -> NameAddr {
    NameAddr {
        display_name: String::new(),
        uri: uri(uri_text),
    }
}
