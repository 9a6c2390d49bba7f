//! Names of attributes that have no value: they are there or not.

/// RTP and RTCP share one port (RFC 5761).
pub const RTCP_MUX: &str = "rtcp-mux";
/// The ICE agent is lite: it only answers checks (RFC 8839 §5.3).
pub const ICE_LITE: &str = "ice-lite";
/// No candidates follow by trickle (RFC 8840 §8).
pub const END_OF_CANDIDATES: &str = "end-of-candidates";
/// The section has no transport of its own: it is meant only as part of a bundle (RFC 9143 §6).
pub const BUNDLE_ONLY: &str = "bundle-only";
