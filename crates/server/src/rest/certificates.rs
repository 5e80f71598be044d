//! `/certificates`.

use super::body::{Asked, Body};
use super::table::{Entry, entry};
use crate::app::{App, caller::Caller, certificates};
use crate::error::Refused;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{CertificateBody, CertificateQuery, Page, RegisterCertificate, RegisteredCertificate};
use std::sync::Arc;

const NOUN: (&str, &str) = ("Certificates", "certificate");

pub(super) fn table() -> Vec<Entry> {
    vec![
        entry(
            Method::GET,
            "/certificates",
            Action::GetCertificates,
            NOUN,
            "listCertificates",
            "The registered certificates the caller may see",
            list,
        )
        .asks::<CertificateQuery>()
        .lists::<CertificateBody>(),
        entry(
            Method::POST,
            "/certificates",
            Action::CreateCertificate,
            NOUN,
            "registerCertificate",
            "Register a leaf, self-signed ones included",
            create,
        )
        .takes::<RegisterCertificate>()
        .creates::<RegisteredCertificate>(),
        entry(Method::GET, "/certificates/{id}", Action::GetCertificate, NOUN, "getCertificate", "One certificate", get)
            .gives::<CertificateBody>(),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<CertificateQuery>,
) -> Result<Json<Page<CertificateBody>>, Refused> {
    certificates::list(&app, &actor, &query).await.map(Json)
}

async fn create(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<RegisterCertificate>,
) -> Result<(StatusCode, Json<RegisteredCertificate>), Refused> {
    certificates::create(&app, &caller, body).await.map(|made| (StatusCode::CREATED, Json(made)))
}

async fn get(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Json<CertificateBody>, Refused> {
    certificates::get(&app, &actor, &id).await.map(Json)
}
