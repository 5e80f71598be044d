//! Who may do what, and who sees what.

use crate::harness::{Plane, is_refusal_of_rights};
use serde_json::{Value, json};

#[tokio::test]
async fn nothing_of_the_api_is_anonymous() {
    let plane = Plane::start().await;
    for entry in countersign_server::rest::table() {
        let path = entry.path.replace('{', "x").replace('}', "");
        plane.call(entry.method.as_str(), &path, "", Value::Null).await.refused(401, "unauthenticated");
    }
    plane.get("/nothing-here", "").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn each_right_is_the_tables() {
    let plane = Plane::start().await;
    let ns = plane.namespace("own").await;
    let mut keys = std::collections::BTreeMap::new();
    for role in ["owner", "admin", "developer", "finance_admin", "read", "metrics_read"] {
        keys.insert(role.to_owned(), plane.machine(role, role, json!({})).await.1);
    }
    for permission in ["admin", "write", "read"] {
        keys.insert(
            format!("ns-{permission}"),
            plane.machine(&format!("ns-{permission}"), "read", json!({ns.clone(): permission})).await.1,
        );
    }
    let user = plane.post("/users", &plane.owner, json!({"email": "a@b.c", "access": {"accountRole": "read"}})).await.ok();
    let user = user["id"].as_str().unwrap();
    let (target, _) = plane.machine("target", "read", json!({})).await;
    let everyone = "owner admin developer finance_admin read ns-admin ns-write ns-read";
    let admins = "owner admin";
    let readers = "owner admin ns-admin ns-write ns-read";
    let ns_admins = "owner admin ns-admin";
    let n = format!("/namespaces/{ns}");
    // A body that is refused for its content, once the right is there, so that nothing changes between two rows.
    let rows: Vec<(&str, String, Value, &str)> = vec![
        ("GET", "/current-identity".into(), Value::Null, "owner admin developer finance_admin read metrics_read ns-admin ns-write ns-read"),
        ("GET", "/api-keys".into(), Value::Null, "owner admin developer finance_admin read metrics_read ns-admin ns-write ns-read"),
        ("GET", "/account".into(), Value::Null, everyone),
        ("GET", "/users".into(), Value::Null, everyone),
        ("GET", format!("/users/{user}"), Value::Null, everyone),
        ("GET", "/service-accounts".into(), Value::Null, everyone),
        ("GET", "/namespaces".into(), Value::Null, everyone),
        ("GET", n.clone(), Value::Null, readers),
        ("GET", format!("{n}/accepted-client-cas"), Value::Null, readers),
        ("GET", format!("{n}/certificate-filters"), Value::Null, readers),
        ("GET", format!("{n}/auth-method"), Value::Null, readers),
        ("GET", format!("{n}/apis"), Value::Null, readers),
        ("POST", "/namespaces".into(), json!({"name": "!"}), "owner admin developer"),
        ("PATCH", n.clone(), json!({"snapshotAgeMaxSeconds": 1}), ns_admins),
        ("POST", format!("{n}/accepted-client-cas"), json!({"certificates": "x"}), ns_admins),
        ("PUT", format!("{n}/certificate-filters"), json!({"filters": []}), ns_admins),
        ("PUT", format!("{n}/auth-method"), json!({"authMethod": "x"}), ns_admins),
        ("POST", format!("{n}/apis"), json!({}), ns_admins),
        ("POST", format!("{n}/generate-api-key"), json!({"permission": "x"}), ns_admins),
        ("POST", "/explain".into(), json!({"namespace": ns}), ns_admins),
        ("POST", "/users".into(), json!({"email": "x", "access": {"accountRole": "read"}}), admins),
        // Refused for its version, once the right is there.
        ("PATCH", format!("/users/{user}"), json!({"accountRole": "metrics_read", "resourceVersion": "9"}), admins),
        ("POST", "/service-accounts".into(), json!({"name": "", "access": {"accountRole": "read"}}), admins),
        ("POST", "/service-accounts".into(), json!({"name": "", "namespaceScope": {"namespace": ns, "permission": "read"}}), ns_admins),
        ("POST", "/api-keys".into(), json!({"name": "", "serviceAccountId": target}), admins),
        ("PATCH", format!("/service-accounts/{target}"), json!({"name": " "}), admins),
        ("GET", "/audit".into(), Value::Null, admins),
        ("GET", "/audit/verify".into(), Value::Null, admins),
        ("GET", "/gateways".into(), Value::Null, admins),
    ];
    for (method, path, body, allowed) in rows {
        for (who, key) in &keys {
            let answer = plane.call(method, &path, key, body.clone()).await;
            let expected = allowed.split(' ').any(|a| a == who);
            assert_eq!(!is_refusal_of_rights(answer.status), expected, "{method} {path} by {who}: {} {}", answer.status, answer.text);
        }
    }
}

#[tokio::test]
async fn nobody_gives_more_than_he_has() {
    let plane = Plane::start().await;
    let (a, b) = (plane.namespace("aa").await, plane.namespace("bb").await);
    let (_, admin) = plane.machine("admin", "admin", json!({})).await;
    let (_, developer) = plane.machine("developer", "developer", json!({})).await;
    let (boss, boss_key) = plane.machine("boss", "read", json!({a.clone(): "admin"})).await;
    let (reader, reader_key) = plane.machine("reader", "read", json!({a.clone(): "read"})).await;
    let (strong, _) = plane.machine("strong", "owner", json!({})).await;
    let (of_b, _) = plane.scoped("of-b", &b, "read").await;
    let (of_a, _) = plane.scoped("of-a", &a, "read").await;
    let forbidden = [
        ("/api-keys", &developer, json!({"name": "x", "serviceAccountId": reader})),
        ("/api-keys", &developer, json!({"name": "x", "serviceAccountId": strong})),
        ("/api-keys", &admin, json!({"name": "x", "serviceAccountId": strong})),
        ("/api-keys", &boss_key, json!({"name": "x", "serviceAccountId": of_b})),
        ("/api-keys", &boss_key, json!({"name": "x", "serviceAccountId": reader})),
        ("/service-accounts", &admin, json!({"name": "x", "access": {"accountRole": "owner"}})),
        ("/service-accounts", &admin, json!({"name": "x", "access": {"accountRole": "finance_admin"}})),
        ("/users", &admin, json!({"email": "x@y.z", "access": {"accountRole": "owner"}})),
        ("/service-accounts", &boss_key, json!({"name": "x", "namespaceScope": {"namespace": b, "permission": "read"}})),
        (&*format!("/namespaces/{a}/generate-api-key"), &reader_key, json!({})),
    ]
    .map(|(path, key, body)| (path.to_owned(), key.clone(), body));
    for (path, key, body) in forbidden {
        plane.post(&path, &key, body.clone()).await.refused(403, "forbidden");
    }
    for (id, key, body) in [
        (&boss, &boss_key, json!({"accountRole": "admin"})),
        (&boss, &boss_key, json!({"namespacePermissions": {a.clone(): "admin", b.clone(): "read"}})),
        (&strong, &admin, json!({"name": "taken"})),
        (&strong, &admin, json!({"accountRole": "read"})),
    ] {
        plane.call("PATCH", &format!("/service-accounts/{id}"), key, body).await.refused(403, "forbidden");
    }
    // What a Namespace Admin may.
    plane.post("/api-keys", &boss_key, json!({"name": "x", "serviceAccountId": of_a})).await.ok();
    let change = json!({"namespacePermissions": {a.clone(): "write"}});
    plane.call("PATCH", &format!("/service-accounts/{reader}"), &boss_key, change).await.ok();
    let wrong = json!({"namespacePermissions": {b.clone(): "write"}});
    plane.call("PATCH", &format!("/service-accounts/{of_a}"), &plane.owner, wrong).await.refused(400, "invalid_argument");
    plane
        .call("PATCH", &format!("/service-accounts/{of_a}"), &plane.owner, json!({"accountRole": "admin"}))
        .await
        .refused(400, "invalid_argument");
    plane.call("DELETE", &format!("/service-accounts/{of_a}"), &boss_key, Value::Null).await.ok();
    plane.call("DELETE", &format!("/service-accounts/{of_b}"), &boss_key, Value::Null).await.refused(403, "forbidden");
}

#[tokio::test]
async fn a_list_shows_what_its_reader_may_see() {
    let plane = Plane::start().await;
    let (a, b) = (plane.namespace("aa").await, plane.namespace("bb").await);
    let (boss, boss_key) = plane.machine("boss", "read", json!({a.clone(): "admin"})).await;
    let (of_a, _) = plane.scoped("of-a", &a, "read").await;
    let (of_b, of_b_key) = plane.scoped("of-b", &b, "read").await;
    let names = |list: &Value, member: &str| -> Vec<String> {
        let mut names: Vec<_> = list["items"].as_array().unwrap().iter().map(|i| i[member].as_str().unwrap().to_owned()).collect();
        names.sort();
        names.dedup();
        names
    };
    let owners = names(&plane.get("/api-keys", &boss_key).await.ok(), "ownerId");
    let mut expected = vec![boss.clone(), of_a.clone()];
    expected.sort();
    assert_eq!(owners, expected);
    assert_eq!(names(&plane.get("/api-keys", &of_b_key).await.ok(), "ownerId"), [of_b]);
    assert_eq!(names(&plane.get("/namespaces", &boss_key).await.ok(), "namespace"), [a.as_str()]);
    assert_eq!(names(&plane.get("/namespaces", &plane.owner).await.ok(), "namespace").len(), 3);
    // What is not to be seen is not there.
    let other = crate::harness::id_of(&of_b_key);
    plane.get(&format!("/api-keys/{other}"), &boss_key).await.refused(404, "not_found");
    plane.call("DELETE", &format!("/api-keys/{other}"), &boss_key, Value::Null).await.refused(404, "not_found");
    plane.get(&format!("/namespaces/{b}"), &boss_key).await.refused(404, "not_found");
    plane.call("DELETE", &format!("/namespaces/{b}"), &boss_key, Value::Null).await.refused(404, "not_found");
}

#[tokio::test]
async fn the_last_owner_stays() {
    let plane = Plane::start().await;
    let me = plane.get("/current-identity", &plane.owner).await.ok()["id"].as_str().unwrap().to_owned();
    plane.call("DELETE", &format!("/users/{me}"), &plane.owner, Value::Null).await.refused(409, "last_owner");
    plane.call("PATCH", &format!("/users/{me}"), &plane.owner, json!({"accountRole": "admin"})).await.refused(409, "last_owner");
    plane.post("/users", &plane.owner, json!({"email": "Second@Example.com", "access": {"accountRole": "owner"}})).await.ok();
    plane
        .post("/users", &plane.owner, json!({"email": "second@example.com", "access": {"accountRole": "read"}}))
        .await
        .refused(409, "already_exists");
    plane.call("DELETE", &format!("/users/{me}"), &plane.owner, Value::Null).await.ok();
    // The key went with its owner.
    plane.get("/account", &plane.owner).await.refused(401, "invalid_api_key");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn an_operation_is_seen_by_who_started_it_and_by_admins() {
    let plane = Plane::start().await;
    let (_, key) = plane.machine("m", "read", json!({})).await;
    let (_, other) = plane.machine("o", "read", json!({})).await;
    plane.again("/api-keys", &key, &json!({"name": "n"}), "mine").await.ok();
    for seen in [&key, &plane.owner] {
        assert_eq!(plane.get("/operations/mine", seen).await.ok()["state"], "Fulfilled");
    }
    plane.get("/operations/mine", &other).await.refused(404, "not_found");
    plane.app.write_behind().await;
    assert_eq!(plane.get("/operations/mine", &key).await.ok()["receipt"]["gateways"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_key_narrowed_to_apis_reaches_nothing_else_of_the_control_plane() {
    let plane = Plane::start().await;
    let api = plane.post("/namespaces/demo/apis", &plane.owner, json!({"name": "one", "listenPath": "/one"})).await.ok();
    let made = plane.post("/api-keys", &plane.owner, json!({"name": "narrow", "apis": [api["id"]]})).await.ok();
    let key = made["secretKey"].as_str().unwrap();
    for entry in countersign_server::rest::table() {
        let path = entry.path.replace('{', "x").replace('}', "");
        let answer = plane.call(entry.method.as_str(), &path, key, Value::Null).await;
        let own = matches!(
            entry.name,
            "getCurrentIdentity" | "createApiKey" | "rotateApiKey" | "getOperation" | "listOperations" | "generateApiKey"
        );
        assert_eq!(answer.code() == "forbidden", !own, "{} {}", entry.name, answer.text);
    }
    // The button makes a credential for another identity: not with a narrowed key, whoever owns it.
    plane.post("/namespaces/demo/generate-api-key", key, json!({})).await.refused(403, "forbidden");
    plane.call("DELETE", "/namespaces/demo/apis/one", &plane.owner, Value::Null).await.ok();
    let shown = plane.get(&format!("/api-keys/{}", made["id"].as_str().unwrap()), &plane.owner).await.ok();
    assert_eq!(shown["apis"], json!([api["id"]]), "a narrowing to an API that is gone does not widen");
}
