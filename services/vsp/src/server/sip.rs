//! The SIP side: verbs of the user agent for what calls want, and its events for calls.

use super::{Leg, Server};
use crate::call::{CallKey, MESSAGE_LEN_MAX, OutgoingCall, Refused, SipOutcome, SipPurpose, SipRequest};
use crate::limits::{CUSTOM_HEADERS_SENT_MAX, DTMF_DURATION_MS};
use crate::output::{EndedBy, Output};
use crate::settings::{Registrar, Settings};
use crate::translate::End;
use offhook_call_trace::{CALL_ID_HEADER, CallId, Hop, LATCHING_HEADER, Protocol, USER_HEADER, redact_sip};
use offhook_media_control::Latching;
use offhook_rpc_message::Party;
use offhook_rpc_message::validate::CustomHeader;
use offhook_sip::asserted_identity::{Privacy, anonymous, p_asserted_identity, privacy};
use offhook_sip::user_agent::{
    ActionError, Body, Config, Direction, Ending, Event, Extensions, Failure, IncomingId, LegId, NameAddr,
    Observation, OutgoingInvite, OutgoingRequest, Output as SipOutput, ReliableProvisionals, Reply,
    RequestId, SessionTimer, SessionTimerMode,
};
use offhook_sip::{Flow, Header, Timing, text_of};
use offhook_sip_message::header::{self, ContentType, Reason};
use offhook_sip_message::{HeaderValue, Host, InvalidUri, Message, Method, StatusCode, UriBuf, UriBuilder};
use std::net::SocketAddr;
use std::time::Instant;

/// Legs of the user agent: each call has one, and those that end linger.
const LEGS_MAX: usize = 20_000;
const PRODUCT: &str = concat!("Offhook-VSP/", env!("CARGO_PKG_VERSION"));

/// Why there is nothing to send for a call.
#[derive(Debug)]
pub(super) enum NoInvite {
    /// What was dialled cannot stand in a SIP address.
    Address,
    /// DNS does not say where the user's registrar is.
    NotLocated,
}

impl NoInvite {
    /// What the caller hears.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Address => StatusCode::ADDRESS_INCOMPLETE,
            Self::NotLocated => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<InvalidUri> for NoInvite {
    fn from(InvalidUri { .. }: InvalidUri) -> Self {
        Self::Address
    }
}

/// What the user agent does beyond RFC 3261.
pub(super) fn extensions(settings: &Settings) -> Extensions {
    let mode = match settings.sip.session_expires {
        Some(_) => SessionTimerMode::Require,
        None => SessionTimerMode::Off,
    };
    let default = SessionTimer::default();
    Extensions {
        session_timer: SessionTimer {
            mode,
            interval: settings.sip.session_expires.unwrap_or(default.interval),
            ..default
        },
        reliable_provisionals: ReliableProvisionals::WhenRequired,
        transfers: true,
        replaces: true,
    }
}

/// Settings of the user agent.
pub(super) fn user_agent_config(settings: &Settings) -> Config {
    let contact = settings.sip.contact;
    let uri = UriBuf::new(format!("sip:vsp@{contact}")).expect("a socket address makes a URI");
    Config {
        timing: Timing::default(),
        sent_by: contact.to_string(),
        contact: uri,
        product: PRODUCT.to_owned(),
        allow: vec![Method::Update, Method::Info, Method::Message],
        accept: [
            "application/sdp",
            "application/dtmf-relay",
            "application/dtmf",
            "text/plain",
        ]
        .map(str::to_owned)
        .to_vec(),
        legs_max: LEGS_MAX,
    }
}

impl Server {
    /// Sends the INVITE of a call.
    pub(super) fn send_invite(
        &mut self,
        now: Instant,
        key: CallKey,
        outgoing: &OutgoingCall,
        offer: String,
    ) -> Result<(), Refused> {
        let Some(call) = self.calls.get(&key) else {
            return Ok(());
        };
        let (call_id, registrar) = (call.id.clone(), self.registrar_of(call.user()));
        let refused = |status: StatusCode| Refused {
            status: status.code(),
            reason: status.phrase().to_owned(),
            q850: None,
            headers: Vec::new(),
        };
        let invite = self
            .outgoing_invite((&call_id, call.user()), outgoing, registrar, offer)
            .map_err(|error| refused(error.status()))?;
        let leg = self.user_agent.invite(now, invite).map_err(|error| match error {
            ActionError::Full => refused(StatusCode::SERVICE_UNAVAILABLE),
            ActionError::Unwritable => refused(StatusCode::BAD_REQUEST),
            ActionError::Gone | ActionError::State(_) => refused(StatusCode::SERVER_INTERNAL_ERROR),
        })?;
        self.remember_leg(leg, key);
        Ok(())
    }

