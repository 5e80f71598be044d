//! The port itself, with a real client.

use crate::harness::{Chance, Plane};
use countersign_core::time::Lifetime;
use countersign_server::Clock as _;
use countersign_x509::authority::Authority;
use serde_json::{Value, json};
use std::sync::Arc;

async fn curl(arguments: Vec<String>) -> (String, String) {
    let output = tokio::process::Command::new("curl").args(["-sS", "-m", "20"]).args(arguments).output().await.unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_is_served_over_both_versions_and_its_address_is_in_the_trail() {
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
    let server = tokio::spawn(countersign_server::listener::serve(listener, Arc::new(tls), plane.app.router(), stopped));
    let ca_file = plane.directory.path().join("ca.pem");
    std::fs::write(&ca_file, ca.certificate_pem()).unwrap();

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
