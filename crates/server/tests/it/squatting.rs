//! Certificates are public. Who registers another's neither shuts its holder out nor takes him over, and admins have a remedy
//! (docs/decisions/0012; rules B3, B8 and F3 of research/pki.md).

use crate::harness::{Answer, Plane};
use crate::login;
use crate::login_tools::tokens;
use crate::revocation::{Desk, Foreign, explained};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::limits::KEY_BLOCKS_PER_DAY_MAX;
use countersign_core::time::Lifetime;
use countersign_server::login::SecondFactor;
use countersign_server::{Clock as _, Usage};
use countersign_x509::private_key::{KeyKind, LocalKey, Signer as _};
use serde_json::{Value, json};

async fn plane() -> Plane {
    login::start(SecondFactor::None).await
}

/// A user who may read the account and no more: his id, and what he calls with.
async fn reader(plane: &Plane, name: &str) -> (String, String) {
    let (id, mut browser) = login::member(plane, &format!("{name}@example.test"), "read").await;
    (id, tokens(plane, &mut browser).await.0)
}

/// Registers a leaf for the caller, without the key.
async fn register(plane: &Plane, caller: &str, leaf: &str) -> Answer {
    plane.post("/certificates", caller, json!({ "certificate": leaf })).await
}

/// Registers it with the proof that one has its key.
async fn proved(plane: &Plane, caller: &str, leaf: &str, key: &str) -> Answer {
    let mut body = json!({ "certificate": leaf });
    let given = plane.post("/certificates/challenge", caller, body.clone()).await.ok();
    let challenge = given["challenge"].as_str().unwrap();
    body["signature"] = json!(STANDARD.encode(LocalKey::from_pem(key).unwrap().sign(challenge.as_bytes()).unwrap()));
    body["challenge"] = json!(challenge);
    plane.post("/certificates", caller, body).await
}

async fn revoke(plane: &Plane, caller: &str, id: &Value, reason: &str) -> Answer {
    plane.post(&format!("/certificates/{}/revoke", id.as_str().unwrap()), caller, json!({ "reason": reason })).await
}

/// As if somebody had come in by it at a gateway.
async fn used(plane: &Plane, id: &Value) {
    let usage = Usage {
        credential: id.as_str().unwrap().to_owned(),
        kind: "certificate".to_owned(),
        count: 1,
        last_used: plane.clock.now(),
        last_source: "192.0.2.1".to_owned(),
    };
    plane.fleet.usage.lock().unwrap().push(usage);
    plane.app.write_behind().await;
}

/// Who explain says comes in.
async fn identity(plane: &Plane, leaf: &str) -> Value {
    plane.post("/explain", &plane.owner, json!({ "namespace": "demo", "certificate": leaf })).await.ok()["identity"].clone()
}

