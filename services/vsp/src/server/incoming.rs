//! Calls for users: where they ring, who answers first, and what the caller is told.

use super::requests::{CLIENT_STATE, passable_headers};
use super::sip::{custom_headers, latching_of, sdp_of, sip_header};
use super::{Server, TimerKey};
use crate::call::{ANONYMOUS, Action, Asked, Call, CallKey, NewCall, Start};
use crate::incoming::Incoming;
use crate::limits::CLOSE_WAIT_MAX;
use crate::output::{CallRecord, EndedBy, Note};
use crate::translate::{self, Cause, End};
use offhook_call_trace::CallId;
use offhook_media_control::MediaSessionId;
use offhook_rpc_message::validate::{self, CustomHeader};
use offhook_rpc_message::{Answer, ClientCallId, Party, SessionId};
use offhook_sip::text_of;
use offhook_sip::user_agent::{Body, IncomingId, LegId, Reply};
use offhook_sip_message::header::{
    CallId as CallIdHeader, From as FromHeader, Header as _, NameAddr, PAssertedIdentity, Reason,
};
use offhook_sip_message::{Message, Method, StatusCode};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Instant;

/// The number that was dialled, when the proxy has put the user's name in its place (RFC 7315 §4.2).
const CALLED_PARTY: &str = "P-Called-Party-ID";

