//! What tests of issuance share: issuers, applications, requests.

use crate::harness::{Answer, Plane};
use countersign_x509::private_key::{KeyKind, LocalKey};
use countersign_x509::request;
use countersign_x509::subject::Subject;
use serde_json::{Value, json};

/// A control plane that issues.
pub async fn plane() -> Plane {
    let plane = Plane::start().await;
    plane.with_master_key().await;
    plane.app.ensure_issuers().await.unwrap();
    plane
}

/// An application with a permission in the sandbox: its body.
pub async fn application(plane: &Plane, name: &str) -> Value {
    let namespace = plane.namespace(&format!("ns-{name}")).await;
    let body = json!({"name": name, "sandbox": {namespace: "write"}});
    let id = plane.post("/applications", &plane.owner, body).await.ok()["id"].as_str().unwrap().to_owned();
    plane.get(&format!("/applications/{id}"), &plane.owner).await.ok()
}

/// A new key.
pub fn key() -> LocalKey {
    LocalKey::generate(KeyKind::P256).unwrap()
}

/// A request for a name, by a key.
pub fn csr(key: &LocalKey, name: &str) -> String {
    request::build_pem(key, &Subject::parse(name).unwrap(), &[]).unwrap()
}

/// Asks for a certificate in an application's sandbox.
pub async fn ask(plane: &Plane, application: &str, csr: &str) -> Answer {
    plane.post("/certificates", &plane.owner, order(application, csr)).await
}

/// Every intent of the trail has one end in it: the certificate, or that it was given up, and then its serial number is on the list of
/// revoked ones. Says how many were given up.
pub async fn assert_every_intent_has_one_end(plane: &Plane) -> usize {
    let trail = plane.audit().await;
    assert!(trail.len() < 1000, "a page holds it all");
    let list = plane.get("/certificates?page_size=1000", &plane.owner).await.ok();
    let kept: Vec<&str> = list["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    // The issuers' own certificates are intended too, and are not in the list.
    for intent in trail.iter().filter(|e| e["action"] == "IntendCertificate" && e.to_string().contains("requestSha256")) {
        let id = intent["objectId"].as_str().unwrap();
        let ends = |action: &str| trail.iter().filter(|other| other["action"] == action && other["objectId"] == id).count();
        assert_eq!(ends("CreateCertificate") + ends("AbandonCertificate"), 1, "{id} has one end in the trail");
        assert_eq!(kept.contains(&id), ends("CreateCertificate") == 1, "{id} is kept if it was issued");
    }
    let list = countersign_server::app::publication::crl(&plane.app, "sandbox-1").await.unwrap();
    let abandoned: Vec<&Value> = trail.iter().filter(|entry| entry["action"] == "AbandonCertificate").collect();
    for entry in &abandoned {
        let after: Value = serde_json::from_str(entry["after"].as_str().unwrap_or_default()).unwrap_or_else(|_| entry["after"].clone());
        let serial = after["serial"].as_str().unwrap();
        let bytes: Vec<u8> = (0..serial.len()).step_by(2).map(|at| u8::from_str_radix(&serial[at..at + 2], 16).unwrap()).collect();
        assert!(list.der.windows(bytes.len()).any(|window| window == bytes), "{serial} is on the list");
    }
    plane.assert_snapshot_is_the_stores().await;
    assert_eq!(plane.get("/audit/verify", &plane.owner).await.ok()["ok"], true);
    abandoned.len()
}

/// The body of that.
pub fn order(application: &str, csr: &str) -> Value {
    json!({"csr": csr, "application": application, "environment": "sandbox"})
}

/// Runs a test on a runtime with one thread for what blocks, so that a [`Gate`] can stand before every signature.
pub fn with_one_blocking_thread(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap().block_on(test);
}

/// Keeps the one thread for what blocks until it is dropped: an issuance goes as far as its durable intent, and waits for its signature.
pub struct Gate {
    _opened_when_dropped: std::sync::mpsc::Sender<()>,
}

impl Gate {
    pub fn close() -> Self {
        let (held, waited_for) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || waited_for.recv().is_ok());
        Self { _opened_when_dropped: held }
    }
}
