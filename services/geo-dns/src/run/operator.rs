//! The operator's pages of the admin port: how the sites stand, and taking one out.

use crate::fleet::Fleet;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use offhook_process::operator::{self, Operator, Requests, RoleEnded};
use serde::Serialize;
use serde_json::{Value, json};
use std::net::IpAddr;

/// What the pages are, for the index of the admin port.
pub const INDEX: &[(&str, &str)] = &[
    ("/sites", "the sites that DNS answers with, and how they stand"),
    (
        "POST /sites/{name}/drain",
        "takes a site out: it is answered only when there is no other; until it is resumed or geo-DNS starts anew",
    ),
    ("POST /sites/{name}/resume", "takes it back in"),
];

/// A site as it stands.
#[derive(Debug, Serialize)]
struct SiteView {
    name: String,
    addresses: Vec<IpAddr>,
    weight: u32,
    /// `available`, `failing` or `drained`.
    standing: &'static str,
    /// Whether it is the operator who has taken it out.
    drained_by_operator: bool,
}

/// The pages, and where their requests come out. Without a role that takes them they answer 503.
pub fn channel() -> (Router, Requests<Fleet>) {
    let (operator, requests) = operator::channel("geo-DNS");
    let routes = Router::new()
        .route("/sites", get(list))
        .route("/sites/{name}/drain", post(drain))
        .route("/sites/{name}/resume", post(resume))
        .with_state(operator);
    (routes, requests)
}

async fn list(State(operator): State<Operator<Fleet>>) -> Result<Json<Value>, RoleEnded> {
    let sites = operator.ask(|fleet| views(fleet).collect::<Vec<_>>()).await?;
    Ok(Json(json!({ "sites": sites })))
}

async fn drain(operator: State<Operator<Fleet>>, Path(site): Path<String>) -> Result<Response, RoleEnded> {
    set_drained(operator, site, true).await
}

async fn resume(operator: State<Operator<Fleet>>, Path(site): Path<String>) -> Result<Response, RoleEnded> {
    set_drained(operator, site, false).await
}

async fn set_drained(
    State(operator): State<Operator<Fleet>>,
    site: String,
    is_drained: bool,
) -> Result<Response, RoleEnded> {
    let site = operator.ask(move |fleet| {
        let is_meant = |name: &str| name.eq_ignore_ascii_case(&site);
        let mut sites = fleet.sites();
        let id = sites.find_map(|(id, known, _)| is_meant(&known.name).then_some(id));
        drop(sites);
        fleet.set_drained(id?, is_drained);
        views(fleet).find(|view| is_meant(&view.name))
    });
    Ok(match site.await? {
        Some(view) => Json(view).into_response(),
        None => {
            let error = json!({ "error": "no such site; see /sites" });
            (StatusCode::NOT_FOUND, Json(error)).into_response()
        }
    })
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
