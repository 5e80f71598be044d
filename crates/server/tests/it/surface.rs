//! The surface as a whole: the document, the headers, strict reading, hosts.

use crate::harness::Plane;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test]
async fn router_and_document_hold_the_same_operations() {
    let plane = Plane::start().await;
    let document: Value = serde_json::from_str(countersign_server::openapi::document()).unwrap();
    let mut documented = BTreeSet::new();
    let set = |table: Vec<countersign_server::rest::table::Entry>| {
        table.iter().map(|e| (e.method.to_string(), format!("/api/v1{}", e.path))).collect::<BTreeSet<_>>()
    };
    let open = set(countersign_server::rest::open_table());
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            documented.insert((method.to_uppercase(), path.clone()));
            let is_open = open.contains(&(method.to_uppercase(), path.clone()));
            assert!(operation["summary"].is_string() && operation["tags"][0].is_string());
            assert_eq!((operation["security"][0]["bearer"].is_array(), operation["security"] == json!([])), (!is_open, is_open), "{path}");
            assert!(operation["responses"]["401"].is_object());
        }
    }
    let routed = &set(countersign_server::rest::table()) | &open;
    assert_eq!(documented, routed);
    let all = countersign_server::rest::table().into_iter().chain(countersign_server::rest::open_table());
    let names: BTreeSet<_> = all.map(|e| e.name).collect();
    assert_eq!(names.len(), routed.len(), "operation ids are unique");
    // Whatever is referred to is there.
    let text = document.to_string();
    for part in text.split("#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
    // And each path answers every other method with 405, never with more.
    for path in routed.iter().map(|(_, path)| path).collect::<BTreeSet<_>>() {
        let plain = path.trim_start_matches("/api/v1").replace(['{', '}'], "");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"] {
            if !routed.contains(&(method.to_owned(), path.clone())) {
                plane.call(method, &plain, &plane.owner, Value::Null).await.refused(405, "method_not_allowed");
            }
        }
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_an_id() {
    let plane = Plane::start().await;
    let at = |path: &str| Request::builder().uri(path).header("host", "localhost").body(Body::empty()).unwrap();
    for path in ["/", "/healthz", "/readyz", "/api/docs", "/api/docs.css", "/api/openapi.json", "/api/v1/account", "/nowhere"] {
        let answer = plane.send(at(path)).await;
        let header = |name: &str| answer.headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        assert_eq!((header("cache-control").as_str(), header("x-content-type-options").as_str()), ("no-store", "nosniff"), "{path}");
        assert!(header("content-security-policy").starts_with("default-src 'none'") && header("x-request-id").len() == 32);
        if answer.status >= 400 {
            assert_eq!(header("content-type"), "application/problem+json");
            assert_eq!(answer.body["request_id"].as_str(), Some(header("x-request-id").as_str()));
        }
    }
    let page = plane.send(at("/api/docs")).await.text;
    assert!(page.contains("/api/v1/api-keys") && !page.contains("<script") && !page.contains("style="));
    assert_eq!(plane.send(at("/nowhere")).await.status, 401);
}

#[tokio::test]
async fn what_is_not_understood_is_refused() {
    let plane = Plane::start().await;
    let body = plane.post("/api-keys", &plane.owner, json!({"name": "n", "durration": "1d"})).await.refused(400, "invalid_argument");
    assert!(body["detail"].as_str().unwrap().contains("durration"), "{body}");
    let body = plane.post("/api-keys", &plane.owner, json!({"name": {"secret": "csk_leak"}})).await.refused(400, "invalid_argument");
    assert!(!body.to_string().contains("csk_leak"));
    plane.post("/api-keys?request_id=1", &plane.owner, json!({"name": "n"})).await.refused(400, "invalid_argument");
    let raw = |kind: &str, body: Vec<u8>| {
        let mut request = Plane::request("POST", "/api-keys", &plane.owner, None);
        request.headers_mut().insert("content-type", kind.parse().unwrap());
        *request.body_mut() = Body::from(body);
        request
    };
    plane.send(raw("text/plain", b"{\"name\":\"n\"}".to_vec())).await.refused(415, "unsupported_media_type");
    plane.send(raw("application/json", b"{\"name\":".to_vec())).await.refused(400, "invalid_argument");
    plane.send(raw("application/json", b"{\"name\":\"a\",\"name\":\"b\"}".to_vec())).await.refused(400, "invalid_argument");
    plane.send(raw("application/json", vec![b' '; 1024 * 1024 + 1])).await.refused(413, "body_too_large");
    plane.send(raw("application/json", [vec![b'['; 500_000]].concat())).await.refused(400, "invalid_argument");
    for operation in ["a b", "ü", &"x".repeat(129), "a/b"] {
        let mut request = Plane::request("POST", "/api-keys", &plane.owner, Some(&json!({"name": "n"})));
        request.headers_mut().insert("idempotency-key", axum::http::HeaderValue::from_bytes(operation.as_bytes()).unwrap());
        plane.send(request).await.refused(400, "invalid_argument");
    }
    // Nothing of it changed anything.
    assert_eq!(plane.get("/api-keys", &plane.owner).await.ok()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_foreign_host_is_misdirected() {
    let plane = Plane::start().await;
    for (host, ours) in [
        ("localhost", true),
        ("LOCALHOST:8443", true),
        ("127.0.0.1:1", true),
        ("[::1]:8443", true),
        ("evil.example", false),
        ("localhost.evil.example", false),
        ("", false),
        ("[::2]", false),
    ] {
        let request = Request::builder().uri("/healthz").header("host", host).body(Body::empty()).unwrap();
        let answer = plane.send(request).await;
        assert_eq!(answer.status, if ours { 200 } else { 421 }, "{host}");
    }
    let two = Request::builder().uri("/healthz").header("host", "localhost").header("host", "evil.example").body(Body::empty()).unwrap();
    assert_eq!(plane.send(two).await.status, 421);
}

#[tokio::test]
async fn two_credentials_or_another_scheme_are_none() {
    let plane = Plane::start().await;
    let mut request = Plane::request("GET", "/account", &plane.owner, None);
    request.headers_mut().append("authorization", "Bearer x".parse().unwrap());
    plane.send(request).await.refused(401, "invalid_api_key");
    let mut request = Plane::request("GET", "/account", "", None);
    request.headers_mut().insert("authorization", "Basic eDp5".parse().unwrap());
    plane.send(request).await.refused(401, "unauthenticated");
    let mut request = Plane::request("GET", "/account", "", None);
    request.headers_mut().insert("authorization", format!("bearer {}", plane.owner).parse().unwrap());
    plane.send(request).await.ok();
}

#[tokio::test]
async fn a_restart_finds_everything_and_ends_what_was_unfinished() {
    let plane = Plane::start().await;
    plane.again("/namespaces", &plane.owner, &json!({"name": "kept"}), "unwritten").await.ok();
    let settings = countersign_server::Settings {
        gateway_domain: countersign_core::name::Hostname::parse("gw.test").unwrap(),
        gateway_address: "127.0.0.1:7233".into(),
        gateway_port: 7233,
        control_hosts: vec!["localhost".into()],
        default_upstream: None,
        server_ca: String::new(),
        upstreams: countersign_core::upstream_policy::UpstreamPolicy { local: true, ..Default::default() },
        regions: Vec::new(),
    };
    // As after a kill: the end of the operation was only in memory.
    let second =
        countersign_server::App::start(plane.store.clone(), plane.clock.clone(), std::sync::Arc::new(crate::harness::Chance), settings)
            .await
            .unwrap();
    assert_eq!((second.account_id(), second.snapshot().revision()), (plane.account.as_str(), plane.app.snapshot().revision()));
    assert!(countersign_server::bootstrap::key_works(&second, &plane.owner));
    second.write_behind().await;
    let operation = plane.store.read().await.unwrap().operation(&countersign_core::OperationId::parse("unwritten").unwrap()).await.unwrap();
    assert_eq!(operation.unwrap().state, countersign_core::operation::OperationState::Fulfilled);
}
