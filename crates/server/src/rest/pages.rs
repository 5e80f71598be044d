//! What anybody may read: health, the document, and two small pages.

use crate::app::App;
use crate::error::Refused;
use crate::openapi;
use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

/// The pages may load their own styles and nothing else.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(index))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/api/openapi.json", get(|| async { ([(CONTENT_TYPE, "application/json")], openapi::document()) }))
        .route("/api/docs", get(|| async { page(openapi::page().to_owned()) }))
        .route("/api/docs.css", get(|| async { ([(CONTENT_TYPE, "text/css; charset=utf-8")], openapi::STYLES) }))
}

fn page(text: String) -> Response {
    ([(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, PAGE_POLICY)], text).into_response()
}

async fn index() -> Response {
    let body = "<h1>Countersign</h1><p>This is the control plane: it makes and ends the API keys and client certificates that its gateways let in.</p>\
                <p>Read <a href=\"/api/docs\">what its REST API offers</a>, or use the command line: <code>countersign --help</code>.</p>\
                <p>The web console is not in this version.</p>";
    page(openapi::shell("Countersign", body))
}

/// Ready when there is an account, and the store answers.
async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Refused> {
    let account = app.store.read().await?.account().await?;
    if account.is_none() {
        return Err(Refused::unavailable("there is no account yet"));
    }
    Ok("ready\n")
}
