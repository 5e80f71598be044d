//! Expiry notices: due in time, once, by every way, and none for what needs none (seed 001).

use crate::harness::{Chance, Plane, id_of};
use crate::issuing;
use countersign_core::time::Lifetime;
use countersign_server::Clock as _;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn notices(plane: &Plane, key: &str) -> Vec<Value> {
    plane.app.plan_notices().await;
    plane.get("/notices", key).await.ok()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn s16_a_notice_is_in_the_inbox_in_time_and_once() {
    let plane = Plane::start().await;
    let (_, key) = plane.machine("m", "read", json!({})).await;
    assert_eq!(notices(&plane, &plane.owner).await.len(), 0, "ninety days are far");
    plane.clock.advance(Lifetime::from_days(69));
    for _ in 0..3 {
        let found = notices(&plane, &plane.owner).await;
        let of_key: Vec<_> = found.iter().filter(|notice| notice["credential"] == id_of(&key)).collect();
        assert_eq!(of_key.len(), 1, "{found:?}");
        assert_eq!((&of_key[0]["kind"], &of_key[0]["days"], &of_key[0]["inUse"]), (&json!("api_key"), &json!(30), &json!(false)));
        assert_eq!(of_key[0]["deliveries"][0]["channel"], "inbox");
    }
    plane.clock.advance(Lifetime::from_days(16));
    let found = notices(&plane, &plane.owner).await;
    let days: Vec<_> = found.iter().filter(|n| n["credential"] == id_of(&key)).map(|n| n["days"].as_i64().unwrap()).collect();
    assert_eq!(days, [7, 30], "newest first");
    // The owner of a credential sees his own and nobody else's.
    let (_, other) = plane.machine("o", "read", json!({})).await;
    assert!(notices(&plane, &other).await.is_empty());
    let own = notices(&plane, &key).await;
    assert!(!own.is_empty() && own.iter().all(|notice| notice["credential"] == id_of(&key)), "{own:?}");
}

#[tokio::test]
async fn the_earliest_end_is_among_the_metrics_however_far_it_is() {
    let plane = issuing::plane().await;
    let metrics = async || {
        plane.app.look_at_ends().await;
        let mut metrics = String::new();
        plane.app.metrics(&mut metrics);
        metrics
    };
    let fresh = metrics().await;
    assert!(fresh.contains("countersign_earliest_end_seconds{kind=\"issuer\"}"), "{fresh}");
    assert!(!fresh.contains("countersign_earliest_end_seconds{kind=\"certificate\"}"), "no certificate, no end: {fresh}");
    let app = issuing::application(&plane, "billing").await;
    let id = app["id"].as_str().unwrap();
    let made = issuing::ask(&plane, id, &issuing::csr(&issuing::key(), "/CN=billing")).await.ok();
    let mark = "countersign_earliest_end_seconds{kind=\"certificate\"} ";
    let found = metrics().await;
    let end: i64 = found.lines().find_map(|line| line.strip_prefix(mark)).unwrap_or_else(|| panic!("{found}")).parse().unwrap();
    assert_eq!((end - plane.clock.now().seconds()) / 86_400, 396, "397 days less the minutes it begins earlier");
    // What is revoked is waited for by nobody.
    let revoke = format!("/certificates/{}/revoke", made["id"].as_str().unwrap());
    plane.post(&revoke, &plane.owner, json!({"reason": "superseded"})).await.ok();
    let found = metrics().await;
    assert!(!found.contains(mark), "{found}");
}

/// A receiver that keeps what it got and answers with `status` at first, then 200.
async fn receiver(first: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let got = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&got);
    tokio::spawn(async move {
        let mut answer = first;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = String::new();
            let mut bytes = [0_u8; 4096];
            while !text.contains("\r\n\r\n") || !text.ends_with('}') {
                let n = stream.read(&mut bytes).await.unwrap();
                text.push_str(std::str::from_utf8(&bytes[..n]).unwrap());
            }
            kept.lock().unwrap().push(text);
            stream.write_all(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
            answer = "200 OK";
        }
    });
    (url, got)
}

