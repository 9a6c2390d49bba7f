//! STUN as an ICE-lite agent and a plain STUN server need it (RFC 8489): binding requests read, responses written.

use std::net::SocketAddr;

/// Room that [`answer_plain_request`] needs, in bytes.
pub const PLAIN_RESPONSE_LEN_MAX: usize = 64;

/// Reads our ufrag from the USERNAME of a well-formed ICE check (`ours:theirs`, RFC 8445 §7.2.2), without checking its
/// integrity: that is how a datagram from an unknown address finds its leg. None if it is not such a check: framing,
/// magic cookie, FINGERPRINT if present, a USERNAME of the right form and a MESSAGE-INTEGRITY must be there.
pub fn local_ufrag(datagram: &[u8]) -> Option<&str> {
    let _ = datagram;
    todo!()
}

/// Answers a binding request without credentials with where it came from, as a STUN server does (RFC 8489 §7.3.1).
/// Stateless. Writes into `out` and returns the length; None if `datagram` is anything else.
pub fn answer_plain_request(
    datagram: &[u8],
    source: SocketAddr,
    out: &mut [u8; PLAIN_RESPONSE_LEN_MAX],
) -> Option<usize> {
    let _ = (datagram, source, out);
    todo!()
}
