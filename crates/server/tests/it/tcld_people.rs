//! The services of `tcld` again: people and their roles, service accounts, the account, and who is refused what.

use crate::harness::Plane;
use crate::tcld::{
    ACCOUNTS, ALREADY_EXISTS, AUTH, INVALID_ARGUMENT, NAMESPACES, NOT_FOUND, PERMISSION_DENIED, UNAUTHENTICATED, UNIMPLEMENTED,
};
use crate::tcld::{Tcld, mtls, region};
use countersign_proto::grpc::wire::api::{accountservice::v1 as account, authservice::v1 as auth, namespaceservice::v1 as ns};
use countersign_server::grpc::tcld::METHODS;
use serde_json::json;

fn account_role(group: auth::AccountActionGroup) -> auth::RoleSpec {
    let account_role = Some(auth::AccountRoleSpec { action_group: group.into() });
    auth::RoleSpec { account_role, namespace_roles: Vec::new() }
}

fn namespace_role(namespace: &str, group: auth::NamespaceActionGroup) -> auth::RoleSpec {
    let one = auth::NamespaceRoleSpec { namespace: namespace.to_owned(), action_group: group.into() };
    auth::RoleSpec { account_role: None, namespace_roles: vec![one] }
}

async fn invite(tcld: &Tcld<'_>, email: &str, roles: Vec<String>) -> Result<auth::InviteUsersResponse, crate::tcld::No> {
    let specs = vec![auth::UserSpec { email: email.to_owned(), roles }];
    tcld.ask(AUTH, "InviteUsers", &auth::InviteUsersRequest { specs, request_id: String::new() }).await
}

async fn roles(tcld: &Tcld<'_>, user: &str) -> Vec<auth::Role> {
    let asked = auth::GetRolesRequest { user_id: user.to_owned(), page_size: 10, ..auth::GetRolesRequest::default() };
    let got = tcld.ask::<auth::GetRolesResponse>(AUTH, "GetRoles", &asked).await.unwrap();
    assert_eq!(got.next_page_token, "");
    got.roles
}

/// The client keeps of a user's roles those of the other kind, told apart by type and spec, and sends all ids back.
#[tokio::test]
async fn rights_travel_as_ids_of_roles_each_of_one_kind() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    let (one, two) = (plane.namespace("one").await, plane.namespace("two").await);
    let given = tcld.roles_of(vec![
        account_role(auth::AccountActionGroup::Developer),
        namespace_role(&one, auth::NamespaceActionGroup::Write),
        namespace_role(&two, auth::NamespaceActionGroup::Read),
    ]);
    let given = given.await;
    assert_eq!(given.len(), 3);
    invite(&tcld, "ann@example.com", given.clone()).await.unwrap();
    let ann = tcld.user("ann@example.com").await.unwrap();
    let mut sorted = ann.spec.clone().unwrap().roles;
    sorted.sort();
    let mut wanted = given.clone();
    wanted.sort();
    assert_eq!(sorted, wanted, "the same ids again: they are stable");
    for role in roles(&tcld, &ann.id).await {
        let spec = role.spec.unwrap();
        assert_eq!(role.r#type, i32::from(auth::RoleType::Predefined));
        assert_eq!(spec.account_role.is_some(), spec.namespace_roles.is_empty(), "{}", role.id);
        let asked = auth::GetRoleRequest { role_id: role.id.clone() };
        assert_eq!(tcld.ask::<auth::GetRoleResponse>(AUTH, "GetRole", &asked).await.unwrap().role.unwrap().id, role.id);
    }
    // As `set-account-role`: the namespaces' ids are kept, the account's is another.
    let mut ids = tcld.roles_of(vec![account_role(auth::AccountActionGroup::Read)]).await;
    ids.extend(given[1..].iter().cloned());
    let update = |ids: Vec<String>| auth::UpdateUserRequest {
        user_id: ann.id.clone(),
        spec: Some(auth::UserSpec { email: "ann@example.com".to_owned(), roles: ids }),
        ..auth::UpdateUserRequest::default()
    };
    tcld.ask::<auth::UpdateUserResponse>(AUTH, "UpdateUser", &update(ids.clone())).await.unwrap();
    let body = plane.get(&format!("/users/{}", ann.id), &plane.owner).await.ok();
    assert_eq!(
        (&body["access"]["accountRole"], &body["access"]["namespacePermissions"]),
        (&json!("read"), &json!({one: "write", two: "read"}))
    );
    let again = tcld.ask::<auth::UpdateUserResponse>(AUTH, "UpdateUser", &update(ids)).await.unwrap_err();
    again.is(INVALID_ARGUMENT, "nothing to change");
    for (ids, says) in [(vec!["account-god".to_owned()], "no role"), (given[1..].to_vec(), "account role is missing")] {
        tcld.ask::<auth::UpdateUserResponse>(AUTH, "UpdateUser", &update(ids)).await.unwrap_err().is(INVALID_ARGUMENT, says);
    }
    invite(&tcld, "ann@example.com", given).await.unwrap_err().is(ALREADY_EXISTS, "ann@example.com");
}

