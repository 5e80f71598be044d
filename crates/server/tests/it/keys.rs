//! API keys: limits, the one showing of the secret, successors.

use crate::harness::{Plane, id_of};
use countersign_core::time::Lifetime;
use serde_json::{Value, json};

async fn race(plane: &Plane, key: &str, body: &Value, n: usize) -> (usize, usize) {
    // Who finds too many changes under way asks again, as the answer tells him to.
    let ask = async || loop {
        let answer = plane.post("/api-keys", key, body.clone()).await;
        if answer.status != 429 {
            return answer;
        }
        tokio::task::yield_now().await;
    };
    let answers = futures_util::future::join_all((0..n).map(|_| ask())).await;
    let made = answers.iter().filter(|a| a.status == 201).count();
    let limited = answers.iter().filter(|a| a.status == 409 && a.code() == "limit_reached").count();
    (made, limited)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tenth_key_is_the_last_even_when_a_hundred_race() {
    let plane = Plane::start().await;
    // The owner's first key counts.
    assert_eq!(race(&plane, &plane.owner, &json!({"name": "r"}), 100).await, (9, 91));
    let body = json!({"name": "m", "access": {"accountRole": "read"}});
    let id = plane.post("/service-accounts", &plane.owner, body).await.ok()["id"].clone();
    assert_eq!(race(&plane, &plane.owner, &json!({"name": "r", "serviceAccountId": id}), 100).await, (20, 80));
    plane.assert_snapshot_is_the_stores().await;
    assert_eq!(plane.get("/audit/verify", &plane.owner).await.ok()["ok"], true);
}

#[tokio::test]
async fn disabled_keys_count_and_deleted_and_expired_ones_do_not() {
    let plane = Plane::start().await;
    let mut last = String::new();
    for _ in 0..9 {
        last = plane.post("/api-keys", &plane.owner, json!({"name": "n", "duration": "1d"})).await.ok()["id"].as_str().unwrap().to_owned();
    }
    plane.post(&format!("/api-keys/{last}/disable"), &plane.owner, Value::Null).await.ok();
    plane.post("/api-keys", &plane.owner, json!({"name": "n"})).await.refused(409, "limit_reached");
    plane.post(&format!("/api-keys/{last}/enable"), &plane.owner, Value::Null).await.ok();
    plane.call("DELETE", &format!("/api-keys/{last}"), &plane.owner, Value::Null).await.ok();
    plane.post("/api-keys", &plane.owner, json!({"name": "n", "duration": "1d"})).await.ok();
    plane.post("/api-keys", &plane.owner, json!({"name": "n"})).await.refused(409, "limit_reached");
    plane.clock.advance(Lifetime::from_days(1));
    plane.post("/api-keys", &plane.owner, json!({"name": "n"})).await.ok();
    let expired = plane.get("/api-keys?state=expired", &plane.owner).await.ok()["items"][0]["id"].as_str().unwrap().to_owned();
    plane.post(&format!("/api-keys/{expired}/enable"), &plane.owner, Value::Null).await.refused(400, "invalid_argument");
}

#[tokio::test]
async fn a_key_lives_more_than_nothing_and_at_most_two_years() {
    let plane = Plane::start().await;
    for duration in ["0", "0d", "-1d", "2y1s", "731d", "9e9d", "P1D", "", " ", "99999999999999999999d", "3y", "1.5d", "0.5y"] {
        plane.post("/api-keys", &plane.owner, json!({"name": "n", "duration": duration})).await.refused(400, "invalid_argument");
    }
    for end in ["2020-01-01T00:00:00Z", "2200-01-01T00:00:00Z", "tomorrow"] {
        plane.post("/api-keys", &plane.owner, json!({"name": "n", "expiryTime": end})).await.refused(400, "invalid_argument");
    }
    for duration in ["36h", "4d12h", "2y", "730d"] {
        plane.post("/api-keys", &plane.owner, json!({"name": "n", "duration": duration})).await.ok();
    }
    let made = plane.post("/api-keys", &plane.owner, json!({"name": "n"})).await.ok();
    let key = plane.get(&format!("/api-keys/{}", made["id"].as_str().unwrap()), &plane.owner).await.ok();
    let span = |field: &str| countersign_proto::convert::parse_time(key[field].as_str().unwrap()).unwrap();
    assert_eq!(span("expiryTime").since(span("createdTime")), Lifetime::from_days(90).micros(), "90 days when none is asked for");
}

#[tokio::test]
async fn a_secret_occurs_once_and_nowhere_else() {
    let plane = Plane::start().await;
    let made = plane.again("/api-keys", &plane.owner, &json!({"name": "s"}), "op-1").await.ok();
    let text = made["secretKey"].as_str().unwrap().to_owned();
    let id = made["id"].as_str().unwrap();
    let secret = text.split('_').skip(2).collect::<Vec<_>>().join("_");
    let mut seen = String::new();
    for path in [format!("/api-keys/{id}"), "/api-keys".into(), "/audit".into(), "/operations/op-1".into(), "/current-identity".into()] {
        seen.push_str(&plane.get(&path, &plane.owner).await.ok().to_string());
    }
    let again = plane.again("/api-keys", &plane.owner, &json!({"name": "s"}), "op-1").await.ok();
    assert_eq!((again["id"].as_str(), &again["secretKey"]), (Some(id), &Value::Null));
    seen.push_str(&again.to_string());
    plane.call("PATCH", &format!("/api-keys/{id}"), &plane.owner, json!({"description": "d"})).await.ok();
    seen.push_str(&plane.get("/current-identity", &text).await.ok().to_string());
    assert!(seen.contains(id) && !seen.contains(&secret));
    plane.app.close().await;
    for file in std::fs::read_dir(plane.directory.path().join("data")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "the secret is on the disk");
    }
}

