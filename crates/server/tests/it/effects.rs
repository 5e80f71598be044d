//! What each operation does to access, on every surface: on a full disk exactly what takes access away is accepted, and with it its audit
//! entry. Here the reserve is taken away, as it is once it was spent; a real full device is in the journeys.

use crate::harness::{Plane, id_of};
use crate::tcld::{CLOUD, Tcld};
use axum::body::Body;
use axum::http::{Method, Request};
use countersign_proto::grpc::wire::temporal::api::cloud::cloudservice::v1 as api;
use countersign_server::app::effect::Effect;
use countersign_server::grpc::{cloud, tcld};
use countersign_server::rest;
use serde_json::{Value, json};

/// What is not asked by GET, and writes nothing all the same.
const READING: [&str; 2] = ["explain", "askRenewal"];

#[test]
fn every_operation_of_every_surface_says_what_it_does_to_access() {
    for entry in rest::table().into_iter().chain(rest::open_table()) {
        let effect = entry.effect.unwrap_or_else(|| panic!("{} {} says no effect", entry.method, entry.path));
        assert_eq!(
            effect == Effect::Reads,
            entry.method == Method::GET || READING.contains(&entry.name),
            "{} {}",
            entry.method,
            entry.path
        );
        if entry.method == Method::PATCH {
            assert_eq!(effect, Effect::ByChange, "{} is decided by what it changes", entry.path);
        }
    }
    let methods = cloud::METHODS.iter().map(|(method, _)| (*method, cloud::meaning(method)));
    let methods = methods.chain(tcld::METHODS.iter().map(|(service, method)| (*method, tcld::meaning(service, method))));
    for (method, meaning) in methods {
        let (_, _, effect) = meaning.unwrap_or_else(|| panic!("{method} has no row"));
        let reads = ["Get", "List", "Validate"].iter().any(|verb| method.starts_with(verb));
        assert_eq!(effect == Effect::Reads, reads, "{method}");
        // Regions, endpoints, sinks of exports and rules of connectivity lie outside: nothing is done there.
        let outside = ["Region", "Nexus", "Export", "Connectivity"].iter().any(|noun| method.contains(noun));
        if (method.starts_with("Delete") || method.starts_with("Remove")) && !outside {
            assert_eq!(effect, Effect::TakesAway, "{method}");
        }
        if method.starts_with("Create") || method.starts_with("Add") {
            assert_eq!(effect, Effect::Grants, "{method}");
        }
    }
}

/// Takes the reserve away, as a change on a full disk does.
fn fill(plane: &Plane) {
    std::fs::remove_file(plane.directory.path().join("data").join("reserve")).unwrap();
}

#[tokio::test]
async fn on_a_full_disk_exactly_what_takes_access_away_is_accepted() {
    let plane = Plane::start().await;
    let (ns, other) = (plane.namespace("shop").await, plane.namespace("other").await);
    let (machine, first) = plane.machine("m", "developer", json!({&ns: "admin"})).await;
    let keys = [plane.key_for(&machine).await, plane.key_for(&machine).await, plane.key_for(&machine).await];
    let ids: Vec<String> = keys.iter().map(|key| id_of(key)).collect();
    let user = json!({"email": "u@example.test", "access": {"accountRole": "developer", "namespacePermissions": {&ns: "write"}}});
    let user = plane.post("/users", &plane.owner, user).await.ok()["id"].as_str().unwrap().to_owned();
    let group = json!({"name": "g", "access": {"accountRole": "developer", "namespacePermissions": {&ns: "write"}}});
    let group = plane.post("/user-groups", &plane.owner, group).await.ok()["id"].as_str().unwrap().to_owned();
    plane.post(&format!("/user-groups/{group}/members"), &plane.owner, json!({"userId": user})).await.ok();
    plane.call("PUT", &format!("/namespaces/{ns}/auth-method"), &plane.owner, json!({"authMethod": "api_key_or_mtls"})).await.ok();
    fill(&plane);
    let before = plane.audit().await.len();

    let refused = [
        ("POST", "/service-accounts".to_owned(), json!({"name": "n", "access": {"accountRole": "read"}})),
        ("POST", "/api-keys".to_owned(), json!({"name": "n", "serviceAccountId": machine})),
        ("PATCH", format!("/api-keys/{}", ids[0]), json!({"name": "renamed"})),
        ("PATCH", format!("/api-keys/{}", ids[0]), json!({"description": "x".repeat(200)})),
        ("PATCH", format!("/service-accounts/{machine}"), json!({"accountRole": "admin"})),
        (
            "PATCH",
            format!("/service-accounts/{machine}"),
            json!({"accountRole": "read", "namespacePermissions": {&ns: "admin", &other: "read"}}),
        ),
        ("PATCH", format!("/namespaces/{ns}"), json!({"upstream": "http://127.0.0.1:2"})),
        ("PUT", format!("/namespaces/{ns}/access"), json!({"id": user, "permission": "admin"})),
        ("POST", format!("/user-groups/{group}/members"), json!({"userId": user})),
        ("POST", format!("/users/{user}/invitation"), json!({})),
        ("POST", "/account/api-keys/enable-creation".to_owned(), json!({})),
        ("POST", format!("/api-keys/{}/rotate", ids[0]), json!({})),
    ];
    for (method, path, body) in refused {
        let answer = plane.call(method, &path, &plane.owner, body.clone()).await;
        assert_eq!((answer.status, answer.code()), (507, "disk_full"), "{method} {path} {body}: {}", answer.text);
    }
    assert_eq!(plane.audit().await.len(), before, "what is left is not for refused changes either");

    let accepted = [
        ("POST", "/account/api-keys/disable-creation".to_owned(), json!({})),
        ("PATCH", format!("/api-keys/{}", ids[0]), json!({"disabled": true})),
        ("POST", format!("/api-keys/{}/disable", ids[1]), json!({})),
        ("DELETE", format!("/api-keys/{}", ids[2]), Value::Null),
        ("PATCH", format!("/service-accounts/{machine}"), json!({"accountRole": "read", "namespacePermissions": {&ns: "read"}})),
        ("PUT", format!("/namespaces/{ns}/access"), json!({"id": user, "permission": "read"})),
        ("PUT", format!("/namespaces/{ns}/auth-method"), json!({"authMethod": "mtls"})),
        ("PATCH", format!("/user-groups/{group}"), json!({"access": {"accountRole": "read", "namespacePermissions": {}}})),
        ("DELETE", format!("/user-groups/{group}/members/{user}"), Value::Null),
        ("DELETE", format!("/user-groups/{group}"), Value::Null),
        ("DELETE", format!("/users/{user}"), Value::Null),
    ];
    let changes = accepted.len();
    for (method, path, body) in accepted {
        let answer = plane.call(method, &path, &plane.owner, body.clone()).await;
        assert!(answer.status < 300, "{method} {path} {body}: {} {}", answer.status, answer.text);
    }
    // What gives it back is refused, although it is the same operation.
    let back = plane.call("PATCH", &format!("/api-keys/{}", ids[0]), &plane.owner, json!({"disabled": false})).await;
    assert_eq!(back.code(), "disk_full");
    let trail = plane.audit().await;
    assert_eq!(trail.len(), before + changes, "each has its entry");
    assert!(plane.get("/current-identity", &first).await.status < 300, "reading goes on");
    plane.assert_snapshot_is_the_stores().await;
    // There is space again.
    assert!(plane.store.restore_reserve());
    let body = json!({"name": "afterwards", "access": {"accountRole": "read"}});
    plane.post("/service-accounts", &plane.owner, body).await.ok();
}

