//! Service accounts: of the whole account, or scoped to one namespace for ever.

use super::caller::Caller;
use super::unit::{Begun, Done, Unit, value};
use super::users::{check_namespaces, decide_access, end_credentials, new_access};
use super::{App, check_text, check_version, decide, namespace_id, page};
use crate::error::Refused;
use countersign_core::access::{Access, AccountRole};
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::id::ServiceAccountId;
use countersign_core::identity::{IdentityId, ServiceAccount};
use countersign_core::limits::{DESCRIPTION_CHARS_MAX, DISPLAY_NAME_CHARS_MAX};
use countersign_core::snapshot::Change;
use countersign_proto::convert;
use countersign_proto::rest::{Changed, CreateServiceAccount, Created, Page, PageQuery, ServiceAccountBody, UpdateIdentity};

/// A service account's id from a path or member.
pub(super) fn id(text: &str) -> Result<ServiceAccountId, Refused> {
    ServiceAccountId::parse(text).map_err(|_| Refused::not_found("service account", text))
}

/// One of them.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn get(app: &App, actor: &Actor, text: &str) -> Result<ServiceAccountBody, Refused> {
    let found = app.store.read().await?.service_account(&id(text)?).await?;
    let scope = found.as_ref().and_then(|account| account.scope.as_ref());
    decide(actor, Action::GetServiceAccount, Target::ServiceAccount(scope))?;
    found.map(|account| convert::service_account(&account)).ok_or_else(|| Refused::not_found("service account", text))
}

/// The caller itself: everybody may see who he is.
///
/// # Errors
/// When it ended in the meantime.
pub async fn own(app: &App, caller: &Caller) -> Result<ServiceAccountBody, Refused> {
    let IdentityId::ServiceAccount(id) = &caller.identity else {
        return Err(Refused::not_found("service account", caller.identity.as_str()));
    };
    let found = app.store.read().await?.service_account(id).await?;
    found.map(|account| convert::service_account(&account)).ok_or_else(Refused::invalid_api_key)
}

/// All of them: everyone lists them (research/temporal-cloud.md section 8.1).
///
/// # Errors
/// `forbidden`.
pub async fn list(app: &App, actor: &Actor, query: &PageQuery) -> Result<Page<ServiceAccountBody>, Refused> {
    decide(actor, Action::GetServiceAccounts, Target::ServiceAccount(None))?;
    let asked = page::asked(query.page_size, query.page_token.as_deref())?;
    let found = app.store.read().await?.service_accounts(&page::one_more(&asked)).await?;
    Ok(page::cut(found, &asked, |a| a.id.to_string(), |a| convert::service_account(&a)))
}

/// Makes one.
///
/// # Errors
/// `invalid_argument`, `forbidden`, `already_exists`.
pub async fn create(app: &App, caller: &Caller, body: CreateServiceAccount) -> Result<Created, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::CreateServiceAccount, &body).await? {
        Begun::Repeated(operation) => {
            return Ok(Created { id: operation.resource_id.clone(), request_status: convert::request_status(&operation) });
        }
        Begun::New(unit) => unit,
    };
    let (access, scope) = match (&body.access, &body.namespace_scope) {
        (Some(access), None) => (convert::parse_access(access).map_err(Refused::invalid)?, None),
        (None, Some(scope)) => {
            let namespace = namespace_id(app, &scope.namespace)?;
            let permission = convert::parse_permission(&scope.permission).map_err(Refused::invalid)?;
            let mut access = Access::role(AccountRole::Read);
            access.namespaces.insert(namespace.clone(), permission);
            (access, Some(namespace))
        }
        _ => return Err(Refused::invalid("give exactly one of access (account-wide) and namespaceScope (one namespace)")),
    };
    unit.decide(Action::CreateServiceAccount, Target::ServiceAccount(scope.as_ref()))?;
    unit.decide_grant(None, &access)?;
    check_text("name", &body.name, 1, DISPLAY_NAME_CHARS_MAX)?;
    check_text("description", &body.description, 0, DESCRIPTION_CHARS_MAX)?;
    check_namespaces(&mut unit, &access).await?;
    let account = insert(app, &mut unit, body.name, body.description, access, scope).await?;
    let id = account.id.to_string();
    let after = value(&convert::service_account(&account));
    let operation = unit.commit(Done { kind: "service_account", id: &id, before: None, after }).await?;
    Ok(Created { id, request_status: convert::request_status(&operation) })
}

