//! Certificates of other CAs: taken from trusted ones alone, proved by a signed challenge, and never in the way of
//! who does hold the key (rules B1, B3 to B8 of research/pki.md, case C-05). What squatters try stands in `squatting`.

use crate::harness::{Answer, Chance, Plane};
use crate::issuing::{application, csr, key, order, plane};
use crate::login;
use crate::login_tools::tokens;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::time::Lifetime;
use countersign_server::login::SecondFactor;
use countersign_server::{Clock as _, Usage};
use countersign_x509::private_key::{LocalKey, Signer as _};
use countersign_x509::tcld::{CaRequest, LeafRequest, generate_ca, generate_leaf};
use serde_json::{Value, json};

/// Somebody else's CA.
struct Ca {
    pem: String,
    key: String,
}

impl Ca {
    fn new(plane: &Plane, name: &str) -> Self {
        let request = CaRequest { organization: name.to_owned(), validity: Lifetime::from_days(300), rsa: false };
        let (pem, key) = generate_ca(&request, plane.clock.now(), &Chance).unwrap();
        Self { pem, key: key.expose().to_owned() }
    }

    /// A client's certificate and its key.
    fn leaf(&self, plane: &Plane, name: &str, days: u32) -> (String, LocalKey) {
        let request = LeafRequest {
            organization: "Acme".to_owned(),
            organizational_unit: Some("Ops".to_owned()),
            common_name: Some(name.to_owned()),
            validity: Some(Lifetime::from_days(i64::from(days))),
        };
        let (pem, key) = generate_leaf(&request, &self.pem, &self.key, plane.clock.now(), &Chance).unwrap();
        (pem, LocalKey::from_pem(key.expose()).unwrap())
    }
}

async fn trusted(plane: &Plane, name: &str) -> Ca {
    let ca = Ca::new(plane, name);
    plane.post("/trusted-cas/sandbox", &plane.owner, json!({"certificates": ca.pem})).await.ok();
    ca
}

async fn upload(plane: &Plane, app: &str, pem: &str) -> Answer {
    let body = json!({"certificate": pem, "application": app, "environment": "sandbox"});
    plane.post("/certificates", &plane.owner, body).await
}

/// With the proof that one has its key.
async fn proved(plane: &Plane, app: &str, pem: &str, key: &LocalKey) -> Answer {
    let mut body = json!({"certificate": pem, "application": app, "environment": "sandbox"});
    let given = plane.post("/certificates/challenge", &plane.owner, body.clone()).await.ok();
    let challenge = given["challenge"].as_str().unwrap();
    body["signature"] = json!(STANDARD.encode(key.sign(challenge.as_bytes()).unwrap()));
    body["challenge"] = json!(challenge);
    plane.post("/certificates", &plane.owner, body).await
}

#[tokio::test]
async fn b1_only_a_certificate_of_a_trusted_ca_is_registered_for_an_application() {
    let plane = plane().await;
    application(&plane, "app").await;
    let stranger = Ca::new(&plane, "Stranger");
    let (leaf, _) = stranger.leaf(&plane, "client", 30);
    let none = upload(&plane, "app", &leaf).await.refused(409, "not_trusted");
    assert!(none["detail"].as_str().unwrap().contains("no CA is trusted in sandbox"), "{none}");
    let ca = trusted(&plane, "Partner").await;
    let other = upload(&plane, "app", &leaf).await.refused(409, "not_trusted");
    assert!(other["detail"].as_str().unwrap().contains("Stranger"), "{other}");
    let (leaf, _) = ca.leaf(&plane, "client", 30);
    let made = upload(&plane, "app", &leaf).await.ok();
    assert_eq!((&made["proven"], &made["chain"]), (&json!(false), &json!("")));
    let production = json!({"certificate": ca.leaf(&plane, "p", 30).0, "application": "app", "environment": "production"});
    plane.post("/certificates", &plane.owner, production).await.refused(409, "not_trusted");
    // The list is the admins'; taking a CA off it keeps new ones out.
    let (_, key) = plane.machine("dev", "developer", json!({})).await;
    plane.post("/trusted-cas/sandbox", &key, json!({"certificates": stranger.pem})).await.refused(403, "forbidden");
    plane.post("/trusted-cas/staging", &plane.owner, json!({"certificates": stranger.pem})).await.refused(400, "invalid_argument");
    let list = plane.get("/trusted-cas/sandbox", &key).await.ok();
    let print = list["items"][0]["fingerprintSha256"].as_str().unwrap();
    plane.call("DELETE", &format!("/trusted-cas/sandbox/{print}"), &plane.owner, Value::Null).await.ok();
    upload(&plane, "app", &ca.leaf(&plane, "late", 30).0).await.refused(409, "not_trusted");
    assert_eq!(plane.get(&format!("/certificates/{}", made["id"].as_str().unwrap()), &plane.owner).await.ok()["state"], "active");
}

