//! Around every answer: the request's id, the security headers, the problem document; and the question whether this host is ours.

use super::pages_kit;
use crate::authn::Gate;
use crate::error::{AsItIs, Refused, RequestId};
use crate::grpc;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
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
    let mut response = match host(&gate.app.settings.control_hosts, &request) {
        Host::Ours => next.run(request).await,
        Host::Malformed => Refused::invalid("the request's Host is not one host and, after a colon, a port").into_response(),
        Host::Foreign => Refused::new("misdirected", "the request names a host that this control plane does not serve")
            .hint("use the name it was set up with, or add this one to control_hosts")
            .into_response(),
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

/// What a request's host is to this control plane.
#[derive(Debug, PartialEq, Eq)]
enum Host {
    Ours,
    /// A page of somebody else's, rebound to our address.
    Foreign,
    /// Text that two readers could take for two hosts.
    Malformed,
}

fn host(hosts: &[String], request: &Request) -> Host {
    let mut given = request.headers().get_all(HOST).iter();
    let header = given.next().map(|value| value.to_str().unwrap_or(","));
    if given.next().is_some() {
        return Host::Foreign;
    }
    let authority = request.uri().authority().map(axum::http::uri::Authority::as_str);
    let named = match (authority, header) {
        (Some(a), Some(b)) if !a.eq_ignore_ascii_case(b) => return Host::Foreign,
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) => return Host::Foreign,
    };
    if named.is_empty() {
        return Host::Foreign;
    }
    let Some(host) = host_of(named) else { return Host::Malformed };
    if hosts.iter().any(|known| known.trim_matches(['[', ']']).eq_ignore_ascii_case(host)) { Host::Ours } else { Host::Foreign }
}

/// The host of `host[:port]` (RFC 9110 section 7.2), without the brackets of an IPv6 address; `None` for anything else.
fn host_of(named: &str) -> Option<&str> {
    let (host, port, plain) = match named.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest, host.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.'))
        }
        None => {
            let (host, port) = named.split_at(named.find(':').unwrap_or(named.len()));
            (host, port, host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)))
        }
    };
    let port_fits = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_digit()) && (digits.is_empty() || digits.parse::<u16>().is_ok()),
        None => port.is_empty(),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    (plain && port_fits && !host.is_empty()).then_some(host)
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

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn a_host_is_a_host_and_a_port_and_nothing_else() {
        for (good, host) in [
            ("localhost", "localhost"),
            ("localhost:8443", "localhost"),
            ("LOCALHOST.:1", "LOCALHOST"),
            ("[::1]:8443", "::1"),
            ("a.b:", "a.b"),
        ] {
            assert_eq!(host_of(good), Some(host), "{good}");
        }
        for bad in [
            "localhost:8443,evil.test",
            "localhost,evil.test",
            "localhost:8443@evil.test",
            "evil.test@localhost",
            "localhost:8443/x",
            "localhost evil",
            "localhost:99999",
            "localhost:1:2",
            "localhost:+1",
            "[::1]x",
            "[::1",
            "[localhost]",
            "::1",
            ":8443",
            ".",
            "",
        ] {
            assert_eq!(host_of(bad), None, "{bad}");
        }
    }
}
