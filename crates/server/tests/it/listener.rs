//! The port itself, with a real client.

use crate::harness::{Chance, Plane};
use crate::revocation::Desk;
use countersign_core::time::Lifetime;
use countersign_server::Clock as _;
use countersign_x509::authority::Authority;
use countersign_x509::pem;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn limits() -> countersign_core::connection_limiter::ConnectionLimits {
    countersign_server::listener::limits(256)
}

async fn curl(arguments: Vec<String>) -> (String, String) {
    let output = tokio::process::Command::new("curl").args(["-sS", "-m", "20"]).args(arguments).output().await.unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A control plane behind its own port.
struct Port {
    plane: Plane,
    port: u16,
    ca_file: PathBuf,
    ca: Vec<u8>,
    stop: tokio::sync::watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
}

async fn open() -> Port {
    open_with(limits()).await
}

async fn open_with(limits: countersign_core::connection_limiter::ConnectionLimits) -> Port {
    let plane = Plane::start().await;
    let ca = Authority::generate_internal("test", plane.clock.now(), Lifetime::from_days(30), &Chance).unwrap();
    let names = ["localhost".to_owned()];
    let (certificate, key) = ca.issue_server(&names, plane.clock.now(), Lifetime::from_days(7), &Chance).unwrap();
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], rustls::pki_types::PrivatePkcs8KeyDer::from(key).into())
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let server = tokio::spawn(countersign_server::listener::serve(listener, Arc::new(tls), plane.app.router(), stopped, limits));
    let ca_file = plane.directory.path().join("ca.pem");
    std::fs::write(&ca_file, ca.certificate_pem()).unwrap();
    let ca = pem::read(ca.certificate_pem().as_bytes()).unwrap().blocks.into_iter().find_map(|block| match block {
        pem::Block::Certificate(der) => Some(der),
        _ => None,
    });
    Port { plane, port, ca_file, ca: ca.unwrap(), stop, server }
}

/// A flood from one address: connections beyond all that there are places for, each with the head of a request that needs no
/// credential and one byte of its body. Goes on until it is dropped.
async fn flood(port: u16, connector: &tokio_rustls::TlsConnector) -> tokio::task::JoinSet<()> {
    let (count, mut counted) = tokio::sync::mpsc::unbounded_channel();
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (connector, count) = (connector.clone(), count.clone());
        flood.spawn(async move {
            let mut held = std::collections::VecDeque::new();
            loop {
                let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let begun = tokio::time::timeout(Duration::from_secs(5), async {
                    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.ok()?;
                    let head = b"POST /api/v1/certificates/renewal HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
                    stream.write_all(head).await.ok()?;
                    stream.flush().await.ok()?;
                    Some(stream)
                });
                if let Ok(stream) = begun.await {
                    held.push_back(stream);
                }
                if held.len() > 400 {
                    held.pop_front();
                }
                let _ = count.send(());
            }
        });
    }
    drop(count);
    for _ in 0..1100 {
        counted.recv().await.unwrap();
    }
    flood
}