/// Puts a new one into a change under way, all rights decided.
pub(super) async fn insert(
    app: &App,
    unit: &mut Unit<'_>,
    name: String,
    description: String,
    access: Access,
    scope: Option<countersign_core::NamespaceId>,
) -> Result<ServiceAccount, Refused> {
    if unit.write.service_account_by_name(&name).await?.is_some() {
        return Err(
            Refused::new("already_exists", format!("there is a service account {name} already")).hint("countersign service-account list")
        );
    }
    let account = ServiceAccount {
        id: ServiceAccountId::mint(&*app.entropy),
        name,
        description,
        access,
        scope,
        resource_version: 1,
        created_at: unit.now,
        modified_at: unit.now,
    };
    unit.write.put_service_account(&account).await?;
    unit.publish(Change::PutIdentity(IdentityId::ServiceAccount(account.id.clone()), account.access.clone()));
    Ok(account)
}

/// Changes name, description or rights. A scoped one keeps its role and its namespace.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `nothing_to_change`, `resource_version_conflict`.
pub async fn update(app: &App, caller: &Caller, text: &str, body: UpdateIdentity) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::UpdateServiceAccount, &(text, &body)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    let id = id(text)?;
    let before = seen(&mut unit, &id).await?;
    let access = new_access(&body, &before.access)?;
    let target = Target::ServiceAccount(before.scope.as_ref());
    if body.name.is_some() || body.description.is_some() {
        unit.decide(Action::UpdateServiceAccount, target)?;
    }
    decide_access(&unit, &before.access, &access, Action::UpdateServiceAccount, target, Action::SetServiceAccountNamespaceAccess)?;
    if let Some(scope) = &before.scope
        && (access.account_role != AccountRole::Read
            || access.namespaces.len() != 1
            || !access.namespaces.contains_key(scope)
            || !access.custom_roles.is_empty())
    {
        return Err(Refused::invalid(format!(
            "a service account scoped to {scope} has the role read and a permission in that namespace alone, and no custom role"
        ))
        .hint("change only its permission there, or create another service account"));
    }
    check_version(body.resource_version.as_deref(), before.resource_version)?;
    check_namespaces(&mut unit, &access).await?;
    let mut after = before.clone();
    if let Some(name) = body.name {
        check_text("name", &name, 1, DISPLAY_NAME_CHARS_MAX)?;
        after.name = name;
    }
    if let Some(description) = body.description {
        check_text("description", &description, 0, DESCRIPTION_CHARS_MAX)?;
        after.description = description;
    }
    after.access = access;
    if after == before {
        return Err(Refused::nothing_to_change(format!("service account {id} is so already")));
    }
    after.resource_version += 1;
    after.modified_at = unit.now;
    unit.write.put_service_account(&after).await?;
    unit.publish(Change::PutIdentity(IdentityId::ServiceAccount(id), after.access.clone()));
    let (old, new) = (value(&convert::service_account(&before)), value(&convert::service_account(&after)));
    let operation = unit.commit(Done { kind: "service_account", id: text, before: old, after: new }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// Deletes one; its keys go with it (seed 002).
///
/// # Errors
/// `not_found`, `forbidden`, `resource_version_conflict`.
pub async fn delete(app: &App, caller: &Caller, text: &str, version: Option<&str>) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::DeleteServiceAccount, &(text, version)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    let before = seen(&mut unit, &id(text)?).await?;
    unit.decide(Action::DeleteServiceAccount, Target::ServiceAccount(before.scope.as_ref()))?;
    unit.decide_grant(Some(&before.access), &before.access)?;
    check_version(version, before.resource_version)?;
    remove(&mut unit, &before).await?;
    let old = value(&convert::service_account(&before));
    let operation = unit.commit(Done { kind: "service_account", id: text, before: old, after: None }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// One that the caller may see, inside a change under way.
async fn seen(unit: &mut Unit<'_>, id: &ServiceAccountId) -> Result<ServiceAccount, Refused> {
    let found = unit.write.service_account(id).await?;
    let scope = found.as_ref().and_then(|account| account.scope.as_ref());
    unit.decide(Action::GetServiceAccount, Target::ServiceAccount(scope))?;
    found.ok_or_else(|| Refused::not_found("service account", id.as_str()))
}

/// Takes one out with all its credentials, inside a change under way.
pub(super) async fn remove(unit: &mut Unit<'_>, account: &ServiceAccount) -> Result<(), Refused> {
    let identity = IdentityId::ServiceAccount(account.id.clone());
    end_credentials(unit, &identity).await?;
    unit.write.delete_service_account(&account.id).await?;
    unit.publish(Change::RemoveIdentity(identity));
    Ok(())
}
