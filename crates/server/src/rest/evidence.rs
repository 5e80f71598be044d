//! `/operations`, `/audit`, `/gateways`, `/explain` and `/refusals`: what happened, and why.

use super::body::{Asked, Body};
use super::table::{Entry, entry};
use crate::app::{App, audit, caller::Caller, explain, gateways, operations, refusals};
use crate::error::Refused;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::{Extension, Json};
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{
    AuditEntry, AuditQuery, AuditVerified, ExplainRequest, Explanation, GatewayBody, Page, PageQuery, RefusalBody, RequestStatus,
};
use std::sync::Arc;

pub(super) fn table() -> Vec<Entry> {
    vec![
        entry(
            Method::GET,
            "/operations",
            Action::GetAsyncOperation,
            ("Operations", "operation"),
            "listOperations",
            "Changes, newest first: one's own, or for admins everybody's",
            list_operations,
        )
        .asks::<PageQuery>()
        .lists::<RequestStatus>(),
        entry(
            Method::GET,
            "/operations/{id}",
            Action::GetAsyncOperation,
            ("Operations", "operation"),
            "getOperation",
            "What became of a change",
            operation,
        )
        .gives::<RequestStatus>(),
        entry(
            Method::GET,
            "/audit",
            Action::GetAuditLogs,
            ("Audit", "audit"),
            "listAudit",
            "Entries of the audit trail, oldest or newest first",
            list_audit,
        )
        .asks::<AuditQuery>()
        .lists::<AuditEntry>(),
        entry(
            Method::GET,
            "/audit/verify",
            Action::VerifyAuditLog,
            ("Audit", "audit"),
            "verifyAudit",
            "Walk the whole chain of hashes",
            verify_audit,
        )
        .gives::<AuditVerified>(),
        entry(
            Method::GET,
            "/gateways",
            Action::GetGateways,
            ("Gateways", "gateway"),
            "listGateways",
            "The gateways that are fed, and how far each is",
            list_gateways,
        )
        .lists::<GatewayBody>(),
        entry(
            Method::POST,
            "/explain",
            Action::Explain,
            ("Gateways", "gateway"),
            "explain",
            "What would the gateway say to this certificate, key, host, method and path, and why",
            ask,
        )
        .reads()
        .takes::<ExplainRequest>()
        .gives::<Explanation>(),
        entry(
            Method::GET,
            "/refusals/{id}",
            Action::GetRefusal,
            ("Gateways", "refusal"),
            "getRefusal",
            "Why the gateway refused, and what to do",
            refusal,
        )
        .gives::<RefusalBody>(),
    ]
}

async fn list_operations(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<RequestStatus>>, Refused> {
    operations::list(&app, &caller, &actor, &query).await.map(Json)
}

async fn operation(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Json<RequestStatus>, Refused> {
    operations::get(&app, &caller, &actor, &id).await.map(Json)
}

async fn list_audit(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<AuditQuery>,
) -> Result<Json<Page<AuditEntry>>, Refused> {
    audit::list(&app, &actor, &query).await.map(Json)
}

async fn verify_audit(State(app): State<Arc<App>>, Extension(actor): Extension<Actor>) -> Result<Json<AuditVerified>, Refused> {
    audit::verify(&app, &actor).await.map(Json)
}

async fn list_gateways(State(app): State<Arc<App>>, Extension(actor): Extension<Actor>) -> Result<Json<Page<GatewayBody>>, Refused> {
    gateways::list(&app, &actor).map(Json)
}

async fn ask(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Body(body): Body<ExplainRequest>,
) -> Result<Json<Explanation>, Refused> {
    explain::explain(&app, &actor, &body).await.map(Json)
}

async fn refusal(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Json<RefusalBody>, Refused> {
    refusals::get(&app, &actor, &id).map(Json)
}
