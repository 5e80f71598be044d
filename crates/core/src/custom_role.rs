//! Custom roles: single actions on single resources, beside the account roles (research/temporal-cloud.md section 8.4).
//!
//! A role only ever adds: it can take nothing away. No action exists for API keys, service accounts and certificates; those stay with
//! the account roles and with ownership.

use crate::authz::{Action, Target};
use crate::id::CustomRoleId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What an action is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceType {
    /// The account; also what belongs to it as a whole.
    Account,
    /// A namespace.
    Namespace,
    /// A Nexus endpoint.
    NexusEndpoint,
    /// A connectivity rule.
    ConnectivityRule,
    /// A custom role.
    CustomRole,
}

impl ResourceType {
    /// Every type.
    pub const ALL: [Self; 5] = [Self::Account, Self::Namespace, Self::NexusEndpoint, Self::ConnectivityRule, Self::CustomRole];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Namespace => "namespace",
            Self::NexusEndpoint => "nexus_endpoint",
            Self::ConnectivityRule => "connectivity_rule",
            Self::CustomRole => "custom_role",
        }
    }

    /// Reads the word: in any case, with `_`, `-`, a space or nothing between its parts. A project is the account here.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.to_ascii_lowercase().replace(['_', '-', ' '], "");
        if plain == "project" {
            return Some(Self::Account);
        }
        Self::ALL.into_iter().find(|kind| kind.as_str().replace('_', "") == plain)
    }
}

use Action::*;
use ResourceType::*;

/// Every action a custom role can give, by its string, with the resource it is done to. Ascending.
pub const ACTIONS: &[(&str, Action, ResourceType)] = &[
    ("cloud.account.get", GetAccount, Account),
    ("cloud.account.update", UpdateAccount, Account),
    ("cloud.asyncoperation.get", GetAsyncOperation, Account),
    ("cloud.auditlog.createSink", CreateAccountAuditLogSink, Account),
    ("cloud.auditlog.deleteSink", DeleteAccountAuditLogSink, Account),
    ("cloud.auditlog.getSink", GetAccountAuditLogSink, Account),
    ("cloud.auditlog.list", GetAuditLogs, Account),
    ("cloud.auditlog.listSinks", GetAccountAuditLogSinks, Account),
    ("cloud.auditlog.updateSink", UpdateAccountAuditLogSink, Account),
    ("cloud.auditlog.validateSink", ValidateAccountAuditLogSink, Account),
    ("cloud.billingreport.create", CreateBillingReport, Account),
    ("cloud.billingreport.get", GetBillingReport, Account),
    ("cloud.connectivityrule.create", CreateConnectivityRule, Account),
    ("cloud.connectivityrule.delete", DeleteConnectivityRule, ConnectivityRule),
    ("cloud.connectivityrule.get", GetConnectivityRule, ConnectivityRule),
    ("cloud.connectivityrule.list", GetConnectivityRules, Account),
    ("cloud.customrole.create", CreateCustomRole, Account),
    ("cloud.customrole.delete", DeleteCustomRole, CustomRole),
    ("cloud.customrole.get", GetCustomRole, CustomRole),
    ("cloud.customrole.list", GetCustomRoles, Account),
    ("cloud.customrole.update", UpdateCustomRole, CustomRole),
    ("cloud.migration.abort", AbortMigration, Account),
    ("cloud.migration.confirm", ConfirmMigration, Account),
    ("cloud.migration.get", GetMigration, Account),
    ("cloud.migration.handover", HandoverNamespace, Account),
    ("cloud.migration.list", GetMigrations, Account),
    ("cloud.migration.start", StartMigration, Account),
    ("cloud.namespace.addRegion", AddNamespaceRegion, Namespace),
    ("cloud.namespace.capacityinfo.get", GetNamespaceCapacityInfo, Namespace),
    ("cloud.namespace.create", CreateNamespace, Account),
    ("cloud.namespace.delete", DeleteNamespace, Namespace),
    ("cloud.namespace.deleteRegion", DeleteNamespaceRegion, Namespace),
    ("cloud.namespace.exportsink.create", CreateNamespaceExportSink, Namespace),
    ("cloud.namespace.exportsink.delete", DeleteNamespaceExportSink, Namespace),
    ("cloud.namespace.exportsink.get", GetNamespaceExportSink, Namespace),
    ("cloud.namespace.exportsink.list", GetNamespaceExportSinks, Namespace),
    ("cloud.namespace.exportsink.update", UpdateNamespaceExportSink, Namespace),
    ("cloud.namespace.exportsink.validate", ValidateNamespaceExportSink, Namespace),
    ("cloud.namespace.failoverRegion", FailoverNamespaceRegion, Namespace),
    ("cloud.namespace.get", GetNamespace, Namespace),
    ("cloud.namespace.getServiceAccountNamespaceAssignments", GetServiceAccountNamespaceAssignments, Namespace),
    ("cloud.namespace.getUserGroupNamespaceAssignments", GetUserGroupNamespaceAssignments, Namespace),
    ("cloud.namespace.getUserNamespaceAssignments", GetUserNamespaceAssignments, Namespace),
    ("cloud.namespace.list", GetNamespaces, Account),
    ("cloud.namespace.renameCustomSearchAttribute", RenameCustomSearchAttribute, Namespace),
    ("cloud.namespace.setUserAccess", SetUserNamespaceAccess, Namespace),
    ("cloud.namespace.setUserGroupAccess", SetUserGroupNamespaceAccess, Namespace),
    ("cloud.namespace.update", UpdateNamespace, Namespace),
    ("cloud.namespace.updateTags", UpdateNamespaceTags, Namespace),
    ("cloud.nexusendpoint.create", CreateNexusEndpoint, Account),
    ("cloud.nexusendpoint.delete", DeleteNexusEndpoint, NexusEndpoint),
    ("cloud.nexusendpoint.get", GetNexusEndpoint, NexusEndpoint),
    ("cloud.nexusendpoint.list", GetNexusEndpoints, Account),
    ("cloud.nexusendpoint.update", UpdateNexusEndpoint, NexusEndpoint),
    ("cloud.region.get", GetRegion, Account),
    ("cloud.region.list", GetRegions, Account),
    ("cloud.usage.get", GetUsage, Account),
    ("cloud.user.create", CreateUser, Account),
    ("cloud.user.delete", DeleteUser, Account),
    ("cloud.user.get", GetUser, Account),
    ("cloud.user.list", GetUsers, Account),
    ("cloud.usergroup.addMember", AddUserGroupMember, Account),
    ("cloud.usergroup.create", CreateUserGroup, Account),
    ("cloud.usergroup.delete", DeleteUserGroup, Account),
    ("cloud.usergroup.get", GetUserGroup, Account),
    ("cloud.usergroup.getMembers", GetUserGroupMembers, Account),
    ("cloud.usergroup.list", GetUserGroups, Account),
    ("cloud.usergroup.removeMember", RemoveUserGroupMember, Account),
];

