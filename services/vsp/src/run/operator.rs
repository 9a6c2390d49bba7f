//! The operator's pages of the admin port: sessions with their calls, and eviction.

use crate::server::Server;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use offhook_process::operator::{self, Operator, Requests, RoleEnded};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Instant;

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

/// The pages, and where their requests come out. Without a VSP that takes them they answer 503.
pub fn channel() -> (Router, Requests<Server>) {
    let (operator, requests) = operator::channel("the VSP");
    let routes = Router::new()
        .route("/sessions", get(list))
        .route("/sessions/{id}/punt", post(punt))
        .route("/users/{name}/punt", post(punt_user))
        .with_state(operator);
    (routes, requests)
}

#[derive(Deserialize)]
struct ListQuery {
    user: Option<String>,
    limit: Option<usize>,
}

async fn list(
    State(operator): State<Operator<Server>>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, RoleEnded> {
    let ListQuery { user, limit } = query;
    let limit = limit.unwrap_or(SESSIONS_LISTED_DEFAULT).min(SESSIONS_LISTED_MAX);
    let sessions = operator.ask(move |server| server.sessions(Instant::now(), user.as_deref(), limit));
    Ok(Json(json!({ "sessions": sessions.await? })))
}

async fn punt(
    State(operator): State<Operator<Server>>,
    Path(session): Path<String>,
) -> Result<Response, RoleEnded> {
    let punted = operator.ask(move |server| server.handle_punt(Instant::now(), &session));
    Ok(if punted.await? {
        Json(json!({ "punted": 1 })).into_response()
    } else {
        let error = json!({ "error": "no such session; see /sessions" });
        (StatusCode::NOT_FOUND, Json(error)).into_response()
    })
}

async fn punt_user(
    State(operator): State<Operator<Server>>,
    Path(user): Path<String>,
) -> Result<Json<Value>, RoleEnded> {
    let punted = operator.ask(move |server| server.handle_punt_user(Instant::now(), &user));
    Ok(Json(json!({ "punted": punted.await? })))
}
