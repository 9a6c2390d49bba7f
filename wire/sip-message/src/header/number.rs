//! Headers whose value is one number: Content-Length, Expires, Max-Forwards, Min-Expires, Min-SE, RSeq.

use super::{Header, HeaderError};
use crate::chars;
use crate::name::HeaderName;

macro_rules! numbers {
    ($($name:ident $kind:ty, $doc:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub $kind);

        impl Header<'_> for $name {
            const NAME: HeaderName<'static> = HeaderName::$name;

            fn parse(value: &[u8]) -> Result<Self, HeaderError> {
                chars::decimal(value)
                    .or_else(|| {
                        // Parameters after the number are extensions that may be ignored (Min-SE, RFC 4028 §5).
                        let end = memchr::memchr(b';', value)?;
                        chars::decimal(chars::trim(&value[..end]))
                    })
                    .map(Self)
                    .ok_or(HeaderError { header: Self::NAME, what: "no number, negative or too large" })
            }

            fn write(&self, out: &mut Vec<u8>) {
                chars::push_decimal(out, self.0);
            }
        }
    )*};
}

numbers! {
    ContentLength u32, "Length of the body in bytes (§20.14).";
    Expires u32, "Lifetime in seconds (§20.19).";
    MaxForwards u8, "How many more proxies the request may pass: 0 to 255 (§20.22).";
    MinExpires u32, "Shortest lifetime in seconds that a registrar takes (§20.23).";
    MinSe u32, "Shortest session interval in seconds (RFC 4028 §5).";
    RSeq u32, "Number of a reliable provisional response, from 1 (RFC 3262 §7.1).";
}
