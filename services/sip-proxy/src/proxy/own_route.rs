//! What our Record-Route URI remembers for us, so that a restarted proxy still knows its calls.
//!
//! ```text
//! <sip:192.0.2.1:5060;lr;call=3f2a…;cs=1.9ae0c3d1;id=t;an=9ae0c3d1>
//! ```
//!
//! `ph=` has the numbers of the phones of ours on either side, and the hash of the caller's tag: `ph=<caller>.<called>.<tag>`.
//! `id=t` says that the called side may know who calls, `an` that the side with this hash of its tag is anonymous. `call` is the call id. `cs` is there when we answered a carrier's challenge: the carrier then counts CSeq higher by
//! that much than the caller, in all requests whose From tag has this hash.

use offhook_call_trace::CallId;
use offhook_sip_message::{HeaderValue, InvalidValue, Uri};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Highest shift that we believe: each answered challenge is one, and nobody challenges that often.
const SHIFT_MAX: u32 = 1_000;

/// The parameters of a Record-Route URI of ours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct OwnRoute {
    pub(super) call: Option<CallId>,
    shift: u32,
    shifted_tag: u32,
    /// The called side is a trusted carrier.
    pub(super) trusted: bool,
    anonymous_tag: Option<u32>,
    phones: Option<Phones>,
}

/// The phones of ours that take part in a call, by the numbers of their registrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Phones {
    caller: Option<u64>,
    called: Option<u64>,
    caller_tag: u32,
}

impl OwnRoute {
    /// For a call whose CSeq is `shift` higher behind us, counted by the side with this From tag.
    pub(super) fn new(call: Option<CallId>, shift: u32, from_tag: &[u8]) -> Self {
        Self {
            call,
            shift,
            shifted_tag: tag_hash(from_tag),
            ..Self::default()
        }
    }

    /// The same, with what the called side may know about the side with this From tag.
    pub(super) fn disclosing(self, trusted: bool, anonymous: bool, from_tag: &[u8]) -> Self {
        Self {
            trusted,
            anonymous_tag: anonymous.then(|| tag_hash(from_tag)),
            ..self
        }
    }

    /// The same, with the phones on either side; the caller's From tag tells which is which.
    pub(super) fn between(self, caller: Option<u64>, called: Option<u64>, from_tag: &[u8]) -> Self {
        let phones = Phones {
            caller,
            called,
            caller_tag: tag_hash(from_tag),
        };
        Self {
            phones: (caller.is_some() || called.is_some()).then_some(phones),
            ..self
        }
    }

    /// The phone that a request with this From tag goes to, if it is one of ours.
    pub(super) fn phone_for(&self, from_tag: &[u8]) -> Option<u64> {
        let phones = self.phones?;
        match phones.caller_tag == tag_hash(from_tag) {
            true => phones.called,
            false => phones.caller,
        }
    }

    /// What a Route URI says; unknown and broken parameters count as absent.
    pub(super) fn read(uri: &Uri<'_>) -> Self {
        let mut route = Self::default();
        for (name, value) in uri.params().iter() {
            let Some(value) = value.and_then(|value| std::str::from_utf8(value).ok()) else {
                continue;
            };
            match name {
                b"call" => route.call = CallId::new(value).ok(),
                b"cs" => (route.shift, route.shifted_tag) = read_shift(value).unwrap_or_default(),
                b"id" => route.trusted = value == "t",
                b"ph" => route.phones = read_phones(value),
                b"an" => route.anonymous_tag = u32::from_str_radix(value, 16).ok(),
                _ => {}
            }
        }
        route
    }

    /// The Record-Route value of the proxy at `address`, which is host and port.
    pub(super) fn to_value(&self, address: &str) -> Result<HeaderValue, InvalidValue> {
        let mut text = String::with_capacity(128);
        text.push_str("<sip:");
        text.push_str(address);
        text.push_str(";lr");
        if let Some(call) = &self.call {
            text.push_str(";call=");
            text.push_str(call.as_str());
        }
        if self.shift > 0 {
            text.push_str(&format!(";cs={}.{:08x}", self.shift, self.shifted_tag));
        }
        if self.trusted {
            text.push_str(";id=t");
        }
        if let Some(tag) = self.anonymous_tag {
            text.push_str(&format!(";an={tag:08x}"));
        }
        if let Some(Phones {
            caller,
            called,
            caller_tag,
        }) = self.phones
        {
            let number = |phone: Option<u64>| phone.map_or("-".to_owned(), |number| format!("{number:x}"));
            text.push_str(&format!(
                ";ph={}.{}.{caller_tag:08x}",
                number(caller),
                number(called)
            ));
        }
        text.push('>');
        HeaderValue::new(text)
    }