    pub(super) fn outgoing_invite(
        &self,
        (call_id, user): (&CallId, &str),
        outgoing: &OutgoingCall,
        registrar: Option<&Registrar>,
        offer: String,
    ) -> Result<OutgoingInvite, NoInvite> {
        let destination = match registrar {
            Some(registrar) => self.address_of(registrar).ok_or(NoInvite::NotLocated)?,
            None => self.settings.sip.proxy,
        };
        let Party { name, number } = &outgoing.caller;
        let domain = registrar.map_or(&self.settings.sip.domain, |registrar| &registrar.domain);
        let to = address(domain, outgoing.destination.as_str(), "")?;
        let own = address(
            domain,
            registrar.map_or(number, |registrar| &registrar.username),
            name,
        )?;
        let mut headers = Vec::new();
        if registrar.is_none() {
            // Our proxy is trusted with it; towards carriers it does what they may know (RFC 3325).
            headers.extend(p_asserted_identity(&own));
            headers.extend(Header::new(USER_HEADER, user));
        }
        if outgoing.hides_caller {
            headers.extend(privacy(&[Privacy::Id]));
        }
        headers.extend(outgoing.headers.iter().filter_map(sip_header));
        let hides = outgoing.hides_caller && registrar.is_none();
        let call_id = Header::new(CALL_ID_HEADER, call_id.as_str()).into_iter();
        Ok(OutgoingInvite {
            request_uri: to.uri.clone(),
            destination: Flow::udp(destination),
            from: if hides { anonymous() } else { own },
            to,
            headers,
            sticky_headers: call_id.filter(|_| registrar.is_none()).collect(),
            body: Some(Body::sdp(offer)),
            credentials: registrar.map(Registrar::credentials),
            give_up_after: None,
        })
    }

    /// CANCEL or BYE, with this value of `Reason`.
    pub(super) fn send_hang_up(
        &mut self,
        now: Instant,
        leg: LegId,
        reason: Option<String>,
        headers: &[CustomHeader],
    ) {
        let reason = reason.and_then(|reason| Header::new("Reason", &reason).ok());
        let headers = reason
            .into_iter()
            .chain(headers.iter().filter_map(sip_header))
            .collect();
        if let Err(error) = self
            .user_agent
            .hang_up(now, leg, StatusCode::TEMPORARILY_UNAVAILABLE, headers)
        {
            tracing::debug!(%error, "nothing left to hang up");
        }
    }

    /// Answers a request of the SIP side.
    pub(super) fn send_response(
        &mut self,
        now: Instant,
        incoming: IncomingId,
        status: u16,
        sdp: Option<String>,
    ) {
        let status = StatusCode::new(status).unwrap_or(StatusCode::SERVER_INTERNAL_ERROR);
        let mut reply = Reply::new(status);
        reply.body = sdp.map(Body::sdp);
        if let Err(error) = self.user_agent.respond(now, incoming, reply) {
            tracing::debug!(%error, "the request that was to be answered is gone");
        }
    }

    /// Sends a request in the dialog of a call. Gives `purpose` back with a status if that cannot be done.
    pub(super) fn send_request(
        &mut self,
        now: Instant,
        key: CallKey,
        request: SipRequest,
        purpose: SipPurpose,
    ) -> Result<(), (SipPurpose, u16, &'static str)> {
        let leg = self.calls.get(&key).and_then(|call| call.leg);
        let sent = leg.map(|leg| self.user_agent.request(now, leg, outgoing_request(request)));
        match sent {
            Some(Ok(id)) => {
                self.sip_requests.insert(id, (key, purpose));
                Ok(())
            }
            Some(Err(ActionError::State(why))) => Err((purpose, 491, why)),
            Some(Err(_)) | None => Err((purpose, 503, "Service Unavailable")),
        }
    }

