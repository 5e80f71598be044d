//! Users: invite, list, change, delete. The account always keeps one Account Owner.

use super::caller::Caller;
use super::rights::{self, RightsBefore};
use super::unit::{Begun, Done, Unit, value};
use super::{App, check_version, decide, namespace_id, page, user_groups};
use crate::error::Refused;
use crate::login::invite;
use countersign_core::access::{Access, AccountRole};
use countersign_core::authz::{self, Action, Actor, Target};
use countersign_core::credential::certificate::{CertificateStatus, RevocationReason};
use countersign_core::id::UserId;
use countersign_core::identity::{IdentityId, User};
use countersign_core::secret::Secret;
use countersign_core::snapshot::Change;
use countersign_proto::convert;
use countersign_proto::rest::{Changed, CreateUser, Created, InvitedUser, Page, UpdateIdentity, UserBody, UserQuery};
use countersign_store::Reader;

/// A user's id from a path.
fn id(text: &str) -> Result<UserId, Refused> {
    UserId::parse(text).map_err(|_| Refused::not_found("user", text))
}

/// One user.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn get(app: &App, actor: &Actor, text: &str) -> Result<UserBody, Refused> {
    decide(actor, Action::GetUser, Target::Account)?;
    let id = id(text)?;
    app.store.read().await?.user(&id).await?.map(|user| convert::user(&user)).ok_or_else(|| Refused::not_found("user", text))
}

/// The caller himself: everybody may see who he is.
///
/// # Errors
/// When he ended in the meantime.
pub async fn own(app: &App, caller: &Caller) -> Result<UserBody, Refused> {
    let IdentityId::User(id) = &caller.identity else { return Err(Refused::not_found("user", caller.identity.as_str())) };
    let found = app.store.read().await?.user(id).await?;
    found.map(|user| convert::user(&user)).ok_or_else(Refused::invalid_api_key)
}

/// All users.
///
/// # Errors
/// `forbidden`.
pub async fn list(app: &App, actor: &Actor, query: &UserQuery) -> Result<Page<UserBody>, Refused> {
    decide(actor, Action::GetUsers, Target::Account)?;
    let asked = page::asked(query.page_size, query.page_token.as_deref())?;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let namespace = given(&query.namespace).map(|text| namespace_id(app, &text)).transpose()?;
    let in_namespace = |user: &User| namespace.as_ref().is_none_or(|ns| user.access.namespaces.contains_key(ns));
    let mut read = app.store.read().await?;
    let mut found = Vec::new();
    if let Some(email) = given(&query.email) {
        found.extend(read.user_by_email(&email.to_ascii_lowercase()).await?.filter(in_namespace));
        found.retain(|user| asked.after.as_deref().is_none_or(|after| user.id.as_str() > after));
    } else {
        let mut step = page::one_more(&asked);
        while found.len() <= asked.size {
            let users = read.users(&step).await?;
            let Some(last) = users.last() else { break };
            step.after = Some(last.id.to_string());
            found.extend(users.into_iter().filter(in_namespace));
        }
    }
    Ok(page::cut(found, &asked, |u| u.id.to_string(), |u| convert::user(&u)))
}

/// Makes a user, without an invitation.
///
/// # Errors
/// As [`create_invited`].
pub async fn create(app: &App, caller: &Caller, body: CreateUser) -> Result<Created, Refused> {
    make(app, caller, body, false).await.map(|(created, _)| created)
}

/// Makes a user, and the address at which he sets a password, to be shown once.
///
/// # Errors
/// `invalid_argument`, `forbidden`, `already_exists`.
pub async fn create_invited(app: &App, caller: &Caller, body: CreateUser) -> Result<InvitedUser, Refused> {
    let (created, address) = make(app, caller, body, true).await?;
    let invitation_url = address.map(|address| address.expose().to_owned());
    Ok(InvitedUser { id: created.id, invitation_url, request_status: created.request_status })
}

