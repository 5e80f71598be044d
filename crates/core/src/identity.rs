//! Who a credential belongs to.

use crate::access::Access;
use crate::id::{EnvironmentId, ServiceAccountId, UserId};
use crate::name::NamespaceId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A user, a service account, or an application in one of its environments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum IdentityId {
    /// A person.
    User(UserId),
    /// A machine.
    ServiceAccount(ServiceAccountId),
    /// An application of a portal developer, in one of its two environments.
    Application(EnvironmentId),
}

impl IdentityId {
    /// Reads the text form of either kind.
    pub fn parse(text: &str) -> Option<Self> {
        UserId::parse(text)
            .map(Self::User)
            .or_else(|_| ServiceAccountId::parse(text).map(Self::ServiceAccount))
            .or_else(|_| EnvironmentId::parse(text).map(Self::Application))
            .ok()
    }

    /// The id without its kind.
    pub fn as_str(&self) -> &str {
        match self {
            Self::User(id) => id.as_str(),
            Self::ServiceAccount(id) => id.as_str(),
            Self::Application(id) => id.as_str(),
        }
    }

    /// `user`, `service_account` or `application`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::ServiceAccount(_) => "service_account",
            Self::Application(_) => "application",
        }
    }
}

impl fmt::Display for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A person of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The mail address, lower case, unique among users that are not deleted.
    pub email: String,
    /// Rights.
    pub access: Access,
    /// Rises by one with each change; a stale one is refused.
    pub resource_version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
}

/// A machine of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAccount {
    /// The id.
    pub id: ServiceAccountId,
    /// The name, unique among service accounts that are not deleted.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Rights. A namespace-scoped one has the role Read and exactly its own namespace.
    pub access: Access,
    /// The namespace it is scoped to; `None` for one of the whole account.
    pub scope: Option<NamespaceId>,
    /// Rises by one with each change; a stale one is refused.
    pub resource_version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
}

/// The account itself: its short id and the settings that hold for all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The short id, the second half of every namespace's id.
    pub id: String,
    /// Whether new API keys are refused; the ones there are go on (seed 002).
    pub api_key_creation_disabled: bool,
    /// Rises by one with each change; a stale one is refused.
    pub resource_version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
}
