//! Request methods.

use bytes::Bytes;
use std::fmt;

macro_rules! methods {
    ($($variant:ident $text:literal $doc:literal;)*) => {
        /// A request's method. Case matters (RFC 3261 §7.1): `invite` is an [`Method::Other`].
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Method {
            $(#[doc = $doc] $variant,)*
            /// Any other token.
            Other(Bytes),
        }

        impl Method {
            /// The known method that `text` spells.
            pub(crate) fn known(text: &[u8]) -> Option<Self> {
                $(if text == $text.as_bytes() { return Some(Self::$variant); })*
                None
            }

            /// The method as it stands in a message.
            pub fn as_bytes(&self) -> &[u8] {
                match self {
                    $(Self::$variant => $text.as_bytes(),)*
                    Self::Other(text) => text,
                }
            }
        }
    };
}

methods! {
    Invite "INVITE" "RFC 3261 §13.";
    Ack "ACK" "RFC 3261 §13.";
    Bye "BYE" "RFC 3261 §15.";
    Cancel "CANCEL" "RFC 3261 §9.";
    Options "OPTIONS" "RFC 3261 §11.";
    Register "REGISTER" "RFC 3261 §10.";
    Prack "PRACK" "RFC 3262.";
    Update "UPDATE" "RFC 3311.";
    Info "INFO" "RFC 6086.";
    Message "MESSAGE" "RFC 3428.";
    Refer "REFER" "RFC 3515.";
    Subscribe "SUBSCRIBE" "RFC 6665.";
    Notify "NOTIFY" "RFC 6665.";
    Publish "PUBLISH" "RFC 3903.";
}

impl Method {
    /// The method that `text` spells; `None` if it is not a token. Copies only what is unknown.
    pub fn new(text: &[u8]) -> Option<Self> {
        Self::known(text)
            .or_else(|| crate::chars::is_token(text).then(|| Self::Other(Bytes::copy_from_slice(text))))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
