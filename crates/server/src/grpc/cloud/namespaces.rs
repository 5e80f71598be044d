//! Namespaces, who can reach them, their tags.

use super::super::Call;
use super::{api, changed, given, required, size};
use crate::app::{namespace_access, namespace_settings, namespaces};
use crate::error::Refused;
use countersign_proto::cloud;
use countersign_proto::grpc::wire::temporal::api::cloud::identity::v1::NamespaceAccess;
use countersign_proto::rest::{
    AssignmentBody, AssignmentQuery, Changed, NamespaceQuery, Page, RenameSearchAttribute, SetAccess, UpdateTags,
};

fn pages(call: &Call) -> &str {
    &call.app.desk.settings().public_url
}

pub async fn list(call: Call, asked: api::GetNamespacesRequest) -> Result<api::GetNamespacesResponse, Refused> {
    let query = NamespaceQuery { page_size: size(asked.page_size)?, page_token: given(&asked.page_token), name: given(&asked.name) };
    let page = namespaces::list(&call.app, &call.actor, &query).await?;
    let namespaces = page.items.iter().map(|body| cloud::namespace(body, pages(&call))).collect();
    Ok(api::GetNamespacesResponse { namespaces, next_page_token: page.next_page_token })
}

pub async fn get(call: Call, asked: api::GetNamespaceRequest) -> Result<api::GetNamespaceResponse, Refused> {
    let body = namespaces::get(&call.app, &call.actor, &asked.namespace).await?;
    Ok(api::GetNamespaceResponse { namespace: Some(cloud::namespace(&body, pages(&call))) })
}

pub async fn create(call: Call, asked: api::CreateNamespaceRequest) -> Result<api::CreateNamespaceResponse, Refused> {
    let tags = asked.tags.into_iter().collect();
    let body = cloud::create_namespace(required(asked.spec, "spec")?, tags).map_err(Refused::invalid)?;
    let made = namespaces::create(&call.app, &call.operation(&asked.async_operation_id)?, body).await?;
    Ok(api::CreateNamespaceResponse { namespace: made.id, async_operation: Some(cloud::operation(&made.request_status)) })
}

pub async fn update(call: Call, asked: api::UpdateNamespaceRequest) -> Result<api::UpdateNamespaceResponse, Refused> {
    let spec = required(asked.spec, "spec")?;
    let name = asked.namespace.rsplit_once('.').map_or(asked.namespace.as_str(), |(name, _)| name);
    if !spec.name.is_empty() && spec.name != name && spec.name != asked.namespace {
        return Err(Refused::invalid("the name of a namespace cannot be changed").hint("create another namespace"));
    }
    let body = cloud::update_namespace(spec, &asked.resource_version).map_err(Refused::invalid)?;
    let caller = call.operation(&asked.async_operation_id)?;
    Ok(changed!(UpdateNamespaceResponse, namespaces::update(&call.app, &caller, &asked.namespace, body).await?))
}

pub async fn delete(call: Call, asked: api::DeleteNamespaceRequest) -> Result<api::DeleteNamespaceResponse, Refused> {
    let caller = call.operation(&asked.async_operation_id)?;
    let version = given(&asked.resource_version);
    let changed = namespaces::delete(&call.app, &caller, &asked.namespace, version.as_deref()).await?;
    Ok(changed!(DeleteNamespaceResponse, changed))
}

pub async fn update_tags(call: Call, asked: api::UpdateNamespaceTagsRequest) -> Result<api::UpdateNamespaceTagsResponse, Refused> {
    let body = UpdateTags { upsert: asked.tags_to_upsert.into_iter().collect(), remove: asked.tags_to_remove };
    let caller = call.operation(&asked.async_operation_id)?;
    let changed = namespace_settings::update_tags(&call.app, &caller, &asked.namespace, body).await?;
    Ok(changed!(UpdateNamespaceTagsResponse, changed))
}

pub async fn rename(
    call: Call,
    asked: api::RenameCustomSearchAttributeRequest,
) -> Result<api::RenameCustomSearchAttributeResponse, Refused> {
    let body = RenameSearchAttribute {
        existing_name: asked.existing_custom_search_attribute_name,
        new_name: asked.new_custom_search_attribute_name,
        resource_version: given(&asked.resource_version),
    };
    let caller = call.operation(&asked.async_operation_id)?;
    let changed = namespace_settings::rename_search_attribute(&call.app, &caller, &asked.namespace, body).await?;
    Ok(changed!(RenameCustomSearchAttributeResponse, changed))
}

