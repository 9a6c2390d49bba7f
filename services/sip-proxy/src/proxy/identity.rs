//! What the next hop learns about the parties, and which headers are ours alone (RFC 3323, RFC 3325, RFC 7315 §4.2).
//!
//! | Header | from a carrier | from a phone | to a trusted carrier | to another carrier |
//! |---|---|---|---|---|
//! | `From` | passes | ours, with a number of the user | passes | anonymous if `Privacy` asks for it |
//! | `P-Asserted-Identity` | passes | ours | passes | taken out, save with `Privacy: none` |
//! | `P-Preferred-Identity`, `P-Called-Party-ID` | taken out | taken out | taken out | taken out |
//! | `Remote-Party-ID` | passes | taken out | passes | taken out |
//! | `Proxy-Authorization` | passes | taken out | passes | passes |
//! | `X-Offhook-…` | taken out | taken out | taken out | taken out |
//!
//! The call id header is the one `X-Offhook-…` that carriers see: ours, never theirs. VSPs also see whose media packets are
//! to be taken from a carrier.

use super::forward::CALL_ID;
use super::phone_calls::Caller;
use super::settings::Latching;
use offhook_call_trace::LATCHING_HEADER;
use offhook_sip_message::header::From;
use offhook_sip_message::{Edit, HeaderName, HeaderValue, Message, Token};

const CALLED_PARTY: HeaderName<'static> = HeaderName::custom("P-Called-Party-ID");
const LATCHING: HeaderName<'static> = HeaderName::custom(LATCHING_HEADER);
const REMOTE_PARTY: HeaderName<'static> = HeaderName::custom("Remote-Party-ID");
const OWN_PREFIX: &[u8] = b"X-Offhook-";

/// Who gets a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Audience {
    /// One of our VSPs.
    Vsp,
    /// A carrier that may know who calls.
    Trusted,
    /// Any other. What we don't know counts so.
    #[default]
    Untrusted,
}

/// What is changed for the audience.
#[derive(Debug, Clone, Default)]
pub(super) struct Disclosure {
    pub(super) audience: Audience,
    /// Whether the message comes from outside.
    pub(super) from_carrier: bool,
    /// Whether it comes from a phone: what it says of who it is counts nothing.
    pub(super) from_phone: bool,
    /// Who calls, if that is a phone of ours and its call begins.
    pub(super) caller: Option<Box<Caller>>,
    /// Whether the sender of this request is anonymous in it.
    pub(super) anonymous: bool,
    /// The number of ours that was called, as P-Called-Party-ID.
    pub(super) called: Option<HeaderValue>,
    /// Whose media packets are to be taken from the carrier at the other end, for a VSP.
    pub(super) latching: Option<Latching>,
}

impl Disclosure {
    /// With `keep_call_id`, the call id header is right, or set by somebody else.
    pub(super) fn apply(&self, message: &Message, edit: &mut Edit<'_>, keep_call_id: bool) {
        self.hide(message, edit, keep_call_id);
        if let Some(called) = &self.called {
            edit.replace(CALLED_PARTY, called);
        }
        if let Some(latching) = self.shown_latching()
            && let Ok(value) = HeaderValue::new(latching.as_str())
        {
            edit.replace(LATCHING, &value);
        }
        if let Some(caller) = &self.caller {
            edit.replace(HeaderName::From, &caller.from);
            if self.shows_asserted() {
                edit.replace(HeaderName::PAssertedIdentity, &caller.asserted);
            }
        }
        if self.anonymous
            && let Ok(from) = message.require::<From<'_>>()
            && let Some(value) = anonymous(from.tag().unwrap_or_default())
        {
            edit.replace(HeaderName::From, &value);
        }
    }

    /// Whether the asserted identity of our caller goes on.
    fn shows_asserted(&self) -> bool {
        self.caller.is_some() && self.audience != Audience::Untrusted
    }

    /// Whose media packets are to be taken, where the next hop has to know.
    fn shown_latching(&self) -> Option<Latching> {
        self.latching.filter(|_| self.audience == Audience::Vsp)
    }

    /// Takes out the headers that stay behind. What is replaced afterwards has to stay until then.
    fn hide(&self, message: &Message, edit: &mut Edit<'_>, keep_call_id: bool) {
        if self.audience == Audience::Vsp && !self.from_carrier {
            return;
        }
        let untrusted = self.audience == Audience::Untrusted;
        let keeps_asserted = !untrusted || privacy(message).is_none;
        let replaces_latching = self.shown_latching().is_some();
        edit.remove_lines(|line| match line.name {
            HeaderName::PPreferredIdentity => true,
            HeaderName::PAssertedIdentity if self.from_phone => !self.shows_asserted(),
            HeaderName::PAssertedIdentity => !keeps_asserted,
            HeaderName::ProxyAuthorization => self.from_phone,
            HeaderName::Other(token) => {
                let is_replaced = keep_call_id && line.name == CALL_ID
                    || replaces_latching && line.name == LATCHING
                    || self.called.is_some() && line.name == CALLED_PARTY;
                let is_foreign =
                    line.name == CALLED_PARTY || (untrusted || self.from_phone) && line.name == REMOTE_PARTY;
                !is_replaced && (is_ours(token.as_bytes()) || is_foreign)
            }
            _ => false,
        });
    }
}

/// `X-Offhook-…`
fn is_ours(name: &[u8]) -> bool {
    let prefix = name.get(..OWN_PREFIX.len());
    prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(OWN_PREFIX))
}

/// What a caller asks to be kept from others (RFC 3323 §4.2).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Privacy {
    /// `id`, `user` or `header`: the caller is not to be named.
    pub(super) is_anonymous: bool,
    /// `none`: the caller wants to be named, whoever is asked.
    pub(super) is_none: bool,
}

pub(super) fn privacy(message: &Message) -> Privacy {
    let mut privacy = Privacy::default();
    for line in message.headers_named(HeaderName::Privacy) {
        for token in line.value.split(|byte| matches!(byte, b';' | b',')) {
            let token = token.trim_ascii();
            privacy.is_none |= token.eq_ignore_ascii_case(b"none");
            privacy.is_anonymous |= [&b"id"[..], b"user", b"header"]
                .iter()
                .any(|known| token.eq_ignore_ascii_case(known));
        }
    }
    privacy
}

/// RFC 3323 §4.1.1.3.
fn anonymous(tag: &[u8]) -> Option<HeaderValue> {
    let mut text = b"\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_vec();
    if Token::new(tag).is_ok() {
        text.extend_from_slice(b";tag=");
        text.extend_from_slice(tag);
    }
    HeaderValue::new(text).ok()
}

/// The number that was called, for a VSP.
pub(super) fn called_party(uri: &[u8]) -> Option<HeaderValue> {
    HeaderValue::new([b"<", uri, b">"].concat()).ok()
}