impl Server {
    /// An INVITE for one of our users.
    pub(super) fn on_incoming_invite(
        &mut self,
        now: Instant,
        leg: LegId,
        invite: IncomingId,
        request: &Message,
        source: SocketAddr,
    ) {
        let Some(call_id) = self.legs.get(&leg).map(|leg| leg.call_id.clone()) else {
            return self.send_response(now, invite, 500, None);
        };
        if self.is_trusted(source) && self.on_replacing_invite(now, leg, invite, request) {
            return;
        }
        let user = match self.admit_incoming(request, source) {
            Ok(user) => user,
            Err(status) => {
                tracing::info!(%call_id, status, from = %source, "incoming call refused");
                self.send_response(now, invite, status, None);
                return self.leg_over(leg);
            }
        };
        let parties = parties(request, &user);
        self.note(Note::CallStarted {
            call_id: call_id.clone(),
            client_call: String::new(),
            from: parties.0.number.clone(),
            to: parties.1.number.clone(),
        });
        let headers = custom_headers(request, &self.settings.headers_allowed);
        let mut incoming = Incoming::new(call_id, invite, user.clone(), sdp_of(request), parties, headers);
        incoming.latching = latching_of(request);
        incoming.hides_caller = withholds(request);
        if let Some(Ok(CallIdHeader(id))) = request.get() {
            incoming.sip_call_id = String::from_utf8_lossy(id).into_owned();
        }
        self.incoming.insert(leg, incoming);
        self.deadlines
            .set(TimerKey::Ring(leg), now + self.settings.ring_timeout);
        let at_socket = |session: &crate::session::Session| {
            session.user == user && session.connection.is_some() && !session.is_expired(now)
        };
        let sessions: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| at_socket(session))
            .map(|(id, _)| id.clone())
            .collect();
        for session in sessions {
            self.offer_call(now, leg, &session);
        }
        self.end_if_nobody_is_left(now, leg);
    }

    /// The user who is called, or the status to refuse with.
    fn admit_incoming(&self, request: &Message, source: SocketAddr) -> Result<String, u16> {
        let uri = request.request_uri().and_then(Result::ok).ok_or(400_u16)?;
        let user = uri.user_unescaped().ok_or(404_u16)?;
        let user = std::str::from_utf8(&user).ok().ok_or(404_u16)?;
        if !self.may_name_parties(user, source) {
            return Err(403);
        }
        if self.draining {
            return Err(503);
        }
        let settings = self.settings.users.get(user).ok_or(404_u16)?;
        let busy = settings.calls_max.is_some_and(|max| self.calls_of(user) >= max);
        if busy {
            return Err(486);
        }
        Ok(user.to_owned())
    }

    /// Calls of a user that are up or on their way, at all of the user's clients.
    fn calls_of(&self, user: &str) -> usize {
        let sessions = self.sessions.values().filter(|session| session.user == user);
        let keys = sessions.flat_map(|session| session.calls.values());
        // One that rings at several clients is one.
        let ids: HashSet<_> = keys.filter_map(|key| Some(&self.calls.get(key)?.id)).collect();
        ids.len()
    }

    /// Whether this address may bring calls for a user and say who is in them: also the registrar of the account.
    fn may_name_parties(&self, user: &str, source: SocketAddr) -> bool {
        let registrar = self.registrar_of(user);
        registrar.is_some_and(|registrar| self.is_at(registrar, source.ip())) || self.is_trusted(source)
    }

    /// A re-INVITE or UPDATE may say who the far end is now (RFC 3325, RFC 5876 §4).
    pub(super) fn note_party(&mut self, now: Instant, key: CallKey, request: &Message, source: SocketAddr) {
        let user = self.calls.get(&key).map(Call::user);
        let believed = matches!(request.method(), Some(Method::Invite | Method::Update))
            && user.is_some_and(|user| self.may_name_parties(user, source));
        if let Some(party) = asserted(request).filter(|_| believed) {
            self.with_call(now, key, |call, out| call.far_end_is(party, out));
        }
    }

    /// Whether this address may bring calls: the SIP proxy, and those that the operator names.
    fn is_trusted(&self, source: SocketAddr) -> bool {
        let from = source.ip().to_canonical();
        from == self.settings.sip.proxy.ip().to_canonical() || self.settings.sip.peers.contains(&from)
    }

    /// Lets a call ring at one more client.
    fn offer_call(&mut self, now: Instant, leg: LegId, session_id: &SessionId) {
        let calls_max = self.settings.limits.calls_per_session_max;
        let (Some(incoming), Some(session)) = (self.incoming.get_mut(&leg), self.sessions.get(session_id))
        else {
            return;
        };
        if !incoming.asks(session_id) {
            return;
        }
        if session.calls.len() >= calls_max {
            return incoming.failed(486, EndedBy::Vsp);
        }
        let acknowledges = session.acknowledges;
        let (id, user) = (incoming.call_id.clone(), incoming.user.clone());
        let (caller, callee, headers) = (
            incoming.caller.clone(),
            incoming.callee.clone(),
            incoming.headers.clone(),
        );
        let received = headers.clone();
        let (offer, sip_call_id) = (incoming.offer.clone(), incoming.sip_call_id.clone());
        let (latching, hides_caller) = (incoming.latching, incoming.hides_caller);
        let client_id = ClientCallId::new(&self.new_uuid()).expect("a UUID is a call id");
        let key = CallKey(self.next_key());
        let mut call = Call::new(
            now,
            NewCall {
                id: id.clone(),
                client_id: client_id.clone(),
                session: session_id.clone(),
                media: MediaSessionId(self.new_uuid()),
                leg_id: self.new_uuid(),
                user,
                caller,
                callee,
                start: Start::Incoming {
                    leg,
                    headers,
                    reject_code: self.settings.reject_code,
                    acknowledges,
                    hides_caller,
                },
                duration_max: self.settings.call_duration_max,
                connected_max: self.settings.transfers.connected_max,
            },
        );
        call.set_sip_call_id(sip_call_id);
        let state = received
            .iter()
            .find(|header| header.name().eq_ignore_ascii_case(CLIENT_STATE));
        call.set_client_state(state.map(|state| state.value().to_owned()));
        self.note(Note::CallOffered {
            call_id: id,
            client_call: client_id.to_string(),
        });
        if let Some(incoming) = self.incoming.get_mut(&leg) {
            incoming.calls.insert(key);
        }
        if let Some(session) = self.sessions.get_mut(session_id) {
            session.calls.insert(client_id, key);
        }
        self.by_media.insert(call.media.clone(), key);
        self.calls.insert(key, call);
        self.with_call(now, key, |call, out| {
            call.offer(offer, out);
            call.latch(latching, out);
        });
    }

    /// A client has come while its user's phone rings.
    pub(super) fn offer_ringing_calls(&mut self, now: Instant, session_id: &SessionId) {
        let Some(user) = self.sessions.get(session_id).map(|session| session.user.clone()) else {
            return;
        };
        let ringing = self.incoming.iter().filter(|(_, incoming)| incoming.user == user);
        for leg in ringing.map(|(leg, _)| *leg).collect::<Vec<_>>() {
            self.offer_call(now, leg, session_id);
        }
    }

    /// It rings at a client: the caller hears so, once.
    pub(super) fn tell_ringing(&mut self, now: Instant, leg: LegId) {
        if let Some(incoming) = self.incoming.get_mut(&leg)
            && incoming.rings()
        {
            let invite = incoming.invite;
            self.send_response(now, invite, 180, None);
        }
    }

    /// It rings no more at a client.
    pub(super) fn rings_no_more(&mut self, now: Instant, leg: LegId, key: CallKey, status: u16, by: EndedBy) {
        if let Some(incoming) = self.incoming.get_mut(&leg) {
            incoming.calls.remove(&key);
            if incoming.answered == Some(key) {
                incoming.answered = None;
            }
            incoming.failed(status, by);
            self.end_if_nobody_is_left(now, leg);
        }
    }

    fn end_if_nobody_is_left(&mut self, now: Instant, leg: LegId) {
        let left = self
            .incoming
            .get(&leg)
            .filter(|incoming| incoming.calls.is_empty());
        if let Some((status, by)) = left.map(Incoming::refusal) {
            self.end_incoming(now, leg, by, status, None);
        }
    }

    /// It has rung for long enough, unless somebody has answered and the gateway is about to apply that.
    pub(super) fn on_ring_timer(&mut self, now: Instant, leg: LegId) {
        match self.incoming.get(&leg).and_then(|incoming| incoming.answered) {
            Some(_) => self.deadlines.set(TimerKey::Ring(leg), now + CLOSE_WAIT_MAX),
            None => self.on_ring_timeout(now, leg),
        }
    }

    /// Nobody has answered in time.
    pub(super) fn on_ring_timeout(&mut self, now: Instant, leg: LegId) {
        let status = self.settings.no_answer_code;
        let end = End {
            sip_code: status,
            ..End::RING_TIMEOUT
        };
        self.end_incoming(now, leg, EndedBy::Vsp, status, Some(end));
    }

    /// The caller has given up, or another phone has answered.
    pub(super) fn on_cancelled(&mut self, now: Instant, leg: LegId, request: &Message) {
        let elsewhere = request
            .all::<Reason<'_>>()
            .flatten()
            .any(|reason| reason.protocol.eq_ignore_ascii_case(b"SIP") && reason.cause() == Some(200));
        let end = if elsewhere {
            End::ANSWERED_ELSEWHERE
        } else {
            End::CANCELLED
        };
        self.end_incoming(now, leg, EndedBy::Carrier, end.sip_code, Some(end));
        self.leg_over(leg);
    }

    /// A call for a user is over before anybody has answered: the caller gets `status`, clients that ring `end`.
    pub(super) fn end_incoming(
        &mut self,
        now: Instant,
        leg: LegId,
        by: EndedBy,
        status: u16,
        end: Option<End>,
    ) {
        let Some(incoming) = self.incoming.remove(&leg) else {
            return;
        };
        self.deadlines.clear(&TimerKey::Ring(leg));
        if by != EndedBy::Carrier {
            self.send_response(now, incoming.invite, status, None);
            self.leg_over(leg);
        }
        let end_of_calls = end.unwrap_or(End::CANCELLED);
        for key in incoming.calls {
            self.with_call(now, key, |call, out| call.end(now, by, end_of_calls, out));
        }
        self.note(Note::CallEnded(Box::new(CallRecord {
            call_id: incoming.call_id,
            user: incoming.user,
            from: incoming.caller.number,
            to: incoming.callee.number,
            ended_by: by,
            cause: end.map_or_else(|| cause_of_refusal(status), |end| end.cause),
            sip_code: Some(status),
            setup: None,
            talk: None,
            media: None,
        })));
        self.close_idle_sockets(now);
    }

    /// A client answers its call. The first one gets it.
    pub(super) fn on_answer(&mut self, now: Instant, asked: Asked, key: CallKey, answer: Answer) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let Some(incoming) = call.incoming.and_then(|leg| self.incoming.get_mut(&leg)) else {
            return self.with_call(now, key, |call, out| {
                call.accept(asked, answer.sdp, Vec::new(), out)
            });
        };
        if incoming.answered.is_some_and(|first| first != key) {
            // An error would be shown as a fault; this way the user sees who was faster.
            let result = Ok(offhook_rpc_message::ResultBody::CallAnswered(answer.call));
            return self.with_call(now, key, |call, out| {
                out.push(Action::Reply(asked, result));
                call.end(now, EndedBy::Client, End::ANSWERED_ELSEWHERE, out);
            });
        }
        if call.can_be_answered() {
            incoming.answered = Some(key);
        }
        let headers = passable_headers(&answer.dialog.custom_headers, &self.settings.headers_allowed);
        let received = self.incoming_headers(key);
        // The SDK sends back what came with the invite when the application adds nothing.
        let headers = headers
            .into_iter()
            .filter(|header| !received.contains(header))
            .collect();
        self.with_call(now, key, |call, out| call.accept(asked, answer.sdp, headers, out));
    }

    fn incoming_headers(&self, key: CallKey) -> Vec<CustomHeader> {
        let leg = self.calls.get(&key).and_then(|call| call.incoming);
        leg.and_then(|leg| self.incoming.get(&leg))
            .map(|incoming| incoming.headers.clone())
            .unwrap_or_default()
    }

    /// The gateway has taken the answer of the first client: 200 for the caller, and the others stop ringing.
    pub(super) fn answer_incoming(
        &mut self,
        now: Instant,
        leg: LegId,
        key: CallKey,
        sdp: String,
        headers: &[CustomHeader],
    ) {
        let Some(incoming) = self.incoming.remove(&leg) else {
            return self.with_call(now, key, |call, out| {
                call.end(now, EndedBy::Carrier, End::CANCELLED, out)
            });
        };
        self.deadlines.clear(&TimerKey::Ring(leg));
        let mut reply = Reply::new(StatusCode::OK).with_body(Body::sdp(sdp));
        reply.headers = headers.iter().filter_map(sip_header).collect();
        if let Some(state) = self.legs.get_mut(&leg) {
            state.key = Some(key);
        }
        match self.user_agent.respond(now, incoming.invite, reply) {
            Ok(()) => self.with_call(now, key, |call, out| call.answered_here(now, leg, out)),
            Err(error) => {
                tracing::warn!(call_id = %incoming.call_id, %error, "the call was over before its answer");
                self.with_call(now, key, |call, out| {
                    call.end(now, EndedBy::Carrier, End::CANCELLED, out)
                });
            }
        }
        for other in incoming.calls.into_iter().filter(|other| *other != key) {
            self.with_call(now, other, |call, out| {
                call.end(now, EndedBy::Client, End::ANSWERED_ELSEWHERE, out)
            });
        }
    }

    /// Names the call of an INVITE that has just come, as the proxy does if it can.
    pub(super) fn name_incoming(&mut self, invite: &Message) -> CallId {
        let given = text_of(invite, offhook_call_trace::CALL_ID_HEADER).and_then(|id| CallId::new(id).ok());
        given.unwrap_or_else(|| CallId::new(&self.new_uuid()).expect("a UUID is a call id"))
    }
}