#[tokio::test]
async fn an_unknown_mail_address_is_an_error_and_no_empty_answer() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    tcld.user("nobody@example.com").await.unwrap_err().is(NOT_FOUND, "nobody@example.com");
    let asked = auth::GetUserRequest::default();
    tcld.ask::<auth::GetUserResponse>(AUTH, "GetUser", &asked).await.unwrap_err().is(INVALID_ARGUMENT, "user_id");
    let asked = auth::GetApiKeysRequest { user_email: "nobody@example.com".to_owned(), ..auth::GetApiKeysRequest::default() };
    tcld.ask::<auth::GetApiKeysResponse>(AUTH, "GetAPIKeys", &asked).await.unwrap_err().is(NOT_FOUND, "nobody@example.com");
}

#[tokio::test]
async fn the_last_owner_stays() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    let asked = auth::GetUsersRequest::default();
    let owner = tcld.ask::<auth::GetUsersResponse>(AUTH, "GetUsers", &asked).await.unwrap().users.remove(0);
    let asked = auth::DeleteUserRequest { user_id: owner.id.clone(), ..auth::DeleteUserRequest::default() };
    let no = tcld.ask::<auth::DeleteUserResponse>(AUTH, "DeleteUser", &asked).await.unwrap_err();
    assert!(no.text.contains("owner"), "{no:?}");
    let roles = tcld.roles_of(vec![account_role(auth::AccountActionGroup::Read)]).await;
    let spec = Some(auth::UserSpec { email: String::new(), roles });
    let asked = auth::UpdateUserRequest { user_id: owner.id, spec, ..auth::UpdateUserRequest::default() };
    let no = tcld.ask::<auth::UpdateUserResponse>(AUTH, "UpdateUser", &asked).await.unwrap_err();
    assert!(no.text.contains("owner"), "{no:?}");
}

#[tokio::test]
async fn an_invitation_again_needs_a_mail_server_and_says_so() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    invite(&tcld, "ann@example.com", tcld.roles_of(vec![account_role(auth::AccountActionGroup::Read)]).await).await.unwrap();
    let user_id = tcld.user("ann@example.com").await.unwrap().id;
    let asked = auth::ResendUserInviteRequest { user_id, request_id: String::new() };
    let no = tcld.ask::<auth::ResendUserInviteResponse>(AUTH, "ResendUserInvite", &asked).await.unwrap_err();
    assert!(no.code == "no_mail_server" && no.text.contains("countersign user resend-invite"), "{no:?}");
}

#[tokio::test]
async fn a_service_account_of_one_namespace_keeps_it() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    let (own, other) = (plane.namespace("own").await, plane.namespace("other").await);
    let spec = |permissions: &[(&str, auth::NamespaceActionGroup)]| auth::ServiceAccountSpec {
        name: "scoped".to_owned(),
        description: "one".to_owned(),
        // The client sends the role of the account too.
        access: Some(auth::Access {
            account_access: Some(auth::AccountAccess { role: auth::AccountActionGroup::Read.into() }),
            namespace_accesses: permissions
                .iter()
                .map(|(namespace, group)| ((*namespace).to_owned(), auth::NamespaceAccess { permission: (*group).into() }))
                .collect(),
        }),
        scope: Some(auth::ServiceAccountScope { r#type: auth::ServiceAccountScopeType::Namespace.into() }),
    };
    let create = |spec| auth::CreateServiceAccountRequest { spec: Some(spec), request_id: String::new() };
    let (read, write) = (auth::NamespaceActionGroup::Read, auth::NamespaceActionGroup::Write);
    let two = create(spec(&[(&own, read), (&other, read)]));
    let two = tcld.ask::<auth::CreateServiceAccountResponse>(AUTH, "CreateServiceAccount", &two).await;
    two.unwrap_err().is(INVALID_ARGUMENT, "exactly one");
    let made = tcld.ask::<auth::CreateServiceAccountResponse>(AUTH, "CreateServiceAccount", &create(spec(&[(&own, write)]))).await.unwrap();
    let get = auth::GetServiceAccountRequest { service_account_id: made.service_account_id.clone() };
    let got = tcld.ask::<auth::GetServiceAccountResponse>(AUTH, "GetServiceAccount", &get).await.unwrap().service_account.unwrap();
    assert_eq!(got.spec.unwrap(), spec(&[(&own, write)]), "what was sent comes back");
    let update = |spec| auth::UpdateServiceAccountRequest {
        service_account_id: made.service_account_id.clone(),
        spec: Some(spec),
        ..auth::UpdateServiceAccountRequest::default()
    };
    let elsewhere = update(spec(&[(&other, read)]));
    let elsewhere = tcld.ask::<auth::UpdateServiceAccountResponse>(AUTH, "UpdateServiceAccount", &elsewhere).await;
    elsewhere.unwrap_err().is(INVALID_ARGUMENT, "scoped");
    tcld.ask::<auth::UpdateServiceAccountResponse>(AUTH, "UpdateServiceAccount", &update(spec(&[(&own, read)]))).await.unwrap();
    let whole = auth::ServiceAccountSpec { scope: None, ..spec(&[(&own, read)]) };
    let wider = tcld.ask::<auth::UpdateServiceAccountResponse>(AUTH, "UpdateServiceAccount", &update(whole)).await.unwrap_err();
    wider.is(INVALID_ARGUMENT, "scoped");
}

/// The client goes through `account.spec.metrics` without asking whether it is there.
#[tokio::test]
async fn the_account_always_has_metrics() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    let got = tcld.ask::<account::GetAccountResponse>(ACCOUNTS, "GetAccount", &account::GetAccountRequest {}).await.unwrap();
    assert_eq!(got.account.unwrap().spec.unwrap().metrics, Some(account::MetricsSpec::default()));
    let metrics = Some(account::MetricsSpec { enabled: true, accepted_client_ca: String::new() });
    let asked = account::UpdateAccountRequest { spec: Some(account::AccountSpec { metrics }), ..account::UpdateAccountRequest::default() };
    let no = tcld.ask::<account::UpdateAccountResponse>(ACCOUNTS, "UpdateAccount", &asked).await.unwrap_err();
    no.is(UNIMPLEMENTED, "metrics.listen");
}

