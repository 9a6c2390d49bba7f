//! What our Record-Route URI remembers for us, so that a restarted proxy still knows its calls.
//!
//! ```text
//! <sip:192.0.2.1:5060;lr;call=3f2a…;cs=1.9ae0c3d1;id=t;an=9ae0c3d1;sd=5e11c0de.o.9ae0c3d1;sl=1d0f…>
//! ```
//!
//! `sd=<caller>.<called>.<tag>` says who is on either side, and has the hash of the caller's tag: `v` is a VSP, `o` somebody
//! outside, all else the number of a phone of ours. `sl` is the seal on all that and on the Call-ID. `id=t` says that the called side may know who calls, `an` that the side with this hash of its tag is anonymous. `call` is the call id. `cs` is there when we answered a carrier's challenge: the carrier then counts CSeq higher by
//! that much than the caller, in all requests whose From tag has this hash.

use super::seal::{Seal, Sealer};
use offhook_call_trace::CallId;
use offhook_sip_message::{HeaderValue, InvalidValue, Uri};
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Highest shift that we believe: each answered challenge is one, and nobody challenges that often.
const SHIFT_MAX: u32 = 1_000;

/// Room for the parameters.
const PARAMS_LEN: usize = 160;

/// The parameters of a Record-Route URI of ours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct OwnRoute {
    pub(super) call: Option<CallId>,
    shift: u32,
    shifted_tag: u32,
    /// The called side is a trusted carrier.
    pub(super) trusted: bool,
    anonymous_tag: Option<u32>,
    parties: Option<Parties>,
    seal: Option<Seal>,
}

/// Who is on one side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Party {
    /// One of our VSPs.
    Vsp,
    /// A phone of ours, by the number of its registration.
    Phone(u64),
    /// A carrier.
    Outside,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parties {
    caller: Party,
    called: Party,
    caller_tag: u32,
}

impl OwnRoute {
    /// For a call whose CSeq is `shift` higher behind us, counted by the side with this From tag.
    pub(super) fn new(call: Option<CallId>, shift: u32, from_tag: &[u8]) -> Self {
        Self {
            call,
            shift,
            shifted_tag: if shift > 0 { tag_hash(from_tag) } else { 0 },
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

    /// The same, with who is on either side; the caller's From tag tells which is which.
    pub(super) fn between(self, caller: Party, called: Party, from_tag: &[u8]) -> Self {
        let caller_tag = tag_hash(from_tag);
        Self {
            parties: Some(Parties {
                caller,
                called,
                caller_tag,
            }),
            ..self
        }
    }

    /// Whether all that it says was said by us, in this call.
    pub(super) fn is_sealed(&self, sealer: &Sealer, call_id: &[u8]) -> bool {
        let mut params = String::with_capacity(PARAMS_LEN);
        self.write_params(&mut params);
        self.seal.is_some_and(|seal| sealer.holds(seal, call_id, &params))
    }

    /// Who sends a request with this From tag, and to whom it goes.
    pub(super) fn parties(&self, from_tag: &[u8]) -> Option<(Party, Party)> {
        let Parties {
            caller,
            called,
            caller_tag,
        } = self.parties?;
        Some(match caller_tag == tag_hash(from_tag) {
            true => (caller, called),
            false => (called, caller),
        })
    }

    /// The phone that a request with this From tag goes to, if it is one of ours.
    pub(super) fn phone_for<'t>(&self, from_tag: impl FnOnce() -> &'t [u8]) -> Option<u64> {
        let Parties { caller, called, .. } = self.parties?;
        let is_phone = |party| matches!(party, Party::Phone(_));
        if !is_phone(caller) && !is_phone(called) {
            return None;
        }
        match self.parties(from_tag())? {
            (_, Party::Phone(number)) => Some(number),
            (_, Party::Vsp | Party::Outside) => None,
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
                b"sd" => route.parties = read_parties(value),
                b"sl" => route.seal = Seal::read(value),
                b"an" => route.anonymous_tag = u32::from_str_radix(value, 16).ok(),
                _ => {}
            }
        }
        route
    }

    /// The Record-Route value of the proxy at `address`, which is host and port, sealed for the call with this Call-ID.
    pub(super) fn to_value(
        &self,
        address: &str,
        sealer: &Sealer,
        call_id: &[u8],
    ) -> Result<HeaderValue, InvalidValue> {
        let mut text = String::with_capacity(PARAMS_LEN + 64);
        text.push_str("<sip:");
        text.push_str(address);
        text.push_str(";lr");
        let begin = text.len();
        self.write_params(&mut text);
        let seal = sealer.seal(call_id, text.get(begin..).unwrap_or_default());
        write(&mut text, format_args!(";sl={seal}>"));
        HeaderValue::new(text)
    }

