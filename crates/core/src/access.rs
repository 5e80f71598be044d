//! Roles and permissions of an identity: who it is in the account, and what it may do in each namespace.

use crate::name::NamespaceId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What an identity is in the account (research/temporal-cloud.md section 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountRole {
    /// Everything, and the only one who grants Owner and Finance Admin.
    Owner,
    /// Global Admin: everything but the owners' own matters.
    Admin,
    /// Makes namespaces, and is Namespace Admin of those it made.
    Developer,
    /// Reads, and sees usage.
    FinanceAdmin,
    /// Reads.
    Read,
    /// Reads metrics only.
    MetricsRead,
}

impl AccountRole {
    /// Every role, strongest first.
    pub const ALL: [Self; 6] = [Self::Owner, Self::Admin, Self::Developer, Self::FinanceAdmin, Self::Read, Self::MetricsRead];

    /// The word in JSON and flags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Developer => "developer",
            Self::FinanceAdmin => "finance_admin",
            Self::Read => "read",
            Self::MetricsRead => "metrics_read",
        }
    }

    /// Reads the word, in any case, with or without `_` (`tcld` writes `FinanceAdmin`).
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.to_ascii_lowercase().replace(['_', '-'], "");
        Self::ALL.into_iter().find(|r| r.as_str().replace('_', "") == plain)
    }

    /// Whether the role is Namespace Admin everywhere, irrevocably.
    pub const fn administers_every_namespace(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }
}

impl fmt::Display for AccountRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an identity may do in one namespace. Ordered: each contains the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamespacePermission {
    /// Requests that change nothing.
    Read,
    /// All requests of the data plane.
    Write,
    /// Write, and the namespace's settings and its own service accounts in the control plane.
    Admin,
}

impl NamespacePermission {
    /// Every permission, weakest first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The word in JSON and flags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// Reads the word, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for NamespacePermission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An identity's rights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The role in the account.
    pub account_role: AccountRole,
    /// Permissions by namespace.
    #[serde(default)]
    pub namespaces: BTreeMap<NamespaceId, NamespacePermission>,
}

impl Access {
    /// Rights from a role alone.
    pub fn role(account_role: AccountRole) -> Self {
        Self { account_role, namespaces: BTreeMap::new() }
    }

    /// The permission in `namespace`, roles included.
    pub fn permission(&self, namespace: &NamespaceId) -> Option<NamespacePermission> {
        if self.account_role.administers_every_namespace() {
            return Some(NamespacePermission::Admin);
        }
        self.namespaces.get(namespace).copied()
    }

    /// Whether nobody with these rights gains by acting as somebody with `other`'s (promise P12).
    pub fn contains(&self, other: &Access) -> bool {
        use AccountRole::{Admin, Developer, FinanceAdmin, MetricsRead, Owner, Read};
        let role = match (self.account_role, other.account_role) {
            (Owner, _) => true,
            (_, Owner) => false,
            (Admin, r) => r != FinanceAdmin,
            (_, Admin) => false,
            (a, b) if a == b => true,
            (Developer | FinanceAdmin, Read | MetricsRead) | (Read, MetricsRead) => true,
            _ => false,
        };
        role && other.namespaces.iter().all(|(ns, p)| self.permission(ns).is_some_and(|mine| mine >= *p))
    }
}
