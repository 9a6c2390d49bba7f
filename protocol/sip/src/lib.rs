//! SIP state machines: transactions, dialogs, user agent, digest; sans-IO.
//!
//! Bytes and the time go in (`handle_*(now, …)`), outputs come out (`poll_output`), and `poll_timeout` says when to
//! come back. After each input the owner drains all outputs. Nothing here opens a socket, reads a clock or draws
//! randomness of its own.
//!
//! - [`transaction::TransactionLayer`]: RFC 3261 §17 with RFC 6026, for a proxy and for a user agent.
//! - [`user_agent::UserAgent`]: calls in both directions on top of it, with dialogs, CANCEL, ACK, BYE, re-INVITE; by
//!   choice with session timers (RFC 4028), reliable provisionals (RFC 3262), UPDATE (RFC 3311), transfers (RFC 3515,
//!   RFC 3891); registrations at somebody else's registrar.
//! - [`dialog::Dialog`]: RFC 3261 §12 as plain data.
//! - [`asserted_identity`]: headers that say who calls (RFC 3325) or hide it (RFC 3323).
//! - [`digest`]: RFC 7616 and RFC 8760, the client's half and a verifier.
//! - [`locate`]: where responses and requests go (RFC 3261 §18.2.2, §12.2.1.1).

pub mod asserted_identity;
mod deadline;
pub mod dialog;
pub mod digest;
mod extra_header;
mod flow;
mod id_map;
pub mod locate;
mod random;
mod timer;
pub mod transaction;
pub mod user_agent;

pub use extra_header::{Header, InvalidHeader, text_of};
pub use flow::{ConnectionId, Flow, Transport};
pub use id_map::{IdHasher, IdMap};
pub use timer::Timing;
