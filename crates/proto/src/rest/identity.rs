//! Users, service accounts and their rights.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

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
    #[serde(default)]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
