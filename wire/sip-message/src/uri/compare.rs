//! When two URIs mean the same (RFC 3261 §19.1.4, RFC 3966 §4).

use super::{Scheme, Uri, unescape};
use crate::params::Params;

/// Parameters that make a difference also where only one of the URIs has them.
const DECISIVE: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

/// Most parameters and headers that are compared one by one, each with each: no URI of good will has so many.
const PARTS_MAX: usize = 64;

pub(super) fn equivalent(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    // Also where a parameter stands twice, which has no meaning.
    if a.as_bytes() == b.as_bytes() {
        return true;
    }
    let parts = |uri: &Uri<'_>| memchr::memchr2_iter(b';', b'&', uri.as_bytes()).count();
    if parts(a).max(parts(b)) > PARTS_MAX {
        return false;
    }
    match (a.scheme(), b.scheme()) {
        (Scheme::Sip, Scheme::Sip) | (Scheme::Sips, Scheme::Sips) => same_sip(a, b),
        (Scheme::Tel, Scheme::Tel) => same_tel(a, b),
        (Scheme::Other, Scheme::Other) => a.as_bytes() == b.as_bytes(),
        _ => false,
    }
}

fn same_sip(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    a.user().map(unescape) == b.user().map(unescape)
        && a.password().map(unescape) == b.password().map(unescape)
        && a.host() == b.host()
        && a.port() == b.port()
        && shared_params_agree(a.params(), b.params())
        && DECISIVE
            .iter()
            .all(|name| a.params().has(name) == b.params().has(name))
        && headers_within(a.headers(), b.headers())
        && headers_within(b.headers(), a.headers())
}

/// Each parameter that both have has the same value, without regard to case.
fn shared_params_agree(a: Params<'_>, b: Params<'_>) -> bool {
    a.iter().all(|(name, value)| {
        b.iter()
            .find(|(other, _)| same_text(name, other))
            .is_none_or(|(_, other)| same_text(value.unwrap_or_default(), other.unwrap_or_default()))
    })
}

fn same_text(a: &[u8], b: &[u8]) -> bool {
    unescape(a).eq_ignore_ascii_case(&unescape(b))
}

/// Every header of `a` is also in `b`; order does not matter.
fn headers_within(a: &[u8], b: &[u8]) -> bool {
    let pairs = |text| <[u8]>::split(text, |b: &u8| *b == b'&').filter(|pair| !pair.is_empty());
    pairs(a).all(|pair| pairs(b).any(|other| same_header(pair, other)))
}

fn same_header(a: &[u8], b: &[u8]) -> bool {
    let split = |pair: &'_ [u8]| memchr::memchr(b'=', pair).unwrap_or(pair.len());
    let (at_a, at_b) = (split(a), split(b));
    same_text(&a[..at_a], &b[..at_b]) && unescape(&a[at_a..]) == unescape(&b[at_b..])
}

/// Numbers without their visual separators, and the same parameters in any order.
fn same_tel(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    let digits = |uri: &Uri<'_>| -> Vec<u8> {
        let number = uri.user().unwrap_or_default();
        number
            .iter()
            .filter(|b| !b"-.()".contains(b))
            .map(u8::to_ascii_lowercase)
            .collect()
    };
    let within = |a: Params<'_>, b: Params<'_>| {
        a.iter().all(|(name, value)| {
            b.iter().any(|(n, v)| {
                same_text(name, n) && same_text(value.unwrap_or_default(), v.unwrap_or_default())
            })
        })
    };
    digits(a) == digits(b) && within(a.params(), b.params()) && within(b.params(), a.params())
}
