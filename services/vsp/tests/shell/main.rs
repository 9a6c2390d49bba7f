//! The VSP on real sockets: WebSocket, TLS, HTTP, SIP over UDP, control link, start and end.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod calls;
mod clients;
mod config;
mod http;
mod logins;
mod vsp;
