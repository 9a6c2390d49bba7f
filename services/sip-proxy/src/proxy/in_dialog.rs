//! Requests that belong to a call: routed by Route and request URI, loose and strict (RFC 3261 §16.4, §16.6, §16.12).

use super::dialogs::dialog_key;
use super::forward::{Forward, Routes};
use super::identity::{Audience, Disclosure};
use super::own_route::{OwnRoute, Party};
use super::response_context::{ResponseContext, Scope, Side, Target};
use super::settings::Peer;
use super::{Proxy, Refusal, Rejection, hop_of};
use crate::dial_plan::CarrierId;
use offhook_call_trace::Hop;
use offhook_sip::transaction::ServerTransactionId;
use offhook_sip::{Flow, Transport, locate};
use offhook_sip_message::header::{Header, NameAddr, Route};
use offhook_sip_message::{HeaderName, HeaderValue, Message, Method, StatusCode, Uri, UriBuf};
use std::net::SocketAddr;
use std::time::Instant;

/// Where a request goes on, and how.
struct Routed {
    forward: Forward,
    address: SocketAddr,
    hop: Hop,
    /// If it is one that we know by its address.
    carrier: Option<CarrierId>,
}

impl Proxy {
    pub(super) fn start_in_dialog(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        request: Message,
        source: SocketAddr,
        peer: Peer,
    ) {
        let Routed {
            forward,
            address,
            hop,
            carrier,
        } = match self
            .check_extensions(&request)
            .and_then(|()| self.route(&request, peer))
        {
            Ok(routed) => routed,
            Err(rejection) => return self.reject(now, id, &request, source, rejection),
        };
        let upstream = hop_of(peer);
        if self.settings.trace
            && let Some(call) = &forward.call
        {
            self.trace(&call.clone(), upstream, Hop::SipProxy, request.bytes());
        }
        let ends = (request.method() == Some(&Method::Bye)).then(|| dialog_key(&request));
        if let Some(dialog) = ends {
            // Who hangs up is free at once (RFC 3261 §15.1.1), also where the far end is not there to answer.
            let held = self.dialogs.vacate(dialog);
            self.limits.release(held);
        }
        let mut context = ResponseContext::new(request, Scope::InDialog, forward, (upstream, hop));
        context.ends = ends;
        context.upstream_audience = self.settings.audience(peer);
        context.targets.push(Target {
            address: Some(address),
            carrier,
            request_uri: None,
            group: 0,
            side: Side::Outside,
            phone: None,
            user: None,
        });
        self.open_context(id, context);
        self.try_next(now, id);
    }

    /// An ACK to a 2xx: passes without any state (§16.7 step 10, RFC 6026 §7).
    pub(super) fn handle_ack(&mut self, ack: Message, source: SocketAddr) {
        let Some(peer) = self.peer(source) else {
            return;
        };
        let Routed {
            forward,
            address,
            hop,
            ..
        } = match self.route(&ack, peer) {
            Ok(routed) => routed,
            Err(Rejection { reason, .. }) => {
                tracing::debug!(%source, ?ack, reason = reason.as_str(), "dropped an ACK");
                return self.outputs.push_back(super::Output::Refused { source, reason });
            }
        };
        let branch = self.layer.branch();
        let Ok(forwarded) = forward.apply(&ack, &self.sent_by, &branch) else {
            return;
        };
        if self.settings.trace
            && let Some(call) = &forward.call
        {
            self.trace(call, hop_of(peer), Hop::SipProxy, ack.bytes());
            self.trace(call, Hop::SipProxy, hop, &forwarded);
        }
        self.layer.send_stateless(Flow::udp(address), forwarded);
    }

