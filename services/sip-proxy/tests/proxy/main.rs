//! The proxy core on a virtual clock, rule by rule.

mod between_users;
mod floods;
mod inbound_numbers;
mod latching;
mod mid_call;
mod phone_calls;
mod phones;
mod redirects;
mod rfc3261_16_10;
mod rfc3261_16_3;
mod rfc3261_16_6;
mod rfc3261_16_7;
mod rfc3261_22;
mod rfc3263;
mod rfc3325;
mod rfc4028;
mod sealed_routes;
mod user_calls;
mod whole_calls;
mod world;
