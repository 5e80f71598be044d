//! Refusals as gRPC says them: one table from the stable codes to the numbers, and the answer that ends a call before it is decoded.

use crate::error::{AsItIs, Refused};
use axum::body::Body;
use axum::http::HeaderValue;
use axum::response::Response;
use tonic::{Code, Status};

/// Where the stable code travels beside gRPC's number.
pub const CODE: &str = "countersign-code";

/// The number of a refusal. `AlreadyExists` and `NotFound` are what they say and nothing else: tools count them as done when they
/// are told to. What a retry cannot mend is never `ResourceExhausted` or `Unavailable`, which tools retry.
pub fn code(refused: &Refused) -> Code {
    match refused.code {
        "unauthenticated" | "invalid_api_key" | "session_ended" => Code::Unauthenticated,
        "forbidden" => Code::PermissionDenied,
        "not_found" => Code::NotFound,
        "already_exists" => Code::AlreadyExists,
        "unimplemented" | "method_not_allowed" => Code::Unimplemented,
        "rate_limited" => Code::ResourceExhausted,
        "unavailable" | "disk_full" => Code::Unavailable,
        _ => match refused.status {
            409 | 403 => Code::FailedPrecondition,
            401 => Code::Unauthenticated,
            429 => Code::ResourceExhausted,
            503 => Code::Unavailable,
            _ => Code::InvalidArgument,
        },
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        let mut text = refused.detail.clone();
        // Clients and people look for these very words.
        if code(&refused) == Code::Unauthenticated && !text.contains(refused.title) {
            text = format!("{}: {text}", refused.title);
        }
        if let Some(hint) = &refused.hint {
            text = format!("{text} ({hint})");
        }
        let mut status = Status::new(code(&refused), text);
        if let Ok(value) = refused.code.parse() {
            status.metadata_mut().insert(CODE, value);
        }
        status
    }
}

/// A whole answer of headers alone.
pub fn response(status: Status) -> Response {
    let mut response: Response = status.into_http::<Body>();
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response.extensions_mut().insert(AsItIs);
    response
}

/// The stable code of an answer that refuses, of whichever surface.
pub fn code_of(response: &Response) -> Option<String> {
    response.headers().get(CODE).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Gives what the library refuses by itself, before a method is reached, the number and the code that such a refusal has elsewhere: a
/// message that cannot be read is the sender's mistake, and one that is too large is no page out of range.
pub fn with_code(mut response: Response) -> Response {
    let headers = response.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if headers.contains_key(CODE) {
        return response;
    }
    let (number, code) = match (text("grpc-status"), text("grpc-message")) {
        ("13", message) if message.starts_with("failed%20to%20decode") => (Code::InvalidArgument, "invalid_argument"),
        ("11", message) if message.contains("too%20large") => (Code::ResourceExhausted, "body_too_large"),
        ("8", message) if message.contains("size%20limit") => (Code::ResourceExhausted, "body_too_large"),
        _ => return response,
    };
    response.headers_mut().insert("grpc-status", HeaderValue::from(number as i32));
    response.headers_mut().insert(CODE, HeaderValue::from_static(code));
    response
}
