//! Rules about what is issued, revoked, told and rotated, by their ids (research/pki.md sections 6c, 6d, 6f and 6g).

use crate::harness::Plane;
use crate::issuers::Publishing;
use crate::issuing::{application, ask, csr, key, order, plane};
use crate::revocation::explained;
use countersign_core::time::Lifetime;
use countersign_server::{Clock as _, Usage};
use countersign_x509::private_key::Signer as _;
use serde_json::{Value, json};

/// So long, that no least time in a state is in the way.
const AGES: Lifetime = Lifetime::from_days(40);

fn used(plane: &Plane, credential: &str) {
    plane.fleet.usage.lock().unwrap().push(Usage {
        credential: credential.to_owned(),
        kind: "certificate".to_owned(),
        count: 1,
        last_used: plane.clock.now(),
        last_source: "192.0.2.1".to_owned(),
    });
}

#[tokio::test]
async fn c12_the_same_request_under_the_same_operation_is_the_same_certificate_and_a_new_one_otherwise() {
    let plane = plane().await;
    application(&plane, "app").await;
    application(&plane, "other").await;
    let (key, name) = (key(), "/O=Acme/CN=app");
    let body = order("app", &csr(&key, name));
    let first = plane.again("/certificates", &plane.owner, &body, "op-1").await.ok();
    let again = plane.again("/certificates", &plane.owner, &body, "op-1").await.ok();
    for same in ["id", "serial", "certificate", "chain"] {
        assert_eq!(first[same], again[same], "{same}");
    }
    assert_eq!(plane.get("/certificates", &plane.owner).await.ok()["items"].as_array().unwrap().len(), 1);
    // The operation is of that request, and of nothing else.
    let other = order("other", &csr(&key, name));
    plane.again("/certificates", &plane.owner, &other, "op-1").await.refused(409, "idempotency_conflict");
    // Without it a request asks for another certificate, which a key and a name that are taken do not get.
    plane.again("/certificates", &plane.owner, &body, "op-2").await.refused(409, "key_in_use");
    plane.post(&format!("/certificates/{}/revoke", first["id"].as_str().unwrap()), &plane.owner, json!({})).await.ok();
    let fresh = plane.again("/certificates", &plane.owner, &order("app", &csr(&crate::issuing::key(), name)), "op-3").await.ok();
    assert!(fresh["id"] != first["id"] && fresh["serial"] != first["serial"], "{fresh}");
}

#[tokio::test]
async fn d14_no_private_key_is_made_kept_or_given_out_here() {
    let plane = plane().await;
    application(&plane, "app").await;
    let key = key();
    // Nobody asks for a key: who wants a certificate brings a request of his own key, or a certificate.
    plane
        .post("/certificates", &plane.owner, json!({"application": "app", "environment": "sandbox"}))
        .await
        .refused(400, "invalid_argument");
    for wish in ["generateKey", "keyType", "privateKey", "password"] {
        let mut body = order("app", &csr(&key, "/CN=app"));
        body[wish] = json!("ecdsa-p256");
        plane.post("/certificates", &plane.owner, body).await.refused(400, "invalid_argument");
    }
    let answer = ask(&plane, "app", &csr(&key, "/CN=app")).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let text = answer.text.clone();
    let made = answer.ok();
    let id = made["id"].as_str().unwrap();
    let shown = plane.get(&format!("/certificates/{id}"), &plane.owner).await.text;
    let listed = plane.get("/certificates", &plane.owner).await.text;
    let trail = plane.get("/audit?page_size=1000", &plane.owner).await.text;
    // The number in the private key, in base64 and whole.
    let secret = key.to_pem().unwrap().expose().to_owned();
    let line = secret.lines().nth(1).unwrap();
    for said in [text, shown, listed, trail] {
        assert!(!said.contains("PRIVATE KEY") && !said.contains(line), "{said}");
    }
    // No file of the store has it either.
    let bytes = key.to_pkcs8().unwrap();
    let scalar = &bytes[bytes.len() / 4..bytes.len() / 4 + 24];
    for file in std::fs::read_dir(plane.directory.path().join("data")).unwrap() {
        let content = std::fs::read(file.unwrap().path()).unwrap_or_default();
        assert!(!content.windows(scalar.len()).any(|window| window == scalar));
    }
    assert!(!key.public_key().is_empty());
}

