//! Headers that say, or hide, who calls: P-Asserted-Identity and Privacy (RFC 3325, RFC 3323).

use crate::extra_header::{Header, InvalidHeader};
use crate::user_agent::NameAddr;
use offhook_sip_message::UriBuf;

/// What the network shall keep from the callee (RFC 3323 §4.2, RFC 3325 §9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// P-Asserted-Identity: what carriers take as "number withheld".
    Id,
    /// Headers that tell of the caller: Contact, Via.
    Header,
    /// The addresses in SDP.
    Session,
    /// What the user agent could have left out itself: From, Call-ID.
    User,
    /// Fail the call where the rest cannot be granted. Never alone.
    Critical,
    /// Nothing, also where the account's default is to hide.
    None,
}

impl Privacy {
    fn word(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Header => "header",
            Self::Session => "session",
            Self::User => "user",
            Self::Critical => "critical",
            Self::None => "none",
        }
    }
}

/// `P-Asserted-Identity: "name" <uri>`: for peers that trust us (RFC 3325 §9.1).
pub fn p_asserted_identity(identity: &NameAddr) -> Result<Header, InvalidHeader> {
    named("P-Asserted-Identity", identity)
}

/// `Privacy: id;critical`.
pub fn privacy(wanted: &[Privacy]) -> Result<Header, InvalidHeader> {
    let words: Vec<_> = wanted.iter().map(|wanted| wanted.word()).collect();
    Header::new("Privacy", &words.join(";"))
}

/// What stands in From of a call that hides its caller (RFC 3323 §4.1.1.3).
pub fn anonymous() -> NameAddr {
    NameAddr {
        display_name: "Anonymous".to_owned(),
        uri: UriBuf::new("sip:anonymous@anonymous.invalid").expect("a constant URI"),
    }
}

fn named(name: &str, identity: &NameAddr) -> Result<Header, InvalidHeader> {
    Header::new(name, &identity.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(display_name: &str) -> NameAddr {
        NameAddr {
            display_name: display_name.to_owned(),
            uri: UriBuf::new("sip:+15550100@voice.example.com").unwrap(),
        }
    }

    #[test]
    fn rfc3325_9_1_names_are_quoted_and_escaped() {
        let header = p_asserted_identity(&identity("Al \"Ace\" Ü")).unwrap();
        assert_eq!(
            header.value().as_bytes(),
            "\"Al \\\"Ace\\\" Ü\" <sip:+15550100@voice.example.com>".as_bytes()
        );
        let bare = p_asserted_identity(&identity("")).unwrap();
        assert_eq!(bare.value().as_bytes(), b"<sip:+15550100@voice.example.com>");
    }

    #[test]
    fn a_name_cannot_break_out_of_its_line() {
        let outcome = p_asserted_identity(&identity("x\r\nVia: SIP/2.0/UDP evil"));
        assert_eq!(outcome, Err(InvalidHeader::Value));
    }

    #[test]
    fn rfc3323_4_2_priv_values_are_joined_by_semicolons() {
        let header = privacy(&[Privacy::Id, Privacy::Critical]).unwrap();
        assert_eq!(header.value().as_bytes(), b"id;critical");
        assert_eq!(
            anonymous().text(),
            "\"Anonymous\" <sip:anonymous@anonymous.invalid>"
        );
    }
}
