//! Rules about CAs that are accepted and certificates that are registered, by their ids (research/pki.md sections 6a, 6b and 6e).

use crate::harness::{Answer, Plane};
use crate::issuers::Publishing;
use crate::issuing::{application, ask, csr, key, plane};
use crate::revocation::{Desk, Foreign, explained};
use countersign_core::time::Lifetime;
use countersign_x509::private_key::{KeyKind, LocalKey, Signer as _};
use countersign_x509::{given_key, pem};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

const CAS: &str = "/namespaces/demo/accepted-client-cas";

/// A self-signed CA of openssl's own: `<name>.pem`, `<name>.key`.
fn ca(desk: &Desk, name: &str) -> String {
    desk.openssl(&format!(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -days 300 -subj /O=Partner/CN={name} \
         -addext keyUsage=critical,keyCertSign,cRLSign -out {name}.pem"
    ));
    desk.read(&format!("{name}.pem"))
}

/// A client's certificate of that CA: `<name>.pem`, `<name>.key`.
fn leaf(desk: &Desk, ca: &str, name: &str, more: &str) -> String {
    if !desk.path().join(format!("{name}.key")).exists() {
        desk.openssl(&format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key"));
    }
    desk.write("ext", "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n");
    desk.openssl(&format!("req -new -key {name}.key -subj /O=Acme/CN={name} -out {name}.csr"));
    desk.openssl(&format!("x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -extfile ext -out {name}.pem -days 90 {more}"));
    desk.read(&format!("{name}.pem"))
}

async fn register(plane: &Plane, app: &str, certificate: &str) -> Answer {
    let body = json!({"certificate": certificate, "application": app, "environment": "sandbox"});
    plane.post("/certificates", &plane.owner, body).await
}

async fn trust(plane: &Plane, certificates: &str) {
    plane.post("/trusted-cas/sandbox", &plane.owner, json!({ "certificates": certificates })).await.ok();
}

#[tokio::test]
async fn a16_an_issuer_of_ours_is_no_accepted_ca_since_it_would_let_everybodys_certificates_in() {
    let plane = plane().await;
    let desk = Desk::new();
    let app = application(&plane, "app").await;
    let made = ask(&plane, "app", &csr(&key(), "/O=Acme/CN=app")).await.ok();
    let leaf = made["certificate"].as_str().unwrap();
    assert_eq!(explained(&plane, leaf).await, "not_entitled", "the application has no permission in demo");
    let chain = plane.page("/pki/sandbox-1.pem").await.text;
    let root = plane.page("/pki/root-1.pem").await.text;
    for bundle in [chain.clone(), root.clone(), format!("{root}{}", ca(&desk, "foreign"))] {
        let body = json!({ "certificates": bundle });
        let refused = plane.post(CAS, &plane.owner, body.clone()).await.refused(409, "own_issuer");
        assert!(refused["hint"].as_str().unwrap().contains("permission"), "{refused}");
        plane.call("PUT", CAS, &plane.owner, body.clone()).await.refused(409, "own_issuer");
        plane.call("PATCH", "/namespaces/demo", &plane.owner, json!({ "acceptedClientCa": bundle })).await.refused(409, "own_issuer");
        let new = json!({ "name": "new", "acceptedClientCa": bundle, "authMethod": "mtls" });
        plane.post("/namespaces", &plane.owner, new).await.refused(409, "own_issuer");
        plane.post("/trusted-cas/sandbox", &plane.owner, body).await.refused(409, "own_issuer");
    }
    assert_eq!(plane.get(CAS, &plane.owner).await.ok()["acceptedClientCas"], json!([]));
    // The grant is a permission of the owner's, and a foreign CA is a matter of its own.
    plane.post(CAS, &plane.owner, json!({ "certificates": ca(&desk, "foreign") })).await.ok();
    let path = format!("/applications/{}", app["id"].as_str().unwrap());
    let namespaces = plane.get("/namespaces", &plane.owner).await.ok();
    let demo = namespaces["items"].as_array().unwrap().iter().find(|one| one["namespace"].as_str().unwrap().starts_with("demo")).unwrap();
    plane.call("PATCH", &path, &plane.owner, json!({ "sandbox": { demo["namespace"].as_str().unwrap(): "write" } })).await.ok();
    assert_eq!(explained(&plane, leaf).await, "admitted");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn a18_a_ca_that_is_removed_lets_nobody_in_from_then_on_and_its_connections_end() {
    let plane = Plane::start().await;
    let desk = Desk::new();
    let (old, new) = (ca(&desk, "old"), ca(&desk, "new"));
    plane.post(CAS, &plane.owner, json!({ "certificates": format!("{old}{new}") })).await.ok();
    let (one, two) = (leaf(&desk, "old", "one", ""), leaf(&desk, "new", "two", ""));
    let cas = plane.get(CAS, &plane.owner).await.ok();
    let old = cas["acceptedClientCas"].as_array().unwrap().iter().find(|ca| ca["subject"] == "CN=old,O=Partner").unwrap().clone();
    let path = format!("{CAS}/{}", old["fingerprintSha256"].as_str().unwrap());
    assert_eq!((explained(&plane, &one).await, explained(&plane, &two).await), ("admitted".into(), "admitted".into()));
    let gone = plane.call("DELETE", &path, &plane.owner, Value::Null).await.ok();
    assert_eq!(gone["requestStatus"]["receipt"]["connectionsCut"], 2, "each of the two gateways says what it ended");
    assert_eq!((explained(&plane, &one).await, explained(&plane, &two).await), ("certificate_unknown".into(), "admitted".into()));
    plane.call("DELETE", &path, &plane.owner, Value::Null).await.refused(404, "not_found");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn a19_a_change_of_the_cas_is_whole_or_not_at_all_and_each_gateway_confirms_it() {
    let plane = Plane::start().await;
    let desk = Desk::new();
    let (one, two) = (ca(&desk, "one"), ca(&desk, "two"));
    let client = leaf(&desk, "one", "client", "");
    let revision = plane.app.snapshot().revision();
    // One of three is no CA: none is taken.
    let mixed = json!({ "certificates": format!("{one}{client}{two}") });
    assert!(plane.post(CAS, &plane.owner, mixed.clone()).await.status >= 400);
    assert!(plane.call("PUT", CAS, &plane.owner, mixed).await.status >= 400);
    assert_eq!(plane.get(CAS, &plane.owner).await.ok()["acceptedClientCas"], json!([]));
    assert_eq!(plane.app.snapshot().revision(), revision);
    let both = json!({ "certificates": format!("{one}{two}") });
    let done = plane.again(CAS, &plane.owner, &both, "add-two").await.ok();
    let status = &done["requestStatus"];
    assert_eq!((&status["requestId"], &status["state"]), (&json!("add-two"), &json!("Fulfilled")), "{status}");
    assert!(!status["finishTime"].is_null() && status["receipt"]["inEffect"] == true, "{status}");
    let confirmed = status["receipt"]["gateways"].as_array().unwrap_or_else(|| panic!("{status}"));
    assert_eq!(confirmed.len(), 2);
    assert!(confirmed.iter().all(|gateway| gateway["revision"] == json!(plane.app.snapshot().revision())), "{status}");
    assert_eq!(plane.get("/operations/add-two", &plane.owner).await.ok()["state"], "Fulfilled");
    // A gateway that does not answer: the change is made, and said not to be in effect everywhere yet.
    plane.fleet.hangs.store(true, Ordering::SeqCst);
    let slow = plane.again(CAS, &plane.owner, &json!({ "certificates": ca(&desk, "three") }), "add-three").await.ok();
    assert_eq!(slow["requestStatus"]["state"], "InProgress", "{slow}");
    assert_eq!(slow["requestStatus"]["receipt"]["outstanding"].as_array().map(Vec::len), Some(2), "{slow}");
    plane.fleet.hangs.store(false, Ordering::SeqCst);
    assert_eq!(plane.get(CAS, &plane.owner).await.ok()["acceptedClientCas"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn b6_one_leaf_is_one_owners() {
    let plane = plane().await;
    let desk = Desk::new();
    application(&plane, "one").await;
    application(&plane, "two").await;
    trust(&plane, &ca(&desk, "partner")).await;
    let text = leaf(&desk, "partner", "client", "");
    register(&plane, "one", &text).await.ok();
    // Whoever asks, and in whatever form it comes: it is known by its bytes.
    register(&plane, "two", &text).await.refused(409, "already_exists");
    let (account, _) = plane.machine("m", "read", json!({})).await;
    let body = json!({ "certificate": format!("\u{feff}{}", text.replace('\n', "\r\n")), "serviceAccountId": account });
    let refused = plane.post("/certificates", &plane.owner, body).await.refused(409, "already_exists");
    assert!(refused["detail"].as_str().unwrap().contains("rule B6"), "{refused}");
    // Another leaf of the same CA is another matter.
    register(&plane, "two", &leaf(&desk, "partner", "other", "")).await.ok();
}

#[tokio::test]
async fn b7_a_ca_that_gives_a_serial_number_twice_has_its_second_certificate_refused() {
    let plane = plane().await;
    let desk = Desk::new();
    application(&plane, "one").await;
    application(&plane, "two").await;
    trust(&plane, &format!("{}{}", ca(&desk, "partner"), ca(&desk, "another"))).await;
    register(&plane, "one", &leaf(&desk, "partner", "first", "-set_serial 4711")).await.ok();
    // For another owner too: no list of the CA's could tell the two apart.
    let refused = register(&plane, "two", &leaf(&desk, "partner", "second", "-set_serial 4711")).await.refused(409, "duplicate_serial");
    assert!(refused["detail"].as_str().unwrap().contains("rule B7") && refused["hint"].as_str().unwrap().contains("operator"), "{refused}");
    let trail = plane.audit().await;
    let entry = trail.iter().find(|entry| entry["result"] == "duplicate_serial").unwrap();
    assert_eq!(entry["action"], "CreateCertificate", "that it was tried stands in the trail: {entry}");
    // A number is one CA's own.
    register(&plane, "two", &leaf(&desk, "another", "third", "-set_serial 4711")).await.ok();
    register(&plane, "two", &leaf(&desk, "partner", "fourth", "-set_serial 4712")).await.ok();
}

#[tokio::test]
async fn b9_a_leaf_that_its_ca_has_revoked_is_not_registered() {
    let plane = plane().await;
    application(&plane, "app").await;
    let foreign = Foreign::accepted(&plane).await;
    trust(&plane, &foreign.desk.read("ca.pem")).await;
    let (one, two) = (foreign.desk.read("one.pem"), foreign.desk.read("two.pem"));
    foreign.desk.openssl("ca -config ca.cnf -revoke one.pem -crl_reason keyCompromise");
    let list = foreign.path("crl");
    plane.post(&list, &plane.owner, json!({ "crl": foreign.crl() })).await.ok();
    let refused = register(&plane, "app", &one).await.refused(409, "certificate_revoked");
    assert!(refused["detail"].as_str().unwrap().contains("CN=foreign") && refused.to_string().contains("B9"), "{refused}");
    // Not for anybody else either.
    plane.post("/certificates", &plane.owner, json!({ "certificate": one })).await.refused(409, "certificate_revoked");
    let made = register(&plane, "app", &two).await.ok();
    assert!(!made["warnings"].to_string().contains("B9"), "{made}");
    // An admin's word is as good as the CA's.
    let serial = countersign_x509::facts::of(&der(&two)).unwrap().serial;
    plane.post(&foreign.path("revoked-leaves"), &plane.owner, json!({ "serial": serial })).await.ok();
    application(&plane, "other").await;
    register(&plane, "other", &two).await.refused(409, "certificate_revoked");
    assert_eq!(plane.get("/certificates", &plane.owner).await.ok()["items"].as_array().unwrap().len(), 1);
    // Another CA of the same name has no say.
    let desk = Desk::new();
    desk.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout same.key -days 300 -subj /CN=foreign -addext keyUsage=critical,keyCertSign,cRLSign -out same.pem");
    trust(&plane, &desk.read("same.pem")).await;
    let of_one = countersign_x509::facts::of(&der(&one)).unwrap().serial;
    register(&plane, "other", &leaf(&desk, "same", "namesake", &format!("-set_serial 0x{of_one}"))).await.ok();
}

#[tokio::test]
async fn b9_what_a_stale_list_means_for_a_registration_is_what_it_means_at_the_gateway() {
    let plane = plane().await;
    application(&plane, "app").await;
    let foreign = Foreign::accepted(&plane).await;
    trust(&plane, &foreign.desk.read("ca.pem")).await;
    let list = foreign.path("crl");
    plane.post(&list, &plane.owner, json!({ "crl": foreign.crl() })).await.ok();
    plane.clock.advance(Lifetime::from_days(31));
    let made = register(&plane, "app", &foreign.desk.read("one.pem")).await.ok();
    assert!(made["warnings"].to_string().contains("B9: the revocation list of CN=foreign is stale"), "{made}");
    plane.post(&list, &plane.owner, json!({ "stale": "refuse" })).await.ok();
    register(&plane, "app", &foreign.desk.read("two.pem")).await.refused(409, "crl_stale");
}

fn der(text: &str) -> Vec<u8> {
    match pem::read(text.as_bytes()).unwrap().blocks.remove(0) {
        pem::Block::Certificate(der) => der,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn b11_a_blocked_key_blocks_every_certificate_that_carries_it_and_a_revoked_certificate_only_itself() {
    let plane = Plane::start().await;
    let desk = Desk::new();
    plane.post(CAS, &plane.owner, json!({ "certificates": ca(&desk, "partner") })).await.ok();
    let key = LocalKey::generate(KeyKind::P256).unwrap();
    let mut carriers = Vec::new();
    for name in ["one", "two"] {
        desk.write(&format!("{name}.key"), key.to_pem().unwrap().expose());
        carriers.push(leaf(&desk, "partner", name, ""));
    }
    let own = desk.leaf("one", "self");
    let id = plane.post("/certificates", &plane.owner, json!({ "certificate": own })).await.ok()["id"].as_str().unwrap().to_owned();
    carriers.push(own.clone());
    for text in &carriers {
        assert_eq!(explained(&plane, text).await, "admitted");
    }
    plane.post(&format!("/certificates/{id}/revoke"), &plane.owner, json!({ "reason": "superseded" })).await.ok();
    assert_eq!(explained(&plane, &own).await, "certificate_revoked");
    assert_eq!(explained(&plane, &carriers[0]).await, "admitted", "its key is as good as before");
    let public = given_key::public_pem(key.public_key());
    plane.post("/revocations", &plane.owner, json!({ "key": public })).await.ok();
    for text in &carriers {
        assert_eq!(explained(&plane, text).await, "certificate_revoked", "registered or not");
    }
    plane.post("/certificates", &plane.owner, json!({ "certificate": desk.leaf("one", "later") })).await.refused(409, "key_blocked");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn a_stale_list_is_a_notice_to_the_namespaces_admins_once_and_until_a_newer_one_is_set() {
    let plane = Plane::start().await;
    let foreign = Foreign::accepted(&plane).await;
    let list = foreign.path("crl");
    let notices = async |key: &str| -> Vec<Value> {
        plane.app.plan_notices().await;
        let all = plane.get("/notices", key).await.ok()["items"].as_array().unwrap().clone();
        all.into_iter().filter(|notice| notice["kind"] == "revocation_list").collect()
    };
    plane.post(&list, &plane.owner, json!({ "crl": foreign.crl() })).await.ok();
    assert!(notices(&plane.owner).await.is_empty());
    plane.clock.advance(Lifetime::from_days(31));
    for _ in 0..2 {
        let found = notices(&plane.owner).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&found[0]["name"], &found[0]["days"], &found[0]["inUse"]), (&json!("CN=foreign"), &json!(0), &json!(true)));
        assert!(found[0]["command"].as_str().unwrap().contains("crl set --namespace demo"), "{found:?}");
        assert!(found[0]["advice"].as_str().unwrap().contains("still let in"), "{found:?}");
        plane.clock.advance(Lifetime::from_days(1));
    }
    let (_, stranger) = plane.machine("m", "developer", json!({})).await;
    assert!(notices(&stranger).await.is_empty(), "it is the namespace's admins' to know");
    let shown = plane.get(&list, &plane.owner).await.ok();
    assert_eq!(shown["isStale"], true);
    // A second list that becomes stale is a second notice.
    foreign.desk.write("crlnumber", "05\n");
    foreign.desk.openssl("ca -config ca.cnf -gencrl -crldays 40 -out next.crl");
    plane.post(&list, &plane.owner, json!({ "crl": foreign.desk.read("next.crl") })).await.ok();
    assert_eq!(notices(&plane.owner).await.len(), 1);
    plane.clock.advance(Lifetime::from_days(10));
    assert_eq!(notices(&plane.owner).await.len(), 2);
}

#[tokio::test]
async fn e14_a_certificate_may_begin_a_minute_ahead_and_no_second_behind_its_end() {
    let at = Publishing::start().await;
    let plane = &at.plane;
    let desk = Desk::new();
    plane.post(CAS, &plane.owner, json!({ "certificates": ca(&desk, "partner") })).await.ok();
    let text = leaf(&desk, "partner", "client", "");
    let facts = countersign_x509::facts::of(&der(&text)).unwrap();
    let to = |moment: i64| Lifetime::from_seconds(moment - countersign_server::Clock::now(&*plane.clock).seconds());
    plane.clock.advance(to(facts.not_before.seconds() - 61));
    assert_eq!(explained(plane, &text).await, "certificate_not_yet_valid");
    plane.clock.advance(Lifetime::from_seconds(1));
    assert_eq!(explained(plane, &text).await, "admitted", "clocks differ by a minute at most");
    plane.clock.advance(to(facts.not_after.seconds()));
    assert_eq!(explained(plane, &text).await, "admitted", "the last second counts");
    plane.clock.advance(Lifetime::from_seconds(1));
    assert_eq!(explained(plane, &text).await, "certificate_expired");
}
