//! Users, roles, service accounts and API keys.

use super::identity as api;
use crate::app::{api_keys, service_accounts, users};
use crate::error::Refused;
use crate::grpc::Call;
use crate::grpc::cloud::{change_key, change_machine, given, required, size};
use crate::login::invite;
use countersign_core::authz::Action;
use countersign_core::id::OperationId;
use countersign_proto::rest::{ApiKeyQuery, CreateUser, PageQuery, UpdateIdentity, UserBody, UserQuery};
use countersign_proto::{cloud, tcld};

/// How many users one call invites.
const INVITED_MAX: usize = 100;

pub async fn role(call: Call, asked: api::GetRoleRequest) -> Result<api::GetRoleResponse, Refused> {
    call.decide(Action::GetUsers)?;
    let role = tcld::role(&asked.role_id).ok_or_else(|| Refused::not_found("role", &asked.role_id))?;
    Ok(api::GetRoleResponse { role: Some(role) })
}

/// A user's roles, a namespace's three, or the account's six; few enough for one page.
pub async fn roles(call: Call, asked: api::GetRolesRequest) -> Result<api::GetRolesResponse, Refused> {
    call.decide(Action::GetUsers)?;
    let roles = if asked.user_id.is_empty() {
        tcld::known_roles(given(&asked.namespace).as_deref())
    } else {
        let mut roles = tcld::roles(&users::get(&call.app, &call.actor, &asked.user_id).await?.access);
        let of_namespace = |role: &api::Role| {
            role.spec.as_ref().is_some_and(|spec| spec.namespace_roles.iter().any(|one| one.namespace == asked.namespace))
        };
        if !asked.namespace.is_empty() {
            roles.retain(of_namespace);
        }
        roles
    };
    Ok(api::GetRolesResponse { roles, next_page_token: String::new() })
}

pub async fn roles_of(call: Call, asked: api::GetRolesByPermissionsRequest) -> Result<api::GetRolesByPermissionsResponse, Refused> {
    call.decide(Action::GetUsers)?;
    Ok(api::GetRolesByPermissionsResponse { roles: tcld::roles_of(&asked.specs).map_err(Refused::invalid)? })
}

pub async fn users(call: Call, asked: api::GetUsersRequest) -> Result<api::GetUsersResponse, Refused> {
    // All users there are, are active: whoever asks for others finds none.
    if asked.state != 0 && asked.state != i32::from(api::IdentityState::Active) {
        return Ok(api::GetUsersResponse::default());
    }
    let query = UserQuery {
        page_size: size(asked.page_size)?,
        page_token: given(&asked.page_token),
        email: None,
        namespace: given(&asked.namespace),
    };
    let page = users::list(&call.app, &call.actor, &query).await?;
    Ok(api::GetUsersResponse { users: page.items.iter().map(tcld::user).collect(), next_page_token: page.next_page_token })
}

async fn user_by_email(call: &Call, email: &str) -> Result<UserBody, Refused> {
    let query = UserQuery { email: Some(email.to_owned()), ..UserQuery::default() };
    let page = users::list(&call.app, &call.actor, &query).await?;
    page.items.into_iter().next().ok_or_else(|| Refused::not_found("user", email))
}

pub async fn user(call: Call, asked: api::GetUserRequest) -> Result<api::GetUserResponse, Refused> {
    let user = match (asked.user_id.as_str(), asked.user_email.as_str()) {
        ("", "") => return Err(Refused::invalid("give user_id or user_email")),
        ("", email) => user_by_email(&call, email).await?,
        (id, _) => users::get(&call.app, &call.actor, id).await?,
    };
    Ok(api::GetUserResponse { user: Some(tcld::user(&user)) })
}

