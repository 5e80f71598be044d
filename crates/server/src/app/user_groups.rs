//! User groups: rights that people share. Giving rights by a group is giving rights, so both what a group may and who is in it are
//! decided like any grant (promise P12).

use super::caller::Caller;
use super::rights::RightsBefore;
use super::unit::{Begun, Done, Unit, value};
use super::users::{self, check_namespaces, decide_access};
use super::{App, check_text, check_version, decide, namespace_id, page};
use crate::error::Refused;
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::group::{GroupKind, UserGroup};
use countersign_core::id::{UserGroupId, UserId};
use countersign_core::limits::DISPLAY_NAME_CHARS_MAX;
use countersign_core::snapshot::{Change, GroupEntry};
use countersign_proto::convert;
use countersign_proto::rest::{
    Changed, CreateUserGroup, Created, GroupMemberBody, Page, PageQuery, UpdateUserGroup, UserGroupBody, UserGroupQuery,
};
use countersign_store::{Page as StorePage, Reader};
use std::collections::BTreeSet;

/// Members of one group.
const MEMBERS_MAX: usize = 1000;

/// A group's id from a path.
pub(super) fn id(text: &str) -> Result<UserGroupId, Refused> {
    UserGroupId::parse(text).map_err(|_| Refused::not_found("user group", text))
}

/// One group.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn get(app: &App, actor: &Actor, text: &str) -> Result<UserGroupBody, Refused> {
    decide(actor, Action::GetUserGroup, Target::Account)?;
    let found = app.store.read().await?.user_group(&id(text)?).await?;
    found.map(|group| convert::user_group(&group)).ok_or_else(|| Refused::not_found("user group", text))
}

/// Groups, ascending by id.
///
/// # Errors
/// `forbidden`, `invalid_argument`.
pub async fn list(app: &App, actor: &Actor, query: &UserGroupQuery) -> Result<Page<UserGroupBody>, Refused> {
    decide(actor, Action::GetUserGroups, Target::Account)?;
    let asked = page::asked(query.page_size, query.page_token.as_deref())?;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (name, email) = (given(&query.display_name), given(&query.google_group_email));
    let namespace = given(&query.namespace).map(|text| namespace_id(app, &text)).transpose()?;
    let matches = |group: &UserGroup| {
        name.as_ref().is_none_or(|name| group.name == *name)
            && email.as_ref().is_none_or(|email| matches!(&group.kind, GroupKind::Google { email: own } if own == email))
            && namespace.as_ref().is_none_or(|namespace| group.access.namespaces.contains_key(namespace))
    };
    let mut read = app.store.read().await?;
    let mut found = Vec::new();
    let mut step = StorePage { size: 1000, after: asked.after.clone() };
    while found.len() <= asked.size {
        let groups = read.user_groups(&step).await?;
        let Some(last) = groups.last() else { break };
        step.after = Some(last.id.to_string());
        found.extend(groups.into_iter().filter(matches));
    }
    Ok(page::cut(found, &asked, |group| group.id.to_string(), |group| convert::user_group(&group)))
}

/// Makes a group without members.
///
/// # Errors
/// `invalid_argument`, `forbidden`, `already_exists`.
pub async fn create(app: &App, caller: &Caller, body: CreateUserGroup) -> Result<Created, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::CreateUserGroup, &body).await? {
        Begun::Repeated(operation) => {
            return Ok(Created { id: operation.resource_id.clone(), request_status: convert::request_status(&operation) });
        }
        Begun::New(unit) => unit,
    };
    unit.decide(Action::CreateUserGroup, Target::Account)?;
    let access = convert::parse_access(&body.access).map_err(Refused::invalid)?;
    unit.decide_grant(None, &access)?;
    check_text("name", &body.name, 1, DISPLAY_NAME_CHARS_MAX)?;
    check_namespaces(&mut unit, &access).await?;
    let kind = match body.google_group_email.as_deref() {
        None | Some("") => GroupKind::Cloud,
        Some(text) => GroupKind::Google { email: users::email(text)? },
    };
    check_name_is_free(&mut unit, &body.name).await?;
    let group = UserGroup {
        id: UserGroupId::mint(&*app.entropy),
        name: body.name,
        kind,
        access,
        resource_version: 1,
        created_at: unit.now,
        modified_at: unit.now,
    };
    unit.write.put_user_group(&group).await?;
    unit.publish(Change::PutGroup(group.id.clone(), GroupEntry { access: group.access.clone(), members: BTreeSet::new() }));
    let id = group.id.to_string();
    let operation = unit.commit(Done { kind: "user_group", id: &id, before: None, after: value(&convert::user_group(&group)) }).await?;
    Ok(Created { id, request_status: convert::request_status(&operation) })
}

