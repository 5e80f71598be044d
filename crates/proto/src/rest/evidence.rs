//! The audit trail, gateways, refusals and explanations.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// One entry of the audit trail.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// 1, 2, 3 … without a gap.
    pub sequence: i64,
    /// When.
    pub time: String,
    /// `user`, `service_account` or `system`.
    pub actor_kind: String,
    /// Who.
    pub actor_id: String,
    /// Who, by name.
    pub actor_name: String,
    /// With which credential.
    pub credential: String,
    /// What.
    pub action: String,
    /// To what kind of object.
    pub object_kind: String,
    /// To which.
    pub object_id: String,
    /// `ok` or a refusal's code.
    pub result: String,
    /// The object before.
    pub before: Option<serde_json::Value>,
    /// The object after.
    pub after: Option<serde_json::Value>,
    /// From which address.
    pub source: String,
    /// The request's id.
    pub request_id: String,
    /// The operation's id.
    pub operation_id: String,
    /// The hash of the entry before, hexadecimal.
    pub previous_hash: String,
    /// The entry's hash, hexadecimal.
    pub hash: String,
}

/// Filters of `GET /audit`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
pub struct AuditQuery {
    /// 1 to 1000; 100 when absent.
    pub page_size: Option<u32>,
    /// From the answer before.
    pub page_token: Option<String>,
    /// Only this actor's.
    pub actor_id: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// Only objects of this kind, for example `api_key`.
    pub object_kind: Option<String>,
    /// Only this object's.
    pub object_id: Option<String>,
    /// Only with this result: `ok`, or the code of a refusal.
    pub result: Option<String>,
    /// Only what this operation did.
    pub operation_id: Option<String>,
    /// `asc` (the default: oldest first) or `desc`.
    pub order: Option<String>,
    /// From this moment on, RFC 3339.
    pub from: Option<String>,
    /// Before this moment, RFC 3339.
    pub to: Option<String>,
}

/// `GET /audit/verify`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditVerified {
    /// Whether the chain holds.
    pub ok: bool,
    /// How many entries were good.
    pub entries: i64,
    /// The last good entry's hash.
    pub head: String,
    /// Where it breaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

/// A gateway that is fed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayBody {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// The revision it decides on.
    pub revision: i64,
    /// Live connections.
    pub connections: u64,
    /// Requests and streams under way.
    pub streams: u64,
    /// What the control plane could not read of its database since its start, each with its kind and id: what it belongs to is closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

/// `POST /explain`: what the gateway would say.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExplainRequest {
    /// The host, with or without a port; or give `namespace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `<name>.<account>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `GET` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// `/` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// An API key's id; the secret is not needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_id: Option<String>,
    /// A client certificate, with its intermediates, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// The verdict.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Whether it gets in.
    pub admitted: bool,
    /// A refusal's code, or `admitted`.
    pub code: String,
    /// The HTTP status of the refusal, or 200.
    pub status: u16,
    /// Which rule decided.
    pub reason: String,
    /// What to do.
    pub remedy: String,
    /// Who it would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// By which credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Which API, or `namespace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// The certificate that was given, rule by rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckBody>,
}

/// A certificate held against one rule.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckBody {
    /// The rule's id, such as `E2`.
    pub rule: String,
    /// `ok`, `warning` or `failed`.
    pub result: String,
    /// What was found, in one sentence.
    pub detail: String,
    /// The command or step that mends it; empty where there is nothing to mend.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// `GET /refusals/{id}`: what an owner or admin may see of a refusal.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusalBody {
    /// The id from `Countersign-Refusal-Id`.
    pub id: String,
    /// When.
    pub time: String,
    /// The gateway.
    pub gateway: String,
    /// The code.
    pub code: String,
    /// Which rule refused.
    pub reason: String,
    /// What to do.
    pub remedy: String,
    /// The namespace.
    pub namespace: String,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The address it came from.
    pub source: String,
}
