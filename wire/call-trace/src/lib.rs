//! What a call's trace is made of: the call id that travels through every part of the platform, the hops it
//! passes, the events each part records, and the redaction that keeps secrets out of them.
//!
//! Every part records what it sends and what it receives; the same message therefore stands in the trace once per
//! observer. `io/process` keeps the traces of the last calls and serves them as JSON.

mod redact;

use serde::{Deserialize, Serialize};
use std::fmt;

pub use redact::{redact_json, redact_sip};

/// Name of the SIP header that carries a [`CallId`] between the parts (value: the id alone).
pub const CALL_ID_HEADER: &str = "X-Offhook-Call-Id";
/// Name of the SIP header by which a VSP tells the SIP proxy which of our users calls, as the calls of a user are counted there.
pub const USER_HEADER: &str = "X-Offhook-User";
/// Name of the SIP header by which the SIP proxy tells a VSP whose media packets are to be taken from the carrier behind it:
/// `off`, `same-address` or `any`. Where it is missing, the gateway's own rule counts.
pub const LATCHING_HEADER: &str = "X-Offhook-Latching";

/// The one id of a call through all parts, logs and messages. Made by the part where the call enters the platform
/// (VSP for calls from a browser, SIP proxy for calls from a carrier).
///
/// 1 to 64 characters of `A-Z a-z 0-9 - _ .`, so that it can stand in a header, a log line and a URL unquoted.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallId(std::sync::Arc<str>);

/// Why a text is not a [`CallId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a call id is 1 to {max} characters of A-Z a-z 0-9 - _ .", max = CallId::LEN_MAX)]
pub struct InvalidCallId;

impl CallId {
    /// Longest id in bytes: room for a UUID and a prefix.
    pub const LEN_MAX: usize = 64;

    /// Takes `text` if it is a call id.
    pub fn new(text: &str) -> Result<Self, InvalidCallId> {
        let valid = (1..=Self::LEN_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(InvalidCallId)
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for CallId {
    type Error = InvalidCallId;
    fn try_from(text: String) -> Result<Self, InvalidCallId> {
        Self::new(&text)
    }
}

impl From<CallId> for String {
    fn from(id: CallId) -> String {
        id.0.as_ref().to_owned()
    }
}

/// A part of the path that a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hop {
    /// The SDK in the browser.
    Client,
    /// Voice SDK Proxy.
    Vsp,
    /// Our SIP proxy.
    SipProxy,
    /// The far end that the SIP proxy talks to.
    Carrier,
    /// The media gateway.
    #[serde(rename = "b2bua-rtc")]
    B2buaRtc,
}

/// Language of a traced message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// The client dialect on the WebSocket.
    JsonRpc,
    /// SIP.
    Sip,
    /// The control link between VSP and gateway.
    Control,
    /// Something that happened to media, not a message (ICE connected, first packet, codec chosen, …).
    Media,
}

/// One thing that one part saw of a call. The part that records adds the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceEvent {
    /// Which part recorded it.
    pub observer: Hop,
    /// Sender.
    pub from: Hop,
    /// Receiver; equal to `from` where something happened inside one part.
    pub to: Hop,
    /// Language of the message.
    pub protocol: Protocol,
    /// Short name: `invite`, `result invite`, `INVITE`, `180 INVITE`, `open`, `media-started`, …
    pub name: String,
    /// The message itself, redacted by [`redact_sip`] or [`redact_json`], or what happened in words. May be cut.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl TraceEvent {
    /// Longest `detail` in bytes; what is longer is cut at a character boundary.
    pub const DETAIL_MAX: usize = 8 * 1024;

    /// A message from one part to another.
    pub fn message(observer: Hop, from: Hop, to: Hop, protocol: Protocol, name: impl Into<String>) -> Self {
        Self {
            observer,
            from,
            to,
            protocol,
            name: name.into(),
            detail: String::new(),
        }
    }

    /// The same with `detail`, cut to [`Self::DETAIL_MAX`]. `detail` must already be redacted.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if detail.len() > Self::DETAIL_MAX {
            let mut end = Self::DETAIL_MAX;
            while !detail.is_char_boundary(end) {
                end -= 1;
            }
            detail.truncate(end);
            detail.push('…');
        }
        self.detail = detail;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_id_takes_only_safe_text() {
        assert!(CallId::new("3f2a-1.b_C").is_ok());
        for bad in ["", "a b", "a\r\nVia: x", "ü", &"a".repeat(65)] {
            assert_eq!(CallId::new(bad), Err(InvalidCallId), "{bad:?}");
        }
    }

    #[test]
    fn detail_is_cut_at_a_character() {
        let event = TraceEvent::message(Hop::Vsp, Hop::Vsp, Hop::Client, Protocol::JsonRpc, "answer")
            .with_detail("ä".repeat(TraceEvent::DETAIL_MAX));
        assert!(event.detail.len() <= TraceEvent::DETAIL_MAX + '…'.len_utf8());
        assert!(event.detail.ends_with("ä…"));
    }

    #[test]
    fn hops_read_as_in_the_documentation() {
        assert_eq!(serde_json::to_string(&Hop::B2buaRtc).unwrap(), "\"b2bua-rtc\"");
        assert_eq!(serde_json::to_string(&Hop::SipProxy).unwrap(), "\"sip-proxy\"");
    }
}
