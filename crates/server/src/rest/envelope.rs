//! Around every answer: the request's id, the security headers, the problem document; and the question whether this host is ours.

use super::pages_kit;
use crate::authn::Gate;
use crate::error::{AsItIs, Refused, RequestId};
use crate::grpc;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Wraps the whole surface.
pub async fn wrap(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let mut bytes = [0_u8; 16];
    gate.app.entropy.fill(&mut bytes);
    let id = countersign_core::credential::hex(&bytes);
    request.extensions_mut().insert(RequestId(id.clone()));
    let (call, cloud) = (grpc::is_call(request.headers()), grpc::http_json::is_ours(request.uri().path()));
    let page = is_for_a_person(&request);
    let mut response = if is_ours(&gate.app.settings.control_hosts, &request) {
        next.run(request).await
    } else {
        Refused::new("misdirected", "the request names a host that this control plane does not serve")
            .hint("use the name it was set up with, or add this one to control_hosts")
            .into_response()
    };
    // A refusal before its service saw the call, in the words of the surface it came by.
    if (call || cloud)
        && let Some(refused) = response.extensions_mut().remove::<Refused>()
    {
        let status = refused.into();
        response = if call { grpc::status::response(status) } else { grpc::http_json::error(&status) };
    }
    if page && response.extensions().get::<Refused>().is_some_and(|refused| matches!(refused.status, 401 | 404)) {
        response = pages_kit::nothing_here();
    }
    finish(response, &id)
}

/// Whether a browser asks for a page: what has no page is said to a person in words, not as JSON.
fn is_for_a_person(request: &Request) -> bool {
    let accepts = request.headers().get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(|text| text.contains("text/html")));
    let path = request.uri().path();
    let is_api = ["/api/", "/cloud/", "/oauth/", "/pki/"].iter().any(|root| path.starts_with(root));
    request.method() == Method::GET && accepts && !is_api
}

/// Whether the host that the request names is one of ours: another one is a page of somebody else's, rebound to our address.
fn is_ours(hosts: &[String], request: &Request) -> bool {
    let mut given = request.headers().get_all(HOST).iter();
    let header = given.next().map(|value| value.to_str().unwrap_or(""));
    if given.next().is_some() {
        return false;
    }
    let authority = request.uri().authority().map(axum::http::uri::Authority::as_str);
    let named = match (authority, header) {
        (Some(a), Some(b)) if !a.eq_ignore_ascii_case(b) => return false,
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) => return false,
    };
    let host = match named.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(host, _)| host),
        None => named.split_once(':').map_or(named, |(host, _)| host),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    !host.is_empty() && hosts.iter().any(|known| known.trim_matches(['[', ']']).eq_ignore_ascii_case(host))
}

fn finish(response: Response, id: &str) -> Response {
    let (mut parts, mut body) = response.into_parts();
    let as_it_is = parts.extensions.remove::<AsItIs>().is_some();
    let refused = parts.extensions.remove::<Refused>().or_else(|| match parts.status.as_u16() {
        _ if as_it_is => None,
        // What a framework refuses on its own, in our words.
        400 => Some(Refused::invalid("the request cannot be read")),
        500.. => Some(Refused::unavailable("an answer without a reason")),
        _ => None,
    });
    if let Some(refused) = refused {
        parts.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let text = serde_json::to_vec(&refused.problem(id)).unwrap_or_default();
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.insert(axum::http::header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        parts.status = axum::http::StatusCode::from_u16(refused.status).unwrap_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR);
        body = Body::from(text);
    }
    // The id is hexadecimal, which every header may hold.
    if let Ok(value) = HeaderValue::from_str(id) {
        parts.headers.insert(REQUEST_ID, value);
    }
    // Only what anyone may read says that it may be kept.
    parts.headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    parts.headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    parts
        .headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"));
    Response::from_parts(parts, body)
}
