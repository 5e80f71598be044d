//! Users, service accounts and API keys.

use super::role::{account_number, account_word, permission_number, permission_word, roles};
use super::{auth, moment, public};
use crate::rest::{ApiKeyBody, ServiceAccountBody, UserBody};
use public::identity::v1 as id;

/// A user, his rights as role ids.
pub fn user(body: &UserBody) -> auth::User {
    auth::User {
        id: body.id.clone(),
        resource_version: body.resource_version.clone(),
        spec: Some(auth::UserSpec { email: body.email.clone(), roles: roles(&body.access).into_iter().map(|role| role.id).collect() }),
        state: auth::IdentityState::Active.into(),
        created_time: moment(&body.created_time),
        last_modified_time: moment(&body.last_modified_time),
        ..auth::User::default()
    }
}

/// A service account. One that is scoped to a namespace has the account role that the client sends with it.
pub fn service_account(body: &ServiceAccountBody) -> auth::ServiceAccount {
    let scoped = body.namespace_scope.is_some();
    let role = if scoped { "read" } else { &body.access.account_role };
    let permission = |word: &String| auth::NamespaceAccess { permission: permission_number(word) };
    let access = auth::Access {
        account_access: Some(auth::AccountAccess { role: account_number(role) }),
        namespace_accesses: body
            .access
            .namespace_permissions
            .iter()
            .map(|(namespace, word)| (namespace.clone(), permission(word)))
            .collect(),
    };
    auth::ServiceAccount {
        id: body.id.clone(),
        resource_version: body.resource_version.clone(),
        spec: Some(auth::ServiceAccountSpec {
            name: body.name.clone(),
            access: Some(access),
            description: body.description.clone(),
            scope: scoped.then(|| auth::ServiceAccountScope { r#type: auth::ServiceAccountScopeType::Namespace.into() }),
        }),
        state: auth::IdentityState::Active.into(),
        created_time: moment(&body.created_time),
        last_modified_time: moment(&body.last_modified_time),
        ..auth::ServiceAccount::default()
    }
}

fn permission_in(number: i32, namespace: &str) -> Result<id::NamespaceAccess, String> {
    let word = permission_word(number).ok_or_else(|| format!("the permission in {namespace} is admin, write or read"))?;
    Ok(id::NamespaceAccess { permission_deprecated: word.to_owned(), ..id::NamespaceAccess::default() })
}

/// The same service account in the words of the Cloud Ops API. The error is a sentence.
pub fn service_account_in(spec: auth::ServiceAccountSpec) -> Result<id::ServiceAccountSpec, String> {
    let access = spec.access.ok_or("spec.access is missing")?;
    let mut made = id::ServiceAccountSpec { name: spec.name, description: spec.description, ..id::ServiceAccountSpec::default() };
    if spec.scope.is_some_and(|scope| scope.r#type == i32::from(auth::ServiceAccountScopeType::Namespace)) {
        let mut accesses = access.namespace_accesses.into_iter();
        let (Some((namespace, one)), None) = (accesses.next(), accesses.next()) else {
            return Err("a service account that is scoped to a namespace has a permission in exactly one".to_owned());
        };
        let access = Some(permission_in(one.permission, &namespace)?);
        made.namespace_scoped_access = Some(id::NamespaceScopedAccess { namespace, access });
        return Ok(made);
    }
    let role = access.account_access.and_then(|account| account_word(account.role)).ok_or("spec.access.account_access.role is missing")?;
    let mut namespace_accesses = std::collections::HashMap::new();
    for (namespace, one) in access.namespace_accesses {
        let permission = permission_in(one.permission, &namespace)?;
        namespace_accesses.insert(namespace, permission);
    }
    made.access = Some(id::Access {
        account_access: Some(id::AccountAccess { role_deprecated: role.to_owned(), ..id::AccountAccess::default() }),
        namespace_accesses,
        ..id::Access::default()
    });
    Ok(made)
}

/// An API key; expired is a state of its own, disabled is in the spec.
pub fn api_key(body: &ApiKeyBody) -> auth::ApiKey {
    let state = if body.state == "expired" { auth::ApiKeyState::ApikeyStateExpired } else { auth::ApiKeyState::ApikeyStateActive };
    let owner_type = match body.owner_type.as_str() {
        "user" => auth::ApiKeyOwnerType::ApikeyOwnerTypeUser,
        "service_account" => auth::ApiKeyOwnerType::ApikeyOwnerTypeServiceAccount,
        _ => auth::ApiKeyOwnerType::ApikeyOwnerTypeUnspecified,
    };
    auth::ApiKey {
        id: body.id.clone(),
        owner: Some(auth::Owner { owner_id: body.owner_id.clone(), owner_type: owner_type.into() }),
        spec: Some(auth::ApiKeySpec {
            access_type: auth::ApiKeyAccessType::ApikeyAccessTypeInheritOwnerAccess.into(),
            display_name: body.name.clone(),
            description: body.description.clone(),
            expiry_time: moment(&body.expiry_time),
            disabled: body.state == "disabled",
        }),
        resource_version: body.resource_version.clone(),
        state: state.into(),
        created_time: moment(&body.created_time),
        last_modified_time: moment(&body.last_modified_time),
        ..auth::ApiKey::default()
    }
}

/// The same API key in the words of the Cloud Ops API.
pub fn api_key_in(spec: auth::ApiKeySpec) -> id::ApiKeySpec {
    id::ApiKeySpec {
        display_name: spec.display_name,
        description: spec.description,
        expiry_time: spec.expiry_time,
        disabled: spec.disabled,
        ..id::ApiKeySpec::default()
    }
}
