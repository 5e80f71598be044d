//! `/pki/…`: what anybody may read of issuers, also in clear. No credential is asked for, and none is looked at.

use crate::app::{App, publication};
use crate::error::Refused;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use countersign_core::time::Timestamp;
use countersign_x509::ocsp::{REQUEST_BYTES_MAX, Refusal, Request as OcspRequest};
use countersign_x509::pem;
use std::sync::Arc;

/// After how many seconds a reader may ask again for what cannot be made at the moment.
const RETRY_SECONDS: u16 = 30;

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
    match read(&app, &file, &headers).await {
        Ok(response) => response,
        // What is not there at the moment is not what never was: readers of lists take a 404 for an address that is wrong.
        Err(refused) if refused.status != 404 => {
            let retry = [(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS)), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
            (StatusCode::SERVICE_UNAVAILABLE, retry, "this cannot be made at the moment\n").into_response()
        }
        Err(_) => (StatusCode::NOT_FOUND, "there is nothing of this name\n").into_response(),
    }
}

/// The version of a resource, for readers that have one already (RFC 9110 section 8.8).
struct Version {
    etag: String,
    made_at: Timestamp,
}

impl Version {
    /// Whether a request is answered with 304 (RFC 9110 section 13.2.2).
    fn is_known(&self, headers: &HeaderMap) -> bool {
        if headers.contains_key(IF_NONE_MATCH) {
            let tags = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
            // The weak comparison of section 8.8.3.2; no tag of ours has a comma.
            return tags.map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.etag);
        }
        let since = headers.get(IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok()).and_then(read_http_date);
        since.is_some_and(|since| self.made_at.seconds() <= since)
    }

    /// Puts the version into an answer, which becomes a 304 without a body where the reader has it.
    fn put(&self, mut response: Response, headers: &HeaderMap) -> Response {
        if self.is_known(headers) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Body::empty();
            response.headers_mut().remove(CONTENT_TYPE);
        }
        for (name, text) in [(ETAG, self.etag.clone()), (LAST_MODIFIED, http_date(self.made_at))] {
            if let Ok(value) = HeaderValue::try_from(text) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// Seconds since 1970 of a date as [`http_date`] writes it, which is the one form that senders may use (RFC 9110 section 5.6.7).
fn read_http_date(text: &str) -> Option<i64> {
    let date = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", text).ok()?;
    date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp().as_second())
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
            // A revocation is to be seen soon: caches ask again, and mostly hear that nothing changed.
            let response = answer("application/pkix-crl", list.der.clone(), 60);
            Ok(Version { etag: format!("\"{}\"", list.number), made_at: list.made_at }.put(response, headers))
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
    const KIND: &str = "application/ocsp-response";
    match publication::ocsp_by_get(&app, read).await {
        // A refusal has no signature and no time, so nobody keeps it.
        Err(refusal) => answer(KIND, refusal.response(), 0),
        Ok(made) => {
            let mut response = answer(KIND, made.der.clone(), made.max_age(app.now()));
            if let Ok(value) = HeaderValue::try_from(http_date(made.next_update)) {
                response.headers_mut().insert(EXPIRES, value);
            }
            Version { etag: made.etag.clone(), made_at: made.made_at }.put(response, request.headers())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_http_wants_them() {
        assert_eq!(http_date(Timestamp::from_seconds(784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(read_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        for other in ["", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 +0100", "yesterday"] {
            assert_eq!(read_http_date(other), None, "{other}");
        }
    }

    #[test]
    fn a_reader_that_names_the_version_in_whatever_way_is_told_that_it_has_it() {
        let version = Version { etag: "\"7\"".to_owned(), made_at: Timestamp::from_seconds(784_111_777) };
        let known = |name: axum::http::HeaderName, values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
            }
            version.is_known(&headers)
        };
        for values in [&["\"7\""][..], &["*"], &["W/\"7\""], &["\"6\", \"7\""], &["\"6\",W/\"7\" ,\"8\""], &["\"6\"", "\"7\""]] {
            assert!(known(IF_NONE_MATCH, values), "{values:?}");
        }
        for values in [&["\"6\""][..], &["7"], &[""], &["\"77\""]] {
            assert!(!known(IF_NONE_MATCH, values), "{values:?}");
        }
        assert!(
            known(IF_MODIFIED_SINCE, &["Sun, 06 Nov 1994 08:49:37 GMT"]) && known(IF_MODIFIED_SINCE, &["Sun, 06 Nov 1994 08:49:38 GMT"])
        );
        assert!(!known(IF_MODIFIED_SINCE, &["Sun, 06 Nov 1994 08:49:36 GMT"]) && !known(IF_MODIFIED_SINCE, &["soon"]));
    }
}
