//! What comes in: bodies and query parameters, bounded and read strictly. What goes out needs nothing of its own.

use super::strict;
use crate::error::Refused;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The largest request body, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How long a client has to send it.
const BODY_TIME: Duration = Duration::from_secs(30);

/// A JSON body. An absent one reads as `{}`.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        long(request, BODY_BYTES_MAX).await.map(Self)
    }
}

/// A JSON body of at most `max` bytes, for the few that carry more than others.
///
/// # Errors
/// `unsupported_media_type`, `body_too_large`, `invalid_argument`.
pub async fn long<T: DeserializeOwned>(request: Request, max: usize) -> Result<T, Refused> {
    let json = match request.headers().get(CONTENT_TYPE) {
        None => None,
        Some(value) => {
            let kind = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
            Some(kind == "application/json" || kind.ends_with("+json"))
        }
    };
    let bytes = bounded(request.into_body(), max).await?;
    if bytes.is_empty() {
        return serde_json::from_slice(b"{}").map_err(|e| unreadable(&e));
    }
    if json != Some(true) {
        return Err(Refused::new("unsupported_media_type", "the body is not declared as JSON").hint("send Content-Type: application/json"));
    }
    strict::object(&bytes).map_err(|e| unreadable(&e))
}

/// The whole body, bounded in bytes and in time.
///
/// # Errors
/// `body_too_large`, or `invalid_argument` when it ends early or does not end.
pub async fn whole(body: axum::body::Body) -> Result<Bytes, Refused> {
    bounded(body, BODY_BYTES_MAX).await
}

async fn bounded(body: axum::body::Body, max: usize) -> Result<Bytes, Refused> {
    match tokio::time::timeout(BODY_TIME, Limited::new(body, max).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Refused::new("body_too_large", format!("the body is larger than {max} bytes")))
        }
        Ok(Err(_)) => Err(Refused::invalid("the body ended before it was whole")),
        Err(_) => Err(Refused::invalid("the body did not come to its end within 30 seconds")),
    }
}

/// What serde says, without the values it met: one of them may be a secret in the wrong place.
fn unreadable(error: &serde_json::Error) -> Refused {
    let text = error.to_string();
    let place = if error.line() == 0 { String::new() } else { format!(" (line {}, column {})", error.line(), error.column()) };
    let detail = if text.starts_with("unknown field") || text.starts_with("missing field") || text.starts_with("duplicate member") {
        text.split(" at line ").next().unwrap_or("").to_owned()
    } else if text.starts_with("invalid type") || text.starts_with("invalid value") {
        let expected = text.rsplit_once("expected ").map_or("", |(_, expected)| expected.split(" at line ").next().unwrap_or(""));
        format!("a member has the wrong type, expected {expected}")
    } else {
        "it is no valid JSON".to_owned()
    };
    Refused::invalid(format!("the body cannot be read: {detail}{place}")).hint("the members of each body are listed at /api/docs")
}

/// Query parameters. Unknown ones were refused before.
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Asked<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        Query::<T>::try_from_uri(&parts.uri)
            .map(|Query(value)| Self(value))
            .map_err(|_| Refused::invalid("a query parameter has the wrong type or stands there twice"))
    }
}
