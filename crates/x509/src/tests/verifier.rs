//! Proof of possession in real handshakes.

use super::fixtures::*;
use crate::authority::Authority;
use crate::verifier::ProofOfPossession;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, SignatureScheme};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;

fn server() -> (Authority, Arc<ServerConfig>) {
    let ca = Authority::generate_internal("test", now(), days(30), &ENTROPY).unwrap();
    let (leaf, key) = ca.issue_server(&["localhost".into()], now(), days(1), &ENTROPY).unwrap();
    let config = ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(Arc::new(ProofOfPossession::new()))
        .with_single_cert(vec![CertificateDer::from(leaf)], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)))
        .unwrap();
    (ca, Arc::new(config))
}

#[derive(Debug)]
struct Shows(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        assert!(hints.is_empty(), "no tenant's CA is named to strangers");
        self.0.clone()
    }
    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// Runs a handshake in memory; returns the certificates the server saw.
fn handshake(shown: Option<(&Made, &Made)>, version: &'static rustls::SupportedProtocolVersion) -> Result<usize, rustls::Error> {
    let (ca, config) = server();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(ca.certificate_der().to_vec())).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let shown = shown.map(|(certificate, key)| {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.key.to_pkcs8().unwrap().to_vec()));
        let key = provider.key_provider.load_private_key(key).unwrap();
        Arc::new(CertifiedKey::new(vec![CertificateDer::from(certificate.der.clone())], key))
    });
    let client = ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(Shows(shown)));
    let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut server = ServerConnection::new(config).unwrap();
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut slice = wire.as_slice();
        while !slice.is_empty() {
            server.read_tls(&mut slice).unwrap();
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut slice = wire.as_slice();
        while !slice.is_empty() {
            client.read_tls(&mut slice).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!server.is_handshaking());
    Ok(server.peer_certificates().map_or(0, <[_]>::len))
}

#[test]
fn any_certificate_whose_key_signs_gets_through_the_handshake() {
    let ca = root("ca");
    let (self_signed, leaf) = (root("seed 003"), client("leaf", &ca));
    let odd = make(&Spec { usage: None, purpose: None, ..leaf_spec("tcld") }, Some(&ca));
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for made in [&self_signed, &leaf, &odd] {
            assert_eq!(handshake(Some((made, made)), version), Ok(1));
        }
        assert_eq!(handshake(None, version), Ok(0), "a client without a certificate gets in, with an API key say");
    }
}

#[test]
fn a_certificate_without_its_key_ends_the_handshake() {
    let (one, other) = (root("one"), root("other"));
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        assert!(handshake(Some((&one, &other)), version).is_err());
    }
}

#[test]
fn openssl_proves_possession_even_of_v1_certificates() {
    let dir = Dir::new();
    dir.write("ca.cnf", "");
    for (key, version) in [("rsa:2048", "-tls1_3"), ("rsa:2048", "-tls1_2"), (EC, "-tls1_3"), (EC, "-tls1_2"), ("ed25519", "-tls1_3")] {
        dir.openssl(&format!("req -new -newkey {key} -nodes -keyout k.pem -subj /CN=old -out r.pem"));
        dir.openssl("x509 -req -in r.pem -signkey k.pem -days 9 -out v1.pem");
        let (_, config) = server();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut client = Command::new("openssl")
            .args(["s_client", "-connect", &format!("127.0.0.1:{port}"), version, "-cert", "v1.pem", "-key", "k.pem", "-quiet"])
            .current_dir(&dir.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut socket, _) = listener.accept().unwrap();
        let mut server = ServerConnection::new(config).unwrap();
        while server.is_handshaking() {
            server.complete_io(&mut socket).unwrap_or_else(|e| panic!("{key} {version}: {e}"));
        }
        let seen = server.peer_certificates().unwrap()[0].to_vec();
        assert_eq!(Certificate::read(&seen).unwrap().version, 1);
        server.writer().write_all(b"hello\n").unwrap();
        server.send_close_notify();
        server.complete_io(&mut socket).unwrap();
        drop(socket);
        let mut said = String::new();
        client.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "hello\n");
        client.wait().unwrap();
    }
}

use crate::certificate::Certificate;