/// The cause of a call that our side has refused: a client that declines says 487 by default.
fn cause_of_refusal(status: u16) -> Cause {
    match status {
        487 => Cause::CALL_REJECTED,
        status => translate::cause_of_status(status),
    }
}

/// Who calls, and who is called.
pub(super) fn parties(invite: &Message, user: &str) -> (Party, Party) {
    let from = invite
        .get::<FromHeader<'_>>()
        .and_then(Result::ok)
        .map(|from| party(&from));
    let caller = match asserted(invite) {
        Some(asserted) if !withholds(invite) => asserted,
        _ => from.unwrap_or_default(),
    };
    let dialled = text_of(invite, CALLED_PARTY)
        .and_then(|value| FromHeader::parse(value.as_bytes()).ok())
        .map(|addr| party(&addr));
    let callee = Party {
        name: String::new(),
        number: dialled
            .map(|party| party.number)
            .filter(|number| !number.is_empty())
            .unwrap_or_else(|| user.to_owned()),
    };
    (caller, callee)
}

/// Who the sender is, as the network asserts it; `anonymous` where that is not to be shown.
fn asserted(request: &Message) -> Option<Party> {
    let asserted = request.all::<PAssertedIdentity<'_>>().flatten().next()?;
    Some(match withholds(request) {
        true => Party {
            name: String::new(),
            number: ANONYMOUS.to_owned(),
        },
        false => party(&asserted),
    })
}

/// Whether the sender wants not to be named (RFC 3323 §4.2, RFC 3325 §9.3).
fn withholds(message: &Message) -> bool {
    let names = |word: &str| {
        ["id", "user", "header"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known))
    };
    text_of(message, "Privacy").is_some_and(|privacy| privacy.split(';').any(|word| names(word.trim())))
}

fn party(addr: &NameAddr<'_>) -> Party {
    let user = addr.uri.user_unescaped().unwrap_or_default();
    Party {
        name: validate::display_name(&String::from_utf8_lossy(&addr.display_text())),
        number: validate::display_name(&String::from_utf8_lossy(&user)),
    }
}
