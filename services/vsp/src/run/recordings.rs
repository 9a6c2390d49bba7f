//! Recordings that SDKs upload while a call is up: `POST /call_recording`, each segment into a file of its own.

use super::notes::Notes;
use super::reports::{UPLOAD_WAIT, body_of, call_of, to_any_origin};
use crate::uploads::recording_name;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use tokio::sync::Semaphore;

/// Where the SDK sends recordings.
pub(super) const PATH: &str = "/call_recording";
/// Longest segment in bytes: 15 s of one track have 4 MB, and pages may ask for longer ones.
const SEGMENT_LEN_MAX: usize = 16 * 1024 * 1024;
/// Segments that are taken at once, each of which is in memory: the SDK tries others again.
const UPLOADS_MAX: usize = 8;

/// The directory of recordings, and how much is in it.
pub(super) struct Recordings {
    directory: PathBuf,
    bytes_max: u64,
    bytes: AtomicU64,
    last: AtomicU64,
    uploads: Semaphore,
}

impl Recordings {
    /// Recordings in `directory`, which is made if it is not there; at most `bytes_max` in all.
    pub(super) fn open(directory: &Path, bytes_max: u64) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let mut bytes = 0;
        for entry in std::fs::read_dir(directory)? {
            bytes += entry?.metadata()?.len();
        }
        Ok(Self {
            directory: directory.to_owned(),
            bytes_max,
            bytes: AtomicU64::new(bytes),
            last: AtomicU64::new(0),
            uploads: Semaphore::new(UPLOADS_MAX),
        })
    }

    /// Answers a request to [`PATH`].
    pub(super) async fn answer(&self, request: Request, notes: &Notes) -> Response {
        to_any_origin(match *request.method() {
            Method::OPTIONS => StatusCode::NO_CONTENT,
            Method::POST => self.take(request, notes).await,
            _ => StatusCode::METHOD_NOT_ALLOWED,
        })
    }

    async fn take(&self, request: Request, notes: &Notes) -> StatusCode {
        let Some(call) = call_of(request.headers(), notes) else {
            return StatusCode::FORBIDDEN;
        };
        let Ok(_upload) = self.uploads.try_acquire() else {
            return StatusCode::SERVICE_UNAVAILABLE;
        };
        let body = match body_of(request, SEGMENT_LEN_MAX, UPLOAD_WAIT).await {
            Ok(body) => body,
            Err(status) => return status,
        };
        if body.first() != Some(&b'{') {
            return StatusCode::BAD_REQUEST;
        }
        let len = body.len() as u64;
        if self.bytes.fetch_add(len, Ordering::Relaxed) + len > self.bytes_max {
            self.bytes.fetch_sub(len, Ordering::Relaxed);
            tracing::warn!(call, directory = %self.directory.display(), "recording refused: the directory is full");
            return StatusCode::INSUFFICIENT_STORAGE;
        }
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let file = self.directory.join(recording_name(&call, since_1970, number));
        match tokio::fs::write(&file, &body).await {
            Ok(()) => StatusCode::NO_CONTENT,
            Err(error) => {
                self.bytes.fetch_sub(len, Ordering::Relaxed);
                tracing::error!(call, file = %file.display(), %error, "cannot keep a recording");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }
}