/// Users, one after the other; the first that is refused ends it, and says so by its mail address.
pub async fn invite(call: Call, asked: api::InviteUsersRequest) -> Result<api::InviteUsersResponse, Refused> {
    if asked.specs.is_empty() || asked.specs.len() > INVITED_MAX {
        return Err(Refused::invalid(format!("specs are 1 to {INVITED_MAX} users")));
    }
    let caller = call.operation(&asked.request_id)?;
    let many = asked.specs.len() > 1;
    let mut last = None;
    for (at, spec) in asked.specs.into_iter().enumerate() {
        let access = tcld::access_of(&spec.roles).map_err(Refused::invalid)?;
        let mut caller = caller.clone();
        if at > 0 {
            caller.operation = caller.operation.and_then(|id| OperationId::parse(&format!("{id}:{at}")).ok());
        }
        let email = spec.email.clone();
        let named = |mut refused: Refused| {
            if many {
                refused.detail = format!("{email}: {}", refused.detail);
            }
            refused
        };
        let made = users::create_invited(&call.app, &caller, CreateUser { email: spec.email, access }).await.map_err(named)?;
        if let Some(address) = made.invitation_url {
            invite::post(&call.app, &email, &address);
        }
        last = Some(made.request_status);
    }
    Ok(api::InviteUsersResponse { request_status: last.as_ref().map(tcld::status) })
}

/// A new invitation, by mail: this API has no place for an address to be shown in.
pub async fn invite_again(call: Call, asked: api::ResendUserInviteRequest) -> Result<api::ResendUserInviteResponse, Refused> {
    call.decide(countersign_core::authz::Action::InviteUser)?;
    let user = users::get(&call.app, &call.actor, &asked.user_id).await?;
    if !invite::can_post(&call.app) {
        return Err(Refused::new("no_mail_server", "an invitation is sent by mail, and no mail server is set (mail.server)")
            .hint(format!("countersign user resend-invite --user-email {}, which prints its address", user.email)));
    }
    let made = invite::again(&call.app, &call.operation(&asked.request_id)?, &asked.user_id).await?;
    if let Some(address) = made.invitation_url {
        invite::post(&call.app, &user.email, &address);
    }
    Ok(api::ResendUserInviteResponse { request_status: Some(tcld::status(&made.request_status)) })
}

pub async fn update_user(call: Call, asked: api::UpdateUserRequest) -> Result<api::UpdateUserResponse, Refused> {
    let spec = required(asked.spec, "spec")?;
    let access = tcld::access_of(&spec.roles).map_err(Refused::invalid)?;
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
    let changed = users::update(&call.app, &call.operation(&asked.request_id)?, &asked.user_id, body).await?;
    Ok(api::UpdateUserResponse { request_status: Some(tcld::status(&changed.request_status)) })
}

pub async fn delete_user(call: Call, asked: api::DeleteUserRequest) -> Result<api::DeleteUserResponse, Refused> {
    let (caller, version) = (call.operation(&asked.request_id)?, given(&asked.resource_version));
    let changed = users::delete(&call.app, &caller, &asked.user_id, version.as_deref()).await?;
    Ok(api::DeleteUserResponse { request_status: Some(tcld::status(&changed.request_status)) })
}

pub async fn create_key(call: Call, asked: api::CreateApiKeyRequest) -> Result<api::CreateApiKeyResponse, Refused> {
    let spec = tcld::api_key_in(required(asked.spec, "spec")?);
    let body = cloud::create_api_key(spec, call.caller.identity.as_str()).map_err(Refused::invalid)?;
    let made = api_keys::create(&call.app, &call.operation(&asked.request_id)?, body).await?;
    // Empty where a repeated request finds the key made: it was shown once.
    let secret_key = made.secret_key.unwrap_or_default();
    Ok(api::CreateApiKeyResponse { id: made.id, secret_key, request_status: Some(tcld::status(&made.request_status)) })
}

pub async fn create_machine_key(
    call: Call,
    asked: api::CreateServiceAccountApiKeyRequest,
) -> Result<api::CreateServiceAccountApiKeyResponse, Refused> {
    if asked.service_account_id.is_empty() {
        return Err(Refused::invalid("service_account_id is missing"));
    }
    let mut spec = tcld::api_key_in(required(asked.spec, "spec")?);
    spec.owner_id = asked.service_account_id;
    let body = cloud::create_api_key(spec, call.caller.identity.as_str()).map_err(Refused::invalid)?;
    let made = api_keys::create(&call.app, &call.operation(&asked.request_id)?, body).await?;
    let (api_key_id, secret_key) = (made.id, made.secret_key.unwrap_or_default());
    Ok(api::CreateServiceAccountApiKeyResponse { api_key_id, secret_key, request_status: Some(tcld::status(&made.request_status)) })
}

