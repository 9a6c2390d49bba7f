//! What REFER and its NOTIFYs say: Refer-To, Referred-By, Event, message/sipfrag.

use super::replaces::{REPLACES_VALUE_MAX, ReplacedDialog};
use offhook_sip_message::header::{ContentType, ReferTo, ReferredBy};
use offhook_sip_message::{
    HeaderName, HeaderValue, InvalidValue, Message, Method, Scheme, StatusCode, UriBuf,
};

/// Whom a REFER asks us to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referral {
    /// The address, without headers and without a `method` parameter's meaning.
    pub target: UriBuf,
    /// The call of the target's that the new one takes the place of.
    pub replaces: Option<ReplacedDialog>,
    /// Who asks, as it stands in Referred-By (RFC 3892).
    pub referred_by: Option<HeaderValue>,
}

impl Referral {
    /// Reads a REFER; the status to refuse it with unless it has exactly one Refer-To that asks for an INVITE to a SIP or
    /// tel address, and brings no header that would send the INVITE astray (RFC 3261 §19.1.5).
    pub(super) fn of(request: &Message) -> Result<Self, StatusCode> {
        if request.headers_named(HeaderName::ReferTo).count() != 1 {
            return Err(StatusCode::BAD_REQUEST);
        }
        let refer_to: ReferTo<'_> = request.require().map_err(|_| StatusCode::BAD_REQUEST)?;
        let uri = refer_to.uri;
        if !matches!(uri.scheme(), Scheme::Sip | Scheme::Sips | Scheme::Tel) {
            return Err(StatusCode::UNSUPPORTED_URI_SCHEME);
        }
        let asks_invite = |method: &[u8]| Method::new(method) == Some(Method::Invite);
        if uri
            .params()
            .get("method")
            .is_some_and(|method| !asks_invite(method))
        {
            return Err(StatusCode::NOT_IMPLEMENTED);
        }
        let whole = uri.as_bytes();
        let headers = uri.headers();
        let bare = whole.strip_suffix(headers).unwrap_or(whole);
        let bare = bare.strip_suffix(b"?").unwrap_or(bare);
        if headers.split(|b| *b == b'&').any(is_dangerous) {
            return Err(StatusCode::BAD_REQUEST);
        }
        let replaces = match embedded(headers, b"Replaces") {
            Some(value) => Some(ReplacedDialog::parse(&value).ok_or(StatusCode::BAD_REQUEST)?),
            None => None,
        };
        let by = request.get::<ReferredBy<'_>>().and_then(Result::ok);
        Ok(Self {
            target: UriBuf::new(bare.to_vec()).map_err(|_| StatusCode::BAD_REQUEST)?,
            replaces,
            referred_by: by
                .and_then(|_| request.first(HeaderName::ReferredBy))
                .and_then(|value| HeaderValue::unfold(value).ok()),
        })
    }
}

/// Headers of an address that decide where a request goes and whose it is, and line breaks in whichever.
fn is_dangerous(pair: &[u8]) -> bool {
    const NAMES: [&[u8]; 18] = [
        b"authorization",
        b"body",
        b"call-id",
        b"contact",
        b"content-length",
        b"content-type",
        b"cseq",
        b"from",
        b"max-forwards",
        b"p-asserted-identity",
        b"privacy",
        b"proxy-authorization",
        b"record-route",
        b"route",
        b"to",
        b"via",
        b"i",
        b"v",
    ];
    let text = unescape(pair);
    let name = text.split(|b| *b == b'=').next().unwrap_or_default();
    let name = name.to_ascii_lowercase();
    NAMES.contains(&&name[..]) || text.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))
}