#[tokio::test]
async fn a_repeated_operation_never_mints_a_second_key() {
    let plane = Plane::start().await;
    let body = json!({"name": "once"});
    let answers = futures_util::future::join_all((0..20).map(|_| plane.again("/api-keys", &plane.owner, &body, "same"))).await;
    let ids: std::collections::BTreeSet<_> = answers.iter().map(|a| a.body["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(answers.iter().filter(|a| a.body["secretKey"].is_string()).count(), 1, "the secret is shown once");
    plane.again("/api-keys", &plane.owner, &json!({"name": "other"}), "same").await.refused(409, "idempotency_conflict");
    // By parameter it is the same operation; another caller's is another request.
    let by_query = plane.post("/api-keys?requestId=same", &plane.owner, body.clone()).await.ok();
    assert_eq!(by_query["id"].as_str(), ids.first().map(String::as_str));
    let (_, other) = plane.machine("m", "read", json!({})).await;
    plane.again("/api-keys", &other, &body, "same").await.refused(409, "idempotency_conflict");
    assert_eq!(plane.get("/api-keys?owner_type=user", &plane.owner).await.ok()["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_disabled_expired_or_deleted_key_opens_nothing_and_the_answer_does_not_tell_which() {
    let plane = Plane::start().await;
    let make = async || {
        let made = plane.post("/api-keys", &plane.owner, json!({"name": "n", "duration": "1d"})).await.ok();
        (made["id"].as_str().unwrap().to_owned(), made["secretKey"].as_str().unwrap().to_owned())
    };
    let (disabled, deleted, expired) = (make().await, make().await, make().await);
    plane.post(&format!("/api-keys/{}/disable", disabled.0), &plane.owner, Value::Null).await.ok();
    plane.post(&format!("/api-keys/{}/disable", disabled.0), &plane.owner, Value::Null).await.refused(400, "nothing_to_change");
    plane.call("DELETE", &format!("/api-keys/{}", deleted.0), &plane.owner, Value::Null).await.ok();
    plane.call("DELETE", &format!("/api-keys/{}", deleted.0), &plane.owner, Value::Null).await.refused(404, "not_found");
    plane.get("/account", &expired.1).await.ok();
    plane.clock.advance(Lifetime::from_days(1));
    let mut texts = std::collections::BTreeSet::new();
    let typo = format!("{}x", &expired.1[..expired.1.len() - 1]);
    for key in [&disabled.1, &deleted.1, &expired.1, &typo, &"nonsense".to_owned()] {
        let mut body = plane.get("/account", key).await.refused(401, "invalid_api_key");
        body.as_object_mut().unwrap().remove("request_id");
        texts.insert(body.to_string());
    }
    assert_eq!(texts.len(), 1);
    plane.get("/account", "").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_service_account_makes_its_own_successor_whatever_its_role_and_ends_none_without_the_right() {
    let plane = Plane::start().await;
    for role in ["read", "metrics_read", "developer", "finance_admin"] {
        let (id, key) = plane.machine(role, role, json!({})).await;
        let made = plane.post("/api-keys", &key, json!({"name": "successor"})).await.ok();
        let successor = made["id"].as_str().unwrap();
        let shown = plane.get(&format!("/api-keys/{successor}"), &key).await.ok();
        assert_eq!((shown["parent"].as_str(), shown["ownerId"].as_str()), (Some(id_of(&key).as_str()), Some(id.as_str())));
        plane.call("DELETE", &format!("/api-keys/{}", id_of(&key)), &key, Value::Null).await.refused(403, "forbidden");
        plane.post(&format!("/api-keys/{successor}/disable"), &key, Value::Null).await.refused(403, "forbidden");
        // One action ends the whole tree.
        let second = made["secretKey"].as_str().unwrap();
        let third = plane.post("/api-keys", second, json!({"name": "third"})).await.ok()["secretKey"].as_str().unwrap().to_owned();
        plane.call("DELETE", &format!("/api-keys/{}?descendants=true", id_of(&key)), &plane.owner, Value::Null).await.ok();
        for gone in [key.as_str(), second, &third] {
            plane.get("/current-identity", gone).await.refused(401, "invalid_api_key");
        }
    }
}

#[tokio::test]
async fn a_successor_never_widens() {
    let plane = Plane::start().await;
    let ns = plane.namespace("wide").await;
    let api = async |name: &str| {
        let body = json!({"name": name, "listenPath": format!("/{name}")});
        plane.post(&format!("/namespaces/{ns}/apis"), &plane.owner, body).await.ok()["id"].as_str().unwrap().to_owned()
    };
    let (one, two) = (api("one").await, api("two").await);
    let (id, _) = plane.machine("m", "read", json!({ns.clone(): "write"})).await;
    let body = json!({"name": "narrow", "serviceAccountId": id, "apis": [one]});
    let narrow = plane.post("/api-keys", &plane.owner, body).await.ok()["secretKey"].as_str().unwrap().to_owned();
    plane.get("/current-identity", &narrow).await.ok();
    plane.get("/namespaces", &narrow).await.refused(403, "forbidden");
    plane.post("/api-keys", &narrow, json!({"name": "x", "apis": [two]})).await.refused(403, "forbidden");
    let made = plane.post("/api-keys", &narrow, json!({"name": "x"})).await.ok();
    let shown = plane.get(&format!("/api-keys/{}", made["id"].as_str().unwrap()), &plane.owner).await.ok();
    assert_eq!(shown["apis"], json!([one]));
    plane.post("/api-keys", &plane.owner, json!({"name": "x", "apis": ["a0000000000000000000"]})).await.refused(404, "not_found");
}

#[tokio::test]
async fn disable_create_api_keys_stops_new_ones_and_leaves_old_ones() {
    let plane = Plane::start().await;
    let (_, key) = plane.machine("m", "read", json!({})).await;
    plane.post("/account/api-keys/disable-creation", &key, Value::Null).await.refused(403, "forbidden");
    plane.post("/account/api-keys/disable-creation", &plane.owner, Value::Null).await.ok();
    plane.post("/account/api-keys/disable-creation", &plane.owner, Value::Null).await.refused(400, "nothing_to_change");
    plane.post("/api-keys", &plane.owner, json!({"name": "n"})).await.refused(403, "api_key_creation_disabled");
    plane.post("/namespaces/demo/generate-api-key", &plane.owner, json!({})).await.refused(403, "api_key_creation_disabled");
    plane.get("/current-identity", &key).await.ok();
    plane.post("/account/api-keys/enable-creation", &plane.owner, Value::Null).await.ok();
    plane.post("/api-keys", &plane.owner, json!({"name": "n"})).await.ok();
}

#[tokio::test]
async fn use_of_a_key_is_shown() {
    let plane = Plane::start().await;
    let id = id_of(&plane.owner);
    plane.fleet.usage.lock().unwrap().push(countersign_server::Usage {
        credential: id.clone(),
        kind: "api_key".into(),
        count: 7,
        last_used: countersign_server::Clock::now(&*plane.clock),
        last_source: "192.0.2.7".into(),
    });
    plane.app.write_behind().await;
    let shown = plane.get(&format!("/api-keys/{id}"), &plane.owner).await.ok();
    assert_eq!((shown["usage"]["requests"].as_u64(), shown["usage"]["lastUsedFrom"].as_str()), (Some(7), Some("192.0.2.7")));
}

#[tokio::test]
async fn who_runs_the_machine_gets_back_in_when_no_owners_key_works() {
    let plane = Plane::start().await;
    assert!(countersign_server::bootstrap::first_owner(&plane.app).await.unwrap().is_none(), "one works");
    plane.post("/account/api-keys/disable-creation", &plane.owner, Value::Null).await.ok();
    plane.post(&format!("/api-keys/{}/disable", id_of(&plane.owner)), &plane.owner, Value::Null).await.ok();
    let fresh = countersign_server::bootstrap::first_owner(&plane.app).await.unwrap().unwrap();
    plane.get("/account", fresh.expose()).await.ok();
    let entry = plane.get("/audit?action=CreateApiKey", fresh.expose()).await.ok()["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(entry["actorKind"], "system");
}

#[tokio::test]
async fn a_key_pasted_where_an_id_or_a_name_belongs_is_kept_nowhere() {
    let plane = Plane::start().await;
    let key = plane.owner.clone();
    let secret = key.splitn(3, '_').nth(2).unwrap();
    let mut said = String::new();
    said.push_str(&plane.call("DELETE", &format!("/api-keys/{key}"), &key, Value::Null).await.text);
    said.push_str(&plane.get(&format!("/operations/{key}"), &key).await.text);
    said.push_str(&plane.post("/api-keys", &key, json!({"name": key})).await.text);
    said.push_str(&plane.post("/api-keys", &key, json!({"name": "n", "description": format!("was {key} once")})).await.text);
    said.push_str(&plane.post(&format!("/api-keys?requestId={key}"), &key, json!({"name": "n"})).await.text);
    said.push_str(&plane.post("/explain", &key, json!({"namespace": "demo", "apiKeyId": key})).await.text);
    said.push_str(&serde_json::to_string(&plane.audit().await).unwrap());
    assert!(!said.contains(&secret[..20]), "{said}");
    assert_eq!(plane.get("/api-keys", &key).await.ok()["items"].as_array().unwrap().len(), 1);
}

/// The trail knows what was made with what, also where a key in between is gone.
#[tokio::test]
async fn z_10_one_action_ends_all_that_was_made_with_a_leaked_key_whatever_was_deleted_before() {
    let plane = Plane::start().await;
    let (_, root) = plane.machine("tree", "read", json!({})).await;
    let make = async |with: &str| {
        let made = plane.post("/api-keys", with, json!({"name": "n"})).await.ok();
        made["secretKey"].as_str().unwrap().to_owned()
    };
    let middle = make(&root).await;
    let rotated = plane.post(&format!("/api-keys/{}/rotate", id_of(&middle)), &middle, json!({})).await.ok();
    let rotated = rotated["secretKey"].as_str().unwrap().to_owned();
    let last = make(&rotated).await;
    let delete =
        async |key: &str, tail: &str| plane.call("DELETE", &format!("/api-keys/{}{tail}", id_of(key)), &plane.owner, Value::Null).await;
    let said = delete(&middle, "").await.ok();
    assert!(said["warnings"][0].as_str().unwrap().contains("2 API keys"), "it says what stays: {said}");
    plane.get("/current-identity", &last).await.ok();
    let said = delete(&root, "?descendants=true").await.ok();
    assert_eq!(said["deleted"].as_array().unwrap().len(), 3, "{said}");
    for gone in [&root, &middle, &rotated, &last] {
        plane.get("/current-identity", gone).await.refused(401, "invalid_api_key");
    }
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn z_10_what_a_deleted_key_made_is_still_reached_and_by_those_alone_who_might_have_deleted_it() {
    let plane = crate::issuing::plane().await;
    let made = plane.post("/api-keys", &plane.owner, json!({"name": "leaked"})).await.ok();
    let leaked = made["secretKey"].as_str().unwrap().to_owned();
    // A user's key makes a key for himself, one for a machine, and a certificate, which renews itself by nothing but its own key.
    let child = plane.post("/api-keys", &leaked, json!({"name": "child"})).await.ok()["secretKey"].as_str().unwrap().to_owned();
    assert_eq!(plane.get(&format!("/api-keys/{}", id_of(&child)), &plane.owner).await.ok()["parent"], json!(id_of(&leaked)));
    let (machine, _) = plane.machine("m", "read", json!({})).await;
    let body = json!({"name": "for a machine", "serviceAccountId": machine});
    let machines = plane.post("/api-keys", &child, body).await.ok()["secretKey"].as_str().unwrap().to_owned();
    let csr = crate::issuing::csr(&crate::issuing::key(), "/CN=persists");
    let certificate = plane.post("/certificates", &machines, json!({"csr": csr})).await;
    let certificate = match certificate.status {
        200 | 201 => certificate.ok(),
        _ => plane.post("/certificates", &child, json!({"csr": csr})).await.ok(),
    };
    plane.call("DELETE", &format!("/api-keys/{}", id_of(&leaked)), &plane.owner, Value::Null).await.ok();
    for left in [&child, &machines] {
        plane.get("/current-identity", left).await.ok();
    }
    let tree = format!("/api-keys/{}?descendants=true", id_of(&leaked));
    let (_, stranger) = plane.machine("stranger", "developer", json!({})).await;
    plane.call("DELETE", &tree, &stranger, Value::Null).await.refused(404, "not_found");
    let said = plane.call("DELETE", &tree, &plane.owner, Value::Null).await.ok();
    assert_eq!((said["deleted"].as_array().map(Vec::len), &said["revokedCertificates"][0]), (Some(2), &certificate["id"]), "{said}");
    for gone in [&child, &machines] {
        plane.get("/current-identity", gone).await.refused(401, "invalid_api_key");
    }
    let id = certificate["id"].as_str().unwrap();
    assert_eq!(plane.get(&format!("/certificates/{id}"), &plane.owner).await.ok()["state"], "revoked");
    plane.call("DELETE", &tree, &plane.owner, Value::Null).await.refused(400, "nothing_to_change");
    plane.call("DELETE", &format!("/api-keys/{}", id_of(&leaked)), &plane.owner, Value::Null).await.refused(404, "not_found");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn z_10_a_key_makes_itself_no_successor_that_lives_longer_than_it_was_given_to_live() {
    let plane = Plane::start().await;
    let (machine, _) = plane.machine("m", "read", json!({})).await;
    let body = json!({"name": "short", "serviceAccountId": machine, "duration": "1h"});
    let short = plane.post("/api-keys", &plane.owner, body).await.ok()["secretKey"].as_str().unwrap().to_owned();
    let rotate = format!("/api-keys/{}/rotate", id_of(&short));
    plane.post(&rotate, &short, json!({"duration": "729d"})).await.refused(400, "invalid_argument");
    plane.post("/api-keys", &short, json!({"name": "long", "duration": "2h"})).await.refused(400, "invalid_argument");
    plane.clock.advance(Lifetime::from_seconds(1800));
    let ends = async |made: Value| {
        let shown = plane.get(&format!("/api-keys/{}", made["id"].as_str().unwrap()), &plane.owner).await.ok();
        let at = countersign_proto::convert::parse_time(shown["expiryTime"].as_str().unwrap()).unwrap();
        at.since(countersign_server::Clock::now(&*plane.clock)) / 1_000_000
    };
    assert_eq!(ends(plane.post("/api-keys", &short, json!({"name": "beside"})).await.ok()).await, 3600);
    assert_eq!(ends(plane.post(&rotate, &short, json!({})).await.ok()).await, 3600);
    // An admin gives more.
    let other = json!({"name": "other", "serviceAccountId": machine, "duration": "1h"});
    let other = plane.post("/api-keys", &plane.owner, other).await.ok();
    let rotate = format!("/api-keys/{}/rotate", other["id"].as_str().unwrap());
    assert_eq!(ends(plane.post(&rotate, &plane.owner, json!({"duration": "729d"})).await.ok()).await, 729 * 86_400);
}
