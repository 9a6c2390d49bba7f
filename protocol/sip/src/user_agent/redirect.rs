//! Where a 3xx sends the caller (RFC 3261 §8.1.3.4): for an owner who wants to follow.

use super::api::Failure;
use offhook_sip_message::header::Contact;
use offhook_sip_message::{Message, UriBuf};

/// Most targets of a redirection that are given out; who lists more has a loop or an attack in mind.
const TARGETS_MAX: usize = 8;

/// An address to try instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectTarget {
    /// The address.
    pub uri: UriBuf,
    /// Preference in thousandths, 0 to 1000; 1000 where none is given.
    pub q: u16,
}

impl Failure {
    /// The addresses that a 300, 301 or 302 names, the best first, at most eight; empty for all else. The user agent
    /// itself follows none.
    pub fn redirect_targets(&self) -> Vec<RedirectTarget> {
        match self {
            Self::Response(response) if response.status().is_some_and(|s| matches!(s.code(), 300..=302)) => {
                targets(response)
            }
            Self::Response(_) | Self::TimedOut | Self::Transport => Vec::new(),
        }
    }
}

fn targets(response: &Message) -> Vec<RedirectTarget> {
    let mut targets: Vec<RedirectTarget> = Vec::new();
    for contact in response.all::<Contact<'_>>().flatten().take(4 * TARGETS_MAX) {
        let Some(address) = contact.address() else {
            continue;
        };
        let known = |target: &RedirectTarget| target.uri.uri().is_equivalent(&address.uri);
        if !targets.iter().any(known) {
            targets.push(RedirectTarget {
                uri: address.uri.to_buf(),
                q: address.params.get("q").and_then(thousandths).unwrap_or(1000),
            });
        }
    }
    // Stable: where q is equal, the order of the message stands.
    targets.sort_by_key(|target| std::cmp::Reverse(target.q));
    targets.truncate(TARGETS_MAX);
    targets
}

/// `0.25` as 250 (§25.1: up to three digits after the point).
fn thousandths(q: &[u8]) -> Option<u16> {
    let (whole, fraction) = match q.iter().position(|b| *b == b'.') {
        Some(point) => (&q[..point], &q[point + 1..]),
        None => (q, &q[..0]),
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let padded = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(3);
    let value = padded.fold(0, |value, digit| 10 * value + u16::from(digit - b'0'));
    match (whole, value) {
        (b"0", value) => Some(value),
        (b"1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3261_25_1_qvalue() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1", Some(1000)),
            ("1.000", Some(1000)),
            ("0.25", Some(250)),
            ("0.", Some(0)),
            ("0.1234", None),
            ("1.1", None),
            ("2", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(thousandths(text.as_bytes()), expected, "{text}");
        }
    }
}
