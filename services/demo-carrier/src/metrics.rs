//! The role's metrics.

use crate::server::Counts;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// All metrics of the role.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    calls: Counter,
    active_calls: Gauge,
    seen: u64,
}

impl Metrics {
    /// Registers all of them.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let this = Self::default();
        let registry = registry.sub_registry_with_prefix("demo_carrier");
        registry.register("calls", "Calls that came in", this.calls.clone());
        registry.register(
            "active_calls",
            "Calls that are there now",
            this.active_calls.clone(),
        );
        this
    }

    /// Takes over the core's counts.
    pub(crate) fn update(&mut self, counts: Counts) {
        self.calls.inc_by(counts.calls_total - self.seen);
        self.seen = counts.calls_total;
        self.active_calls.set(counts.calls as i64);
    }
}
