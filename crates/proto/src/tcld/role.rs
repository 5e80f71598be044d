//! Roles by id. `tcld` knows rights as a list of role ids; here each id says what it gives, so that none has to be kept:
//! `account-developer`, `namespace-write-payments.a1b2c`, and `custom-` with the id of a custom role, which the client passes on unread.

use super::auth;
use crate::rest::AccessBody;

const ACCOUNT: [(auth::AccountActionGroup, &str); 6] = [
    (auth::AccountActionGroup::Owner, "owner"),
    (auth::AccountActionGroup::Admin, "admin"),
    (auth::AccountActionGroup::Developer, "developer"),
    (auth::AccountActionGroup::FinanceAdmin, "finance_admin"),
    (auth::AccountActionGroup::Read, "read"),
    (auth::AccountActionGroup::MetricsRead, "metrics_read"),
];
const NAMESPACE: [(auth::NamespaceActionGroup, &str); 3] = [
    (auth::NamespaceActionGroup::Admin, "admin"),
    (auth::NamespaceActionGroup::Write, "write"),
    (auth::NamespaceActionGroup::Read, "read"),
];

/// An account role's number; zero for none.
pub(super) fn account_number(word: &str) -> i32 {
    ACCOUNT.iter().find(|(_, known)| *known == word).map_or(0, |(number, _)| i32::from(*number))
}

/// An account role's word.
pub(super) fn account_word(number: i32) -> Option<&'static str> {
    ACCOUNT.iter().find(|(known, _)| i32::from(*known) == number).map(|(_, word)| *word)
}

/// A permission's number; zero for none.
pub(super) fn permission_number(word: &str) -> i32 {
    NAMESPACE.iter().find(|(_, known)| *known == word).map_or(0, |(number, _)| i32::from(*number))
}

/// A permission's word.
pub fn permission_word(number: i32) -> Option<&'static str> {
    NAMESPACE.iter().find(|(known, _)| i32::from(*known) == number).map(|(_, word)| *word)
}

