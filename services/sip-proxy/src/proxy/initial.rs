//! Requests that begin a call: checks (§16.3), limits, and the context that tries their targets.

use super::forward::{Forward, Routes, loop_mark};
use super::identity::Disclosure;
use super::limits::Slot;
use super::response_context::{ResponseContext, Scope, Side};
use super::settings::Peer;
use super::targets::Destinations;
use super::{Proxy, Refusal, Rejection, hop_of};
use offhook_call_trace::{CallId, Hop};
use offhook_sip::transaction::ServerTransactionId;
use offhook_sip_message::header::{Header, MaxForwards, RecordRoute, Route, Via};
use offhook_sip_message::{HeaderName, HeaderValue, Host, Message, StatusCode};
use std::net::SocketAddr;
use std::time::Instant;

impl Proxy {
    pub(super) fn start_call(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        request: Message,
        source: SocketAddr,
        peer: Peer,
    ) {
        let checked = self
            .check_room(now, source, peer)
            .and_then(|()| self.caller(now, &request, source, peer))
            .and_then(|caller| Ok((caller, self.check_request(&request)?)))
            .and_then(|found| Ok((found, self.destinations(&request, peer, source)?)))
            .and_then(|found| Ok((found, self.take_place(peer)?)));
        let (((caller, own_routes), mut destinations), held) = match checked {
            Ok(found) => found,
            Err(rejection) => return self.reject(now, id, &request, source, rejection),
        };
        self.draw_servers(now, &mut destinations.targets);
        // A carrier's own id for a call is none of ours.
        let call = self.call_of(&request).filter(|_| peer == Peer::Vsp);
        let call = call.unwrap_or_else(|| self.mint_call_id());
        if self.settings.trace {
            self.trace(&call, hop_of(peer), Hop::SipProxy, request.bytes());
        }
        let mut context = self.context_of(request, call, peer, own_routes, destinations);
        context.held = match self.counted_caller(&context.request, peer, caller.as_ref()) {
            Some(user) => Some(self.limits.hold_user(user)),
            None => held,
        };
        if let Some(caller) = caller {
            let disclosure = &mut context.forward.disclosure;
            disclosure.latching = caller.phone.latching();
            disclosure.caller = Some(Box::new(caller));
        }
        self.counts.calls_total += 1;
        self.open_context(id, context);
        self.try_next(now, id);
    }

    fn context_of(
        &self,
        request: Message,
        call: CallId,
        peer: Peer,
        own_routes: usize,
        destinations: Destinations,
    ) -> ResponseContext {
        let Destinations {
            mut targets,
            hunt,
            called,
        } = destinations;
        let forward = Forward {
            routes: Routes::Pop(own_routes),
            call: Some(call),
            recorded: self.recorded(&request, peer),
            disclosure: Disclosure {
                from_carrier: peer != Peer::Vsp,
                from_phone: peer == Peer::Phone,
                called,
                latching: self.settings.latching_of(peer),
                ..Disclosure::default()
            },
            ..Forward::default()
        };
        let downstream = match targets.first().map(|target| target.side) {
            Some(Side::User) => Hop::Vsp,
            _ => Hop::Carrier,
        };
        let hops = (hop_of(peer), downstream);
        let mut context = ResponseContext::new(request, Scope::Initial, forward, hops);
        context.upstream_audience = self.settings.audience(peer);
        targets.reverse();
        context.targets = targets;
        context.hunt = hunt;
        context
    }

    /// A call of a carrier takes one of its places.
    fn take_place(&mut self, peer: Peer) -> Result<Option<Slot>, Rejection> {
        let Peer::Carrier(carrier) = peer else {
            return Ok(None);
        };
        let slot = self.limits.hold(carrier);
        slot.map(Some)
            .ok_or_else(|| Rejection::unavailable(Refusal::CarrierFull))
    }

