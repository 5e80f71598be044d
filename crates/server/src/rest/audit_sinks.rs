//! `/audit-sinks`: where the audit trail is delivered to.

use super::body::{Asked, Body};
use super::identities::VersionQuery;
use super::table::{Entry, entry};
use crate::app::{App, audit_sinks, caller::Caller};
use crate::error::Refused;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{AuditSinkBody, Changed, CreateAuditSink, CreatedAuditSink, Page, PageQuery, UpdateAuditSink};
use std::sync::Arc;

const NOUN: (&str, &str) = ("Audit", "audit_sink");

pub(super) fn table() -> Vec<Entry> {
    vec![
        entry(
            Method::GET,
            "/audit-sinks",
            Action::GetAccountAuditLogSinks,
            NOUN,
            "listAuditSinks",
            "Where the trail is delivered to",
            list,
        )
        .asks::<PageQuery>()
        .lists::<AuditSinkBody>(),
        entry(
            Method::POST,
            "/audit-sinks",
            Action::CreateAccountAuditLogSink,
            NOUN,
            "createAuditSink",
            "Deliver the trail to an address, signed, in order, at least once",
            create,
        )
        .grants()
        .takes::<CreateAuditSink>()
        .creates::<CreatedAuditSink>(),
        entry(Method::GET, "/audit-sinks/{id}", Action::GetAccountAuditLogSink, NOUN, "getAuditSink", "One sink, and how it does", get)
            .gives::<AuditSinkBody>(),
        entry(
            Method::PATCH,
            "/audit-sinks/{id}",
            Action::UpdateAccountAuditLogSink,
            NOUN,
            "updateAuditSink",
            "Change where a sink goes, or whether",
            update,
        )
        .by_change()
        .takes::<UpdateAuditSink>()
        .gives::<Changed>(),
        entry(
            Method::POST,
            "/audit-sinks/{id}/rotate-secret",
            Action::UpdateAccountAuditLogSink,
            NOUN,
            "rotateAuditSinkSecret",
            "Give a sink a new signing secret",
            rotate,
        )
        .grants()
        .gives::<CreatedAuditSink>(),
        entry(
            Method::DELETE,
            "/audit-sinks/{id}",
            Action::DeleteAccountAuditLogSink,
            NOUN,
            "deleteAuditSink",
            "Stop delivering; the trail stays",
            delete,
        )
        .takes_away()
        .asks::<VersionQuery>()
        .gives::<Changed>(),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<AuditSinkBody>>, Refused> {
    audit_sinks::list(&app, &actor, &query).await.map(Json)
}

async fn create(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<CreateAuditSink>,
) -> Result<(StatusCode, Json<CreatedAuditSink>), Refused> {
    audit_sinks::create(&app, &caller, body).await.map(|made| (StatusCode::CREATED, Json(made)))
}

async fn get(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Json<AuditSinkBody>, Refused> {
    audit_sinks::get(&app, &actor, &id).await.map(Json)
}

async fn update(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<UpdateAuditSink>,
) -> Result<Json<Changed>, Refused> {
    audit_sinks::update(&app, &caller, &id, body).await.map(Json)
}

async fn rotate(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<CreatedAuditSink>, Refused> {
    audit_sinks::rotate_secret(&app, &caller, &id).await.map(Json)
}

async fn delete(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Asked(query): Asked<VersionQuery>,
) -> Result<Json<Changed>, Refused> {
    audit_sinks::delete(&app, &caller, &id, query.resource_version.as_deref()).await.map(Json)
}
