//! gRPC without a schema: every message of any method comes back as it is, then status 0.

use super::body::{Body, channel};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

/// Whether the request is gRPC's.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"application/grpc"))
}

/// Echoes the request's stream. The identity that reached us stands in the response's metadata.
pub fn answer(request: Request<Incoming>) -> Response<Body> {
    let (parts, mut incoming) = request.into_parts();
    let (mut sender, body) = channel();
    tokio::spawn(async move {
        while let Some(Ok(frame)) = incoming.frame().await {
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
                && sender.data(data).await.is_err()
            {
                return;
            }
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        sender.trailers(trailers).await;
    });
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    for name in ["countersign-identity", "countersign-identity-kind", "countersign-credential", "countersign-namespace"] {
        if let (Some(value), Ok(echo)) = (parts.headers.get(name), header::HeaderName::try_from(format!("echo-{name}"))) {
            response.headers_mut().insert(echo, value.clone());
        }
    }
    response
}
