//! The operator's pages of the admin port: sessions with their calls, and eviction.

use crate::output::SessionView;
use crate::server::Server;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for the core; further ones wait at the admin port, which has few connections.
const REQUESTS_MAX: usize = 16;
/// Most sessions in one answer; what is asked beyond is cut.
pub const SESSIONS_LISTED_MAX: usize = 10_000;
/// Sessions listed when nothing is asked.
const SESSIONS_LISTED_DEFAULT: usize = 100;
/// What the pages are, for the index of the admin port.
pub const INDEX: &[(&str, &str)] = &[
    (
        "/sessions",
        "clients that are logged in, with their calls; ?user=NAME, ?limit=N",
    ),
    (
        "POST /sessions/{id}/punt",
        "evicts a client: its calls end, and it stays away until its application connects anew",
    ),
    ("POST /users/{name}/punt", "evicts all clients of a user"),
];

/// The receiving end, for the VSP.
#[derive(Debug)]
pub struct Requests(mpsc::Receiver<Request>);

/// Something that the operator asks for.
#[derive(Debug)]
pub(super) enum Request {
    List {
        user: Option<String>,
        limit: usize,
        answer: oneshot::Sender<Vec<SessionView>>,
    },
    Punt {
        session: String,
        answer: oneshot::Sender<usize>,
    },
    PuntUser {
        user: String,
        answer: oneshot::Sender<usize>,
    },
}

/// The pages, and where their requests come out. Without a VSP that takes them they answer 503.
pub fn channel() -> (Router, Requests) {
    let (sender, receiver) = mpsc::channel(REQUESTS_MAX);
    let routes = Router::new()
        .route("/sessions", get(list))
        .route("/sessions/{id}/punt", post(punt))
        .route("/users/{name}/punt", post(punt_user))
        .with_state(sender);
    (routes, Requests(receiver))
}

impl Requests {
    /// The next one; `None` when nobody can ask any more.
    pub(super) async fn next(&mut self) -> Option<Request> {
        self.0.recv().await
    }
}

impl Request {
    /// Does what is asked. That nobody waits for the answer any more does not matter.
    pub(super) fn serve(self, server: &mut Server, now: Instant) {
        match self {
            Request::List { user, limit, answer } => {
                let _ = answer.send(server.sessions(now, user.as_deref(), limit));
            }
            Request::Punt { session, answer } => {
                let _ = answer.send(server.handle_punt(now, &session).into());
            }
            Request::PuntUser { user, answer } => {
                let _ = answer.send(server.handle_punt_user(now, &user));
            }
        }
    }
}

type Sender = mpsc::Sender<Request>;

#[derive(Deserialize)]
struct ListQuery {
    user: Option<String>,
    limit: Option<usize>,
}

async fn list(State(sender): State<Sender>, Query(query): Query<ListQuery>) -> Response {
    let ListQuery { user, limit } = query;
    let limit = limit.unwrap_or(SESSIONS_LISTED_DEFAULT).min(SESSIONS_LISTED_MAX);
    let sessions = ask(&sender, |answer| Request::List { user, limit, answer }).await;
    match sessions {
        Some(sessions) => Json(json!({ "sessions": sessions })).into_response(),
        None => no_vsp(),
    }
}

async fn punt(State(sender): State<Sender>, Path(session): Path<String>) -> Response {
    match ask(&sender, |answer| Request::Punt { session, answer }).await {
        Some(0) => {
            let error = json!({ "error": "no such session; see /sessions" });
            (StatusCode::NOT_FOUND, Json(error)).into_response()
        }
        Some(punted) => Json(json!({ "punted": punted })).into_response(),
        None => no_vsp(),
    }
}

async fn punt_user(State(sender): State<Sender>, Path(user): Path<String>) -> Response {
    match ask(&sender, |answer| Request::PuntUser { user, answer }).await {
        Some(punted) => Json(json!({ "punted": punted })).into_response(),
        None => no_vsp(),
    }
}

async fn ask<T>(sender: &Sender, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
    let (answer, answered) = oneshot::channel();
    sender.send(request(answer)).await.ok()?;
    answered.await.ok()
}

fn no_vsp() -> Response {
    let error = json!({ "error": "the VSP has ended" });
    (StatusCode::SERVICE_UNAVAILABLE, Json(error)).into_response()
}
