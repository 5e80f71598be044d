//! Names come back, ids do not: whatever is deleted and made again under its name gives nobody anything that they had in the old one.

use crate::harness::{Chance, Plane, id_of};
use crate::issuing;
use countersign_core::time::Lifetime;
use countersign_core::{Access, IdentityId, NamespaceId};
use countersign_proto::rest::RefusalBody;
use countersign_server::Clock as _;
use countersign_x509::tcld::{CaRequest, generate_ca};
use serde_json::{Value, json};

async fn made(plane: &Plane, path: &str, body: Value) -> String {
    plane.post(path, &plane.owner, body).await.ok()["id"].as_str().unwrap().to_owned()
}

async fn delete(plane: &Plane, path: &str) {
    plane.call("DELETE", path, &plane.owner, Value::Null).await.ok();
}

fn access(plane: &Plane, id: &str) -> Access {
    plane.app.snapshot().identity(&IdentityId::parse(id).unwrap()).unwrap().as_ref().clone()
}

fn ca(plane: &Plane, days: i64) -> String {
    let request = CaRequest { organization: "Theirs".to_owned(), validity: Lifetime::from_days(days), rsa: false };
    generate_ca(&request, plane.clock.now(), &Chance).unwrap().0
}

/// Everybody who could do something in a namespace, by each kind of right there is.
#[tokio::test]
async fn a_namespace_made_again_under_its_name_is_open_to_nobody_of_the_old_one() {
    let plane = issuing::plane().await;
    let ns = plane.namespace("pay").await;
    let lines = json!([
        {"resourceType": "namespace", "resourceIds": [ns], "actions": ["cloud.namespace.get", "cloud.namespace.update"]},
        {"resourceType": "namespace", "resourceIds": ["pay", "demo"], "actions": ["cloud.namespace.get"]},
    ]);
    let role = made(&plane, "/custom-roles", json!({"name": "keeper", "permissions": lines})).await;
    let body = json!({"name": "by role", "access": {"accountRole": "read", "customRoles": [role]}});
    let by_role = made(&plane, "/service-accounts", body).await;
    let by_role_key = plane.key_for(&by_role).await;
    let (direct, direct_key) = plane.machine("direct", "read", json!({&ns: "admin"})).await;
    let (_, scoped_key) = plane.scoped("scoped", &ns, "admin").await;
    let (account, account_key) = {
        let made = plane.post("/namespaces/pay/generate-api-key", &plane.owner, json!({})).await.ok();
        (made["serviceAccountId"].as_str().unwrap().to_owned(), made["secretKey"].as_str().unwrap().to_owned())
    };
    let rights = json!({"accountRole": "read", "namespacePermissions": {&ns: "admin"}});
    let person = made(&plane, "/users", json!({"email": "a@example.com", "access": rights})).await;
    let member = made(&plane, "/users", json!({"email": "b@example.com", "access": {"accountRole": "read"}})).await;
    let group = made(&plane, "/user-groups", json!({"name": "payers", "access": rights})).await;
    plane.post(&format!("/user-groups/{group}/members"), &plane.owner, json!({"userId": member})).await.ok();
    let shop = made(&plane, "/applications", json!({"name": "shop", "sandbox": {&ns: "write"}})).await;
    let environment = plane.get(&format!("/applications/{shop}"), &plane.owner).await.ok()["environments"].clone();
    let change = json!({"snapshotAgeMaxSeconds": 100});
    plane.call("PATCH", "/namespaces/pay", &by_role_key, change.clone()).await.ok();

    delete(&plane, "/namespaces/pay").await;
    plane.namespace("pay").await;

    let id = NamespaceId::parse(&ns).unwrap();
    for key in [&by_role_key, &direct_key] {
        plane.get("/namespaces/pay", key).await.refused(404, "not_found");
        plane.call("PATCH", "/namespaces/pay", key, change.clone()).await.refused(404, "not_found");
        let theirs = json!({"certificates": ca(&plane, 30)});
        plane.post("/namespaces/pay/accepted-client-cas", key, theirs).await.refused(404, "not_found");
    }
    for key in [&scoped_key, &account_key] {
        plane.get("/current-identity", key).await.refused(401, "invalid_api_key");
    }
    for who in [&direct, &person, &member, &by_role] {
        assert_eq!(access(&plane, who).permission(&id), None, "{who}");
    }
    plane.get(&format!("/service-accounts/{account}"), &plane.owner).await.refused(404, "not_found");
    assert!(!environment.to_string().is_empty());
    let shown = plane.get(&format!("/applications/{shop}"), &plane.owner).await.ok();
    assert!(!shown.to_string().contains(&ns), "{shown}");
    // What the role gives elsewhere stays, and what it named alone is gone.
    let shown = plane.get(&format!("/custom-roles/{role}"), &plane.owner).await.ok();
    assert!(!shown.to_string().contains(&ns) && shown["permissions"].as_array().unwrap().len() == 1, "{shown}");
    plane.get("/namespaces/demo", &by_role_key).await.ok();
    plane.assert_snapshot_is_the_stores().await;
}