async fn make(app: &App, caller: &Caller, body: CreateUser, invited: bool) -> Result<(Created, Option<Secret>), Refused> {
    let mut unit = match Unit::begin(app, caller, Action::CreateUser, &body).await? {
        Begun::Repeated(operation) => {
            return Ok((Created { id: operation.resource_id.clone(), request_status: convert::request_status(&operation) }, None));
        }
        Begun::New(unit) => unit,
    };
    unit.decide(Action::CreateUser, Target::Account)?;
    let email = email(&body.email)?;
    let access = convert::parse_access(&body.access).map_err(Refused::invalid)?;
    unit.decide_grant(None, &access)?;
    check_namespaces(&mut unit, &access).await?;
    if unit.write.user_by_email(&email).await?.is_some() {
        return Err(Refused::new("already_exists", format!("there is a user {email} already")).hint("countersign user list"));
    }
    let user = User { id: UserId::mint(&*app.entropy), email, access, resource_version: 1, created_at: unit.now, modified_at: unit.now };
    unit.write.put_user(&user).await?;
    unit.publish(Change::PutIdentity(IdentityId::User(user.id.clone()), user.access.clone()));
    let address = if invited {
        let life = invite::life(&mut unit, caller).await?;
        Some(invite::make(app, &mut unit.write, &user.id, caller, life).await?)
    } else {
        None
    };
    let id = user.id.to_string();
    let operation = unit.commit(Done { kind: "user", id: &id, before: None, after: value(&convert::user(&user)) }).await?;
    Ok((Created { id, request_status: convert::request_status(&operation) }, address))
}

