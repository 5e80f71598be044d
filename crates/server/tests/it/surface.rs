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

fn raw(method: &str, path: &str, key: &str, body: String) -> Request<Body> {
    let mut request = Plane::request(method, path, key, None);
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    *request.body_mut() = Body::from(body);
    request
}

#[tokio::test]
async fn no_operation_takes_anything_but_an_object_with_known_members_each_once() {
    let plane = Plane::start().await;
    let document: Value = serde_json::from_str(countersign_server::openapi::document()).unwrap();
    let mut tried = 0;
    for entry in countersign_server::rest::table() {
        let Some(schema) = &entry.request else { continue };
        let path = entry.path.replace(['{', '}'], "");
        let members = document["components"]["schemas"][schema]["properties"].as_object().unwrap();
        let first = members.keys().next().unwrap();
        for body in [
            "[]".to_owned(),
            r#"["n"]"#.to_owned(),
            r#"["n", "x", null, null, null, null, null, null]"#.to_owned(),
            r#""text""#.to_owned(),
            "3".to_owned(),
            "null".to_owned(),
            r#"{"noSuchMember": 1}"#.to_owned(),
            format!(r#"{{"{first}": null, "{first}": null}}"#),
            format!(r#"{{"{first}": "a", "{first}": "a"}}"#),
        ] {
            let answer = plane.send(raw(entry.method.as_str(), &path, &plane.owner, body.clone())).await;
            assert!(
                answer.status == 400 && answer.code() == "invalid_argument" && answer.text.contains("the body cannot be read"),
                "{} took {body}: {} {}",
                entry.name,
                answer.status,
                answer.text
            );
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried}");
    // The shown one: an owner's key from an array.
    let list = plane.get("/api-keys", &plane.owner).await.ok();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let text = r#"{"email": "a@b.c", "access": ["owner"]}"#;
    plane.send(raw("POST", "/users", &plane.owner, text.to_owned())).await.refused(400, "invalid_argument");
}

/// Whatever stands inside a body is as strict as the body itself.
#[test]
fn every_object_inside_a_request_says_that_it_has_no_other_members() {
    let document: Value = serde_json::from_str(countersign_server::openapi::document()).unwrap();
    let schemas = &document["components"]["schemas"];
    let all = countersign_server::rest::table().into_iter().chain(countersign_server::rest::open_table());
    let mut ahead: Vec<String> = all.filter_map(|entry| entry.request).collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = ahead.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let schema = &schemas[&name];
        if schema["properties"].is_object() {
            assert_eq!(schema["additionalProperties"], json!(false), "{name} takes members that it does not know");
        }
        let text = schema.to_string();
        ahead.extend(text.split("#/components/schemas/").skip(1).map(|part| part.split('"').next().unwrap().to_owned()));
    }
    assert!(seen.len() > 30, "{seen:?}");
}

#[test]
fn the_document_says_what_answers_there_are_and_which_bodies_may_be_left_out() {
    let document: Value = serde_json::from_str(countersign_server::openapi::document()).unwrap();
    let at = |path: &str, method: &str| &document["paths"][format!("/api/v1{path}")][method];
    for path in ["/api-keys/{id}/rotation", "/certificates/{id}/rotation"] {
        assert!(at(path, "get")["responses"]["409"].is_object(), "{path}: one without a successor");
    }
    for path in ["/certificates/renewal", "/certificates/renewal/challenge", "/api-keys"] {
        assert!(at(path, "post")["responses"]["429"].is_object(), "{path}");
    }
    assert_eq!(at("/api-keys", "post")["requestBody"]["required"], true);
    assert_eq!(at("/api-keys/{id}/rotate", "post")["requestBody"]["required"], false);
    for entry in countersign_server::rest::table() {
        let Some(schema) = &entry.request else { continue };
        let body = &at(entry.path, &entry.method.as_str().to_ascii_lowercase())["requestBody"];
        let required = document["components"]["schemas"][schema]["required"].as_array().is_some_and(|members| !members.is_empty());
        assert_eq!(body["required"], required, "{}", entry.name);
    }
}

/// The patterns of the document are the server's: what does not fit one is refused, and what answers say fits.
#[tokio::test]
async fn a_text_that_does_not_fit_the_documents_pattern_is_refused() {
    let plane = Plane::start().await;
    let document: Value = serde_json::from_str(countersign_server::openapi::document()).unwrap();
    let pattern = |schema: &str, member: &str| document["components"]["schemas"][schema]["properties"][member]["pattern"].clone();
    let ns = plane.namespace("pay").await;
    for (schema, member, method, path, body, bad) in [
        ("CreateApiKey", "duration", "POST", "/api-keys".to_owned(), json!({"name": "n"}), "1.5d"),
        ("CreateApiKey", "serviceAccountId", "POST", "/api-keys".to_owned(), json!({"name": "n"}), "machine"),
        ("UpdateIdentity", "accountRole", "PATCH", "/users/u0000000000000000000".to_owned(), json!({}), "king"),
        ("CreateUser", "email", "POST", "/users".to_owned(), json!({"access": {"accountRole": "read"}}), "ann"),
        ("UpdateNamespace", "authMethod", "PATCH", format!("/namespaces/{ns}"), json!({}), "none"),
        ("UpdateNamespace", "resourceVersion", "PATCH", format!("/namespaces/{ns}"), json!({"snapshotAgeMaxSeconds": 100}), "three"),
        ("Retire", "whenIdle", "POST", "/api-keys/k0000000000000000000/retire".to_owned(), json!({}), "1.5h"),
    ] {
        assert!(pattern(schema, member).is_string(), "{schema}.{member} has no pattern");
        let mut body = body;
        body[member] = json!(bad);
        let answer = plane.call(method, &path, &plane.owner, body).await;
        assert!((400..500).contains(&answer.status), "{schema}.{member}: {} {}", answer.status, answer.text);
    }
    let parameter = &document["paths"]["/api/v1/trusted-cas/{environment}"]["get"]["parameters"][0];
    assert_eq!(parameter["schema"]["enum"], json!(["sandbox", "production"]));
}