#[tokio::test]
async fn a_region_of_the_operators_own_is_taken_by_its_name() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    let got = tcld.ask::<account::GetRegionsResponse>(ACCOUNTS, "GetRegions", &account::GetRegionsRequest {}).await.unwrap();
    let names: Vec<String> = got.regions.into_iter().map(|region| region.region_id.unwrap().name).collect();
    assert_eq!(names, ["local", "us-east-1"]);
    for name in names {
        let spec = ns::NamespaceSpec { region_id: Some(region(&name)), ..mtls("") };
        tcld.create(&format!("in-{name}"), spec).await.unwrap();
        let got = tcld.namespace(&format!("in-{name}.{}", plane.account)).await.unwrap();
        assert_eq!(got.spec.unwrap().region_id, Some(region(&name)));
        assert_eq!(got.regions.len(), 1);
    }
    let spec = ns::NamespaceSpec { region_id: Some(region("mars-1")), ..mtls("") };
    tcld.create("far", spec).await.unwrap_err().is(INVALID_ARGUMENT, "mars-1");
}

#[tokio::test]
async fn permissions_come_with_a_namespace_or_it_is_not_made() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    let (robot, key) = plane.machine("robot", "read", json!({})).await;
    let asked = |name: &str, id: &str, group: i32| ns::CreateNamespaceRequest {
        namespace: name.to_owned(),
        spec: Some(mtls("")),
        user_namespace_permissions: vec![auth::UserNamespacePermissions { user_id: id.to_owned(), action_group: group }],
        tags: [("team".to_owned(), "pay".to_owned())].into(),
        ..ns::CreateNamespaceRequest::default()
    };
    let absent = "u00000000000000000000000000";
    for (id, group, number) in [(absent, 1, NOT_FOUND), (robot.as_str(), 9, INVALID_ARGUMENT)] {
        let no = tcld.ask::<ns::CreateNamespaceResponse>(NAMESPACES, "CreateNamespace", &asked("half", id, group)).await.unwrap_err();
        assert_eq!(no.number, number, "{no:?}");
        tcld.namespace(&format!("half.{}", plane.account)).await.unwrap_err().is(NOT_FOUND, "half");
    }
    tcld.ask::<ns::CreateNamespaceResponse>(NAMESPACES, "CreateNamespace", &asked("whole", &robot, 1)).await.unwrap();
    let robots = Tcld { key, ..Tcld::owner(&plane) };
    let got = robots.namespace(&format!("whole.{}", plane.account)).await.unwrap();
    assert_eq!(got.tags["team"], "pay");
    robots.change(&format!("whole.{}", plane.account), |spec| spec.retention_days = 9).await.unwrap();
    // Whoever may make none learns of nobody.
    let no = robots.ask::<ns::CreateNamespaceResponse>(NAMESPACES, "CreateNamespace", &asked("mine", absent, 1)).await.unwrap_err();
    assert_eq!(no.number, PERMISSION_DENIED, "{no:?}");
}

