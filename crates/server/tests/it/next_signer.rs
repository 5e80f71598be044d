//! Which issuer signs next, as a change of one says it; and keys of this installation, which nobody else gets certified or accepted.

use serde_json::{Value, json};

/// An environment's own issuer goes before one for both: activating that one says so, and says who signs.
#[tokio::test]
async fn activating_an_issuer_says_what_signs_next_and_a_default_that_replaces_nothing_warns() {
    let plane = crate::issuing::plane().await;
    let app = crate::issuing::application(&plane, "shop").await;
    plane.clock.advance(countersign_core::time::Lifetime::from_seconds(1));
    let made = plane.post("/issuers", &plane.owner, json!({"name": "next"})).await.ok();
    let warning = made["warnings"][0].as_str().unwrap();
    assert!(warning.contains("sandbox-1") && warning.contains("production-1") && warning.contains("--environment"), "{made}");
    let change = json!({"state": "active", "force": true});
    let changed = plane.call("PATCH", "/issuers/next", &plane.owner, change.clone()).await.ok();
    let says = |changed: &Value| ["sandbox", "production", "identities"].map(|of| changed["signsNext"][of].as_str().unwrap().to_owned());
    assert_eq!(says(&changed), ["sandbox-1", "production-1", "next"], "{changed}");
    assert_eq!(changed["warnings"].as_array().unwrap().len(), 2, "{changed}");
    // What is said is what happens.
    let names = async || {
        let csr = |name: &str| crate::issuing::csr(&crate::issuing::key(), &format!("/CN={name}"));
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let name = format!("leaf-{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let mut issuers = Vec::new();
        for body in [
            json!({"csr": csr(&name), "application": app["id"], "environment": "sandbox"}),
            json!({"csr": csr(&name), "application": app["id"], "environment": "production"}),
            json!({"csr": csr(&name)}),
        ] {
            let id = plane.post("/certificates", &plane.owner, body).await.ok()["id"].as_str().unwrap().to_owned();
            let issuer = plane.get(&format!("/certificates/{id}"), &plane.owner).await.ok()["issuerId"].as_str().unwrap().to_owned();
            issuers.push(plane.get(&format!("/issuers/{issuer}"), &plane.owner).await.ok()["name"].as_str().unwrap().to_owned());
        }
        issuers
    };
    assert_eq!(names().await, says(&changed));
    plane.clock.advance(countersign_core::time::Lifetime::from_seconds(1));
    let made = plane.post("/issuers", &plane.owner, json!({"name": "sandbox-2", "environment": "sandbox"})).await.ok();
    assert!(made.get("warnings").is_none(), "{made}");
    let changed = plane.call("PATCH", "/issuers/sandbox-2", &plane.owner, change).await.ok();
    assert!(changed.get("warnings").is_none(), "{changed}");
    assert_eq!(says(&changed), ["sandbox-2", "production-1", "next"], "{changed}");
    assert_eq!(names().await, says(&changed));
    let changed = plane.call("PATCH", "/issuers/production-1", &plane.owner, json!({"state": "retiring"})).await.ok();
    assert_eq!(says(&changed), ["sandbox-2", "next", "next"], "{changed}");
    assert_eq!(names().await, says(&changed));
}

/// C7, A16: what this installation signs or serves with is nobody else's key.
#[tokio::test]
async fn the_key_of_any_ca_or_server_of_this_installation_is_refused_in_a_request_and_in_an_accepted_ca() {
    use countersign_server::Clock as _;
    use countersign_x509::private_key::Signer as _;
    let plane = crate::issuing::plane().await;
    let keys = countersign_server::InstallationKeys::default();
    plane.app.use_installation_keys(keys.clone());
    let life = countersign_core::time::Lifetime::from_days(30);
    let authority =
        countersign_x509::authority::Authority::generate_internal("Server CA", plane.clock.now(), life, &crate::harness::Chance).unwrap();
    let server = crate::issuing::key();
    let request = |name: &str| json!({"csr": crate::issuing::csr(&server, name)});
    plane.post("/certificates", &plane.owner, request("/CN=before")).await.ok();
    keys.add(server.public_key(), "a server");
    keys.add(&authority.public_key(), "the server CA");
    let refused = plane.post("/certificates", &plane.owner, request("/CN=after")).await.refused(400, "issuer_key_reused");
    assert!(refused["detail"].as_str().unwrap().contains("a server of this installation"), "{refused}");
    plane.namespace("pay").await;
    let body = json!({"certificates": authority.certificate_pem()});
    plane.post("/namespaces/pay/accepted-client-cas", &plane.owner, body.clone()).await.refused(409, "own_issuer");
    plane.post("/trusted-cas/sandbox", &plane.owner, body.clone()).await.refused(409, "own_issuer");
    let new = json!({"name": "new", "upstream": "http://127.0.0.1:1", "acceptedClientCa": authority.certificate_pem()});
    plane.post("/namespaces", &plane.owner, new).await.refused(409, "own_issuer");
    // Each root's key too, whatever its state; an issuing CA needs its root beside it.
    for issuer in plane.get("/issuers", &plane.owner).await.ok()["items"].as_array().unwrap().iter().filter(|one| one["kind"] == "root") {
        let body = json!({"certificates": issuer["certificatePem"]});
        plane.post("/namespaces/pay/accepted-client-cas", &plane.owner, body).await.refused(409, "own_issuer");
    }
}
