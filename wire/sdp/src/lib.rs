//! Session descriptions (RFC 8866) and the attributes that WebRTC and telephony need.