#[tokio::test]
async fn f9_the_first_answer_after_a_revocation_says_so() {
    let at = Publishing::start().await;
    application(&at.plane, "app").await;
    let made = at.leaf("app", "leaf").await;
    at.fetch_chain().await;
    assert!(at.ocsp(&["-cert", "leaf.pem"]).await.contains("leaf.pem: good"));
    at.fetch("sandbox-1.crl", "before.crl").await;
    // The clock stands still: nothing that was answered or made before has become old.
    at.revoke(&made, "certificateHold").await;
    assert!(at.ocsp(&["-cert", "leaf.pem"]).await.contains("leaf.pem: revoked"));
    at.plane.post(&format!("/certificates/{}/release", made["id"].as_str().unwrap()), &at.plane.owner, json!({})).await.ok();
    assert!(at.ocsp(&["-cert", "leaf.pem"]).await.contains("leaf.pem: good"));
    at.revoke(&made, "superseded").await;
    let said = at.ocsp(&["-cert", "leaf.pem"]).await;
    assert!(said.contains("leaf.pem: revoked") && said.contains("superseded"), "{said}");
    at.fetch("sandbox-1.crl", "after.crl").await;
    let text = Publishing::good(at.run(&["openssl", "crl", "-inform", "DER", "-in", "after.crl", "-noout", "-text"]).await);
    assert!(text.contains(&made["serial"].as_str().unwrap().to_uppercase()), "{text}");
}