#[tokio::test]
async fn b3_a_signed_challenge_proves_possession_and_a_wrong_one_registers_nothing() {
    let plane = plane().await;
    application(&plane, "app").await;
    let ca = trusted(&plane, "Partner").await;
    let (leaf, good) = ca.leaf(&plane, "client", 30);
    proved(&plane, "app", &leaf, &key()).await.refused(400, "possession_not_proved");
    assert_eq!(plane.get("/certificates", &plane.owner).await.ok()["items"], json!([]));
    let made = proved(&plane, "app", &leaf, &good).await.ok();
    assert_eq!(made["proven"], true);
    // A challenge for one owner proves nothing for another.
    application(&plane, "other").await;
    let (leaf, good) = ca.leaf(&plane, "second", 30);
    let mut body = json!({"certificate": leaf, "application": "app", "environment": "sandbox"});
    let given = plane.post("/certificates/challenge", &plane.owner, body.clone()).await.ok();
    body["signature"] = json!(STANDARD.encode(good.sign(given["challenge"].as_str().unwrap().as_bytes()).unwrap()));
    body["challenge"] = given["challenge"].clone();
    body["application"] = json!("other");
    plane.post("/certificates", &plane.owner, body.clone()).await.refused(400, "challenge_not_ours");
    body["application"] = json!("app");
    plane.clock.advance(Lifetime::from_seconds(3601));
    plane.post("/certificates", &plane.owner, body).await.refused(400, "challenge_expired");
}

#[tokio::test]
async fn b3_an_unproven_registration_never_blocks_who_has_the_key() {
    let plane = plane().await;
    let (_, right) = (application(&plane, "squatter").await, application(&plane, "right").await);
    let ca = trusted(&plane, "Partner").await;
    let (leaf, key) = ca.leaf(&plane, "client", 30);
    let squatted = upload(&plane, "squatter", &leaf).await.ok();
    let hint = upload(&plane, "right", &leaf).await.refused(409, "already_exists");
    assert!(hint["hint"].as_str().unwrap().contains("prove"), "{hint}");
    let made = proved(&plane, "right", &leaf, &key).await.ok();
    let shown = plane.get(&format!("/certificates/{}", made["id"].as_str().unwrap()), &plane.owner).await.ok();
    assert_eq!((&shown["ownerId"], &shown["state"], &shown["proven"]), (&right["sandbox"]["id"], &json!("active"), &json!(true)));
    plane.get(&format!("/certificates/{}", squatted["id"].as_str().unwrap()), &plane.owner).await.refused(404, "not_found");
    plane.assert_snapshot_is_the_stores().await;
    // Once proved it is nobody else's, and once revoked it never comes back.
    proved(&plane, "squatter", &leaf, &key).await.refused(409, "already_exists");
    plane.post(&format!("/certificates/{}/revoke", made["id"].as_str().unwrap()), &plane.owner, json!({})).await.ok();
    for app in ["right", "squatter"] {
        proved(&plane, app, &leaf, &key).await.refused(409, "certificate_revoked");
    }
}

#[tokio::test]
async fn b3_a_handshake_proves_nothing_of_who_registered_the_certificate() {
    let plane = plane().await;
    application(&plane, "app").await;
    let ca = trusted(&plane, "Partner").await;
    let id = upload(&plane, "app", &ca.leaf(&plane, "client", 30).0).await.ok()["id"].as_str().unwrap().to_owned();
    let used = Usage {
        credential: id.clone(),
        kind: "certificate".to_owned(),
        count: 1,
        last_used: plane.clock.now(),
        last_source: "192.0.2.1".to_owned(),
    };
    plane.fleet.usage.lock().unwrap().push(used);
    plane.app.write_behind().await;
    let shown = plane.get(&format!("/certificates/{id}"), &plane.owner).await.ok();
    assert_eq!((&shown["proven"], &shown["usage"]["requests"]), (&json!(false), &json!(1)));
}

