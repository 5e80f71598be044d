//! The table of research/temporal-cloud.md section 8, written down a second time and compared cell by cell.

use super::*;
use crate::id::{ServiceAccountId, UserId};

struct Zero(u8);
impl crate::Entropy for Zero {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

fn actor(role: AccountRole, machine: bool) -> Actor {
    let identity =
        if machine { IdentityId::ServiceAccount(ServiceAccountId::mint(&Zero(1))) } else { IdentityId::User(UserId::mint(&Zero(1))) };
    Actor { identity, name: "x".into(), access: Access::role(role), custom_roles: Vec::new(), credential: None }
}

fn in_namespace(permission: NamespacePermission, machine: bool) -> Actor {
    let mut actor = actor(AccountRole::Read, machine);
    actor.access.namespaces.insert(here(), permission);
    actor
}

fn here() -> NamespaceId {
    NamespaceId::parse("here.a1b2c").expect("a namespace")
}

fn there() -> NamespaceId {
    NamespaceId::parse("there.a1b2c").expect("a namespace")
}

/// The published page: what is compared is what people read.
const PAGE: &str = include_str!("../../../../docs/rights.md");

/// The rows of one section: cells, and the operations they are of.
fn rows(section: &str) -> Vec<(Vec<&'static str>, &'static str)> {
    let (_, rest) = PAGE.split_once(&format!("\n## {section}\n")).expect("the section");
    let section = rest.split("\n## ").next().unwrap_or(rest);
    section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| {
            let mut columns = line.trim_matches('|').split('|').map(str::trim);
            let names = columns.next().expect("a column of operations");
            let cells: Vec<_> = columns.collect();
            names.split(' ').map(move |name| (cells.clone(), name.trim_matches('`')))
        })
        .collect()
}

const ACCOUNT: &str = "By account role";
const NAMESPACE: &str = "By permission in a namespace";

fn action(name: &str) -> Action {
    *Action::ALL.iter().find(|a| a.as_str() == name).unwrap_or_else(|| panic!("{name} is no action"))
}

#[test]
fn the_account_table_is_the_published_one_cell_by_cell() {
    let mut seen = 0;
    for (cells, name) in rows(ACCOUNT) {
        assert_eq!(cells.len(), AccountRole::ALL.len(), "{name}");
        for (cell, role) in cells.iter().zip(AccountRole::ALL) {
            let want = match *cell {
                "yes" => Cell::Yes,
                "own" => Cell::Owned,
                "·" => Cell::No,
                other => panic!("{name} for {role}: {other}"),
            };
            assert_eq!(account_cell(action(name), role), Some(want), "{name} for {role}");
        }
        seen += 1;
    }
    for (cells, name) in rows(NAMESPACE) {
        for (cell, permission) in cells.iter().zip(NamespacePermission::ALL.into_iter().rev()) {
            assert_eq!(namespace_cell(action(name), permission), Some(*cell == "yes"), "{name} for {permission}");
        }
        seen += 1;
    }
    assert_eq!(seen, Action::ALL.len(), "every action stands in one of the tables");
}

#[test]
fn a_right_in_one_namespace_is_none_in_another() {
    for permission in NamespacePermission::ALL {
        let actor = in_namespace(permission, false);
        for (_, name) in rows(NAMESPACE) {
            assert!(decide(&actor, action(name), Target::Namespace(&there())).is_err(), "{name} elsewhere with {permission}");
        }
    }
    for role in [AccountRole::Admin, AccountRole::Owner] {
        for (_, name) in rows(NAMESPACE) {
            assert!(decide(&actor(role, false), action(name), Target::Namespace(&there())).is_ok(), "{name} as {role}");
        }
    }
}

#[test]
fn own_keys_are_everybodys_and_others_keys_the_admins() {
    let other = IdentityId::ServiceAccount(ServiceAccountId::mint(&Zero(9)));
    for role in AccountRole::ALL {
        let user = actor(role, false);
        let own = user.identity.clone();
        for action in [Action::CreateApiKey, Action::GetApiKey, Action::UpdateApiKey, Action::DeleteApiKey] {
            assert!(decide(&user, action, Target::CredentialOf(&own, None)).is_ok(), "{role} {action:?} own");
            let admin = matches!(role, AccountRole::Owner | AccountRole::Admin);
            assert_eq!(decide(&user, action, Target::CredentialOf(&other, None)).is_ok(), admin, "{role} {action:?} other");
        }
    }
}

#[test]
fn a_service_account_makes_its_own_successor_and_cannot_delete_without_the_right() {
    let machine = in_namespace(NamespacePermission::Read, true);
    let own = machine.identity.clone();
    let ask = |actor: &Actor, action| decide(actor, action, Target::CredentialOf(&own, Some(&here()))).is_ok();
    assert!(ask(&machine, Action::CreateApiKey) && ask(&machine, Action::GetApiKey));
    assert!(!ask(&machine, Action::DeleteApiKey) && !ask(&machine, Action::UpdateApiKey) && !ask(&machine, Action::CreateCertificate));
    assert!(ask(&in_namespace(NamespacePermission::Admin, true), Action::DeleteApiKey));
}

