//! What every change does: audit, operation, receipt, versions, nothing to change; and what a hanging gateway does to it.

use crate::harness::Plane;
use countersign_core::audit::Verifier;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

#[tokio::test]
async fn every_change_leaves_exactly_one_entry_and_a_refused_one_too() {
    let plane = Plane::start().await;
    let (_, reader) = plane.machine("reader", "read", json!({})).await;
    let before = plane.audit().await.len();
    let calls: Vec<(&str, &str, &str, Value, u16, &str)> = vec![
        ("POST", "/users", &plane.owner, json!({"email": "a@b.c", "access": {"accountRole": "read"}}), 201, "ok"),
        ("POST", "/users", &plane.owner, json!({"email": "a@b.c", "access": {"accountRole": "read"}}), 409, "already_exists"),
        ("POST", "/users", &plane.owner, json!({"email": "a@b.c", "wrong": 1}), 400, "invalid_argument"),
        ("POST", "/users", &reader, json!({"email": "a@b.d", "access": {"accountRole": "read"}}), 403, "forbidden"),
        ("POST", "/users?typo=1", &plane.owner, json!({}), 400, "invalid_argument"),
        ("DELETE", "/namespaces/nowhere", &reader, Value::Null, 404, "not_found"),
        ("PUT", "/namespaces/demo/auth-method", &plane.owner, json!({"authMethod": "mtls"}), 200, "ok"),
        ("PUT", "/namespaces/demo/auth-method", &plane.owner, json!({"authMethod": "mtls"}), 400, "nothing_to_change"),
    ];
    for (n, (method, path, key, body, status, result)) in calls.into_iter().enumerate() {
        let answer = plane.call(method, path, key, body).await;
        assert_eq!(answer.status, status, "{method} {path} {}", answer.text);
        let trail = plane.audit().await;
        assert_eq!(trail.len(), before + n + 1, "{method} {path}");
        let entry = trail.last().unwrap();
        assert_eq!(entry["result"], result);
        assert_eq!(entry["requestId"].as_str(), answer.headers.get("x-request-id").and_then(|v| v.to_str().ok()));
        assert_eq!(entry["credential"].as_str(), Some(crate::harness::id_of(key).as_str()));
    }
    let trail = plane.audit().await;
    let mut verifier = Verifier::default();
    for entry in &trail {
        let body = serde_json::from_value(entry.clone()).unwrap();
        verifier.check(&countersign_proto::convert::parse_audit_entry(&body).unwrap()).unwrap();
    }
    let verified = plane.get("/audit/verify", &plane.owner).await.ok();
    assert_eq!((verified["ok"].as_bool(), verified["entries"].as_u64()), (Some(true), Some(trail.len() as u64)));
    // Reading leaves none.
    plane.get("/users", &plane.owner).await.ok();
    assert_eq!(plane.audit().await.len(), trail.len());
}

