//! Pages for people and probes: health, the document, the overview, the way out. No page has a script but that of
//! recovery codes, which copies them,
//! and the session's cookie is no credential of the API.

use super::pages_kit::{SESSION_COOKIE, foreign_form, gone, is_own_form, origin_of, page, see, who};
use super::pages_overview as overview;
use crate::app::App;
use crate::error::Refused;
use crate::login::session;
use crate::openapi;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::sync::Arc;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(index))
        .route("/logout", post(leave))
        .route("/pages.css", get(|| async { ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("pages.css")) }))
        .route("/pages.js", get(|| async { ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("pages.js")) }))
        .route("/favicon.svg", get(icon))
        .route("/favicon.ico", get(icon))
        .route("/robots.txt", get(|| async { "User-agent: *\nDisallow: /\n" }))
        .route("/ca.pem", get(authority))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/api/openapi.json", get(|| async { ([(CONTENT_TYPE, "application/json")], openapi::document()) }))
        .route("/api/docs", get(|| async { page(StatusCode::OK, openapi::page().to_owned()) }))
        .route("/api/docs.css", get(|| async { ([(CONTENT_TYPE, "text/css; charset=utf-8")], openapi::STYLES) }))
}

async fn index(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let Some(current) = who(&app, request.headers(), &origin_of(&request)).await? else {
        return Ok(page(StatusCode::OK, overview::signed_out()));
    };
    overview::render(&app, &current.caller, &current.actor).await.map(|text| page(StatusCode::OK, text))
}

async fn leave(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    if !is_own_form(&request) {
        return Ok(foreign_form());
    }
    if let Some(current) = who(&app, request.headers(), &origin_of(&request)).await? {
        session::close(&app, &current.row, &origin_of(&request)).await?;
    }
    Ok(see("/", &[gone(SESSION_COOKIE)]))
}

/// The mark that browsers show beside the title. It is the same for everybody, and a day old at most.
async fn icon() -> impl IntoResponse {
    ([(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, "public, max-age=86400")], include_str!("favicon.svg"))
}

/// The CA that signs the certificates of this port and of the gateway, as PEM: what `--cacert` wants. A certificate is public.
async fn authority(State(app): State<Arc<App>>) -> Result<Response, Refused> {
    if app.settings.server_ca.is_empty() {
        return Err(Refused::not_found("CA certificate", "this control plane was given a certificate of another CA"));
    }
    Ok(([(CONTENT_TYPE, "application/x-pem-file")], app.settings.server_ca.clone()).into_response())
}

/// Ready when there is an account, and the store answers.
async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Refused> {
    let account = app.store.read().await?.account().await?;
    if account.is_none() {
        return Err(Refused::unavailable("there is no account yet"));
    }
    Ok("ready\n")
}
