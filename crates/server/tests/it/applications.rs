//! Applications: two environments that share nothing, managed by admins, their credentials by their owner (seed 001, S10 to S12).

use crate::harness::Plane;
use crate::issuing::application;
use serde_json::{Value, json};

#[tokio::test]
async fn an_application_has_two_environments_with_rights_of_their_own() {
    let plane = Plane::start().await;
    let (one, two) = (plane.namespace("one").await, plane.namespace("two").await);
    let body = json!({"name": "Billing", "description": "bills", "sandbox": {&one: "write"}, "production": {&two: "read"}});
    let id = plane.post("/applications", &plane.owner, body).await.ok()["id"].as_str().unwrap().to_owned();
    let found = plane.get("/applications/Billing", &plane.owner).await.ok();
    assert_eq!((found["id"].as_str(), &found["ownerId"]), (Some(id.as_str()), &Value::Null));
    assert_eq!(found["sandbox"]["namespacePermissions"], json!({&one: "write"}));
    assert_eq!(found["production"]["namespacePermissions"], json!({&two: "read"}));
    assert_ne!(found["sandbox"]["id"], found["production"]["id"]);
    plane.assert_snapshot_is_the_stores().await;

    let change = json!({"production": {&one: "admin"}, "name": "Invoices", "resourceVersion": "1"});
    plane.call("PATCH", &format!("/applications/{id}"), &plane.owner, change.clone()).await.ok();
    plane.call("PATCH", &format!("/applications/{id}"), &plane.owner, change).await.refused(409, "resource_version_conflict");
    let found = plane.get(&format!("/applications/{id}"), &plane.owner).await.ok();
    assert_eq!((&found["name"], &found["sandbox"]["namespacePermissions"][&one]), (&json!("Invoices"), &json!("write")));
    plane.post("/applications", &plane.owner, json!({"name": "Invoices"})).await.refused(409, "already_exists");
    plane.post("/applications", &plane.owner, json!({"name": id})).await.refused(400, "invalid_argument");
    plane.post("/applications", &plane.owner, json!({"name": "x", "sandbox": {"none.abcde": "read"}})).await.refused(404, "not_found");
    plane.post("/applications", &plane.owner, json!({"name": "x", "ownerId": "nobody"})).await.refused(404, "not_found");
    plane.assert_snapshot_is_the_stores().await;
    assert_eq!(plane.get("/audit/verify", &plane.owner).await.ok()["ok"], true);
}

#[tokio::test]
async fn only_admins_make_applications_and_a_namespace_admin_does_not_see_them() {
    let plane = Plane::start().await;
    let made = application(&plane, "app").await;
    let id = made["id"].as_str().unwrap();
    let namespace = made["sandbox"]["namespacePermissions"].as_object().unwrap().keys().next().unwrap().clone();
    for role in ["developer", "read", "finance_admin", "metrics_read"] {
        let (_, key) = plane.machine(role, role, json!({&namespace: "admin"})).await;
        plane.post("/applications", &key, json!({"name": "x"})).await.refused(403, "forbidden");
        plane.get(&format!("/applications/{id}"), &key).await.refused(404, "not_found");
        plane.call("DELETE", &format!("/applications/{id}"), &key, Value::Null).await.refused(404, "not_found");
        assert_eq!(plane.get("/applications", &key).await.ok()["items"], json!([]), "{role}");
    }
    let (_, admin) = plane.machine("admin", "admin", json!({})).await;
    assert_eq!(plane.get("/applications", &admin).await.ok()["items"][0]["id"], id);
    plane.call("DELETE", &format!("/applications/{id}"), &admin, Value::Null).await.ok();
}

#[tokio::test]
async fn an_applications_key_is_of_its_environment_and_ends_with_the_application() {
    let plane = Plane::start().await;
    let made = application(&plane, "app").await;
    let id = made["id"].as_str().unwrap();
    plane.post("/api-keys", &plane.owner, json!({"name": "k", "application": id})).await.refused(400, "invalid_argument");
    plane.post("/api-keys", &plane.owner, json!({"name": "k", "environment": "sandbox"})).await.refused(400, "invalid_argument");
    let body = json!({"name": "k", "application": id, "environment": "sandbox"});
    let key = plane.post("/api-keys", &plane.owner, body).await.ok();
    let shown = plane.get(&format!("/api-keys/{}", key["id"].as_str().unwrap()), &plane.owner).await.ok();
    assert_eq!((&shown["ownerId"], &shown["ownerType"]), (&made["sandbox"]["id"], &json!("application")));
    let secret = key["secretKey"].as_str().unwrap();
    assert_eq!(plane.get("/applications", secret).await.ok()["items"][0]["id"], id, "it sees itself");
    assert_eq!(plane.get("/api-keys", secret).await.ok()["items"].as_array().unwrap().len(), 1);
    plane.call("DELETE", &format!("/api-keys/{}", key["id"].as_str().unwrap()), secret, Value::Null).await.refused(403, "forbidden");
    plane.post("/applications", secret, json!({"name": "x"})).await.refused(403, "forbidden");
    let gone = plane.call("DELETE", &format!("/applications/{id}"), &plane.owner, Value::Null).await.ok();
    assert_eq!(gone["requestStatus"]["receipt"]["inEffect"], true);
    plane.get("/applications", secret).await.refused(401, "invalid_api_key");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn deleting_an_application_revokes_its_certificates_and_puts_them_on_the_list() {
    let plane = crate::issuing::plane().await;
    let made = application(&plane, "app").await;
    let key = crate::issuing::key();
    let certificate = crate::issuing::ask(&plane, "app", &crate::issuing::csr(&key, "/CN=one")).await.ok();
    let empty = countersign_server::app::publication::crl(&plane.app, "sandbox-1").await.unwrap().number;
    plane.call("DELETE", &format!("/applications/{}", made["id"].as_str().unwrap()), &plane.owner, Value::Null).await.ok();
    let shown = plane.get(&format!("/certificates/{}", certificate["id"].as_str().unwrap()), &plane.owner).await.ok();
    assert_eq!(shown["state"], "revoked");
    assert!(countersign_server::app::publication::crl(&plane.app, "sandbox-1").await.unwrap().number > empty, "a new list");
    plane.assert_snapshot_is_the_stores().await;
}
