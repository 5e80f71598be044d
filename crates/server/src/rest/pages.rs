//! Pages for people and probes: health, the document, the overview, the way out. No page has a script,
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
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::routing::{get, post};
use std::sync::Arc;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(index))
        .route("/logout", post(leave))
        .route("/pages.css", get(|| async { ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("pages.css")) }))
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

/// Ready when there is an account, and the store answers.
async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Refused> {
    let account = app.store.read().await?.account().await?;
    if account.is_none() {
        return Err(Refused::unavailable("there is no account yet"));
    }
    Ok("ready\n")
}
