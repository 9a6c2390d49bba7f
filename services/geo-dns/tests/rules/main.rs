//! The core against the rules that it follows: bytes in, bytes out, on a virtual clock.

#![cfg(test)]

mod rfc1035;
mod rfc2308;
mod rfc6891;
mod rfc7871;
mod rfc8482;
mod sample;
mod sites;
mod support;
