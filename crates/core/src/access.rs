//! Roles and permissions of an identity: who it is in the account, and what it may do in each namespace.

use crate::id::CustomRoleId;
use crate::name::NamespaceId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
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

    /// Whether nobody of this role gains by having `other` too.
    pub const fn contains(self, other: Self) -> bool {
        use AccountRole::{Admin, Developer, FinanceAdmin, MetricsRead, Owner, Read};
        matches!(
            (self, other),
            (Owner, _)
                | (Admin, Admin | Developer | Read | MetricsRead)
                | (Developer, Developer | Read | MetricsRead)
                | (FinanceAdmin, FinanceAdmin | Read | MetricsRead)
                | (Read, Read | MetricsRead)
                | (MetricsRead, MetricsRead)
        )
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
    /// Roles made of single actions, beside the account role.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub custom_roles: BTreeSet<CustomRoleId>,
    /// Account roles that came by groups and are not contained in `account_role`. Empty in what is stored; see [`Access::join`].
    #[serde(skip)]
    pub also: BTreeSet<AccountRole>,
}

impl Access {
    /// Rights from a role alone.
    pub fn role(account_role: AccountRole) -> Self {
        Self { account_role, namespaces: BTreeMap::new(), custom_roles: BTreeSet::new(), also: BTreeSet::new() }
    }

    /// Every account role: the identity's own and those of its groups.
    pub fn account_roles(&self) -> impl Iterator<Item = AccountRole> {
        std::iter::once(self.account_role).chain(self.also.iter().copied())
    }

    /// Whether one of the account roles, own or by a group, is Owner. Every rule about owners asks this of rights that are
    /// effective, never of an identity's own alone.
    pub fn is_owner(&self) -> bool {
        self.account_roles().any(|role| role == AccountRole::Owner)
    }

    /// Whether these rights hold an account role that `before` neither has nor contains: a promotion.
    pub fn is_promoted_from(&self, before: &Access) -> bool {
        self.account_roles().any(|role| !before.account_roles().any(|had| had.contains(role)))
    }

    /// These rights and `other`'s together: what one has who is in a group.
    #[must_use]
    pub fn join(&self, other: &Access) -> Access {
        let mut joined = self.clone();
        joined.also.extend(other.account_roles());
        joined.also.insert(self.account_role);
        // The enum's order is strength; what the strongest contains need not be named beside it.
        if let Some(strongest) = joined.also.first().copied() {
            joined.account_role = strongest;
            joined.also.retain(|role| !strongest.contains(*role));
        }
        for (namespace, permission) in &other.namespaces {
            let mine = joined.namespaces.entry(namespace.clone()).or_insert(*permission);
            *mine = (*mine).max(*permission);
        }
        joined.custom_roles.extend(other.custom_roles.iter().cloned());
        joined
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
        let role = other.account_roles().all(|theirs| self.account_roles().any(|mine| mine.contains(theirs)));
        let custom = self.account_role.administers_every_namespace() || other.custom_roles.is_subset(&self.custom_roles);
        role && custom && other.namespaces.iter().all(|(ns, p)| self.permission(ns).is_some_and(|mine| mine >= *p))
    }
}
