//! Users, service accounts, groups, custom roles, API keys.

use super::{active, moment, text_of, wire};
use crate::rest::{
    AccessBody, ApiKeyBody, AssignmentBody, CreateApiKey, CreateCustomRole, CreateServiceAccount, CustomRoleBody, GroupMemberBody,
    NamespaceScope, RolePermission, ServiceAccountBody, UserBody, UserGroupBody,
};
use std::collections::BTreeMap;
use wire::identity::v1 as id;
use wire::resource::v1::ResourceState;

/// Roles by number; the words are those of bodies and of the old text fields alike.
const ROLES: [(id::account_access::Role, &str); 6] = [
    (id::account_access::Role::Owner, "owner"),
    (id::account_access::Role::Admin, "admin"),
    (id::account_access::Role::Developer, "developer"),
    (id::account_access::Role::FinanceAdmin, "finance_admin"),
    (id::account_access::Role::Read, "read"),
    (id::account_access::Role::MetricsRead, "metrics_read"),
];
const PERMISSIONS: [(id::namespace_access::Permission, &str); 3] = [
    (id::namespace_access::Permission::Admin, "admin"),
    (id::namespace_access::Permission::Write, "write"),
    (id::namespace_access::Permission::Read, "read"),
];

/// The old text fields leave the underscore out.
fn old_word(word: &str) -> String {
    word.replace('_', "")
}

fn permission_of(word: &str) -> id::NamespaceAccess {
    let permission = PERMISSIONS.iter().find(|(_, known)| *known == word).map_or(0, |(number, _)| i32::from(*number));
    id::NamespaceAccess { permission_deprecated: word.to_owned(), permission }
}

/// A permission's word; none for an absent or empty access.
pub fn permission(access: Option<&id::NamespaceAccess>) -> Result<Option<String>, String> {
    let Some(access) = access else { return Ok(None) };
    if access.permission != 0 {
        let known = PERMISSIONS.iter().find(|(number, _)| i32::from(*number) == access.permission);
        return known.map(|(_, word)| Some((*word).to_owned())).ok_or_else(|| format!("{} is no permission", access.permission));
    }
    Ok(Some(access.permission_deprecated.to_ascii_lowercase()).filter(|word| !word.is_empty()))
}

/// Rights to the wire.
pub fn access_out(body: &AccessBody) -> id::Access {
    let role = ROLES.iter().find(|(_, word)| *word == body.account_role).map_or(0, |(number, _)| i32::from(*number));
    id::Access {
        account_access: Some(id::AccountAccess {
            role_deprecated: old_word(&body.account_role),
            role,
            custom_roles: body.custom_roles.clone(),
        }),
        namespace_accesses: body.namespace_permissions.iter().map(|(ns, word)| (ns.clone(), permission_of(word))).collect(),
        ..id::Access::default()
    }
}

/// Rights from the wire.
pub fn access_in(access: Option<&id::Access>) -> Result<AccessBody, String> {
    let access = access.ok_or("spec.access is missing")?;
    let account = access.account_access.as_ref().ok_or("spec.access.account_access is missing")?;
    let account_role = match ROLES.iter().find(|(number, _)| i32::from(*number) == account.role) {
        Some((_, word)) => (*word).to_owned(),
        None if account.role == 0 && !account.role_deprecated.is_empty() => account.role_deprecated.clone(),
        None => return Err("spec.access.account_access.role is missing".to_owned()),
    };
    let mut namespace_permissions = BTreeMap::new();
    for (namespace, one) in &access.namespace_accesses {
        let word = permission(Some(one))?.ok_or_else(|| format!("the permission in {namespace} is missing"))?;
        namespace_permissions.insert(namespace.clone(), word);
    }
    let mut custom_roles = account.custom_roles.clone();
    custom_roles.extend(access.custom_roles_deprecated.iter().filter(|role| !account.custom_roles.contains(role)).cloned());
    Ok(AccessBody { account_role, namespace_permissions, custom_roles })
}

/// A user.
pub fn user(body: &UserBody) -> id::User {
    let (state, state_deprecated) = active();
    id::User {
        id: body.id.clone(),
        resource_version: body.resource_version.clone(),
        spec: Some(id::UserSpec { email: body.email.clone(), access: Some(access_out(&body.access)) }),
        state,
        state_deprecated,
        created_time: moment(&body.created_time),
        last_modified_time: moment(&body.last_modified_time),
        ..id::User::default()
    }
}

