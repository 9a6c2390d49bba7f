//! What SDKs upload from pages of any origin: a report of each call, `POST /call_report`, and what `/call_recording` shares
//! with it.

use super::notes::Notes;
use crate::uploads::Report;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::timeout;

/// Where reports are sent: the SDK makes this path up from the address of its WebSocket.
pub(super) const PATH: &str = "/call_report";
/// Longest report in bytes: what SDKs reckon with.
const REPORT_LEN_MAX: usize = 2 * 1024 * 1024;
/// How long an upload may take: the longest recording at some 2 Mbit/s.
pub(super) const UPLOAD_WAIT: Duration = Duration::from_secs(60);

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
    let body = match body_of(request, REPORT_LEN_MAX, UPLOAD_WAIT).await {
        Ok(body) => body,
        Err(status) => return status,
    };
    match Report::read(&body) {
        Some(report) => {
            notes.report(&call, &report);
            StatusCode::NO_CONTENT
        }
        None => StatusCode::BAD_REQUEST,
    }
}

/// The body of an upload of at most `len_max` bytes that comes within `wait`, or why it is not taken.
pub(super) async fn body_of(request: Request, len_max: usize, wait: Duration) -> Result<Bytes, StatusCode> {
    match timeout(wait, axum::body::to_bytes(request.into_body(), len_max)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use futures_util::stream;
    use std::io;

    #[tokio::test]
    async fn an_upload_that_does_not_end_holds_no_place_for_ever() {
        let endless = Body::from_stream(stream::pending::<io::Result<Bytes>>());
        let wait = Duration::from_millis(1);
        let taken = body_of(Request::new(endless), 10, wait).await;
        assert_eq!(taken, Err(StatusCode::REQUEST_TIMEOUT));
        let taken = body_of(Request::new(Body::from("0123456789x")), 10, UPLOAD_WAIT).await;
        assert_eq!(taken, Err(StatusCode::PAYLOAD_TOO_LARGE));
    }
}
