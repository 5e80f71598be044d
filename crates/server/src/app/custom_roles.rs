//! Custom roles: single actions on single resources. Whoever makes one gives no more than he has (promise P12); taking one away takes
//! it from everybody who has it.

use super::caller::Caller;
use super::rights::{self, RightsBefore};
use super::unit::{Begun, Done, Unit, value};
use super::{App, check_text, check_version, decide, namespace_id, page, user_groups};
use crate::error::{Refused, shown};
use countersign_core::authz::{self, Action, Actor, Target};
use countersign_core::custom_role::{self, CustomRole, Permission, ResourceType};
use countersign_core::id::CustomRoleId;
use countersign_core::identity::IdentityId;
use countersign_core::limits::{DESCRIPTION_CHARS_MAX, DISPLAY_NAME_CHARS_MAX};
use countersign_core::name::NamespaceId;
use countersign_core::snapshot::Change;
use countersign_proto::convert;
use countersign_proto::rest::{Changed, CreateCustomRole, Created, CustomRoleBody, Page, PageQuery, RolePermission, UpdateCustomRole};
use countersign_store::Page as StorePage;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Lines of one role, and resources of one line.
const PERMISSIONS_MAX: usize = 50;
const RESOURCES_MAX: usize = 200;

/// A role's id from a path.
fn id(text: &str) -> Result<CustomRoleId, Refused> {
    CustomRoleId::parse(text).map_err(|_| Refused::not_found("custom role", text))
}

/// One role.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn get(app: &App, actor: &Actor, text: &str) -> Result<CustomRoleBody, Refused> {
    decide(actor, Action::GetCustomRole, Target::Resource(text))?;
    let found = app.store.read().await?.custom_role(&id(text)?).await?;
    found.map(|role| convert::custom_role(&role)).ok_or_else(|| Refused::not_found("custom role", text))
}

/// All roles, ascending by id.
///
/// # Errors
/// `forbidden`, `invalid_argument`.
pub async fn list(app: &App, actor: &Actor, query: &PageQuery) -> Result<Page<CustomRoleBody>, Refused> {
    decide(actor, Action::GetCustomRoles, Target::Account)?;
    let asked = page::asked(query.page_size, query.page_token.as_deref())?;
    let found = app.store.read().await?.custom_roles(&page::one_more(&asked)).await?;
    Ok(page::cut(found, &asked, |role| role.id.to_string(), |role| convert::custom_role(&role)))
}

/// Makes a role that nobody has yet.
///
/// # Errors
/// `invalid_argument`, `forbidden`, `already_exists`.
pub async fn create(app: &App, caller: &Caller, body: CreateCustomRole) -> Result<Created, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::CreateCustomRole, &body).await? {
        Begun::Repeated(operation) => {
            return Ok(Created { id: operation.resource_id.clone(), request_status: convert::request_status(&operation) });
        }
        Begun::New(unit) => unit,
    };
    unit.decide(Action::CreateCustomRole, Target::Account)?;
    check_text("name", &body.name, 1, DISPLAY_NAME_CHARS_MAX)?;
    check_text("description", &body.description, 0, DESCRIPTION_CHARS_MAX)?;
    let role = CustomRole {
        id: CustomRoleId::mint(&*app.entropy),
        permissions: permissions(app, &body.permissions)?,
        name: body.name,
        description: body.description,
        resource_version: 1,
        created_at: unit.now,
        modified_at: unit.now,
    };
    authz::decide_custom_role(&unit.actor, &role).map_err(Refused::forbidden)?;
    check_resources(&mut unit, &role.permissions).await?;
    check_name_is_free(&mut unit, &role.name).await?;
    unit.write.put_custom_role(&role).await?;
    unit.publish(Change::PutCustomRole(Arc::new(role.clone())));
    let id = role.id.to_string();
    let operation = unit.commit(Done { kind: "custom_role", id: &id, before: None, after: value(&convert::custom_role(&role)) }).await?;
    Ok(Created { id, request_status: convert::request_status(&operation) })
}

async fn check_name_is_free(unit: &mut Unit<'_>, name: &str) -> Result<(), Refused> {
    match unit.write.custom_role_by_name(name).await? {
        None => Ok(()),
        Some(_) => Err(Refused::new("already_exists", format!("there is a custom role {name} already")).hint("choose another name")),
    }
}