/// A service account.
pub fn service_account(body: &ServiceAccountBody) -> id::ServiceAccount {
    let (state, state_deprecated) = active();
    let scoped = body.namespace_scope.as_ref().map(|namespace| id::NamespaceScopedAccess {
        namespace: namespace.clone(),
        access: body.access.namespace_permissions.get(namespace).map(|word| permission_of(word)),
    });
    id::ServiceAccount {
        id: body.id.clone(),
        resource_version: body.resource_version.clone(),
        spec: Some(id::ServiceAccountSpec {
            name: body.name.clone(),
            description: body.description.clone(),
            access: scoped.is_none().then(|| access_out(&body.access)),
            namespace_scoped_access: scoped,
        }),
        state,
        state_deprecated,
        created_time: moment(&body.created_time),
        last_modified_time: moment(&body.last_modified_time),
        ..id::ServiceAccount::default()
    }
}

/// A service account that is asked for: exactly one of the two kinds of access.
pub fn create_service_account(spec: id::ServiceAccountSpec) -> Result<CreateServiceAccount, String> {
    let (access, namespace_scope) = match (&spec.access, &spec.namespace_scoped_access) {
        (Some(_), None) => (Some(access_in(spec.access.as_ref())?), None),
        (None, Some(scoped)) => (None, Some(scope_in(scoped)?)),
        _ => return Err("give exactly one of spec.access and spec.namespace_scoped_access".to_owned()),
    };
    Ok(CreateServiceAccount { name: spec.name, description: spec.description, access, namespace_scope })
}

/// A namespace and the permission in it.
pub fn scope_in(scoped: &id::NamespaceScopedAccess) -> Result<NamespaceScope, String> {
    let permission = permission(scoped.access.as_ref())?.ok_or("spec.namespace_scoped_access.access is missing")?;
    Ok(NamespaceScope { namespace: scoped.namespace.clone(), permission })
}

/// The weakest role: what a group has of which nothing was said.
const NOTHING: &str = "metrics_read";

/// A group's rights from the wire. One without access gives nothing yet: tools make the group first and give it access later.
pub fn group_access_in(access: Option<&id::Access>) -> Result<AccessBody, String> {
    let mut access = access.cloned().unwrap_or_default();
    if access.account_access.is_none() {
        let role = id::account_access::Role::MetricsRead.into();
        access.account_access = Some(id::AccountAccess { role, ..id::AccountAccess::default() });
    }
    access_in(Some(&access))
}

/// A group's rights to the wire: those of one that gives nothing are none, as they were sent.
fn group_access_out(body: &AccessBody) -> Option<id::Access> {
    let nothing = body.account_role == NOTHING && body.custom_roles.is_empty();
    let mut access = access_out(body);
    if nothing {
        access.account_access = None;
    }
    (!nothing || !access.namespace_accesses.is_empty()).then_some(access)
}

/// A group.
pub fn user_group(body: &UserGroupBody) -> id::UserGroup {
    use id::user_group_spec::GroupType;
    let (state, state_deprecated) = active();
    let group_type = match &body.google_group_email {
        Some(email) => GroupType::GoogleGroup(id::GoogleGroupSpec { email_address: email.clone() }),
        None => GroupType::CloudGroup(id::CloudGroupSpec {}),
    };
    id::UserGroup {
        id: body.id.clone(),
        resource_version: body.resource_version.clone(),
        spec: Some(id::UserGroupSpec {
            display_name: body.name.clone(),
            access: group_access_out(&body.access),
            group_type: Some(group_type),
        }),
        state,
        state_deprecated,
        created_time: moment(&body.created_time),
        last_modified_time: moment(&body.last_modified_time),
        ..id::UserGroup::default()
    }
}

/// A member of a group.
pub fn group_member(body: &GroupMemberBody) -> id::UserGroupMember {
    let member_type = Some(id::user_group_member_id::MemberType::UserId(body.user_id.clone()));
    id::UserGroupMember { member_id: Some(id::UserGroupMemberId { member_type }), created_time: moment(&body.created_time) }
}

/// The user a member's id names.
pub fn member_in(member: Option<id::UserGroupMemberId>) -> Result<String, String> {
    match member.and_then(|member| member.member_type) {
        Some(id::user_group_member_id::MemberType::UserId(user)) => Ok(user),
        None => Err("member_id.user_id is missing".to_owned()),
    }
}

/// A custom role.
pub fn custom_role(body: &CustomRoleBody) -> id::CustomRole {
    let permission = |line: &RolePermission| id::custom_role_spec::Permission {
        resources: Some(id::custom_role_spec::Resources {
            resource_type: line.resource_type.clone(),
            resource_ids: line.resource_ids.clone(),
            allow_all: line.allow_all,
        }),
        actions: line.actions.clone(),
    };
    id::CustomRole {
        id: body.id.clone(),
        resource_version: body.resource_version.clone(),
        spec: Some(id::CustomRoleSpec {
            name: body.name.clone(),
            description: body.description.clone(),
            permissions: body.permissions.iter().map(permission).collect(),
        }),
        state: active().0,
        created_time: moment(&body.created_time),
        last_modified_time: moment(&body.last_modified_time),
        ..id::CustomRole::default()
    }
}

