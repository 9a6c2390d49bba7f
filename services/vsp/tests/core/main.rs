//! The core of the VSP against scripted peers on a virtual clock. Tests named `mNN_…` prove that item of the checklist
//! of the client dialect.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod answers;
mod attach;
mod bad_input;
mod call_control;
mod client_state;
mod far_end;
mod gateway;
mod hostile_carriers;
mod inbound_call;
mod joins;
mod latching;
mod late_offer;
mod login;
mod many_calls;
mod midcall;
mod mobile;
mod old_releases;
mod operator;
mod outbound_call;
mod parties;
mod reconnect;
mod register_elsewhere;
mod session_state;
mod sockets;
mod successors;
mod transfers;
mod transfers_of_far_ends;
mod translation;
mod wire;
mod world;
