//! Operations: the requests that carry out changes, readable until long after.

use crate::id::OperationId;
use crate::receipt::Receipt;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How far an operation is. It always ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Committed; not every connected gateway has confirmed yet.
    InProgress,
    /// In effect on every connected gateway.
    Fulfilled,
    /// It did not happen.
    Failed,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Chosen by the caller, or made here.
    pub id: OperationId,
    /// How far it is.
    pub state: OperationState,
    /// What it does, for example `UpdateNamespace`.
    pub operation_type: String,
    /// What it does it to.
    pub resource_id: String,
    /// The kind of that, for example `namespace`.
    pub resource_type: String,
    /// Why it failed; empty otherwise.
    pub failure_reason: String,
    /// SHA-256 over what was asked for and by whom: a repeated id with another request is refused.
    pub request_digest: [u8; 32],
    /// When it was asked for.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What the gateways confirmed.
    pub receipt: Option<Receipt>,
}
