//! The softphone: its files in the binary, and the routes that serve them.

use crate::demo::Demo;
use axum::{
    Json, Router,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Name and content; empty if the page was not built.
const FILES: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// Served in place of a page that was not built.
const PLACEHOLDER: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Offhook</title>\
    <body style='font:16px system-ui;margin:4rem auto;max-width:40rem'><h1>Offhook runs</h1>\
    <p>This binary was built without the softphone. Run <code>cargo xtask up</code>, which builds it.\
    <p>The WebSocket for the SDK is here all the same, at this address.";

/// The page runs its own files alone, and talks to this host alone.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; media-src 'self' blob: mediastream:; connect-src 'self' ws: wss:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /` and the files it asks for; `/demo.json` where this is a demo.
pub(crate) fn routes(demo: Option<Demo>) -> Router {
    let files = Router::new()
        .route("/", get(async |headers: HeaderMap| serve("index.html", &headers)))
        .route(
            "/{file}",
            get(async |Path(file): Path<String>, headers: HeaderMap| serve(&file, &headers)),
        );
    match demo {
        Some(demo) => files.route("/demo.json", get(async move || Json(demo))),
        None => files,
    }
}

/// True if the softphone is in the binary.
pub(crate) fn is_built() -> bool {
    find("index.html").is_some()
}

fn find(name: &str) -> Option<&'static [u8]> {
    FILES
        .iter()
        .find(|(file, _)| *file == name)
        .map(|(_, content)| *content)
}

fn serve(name: &str, request: &HeaderMap) -> Response {
    let Some(content) = find(name) else {
        let placeholder = name == "index.html";
        return if placeholder {
            Html(PLACEHOLDER).into_response()
        } else {
            StatusCode::NOT_FOUND.into_response()
        };
    };
    let tag = entity_tag(content);
    let headers = [
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(CONTENT_SECURITY_POLICY),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        // Kept, but asked for each time: a new binary shows at once.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, tag.clone()),
    ];
    if request.get(header::IF_NONE_MATCH) == Some(&tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)))];
    (headers, content_type, content).into_response()
}

fn entity_tag(content: &[u8]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    HeaderValue::from_str(&format!("\"{:016x}\"", hasher.finish()))
        .expect("quoted hexadecimal is a header value")
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("wav") => "audio/wav",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_there_always_is() {
        let response = serve("index.html", &HeaderMap::new());
        assert_eq!(response.status(), StatusCode::OK);
        assert!(
            response.headers()[header::CONTENT_TYPE]
                .to_str()
                .unwrap()
                .starts_with("text/html")
        );
        assert_eq!(
            serve("../Cargo.toml", &HeaderMap::new()).status(),
            StatusCode::NOT_FOUND
        );
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let Some((name, content)) = FILES.first() else {
            return;
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, entity_tag(content));
        assert_eq!(serve(name, &headers).status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn types_by_name() {
        assert_eq!(content_type("app.js"), "text/javascript; charset=utf-8");
        assert_eq!(content_type("noname"), "application/octet-stream");
    }
}
