//! `/certificates`.

use super::body::{Asked, Body};
use super::table::{Entry, entry};
use crate::app::{App, caller::Caller, certificates, registration};
use crate::error::Refused;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{
    AskRegistration, CertificateBody, CertificateQuery, CreateCertificate, CreatedCertificate, Page, RegistrationChallenge,
};
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
            "createCertificate",
            "Have a certificate issued for a request, or register one that another CA issued",
            create,
        )
        .grants()
        .takes::<CreateCertificate>()
        .creates::<CreatedCertificate>(),
        entry(
            Method::POST,
            "/certificates/challenge",
            Action::CreateCertificate,
            NOUN,
            "askRegistration",
            "A text to sign with a certificate's key, which proves possession when it is registered",
            challenge,
        )
        .grants()
        .takes::<AskRegistration>()
        .gives::<RegistrationChallenge>(),
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
    Body(body): Body<CreateCertificate>,
) -> Result<(StatusCode, Json<CreatedCertificate>), Refused> {
    certificates::create(&app, &caller, body).await.map(|made| (StatusCode::CREATED, Json(made)))
}

async fn challenge(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<AskRegistration>,
) -> Result<Json<RegistrationChallenge>, Refused> {
    registration::ask(&app, &caller, body).await.map(Json)
}

async fn get(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Json<CertificateBody>, Refused> {
    certificates::get(&app, &actor, &id).await.map(Json)
}
