//! Who a request comes from, proved by the one layer that authenticates.

use super::effect::Effect;
use countersign_core::id::{ApiId, ApiKeyId, CertificateId, OperationId, SessionId};
use countersign_core::identity::IdentityId;
use countersign_core::snapshot::KeyEntry;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// One who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose rights he has.
    pub identity: IdentityId,
    /// The API key he showed; `None` for the system's own changes.
    pub credential: Option<ApiKeyId>,
    /// The login he acts by; `None` with a key.
    pub session: Option<SessionId>,
    /// The certificate whose key he proved to hold, when it renews itself; `None` with anything else.
    pub certificate: Option<CertificateId>,
    /// The APIs the key is narrowed to; empty means it is not.
    pub narrowed: Vec<ApiId>,
    /// The address he calls from; empty for the system.
    pub source: String,
    /// The request's id.
    pub request_id: String,
    /// The operation id he chose, if he did.
    pub operation: Option<OperationId>,
    /// Whether it is this program itself, at its start.
    pub system: bool,
    /// What the operation does to access, by its row in the table; on a full disk it decides whether the change is written.
    pub effect: Effect,
    /// Set where a change that takes access away found no room, and there is room now: it is to be made once more.
    pub again: Arc<AtomicBool>,
}

impl Caller {
    /// By an API key.
    pub fn by_key(id: ApiKeyId, entry: &KeyEntry, source: String, request_id: String, operation: Option<OperationId>) -> Self {
        let (identity, narrowed) = (entry.owner.clone(), entry.apis.clone());
        let credential = Some(id);
        Self { credential, narrowed, source, request_id, operation, system: false, ..Self::system(identity) }
    }

    /// This program itself, with the rights of `identity`.
    pub fn system(identity: IdentityId) -> Self {
        Self {
            identity,
            credential: None,
            session: None,
            certificate: None,
            narrowed: Vec::new(),
            source: String::new(),
            request_id: String::new(),
            operation: None,
            system: true,
            effect: Effect::Grants,
            again: Arc::default(),
        }
    }
}
