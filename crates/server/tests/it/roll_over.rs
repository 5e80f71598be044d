//! When a new issuer may begin to sign (rule G1 of research/pki.md).

use crate::issuing::plane;
use countersign_core::time::Lifetime;
use serde_json::json;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn g1_an_issuer_signs_only_when_every_gateway_has_confirmed_that_it_is_known() {
    let plane = plane().await;
    plane.fleet.hangs.store(true, Ordering::SeqCst);
    plane.post("/issuers", &plane.owner, json!({"name": "sandbox-2", "environment": "sandbox"})).await.ok();
    let activate = async |body: serde_json::Value| plane.call("PATCH", "/issuers/sandbox-2", &plane.owner, body).await;
    let refused = activate(json!({"state": "active"})).await.refused(409, "gateways_behind");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("east") && detail.contains("west") && detail.contains("G1"), "{detail}");
    assert_eq!(plane.get("/issuers/sandbox-2", &plane.owner).await.ok()["state"], "staged");
    // They catch up, and it may.
    plane.fleet.hangs.store(false, Ordering::SeqCst);
    activate(json!({"state": "active"})).await.ok();
    assert_eq!(plane.get("/issuers/sandbox-2", &plane.owner).await.ok()["state"], "active");
    // Both are listed and both are trusted until the old one is retired.
    let listed = plane.get("/issuers", &plane.owner).await.ok();
    let active = listed["items"].as_array().unwrap().iter().filter(|one| one["environment"] == "sandbox" && one["state"] == "active");
    assert_eq!(active.count(), 2, "{listed}");
}

#[tokio::test]
async fn g1_an_issuer_stands_by_for_the_operators_time_unless_that_is_insisted_on() {
    let plane = plane().await;
    plane.app.use_issuer_dwell(Lifetime::from_days(7));
    for name in ["sandbox-2", "sandbox-3"] {
        plane.post("/issuers", &plane.owner, json!({"name": name, "environment": "sandbox"})).await.ok();
    }
    let activate = async |name: &str, body: serde_json::Value| plane.call("PATCH", &format!("/issuers/{name}"), &plane.owner, body).await;
    plane.clock.advance(Lifetime::from_days(6));
    activate("sandbox-2", json!({"state": "active"})).await.refused(409, "issuer_too_new");
    activate("sandbox-3", json!({"state": "active", "force": true})).await.ok();
    plane.clock.advance(Lifetime::from_days(1));
    activate("sandbox-2", json!({"state": "active"})).await.ok();
}