#[tokio::test]
async fn the_trail_is_filtered_and_paged() {
    let plane = Plane::start().await;
    for n in 0..5 {
        plane.namespace(&format!("ns{n}")).await;
    }
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let page = plane.get(&format!("/audit?action=CreateNamespace&page_size=2&page_token={token}"), &plane.owner).await.ok();
        seen.extend(page["items"].as_array().unwrap().iter().map(|e| e["objectId"].as_str().unwrap().to_owned()));
        token = page["nextPageToken"].as_str().unwrap().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
    let mut paged = Vec::new();
    loop {
        let page = plane.get(&format!("/namespaces?page_size=2&page_token={token}"), &plane.owner).await.ok();
        paged.extend(page["items"].as_array().unwrap().iter().map(|e| e["namespace"].as_str().unwrap().to_owned()));
        token = page["nextPageToken"].as_str().unwrap().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert!(paged.len() == 6 && paged.is_sorted());
    for bad in ["page_size=0", "page_size=1001", "page_size=x", "page_token=%21", "pagesize=1", "page_size=1&page_size=2"] {
        plane.get(&format!("/namespaces?{bad}"), &plane.owner).await.refused(400, "invalid_argument");
    }
}

#[tokio::test]
async fn a_change_on_an_old_version_is_refused_and_names_the_current_one() {
    let plane = Plane::start().await;
    let ns = plane.namespace("vv").await;
    let path = format!("/namespaces/{ns}");
    plane.call("PATCH", &path, &plane.owner, json!({"authMethod": "api_key", "resourceVersion": "1"})).await.ok();
    let answer = plane.call("PATCH", &path, &plane.owner, json!({"authMethod": "mtls", "resourceVersion": "1"})).await;
    let body = answer.refused(409, "resource_version_conflict");
    assert!(body["detail"].as_str().unwrap().contains("current one, 2"), "{body}");
    plane.call("DELETE", &format!("{path}?resource_version=1"), &plane.owner, Value::Null).await.refused(409, "resource_version_conflict");
    plane.call("DELETE", &format!("{path}?resource_version=2"), &plane.owner, Value::Null).await.ok();
}

#[tokio::test]
async fn a_change_answers_with_what_each_gateway_confirmed() {
    let plane = Plane::start().await;
    let made = plane.post("/api-keys", &plane.owner, json!({"name": "n"})).await.ok();
    let answer = plane.post(&format!("/api-keys/{}/disable", made["id"].as_str().unwrap()), &plane.owner, Value::Null).await.ok();
    let status = &answer["requestStatus"];
    assert_eq!((status["state"].as_str(), status["operationType"].as_str()), (Some("Fulfilled"), Some("UpdateApiKey")));
    assert_eq!((status["receipt"]["inEffect"].as_bool(), status["receipt"]["connectionsCut"].as_u64()), (Some(true), Some(2)));
}

#[tokio::test]
async fn a_gateway_that_hangs_leaves_the_operation_in_progress_and_nothing_unpublished() {
    let plane = Plane::start().await;
    plane.fleet.hangs.store(true, Ordering::SeqCst);
    let made = plane.again("/api-keys", &plane.owner, &json!({"name": "n"}), "slow").await.ok();
    let receipt = &made["requestStatus"]["receipt"];
    assert_eq!((made["requestStatus"]["state"].as_str(), receipt["outstanding"].as_array().unwrap().len()), (Some("InProgress"), 2));
    plane.app.write_behind().await;
    assert_eq!(plane.get("/operations/slow", &plane.owner).await.ok()["state"], "InProgress");
    plane.fleet.hangs.store(false, Ordering::SeqCst);
    plane.namespace("later").await;
    plane.app.write_behind().await;
    assert_eq!(plane.get("/operations/slow", &plane.owner).await.ok()["state"], "Fulfilled");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_a_change_half_way() {
    let plane = Plane::start().await;
    let before = plane.app.snapshot().revision();
    for n in 0..20 {
        let request = Plane::request("POST", "/namespaces", &plane.owner, Some(&json!({"name": format!("gone{n}")})));
        // Polled a few times, then dropped, as a server does when its client goes.
        let mut call = Box::pin(plane.send(request));
        for _ in 0..=n % 4 {
            if futures_util::FutureExt::now_or_never(&mut call).is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    plane.namespace("after").await;
    plane.assert_snapshot_is_the_stores().await;
    let made = plane.get("/namespaces", &plane.owner).await.ok()["items"].as_array().unwrap().len();
    assert_eq!(i64::try_from(made).unwrap() - 1, plane.app.snapshot().revision() - before, "each that was begun is there, whole");
    assert_eq!(plane.get("/audit/verify", &plane.owner).await.ok()["ok"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_changes_at_once_end_in_one_state() {
    let plane = Plane::start().await;
    let plane = &plane;
    futures_util::future::join_all((0..24).map(|n| async move {
        let ns = plane.namespace(&format!("many{n}")).await;
        plane.call("PUT", &format!("/namespaces/{ns}/auth-method"), &plane.owner, json!({"authMethod": "api_key"})).await.ok();
        let made = plane.post(&format!("/namespaces/{ns}/generate-api-key"), &plane.owner, json!({})).await.ok();
        let id = made["id"].as_str().unwrap();
        match n % 3 {
            0 => drop(plane.call("DELETE", &format!("/api-keys/{id}"), &plane.owner, Value::Null).await.ok()),
            1 => drop(plane.post(&format!("/api-keys/{id}/disable"), &plane.owner, Value::Null).await.ok()),
            _ => drop(plane.call("DELETE", &format!("/namespaces/{ns}"), &plane.owner, Value::Null).await.ok()),
        }
    }))
    .await;
    plane.assert_snapshot_is_the_stores().await;
    assert_eq!(plane.get("/audit/verify", &plane.owner).await.ok()["ok"], true);
}

#[tokio::test]
async fn without_its_audit_entry_a_change_does_not_happen_and_no_secret_leaves() {
    let plane = Plane::start().await;
    let sql = |text: &str| {
        let file = plane.directory.path().join("data/countersign.db");
        std::process::Command::new("sqlite3").arg(file).arg(text).status().map(|s| s.success()).unwrap_or(false)
    };
    if !sql("CREATE TRIGGER broken BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END") {
        return countersign_testkit::skipped("there is no sqlite3 on this machine to break the trail with");
    }
    let before = plane.app.snapshot();
    let answer = plane.post("/api-keys", &plane.owner, json!({"name": "n"})).await;
    assert!(!answer.text.contains("csk_"));
    answer.refused(503, "unavailable");
    plane.post("/account/api-keys/disable-creation", &plane.owner, Value::Null).await.refused(503, "unavailable");
    assert_eq!(plane.app.snapshot().revision(), before.revision());
    // Reading and what was made before go on.
    assert_eq!(plane.get("/account", &plane.owner).await.ok()["apiKeyCreationDisabled"], false);
    assert!(sql("DROP TRIGGER broken"));
    assert_eq!(plane.get("/api-keys", &plane.owner).await.ok()["items"].as_array().unwrap().len(), 1);
    plane.post("/api-keys", &plane.owner, json!({"name": "n"})).await.ok();
    plane.assert_snapshot_is_the_stores().await;
}
