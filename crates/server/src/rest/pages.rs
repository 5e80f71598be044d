//! Pages for people and probes: health, the document, the overview, and the way in by a one-time address. No page has a script,
//! and the session's cookie is no credential of the API.

use super::pages_kit::{Form, SESSION_COOKIE, foreign_form, gone, is_own_form, next, origin_of, page, see, strict, who};
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
        .route("/login", get(ask).post(enter))
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

/// Shows a button. Looking at the address uses nothing up.
async fn ask(State(app): State<Arc<App>>, request: Request) -> Response {
    let form = Form::of_query(&request);
    if app.desk.is_good(&app, form.get("code")) {
        page(StatusCode::OK, overview::ask(form.get("code"), next(form.get("next"))))
    } else {
        page(StatusCode::FORBIDDEN, overview::dead_code())
    }
}

/// Uses the code up.
async fn enter(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    if !is_own_form(&request) {
        return Ok(foreign_form());
    }
    let origin = origin_of(&request);
    let form = Form::of_body(request).await;
    let Some(user) = app.desk.use_code(&app, form.get("code")) else {
        return Ok(page(StatusCode::FORBIDDEN, overview::dead_code()));
    };
    let mut write = app.store.begin().await?;
    let (_, text) = session::open_browser(&app, &mut write, &user, &origin, "one-time address").await?;
    write.commit_without_revision().await?;
    // The one place where a session's text is shown: to the browser that opened it.
    Ok(see(next(form.get("next")), &[strict(SESSION_COOKIE, text.expose())]))
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
