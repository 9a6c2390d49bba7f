//! JSON-RPC 2.0 on the control link: requests with integer ids, results, errors, notifications.

use crate::{Command, CommandError, Event, Reply};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Names a request on one link; unique among those in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// `error.code` of a refused command; which refusal stands in `error.data`.
const CODE_COMMAND_ERROR: i64 = -32010;

/// One text frame on the link.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// Signalling → gateway.
    Request(RequestId, Command),
    /// Gateway → signalling.
    Response(RequestId, Result<Reply, CommandError>),
    /// Gateway → signalling.
    Notification(Event),
}

/// Why a text is no [`Frame`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// JSON, but none of the three frames.
    #[error("not a frame of the control link: {0}")]
    Shape(String),
}

impl Frame {
    /// The frame as JSON text.
    pub fn encode(&self) -> String {
        match self {
            Frame::Request(id, command) => with_envelope(to_value(command), Some(*id)),
            Frame::Response(id, Ok(reply)) => {
                json!({"jsonrpc": "2.0", "id": id.0, "result": to_value(reply)})
            }
            Frame::Response(id, Err(error)) => json!({"jsonrpc": "2.0", "id": id.0, "error": {
                "code": CODE_COMMAND_ERROR, "message": error.message, "data": to_value(error)}}),
            Frame::Notification(event) => with_envelope(to_value(event), None),
        }
        .to_string()
    }

    /// Reads a frame.
    pub fn decode(text: &str) -> Result<Frame, EnvelopeError> {
        let value: Value = serde_json::from_str(text).map_err(|e| EnvelopeError::Json(e.to_string()))?;
        let id = value.get("id").and_then(Value::as_u64).map(RequestId);
        match (
            id,
            value.get("method").is_some(),
            value.get("result"),
            value.get("error"),
        ) {
            (Some(id), true, None, None) => Ok(Frame::Request(id, from_value(value)?)),
            (None, true, None, None) => Ok(Frame::Notification(from_value(value)?)),
            (Some(id), false, Some(result), None) => Ok(Frame::Response(id, Ok(from_value(result.clone())?))),
            (Some(id), false, None, Some(error)) => {
                let data = error.get("data").cloned().unwrap_or(Value::Null);
                Ok(Frame::Response(id, Err(from_value(data)?)))
            }
            _ => Err(EnvelopeError::Shape(
                "neither request, response nor notification".into(),
            )),
        }
    }
}

fn with_envelope(mut value: Value, id: Option<RequestId>) -> Value {
    if let Value::Object(map) = &mut value {
        map.insert("jsonrpc".into(), "2.0".into());
        if let Some(id) = id {
            map.insert("id".into(), id.0.into());
        }
    }
    value
}

fn to_value<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("types of this crate have string keys and no failing serializer")
}

fn from_value<T: for<'de> Deserialize<'de>>(value: Value) -> Result<T, EnvelopeError> {
    serde_json::from_value(value).map_err(|e| EnvelopeError::Shape(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CommandErrorKind, GoneReason, LegName, MediaSessionId, SessionSummary, Sound};
    use offhook_call_trace::CallId;

    #[test]
    fn every_frame_reads_back() {
        let session = MediaSessionId("m1".into());
        let frames = [
            Frame::Request(
                RequestId(7),
                Command::Open {
                    session: session.clone(),
                    call_id: CallId::new("c1").unwrap(),
                    from: LegName::Client,
                    sdp: Some("v=0\r\n".into()),
                    early_answer: true,
                },
            ),
            Frame::Request(
                RequestId(10),
                Command::PrepareReplacement {
                    session: session.clone(),
                    leg: LegName::Client,
                    ringback: true,
                },
            ),
            Frame::Request(
                RequestId(8),
                Command::Play {
                    session: session.clone(),
                    to: LegName::Carrier,
                    sound: Sound::Named("closed".into()),
                    repeat: false,
                    yields: true,
                },
            ),
            Frame::Request(RequestId(9), Command::Ping {}),
            Frame::Response(
                RequestId(7),
                Ok(Reply::Opened {
                    offer: "v=0".into(),
                    answer: None,
                }),
            ),
            Frame::Response(RequestId(8), Ok(Reply::Done {})),
            Frame::Response(
                RequestId(9),
                Err(CommandError {
                    kind: CommandErrorKind::BadSdp,
                    message: "no audio".into(),
                }),
            ),
            Frame::Notification(Event::Gone {
                session,
                reason: GoneReason::IceFailed,
                message: "no check in 15 s".into(),
                summary: SessionSummary::default(),
            }),
        ];
        for frame in frames {
            assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "[]",
            "{}",
            "{\"id\":1}",
            "{\"id\":1,\"method\":\"fly\",\"params\":{}}",
            "null",
            "\u{0}",
        ] {
            assert!(Frame::decode(text).is_err(), "{text:?}");
        }
    }
}