fn account_role(word: &str) -> auth::Role {
    let spec =
        auth::RoleSpec { account_role: Some(auth::AccountRoleSpec { action_group: account_number(word) }), namespace_roles: Vec::new() };
    auth::Role { id: format!("account-{word}"), r#type: auth::RoleType::Predefined.into(), spec: Some(spec) }
}

fn namespace_role(namespace: &str, word: &str) -> auth::Role {
    let one = auth::NamespaceRoleSpec { namespace: namespace.to_owned(), action_group: permission_number(word) };
    let spec = auth::RoleSpec { account_role: None, namespace_roles: vec![one] };
    auth::Role { id: format!("namespace-{word}-{namespace}"), r#type: auth::RoleType::Predefined.into(), spec: Some(spec) }
}

/// The roles that rights come to, each of one kind only: the client sorts them by kind.
pub fn roles(access: &AccessBody) -> Vec<auth::Role> {
    let custom = |id: &String| auth::Role { id: format!("custom-{id}"), r#type: 0, spec: Some(auth::RoleSpec::default()) };
    std::iter::once(account_role(&access.account_role))
        .chain(access.namespace_permissions.iter().map(|(namespace, word)| namespace_role(namespace, word)))
        .chain(access.custom_roles.iter().map(custom))
        .collect()
}

/// The six roles of an account, or the three of a namespace.
pub fn known_roles(namespace: Option<&str>) -> Vec<auth::Role> {
    match namespace {
        None => ACCOUNT.iter().map(|(_, word)| account_role(word)).collect(),
        Some(namespace) => NAMESPACE.iter().map(|(_, word)| namespace_role(namespace, word)).collect(),
    }
}

/// The role of this id, if its text is one.
pub fn role(id: &str) -> Option<auth::Role> {
    if let Some(word) = id.strip_prefix("account-") {
        return ACCOUNT.iter().find(|(_, known)| *known == word).map(|(_, word)| account_role(word));
    }
    if let Some((word, namespace)) = id.strip_prefix("namespace-").and_then(|rest| rest.split_once('-')) {
        return NAMESPACE.iter().find(|(_, known)| *known == word).map(|(_, word)| namespace_role(namespace, word));
    }
    let custom = id.strip_prefix("custom-")?;
    Some(auth::Role { id: format!("custom-{custom}"), r#type: 0, spec: Some(auth::RoleSpec::default()) })
}

/// The roles that give what is asked for. The error is a sentence.
pub fn roles_of(specs: &[auth::RoleSpec]) -> Result<Vec<auth::Role>, String> {
    let mut found = Vec::new();
    for spec in specs {
        if let Some(one) = spec.account_role.filter(|one| one.action_group != 0) {
            found.push(account_role(account_word(one.action_group).ok_or("an account role is one of six; this is none of them")?));
        }
        for one in &spec.namespace_roles {
            let word = permission_word(one.action_group).ok_or("a permission in a namespace is admin, write or read")?;
            found.push(namespace_role(&one.namespace, word));
        }
    }
    Ok(found)
}

/// The rights that role ids come to: one account role, at most one permission in each namespace. The error is a sentence.
pub fn access_of(ids: &[String]) -> Result<AccessBody, String> {
    let mut access = AccessBody::default();
    for id in ids {
        let unknown =
            || format!("there is no role {}; GetRoles and GetRolesByPermissions name them", id.chars().take(80).collect::<String>());
        if let Some(custom) = id.strip_prefix("custom-") {
            access.custom_roles.push(custom.to_owned());
            continue;
        }
        let spec = role(id).and_then(|role| role.spec).ok_or_else(unknown)?;
        if let Some(one) = spec.account_role {
            let word = account_word(one.action_group).ok_or_else(unknown)?;
            if !access.account_role.is_empty() && access.account_role != word {
                return Err(format!("two account roles are given, {} and {word}; one is had", access.account_role));
            }
            word.clone_into(&mut access.account_role);
        }
        for one in spec.namespace_roles {
            let word = permission_word(one.action_group).ok_or_else(unknown)?;
            if access.namespace_permissions.get(&one.namespace).is_some_and(|known| known != word) {
                return Err(format!("two permissions in {} are given; one is had", one.namespace));
            }
            access.namespace_permissions.insert(one.namespace, word.to_owned());
        }
    }
    if access.account_role.is_empty() {
        return Err("an account role is missing among the roles".to_owned());
    }
    Ok(access)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_ids_say_what_they_give_and_come_back() {
        let access = AccessBody {
            account_role: "developer".to_owned(),
            namespace_permissions: [("a-b.x1y2z".to_owned(), "write".to_owned()), ("c.x1y2z".to_owned(), "admin".to_owned())].into(),
            custom_roles: vec!["r1".to_owned()],
        };
        let ids: Vec<String> = roles(&access).into_iter().map(|role| role.id).collect();
        let back = access_of(&ids).expect("ids of ours");
        assert_eq!(
            (back.account_role, back.namespace_permissions, back.custom_roles),
            (access.account_role, access.namespace_permissions, access.custom_roles)
        );
        for known in known_roles(None).iter().chain(&known_roles(Some("c.x1y2z"))) {
            assert_eq!(role(&known.id).as_ref(), Some(known));
            let spec = known.spec.clone().expect("a spec");
            assert_eq!(roles_of(&[spec]).expect("a role"), std::slice::from_ref(known));
        }
    }

    #[test]
    fn ids_that_are_none_and_two_of_a_kind_are_refused() {
        let refused = |ids: &[&str]| access_of(&ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>()).expect_err("refused");
        assert!(refused(&["account-god"]).contains("no role"));
        assert!(refused(&["account-read", "account-admin"]).contains("two account roles"));
        assert!(refused(&["account-read", "namespace-read-x.y", "namespace-write-x.y"]).contains("two permissions"));
        assert!(refused(&["namespace-read-x.y"]).contains("missing"));
        assert!(refused(&[]).contains("missing"));
    }
}
