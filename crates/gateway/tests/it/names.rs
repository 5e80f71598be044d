//! Names and framing: one host, one path, one reading.

use crate::client::{H2, Raw, config, connect, get};
use crate::rig::{ClientCa, Rig};
use countersign_core::namespace::AuthMethod;
use countersign_testkit::FORGED_HEADERS;

#[tokio::test(flavor = "multi_thread")]
async fn t_03_a_request_for_another_host_than_the_connections_is_misdirected() {
    let rig = Rig::new().await;
    let ca = ClientCa::new("Acme");
    rig.put(rig.mtls("a", &[&ca])).await;
    rig.put(rig.mtls("b", &[&ca])).await;
    let leaf = ca.leaf("svc");
    for host in ["b.test", "nobody.test", "B.TEST:443"] {
        let answer = Raw::open(&rig, "a.test", Some(&leaf)).await.ask(get(host, "/", None)).await;
        assert_eq!((answer.status, answer.code().as_str()), (421, "misdirected"), "{host}");
        let (status, ..) = H2::open(&rig, "a.test", Some(&leaf)).await.get(host, "/", None).await;
        assert_eq!(status, 421, "{host}");
    }
    assert!(rig.upstream.take().is_empty());
    for host in ["a.test", "A.test.", "a.test:7233"] {
        assert_eq!(Raw::open(&rig, "a.test", Some(&leaf)).await.ask(get(host, "/", None)).await.status, 200, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_server_name_gets_an_alert_and_no_default() {
    let rig = Rig::new().await;
    let ca = ClientCa::new("Acme");
    rig.put(rig.mtls("a", &[&ca])).await;
    let error = connect(&rig, config(&rig, None, "h2"), "nobody.test").await.unwrap_err();
    assert!(error.to_string().to_lowercase().contains("unrecogni"), "{error}");
    let mut config = (*config(&rig, None, "h2")).clone();
    config.enable_sni = false;
    assert!(connect(&rig, config.into(), "a.test").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn h_07_the_path_that_is_authorised_is_the_path_that_is_forwarded() {
    let rig = Rig::new().await;
    let key = rig.key_door().await;
    let paths = [
        "/v1/orders/../admin",
        "/v1/orders/%2e%2e/admin",
        "/v1/orders%2fadmin",
        "/v1/orders%5cadmin",
        "/v1/orders/..;/admin",
        "/v1//orders",
        "/v1/./orders",
        "/v1/orders/%252e%252e/admin",
        "/v1/orders;x=y",
        "/v1/orders\\admin",
        "//v1",
        "/v1/orders%00",
        "/v1/%zz",
        "*",
        "?x",
        "/v1/orders#x",
        "/v1/orders%23x",
        "/v1/\u{e9}",
    ];
    for path in paths {
        let answer = Raw::open(&rig, "k.test", None).await.ask(get("k.test", path, Some(&key.text))).await;
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(answer.header("connection"), Some("close"), "{path}");
    }
    assert!(rig.upstream.take().is_empty());
    for path in ["/v1/orders/", "/v1/orders/caf%C3%A9?a=%2F..%2f&b;c", "/pkg.Service/Method"] {
        assert_eq!(Raw::open(&rig, "k.test", None).await.ask(get("k.test", path, Some(&key.text))).await.status, 200, "{path}");
        assert_eq!(rig.upstream.take()[0].target, path);
    }
    // An absolute form that agrees is taken apart, one that does not is refused.
    let absolute = |host: &str| format!("GET https://{host}/x HTTP/1.1\r\nhost: k.test\r\nauthorization: Bearer {}\r\n\r\n", key.text);
    assert_eq!(Raw::open(&rig, "k.test", None).await.ask(absolute("K.test")).await.status, 200);
    assert_eq!(rig.upstream.take()[0].target, "/x");
    assert_eq!(Raw::open(&rig, "k.test", None).await.ask(absolute("a.test")).await.status, 400);
    let status = H2::open(&rig, "k.test", None).await.get("k.test", "/a/%2e%2e/b", Some(&key.text)).await.0;
    assert_eq!(status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn framing_that_two_servers_could_read_differently_is_refused_and_the_connection_ends() {
    let rig = Rig::new().await;
    let key = rig.key_door().await;
    let bearer = format!("authorization: Bearer {}\r\n", key.text);
    let cases = [
        format!("POST / HTTP/1.1\r\nhost: k.test\r\n{bearer}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nhost: k.test\r\n{bearer}content-length: 3\r\ncontent-length: 4\r\n\r\nabcd"),
        format!("POST / HTTP/1.1\r\nhost: k.test\r\n{bearer}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        format!("POST / HTTP/1.0\r\nhost: k.test\r\n{bearer}transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nhost: k.test\r\nhost: k.test\r\n{bearer}\r\n"),
        format!("GET / HTTP/1.1\r\n{bearer}\r\n"),
        format!("GET / HTTP/1.1\nhost: k.test\n{bearer}\n"),
        format!("GET / HTTP/1.1\r\nhost: k.test\r\nx: a\r\n b\r\n{bearer}\r\n"),
        format!("GET / HTTP/1.1\r\nhost: user@k.test\r\n{bearer}\r\n"),
        format!("GET / HTTP/1.1\r\nhost: k.test\r\n{bearer}{bearer}\r\n"),
        format!("GET / HTTP/1.1\r\nhost: k.test\r\n{bearer}connection: upgrade\r\nupgrade: h2c\r\n\r\n"),
    ];
    for case in cases {
        let mut raw = Raw::open(&rig, "k.test", None).await;
        let answer = raw.ask(&case).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "{case:?}");
        raw.ended().await;
    }
    // The first of two pipelined requests is answered, the broken second one is refused in its turn.
    let mut raw = Raw::open(&rig, "k.test", None).await;
    raw.send(format!("{}GET / HTTP/1.1\r\n\r\n", get("k.test", "/first", Some(&key.text)))).await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
    assert_eq!(raw.answer().await.unwrap().status, 400);
    assert_eq!(rig.upstream.take().len(), 1);
    let mut raw = Raw::open(&rig, "k.test", None).await;
    let huge = format!("GET / HTTP/1.1\r\nhost: k.test\r\nx: {}\r\n\r\n", "y".repeat(1024 * 1024));
    let answer = raw.ask(huge).await;
    assert_eq!((answer.status, answer.code().as_str()), (431, "headers_too_large"));
    for method in ["TRACE", "CONNECT", "PROPFIND"] {
        let answer = Raw::open(&rig, "k.test", None).await.ask(format!("{method} /x HTTP/1.1\r\nhost: k.test\r\n{bearer}\r\n")).await;
        assert!(matches!(answer.status, 400 | 405), "{method} {}", answer.status);
    }
    assert!(rig.upstream.take().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn h_01_forged_identity_headers_never_reach_the_upstream() {
    let rig = Rig::new().await;
    rig.put(rig.namespace("k", AuthMethod::ApiKey)).await;
    let key = rig.key().await;
    // Every family twice, as many at a time as the limit of 100 fields allows.
    for some in FORGED_HEADERS.chunks(40) {
        let forged: String = some.iter().map(|f| format!("{f}: evil\r\n{f}: evil2\r\n")).collect();
        let text = format!(
            "GET / HTTP/1.1\r\nhost: k.test\r\nauthorization: Bearer {}\r\nconnection: countersign-identity, x-mine\r\nx-mine: 1\r\nx-kept: 2\r\n{forged}\r\n",
            key.text
        );
        assert_eq!(Raw::open(&rig, "k.test", None).await.ask(text).await.status, 200);
        let seen = rig.upstream.take().remove(0);
        let one = |name: &str| {
            let all: Vec<_> = seen.headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect();
            assert_eq!(all.len(), 1, "{name}: {all:?}");
            all[0].to_owned()
        };
        assert_eq!(one("countersign-identity"), rig.owner.as_str());
        assert_eq!(one("countersign-identity-kind"), "service_account");
        assert_eq!(one("countersign-credential"), key.id.as_str());
        assert_eq!(one("countersign-namespace"), "kk.acc01");
        assert_eq!(
            (one("x-forwarded-for"), one("x-forwarded-proto"), one("x-forwarded-host")),
            ("127.0.0.1".into(), "https".into(), "k.test".into())
        );
        assert_eq!((one("x-kept"), seen.method.as_str()), ("2".into(), "GET"));
        assert!(seen.headers.values().all(|v| !v.as_bytes().starts_with(b"evil")), "{:?}", seen.headers);
        assert!(!seen.headers.contains_key("x-mine") && !seen.headers.contains_key("connection"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h_11_a_refusal_tells_a_stranger_nothing_and_an_owner_everything() {
    let rig = Rig::new().await;
    let ca = ClientCa::new("Acme");
    rig.put(rig.mtls("a", &[&ca])).await;
    let leaf = ClientCa::new("Evil").leaf("svc");
    let answer = Raw::open(&rig, "a.test", Some(&leaf)).await.ask(get("a.test", "/secret-path", None)).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    for word in ["aa.acc01", "127.0.0.1", "secret-path", "Evil", "countersign ", "hyper"] {
        assert!(!answer.body.contains(word), "{word} in {}", answer.body);
    }
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let id = body["error"]["refusal_id"].as_str().unwrap();
    assert_eq!(answer.header("countersign-refusal-id"), Some(id));
    let record = rig.gateway.refusals().get(&countersign_core::id::RefusalId::parse(id).unwrap()).unwrap();
    assert!(record.reason.contains("no accepted client CA") && !record.remedy.is_empty());
    assert_eq!(record.credential.as_deref(), Some(leaf.fingerprint().to_string().as_str()));
    assert_eq!((record.path.as_str(), record.method.as_str()), ("/secret-path", "GET"));
}
