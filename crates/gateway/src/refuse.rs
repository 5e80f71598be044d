//! The face of a refusal: HTTP with a small JSON body, or gRPC with trailers only. Says the code's own sentence and an id; the reason
//! stays in the log of refusals (promise P11).

use crate::body::Download;
use crate::live::Ended;
use crate::strict;
use bytes::Bytes;
use countersign_core::RefusalCode;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};

/// Under which id the refusal can be looked up.
pub(crate) const REFUSAL_ID: HeaderName = HeaderName::from_static("countersign-refusal-id");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether a content type is gRPC's, gRPC-Web's included.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Gives a trailers-only answer the content type that a gRPC-Web client looks for. The upstream's own answers have it already.
pub(crate) fn as_grpc_web(response: &mut Response<Download>) {
    if response.headers().get(CONTENT_TYPE).is_some_and(|value| value == "application/grpc") {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc-web+proto"));
    }
}

/// Whether a content type is gRPC-Web's.
pub(crate) fn is_grpc_web(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc-web"))
}

/// The answer to a request that is refused. `close` ends an HTTP/1 connection after it.
pub(crate) fn response(ended: &Ended, grpc: bool, close: bool) -> Response<Download> {
    let mut response = if grpc { grpc_response(ended) } else { http_response(ended) };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(ended.id.as_str()) {
        headers.insert(REFUSAL_ID, id);
    }
    if close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn http_response(ended: &Ended) -> Response<Download> {
    let body = serde_json::json!({
        "error": { "code": ended.code.as_str(), "message": ended.code.message(), "refusal_id": ended.id.as_str() }
    });
    let mut response = Response::new(Download::full(Bytes::from(body.to_string())));
    // Every code of the table has a valid status.
    *response.status_mut() = StatusCode::from_u16(ended.code.http_status()).unwrap_or(StatusCode::FORBIDDEN);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match ended.code {
        RefusalCode::KeyMissing
        | RefusalCode::KeyMalformed
        | RefusalCode::KeyUnknown
        | RefusalCode::KeyExpired
        | RefusalCode::KeyDisabled => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        RefusalCode::MethodNotAllowed => {
            headers.insert(ALLOW, HeaderValue::from_static(strict::METHODS));
        }
        _ => {}
    }
    response
}

fn grpc_response(ended: &Ended) -> Response<Download> {
    let mut response = Response::new(Download::empty());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    grpc_status(ended.code, response.headers_mut());
    if let Some(details) = &ended.details {
        response.headers_mut().insert(GRPC_DETAILS, details.clone());
    }
    response
}

fn grpc_status(code: RefusalCode, headers: &mut HeaderMap) {
    headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(code.grpc_status())));
    let mut message = String::new();
    for byte in code.message().bytes() {
        // gRPC over HTTP/2, "Percent-Encoded": what is not printable ASCII, and the percent sign.
        if (0x20..=0x7e).contains(&byte) && byte != b'%' {
            message.push(char::from(byte));
        } else {
            message.push_str(&format!("%{byte:02X}"));
        }
    }
    if let Ok(message) = HeaderValue::from_str(&message) {
        headers.insert(GRPC_MESSAGE, message);
    }
}

/// The trailers that end a gRPC stream whose head was sent, when admission ended it.
pub(crate) fn trailers(ended: &Ended) -> HeaderMap {
    let mut trailers = broken_off(ended.code);
    if let Ok(id) = HeaderValue::from_str(ended.id.as_str()) {
        trailers.insert(REFUSAL_ID, id);
    }
    if let Some(details) = &ended.details {
        trailers.insert(GRPC_DETAILS, details.clone());
    }
    trailers
}

/// The same when nobody refused it.
pub(crate) fn broken_off(code: RefusalCode) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    grpc_status(code, &mut trailers);
    trailers
}
