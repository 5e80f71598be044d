//! `/user-groups` and `/custom-roles`: rights that are shared, and rights made of single actions.

use super::body::{Asked, Body};
use super::identities::VersionQuery;
use super::table::{Entry, entry};
use crate::app::{App, caller::Caller, custom_roles, user_groups};
use crate::error::Refused;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{
    AddGroupMember, Changed, CreateCustomRole, CreateUserGroup, Created, CustomRoleBody, GroupMemberBody, Page, PageQuery,
    UpdateCustomRole, UpdateUserGroup, UserGroupBody, UserGroupQuery,
};
use std::sync::Arc;

const GROUP: (&str, &str) = ("User groups", "user_group");
const ROLE: (&str, &str) = ("Custom roles", "custom_role");

pub(super) fn table() -> Vec<Entry> {
    vec![
        entry(Method::GET, "/user-groups", Action::GetUserGroups, GROUP, "listUserGroups", "User groups", list_groups)
            .asks::<UserGroupQuery>()
            .lists::<UserGroupBody>(),
        entry(
            Method::POST,
            "/user-groups",
            Action::CreateUserGroup,
            GROUP,
            "createUserGroup",
            "Make a group without members",
            create_group,
        )
        .grants()
        .takes::<CreateUserGroup>()
        .creates::<Created>(),
        entry(Method::GET, "/user-groups/{id}", Action::GetUserGroup, GROUP, "getUserGroup", "One group", get_group)
            .gives::<UserGroupBody>(),
        entry(Method::PATCH, "/user-groups/{id}", Action::UpdateUserGroup, GROUP, "updateUserGroup", "Change name or rights", update_group)
            .by_change()
            .takes::<UpdateUserGroup>()
            .gives::<Changed>(),
        entry(Method::DELETE, "/user-groups/{id}", Action::DeleteUserGroup, GROUP, "deleteUserGroup", "Delete a group", delete_group)
            .takes_away()
            .asks::<VersionQuery>()
            .gives::<Changed>(),
        entry(
            Method::GET,
            "/user-groups/{id}/members",
            Action::GetUserGroupMembers,
            GROUP,
            "listUserGroupMembers",
            "Who is in a group",
            list_members,
        )
        .asks::<PageQuery>()
        .lists::<GroupMemberBody>(),
        entry(
            Method::POST,
            "/user-groups/{id}/members",
            Action::AddUserGroupMember,
            GROUP,
            "addUserGroupMember",
            "Put a user into a group",
            add_member,
        )
        .grants()
        .takes::<AddGroupMember>()
        .gives::<Changed>(),
        entry(
            Method::DELETE,
            "/user-groups/{id}/members/{user}",
            Action::RemoveUserGroupMember,
            GROUP,
            "removeUserGroupMember",
            "Take a user out of a group",
            remove_member,
        )
        .takes_away()
        .gives::<Changed>(),
        entry(Method::GET, "/custom-roles", Action::GetCustomRoles, ROLE, "listCustomRoles", "Custom roles", list_roles)
            .asks::<PageQuery>()
            .lists::<CustomRoleBody>(),
        entry(Method::POST, "/custom-roles", Action::CreateCustomRole, ROLE, "createCustomRole", "Make a custom role", create_role)
            .grants()
            .takes::<CreateCustomRole>()
            .creates::<Created>(),
        entry(Method::GET, "/custom-roles/{id}", Action::GetCustomRole, ROLE, "getCustomRole", "One custom role", get_role)
            .gives::<CustomRoleBody>(),
        entry(
            Method::PATCH,
            "/custom-roles/{id}",
            Action::UpdateCustomRole,
            ROLE,
            "updateCustomRole",
            "Change what a role gives",
            update_role,
        )
        .by_change()
        .takes::<UpdateCustomRole>()
        .gives::<Changed>(),
        entry(
            Method::DELETE,
            "/custom-roles/{id}",
            Action::DeleteCustomRole,
            ROLE,
            "deleteCustomRole",
            "Delete a role and take it from everybody who has it",
            delete_role,
        )
        .takes_away()
        .asks::<VersionQuery>()
        .gives::<Changed>(),
    ]
}

async fn list_groups(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<UserGroupQuery>,
) -> Result<Json<Page<UserGroupBody>>, Refused> {
    user_groups::list(&app, &actor, &query).await.map(Json)
}

async fn create_group(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<CreateUserGroup>,
) -> Result<(StatusCode, Json<Created>), Refused> {
    user_groups::create(&app, &caller, body).await.map(|made| (StatusCode::CREATED, Json(made)))
}

async fn get_group(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Json<UserGroupBody>, Refused> {
    user_groups::get(&app, &actor, &id).await.map(Json)
}

async fn update_group(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<UpdateUserGroup>,
) -> Result<Json<Changed>, Refused> {
    user_groups::update(&app, &caller, &id, body).await.map(Json)
}

async fn delete_group(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Asked(query): Asked<VersionQuery>,
) -> Result<Json<Changed>, Refused> {
    user_groups::delete(&app, &caller, &id, query.resource_version.as_deref()).await.map(Json)
}

async fn list_members(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<GroupMemberBody>>, Refused> {
    user_groups::members(&app, &actor, &id, &query).await.map(Json)
}

async fn add_member(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<AddGroupMember>,
) -> Result<Json<Changed>, Refused> {
    user_groups::add_member(&app, &caller, &id, &body.user_id).await.map(Json)
}

async fn remove_member(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((id, user)): Path<(String, String)>,
) -> Result<Json<Changed>, Refused> {
    user_groups::remove_member(&app, &caller, &id, &user).await.map(Json)
}

async fn list_roles(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<CustomRoleBody>>, Refused> {
    custom_roles::list(&app, &actor, &query).await.map(Json)
}

async fn create_role(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<CreateCustomRole>,
) -> Result<(StatusCode, Json<Created>), Refused> {
    custom_roles::create(&app, &caller, body).await.map(|made| (StatusCode::CREATED, Json(made)))
}

async fn get_role(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Json<CustomRoleBody>, Refused> {
    custom_roles::get(&app, &actor, &id).await.map(Json)
}

async fn update_role(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<UpdateCustomRole>,
) -> Result<Json<Changed>, Refused> {
    custom_roles::update(&app, &caller, &id, body).await.map(Json)
}

async fn delete_role(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Asked(query): Asked<VersionQuery>,
) -> Result<Json<Changed>, Refused> {
    custom_roles::delete(&app, &caller, &id, query.resource_version.as_deref()).await.map(Json)
}
