//! Rotation: a successor beside the old credential, use that moves, and an end that nobody notices.

use crate::harness::{Plane, id_of};
use crate::issuing::{application, ask, csr, key, plane as issuing};
use countersign_core::time::Lifetime;
use countersign_server::{Clock as _, Usage};
use serde_json::{Value, json};

/// Lets a credential be used so often, from there, now.
fn used(plane: &Plane, credential: &str, count: u64, source: &str) {
    plane.fleet.usage.lock().unwrap().push(Usage {
        credential: credential.to_owned(),
        kind: "api_key".to_owned(),
        count,
        last_used: plane.clock.now(),
        last_source: source.to_owned(),
    });
}

async fn exchanged(plane: &Plane) -> (String, String) {
    let (_, key) = plane.machine("m", "read", json!({})).await;
    let old = id_of(&key);
    let made = plane.post(&format!("/api-keys/{old}/rotate"), &plane.owner, json!({})).await.ok();
    let new = made["id"].as_str().unwrap().to_owned();
    assert!(made["secretKey"].as_str().unwrap().contains(&new));
    (old, new)
}

async fn standing(plane: &Plane, id: &str) -> Value {
    plane.get(&format!("/api-keys/{id}/rotation"), &plane.owner).await.ok()
}

#[tokio::test]
async fn s13_a_rotated_key_and_its_successor_both_work_with_the_same_owner_and_life() {
    let plane = Plane::start().await;
    let (old, new) = exchanged(&plane).await;
    let [a, b] =
        [plane.get(&format!("/api-keys/{old}"), &plane.owner).await.ok(), plane.get(&format!("/api-keys/{new}"), &plane.owner).await.ok()];
    for member in ["name", "ownerId", "apis", "state", "expiryTime", "description"] {
        assert_eq!(a[member], b[member], "{member}");
    }
    // One successor a key, and the error names it; of one that was deleted nothing is left in the way.
    let refused = plane.post(&format!("/api-keys/{old}/rotate"), &plane.owner, json!({})).await.refused(409, "already_renewed");
    assert!(refused["detail"].as_str().unwrap().contains(&new));
    plane.call("DELETE", &format!("/api-keys/{new}"), &plane.owner, Value::Null).await.ok();
    plane.get(&format!("/api-keys/{old}/rotation"), &plane.owner).await.refused(409, "not_replaced");
    plane.post(&format!("/api-keys/{old}/rotate"), &plane.owner, json!({"duration": "30d", "name": "next"})).await.ok();
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn a_repeated_rotation_is_one_rotation() {
    let plane = Plane::start().await;
    let (_, key) = plane.machine("m", "read", json!({})).await;
    let path = format!("/api-keys/{}/rotate", id_of(&key));
    let first = plane.again(&path, &plane.owner, &json!({}), "op-1").await.ok();
    let second = plane.again(&path, &plane.owner, &json!({}), "op-1").await.ok();
    assert_eq!(first["id"], second["id"]);
    assert!(second["secretKey"].is_null());
}

#[tokio::test]
async fn who_may_not_make_a_key_may_not_rotate_it_and_a_machine_makes_its_own_successor() {
    let plane = Plane::start().await;
    let (_, one) = plane.machine("one", "read", json!({})).await;
    let (_, other) = plane.machine("other", "developer", json!({})).await;
    plane.post(&format!("/api-keys/{}/rotate", id_of(&one)), &other, json!({})).await.refused(404, "not_found");
    plane.get(&format!("/api-keys/{}/rotation", id_of(&one)), &other).await.refused(404, "not_found");
    let made = plane.post(&format!("/api-keys/{}/rotate", id_of(&one)), &one, json!({})).await.ok();
    assert_eq!(plane.get(&format!("/api-keys/{}", id_of(&one)), made["secretKey"].as_str().unwrap()).await.status, 200);
    // A disabled key is not brought back by a successor.
    plane.post(&format!("/api-keys/{}/disable", id_of(&other)), &plane.owner, Value::Null).await.ok();
    plane.post(&format!("/api-keys/{}/rotate", id_of(&other)), &plane.owner, json!({})).await.refused(400, "invalid_argument");
    // An owner's key is nobody else's to rotate.
    let (_, admin) = plane.machine("admin", "admin", json!({})).await;
    assert!(plane.post(&format!("/api-keys/{}/rotate", id_of(&plane.owner)), &admin, json!({})).await.status >= 400);
}

#[tokio::test]
async fn shares_move_and_the_old_one_is_safe_when_its_own_was_nothing_for_the_time_one_sets() {
    let plane = Plane::start().await;
    let (old, new) = exchanged(&plane).await;
    used(&plane, &old, 30, "10.0.0.1");
    used(&plane, &new, 10, "10.0.0.2");
    let now = standing(&plane, &new).await;
    assert_eq!((&now["old"]["id"], &now["new"]["id"]), (&json!(old), &json!(new)), "asked by either");
    assert_eq!((&now["old"]["percent"], &now["new"]["percent"]), (&json!(75.0), &json!(25.0)), "{now}");
    assert_eq!((&now["safeToRevoke"], &now["stillUsing"][0]["source"]), (&json!(false), &json!("10.0.0.1")), "{now}");
    assert!(now["reason"].as_str().unwrap().contains("10.0.0.1 (30 requests"), "{now}");
    plane.clock.advance(Lifetime::from_seconds(2 * 3600));
    used(&plane, &new, 7, "10.0.0.2");
    let now = standing(&plane, &old).await;
    assert_eq!((&now["old"]["percent"], &now["new"]["requests"]), (&json!(0.0), &json!(7)), "{now}");
    assert_eq!(now["safeToRevoke"], false, "not for a day yet");
    let soon = plane.get(&format!("/api-keys/{old}/rotation?idle=1h&window=3h"), &plane.owner).await.ok();
    assert_eq!((&soon["safeToRevoke"], &soon["old"]["requests"]), (&json!(true), &json!(30)), "{soon}");
    plane.clock.advance(Lifetime::from_seconds(22 * 3600 + 1));
    assert_eq!(standing(&plane, &old).await["safeToRevoke"], true);
    for query in ["window=30d", "window=1s", "idle=0s", "idle=x"] {
        plane.get(&format!("/api-keys/{old}/rotation?{query}"), &plane.owner).await.refused(400, "invalid_argument");
    }
}

#[tokio::test]
async fn an_old_key_is_not_safe_to_revoke_while_nobody_has_changed_over() {
    let plane = Plane::start().await;
    let (old, _) = exchanged(&plane).await;
    plane.clock.advance(Lifetime::from_days(3));
    let now = standing(&plane, &old).await;
    assert_eq!(now["safeToRevoke"], false, "{now}");
    assert!(now["reason"].as_str().unwrap().contains("never used"), "{now}");
}

#[tokio::test]
async fn a_key_in_use_is_not_retired_but_names_who_would_break() {
    let plane = Plane::start().await;
    let (old, new) = exchanged(&plane).await;
    used(&plane, &old, 3, "192.0.2.7");
    used(&plane, &new, 3, "192.0.2.8");
    let path = format!("/api-keys/{old}/retire");
    let refused = plane.post(&path, &plane.owner, json!({})).await.refused(409, "still_in_use");
    assert!(refused["detail"].as_str().unwrap().contains("192.0.2.7 (3 requests"), "{refused}");
    assert_eq!(plane.get(&format!("/api-keys/{old}"), &plane.owner).await.status, 200);
    plane.post(&format!("/api-keys/{new}/retire"), &plane.owner, json!({"force": true})).await.refused(400, "invalid_argument");
    for bad in [json!({"at": "2999-01-01T00:00:00Z"}), json!({"whenIdle": "24h", "at": "2001-01-01T00:00:00Z"}), json!({"whenIdle": "1s"})]
    {
        plane.post(&path, &plane.owner, bad).await.refused(400, "invalid_argument");
    }
    let gone = plane.post(&path, &plane.owner, json!({"force": true})).await.ok();
    assert_eq!((&gone["gone"], &gone["requestStatus"]["receipt"]["connectionsCut"]), (&json!(true), &json!(2)), "{gone}");
    plane.get(&format!("/api-keys/{old}"), &plane.owner).await.refused(404, "not_found");
    assert_eq!(plane.get(&format!("/api-keys/{new}"), &plane.owner).await.status, 200);
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn a_key_that_is_to_go_when_idle_goes_then_and_not_before() {
    let plane = Plane::start().await;
    let (old, new) = exchanged(&plane).await;
    used(&plane, &old, 3, "192.0.2.7");
    let path = format!("/api-keys/{old}/retire");
    let noted = plane.post(&path, &plane.owner, json!({"whenIdle": "24h"})).await.ok();
    assert!(noted["gone"] == false && noted["warnings"][0].as_str().unwrap().contains("192.0.2.7"), "{noted}");
    plane.post(&path, &plane.owner, json!({"whenIdle": "24h"})).await.refused(400, "nothing_to_change");
    assert_eq!(standing(&plane, &old).await["retirement"]["whenIdleSeconds"], 86_400);
    // Idle, but nobody uses the successor either: it stays.
    plane.clock.advance(Lifetime::from_days(2));
    plane.app.retire_idle().await;
    assert_eq!(plane.get(&format!("/api-keys/{old}"), &plane.owner).await.status, 200);
    // In use again, beside the successor: it stays.
    used(&plane, &old, 1, "192.0.2.7");
    used(&plane, &new, 1, "192.0.2.8");
    plane.app.retire_idle().await;
    plane.clock.advance(Lifetime::from_seconds(86_399));
    plane.app.retire_idle().await;
    assert_eq!(plane.get(&format!("/api-keys/{old}"), &plane.owner).await.status, 200);
    plane.clock.advance(Lifetime::from_seconds(2));
    plane.app.retire_idle().await;
    plane.get(&format!("/api-keys/{old}"), &plane.owner).await.refused(404, "not_found");
    let entry = plane.audit().await.into_iter().find(|entry| entry["action"] == "DeleteApiKey" && entry["result"] == "ok").unwrap();
    assert_eq!((&entry["actorKind"], &entry["objectId"]), (&json!("system"), &json!(old)), "{entry}");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn at_the_latest_means_in_use_or_not_and_a_retirement_is_taken_back() {
    let plane = Plane::start().await;
    let (old, _) = exchanged(&plane).await;
    let path = format!("/api-keys/{old}/retire");
    plane.post(&path, &plane.owner, json!({"cancel": true})).await.refused(400, "nothing_to_change");
    let at = countersign_proto::convert::time(plane.clock.now().plus(Lifetime::from_days(3)));
    plane.post(&path, &plane.owner, json!({"whenIdle": "24h", "at": at})).await.ok();
    plane.post(&path, &plane.owner, json!({"cancel": true})).await.ok();
    plane.clock.advance(Lifetime::from_days(4));
    plane.app.retire_idle().await;
    assert_eq!(plane.get(&format!("/api-keys/{old}"), &plane.owner).await.status, 200, "taken back");
    let at = countersign_proto::convert::time(plane.clock.now().plus(Lifetime::from_days(3)));
    plane.post(&path, &plane.owner, json!({"whenIdle": "24h", "at": at})).await.ok();
    plane.clock.advance(Lifetime::from_days(4));
    used(&plane, &old, 1, "192.0.2.7");
    plane.app.retire_idle().await;
    plane.get(&format!("/api-keys/{old}"), &plane.owner).await.refused(404, "not_found");
}

/// A certificate of an application's sandbox that was rotated: the ids of old and new.
async fn exchanged_certificates(plane: &Plane) -> (String, String) {
    application(plane, "app").await;
    let old = ask(plane, "app", &csr(&key(), "/O=Acme/CN=app")).await.ok()["id"].as_str().unwrap().to_owned();
    let body = json!({ "csr": csr(&key(), "/O=Acme/CN=app") });
    let new = plane.post(&format!("/certificates/{old}/rotate"), &plane.owner, body).await.ok();
    (old, new["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_certificate_and_its_successor_have_one_owner_one_name_and_the_same_apis() {
    let plane = issuing().await;
    let (old, new) = exchanged_certificates(&plane).await;
    let [a, b] = [&old, &new].map(|id| format!("/certificates/{id}"));
    let [a, b] = [plane.get(&a, &plane.owner).await.ok(), plane.get(&b, &plane.owner).await.ok()];
    for member in ["ownerId", "ownerType", "alias", "subject", "apis", "state"] {
        assert_eq!(a[member], b[member], "{member}");
    }
    let body = json!({ "csr": csr(&key(), "/O=Acme/CN=app") });
    plane.post(&format!("/certificates/{old}/rotate"), &plane.owner, body.clone()).await.refused(409, "already_renewed");
    let (_, stranger) = plane.machine("m", "developer", json!({})).await;
    plane.post(&format!("/certificates/{new}/rotate"), &stranger, body).await.refused(404, "not_found");
    // The same key again is no rotation.
    let kept = key();
    let third = plane.post(&format!("/certificates/{new}/rotate"), &plane.owner, json!({ "csr": csr(&kept, "/O=Acme/CN=app") })).await.ok();
    let id = third["id"].as_str().unwrap();
    plane
        .post(&format!("/certificates/{id}/rotate"), &plane.owner, json!({ "csr": csr(&kept, "/O=Acme/CN=app") }))
        .await
        .refused(409, "key_in_use");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn nobody_rotates_another_persons_certificate_into_his_own_hands() {
    let plane = issuing().await;
    let (_, admin) = plane.machine("admin", "admin", json!({})).await;
    let body = json!({ "csr": csr(&key(), "/CN=mine") });
    let own = plane.post("/certificates", &plane.owner, body).await.ok()["id"].as_str().unwrap().to_owned();
    let body = json!({ "csr": csr(&key(), "/CN=mine") });
    plane.post(&format!("/certificates/{own}/rotate"), &admin, body).await.refused(403, "forbidden");
}

#[tokio::test]
async fn a_certificate_that_is_to_go_when_idle_is_revoked_as_superseded() {
    let plane = issuing().await;
    let (old, new) = exchanged_certificates(&plane).await;
    used(&plane, &old, 3, "192.0.2.7");
    let path = format!("/certificates/{old}/retire");
    plane.post(&path, &plane.owner, json!({})).await.refused(409, "still_in_use");
    plane.post(&path, &plane.owner, json!({ "whenIdle": "2h" })).await.ok();
    plane.clock.advance(Lifetime::from_seconds(3600));
    used(&plane, &new, 3, "192.0.2.7");
    plane.app.retire_idle().await;
    assert_eq!(plane.get(&format!("/certificates/{old}"), &plane.owner).await.ok()["state"], "active");
    plane.clock.advance(Lifetime::from_seconds(3601));
    plane.app.retire_idle().await;
    assert_eq!(plane.get(&format!("/certificates/{old}"), &plane.owner).await.ok()["state"], "revoked");
    assert_eq!(plane.get(&format!("/certificates/{new}"), &plane.owner).await.ok()["state"], "active");
    let trail = plane.audit().await;
    let entry = trail.iter().find(|entry| entry["action"] == "RevokeCertificate" && entry["result"] == "ok").unwrap();
    assert_eq!((&entry["actorKind"], &entry["after"]["revocationReason"]), (&json!("system"), &json!("superseded")), "{entry}");
    let gone = plane.get(&format!("/certificates/{old}/rotation"), &plane.owner).await.ok();
    assert!(gone["safeToRevoke"] == true && gone["old"]["state"] == "revoked", "{gone}");
    plane.assert_snapshot_is_the_stores().await;
}
