//! The proxy core on a virtual clock, rule by rule.

mod rfc3261_16_10;
mod rfc3261_16_3;
mod rfc3261_16_6;
mod rfc3261_16_7;
mod rfc3261_22;
mod whole_calls;
mod world;