#[tokio::test]
async fn f10_a_certificate_that_has_ended_can_still_be_reported_as_compromised() {
    let plane = plane().await;
    application(&plane, "app").await;
    let key = key();
    let made = ask(&plane, "app", &csr(&key, "/CN=app")).await.ok();
    let (id, text) = (made["id"].as_str().unwrap().to_owned(), made["certificate"].as_str().unwrap().to_owned());
    // The owner's key of the control plane ends too, so the test asks with one that is made anew.
    let mut left = 400;
    let mut with = plane.owner.clone();
    while left > 0 {
        plane.clock.advance(Lifetime::from_days(80));
        left -= 80;
        let body = json!({ "name": format!("next-{left}"), "duration": "90d" });
        with = plane.post("/api-keys", &with, body).await.ok()["secretKey"].as_str().unwrap().to_owned();
    }
    assert_eq!(plane.get(&format!("/certificates/{id}"), &with).await.ok()["state"], "expired");
    plane.post(&format!("/certificates/{id}/revoke"), &with, json!({ "reason": "keyCompromise" })).await.ok();
    let shown = plane.get(&format!("/certificates/{id}"), &with).await.ok();
    assert_eq!(shown["state"], "revoked", "{shown}");
    let again = order("app", &csr(&key, "/CN=again"));
    plane.post("/certificates", &with, again).await.refused(409, "key_blocked");
    let question = json!({ "namespace": "demo", "certificate": text });
    assert_eq!(plane.post("/explain", &with, question).await.ok()["code"], "certificate_revoked");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn f11_a_certificate_in_use_is_spoken_of_six_times_and_not_at_all_once_it_is_replaced() {
    let plane = plane().await;
    application(&plane, "app").await;
    let watched = async |name: &str, duration: &str| {
        let mut body = order("app", &csr(&key(), &format!("/CN={name}")));
        body["duration"] = json!(duration);
        plane.post("/certificates", &plane.owner, body).await.ok()["id"].as_str().unwrap().to_owned()
    };
    // A life of 120 days, so that the days are whole; those who ask are asked by the store, since keys end sooner.
    let (id, replaced) = (watched("stays", "120d").await, watched("goes", "120d").await);
    let body = json!({ "csr": csr(&key(), "/CN=goes") });
    plane.post(&format!("/certificates/{replaced}/rotate"), &plane.owner, body).await.ok();
    let mut told = Vec::new();
    for day in 1..=121 {
        plane.clock.advance(Lifetime::from_days(1));
        for one in [&id, &replaced] {
            used(&plane, one);
        }
        plane.app.write_behind().await;
        plane.app.plan_notices().await;
        let rows = plane.store.read().await.unwrap().notices_of(&id).await.unwrap();
        if rows.len() > told.len() {
            told.push((day, rows.iter().map(|row| row.days).min().unwrap()));
        }
    }
    let days: Vec<i64> = told.iter().map(|(_, days)| *days).collect();
    assert_eq!(days, [60, 30, 14, 7, 3, 1], "{told:?}");
    assert!(told.iter().all(|(day, days)| (119..=121).contains(&(day + days))), "each on its day: {told:?}");
    assert!(plane.store.read().await.unwrap().notices_of(&replaced).await.unwrap().is_empty(), "its successor has taken its place");
}

/// A second issuer beside the first, ready to sign.
async fn second(at: &Publishing) {
    at.plane.clock.advance(Lifetime::from_seconds(1));
    at.plane.post("/issuers", &at.plane.owner, json!({ "name": "sandbox-2", "environment": "sandbox" })).await.ok();
    at.plane.clock.advance(AGES);
}

#[tokio::test]
async fn g2_a_new_issuer_has_a_new_key_and_a_new_name() {
    let at = Publishing::start().await;
    second(&at).await;
    at.plane.post("/issuers", &at.plane.owner, json!({ "name": "root-2", "kind": "root" })).await.ok();
    let mut seen = std::collections::HashSet::new();
    for name in ["root-1", "root-2", "sandbox-1", "sandbox-2", "production-1"] {
        at.fetch(&format!("{name}.crt"), "one.der").await;
        let facts = countersign_x509::facts::of(&std::fs::read(at.file("one.der")).unwrap()).unwrap();
        assert!(seen.insert(facts.key.unwrap().to_string()), "{name} has a key of its own");
        assert!(seen.insert(facts.name.unwrap().to_string()), "{name} has a name of its own: {}", facts.subject);
    }
    // Another installation's first issuers have other names too, though they are called the same.
    let other = Publishing::start().await;
    other.fetch("sandbox-1.crt", "one.der").await;
    let facts = countersign_x509::facts::of(&std::fs::read(other.file("one.der")).unwrap()).unwrap();
    assert!(facts.subject.contains("sandbox-1") && seen.insert(facts.name.unwrap().to_string()), "{}", facts.subject);
    // Not by import either: one CA is one issuer.
    let again = json!({ "name": "sandbox-1", "environment": "sandbox" });
    at.plane.post("/issuers", &at.plane.owner, again).await.refused(409, "already_exists");
}

#[tokio::test]
async fn g3_issuing_goes_over_at_once_and_what_was_issued_before_works_to_its_end() {
    let at = Publishing::start().await;
    application(&at.plane, "app").await;
    at.plane.call("PUT", "/namespaces/ns-app/auth-method", &at.plane.owner, json!({ "authMethod": "mtls" })).await.ok();
    let old = at.leaf("app", "old").await;
    second(&at).await;
    assert!(at.leaf("app", "still").await["chain"].as_str().unwrap() == old["chain"].as_str().unwrap(), "staged, it signs nothing");
    at.step("sandbox-2", "active", false).await.ok();
    let new = at.leaf("app", "new").await;
    assert_ne!(new["chain"], old["chain"], "from now on the new one signs");
    let verdict = async |made: &Value| {
        let question = json!({ "namespace": "ns-app", "certificate": made["certificate"] });
        at.plane.post("/explain", &at.plane.owner, question).await.ok()["code"].as_str().unwrap().to_owned()
    };
    at.step("sandbox-1", "retiring", false).await.ok();
    for made in [&old, &new] {
        assert_eq!(verdict(made).await, "admitted");
    }
    at.step("sandbox-1", "active", false).await.ok();
    at.plane.clock.advance(Lifetime::from_seconds(1));
    assert_eq!(at.leaf("app", "newest").await["chain"], new["chain"], "of two that are active the newer one signs");
}

#[tokio::test]
async fn g5_a_retirement_that_would_shut_clients_out_names_whose_they_are() {
    let at = Publishing::start().await;
    application(&at.plane, "billing").await;
    application(&at.plane, "shipping").await;
    for (app, name) in [("billing", "a"), ("shipping", "b"), ("shipping", "c")] {
        at.leaf(app, name).await;
    }
    let gone = at.leaf("billing", "gone").await;
    at.revoke(&gone, "superseded").await;
    second(&at).await;
    at.step("sandbox-2", "active", false).await.ok();
    at.step("sandbox-1", "retiring", false).await.ok();
    at.plane.clock.advance(AGES);
    let refused = at.step("sandbox-1", "retired", false).await.refused(409, "issuer_in_use");
    let said = refused["detail"].as_str().unwrap();
    assert!(said.starts_with("3 certificates") && said.contains("rule G5"), "{said}");
    let (shipping, billing) = (said.find("2 of shipping"), said.find("1 of billing"));
    assert!(shipping.is_some() && shipping < billing, "those with the most first: {said}");
    assert_eq!(at.issuer("sandbox-1").await["state"], "retiring");
    for app in ["billing", "shipping"] {
        at.plane.post("/revocations", &at.plane.owner, json!({ "applicationId": app })).await.ok();
    }
    at.step("sandbox-1", "retired", false).await.ok();
}

#[tokio::test]
async fn g6_a_retired_issuer_goes_on_publishing() {
    let at = Publishing::start().await;
    application(&at.plane, "app").await;
    let (bad, _) = (at.leaf("app", "bad").await, at.leaf("app", "good").await);
    at.fetch_chain().await;
    second(&at).await;
    at.step("sandbox-2", "active", false).await.ok();
    at.step("sandbox-1", "retiring", false).await.ok();
    at.plane.clock.advance(AGES);
    at.step("sandbox-1", "retired", true).await.ok();
    // What was revoked after it retired is on its list all the same, and the list is renewed like every other.
    at.revoke(&bad, "keyCompromise").await;
    let number = async || {
        at.fetch("sandbox-1.crl", "x.crl").await;
        let said = at.run(&["openssl", "crl", "-inform", "DER", "-in", "x.crl", "-noout", "-verify", "-CAfile", "chain.pem"]).await;
        assert!(Publishing::good(said).contains("verify OK"));
        let text = Publishing::good(at.run(&["openssl", "crl", "-inform", "DER", "-in", "x.crl", "-noout", "-text", "-crlnumber"]).await);
        assert!(text.contains(&bad["serial"].as_str().unwrap().to_uppercase()), "{text}");
        i64::from_str_radix(text.trim().rsplit_once("crlNumber=0x").unwrap().1.lines().next().unwrap(), 16).unwrap()
    };
    let first = number().await;
    at.plane.clock.advance(Lifetime::from_days(1));
    at.plane.app.renew_crls().await;
    assert!(number().await > first);
}

#[tokio::test]
async fn g7_an_issuer_that_is_lost_is_distrusted_at_once_and_its_certificates_are_listed_for_their_renewal() {
    let at = Publishing::start().await;
    application(&at.plane, "app").await;
    let made = [at.leaf("app", "a").await, at.leaf("app", "b").await];
    second(&at).await;
    at.step("sandbox-2", "active", false).await.ok();
    at.step("sandbox-1", "retiring", false).await.ok();
    let done = at.step("sandbox-1", "retired", true).await.ok();
    assert_eq!(done["requestStatus"]["receipt"]["connectionsCut"], 2, "{done}");
    for one in &made {
        let text = one["certificate"].as_str().unwrap();
        assert_eq!(explained(&at.plane, text).await, "certificate_revoked");
    }
    // Each owner gets a new one, by a request of a new key, from the issuer that is active.
    for name in ["a", "b"] {
        let again = ask(&at.plane, "app", &csr(&key(), &format!("/O=Acme/CN={name}-2"))).await.ok();
        assert!(!again["chain"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn g9_a_store_that_was_put_back_publishes_no_number_twice() {
    let at = Publishing::start().await;
    application(&at.plane, "app").await;
    let made = at.leaf("app", "bad").await;
    let list = async || countersign_server::app::publication::crl(&at.plane.app, "sandbox-1").await.unwrap();
    let mut last = 0;
    for reason in ["certificateHold", "superseded"] {
        at.revoke(&made, reason).await;
        let number = list().await.number;
        assert!(number > last);
        last = number;
    }
    // A backup from before any list was made has the number that an issuer begins with.
    let mut write = at.plane.store.begin().await.unwrap();
    let issuer = write.issuer_by_name("sandbox-1").await.unwrap().unwrap();
    assert!(issuer.crl_number >= last);
    let fresh = write.issuer_by_name("production-1").await.unwrap().unwrap();
    assert_eq!(fresh.crl_number, 0);
    // A day later, lists were made every minute until the loss: what follows is above all of them.
    let now = at.plane.clock.now().plus(Lifetime::from_days(1));
    let before_loss = last + 24 * 60;
    assert!(write.next_crl_number(&fresh.id, now).await.unwrap() > before_loss);
    assert!(write.next_crl_number(&issuer.id, now).await.unwrap() > before_loss);
    let once_more = write.next_crl_number(&issuer.id, now).await.unwrap();
    assert!(write.next_crl_number(&issuer.id, now).await.unwrap() == once_more + 1, "within one second each is given once too");
}
