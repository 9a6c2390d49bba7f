//! DNS by place: one host name is the address of the nearest site that serves.
//!
//! ```text
//! bytes ─► query ─► region (whose network is it?) ─► choice (which of the sites that stand?) ─► answer ─► bytes
//!                                                        ▲
//!                                    health checks ─► fleet
//! ```
//!
//! `responder.rs` is all of the upper line in one call; `run.rs` has sockets, clock and the checks themselves.

pub mod answer;
pub mod choice;
pub mod config;
pub mod fleet;
mod metrics;
pub mod query;
pub mod rate;
pub mod region;
pub mod responder;
pub mod run;
pub mod zone;

pub use config::Config;