    /// Takes all outputs and notices of the user agent.
    pub(super) fn drain_user_agent(&mut self, now: Instant) {
        loop {
            if let Some(output) = self.user_agent.poll_output() {
                self.on_sip_output(now, output);
            } else if let Some(notice) = self.user_agent.poll_notice() {
                self.on_notice(now, notice);
            } else {
                return;
            }
        }
    }

    fn on_sip_output(&mut self, now: Instant, output: SipOutput) {
        match output {
            SipOutput::Transmit(transmit) => self.outputs.push_back(Output::Datagram {
                to: transmit.flow.remote,
                bytes: transmit.bytes,
            }),
            SipOutput::Observed(observation) => self.on_observed(observation),
            SipOutput::Event(event) => self.on_sip_event(now, event),
        }
    }

    fn on_observed(&mut self, observation: Observation) {
        let sip_call_id = self.first_invite(&observation);
        let Some(leg) = self.legs.get(&observation.leg) else {
            return;
        };
        let call_id = leg.call_id.clone();
        if let Some(sip_call_id) = sip_call_id {
            let own = |key: &CallKey| {
                let call = self.calls.get(key);
                !call.is_some_and(|call| call.is_second(observation.leg))
            };
            let key = leg.key.filter(own);
            self.note_sip_call_id(key, call_id.clone(), sip_call_id);
        }
        let (from, to) = match observation.direction {
            Direction::Sent => (Hop::Vsp, Hop::SipProxy),
            Direction::Received => (Hop::SipProxy, Hop::Vsp),
        };
        self.trace(
            &call_id,
            from,
            to,
            Protocol::Sip,
            observation.name,
            redact_sip(&observation.bytes),
        );
    }

    /// The Call-ID, if this is an INVITE. One for a leg that we do not know starts a call for a user.
    fn first_invite(&mut self, observation: &Observation) -> Option<String> {
        if observation.name != "INVITE" {
            return None;
        }
        let message = Message::parse(observation.bytes.clone()).ok()?;
        if observation.direction == Direction::Received && !self.legs.contains_key(&observation.leg) {
            let leg = Leg {
                call_id: self.name_incoming(&message),
                key: None,
                over: false,
            };
            self.legs.insert(observation.leg, leg);
        }
        let header::CallId(id) = message.get()?.ok()?;
        Some(String::from_utf8_lossy(id).into_owned())
    }

    fn on_sip_event(&mut self, now: Instant, event: Event) {
        if let Some((leg, key)) = self.second_of(&event) {
            return self.on_second_event(now, leg, key, event);
        }
        match event {
            Event::Provisional { leg, response } => {
                let status = response.status().map_or(100, StatusCode::code);
                let headers = custom_headers(&response, &self.settings.headers_allowed);
                let sdp = sdp_of(&response);
                self.with_leg(now, leg, |call, out| {
                    if sdp.is_some() {
                        call.latch(latching_of(&response), out);
                    }
                    call.on_provisional(status, sdp, headers, out);
                });
            }
            Event::Answered { leg, response } => {
                let headers = custom_headers(&response, &self.settings.headers_allowed);
                self.with_leg(now, leg, |call, out| {
                    call.latch(latching_of(&response), out);
                    call.on_answered(now, sdp_of(&response), headers, out);
                });
            }
            Event::Failed { leg, failure } => {
                if let Some(key) = self.legs.get(&leg).and_then(|leg| leg.key) {
                    self.refuse_call(now, key, refused(&failure, &self.settings.headers_allowed));
                }
                self.leg_over(leg);
            }
            Event::Terminated { leg, ending } => self.on_terminated(now, leg, &ending),
            Event::AckReceived { leg, request } => {
                self.with_leg(now, leg, |call, out| call.carrier_ack(now, sdp_of(&request), out));
            }
            Event::IncomingRequest {
                leg,
                incoming,
                request,
                source,
            } => {
                self.on_incoming_request(now, leg, incoming, &request, source.remote);
            }
            Event::Response {
                request, response, ..
            } => {
                let status = response.status().map_or(500, StatusCode::code);
                let outcome = match status {
                    200..300 => Ok(sdp_of(&response)),
                    _ => Err((status, phrase(&response))),
                };
                self.on_sip_response(now, request, outcome);
            }
            Event::RequestFailed { request, .. } => {
                self.on_sip_response(now, request, Err((408, "no answer".to_owned())));
            }
            Event::IncomingInvite {
                leg,
                incoming,
                request,
                source,
            } => self.on_incoming_invite(now, leg, incoming, &request, source.remote),
            Event::Cancelled { leg, request } => self.on_cancelled(now, leg, &request),
        }
    }

