//! The admin port: health, metrics and traces over HTTP, for the machine's own eyes.

mod connections;

use crate::{Context, Problem, RoleStatus, Secret, Shutdown};
use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode, header, uri::Authority},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::net::TcpListener;

pub use connections::CONNECTIONS_MAX;
use offhook_transport::BindError;

/// Most calls in one answer of `/calls`; what is asked beyond is cut.
pub const CALLS_LISTED_MAX: usize = 1_000;
/// Calls listed when nothing is asked.
const CALLS_LISTED_DEFAULT: usize = 100;

/// Where the admin port listens.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Address and port. Other than loopback only with `token`.
    pub listen: SocketAddr,
    /// Bearer token that each request must carry (`Authorization: Bearer …`), except `/healthz` and `/readyz`.
    pub token: Option<Secret>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9090)),
            token: None,
        }
    }
}

impl AdminConfig {
    /// Everything that is wrong, with its place below `admin`.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.is_open_to_all() {
            let what = format!(
                "{} is not loopback: everybody could look at calls, and end them",
                self.listen
            );
            let remedy = "Set admin.token, or listen on 127.0.0.1";
            problems.push(Problem::error("listen", what, remedy));
        }
        if self.token.as_ref().is_some_and(|token| token.expose().is_empty()) {
            let remedy = "Give a long random text, as { env = \"NAME\" } or { file = \"/path\" }";
            problems.push(Problem::error("token", "the token is empty", remedy));
        }
        problems
    }

    fn is_open_to_all(&self) -> bool {
        !self.listen.ip().is_loopback() && self.token.is_none()
    }
}

/// Pages that a role adds to the admin port. They need the token as the others do.
#[derive(Debug, Default)]
pub struct Pages {
    /// What serves them.
    pub routes: Router,
    /// Path of each and what it is, for the index.
    pub index: Vec<(&'static str, &'static str)>,
}

impl Pages {
    /// Adds those of another role.
    pub fn merge(mut self, routes: Router, index: &[(&'static str, &'static str)]) -> Self {
        self.routes = self.routes.merge(routes);
        self.index.extend(index);
        self
    }
}

/// Why the admin port could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// It would be open to the network without a token.
    #[error("admin.listen is {0}, which is not loopback: set admin.token, or listen on 127.0.0.1")]
    OpenToAll(SocketAddr),
    /// The address cannot be bound.
    #[error("admin.listen: {0}")]
    Bind(#[from] BindError),
}

/// The open port.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    local_address: SocketAddr,
    routes: Router,
}

impl Admin {
    /// Opens the port; `pages` are those of the roles, beside what every process has.
    pub async fn bind(config: &AdminConfig, context: Context, pages: Pages) -> Result<Self, AdminError> {
        let address = config.listen;
        if config.is_open_to_all() {
            return Err(AdminError::OpenToAll(address));
        }
        let listener = offhook_transport::listen_tcp(address).await?;
        let local_address = listener.local_addr().unwrap_or(address);
        Ok(Self {
            listener,
            local_address,
            routes: routes(context, config.token.clone(), pages),
        })
    }

    /// Where it listens, with the port that the system chose if 0 was asked.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Serves until the process stops.
    pub async fn serve(self, mut shutdown: Shutdown) {
        tokio::select! {
            () = connections::serve(self.listener, self.routes) => {}
            () = shutdown.stopped() => {}
        }
    }
}

#[derive(Serialize)]
struct ReadyBody {
    ready: bool,
    roles: Vec<RoleStatus>,
}

#[derive(Deserialize)]
struct ListQuery {
    limit: Option<usize>,
}

fn routes(context: Context, token: Option<Secret>, pages: Pages) -> Router {
    let pages_index: Arc<[_]> = pages.index.into();
    let index = move |State(context): State<Context>| async move { index(&context, &pages_index) };
    let guarded = Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/calls", get(calls))
        .route("/calls/{id}", get(call))
        .merge(pages.routes.with_state(()))
        .layer(middleware::from_fn(no_web_pages))
        .layer(middleware::from_fn_with_state(Arc::new(token), authorize));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .merge(guarded)
        .fallback(async || not_found("no such page; see /"))
        .with_state(context)
}

async fn authorize(State(token): State<Arc<Option<Secret>>>, request: Request, next: Next) -> Response {
    let Some(token) = token.as_ref() else {
        return if names_this_machine(request.headers()) {
            next.run(request).await
        } else {
            let error = "without admin.token this port goes by the name of localhost or an IP address alone";
            (StatusCode::MISDIRECTED_REQUEST, Json(json!({ "error": error }))).into_response()
        };
    };
    if carries(request.headers(), token.expose()) {
        next.run(request).await
    } else {
        let body =
            Json(json!({"error": "this port wants Authorization: Bearer with the token of admin.token"}));
        (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, "Bearer")],
            body,
        )
            .into_response()
    }
}

/// Whether a request is for an address or `localhost`. A web page whose name its owner has made to lead here (DNS rebinding)
/// sends that name, and could otherwise read in the operator's browser what nobody else can reach.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else {
        return true; // HTTP/1.0, which browsers do not speak.
    };
    let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        let host = authority.host().trim_matches(['[', ']']);
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
    })
}

/// A page in the operator's browser may not do anything here in the operator's name: browsers say where a request comes from
/// whenever it is more than reading.
async fn no_web_pages(request: Request, next: Next) -> Response {
    if request.method().is_safe() || !request.headers().contains_key(header::ORIGIN) {
        return next.run(request).await;
    }
    let body = Json(json!({"error": "web pages may not change anything here"}));
    (StatusCode::FORBIDDEN, body).into_response()
}

fn carries(headers: &HeaderMap, token: &str) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    given
        .and_then(|value| value.strip_prefix("Bearer "))
        .is_some_and(|given| same(given, token))
}

/// Compares in a time that depends on the length of `given` alone.
fn same(given: &str, token: &str) -> bool {
    let differences = given
        .bytes()
        .zip(token.bytes().cycle())
        .fold(0, |all, (a, b)| all | (a ^ b));
    differences == 0 && given.len() == token.len()
}

fn index(context: &Context, more: &[(&str, &str)]) -> Json<serde_json::Value> {
    let mut index = json!({
        "node": context.node,
        "version": env!("CARGO_PKG_VERSION"),
        "/healthz": "200 while the process runs",
        "/readyz": "200 when every role serves, otherwise 503; each role's state and addresses",
        "/metrics": "OpenMetrics text",
        "/calls": "the last calls, the latest first; ?limit=N",
        "/calls/{id}": "the trace of a call, by call id, client callID or SIP Call-ID",
    });
    for (path, what) in more {
        index[*path] = json!(what);
    }
    Json(index)
}

async fn ready(State(context): State<Context>) -> Response {
    let ready = context.readiness.is_ready();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(ReadyBody {
            ready,
            roles: context.readiness.roles(),
        }),
    )
        .into_response()
}

async fn metrics(State(context): State<Context>) -> Response {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], context.metrics.encode()).into_response()
}

async fn calls(State(context): State<Context>, Query(query): Query<ListQuery>) -> Response {
    let limit = query.limit.unwrap_or(CALLS_LISTED_DEFAULT).min(CALLS_LISTED_MAX);
    Json(json!({ "calls": context.traces.list(limit) })).into_response()
}

async fn call(State(context): State<Context>, Path(id): Path<String>) -> Response {
    match context.traces.find(&id) {
        Some(call) => Json(call).into_response(),
        None => not_found("no such call among those that are kept; see /calls"),
    }
}

fn not_found(what: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "error": what }))).into_response()
}
