//! Media gateway: WebRTC leg <-> RTP leg.
