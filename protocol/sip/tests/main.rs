//! One file per rule; one binary, so that they share `support`. `cfg(test)` tells clippy that helpers are
//! tests too, where `unwrap` is how a test fails.

#[cfg(test)]
mod digest_vectors;
#[cfg(test)]
mod hostile_carriers;
#[cfg(test)]
mod hostile_messages;
#[cfg(test)]
mod leg_state;
#[cfg(test)]
mod lossy_network;
#[cfg(test)]
mod rfc3261_10_register;
#[cfg(test)]
mod rfc3261_12_dialog;
#[cfg(test)]
mod rfc3261_13_invite;
#[cfg(test)]
mod rfc3261_14_reinvite;
#[cfg(test)]
mod rfc3261_15_bye;
#[cfg(test)]
mod rfc3261_17_1_1;
#[cfg(test)]
mod rfc3261_17_1_2;
#[cfg(test)]
mod rfc3261_17_2_1;
#[cfg(test)]
mod rfc3261_17_2_2;
#[cfg(test)]
mod rfc3261_18_transport;
#[cfg(test)]
mod rfc3261_22_auth;
#[cfg(test)]
#[cfg(test)]
mod rfc3261_8_2_uas;
#[cfg(test)]
mod rfc3261_9_cancel;
#[cfg(test)]
mod rfc3262_reliable;
#[cfg(test)]
mod rfc3311_update;
#[cfg(test)]
mod rfc3515_refer;
#[cfg(test)]
mod rfc4028_session_timer;
#[cfg(test)]
mod rfc6026;
#[cfg(test)]
mod support;