    /// Finds the next hop. Only what carries our Route is part of a call that went through us.
    fn route(&self, request: &Message, peer: Peer) -> Result<Routed, Rejection> {
        self.check_hops(request)?;
        let malformed = || Rejection::new(StatusCode::BAD_REQUEST, Refusal::Malformed);
        let uri = request.request_uri().and_then(Result::ok).ok_or_else(malformed)?;
        let routes: Vec<NameAddr<'_>> = request
            .all::<Route<'_>>()
            .map(|route| route.map(|route| route.0))
            .collect::<Result<_, _>>()
            .map_err(|_| malformed())?;
        let no_dialog = || Rejection::new(StatusCode::CALL_DOES_NOT_EXIST, Refusal::NoDialog);

        let mut rest = routes.as_slice();
        let mut target = uri;
        let strict_before = self.settings.is_own(&uri);
        let own = if strict_before {
            // The hop before us is a strict router: the real request URI is the last Route (§16.4).
            let Some((last, before)) = rest.split_last() else {
                return Err(no_dialog());
            };
            (target, rest) = (last.uri, before);
            OwnRoute::read(&uri)
        } else {
            let top = rest
                .first()
                .filter(|route| self.settings.is_own(&route.uri))
                .ok_or_else(no_dialog)?;
            OwnRoute::read(&top.uri)
        };
        while let [first, others @ ..] = rest
            && self.settings.is_own(&first.uri)
        {
            rest = others;
        }
        let next_hop = rest.first().map_or(target, |route| route.uri);
        let (request_uri, kept) = match rest.split_first() {
            // The next hop is a strict router: it wants its own URI there and the real one as the last Route (§16.6 step 6).
            Some((first, others)) if !first.uri.is_loose_router() => (
                first.uri,
                route_values(others.iter().chain([&NameAddr::new(target)])),
            ),
            _ if strict_before => (target, route_values(rest.iter())),
            _ => (target, Routes::Pop(routes.len() - rest.len())),
        };
        if self.settings.is_own(&next_hop) {
            return Err(no_dialog());
        }
        // A phone is where it registers from, whatever its Contact says.
        let phone = own.phone_for(|| request.from_tag().unwrap_or_default());
        let phone = phone.filter(|_| rest.is_empty());
        let phone = phone.and_then(|number| self.registrar.address_of(number));
        let address = phone.or_else(|| self.address_of(&next_hop));
        let address = address.ok_or(Rejection::new(StatusCode::BAD_GATEWAY, Refusal::NoAddress))?;
        let to_vsp = rest.is_empty() && self.settings.vsps.contains(&address);
        if peer != Peer::Vsp && !to_vsp {
            let outside = phone.is_none() && self.settings.is_outside(address);
            self.check_seal(request, peer, &own, outside)?;
        }
        let changed_uri = (request_uri.as_bytes() != uri.as_bytes()).then(|| request_uri.to_buf());
        Ok(self.routed(request, peer, &own, address, changed_uri, kept))
    }

    /// VSPs are believed, and know themselves what calls they have. Of others only that is taken which belongs to a call that
    /// went through us with such a sender, and `outside` only what belongs to one with somebody there: whoever can send to us
    /// could else call past the dial plan.
    fn check_seal(
        &self,
        request: &Message,
        peer: Peer,
        own: &OwnRoute,
        outside: bool,
    ) -> Result<(), Rejection> {
        let call_id = request.first(HeaderName::CallId).unwrap_or_default();
        let parties = own.parties(request.from_tag().unwrap_or_default());
        let fits = parties.is_some_and(|(from, to)| {
            let is_sender = match from {
                Party::Vsp => false,
                Party::Phone(_) => peer == Peer::Phone,
                Party::Outside => matches!(peer, Peer::Carrier(_)),
            };
            is_sender && (!outside || to == Party::Outside)
        });
        match fits && own.is_sealed(&self.sealer, call_id) {
            true => Ok(()),
            false => Err(Rejection::new(StatusCode::CALL_DOES_NOT_EXIST, Refusal::Unproven)),
        }
    }

    /// What is done to a request of a call on its way to `address`.
    fn routed(
        &self,
        request: &Message,
        peer: Peer,
        own: &OwnRoute,
        address: SocketAddr,
        request_uri: Option<UriBuf>,
        routes: Routes,
    ) -> Routed {
        let from_tag = request.from_tag().unwrap_or_default();
        let known = self.settings.receiver(address);
        let audience = match known {
            Some(receiver) => self.settings.audience(receiver),
            None if own.trusted => Audience::Trusted,
            None => Audience::Untrusted,
        };
        let shift = own.shift_for(from_tag);
        let (within, rack_within) = self.dialogs.shifts(request, from_tag);
        let forward = Forward {
            request_uri,
            routes,
            shift: shift + within,
            rack_shift: shift + rack_within,
            call: own
                .call
                .clone()
                .or_else(|| self.call_of(request).filter(|_| peer == Peer::Vsp)),
            disclosure: Disclosure {
                audience,
                from_carrier: peer != Peer::Vsp,
                from_phone: peer == Peer::Phone,
                caller: None,
                anonymous: audience == Audience::Untrusted && own.hides(from_tag),
                called: None,
                latching: None,
            },
            ..Forward::default()
        };
        let hop = match (known, peer) {
            (Some(known), _) => hop_of(known),
            (None, Peer::Vsp | Peer::Phone) => Hop::Carrier,
            (None, Peer::Carrier(_)) => Hop::Vsp,
        };
        let carrier = match known {
            Some(Peer::Carrier(carrier)) => Some(carrier),
            _ => None,
        };
        Routed {
            forward,
            address,
            hop,
            carrier,
        }
    }

    /// Without DNS: dialogs consist of addresses, or of the names of configured carriers.
    fn address_of(&self, uri: &Uri<'_>) -> Option<SocketAddr> {
        match locate::request_flow(uri) {
            Some(flow) => (flow.transport == Transport::Udp).then_some(flow.remote),
            None => self.settings.known_host(uri),
        }
    }
}

fn route_values<'a>(routes: impl Iterator<Item = &'a NameAddr<'a>>) -> Routes {
    Routes::Set(
        routes
            .filter_map(|route| Route(*route).to_value().ok())
            .collect::<Vec<HeaderValue>>(),
    )
}
