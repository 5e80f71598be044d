//! `/applications`.

use super::body::{Asked, Body};
use super::identities::VersionQuery;
use super::table::{Entry, entry};
use crate::app::{App, applications, caller::Caller, trusted_cas};
use crate::error::Refused;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{
    AddTrustedCas, ApplicationBody, Changed, CreateApplication, Created, Page, PageQuery, TrustedCas, UpdateApplication,
};
use std::sync::Arc;

const NOUN: (&str, &str) = ("Applications", "application");
const CAS: (&str, &str) = ("Applications", "trusted_cas");

pub(super) fn table() -> Vec<Entry> {
    vec![
        entry(Method::GET, "/applications", Action::GetApplications, NOUN, "listApplications", "The applications the caller may see", list)
            .asks::<PageQuery>()
            .lists::<ApplicationBody>(),
        entry(
            Method::POST,
            "/applications",
            Action::CreateApplication,
            NOUN,
            "createApplication",
            "Make an application with a sandbox and a production environment",
            create,
        )
        .grants()
        .takes::<CreateApplication>()
        .creates::<Created>(),
        entry(Method::GET, "/applications/{id}", Action::GetApplication, NOUN, "getApplication", "One application, by its id or name", get)
            .gives::<ApplicationBody>(),
        entry(
            Method::PATCH,
            "/applications/{id}",
            Action::UpdateApplication,
            NOUN,
            "updateApplication",
            "Change name, description, owner or rights",
            update,
        )
        .by_change()
        .takes::<UpdateApplication>()
        .gives::<Changed>(),
        entry(
            Method::DELETE,
            "/applications/{id}",
            Action::DeleteApplication,
            NOUN,
            "deleteApplication",
            "Delete an application with all credentials of both environments",
            delete,
        )
        .takes_away()
        .asks::<VersionQuery>()
        .gives::<Changed>(),
        entry(
            Method::GET,
            "/trusted-cas/{environment}",
            Action::GetApplications,
            CAS,
            "listTrustedCas",
            "The CAs whose certificates may be registered for applications in `sandbox` or `production`",
            list_cas,
        )
        .gives::<TrustedCas>(),
        entry(
            Method::POST,
            "/trusted-cas/{environment}",
            Action::UpdateApplication,
            CAS,
            "addTrustedCas",
            "Trust further CAs in an environment",
            add_cas,
        )
        .grants()
        .takes::<AddTrustedCas>()
        .gives::<Changed>(),
        entry(
            Method::DELETE,
            "/trusted-cas/{environment}/{fingerprint}",
            Action::UpdateApplication,
            CAS,
            "removeTrustedCa",
            "Trust a CA no longer; what was registered by it stays",
            remove_ca,
        )
        .takes_away()
        .gives::<Changed>(),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<ApplicationBody>>, Refused> {
    applications::list(&app, &actor, &query).await.map(Json)
}

async fn create(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<CreateApplication>,
) -> Result<(StatusCode, Json<Created>), Refused> {
    applications::create(&app, &caller, body).await.map(|made| (StatusCode::CREATED, Json(made)))
}

async fn get(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Json<ApplicationBody>, Refused> {
    applications::get(&app, &actor, &id).await.map(Json)
}

async fn update(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<UpdateApplication>,
) -> Result<Json<Changed>, Refused> {
    applications::update(&app, &caller, &id, body).await.map(Json)
}

async fn delete(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Asked(query): Asked<VersionQuery>,
) -> Result<Json<Changed>, Refused> {
    applications::delete(&app, &caller, &id, query.resource_version.as_deref()).await.map(Json)
}

async fn list_cas(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(environment): Path<String>,
) -> Result<Json<TrustedCas>, Refused> {
    trusted_cas::list(&app, &actor, &environment).await.map(Json)
}

async fn add_cas(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(environment): Path<String>,
    Body(body): Body<AddTrustedCas>,
) -> Result<Json<Changed>, Refused> {
    trusted_cas::add(&app, &caller, &environment, body).await.map(Json)
}

async fn remove_ca(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((environment, fingerprint)): Path<(String, String)>,
) -> Result<Json<Changed>, Refused> {
    trusted_cas::remove(&app, &caller, &environment, &fingerprint).await.map(Json)
}
