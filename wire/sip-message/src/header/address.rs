//! Headers that hold an address: From, To, Route, Record-Route, Refer-To, Referred-By, P-Asserted-Identity.

use super::{Header, HeaderError};
use crate::chars;
use crate::name::HeaderName;
use crate::params::{Params, unquote};
use crate::uri::{self, Uri};
use std::borrow::Cow;

/// `"Display" <uri>;param=…` or `uri;param=…`; in the second form all parameters belong to the header (§20.10).
#[derive(Clone, Copy, Debug)]
pub struct NameAddr<'a> {
    /// Display name as it stands, with its quotes; empty if there is none.
    pub display: &'a [u8],
    /// The address.
    pub uri: Uri<'a>,
    /// Parameters of the header.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// The bare address.
    pub fn new(uri: Uri<'a>) -> Self {
        Self {
            display: b"",
            uri,
            params: Params::default(),
        }
    }

    /// The display name without quotes, in the sender's encoding.
    pub fn display_text(&self) -> Cow<'a, [u8]> {
        unquote(self.display)
    }

    /// The `tag` parameter (§19.3).
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.params.get("tag")
    }

    pub(super) fn parse(value: &'a [u8]) -> Result<Self, &'static str> {
        let Parts {
            display,
            uri,
            params,
            is_bare,
        } = Parts::of(value)?;
        if !is_display(display) {
            return Err("a display name with such characters must be quoted");
        }
        if is_bare && uri.contains(&b'?') {
            return Err("an address with ? must stand in <>");
        }
        if !params.is_well_formed() {
            return Err("malformed parameters");
        }
        let uri = Uri::parse(uri).map_err(|error| error.what)?;
        Ok(Self { display, uri, params })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if !self.display.is_empty() {
            out.extend_from_slice(self.display);
            out.push(b' ');
        }
        out.push(b'<');
        out.extend_from_slice(self.uri.as_bytes());
        out.push(b'>');
        out.extend_from_slice(self.params.as_bytes());
    }
}

/// Whether `value` is an address as nearly everybody writes it, `"Display" <sip:user@host:port;…>;…`: then it is well formed
/// without being taken apart. `false` says nothing.
pub(crate) fn is_plain(value: &[u8]) -> bool {
    let after_sip = || {
        let open = match value.first()? {
            b'"' => chars::quoted_end(value, 0)?,
            _ => 0,
        };
        let rest = &value[open..];
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        rest.strip_prefix(b"<sip:")
    };
    let Some(rest) = after_sip() else {
        return false;
    };
    let rest = match rest.split_at(chars::user_len(rest)) {
        ([_, ..], [b'@', rest @ ..]) => rest,
        _ => rest,
    };
    let (host, rest) = rest.split_at(chars::host_len(rest));
    let rest = match rest {
        [b':', rest @ ..] => {
            let (port, rest) = rest.split_at(chars::host_len(rest));
            match chars::decimal::<u16>(port) {
                Some(_) => rest,
                None => return false,
            }
        }
        _ => rest,
    };
    match uri::split_params(rest) {
        Ok((_, [b'>', params @ ..])) => !host.is_empty() && Params::new(params).is_well_formed(),
        _ => false,
    }
}

/// The parts of such a header, unread.
struct Parts<'a> {
    display: &'a [u8],
    uri: &'a [u8],
    params: Params<'a>,
    /// The address stands there without `<>`.
    is_bare: bool,
}

impl<'a> Parts<'a> {
    fn of(value: &'a [u8]) -> Result<Self, &'static str> {
        let value = chars::trim(value);
        let angle = match value.first() {
            Some(b'"') => {
                let after = chars::quoted_end(value, 0).ok_or("the quoted display name never ends")?;
                let rest = &value[after..];
                let gap = rest.iter().take_while(|b| chars::is_space(**b)).count();
                if rest.get(gap) != Some(&b'<') {
                    return Err("after a quoted display name comes an address in <>");
                }
                Some(after + gap)
            }
            _ => memchr::memchr(b'<', value),
        };
        let (display, uri, params) = match angle {
            Some(open) => {
                let close =
                    open + memchr::memchr(b'>', &value[open..]).ok_or("the < of the address has no >")?;
                (
                    chars::trim(&value[..open]),
                    &value[open + 1..close],
                    chars::trim(&value[close + 1..]),
                )
            }
            None => {
                let end = memchr::memchr(b';', value).unwrap_or(value.len());
                (&value[..0], chars::trim(&value[..end]), &value[end..])
            }
        };
        Ok(Self {
            display,
            uri,
            params: Params::new(params),
            is_bare: angle.is_none(),
        })
    }
}

/// The `tag` parameter of a From or To, without a look at its address.
pub(crate) fn tag(value: &[u8]) -> Option<&[u8]> {
    Parts::of(value).ok()?.params.get("tag")
}

/// Empty, one quoted string, or tokens with spaces; bytes beyond ASCII are let through for old senders.
fn is_display(display: &[u8]) -> bool {
    match display {
        [b'"', ..] => true,
        text => text
            .iter()
            .all(|b| chars::is_token_byte(*b) || chars::is_space(*b) || !b.is_ascii()),
    }
}

macro_rules! address_headers {
    ($($name:ident $doc:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a>(pub NameAddr<'a>);

        impl<'a> Header<'a> for $name<'a> {
            const NAME: HeaderName<'static> = HeaderName::$name;

            fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
                NameAddr::parse(value).map(Self).map_err(|what| HeaderError { header: Self::NAME, what })
            }

            fn write(&self, out: &mut Vec<u8>) {
                self.0.write(out);
            }
        }

        impl<'a> std::ops::Deref for $name<'a> {
            type Target = NameAddr<'a>;

            fn deref(&self) -> &NameAddr<'a> {
                &self.0
            }
        }
    )*};
}

address_headers! {
    From "Who sends the request (§20.20).";
    To "Whom the request is for (§20.39).";
    Route "A proxy to pass, one element of the list (§20.34).";
    RecordRoute "A proxy that wants to stay on the path, one element of the list (§20.30).";
    ReferTo "Where to go instead (RFC 3515 §2.1).";
    ReferredBy "Who asked to go there (RFC 3892).";
    PAssertedIdentity "The caller as a trusted network asserts it, one element of the list (RFC 3325 §9.1).";
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_looks_plain_is_well_formed(
            display in "(\"[ -~]{0,3}\" {0,2})?",
            user in "([a-c0-9%:;?&=@]{0,6}@)?",
            host in "[a-c0-9.\\[:-]{0,8}(:[0-9]{0,6})?",
            params in "(;[a-c%0-9=;]{0,6})?",
            rest in ">?(;[a-c=\"; ]{0,8})?",
        ) {
            let value = format!("{display}<sip:{user}{host}{params}{rest}");
            if is_plain(value.as_bytes()) {
                prop_assert!(NameAddr::parse(value.as_bytes()).is_ok(), "{}", value);
            }
        }
    }

    #[test]
    fn the_usual_forms_are_plain() {
        for value in [
            "<sip:bob@192.0.2.1:5060;transport=udp>;tag=1;expires=60",
            "\"Bob\" <sip:bob@example.com>;tag=1",
            "<sip:example.com;lr>",
        ] {
            assert!(is_plain(value.as_bytes()), "{value}");
        }
    }
}
