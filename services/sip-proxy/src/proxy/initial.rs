//! Requests that begin a call: checks (§16.3), target choice (§16.5).

use super::forward::{Forward, Routes, loop_mark};
use super::response_context::{ResponseContext, Scope, Target};
use super::settings::Peer;
use super::{Proxy, Refusal, Rejection, hop_of};
use crate::dial_plan::{CarrierId, Number};
use offhook_call_trace::Hop;
use offhook_sip::transaction::ServerTransactionId;
use offhook_sip_message::header::{MaxForwards, Route, Via};
use offhook_sip_message::{HeaderName, HeaderValue, Host, Message, StatusCode, UriBuf, UriBuilder};
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::time::Instant;

type Targets = SmallVec<[Target; 2]>;

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
            .check_room()
            .and_then(|()| self.check_request(&request))
            .and_then(|own_routes| Ok((own_routes, self.targets(&request, peer)?)));
        let (own_routes, mut targets) = match checked {
            Ok(found) => found,
            Err(rejection) => return self.reject(now, id, &request, source, rejection),
        };
        let hops = match peer {
            Peer::Vsp => (Hop::Vsp, Hop::Carrier),
            Peer::Carrier(_) => (Hop::Carrier, Hop::Vsp),
        };
        // A carrier's own id for a call is none of ours.
        let call = self.call_of(&request).filter(|_| peer == Peer::Vsp);
        let call = call.unwrap_or_else(|| self.mint_call_id());
        let forward = Forward {
            routes: Routes::Pop(own_routes),
            call: Some(call.clone()),
            ..Forward::default()
        };
        if self.settings.trace {
            self.trace(&call, hop_of(peer), Hop::SipProxy, request.bytes());
        }
        let mut context = ResponseContext::new(request, Scope::Initial, forward, hops);
        targets.reverse();
        context.targets = targets;
        self.counts.calls_total += 1;
        self.open_context(id, context);
        self.try_next(now, id);
    }

    fn check_room(&self) -> Result<(), Rejection> {
        if self.draining {
            return Err(Rejection::unavailable(Refusal::Draining));
        }
        if self.unanswered >= self.settings.requests_max {
            return Err(Rejection::unavailable(Refusal::Overload));
        }
        Ok(())
    }

    /// §16.3, beyond what the transaction layer has checked. Says how many Routes on top are ours (§16.4).
    fn check_request(&self, request: &Message) -> Result<usize, Rejection> {
        self.check_hops(request)?;
        let missing: Vec<&[u8]> = request.values(HeaderName::ProxyRequire).collect();
        if !missing.is_empty() {
            let unsupported = HeaderValue::unfold(&missing.join(&b", "[..])).ok();
            return Err(Rejection::new(StatusCode::BAD_EXTENSION, Refusal::Extension)
                .with(HeaderName::Unsupported, unsupported));
        }
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

    /// Max-Forwards and loops, for every request that goes on.
    pub(super) fn check_hops(&self, request: &Message) -> Result<(), Rejection> {
        if matches!(request.get::<MaxForwards>(), Some(Ok(MaxForwards(0)))) {
            return Err(Rejection::new(StatusCode::TOO_MANY_HOPS, Refusal::TooManyHops));
        }
        let own = |via: &Via<'_>| {
            via.host == Host::from(self.settings.address.ip())
                && via.port_or_default() == self.settings.address.port()
        };
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

    /// Where a call goes: from a VSP to the carriers of its number, from a carrier to the VSP of the number's user.
    fn targets(&self, request: &Message, peer: Peer) -> Result<Targets, Rejection> {
        let uri = request.request_uri().and_then(Result::ok);
        let uri = uri.ok_or(Rejection::new(StatusCode::BAD_REQUEST, Refusal::Malformed))?;
        let number = Number::of(&uri).map_err(|error| Rejection::new(error.status(), Refusal::BadNumber))?;
        let targets: Targets = match peer {
            Peer::Vsp => {
                let carriers = self.settings.dial_plan.carriers(&number).iter();
                carriers
                    .filter_map(|carrier| self.carrier_target(*carrier, &number))
                    .collect()
            }
            Peer::Carrier(_) => self.user_targets(&number),
        };
        if targets.is_empty() {
            return Err(Rejection::new(StatusCode::NOT_FOUND, Refusal::NoRoute));
        }
        Ok(targets)
    }

    /// `None` if the carrier's rules leave nothing of the number.
    fn carrier_target(&self, id: CarrierId, number: &Number) -> Option<Target> {
        let carrier = self.settings.carriers.get(id.0)?;
        let number = number.rewritten(carrier.strip, &carrier.prepend)?;
        let target = carrier.target.uri();
        let plain = UriBuilder::sip(Some(number.as_bytes()), target.host()?, target.port())
            .build()
            .ok()?;
        let request_uri = match target.params().as_bytes() {
            [] => plain,
            params => UriBuf::new([plain.as_bytes(), params].concat()).ok()?,
        };
        Some(Target {
            address: carrier.address,
            carrier: Some(id),
            request_uri: Some(request_uri),
        })
    }

    fn user_targets(&self, number: &Number) -> Targets {
        let Some(user) = self.settings.dial_plan.user(number) else {
            return Targets::new();
        };
        let target = |vsp: &SocketAddr| {
            let uri = UriBuilder::sip(Some(user.as_bytes()), Host::from(vsp.ip()), Some(vsp.port()));
            Some(Target {
                address: Some(*vsp),
                carrier: None,
                request_uri: Some(uri.build().ok()?),
            })
        };
        self.settings.vsps.iter().filter_map(target).collect()
    }
}