/// Verifies a message as the text of Standard Webhooks has its receivers do: HMAC-SHA-256 over id, time and body, written out here by
/// RFC 2104 on nothing but the hash.
fn verify(secret: &str, request: &str) {
    use base64::Engine as _;
    use sha2::{Digest as _, Sha256};
    let base64 = base64::engine::general_purpose::STANDARD;
    let header = |name: &str| request.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let signed = format!("{}.{}.{body}", header("webhook-id:"), header("webhook-timestamp:"));
    let mut block = [0_u8; 64];
    let key = base64.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    block[..key.len()].copy_from_slice(&key);
    let pad = |byte: u8| block.map(|b| b ^ byte);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(signed).finalize();
    let tag = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
    assert_eq!(header("webhook-signature:"), format!("v1,{}", base64.encode(tag)));
}

#[tokio::test]
async fn an_accepted_ca_that_ends_is_told_to_its_admins_with_the_command_that_adds_the_next() {
    let plane = Plane::start().await;
    let namespace = plane.namespace("shop").await;
    let now = countersign_testkit::real_now();
    let ca = countersign_x509::authority::Authority::generate_internal("Partner CA", now, Lifetime::from_days(397), &Chance).unwrap();
    let body = json!({"certificates": ca.certificate_pem()});
    plane.post(&format!("/namespaces/{namespace}/accepted-client-cas"), &plane.owner, body).await.ok();
    assert!(notices(&plane, &plane.owner).await.is_empty(), "a year is far");
    // The CA was made a moment after the clock was stopped.
    plane.clock.advance(Lifetime::from_days(338));
    let found = notices(&plane, &plane.owner).await;
    let of_ca: Vec<_> = found.iter().filter(|notice| notice["kind"] == "accepted_client_ca").collect();
    assert_eq!(of_ca.len(), 1, "{found:?}");
    assert_eq!((&of_ca[0]["days"], &of_ca[0]["inUse"]), (&json!(60), &json!(true)), "nobody counts a CA's users, so it counts as used");
    let command = of_ca[0]["command"].as_str().unwrap();
    assert!(command.starts_with(&format!("countersign namespace accepted-client-ca add --namespace {namespace} ")), "{command}");
}

#[tokio::test]
async fn an_issuing_ca_of_ours_that_ends_is_told_with_the_command_that_makes_the_next() {
    let plane = Plane::start().await;
    plane.with_master_key().await;
    plane.app.ensure_issuers().await.unwrap();
    // Far enough for the shorter-lived CAs, which have five years.
    plane.clock.advance(Lifetime::from_days(5 * 365 - 50));
    plane.app.plan_notices().await;
    // Every key has ended by then, so the store is asked and not the API.
    let rows = plane.store.read().await.unwrap().notices(None, 100).await.unwrap();
    let about: Vec<Value> = rows.iter().map(|row| serde_json::from_str(&row.document).unwrap()).collect();
    let of_cas: Vec<_> = about.iter().filter(|notice| notice["kind"] == "issuer").collect();
    assert!(of_cas.len() >= 2 && of_cas.iter().all(|notice| notice["days"] == 60 && notice["inUse"] == true), "{about:?}");
    assert!(of_cas.iter().any(|n| n["command"] == "countersign issuer create --name NEXT --environment production"), "{of_cas:?}");
}

#[tokio::test]
async fn what_was_replaced_sends_no_notice() {
    let plane = Plane::start().await;
    let (_, key) = plane.machine("m", "read", json!({})).await;
    plane.clock.advance(Lifetime::from_days(50));
    let made = plane.post(&format!("/api-keys/{}/rotate", id_of(&key)), &plane.owner, json!({})).await.ok();
    plane.clock.advance(Lifetime::from_days(19));
    let found = notices(&plane, &plane.owner).await;
    assert!(found.iter().all(|notice| notice["credential"] != id_of(&key)), "{found:?} {made}");
}

