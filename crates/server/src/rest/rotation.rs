//! Below `/api-keys/{id}` and `/certificates/{id}`: the successor, how far the exchange is, and the end of the old one.

use super::body::{Asked, Body};
use super::table::{Entry, entry};
use crate::app::rotation::{self, Noun};
use crate::app::{App, caller::Caller};
use crate::error::Refused;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{
    CreatedApiKey, CreatedCertificate, Retire, Retired, RotateApiKey, RotateCertificate, RotationBody, RotationQuery,
};
use std::sync::Arc;

const KEYS: (&str, &str) = ("API keys", "api_key");
const CERTIFICATES: (&str, &str) = ("Certificates", "certificate");

pub(super) fn table() -> Vec<Entry> {
    vec![
        entry(
            Method::POST,
            "/api-keys/{id}/rotate",
            Action::CreateApiKey,
            KEYS,
            "rotateApiKey",
            "Make a key's successor; both work",
            rotate_key,
        )
        .grants()
        .takes::<RotateApiKey>()
        .creates::<CreatedApiKey>(),
        entry(
            Method::GET,
            "/api-keys/{id}/rotation",
            Action::GetApiKey,
            KEYS,
            "getApiKeyRotation",
            "How the use moves from a key to its successor, and whether the old one is safe to delete",
            get_key,
        )
        .asks::<RotationQuery>()
        .gives::<RotationBody>(),
        entry(
            Method::POST,
            "/api-keys/{id}/retire",
            Action::DeleteApiKey,
            KEYS,
            "retireApiKey",
            "Delete a replaced key where nobody would notice, or by itself once it is idle",
            retire_key,
        )
        .takes_away()
        .takes::<Retire>()
        .gives::<Retired>(),
        entry(
            Method::POST,
            "/certificates/{id}/rotate",
            Action::RotateCertificate,
            CERTIFICATES,
            "rotateCertificate",
            "Have a certificate's successor issued; both work",
            rotate_certificate,
        )
        .grants()
        .takes::<RotateCertificate>()
        .creates::<CreatedCertificate>(),
        entry(
            Method::GET,
            "/certificates/{id}/rotation",
            Action::GetCertificate,
            CERTIFICATES,
            "getCertificateRotation",
            "How the use moves from a certificate to its successor, and whether the old one is safe to revoke",
            get_certificate,
        )
        .asks::<RotationQuery>()
        .gives::<RotationBody>(),
        entry(
            Method::POST,
            "/certificates/{id}/retire",
            Action::RevokeCertificate,
            CERTIFICATES,
            "retireCertificate",
            "Revoke a replaced certificate where nobody would notice, or by itself once it is idle",
            retire_certificate,
        )
        .takes_away()
        .takes::<Retire>()
        .gives::<Retired>(),
    ]
}

async fn rotate_key(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<RotateApiKey>,
) -> Result<(StatusCode, Json<CreatedApiKey>), Refused> {
    rotation::rotate_key(&app, &caller, &id, body).await.map(|made| (StatusCode::CREATED, Json(made)))
}

async fn rotate_certificate(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<RotateCertificate>,
) -> Result<(StatusCode, Json<CreatedCertificate>), Refused> {
    rotation::rotate_certificate(&app, &caller, &id, body).await.map(|made| (StatusCode::CREATED, Json(made)))
}

async fn get_key(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    Asked(query): Asked<RotationQuery>,
) -> Result<Json<RotationBody>, Refused> {
    rotation::get(&app, &actor, Noun::Key, &id, &query).await.map(Json)
}

async fn get_certificate(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    Asked(query): Asked<RotationQuery>,
) -> Result<Json<RotationBody>, Refused> {
    rotation::get(&app, &actor, Noun::Certificate, &id, &query).await.map(Json)
}

async fn retire_key(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<Retire>,
) -> Result<Json<Retired>, Refused> {
    rotation::retire(&app, &caller, Noun::Key, &id, body).await.map(Json)
}

async fn retire_certificate(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<Retire>,
) -> Result<Json<Retired>, Refused> {
    rotation::retire(&app, &caller, Noun::Certificate, &id, body).await.map(Json)
}