async fn check_name_is_free(unit: &mut Unit<'_>, name: &str) -> Result<(), Refused> {
    match unit.write.user_group_by_name(name).await? {
        None => Ok(()),
        Some(_) => Err(Refused::new("already_exists", format!("there is a user group {name} already")).hint("choose another name")),
    }
}

/// Changes a group's name or rights. Every member has the new rights at once.
///
/// # Errors
/// `not_found`, `forbidden`, `nothing_to_change`, `resource_version_conflict`, `already_exists`.
pub async fn update(app: &App, caller: &Caller, text: &str, body: UpdateUserGroup) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::UpdateUserGroup, &(text, &body)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    unit.decide(Action::GetUserGroup, Target::Account)?;
    let before = existing(&mut unit, text).await?;
    let mut after = before.clone();
    if let Some(access) = &body.access {
        after.access = convert::parse_access(access).map_err(Refused::invalid)?;
    }
    decide_access(&unit, &before.access, &after.access, Action::UpdateUserGroup, Target::Account, Action::SetUserGroupNamespaceAccess)?;
    check_version(body.resource_version.as_deref(), before.resource_version)?;
    if let Some(name) = body.name.filter(|name| *name != before.name) {
        unit.decide(Action::UpdateUserGroup, Target::Account)?;
        check_text("name", &name, 1, DISPLAY_NAME_CHARS_MAX)?;
        check_name_is_free(&mut unit, &name).await?;
        after.name = name;
    }
    if after == before {
        return Err(Refused::nothing_to_change(format!("user group {} is so already", before.id)));
    }
    check_namespaces(&mut unit, &after.access).await?;
    save(unit, &before, after).await
}

/// A group inside a change under way.
pub(super) async fn existing(unit: &mut Unit<'_>, text: &str) -> Result<UserGroup, Refused> {
    unit.write.user_group(&id(text)?).await?.ok_or_else(|| Refused::not_found("user group", text))
}

