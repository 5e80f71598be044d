//! Which part of a list is asked for. Keyset paging: a page follows the last key of the one before, so that objects which come
//! and go between two pages make no other object appear twice or never.

use countersign_core::credential::api_key::KeyState;
use countersign_core::credential::certificate::CertificateStatus;
use countersign_core::{IdentityId, Timestamp};

/// A page in ascending order of id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// At most so many; the store sets no bound of its own.
    pub size: usize,
    /// Only what follows this id; it need not exist any more.
    pub after: Option<String>,
}

impl Page {
    /// The first page.
    pub const fn first(size: usize) -> Self {
        Self { size, after: None }
    }

    pub(crate) fn limit(&self) -> i64 {
        i64::try_from(self.size).unwrap_or(i64::MAX)
    }

    /// Every id is greater than the empty text.
    pub(crate) fn after(&self) -> String {
        self.after.clone().unwrap_or_default()
    }
}

/// Which API keys; unset fields let all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Only this identity's.
    pub owner: Option<IdentityId>,
    /// Only those of owners of this kind, in the words of [`IdentityId::kind`].
    pub owner_kind: Option<&'static str>,
    /// Only those that are in this state at `now`.
    pub state: Option<KeyState>,
    /// The moment at which `state` is judged.
    pub now: Timestamp,
}

/// Which registered certificates; unset fields let all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateSelection {
    /// Only this identity's.
    pub owner: Option<IdentityId>,
    /// Only those of this status.
    pub status: Option<CertificateStatus>,
}

/// Which audit entries; unset fields let all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
    /// By this actor.
    pub actor_id: Option<String>,
    /// This action, for example `CreateApiKey`.
    pub action: Option<String>,
    /// On objects of this kind, for example `api_key`.
    pub object_kind: Option<String>,
    /// On this object.
    pub object_id: Option<String>,
    /// With this result: `ok`, or the code of a refusal.
    pub result: Option<String>,
    /// Of this operation.
    pub operation_id: Option<String>,
}

/// A page of audit entries, in order of their sequence numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditPage {
    /// At most so many.
    pub size: usize,
    /// Only what follows this sequence number in the order asked for.
    pub after: Option<i64>,
    /// Newest first.
    pub descending: bool,
}