    /// By how much the CSeq of a request with this From tag is to be raised.
    pub(super) fn shift_for(&self, from_tag: &[u8]) -> u32 {
        if self.shift > 0 && self.shifted_tag == tag_hash(from_tag) {
            self.shift
        } else {
            0
        }
    }

    /// Whether the sender of a request with this From tag is anonymous.
    pub(super) fn hides(&self, from_tag: &[u8]) -> bool {
        self.anonymous_tag == Some(tag_hash(from_tag))
    }
}

/// How much higher the carrier counts CSeq, and for whose From tag.
fn read_shift(text: &str) -> Option<(u32, u32)> {
    let (shift, tag) = text.split_once('.')?;
    let shift: u32 = shift.parse().ok().filter(|shift| *shift <= SHIFT_MAX)?;
    Some((shift, u32::from_str_radix(tag, 16).ok()?))
}

fn read_phones(text: &str) -> Option<Phones> {
    let mut parts = text.split('.');
    let mut number = || match parts.next()? {
        "-" => Some(None),
        text => u64::from_str_radix(text, 16).ok().map(Some),
    };
    let (caller, called) = (number()?, number()?);
    let caller_tag = u32::from_str_radix(parts.next()?, 16).ok()?;
    Some(Phones {
        caller,
        called,
        caller_tag,
    })
}

/// 32 bits tell the two sides of a dialog apart.
fn tag_hash(tag: &[u8]) -> u32 {
    hash(&[tag]) as u32
}

/// A hash that is the same in each process.
pub(super) fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for part in parts {
        part.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use offhook_sip_message::header::{Header, RecordRoute};

    fn read_back(route: &OwnRoute) -> OwnRoute {
        let value = route.to_value("[::1]:5060").unwrap();
        let header = RecordRoute::parse(value.as_bytes()).unwrap();
        assert!(header.uri.is_loose_router());
        OwnRoute::read(&header.uri)
    }

    #[test]
    fn all_parameters_are_read_back() {
        let call = CallId::new("3f2a-1.b_C").unwrap();
        let route = OwnRoute::new(Some(call), 2, b"tag");
        assert_eq!(read_back(&route), route);
        assert_eq!(route.shift_for(b"tag"), 2);
        assert_eq!(route.shift_for(b"other side"), 0);
        let plain = OwnRoute::new(None, 0, b"tag");
        assert_eq!(read_back(&plain).shift_for(b"tag"), 0);
        assert!(!read_back(&plain).hides(b"tag") && !read_back(&plain).trusted);
        let hiding = route.disclosing(true, true, b"tag");
        assert_eq!(read_back(&hiding), hiding);
        assert!(hiding.hides(b"tag") && !hiding.hides(b"other side") && hiding.trusted);
        let between = hiding.clone().between(Some(u64::MAX), None, b"tag");
        assert_eq!(read_back(&between), between);
        assert_eq!(between.phone_for(b"other side"), Some(u64::MAX));
        assert_eq!(between.phone_for(b"tag"), None);
        assert_eq!(plain.clone().between(None, None, b"tag"), plain);
    }

    #[test]
    fn forged_parameters_count_as_absent() {
        for params in [
            "cs=99999.0",
            "cs=x.y",
            "cs=1",
            "cs",
            "call=a%20b",
            "cs=-1.0",
            "ph=1.2",
            "ph=x.-.0",
            "ph=-.-",
            "ph=1ffffffffffffffff.1.0",
        ] {
            let uri = format!("sip:192.0.2.1;lr;{params}");
            assert_eq!(
                OwnRoute::read(&Uri::parse(uri.as_bytes()).unwrap()),
                OwnRoute::default(),
                "{params}"
            );
        }
    }
}
