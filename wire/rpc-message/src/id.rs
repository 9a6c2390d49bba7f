//! The names that stand in frames: of the frame, the call, the login session, and the sticky routing key.

use crate::{CALL_ID_LEN_MAX, ID_LEN_MAX};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;

/// The `id` of a frame, of any JSON type, kept as the JSON text that the peer wrote so that it is echoed unchanged.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FrameId(Box<str>);

impl FrameId {
    /// The id that answers a frame whose own id could not be read (JSON-RPC 2.0 §5).
    pub fn null() -> Self {
        Self("null".into())
    }

    /// A number.
    pub fn number(id: u64) -> Self {
        Self(id.to_string().into())
    }

    /// Takes JSON text of at most [`ID_LEN_MAX`] bytes.
    pub(crate) fn from_raw(raw: &RawValue) -> Option<Self> {
        (raw.get().len() <= ID_LEN_MAX).then(|| Self(raw.get().into()))
    }

    /// The id as JSON text: `"3d5e"`, `41`, `null`.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl Serialize for FrameId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl fmt::Debug for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `callID`: names a call between one client and us. Chosen by the client for its own calls, by us for calls to it;
/// case-sensitive, 1 to [`CALL_ID_LEN_MAX`] bytes without control characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ClientCallId(std::sync::Arc<str>);

impl ClientCallId {
    /// Takes `text` if it can be a call id.
    pub fn new(text: &str) -> Option<Self> {
        let valid = (1..=CALL_ID_LEN_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        valid.then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientCallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClientCallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `sessid`: the login session; bound to the identity that logged in. Made by the server.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct SessionId(pub std::sync::Arc<str>);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `voice_sdk_id`: stands on every frame of the server; the client brings it back in the URL of its next socket.
/// Unguessable, but proves nothing by itself: a login follows.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct VoiceSdkId(pub std::sync::Arc<str>);

impl fmt::Display for VoiceSdkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for VoiceSdkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
