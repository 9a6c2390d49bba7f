//! Sockets: UDP, TLS, WebSocket.
