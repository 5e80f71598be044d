//! What a client asks before it shows who it is: what server this is (Temporal's SDKs do at each connect), health, reflection.

use crate::app::App;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use countersign_proto::grpc::SERVICES;
use std::sync::Arc;

/// The one method of `WorkflowService` that is answered here.
pub const SYSTEM_INFO: &str = "/temporal.api.workflowservice.v1.WorkflowService/GetSystemInfo";

/// Routes that need no credential. A descriptor set that cannot be served leaves reflection out and nothing else.
pub fn router() -> Router<Arc<App>> {
    let (_, health) = tonic_health::server::health_reporter();
    let mut router = Router::new().route(SYSTEM_INFO, post(system_info)).route_service("/grpc.health.v1.Health/{method}", health);
    let described = || tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(SERVICES);
    if let Ok(service) = described().build_v1() {
        router = router.route_service("/grpc.reflection.v1.ServerReflection/{method}", service);
    }
    if let Ok(service) = described().build_v1alpha() {
        router = router.route_service("/grpc.reflection.v1alpha.ServerReflection/{method}", service);
    }
    router
}

/// An empty message is all that clients need: one uncompressed frame of no bytes.
async fn system_info() -> Response {
    let mut trailers = axum::http::HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frame = http_body_util::StreamBody::new(futures_util::stream::iter([
        Ok::<_, std::convert::Infallible>(http_body::Frame::data(bytes::Bytes::from_static(&[0; 5]))),
        Ok(http_body::Frame::trailers(trailers)),
    ]));
    ([(CONTENT_TYPE, "application/grpc")], Body::new(frame)).into_response()
}