/// Changes a role; everybody who has it has the new one at once.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `nothing_to_change`, `resource_version_conflict`, `already_exists`.
pub async fn update(app: &App, caller: &Caller, text: &str, body: UpdateCustomRole) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::UpdateCustomRole, &(text, &body)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    unit.decide(Action::UpdateCustomRole, Target::Resource(text))?;
    let before = unit.write.custom_role(&id(text)?).await?.ok_or_else(|| Refused::not_found("custom role", text))?;
    check_version(body.resource_version.as_deref(), before.resource_version)?;
    let mut after = before.clone();
    if let Some(name) = body.name.filter(|name| *name != before.name) {
        check_text("name", &name, 1, DISPLAY_NAME_CHARS_MAX)?;
        check_name_is_free(&mut unit, &name).await?;
        after.name = name;
    }
    if let Some(description) = body.description {
        check_text("description", &description, 0, DESCRIPTION_CHARS_MAX)?;
        after.description = description;
    }
    if let Some(asked) = &body.permissions {
        after.permissions = permissions(app, asked)?;
    }
    if after == before {
        return Err(Refused::nothing_to_change(format!("custom role {} is so already", before.id)));
    }
    authz::decide_custom_role(&unit.actor, &after).map_err(Refused::forbidden)?;
    if after.permissions != before.permissions {
        check_resources(&mut unit, &after.permissions).await?;
    }
    after.resource_version += 1;
    after.modified_at = unit.now;
    let (was, is) = ([Arc::new(before.clone())], [Arc::new(after.clone())]);
    // Who has more by it now logs in again. Those who have less need not: rights are read anew with each request.
    let holders = if authz::widens(&was, &is) { rights::holders(&mut unit.write, &before.id).await? } else { BTreeSet::new() };
    let rights = RightsBefore::of(&mut unit.write, holders).await?;
    unit.write.put_custom_role(&after).await?;
    rights.end_logins(&mut unit.write).await?;
    unit.publish(Change::PutCustomRole(Arc::new(after.clone())));
    let (old, new) = (value(&convert::custom_role(&before)), value(&convert::custom_role(&after)));
    let operation = unit.commit(Done { kind: "custom_role", id: text, before: old, after: new }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// Deletes a role and takes it from every user, service account and group that has it.
///
/// # Errors
/// `not_found`, `forbidden`, `resource_version_conflict`.
pub async fn delete(app: &App, caller: &Caller, text: &str, version: Option<&str>) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::DeleteCustomRole, &(text, version)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    unit.decide(Action::DeleteCustomRole, Target::Resource(text))?;
    let before = unit.write.custom_role(&id(text)?).await?.ok_or_else(|| Refused::not_found("custom role", text))?;
    check_version(version, before.resource_version)?;
    take_from_everybody(&mut unit, &before.id).await?;
    unit.write.delete_custom_role(&before.id).await?;
    unit.publish(Change::RemoveCustomRole(before.id.clone()));
    let done = Done { kind: "custom_role", id: text, before: value(&convert::custom_role(&before)), after: None };
    Ok(Changed { request_status: convert::request_status(&unit.commit(done).await?) })
}

async fn take_from_everybody(unit: &mut Unit<'_>, role: &CustomRoleId) -> Result<(), Refused> {
    let now = unit.now;
    let mut page = StorePage::first(1000);
    loop {
        let users = unit.write.users(&page).await?;
        let Some(last) = users.last() else { break };
        page.after = Some(last.id.to_string());
        for mut user in users {
            if user.access.custom_roles.remove(role) {
                user.resource_version += 1;
                user.modified_at = now;
                unit.write.put_user(&user).await?;
                unit.publish(Change::PutIdentity(IdentityId::User(user.id), user.access));
            }
        }
    }
    let mut page = StorePage::first(1000);
    loop {
        let accounts = unit.write.service_accounts(&page).await?;
        let Some(last) = accounts.last() else { break };
        page.after = Some(last.id.to_string());
        for mut account in accounts {
            if account.access.custom_roles.remove(role) {
                account.resource_version += 1;
                account.modified_at = now;
                unit.write.put_service_account(&account).await?;
                unit.publish(Change::PutIdentity(IdentityId::ServiceAccount(account.id), account.access));
            }
        }
    }
    let mut page = StorePage::first(1000);
    loop {
        let applications = unit.write.applications(None, &page).await?;
        let Some(last) = applications.last() else { break };
        page.after = Some(last.id.to_string());
        for mut application in applications {
            let mut touched = false;
            for environment in [&mut application.sandbox, &mut application.production] {
                if environment.access.custom_roles.remove(role) {
                    unit.publish(Change::PutIdentity(IdentityId::Application(environment.id.clone()), environment.access.clone()));
                    touched = true;
                }
            }
            if touched {
                application.resource_version += 1;
                application.modified_at = now;
                unit.write.put_application(&application).await?;
            }
        }
    }
    user_groups::change_each(unit, |group| group.access.custom_roles.remove(role)).await
}