#[tokio::test]
async fn s14_a_renewal_from_outside_needs_another_name() {
    let plane = plane().await;
    application(&plane, "app").await;
    let ca = trusted(&plane, "Partner").await;
    upload(&plane, "app", &ca.leaf(&plane, "example-1682563200", 30).0).await.ok();
    let refused = upload(&plane, "app", &ca.leaf(&plane, "example-1682563200", 60).0).await.refused(409, "duplicate_certificate");
    assert!(refused["hint"].as_str().unwrap().contains("CN=example-1682563201 is free"), "{refused}");
    upload(&plane, "app", &ca.leaf(&plane, "example-1682566800", 60).0).await.ok();
    // Across the two ways as well.
    let body = order("app", &csr(&key(), "/O=Acme/OU=Ops/CN=example-1682566800"));
    plane.post("/certificates", &plane.owner, body).await.refused(409, "duplicate_certificate");
}

#[tokio::test]
async fn an_applications_owner_manages_its_credentials_and_another_user_sees_none() {
    let plane = login::start(SecondFactor::None).await;
    plane.app.ensure_issuers().await.unwrap();
    let (ann, mut browser) = login::member(&plane, "ann@example.test", "read").await;
    let (annes, _) = tokens(&plane, &mut browser).await;
    let (_, mut browser) = login::member(&plane, "bob@example.test", "developer").await;
    let (bobs, _) = tokens(&plane, &mut browser).await;
    let app = application(&plane, "app").await;
    let path = format!("/applications/{}", app["id"].as_str().unwrap());
    let body = order("app", &csr(&key(), "/CN=one"));
    plane.post("/certificates", &annes, body.clone()).await.refused(404, "not_found");
    plane.call("PATCH", &path, &plane.owner, json!({"ownerId": ann})).await.ok();
    assert_eq!(plane.get("/applications", &annes).await.ok()["items"][0]["ownerId"], json!(ann));
    let made = plane.post("/certificates", &annes, body.clone()).await.ok();
    let id = made["id"].as_str().unwrap();
    let key = plane.post("/api-keys", &annes, json!({"name": "k", "application": "app", "environment": "production"})).await.ok();
    assert_eq!(plane.get("/certificates", &annes).await.ok()["items"][0]["id"], id);
    for (noun, id) in [("certificates", id), ("api-keys", key["id"].as_str().unwrap())] {
        plane.get(&format!("/{noun}/{id}"), &bobs).await.refused(404, "not_found");
        assert_eq!(
            plane.get(&format!("/{noun}?owner_id={}", app["sandbox"]["id"].as_str().unwrap()), &bobs).await.ok()["items"],
            json!([])
        );
    }
    plane.post("/certificates", &bobs, body).await.refused(404, "not_found");
    // Rights are the admins' to give: who owns an application does not widen it.
    plane.call("PATCH", &path, &annes, json!({"name": "mine"})).await.refused(403, "forbidden");
    plane.call("DELETE", &path, &annes, Value::Null).await.refused(403, "forbidden");
    plane.post(&format!("/certificates/{id}/revoke"), &annes, json!({})).await.ok();
    plane.call("DELETE", &format!("/api-keys/{}", key["id"].as_str().unwrap()), &annes, Value::Null).await.ok();
    plane.call("PATCH", &path, &plane.owner, json!({"ownerId": ""})).await.ok();
    plane.get(&path, &annes).await.refused(404, "not_found");
}

/// B4, as docs/certificate-rules.md has it: for an application a second certificate of one name is refused, for anyone else remarked.
#[tokio::test]
async fn b4_a_second_leaf_of_one_name_is_remarked_for_a_machine_and_refused_for_an_application() {
    let plane = plane().await;
    let ca = trusted(&plane, "Theirs").await;
    let app = application(&plane, "shop").await;
    let app = app["id"].as_str().unwrap();
    let (machine, _) = plane.machine("m", "read", json!({})).await;
    let mut said = Vec::new();
    for _ in 0..2 {
        let (pem, _) = ca.leaf(&plane, "one", 30);
        let made = plane.post("/certificates", &plane.owner, json!({"certificate": pem, "serviceAccountId": machine})).await.ok();
        said.push(made["warnings"].to_string());
    }
    assert!(!said[0].contains("B4") && said[1].contains("B4") && said[1].contains("the same Distinguished Name"), "{said:?}");
    let (pem, _) = ca.leaf(&plane, "two", 30);
    upload(&plane, app, &pem).await.ok();
    let (pem, _) = ca.leaf(&plane, "two", 30);
    upload(&plane, app, &pem).await.refused(409, "duplicate_certificate");
}