/// One permission, of whichever kind of holder; an access that is not there takes it away.
async fn set(
    call: &Call,
    namespace: &str,
    letter: char,
    who: String,
    access: Option<NamespaceAccess>,
    version: &str,
    operation: &str,
) -> Result<Changed, Refused> {
    // The first letter of an id is its kind: an id of another kind is not to be found by this method.
    if !who.starts_with(letter) {
        return Err(Refused::not_found("identity", &who));
    }
    let permission = cloud::permission(access.as_ref()).map_err(Refused::invalid)?;
    let body = SetAccess { id: who, permission, resource_version: given(version) };
    namespace_access::set(&call.app, &call.operation(operation)?, namespace, body).await
}

pub async fn set_user(call: Call, asked: api::SetUserNamespaceAccessRequest) -> Result<api::SetUserNamespaceAccessResponse, Refused> {
    let (version, operation) = (&asked.resource_version, &asked.async_operation_id);
    let changed = set(&call, &asked.namespace, 'u', asked.user_id, asked.access, version, operation).await?;
    Ok(changed!(SetUserNamespaceAccessResponse, changed))
}

pub async fn set_machine(
    call: Call,
    asked: api::SetServiceAccountNamespaceAccessRequest,
) -> Result<api::SetServiceAccountNamespaceAccessResponse, Refused> {
    let (version, operation) = (&asked.resource_version, &asked.async_operation_id);
    let changed = set(&call, &asked.namespace, 's', asked.service_account_id, asked.access, version, operation).await?;
    Ok(changed!(SetServiceAccountNamespaceAccessResponse, changed))
}

pub async fn set_group(
    call: Call,
    asked: api::SetUserGroupNamespaceAccessRequest,
) -> Result<api::SetUserGroupNamespaceAccessResponse, Refused> {
    let (version, operation) = (&asked.resource_version, &asked.async_operation_id);
    let changed = set(&call, &asked.namespace, 'g', asked.group_id, asked.access, version, operation).await?;
    Ok(changed!(SetUserGroupNamespaceAccessResponse, changed))
}

async fn assigned(call: &Call, namespace: &str, kind: &str, page_size: i32, token: &str) -> Result<Page<AssignmentBody>, Refused> {
    let query = AssignmentQuery { page_size: size(page_size)?, page_token: given(token), kind: Some(kind.to_owned()) };
    namespace_access::assignments(&call.app, &call.actor, namespace, &query).await
}

pub async fn users(
    call: Call,
    asked: api::GetUserNamespaceAssignmentsRequest,
) -> Result<api::GetUserNamespaceAssignmentsResponse, Refused> {
    let page = assigned(&call, &asked.namespace, "user", asked.page_size, &asked.page_token).await?;
    let users = page.items.into_iter().map(cloud::user_assignment).collect();
    Ok(api::GetUserNamespaceAssignmentsResponse { users, next_page_token: page.next_page_token })
}

pub async fn machines(
    call: Call,
    asked: api::GetServiceAccountNamespaceAssignmentsRequest,
) -> Result<api::GetServiceAccountNamespaceAssignmentsResponse, Refused> {
    let page = assigned(&call, &asked.namespace, "service_account", asked.page_size, &asked.page_token).await?;
    let service_accounts = page.items.into_iter().map(cloud::service_account_assignment).collect();
    Ok(api::GetServiceAccountNamespaceAssignmentsResponse { service_accounts, next_page_token: page.next_page_token })
}

pub async fn groups(
    call: Call,
    asked: api::GetUserGroupNamespaceAssignmentsRequest,
) -> Result<api::GetUserGroupNamespaceAssignmentsResponse, Refused> {
    let page = assigned(&call, &asked.namespace, "user_group", asked.page_size, &asked.page_token).await?;
    let groups = page.items.into_iter().map(cloud::user_group_assignment).collect();
    Ok(api::GetUserGroupNamespaceAssignmentsResponse { groups, next_page_token: page.next_page_token })
}