/// Namespaces that a role names exist: a right to one that does not would wait for whoever makes one of that name.
async fn check_resources(unit: &mut Unit<'_>, permissions: &[Permission]) -> Result<(), Refused> {
    for text in permissions.iter().filter(|line| line.resource_type == ResourceType::Namespace).flat_map(|line| &line.resource_ids) {
        let absent = || Refused::not_found("namespace", text);
        let id = NamespaceId::parse(text).map_err(|_| absent())?;
        unit.write.namespace(&id).await?.ok_or_else(absent)?;
    }
    Ok(())
}

/// Takes a namespace that goes away, or whose name is given out anew, from every role that names it, as a part of another change. A
/// line that named nothing else goes with it.
pub(super) async fn forget_namespace(unit: &mut Unit<'_>, id: &NamespaceId) -> Result<(), Refused> {
    let mut page = StorePage::first(1000);
    loop {
        let roles = unit.write.custom_roles(&page).await?;
        let Some(last) = roles.last() else { return Ok(()) };
        page.after = Some(last.id.to_string());
        for mut role in roles {
            let mut touched = false;
            for line in role.permissions.iter_mut().filter(|line| line.resource_type == ResourceType::Namespace) {
                touched |= line.resource_ids.remove(id.as_str());
            }
            if touched {
                role.permissions.retain(|line| line.allow_all || !line.resource_ids.is_empty());
                role.resource_version += 1;
                role.modified_at = unit.now;
                unit.write.put_custom_role(&role).await?;
                unit.publish(Change::PutCustomRole(Arc::new(role)));
            }
        }
    }
}

/// What a role gives, from the wire: known types and actions only, each action on the type it is done to.
fn permissions(app: &App, asked: &[RolePermission]) -> Result<Vec<Permission>, Refused> {
    if asked.is_empty() || asked.len() > PERMISSIONS_MAX {
        return Err(Refused::invalid(format!("a custom role has 1 to {PERMISSIONS_MAX} permissions")));
    }
    asked.iter().map(|line| permission(app, line)).collect()
}

fn permission(app: &App, asked: &RolePermission) -> Result<Permission, Refused> {
    let resource_type = ResourceType::parse(&asked.resource_type).ok_or_else(|| {
        let known: Vec<_> = ResourceType::ALL.iter().map(|kind| kind.as_str()).collect();
        Refused::invalid(format!("`{}` is no resource type; use one of {}", shown(&asked.resource_type), known.join(", ")))
    })?;
    if asked.actions.is_empty() {
        return Err(Refused::invalid("a permission names at least one action"));
    }
    if asked.allow_all != asked.resource_ids.is_empty() {
        return Err(Refused::invalid("a permission names resources by their ids, or all of them by allowAll, and not both"));
    }
    if asked.resource_ids.len() > RESOURCES_MAX || asked.resource_ids.iter().any(|id| id.is_empty() || id.len() > 128) {
        return Err(Refused::invalid(format!("a permission names up to {RESOURCES_MAX} resources, each by an id of 1 to 128 characters")));
    }
    for text in &asked.actions {
        let (_, kind) = custom_role::action(text).ok_or_else(|| unknown_action(text))?;
        if kind != resource_type {
            return Err(Refused::invalid(format!(
                "{text} is done to the resource type {}, not to {}",
                kind.as_str(),
                resource_type.as_str()
            )));
        }
    }
    Ok(Permission {
        resource_type,
        // A namespace is named by its name alone too, as everywhere else; what is kept is its id.
        resource_ids: match resource_type {
            ResourceType::Namespace => {
                asked.resource_ids.iter().map(|text| Ok(namespace_id(app, text)?.to_string())).collect::<Result<_, Refused>>()?
            }
            _ => asked.resource_ids.iter().cloned().collect(),
        },
        allow_all: asked.allow_all,
        actions: asked.actions.iter().cloned().collect(),
    })
}

/// Names the known one that begins most like it.
fn unknown_action(text: &str) -> Refused {
    let same = |known: &str| known.chars().zip(text.chars()).take_while(|(a, b)| a == b).count();
    let likeness = |known: &&str| (same(known), std::cmp::Reverse(known.len().abs_diff(text.len())));
    let nearest = custom_role::ACTIONS.iter().map(|(known, ..)| *known).max_by_key(likeness).unwrap_or_default();
    Refused::invalid(format!("`{}` is no action; the nearest known one is {nearest}", shown(text)))
}