/// The action of a string.
pub fn action(text: &str) -> Option<(Action, ResourceType)> {
    ACTIONS.iter().find(|(name, ..)| *name == text).map(|(_, action, kind)| (*action, *kind))
}

/// One line of a role: actions on resources of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// The type.
    pub resource_type: ResourceType,
    /// Which ones; of no meaning where `allow_all` is set.
    pub resource_ids: BTreeSet<String>,
    /// All of the type, later ones included.
    pub allow_all: bool,
    /// The action strings, each one of [`ACTIONS`].
    pub actions: BTreeSet<String>,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomRole {
    /// The id.
    pub id: CustomRoleId,
    /// The name, unique among custom roles.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What it gives.
    pub permissions: Vec<Permission>,
    /// Rises by one with each change; a stale one is refused.
    pub resource_version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
}

impl CustomRole {
    /// Whether the role gives `action` on `target`.
    pub fn allows(&self, action: Action, target: Target<'_>) -> bool {
        self.permissions.iter().any(|permission| {
            permission
                .actions
                .iter()
                .any(|text| self::action(text).is_some_and(|(given, kind)| given == action && permission.covers(kind, target)))
        })
    }
}

impl Permission {
    /// Whether this line gives everything that `other` gives.
    pub fn contains(&self, other: &Permission) -> bool {
        self.resource_type == other.resource_type
            && other.actions.is_subset(&self.actions)
            && (self.allow_all || (!other.allow_all && other.resource_ids.is_subset(&self.resource_ids)))
    }

    fn covers(&self, kind: ResourceType, target: Target<'_>) -> bool {
        if self.resource_type != kind {
            return false;
        }
        let id = match (kind, target) {
            (Namespace, Target::Namespace(id)) => id.as_str(),
            (ConnectivityRule | CustomRole | NexusEndpoint, Target::Resource(id)) => id,
            // There is one account a store: whoever names any account means it.
            (Account, Target::Account | Target::Resource(_)) => return self.allow_all || !self.resource_ids.is_empty(),
            _ => return false,
        };
        self.allow_all || self.resource_ids.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::NamespaceId;

    fn role(kind: ResourceType, ids: &[&str], allow_all: bool, actions: &[&str]) -> CustomRole {
        struct Zero;
        impl crate::entropy::Entropy for Zero {
            fn fill(&self, bytes: &mut [u8]) {
                bytes.fill(0);
            }
        }
        let set = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        let permission = Permission { resource_type: kind, resource_ids: set(ids), allow_all, actions: set(actions) };
        let now = Timestamp::from_seconds(1);
        CustomRole {
            id: CustomRoleId::mint(&Zero),
            name: "r".into(),
            description: String::new(),
            permissions: vec![permission],
            resource_version: 1,
            created_at: now,
            modified_at: now,
        }
    }

    #[test]
    fn there_are_sixty_eight_action_strings_in_order_and_each_is_found() {
        assert_eq!(ACTIONS.len(), 68);
        assert!(ACTIONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (text, given, kind) in ACTIONS {
            assert_eq!(action(text), Some((*given, *kind)));
        }
        assert_eq!(action("cloud.apikey.create"), None);
    }

    #[test]
    fn a_custom_role_gives_its_actions_on_its_resources_and_nothing_else() {
        let (here, there) = (NamespaceId::parse("here.a1b2c").expect("a name"), NamespaceId::parse("there.a1b2c").expect("a name"));
        let one = role(Namespace, &["here.a1b2c"], false, &["cloud.namespace.update"]);
        assert!(one.allows(UpdateNamespace, Target::Namespace(&here)));
        assert!(!one.allows(UpdateNamespace, Target::Namespace(&there)));
        assert!(!one.allows(DeleteNamespace, Target::Namespace(&here)));
        let all = role(Namespace, &[], true, &["cloud.namespace.update"]);
        assert!(all.allows(UpdateNamespace, Target::Namespace(&there)) && all.permissions[0].contains(&one.permissions[0]));
        assert!(!one.permissions[0].contains(&all.permissions[0]));
        let wrong = role(Account, &[], true, &["cloud.namespace.update"]);
        assert!(!wrong.allows(UpdateNamespace, Target::Namespace(&here)), "an action on a type it is not done to gives nothing");
    }
}
