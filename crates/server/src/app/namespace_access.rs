//! Who can reach a namespace: one identity's or group's permission in it, given and taken by the namespace's own admins too.

use super::caller::Caller;
use super::unit::{Begun, Done, Unit, value};
use super::{App, check_version, decide, namespace_id, page, user_groups, users};
use crate::error::Refused;
use countersign_core::access::{Access, NamespacePermission};
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::id::{ServiceAccountId, UserGroupId, UserId};
use countersign_core::identity::IdentityId;
use countersign_core::name::NamespaceId;
use countersign_core::snapshot::Change;
use countersign_proto::convert;
use countersign_proto::rest::{AssignmentBody, AssignmentQuery, Changed, Page, SetAccess};
use countersign_store::{Page as StorePage, Reader};

/// Who gets a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person.
    User,
    /// A machine.
    ServiceAccount,
    /// A group of persons.
    UserGroup,
}

impl Kind {
    const fn setting(self) -> Action {
        match self {
            Self::User => Action::SetUserNamespaceAccess,
            Self::ServiceAccount => Action::SetServiceAccountNamespaceAccess,
            Self::UserGroup => Action::SetUserGroupNamespaceAccess,
        }
    }

    const fn listing(self) -> Action {
        match self {
            Self::User => Action::GetUserNamespaceAssignments,
            Self::ServiceAccount => Action::GetServiceAccountNamespaceAssignments,
            Self::UserGroup => Action::GetUserGroupNamespaceAssignments,
        }
    }

    /// The kind of an id, by its first letter.
    fn of(id: &str) -> Option<Self> {
        match id.as_bytes().first() {
            Some(b'u') => Some(Self::User),
            Some(b's') => Some(Self::ServiceAccount),
            Some(b'g') => Some(Self::UserGroup),
            _ => None,
        }
    }

    /// Reads the word of a query.
    fn parse(text: Option<&str>) -> Result<Self, Refused> {
        match text {
            None | Some("" | "user") => Ok(Self::User),
            Some("service_account" | "service-account") => Ok(Self::ServiceAccount),
            Some("user_group" | "user-group") => Ok(Self::UserGroup),
            Some(_) => Err(Refused::invalid("kind is user, service_account or user_group")),
        }
    }
}

/// Whether somebody of this id is there to be given a permission.
///
/// # Errors
/// `not_found`.
pub async fn check_holder(app: &App, id: &str) -> Result<(), Refused> {
    let mut read = app.store.read().await?;
    let known = match Kind::of(id) {
        Some(Kind::User) => match UserId::parse(id) {
            Ok(id) => read.user(&id).await?.is_some(),
            Err(_) => false,
        },
        Some(Kind::ServiceAccount) => match ServiceAccountId::parse(id) {
            Ok(id) => read.service_account(&id).await?.is_some(),
            Err(_) => false,
        },
        Some(Kind::UserGroup) => match UserGroupId::parse(id) {
            Ok(id) => read.user_group(&id).await?.is_some(),
            Err(_) => false,
        },
        None => false,
    };
    if known { Ok(()) } else { Err(Refused::not_found("user, service account or user group", id)) }
}

