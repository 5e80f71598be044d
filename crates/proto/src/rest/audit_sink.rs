//! Audit sinks: where the audit trail is delivered to.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A destination in the form of Temporal's Kinesis sink. Only an `https` address (or `http` to this machine's own loopback) is
/// delivered to; AWS itself is not spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KinesisSink {
    /// Kept and shown, without effect.
    #[serde(default)]
    pub role_name: String,
    /// Where batches are sent to by POST.
    pub destination_uri: String,
    /// Kept and shown, without effect.
    #[serde(default)]
    pub region: String,
}

/// `POST /audit-sinks`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateAuditSink {
    /// 1 to 64 of `a-z A-Z 0-9 - _ .`; its id.
    pub name: String,
    /// Whether entries are delivered; they are when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinesis: Option<KinesisSink>,
}

/// The answer of its making: the one time the secret is shown.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedAuditSink {
    /// The name.
    pub id: String,
    /// Signs every batch (Standard Webhooks): `whsec_` and base64. Absent where the request is a repeated one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<String>,
    /// Progress.
    pub request_status: super::RequestStatus,
}

/// `PATCH /audit-sinks/{name}`: absent members stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateAuditSink {
    /// Whether entries are delivered. What happened meanwhile is delivered once they are again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// A new destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinesis: Option<KinesisSink>,
    /// Refuses the change when it is not the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// A sink.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditSinkBody {
    /// The name.
    pub name: String,
    /// Whether entries are delivered.
    pub enabled: bool,
    /// The destination.
    pub kinesis: KinesisSink,
    /// `disabled`, `healthy`, or `failing`.
    pub state: String,
    /// Why the last attempt failed; empty when it did not.
    pub failure: String,
    /// The number of the last entry that was taken there.
    pub sent_to: i64,
    /// Entries that wait.
    pub behind: i64,
    /// For updates.
    pub resource_version: String,
    /// When it was made.
    pub created_time: String,
    /// When it was last changed.
    pub last_modified_time: String,
}
