//! The role's metrics.

use crate::fleet::{Fleet, SiteId, Standing};
use crate::responder::{Outcome, Transport};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueryLabels {
    transport: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SiteLabels {
    site: String,
}

/// All metrics of the role.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    queries: Family<QueryLabels, Counter>,
    answers: Family<SiteLabels, Counter>,
    available: Family<SiteLabels, Gauge>,
    sites_available: Gauge,
    tcp_refused: Counter,
    tcp_connections: Gauge,
    lost: Counter,
}

impl Metrics {
    /// Registers all of them.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let this = Self::default();
        let registry = registry.sub_registry_with_prefix("geo_dns");
        registry.register(
            "queries",
            "Questions, by transport and outcome",
            this.queries.clone(),
        );
        registry.register(
            "answers",
            "Answers with the addresses of a site",
            this.answers.clone(),
        );
        registry.register(
            "site_available",
            "Whether a site is answered (1) or not (0)",
            this.available.clone(),
        );
        registry.register(
            "sites_available",
            "Sites that are answered",
            this.sites_available.clone(),
        );
        registry.register(
            "tcp_refused",
            "TCP connections over the limits",
            this.tcp_refused.clone(),
        );
        registry.register(
            "tcp_connections",
            "TCP connections that are open",
            this.tcp_connections.clone(),
        );
        registry.register(
            "unsent_answers",
            "Answers that the kernel did not take",
            this.lost.clone(),
        );
        // From the start, so that a rate can be computed for the first one too.
        for transport in [Transport::Udp, Transport::Tcp] {
            for outcome in Outcome::ALL {
                let _ = this.queries.get_or_create(&labels(transport, outcome));
            }
        }
        this
    }

    pub(crate) fn question(&self, transport: Transport, outcome: Outcome) {
        self.queries.get_or_create(&labels(transport, outcome)).inc();
    }

    pub(crate) fn answered(&self, fleet: &Fleet, site: SiteId) {
        if let Some(site) = fleet.site(site) {
            let site = site.name.clone();
            self.answers.get_or_create(&SiteLabels { site }).inc();
        }
    }

    /// Takes over how the sites stand.
    pub(crate) fn update(&self, fleet: &Fleet) {
        let mut available = 0;
        for (_, site, standing) in fleet.sites() {
            let is_available = i64::from(standing == Standing::Available);
            let site = site.name.clone();
            self.available
                .get_or_create(&SiteLabels { site })
                .set(is_available);
            available += is_available;
        }
        self.sites_available.set(available);
    }

    pub(crate) fn connections(&self, open: usize) {
        self.tcp_connections.set(open as i64);
    }

    pub(crate) fn connection_refused(&self) {
        self.tcp_refused.inc();
    }

    /// The kernel had no room for an answer.
    pub(crate) fn lost(&self) {
        self.lost.inc();
    }
}

fn labels(transport: Transport, outcome: Outcome) -> QueryLabels {
    QueryLabels {
        transport: match transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        },
        outcome: outcome.as_str(),
    }
}