/// Gives or takes one permission.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `nothing_to_change`, `resource_version_conflict`.
pub async fn set(app: &App, caller: &Caller, text: &str, body: SetAccess) -> Result<Changed, Refused> {
    let namespace = namespace_id(app, text)?;
    let absent = || Refused::not_found("user, service account or user group", &body.id);
    let kind = Kind::of(&body.id).ok_or_else(absent)?;
    let mut unit = match Unit::begin(app, caller, kind.setting(), &(text, &body)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    unit.namespace(&namespace, kind.setting()).await?;
    let permission = match body.permission.as_deref() {
        None | Some("") => None,
        Some(word) => Some(convert::parse_permission(word).map_err(Refused::invalid)?),
    };
    let version = body.resource_version.as_deref();
    match kind {
        Kind::User => {
            let id = UserId::parse(&body.id).map_err(|_| absent())?;
            let before = unit.write.user(&id).await?.ok_or_else(absent)?;
            check_version(version, before.resource_version)?;
            // An owner by a group is an owner.
            let effective = users::effective(&mut unit.write, &before).await?;
            unit.decide_owner(&effective)?;
            let mut after = before.clone();
            edit(&unit, &before.access, &mut after.access, &namespace, permission, &body.id)?;
            after.resource_version += 1;
            after.modified_at = unit.now;
            unit.write.put_user(&after).await?;
            unit.publish(Change::PutIdentity(IdentityId::User(id), after.access.clone()));
            let (old, new) = (value(&convert::user(&before)), value(&convert::user(&after)));
            end(unit, "user", &body.id, old, new).await
        }
        Kind::ServiceAccount => {
            let id = ServiceAccountId::parse(&body.id).map_err(|_| absent())?;
            let before = unit.write.service_account(&id).await?.ok_or_else(absent)?;
            check_version(version, before.resource_version)?;
            if before.scope.as_ref().is_some_and(|scope| *scope != namespace || permission.is_none()) {
                return Err(Refused::invalid("a namespace-scoped service account has a permission in its own namespace, and there alone")
                    .hint("change only its permission there, or delete it"));
            }
            let mut after = before.clone();
            edit(&unit, &before.access, &mut after.access, &namespace, permission, &body.id)?;
            after.resource_version += 1;
            after.modified_at = unit.now;
            unit.write.put_service_account(&after).await?;
            unit.publish(Change::PutIdentity(IdentityId::ServiceAccount(id), after.access.clone()));
            let (old, new) = (value(&convert::service_account(&before)), value(&convert::service_account(&after)));
            end(unit, "service_account", &body.id, old, new).await
        }
        Kind::UserGroup => {
            let before = user_groups::existing(&mut unit, &body.id).await?;
            check_version(version, before.resource_version)?;
            let mut after = before.clone();
            edit(&unit, &before.access, &mut after.access, &namespace, permission, &body.id)?;
            user_groups::save(unit, &before, after).await
        }
    }
}

/// Puts the permission into `after`. Nobody gives more than he has in that namespace, and an owner's rights are owners' matters.
fn edit(
    unit: &Unit<'_>,
    before: &Access,
    after: &mut Access,
    namespace: &NamespaceId,
    permission: Option<NamespacePermission>,
    who: &str,
) -> Result<(), Refused> {
    match permission {
        Some(permission) => after.namespaces.insert(namespace.clone(), permission),
        None => after.namespaces.remove(namespace),
    };
    if after == before {
        let what = permission.map_or_else(|| "no permission".to_owned(), |p| format!("the permission {p}"));
        return Err(Refused::nothing_to_change(format!("{who} has {what} in {namespace} already")));
    }
    unit.decide_owner(before)?;
    let mine = unit.actor.access.permission(namespace);
    if permission.is_some_and(|given| mine.is_none_or(|mine| mine < given)) {
        return Err(Refused::forbidden("nobody gives more rights than he has"));
    }
    Ok(())
}

async fn end(
    unit: Box<Unit<'_>>,
    kind: &'static str,
    id: &str,
    before: Option<serde_json::Value>,
    after: Option<serde_json::Value>,
) -> Result<Changed, Refused> {
    let operation = unit.commit(Done { kind, id, before, after }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// Who of one kind has a permission in a namespace, his own or by role or group; ascending by id.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`.
pub async fn assignments(app: &App, actor: &Actor, text: &str, query: &AssignmentQuery) -> Result<Page<AssignmentBody>, Refused> {
    let kind = Kind::parse(query.kind.as_deref())?;
    let namespace = namespace_id(app, text)?;
    decide(actor, kind.listing(), Target::Namespace(&namespace))?;
    let asked = page::asked(query.page_size, query.page_token.as_deref())?;
    let mut read = app.store.read().await?;
    if read.namespace(&namespace).await?.is_none() {
        return Err(Refused::not_found("namespace", namespace.as_str()));
    }
    let mut found = Vec::new();
    let mut step = StorePage { size: 1000, after: asked.after.clone() };
    while found.len() <= asked.size {
        let some = match kind {
            Kind::User => users_of(&mut read, &namespace, &step).await?,
            Kind::ServiceAccount => service_accounts(&mut read, &namespace, &step).await?,
            Kind::UserGroup => groups(&mut read, &namespace, &step).await?,
        };
        let Some((last, _)) = some.last() else { break };
        step.after = Some(last.clone());
        found.extend(some.into_iter().filter_map(|(_, body)| body));
    }
    Ok(page::cut(found, &asked, |body| body.id.clone(), |body| body))
}

type Step = Vec<(String, Option<AssignmentBody>)>;

fn body(id: &str, name: &str, own: &Access, whole: &Access, namespace: &NamespaceId, version: i64) -> Option<AssignmentBody> {
    let permission = own.namespaces.get(namespace).map(ToString::to_string);
    let all = whole.permission(namespace)?;
    let inherited = (own.namespaces.get(namespace) != Some(&all)).then(|| all.to_string());
    Some(AssignmentBody { id: id.to_owned(), name: name.to_owned(), permission, inherited, resource_version: version.to_string() })
}

async fn users_of(read: &mut Reader, namespace: &NamespaceId, step: &StorePage) -> Result<Step, Refused> {
    let mut out = Vec::new();
    for user in read.users(step).await? {
        let whole = users::effective(read, &user).await?;
        out.push((user.id.to_string(), body(user.id.as_str(), &user.email, &user.access, &whole, namespace, user.resource_version)));
    }
    Ok(out)
}

async fn service_accounts(read: &mut Reader, namespace: &NamespaceId, step: &StorePage) -> Result<Step, Refused> {
    let found = read.service_accounts(step).await?;
    let entry = |account: countersign_core::identity::ServiceAccount| {
        let access = &account.access;
        (account.id.to_string(), body(account.id.as_str(), &account.name, access, access, namespace, account.resource_version))
    };
    Ok(found.into_iter().map(entry).collect())
}

async fn groups(read: &mut Reader, namespace: &NamespaceId, step: &StorePage) -> Result<Step, Refused> {
    let found = read.user_groups(step).await?;
    let entry = |group: countersign_core::group::UserGroup| {
        let access = &group.access;
        (group.id.to_string(), body(group.id.as_str(), &group.name, access, access, namespace, group.resource_version))
    };
    Ok(found.into_iter().map(entry).collect())
}
