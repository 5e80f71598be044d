//! What a Temporal service needs beyond any other: its clients name a namespace of their own in each call, and it must be the door's.
//! Decides nothing about rights.

use countersign_core::namespace::Namespace;
use countersign_core::{Refusal, RefusalCode};
use http::Request;

/// Calls of the service that clients and workers use.
const WORKFLOW_SERVICE: &str = "/temporal.api.workflowservice.v1.WorkflowService/";

/// Refuses a call whose `temporal-namespace` is another one than the door it came to (CONTRACT section 4). Calls that name none pass.
pub(crate) fn check<B>(namespace: &Namespace, request: &Request<B>) -> Result<(), Refusal> {
    if !request.uri().path().starts_with(WORKFLOW_SERVICE) {
        return Ok(());
    }
    if request.headers().get_all("temporal-namespace").iter().all(|value| value == namespace.id.as_str()) {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalCode::NotEntitled,
        format!("the call's temporal-namespace is not {}, the namespace it came to", namespace.id),
        format!("connect the client with namespace {}", namespace.id),
    ))
}