/// A client of TLS that trusts this CA.
fn client(ca: Vec<u8>, protocol: &str) -> tokio_rustls::TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.into()).unwrap();
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    tokio_rustls::TlsConnector::from(Arc::new(tls))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_a_revocation_goes_through_while_one_address_floods() {
    let Port { plane, port, ca_file, ca, stop: _stop, .. } = open().await;
    let desk = Desk::new();
    let mut ids = Vec::new();
    for name in ["one", "two"] {
        let made = plane.post("/certificates", &plane.owner, json!({"certificate": desk.leaf(name, name)})).await.ok();
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    // One who showed a credential before the flood keeps his connection.
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let stream = client(ca.clone(), "h2").connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let (mut admin, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let users = || {
        let request = http::Request::get("https://localhost/api/v1/users").header("authorization", format!("Bearer {}", plane.owner));
        request.body(String::new()).unwrap()
    };
    assert_eq!(admin.send_request(users()).await.unwrap().status(), 200);
    let _flood = flood(port, &client(ca, "http/1.1")).await;
    assert_eq!(admin.send_request(users()).await.unwrap().status(), 200);
    assert!(!connection.is_finished());
    // From elsewhere, and from the very address that floods.
    for (id, from) in ids.iter().zip(["127.0.0.2", "127.0.0.1"]) {
        let arguments = [
            "--cacert",
            ca_file.to_str().unwrap(),
            "--interface",
            from,
            "--resolve",
            &format!("localhost:{port}:127.0.0.1"),
            "-H",
            &format!("Authorization: Bearer {}", plane.owner),
            "--json",
            &json!({"reason": "superseded"}).to_string(),
            "-w",
            "\n%{http_code}",
            &format!("https://localhost:{port}/api/v1/certificates/{id}/revoke"),
        ]
        .map(str::to_owned);
        let (out, error) = curl(arguments.to_vec()).await;
        assert!(out.ends_with("200"), "from {from}: {out} {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_a_burst_of_new_connections_with_a_valid_key_loses_none_though_strangers_hold_the_rest() {
    let Port { plane, port, ca, stop: _stop, .. } = open_with(countersign_server::listener::limits(64)).await;
    let connector = client(ca, "http/1.1");
    let mut strangers = Vec::new();
    for _ in 0..100 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(std::net::SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
        strangers.push(socket.connect(std::net::SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap());
    }
    let head =
        format!("GET /api/v1/users HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n", plane.owner);
    let ask = async |head: &str| {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await?;
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(std::io::Error::other(answer)) }
    };
    ask(&head).await.unwrap();
    let writers = (0..16).map(async |_| {
        let mut failed = Vec::new();
        for _ in 0..3 {
            failed.extend(ask(&head).await.err());
        }
        failed
    });
    let failed: Vec<_> = futures_util::future::join_all(writers).await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{} of 48: {:?}", failed.len(), failed.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_answer_reaches_a_client_that_sends_its_whole_body_first() {
    let Port { port, ca, stop: _stop, .. } = open().await;
    let connector = client(ca, "http/1.1");
    let body = vec![b' '; 4 * 1024 * 1024];
    for n in 0..10 {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let head = format!(
            "POST /api/v1/api-keys HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.expect("the whole body is taken");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 401", "answer {n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_speaks_what_was_agreed_on_in_the_handshake_and_nothing_else() {
    let Port { port, ca, stop: _stop, .. } = open().await;
    for (agreed, spoken) in
        [("http/1.1", &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..]), ("h2", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut stream = client(ca.clone(), agreed).connect("localhost".try_into().unwrap(), stream).await.unwrap();
        stream.write_all(spoken).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let settings = answer.get(3) == Some(&4);
        assert_eq!(settings, agreed == "h2", "{agreed}: {answer:?}");
        assert!(agreed == "h2" || !answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_lists_are_read_in_clear_while_another_address_holds_connections() {
    let plane = Plane::start().await;
    plane.with_master_key().await;
    plane.app.ensure_issuers().await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(countersign_server::listener::serve_clear(listener, plane.app.pki_router(), stopped, limits()));
    let mut held = Vec::new();
    for _ in 0..1100 {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let _ = stream.write_all(b"POST /pki/ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n0").await;
        held.push(stream);
    }
    for from in ["127.0.0.2", "127.0.0.1"] {
        let arguments = ["--interface", from, "-o", "/dev/null", "-w", "%{http_code}", &format!("http://127.0.0.1:{port}/pki/root-1.crl")];
        let (out, error) = curl(arguments.map(str::to_owned).to_vec()).await;
        assert_eq!(out, "200", "from {from}: {error}");
    }
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_is_served_over_both_versions_and_its_address_is_in_the_trail() {
    let Port { plane, port, ca_file, stop, server, .. } = open().await;
    for (version, shown) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let arguments = [
            version,
            "--cacert",
            ca_file.to_str().unwrap(),
            "--resolve",
            &format!("localhost:{port}:127.0.0.1"),
            "-H",
            &format!("Authorization: Bearer {}", plane.owner),
            "--json",
            &json!({"name": version}).to_string(),
            "-w",
            "\n%{http_version} %{http_code}",
            &format!("https://localhost:{port}/api/v1/api-keys"),
        ]
        .map(str::to_owned);
        let (out, error) = curl(arguments.to_vec()).await;
        assert!(out.ends_with(&format!("{shown} 201")), "{out} {error}");
        let made: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
        let trail = plane.audit().await;
        let entry = trail.iter().find(|entry| entry["objectId"] == made["id"]).unwrap();
        assert_eq!(entry["source"], "127.0.0.1");
    }
    stop.send(true).unwrap();
    server.await.unwrap();
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
}