/// A right that waits for a name is a right to whatever is made under it.
#[tokio::test]
async fn no_right_is_given_in_a_namespace_that_is_not_there() {
    let plane = Plane::start().await;
    let ahead = format!("ahead.{}", plane.account);
    let line = |ids: Value| json!([{"resourceType": "namespace", "resourceIds": ids, "actions": ["cloud.namespace.update"]}]);
    let absent = [json!([ahead]), json!(["ahead"]), json!(["demo", "ahead"]), json!(["no such.name"])];
    for ids in &absent {
        let body = json!({"name": "waits", "permissions": line(ids.clone())});
        plane.post("/custom-roles", &plane.owner, body).await.refused(404, "not_found");
    }
    let role = made(&plane, "/custom-roles", json!({"name": "here", "permissions": line(json!(["demo"]))})).await;
    for ids in absent {
        let change = json!({"permissions": line(ids)});
        plane.call("PATCH", &format!("/custom-roles/{role}"), &plane.owner, change).await.refused(404, "not_found");
    }
    let shown = plane.get(&format!("/custom-roles/{role}"), &plane.owner).await.ok();
    assert_eq!(shown["permissions"][0]["resourceIds"], json!([format!("demo.{}", plane.account)]), "kept by its id");
    let rights = json!({"accountRole": "read", "namespacePermissions": {&ahead: "read"}});
    plane.post("/service-accounts", &plane.owner, json!({"name": "m", "access": rights})).await.refused(404, "not_found");
    plane.post("/user-groups", &plane.owner, json!({"name": "g", "access": rights})).await.refused(404, "not_found");
    plane.post("/users", &plane.owner, json!({"email": "a@example.com", "access": rights})).await.refused(404, "not_found");
    plane.post("/applications", &plane.owner, json!({"name": "a", "sandbox": {&ahead: "read"}})).await.refused(404, "not_found");
}

