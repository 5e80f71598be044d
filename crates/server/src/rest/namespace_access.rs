//! Parts of a namespace that Temporal's tools know: who can reach it, tags, search attributes; and `/regions`.

use super::body::{Asked, Body};
use super::table::{Entry, entry};
use crate::app::{App, caller::Caller, namespace_access, namespace_settings, regions};
use crate::error::Refused;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::{Extension, Json};
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{AssignmentBody, AssignmentQuery, Changed, Page, RegionBody, RenameSearchAttribute, SetAccess, UpdateTags};
use std::sync::Arc;

const ACCESS: (&str, &str) = ("Access to a namespace", "namespace_access");
const NOUN: (&str, &str) = ("Namespaces", "namespace");
const REGION: (&str, &str) = ("Regions", "region");

pub(super) fn table() -> Vec<Entry> {
    vec![
        entry(
            Method::GET,
            "/namespaces/{id}/assignments",
            Action::GetUserNamespaceAssignments,
            ACCESS,
            "listAssignments",
            "Who of one kind has a permission in a namespace",
            assignments,
        )
        .asks::<AssignmentQuery>()
        .lists::<AssignmentBody>(),
        entry(
            Method::PUT,
            "/namespaces/{id}/access",
            Action::SetUserNamespaceAccess,
            ACCESS,
            "setAccess",
            "Give or take one permission",
            set_access,
        )
        .by_change()
        .takes::<SetAccess>()
        .gives::<Changed>(),
        entry(
            Method::POST,
            "/namespaces/{id}/tags",
            Action::UpdateNamespaceTags,
            NOUN,
            "updateTags",
            "Set and take away labels",
            update_tags,
        )
        .grants()
        .takes::<UpdateTags>()
        .gives::<Changed>(),
        entry(
            Method::POST,
            "/namespaces/{id}/rename-search-attribute",
            Action::RenameCustomSearchAttribute,
            NOUN,
            "renameSearchAttribute",
            "Give a search attribute another name",
            rename,
        )
        .grants()
        .takes::<RenameSearchAttribute>()
        .gives::<Changed>(),
        entry(Method::GET, "/regions", Action::GetRegions, REGION, "listRegions", "Where namespaces can be", list_regions)
            .lists::<RegionBody>(),
        entry(Method::GET, "/regions/{id}", Action::GetRegion, REGION, "getRegion", "One region", get_region).gives::<RegionBody>(),
    ]
}

async fn assignments(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    Asked(query): Asked<AssignmentQuery>,
) -> Result<Json<Page<AssignmentBody>>, Refused> {
    namespace_access::assignments(&app, &actor, &id, &query).await.map(Json)
}

async fn set_access(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<SetAccess>,
) -> Result<Json<Changed>, Refused> {
    namespace_access::set(&app, &caller, &id, body).await.map(Json)
}

async fn update_tags(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<UpdateTags>,
) -> Result<Json<Changed>, Refused> {
    namespace_settings::update_tags(&app, &caller, &id, body).await.map(Json)
}

async fn rename(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<RenameSearchAttribute>,
) -> Result<Json<Changed>, Refused> {
    namespace_settings::rename_search_attribute(&app, &caller, &id, body).await.map(Json)
}

async fn list_regions(State(app): State<Arc<App>>, Extension(actor): Extension<Actor>) -> Result<Json<Page<RegionBody>>, Refused> {
    regions::list(&app, &actor).map(Json)
}

async fn get_region(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Json<RegionBody>, Refused> {
    regions::get(&app, &actor, &id).map(Json)
}
