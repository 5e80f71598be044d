//! `/issuers`.

use super::body::{Asked, Body};
use super::table::{Entry, entry};
use crate::app::{App, caller::Caller, issuers};
use crate::error::Refused;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{ChangedIssuer, CreateIssuer, CreatedIssuer, ImportIssuer, IssuerBody, IssuerQuery, Page, UpdateIssuer};
use std::sync::Arc;

const NOUN: (&str, &str) = ("Issuers", "issuer");

pub(super) fn table() -> Vec<Entry> {
    vec![
        entry(
            Method::GET,
            "/issuers",
            Action::GetIssuers,
            NOUN,
            "listIssuers",
            "The certificate authorities whose keys are held here",
            list,
        )
        .asks::<IssuerQuery>()
        .lists::<IssuerBody>(),
        entry(Method::POST, "/issuers", Action::CreateIssuer, NOUN, "createIssuer", "Make a certificate authority, staged", create)
            .grants()
            .takes::<CreateIssuer>()
            .creates::<CreatedIssuer>(),
        entry(
            Method::POST,
            "/issuers/import",
            Action::CreateIssuer,
            NOUN,
            "importIssuer",
            "Take in a certificate authority made elsewhere, with its key, staged",
            import,
        )
        .grants()
        .takes::<ImportIssuer>()
        .creates::<CreatedIssuer>(),
        entry(Method::GET, "/issuers/{id}", Action::GetIssuer, NOUN, "getIssuer", "One issuer, by its id or name", get)
            .gives::<IssuerBody>(),
        entry(
            Method::PATCH,
            "/issuers/{id}",
            Action::UpdateIssuer,
            NOUN,
            "updateIssuer",
            "Move an issuer on (active, retiring, retired), or change its policy",
            update,
        )
        .by_change()
        .takes::<UpdateIssuer>()
        .gives::<ChangedIssuer>(),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<IssuerQuery>,
) -> Result<Json<Page<IssuerBody>>, Refused> {
    issuers::list(&app, &actor, &query).await.map(Json)
}

async fn create(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<CreateIssuer>,
) -> Result<(StatusCode, Json<CreatedIssuer>), Refused> {
    issuers::create(&app, &caller, body).await.map(|made| (StatusCode::CREATED, Json(made)))
}

async fn import(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<ImportIssuer>,
) -> Result<(StatusCode, Json<CreatedIssuer>), Refused> {
    issuers::import(&app, &caller, body).await.map(|made| (StatusCode::CREATED, Json(made)))
}

async fn get(State(app): State<Arc<App>>, Extension(actor): Extension<Actor>, Path(id): Path<String>) -> Result<Json<IssuerBody>, Refused> {
    issuers::get(&app, &actor, &id).await.map(Json)
}

async fn update(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<UpdateIssuer>,
) -> Result<Json<ChangedIssuer>, Refused> {
    issuers::update(&app, &caller, &id, body).await.map(Json)
}
