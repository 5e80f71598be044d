//! `/users` and `/service-accounts`.

use super::body::{Asked, Body};
use super::table::{Entry, entry};
use crate::app::{App, caller::Caller, service_accounts, users};
use crate::error::Refused;
use crate::login::invite;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{
    Changed, CreateServiceAccount, CreateUser, Created, InvitedUser, Page, PageQuery, ServiceAccountBody, UpdateIdentity, UserBody,
    UserQuery,
};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

const USER: (&str, &str) = ("Users", "user");
const MACHINE: (&str, &str) = ("Service accounts", "service_account");

/// The version a deletion is meant for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
pub(super) struct VersionQuery {
    /// Refuses the deletion when it is not the current one.
    pub resource_version: Option<String>,
}

pub(super) fn table() -> Vec<Entry> {
    vec![
        entry(Method::GET, "/users", Action::GetUsers, USER, "listUsers", "All users", list_users).asks::<UserQuery>().lists::<UserBody>(),
        entry(Method::POST, "/users", Action::CreateUser, USER, "createUser", "Invite a user", create_user)
            .grants()
            .takes::<CreateUser>()
            .creates::<InvitedUser>(),
        entry(Method::GET, "/users/{id}", Action::GetUser, USER, "getUser", "One user", get_user).gives::<UserBody>(),
        entry(Method::PATCH, "/users/{id}", Action::UpdateUser, USER, "updateUser", "Change a user's rights", update_user)
            .by_change()
            .takes::<UpdateIdentity>()
            .gives::<Changed>(),
        entry(Method::DELETE, "/users/{id}", Action::DeleteUser, USER, "deleteUser", "Delete a user with all credentials", delete_user)
            .takes_away()
            .asks::<VersionQuery>()
            .gives::<Changed>(),
        entry(
            Method::GET,
            "/service-accounts",
            Action::GetServiceAccounts,
            MACHINE,
            "listServiceAccounts",
            "All service accounts",
            list_machines,
        )
        .asks::<PageQuery>()
        .lists::<ServiceAccountBody>(),
        entry(
            Method::POST,
            "/service-accounts",
            Action::CreateServiceAccount,
            MACHINE,
            "createServiceAccount",
            "Make a service account, account-wide or scoped to one namespace",
            create_machine,
        )
        .grants()
        .takes::<CreateServiceAccount>()
        .creates::<Created>(),
        entry(
            Method::GET,
            "/service-accounts/{id}",
            Action::GetServiceAccount,
            MACHINE,
            "getServiceAccount",
            "One service account",
            get_machine,
        )
        .gives::<ServiceAccountBody>(),
        entry(
            Method::PATCH,
            "/service-accounts/{id}",
            Action::UpdateServiceAccount,
            MACHINE,
            "updateServiceAccount",
            "Change name, description or rights",
            update_machine,
        )
        .by_change()
        .takes::<UpdateIdentity>()
        .gives::<Changed>(),
        entry(
            Method::DELETE,
            "/service-accounts/{id}",
            Action::DeleteServiceAccount,
            MACHINE,
            "deleteServiceAccount",
            "Delete a service account with all credentials",
            delete_machine,
        )
        .takes_away()
        .asks::<VersionQuery>()
        .gives::<Changed>(),
    ]
}

async fn list_users(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<UserQuery>,
) -> Result<Json<Page<UserBody>>, Refused> {
    users::list(&app, &actor, &query).await.map(Json)
}

async fn create_user(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<CreateUser>,
) -> Result<(StatusCode, Json<InvitedUser>), Refused> {
    let email = body.email.clone();
    let made = users::create_invited(&app, &caller, body).await?;
    if let Some(address) = &made.invitation_url {
        invite::post(&app, &email, address);
    }
    Ok((StatusCode::CREATED, Json(made)))
}

async fn get_user(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Json<UserBody>, Refused> {
    users::get(&app, &actor, &id).await.map(Json)
}

async fn update_user(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<UpdateIdentity>,
) -> Result<Json<Changed>, Refused> {
    users::update(&app, &caller, &id, body).await.map(Json)
}

async fn delete_user(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Asked(query): Asked<VersionQuery>,
) -> Result<Json<Changed>, Refused> {
    users::delete(&app, &caller, &id, query.resource_version.as_deref()).await.map(Json)
}

async fn list_machines(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<ServiceAccountBody>>, Refused> {
    service_accounts::list(&app, &actor, &query).await.map(Json)
}

async fn create_machine(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<CreateServiceAccount>,
) -> Result<(StatusCode, Json<Created>), Refused> {
    service_accounts::create(&app, &caller, body).await.map(|made| (StatusCode::CREATED, Json(made)))
}

async fn get_machine(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Json<ServiceAccountBody>, Refused> {
    service_accounts::get(&app, &actor, &id).await.map(Json)
}

async fn update_machine(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<UpdateIdentity>,
) -> Result<Json<Changed>, Refused> {
    service_accounts::update(&app, &caller, &id, body).await.map(Json)
}

async fn delete_machine(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Asked(query): Asked<VersionQuery>,
) -> Result<Json<Changed>, Refused> {
    service_accounts::delete(&app, &caller, &id, query.resource_version.as_deref()).await.map(Json)
}