pub async fn keys(call: Call, asked: api::GetApiKeysRequest) -> Result<api::GetApiKeysResponse, Refused> {
    let owner_id = match given(&asked.owner_id) {
        None if !asked.user_email.is_empty() => Some(user_by_email(&call, &asked.user_email).await?.id),
        owner => owner,
    };
    let query = ApiKeyQuery {
        page_size: size(asked.page_size)?,
        page_token: given(&asked.page_token),
        owner_id,
        owner_type: cloud::owner_type(0, &asked.owner_type).map_err(Refused::invalid)?,
        ..ApiKeyQuery::default()
    };
    let page = api_keys::list(&call.app, &call.actor, &query).await?;
    Ok(api::GetApiKeysResponse { api_keys: page.items.iter().map(tcld::api_key).collect(), next_page_token: page.next_page_token })
}

pub async fn key(call: Call, asked: api::GetApiKeyRequest) -> Result<api::GetApiKeyResponse, Refused> {
    let key = api_keys::get(&call.app, &call.actor, &asked.id).await?;
    Ok(api::GetApiKeyResponse { api_key: Some(tcld::api_key(&key)) })
}

pub async fn update_key(call: Call, asked: api::UpdateApiKeyRequest) -> Result<api::UpdateApiKeyResponse, Refused> {
    let spec = tcld::api_key_in(required(asked.spec, "spec")?);
    let changed = change_key(&call, &asked.id, spec, &asked.resource_version, &asked.request_id).await?;
    Ok(api::UpdateApiKeyResponse { request_status: Some(tcld::status(&changed.request_status)) })
}

pub async fn delete_key(call: Call, asked: api::DeleteApiKeyRequest) -> Result<api::DeleteApiKeyResponse, Refused> {
    let (caller, version) = (call.operation(&asked.request_id)?, given(&asked.resource_version));
    let changed = api_keys::delete(&call.app, &caller, &asked.id, version.as_deref(), false).await?;
    Ok(api::DeleteApiKeyResponse { request_status: Some(tcld::status(&changed.request_status)) })
}

pub async fn create_machine(call: Call, asked: api::CreateServiceAccountRequest) -> Result<api::CreateServiceAccountResponse, Refused> {
    let spec = tcld::service_account_in(required(asked.spec, "spec")?).map_err(Refused::invalid)?;
    let body = cloud::create_service_account(spec).map_err(Refused::invalid)?;
    let made = service_accounts::create(&call.app, &call.operation(&asked.request_id)?, body).await?;
    Ok(api::CreateServiceAccountResponse { service_account_id: made.id, request_status: Some(tcld::status(&made.request_status)) })
}

pub async fn machine(call: Call, asked: api::GetServiceAccountRequest) -> Result<api::GetServiceAccountResponse, Refused> {
    let account = service_accounts::get(&call.app, &call.actor, &asked.service_account_id).await?;
    Ok(api::GetServiceAccountResponse { service_account: Some(tcld::service_account(&account)) })
}

pub async fn machines(call: Call, asked: api::GetServiceAccountsRequest) -> Result<api::GetServiceAccountsResponse, Refused> {
    let query = PageQuery { page_size: size(asked.page_size)?, page_token: given(&asked.page_token) };
    let page = service_accounts::list(&call.app, &call.actor, &query).await?;
    let service_account = page.items.iter().map(tcld::service_account).collect();
    Ok(api::GetServiceAccountsResponse { service_account, next_page_token: page.next_page_token })
}

pub async fn update_machine(call: Call, asked: api::UpdateServiceAccountRequest) -> Result<api::UpdateServiceAccountResponse, Refused> {
    let spec = tcld::service_account_in(required(asked.spec, "spec")?).map_err(Refused::invalid)?;
    let changed = change_machine(&call, &asked.service_account_id, spec, &asked.resource_version, &asked.request_id).await?;
    Ok(api::UpdateServiceAccountResponse { request_status: Some(tcld::status(&changed.request_status)) })
}

pub async fn delete_machine(call: Call, asked: api::DeleteServiceAccountRequest) -> Result<api::DeleteServiceAccountResponse, Refused> {
    let (caller, version) = (call.operation(&asked.request_id)?, given(&asked.resource_version));
    let changed = service_accounts::delete(&call.app, &caller, &asked.service_account_id, version.as_deref()).await?;
    Ok(api::DeleteServiceAccountResponse { request_status: Some(tcld::status(&changed.request_status)) })
}
