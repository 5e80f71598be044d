//! What every noun shares: operations, receipts, pages, the account.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A request's progress, exactly as seed 000 prints it, and the receipt when there is one.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestStatus {
    /// The operation's id.
    pub request_id: String,
    /// `InProgress`, `Fulfilled` or `Failed`.
    pub state: String,
    /// When to look again, for example `1s`.
    pub check_duration: String,
    /// For example `UpdateNamespace`.
    pub operation_type: String,
    /// What it is done to.
    pub resource_id: String,
    /// For example `namespace`.
    pub resource_type: String,
    /// Empty unless it failed.
    pub failure_reason: String,
    /// When it was asked for.
    pub start_time: String,
    /// When it ended.
    pub finish_time: Option<String>,
    /// Which gateways apply it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<ReceiptBody>,
}

/// See `countersign_core::receipt::Receipt`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptBody {
    /// The revision that holds the change.
    pub revision: i64,
    /// Whether every connected gateway applies it.
    pub in_effect: bool,
    /// Connections cut, over all gateways.
    pub connections_cut: u64,
    /// Requests and streams ended, over all gateways.
    pub streams_cut: u64,
    /// One line a gateway.
    pub gateways: Vec<AppliedBody>,
    /// Connected gateways that have not confirmed within the bound.
    pub outstanding: Vec<String>,
}

/// One gateway's confirmation.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedBody {
    /// The gateway.
    pub gateway: String,
    /// The revision it applies.
    pub revision: i64,
    /// Milliseconds from commit to confirmation.
    pub milliseconds: f64,
    /// Connections cut there.
    pub connections_cut: u64,
    /// Requests and streams ended there.
    pub streams_cut: u64,
}

/// The answer of every change that makes or returns nothing else.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// The operation.
    pub request_status: RequestStatus,
}

/// Paging of every list.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams, ToSchema)]
#[serde(default)]
pub struct PageQuery {
    /// 1 to 1000; 100 when absent.
    pub page_size: Option<u32>,
    /// From the answer before.
    pub page_token: Option<String>,
}

/// The account.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountBody {
    /// The short id.
    pub id: String,
    /// Whether new API keys are refused.
    pub api_key_creation_disabled: bool,
    /// The gateway's domain.
    pub gateway_domain: String,
    /// `host:port` clients connect to.
    pub gateway_address: String,
    /// For updates.
    pub resource_version: String,
    /// When it was made.
    pub created_time: String,
}

/// The answer of a create.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    /// The new object's id.
    pub id: String,
    /// The operation.
    pub request_status: RequestStatus,
}

/// A page of a list.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The entries, ascending by id.
    pub items: Vec<T>,
    /// For the next page; empty at the end.
    pub next_page_token: String,
}
