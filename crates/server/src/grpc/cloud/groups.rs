//! User groups and custom roles.

use super::super::Call;
use super::{api, changed, given, required, size};
use crate::app::{custom_roles, user_groups};
use crate::error::Refused;
use countersign_proto::cloud;
use countersign_proto::grpc::wire::temporal::api::cloud::identity::v1::user_group_spec::GroupType;
use countersign_proto::rest::{CreateUserGroup, PageQuery, UpdateCustomRole, UpdateUserGroup, UserGroupQuery};

pub async fn list(call: Call, asked: api::GetUserGroupsRequest) -> Result<api::GetUserGroupsResponse, Refused> {
    if asked.scim_group.is_some_and(|filter| !filter.idp_id.is_empty()) {
        // No group comes by SCIM, so none matches.
        return Ok(api::GetUserGroupsResponse::default());
    }
    let query = UserGroupQuery {
        page_size: size(asked.page_size)?,
        page_token: given(&asked.page_token),
        namespace: given(&asked.namespace),
        display_name: given(&asked.display_name),
        google_group_email: asked.google_group.and_then(|filter| given(&filter.email_address)),
    };
    let page = user_groups::list(&call.app, &call.actor, &query).await?;
    let groups = page.items.iter().map(cloud::user_group).collect();
    Ok(api::GetUserGroupsResponse { groups, next_page_token: page.next_page_token })
}

pub async fn get(call: Call, asked: api::GetUserGroupRequest) -> Result<api::GetUserGroupResponse, Refused> {
    let group = user_groups::get(&call.app, &call.actor, &asked.group_id).await?;
    Ok(api::GetUserGroupResponse { group: Some(cloud::user_group(&group)) })
}

pub async fn create(call: Call, asked: api::CreateUserGroupRequest) -> Result<api::CreateUserGroupResponse, Refused> {
    let spec = required(asked.spec, "spec")?;
    let google_group_email = match &spec.group_type {
        Some(GroupType::GoogleGroup(group)) => Some(group.email_address.clone()),
        Some(GroupType::ScimGroup(_)) => {
            return Err(Refused::invalid("a SCIM group is not created here").hint("create a cloud group and name its members"));
        }
        Some(GroupType::CloudGroup(_)) | None => None,
    };
    let access = cloud::group_access_in(spec.access.as_ref()).map_err(Refused::invalid)?;
    let body = CreateUserGroup { name: spec.display_name, google_group_email, access };
    let made = user_groups::create(&call.app, &call.operation(&asked.async_operation_id)?, body).await?;
    Ok(api::CreateUserGroupResponse { group_id: made.id, async_operation: Some(cloud::operation(&made.request_status)) })
}

pub async fn update(call: Call, asked: api::UpdateUserGroupRequest) -> Result<api::UpdateUserGroupResponse, Refused> {
    let spec = required(asked.spec, "spec")?;
    let known = user_groups::get(&call.app, &call.actor, &asked.group_id).await?;
    let email = match &spec.group_type {
        Some(GroupType::GoogleGroup(group)) => Some(group.email_address.to_ascii_lowercase()),
        _ => None,
    };
    if spec.group_type.is_some() && email != known.google_group_email {
        return Err(Refused::invalid("what kind of group it is cannot be changed").hint("create another group"));
    }
    let access = Some(cloud::group_access_in(spec.access.as_ref()).map_err(Refused::invalid)?);
    let body = UpdateUserGroup { name: Some(spec.display_name), access, resource_version: given(&asked.resource_version) };
    let caller = call.operation(&asked.async_operation_id)?;
    Ok(changed!(UpdateUserGroupResponse, user_groups::update(&call.app, &caller, &asked.group_id, body).await?))
}

pub async fn delete(call: Call, asked: api::DeleteUserGroupRequest) -> Result<api::DeleteUserGroupResponse, Refused> {
    let caller = call.operation(&asked.async_operation_id)?;
    let version = given(&asked.resource_version);
    let changed = user_groups::delete(&call.app, &caller, &asked.group_id, version.as_deref()).await?;
    Ok(changed!(DeleteUserGroupResponse, changed))
}

