//! Errors of the REST surface: RFC 9457 problem documents with a stable code.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `application/problem+json` (RFC 9457 section 3), with our extension members.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the code says more.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable word, for programs.
    pub code: String,
    /// What kind of error, for people.
    pub title: String,
    /// What happened and which rule, in one sentence.
    pub detail: String,
    /// What to do, where one can act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The request's id, also in the audit trail and the log.
    pub request_id: String,
}

fn about_blank() -> String {
    "about:blank".to_owned()
}
