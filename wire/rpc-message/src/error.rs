//! The `error` member of an answer.

use crate::{FrameId, VoiceSdkId};
use serde_json::json;

/// `error.code`. The JS SDK gives a meaning to [`ErrorCode::AuthenticationRequired`] alone: it logs in again, so that
/// this code in answer to a `login` makes it log in for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request needs a login first. Never an answer to `login`.
    AuthenticationRequired,
    /// Wrong credentials.
    AuthenticationFailed,
    /// The call does not exist, or is in no state for the request.
    CallFailed,
    /// Not a request of JSON-RPC, or more of them than the limits allow.
    InvalidRequest,
    /// No such method.
    MethodNotFound,
    /// A parameter is missing or out of its range.
    InvalidParams,
    /// Not JSON.
    ParseError,
}

impl ErrorCode {
    /// The number on the wire.
    pub const fn number(self) -> i32 {
        match self {
            ErrorCode::AuthenticationRequired => -32000,
            ErrorCode::AuthenticationFailed => -32001,
            ErrorCode::CallFailed => -32002,
            ErrorCode::InvalidRequest => -32600,
            ErrorCode::MethodNotFound => -32601,
            ErrorCode::InvalidParams => -32602,
            ErrorCode::ParseError => -32700,
        }
    }
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.number())]
pub struct RpcError {
    /// Class of the failure.
    pub code: ErrorCode,
    /// What was wrong with what, for a developer.
    pub message: String,
}

impl RpcError {
    /// An error of `code` that says `message`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The answer to the request `id` as JSON text.
    pub fn encode(&self, id: &FrameId, voice_sdk_id: &VoiceSdkId) -> String {
        json!({
            "jsonrpc": "2.0",
            "id": id,
            "error": {"code": self.code.number(), "message": self.message},
            "voice_sdk_id": voice_sdk_id,
        })
        .to_string()
    }
}