/// Notices, refusals and counts tell of the old namespace, and are for who had it.
#[tokio::test]
async fn the_admin_of_a_namespace_made_again_reads_nothing_of_the_old_one() {
    let plane = Plane::start().await;
    let ns = plane.namespace("pay").await;
    let bundle = ca(&plane, 90);
    plane.post("/namespaces/pay/accepted-client-cas", &plane.owner, json!({"certificates": bundle})).await.ok();
    let (machine, _) = plane.scoped("old", &ns, "read").await;
    plane.post("/api-keys", &plane.owner, json!({"name": "soon", "serviceAccountId": machine, "duration": "90d"})).await.ok();
    plane.clock.advance(Lifetime::from_days(70));
    let inbox = async |key: &str| {
        plane.app.plan_notices().await;
        plane.get("/notices", key).await.ok()["items"].as_array().unwrap().clone()
    };
    let (_, old) = plane.machine("old admin", "read", json!({&ns: "admin"})).await;
    assert_eq!(inbox(&old).await.len(), 3, "of the CA and of the two keys");
    let at = countersign_proto::convert::exact_time(plane.clock.now());
    let refusal = RefusalBody { id: "r".repeat(10), time: at, namespace: ns.clone(), path: "/secret".to_owned(), ..RefusalBody::default() };
    *plane.fleet.refusal.lock().unwrap() = Some(refusal);
    let refusal = format!("/refusals/{}", "r".repeat(10));
    plane.get(&refusal, &old).await.ok();

    plane.clock.advance(Lifetime::from_seconds(5));
    delete(&plane, "/namespaces/pay").await;
    plane.namespace("pay").await;
    let (_, new) = plane.machine("new admin", "read", json!({&ns: "admin"})).await;

    assert_eq!(inbox(&new).await, Vec::<Value>::new());
    plane.get(&refusal, &new).await.refused(404, "not_found");
    plane.get(&refusal, &plane.owner).await.ok();
    // The same CA in the new namespace is told of again: that it was told once was about the old one.
    plane.post("/namespaces/pay/accepted-client-cas", &plane.owner, json!({"certificates": bundle})).await.ok();
    assert_eq!(inbox(&new).await.len(), 1);
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn a_host_name_that_moves_takes_no_rights_along() {
    let plane = Plane::start().await;
    let body = |name: &str| json!({"name": name, "upstream": "http://127.0.0.1:1", "extraHostnames": ["api.example.com"]});
    let first = made(&plane, "/namespaces", body("first")).await;
    let (holder, _) = plane.machine("m", "read", json!({&first: "admin"})).await;
    delete(&plane, "/namespaces/first").await;
    let second = made(&plane, "/namespaces", body("second")).await;
    let host = countersign_core::Hostname::parse("api.example.com").unwrap();
    assert_eq!(plane.app.snapshot().namespace_at(&host).map(|ns| ns.id.to_string()), Some(second.clone()));
    assert_eq!(access(&plane, &holder).permission(&NamespaceId::parse(&second).unwrap()), None);
}

#[tokio::test]
async fn a_user_of_the_same_address_is_another_one() {
    let plane = issuing::plane().await;
    let body = json!({"email": "a@example.com", "access": {"accountRole": "developer"}});
    let invited = plane.post("/users", &plane.owner, body).await.ok();
    let old = invited["id"].as_str().unwrap().to_owned();
    let link = invited["invitationUrl"].as_str().unwrap().to_owned();
    let group = made(&plane, "/user-groups", json!({"name": "g", "access": {"accountRole": "admin"}})).await;
    plane.post(&format!("/user-groups/{group}/members"), &plane.owner, json!({"userId": old})).await.ok();
    let shop = made(&plane, "/applications", json!({"name": "shop", "ownerId": old})).await;
    delete(&plane, &format!("/users/{old}")).await;
    let body = json!({"email": "a@example.com", "access": {"accountRole": "read"}});
    let new = made(&plane, "/users", body).await;
    assert_ne!(old, new);
    assert_eq!(access(&plane, &new).account_role, countersign_core::AccountRole::Read, "the group is not theirs");
    let members = plane.get(&format!("/user-groups/{group}/members"), &plane.owner).await.ok();
    assert_eq!(members["items"], json!([]));
    let shown = plane.get(&format!("/applications/{shop}"), &plane.owner).await.ok();
    assert_ne!(shown["ownerId"], json!(new));
    let path = link.split_once("/invitation").map(|(_, tail)| format!("/invitation{tail}")).unwrap();
    assert_ne!(plane.page(&path).await.status, 200, "the old invitation opens nothing");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn a_machine_a_group_a_role_and_an_application_of_the_same_name_are_others() {
    let plane = issuing::plane().await;
    let ns = plane.namespace("pay").await;
    let rights = json!({"accountRole": "read", "namespacePermissions": {&ns: "write"}});

    let (machine, key) = plane.machine("m", "admin", json!({})).await;
    let csr = issuing::csr(&issuing::key(), "/CN=m");
    let certificate = made(&plane, "/certificates", json!({"csr": csr, "serviceAccountId": machine})).await;
    delete(&plane, &format!("/service-accounts/{machine}")).await;
    let (again, _) = plane.machine("m", "read", json!({})).await;
    assert_ne!(machine, again);
    plane.get("/current-identity", &key).await.refused(401, "invalid_api_key");
    assert_eq!(plane.get(&format!("/certificates/{certificate}"), &plane.owner).await.ok()["state"], "revoked");
    assert_eq!(access(&plane, &again).account_role, countersign_core::AccountRole::Read);

    let person = made(&plane, "/users", json!({"email": "a@example.com", "access": {"accountRole": "read"}})).await;
    let group = made(&plane, "/user-groups", json!({"name": "g", "access": rights})).await;
    plane.post(&format!("/user-groups/{group}/members"), &plane.owner, json!({"userId": person})).await.ok();
    delete(&plane, &format!("/user-groups/{group}")).await;
    made(&plane, "/user-groups", json!({"name": "g", "access": rights})).await;
    assert_eq!(access(&plane, &person).permission(&NamespaceId::parse(&ns).unwrap()), None);

    let line = json!([{"resourceType": "namespace", "resourceIds": [ns], "actions": ["cloud.namespace.update"]}]);
    let role = made(&plane, "/custom-roles", json!({"name": "r", "permissions": line})).await;
    let body = json!({"name": "by role", "access": {"accountRole": "read", "customRoles": [role]}});
    let holder = made(&plane, "/service-accounts", body).await;
    let holder_key = plane.key_for(&holder).await;
    delete(&plane, &format!("/custom-roles/{role}")).await;
    made(&plane, "/custom-roles", json!({"name": "r", "permissions": line})).await;
    let change = json!({"snapshotAgeMaxSeconds": 100});
    plane.call("PATCH", "/namespaces/pay", &holder_key, change).await.refused(404, "not_found");

    let shop = made(&plane, "/applications", json!({"name": "shop", "sandbox": {&ns: "write"}})).await;
    let body = json!({"name": "k", "application": shop, "environment": "sandbox"});
    let key = plane.post("/api-keys", &plane.owner, body).await.ok()["secretKey"].as_str().unwrap().to_owned();
    let order = json!({"csr": issuing::csr(&issuing::key(), "/CN=shop"), "application": shop, "environment": "sandbox"});
    let certificate = made(&plane, "/certificates", order).await;
    delete(&plane, "/applications/shop").await;
    made(&plane, "/applications", json!({"name": "shop", "sandbox": {&ns: "write"}})).await;
    plane.get("/current-identity", &key).await.refused(401, "invalid_api_key");
    assert_eq!(plane.get(&format!("/certificates/{certificate}"), &plane.owner).await.ok()["state"], "revoked");
    plane.assert_snapshot_is_the_stores().await;
}

/// A key that is narrowed to an API is narrowed to that one, whatever takes its name and its path later.
#[tokio::test]
async fn an_api_of_the_same_name_and_path_is_another_one() {
    let plane = Plane::start().await;
    let ns = plane.namespace("pay").await;
    let api = json!({"name": "orders", "listenPath": "/orders"});
    let old = made(&plane, "/namespaces/pay/apis", api.clone()).await;
    let (machine, _) = plane.machine("m", "read", json!({&ns: "write"})).await;
    let body = json!({"name": "narrow", "serviceAccountId": machine, "apis": [old]});
    let key = plane.post("/api-keys", &plane.owner, body).await.ok()["secretKey"].as_str().unwrap().to_owned();
    plane.call("PUT", "/namespaces/pay/auth-method", &plane.owner, json!({"authMethod": "api_key"})).await.ok();
    let asks = async || {
        let body = json!({"namespace": ns, "apiKeyId": id_of(&key), "path": "/orders/1", "method": "GET"});
        plane.post("/explain", &plane.owner, body).await.ok()
    };
    let before = asks().await;
    assert_eq!(before["admitted"], true, "{before}");
    delete(&plane, &format!("/namespaces/pay/apis/{old}")).await;
    let new = made(&plane, "/namespaces/pay/apis", api).await;
    assert_ne!(old, new);
    let after = asks().await;
    assert_eq!(after["admitted"], false, "{after}");
}

/// A sink begins where it is made, and how its namesake did is not how it does.
#[tokio::test]
async fn an_audit_sink_of_the_same_name_gets_nothing_from_before_and_is_not_failing() {
    let plane = Plane::start().await;
    plane.with_master_key().await;
    let sink = json!({"name": "siem", "kinesis": {"destinationUri": "http://127.0.0.1:1/"}});
    plane.post("/audit-sinks", &plane.owner, sink.clone()).await.ok();
    plane.namespace("one").await;
    plane.app.deliver_audit().await;
    assert_eq!(plane.get("/audit-sinks/siem", &plane.owner).await.ok()["state"], "failing");
    plane.clock.advance(Lifetime::from_seconds(1));
    delete(&plane, "/audit-sinks/siem").await;
    plane.post("/audit-sinks", &plane.owner, sink).await.ok();
    let shown = plane.get("/audit-sinks/siem", &plane.owner).await.ok();
    // Behind by the entry of its own making, which is its first.
    assert_eq!((&shown["state"], &shown["behind"]), (&json!("healthy"), &json!(1)), "{shown}");
}

/// Issuers are never deleted, and their names are in addresses that are published: a name is given out once.
#[tokio::test]
async fn an_issuers_name_is_never_given_out_again() {
    let plane = issuing::plane().await;
    let issuer = plane.get("/issuers", &plane.owner).await.ok()["items"][0].clone();
    let (id, name) = (issuer["id"].as_str().unwrap(), issuer["name"].as_str().unwrap());
    let operations = countersign_server::rest::table();
    assert!(!operations.iter().any(|entry| entry.method == "DELETE" && entry.path.starts_with("/issuers")));
    plane.post("/issuers", &plane.owner, json!({"name": name})).await.refused(409, "already_exists");
    assert!(!id.is_empty());
}
