//! User groups: people who share rights. A member has the group's rights beside his own, for as long as he is in it.

use crate::access::Access;
use crate::id::UserGroupId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a group's members come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GroupKind {
    /// Members are named here.
    Cloud,
    /// The group of this mail address at the company's provider; members are named here all the same, until a provider feeds them.
    Google {
        /// The address; never changed.
        email: String,
    },
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserGroup {
    /// The id.
    pub id: UserGroupId,
    /// The name, unique among groups.
    pub name: String,
    /// Where its members come from.
    pub kind: GroupKind,
    /// What every member may.
    pub access: Access,
    /// Rises by one with each change; a stale one is refused.
    pub resource_version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
}