    fn on_terminated(&mut self, now: Instant, leg: LegId, ending: &Ending) {
        match ending {
            Ending::Local => {}
            Ending::Unanswered => self.on_ring_timeout(now, leg),
            Ending::Remote(bye) => {
                let (cause, headers) = (q850_of(bye), custom_headers(bye, &self.settings.headers_allowed));
                self.end_incoming(
                    now,
                    leg,
                    EndedBy::Carrier,
                    End::CANCELLED.sip_code,
                    Some(End::CANCELLED),
                );
                self.with_leg(now, leg, |call, out| {
                    call.on_remote_bye(now, leg, cause, headers, out)
                });
            }
            Ending::AckMissing | Ending::Lost => {
                self.with_leg(now, leg, |call, out| {
                    call.end(now, EndedBy::Carrier, End::CARRIER_LOST, out)
                });
            }
        }
        self.leg_over(leg);
    }

    fn on_incoming_request(
        &mut self,
        now: Instant,
        leg: Option<LegId>,
        incoming: IncomingId,
        request: &Message,
        source: SocketAddr,
    ) {
        let key = leg.and_then(|leg| self.legs.get(&leg)).and_then(|leg| leg.key);
        let offers = matches!(request.method(), Some(Method::Invite))
            || (matches!(request.method(), Some(Method::Update)) && sdp_of(request).is_some());
        let Some(key) = key.filter(|key| self.calls.contains_key(key)) else {
            let status = match request.method() {
                _ if leg.is_some() => 481,
                // Only within a call do we know at whose expense a call would be, and which client a text is for.
                Some(Method::Refer | Method::Message) => 403,
                _ => 481,
            };
            return self.send_response(now, incoming, status, None);
        };
        self.note_party(now, key, request, source);
        if offers {
            return self.with_call(now, key, |call, out| {
                call.carrier_offer(incoming, sdp_of(request), out)
            });
        }
        self.send_response(now, incoming, status_of_taken(request), None);
        if let (Some(Method::Message), Some(text)) = (request.method(), text_body(request)) {
            return self.with_call(now, key, |call, out| call.carrier_message(text, out));
        }
        if let (Some(Method::Info), Some(digit)) = (request.method(), digit_of(request)) {
            self.with_call(now, key, |call, out| call.carrier_digit(digit, out));
        }
    }

    fn on_sip_response(&mut self, now: Instant, request: RequestId, outcome: SipOutcome) {
        if let Some((key, purpose)) = self.sip_requests.remove(&request) {
            self.with_call(now, key, |call, out| call.on_response(now, purpose, outcome, out));
        }
    }

    pub(super) fn with_leg(
        &mut self,
        now: Instant,
        leg: LegId,
        act: impl FnOnce(&mut crate::call::Call, &mut Vec<crate::call::Action>),
    ) {
        if let Some(key) = self.legs.get(&leg).and_then(|leg| leg.key) {
            self.with_call(now, key, act);
        }
    }
}

/// `"name" <sip:user@domain>`.
pub(super) fn address(domain: &str, user: &str, name: &str) -> Result<NameAddr, InvalidUri> {
    let domain = Host::new(domain.as_bytes()).ok_or(InvalidUri { what: "the domain" })?;
    let uri = UriBuilder::sip(Some(user.as_bytes()), domain, None).build()?;
    Ok(NameAddr {
        display_name: name.to_owned(),
        uri,
    })
}

pub(super) fn outgoing_request(request: SipRequest) -> OutgoingRequest {
    let typed = |content_type: &'static str, text: String| Body {
        content_type: HeaderValue::new(content_type).expect("a constant without line breaks"),
        bytes: text.into(),
    };
    let (method, body) = match request {
        SipRequest::Identity(header) => {
            return OutgoingRequest {
                method: Method::Update,
                headers: vec![header],
                body: None,
            };
        }
        SipRequest::Reinvite(offer) => (Method::Invite, Body::sdp(offer)),
        SipRequest::Digit(digit) => {
            let text = format!("Signal={digit}\r\nDuration={DTMF_DURATION_MS}\r\n");
            (Method::Info, typed("application/dtmf-relay", text))
        }
        SipRequest::Message(text) => (Method::Message, typed("text/plain;charset=utf-8", text)),
    };
    OutgoingRequest {
        method,
        headers: Vec::new(),
        body: Some(body),
    }
}

