//! The VSP on real sockets: WebSocket, TLS, HTTP, SIP over UDP, control link, start and end.

mod calls;
mod clients;
mod http;
mod logins;
mod vsp;
