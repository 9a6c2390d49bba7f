//! Whole calls on a virtual clock: the real VSP, the real SIP proxy and real SIP user agents as carriers, joined by a
//! simulated network that delays, loses and repeats. Only the browser and the media gateway are played by actors.
//!
//! A run is a function of its seed. An hour of calls takes about a second; nothing waits, no port is opened.

pub mod action;
pub mod actor;
pub mod errors;
pub mod model;
mod network;
pub mod play;
mod scene;
mod world;

pub use network::{Network, Weather};
pub use scene::{
    ALICE, ALICE_NUMBER, BOB, BOB_NUMBER, CARRIER_A, CARRIER_B, PROXY, SECOND_CARRIER_PREFIX,
    SESSION_EXPIRES, VSPS,
};
pub use world::{Totals, World};
