//! What the far end does: a SIP user agent behind the proxy.

use crate::world::{CARRIER_ANSWER, CARRIER_SIDE_OFFER, World, vsp_address};
use bytes::Bytes;
use offhook_sip::user_agent::{self, Body, IncomingId, LegId};
use offhook_sip::{Flow, Header};
use offhook_sip_message::{HeaderValue, Message, Method, StatusCode, UriBuf};
use offhook_vsp::ConnectionId;
use serde_json::{Value, json};

/// Who calls.
const BOB: &str = "\"Bob\" <sip:+4940555666@carrier.example>";

impl World {
    /// The SIP proxy brings a call for a user: the far end's leg.
    pub(crate) fn far_call(&mut self, user: &str, headers: &[(&str, &str)]) -> LegId {
        self.far_call_from(user, BOB, headers)
    }

    pub(crate) fn far_call_from(&mut self, user: &str, from: &str, headers: &[(&str, &str)]) -> LegId {
        self.far_call_with(user, from, headers, Some(CARRIER_SIDE_OFFER))
    }

    /// The far end calls, with or without an offer of its own.
    pub(crate) fn far_call_with(
        &mut self,
        user: &str,
        from: &str,
        headers: &[(&str, &str)],
        sdp: Option<&str>,
    ) -> LegId {
        let uri = |text: String| UriBuf::new(text).unwrap();
        let (name, address) = from.split_once('<').unwrap();
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| Header::new(name, value).unwrap())
            .collect();
        let invite = user_agent::OutgoingInvite {
            request_uri: uri(format!("sip:{user}@voice.example.com")),
            destination: Flow::udp(vsp_address()),
            from: user_agent::NameAddr {
                display_name: name.trim().trim_matches('"').to_owned(),
                uri: uri(address.trim_end_matches('>').to_owned()),
            },
            to: user_agent::NameAddr {
                display_name: String::new(),
                uri: uri(format!("sip:{user}@voice.example.com")),
            },
            headers,
            sticky_headers: Vec::new(),
            body: sdp.map(|sdp| Body::sdp(sdp.to_owned())),
            credentials: None,
            give_up_after: None,
        };
        let leg = self.far_end.invite(self.now, invite).unwrap();
        self.settle();
        leg
    }

    /// The far end calls alice; gives the id of the call that rings at `client`.
    pub(crate) fn called(&mut self, client: ConnectionId) -> Value {
        self.far_call("alice", &[]);
        self.expect(client, "invite")["callID"].clone()
    }

    /// Somebody whom a far end has sent calls to take its place in `leg` (RFC 3891), with or without an offer.
    pub(crate) fn far_successor(&mut self, leg: LegId, sdp: Option<&str>) -> LegId {
        self.far_successor_with(leg, sdp, &[])
    }

    /// The same with further headers.
    pub(crate) fn far_successor_with(
        &mut self,
        leg: LegId,
        sdp: Option<&str>,
        headers: &[(&str, &str)],
    ) -> LegId {
        let dialog = self.far_end.dialog(leg).unwrap();
        let named = user_agent::ReplacedDialog::of_dialog(dialog);
        let (call_id, to, from) = (named.call_id, named.to_tag, named.from_tag);
        let value = [&call_id[..], b";to-tag=", &to, b";from-tag=", &from].concat();
        let replaces = ("Replaces", std::str::from_utf8(&value).unwrap());
        let headers: Vec<_> = headers.iter().copied().chain([replaces]).collect();
        self.far_call_with("vsp", BOB, &headers, sdp)
    }

    /// Statuses of the responses that the far end has got to its INVITE since the last time.
    pub(crate) fn far_statuses(&mut self) -> Vec<u16> {
        let status = |message: &Message| message.status().unwrap().code();
        self.far_events
            .drain(..)
            .filter_map(|event| match event {
                user_agent::Event::Provisional { response, .. }
                | user_agent::Event::Answered { response, .. } => Some(status(&response)),
                user_agent::Event::Failed {
                    failure: user_agent::Failure::Response(response),
                    ..
                } => Some(status(&response)),
                _ => None,
            })
            .collect()
    }

    /// The far end's next INVITE.
    pub(crate) fn far_invite(&mut self) -> (LegId, IncomingId, Message) {
        match self.far_events.pop_front() {
            Some(user_agent::Event::IncomingInvite {
                leg,
                incoming,
                request,
                ..
            }) => (leg, incoming, request),
            other => panic!("an INVITE at the far end, not {other:?}"),
        }
    }

    /// The request that the far end has got within a call. Its other news is forgotten.
    pub(crate) fn far_asked(&mut self) -> (LegId, IncomingId, Message) {
        self.far_events
            .retain(|event| matches!(event, user_agent::Event::IncomingRequest { .. }));
        match self.far_events.pop_front() {
            Some(user_agent::Event::IncomingRequest {
                leg: Some(leg),
                incoming,
                request,
                ..
            }) => (leg, incoming, request),
            other => panic!("a request at the far end, not {other:?}"),
        }
    }

    /// The client puts a call on hold, and the far end agrees; the client's result is the next frame.
    pub(crate) fn hold(&mut self, client: ConnectionId, call: &str) {
        let hold = json!({"action": "hold", "dialogParams": {"callID": call}});
        self.request(client, "telnyx_rtc.modify", hold);
        let (_, incoming, _) = self.far_asked();
        self.far_respond(incoming, 200, Some(CARRIER_ANSWER));
        self.far_events.clear();
    }

    /// Whether we have ended this leg of the far end's.
    pub(crate) fn far_has_left(&self, leg: LegId) -> bool {
        let left = |event: &user_agent::Event| matches!(event, user_agent::Event::Terminated { leg: of, ending: user_agent::Ending::Remote(_) } if *of == leg);
        self.far_events.iter().any(left)
    }

    /// The far end answers a request.
    pub(crate) fn far_respond(&mut self, incoming: IncomingId, status: u16, sdp: Option<&str>) {
        self.far_respond_with(incoming, status, sdp, &[]);
    }

    pub(crate) fn far_respond_with(
        &mut self,
        incoming: IncomingId,
        status: u16,
        sdp: Option<&str>,
        headers: &[(&str, &str)],
    ) {
        let mut reply = user_agent::Reply::new(StatusCode::new(status).unwrap());
        reply.body = sdp.map(|sdp| Body::sdp(sdp.to_owned()));
        reply.headers = headers
            .iter()
            .map(|(name, value)| Header::new(name, value).unwrap())
            .collect();
        self.far_end.respond(self.now, incoming, reply).unwrap();
        self.settle();
    }

    /// The far end acknowledges a 200 that made an offer.
    pub(crate) fn far_ack(&mut self, leg: LegId, sdp: Option<&str>) {
        let body = sdp.map(|sdp| Body::sdp(sdp.to_owned()));
        self.far_end.ack(self.now, leg, body).unwrap();
        self.settle();
    }

    /// The far end hangs up.
    pub(crate) fn far_bye(&mut self, leg: LegId, reason: Option<&str>) {
        let headers = reason
            .map(|reason| Header::new("Reason", reason).unwrap())
            .into_iter()
            .collect();
        self.far_end.bye(self.now, leg, headers).unwrap();
        self.settle();
    }

    /// The far end sends a request outside of any call; gives the status of the answer.
    pub(crate) fn far_asks_outside(
        &mut self,
        method: Method,
        headers: &[(&str, &str)],
        body: Option<(&str, &str)>,
    ) -> u16 {
        let address = |uri: &str| user_agent::NameAddr {
            display_name: String::new(),
            uri: UriBuf::new(uri.to_owned()).unwrap(),
        };
        let target = user_agent::Target {
            request_uri: UriBuf::new("sip:vsp@127.0.0.1:5070".to_owned()).unwrap(),
            destination: Flow::udp(vsp_address()),
            from: address("sip:x@carrier.example"),
            to: address("sip:alice@voice.example.com"),
            credentials: None,
        };
        let headers = headers.iter();
        let request = user_agent::OutgoingRequest {
            method,
            headers: headers
                .map(|(name, value)| Header::new(name, value).unwrap())
                .collect(),
            body: body.map(typed),
        };
        self.far_end.request_to(self.now, target, request).unwrap();
        self.settle();
        let answer = self.far_events.pop_front();
        let Some(user_agent::Event::Response { response, .. }) = answer else {
            panic!("a response for the far end, not {answer:?}")
        };
        response.status().unwrap().code()
    }

    /// The far end sends a request in the dialog.
    pub(crate) fn far_request(
        &mut self,
        leg: LegId,
        method: Method,
        body: Option<(&str, &str)>,
    ) -> user_agent::RequestId {
        let request = user_agent::OutgoingRequest {
            method,
            headers: Vec::new(),
            body: body.map(typed),
        };
        let id = self.far_end.request(self.now, leg, request).unwrap();
        self.settle();
        id
    }

    /// The next event at the far end.
    pub(crate) fn far_event(&mut self) -> user_agent::Event {
        self.far_events.pop_front().expect("an event at the far end")
    }
}

/// A body of this type.
fn typed((kind, text): (&str, &str)) -> Body {
    Body {
        content_type: HeaderValue::new(kind.to_owned()).unwrap(),
        bytes: Bytes::copy_from_slice(text.as_bytes()),
    }
}