/// The value of a header that stands in a URI (`?Name=value&…`), unescaped.
fn embedded(headers: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let pair = headers.split(|b| *b == b'&').find_map(|pair| {
        let equals = pair.iter().position(|b| *b == b'=')?;
        let (found, value) = pair.split_at(equals);
        found.eq_ignore_ascii_case(name).then_some(&value[1..])
    })?;
    (pair.len() <= 3 * REPLACES_VALUE_MAX).then(|| unescape(pair))
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) if let (Some(high), Some(low)) = (digit(*high), digit(*low)) => {
                out.push((16 * high + low) as u8);
                rest = tail;
            }
            _ => out.push(*first),
        }
    }
    out
}

/// The value of Refer-To: the address, with Replaces in it where a call is to be replaced.
pub(super) fn refer_to(to: &UriBuf, replaces: Option<&ReplacedDialog>) -> Result<HeaderValue, InvalidValue> {
    let mut text = b"<".to_vec();
    text.extend_from_slice(to.as_bytes());
    if let Some(replaces) = replaces {
        text.push(if to.uri().headers().is_empty() { b'?' } else { b'&' });
        text.extend_from_slice(b"Replaces=");
        for b in replaces.value() {
            match b {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'!' | b'~' | b'*' => {
                    text.push(b);
                }
                _ => text.extend_from_slice(format!("%{b:02X}").as_bytes()),
            }
        }
    }
    text.push(b'>');
    HeaderValue::new(text)
}

/// What a NOTIFY about a transfer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotifyEvent {
    /// CSeq of the REFER; left out where there is only one (RFC 3515 §2.4.6).
    id: Option<u32>,
    /// From the sipfrag, if it can be read.
    pub(super) status: Option<StatusCode>,
    pub(super) terminated: bool,
}

impl NotifyEvent {
    /// `None` for another event package.
    pub(super) fn of(notify: &Message) -> Option<Self> {
        let event = notify.first(HeaderName::Event)?;
        let mut parts = event.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        if !parts.next()?.eq_ignore_ascii_case(b"refer") {
            return None;
        }
        let id = parts
            .filter_map(|part| part.strip_prefix(b"id="))
            .find_map(|id| std::str::from_utf8(id).ok()?.parse().ok());
        let state = notify.first(HeaderName::SubscriptionState).unwrap_or_default();
        let word = state.split(|b| *b == b';').next().unwrap_or_default();
        Some(Self {
            id,
            status: sipfrag_status(notify),
            terminated: word.trim_ascii().eq_ignore_ascii_case(b"terminated"),
        })
    }

    pub(super) fn is_for(&self, cseq: u32) -> bool {
        self.id.is_none_or(|id| id == cseq)
    }
}

/// The status line that a message/sipfrag starts with (RFC 3420).
fn sipfrag_status(notify: &Message) -> Option<StatusCode> {
    let kind = notify.get::<ContentType<'_>>()?.ok()?;
    if !kind.is("message", "sipfrag") {
        return None;
    }
    let rest = notify.body().strip_prefix(b"SIP/2.0 ")?;
    let code = std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()?;
    StatusCode::new(code).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_is_read_back() {
        let to = UriBuf::new("sip:carol@example.com;transport=udp").unwrap();
        let replaced = ReplacedDialog {
            call_id: "a b%c@x".into(),
            to_tag: "t=1".into(),
            from_tag: "f".into(),
            early_only: false,
        };
        let value = refer_to(&to, Some(&replaced)).unwrap();
        let text = String::from_utf8(value.as_bytes().to_vec()).unwrap();
        assert_eq!(
            text,
            "<sip:carol@example.com;transport=udp?Replaces=a%20b%25c%40x%3Bto-tag%3Dt%3D1%3Bfrom-tag%3Df>"
        );
        let headers = text.split_once('?').unwrap().1.trim_end_matches('>');
        assert_eq!(
            embedded(headers.as_bytes(), b"replaces").unwrap(),
            replaced.value()
        );
    }

    #[test]
    fn broken_escapes_stay_as_they_are() {
        assert_eq!(unescape(b"a%4"), b"a%4");
        assert_eq!(unescape(b"%zz%41"), b"%zzA");
        assert_eq!(embedded(b"Subject=x", b"Replaces"), None);
    }
}
