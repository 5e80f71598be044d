//! Pages for people and probes: health, the document, the way in, and one read-only overview. No page changes anything but its
//! own session, none has a script, and the session's cookie is no credential anywhere else.

use super::pages_overview as overview;
use crate::app::caller::Caller;
use crate::app::{App, unit};
use crate::error::{Refused, RequestId};
use crate::listener::Peer;
use crate::openapi;
use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, REFERRER_POLICY, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use countersign_core::authz::Actor;
use std::sync::Arc;

/// The pages may load their own styles, send their own forms, and nothing else.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// The prefix binds the cookie to this host, to TLS and to the path `/` (RFC 6265bis section 4.1.3.2).
const SESSION_COOKIE: &str = "__Host-countersign-session";
/// Bytes of a form: a code and its name.
const FORM_BYTES_MAX: usize = 1024;

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

fn page(status: StatusCode, text: String) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, PAGE_POLICY),
        // The address of the login page holds its code.
        (REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, text).into_response()
}

fn see_home(cookie: &str) -> Response {
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, "/"), (REFERRER_POLICY, "no-referrer")]).into_response();
    // The value is hexadecimal or empty, which every header may hold.
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(SET_COOKIE, value);
    }
    response
}

/// The session's text, when exactly one is given.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let mut found = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(SESSION_COOKIE)?.strip_prefix('='));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

fn origin_of(request: &Request) -> (String, String) {
    let source = request.extensions().get::<Peer>().map(|peer| peer.0.ip().to_string()).unwrap_or_default();
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    (source, id)
}

fn who(app: &App, request: &Request) -> Option<(Caller, Actor)> {
    let (source, id) = origin_of(request);
    app.desk.who(app, cookie(request.headers())?, source, id)
}

/// Whether a page of this very origin sent the form. A page with `no-referrer` sends `Origin: null`, so that a browser's own word,
/// `Sec-Fetch-Site`, is asked first; one that says neither is refused.
fn is_own_form(request: &Request) -> bool {
    let headers = request.headers();
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let host = request.uri().authority().map(|a| a.as_str()).or_else(|| headers.get(HOST)?.to_str().ok());
    match (headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()), host) {
        (Some(origin), Some(host)) => origin.strip_prefix("https://").is_some_and(|named| named.eq_ignore_ascii_case(host)),
        _ => false,
    }
}

async fn index(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let Some((caller, actor)) = who(&app, &request) else {
        return Ok(page(StatusCode::OK, overview::signed_out()));
    };
    overview::render(&app, &caller, &actor).await.map(|text| page(StatusCode::OK, text))
}

/// The one parameter `code` of a query or form; nothing else may stand there.
fn code_in(query: &str) -> Option<String> {
    // A query has no other reader here than the one for addresses.
    let uri: Uri = format!("/?{query}").parse().ok()?;
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&uri).ok()?;
    match <[(String, String); 1]>::try_from(pairs) {
        Ok([(name, code)]) if name == "code" => Some(code),
        _ => None,
    }
}

/// Shows a button. Looking at the address uses nothing up.
async fn ask(State(app): State<Arc<App>>, request: Request) -> Response {
    let code = request.uri().query().and_then(code_in);
    match code.filter(|code| app.desk.is_good(&app, code)) {
        Some(code) => page(StatusCode::OK, overview::ask(&code)),
        None => page(StatusCode::FORBIDDEN, overview::dead_code()),
    }
}

/// Uses the code up.
async fn enter(State(app): State<Arc<App>>, request: Request) -> Response {
    if !is_own_form(&request) {
        return page(StatusCode::FORBIDDEN, overview::foreign_form());
    }
    let (source, request_id) = origin_of(&request);
    let body = super::body::whole(request.into_body()).await;
    let code = body.ok().filter(|bytes| bytes.len() <= FORM_BYTES_MAX).and_then(|bytes| code_in(std::str::from_utf8(&bytes).ok()?));
    let Some((identity, session)) = code.and_then(|code| app.desk.open(&app, &code)) else {
        return page(StatusCode::FORBIDDEN, overview::dead_code());
    };
    let caller = Caller { source, request_id, system: false, ..Caller::system(identity) };
    record(&app, &caller, "SignIn").await;
    // The one place where a session's text is shown: to the browser that opened it.
    see_home(&format!("{SESSION_COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Strict", session.expose()))
}

async fn leave(State(app): State<Arc<App>>, request: Request) -> Response {
    if !is_own_form(&request) {
        return page(StatusCode::FORBIDDEN, overview::foreign_form());
    }
    if let Some((caller, _)) = who(&app, &request) {
        app.desk.close(cookie(request.headers()).unwrap_or_default());
        record(&app, &caller, "SignOut").await;
    }
    see_home(&format!("{SESSION_COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"))
}

/// A session changes no right, so that an audit trail that cannot be written does not keep it from beginning or ending.
async fn record(app: &App, caller: &Caller, action: &str) {
    if let Err(error) = unit::record_session(app, caller, action).await {
        tracing::error!(%error, action, "a session could not be recorded in the audit trail");
    }
}

/// Ready when there is an account, and the store answers.
async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Refused> {
    let account = app.store.read().await?.account().await?;
    if account.is_none() {
        return Err(Refused::unavailable("there is no account yet"));
    }
    Ok("ready\n")
}
