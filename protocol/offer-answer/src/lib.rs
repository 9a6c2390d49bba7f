//! Offer/answer (RFC 3264) for a WebRTC leg and an RTP leg.
