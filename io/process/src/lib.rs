//! What every daemon needs: configuration, logging, metrics, the admin port, traces, draining.