/// A custom role that is asked for, whole.
pub fn custom_role_in(spec: id::CustomRoleSpec) -> CreateCustomRole {
    let line = |permission: id::custom_role_spec::Permission| {
        let resources = permission.resources.unwrap_or_default();
        RolePermission {
            resource_type: resources.resource_type,
            resource_ids: resources.resource_ids,
            allow_all: resources.allow_all,
            actions: permission.actions,
        }
    };
    CreateCustomRole { name: spec.name, description: spec.description, permissions: spec.permissions.into_iter().map(line).collect() }
}

/// An API key; expired is a state of its own, disabled is in the spec.
pub fn api_key(body: &ApiKeyBody) -> id::ApiKey {
    let expired = body.state == "expired";
    let (state, state_deprecated) = if expired { (ResourceState::Expired.into(), "expired".to_owned()) } else { active() };
    let (owner_type, old_type) = owner_out(&body.owner_type);
    id::ApiKey {
        id: body.id.clone(),
        resource_version: body.resource_version.clone(),
        spec: Some(id::ApiKeySpec {
            owner_id: body.owner_id.clone(),
            owner_type_deprecated: old_type,
            owner_type,
            display_name: body.name.clone(),
            description: body.description.clone(),
            expiry_time: moment(&body.expiry_time),
            disabled: body.state == "disabled",
        }),
        state,
        state_deprecated,
        created_time: moment(&body.created_time),
        last_modified_time: moment(&body.last_modified_time),
        ..id::ApiKey::default()
    }
}

fn owner_out(word: &str) -> (i32, String) {
    match word {
        "user" => (id::OwnerType::User.into(), "user".to_owned()),
        "service_account" => (id::OwnerType::ServiceAccount.into(), "service-account".to_owned()),
        _ => (id::OwnerType::Unspecified.into(), word.to_owned()),
    }
}

/// An owner type's word; none where nothing was said.
pub fn owner_type(number: i32, old: &str) -> Result<Option<String>, String> {
    match (id::OwnerType::try_from(number), old) {
        (Ok(id::OwnerType::User), _) => Ok(Some("user".to_owned())),
        (Ok(id::OwnerType::ServiceAccount), _) => Ok(Some("service_account".to_owned())),
        (Ok(id::OwnerType::Unspecified), "") => Ok(None),
        (Ok(id::OwnerType::Unspecified), "user") => Ok(Some("user".to_owned())),
        (Ok(id::OwnerType::Unspecified), "service-account" | "service_account") => Ok(Some("service_account".to_owned())),
        _ => Err("owner_type is user or service account".to_owned()),
    }
}

/// An API key that is asked for by `caller`; a user's key is made by that user alone.
pub fn create_api_key(spec: id::ApiKeySpec, caller: &str) -> Result<CreateApiKey, String> {
    let kind = owner_type(spec.owner_type, &spec.owner_type_deprecated)?;
    let service_account_id = match kind.as_deref() {
        _ if spec.owner_id == caller || spec.owner_id.is_empty() => None,
        Some("service_account") | None => Some(spec.owner_id),
        Some(_) => return Err("a user's API keys are made by that user alone".to_owned()),
    };
    if spec.disabled {
        return Err("a new API key is enabled; disable it by an update".to_owned());
    }
    Ok(CreateApiKey {
        name: spec.display_name,
        description: spec.description,
        expiry_time: spec.expiry_time.as_ref().map(text_of).transpose()?,
        service_account_id,
        ..CreateApiKey::default()
    })
}

/// Parts that the three kinds of assignment share: own access, whether it is inherited.
fn assigned(body: &AssignmentBody) -> (Option<id::NamespaceAccess>, bool) {
    let inherited = body.permission.is_none();
    let word = body.permission.as_ref().or(body.inherited.as_ref());
    (word.map(|word| permission_of(word)), inherited)
}

/// A user's permission in a namespace.
pub fn user_assignment(body: AssignmentBody) -> id::UserNamespaceAssignment {
    let (namespace_access, inherited_access) = assigned(&body);
    let (id, email, resource_version) = (body.id, body.name, body.resource_version);
    id::UserNamespaceAssignment { id, email, namespace_access, inherited_access, resource_version }
}

/// A service account's.
pub fn service_account_assignment(body: AssignmentBody) -> id::ServiceAccountNamespaceAssignment {
    let (namespace_access, inherited_access) = assigned(&body);
    let (id, name, resource_version) = (body.id, body.name, body.resource_version);
    id::ServiceAccountNamespaceAssignment { id, name, namespace_access, inherited_access, resource_version }
}

/// A group's.
pub fn user_group_assignment(body: AssignmentBody) -> id::UserGroupNamespaceAssignment {
    let (namespace_access, inherited_access) = assigned(&body);
    let (id, display_name, resource_version) = (body.id, body.name, body.resource_version);
    id::UserGroupNamespaceAssignment { id, display_name, namespace_access, inherited_access, resource_version }
}