/// Stores the next version of a group and ends the change.
pub(super) async fn save(mut unit: Box<Unit<'_>>, before: &UserGroup, mut after: UserGroup) -> Result<Changed, Refused> {
    after.resource_version = before.resource_version + 1;
    after.modified_at = unit.now;
    let members = member_ids(&mut unit.write, &after.id).await?;
    let rights = RightsBefore::of(&mut unit.write, members).await?;
    unit.write.put_user_group(&after).await?;
    rights.end_logins(&mut unit.write).await?;
    publish(&mut unit, &after).await?;
    let (old, new) = (value(&convert::user_group(before)), value(&convert::user_group(&after)));
    let id = after.id.to_string();
    let operation = unit.commit(Done { kind: "user_group", id: &id, before: old, after: new }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// Changes each group that `edit` says it changed, as a part of another change whose right was decided there.
pub(super) async fn change_each(unit: &mut Unit<'_>, mut edit: impl FnMut(&mut UserGroup) -> bool + Send) -> Result<(), Refused> {
    let mut page = StorePage::first(1000);
    loop {
        let groups = unit.write.user_groups(&page).await?;
        let Some(last) = groups.last() else { return Ok(()) };
        page.after = Some(last.id.to_string());
        for mut group in groups {
            if edit(&mut group) {
                group.resource_version += 1;
                group.modified_at = unit.now;
                unit.write.put_user_group(&group).await?;
                publish(unit, &group).await?;
            }
        }
    }
}

/// Tells the gateways what a group is now, members included.
pub(super) async fn publish(unit: &mut Unit<'_>, group: &UserGroup) -> Result<(), Refused> {
    let members = member_ids(&mut unit.write, &group.id).await?.into_iter().collect();
    unit.publish(Change::PutGroup(group.id.clone(), GroupEntry { access: group.access.clone(), members }));
    Ok(())
}

/// Everybody in a group.
pub(super) async fn member_ids(reader: &mut Reader, group: &UserGroupId) -> Result<Vec<UserId>, Refused> {
    let members = reader.user_group_members(group, &StorePage::first(MEMBERS_MAX)).await?;
    Ok(members.into_iter().map(|(user, _)| user).collect())
}

/// Deletes a group; its members keep what is their own.
///
/// # Errors
/// `not_found`, `forbidden`, `resource_version_conflict`.
pub async fn delete(app: &App, caller: &Caller, text: &str, version: Option<&str>) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::DeleteUserGroup, &(text, version)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    unit.decide(Action::DeleteUserGroup, Target::Account)?;
    let before = existing(&mut unit, text).await?;
    decide_taking(&unit, &before)?;
    check_version(version, before.resource_version)?;
    let members = member_ids(&mut unit.write, &before.id).await?;
    let rights = RightsBefore::of(&mut unit.write, members).await?;
    unit.write.delete_user_group(&before.id).await?;
    rights.end_logins(&mut unit.write).await?;
    unit.publish(Change::RemoveGroup(before.id.clone()));
    let done = Done { kind: "user_group", id: text, before: value(&convert::user_group(&before)), after: None };
    Ok(Changed { request_status: convert::request_status(&unit.commit(done).await?) })
}

/// Puts a user into a group.
///
/// # Errors
/// `not_found`, `forbidden`, `limit_reached`, `nothing_to_change`.
pub async fn add_member(app: &App, caller: &Caller, text: &str, user: &str) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::AddUserGroupMember, &(text, user)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    unit.decide(Action::AddUserGroupMember, Target::Account)?;
    let group = existing(&mut unit, text).await?;
    // Who is put into a group is given its rights.
    unit.decide_grant(None, &group.access)?;
    let user = member(&mut unit, user).await?;
    if unit.write.user_group_members(&group.id, &StorePage::first(MEMBERS_MAX)).await?.len() >= MEMBERS_MAX {
        return Err(Refused::new("limit_reached", format!("a user group has at most {MEMBERS_MAX} members")));
    }
    let now = unit.now;
    let rights = RightsBefore::of(&mut unit.write, [user.clone()]).await?;
    if !unit.write.add_user_group_member(&group.id, &user, now).await? {
        return Err(Refused::nothing_to_change(format!("user {user} is a member of {} already", group.id)));
    }
    rights.end_logins(&mut unit.write).await?;
    publish(&mut unit, &group).await?;
    let after = Some(serde_json::json!({"groupId": group.id, "userId": user}));
    let operation = unit.commit(Done { kind: "user_group", id: text, before: None, after }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// Takes a user out of a group; what he had by it ends at once, on live connections too.
///
/// # Errors
/// `not_found`, `forbidden`, `nothing_to_change`.
pub async fn remove_member(app: &App, caller: &Caller, text: &str, user: &str) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::RemoveUserGroupMember, &(text, user)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    unit.decide(Action::RemoveUserGroupMember, Target::Account)?;
    let group = existing(&mut unit, text).await?;
    decide_taking(&unit, &group)?;
    let user = member(&mut unit, user).await?;
    let rights = RightsBefore::of(&mut unit.write, [user.clone()]).await?;
    if !unit.write.remove_user_group_member(&group.id, &user).await? {
        return Err(Refused::nothing_to_change(format!("user {user} is no member of {}", group.id)));
    }
    rights.end_logins(&mut unit.write).await?;
    publish(&mut unit, &group).await?;
    let before = Some(serde_json::json!({"groupId": group.id, "userId": user}));
    let operation = unit.commit(Done { kind: "user_group", id: text, before, after: None }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// Whether the caller may take a group's rights from its members: as one may give them, so that nobody but an owner takes the roles
/// that owners alone give.
fn decide_taking(unit: &Unit<'_>, group: &UserGroup) -> Result<(), Refused> {
    unit.decide_grant(Some(&group.access), &group.access)?;
    unit.decide_grant(None, &group.access)
}

async fn member(unit: &mut Unit<'_>, text: &str) -> Result<UserId, Refused> {
    let absent = || Refused::not_found("user", text);
    let id = UserId::parse(text).map_err(|_| absent())?;
    unit.write.user(&id).await?.map(|user| user.id).ok_or_else(absent)
}

/// The members, ascending by id.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`.
pub async fn members(app: &App, actor: &Actor, text: &str, query: &PageQuery) -> Result<Page<GroupMemberBody>, Refused> {
    decide(actor, Action::GetUserGroupMembers, Target::Account)?;
    let asked = page::asked(query.page_size, query.page_token.as_deref())?;
    let id = id(text)?;
    let mut read = app.store.read().await?;
    if read.user_group(&id).await?.is_none() {
        return Err(Refused::not_found("user group", text));
    }
    let found = read.user_group_members(&id, &page::one_more(&asked)).await?;
    let body = |(user, since): (UserId, _)| GroupMemberBody { user_id: user.to_string(), created_time: convert::time(since) };
    Ok(page::cut(found, &asked, |(user, _)| user.to_string(), body))
}
