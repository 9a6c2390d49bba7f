//! What SDKs upload from pages of any origin: a report of each call, `POST /call_report`, and what `/call_recording` shares
//! with it.

use super::notes::Notes;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;

/// Where reports are sent: the SDK makes this path up from the address of its WebSocket.
pub(super) const PATH: &str = "/call_report";
/// Longest report in bytes: what SDKs reckon with.
const REPORT_LEN_MAX: usize = 2 * 1024 * 1024;

/// The part of a report that is kept: how the browser saw the call. Its logs may hold SDP, and are not read.
#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    summary: Value,
    #[serde(default)]
    stats: Vec<Value>,
}

/// Answers a request to [`PATH`].
pub(super) async fn answer(request: Request, notes: &Notes) -> Response {
    let status = match *request.method() {
        Method::OPTIONS => StatusCode::NO_CONTENT,
        Method::POST => take(request, notes).await,
        _ => StatusCode::METHOD_NOT_ALLOWED,
    };
    to_any_origin(status)
}

/// The answer to an upload, with what a page of another origin needs in order to read it.
pub(super) fn to_any_origin(status: StatusCode) -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "content-type,x-call-id,x-call-report-id,x-voice-sdk-id",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (status, headers).into_response()
}

async fn take(request: Request, notes: &Notes) -> StatusCode {
    let Some(call) = call_of(request.headers(), notes) else {
        return StatusCode::FORBIDDEN;
    };
    let Ok(body) = axum::body::to_bytes(Body::new(request.into_body()), REPORT_LEN_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE;
    };
    match serde_json::from_slice::<Report>(&body) {
        Ok(report) => {
            let last = report.stats.last().cloned().unwrap_or_default();
            notes.report(&call, &report.summary, &last);
            StatusCode::NO_CONTENT
        }
        Err(_) => StatusCode::BAD_REQUEST,
    }
}

/// The call that an upload is about, if we have given its session the id that it shows.
pub(super) fn call_of(headers: &HeaderMap, notes: &Notes) -> Option<String> {
    let known = text(headers, "x-call-report-id").is_some_and(|id| notes.issued(&id));
    text(headers, "x-call-id").filter(|_| known)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
