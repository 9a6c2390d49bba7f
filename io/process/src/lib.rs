//! What every daemon needs: configuration, logging, metrics, the admin port, call traces, readiness and draining.
//!
//! A role is an `async fn run(config, context, shutdown)`. It takes from [`Context`] what it reports to (metrics,
//! traces, readiness) and from [`Shutdown`] when it has to leave. Nothing here is process-wide: tests make a
//! [`Context`] of their own with [`Context::new`].

pub mod admin;
mod clock;
pub mod config;
mod drain;
mod log_limiter;
pub mod logging;
mod metrics;
mod node;
pub mod operator;
mod problem;
mod readiness;
mod secret;
mod trace_store;

pub use clock::rfc3339;
pub use drain::{Phase, Shutdown, ShutdownTrigger};
pub use log_limiter::LogLimiter;
pub use metrics::Metrics;
pub use node::{InvalidNodeName, NodeName};
pub use problem::{Problem, Severity};
pub use readiness::{BoundAddress, Readiness, RoleReadiness, RoleState, RoleStatus};
pub use secret::Secret;
pub use trace_store::{CallSummary, RawMessage, RecordedEvent, TraceLimits, TraceStore, TracedCall};

/// What the process gives each of its roles. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Context {
    /// Name of this node, unique in the fleet.
    pub node: NodeName,
    /// Where counters and gauges are registered.
    pub metrics: Metrics,
    /// Traces of the last calls.
    pub traces: TraceStore,
    /// Where each role says whether it can serve, and on which addresses.
    pub readiness: Readiness,
}

impl Context {
    /// A context without any role yet.
    pub fn new(node: NodeName, limits: TraceLimits) -> Self {
        Self {
            node,
            metrics: Metrics::default(),
            traces: TraceStore::new(limits),
            readiness: Readiness::default(),
        }
    }

    /// Registers a role's metrics; shorthand for [`Metrics::register`].
    pub fn register(&self, register: impl FnOnce(&mut prometheus_client::registry::Registry)) {
        self.metrics.register(register);
    }
}
