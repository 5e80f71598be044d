//! Users, service accounts and their rights.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Who the caller is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CurrentIdentity {
    /// `user` or `service_account`.
    pub kind: String,
    /// The id.
    pub id: String,
    /// Mail address or name.
    pub name: String,
    /// Rights.
    pub access: AccessBody,
    /// The API key of this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_id: Option<String>,
}

/// Rights.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessBody {
    /// `owner`, `admin`, `developer`, `finance_admin`, `read` or `metrics_read`.
    pub account_role: String,
    /// Namespace to `admin`, `write` or `read`.
    #[serde(default, deserialize_with = "super::once::map")]
    pub namespace_permissions: BTreeMap<String, String>,
    /// Ids of custom roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custom_roles: Vec<String>,
}

/// A user.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserBody {
    /// The id.
    pub id: String,
    /// The mail address.
    pub email: String,
    /// Rights.
    pub access: AccessBody,
    /// For updates.
    pub resource_version: String,
    /// When it was made.
    pub created_time: String,
    /// When it was last changed.
    pub last_modified_time: String,
}

/// `POST /users`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateUser {
    /// The mail address.
    pub email: String,
    /// Rights.
    pub access: AccessBody,
}

/// `PATCH /users/{id}` and `PATCH /service-accounts/{id}`: absent members stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateIdentity {
    /// A new name (service accounts only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A new description (service accounts only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A new account role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_role: Option<String>,
    /// The whole new set of namespace permissions.
    #[serde(default, deserialize_with = "super::once::maybe", skip_serializing_if = "Option::is_none")]
    pub namespace_permissions: Option<BTreeMap<String, String>>,
    /// The whole new set of custom roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_roles: Option<Vec<String>>,
    /// Refuses the change when it is not the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// A service account.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountBody {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Rights.
    pub access: AccessBody,
    /// The namespace it is scoped to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_scope: Option<String>,
    /// For updates.
    pub resource_version: String,
    /// When it was made.
    pub created_time: String,
    /// When it was last changed.
    pub last_modified_time: String,
}

/// `POST /service-accounts`. Exactly one of `access` and `namespaceScope`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateServiceAccount {
    /// The name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Rights of an account-wide one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessBody>,
    /// The one namespace of a scoped one, and its permission there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_scope: Option<NamespaceScope>,
}

/// One namespace and the permission in it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceScope {
    /// `<name>.<account>`.
    pub namespace: String,
    /// `admin`, `write` or `read`.
    pub permission: String,
}

/// Filters of `GET /users`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
pub struct UserQuery {
    /// 1 to 1000; 100 when absent.
    pub page_size: Option<u32>,
    /// From the answer before.
    pub page_token: Option<String>,
    /// Only the one with this mail address.
    pub email: Option<String>,
    /// Only those with a permission of their own in this namespace.
    pub namespace: Option<String>,
}

/// A group of users.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserGroupBody {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// The mail address of the group at Google, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub google_group_email: Option<String>,
    /// What every member may.
    pub access: AccessBody,
    /// For updates.
    pub resource_version: String,
    /// When it was made.
    pub created_time: String,
    /// When it was last changed.
    pub last_modified_time: String,
}

/// Filters of `GET /user-groups`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
pub struct UserGroupQuery {
    /// 1 to 1000; 100 when absent.
    pub page_size: Option<u32>,
    /// From the answer before.
    pub page_token: Option<String>,
    /// Only those with a permission in this namespace.
    pub namespace: Option<String>,
    /// Only the one of this name.
    pub display_name: Option<String>,
    /// Only the one of this Google group.
    pub google_group_email: Option<String>,
}

/// `POST /user-groups`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateUserGroup {
    /// The name.
    pub name: String,
    /// The mail address of a group at Google.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub google_group_email: Option<String>,
    /// What every member may.
    pub access: AccessBody,
}

/// `PATCH /user-groups/{id}`: absent members stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateUserGroup {
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The whole new rights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessBody>,
    /// Refuses the change when it is not the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// A member of a group.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupMemberBody {
    /// The user's id.
    pub user_id: String,
    /// Since when he is one.
    pub created_time: String,
}

/// `POST /user-groups/{id}/members`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddGroupMember {
    /// The user's id.
    pub user_id: String,
}

/// Actions on resources of one type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolePermission {
    /// `account`, `namespace`, `nexus_endpoint`, `connectivity_rule` or `custom_role`.
    pub resource_type: String,
    /// Which ones.
    #[serde(default)]
    pub resource_ids: Vec<String>,
    /// All of the type, later ones included.
    #[serde(default)]
    pub allow_all: bool,
    /// For example `cloud.namespace.update`.
    pub actions: Vec<String>,
}

/// A custom role.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomRoleBody {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What it gives.
    pub permissions: Vec<RolePermission>,
    /// For updates.
    pub resource_version: String,
    /// When it was made.
    pub created_time: String,
    /// When it was last changed.
    pub last_modified_time: String,
}

/// `POST /custom-roles`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateCustomRole {
    /// The name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// What it gives.
    pub permissions: Vec<RolePermission>,
}

/// `PATCH /custom-roles/{id}`: absent members stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateCustomRole {
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A new description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The whole new set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<RolePermission>>,
    /// Refuses the change when it is not the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}
