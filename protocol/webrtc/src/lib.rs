//! The sans-IO half of a WebRTC leg: ICE-lite, DTLS, SRTP.
