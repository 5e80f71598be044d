//! Forwarding: HTTP/1.1, HTTP/2, gRPC, curl; upstreams that are down.

use crate::client::{H2, Raw, frame, get};
use crate::rig::{ClientCa, Rig};
use bytes::Bytes;
use countersign_core::namespace::{AuthMethod, Upstream};
use countersign_gateway::StartError;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn grpc_goes_both_ways_with_trailers() {
    let rig = Rig::new().await;
    let key = rig.key_door().await;
    let mut h2 = H2::open(&rig, "k.test", None).await;
    let (response, feed) = h2.call("k.test", Some(&key.text)).await;
    assert_eq!(response.headers()["content-type"], "application/grpc");
    let mut body = response.into_body();
    for word in ["one", "two", "three"] {
        feed.send(Bytes::from_static(word.as_bytes())).unwrap();
        assert_eq!(frame(&mut body).await.unwrap().unwrap().into_data().unwrap(), word);
    }
    drop(feed);
    let trailers = frame(&mut body).await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    let seen = rig.upstream.take().remove(0);
    assert_eq!((seen.target.as_str(), &seen.headers["te"]), ("/pkg.Service/Bidi", &http::HeaderValue::from_static("trailers")));
}

#[tokio::test(flavor = "multi_thread")]
async fn g_03_grpc_refusals_are_trailers_only_with_the_documented_status() {
    let rig = Rig::new().await;
    let key = rig.key_door().await;
    let mut h2 = H2::open(&rig, "k.test", None).await;
    let (response, _feed) = h2.call("k.test", None).await;
    assert_eq!((response.status().as_u16(), &response.headers()["grpc-status"]), (200, &http::HeaderValue::from_static("16")));
    assert!(response.headers().contains_key("countersign-refusal-id") && response.headers().contains_key("grpc-message"));
    assert!(http_body::Body::is_end_stream(response.body()));
    // Nobody listens on a port that was just given back.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut namespace = rig.namespace("k", AuthMethod::ApiKey);
    namespace.upstream = Some(Upstream::parse(&format!("http://{gone}")).unwrap());
    rig.put(namespace).await;
    let (response, _feed) = h2.call("k.test", Some(&key.text)).await;
    assert_eq!((response.status().as_u16(), &response.headers()["grpc-status"]), (200, &http::HeaderValue::from_static("14")));
    let (status, _, body) = h2.get("k.test", "/", Some(&key.text)).await;
    assert!(status == 503 && body.contains("upstream_unavailable") && !body.contains("127.0.0.1"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_keeps_its_fields_but_those_of_its_connection() {
    let rig = Rig::new().await;
    let key = rig.key_door().await;
    let mut raw = Raw::open(&rig, "k.test", None).await;
    let answer = raw.ask(get("k.test", "/headers", Some(&key.text))).await;
    assert_eq!((answer.header("x-end"), answer.header("x-hop"), answer.body.as_str()), (Some("2"), None, "ok"));
    assert!(!answer.head.to_lowercase().contains("countersign"), "an upstream speaks as the gateway: {}", answer.head);
    let post = format!(
        "POST /up HTTP/1.1\r\nhost: k.test\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        key.text
    );
    assert_eq!(raw.ask(post).await.body, "ok 3");
    let post = format!("POST /up HTTP/1.1\r\nhost: k.test\r\nauthorization: Bearer {}\r\ncontent-length: 5\r\n\r\nabcde", key.text);
    assert_eq!(raw.ask(post).await.body, "ok 5");
    raw.send(get("k.test", "/headers", Some(&key.text)).replace("GET", "HEAD")).await;
    let head = raw.head().await.unwrap();
    assert_eq!((head.status, head.header("content-length")), (200, Some("2")));
    assert_eq!(raw.ask(get("k.test", "/", Some(&key.text))).await.body, "ok 0", "a HEAD leaves nothing behind");
    let (status, _, body) = H2::open(&rig, "k.test", None).await.get("k.test", "/", Some(&key.text)).await;
    assert_eq!((status, body.as_str()), (200, "ok 0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answers_head_of_24_kib_goes_through_and_one_beyond_32_kib_is_the_upstreams_fault() {
    let rig = Rig::new().await;
    let key = rig.key_door().await;
    let mut raw = Raw::open(&rig, "k.test", None).await;
    let answer = raw.ask(get("k.test", "/head-of/24000", Some(&key.text))).await;
    assert_eq!((answer.status, answer.header("x-long").map(str::len), answer.body.as_str()), (200, Some(24_000), "ok"));
    let answer = raw.ask(get("k.test", "/head-of/40000", Some(&key.text))).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "upstream_unavailable"));
    // Over HTTP/2 the values are copies, and the same.
    let (status, fields, _) = H2::open(&rig, "k.test", None).await.get("k.test", "/head-of/8000", Some(&key.text)).await;
    assert_eq!((status, fields["x-long"].len()), (200, 8_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_may_ask_for_the_key_and_the_certificate() {
    let rig = Rig::new().await;
    let mut namespace = rig.namespace("a", AuthMethod::ApiKeyOrMtls);
    let mut api = rig.api("/in", true, true);
    (api.pass_api_key, api.forward_client_certificate) = (true, true);
    namespace.apis = vec![api];
    rig.put(namespace).await;
    let key = rig.key().await;
    let leaf = ClientCa::new("Acme").leaf("svc");
    let mut raw = Raw::open(&rig, "a.test", Some(&leaf)).await;
    assert_eq!(raw.ask(get("a.test", "/in", Some(&key.text))).await.status, 200);
    let seen = rig.upstream.take().remove(0);
    assert_eq!(seen.headers["authorization"], format!("Bearer {}", key.text));
    let certificate = seen.headers["client-cert"].to_str().unwrap();
    assert!(certificate.starts_with(':') && certificate.ends_with(':'));
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_gets_through_with_a_key_and_with_a_certificate() {
    let rig = Rig::new().await;
    let key = rig.key_door().await;
    let ca = ClientCa::new("Acme");
    rig.put(rig.mtls("a", &[&ca])).await;
    let leaf = ca.leaf("svc");
    let dir = std::env::temp_dir().join(format!("countersign-gateway-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (server_ca, cert, private) = (file("ca.pem", &rig.server_ca_pem), file("c.pem", &leaf.pem), file("c.key", &leaf.key));
    let port = rig.gateway.local_addr().port();
    let curl = |arguments: Vec<String>| {
        let mut command = Command::new("curl");
        command.args(["-sS", "--cacert", &server_ca, "-w", "\n%{http_code} %{http_version}"]);
        for host in ["a.test", "k.test"] {
            command.args(["--resolve", &format!("{host}:{port}:127.0.0.1")]);
        }
        let output = command.args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        for tls in ["--tls-max=1.2", "--tlsv1.3"] {
            let tls: Vec<String> = tls.split('=').map(Into::into).collect();
            let mut with_key: Vec<String> =
                vec![flag.into(), "-H".into(), format!("Authorization: Bearer {}", key.text), format!("https://k.test:{port}/")];
            with_key.extend(tls.clone());
            assert_eq!(tokio::task::block_in_place(|| curl(with_key)), format!("ok 0\n200 {version}"));
            let mut with_cert: Vec<String> =
                vec![flag.into(), "--cert".into(), cert.clone(), "--key".into(), private.clone(), format!("https://a.test:{port}/x")];
            with_cert.extend(tls);
            assert_eq!(tokio::task::block_in_place(|| curl(with_cert)), format!("ok 0\n200 {version}"));
        }
    }
    // A refused upload still gets its answer, whatever the client has sent of it.
    let upload = file("upload", &"x".repeat(5_000_000));
    for flag in ["--http1.1", "--http2"] {
        let refused = vec![flag.into(), "--data-binary".into(), format!("@{upload}"), format!("https://k.test:{port}/up")];
        let said = tokio::task::block_in_place(|| curl(refused));
        assert!(said.contains("key_missing") && said.contains("401"), "{flag}: {said}");
        let taken = vec![
            flag.into(),
            "-H".into(),
            format!("Authorization: Bearer {}", key.text),
            "--data-binary".into(),
            format!("@{upload}"),
            format!("https://k.test:{port}/up"),
        ];
        assert!(tokio::task::block_in_place(|| curl(taken)).starts_with("ok 5000000"), "{flag}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_told_in_one_sentence() {
    let rig = Rig::new().await;
    let taken = rig.gateway.local_addr();
    let error = Rig::try_listen(taken).err().unwrap();
    assert!(matches!(error, StartError::Listen { .. }));
    assert!(error.to_string().contains("gateway.listen") && error.to_string().contains("another process"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_h2c_upstream_is_spoken_to_in_http2_for_everything() {
    let rig = Rig::new().await;
    let mut namespace = rig.namespace("k", AuthMethod::ApiKey);
    namespace.upstream = Some(Upstream::parse(&format!("h2c://{}", rig.upstream.address)).unwrap());
    rig.put(namespace).await;
    let key = rig.key().await;
    let mut raw = Raw::open(&rig, "k.test", None).await;
    let post = format!("POST /up HTTP/1.1\r\nhost: K.test:7233\r\nauthorization: Bearer {}\r\ncontent-length: 5\r\n\r\nabcde", key.text);
    assert_eq!(raw.ask(post).await.body, "ok 5");
    let seen = rig.upstream.take().remove(0);
    assert_eq!((seen.version, seen.authority.as_deref()), (http::Version::HTTP_2, Some("k.test")));
    assert!(!seen.headers.contains_key("host"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_https_upstream_is_verified_and_spoken_to_as_it_chose() {
    for alpn in ["h2", "http/1.1"] {
        let tls = crate::upstream::TlsFiles::new();
        let file = tls.ca_file.clone();
        let rig = Rig::with(|settings| settings.upstream_ca_file = Some(file)).await;
        let address = rig.upstream.start_tls(&tls, alpn).await;
        let mut namespace = rig.namespace("k", AuthMethod::ApiKey);
        namespace.upstream = Some(Upstream::parse(&format!("https://localhost:{}", address.port())).unwrap());
        rig.put(namespace).await;
        let key = rig.key().await;
        let mut raw = Raw::open(&rig, "k.test", None).await;
        for _ in 0..3 {
            assert_eq!(raw.ask(get("k.test", "/", Some(&key.text))).await.status, 200, "{alpn}");
        }
        let expected = if alpn == "h2" { http::Version::HTTP_2 } else { http::Version::HTTP_11 };
        assert!(rig.upstream.take().iter().all(|s| s.version == expected), "{alpn}");
        // The same server under a name its certificate does not have is not spoken to.
        let mut namespace = rig.namespace("k", AuthMethod::ApiKey);
        namespace.upstream = Some(Upstream::parse(&format!("https://127.0.0.1:{}", address.port())).unwrap());
        rig.put(namespace).await;
        assert_eq!(raw.ask(get("k.test", "/", Some(&key.text))).await.status, 503);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_sends_no_head_is_given_up() {
    let rig = Rig::with(|settings| settings.timeouts.upstream_header = std::time::Duration::from_millis(250)).await;
    let key = rig.key_door().await;
    let mut raw = Raw::open(&rig, "k.test", None).await;
    assert_eq!(raw.ask(get("k.test", "/never", Some(&key.text))).await.code(), "upstream_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_sends_slowly_or_nothing_is_let_go() {
    let rig = Rig::with(|settings| {
        settings.timeouts.header = std::time::Duration::from_millis(250);
        settings.timeouts.idle = std::time::Duration::from_millis(500);
        settings.timeouts.handshake = std::time::Duration::from_millis(250);
    })
    .await;
    let key = rig.key_door().await;
    let mut silent = Raw::open(&rig, "k.test", None).await;
    silent.ended().await;
    let mut slow = Raw::open(&rig, "k.test", None).await;
    slow.send("GET / HTTP/1.1\r\nhos").await;
    slow.ended().await;
    let mut idle = Raw::open(&rig, "k.test", None).await;
    assert_eq!(idle.ask(get("k.test", "/", Some(&key.text))).await.status, 200);
    idle.ended().await;
    let mut h2 = H2::open(&rig, "k.test", None).await;
    assert_eq!(h2.get("k.test", "/", Some(&key.text)).await.0, 200);
    h2.1.await.unwrap();
    let mut mute = tokio::net::TcpStream::connect(rig.gateway.local_addr()).await.unwrap();
    let mut bytes = [0; 16];
    assert!(matches!(tokio::io::AsyncReadExt::read(&mut mute, &mut bytes).await, Ok(0) | Err(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporal_call_that_names_another_namespace_than_its_door_is_refused() {
    let rig = Rig::new().await;
    let key = rig.key_door().await;
    let mut h2 = H2::open(&rig, "k.test", None).await;
    for (namespace, path, refused) in [
        (Some("kk.acc01"), "StartWorkflowExecution", false),
        (Some("aa.acc01"), "StartWorkflowExecution", true),
        (None, "GetSystemInfo", false),
    ] {
        let mut request = http::Request::post(format!("https://k.test/temporal.api.workflowservice.v1.WorkflowService/{path}"))
            .header("content-type", "application/grpc")
            .header("authorization", format!("Bearer {}", key.text));
        if let Some(namespace) = namespace {
            request = request.header("temporal-namespace", namespace);
        }
        let response = h2.send_whole(request, b"\0\0\0\0\x0a\x0a\x08kk.acc01").await;
        let status = response.headers().get("grpc-status").map(|s| s.to_str().unwrap().to_owned());
        assert_eq!(status, refused.then(|| "7".to_owned()), "{namespace:?} {path}");
        if refused {
            assert_eq!(response.headers()["grpc-message"], "Request unauthorized.");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_web_refusal_has_the_content_type_its_client_looks_for() {
    let rig = Rig::new().await;
    rig.key_door().await;
    let post = "POST /pkg.Service/M HTTP/1.1\r\nhost: k.test\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: 0\r\n\r\n";
    let answer = Raw::open(&rig, "k.test", None).await.ask(post).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc-web+proto")));
    assert_eq!(answer.header("grpc-status"), Some("16"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_to_an_upstream_that_cannot_be_reached_fail_together() {
    // 192.0.2.0/24 is for documentation: nobody answers there, or the machine says at once that there is no way.
    let rig = Rig::with(|settings| settings.timeouts.upstream_connect = std::time::Duration::from_millis(500)).await;
    let mut namespace = rig.namespace("k", AuthMethod::ApiKey);
    namespace.upstream = Some(Upstream::parse("http://192.0.2.1:9").unwrap());
    rig.put(namespace).await;
    let key = rig.key().await;
    let begin = std::time::Instant::now();
    let mut calls = Vec::new();
    for _ in 0..20 {
        let (h2, text) = (H2::open(&rig, "k.test", None).await, key.text.clone());
        calls.push(tokio::spawn(async move {
            let mut h2 = h2;
            let (response, _feed) = h2.call("k.test", Some(&text)).await;
            response.headers()["grpc-status"].to_str().unwrap().to_owned()
        }));
    }
    for call in calls {
        assert_eq!(call.await.unwrap(), "14");
    }
    // One after another they would have taken five seconds in each worker.
    assert!(begin.elapsed() < std::time::Duration::from_secs(4), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_may_last_longer_than_the_wait_for_a_head() {
    let rig = Rig::with(|settings| settings.timeouts.upstream_header = std::time::Duration::from_secs(1)).await;
    let key = rig.key_door().await;
    let bearer = format!("Bearer {}", key.text);
    let begin = std::time::Instant::now();
    let mut raw = Raw::open(&rig, "k.test", None).await;
    raw.send(format!("POST /up HTTP/1.1\r\nhost: k.test\r\nauthorization: {bearer}\r\ntransfer-encoding: chunked\r\n\r\n")).await;
    let mut h2 = H2::open(&rig, "k.test", None).await;
    let (feed, body) = tokio::sync::mpsc::unbounded_channel();
    let body = http_body_util::StreamBody::new(crate::client::tokio_stream_like::Channel(body));
    let request = http::Request::post("https://k.test/up").header("authorization", bearer).body(body).unwrap();
    let answer = tokio::spawn(h2.0.send_request(request));
    let mut pieces = 0;
    // A slow client: its pace is what is tested.
    while begin.elapsed() < std::time::Duration::from_secs(3) {
        raw.send("3\r\nabc\r\n").await;
        feed.send(Bytes::from_static(b"abc")).unwrap();
        pieces += 1;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    raw.send("0\r\n\r\n").await;
    drop(feed);
    assert_eq!(raw.answer().await.unwrap().body, format!("ok {}", pieces * 3));
    let response = answer.await.unwrap().unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    assert_eq!(body, format!("ok {}", pieces * 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_and_an_api_say_how_long_their_upstream_may_take() {
    let second = countersign_core::Lifetime::from_seconds(1);
    let rig = Rig::with(|settings| settings.timeouts.upstream_header = std::time::Duration::ZERO).await;
    let mut namespace = rig.namespace("k", AuthMethod::ApiKey);
    namespace.timeouts.response_head = Some(second);
    namespace.apis = vec![rig.api("/sse", true, false), rig.api("/ws", true, false)];
    namespace.apis.iter_mut().for_each(|api| api.timeouts.idle = Some(second));
    rig.put(namespace).await;
    let key = rig.key().await;
    let mut raw = Raw::open(&rig, "k.test", None).await;
    assert_eq!(raw.ask(get("k.test", "/never", Some(&key.text))).await.code(), "upstream_unavailable");
    // A response that has begun ends when nothing more comes, whether its client reads or not.
    let mut raw = Raw::open(&rig, "k.test", None).await;
    raw.send(get("k.test", "/sse", Some(&key.text))).await;
    assert_eq!(raw.head().await.unwrap().status, 200);
    raw.ended().await;
    let upgrade =
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut raw = Raw::open(&rig, "k.test", None).await;
    let head = get("k.test", "/ws", Some(&key.text));
    raw.send(format!("{}{upgrade}", head.strip_suffix("\r\n").unwrap())).await;
    assert_eq!(raw.head().await.unwrap().status, 101);
    raw.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_on_loopback_needs_the_operators_setting_and_an_own_listener_is_never_one() {
    // A listener of this installation, besides the gateway's own.
    let metrics = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = metrics.local_addr().unwrap();
    for local in [false, true] {
        let rig = Rig::with(|settings| {
            settings.upstreams.local = local;
            settings.upstreams.own = vec![address];
        })
        .await;
        let key = rig.key_door().await;
        for (host, port, own) in [
            ("127.0.0.1", rig.upstream.address.port(), false),
            ("localhost", rig.upstream.address.port(), false),
            ("127.0.0.1", address.port(), true),
            ("localhost", address.port(), true),
            ("[::ffff:127.0.0.1]", address.port(), true),
            ("127.0.0.1", rig.gateway.local_addr().port(), true),
        ] {
            let mut namespace = rig.namespace("k", AuthMethod::ApiKey);
            namespace.upstream = Some(Upstream::parse(&format!("http://{host}:{port}")).unwrap());
            rig.put(namespace).await;
            let answer = Raw::open(&rig, "k.test", None).await.ask(get("k.test", "/", Some(&key.text))).await;
            assert_eq!(answer.status, if local && !own { 200 } else { 503 }, "{host}:{port} {local}");
            if own {
                let reason = rig.gateway.refusals().newest(1).remove(0).reason.clone();
                assert!(reason.contains("is a listener of this installation"), "{reason}");
            }
        }
    }
    metrics.set_nonblocking(true).unwrap();
    assert!(metrics.accept().is_err(), "nobody connected to the listener");
}