#[test]
fn a_namespace_admin_manages_the_service_accounts_of_his_namespace_and_no_others() {
    let admin = in_namespace(NamespacePermission::Admin, false);
    let scoped = IdentityId::ServiceAccount(ServiceAccountId::mint(&Zero(5)));
    for action in [Action::CreateApiKey, Action::UpdateApiKey, Action::DeleteApiKey] {
        assert!(decide(&admin, action, Target::CredentialOf(&scoped, Some(&here()))).is_ok());
        assert!(decide(&admin, action, Target::CredentialOf(&scoped, Some(&there()))).is_err());
        assert!(decide(&admin, action, Target::CredentialOf(&scoped, None)).is_err());
    }
    for action in [Action::CreateServiceAccount, Action::UpdateServiceAccount, Action::DeleteServiceAccount] {
        assert!(decide(&admin, action, Target::ServiceAccount(Some(&here()))).is_ok());
        assert!(decide(&admin, action, Target::ServiceAccount(Some(&there()))).is_err());
        assert!(decide(&admin, action, Target::ServiceAccount(None)).is_err());
    }
}

#[test]
fn nobody_makes_a_key_that_speaks_as_another_person() {
    let person = IdentityId::User(UserId::mint(&Zero(7)));
    assert!(decide(&actor(AccountRole::Owner, false), Action::CreateApiKey, Target::CredentialOf(&person, None)).is_err());
    assert!(decide(&actor(AccountRole::Admin, false), Action::DeleteApiKey, Target::CredentialOf(&person, None)).is_ok());
}

#[test]
fn nobody_gives_more_than_he_has() {
    let owner = Access::role(AccountRole::Owner);
    let admin = Access::role(AccountRole::Admin);
    let mut local = Access::role(AccountRole::Read);
    local.namespaces.insert(here(), NamespacePermission::Admin);
    assert!(decide_grant(&actor(AccountRole::Admin, false), None, &owner).is_err());
    assert!(decide_grant(&actor(AccountRole::Admin, false), Some(&owner), &admin).is_err());
    assert!(decide_grant(&actor(AccountRole::Owner, false), Some(&admin), &owner).is_ok());
    assert!(decide_grant(&actor(AccountRole::Admin, false), None, &admin).is_ok());
    let namespace_admin = in_namespace(NamespacePermission::Admin, false);
    assert!(decide_grant(&namespace_admin, None, &local).is_ok());
    assert!(decide_grant(&namespace_admin, None, &admin).is_err());
    let mut elsewhere = Access::role(AccountRole::Read);
    elsewhere.namespaces.insert(there(), NamespacePermission::Read);
    assert!(decide_grant(&namespace_admin, None, &elsewhere).is_err());
}

#[test]
fn a_workflow_method_is_read_or_write_and_an_unknown_one_is_write() {
    assert_eq!(workflow_service_permission("QueryWorkflow"), NamespacePermission::Read);
    assert_eq!(workflow_service_permission("CountActivityExecutions"), NamespacePermission::Read);
    assert_eq!(workflow_service_permission("StartWorkflowExecution"), NamespacePermission::Write);
    assert_eq!(workflow_service_permission("SomethingNew"), NamespacePermission::Write);
}

#[test]
fn a_group_adds_rights_and_takes_none() {
    use AccountRole::{Admin, Developer, FinanceAdmin, Owner, Read};
    let mut group = Access::role(FinanceAdmin);
    group.namespaces.insert(here(), NamespacePermission::Write);
    let mut own = Access::role(Developer);
    own.namespaces.insert(here(), NamespacePermission::Read);
    let joined = own.join(&group);
    assert_eq!(joined.permission(&here()), Some(NamespacePermission::Write));
    assert!(joined.contains(&own) && joined.contains(&group) && !own.contains(&joined));
    let mut both = actor(Developer, false);
    both.access = joined;
    for action in [Action::CreateNamespace, Action::GetUsage] {
        assert!(decide(&both, action, Target::Account).is_ok(), "{action:?}");
    }
    assert!(decide(&both, Action::CreateUser, Target::Account).is_err());
    for (a, b, strongest) in [(Read, Admin, Admin), (Owner, Developer, Owner), (Admin, FinanceAdmin, Admin)] {
        assert_eq!(Access::role(a).join(&Access::role(b)).account_role, strongest);
    }
    assert_eq!(Access::role(Admin).join(&Access::role(FinanceAdmin)).also.len(), 1, "what an admin does not contain stays beside it");
}

#[test]
fn a_custom_role_is_given_by_admins_or_by_who_has_it() {
    use crate::custom_role::{Permission, ResourceType};
    let line = |ids: &[&str], actions: &[&str]| Permission {
        resource_type: ResourceType::Namespace,
        resource_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        allow_all: false,
        actions: actions.iter().map(|text| (*text).to_owned()).collect(),
    };
    let role = |permissions| {
        let now = crate::time::Timestamp::from_seconds(1);
        let id = crate::id::CustomRoleId::mint(&Zero(3));
        let (name, description) = ("r".to_owned(), String::new());
        Arc::new(CustomRole { id, name, description, permissions, resource_version: 1, created_at: now, modified_at: now })
    };
    let mine = role(vec![line(&["here.a1b2c"], &["cloud.namespace.update", "cloud.namespace.get"])]);
    let mut holder = actor(AccountRole::Read, false);
    holder.custom_roles.push(Arc::clone(&mine));
    assert!(decide(&holder, Action::UpdateNamespace, Target::Namespace(&here())).is_ok());
    assert!(decide(&holder, Action::UpdateNamespace, Target::Namespace(&there())).is_err());
    assert!(decide_custom_role(&holder, &role(vec![line(&["here.a1b2c"], &["cloud.namespace.get"])])).is_ok());
    assert!(decide_custom_role(&holder, &role(vec![line(&["there.a1b2c"], &["cloud.namespace.get"])])).is_err());
    assert!(decide_custom_role(&holder, &role(vec![line(&["here.a1b2c"], &["cloud.namespace.delete"])])).is_err());
    assert!(decide_custom_role(&actor(AccountRole::Admin, false), &role(vec![line(&[], &["cloud.namespace.delete"])])).is_ok());
}