#[tokio::test]
async fn a_client_of_an_accepted_ca_is_not_shut_out_by_who_registers_its_public_certificate() {
    let plane = plane().await;
    let ca = Foreign::accepted(&plane).await;
    let leaf = ca.desk.read("one.pem");
    let himself = identity(&plane, &leaf).await;
    let (_, mallory) = reader(&plane, "mallory").await;
    let made = register(&plane, &mallory, &leaf).await.ok();
    assert!(made["warnings"].to_string().contains("an accepted CA") || made["warnings"].to_string().contains("accepts its CA"), "{made}");
    assert_eq!((explained(&plane, &leaf).await, identity(&plane, &leaf).await), ("admitted".into(), himself.clone()));
    // Nor by a hold or a revocation of that registration, nor because it was read from the store.
    for reason in ["certificateHold", "superseded"] {
        revoke(&plane, &mallory, &made["id"], reason).await.ok();
        assert_eq!((explained(&plane, &leaf).await, identity(&plane, &leaf).await), ("admitted".into(), himself.clone()), "{reason}");
        plane.assert_snapshot_is_the_stores().await;
    }
    // Explain says by whom he comes in, rule by rule.
    let said = plane.post("/explain", &plane.owner, json!({ "namespace": "demo", "certificate": leaf })).await.ok();
    let checks = said["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["rule"] == "B3" && check["result"] == "warning"), "{said}");
    assert!(checks.iter().all(|check| check["result"] != "failed"), "{said}");
}

#[tokio::test]
async fn who_came_in_by_a_registration_proved_nothing_for_who_registered_it() {
    let (plane, desk) = (plane().await, Desk::new());
    let leaf = desk.leaf("victim", "victim");
    let (_, mallory) = reader(&plane, "mallory").await;
    let (victim_id, victim) = reader(&plane, "victim").await;
    let squatted = register(&plane, &mallory, &leaf).await.ok();
    used(&plane, &squatted["id"]).await;
    let shown = plane.get(&format!("/certificates/{}", squatted["id"].as_str().unwrap()), &mallory).await.ok();
    assert_eq!((&shown["proven"], &shown["usage"]["requests"]), (&json!(false), &json!(1)));
    // So he cannot have the key blocked, by no way of naming it,
    revoke(&plane, &mallory, &squatted["id"], "keyCompromise").await.refused(403, "forbidden");
    desk.openssl("pkey -in victim.key -pubout -out victim.pub");
    plane.post("/revocations", &mallory, json!({ "key": desk.read("victim.pub") })).await.refused(403, "forbidden");
    // and the holder is not kept from proving that it is his.
    let made = proved(&plane, &victim, &leaf, &desk.read("victim.key")).await.ok();
    let shown = plane.get(&format!("/certificates/{}", made["id"].as_str().unwrap()), &victim).await.ok();
    assert_eq!((&shown["proven"], &shown["ownerId"]), (&json!(true), &json!(victim_id)));
    revoke(&plane, &mallory, &squatted["id"], "superseded").await.refused(404, "not_found");
    register(&plane, &mallory, &leaf).await.refused(409, "already_exists");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn an_admin_takes_over_what_a_squatter_registered_whatever_became_of_it() {
    let (plane, desk) = (plane().await, Desk::new());
    let (partner, _) = plane.machine("partner", "read", json!({})).await;
    for (name, fate) in [("a", "active"), ("b", "revoked by him"), ("c", "on hold by him"), ("d", "its owner is gone")] {
        let leaf = desk.leaf(name, name);
        let (mallory_id, mallory) = reader(&plane, &format!("mallory-{name}")).await;
        let squatted = register(&plane, &mallory, &leaf).await.ok();
        match fate {
            "revoked by him" => drop(revoke(&plane, &mallory, &squatted["id"], "superseded").await.ok()),
            "on hold by him" => drop(revoke(&plane, &mallory, &squatted["id"], "certificateHold").await.ok()),
            "its owner is gone" => {
                plane.call("DELETE", &format!("/users/{mallory_id}"), &plane.owner, Value::Null).await.ok();
            }
            _ => {}
        }
        let (_, other) = reader(&plane, &format!("other-{name}")).await;
        let refused = register(&plane, &other, &leaf).await.refused(409, "already_exists");
        assert!(refused["hint"].as_str().unwrap().contains("prove"), "{fate}: {refused}");
        let body = json!({ "certificate": leaf, "serviceAccountId": partner });
        let made = plane.post("/certificates", &plane.owner, body.clone()).await.ok();
        let shown = plane.get(&format!("/certificates/{}", made["id"].as_str().unwrap()), &plane.owner).await.ok();
        assert_eq!((&shown["ownerId"], &shown["state"]), (&json!(partner), &json!("active")), "{fate}");
        // What an admin has registered, the next one does not take over by accident.
        plane.post("/certificates", &plane.owner, json!({ "certificate": leaf })).await.refused(409, "already_exists");
        plane.assert_snapshot_is_the_stores().await;
    }
}

#[tokio::test]
async fn what_an_admin_revoked_never_comes_back_though_nobody_had_proved_to_hold_its_key() {
    let (plane, desk) = (plane().await, Desk::new());
    let leaf = desk.leaf("a", "a");
    let (_, first) = reader(&plane, "first").await;
    let (_, second) = reader(&plane, "second").await;
    let made = register(&plane, &first, &leaf).await.ok();
    let path = format!("/certificates/{}", made["id"].as_str().unwrap());
    revoke(&plane, &plane.owner, &made["id"], "certificateHold").await.ok();
    proved(&plane, &second, &leaf, &desk.read("a.key")).await.refused(409, "certificate_revoked");
    revoke(&plane, &plane.owner, &made["id"], "privilegeWithdrawn").await.ok();
    for caller in [&first, &second, &plane.owner] {
        proved(&plane, caller, &leaf, &desk.read("a.key")).await.refused(409, "certificate_revoked");
        register(&plane, caller, &leaf).await.refused(409, "certificate_revoked");
    }
    assert_eq!(plane.get(&path, &plane.owner).await.ok()["state"], "revoked");
    assert_eq!(explained(&plane, &leaf).await, "certificate_revoked");
    // An admin's word also ends a leaf that an accepted CA vouches for.
    let ca = Foreign::accepted(&plane).await;
    let vouched = ca.desk.read("one.pem");
    let made = register(&plane, &first, &vouched).await.ok();
    assert_eq!(explained(&plane, &vouched).await, "admitted");
    revoke(&plane, &plane.owner, &made["id"], "certificateHold").await.ok();
    assert_eq!(explained(&plane, &vouched).await, "certificate_revoked");
    plane.post(&format!("/certificates/{}/release", made["id"].as_str().unwrap()), &plane.owner, Value::Null).await.ok();
    assert_eq!(explained(&plane, &vouched).await, "admitted");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn one_identity_has_only_so_many_keys_blocked_for_ever_in_a_day() {
    let plane = plane().await;
    let (_, mallory) = plane.machine("mallory", "read", json!({})).await;
    let block = async |caller: &str| {
        let key = LocalKey::generate(KeyKind::P256).unwrap().to_pem().unwrap();
        plane.post("/revocations", caller, json!({ "key": key.expose() })).await
    };
    for _ in 0..KEY_BLOCKS_PER_DAY_MAX {
        block(&mallory).await.ok();
    }
    block(&mallory).await.refused(409, "limit_reached");
    // Of his own alone, and not for ever.
    block(&plane.owner).await.ok();
    let (_, other) = plane.machine("other", "read", json!({})).await;
    block(&other).await.ok();
    plane.clock.advance(Lifetime::from_seconds(86_401));
    block(&mallory).await.ok();
}
