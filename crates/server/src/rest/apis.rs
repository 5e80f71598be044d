//! `/namespaces/{namespace}/apis`.

use super::body::{Asked, Body};
use super::identities::VersionQuery;
use super::table::{Entry, entry};
use crate::app::{App, apis, caller::Caller};
use crate::error::Refused;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{ApiBody, ApiSpec, Changed, Created, Page, PageQuery};
use std::sync::Arc;

const NOUN: (&str, &str) = ("APIs", "api");

pub(super) fn table() -> Vec<Entry> {
    vec![
        entry(Method::GET, "/namespaces/{namespace}/apis", Action::GetApis, NOUN, "listApis", "The APIs of a namespace", list)
            .asks::<PageQuery>()
            .lists::<ApiBody>(),
        entry(Method::POST, "/namespaces/{namespace}/apis", Action::CreateApi, NOUN, "createApi", "Make an API", create)
            .grants()
            .takes::<ApiSpec>()
            .creates::<Created>(),
        entry(Method::GET, "/namespaces/{namespace}/apis/{api}", Action::GetApi, NOUN, "getApi", "One API, by id or name", get)
            .gives::<ApiBody>(),
        entry(Method::PATCH, "/namespaces/{namespace}/apis/{api}", Action::UpdateApi, NOUN, "updateApi", "Change an API", update)
            .by_change()
            .takes::<ApiSpec>()
            .gives::<Changed>(),
        entry(Method::DELETE, "/namespaces/{namespace}/apis/{api}", Action::DeleteApi, NOUN, "deleteApi", "Delete an API", delete)
            .takes_away()
            .asks::<VersionQuery>()
            .gives::<Changed>(),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(ns): Path<String>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<ApiBody>>, Refused> {
    apis::list(&app, &actor, &ns, &query).await.map(Json)
}

async fn create(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(ns): Path<String>,
    Body(body): Body<ApiSpec>,
) -> Result<(StatusCode, Json<Created>), Refused> {
    apis::create(&app, &caller, &ns, body).await.map(|made| (StatusCode::CREATED, Json(made)))
}

async fn get(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path((ns, api)): Path<(String, String)>,
) -> Result<Json<ApiBody>, Refused> {
    apis::get(&app, &actor, &ns, &api).await.map(Json)
}

async fn update(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((ns, api)): Path<(String, String)>,
    Body(body): Body<ApiSpec>,
) -> Result<Json<Changed>, Refused> {
    apis::update(&app, &caller, &ns, &api, body).await.map(Json)
}

async fn delete(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((ns, api)): Path<(String, String)>,
    Asked(query): Asked<VersionQuery>,
) -> Result<Json<Changed>, Refused> {
    apis::delete(&app, &caller, &ns, &api, query.resource_version.as_deref()).await.map(Json)
}