#[tokio::test]
async fn what_lies_outside_is_refused_by_name() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    tcld.create("outside", mtls("")).await.unwrap();
    let namespace = format!("outside.{}", plane.account);
    // The client sets a member of it without asking whether it is there.
    assert_eq!(tcld.namespace(&namespace).await.unwrap().spec.unwrap().high_availability, Some(ns::HighAvailabilitySpec::default()));
    let no = tcld.change(&namespace, |spec| spec.connectivity_rule_ids = vec!["rule".to_owned()]).await.unwrap_err();
    no.is(INVALID_ARGUMENT, "connectivity_rule_ids");
    let ha = ns::HighAvailabilitySpec { disable_managed_failover: true };
    let no = tcld.change(&namespace, |spec| spec.high_availability = Some(ha)).await.unwrap_err();
    no.is(INVALID_ARGUMENT, "high_availability");
}

#[tokio::test]
async fn a_stale_version_and_an_unknown_namespace_are_refused_with_a_reason() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    tcld.create("known", mtls("")).await.unwrap();
    let namespace = format!("known.{}", plane.account);
    let update = |namespace: &str, resource_version: &str| ns::UpdateNamespaceRequest {
        namespace: namespace.to_owned(),
        spec: Some(ns::NamespaceSpec { retention_days: 11, ..mtls("") }),
        resource_version: resource_version.to_owned(),
        request_id: String::new(),
    };
    let no = tcld.ask::<ns::UpdateNamespaceResponse>(NAMESPACES, "UpdateNamespace", &update(&namespace, "stale")).await.unwrap_err();
    assert!(no.code == "resource_version_conflict" && no.text.contains("version"), "{no:?}");
    for unknown in [format!("nothing.{}", plane.account), "nothing.zzzzz".to_owned(), "nothing".to_owned(), "*".to_owned(), String::new()] {
        let got = tcld.namespace(&unknown).await.unwrap_err();
        let changed = tcld.ask::<ns::UpdateNamespaceResponse>(NAMESPACES, "UpdateNamespace", &update(&unknown, "")).await.unwrap_err();
        let asked = ns::DeleteNamespaceRequest { namespace: unknown.clone(), ..ns::DeleteNamespaceRequest::default() };
        let deleted = tcld.ask::<ns::DeleteNamespaceResponse>(NAMESPACES, "DeleteNamespace", &asked).await.unwrap_err();
        assert_eq!([got.number, changed.number, deleted.number], [NOT_FOUND; 3], "{unknown}: {got:?}");
    }
}

#[tokio::test]
async fn an_old_client_is_refused_with_a_sentence() {
    let plane = Plane::start().await;
    for version in ["v0.16.9", "v0.1.0", "0.16.9", "v0.16.9+no-version-available"] {
        let old = Tcld { version: Some(version), ..Tcld::owner(&plane) };
        let no = old.user("owner@localhost").await.unwrap_err();
        no.is(INVALID_ARGUMENT, "v0.17.0");
        assert_eq!(no.code, "client_too_old");
    }
    for version in [None, Some("v0.17.0"), Some("v0.17.0+no-version-available"), Some("no-version-available"), Some("v1.0.0"), Some("?")] {
        let tcld = Tcld { version, ..Tcld::owner(&plane) };
        let asked = ns::ListNamespacesRequest::default();
        tcld.ask::<ns::ListNamespacesResponse>(NAMESPACES, "ListNamespaces", &asked).await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_read_before_the_caller_is_known() {
    let plane = Plane::start().await;
    for key in ["", "wrong"] {
        let nobody = Tcld { key: key.to_owned(), ..Tcld::owner(&plane) };
        for (service, method) in METHODS {
            let no = nobody.bytes(service, method, &[0xff; 8]).await.unwrap_err();
            assert_eq!(no.number, UNAUTHENTICATED, "{service}/{method}: {no:?}");
        }
    }
    for (service, method) in METHODS {
        let no = Tcld::owner(&plane).bytes(service, method, &[0xff; 8]).await.unwrap_err();
        assert_eq!(no.number, INVALID_ARGUMENT, "{service}/{method}: {no:?}");
    }
}

#[tokio::test]
async fn roles_are_named_to_those_who_may_see_users() {
    let plane = Plane::start().await;
    let (_, key) = plane.machine("meter", "metrics_read", json!({})).await;
    let meter = Tcld { key, ..Tcld::owner(&plane) };
    for method in ["GetRole", "GetRoles", "GetRolesByPermissions", "GetUsers"] {
        let no = meter.bytes(AUTH, method, &[]).await.unwrap_err();
        assert_eq!(no.number, PERMISSION_DENIED, "{method}: {no:?}");
    }
}
