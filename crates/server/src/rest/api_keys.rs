//! `/api-keys`.

use super::body::{Asked, Body};
use super::table::{Entry, entry};
use crate::app::{App, api_keys, caller::Caller};
use crate::error::Refused;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{ApiKeyBody, ApiKeyQuery, Changed, CreateApiKey, CreatedApiKey, DeletedApiKey, Page, UpdateApiKey};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

const NOUN: (&str, &str) = ("API keys", "api_key");

/// How a key is deleted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
struct DeleteQuery {
    /// Refuses the deletion when it is not the current one.
    resource_version: Option<String>,
    /// Also every key and every certificate that was made with this one, or with one of those. The key itself may be deleted already.
    descendants: Option<bool>,
}

pub(super) fn table() -> Vec<Entry> {
    vec![
        entry(Method::GET, "/api-keys", Action::GetApiKeys, NOUN, "listApiKeys", "The keys the caller may see", list)
            .asks::<ApiKeyQuery>()
            .lists::<ApiKeyBody>(),
        entry(
            Method::POST,
            "/api-keys",
            Action::CreateApiKey,
            NOUN,
            "createApiKey",
            "Make a key; its text is in this answer and nowhere else",
            create,
        )
        .grants()
        .takes::<CreateApiKey>()
        .creates::<CreatedApiKey>(),
        entry(Method::GET, "/api-keys/{id}", Action::GetApiKey, NOUN, "getApiKey", "One key, never its text", get).gives::<ApiKeyBody>(),
        entry(
            Method::PATCH,
            "/api-keys/{id}",
            Action::UpdateApiKey,
            NOUN,
            "updateApiKey",
            "Change name or description, disable or enable",
            update,
        )
        .by_change()
        .takes::<UpdateApiKey>()
        .gives::<Changed>(),
        entry(Method::DELETE, "/api-keys/{id}", Action::DeleteApiKey, NOUN, "deleteApiKey", "Delete a key for good", delete)
            .takes_away()
            .asks::<DeleteQuery>()
            .gives::<DeletedApiKey>(),
        entry(Method::POST, "/api-keys/{id}/enable", Action::UpdateApiKey, NOUN, "enableApiKey", "Enable a disabled key", enable)
            .grants()
            .gives::<Changed>(),
        entry(
            Method::POST,
            "/api-keys/{id}/disable",
            Action::UpdateApiKey,
            NOUN,
            "disableApiKey",
            "Disable a key; connections by it end",
            disable,
        )
        .takes_away()
        .gives::<Changed>(),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<ApiKeyQuery>,
) -> Result<Json<Page<ApiKeyBody>>, Refused> {
    api_keys::list(&app, &actor, &query).await.map(Json)
}

async fn create(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<CreateApiKey>,
) -> Result<(StatusCode, Json<CreatedApiKey>), Refused> {
    api_keys::create(&app, &caller, body).await.map(|made| (StatusCode::CREATED, Json(made)))
}

async fn get(State(app): State<Arc<App>>, Extension(actor): Extension<Actor>, Path(id): Path<String>) -> Result<Json<ApiKeyBody>, Refused> {
    api_keys::get(&app, &actor, &id).await.map(Json)
}

async fn update(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<UpdateApiKey>,
) -> Result<Json<Changed>, Refused> {
    api_keys::update(&app, &caller, &id, body).await.map(Json)
}

async fn delete(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Asked(query): Asked<DeleteQuery>,
) -> Result<Json<DeletedApiKey>, Refused> {
    api_keys::delete(&app, &caller, &id, query.resource_version.as_deref(), query.descendants.unwrap_or(false)).await.map(Json)
}

async fn enable(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Changed>, Refused> {
    api_keys::update(&app, &caller, &id, UpdateApiKey { disabled: Some(false), ..UpdateApiKey::default() }).await.map(Json)
}

async fn disable(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Changed>, Refused> {
    api_keys::update(&app, &caller, &id, UpdateApiKey { disabled: Some(true), ..UpdateApiKey::default() }).await.map(Json)
}
