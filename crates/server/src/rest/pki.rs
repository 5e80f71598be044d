//! `/pki/…`: what anybody may read of issuers, also in clear. No credential is asked for, and none is looked at.

use crate::app::{App, publication};
use crate::error::Refused;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use countersign_core::time::Timestamp;
use countersign_x509::ocsp::{REQUEST_BYTES_MAX, Refusal, Request as OcspRequest};
use countersign_x509::pem;
use std::sync::Arc;

/// The routes, for the control plane's port and for the one in clear.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/pki/ocsp", post(ocsp_post)).route("/pki/ocsp/{*request}", get(ocsp_get)).route("/pki/{file}", get(file))
}

impl App {
    /// What is served in clear, and nothing else.
    pub fn pki_router(self: &Arc<Self>) -> Router {
        router().with_state(Arc::clone(self))
    }
}

/// RFC 9110 section 5.6.7.
fn http_date(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.seconds())
        .map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default()
}

fn answer(kind: &'static str, body: impl Into<Body>, age: i64) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(value) = HeaderValue::try_from(format!("max-age={age}, public, no-transform, must-revalidate")) {
        headers.insert(CACHE_CONTROL, value);
    }
    response
}

async fn file(State(app): State<Arc<App>>, Path(file): Path<String>, headers: HeaderMap) -> Response {
    read(&app, &file, &headers).await.unwrap_or_else(|_| (StatusCode::NOT_FOUND, "there is nothing of this name\n").into_response())
}

async fn read(app: &App, file: &str, headers: &HeaderMap) -> Result<Response, Refused> {
    const DAY: i64 = 86_400;
    let (name, kind) = file.rsplit_once('.').unwrap_or((file, ""));
    match kind {
        "crt" => {
            let (issuer, _) = publication::chain(app, name).await?;
            Ok(answer("application/pkix-cert", issuer.der, DAY))
        }
        "pem" => {
            let (_, chain) = publication::chain(app, name).await?;
            let text: String = chain.iter().map(|der| format!("{}\n", pem::certificate(der))).collect();
            Ok(answer("application/x-pem-file", text.into_bytes(), DAY))
        }
        "crl" => {
            let list = publication::crl(app, name).await?;
            let (etag, made) = (format!("\"{}\"", list.number), http_date(list.made_at));
            let is = |name, text: &str| headers.get(name).and_then(|value| value.to_str().ok()) == Some(text);
            let known = if headers.contains_key(IF_NONE_MATCH) { is(IF_NONE_MATCH, &etag) } else { is(IF_MODIFIED_SINCE, &made) };
            // A revocation is to be seen soon: caches ask again, and mostly hear that nothing changed.
            let mut response = answer("application/pkix-crl", if known { Bytes::new() } else { list.der.clone() }, 60);
            if known {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response.headers_mut().remove(CONTENT_TYPE);
            }
            for (name, text) in [(ETAG, etag), (LAST_MODIFIED, made)] {
                if let Ok(value) = HeaderValue::try_from(text) {
                    response.headers_mut().insert(name, value);
                }
            }
            Ok(response)
        }
        _ => Err(Refused::not_found("file", file)),
    }
}

async fn ocsp_post(State(app): State<Arc<App>>, request: Request) -> Response {
    let read = match to_bytes(request.into_body(), REQUEST_BYTES_MAX).await {
        Ok(bytes) => OcspRequest::read(&bytes),
        Err(_) => Err(Refusal::MalformedRequest),
    };
    answer("application/ocsp-response", publication::ocsp(&app, read).await, 0)
}

async fn ocsp_get(State(app): State<Arc<App>>, request: Request) -> Response {
    // The path as it came: base64 has characters that a decoded path would split.
    let text = request.uri().path().strip_prefix("/pki/ocsp/").unwrap_or_default().to_owned();
    let read = if text.len() > 2 * REQUEST_BYTES_MAX { Err(Refusal::MalformedRequest) } else { OcspRequest::from_path(&text) };
    let age = publication::OCSP_INTERVAL.seconds() / 2;
    answer("application/ocsp-response", publication::ocsp(&app, read).await, age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_http_wants_them() {
        assert_eq!(http_date(Timestamp::from_seconds(784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
