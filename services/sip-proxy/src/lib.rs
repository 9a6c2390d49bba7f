//! Stateful record-routing SIP proxy: numbers, routes, carriers, failover (RFC 3261 §16).
//!
//! ```text
//! VSP ──INVITE──► proxy ──INVITE──► carrier a   (503, 408, silence: the next carrier)
//!                   └─────INVITE──► carrier b
//! ```
//!
//! [`proxy::Proxy`] is the sans-IO core: datagrams and the time go in, datagrams, trace records and refusals come out.
//! [`dial_plan`] says where a number leads, [`config`] is what the operator writes, [`run()`] owns the socket and the
//! clock.

pub mod config;
pub mod dial_plan;
mod metrics;
pub mod proxy;
mod run;

pub use config::Config;
pub use run::{Error, ROLE, SIP_UDP, run};