#[tokio::test]
async fn what_takes_access_away_by_temporals_surfaces_is_accepted_on_a_full_disk() {
    let plane = Plane::start().await;
    let (machine, key) = plane.machine("m", "developer", json!({})).await;
    let other = plane.key_for(&machine).await;
    let client = Tcld::owner(&plane);
    let known = |id: String| api::GetApiKeyRequest { key_id: id };
    let shown = client.ask::<api::GetApiKeyResponse>(CLOUD, "GetApiKey", &known(id_of(&key))).await.unwrap().api_key.unwrap();
    fill(&plane);
    let update = |disabled: bool, name: &str| {
        let mut spec = shown.spec.clone().unwrap();
        spec.disabled = disabled;
        if !name.is_empty() {
            spec.display_name = name.to_owned();
        }
        let (key_id, resource_version) = (shown.id.clone(), shown.resource_version.clone());
        api::UpdateApiKeyRequest { key_id, spec: Some(spec), resource_version, async_operation_id: String::new() }
    };
    let no = client.ask::<api::UpdateApiKeyResponse>(CLOUD, "UpdateApiKey", &update(false, "renamed")).await;
    assert!(no.is_err(), "a new name takes nothing away");
    client.ask::<api::UpdateApiKeyResponse>(CLOUD, "UpdateApiKey", &update(true, "")).await.unwrap();
    // By the HTTP path of the same API.
    let path = format!("/cloud/api-keys/{}", id_of(&other));
    let request = Request::builder().method("DELETE").uri(path).header("host", "localhost");
    let answer = plane.send(request.header("authorization", format!("Bearer {}", plane.owner)).body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    for key in [&key, &other] {
        assert_eq!(plane.get("/current-identity", key).await.status, 401);
    }
}

#[tokio::test]
async fn refused_changes_of_one_caller_do_not_fill_the_trail_and_one_entry_says_how_many_are_left_out() {
    let plane = Plane::start().await;
    let (_, reader) = plane.machine("reader", "read", json!({})).await;
    let body = json!({"name": "n", "access": {"accountRole": "read"}});
    for _ in 0..500 {
        plane.post("/service-accounts", &reader, body.clone()).await.refused(403, "forbidden");
    }
    // Another's refusal is in the trail all the same.
    let (_, other) = plane.machine("other", "read", json!({})).await;
    plane.post("/service-accounts", &other, body).await.refused(403, "forbidden");
    plane.app.tell_left_out().await;
    let path = "/audit?page_size=1000&action=CreateServiceAccount&result=forbidden";
    let written = plane.get(path, &plane.owner).await.ok()["items"].as_array().unwrap().len();
    assert!((200..400).contains(&written), "{written}");
    let path = "/audit?page_size=10&action=LeaveOutRefusedChanges";
    let told = plane.get(path, &plane.owner).await.ok()["items"].as_array().unwrap().clone();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].to_string().contains(&format!("{}", 501 - written)), "{told:?}");
    let mut metrics = String::new();
    plane.app.metrics(&mut metrics);
    assert!(metrics.contains(&format!("countersign_audit_refusals_left_out_total {}", 501 - written)), "{metrics}");
}
