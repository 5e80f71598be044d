//! Rotation: a credential and its successor, how the traffic moves, and when the old one can go.

use super::RequestStatus;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// `POST /api-keys/{id}/rotate`: a successor with the same owner, rights and narrowing. Both work.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotateApiKey {
    /// Another name; that of the old key when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How long it lives; as long as the old one was made for when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// When it ends; wins over the duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_time: Option<String>,
}

/// `POST /certificates/{id}/rotate`: likewise.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotateCertificate {
    /// A certificate request for a new key, PEM or base64 of it.
    pub csr: String,
    /// Another alias; that of the old certificate when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// How long it lives; the issuer's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<String>,
}

/// What is asked of a rotation.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
pub struct RotationQuery {
    /// The time over which shares are counted, 1m to 7d; 1h when absent.
    pub window: Option<String>,
    /// So long without a use an old one counts as safe to revoke; 24h when absent.
    pub idle: Option<String>,
}

/// One of the two.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotationSide {
    /// The id.
    pub id: String,
    /// The name or alias.
    pub name: String,
    /// Its state, as its own noun has it.
    pub state: String,
    /// Requests within the window.
    pub requests: u64,
    /// Their share of both, 0 to 100; absent when neither was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// When it was used last, at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_time: Option<String>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_from: Option<String>,
}

/// Who would break if the old one went now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StillUsing {
    /// The address.
    pub source: String,
    /// Requests seen from there within the idle time; batched, so a lower bound for addresses that share a second.
    pub requests: u64,
    /// When last.
    pub last_used_time: String,
}

/// When the old one goes by itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetirementBody {
    /// So long without a use, in seconds.
    pub when_idle_seconds: i64,
    /// At the latest then, in use or not; absent: never while in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// How far a rotation is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotationBody {
    /// `api_key` or `certificate`.
    pub kind: String,
    /// The one that goes.
    pub old: RotationSide,
    /// The one that takes its place.
    pub new: RotationSide,
    /// The window, in seconds.
    pub window_seconds: i64,
    /// The idle time, in seconds.
    pub idle_seconds: i64,
    /// Whether nobody would notice.
    pub safe_to_revoke: bool,
    /// Why, or why not, in one sentence.
    pub reason: String,
    /// Who used the old one within the idle time.
    pub still_using: Vec<StillUsing>,
    /// When the old one goes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retirement: Option<RetirementBody>,
}

/// `POST /api-keys/{id}/retire` and `POST /certificates/{id}/retire`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retire {
    /// Goes by itself once it was not used for so long, for example `24h`. Absent: goes now, if it is safe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_idle: Option<String>,
    /// With `whenIdle`: at the latest at this moment, in use or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Also where somebody would break.
    #[serde(default)]
    pub force: bool,
    /// Takes an earlier `whenIdle` back.
    #[serde(default)]
    pub cancel: bool,
}

/// The answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retired {
    /// Whether it is gone, or will go by itself.
    pub gone: bool,
    /// How far the rotation was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationBody>,
    /// Who has to be looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The operation.
    pub request_status: RequestStatus,
}
