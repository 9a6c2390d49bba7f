//! The operator's pages of the admin port: how the sites stand, and taking one out.

use crate::fleet::Fleet;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;
use std::net::IpAddr;
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for the core; further ones wait at the admin port, which has few connections.
const REQUESTS_MAX: usize = 16;
/// What the pages are, for the index of the admin port.
pub const INDEX: &[(&str, &str)] = &[
    ("/sites", "the sites that DNS answers with, and how they stand"),
    (
        "POST /sites/{name}/drain",
        "takes a site out: it is answered only when there is no other; until it is resumed or geo-DNS starts anew",
    ),
    ("POST /sites/{name}/resume", "takes it back in"),
];

/// The receiving end, for the role.
#[derive(Debug)]
pub struct Requests(mpsc::Receiver<Request>);

/// Something that the operator asks for.
#[derive(Debug)]
pub(super) enum Request {
    List(oneshot::Sender<Vec<SiteView>>),
    SetDrained {
        site: String,
        is_drained: bool,
        answer: oneshot::Sender<Option<SiteView>>,
    },
}

/// A site as it stands.
#[derive(Debug, Serialize)]
pub(super) struct SiteView {
    name: String,
    addresses: Vec<IpAddr>,
    weight: u32,
    /// `available`, `failing` or `drained`.
    standing: &'static str,
    /// Whether it is the operator who has taken it out.
    drained_by_operator: bool,
}

/// The pages, and where their requests come out. Without a role that takes them they answer 503.
pub fn channel() -> (Router, Requests) {
    let (sender, receiver) = mpsc::channel(REQUESTS_MAX);
    let routes = Router::new()
        .route("/sites", get(list))
        .route("/sites/{name}/drain", post(drain))
        .route("/sites/{name}/resume", post(resume))
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
    pub(super) fn serve(self, fleet: &mut Fleet) {
        match self {
            Self::List(answer) => {
                let _ = answer.send(views(fleet).collect());
            }
            Self::SetDrained {
                site,
                is_drained,
                answer,
            } => {
                let is_meant = |name: &str| name.eq_ignore_ascii_case(&site);
                let found = fleet
                    .sites()
                    .find(|(_, known, _)| is_meant(&known.name))
                    .map(|(id, ..)| id);
                if let Some(id) = found {
                    fleet.set_drained(id, is_drained);
                }
                let view = views(fleet).find(|view| is_meant(&view.name));
                let _ = answer.send(view);
            }
        }
    }
}

fn views(fleet: &Fleet) -> impl Iterator<Item = SiteView> {
    fleet.sites().map(|(_, site, standing)| SiteView {
        name: site.name.clone(),
        addresses: site.addresses.clone(),
        weight: site.weight,
        standing: standing.as_str(),
        drained_by_operator: site.is_drained,
    })
}

type Sender = mpsc::Sender<Request>;

async fn list(State(sender): State<Sender>) -> Response {
    match ask(&sender, Request::List).await {
        Some(sites) => Json(json!({ "sites": sites })).into_response(),
        None => ended(),
    }
}

async fn drain(State(sender): State<Sender>, Path(site): Path<String>) -> Response {
    set_drained(&sender, site, true).await
}

async fn resume(State(sender): State<Sender>, Path(site): Path<String>) -> Response {
    set_drained(&sender, site, false).await
}

async fn set_drained(sender: &Sender, site: String, is_drained: bool) -> Response {
    let request = |answer| Request::SetDrained {
        site,
        is_drained,
        answer,
    };
    match ask(sender, request).await {
        Some(Some(view)) => Json(view).into_response(),
        Some(None) => {
            let error = json!({ "error": "no such site; see /sites" });
            (StatusCode::NOT_FOUND, Json(error)).into_response()
        }
        None => ended(),
    }
}

async fn ask<T>(sender: &Sender, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
    let (answer, answered) = oneshot::channel();
    sender.send(request(answer)).await.ok()?;
    answered.await.ok()
}

fn ended() -> Response {
    let error = json!({ "error": "geo-DNS has ended" });
    (StatusCode::SERVICE_UNAVAILABLE, Json(error)).into_response()
}