pub(super) fn sip_header(header: &CustomHeader) -> Option<Header> {
    Header::new(header.name(), header.value()).ok()
}

/// The SDP of a message, unread.
pub(super) fn sdp_of(message: &Message) -> Option<String> {
    let is_sdp = matches!(message.get::<ContentType<'_>>(), Some(Ok(kind)) if kind.is("application", "sdp"));
    (is_sdp && !message.body().is_empty()).then(|| String::from_utf8_lossy(message.body()).into_owned())
}

/// The `X-` headers of a message that a client may see.
pub(super) fn custom_headers(message: &Message, allowed: &[String]) -> Vec<CustomHeader> {
    message
        .headers()
        .filter_map(|line| {
            let value = header::unfold(line.value);
            CustomHeader::with_allowed(
                std::str::from_utf8(line.raw_name).ok()?,
                std::str::from_utf8(&value).ok()?,
                allowed,
            )
            .ok()
        })
        .take(CUSTOM_HEADERS_SENT_MAX)
        .collect()
}

/// The cause of Q.850 in a message's `Reason` headers.
pub(super) fn q850_of(message: &Message) -> Option<u16> {
    message
        .all::<Reason<'_>>()
        .flatten()
        .find(|reason| reason.protocol.eq_ignore_ascii_case(b"Q.850"))?
        .cause()
}

/// Whose media packets are to be taken from the sender, if the proxy says so.
pub(super) fn latching_of(message: &Message) -> Option<Latching> {
    match text_of(message, LATCHING_HEADER)? {
        "off" => Some(Latching::Off),
        "same-address" => Some(Latching::SameAddress),
        "any" => Some(Latching::Any),
        _ => None,
    }
}

fn phrase(response: &Message) -> String {
    match response.start_line() {
        offhook_sip_message::StartLine::Response { reason, .. } => {
            String::from_utf8_lossy(reason).into_owned()
        }
        offhook_sip_message::StartLine::Request { .. } => String::new(),
    }
}

pub(super) fn refused(failure: &Failure, allowed: &[String]) -> Refused {
    let own = |status: StatusCode| Refused {
        status: status.code(),
        reason: status.phrase().to_owned(),
        q850: None,
        headers: Vec::new(),
    };
    match failure {
        Failure::Response(response) => Refused {
            status: response.status().map_or(500, StatusCode::code),
            reason: phrase(response),
            q850: q850_of(response),
            headers: custom_headers(response, allowed),
        },
        Failure::TimedOut => own(StatusCode::REQUEST_TIMEOUT),
        Failure::Transport => own(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// What a request within a call is answered with that is no offer: who sent a text that is too long has to know.
pub(super) fn status_of_taken(request: &Message) -> u16 {
    let too_long = request.body().len() > MESSAGE_LEN_MAX;
    if too_long && matches!(request.method(), Some(Method::Message)) {
        return 413;
    }
    200
}

/// The text of a MESSAGE, unless it is longer than one may be.
pub(super) fn text_body(request: &Message) -> Option<String> {
    let kind = request.get::<ContentType<'_>>()?.ok()?;
    let fits = kind.is("text", "plain") && request.body().len() <= MESSAGE_LEN_MAX;
    fits.then(|| String::from_utf8_lossy(request.body()).into_owned())
}

/// The digit of an INFO: `Signal=5` of `application/dtmf-relay`, or the digit alone of `application/dtmf`.
pub(super) fn digit_of(request: &Message) -> Option<char> {
    let kind = request.get::<ContentType<'_>>()?.ok()?;
    let body = std::str::from_utf8(request.body()).ok()?;
    let text = if kind.is("application", "dtmf-relay") {
        let signal = |line: &str| {
            Some(line.split_once('=')?)
                .filter(|(name, _)| name.trim() == "Signal")
                .map(|(_, v)| v.trim().to_owned())
        };
        body.lines().find_map(signal)?
    } else {
        body.trim().to_owned()
    };
    let digit = text.chars().next()?.to_ascii_uppercase();
    (text.len() == 1 && matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D')).then_some(digit)
}