pub async fn add_member(call: Call, asked: api::AddUserGroupMemberRequest) -> Result<api::AddUserGroupMemberResponse, Refused> {
    let user = cloud::member_in(asked.member_id).map_err(Refused::invalid)?;
    let caller = call.operation(&asked.async_operation_id)?;
    let changed = user_groups::add_member(&call.app, &caller, &asked.group_id, &user).await?;
    Ok(changed!(AddUserGroupMemberResponse, changed))
}

pub async fn remove_member(call: Call, asked: api::RemoveUserGroupMemberRequest) -> Result<api::RemoveUserGroupMemberResponse, Refused> {
    let user = cloud::member_in(asked.member_id).map_err(Refused::invalid)?;
    let caller = call.operation(&asked.async_operation_id)?;
    let changed = user_groups::remove_member(&call.app, &caller, &asked.group_id, &user).await?;
    Ok(changed!(RemoveUserGroupMemberResponse, changed))
}

pub async fn members(call: Call, asked: api::GetUserGroupMembersRequest) -> Result<api::GetUserGroupMembersResponse, Refused> {
    let query = PageQuery { page_size: size(asked.page_size)?, page_token: given(&asked.page_token) };
    let page = user_groups::members(&call.app, &call.actor, &asked.group_id, &query).await?;
    let members = page.items.iter().map(cloud::group_member).collect();
    Ok(api::GetUserGroupMembersResponse { members, next_page_token: page.next_page_token })
}

pub async fn list_roles(call: Call, asked: api::GetCustomRolesRequest) -> Result<api::GetCustomRolesResponse, Refused> {
    let query = PageQuery { page_size: size(asked.page_size)?, page_token: given(&asked.page_token) };
    let page = custom_roles::list(&call.app, &call.actor, &query).await?;
    let custom_roles = page.items.iter().map(cloud::custom_role).collect();
    Ok(api::GetCustomRolesResponse { custom_roles, next_page_token: page.next_page_token })
}

pub async fn get_role(call: Call, asked: api::GetCustomRoleRequest) -> Result<api::GetCustomRoleResponse, Refused> {
    let role = custom_roles::get(&call.app, &call.actor, &asked.role_id).await?;
    Ok(api::GetCustomRoleResponse { custom_role: Some(cloud::custom_role(&role)) })
}

pub async fn create_role(call: Call, asked: api::CreateCustomRoleRequest) -> Result<api::CreateCustomRoleResponse, Refused> {
    let body = cloud::custom_role_in(required(asked.spec, "spec")?);
    let made = custom_roles::create(&call.app, &call.operation(&asked.async_operation_id)?, body).await?;
    Ok(api::CreateCustomRoleResponse { role_id: made.id, async_operation: Some(cloud::operation(&made.request_status)) })
}

pub async fn update_role(call: Call, asked: api::UpdateCustomRoleRequest) -> Result<api::UpdateCustomRoleResponse, Refused> {
    let spec = cloud::custom_role_in(required(asked.spec, "spec")?);
    let body = UpdateCustomRole {
        name: Some(spec.name),
        description: Some(spec.description),
        permissions: Some(spec.permissions),
        resource_version: given(&asked.resource_version),
    };
    let caller = call.operation(&asked.async_operation_id)?;
    Ok(changed!(UpdateCustomRoleResponse, custom_roles::update(&call.app, &caller, &asked.role_id, body).await?))
}

pub async fn delete_role(call: Call, asked: api::DeleteCustomRoleRequest) -> Result<api::DeleteCustomRoleResponse, Refused> {
    let caller = call.operation(&asked.async_operation_id)?;
    let version = given(&asked.resource_version);
    let changed = custom_roles::delete(&call.app, &caller, &asked.role_id, version.as_deref()).await?;
    Ok(changed!(DeleteCustomRoleResponse, changed))
}
