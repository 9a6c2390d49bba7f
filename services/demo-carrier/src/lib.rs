//! A carrier to try things against: echo, tone, announcement, busy, rejected, no answer, digit read-back.
//!
//! A SIP user agent with RTP of its own, reached over UDP like any other carrier. What each number does stands in
//! [`scenario`]; `server.rs` is the core without I/O, `run.rs` its sockets and clock.

mod call;
pub mod config;
mod metrics;
mod negotiation;
mod playlist;
mod run;
pub mod scenario;
pub mod server;
mod stream;

pub use config::Config;
pub use run::{Error, ROLE, SIP_UDP, run};
