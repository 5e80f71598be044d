//! Resumed TLS sessions: a client that changes its certificate while it is connected is not held to the old one, and no session
//! outlives an hour.

use crate::client::{Raw, config, connect, get};
use crate::rig::{ClientCa, ClientCert, Rig};
use countersign_core::namespace::AuthMethod;
use countersign_core::{Change, Lifetime};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, HandshakeKind, SignatureScheme, SupportedProtocolVersion};
use std::sync::{Arc, Mutex};

/// What a client shows now; its session cache stays the same, as in Java, Go and OpenSSL.
#[derive(Debug, Default)]
struct Shown(Mutex<Option<Arc<CertifiedKey>>>);

impl Shown {
    fn set(&self, certificate: &ClientCert) {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = CertifiedKey::from_der(vec![certificate.der()], certificate.private_key(), &provider).unwrap();
        *self.0.lock().unwrap() = Some(Arc::new(key));
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.lock().unwrap().clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

fn client(rig: &Rig, version: &'static SupportedProtocolVersion, shown: &Arc<Shown>) -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rig.server_ca.clone().into()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::<Shown>::clone(shown));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

/// One connection with one request: whether its session was resumed, and what was answered.
async fn ask(rig: &Rig, config: &Arc<ClientConfig>, key: Option<&str>) -> (bool, u16, String) {
    let mut raw = Raw(connect(rig, Arc::clone(config), "a.test").await.unwrap());
    let answer = raw.ask(get("a.test", "/", key)).await;
    let resumed = raw.0.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
    (resumed, answer.status, answer.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_changes_its_certificate_is_let_in_though_its_old_session_is_offered() {
    for version in VERSIONS {
        let rig = Rig::new().await;
        let (ca, shown) = (ClientCa::new("Acme"), Arc::new(Shown::default()));
        rig.put(rig.mtls("a", &[&ca])).await;
        let config = client(&rig, version, &shown);
        let (old, new, short) = (ca.leaf("old"), ca.leaf("new"), ca.leaf_for("short", Lifetime::from_days(2)));
        shown.set(&old);
        rig.change([rig.registered(&old, false)]).await;
        assert_eq!(ask(&rig, &config, None).await, (false, 200, String::new()));
        assert_eq!(ask(&rig, &config, None).await, (true, 200, String::new()), "the twin resumes");
        shown.set(&new);
        rig.change([rig.registered(&old, true)]).await;
        // The session of the revoked leaf is offered, and a full handshake shows the new one.
        assert_eq!(ask(&rig, &config, None).await, (false, 200, String::new()));
        assert_eq!(ask(&rig, &config, None).await, (true, 200, String::new()));
        // One that ended by itself.
        shown.set(&short);
        rig.put(rig.mtls("a", &[&ca, &ClientCa::new("Other")])).await;
        assert_eq!(ask(&rig, &config, None).await, (false, 200, String::new()));
        rig.clock.advance(Lifetime::from_days(3));
        shown.set(&new);
        assert_eq!(ask(&rig, &config, None).await, (false, 200, String::new()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_a_certificate_is_not_resumed_where_certificates_count() {
    for version in VERSIONS {
        let rig = Rig::new().await;
        let (ca, shown) = (ClientCa::new("Acme"), Arc::new(Shown::default()));
        rig.put(rig.mtls("a", &[&ca])).await;
        let config = client(&rig, version, &shown);
        assert_eq!(ask(&rig, &config, None).await, (false, 401, "certificate_required".to_owned()));
        shown.set(&ca.leaf("svc"));
        assert_eq!(ask(&rig, &config, None).await, (false, 200, String::new()));
        assert_eq!(ask(&rig, &config, None).await, (true, 200, String::new()));
        // Whom nothing here knows has nothing to resume either.
        let stranger = Arc::new(Shown::default());
        stranger.set(&ClientCa::new("Nobody's").leaf("svc"));
        let theirs = client(&rig, version, &stranger);
        assert_eq!(ask(&rig, &theirs, None).await, (false, 401, "certificate_unknown".to_owned()));
        rig.change([rig.registered(&ca.leaf("other"), false)]).await;
        stranger.set(&ca.leaf("svc"));
        assert_eq!(ask(&rig, &theirs, None).await, (false, 200, String::new()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_only_keys_count_a_session_is_resumed_as_ever() {
    let rig = Rig::new().await;
    let mut namespace = rig.namespace("a", AuthMethod::ApiKey);
    namespace.apis = vec![rig.api("/orders", true, false)];
    rig.put(namespace).await;
    let key = rig.key().await;
    let config = config(&rig, None, "http/1.1");
    assert_eq!(ask(&rig, &config, Some(&key.text)).await, (false, 200, String::new()));
    assert_eq!(ask(&rig, &config, Some(&key.text)).await, (true, 200, String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sessions_hour_counts_from_its_first_handshake_however_often_it_is_resumed() {
    for version in VERSIONS {
        let rig = Rig::new().await;
        let (ca, shown) = (ClientCa::new("Acme"), Arc::new(Shown::default()));
        rig.put(rig.mtls("a", &[&ca])).await;
        shown.set(&ca.leaf("svc"));
        let config = client(&rig, version, &shown);
        assert!(!ask(&rig, &config, None).await.0);
        for _ in 0..3 {
            rig.clock.advance(Lifetime::from_seconds(19 * 60));
            assert!(ask(&rig, &config, None).await.0);
        }
        rig.clock.advance(Lifetime::from_seconds(4 * 60));
        assert_eq!(ask(&rig, &config, None).await, (false, 200, String::new()), "the first handshake was 61 minutes ago");
        assert!(ask(&rig, &config, None).await.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_path_is_no_verdict() {
    let rig = Rig::new().await;
    let ca = ClientCa::new("Acme");
    rig.put(rig.mtls("a", &[&ca])).await;
    let leaf = ca.leaf_for("svc", Lifetime::from_days(9));
    let again = async |rig: &Rig| Raw::open(rig, "a.test", Some(&leaf)).await.ask(get("a.test", "/", None)).await;
    for _ in 0..5 {
        assert_eq!(again(&rig).await.status, 200);
    }
    // Filters, revocation, dates and the set of CAs are judged by each request, whatever path is remembered.
    let mut filtered = rig.mtls("a", &[&ca]);
    filtered.certificate_filters =
        vec![countersign_core::filter::CertificateFilter { common_name: Some("nobody".to_owned()), ..Default::default() }];
    rig.put(filtered).await;
    assert_eq!(again(&rig).await.code(), "certificate_filtered");
    rig.put(rig.mtls("a", &[&ca])).await;
    assert_eq!(again(&rig).await.status, 200);
    rig.change([rig.registered(&leaf, true)]).await;
    assert_eq!(again(&rig).await.code(), "certificate_revoked");
    rig.change([rig.registered(&leaf, false)]).await;
    assert_eq!(again(&rig).await.status, 200);
    rig.put(rig.mtls("a", &[&ClientCa::new("Other")])).await;
    rig.change([Change::RemoveIdentity(rig.owner.clone())]).await;
    assert_eq!(again(&rig).await.status, 401);
    rig.put(rig.mtls("a", &[&ca])).await;
    rig.clock.advance(Lifetime::from_days(10));
    assert_eq!(again(&rig).await.status, if again(&rig).await.code() == "certificate_expired" { 403 } else { 401 });
}
