//! The control plane's side of the gateways: what it demands of them, without knowing what they are. No policy is here.

use countersign_core::Snapshot;
use countersign_core::receipt::Applied;
use countersign_core::time::Timestamp;
use countersign_proto::rest::{GatewayBody, RefusalBody};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// The time as an argument. The binary brings the system's, tests bring their own.
pub trait Clock: Send + Sync {
    /// This moment.
    fn now(&self) -> Timestamp;
}

/// Use of one credential since the last time it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// An API key's or certificate's id, or a leaf's fingerprint under an accepted CA.
    pub credential: String,
    /// `api_key`, `certificate` or `accepted_ca`.
    pub kind: String,
    /// Requests.
    pub count: u64,
    /// The last of them.
    pub last_used: Timestamp,
    /// The address it came from.
    pub last_source: String,
}

/// Every connected gateway.
pub trait Gateways: Send + Sync {
    /// Makes all of them decide on `snapshot`; resolves when all confirmed. The caller bounds the time.
    fn apply(&self, snapshot: Arc<Snapshot>) -> BoxFuture<'_, Vec<Applied>>;
    /// What they are and how far.
    fn describe(&self) -> Vec<GatewayBody>;
    /// A refusal of one of them, if it is still remembered.
    fn refusal(&self, id: &str) -> Option<RefusalBody>;
    /// Use of credentials since the last call.
    fn drain_usage(&self) -> Vec<Usage>;
    /// The control plane lives at this moment.
    fn heard(&self, at: Timestamp);
}
