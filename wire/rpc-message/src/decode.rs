//! One text frame of a client into a [`ClientFrame`].

use crate::lenient;
use crate::params::read_method;
use crate::{
    ClientMethod, DEPTH_MAX, ErrorCode, FRAME_LEN_MAX, FrameId, ID_LEN_MAX, METHOD_LEN_MAX, RpcError,
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame {
    /// Wants exactly one answer.
    Request {
        /// To be echoed.
        id: FrameId,
        /// What it asks.
        method: ClientMethod,
    },
    /// Wants none.
    Notification(ClientMethod),
    /// Answers a request of ours.
    Ack {
        /// Id of our request, if it was an integer.
        id: Option<u64>,
        /// Bare method that the SDK names in it: `ringing`.
        method: Option<String>,
    },
    /// A frame of the SDK's debug reports: no method; wants `{}` as result if it has an id.
    Debug(DebugReport),
    /// Text of the speed test, not JSON.
    SpeedTest(SpeedTest),
}

/// A `debug_report_…` frame, its data skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugReport {
    /// To be echoed.
    pub id: FrameId,
    /// `debug_report_start`, `debug_report_data`, `debug_report_stop`, or what else has no method.
    pub kind: String,
}

/// A step of the SDK's speed test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpeedTest {
    /// `#SPU`: this many bytes follow.
    Start {
        /// Announced volume.
        bytes: u64,
    },
    /// `#SPB`: filler.
    Filler,
    /// `#SPE`: all was sent.
    End,
}

/// Why a frame is refused, and what to answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Malformed {
    /// Id to answer; `null` where it could not be read.
    pub id: FrameId,
    /// Bare name of the method, if it could be read.
    pub method: Option<String>,
    /// What to answer.
    pub error: RpcError,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::raw")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "lenient::raw")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "lenient::raw")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "lenient::raw")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "lenient::raw")]
    error: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "type", deserialize_with = "lenient::raw")]
    kind: Option<&'a RawValue>,
}

/// Reads one text frame. What is refused comes back with the error to answer.
pub fn decode(text: &str) -> Result<ClientFrame, Malformed> {
    if let Some(speed_test) = text.strip_prefix("#SP") {
        return speed_test_step(speed_test);
    }
    check_limits(text)?;
    let refused = |code, message: &str| Malformed {
        id: FrameId::null(),
        method: None,
        error: RpcError::new(code, message),
    };
    if !text.trim_start().starts_with('{') {
        return Err(match serde_json::from_str::<&RawValue>(text) {
            Ok(_) => refused(
                ErrorCode::InvalidRequest,
                "a frame is one JSON object; there are no batches",
            ),
            Err(error) => refused(ErrorCode::ParseError, &format!("not JSON: {error}")),
        });
    }
    let frame: Envelope<'_> = serde_json::from_str(text).map_err(|error| match error.classify() {
        // A member that stands twice; all else that fails is syntax.
        serde_json::error::Category::Data => refused(ErrorCode::InvalidRequest, &error.to_string()),
        _ => refused(ErrorCode::ParseError, &format!("not JSON: {error}")),
    })?;
    if frame.method.is_none() && (frame.result.is_some() || frame.error.is_some()) {
        return Ok(acknowledgement(&frame));
    }
    let id = match frame.id.map(FrameId::from_raw) {
        None => None,
        Some(Some(id)) => Some(id),
        Some(None) => {
            let message = format!("an id has at most {ID_LEN_MAX} bytes");
            return Err(refused(ErrorCode::InvalidRequest, &message));
        }
    };
    let Some(method) = frame.method else {
        return without_method(&frame, id);
    };
    let Ok(method) = serde_json::from_str::<String>(method.get()) else {
        return Err(Malformed {
            id: id.unwrap_or_else(FrameId::null),
            method: None,
            error: RpcError::new(ErrorCode::InvalidRequest, "method is a string"),
        });
    };
    match read_method(&method, frame.params) {
        Ok(method) => Ok(match id {
            Some(id) => ClientFrame::Request { id, method },
            None => ClientFrame::Notification(method),
        }),
        Err(error) => Err(Malformed {
            id: id.unwrap_or_else(FrameId::null),
            method: Some(cut(bare(&method), METHOD_LEN_MAX)),
            error,
        }),
    }
}

fn speed_test_step(step: &str) -> Result<ClientFrame, Malformed> {
    let step = match step.as_bytes().first() {
        Some(b'U') => SpeedTest::Start {
            bytes: step[1..].trim().parse().unwrap_or(0),
        },
        Some(b'E') => SpeedTest::End,
        _ => SpeedTest::Filler,
    };
    Ok(ClientFrame::SpeedTest(step))
}

/// Refuses what is too long or too deep before anything is built from it.
fn check_limits(text: &str) -> Result<(), Malformed> {
    let mut message = None;
    if text.len() > FRAME_LEN_MAX {
        message = Some(format!("a frame has at most {FRAME_LEN_MAX} bytes"));
    } else if depth(text) > DEPTH_MAX {
        message = Some(format!("a frame nests at most {DEPTH_MAX} levels"));
    }
    match message {
        None => Ok(()),
        Some(message) => Err(Malformed {
            id: FrameId::null(),
            method: None,
            error: RpcError::new(ErrorCode::InvalidRequest, message),
        }),
    }
}

/// Deepest nesting of brackets outside strings.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in text.bytes() {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn acknowledgement(frame: &Envelope<'_>) -> ClientFrame {
    #[derive(Deserialize)]
    struct AckResult {
        #[serde(default, deserialize_with = "lenient::text")]
        method: Option<String>,
    }
    let method = frame
        .result
        .and_then(|result| serde_json::from_str::<AckResult>(result.get()).ok())
        .and_then(|result| result.method)
        .map(|method| cut(bare(&method), METHOD_LEN_MAX));
    ClientFrame::Ack {
        id: frame.id.and_then(|id| id.get().parse().ok()),
        method,
    }
}

fn without_method(frame: &Envelope<'_>, id: Option<FrameId>) -> Result<ClientFrame, Malformed> {
    let kind = frame
        .kind
        .and_then(|kind| serde_json::from_str::<String>(kind.get()).ok());
    match id {
        Some(id) => Ok(ClientFrame::Debug(DebugReport {
            id,
            kind: cut(kind.as_deref().unwrap_or_default(), METHOD_LEN_MAX),
        })),
        None => Err(Malformed {
            id: FrameId::null(),
            method: None,
            error: RpcError::new(ErrorCode::InvalidRequest, "neither method, result nor id"),
        }),
    }
}

fn bare(method: &str) -> &str {
    method.strip_prefix("telnyx_rtc.").unwrap_or(method)
}

/// `text` without control characters, cut to `len_max` bytes.
pub(crate) fn cut(text: &str, len_max: usize) -> String {
    let mut out = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        if out.len() + c.len_utf8() > len_max {
            break;
        }
        out.push(c);
    }
    out
}