/// Changes a user's rights.
///
/// # Errors
/// `not_found`, `forbidden`, `last_owner`, `nothing_to_change`, `resource_version_conflict`.
pub async fn update(app: &App, caller: &Caller, text: &str, body: UpdateIdentity) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::UpdateUser, &(text, &body)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    decide(&unit.actor, Action::GetUser, Target::Account)?;
    if body.name.is_some() || body.description.is_some() {
        return Err(Refused::invalid("a user has neither a name nor a description to change; only service accounts do"));
    }
    let id = id(text)?;
    let before = unit.write.user(&id).await?.ok_or_else(|| Refused::not_found("user", text))?;
    let access = new_access(&body, &before.access)?;
    // An owner by a group is an owner: no right of such a one is changed by others.
    let whole = effective(&mut unit.write, &before).await?;
    unit.decide_owner(&whole)?;
    decide_access(&unit, &before.access, &access, Action::UpdateUser, Target::Account, Action::SetUserNamespaceAccess)?;
    check_version(body.resource_version.as_deref(), before.resource_version)?;
    if access == before.access {
        return Err(Refused::nothing_to_change(format!("user {id} has these rights already")));
    }
    check_namespaces(&mut unit, &access).await?;
    if before.access.account_role == AccountRole::Owner && access.account_role != AccountRole::Owner {
        keep_one_owner(&mut unit).await?;
    }
    let after = User { access, resource_version: before.resource_version + 1, modified_at: unit.now, ..before.clone() };
    let rights = RightsBefore::of(&mut unit.write, [id.clone()]).await?;
    unit.write.put_user(&after).await?;
    rights.end_logins(&mut unit.write).await?;
    unit.publish(Change::PutIdentity(IdentityId::User(id), after.access.clone()));
    let (old, new) = (value(&convert::user(&before)), value(&convert::user(&after)));
    let operation = unit.commit(Done { kind: "user", id: text, before: old, after: new }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// Deletes a user: keys go, registered certificates are revoked for ever.
///
/// # Errors
/// `not_found`, `forbidden`, `last_owner`, `resource_version_conflict`.
pub async fn delete(app: &App, caller: &Caller, text: &str, version: Option<&str>) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::DeleteUser, &(text, version)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    unit.decide(Action::DeleteUser, Target::Account)?;
    let id = id(text)?;
    let before = unit.write.user(&id).await?.ok_or_else(|| Refused::not_found("user", text))?;
    let identity = IdentityId::User(id.clone());
    // An owner by a group is an owner: the deletion of one is owners' matter too.
    let whole = effective(&mut unit.write, &before).await?;
    unit.decide_grant(Some(&whole), &whole)?;
    check_version(version, before.resource_version)?;
    if before.access.account_role == AccountRole::Owner {
        keep_one_owner(&mut unit).await?;
    }
    end_credentials(&mut unit, &identity).await?;
    let groups = unit.write.user_groups_of(&id).await?;
    unit.write.delete_user(&id).await?;
    unit.publish(Change::RemoveIdentity(identity));
    for group in groups {
        user_groups::publish(&mut unit, &group).await?;
    }
    let operation = unit.commit(Done { kind: "user", id: text, before: value(&convert::user(&before)), after: None }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// A user's rights, those of groups included.
pub(super) async fn effective(reader: &mut Reader, user: &User) -> Result<Access, Refused> {
    let found = rights::of(reader, &IdentityId::User(user.id.clone())).await?;
    Ok(found.map_or_else(|| user.access.clone(), |rights| rights.access))
}

async fn keep_one_owner(unit: &mut Unit<'_>) -> Result<(), Refused> {
    if unit.write.owners_count().await? <= 1 {
        return Err(Refused::new("last_owner", "this is the last Account Owner; an account always has one")
            .hint("give another user the role owner first: countersign user set-account-role --account-role owner"));
    }
    Ok(())
}

/// Ends every credential of an identity that goes away.
pub(super) async fn end_credentials(unit: &mut Unit<'_>, owner: &IdentityId) -> Result<(), Refused> {
    for key in unit.write.api_keys_of(owner).await? {
        unit.write.delete_api_key(&key.id).await?;
        unit.publish(Change::RemoveKey(key.id));
    }
    for mut certificate in unit.write.certificates_of(owner).await? {
        if certificate.status != CertificateStatus::Revoked {
            certificate.status = CertificateStatus::Revoked;
            certificate.revoked_at = Some(unit.now);
            certificate.reason = Some(RevocationReason::CessationOfOperation);
            certificate.modified_at = unit.now;
            certificate.resource_version += 1;
            unit.write.put_certificate(&certificate).await?;
            unit.publish(Change::certificate(&certificate));
        }
    }
    Ok(())
}

/// The rights after an update; absent members stay.
pub(super) fn new_access(body: &UpdateIdentity, before: &Access) -> Result<Access, Refused> {
    let mut access = before.clone();
    if let Some(role) = &body.account_role {
        access.account_role = convert::parse_role(role).map_err(Refused::invalid)?;
    }
    if let Some(permissions) = &body.namespace_permissions {
        access.namespaces = convert::parse_permissions(permissions).map_err(Refused::invalid)?;
    }
    if let Some(roles) = &body.custom_roles {
        access.custom_roles = convert::parse_custom_roles(roles).map_err(Refused::invalid)?;
    }
    Ok(access)
}

/// Whether the caller may turn `before` into `after`: by the right to the whole identity, or, where only permissions of
/// namespaces differ, as Namespace Admin of each of them.
pub(super) fn decide_access(
    unit: &Unit<'_>,
    before: &Access,
    after: &Access,
    whole: Action,
    target: Target<'_>,
    by_namespace: Action,
) -> Result<(), Refused> {
    let refused = match authz::decide(&unit.actor, whole, target) {
        Ok(_) => return unit.decide_grant(Some(before), after),
        Err(denied) => Refused::forbidden(denied),
    };
    let differing: Vec<_> = before
        .namespaces
        .keys()
        .chain(after.namespaces.keys())
        .filter(|ns| before.namespaces.get(*ns) != after.namespaces.get(*ns))
        .collect();
    if before.account_role != after.account_role || before.custom_roles != after.custom_roles || before.is_owner() || differing.is_empty() {
        return Err(refused);
    }
    for namespace in differing {
        unit.decide(by_namespace, Target::Namespace(namespace)).map_err(|_| refused.clone())?;
    }
    Ok(())
}

/// A permission in a namespace that does not exist would lie in wait for one of that name; so with custom roles.
pub(super) async fn check_namespaces(unit: &mut Unit<'_>, access: &Access) -> Result<(), Refused> {
    for namespace in access.namespaces.keys() {
        if unit.write.namespace(namespace).await?.is_none() {
            return Err(Refused::not_found("namespace", namespace.as_str()));
        }
    }
    for role in &access.custom_roles {
        if unit.write.custom_role(role).await?.is_none() {
            return Err(Refused::not_found("custom role", role.as_str()));
        }
    }
    Ok(())
}

/// Whether a text can be a user's mail address as it stands.
pub(crate) fn is_email(text: &str) -> bool {
    email(text).is_ok_and(|read| read == text)
}

/// A mail address, lower case: one `@`, something on both sides, nothing that a mailer or a log could read as more.
pub(super) fn email(text: &str) -> Result<String, Refused> {
    let ok = text.len() <= 254
        && text.is_ascii()
        && !text.chars().any(|c| c.is_ascii_control() || c.is_ascii_whitespace() || "<>()[]\\,;:\"".contains(c))
        && matches!(text.split('@').collect::<Vec<_>>()[..], [local, domain] if !local.is_empty() && local.len() <= 64 && !domain.is_empty());
    if ok { Ok(text.to_ascii_lowercase()) } else { Err(Refused::invalid("email is no mail address; write it as name@example.com")) }
}