#[tokio::test]
async fn a_webhook_is_signed_tried_again_and_never_sent_twice() {
    let plane = Plane::start().await;
    plane.with_master_key().await;
    let (url, got) = receiver("503 Service Unavailable").await;
    let made = plane.post("/notices/webhooks", &plane.owner, json!({"url": url})).await.ok();
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    let shown = plane.get("/notices/webhooks", &plane.owner).await.ok();
    assert!(!shown.to_string().contains("whsec_") && shown["items"][0]["url"] == url.as_str());
    let (_, key) = plane.machine("m", "read", json!({})).await;
    plane.clock.advance(Lifetime::from_days(69));
    plane.app.plan_notices().await;
    plane.app.deliver_notices().await;
    let first = got.lock().unwrap().len();
    assert!(first >= 1);
    // The one that was refused waits a minute, then goes again under the same id.
    plane.app.deliver_notices().await;
    assert_eq!(got.lock().unwrap().len(), first);
    plane.clock.advance(Lifetime::from_seconds(61));
    plane.app.deliver_notices().await;
    let all = got.lock().unwrap().clone();
    assert_eq!(all.len(), first + 1);
    let id = |text: &str| text.lines().find_map(|line| line.strip_prefix("webhook-id: ").map(str::to_owned)).unwrap();
    assert_eq!(id(&all[0]), id(all.last().unwrap()));
    for text in &all {
        verify(made["secret"].as_str().unwrap(), text);
    }
    assert!(all.iter().any(|text| text.contains(&id_of(&key))));
    plane.clock.advance(Lifetime::from_seconds(3600));
    plane.app.plan_notices().await;
    plane.app.deliver_notices().await;
    assert_eq!(got.lock().unwrap().len(), first + 1, "never twice");
}

#[tokio::test]
async fn what_was_revoked_disabled_or_deleted_sends_no_notice() {
    let plane = Plane::start().await;
    plane.with_master_key().await;
    let (url, got) = receiver("200 OK").await;
    plane.post("/notices/webhooks", &plane.owner, json!({"url": url})).await.ok();
    let (_, disabled) = plane.machine("a", "read", json!({})).await;
    let (_, deleted) = plane.machine("b", "read", json!({})).await;
    plane.clock.advance(Lifetime::from_days(69));
    // One is gone before the notice is due, the other between plan and delivery.
    plane.call("PATCH", &format!("/api-keys/{}", id_of(&disabled)), &plane.owner, json!({"disabled": true})).await.ok();
    plane.app.plan_notices().await;
    plane.call("DELETE", &format!("/api-keys/{}", id_of(&deleted)), &plane.owner, Value::Null).await.ok();
    plane.app.deliver_notices().await;
    for text in got.lock().unwrap().iter() {
        assert!(!text.contains(&id_of(&disabled)) && !text.contains(&id_of(&deleted)), "{text}");
    }
}

#[tokio::test]
async fn a_calendar_is_read_by_who_has_its_address_and_by_nobody_else() {
    let plane = Plane::start().await;
    let made = plane.post("/notices/calendar", &plane.owner, Value::Null).await.ok();
    let path = |made: &Value| format!("/notices/{}", made["url"].as_str().unwrap().rsplit('/').next().unwrap());
    plane.clock.advance(Lifetime::from_days(675));
    let feed = plane.page(&path(&made)).await;
    assert_eq!((feed.status, feed.headers["content-type"].to_str().unwrap()), (200, "text/calendar; charset=utf-8"));
    assert!(feed.text.contains("SUMMARY:api key dev ends"), "{}", feed.text);
    // A new address ends the one before.
    plane.post("/notices/calendar", &plane.owner, Value::Null).await.ok();
    assert_eq!(plane.page(&path(&made)).await.status, 404);
    for wrong in ["/notices/x.ics", "/notices/0000000000000000000000000000000000000000000000000000000000000000.ics"] {
        assert_eq!(plane.page(wrong).await.status, 404);
    }
}

#[tokio::test]
async fn only_admins_say_where_notices_go_and_never_in_clear() {
    let plane = Plane::start().await;
    plane.with_master_key().await;
    let (_, developer) = plane.machine("d", "developer", json!({})).await;
    plane.post("/notices/webhooks", &developer, json!({"url": "https://x.example.com/"})).await.refused(403, "forbidden");
    plane.call("PUT", "/notices/settings", &developer, json!({"mail": false})).await.refused(403, "forbidden");
    for bad in ["http://hooks.example.com/", "https://u:p@x.example.com/", "gopher://x"] {
        plane.post("/notices/webhooks", &plane.owner, json!({"url": bad})).await.refused(400, "invalid_argument");
    }
    plane
        .call("PUT", "/notices/settings", &plane.owner, json!({"mail": true, "recipients": ["no address"]}))
        .await
        .refused(400, "invalid_argument");
    plane.call("PUT", "/notices/settings", &plane.owner, json!({"mail": true, "recipients": ["ops@example.com"]})).await.ok();
    plane
        .call("PUT", "/notices/settings", &plane.owner, json!({"mail": true, "recipients": ["ops@example.com"]}))
        .await
        .refused(400, "nothing_to_change");
}
