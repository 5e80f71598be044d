//! The trail delivered elsewhere: in order, signed, again after a failure, to nowhere but where an admin said.

use crate::harness::Plane;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::time::Lifetime;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

type Got = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// A receiver that refuses the first batch.
async fn receiver() -> (String, Got) {
    let got: Got = Arc::default();
    let kept = Arc::clone(&got);
    let take = move |headers: HeaderMap, body: String| {
        let mut kept = kept.lock().unwrap();
        kept.push((headers, body));
        let status = if kept.len() == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        async move { status }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/audit", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/audit", post(take))).await.unwrap() });
    (url, got)
}

fn sequences(text: &str) -> Vec<i64> {
    // One document, as the libraries of Standard Webhooks read a body once they have verified it.
    let document: Value = serde_json::from_str(text).unwrap();
    assert_eq!((&document["type"], &document["data"]["sink"]), (&json!("audit.entries"), &json!("siem")));
    assert!(document["timestamp"].as_str().unwrap().ends_with('Z'));
    document["data"]["entries"].as_array().unwrap().iter().map(|entry| entry["sequence"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_sink_gets_every_entry_in_order_signed_and_again_after_a_failure() {
    let plane = Plane::start().await;
    plane.with_master_key().await;
    let (url, got) = receiver().await;
    let made = plane.post("/audit-sinks", &plane.owner, json!({"name": "siem", "kinesis": {"destinationUri": url}})).await.ok();
    let secret = STANDARD.decode(made["signingSecret"].as_str().unwrap().strip_prefix("whsec_").unwrap()).unwrap();
    plane.namespace("one").await;
    plane.app.deliver_audit().await;
    let sink = plane.get("/audit-sinks/siem", &plane.owner).await.ok();
    assert_eq!((sink["state"].as_str(), sink["behind"].as_i64() > Some(0)), (Some("failing"), true), "{sink}");
    plane.app.deliver_audit().await;
    assert_eq!(got.lock().unwrap().len(), 1, "it waits before it tries again");
    plane.clock.advance(Lifetime::from_seconds(60));
    plane.app.deliver_audit().await;
    plane.namespace("two").await;
    plane.app.deliver_audit().await;
    let got = got.lock().unwrap().clone();
    assert_eq!(got[0].0["webhook-id"], got[1].0["webhook-id"], "the same batch has the same id");
    let sent: Vec<_> = got[1..].iter().flat_map(|(_, text)| sequences(text)).collect();
    assert!(sent.is_sorted_by(|a, b| *b == a + 1), "{sent:?}");
    let (headers, text) = got.last().unwrap();
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(got[0].1, got[1].1, "and the same body");
    let said = |name: &str| headers[name].to_str().unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
    let tag = aws_lc_rs::hmac::sign(&key, format!("{}.{}.{text}", said("webhook-id"), said("webhook-timestamp")).as_bytes());
    assert_eq!(said("webhook-signature"), format!("v1,{}", STANDARD.encode(tag.as_ref())));
    let sink = plane.get("/audit-sinks/siem", &plane.owner).await.ok();
    assert_eq!((&sink["state"], &sink["behind"]), (&json!("healthy"), &json!(0)), "{sink}");
    assert_eq!(sink["sentTo"].as_i64(), sent.last().copied());
    let trail = plane.audit().await;
    assert_eq!(sent.last().copied(), trail.last().unwrap()["sequence"].as_i64());
    assert!(!serde_json::to_string(&trail).unwrap().contains("whsec_"), "no secret is in the trail");
}

#[tokio::test]
async fn a_sink_goes_only_where_we_can_honestly_send_and_only_an_admin_says_where() {
    let plane = Plane::start().await;
    plane.with_master_key().await;
    let (_, reader) = plane.machine("reader", "developer", json!({})).await;
    let good = json!({"name": "siem", "kinesis": {"destinationUri": "https://siem.example.com/x", "roleName": "r", "region": "us-east-1"}});
    plane.post("/audit-sinks", &reader, good.clone()).await.refused(403, "forbidden");
    for uri in ["arn:aws:kinesis:us-east-1:1:stream/x", "http://siem.example.com/", "https://u:p@x.y/", ""] {
        let body = json!({"name": "siem", "kinesis": {"destinationUri": uri}});
        plane.post("/audit-sinks", &plane.owner, body).await.refused(400, "invalid_argument");
    }
    plane.post("/audit-sinks", &plane.owner, json!({"name": "siem"})).await.refused(400, "invalid_argument");
    plane.post("/audit-sinks", &plane.owner, good.clone()).await.ok();
    plane.post("/audit-sinks", &plane.owner, good).await.refused(409, "already_exists");
    plane.call("PATCH", "/audit-sinks/siem", &plane.owner, json!({"enabled": false})).await.ok();
    plane.call("PATCH", "/audit-sinks/siem", &plane.owner, json!({"enabled": false})).await.refused(400, "nothing_to_change");
    assert_eq!(plane.get("/audit-sinks", &plane.owner).await.ok()["items"][0]["state"], "disabled");
    let rotated = plane.post("/audit-sinks/siem/rotate-secret", &plane.owner, Value::Null).await.ok();
    assert!(rotated["signingSecret"].as_str().unwrap().starts_with("whsec_"));
    plane.call("DELETE", "/audit-sinks/siem", &plane.owner, Value::Null).await.ok();
    plane.get("/audit-sinks/siem", &plane.owner).await.refused(404, "not_found");
}
