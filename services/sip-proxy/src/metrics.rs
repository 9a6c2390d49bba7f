//! The role's metrics: the core's counts, given out in the format of Prometheus.

use crate::proxy::{CarrierFailure, Counts, Refusal};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CarrierLabels {
    carrier: String,
    failure: &'static str,
}

/// All metrics of the role.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    refused: Family<RefusalLabels, Counter>,
    carrier_failures: Family<CarrierLabels, Counter>,
    calls: Counter,
    answered: Counter,
    challenges: Counter,
    redirects: Counter,
    hunted: Counter,
    expired: Counter,
    late_answers: Counter,
    stray_responses: Counter,
    overload: Counter,
    lost: Counter,
    active_calls: Gauge,
    requests: Gauge,
    transactions: Gauge,
    seen: Counts,
}

impl Metrics {
    /// Registers all of them.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let this = Self::default();
        let registry = registry.sub_registry_with_prefix("sip_proxy");
        registry.register(
            "refused",
            "Messages that were not taken, by reason",
            this.refused.clone(),
        );
        registry.register(
            "carrier_failures",
            "Calls that a carrier did not take, by carrier and failure",
            this.carrier_failures.clone(),
        );
        registry.register("calls", "Calls that were routed", this.calls.clone());
        registry.register(
            "calls_answered",
            "Calls that were answered",
            this.answered.clone(),
        );
        registry.register(
            "challenges",
            "Challenges of carriers that were answered",
            this.challenges.clone(),
        );
        registry.register(
            "redirects",
            "Redirects that were followed",
            this.redirects.clone(),
        );
        registry.register(
            "hunted",
            "Times that the next destination of a number was tried",
            this.hunted.clone(),
        );
        registry.register(
            "expired_calls",
            "Calls forgotten because their session expired without BYE",
            this.expired.clone(),
        );
        registry.register(
            "late_answers",
            "Answers after the caller was refused, ended by us",
            this.late_answers.clone(),
        );
        registry.register(
            "stray_responses",
            "Responses that belong to no request",
            this.stray_responses.clone(),
        );
        registry.register(
            "overload",
            "Requests that found no room for a transaction",
            this.overload.clone(),
        );
        registry.register(
            "unsent_datagrams",
            "Datagrams lost because the kernel had no room to send them",
            this.lost.clone(),
        );
        this.register_gauges(registry);
        // From the start, so that a rate can be computed for the first one too.
        for reason in Refusal::ALL {
            let _ = this.refused.get_or_create(&RefusalLabels {
                reason: reason.as_str(),
            });
        }
        this
    }

    fn register_gauges(&self, registry: &mut Registry) {
        registry.register(
            "active_calls",
            "Answered calls without BYE so far",
            self.active_calls.clone(),
        );
        registry.register("requests", "Requests under way", self.requests.clone());
        registry.register(
            "transactions",
            "Transactions that exist",
            self.transactions.clone(),
        );
    }

    pub(crate) fn refused(&self, reason: Refusal) {
        self.refused
            .get_or_create(&RefusalLabels {
                reason: reason.as_str(),
            })
            .inc();
    }

    /// The kernel had no room for a datagram.
    pub(crate) fn lost(&self) {
        self.lost.inc();
    }

    pub(crate) fn carrier_failed(&self, carrier: &str, failure: CarrierFailure) {
        let failure = match failure {
            CarrierFailure::Unresolved => "unresolved",
            CarrierFailure::Full => "full",
            CarrierFailure::Silent => "silent",
            CarrierFailure::Unreachable => "unreachable",
            CarrierFailure::Status(_) => "status",
            CarrierFailure::Credentials(_) | CarrierFailure::NoCredentials => "credentials",
        };
        self.carrier_failures
            .get_or_create(&CarrierLabels {
                carrier: carrier.to_owned(),
                failure,
            })
            .inc();
    }

    /// Takes over what the core has counted since the last time.
    pub(crate) fn update(&mut self, now: Counts) {
        let seen = std::mem::replace(&mut self.seen, now);
        self.calls.inc_by(now.calls_total - seen.calls_total);
        self.answered.inc_by(now.answered_total - seen.answered_total);
        self.challenges
            .inc_by(now.challenges_total - seen.challenges_total);
        self.redirects.inc_by(now.redirects_total - seen.redirects_total);
        self.hunted.inc_by(now.hunted_total - seen.hunted_total);
        self.expired.inc_by(now.expired_total - seen.expired_total);
        self.late_answers
            .inc_by(now.late_answers_total - seen.late_answers_total);
        let (layer, before) = (now.transactions, seen.transactions);
        self.stray_responses
            .inc_by(layer.stray_responses_total - before.stray_responses_total);
        self.overload.inc_by(layer.overload_total - before.overload_total);
        self.active_calls.set(now.dialogs as i64);
        self.requests.set(now.unanswered as i64);
        self.transactions
            .set((layer.client_transactions + layer.server_transactions) as i64);
    }
}