    /// All but the seal.
    fn write_params(&self, text: &mut String) {
        if let Some(call) = &self.call {
            text.push_str(";call=");
            text.push_str(call.as_str());
        }
        if self.shift > 0 {
            write(text, format_args!(";cs={}.{:08x}", self.shift, self.shifted_tag));
        }
        if self.trusted {
            text.push_str(";id=t");
        }
        if let Some(tag) = self.anonymous_tag {
            write(text, format_args!(";an={tag:08x}"));
        }
        if let Some(Parties {
            caller,
            called,
            caller_tag,
        }) = self.parties
        {
            write(text, format_args!(";sd={caller}.{called}.{caller_tag:08x}"));
        }
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
        self.anonymous_tag.is_some_and(|tag| tag == tag_hash(from_tag))
    }
}

fn write(text: &mut String, arguments: fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("a String takes whatever is written");
}

/// How much higher the carrier counts CSeq, and for whose From tag.
fn read_shift(text: &str) -> Option<(u32, u32)> {
    let (shift, tag) = text.split_once('.')?;
    let shift: u32 = shift.parse().ok().filter(|shift| *shift <= SHIFT_MAX)?;
    Some((shift, u32::from_str_radix(tag, 16).ok()?))
}

fn read_parties(text: &str) -> Option<Parties> {
    let mut parts = text.splitn(3, '.');
    let mut party = || match parts.next()? {
        "v" => Some(Party::Vsp),
        "o" => Some(Party::Outside),
        number => u64::from_str_radix(number, 16).ok().map(Party::Phone),
    };
    let (caller, called) = (party()?, party()?);
    let caller_tag = u32::from_str_radix(parts.next()?, 16).ok()?;
    Some(Parties {
        caller,
        called,
        caller_tag,
    })
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vsp => f.write_str("v"),
            Self::Outside => f.write_str("o"),
            Self::Phone(number) => write!(f, "{number:x}"),
        }
    }
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

    /// As it comes back, with its seal for the call `call-id`.
    fn returned(route: &OwnRoute) -> OwnRoute {
        let value = route.to_value("[::1]:5060", &sealer(), b"call-id").unwrap();
        let header = RecordRoute::parse(value.as_bytes()).unwrap();
        assert!(header.uri.is_loose_router());
        OwnRoute::read(&header.uri)
    }

    fn read_back(route: &OwnRoute) -> OwnRoute {
        OwnRoute {
            seal: None,
            ..returned(route)
        }
    }

    fn sealer() -> Sealer {
        Sealer::new(b"a secret")
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
        let between = hiding
            .clone()
            .between(Party::Phone(u64::MAX), Party::Outside, b"tag");
        assert_eq!(read_back(&between), between);
        let (phone, outside) = (Party::Phone(u64::MAX), Party::Outside);
        assert_eq!(between.parties(b"tag"), Some((phone, outside)));
        assert_eq!(between.parties(b"other side"), Some((outside, phone)));
        assert_eq!(plain.parties(b"tag"), None);
        let vsps = OwnRoute::default().between(Party::Vsp, Party::Vsp, b"tag");
        assert_eq!(read_back(&vsps), vsps);
    }

    #[test]
    fn a_seal_holds_for_one_call_one_secret_and_all_parameters() {
        let ours = sealer();
        let call = CallId::new("3f2a").unwrap();
        let route = OwnRoute::new(Some(call), 1, b"tag")
            .disclosing(false, true, b"tag")
            .between(Party::Phone(7), Party::Outside, b"tag");
        let route = returned(&route);
        assert!(route.is_sealed(&ours, b"call-id"));
        assert!(!route.is_sealed(&ours, b"another"));
        assert!(!route.is_sealed(&Sealer::new(b"another"), b"call-id"));
        let changed = [
            route.clone().disclosing(true, true, b"tag"),
            route.clone().disclosing(false, false, b"tag"),
            route.clone().between(Party::Outside, Party::Phone(7), b"tag"),
            route.clone().between(Party::Phone(7), Party::Outside, b"other"),
            OwnRoute {
                call: None,
                ..route.clone()
            },
            OwnRoute {
                shift: 2,
                ..route.clone()
            },
            OwnRoute { seal: None, ..route },
        ];
        for changed in changed {
            assert!(!changed.is_sealed(&ours, b"call-id"), "{changed:?}");
        }
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
            "sd=1.2",
            "sd=x.o.0",
            "sd=o.o",
            "sd=o.o.1.2",
            "sd=1ffffffffffffffff.1.0",
            "sl",
            "sl=0123",
            "sl=+123456789abcdef0123",
            "sl=0123456789abcdef0123456789",
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
