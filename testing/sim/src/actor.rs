//! Who plays in the world beside our own servers.

mod carrier;
mod client;
mod gateway;
mod lines;
mod moves;

pub use carrier::{Carrier, CarrierOutput, Plan};
pub use client::{CallView, Client, ClientOutput, ClientState, Ending};
pub use gateway::Gateway;
pub use lines::LineState;