    fn check_room(&mut self, now: Instant, source: SocketAddr, peer: Peer) -> Result<(), Rejection> {
        if self.draining {
            return Err(Rejection::unavailable(Refusal::Draining));
        }
        if self.unanswered >= self.settings.requests_max {
            return Err(Rejection::unavailable(Refusal::Overload));
        }
        if !self.limits.admit(now, &self.settings, peer, source) {
            return Err(Rejection::unavailable(Refusal::Rate));
        }
        Ok(())
    }

    /// §16.3, beyond what the transaction layer has checked. Says how many Routes on top are ours (§16.4).
    fn check_request(&self, request: &Message) -> Result<usize, Rejection> {
        self.check_hops(request)?;
        self.check_extensions(request)?;
        let routes: Vec<bool> = request
            .all::<Route<'_>>()
            .map(|route| route.is_ok_and(|route| self.settings.is_own(&route.uri)))
            .collect();
        // A call goes where the dial plan says, not where a preloaded Route points to.
        if routes.iter().any(|own| !own) {
            return Err(Rejection::new(StatusCode::FORBIDDEN, Refusal::NoRoute));
        }
        Ok(routes.len())
    }

    /// Proxy-Require: we have no extension that it could ask for (§16.3 step 5). Not for ACK, which has to ignore it
    /// (§8.2.2.3).
    pub(super) fn check_extensions(&self, request: &Message) -> Result<(), Rejection> {
        let missing: Vec<&[u8]> = request.values(HeaderName::ProxyRequire).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let unsupported = HeaderValue::unfold(&missing.join(&b", "[..])).ok();
        Err(Rejection::new(StatusCode::BAD_EXTENSION, Refusal::Extension)
            .with(HeaderName::Unsupported, unsupported))
    }

    /// Max-Forwards and loops, for every request that goes on.
    pub(super) fn check_hops(&self, request: &Message) -> Result<(), Rejection> {
        if matches!(request.get::<MaxForwards>(), Some(Ok(MaxForwards(0)))) {
            return Err(Rejection::new(StatusCode::TOO_MANY_HOPS, Refusal::TooManyHops));
        }
        // Vias pass unchanged, so that a look at the bytes says whether any can be ours.
        let mut vias = request.headers_named(HeaderName::Via);
        if !vias.any(|line| self.sent_by_finder.find(line.value).is_some()) {
            return Ok(());
        }
        let own = |via: &Via<'_>| self.is_own_via(via);
        let mut own_vias = request.all::<Via<'_>>().flatten().filter(own).peekable();
        if own_vias.peek().is_some() {
            let mark = loop_mark(request);
            if own_vias.any(|via| {
                via.branch()
                    .is_some_and(|branch| branch.ends_with(mark.as_bytes()))
            }) {
                return Err(Rejection::new(StatusCode::LOOP_DETECTED, Refusal::Loop));
            }
        }
        Ok(())
    }

    /// The Record-Routes that stay. A carrier has no reason to name us there, unless the call went through us before: it
    /// would make requests of the call pass us with parameters of its choice.
    fn recorded(&self, request: &Message, peer: Peer) -> Option<Vec<HeaderValue>> {
        let is_ours =
            |value: &[u8]| RecordRoute::parse(value).is_ok_and(|route| self.settings.is_own(&route.uri));
        let name = HeaderName::RecordRoute;
        if peer == Peer::Vsp
            || !request.values(name).any(is_ours)
            || request
                .all::<Via<'_>>()
                .flatten()
                .any(|via| self.is_own_via(&via))
        {
            return None;
        }
        let others = request.values(name).filter(|value| !is_ours(value));
        Some(
            others
                .filter_map(|value| HeaderValue::unfold(value).ok())
                .collect(),
        )
    }

    fn is_own_via(&self, via: &Via<'_>) -> bool {
        via.host == Host::from(self.settings.address.ip())
            && via.port_or_default() == self.settings.address.port()
    }
}
