//! The metrics of a process, in the format of OpenMetrics (which Prometheus reads).

use prometheus_client::{encoding::text::encode, registry::Registry};
use std::sync::{Arc, Mutex, PoisonError};

/// The one registry of a process; clones share it. All names begin with `offhook_`.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// Adds metrics. The closure gets a registry that puts `offhook_` before each name.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// All metrics as OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(
            &mut text,
            &self.registry.lock().unwrap_or_else(PoisonError::into_inner),
        )
        .expect("writing into a String cannot fail");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            registry: Arc::new(Mutex::new(Registry::with_prefix("offhook"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn names_carry_the_prefix() {
        let metrics = Metrics::default();
        let calls = Counter::<u64>::default();
        metrics.register(|registry| registry.register("calls", "Calls so far", calls.clone()));
        calls.inc_by(3);
        assert!(
            metrics.encode().contains("offhook_calls_total 3\n"),
            "{}",
            metrics.encode()
        );
    }
}
