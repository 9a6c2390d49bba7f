//! A carrier with several servers (RFC 3263 §4.3): which one a call tries first, and which follow when it does not answer.

use super::response_context::Target;
use super::{CarrierFailure, Proxy};
use offhook_sip::locate;
use offhook_sip_message::StatusCode;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long an address that did not answer is tried after the others of its carrier.
const REST: Duration = Duration::from_secs(30);
/// Most addresses that rest: all those of 500 carriers. Beyond it one more is tried as usual.
const RESTING_MAX: usize = 4_000;

/// Addresses that did not answer lately, and since when.
#[derive(Debug, Default)]
pub(super) struct Resting(HashMap<SocketAddr, Instant>);

impl Resting {
    fn begin(&mut self, now: Instant, address: SocketAddr) {
        if self.0.len() >= RESTING_MAX {
            self.0.retain(|_, since| now.duration_since(*since) < REST);
        }
        if self.0.len() < RESTING_MAX {
            self.0.insert(address, now);
        }
    }

    fn end(&mut self, address: SocketAddr) {
        if !self.0.is_empty() {
            self.0.remove(&address);
        }
    }

    fn contains(&self, now: Instant, address: SocketAddr) -> bool {
        let since = self.0.get(&address);
        since.is_some_and(|since| now.duration_since(*since) < REST)
    }
}

impl Proxy {
    /// Draws the order in which this call tries the servers of each of its carriers. The targets of one carrier differ in
    /// nothing but the address.
    pub(super) fn draw_servers(&mut self, now: Instant, targets: &mut [Target]) {
        for run in targets.chunk_by_mut(Target::is_same_carrier) {
            let [first, _, ..] = run else {
                continue;
            };
            let carrier = first
                .carrier
                .and_then(|carrier| self.settings.carriers.get(carrier.0));
            let Some(carrier) = carrier else {
                continue;
            };
            let mut order = locate::in_order(&carrier.places, &mut self.rng);
            order.sort_by_key(|address| self.resting.contains(now, *address));
            for (target, address) in run.iter_mut().zip(order) {
                target.address = Some(address);
            }
        }
    }

    /// Whether another server of the carrier is worth a try after this, and what that says of the address.
    pub(super) fn learn_of_server(
        &mut self,
        now: Instant,
        address: Option<SocketAddr>,
        failure: CarrierFailure,
    ) -> bool {
        let away = matches!(failure, CarrierFailure::Silent | CarrierFailure::Unreachable);
        let overloaded = failure == CarrierFailure::Status(StatusCode::SERVICE_UNAVAILABLE);
        if let Some(address) = address {
            match away || overloaded {
                true => self.resting.begin(now, address),
                false => self.resting.end(address),
            }
        }
        away || overloaded
    }
}

impl Target {
    /// Whether both are servers of one carrier, as ways to the same destination.
    pub(super) fn is_same_carrier(&self, other: &Self) -> bool {
        self.carrier.is_some() && self.carrier == other.carrier && self.group == other.group
    }
}
