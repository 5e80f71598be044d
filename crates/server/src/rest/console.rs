//! `/console/`: the console's files, as the build took them in. It is a client of `/api/v1` like any other; nothing here knows a
//! noun, and there is no endpoint of its own.

use super::pages_kit::{encoded, origin_of, page, see, small, who};
use crate::app::App;
use crate::error::Refused;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, VARY,
};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// Scripts and styles of ours alone, requests to ourselves alone, and no text that becomes a script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/console", get(index))
        .route("/console/", get(index))
        .route("/console/{*path}", get(index))
        .route("/console/assets/{name}", get(asset))
}

/// The one page; its script reads the address. Nobody gets it without a session, so that the login comes first and leads back.
async fn index(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    if who(&app, request.headers(), &origin_of(&request)).await?.is_none() {
        return Ok(see(&format!("/login?next={}", encoded(request.uri().path())), &[]));
    }
    let Some((text, _)) = file("index.html") else { return Ok(absent()) };
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY), (REFERRER_POLICY, "no-referrer")];
    Ok((headers, text).into_response())
}

/// Scripts and styles. They hold no secret, and an unknown one is never the page. Each name holds a hash of the content, so a browser may
/// keep a file for as long as it likes (RFC 8246).
async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Refused> {
    let (bytes, small) = file(&format!("assets/{name}")).ok_or_else(|| Refused::not_found("page", "at this address"))?;
    let kind = match name.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let kept = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=31536000, immutable"), (VARY, "accept-encoding")];
    let mut response = match small {
        Some(small) if takes_gzip(&headers) => {
            let mut response = (kept, small).into_response();
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        }
        _ => (kept, bytes).into_response(),
    };
    response.headers_mut().insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    Ok(response)
}

/// Whether a client takes gzip: named, and not with a weight of nothing (RFC 9110 section 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|one| {
        let (coding, weight) = one.split_once(';').unwrap_or((one, ""));
        let none = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim_matches(['0', '.']).is_empty());
        coding.trim().eq_ignore_ascii_case("gzip") && !none
    })
}

/// A file of the console, and its gzip form if it has one.
fn file(path: &str) -> Option<(&'static [u8], Option<&'static [u8]>)> {
    FILES.iter().find(|(known, ..)| *known == path).map(|(_, bytes, small)| (*bytes, *small))
}

fn absent() -> Response {
    let body = "<p>This program was built without the console, because Node.js was not there.</p><p>Install Node.js 20.19 or newer with \
                npm, run <code>touch crates/server/build.rs</code> and build again; until then the command line and \
                <a href=\"/api/docs\">the REST API</a> do everything.</p>";
    page(StatusCode::SERVICE_UNAVAILABLE, small("No console here", body))
}
