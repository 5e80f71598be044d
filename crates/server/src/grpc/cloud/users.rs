//! Users and service accounts.

use super::super::Call;
use super::{api, changed, given, required, size};
use crate::app::{service_accounts, users};
use crate::error::Refused;
use countersign_proto::cloud;
use countersign_proto::grpc::wire::temporal::api::cloud::identity::v1::ServiceAccountSpec;
use countersign_proto::rest::{Changed, CreateUser, PageQuery, UpdateIdentity, UserQuery};

pub async fn list(call: Call, asked: api::GetUsersRequest) -> Result<api::GetUsersResponse, Refused> {
    let query = UserQuery {
        page_size: size(asked.page_size)?,
        page_token: given(&asked.page_token),
        email: given(&asked.email),
        namespace: given(&asked.namespace),
    };
    let page = users::list(&call.app, &call.actor, &query).await?;
    Ok(api::GetUsersResponse { users: page.items.iter().map(cloud::user).collect(), next_page_token: page.next_page_token })
}

pub async fn get(call: Call, asked: api::GetUserRequest) -> Result<api::GetUserResponse, Refused> {
    let user = users::get(&call.app, &call.actor, &asked.user_id).await?;
    Ok(api::GetUserResponse { user: Some(cloud::user(&user)) })
}

pub async fn create(call: Call, asked: api::CreateUserRequest) -> Result<api::CreateUserResponse, Refused> {
    let spec = required(asked.spec, "spec")?;
    let access = cloud::access_in(spec.access.as_ref()).map_err(Refused::invalid)?;
    let made = users::create(&call.app, &call.operation(&asked.async_operation_id)?, CreateUser { email: spec.email, access }).await?;
    Ok(api::CreateUserResponse { user_id: made.id, async_operation: Some(cloud::operation(&made.request_status)) })
}

pub async fn update(call: Call, asked: api::UpdateUserRequest) -> Result<api::UpdateUserResponse, Refused> {
    let spec = required(asked.spec, "spec")?;
    let access = cloud::access_in(spec.access.as_ref()).map_err(Refused::invalid)?;
    let known = users::get(&call.app, &call.actor, &asked.user_id).await?;
    if !spec.email.is_empty() && !spec.email.eq_ignore_ascii_case(&known.email) {
        return Err(Refused::invalid("spec.email cannot be changed; invite the new address as another user"));
    }
    let body = UpdateIdentity {
        account_role: Some(access.account_role),
        namespace_permissions: Some(access.namespace_permissions),
        custom_roles: Some(access.custom_roles),
        resource_version: given(&asked.resource_version),
        ..UpdateIdentity::default()
    };
    let caller = call.operation(&asked.async_operation_id)?;
    Ok(changed!(UpdateUserResponse, users::update(&call.app, &caller, &asked.user_id, body).await?))
}

pub async fn delete(call: Call, asked: api::DeleteUserRequest) -> Result<api::DeleteUserResponse, Refused> {
    let caller = call.operation(&asked.async_operation_id)?;
    let version = given(&asked.resource_version);
    Ok(changed!(DeleteUserResponse, users::delete(&call.app, &caller, &asked.user_id, version.as_deref()).await?))
}

pub async fn list_machines(call: Call, asked: api::GetServiceAccountsRequest) -> Result<api::GetServiceAccountsResponse, Refused> {
    let query = PageQuery { page_size: size(asked.page_size)?, page_token: given(&asked.page_token) };
    let page = service_accounts::list(&call.app, &call.actor, &query).await?;
    let service_account = page.items.iter().map(cloud::service_account).collect();
    Ok(api::GetServiceAccountsResponse { service_account, next_page_token: page.next_page_token })
}

pub async fn get_machine(call: Call, asked: api::GetServiceAccountRequest) -> Result<api::GetServiceAccountResponse, Refused> {
    let account = service_accounts::get(&call.app, &call.actor, &asked.service_account_id).await?;
    Ok(api::GetServiceAccountResponse { service_account: Some(cloud::service_account(&account)) })
}

pub async fn create_machine(call: Call, asked: api::CreateServiceAccountRequest) -> Result<api::CreateServiceAccountResponse, Refused> {
    let body = cloud::create_service_account(required(asked.spec, "spec")?).map_err(Refused::invalid)?;
    let made = service_accounts::create(&call.app, &call.operation(&asked.async_operation_id)?, body).await?;
    Ok(api::CreateServiceAccountResponse { service_account_id: made.id, async_operation: Some(cloud::operation(&made.request_status)) })
}

pub async fn update_machine(call: Call, asked: api::UpdateServiceAccountRequest) -> Result<api::UpdateServiceAccountResponse, Refused> {
    let spec = required(asked.spec, "spec")?;
    let changed = change_machine(&call, &asked.service_account_id, spec, &asked.resource_version, &asked.async_operation_id).await?;
    Ok(changed!(UpdateServiceAccountResponse, changed))
}

/// A service account's whole new spec, from whichever service.
pub async fn change_machine(call: &Call, id: &str, spec: ServiceAccountSpec, version: &str, operation: &str) -> Result<Changed, Refused> {
    let mut body = UpdateIdentity {
        name: Some(spec.name.clone()),
        description: Some(spec.description.clone()),
        resource_version: given(version),
        ..UpdateIdentity::default()
    };
    let asked_for = cloud::create_service_account(spec).map_err(Refused::invalid)?;
    let known = service_accounts::get(&call.app, &call.actor, id).await?;
    match (asked_for.access, asked_for.namespace_scope, known.namespace_scope) {
        (Some(access), None, None) => {
            body.account_role = Some(access.account_role);
            body.namespace_permissions = Some(access.namespace_permissions);
            body.custom_roles = Some(access.custom_roles);
        }
        (None, Some(scope), Some(own)) if scope.namespace == own => {
            body.namespace_permissions = Some([(scope.namespace, scope.permission)].into());
        }
        _ => {
            return Err(Refused::invalid("a service account stays account-wide, or scoped to the namespace it was made for")
                .hint("create another service account"));
        }
    }
    // Whoever may only set a permission here sends the whole spec too: name and description as they are, are no change.
    body.name = body.name.filter(|name| *name != known.name);
    body.description = body.description.filter(|description| *description != known.description);
    service_accounts::update(&call.app, &call.operation(operation)?, id, body).await
}

pub async fn delete_machine(call: Call, asked: api::DeleteServiceAccountRequest) -> Result<api::DeleteServiceAccountResponse, Refused> {
    let caller = call.operation(&asked.async_operation_id)?;
    let version = given(&asked.resource_version);
    let changed = service_accounts::delete(&call.app, &caller, &asked.service_account_id, version.as_deref()).await?;
    Ok(changed!(DeleteServiceAccountResponse, changed))
}
