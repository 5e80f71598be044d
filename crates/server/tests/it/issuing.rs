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

/// The body of that.
pub fn order(application: &str, csr: &str) -> Value {
    json!({"csr": csr, "application": application, "environment": "sandbox"})
}
