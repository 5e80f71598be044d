//! Applications and the CAs that their environments trust.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// One of an application's two environments: an identity of its own.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationEnvironmentBody {
    /// What its credentials belong to.
    pub id: String,
    /// Permission by namespace: `admin`, `write` or `read`.
    pub namespace_permissions: BTreeMap<String, String>,
}

/// An application.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationBody {
    /// The id.
    pub id: String,
    /// The name, unique among applications.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The user it belongs to, who manages its credentials; null when only admins do.
    pub owner_id: Option<String>,
    /// For trying.
    pub sandbox: ApplicationEnvironmentBody,
    /// For real.
    pub production: ApplicationEnvironmentBody,
    /// For updates.
    pub resource_version: String,
    /// When it was made.
    pub created_time: String,
    /// When it was last changed.
    pub last_modified_time: String,
}

/// `POST /applications`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateApplication {
    /// The name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// The user it belongs to; without one only admins manage it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// Permission by namespace in the sandbox.
    #[serde(default)]
    pub sandbox: BTreeMap<String, String>,
    /// Permission by namespace in production.
    #[serde(default)]
    pub production: BTreeMap<String, String>,
}

/// `PATCH /applications/{id}`: absent members stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateApplication {
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A new description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Another owner; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// Exactly these permissions in the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<BTreeMap<String, String>>,
    /// Exactly these permissions in production.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub production: Option<BTreeMap<String, String>>,
    /// Refuses the change when it is not the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// A CA whose certificates may be registered for applications in one environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustedCaBody {
    /// SHA-256 of the DER.
    pub fingerprint_sha256: String,
    /// The subject.
    pub subject: String,
    /// First moment of validity.
    pub not_before: String,
    /// Last moment of validity.
    pub not_after: String,
    /// The certificate.
    pub pem: String,
}

/// The CAs that an environment trusts.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustedCas {
    /// In the order they were added.
    pub items: Vec<TrustedCaBody>,
}

/// `POST /trusted-cas/{environment}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddTrustedCas {
    /// One CA certificate or more, PEM.
    pub certificates: String,
}
